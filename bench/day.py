"""Part 4: one whole demo day, from the command to its exit."""

from __future__ import annotations

from pathlib import Path

from bench import recorded
from bench.figures import Goal, Options, Result, Row

TITLE = "4. Whole demo day at --speed max"


def run(options: Options, work: Path) -> Result:
    """Run the day again and again, each into a new folder."""
    days = [recorded.run(work) for _ in range(options.count(5))]
    counts = sorted({day.events for day in days})
    events = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    return Result(
        setup="`kquant run --profile demo --speed max` into an empty folder: process start, market generation, the trading "
        f"day, sealing and report. {events} events in the journal.",
        rows=[Row("wall time", [day.seconds for day in days], "s", Goal("<=", 90))],
        notes=("No other tool runs this day; the figure stands alone.",),
        missing=["a day on imported data"],
    )
