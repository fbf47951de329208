"""Minute bars: one mutable minute a stock, filled by trades as they arrive, and how much of it was watched.

A trade belongs to the minute in which it reached the tape: the tape's order is the only order there is.
"""

from __future__ import annotations

from msgspec import Struct

from kquant.events.market import Bar
from kquant.values import MINUTE_US, SECOND_US, Krw, Micros, Shares, Symbol

NOT_WATCHED = Micros(-1)
"""`watched_from` of a stock whose trades are not registered."""


class Minute(Struct, kw_only=True, gc=False):
    """The minute under way. trades: how many, 0 means no bar.

    watched_from: since when the stock's trades are registered.   watched_us: watched time of this minute that ended.
    """

    trades: int = 0
    open: Krw = Krw(0)
    high: Krw = Krw(0)
    low: Krw = Krw(0)
    close: Krw = Krw(0)
    volume: Shares = Shares(0)
    value: Krw = Krw(0)
    watched_from: Micros = NOT_WATCHED
    watched_us: int = 0


def minute_of(at: Micros) -> Micros:
    """Return the start of the minute that *at* falls into. KST is a whole number of minutes from UTC."""
    return Micros(at - at % MINUTE_US)


def add_trade(minute: Minute, price: Krw, qty: Shares) -> None:
    """Count one trade: price in won, qty in shares."""
    if minute.trades == 0:
        minute.open = minute.high = minute.low = price
    elif price > minute.high:
        minute.high = price
    elif price < minute.low:
        minute.low = price
    minute.close = price
    minute.trades += 1
    minute.volume = Shares(minute.volume + qty)
    minute.value = Krw(minute.value + price * qty)


def watch(minute: Minute, at: Micros) -> None:
    """The stock's trades are registered from *at* on; told twice, the first holds."""
    if minute.watched_from == NOT_WATCHED:
        minute.watched_from = at


def unwatch(minute: Minute, at: Micros, start: Micros) -> None:
    """They no longer are. start: of the minute under way."""
    if minute.watched_from != NOT_WATCHED:
        minute.watched_us += max(0, at - max(minute.watched_from, start))
        minute.watched_from = NOT_WATCHED


def close_bar(minute: Minute, code: Symbol, start: Micros, day_high: Krw, trailing_high: Krw | None) -> Bar:
    """Return the bar of the minute from *start*. The minute needs at least one trade."""
    watched = minute.watched_us
    if minute.watched_from != NOT_WATCHED:
        watched += max(0, start + MINUTE_US - max(minute.watched_from, start))
    return Bar(
        code=code,
        open=minute.open,
        high=minute.high,
        low=minute.low,
        close=minute.close,
        volume=minute.volume,
        value=minute.value,
        covered_seconds=min(60, watched // SECOND_US),
        day_high=day_high,
        trailing_high=trailing_high,
    )


def next_minute(minute: Minute) -> None:
    """Start the next minute; whether the stock is watched goes on."""
    minute.trades = 0
    minute.volume = Shares(0)
    minute.value = Krw(0)
    minute.watched_us = 0
