"""`--faults SPEC`, `--faults FILE.toml` and `--faults list` of the exchange's command line."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kquant.exchange.faults import Fault, FaultError, describe, faults_from_spec, faults_from_toml

HELP = "a fault, a profile, a TOML file of them, or list; may be given again"


def read_faults(text: str) -> list[Fault]:
    """Return the faults of a SPEC or of a file whose name ends in .toml; raises FaultError."""
    if not text.endswith(".toml"):
        return faults_from_spec(text)
    try:
        content = Path(text).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FaultError(f"cannot read the fault file {text}: {error}") from error
    try:
        return faults_from_toml(content)
    except FaultError as error:
        raise FaultError(f"{text}: {error}") from error


class FaultsAction(argparse.Action):
    """Collects faults; `list` prints every kind and ends the process like --help."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Take one value of the option."""
        text = str(values)
        if text == "list":
            sys.stdout.write(describe())
            parser.exit()
        try:
            found = read_faults(text)
        except FaultError as error:
            parser.error(f"{option_string} {error}")
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), *found])
