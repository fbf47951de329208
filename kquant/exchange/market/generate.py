"""A whole trading day from a seed: stocks, minute bars, news and research, shipped as code.

The market moves by a common factor, sectors and each stock's own noise; volume is U-shaped; some stocks surge and fade,
some lock at a limit, some are halted. What was known the evening before leans modestly towards what the day brings.
All randomness is `mixing`; sums run in a fixed order, so a day is the same on every machine.
"""

from __future__ import annotations

import datetime as dt
from functools import partial

import numpy as np

from .bars import Bars, points_needed
from .day import MarketDay
from .grid import NO_UPPER_LIMIT, daily_limits, floor_price, step_price, tick_sizes
from .history import headlines, research_rows
from .mixing import Flags, Floats, Ints, Stream, below, key_of, normals, quantile, uniforms
from .model import Kind, Stock
from .names import ETF_BRANDS, ETF_THEMES, SECTORS, unique_codes, unique_names
from .research import write_parquet

OPEN_SECOND = 9 * 3600
CLOSE_SECOND = 15 * 3600 + 30 * 60
CONTINUOUS = 380
"""Minutes of continuous trading, 09:00 to 15:20; then ten without a print, then the closing auction's slot."""
SLOTS = 391
PRICE_TABLE = (
    (0.0, 600.0), (0.08, 1_300.0), (0.25, 2_900.0), (0.5, 7_200.0), (0.75, 19_000.0), (0.92, 62_000.0),
    (0.985, 210_000.0), (1.0, 900_000.0),
)  # fmt: skip
TURNOVER_TABLE = (
    (0.0, 4e6), (0.1, 4e7), (0.35, 2.5e8), (0.6, 9e8), (0.8, 4e9), (0.93, 2.4e10), (0.985, 1.3e11), (1.0, 9e11),
)  # fmt: skip
SURGES_PER_1000 = 55
LIMIT_UPS_PER_1000 = 6.5
LIMIT_DOWNS_PER_1000 = 1.2


def generate(day: dt.date, seed: int, stocks: int = 2_700) -> MarketDay:
    """Return the market day of *seed*: *stocks* listed symbols over KOSPI and KOSDAQ."""
    key = key_of(seed, "day", day.isoformat())
    listed, turnover, lean = _listing(key, stocks)
    bars, surges = _paths(key, listed, turnover, lean)
    research = research_rows(key_of(key, "research"), day, listed, lean)
    news = headlines(key_of(key, "news"), day, listed, surges, OPEN_SECOND)
    return MarketDay(
        day=day,
        prev_day=previous_weekday(day),
        seed=seed,
        source="generated",
        open_second=OPEN_SECOND,
        close_second=CLOSE_SECOND,
        stocks=listed,
        bars=bars,
        news=news,
        research=partial(write_parquet, research),
        known=lambda: research,
    )


def previous_weekday(day: dt.date) -> dt.date:
    """Return the weekday before *day*."""
    before = day - dt.timedelta(days=1)
    while before.weekday() >= 5:
        before -= dt.timedelta(days=1)
    return before


def _listing(key: int, count: int) -> tuple[tuple[Stock, ...], Floats, Floats]:
    """Return the stocks, each one's expected turnover (won), and how the day leans for it (mean 0, variance 1)."""
    stream = Stream(key_of(key, "listing"))
    codes = unique_codes(stream, count)
    sectors = [stream.pick(tuple(SECTORS)) for _ in range(count)]
    names = unique_names(stream, sectors)
    lean = normals(key_of(key, "lean"), count)
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
    return _distinct(listed), turnovers, lean


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
        single_price=False,
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


def _paths(key: int, listed: tuple[Stock, ...], turnover: Floats, lean: Floats) -> tuple[Bars, list[tuple[int, int]]]:
    """Return the bars, and the surges as (row, first minute)."""
    count = len(listed)
    drift, factor, surges = _events(key, listed, turnover)
    level = 1.0 + np.cumsum(_returns(key, listed, lean) + drift, axis=1)
    base = np.array([stock.base for stock in listed], dtype=np.int64)
    upper = np.array([stock.upper for stock in listed], dtype=np.int64)
    lower = np.maximum(np.array([stock.lower for stock in listed], dtype=np.int64), 1)
    gap = 1.0 + 0.007 * normals(key_of(key, "gap"), count) + 0.004 * lean
    etp = np.array([stock.etp for stock in listed])
    path = _on_grid(np.maximum(base[:, None] * level * gap[:, None], 1.0), lower, upper, etp)
    first = _on_grid(np.maximum(base * gap, 1.0)[:, None], lower, upper, etp)[:, 0]
    volume = _volumes(key, turnover, base, factor, path, upper)
    volume[np.array([stock.halted for stock in listed])] = 0
    return _bars(key, path, first, volume, lower, upper, etp), surges


def _returns(key: int, listed: tuple[Stock, ...], lean: Floats) -> Floats:
    """Return each stock's minute returns: market, sector and own noise, and a modest lean over the day."""
    count = len(listed)
    minutes = np.arange(CONTINUOUS, dtype=np.float64)
    edge = 1.0 + 1.6 / (1.0 + minutes / 12.0) + 0.4 / (1.0 + (CONTINUOUS - minutes) / 15.0)
    common = normals(key_of(key, "market"), CONTINUOUS) * 0.00025
    names = sorted({stock.sector for stock in listed})
    sector_of = np.array([names.index(stock.sector) for stock in listed], dtype=np.int64)
    sector = normals(key_of(key, "sector"), len(names) * CONTINUOUS).reshape(len(names), CONTINUOUS) * 0.0003
    calm = np.array([0.25 if stock.kind in {"etf", "spac", "reit"} else 1.0 for stock in listed])
    spread = (0.0005 + 0.0014 * uniforms(key_of(key, "sigma"), count)) * calm
    own = normals(key_of(key, "own"), count * CONTINUOUS).reshape(count, CONTINUOUS)
    beta = 0.5 + uniforms(key_of(key, "beta"), count)
    noise = own * spread[:, None] + beta[:, None] * common + calm[:, None] * sector[sector_of]
    result: Floats = noise * edge + (0.006 * lean * calm / CONTINUOUS)[:, None]
    return result


def _events(key: int, listed: tuple[Stock, ...], turnover: Floats) -> tuple[Floats, Floats, list[tuple[int, int]]]:
    """Return extra returns and volume factors of the day's events, and the surges as (row, first minute)."""
    stream = Stream(key_of(key, "events"))
    count = len(listed)
    movers = [row for row, stock in enumerate(listed) if stock.kind in {"common", "preferred"} and turnover[row] < 2e11]

    def busier(draws: int) -> int:
        # What runs is mostly what many trade: of some stocks drawn, the one with most turnover.
        return max((stream.pick(movers) for _ in range(draws)), key=lambda row: (turnover[row], row))

    drift = np.zeros((count, CONTINUOUS), dtype=np.float64)
    factor = np.ones((count, CONTINUOUS), dtype=np.float64)
    surges: list[tuple[int, int]] = []
    for _ in range(max(1, count * SURGES_PER_1000 // 1_000)):
        row, draw = busier(2), stream.below(6)
        start = stream.below(CONTINUOUS - 40)
        start = 0 if draw < 2 else min(start, stream.below(CONTINUOUS - 40)) if draw < 4 else start
        rise = 0.05 + 0.17 * stream.uniform()
        _surge(stream, drift[row], factor[row], start, rise, 0.15 + 0.95 * stream.uniform())
        surges.append((row, start))
    for _ in range(int(count * LIMIT_UPS_PER_1000 / 1_000)):
        row, start, length = busier(3), stream.below(330), stream.between(5, 45)
        if stream.below(6) == 0:  # bid up to the limit from the open on
            start, length = 0, stream.between(1, 3)
        drift[row, start : start + length] += 0.36 / length
        factor[row, start : start + length] *= 9.0
        drift[row, start + length :] = 0.001
        surges.append((row, start))
    for _ in range(int(count * LIMIT_DOWNS_PER_1000 / 1_000)):
        row, start, length = stream.pick(movers), stream.below(120), stream.between(10, 60)
        drift[row, start : start + length] -= 0.36 / length
        factor[row, start : start + length] *= 7.0
        drift[row, start + length :] = -0.001
    # The larger a stock's usual turnover, the less an event multiplies it.
    factor = 1.0 + (factor - 1.0) * np.sqrt(np.minimum(1.0, 5e9 / turnover))[:, None]
    return drift, factor, sorted(surges)


def _surge(stream: Stream, drift: Floats, factor: Floats, start: int, rise: float, given_back: float) -> None:
    """Lift a stock by *rise* over some minutes, hold it, and take back a part."""
    # Overnight news is priced in within minutes; a run of the day takes longer.
    up = stream.between(1, 25) if start == 0 else stream.between(8, 45)
    hold, down = stream.between(2, 50), stream.between(15, 140)
    drift[start : start + up] += rise / up
    drift[start + up + hold : start + up + hold + down] -= rise * given_back / down
    strength = 4.0 + 9.0 * stream.uniform()
    factor[start : start + up] *= strength
    factor[start + up : start + up + hold + down] *= 1.0 + strength * 0.35


def _on_grid(prices: Floats, lower: Ints, upper: Ints, etp: Flags) -> Ints:
    """Return won on the tick grid inside the day's limits."""
    whole = prices.astype(np.int64)
    ticks = np.where(etp[:, None], tick_sizes(whole, etp=True), tick_sizes(whole))
    down = whole // ticks * ticks
    result: Ints = np.clip(down, lower[:, None], upper[:, None])
    return result


def _volumes(key: int, turnover: Floats, base: Ints, factor: Floats, path: Ints, upper: Ints) -> Ints:
    """Return shares a minute: U-shaped, noisy, more in a surge, little while locked at the upper limit."""
    count = len(base)
    minutes = np.arange(CONTINUOUS, dtype=np.float64)
    shape = 0.55 + 3.2 / (1.0 + minutes / 9.0) + 1.1 / (1.0 + (CONTINUOUS - minutes) / 14.0)
    shape /= shape.sum()
    draw = uniforms(key_of(key, "volume"), count * CONTINUOUS).reshape(count, CONTINUOUS)
    noise = 0.15 + draw * draw * 2.55
    expected = (turnover / base)[:, None] * shape * factor * noise
    locked = path >= upper[:, None]
    volume: Ints = np.where(locked, expected * 0.15, expected).astype(np.int64)
    return volume


def _bars(key: int, path: Ints, first: Ints, volume: Ints, lower: Ints, upper: Ints, etp: Flags) -> Bars:
    """Return minute bars whose closes follow the path; opens lie near the close before."""
    count = len(first)
    bars = Bars.empty(count, SLOTS)
    grid = range(CONTINUOUS)
    before = np.concatenate([first[:, None], path[:, :-1]], axis=1)
    reach = below(key_of(key, "reach"), count * CONTINUOUS * 2, 3).reshape(2, count, CONTINUOUS)
    tick = np.where(etp[:, None], tick_sizes(path, etp=True), tick_sizes(path))
    top, bottom = np.maximum(before, path), np.minimum(before, path)
    high = _snap(np.minimum(top + reach[0] * tick, upper[:, None]), etp, top)
    low = np.minimum(_snap(np.maximum(bottom - reach[1] * tick, lower[:, None]), etp, lower[:, None]), bottom)
    opening = volume[:, 0] > 0
    volume = volume.copy()
    volume[:, 0] = np.where(opening, volume[:, 0] + volume[:, 0] // 2, 0)
    needed = points_needed(before, high, low, path)[0]
    volume = np.where((volume > 0) & (volume < needed), needed, volume)
    for name, column in (("open", before), ("high", high), ("low", low), ("close", path)):
        getattr(bars, name)[:, list(grid)] = np.where(volume > 0, column, 0)
    bars.volume[:, :CONTINUOUS] = volume
    bars.auction[:, 0] = opening
    _closing_auction(key, bars, path, volume, upper, etp)
    return bars


def _snap(prices: Ints, etp: Flags, least: Ints) -> Ints:
    """Floor to the grid, never below *least*."""
    ticks = np.where(etp[:, None], tick_sizes(prices, etp=True), tick_sizes(prices))
    return np.maximum(prices // ticks * ticks, least)


def _closing_auction(key: int, bars: Bars, path: Ints, volume: Ints, upper: Ints, etp: Flags) -> None:
    """Put the single closing price: within a tick of the last, with a few percent of the day's volume."""
    count = len(path)
    steps = below(key_of(key, "closing"), count, 3) - 1
    share = 2 + below(key_of(key, "closing volume"), count, 6)
    total = volume.sum(axis=1)
    last = path[:, -1]
    steps = np.where(last >= upper, 0, steps)  # what is locked stays locked
    up = np.array([step_price(int(p), int(s), etp=bool(e)) for p, s, e in zip(last, steps, etp, strict=True)])
    high, low = path.max(axis=1), path.min(axis=1)
    price = np.clip(up, low, high)
    qty = total * share // 100
    slot = SLOTS - 1
    for name in ("open", "high", "low", "close"):
        getattr(bars, name)[:, slot] = np.where(qty > 0, price, 0)
    bars.volume[:, slot] = qty
    bars.auction[:, slot] = qty > 0
