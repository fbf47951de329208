"""The board: what is last known of every stock. One mutable row a stock, written only by the market fold.

Rows are mutable because thousands of trades a second pass here; they never leave the fold, what leaves is `Quoted`.
"""

from __future__ import annotations

from msgspec import Struct

from kquant.events.market import MarketStatusChanged, Quoted
from kquant.market.bars import Minute
from kquant.market.records import Book, MarketStatus, ProgramTrade, RestPrice, Trade
from kquant.market.triggers import Armed
from kquant.values import BasisPoints, Epoch, Krw, Micros, Shares, Symbol, kst_clock

NO_EPOCH = Epoch(0)
"""Epochs count from 1, so a row of this epoch belongs to no connection."""

UNSEEN = Micros(-1)
"""The instant of what was never seen."""

NO_ERA = -1
"""A last price that nothing keeps up to date: it does not count when a trigger is armed."""


class Line(Struct, kw_only=True, gc=False):
    """One stock's row. Prices and values in won, sizes in shares, instants in UTC microseconds.

    known: the epoch in which its trades were last asked for.   floor: the day's shares of the last trade believed in
    that epoch; a trade with fewer is not.   era: connection era of the last price, NO_ERA once nothing updates it.
    """

    code: Symbol
    minute: Minute
    armed: list[Armed]
    known: Epoch = NO_EPOCH
    floor: int = 0
    era: int = NO_ERA
    source: str | None = None
    last: Krw = Krw(0)
    last_at: Micros = UNSEEN
    time: str = ""
    open: Krw = Krw(0)
    high: Krw = Krw(0)
    low: Krw = Krw(0)
    volume: Shares = Shares(0)
    value: Krw = Krw(0)
    change_bp: BasisPoints = BasisPoints(0)
    bid: Krw = Krw(0)
    ask: Krw = Krw(0)
    quote_at: Micros = UNSEEN
    program_net: Shares = Shares(0)
    program_at: Micros = UNSEEN
    book_bid_qty: Shares = Shares(0)
    book_ask_qty: Shares = Shares(0)
    book_at: Micros = UNSEEN


def new_line(code: Symbol) -> Line:
    """Return the row of a stock of which nothing is known yet."""
    return Line(code=code, minute=Minute(), armed=[])


def take_trade(line: Line, trade: Trade, at: Micros, era: int) -> None:
    """Write a believed trade."""
    line.floor = trade.volume
    line.era = era
    line.source = "feed"
    line.last = trade.last_price
    line.last_at = line.quote_at = at
    line.time = trade.time
    line.open = trade.open
    line.high = trade.high
    line.low = trade.low
    line.volume = trade.volume
    line.value = trade.value
    line.change_bp = trade.change_bp
    line.bid = trade.bid
    line.ask = trade.ask


def take_rest(line: Line, price: RestPrice, at: Micros, era: int) -> None:
    """Write a price asked over REST. It tells no exchange time, so the time is the receipt's."""
    line.era = era
    line.source = "rest"
    line.last = price.last_price
    line.last_at = at
    line.time = kst_clock(at).replace(":", "")
    line.open = price.open
    line.high = price.high
    line.low = price.low
    line.volume = price.volume
    line.value = price.value
    line.change_bp = price.change_bp


def take_book(line: Line, book: Book, at: Micros) -> None:
    """Write the order book's top and totals."""
    line.bid = book.bid
    line.ask = book.ask
    line.quote_at = line.book_at = at
    line.book_bid_qty = book.total_bid_qty
    line.book_ask_qty = book.total_ask_qty


def take_program(line: Line, program: ProgramTrade, at: Micros) -> None:
    """Write the day's program trading."""
    line.program_net = program.net
    line.program_at = at


def changed(status: MarketStatus, place: int) -> MarketStatusChanged:
    """Return the event that tells a stock's new trading status."""
    return MarketStatusChanged(
        code=status.code,
        halted=status.halted,
        halt_reason=status.halt_reason,
        vi=status.vi,
        overtime_vi=status.overtime_vi,
        operation=status.operation,
        expected_operation=status.expected,
        extension=status.extension,
        stock_status=status.stock_status,
        venue=status.venue,
        place=place,
    )


def quoted(code: Symbol, line: Line | None, at: Micros) -> Quoted:
    """Return what the board holds of a stock at an instant. Missing and stale are values: None, and ages in ms."""
    if line is None:
        line = new_line(code)
    traded = line.last_at != UNSEEN
    priced = line.quote_at != UNSEEN
    booked = line.book_at != UNSEEN
    program = line.program_at != UNSEEN
    return Quoted(
        code=code,
        last=line.last if traded else None,
        last_age_ms=_age(line.last_at, at),
        bid=line.bid if priced else None,
        ask=line.ask if priced else None,
        quote_age_ms=_age(line.quote_at, at),
        open=line.open if traded else None,
        high=line.high if traded else None,
        low=line.low if traded else None,
        volume=line.volume if traded else None,
        value=line.value if traded else None,
        change_bp=line.change_bp if traded else None,
        program_net=line.program_net if program else None,
        program_age_ms=_age(line.program_at, at),
        book_bid_qty=line.book_bid_qty if booked else None,
        book_ask_qty=line.book_ask_qty if booked else None,
        book_age_ms=_age(line.book_at, at),
        source=line.source,
    )


def _age(seen: Micros, at: Micros) -> int | None:
    return None if seen == UNSEEN else (at - seen) // 1_000
