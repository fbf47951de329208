"""The command: measure all parts, or those named, and write their sections of bench/RESULTS.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from bench import results
from bench.figures import NotMeasured, Options, table

PARTS = ("decode", "journal", "rebuild", "day", "trigger", "feed", "latency", "start", "research")
ABOUT = ("msgspec", "eventsourcing", "pykka", "websockets")


def main() -> int:
    """Return 0 if every part was measured, 1 if one could not be; a missed goal is a result, not a failure."""
    options, parts, base = _arguments()
    failed = False
    with tempfile.TemporaryDirectory(prefix="kquant-bench-", dir=base) as folder:
        work = Path(folder)
        for part in parts:
            module = import_module(f"bench.{part}")
            stamp = results.stamp(work, results.versions(*ABOUT), quick=options.quick)
            try:
                lines = table(module.run(options, work))
            except NotMeasured as reason:
                failed = True
                lines = [f"**Not measured**: {reason}"]
            results.write(PARTS, part, module.TITLE, [stamp, "", *lines])
            print("\n".join([module.TITLE, *lines, ""]))
    print(f"written to {results.PATH}")
    return int(failed)


def _arguments() -> tuple[Options, tuple[str, ...], Path | None]:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all of them if none is named")
    parser.add_argument("--quick", action="store_true", help="a short sample, marked as such")
    parser.add_argument("--rounds", type=int, help="rounds of every part, instead of its own number")
    parser.add_argument("--work", type=Path, help="folder on the disk to measure (the system's temporary folder)")
    day = parser.add_mutually_exclusive_group()
    day.add_argument("--day", type=Path, help="recorded day's folder for rebuild, instead of running the demo")
    day.add_argument("--synthetic", action="store_true", help="rebuild of made-up events, where no day can be recorded")
    given = parser.parse_args()
    if unknown := [part for part in given.parts if part not in PARTS]:
        parser.error(f"no part {unknown[0]!r}: choose from {', '.join(PARTS)}")
    if given.rounds is not None and given.rounds < 1:
        parser.error(f"--rounds {given.rounds}: at least 1")
    options = Options(quick=given.quick, rounds=given.rounds, day=given.day, synthetic=given.synthetic)
    return options, tuple(part for part in PARTS if part in given.parts or not given.parts), given.work


if __name__ == "__main__":
    sys.exit(main())
