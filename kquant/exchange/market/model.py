"""Values of a market day. Money is int won, quantities int shares, times seconds of the day in KST."""

from __future__ import annotations

import datetime as dt
from typing import Literal, NamedTuple

from msgspec import Struct

MarketName = Literal["KOSPI", "KOSDAQ"]
Kind = Literal["common", "preferred", "etf", "etn", "spac", "reit"]

BUYER, SELLER, AUCTION = 1, 5, 3


class MarketFileError(ValueError):
    """A market-day file or an import source cannot be used; the one-line message names file and fault."""


Phase = Literal["closed", "opening", "continuous", "vi", "closing", "post_close", "after", "halted"]
ViKind = Literal["", "static", "dynamic"]


class Status(NamedTuple):
    """What state a stock's trading is in during one second, and its static VI reference price (won).

    opening, closing: a call auction, up to the second in which it matches; that second already has the phase after it
    (its prints are the match, and what continuous trading follows). vi: orders rest for one match at the end of a
    volatility interruption of kind `vi`, or, with `vi` empty, between the matches of a stock traded by 30-minute call
    auctions only. post_close: trading at the closing price. after: KRX's after-market (kis-protocol 5.1).
    halted: no trading though the market is open.
    """

    phase: Phase
    vi: ViKind
    reference: int


class Interruption(NamedTuple):
    """A volatility interruption or a halt of one stock: KST seconds [start, end), won, basis points.

    trigger: the price that would have printed; reference: what it was measured against (the last price for a dynamic
    one, the static reference for a static one); deviation_bp: how far it is from that, signed. result: the price of
    the match at the end, 0 where there was none. A halt has no prices but a `reason`. `end` is where the stock's
    status changes; an interruption that reaches the closing call ends with its beginning and is continued by it.
    """

    kind: Literal["static", "dynamic", "halt"]
    start: int
    end: int
    trigger: int
    reference: int
    deviation_bp: int
    result: int
    reason: str


class Segment(NamedTuple):
    """Which market a second belongs to: MARKET_CLS_CODE and NEW_MKOP_CLS_CODE of kis-protocol 3.1.

    market_code: 2 regular, 3 after-market, 5 trading at the closing price. session_code: 10 before the open, 20 in
    session, 30 after the close, 31 closing-price trade. (A stock in liquidation trading has 7 as second digit.)
    """

    name: Literal["regular", "close", "after"]
    market_code: str
    session_code: str


class Midpoint(NamedTuple):
    """The midpoint book: its price (won, whole), the shares resting there, their side (0 none, 1 ask, 2 bid)."""

    price: int
    qty: int
    side: int


NO_MIDPOINT = Midpoint(0, 0, 0)


class Stock(Struct, frozen=True, kw_only=True):
    """One listed symbol as the day opens.

    Prices in won; `lower` is 0 and `upper` very large where no limit applies (liquidation trading).
    `drawn`: the intraday path is drawn to fit a daily row. `single_price`: call auctions every 30 minutes.
    """

    code: str
    name: str
    market: MarketName
    kind: Kind
    base: int
    upper: int
    lower: int
    halted: bool
    administrative: bool
    liquidation: bool
    warning: int
    overheated: bool
    prev_close: int
    prev_volume: int
    listed_shares: int
    sector: str
    kospi200: bool
    drawn: bool
    single_price: bool

    @property
    def etp(self) -> bool:
        """Whether the ETF/ETN price grid applies."""
        return self.kind in ("etf", "etn")


class Print(Struct, frozen=True, gc=False):
    """A trade: second of day (09:00:00 is 32400), won, shares, side 1 buyer, 5 seller, 3 auction."""

    second: int
    price: int
    qty: int
    side: int


class Quote(NamedTuple):
    """Best prices (won) and sizes (shares); 0 where there is none."""

    bid: int
    ask: int
    bid_qty: int
    ask_qty: int


class Level(NamedTuple):
    """One price (won) and size (shares) of the book; (0, 0) beyond the limits."""

    price: int
    qty: int


class Book(NamedTuple):
    """Ten levels each way, best first, and the sums of the sizes shown."""

    asks: tuple[Level, ...]
    bids: tuple[Level, ...]
    ask_qty_total: int
    bid_qty_total: int


class DayStats(NamedTuple):
    """The day so far: won, shares, seconds of day; all 0 before the first print.

    Auction prints count in volume and value, in neither side's volume or count.
    """

    open: int
    high: int
    low: int
    last: int
    volume: int
    value: int
    open_second: int
    high_second: int
    low_second: int
    buy_volume: int
    sell_volume: int
    buy_count: int
    sell_count: int


class Indicative(NamedTuple):
    """Expected auction price (won) and quantity (shares); (0, 0) outside the call auctions."""

    price: int
    qty: int


class Program(NamedTuple):
    """Program trading so far (shares, won) and the program quantities resting in the book."""

    sell_qty: int
    sell_value: int
    buy_qty: int
    buy_value: int
    ask_rest: int
    bid_rest: int


class RankRow(NamedTuple):
    """One line of a ranking, as of the end of the last finished minute.

    `change` is won against the base price, `change_bp` the same in basis points (truncated to zero);
    `value` (won) is taken at bar prices, so it can differ from the prints' by a few basis points.
    """

    code: str
    last: int
    change: int
    change_bp: int
    volume: int
    value: int
    open: int
    high: int
    low: int
    prev_volume: int


class NewsTitle(NamedTuple):
    """A headline: serial id, date, time (KST), title, the codes it names, its source."""

    id: str
    date: dt.date
    time: dt.time
    title: str
    codes: tuple[str, ...]
    source: str
