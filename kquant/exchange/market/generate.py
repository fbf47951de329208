"""A whole trading day from a seed: stocks, minute bars, news and research, shipped as code.

The market moves by a common factor, sectors and each stock's own noise; volume is U-shaped; some stocks surge and fade,
some lock at a limit, some are halted. What was known the evening before leans modestly towards what the day brings.
All randomness is `mixing`; sums run in a fixed order, so a day is the same on every machine.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from kquant.exchange.core.rules import is_open_day

from .day import MarketDay
from .grid import NO_UPPER_LIMIT, daily_limits, floor_price
from .history import headlines, research_rows
from .interrupt import interrupt
from .mixing import Floats, Stream, key_of, normals, quantile
from .model import Kind, Stock
from .names import ETF_BRANDS, ETF_THEMES, SECTORS, unique_codes, unique_names
from .paths import draw_paths
from .research import ResearchRow, write_parquet
from .sessions import hours_of, regular_hours

PRICE_TABLE = (
    (0.0, 600.0), (0.08, 1_300.0), (0.25, 2_900.0), (0.5, 7_200.0), (0.75, 19_000.0), (0.92, 62_000.0),
    (0.985, 210_000.0), (1.0, 900_000.0),
)  # fmt: skip
TURNOVER_TABLE = (
    (0.0, 4e6), (0.1, 4e7), (0.35, 2.5e8), (0.6, 9e8), (0.8, 4e9), (0.93, 2.4e10), (0.985, 1.3e11), (1.0, 9e11),
)  # fmt: skip
SINGLE_PRICE_PER_1000 = 3


class Listing(NamedTuple):
    """The listed stocks as a day opens, what each is expected to trade (won), how the day leans (mean 0, variance 1)."""

    stocks: tuple[Stock, ...]
    turnover: Floats
    lean: Floats


def generate(day: dt.date, seed: int, stocks: int = 2_700) -> MarketDay:
    """Return the market day of *seed*: *stocks* listed symbols over KOSPI and KOSDAQ, in the hours of *day*."""
    listing = first_listing(day, seed, stocks)
    return play(day, seed, listing, cache(partial(research_of, day, seed, listing)))


def first_listing(day: dt.date, seed: int, stocks: int) -> Listing:
    """Draw the stocks of a day that follows no other."""
    return _listing(day_key(day, seed), stocks, lean_of(day, seed, stocks))


def research_of(day: dt.date, seed: int, listing: Listing) -> list[ResearchRow]:
    """Return what was known of the stocks before *day*."""
    return research_rows(key_of(day_key(day, seed), "research"), day, listing.stocks, listing.lean)


def play(day: dt.date, seed: int, listing: Listing, research: Callable[[], list[ResearchRow]]) -> MarketDay:
    """Return the market day of *listing*; *research* is asked when somebody wants to know."""
    key, stocks = day_key(day, seed), listing.stocks
    hours = hours_of(day, *regular_hours(day))
    bars, surges = draw_paths(key, stocks, listing.turnover, listing.lean, hours)
    interruptions = interrupt(bars, stocks, seed, hours)
    return MarketDay(
        day=day,
        prev_day=previous_open_day(day),
        seed=seed,
        source="generated",
        open_second=hours.open,
        close_second=hours.close,
        stocks=stocks,
        bars=bars,
        news=headlines(key_of(key, "news"), day, stocks, surges, hours.open),
        research=lambda path: write_parquet(research(), path),
        known=research,
        interruptions=interruptions,
    )


def day_key(day: dt.date, seed: int) -> int:
    """Return the key of everything that is drawn for one day."""
    return key_of(seed, "day", day.isoformat())


def previous_open_day(day: dt.date) -> dt.date:
    """Return the trading day before *day*."""
    before = day - dt.timedelta(days=1)
    while not is_open_day(before):
        before -= dt.timedelta(days=1)
    return before


def lean_of(day: dt.date, seed: int, count: int) -> Floats:
    """Return how *day* leans for each of *count* stocks."""
    return normals(key_of(day_key(day, seed), "lean"), count)


def _listing(key: int, count: int, lean: Floats) -> Listing:
    stream = Stream(key_of(key, "listing"))
    codes = unique_codes(stream, count)
    sectors = [stream.pick(tuple(SECTORS)) for _ in range(count)]
    names = unique_names(stream, sectors)
    listed: list[Stock] = []
    turnovers = np.zeros(count, dtype=np.float64)
    etfs = 0
    for row, code in enumerate(codes):
        kind = _kind(stream)
        market = "KOSPI" if stream.below(100) < 35 else "KOSDAQ"
        name, sector = names[row], sectors[row]
        rank = stream.uniform()
        base = floor_price(int(quantile(PRICE_TABLE, stream.uniform())), etp=kind == "etf")
        turnover = quantile(TURNOVER_TABLE, rank)
        if kind == "etf":
            brand, theme = ETF_BRANDS[etfs % len(ETF_BRANDS)], ETF_THEMES[etfs // len(ETF_BRANDS) % len(ETF_THEMES)]
            suffix = etfs // (len(ETF_BRANDS) * len(ETF_THEMES))
            name, sector, market = f"{brand} {theme}{f' {suffix + 1}' if suffix else ''}", "ETF", "KOSPI"
            etfs += 1
        elif kind == "preferred":
            name, turnover = f"{name}우", turnover * 0.2
        elif kind == "spac":
            name, sector, market, base = f"{name[:2]}제{stream.between(1, 30)}호스팩", "금융", "KOSDAQ", 2_000
            turnover = min(turnover, 2e8)
        turnovers[row] = turnover
        listed.append(_stock(stream, code, name, market, kind, base, sector, turnover, rank))
    return Listing(_distinct(listed), turnovers, lean)


def _kind(stream: Stream) -> Kind:
    draw = stream.below(1_000)
    if draw < 40:
        return "preferred"
    if draw < 65:
        return "spac"
    if draw < 85:
        return "etf"
    return "reit" if draw < 92 else "common"


def _stock(
    stream: Stream, code: str, name: str, market: str, kind: Kind, base: int, sector: str, turnover: float, rank: float
) -> Stock:
    troubled = kind == "common" and stream.below(1_000) < 45
    liquidation = troubled and stream.below(20) == 0
    administrative = troubled and not liquidation and stream.below(2) == 0
    halted = stream.below(1_000) < (300 if administrative else 8)
    warning = stream.between(1, 3) if troubled and not administrative else 0
    upper, lower = (NO_UPPER_LIMIT, 0) if liquidation else daily_limits(base, etp=kind == "etf")
    volume = max(0, int(turnover / base * (0.6 + 0.8 * stream.uniform())))
    return Stock(
        code=code,
        name=name,
        market="KOSPI" if market == "KOSPI" else "KOSDAQ",
        kind=kind,
        base=base,
        upper=upper,
        lower=lower,
        halted=halted,
        administrative=administrative,
        liquidation=liquidation,
        warning=warning,
        overheated=kind == "common" and stream.below(1_000) < 6,
        prev_close=base,
        prev_volume=0 if halted else volume,
        listed_shares=max(100_000, int(turnover * 60 / base)),
        sector=sector,
        kospi200=market == "KOSPI" and kind == "common" and rank > 0.8,
        drawn=False,
        single_price=liquidation
        or (kind == "common" and turnover < 2e9 and key_of(base, "single price", code) % 1_000 < SINGLE_PRICE_PER_1000),
    )


def _distinct(listed: list[Stock]) -> tuple[Stock, ...]:
    """Number names that were drawn twice."""
    taken: dict[str, int] = {}
    distinct = []
    for stock in listed:
        seen = taken[stock.name] = taken.get(stock.name, 0) + 1
        fields = {field: getattr(stock, field) for field in Stock.__struct_fields__}
        distinct.append(stock if seen == 1 else Stock(**{**fields, "name": f"{stock.name}{seen}"}))
    return tuple(distinct)
