"""Market days the tests share, and how a test folds prints by hand."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable

from kquant.exchange.market import DayStats, MarketDay, Print, generate

DAY = dt.date(2026, 11, 20)
SEED = 20261120
LATEST_CLOSING = 30 + 120 + 30
"""Seconds after the close by which every closing match is done: random end, interruption, its random end."""
COLUMNS = ("open", "high", "low", "close", "volume", "value", "auction")


@functools.cache
def small_day() -> MarketDay:
    """A generated day of 600 stocks."""
    return generate(DAY, SEED, 600)


def all_prints(day: MarketDay, code: str) -> list[Print]:
    """Every print of the stock's regular session, asked second by second as the exchange does."""
    seconds = range(day.open_second - 5, day.close_second + LATEST_CLOSING)
    return [one for second in seconds for one in day.prints(code, second)]


def fold(prints: Iterable[Print]) -> DayStats:
    """The day's totals from the prints, in the plainest way."""
    opened = high = low = last = volume = value = open_at = high_at = low_at = 0
    bought = sold = buys = sells = 0
    for one in prints:
        if not volume:
            opened, open_at, high, low = one.price, one.second, one.price, one.price
            high_at = low_at = one.second
        if one.price > high:
            high, high_at = one.price, one.second
        if one.price < low:
            low, low_at = one.price, one.second
        last = one.price
        volume += one.qty
        value += one.price * one.qty
        bought += one.qty * (one.side == 1)
        sold += one.qty * (one.side == 5)
        buys += one.side == 1
        sells += one.side == 5
    return DayStats(opened, high, low, last, volume, value, open_at, high_at, low_at, bought, sold, buys, sells)
