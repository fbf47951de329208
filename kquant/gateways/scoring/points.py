"""Points from numbers: piecewise linear tables and means that leave out what is not known. Integers only."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

Curve = tuple[tuple[int, int], ...]
"""(input, points) pairs, inputs ascending. Before the first and after the last the points stay."""


def along(curve: Curve, value: int) -> int:
    """Return the points at *value*, linear between the pairs, rounded half up."""
    if value <= curve[0][0]:
        return curve[0][1]
    for (x0, y0), (x1, y1) in pairwise(curve):
        if value <= x1:
            span = x1 - x0
            return y0 + (2 * (y1 - y0) * (value - x0) + span) // (2 * span)
    return curve[-1][1]


def mean_of_known(values: Sequence[tuple[int | None, int]]) -> int | None:
    """Return the weighted mean of (points 0-100 or None, weight), half up, over those known; None without any."""
    known = [(points, weight) for points, weight in values if points is not None]
    weight = sum(each for _, each in known)
    if weight == 0:
        return None
    return (2 * sum(points * each for points, each in known) + weight) // (2 * weight)


def out_of(points: int, most: int) -> int:
    """Scale points of 100 to a part that gives *most*, half up."""
    return (2 * points * most + 100) // 200
