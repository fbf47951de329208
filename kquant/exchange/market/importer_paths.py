"""Draw a day of minute bars for a stock known only by its official daily row.

The bars hit the row's open, high, low, close and volume exactly. In between, the price wanders on the tick grid inside
high and low, volume is U-shaped, and a stock that closes at its limit stays there once it has touched it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .bars import Bars, points_needed
from .grid import tick_sizes
from .mixing import Flags, Floats, Ints, Stream, key_of, normals, uniforms
from .model import MarketFileError, Stock

QUIET_SLOTS = 11
"""Slots of the closing call auction and of its match: the last ten minutes and the closing slot."""
AUCTION_EVERY = 30
TRADE_VALUE = 1_000_000.0  # won a trade: how many minutes of the day a stock of some turnover trades in


class DailyRow(NamedTuple):
    """An official daily row: won and shares. Volume 0: no trade, the prices mean nothing."""

    open: int
    high: int
    low: int
    close: int
    volume: int


class Path(NamedTuple):
    """The bars of one stock at its traded slots."""

    slot: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints


def draw_into(bars: Bars, row: int, stock: Stock, daily: DailyRow, seed: int) -> None:
    """Put the drawn bars of *stock* into *row*. Raises MarketFileError for a row no trading can produce."""
    if daily.volume == 0:
        return
    path = draw_path(stock, daily, bars.volume.shape[1], key_of(seed, "path", stock.code))
    for name in ("open", "high", "low", "close", "volume"):
        getattr(bars, name)[row, path.slot] = getattr(path, name)
    last = bars.volume.shape[1] - 1
    bars.auction[row, path.slot] = stock.single_price | (path.slot == 0) | (path.slot == last)


def draw_path(stock: Stock, daily: DailyRow, slots: int, key: int) -> Path:
    """Return minute bars that fold to *daily*: first open, highest high, lowest low, last close, total volume."""
    o, h, low, c, volume = daily
    if not 0 < low <= min(o, c) <= max(o, c) <= h or volume < 0:
        raise MarketFileError(
            f"daily row of {stock.code}: open {o} high {h} low {low} close {c} volume {volume} fit no day"
        )
    trades = volume * (h + low) / 2 / TRADE_VALUE
    count = int((slots - QUIET_SLOTS) * (1.0 - 1.0 / (1.0 + trades / 400.0))) + 1
    while count >= 6:
        path = _spread(stock, daily, slots, count, key)
        if path is not None:
            return path
        count //= 2
    return _single_bar(stock, daily, slots, key)


def _single_bar(stock: Stock, daily: DailyRow, slots: int, key: int) -> Path:
    column = [np.array([value], dtype=np.int64) for value in daily]
    if int(points_needed(*column[:4])[0][0]) > daily.volume:
        raise MarketFileError(f"daily row of {stock.code}: {daily.volume} shares cannot show its four prices")
    slot = np.array([Stream(key_of(key, "slot")).below(slots - QUIET_SLOTS)], dtype=np.int64)
    return Path(slot, *column)


def _spread(stock: Stock, daily: DailyRow, slots: int, count: int, key: int) -> Path | None:
    """Bars at *count* minutes and the closing match; None when the volume cannot show so many prices."""
    chosen = _slots(stock, slots, count, key)
    last = len(chosen) - 1
    close, touched = _closes(stock, daily, last, key)
    before = np.concatenate([np.array([daily.open], dtype=np.int64), close[:-1]])
    # A single-price match has one price: the closing one always, every one of a stock traded by call auctions only.
    flat = np.zeros(last + 1, dtype=np.bool_)
    flat[last] = True
    if stock.single_price:
        flat[:] = True
    opens = np.where(flat, close, before)
    high, low = np.maximum(opens, close), np.minimum(opens, close)
    ticks = tick_sizes(close, etp=stock.etp)
    reach = uniforms(key_of(key, "reach"), 2 * (last + 1)).reshape(2, last + 1)
    free = ~flat & ~touched
    high = np.where(free & (reach[0] < 0.4), np.minimum((high + ticks) // ticks * ticks, daily.high), high)
    low = np.where(free & (reach[1] < 0.4), np.maximum((low - ticks) // ticks * ticks, daily.low), low)
    high, low = np.maximum(high, np.maximum(opens, close)), np.minimum(low, np.minimum(opens, close))
    needed = points_needed(opens, high, low, close)[0]
    volume = _volumes(daily.volume, needed, chosen, slots, key)
    return None if volume is None else Path(chosen, opens, high, low, close, volume)


def _slots(stock: Stock, slots: int, count: int, key: int) -> Ints:
    """Return the minutes with trades, ascending: the first, the closing match, and busier ones rather."""
    minutes = slots - QUIET_SLOTS
    if stock.single_price:
        return np.array([*range(0, minutes, AUCTION_EVERY), slots - 1], dtype=np.int64)
    at = np.arange(minutes, dtype=np.float64)
    busy = 0.5 + 1.5 / (1.0 + at / 20.0) + 0.6 / (1.0 + (minutes - at) / 20.0)
    lot = uniforms(key_of(key, "minutes"), minutes) / busy
    lot[0] = -1.0
    taken = np.sort(np.argsort(lot, kind="stable")[:count])
    return np.append(taken, slots - 1).astype(np.int64)


def _closes(stock: Stock, daily: DailyRow, last: int, key: int) -> tuple[Ints, Flags]:
    """Return the price at each traded minute's end, and from where on it is locked at a limit."""
    o, h, low, c, _ = daily
    stream = Stream(key_of(key, "anchors"))
    early, late = sorted((stream.between(1, last - 1), stream.between(1, last - 1)))
    early, late = (early, late) if early < late else ((early - 1, late) if early > 1 else (early, late + 1))
    if stream.below(2) and not stock.single_price:
        early = stream.between(0, early)  # the first extreme is often made soon after the open
    if o == h:
        high_first = True
    elif o == low:
        high_first = False
    else:
        high_first = bool(stream.below(2)) if c not in {h, low} else c == low
    extremes = (h, low) if high_first else (low, h)
    anchors = [(0, o), (early, extremes[0]), (late, extremes[1]), (last, c)]
    at = np.array([place for place, _ in anchors], dtype=np.float64)
    level = np.array([price for _, price in anchors], dtype=np.float64)
    index = np.arange(last + 1, dtype=np.float64)
    straight = np.interp(index, at[1:] if early == 0 else at, level[1:] if early == 0 else level)
    wander = _bridge(last + 1, [place for place, _ in anchors], key) * max((h - low) * 0.12, 0.002 * h)
    price = (straight + wander).astype(np.int64)
    ticks = tick_sizes(price, etp=stock.etp)
    price = np.clip(price // ticks * ticks, low, h)
    touched = np.zeros(last + 1, dtype=np.bool_)
    if (c == h and c >= stock.upper) or (c == low and c <= stock.lower):
        touched[late:] = extremes[1] == c
        price = np.where(touched, c, price)
    if stock.single_price:
        price[0] = o
    price[early], price[late], price[last] = extremes[0], extremes[1], c
    return price.astype(np.int64), touched


def _bridge(count: int, anchors: list[int], key: int) -> Floats:
    """Return noise of about unit size that is zero at every anchor."""
    walk = np.cumsum(normals(key_of(key, "walk"), count)) / max(1.0, (count / 4.0)) ** 0.5
    places = sorted(set(anchors))
    index = np.arange(count, dtype=np.float64)
    result: Floats = walk - np.interp(index, np.array(places, dtype=np.float64), walk[places])
    return result


def _volumes(total: int, needed: Ints, chosen: Ints, slots: int, key: int) -> Ints | None:
    """Return shares a bar that add to *total*, each bar with at least what its prices need."""
    spare = total - int(needed.sum())
    if spare < 0:
        return None
    minutes = slots - QUIET_SLOTS
    at = np.minimum(chosen, minutes).astype(np.float64)
    shape = 0.5 + 3.0 / (1.0 + at / 10.0) + 1.0 / (1.0 + (minutes - at) / 15.0)
    draw = uniforms(key_of(key, "shares"), len(chosen))
    weight = ((shape * (0.15 + 2.5 * draw * draw)) * 1024.0).astype(np.int64) + 1
    weight[-1] = max(1, int(weight.sum()) // 25)  # the closing match has a few percent of the day
    running = np.cumsum(weight)
    whole = int(running[-1])
    upto = np.array([spare * part // whole for part in running.tolist()], dtype=np.int64)
    share: Ints = np.diff(upto, prepend=0)
    return needed + share
