"""What a part hands back: rows of per-round values, and how they are printed."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


class NotMeasured(Exception):
    """A part cannot be measured here and now; the message says why and what would be needed."""


@dataclass(frozen=True)
class Options:
    """How to measure. rounds: None leaves the part's own number.   day: a recorded day's folder, or None."""

    quick: bool = False
    rounds: int | None = None
    day: Path | None = None
    synthetic: bool = False

    def count(self, full: int, quick: int = 1) -> int:
        """Return how many rounds to measure."""
        if self.rounds is not None:
            return self.rounds
        return quick if self.quick else full


@dataclass(frozen=True)
class Goal:
    """A bound on the median."""

    at: Literal[">=", "<="]
    bound: float

    def met(self, value: float) -> bool:
        """Tell whether a median reaches the bound."""
        return value >= self.bound if self.at == ">=" else value <= self.bound

    def text(self, unit: str) -> str:
        """Return the bound for people."""
        return f"{'≥' if self.at == '>=' else '≤'} {number(self.bound)} {unit}"


@dataclass(frozen=True)
class Row:
    """One figure: a value a round, in one unit."""

    what: str
    values: Sequence[float]
    unit: str
    goal: Goal | None = None


@dataclass(frozen=True)
class Result:
    """A part's table. setup: what was measured, one sentence.   missing: what was not measured."""

    setup: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    missing: Sequence[str] = field(default=())


def number(value: float) -> str:
    """Return a figure with about three digits that mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def ratios(upper: Sequence[float], lower: Sequence[float]) -> list[float]:
    """Return the ratio of each round; their median is the figure quoted, not the ratio of medians."""
    return [a / b for a, b in zip(upper, lower, strict=True)]


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value that *part* (0 to 1) of the sorted values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def interleaved(rounds: int, variants: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Run every variant once a round, each round starting with another one; return the values by variant.

    The machine's speed drifts: only figures of one round may be compared.
    """
    names = list(variants)
    values: dict[str, list[float]] = {name: [] for name in names}
    for place in range(rounds):
        turn = place % len(names)
        for name in names[turn:] + names[:turn]:
            gc.collect()
            values[name].append(variants[name]())
    return values


def table(result: Result) -> list[str]:
    """Return the result as lines of Markdown."""
    lines = [
        result.setup,
        "",
        "| what | min / median / max | unit | rounds | goal | met |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in result.rows:
        middle = statistics.median(row.values)
        figures = f"{number(min(row.values))} / **{number(middle)}** / {number(max(row.values))}"
        goal = row.goal.text(row.unit) if row.goal else ""
        met = ("met" if row.goal.met(middle) else "**not met**") if row.goal else ""
        lines.append(f"| {row.what} | {figures} | {row.unit} | {len(row.values)} | {goal} | {met} |")
    for note in result.notes:
        lines += ["", note]
    if result.missing:
        lines += ["", "Not measured: " + "; ".join(result.missing) + "."]
    return lines
