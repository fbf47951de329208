"""Quotes, book, expected prices and program trading, derived from the prints and the seed.

The quote follows the tape: after a buyer-initiated print its price is the ask, after a seller-initiated
one the bid; thin stocks show a wider spread. Sizes belong to price levels and change every twenty seconds.
"""

from __future__ import annotations

from typing import NamedTuple

from .grid import floor_price, step_price, tick_size
from .mixing import key_of, mix
from .model import AUCTION, BUYER, Book, Indicative, Level, Program, Quote, Stock
from .tape import Tape

LEVELS = 10
OPENING_CALL_SECONDS = 1800
CLOSING_CALL_SECONDS = 600
_LOCKED_FACTOR = 40
NO_QUOTE = Quote(0, 0, 0, 0)
NO_BOOK = Book((Level(0, 0),) * LEVELS, (Level(0, 0),) * LEVELS, 0, 0)


class Static(NamedTuple):
    """What a stock's quotes need and does not change over the day."""

    stock: Stock
    key: int
    spread: int  # ticks
    size: int  # shares, the usual size of a level
    program_per_mille: int


def static_of(stock: Stock, tape: Tape, seed: int) -> Static:
    """Spread, level size and program share of *stock*, from how often and how much it trades."""
    key = key_of(seed, "quotes", stock.code)
    count = len(tape)
    spread = 1 if count > 1500 else 2 if count > 300 else 3 if count > 60 else 4
    size = tape.average_qty() * 3 if count else max(1, 2_000_000 // stock.base)
    share = 0
    if stock.kospi200:
        share = 120 + key % 200
    elif stock.kind in ("common", "etf") and count > 1500:
        share = 20 + key % 80
    return Static(stock, key, spread, size, share)


def _last_before(tape: Tape, second: int) -> tuple[int, int] | None:
    row = tape.row_at(second)
    return None if row < 0 else tape.last(row)


def quote(hours: tuple[int, int], static: Static, tape: Tape, second: int) -> Quote:
    """Best bid and ask at the end of *second*."""
    stock = static.stock
    if stock.halted or second < hours[0] - OPENING_CALL_SECONDS:
        return NO_QUOTE
    etp = stock.etp
    expected = indicative(hours, static, tape, second)
    last = _last_before(tape, second)
    if expected.price:
        bid = floor_price(expected.price, etp=etp)
        ask = step_price(bid, 1, etp=etp)
    elif last is None:
        bid = step_price(stock.base, -static.spread, etp=etp)
        ask = step_price(stock.base, static.spread, etp=etp)
    else:
        bid, ask = _around(static, *last)
    return _sized(static, bid, ask, second)


def _around(static: Static, price: int, side: int) -> tuple[int, int]:
    """Bid and ask after a print: a buyer paid the ask, a seller hit the bid."""
    etp = static.stock.etp
    below = floor_price(price, etp=etp)
    if below != price:  # a midpoint print lies inside the spread
        return below, step_price(below, 1, etp=etp)
    lifted = side == BUYER or (side == AUCTION and mix(static.key ^ price) & 1 == 1)
    if lifted and price < static.stock.upper:
        return step_price(price, -static.spread, etp=etp), price
    return price, step_price(price, static.spread, etp=etp)


def _sized(static: Static, bid: int, ask: int, second: int) -> Quote:
    stock = static.stock
    if bid < max(stock.lower, 1):
        bid = 0
    if ask > stock.upper:
        ask = 0
    bid_qty = _level_qty(static, bid, second) if bid else 0
    ask_qty = _level_qty(static, ask, second) if ask else 0
    # Locked at a limit: everyone waits on one side.
    if not ask:
        bid_qty *= _LOCKED_FACTOR
    if not bid:
        ask_qty *= _LOCKED_FACTOR
    return Quote(bid, ask, bid_qty, ask_qty)


def _level_qty(static: Static, price: int, second: int) -> int:
    """Shares resting at *price*: of a usual size, changing now and then."""
    word = mix(static.key ^ (price << 20) ^ (second // 20))
    return max(1, static.size * (2 + (word & 15)) // 6 + (word >> 8) % 97)


def book(hours: tuple[int, int], static: Static, tape: Tape, second: int) -> Book:
    """Ten levels each way; the first ones are the quote."""
    best = quote(hours, static, tape, second)
    if best == NO_QUOTE:
        return NO_BOOK
    stock = static.stock
    floor = max(stock.lower, 1)
    asks = _levels(static, best.ask, best.ask_qty, 1, floor, stock.upper, second)
    bids = _levels(static, best.bid, best.bid_qty, -1, floor, stock.upper, second)
    return Book(asks, bids, sum(x.qty for x in asks), sum(x.qty for x in bids))


def _levels(
    static: Static, price: int, qty: int, step: int, lowest: int, highest: int, second: int
) -> tuple[Level, ...]:
    etp = static.stock.etp
    levels = [Level(price, qty)]
    while len(levels) < LEVELS:
        if price:
            price += tick_size(price, etp=etp) if step > 0 else -tick_size(price - 1, etp=etp)
        if not price or not lowest <= price <= highest:
            price = 0
        levels.append(Level(price, _level_qty(static, price, second) if price else 0))
    return tuple(levels)


def indicative(hours: tuple[int, int], static: Static, tape: Tape, second: int) -> Indicative:
    """Expected price and quantity of the coming auction; it closes in on the match as time goes."""
    open_second, close_second = hours
    if not len(tape) or static.stock.halted:
        return Indicative(0, 0)
    opening, price, qty = tape.first()
    if open_second - OPENING_CALL_SECONDS <= second < open_second + 60:
        if not tape.auction_open or second >= opening or opening >= open_second + 60:
            return Indicative(0, 0)
        start, end, begin = open_second - OPENING_CALL_SECONDS, open_second, static.stock.base
    elif close_second - CLOSING_CALL_SECONDS <= second < close_second:
        closing = tape.prints(close_second)
        last = _last_before(tape, second)
        if not closing or last is None:
            return Indicative(0, 0)
        price, qty = closing[-1].price, sum(p.qty for p in closing)
        start, end, begin = close_second - CLOSING_CALL_SECONDS, close_second, last[0]
    else:
        return Indicative(0, 0)
    return _approach(static, (start, end), begin, (price, qty), second)


def _approach(static: Static, span: tuple[int, int], begin: int, match: tuple[int, int], second: int) -> Indicative:
    stock, (start, end), (price, qty) = static.stock, span, match
    done, length = min(second, end) - start, end - start
    noise = mix(static.key ^ 0xA0C7 ^ (second // 5)) % 41 - 20  # twentieths of 1 % at the start
    expected = begin + (price - begin) * done // length + price * noise * (length - done) // (2000 * length)
    expected = min(max(expected, stock.lower, 1), stock.upper)
    expected = max(floor_price(expected, etp=stock.etp), stock.lower) if done < length else price
    gathered = qty * (length + 9 * done) // (10 * length)
    return Indicative(expected, max(1, gathered))


def program(static: Static, tape: Tape, second: int) -> Program:
    """Cumulative program trading: a fixed share of each side's prints, so it never decreases."""
    share = static.program_per_mille
    buy_qty, buy_value, sell_qty, sell_value = tape.sides(second)
    if not share or not buy_qty + sell_qty:
        return Program(0, 0, 0, 0, 0, 0)
    lean = static.key % 61 - 30
    bought, sold = share * (100 + lean) // 100, share * (100 - lean) // 100
    word = mix(static.key ^ (second // 10) ^ 0x9106)
    rest = static.size * share // 500
    return Program(
        sell_qty=sell_qty * sold // 1000,
        sell_value=sell_value * sold // 1000,
        buy_qty=buy_qty * bought // 1000,
        buy_value=buy_value * bought // 1000,
        ask_rest=rest * (1 + (word & 7)),
        bid_rest=rest * (1 + ((word >> 8) & 7)),
    )
