"""The minute bars of a generated day.

The market moves by a common factor, sectors and each stock's own noise; volume is U-shaped; some stocks surge and fade,
some lock at a limit. All randomness is `mixing`; sums run in a fixed order, so a day is the same on every machine.
"""

from __future__ import annotations

import numpy as np

from .bars import Bars, points_needed
from .grid import step_price, tick_sizes
from .mixing import Flags, Floats, Ints, Stream, below, key_of, normals, uniforms
from .model import Stock
from .sessions import Hours

CALL_MINUTES = 10
"""Minutes of the closing call: continuous trading ends before it, its match has the slot after it."""
HALF_HOUR = 30
SURGES_PER_1000 = 55
LIMIT_UPS_PER_1000 = 6.5
LIMIT_DOWNS_PER_1000 = 1.2
OPENING_JUMPS_PER_1000 = 3
PUSHED_CLOSES_PER_1000 = 3


def draw_paths(
    key: int, listed: tuple[Stock, ...], turnover: Floats, lean: Floats, hours: Hours
) -> tuple[Bars, list[tuple[int, int]]]:
    """Return the bars of *listed*, and the surges as (row, first minute).

    turnover: won a stock is expected to trade; lean: how the day leans for it, of mean 0 and variance 1.
    """
    count, minutes = len(listed), (hours.closing_from - hours.open) // 60
    drift, factor, surges = _events(key, listed, turnover, minutes)
    level = 1.0 + np.cumsum(_returns(key, listed, lean, minutes) + drift, axis=1)
    base = np.array([stock.base for stock in listed], dtype=np.int64)
    upper = np.array([stock.upper for stock in listed], dtype=np.int64)
    lower = np.maximum(np.array([stock.lower for stock in listed], dtype=np.int64), 1)
    gap = 1.0 + 0.007 * normals(key_of(key, "gap"), count) + 0.004 * lean + _opening_jumps(key, listed)
    etp = np.array([stock.etp for stock in listed])
    path = _on_grid(np.maximum(base[:, None] * level * gap[:, None], 1.0), lower, upper, etp)
    first = _on_grid(np.maximum(base * gap, 1.0)[:, None], lower, upper, etp)[:, 0]
    volume = _volumes(key, turnover, base, factor, path, upper)
    volume[np.array([stock.halted for stock in listed])] = 0
    bars = _bars(key, path, first, volume, lower, upper, etp)
    _gather(bars, np.flatnonzero(np.array([stock.single_price for stock in listed])), minutes)
    return bars, surges


def _opening_jumps(key: int, listed: tuple[Stock, ...]) -> Floats:
    """Return what a few stocks open above (or below) the others: enough to interrupt their opening auction."""
    count = len(listed)
    jumps = below(key_of(key, "opening jump"), count, 1_000) < OPENING_JUMPS_PER_1000
    jumps &= np.array([stock.kind == "common" and not stock.liquidation for stock in listed])
    size = 0.105 + 0.1 * uniforms(key_of(key, "opening jump by"), count)
    down = below(key_of(key, "opening jump down"), count, 4) == 0
    result: Floats = np.where(jumps, np.where(down, -size, size), 0.0)
    return result


def _returns(key: int, listed: tuple[Stock, ...], lean: Floats, continuous: int) -> Floats:
    """Return each stock's minute returns: market, sector and own noise, and a modest lean over the day."""
    count = len(listed)
    minutes = np.arange(continuous, dtype=np.float64)
    edge = 1.0 + 1.6 / (1.0 + minutes / 12.0) + 0.4 / (1.0 + (continuous - minutes) / 15.0)
    common = normals(key_of(key, "market"), continuous) * 0.00025
    names = sorted({stock.sector for stock in listed})
    sector_of = np.array([names.index(stock.sector) for stock in listed], dtype=np.int64)
    sector = normals(key_of(key, "sector"), len(names) * continuous).reshape(len(names), continuous) * 0.0003
    calm = np.array([0.25 if stock.kind in {"etf", "spac", "reit"} else 1.0 for stock in listed])
    spread = (0.0005 + 0.0014 * uniforms(key_of(key, "sigma"), count)) * calm
    own = normals(key_of(key, "own"), count * continuous).reshape(count, continuous)
    beta = 0.5 + uniforms(key_of(key, "beta"), count)
    noise = own * spread[:, None] + beta[:, None] * common + calm[:, None] * sector[sector_of]
    result: Floats = noise * edge + (0.006 * lean * calm / continuous)[:, None]
    return result


def _events(
    key: int, listed: tuple[Stock, ...], turnover: Floats, minutes: int
) -> tuple[Floats, Floats, list[tuple[int, int]]]:
    """Return extra returns and volume factors of the day's events, and the surges as (row, first minute)."""
    stream = Stream(key_of(key, "events"))
    count = len(listed)
    movers = [row for row, stock in enumerate(listed) if stock.kind in {"common", "preferred"} and turnover[row] < 2e11]

    def busier(draws: int) -> int:
        # What runs is mostly what many trade: of some stocks drawn, the one with most turnover.
        return max((stream.pick(movers) for _ in range(draws)), key=lambda row: (turnover[row], row))

    drift = np.zeros((count, minutes), dtype=np.float64)
    factor = np.ones((count, minutes), dtype=np.float64)
    surges: list[tuple[int, int]] = []
    for _ in range(max(1, count * SURGES_PER_1000 // 1_000)):
        row, draw = busier(2), stream.below(6)
        start = stream.below(minutes - 40)
        start = 0 if draw < 2 else min(start, stream.below(minutes - 40)) if draw < 4 else start
        rise = 0.05 + 0.17 * stream.uniform()
        _surge(stream, drift[row], factor[row], start, rise, 0.15 + 0.95 * stream.uniform())
        surges.append((row, start))
    for _ in range(int(count * LIMIT_UPS_PER_1000 / 1_000)):
        row, start, length = busier(3), stream.below(minutes - 50), stream.between(5, 45)
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
    count, continuous = path.shape
    minutes = np.arange(continuous, dtype=np.float64)
    shape = 0.55 + 3.2 / (1.0 + minutes / 9.0) + 1.1 / (1.0 + (continuous - minutes) / 14.0)
    shape /= shape.sum()
    draw = uniforms(key_of(key, "volume"), count * continuous).reshape(count, continuous)
    noise = 0.15 + draw * draw * 2.55
    expected = (turnover / base)[:, None] * shape * factor * noise
    locked = path >= upper[:, None]
    volume: Ints = np.where(locked, expected * 0.15, expected).astype(np.int64)
    return volume


def _bars(key: int, path: Ints, first: Ints, volume: Ints, lower: Ints, upper: Ints, etp: Flags) -> Bars:
    """Return minute bars whose closes follow the path; opens lie near the close before."""
    count, minutes = path.shape
    bars = Bars.empty(count, minutes + CALL_MINUTES + 1)
    before = np.concatenate([first[:, None], path[:, :-1]], axis=1)
    reach = below(key_of(key, "reach"), count * minutes * 2, 3).reshape(2, count, minutes)
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
        getattr(bars, name)[:, :minutes] = np.where(volume > 0, column, 0)
    bars.volume[:, :minutes] = volume
    bars.auction[:, 0] = opening
    _closing_auction(key, bars, path, volume, (lower, upper), etp)
    return bars


def _snap(prices: Ints, etp: Flags, least: Ints) -> Ints:
    """Floor to the grid, never below *least*."""
    ticks = np.where(etp[:, None], tick_sizes(prices, etp=True), tick_sizes(prices))
    return np.maximum(prices // ticks * ticks, least)


def _closing_auction(key: int, bars: Bars, path: Ints, volume: Ints, limits: tuple[Ints, Ints], etp: Flags) -> None:
    """Put the single closing price: within a tick of the last, with a few percent of the day's volume.

    A few stocks are pushed two to six percent at the close, which interrupts their closing auction.
    """
    count = len(path)
    lower, upper = limits
    steps = below(key_of(key, "closing"), count, 3) - 1
    share = 2 + below(key_of(key, "closing volume"), count, 6)
    total = volume.sum(axis=1)
    last = path[:, -1]
    steps = np.where(last >= upper, 0, steps)  # what is locked stays locked
    up = np.array([step_price(int(p), int(s), etp=bool(e)) for p, s, e in zip(last, steps, etp, strict=True)])
    high, low = path.max(axis=1), path.min(axis=1)
    price = np.clip(up, low, high)
    pushed = (
        (below(key_of(key, "closing push"), count, 1_000) < PUSHED_CLOSES_PER_1000) & (last < upper) & (last > lower)
    )
    push = (200 + below(key_of(key, "closing push by"), count, 400)) * np.where(steps < 0, -1, 1)
    to = (last + last * push // 10_000).astype(np.float64)[:, None]
    price = np.where(pushed, _on_grid(to, lower, upper, etp)[:, 0], price)
    qty = total * share // 100
    for name in ("open", "high", "low", "close"):
        getattr(bars, name)[:, -1] = np.where(qty > 0, price, 0)
    bars.volume[:, -1] = qty
    bars.auction[:, -1] = qty > 0


def _gather(bars: Bars, rows: Ints, minutes: int) -> None:
    """Let *rows* trade by 30-minute call auctions: what they would have traded until then, at the price of then."""
    for row in rows.tolist():
        traded, closes = bars.volume[row, :minutes].copy(), bars.close[row, :minutes].copy()
        opening, closing = int(bars.open[row, 0]), int(bars.volume[row, -1])
        for column in (bars.open, bars.high, bars.low, bars.close, bars.volume, bars.auction):
            column[row, :minutes] = 0
        done = 0
        for slot in range(0, minutes, HALF_HOUR):
            until = max(slot, 1)
            shares = int(traded[done:until].sum())
            if shares:
                price = int(closes[done:until][closes[done:until] > 0][-1]) if slot else opening
                for column in (bars.open, bars.high, bars.low, bars.close):
                    column[row, slot] = price
                bars.volume[row, slot], bars.auction[row, slot] = shares, True
            done = until
        if closing:
            bars.volume[row, -1] = closing + int(traded[done:].sum())
