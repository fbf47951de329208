"""Quotes, book, expected prices and program trading, derived from the prints and the seed.

The quote follows the tape: after a buyer-initiated print its price is the ask, after a seller-initiated
one the bid; thin stocks show a wider spread. Sizes belong to price levels and change every twenty seconds.
"""

from __future__ import annotations

from functools import cache
from itertools import accumulate
from typing import NamedTuple

from .grid import floor_price, step_price, tick_size
from .mixing import key_of, mix
from .model import AUCTION, BUYER, NO_MIDPOINT, Book, Indicative, Level, Midpoint, Program, Quote, Stock
from .tape import Tape

LEVELS = 10
DAY_MINUTES = 390
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


def quote(static: Static, tape: Tape, second: int, awaited: Indicative) -> Quote:
    """Best bid and ask at the end of *second*; around the expected price while a match is *awaited*."""
    stock = static.stock
    etp = stock.etp
    last = _last_before(tape, second)
    if awaited.price:
        bid = floor_price(awaited.price, etp=etp)
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


def book(static: Static, best: Quote, second: int) -> Book:
    """Ten levels each way; the first ones are the quote *best*."""
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


def midpoint(static: Static, best: Quote, second: int) -> Midpoint:
    """The midpoint of *best* and what rests there: mostly nothing, else one side's orders (kis-protocol 3.2 [59-61])."""
    if not best.bid or not best.ask:
        return NO_MIDPOINT
    price = (best.bid + best.ask) // 2
    word = mix(static.key ^ 0x31D ^ (price << 20) ^ (second // 30))
    if word & 3:
        return Midpoint(price, 0, 0)
    return Midpoint(price, 1 + static.size * (1 + (word >> 8) % 7) // 12, 1 + (word >> 2 & 1))


def prev_volume_at(stock: Stock, seed: int, hours: tuple[int, int], second: int) -> int:
    """Shares traded by *second* of the previous day, whose session *hours* were: U-shaped, a little skewed by stock."""
    done = min(max(second - hours[0], 0), hours[1] - hours[0])
    if not done:
        return 0
    share = _day_share(done * DAY_MINUTES * 60 // (hours[1] - hours[0]))
    skew = key_of(seed, "yesterday", stock.code) % 401 - 200  # per mille of what is neither nothing nor all
    share += share * (1_000_000 - share) // 1_000_000 * skew // 1_000
    return stock.prev_volume * share // 1_000_000


def _day_share(second: int) -> int:
    """Parts per million of a usual day's volume traded *second* seconds after a usual open; the close adds 4 %."""
    minutes = DAY_MINUTES - 10
    if second >= DAY_MINUTES * 60:
        return 1_000_000
    minute, rest = divmod(min(second, minutes * 60), 60)
    profile = _profile(minutes)
    here = profile[minute]
    return here + (profile[min(minute + 1, minutes)] - here) * rest // 60


@cache
def _profile(minutes: int) -> tuple[int, ...]:
    """Cumulative parts per million after each minute of continuous trading, 960,000 at its end."""
    weights = [550 + 32_000 // (10 + at) * 9 // 10 + 1_100 * 14 // (14 + minutes - at) for at in range(minutes)]
    whole = sum(weights)
    return tuple(part * 960_000 // whole for part in accumulate(weights, initial=0))


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
