"""Scores against what came after: returns by score decile, and rank correlation, with the number of samples of each.

A return's excess is what it is above the mean return of all listed stocks over the same sessions, so that a day on which
everything rose makes no score look good. Stocks of one day move together: the number of days counts beside that of samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from statistics import mean, median, stdev

from msgspec import Struct

DECILES = 10
DAY_LEAST = 10
"""Samples of one line that a day needs for a correlation of its own."""


class Sample(Struct, frozen=True, gc=False):
    """One stock's score and what came of it. day: ISO date.   bp: the return.   excess_bp: above all listed stocks'."""

    day: str
    score: int
    bp: int
    excess_bp: int


class Least(Struct, frozen=True, kw_only=True):
    """Fewest samples, and days, that a line is shown for."""

    samples: int
    days: int


class Came(Struct, frozen=True, kw_only=True):
    """What came of some stocks, basis points. up_percent: how many of a hundred rose."""

    samples: int
    days: int
    mean_bp: int
    median_bp: int
    excess_bp: int
    up_percent: int


class Decile(Struct, frozen=True, kw_only=True):
    """Stocks by score, a tenth of them each: 1 has the lowest. Equal scores stay together, so tenths differ in size.

    low, high: the scores in it.
    """

    decile: int
    low: int
    high: int
    came: Came


class Line(Struct, frozen=True, kw_only=True):
    """One score: the total, or a line of the rubric.

    rank: Spearman's correlation of score and excess over all samples, None where one of them never varies.
    daily: the mean of the days' own correlations, of `daily_days` days; daily_error: its standard error, from two days on.
    sufficient: enough samples on enough days. Figures are there in any case.
    """

    name: str
    samples: int
    days: int
    sufficient: bool
    rank: float | None
    daily: float | None
    daily_error: float | None
    daily_days: int
    deciles: tuple[Decile, ...]


def line_of(name: str, samples: Sequence[Sample], least: Least) -> Line:
    """Return what the samples of one score say; samples may be empty."""
    days = len({sample.day for sample in samples})
    daily = _daily(samples)
    return Line(
        name=name,
        samples=len(samples),
        days=days,
        sufficient=enough(len(samples), days, least),
        rank=_rounded(rank_correlation([(one.score, one.excess_bp) for one in samples])),
        daily=_rounded(mean(daily)) if daily else None,
        daily_error=_rounded(stdev(daily) / len(daily) ** 0.5) if len(daily) > 1 else None,
        daily_days=len(daily),
        deciles=deciles_of(samples),
    )


def enough(samples: int, days: int, least: Least) -> bool:
    """Tell whether so many samples on so many days are shown."""
    return samples >= least.samples and days >= least.days


def deciles_of(samples: Sequence[Sample]) -> tuple[Decile, ...]:
    """Return the samples by tenths of their scores, lowest first; a tenth that ties leave empty is left out.

    Samples of one score go where the middle of their places lies.
    """
    ordered = sorted(samples, key=lambda sample: sample.score)
    tenths: dict[int, list[Sample]] = {}
    place = 0
    for _, tied in groupby(ordered, key=lambda sample: sample.score):
        group = list(tied)
        middle = 2 * place + len(group) - 1
        tenths.setdefault(DECILES * middle // (2 * len(ordered)) + 1, []).extend(group)
        place += len(group)
    return tuple(
        Decile(decile=tenth, low=group[0].score, high=group[-1].score, came=came_of(group))
        for tenth, group in tenths.items()
    )


def came_of(samples: Sequence[Sample]) -> Came:
    """Return what came of the samples; at least one."""
    return Came(
        samples=len(samples),
        days=len({sample.day for sample in samples}),
        mean_bp=round(mean(sample.bp for sample in samples)),
        median_bp=round(median(sample.bp for sample in samples)),
        excess_bp=round(mean(sample.excess_bp for sample in samples)),
        up_percent=round(100 * mean(sample.bp > 0 for sample in samples)),
    )


def rank_correlation(pairs: Sequence[tuple[int, int]]) -> float | None:
    """Return Spearman's rank correlation, ties sharing the mean of their places; None where a side never varies."""
    left, right = (_ranks([pair[side] for pair in pairs]) for side in (0, 1))
    centre = (len(pairs) + 1) / 2
    spread = [sum((rank - centre) ** 2 for rank in side) for side in (left, right)]
    if not all(spread):
        return None
    together = sum((a - centre) * (b - centre) for a, b in zip(left, right, strict=True))
    return float(together / (spread[0] * spread[1]) ** 0.5)


def _ranks(values: Sequence[int]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    place = 0
    for _, tied in groupby(order, key=values.__getitem__):
        group = list(tied)
        for index in group:
            ranks[index] = place + (len(group) + 1) / 2
        place += len(group)
    return ranks


def _daily(samples: Iterable[Sample]) -> list[float]:
    by_day: dict[str, list[tuple[int, int]]] = {}
    for one in samples:
        by_day.setdefault(one.day, []).append((one.score, one.excess_bp))
    own = (rank_correlation(pairs) for pairs in by_day.values() if len(pairs) >= DAY_LEAST)
    return [each for each in own if each is not None]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
