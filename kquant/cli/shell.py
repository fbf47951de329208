"""What the command modules share: the application object, common options, settings, and how JSON is printed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from kquant.cli.sense import contradiction
from kquant.config import ConfigError, Loaded, load, parse_value

Profile = Annotated[str, Parameter(name=("--profile", "-p"))]
ConfigFile = Annotated[Path | None, Parameter(name="--config")]
Data = Annotated[Path | None, Parameter(name="--data")]
Account = Annotated[str | None, Parameter(name="--account")]
Json = Annotated[bool, Parameter(name="--json", negative="")]
Setting = Annotated[list[str] | None, Parameter(name="--set", negative="")]

app = App(
    name="kquant",
    help="Watches and trades the Korean stock market through the KIS Open API. 실시간 감시·자동매매.",
    help_epilogue="Exit codes: 0 done · 1 the answer is no · 2 bad input · 3 busy · 4 failed, start again · 130 interrupted",
)


def settings_for(profile: str, file: Path | None, sets: list[str] | None, **overrides: Any) -> Loaded:
    """Return the settings of a profile under a file, single settings (section.key=value) and options (section__key)."""
    given = {key.replace("__", "."): value for key, value in overrides.items() if value is not None}
    single: dict[str, Any] = {}
    for text in sets or []:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set {text}: write section.key=value")
        single[key.strip()] = parse_value(value.strip())
    loaded = load(profile, file=file, overrides=given, sets=single)
    refused = contradiction(loaded.settings)
    if refused is not None:
        raise ConfigError(refused)
    return loaded


def print_json(document: Any) -> None:
    """Print one JSON document for machines."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def data_folder(data: Path | None, config: Path | None = None) -> Path:
    """Return the folder days are kept in: the option, else the setting, of the user's file if one is given."""
    return data if data is not None else Path(load("demo", file=config).settings.journal.data)
