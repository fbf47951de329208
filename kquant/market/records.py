"""Market data as the fold takes it, after the wire's names are gone. Filled by `gateways.kis.feed.wire`."""

from __future__ import annotations

from msgspec import Struct

from kquant.values import BasisPoints, Krw, Shares, Symbol


class Trade(Struct, frozen=True, gc=False):
    """One print on the tape, anyone's.

    time: HHMMSS KST.   last_qty: shares of this print.   side: 1 buyer-initiated, 5 seller-initiated, 3 auction.
    bid, ask: best quote with the print, 0 when none.   volume, value: the day so far (shares, won).
    session: KIS session code ("20" in the regular session).   phase: time class ("0" in session, "C" during VI …).
    segment: "1" pre-market, "2" regular, "3" after-market, "5" close; "" in frames from before 2026-09-14.
    """

    code: Symbol
    time: str
    last_price: Krw
    last_qty: Shares
    side: int
    bid: Krw
    ask: Krw
    open: Krw
    high: Krw
    low: Krw
    volume: Shares
    value: Krw
    change_bp: BasisPoints
    session: str
    phase: str
    halted: bool
    segment: str = ""


class Book(Struct, frozen=True, gc=False):
    """The order book's top and totals. time: HHMMSS KST. Sizes are shares over all published levels for the totals."""

    code: Symbol
    time: str
    bid: Krw
    ask: Krw
    bid_qty: Shares
    ask_qty: Shares
    total_bid_qty: Shares
    total_ask_qty: Shares
    phase: str


class ProgramTrade(Struct, frozen=True, gc=False):
    """Program trading of one stock, cumulative over the day (shares). net: bought minus sold."""

    code: Symbol
    time: str
    sold: Shares
    bought: Shares
    net: Shares


class RestPrice(Struct, frozen=True, gc=False):
    """A price asked over REST while a holding is polled."""

    code: Symbol
    last_price: Krw
    open: Krw
    high: Krw
    low: Krw
    volume: Shares
    value: Krw
    change_bp: BasisPoints


class MarketStatus(Struct, frozen=True, gc=False):
    """A stock's trading status; sent only when something happens to it. See events.market.MarketStatusChanged.

    code: "" in the layout that names no stock.   operation, expected: KIS market operation codes, "" when none.
    """

    code: Symbol
    halted: bool
    halt_reason: str
    operation: str
    expected: str
    extension: str
    stock_status: str
    vi: bool
    overtime_vi: bool
    venue: str


Record = Trade | Book | ProgramTrade | MarketStatus | RestPrice
