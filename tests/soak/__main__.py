"""`python -m tests.soak`: small days over real processes, each killed again and again, until there were enough kills.

Resumable: what is done is in the state folder, a day that was under way is played anew. Exit code 1 if anything that must
hold did not, or if a point that must be met was not.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec

from .days import Day, play
from .points import REQUIRED, WALL

DAY_FOLDER = "day"
DONE = "days.jsonl"
ENOUGH = 100
"""From so many kills on every point must have been met."""


def done_days(state: Path) -> list[Day]:
    """Return the days that an earlier call finished."""
    path = state / DONE
    return [msgspec.json.decode(line, type=Day) for line in path.read_bytes().splitlines()] if path.exists() else []


def summary(days: list[Day], wanted: int) -> tuple[str, int]:
    """Return what happened, and the exit code."""
    deaths = Counter(death for day in days for death in day.deaths)
    by_point = Counter(death.partition(",")[0] for day in days for death in day.deaths)
    missing = [name for name in REQUIRED if not by_point[name]] if wanted >= ENOUGH else []
    wrong = [f"seed {day.seed}: {one}" for day in days for one in day.wrong]
    lines = ["", f"{'killed at':<28} {'before':>7} {'after':>7} {'arrived':>8} {'done':>6}"]
    for name in sorted(by_point, key=lambda point: (point not in REQUIRED, point)):
        row = [deaths[f"{name}, {phase}"] for phase in ("before", "after", "arrived", "done")]
        shown = [str(number) if number else "·" for number in row]
        more = f"   {by_point[name]}" if name == WALL else ""
        lines.append(f"{name:<28} {shown[0]:>7} {shown[1]:>7} {shown[2]:>8} {shown[3]:>6}{more}")
    lines += [
        "",
        (
            f"{sum(deaths.values())} kills in {len(days)} days, {sum(day.starts for day in days)} starts, "
            f"{sum(day.events for day in days):,} events, {sum(day.intents for day in days):,} intents, "
            f"{sum(day.posts for day in days):,} POSTs, {len(wrong)} violations"
        ),
        *(f"NEVER MET: {name}" for name in missing),
        *(f"VIOLATED: {one}" for one in wrong),
    ]
    return "\n".join(lines), 1 if wrong or missing else 0


def main() -> int:
    """Play days until there were enough kills; return 0, or 1 if something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--from", type=int, default=1, dest="first", help="seed of the first day")
    parser.add_argument("--state", type=Path, default=Path("data/soak"), help="what is done; give it again to go on")
    options = parser.parse_args()
    state: Path = options.state.resolve()
    state.mkdir(parents=True, exist_ok=True)
    days = done_days(state)
    killed = Counter(death for day in days for death in day.deaths)
    seed = max((day.seed for day in days), default=options.first - 1) + 1
    while (left := options.kills - sum(killed.values())) > 0:
        began = time.monotonic()
        print(f"seed {seed}: {left} kills to go", flush=True)
        day = play(state / DAY_FOLDER, seed, killed, left, lambda text: print(text, flush=True))
        days.append(day)
        with (state / DONE).open("ab") as file:
            file.write(msgspec.json.encode(day) + b"\n")
        seconds = time.monotonic() - began
        print(f"seed {seed}: {len(day.deaths)} kills, {len(day.wrong)} violations, {seconds:.0f} s", flush=True)
        if day.wrong:
            kept = state / f"violated-{seed}"
            shutil.rmtree(kept, ignore_errors=True)
            (state / DAY_FOLDER).rename(kept)
        seed += 1
    text, code = summary(days, options.kills)
    print(text)
    return code


if __name__ == "__main__":
    sys.exit(main())
