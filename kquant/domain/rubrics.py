"""The two rubrics of the request as numbers: what each part can give, and how parts add to a score of 0 to 100.

A scorer names parts only; totals are computed here and never taken from it. A part outside its range is unusable.
"""

from __future__ import annotations

from msgspec import Struct

from kquant.events.analyzer import AnalysisParts, AnalysisScore
from kquant.events.scanner import ScanParts
from kquant.values import Score, Symbol

SCAN_MAXIMA = {"persistence": 30, "volume": 20, "momentum": 30, "risk": 20}
"""The scan: persistence of the surge, adequacy of the volume, short-term momentum, risk (more is safer)."""

ANALYSIS_MAXIMA = {"financials": 30, "flows": 30, "news": 20, "technicals": 20}
"""The daily analysis."""


class Blend(Struct, frozen=True):
    """A weighted mean of the parts there are. weight: what those parts weigh together."""

    total: Score | None
    weight: int


def scan_total(parts: ScanParts) -> Score | None:
    """Return the scan's total, None when any part is outside its range: an unusable answer scores nothing."""
    total = 0
    for name, most in SCAN_MAXIMA.items():
        value: int = getattr(parts, name)
        if not 0 <= value <= most:
            return None
        total += value
    return Score(total)


def analysis_score(code: Symbol, parts: AnalysisParts, min_coverage: int) -> AnalysisScore:
    """Scale the parts there are to 100, half a point up; None when they could give less than *min_coverage* points.

    A part that is None or outside its range is left out, of the sum and of what the sum is measured against.
    """
    had = points = 0
    missing: list[str] = []
    for name, most in ANALYSIS_MAXIMA.items():
        value: int | None = getattr(parts, name)
        if value is not None and 0 <= value <= most:
            had += value
            points += most
        else:
            missing.append(name)
    enough = points > 0 and points >= min_coverage
    total = Score(divide_half_up(had * 100, points)) if enough else None
    return AnalysisScore(code=code, total=total, points=points, missing=tuple(missing))


def blend(parts: tuple[tuple[int | None, int], ...]) -> Blend:
    """Return the mean of (value 0-100 or None, weight) pairs, half a point up; a None takes its weight out with it."""
    known = [(value, weight) for value, weight in parts if value is not None and weight > 0]
    weight = sum(each for _, each in known)
    if weight == 0:
        return Blend(total=None, weight=0)
    return Blend(total=Score(divide_half_up(sum(value * each for value, each in known), weight)), weight=weight)


def divide_half_up(numerator: int, denominator: int) -> int:
    """Divide integers, a half going up. denominator: above zero."""
    return (2 * numerator + denominator) // (2 * denominator)


def scale(value: int, low: int, high: int) -> int:
    """Map *value* from *low*..*high* onto 0..100, linear, half up, clamped at both ends. high > low."""
    return max(0, min(100, divide_half_up((value - low) * 100, high - low)))
