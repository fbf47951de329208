"""Orders: stream `orders`, and the order gateway's outcomes (stream `broker`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from msgspec import Struct

from kquant.events.base import Event
from kquant.values import BasisPoints, IntentId, Krw, Micros, OrderKind, Seq, Shares, Side, Symbol, TriggerId

IntentReason = Literal["signal", "replace", "stop", "target", "trailing", "time", "flatten", "operator"]
TriggerKind = Literal["stop", "target", "trailing"]
QuotePurpose = Literal["entry", "replace", "exit"]


class OrderIntended(Event, frozen=True, kw_only=True, tag="orders.intended"):
    """Request to the order gateway, durable before the first byte. price: won, 0 for a market order.

    decision: seq of the signal, trigger or job that led to it.   reserved_krw: cash set aside for a buy, costs included.
    replaces: the intent whose order this one takes the place of (정정): qty is then what was left of it.   quote: seq of
    the price confirmed over HTTPS before it, None where none was asked for.
    Ends in one of order.accepted, refused, unknown, expired, blocked.
    """

    ANSWERED_BY: ClassVar[str] = "broker"
    intent: IntentId
    code: Symbol
    name: str
    side: Side
    qty: Shares
    kind: OrderKind
    price: Krw
    reason: IntentReason
    decision: Seq
    reserved_krw: Krw
    valid_until: Micros
    replaces: IntentId | None = None
    quote: Seq | None = None


class QuoteWanted(Event, frozen=True, kw_only=True, tag="orders.quote_wanted"):
    """Request to REST: a stock's price, best quote and flags over HTTPS. Ends in quote.answered or quote.failed.

    request: counted from 1.   why: entry (before a buy), replace (of a buy that did not fill), exit (a sell that did not
    go through).   decision: seq of what called for it.
    """

    request: int
    code: Symbol
    why: QuotePurpose
    decision: Seq
    valid_until: Micros


class QuoteAnswered(Event, frozen=True, kw_only=True, tag="quote.answered"):
    """A stock as the broker answers over HTTPS. Prices in won, 0 where there is none; volume in shares, value in won.

    status: KIS symbol status (51 administrative, 58 halted …).   vi: a volatility interruption is on.
    is_auction: orders are being gathered for a single price.
    """

    request: int
    code: Symbol
    last: Krw
    ask: Krw
    bid: Krw
    ask_qty: Shares
    bid_qty: Shares
    upper: Krw
    lower: Krw
    volume: Shares
    value: Krw
    status: str
    warning: int
    halted: bool
    liquidation: bool
    overheated: bool
    administrative: bool
    vi: bool
    is_auction: bool


class QuoteFailed(Event, frozen=True, kw_only=True, tag="quote.failed"):
    """Outcome: no price over HTTPS in time, and why."""

    request: int
    code: Symbol
    reason: str


class OrderDenied(Event, frozen=True, kw_only=True, tag="orders.denied"):
    """We refused before sending. rule: a code such as MAX_POSITIONS; value and limit: its numbers."""

    code: Symbol
    side: Side
    rule: str
    value: int
    limit: int
    decision: Seq


class OrderSendStarted(Event, frozen=True, kw_only=True, tag="order.send_started"):
    """Durable before the one POST of this intent."""

    intent: IntentId


class OrderAccepted(Event, frozen=True, kw_only=True, tag="order.accepted"):
    """Outcome: the broker took it. order_no without leading zeros; branch: its KRX forwarding number."""

    intent: IntentId
    order_no: str
    branch: str
    time: str


class OrderRefused(Event, frozen=True, kw_only=True, tag="order.refused"):
    """Outcome: proven not placed (a white-listed refusal)."""

    intent: IntentId
    message_code: str
    message: str


class OrderUnknown(Event, frozen=True, kw_only=True, tag="order.unknown"):
    """Outcome: it may or may not have been placed; only the broker's list can tell. It is never sent again."""

    intent: IntentId
    why: str


class OrderExpired(Event, frozen=True, kw_only=True, tag="order.expired"):
    """Outcome: never sent, because it was no longer valid, or the process ended before the send began."""

    intent: IntentId


class OrderBlocked(Event, frozen=True, kw_only=True, tag="order.blocked"):
    """Outcome: the last gate stopped it; never sent.

    why: "halted", "profile", "not armed", "session", "no order to replace".
    """

    intent: IntentId
    why: str


class ProofWanted(Event, frozen=True, kw_only=True, tag="orders.proof_wanted"):
    """Only a balance read after this can tell what became of the intent (D13): `portfolio` asks for one.

    Answered by a balance.answered whose request is later; never, if none can be read.   decision: seq of the listing
    after which the intent was given up.
    """

    intent: IntentId
    code: Symbol
    decision: Seq = Seq(0)


class OrderFrozen(Event, frozen=True, kw_only=True, tag="orders.frozen"):
    """No new order of this stock until it is resolved; a person is told."""

    code: Symbol
    why: str


class OrderUnfrozen(Event, frozen=True, kw_only=True, tag="orders.unfrozen"):
    """The stock may be traded again."""

    code: Symbol
    why: str


class ExecutionsWanted(Event, frozen=True, kw_only=True, tag="orders.executions_wanted"):
    """Request to REST: the day's orders with cumulative fills, all pages. Ends in executions.listed or read.failed."""

    why: str
    valid_until: Micros


class Execution(Struct, frozen=True, kw_only=True):
    """One order of the day as the broker lists it: the truth about fills. Numbers in shares and won."""

    order_no: str
    original_order_no: str
    branch: str
    code: Symbol
    name: str
    side: Side
    kind: OrderKind | Literal["other"]
    order_qty: Shares
    price: Krw
    filled_qty: Shares
    filled_amount: Krw
    leaves_qty: Shares
    cancelled_qty: Shares
    rejected_qty: Shares
    is_cancel: bool
    time: str


class ExecutionsListed(Event, frozen=True, kw_only=True, tag="executions.listed"):
    """Every order of the day, oldest first, complete."""

    rows: tuple[Execution, ...]


class OrderBound(Event, frozen=True, kw_only=True, tag="orders.bound"):
    """The intent is that broker order: from its acceptance, or found in the list."""

    intent: IntentId
    order_no: str
    branch: str


class OrderResized(Event, frozen=True, kw_only=True, tag="orders.resized"):
    """A replacement took over fewer shares than were asked for: the others had filled meanwhile. qty: what it is for."""

    intent: IntentId
    qty: Shares


class OrderFilled(Event, frozen=True, kw_only=True, tag="orders.filled"):
    """New executions of one order: qty shares for amount won more than before; cumulative figures beside.

    intent: None for an order placed elsewhere.   leaves: shares still working.
    """

    intent: IntentId | None
    order_no: str
    code: Symbol
    name: str
    side: Side
    qty: Shares
    amount_krw: Krw
    filled_qty: Shares
    filled_amount_krw: Krw
    leaves_qty: Shares


class OrderFinished(Event, frozen=True, kw_only=True, tag="orders.finished"):
    """Nothing more will come of this intent."""

    intent: IntentId
    code: Symbol
    side: Side
    outcome: Literal["filled", "cancelled", "replaced", "refused", "expired", "blocked", "not_placed"]
    filled_qty: Shares


class ExternalOrderSeen(Event, frozen=True, kw_only=True, tag="orders.external_seen"):
    """An order of the account that is not ours: recorded, counted, never touched.

    filled_qty, filled_amount_krw: what it had filled before the day's first listing; the opening balance holds that.
    """

    order_no: str
    code: Symbol
    side: Side
    qty: Shares
    filled_qty: Shares = Shares(0)
    filled_amount_krw: Krw = Krw(0)


class CancelWanted(Event, frozen=True, kw_only=True, tag="orders.cancel_wanted"):
    """Request to the order gateway: cancel what is left. Ends in cancel.accepted, refused, unknown or expired.

    kind: the order's own; a limit order in logs written before it was said.
    """

    intent: IntentId
    order_no: str
    branch: str
    valid_until: Micros
    kind: OrderKind = "limit"


class CancelAccepted(Event, frozen=True, kw_only=True, tag="cancel.accepted"):
    """Outcome: the broker took the cancel; whether it cancelled anything, the list tells."""

    intent: IntentId
    order_no: str


class CancelRefused(Event, frozen=True, kw_only=True, tag="cancel.refused"):
    """Outcome: refused, as when it filled meanwhile. The order stays tracked."""

    intent: IntentId
    message_code: str
    message: str


class CancelUnknown(Event, frozen=True, kw_only=True, tag="cancel.unknown"):
    """Outcome: no usable answer, or never sent; the list tells."""

    intent: IntentId
    why: str


class TriggerArmed(Event, frozen=True, kw_only=True, tag="orders.trigger_armed"):
    """Request to the market: fire once.

    stop: at a trade at or below `price`; target: at or above; trailing: `trail_bp` below the highest trade since
    arming, which starts at `high`.
    """

    trigger: TriggerId
    code: Symbol
    kind: TriggerKind
    price: Krw
    trail_bp: BasisPoints
    high: Krw


class TriggerDisarmed(Event, frozen=True, kw_only=True, tag="orders.trigger_disarmed"):
    """That arming no longer counts; a firing of it is answered with nothing."""

    trigger: TriggerId
    code: Symbol


class ExitPostponed(Event, frozen=True, kw_only=True, tag="orders.exit_postponed"):
    """A sell that was due waits: it cannot trade or may not be sent now. rule: a code such as VI; looked at again at `until`."""

    code: Symbol
    reason: IntentReason
    rule: str
    value: int
    limit: int
    until: Micros


class OrdersSettled(Event, frozen=True, kw_only=True, tag="orders.settled"):
    """The day's orders and fills compared with the broker's final list. differences: one line each, none if they agree."""

    listing: Seq
    agrees: bool
    differences: tuple[str, ...]


class EntriesHalted(Event, frozen=True, kw_only=True, tag="orders.halted"):
    """No new buys until resumed; exits keep working."""

    reason: str


class EntriesResumed(Event, frozen=True, kw_only=True, tag="orders.resumed"):
    """New buys are allowed again."""

    reason: str
