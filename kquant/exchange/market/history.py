"""What was known of each generated stock the evening before, and the day's headlines."""

from __future__ import annotations

import datetime as dt

import numpy as np

from .mixing import Stream, key_of, mix, normals, uniforms
from .model import NewsTitle, Stock
from .research import ResearchRow, midnight

DAYS = 120
RISING = (
    "{name}, 대규모 공급계약 체결",
    "{name} 거래량 급증…신고가 경신",
    "{name}, 신규 수주 기대감에 강세",
    "{name} 실적 개선 전망",
)
QUIET = (
    "{name}, 정기 이사회 개최",
    "[특징주] {name}",
    "{name} 주요사항보고서 제출",
    "{name}, 자사주 처분 결정",
    "{name} 투자설명회 안내",
)


def research_rows(key: int, day: dt.date, stocks: tuple[Stock, ...], lean: object) -> list[ResearchRow]:
    """Return one row a stock; figures lean modestly the way the day will go (correlations of about 0.3)."""
    count = len(stocks)
    leans = np.asarray(lean, dtype=np.float64)
    quality = 0.3 * leans + 0.95 * normals(key_of(key, "quality"), count)
    flow = 0.35 * leans + 0.94 * normals(key_of(key, "flow"), count)
    tone = 0.25 * leans + 0.97 * normals(key_of(key, "tone"), count)
    trend = 0.3 * leans + 0.95 * normals(key_of(key, "trend"), count)
    moves = normals(key_of(key, "history"), count * DAYS).reshape(count, DAYS) * 0.022 + (trend * 0.0015)[:, None]
    chance = uniforms(key_of(key, "volumes"), count * DAYS).reshape(count, DAYS)
    rows = []
    for row, stock in enumerate(stocks):
        stream = Stream(key_of(key, "row", stock.code))
        figures = (float(quality[row]), float(flow[row]), float(tone[row]))
        rows.append(_row(stream, day, stock, figures, moves[row], chance[row]))
    return rows


def _row(
    stream: Stream,
    day: dt.date,
    stock: Stock,
    figures: tuple[float, float, float],
    moves: np.ndarray[tuple[int], np.dtype[np.float64]],
    chance: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> ResearchRow:
    quality, flow, tone = figures
    filed = stock.kind in {"common", "preferred", "reit"} and stream.below(100) < 92
    known = stock.kind in {"common", "preferred"} and stream.below(100) < 95
    closes = _closes(stock.prev_close, moves)
    volumes = tuple(int(stock.prev_volume * (0.3 + 1.6 * share)) for share in chance.tolist())
    above, under = stream.belows(300, len(closes)), stream.belows(300, len(closes))
    highs = tuple(close + close * part // 10_000 for close, part in zip(closes, above, strict=True))
    lows = tuple(close - close * part // 10_000 for close, part in zip(closes, under, strict=True))
    unit = max(1, stock.prev_volume // 50)
    count = stream.below(7)
    year_high = max(highs) + max(highs) * stream.below(2_500) // 10_000
    year_low = max(1, min(lows) - min(lows) * stream.below(2_500) // 10_000)
    return ResearchRow(
        code=stock.code,
        name=stock.name,
        market=stock.market,
        sector=stock.sector,
        kind=stock.kind,
        halted=stock.halted,
        administrative=stock.administrative,
        liquidation=stock.liquidation,
        warning=stock.warning,
        overheated=stock.overheated,
        base=stock.base,
        market_cap=stock.prev_close * stock.listed_shares,
        per_x100=int((16 - 4 * quality + 6 * stream.uniform()) * 100) if filed and quality > -1.2 else None,
        pbr_x100=int((1.4 - 0.3 * quality + stream.uniform()) * 100) if filed else None,
        roe_bp=int(700 + 600 * quality + 200 * stream.uniform()) if filed else None,
        sales_growth_bp=int(500 + 1_100 * quality + 800 * stream.uniform()) if filed else None,
        op_margin_bp=int(500 + 450 * quality) if filed else None,
        op_growth_bp=int(400 + 2_500 * quality + 1_500 * stream.uniform()) if filed else None,
        debt_ratio_bp=max(500, int(9_000 - 2_500 * quality + 3_000 * stream.uniform())) if filed else None,
        statement_filed=(day - dt.timedelta(days=30 + stream.below(200))).isoformat() if filed else None,
        foreign_net_5d=int(unit * (flow + 0.8 * (stream.uniform() - 0.5))) if known else None,
        institution_net_5d=int(unit * (flow + 1.2 * (stream.uniform() - 0.5))) if known else None,
        foreign_net_20d=int(3 * unit * (flow + 1.5 * (stream.uniform() - 0.5))) if known else None,
        institution_net_20d=int(3 * unit * (flow + 1.5 * (stream.uniform() - 0.5))) if known else None,
        news_count=count,
        news_tone=max(-100, min(100, int(40 * tone))) if count else None,
        closes=closes,
        volumes=volumes,
        highs=highs,
        lows=lows,
        w52_high=year_high,
        w52_low=year_low,
        listing_known_at=midnight(day),
        prices_known_at=midnight(day),
        flows_known_at=midnight(day),
        valuation_known_at=midnight(day),
        financials_known_at=midnight(day),
        news_known_at=midnight(day),
    )


def _closes(last: int, moves: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[int, ...]:
    """Walk back from the previous close, newest last."""
    closes = [last]
    price = float(last)
    for move in moves[:0:-1].tolist():
        price /= 1.0 + max(-0.28, min(0.28, move))
        closes.append(max(1, round(price)))
    return tuple(reversed(closes))


def headlines(
    key: int, day: dt.date, stocks: tuple[Stock, ...], surges: list[tuple[int, int]], open_second: int
) -> tuple[NewsTitle, ...]:
    """Return the day's titles, oldest first: some before or during surges, many about nothing."""
    stream = Stream(key)
    found: list[tuple[int, str, str]] = []
    for row, minute in surges:
        if stream.below(3):
            second = max(7 * 3600, open_second + 60 * minute + stream.between(-1_200, 900))
            found.append((second, stream.pick(RISING).format(name=stocks[row].name), stocks[row].code))
    for _ in range(min(600, len(stocks) // 4 + 1)):
        stock = stocks[stream.below(len(stocks))]
        found.append(
            (stream.between(7 * 3600, 15 * 3600 + 1_800), stream.pick(QUIET).format(name=stock.name), stock.code)
        )
    found.sort()
    titles = []
    for number, (second, title, code) in enumerate(found):
        time = (dt.datetime.combine(day, dt.time()) + dt.timedelta(seconds=second)).time()
        serial = f"{day:%Y%m%d}{number:06d}{mix(key ^ number) % 100:02d}"
        titles.append(NewsTitle(serial, day, time, title, (code,), "모의뉴스"))
    return tuple(titles)
