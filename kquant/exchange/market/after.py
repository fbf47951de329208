"""What trades after the close of a generated day: a little at the closing price, then thinly in the after-market.

Source: kis-protocol 5.1: 15:40-16:00 at the closing price, 16:00-20:00 (from 2026-09-14) continuous, a book of its own,
limits of 30 % around the regular close, no ETF or ETN. How much trades there is an assumption: a few per mille of the
day's volume at the closing price, one to four percent in the after-market, most of it early.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from .grid import daily_limits, tick_size, tick_sizes
from .mixing import Ints, Stream, below, key_of, normals, uniforms
from .model import AUCTION, BUYER, SELLER, DayStats, Stock
from .sessions import Hours, trades_after_hours
from .tape import Tape

AFTER_PRINTS_MAX = 400
POST_CLOSE_PRINTS_MAX = 30
_WON_PER_PRINT = 3_000_000
_NONE = np.zeros(0, dtype=np.int64)
NO_TAPE = Tape(_NONE, _NONE, _NONE, _NONE)


class AfterHours(NamedTuple):
    """The prints after one stock's close, and the stock as the after-market takes it: base and limits of the close."""

    post_close: Tape
    after: Tape
    stock: Stock | None


NO_AFTER_HOURS = AfterHours(NO_TAPE, NO_TAPE, None)
"""Of a stock that did not trade, or of a day of which nothing is known after the close."""


def draw_after_hours(stock: Stock, day: DayStats, hours: Hours, seed: int) -> AfterHours:
    """Draw what trades after the close of *day*, the totals of the session in which the stock traded."""
    upper, lower = daily_limits(day.last)
    later = msgspec.structs.replace(stock, base=day.last, upper=upper, lower=lower)
    stream = Stream(key_of(seed, "after hours", stock.code))
    post_close = _post_close(stream, day, hours)
    takes = bool(hours.after_from) and trades_after_hours(stock)
    return AfterHours(post_close, _after_market(stream, later, day, hours) if takes else NO_TAPE, later)


def _post_close(stream: Stream, day: DayStats, hours: Hours) -> Tape:
    """Trades at the closing price, most of them at once."""
    volume = day.volume * stream.between(0, 6) // 1_000
    count = min(volume, POST_CLOSE_PRINTS_MAX, 1 + volume * day.last // _WON_PER_PRINT)
    if not count:
        return NO_TAPE
    key = stream.word()
    second = _seconds(key, count, hours.post_close_from, hours.post_close_until)
    price = np.full(count, day.last, dtype=np.int64)
    return Tape(second, price, _quantities(key, count, volume), np.full(count, AUCTION, dtype=np.int64))


def _after_market(stream: Stream, stock: Stock, day: DayStats, hours: Hours) -> Tape:
    """A thin walk around the close; now and then news moves it further."""
    volume = day.volume * stream.between(10, 40) // 1_000
    count = min(volume, AFTER_PRINTS_MAX, volume * day.last // _WON_PER_PRINT + stream.below(3))
    moved = stream.between(-1_200, 1_200) if stream.below(25) == 0 else 0
    if not count:
        return NO_TAPE
    key = stream.word()
    second = _seconds(key, count, hours.after_from, hours.after_until)
    steps = np.cumsum(below(key_of(key, "steps"), count, 3) - 1)
    pull = np.minimum(np.arange(count, dtype=np.int64) * 4, count) * moved // max(count, 1)
    price = stock.base + steps * tick_size(stock.base) + stock.base * pull // 10_000
    price = np.clip(
        price // tick_sizes(np.maximum(price, 1)) * tick_sizes(np.maximum(price, 1)), stock.lower, stock.upper
    )
    side = np.where(below(key_of(key, "side"), count, 2) == 0, BUYER, SELLER)
    side = np.where(price >= stock.upper, SELLER, np.where(price <= stock.lower, BUYER, side)).astype(np.int64)
    return Tape(second, price.astype(np.int64), _quantities(key, count, volume), side)


def _seconds(key: int, count: int, start: int, end: int) -> Ints:
    """Seconds in [start, end), in order, dense at first."""
    share = uniforms(key_of(key, "seconds"), count)
    return np.sort(start + (share * share * (end - start)).astype(np.int64))


def _quantities(key: int, count: int, volume: int) -> Ints:
    """Whole shares, each at least 1, adding to *volume*."""
    weight = 1 + (100 * np.abs(normals(key_of(key, "quantities"), count))).astype(np.int64)
    upto = np.cumsum(weight)
    shares = [(volume - count) * part // int(upto[-1]) for part in upto.tolist()]
    result: Ints = 1 + np.array(shares, dtype=np.int64) - np.array([0, *shares[:-1]], dtype=np.int64)
    return result
