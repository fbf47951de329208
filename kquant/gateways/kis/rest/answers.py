"""What KIS answers, after the wire's names are gone. Prices and amounts are won, quantities shares, times KST.

`None` says that KIS gives no figure, never that one was malformed. Answers that are events (balance, executions, news,
rankings) have their types in `kquant.events`. Source: kis-protocol 4.2 to 4.8.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from msgspec import Struct

from kquant.values import BasisPoints, Krw, OrderKind, Shares, Side, Symbol

FinanceTable = Literal["balance_sheet", "income", "ratios", "profit", "other", "stability", "growth"]


class Condition(Struct, frozen=True, kw_only=True):
    """A condition search (조건검색) that the user saved in the HTS. seq: its number for `condition_hits`."""

    seq: str
    group: str
    name: str


class WatchGroup(Struct, frozen=True, kw_only=True):
    """A watch list (관심종목) of the user's HTS. code: for `watch_list`."""

    code: str
    name: str


class Watched(Struct, frozen=True, kw_only=True):
    """A stock on a watch list."""

    code: Symbol
    name: str


class QuoteDetail(Struct, frozen=True, kw_only=True):
    """A stock's price with its day, limits and flags. open, high, low: 0 before the first trade.

    status: iscd_stat_cls_code (51 administrative, 58 halted …).   warning: 0 none, 1 caution, 2 warning, 3 risk.
    vi: "N" without a volatility interruption.   upper, lower: 0 in liquidation trading.
    """

    code: Symbol
    last_price: Krw
    change_bp: BasisPoints
    open: Krw
    high: Krw
    low: Krw
    upper: Krw
    lower: Krw
    base: Krw
    tick: Krw
    volume: Shares
    value: Krw
    status: str
    warning: int
    halted: bool
    liquidation: bool
    overheated: bool
    administrative: bool
    vi: str


class Level(Struct, frozen=True, kw_only=True):
    """One price of an order book; price 0 and no shares where the book is empty."""

    price: Krw
    qty: Shares


class OrderBook(Struct, frozen=True, kw_only=True):
    """Ten levels a side, best first, and totals over all published levels.

    time: HHMMSS.   expected_price, expected_qty: of the auction under way, None in continuous trading.
    """

    code: Symbol
    time: str
    asks: tuple[Level, ...]
    bids: tuple[Level, ...]
    total_ask_qty: Shares
    total_bid_qty: Shares
    expected_price: Krw | None
    expected_qty: Shares | None


class MinuteBar(Struct, frozen=True, kw_only=True):
    """One finished minute. day: YYYYMMDD.   time: HHMMSS of its start.   value_so_far: won traded that day up to its end."""

    day: str
    time: str
    open: Krw
    high: Krw
    low: Krw
    close: Krw
    volume: Shares
    value_so_far: Krw


class DailyBar(Struct, frozen=True, kw_only=True):
    """One day, week, month or year. value: won traded, None where the TR gives none.

    ex_rights: flng_cls_code (00 none, 01 rights, 02 dividend, 03 distribution …).
    """

    day: str
    open: Krw
    high: Krw
    low: Krw
    close: Krw
    volume: Shares
    value: Krw | None
    ex_rights: str


class InvestorFlow(Struct, frozen=True, kw_only=True):
    """Net buying of one day in shares. KIS fills today's row after the close; until then the three are None."""

    day: str
    close: Krw
    individuals: Shares | None
    foreigners: Shares | None
    institutions: Shares | None

    @property
    def is_settled(self) -> bool:
        """Tell whether KIS has published the day's figures."""
        return self.individuals is not None


class Interruption(Struct, frozen=True, kw_only=True):
    """A volatility interruption (VI) of today. began, ended: HHMMSS, ended None while it lasts.   kind: 1 static, 2 dynamic."""

    code: Symbol
    name: str
    began: str
    ended: str | None
    kind: str
    price: Krw
    count: int


class Orderable(Struct, frozen=True, kw_only=True):
    """What may be bought without credit (nrcvb_*). unit_price: what KIS reckoned with, the upper limit for a market order."""

    cash: Krw
    amount: Krw
    qty: Shares
    unit_price: Krw


class Sellable(Struct, frozen=True, kw_only=True):
    """What may be sold of a holding now. Shares tied in open sells are left out."""

    code: Symbol
    held: Shares
    qty: Shares


class OpenOrder(Struct, frozen=True, kw_only=True):
    """An order that may still be changed or cancelled. leaves: shares it may be changed for."""

    order_no: str
    original_order_no: str
    branch: str
    code: Symbol
    side: Side
    kind: OrderKind | Literal["other"]
    order_qty: Shares
    price: Krw
    filled_qty: Shares
    leaves: Shares
    time: str


class Holiday(Struct, frozen=True, kw_only=True):
    """A calendar day. is_open: the exchange opens.   settles: a settlement day."""

    day: str
    is_open: bool
    is_bank_day: bool
    settles: bool


class FinanceRow(Struct, frozen=True, kw_only=True):
    """One period of a finance table, in KIS's own field names. period: YYYYMM.

    Amounts are in 100 million won and rates in percent, as KIS writes them; None where it has none. Quarter rows of the
    income statement are cumulative within the year.
    """

    period: str
    figures: dict[str, Decimal | None]


class StockInfo(Struct, frozen=True, kw_only=True):
    """A stock's master data. market: STK KOSPI, KSQ KOSDAQ, KNX KONEX."""

    code: Symbol
    name: str
    market: str
    listed_shares: Shares
    halted: bool
    administrative: bool
    kospi200: bool
    nxt_tradable: bool
    nxt_halted: bool
