"""`python -m bench.mutants`: every mutant against its tests; writes bench/MUTANTS.md. Exit code 1 if one survives."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from bench.mutants import MUTANTS, Mutant, RottenMutant
from bench.mutants.report import page
from bench.mutants.runner import Copy, NotGreen, Verdict

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "bench" / "MUTANTS.md"


def main() -> int:
    """Return 0 if every mutant was caught, 1 if one survived, 2 if the list is rotten or the tests are not green."""
    parser = argparse.ArgumentParser(prog="python -m bench.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="mutants with this in name or file; the page is left as it is")
    parser.add_argument(
        "--state", type=Path, help="verdicts so far: those are not looked for again, new ones are added"
    )
    parser.add_argument("--list", action="store_true", help="name them and run nothing")
    options = parser.parse_args()
    chosen = [one for one in MUTANTS if options.only in one.name or options.only in one.file]
    try:
        for mutant in MUTANTS:
            mutant.check(ROOT)
        if options.list:
            print("\n".join(f"{one.file}: {one.name} ({one.breaks})" for one in chosen))
            return 0
        verdicts = judged(chosen, options.state)
    except (RottenMutant, NotGreen) as error:
        print(error, file=sys.stderr)
        return 2
    survivors = [one.mutant.name for one in verdicts if not one.caught_by]
    if not options.only:
        PAGE.write_text(page(verdicts), encoding="utf-8")
    print(
        f"{len(verdicts) - len(survivors)} of {len(verdicts)} caught",
        *(f"SURVIVED: {one}" for one in survivors),
        sep="\n",
    )
    return 1 if survivors else 0


def judged(mutants: list[Mutant], state: Path | None) -> list[Verdict]:
    """Judge one mutant after another, but those that *state* knows. Raises NotGreen."""
    known = known_verdicts(state)
    with tempfile.TemporaryDirectory(prefix="kquant-mutants-") as folder:
        copy = Copy(ROOT, Path(folder))
        for mutant in mutants:
            if mutant.name in known:
                continue
            verdict = known[mutant.name] = copy.judge(mutant)
            print(f"{verdict.seconds:5.1f} s  {mutant.name}: {verdict.caught_by or 'SURVIVED'}", flush=True)
            if state is not None:
                with state.open("a", encoding="utf-8") as file:
                    file.write(json.dumps([mutant.name, verdict.caught_by, verdict.seconds]) + "\n")
    return [known[mutant.name] for mutant in mutants]


def known_verdicts(state: Path | None) -> dict[str, Verdict]:
    """Return the verdicts that an earlier call left, by the mutant's name; those on mutants of old are left out."""
    if state is None or not state.exists():
        return {}
    mutants = {mutant.name: mutant for mutant in MUTANTS}
    rows = [json.loads(line) for line in state.read_text(encoding="utf-8").splitlines()]
    return {
        name: Verdict(mutant=mutants[name], caught_by=caught, seconds=seconds)
        for name, caught, seconds in rows
        if name in mutants
    }


if __name__ == "__main__":
    sys.exit(main())
