"""What the market fold reports to the control plane: stream `market`. Every fact carries its place in the tape."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from kquant.events.base import Event
from kquant.values import BasisPoints, Krw, Micros, Shares, Symbol, TriggerId


class TriggerFired(Event, frozen=True, kw_only=True, tag="market.trigger_fired"):
    """An armed trigger's condition held; one shot. Caused by its `orders.trigger_armed`.

    price: the trade that fired it.   bid, ask: best quote then, 0 when none.   exchange_time: HHMMSS KST of the trade.
    volume: the day's shares so far.   place: in the tape, which is flushed up to there first.
    """

    ANSWERED_BY: ClassVar[str] = "orders"
    trigger: TriggerId
    code: Symbol
    price: Krw
    bid: Krw
    ask: Krw
    exchange_time: str
    volume: Shares
    place: int


class Bar(Struct, frozen=True, kw_only=True, gc=False):
    """One minute of one stock as seen on the tape. covered_seconds: how much of the minute was watched (0..60)."""

    code: Symbol
    open: Krw
    high: Krw
    low: Krw
    close: Krw
    volume: Shares
    value: Krw
    covered_seconds: int
    day_high: Krw
    trailing_high: Krw | None = None
    """Highest trade since the stock's trailing trigger was armed, None without one."""


class BarsClosed(Event, frozen=True, kw_only=True, tag="market.bars_closed"):
    """The minute from `start` ended. Bars are ordered by code; a stock without a trade in it has none."""

    start: Micros
    bars: tuple[Bar, ...]
    place: int


class Quoted(Struct, frozen=True, kw_only=True, gc=False):
    """What the board held of one stock. None means never seen; ages are milliseconds. source: "feed" or "rest"."""

    code: Symbol
    last: Krw | None
    last_age_ms: int | None
    bid: Krw | None
    ask: Krw | None
    quote_age_ms: int | None
    open: Krw | None
    high: Krw | None
    low: Krw | None
    volume: Shares | None
    value: Krw | None
    change_bp: BasisPoints | None
    program_net: Shares | None
    program_age_ms: int | None
    book_bid_qty: Shares | None
    book_ask_qty: Shares | None
    book_age_ms: int | None
    source: str | None


class SnapshotTaken(Event, frozen=True, kw_only=True, tag="market.snapshot"):
    """Answer to pipeline.snapshot_wanted. Every asked code is present, in the order asked."""

    run: int
    quotes: tuple[Quoted, ...]
    place: int


class MarketStatusChanged(Event, frozen=True, kw_only=True, tag="market.status_changed"):
    """A stock's trading status differs from what the feed last said of it (or says it for the first time).

    halted: trading stands still, for `halt_reason`.   vi: a volatility interruption is on; overtime_vi: after hours.
    operation, expected_operation: KIS market operation codes ("112" open, "174" circuit breaker …), "" when none.
    extension: discretionary extension code.   stock_status: KIS symbol status ("00", "51" administrative, "58" halted …).
    venue: "1" KRX, "2" NXT, "" untold.   place: in the tape.   Needs the channel `status` registered.
    """

    code: Symbol
    halted: bool
    halt_reason: str
    vi: bool
    overtime_vi: bool
    operation: str
    expected_operation: str
    extension: str
    stock_status: str
    venue: str
    place: int
