"""The daily analysis without a model: the rubric 30 + 30 + 20 + 20 computed from the research table. Integers only.

Each part is a weighted mean of signals worth 0 to 100; a signal that is not known is left out, a part with too few is
None.

| part       | most | signals (weight)                                                                 | None below  |
|------------|------|----------------------------------------------------------------------------------|-------------|
| financials | 30   | PER (2), PBR (1), ROE (2), sales growth (1), margin (2), profit growth (2), debt (1) | 3 signals |
| flows      | 30   | foreign and institution net buying as a share of volume, 5 days (3), 20 days (2) | 1 signal    |
| news       | 20   | tone, drawn to neutral when there are few titles                                 | no tone     |
| technicals | 20   | 20-day change (2), against the 20-day mean (2), 5- over 20-day mean (1), volume 5 to 20 days (1), | 20 closes |
|            |      | distance to the 52-week high (1)                                                 |             |
"""

from __future__ import annotations

from msgspec import Struct

from kquant.events.analyzer import AnalysisParts
from kquant.gateways.research.table import ResearchRow
from kquant.gateways.scoring.points import Curve, along, mean_of_known, out_of

MODEL = "heuristic-1"

PER_X100: Curve = ((-1, 0), (0, 20), (300, 90), (800, 100), (1_500, 65), (3_000, 35), (8_000, 10))
PBR_X100: Curve = ((0, 70), (60, 100), (150, 65), (400, 30), (1_000, 0))
ROE_BP: Curve = ((-1_000, 0), (0, 25), (800, 60), (1_500, 85), (2_500, 100))
SALES_BP: Curve = ((-2_000, 0), (0, 40), (1_500, 75), (5_000, 100))
MARGIN_BP: Curve = ((-1_000, 0), (0, 25), (700, 60), (1_500, 85), (3_000, 100))
PROFIT_BP: Curve = ((-5_000, 0), (0, 40), (3_000, 75), (10_000, 100))
DEBT_BP: Curve = ((3_000, 100), (10_000, 70), (20_000, 35), (40_000, 0))
FLOW_BP: Curve = ((-800, 0), (0, 45), (250, 70), (800, 100))
TONE: Curve = ((-100, 0), (0, 50), (100, 100))
CHANGE_BP: Curve = ((-2_000, 0), (0, 45), (1_000, 80), (2_500, 100), (6_000, 60))
OVER_MEAN_BP: Curve = ((-1_000, 0), (0, 45), (500, 80), (1_500, 100), (4_000, 60))
CROSS_BP: Curve = ((-500, 0), (0, 50), (500, 100))
VOLUME_PERCENT: Curve = ((30, 10), (100, 50), (250, 100))
BELOW_HIGH_BP: Curve = ((0, 100), (1_000, 80), (3_000, 45), (6_000, 0))
TITLES_FOR_FULL_TONE = 5
CLOSES_LEAST = 20
FINANCIALS_LEAST = 3


def score_row(row: ResearchRow) -> AnalysisParts:
    """Return the stock's parts; None where nothing, or too little, is known."""
    return AnalysisParts(
        financials=_part(financials(row), 30),
        flows=_part(flows(row), 30),
        news=_part(news(row), 20),
        technicals=_part(technicals(row), 20),
    )


def _part(points: int | None, most: int) -> int | None:
    return None if points is None else out_of(points, most)


def _points(curve: Curve, value: int | None) -> int | None:
    return None if value is None else along(curve, value)


def financials(row: ResearchRow) -> int | None:
    """Return points of 100 for value, profitability, growth and debt."""
    signals = (
        (_points(PER_X100, row.per_x100), 2),
        (_points(PBR_X100, row.pbr_x100), 1),
        (_points(ROE_BP, row.roe_bp), 2),
        (_points(SALES_BP, row.sales_growth_bp), 1),
        (_points(MARGIN_BP, row.op_margin_bp), 2),
        (_points(PROFIT_BP, row.op_growth_bp), 2),
        (_points(DEBT_BP, row.debt_ratio_bp), 1),
    )
    if sum(points is not None for points, _ in signals) < FINANCIALS_LEAST:
        return None
    return mean_of_known(signals)


def flows(row: ResearchRow) -> int | None:
    """Return points of 100 for what foreigners and institutions bought, net, of what was traded."""
    return mean_of_known(
        (
            (_points(FLOW_BP, net_bp(row, 5, row.foreign_net_5d, row.institution_net_5d)), 3),
            (_points(FLOW_BP, net_bp(row, 20, row.foreign_net_20d, row.institution_net_20d)), 2),
        )
    )


def net_bp(row: ResearchRow, days: int, foreign: int | None, institution: int | None) -> int | None:
    """Return the net buying of those who are known, in basis points of the volume of the last *days*; None if unknown."""
    known = [net for net in (foreign, institution) if net is not None]
    if not known or row.volumes is None or len(row.volumes) < days:
        return None
    traded = sum(row.volumes[-days:])
    return None if traded <= 0 else sum(known) * 10_000 // traded


def news(row: ResearchRow) -> int | None:
    """Return points of 100 for the tone of the titles."""
    if row.news_tone is None or row.news_count is None or row.news_count <= 0:
        return None
    heard = min(row.news_count, TITLES_FOR_FULL_TONE)
    return along(TONE, row.news_tone * heard // TITLES_FOR_FULL_TONE)


class Trend(Struct, frozen=True, kw_only=True):
    """A stock's way over the last 20 trading days. volume_percent: of 5 days over 20.   below_high_bp: of 52 weeks."""

    change_bp: int
    over_mean_bp: int
    cross_bp: int
    volume_percent: int | None
    below_high_bp: int | None


def trend(row: ResearchRow) -> Trend | None:
    """Return the numbers of the trend; None for a stock without 20 closes above zero."""
    closes = row.closes
    if closes is None or len(closes) < CLOSES_LEAST or min(closes[-CLOSES_LEAST:]) <= 0:
        return None
    last, first = closes[-1], closes[-CLOSES_LEAST]
    sum20, sum5 = sum(closes[-20:]), sum(closes[-5:])
    volumes = row.volumes if row.volumes is not None and len(row.volumes) >= CLOSES_LEAST else None
    volume20 = 0 if volumes is None else sum(volumes[-20:])
    high = row.w52_high
    return Trend(
        change_bp=(last - first) * 10_000 // first,
        over_mean_bp=(last * 20 - sum20) * 10_000 // sum20,
        cross_bp=(sum5 * 4 - sum20) * 10_000 // sum20,
        volume_percent=None if volumes is None or volume20 <= 0 else sum(volumes[-5:]) * 400 // volume20,
        below_high_bp=None if high is None or high <= 0 else max(0, (high - last) * 10_000 // high),
    )


def technicals(row: ResearchRow) -> int | None:
    """Return points of 100 for trend, place against its means, and volume. A stock that does not trade has none."""
    way = trend(row)
    if way is None:
        return None
    return mean_of_known(
        (
            (along(CHANGE_BP, way.change_bp), 2),
            (along(OVER_MEAN_BP, way.over_mean_bp), 2),
            (along(CROSS_BP, way.cross_bp), 1),
            (_points(VOLUME_PERCENT, way.volume_percent), 1),
            (_points(BELOW_HIGH_BP, way.below_high_bp), 1),
        )
    )
