"""What `orders` knows: its own fold (intents, triggers, the halt) and what it has seen of others."""

from __future__ import annotations

from msgspec import Struct, structs

from kquant.domain.orders.heard import Heard
from kquant.domain.orders.lifecycle import BOUND, CANCEL, PART, RESIZED, WHOLE, Order, next_stage
from kquant.events.base import Event
from kquant.events.day import AlarmCancelled, AlarmSet
from kquant.events.orders import (
    CancelWanted,
    EntriesHalted,
    EntriesResumed,
    ExecutionsWanted,
    ExitPostponed,
    ExternalOrderSeen,
    IntentReason,
    OrderBound,
    OrderFilled,
    OrderFinished,
    OrderFrozen,
    OrderIntended,
    OrderResized,
    OrdersSettled,
    OrderUnfrozen,
    ProofWanted,
    QuotePurpose,
    QuoteWanted,
    TriggerArmed,
    TriggerDisarmed,
    TriggerKind,
)
from kquant.values import BasisPoints, IntentId, Krw, Micros, Seq, Shares, Side, Symbol, TriggerId

SETTLE = "settle"
"""The alarm for another look at a final list that differs."""
POLL = "poll"
"""Why a listing is asked for when nothing but time calls for it."""


class Armed(Struct, frozen=True, kw_only=True):
    """An armed trigger; fields as in `orders.trigger_armed`."""

    trigger: TriggerId
    kind: TriggerKind
    price: Krw
    trail_bp: BasisPoints
    high: Krw


class External(Struct, frozen=True, kw_only=True):
    """An order placed elsewhere; filled figures are cumulative. fills: how many `orders.filled` were said."""

    order_no: str
    code: Symbol
    side: Side
    qty: Shares
    filled_qty: Shares
    filled_amount: Krw
    before_qty: Shares
    before_amount: Krw


PASSING = frozenset({"VI", "AUCTION"})
"""Waits that are over after `VI_LONGEST_US`, and one wait where they take turns: both are a stock that gathers orders."""


class Postponed(Struct, frozen=True, kw_only=True):
    """A sell that was due and waits; fields as in `orders.exit_postponed`. first_until: that of the wait's beginning."""

    reason: IntentReason
    rule: str
    until: Micros
    first_until: Micros


class Asked(Struct, frozen=True, kw_only=True):
    """A quote asked for; fields as in `orders.quote_wanted`."""

    code: Symbol
    why: QuotePurpose
    decision: Seq
    valid_until: Micros


class Own(Struct, frozen=True, kw_only=True):
    """The own fold. by_number: broker order number to intent (why without the branch: `listing`).   armed: triggers by code.

    alarms: due by name, as set.   frozen: code to why.   requests: listings asked for.   polls: those asked for by alarm alone since an order last moved.
    exit_failures: sells in a row that did not fill, by code.   quotes: asked for, by request; of a stock and purpose the
    last.   replaced_by: the last attempt to take an order's place, by its intent.   unproven: stocks whose last sell
    may or may not have been placed, and seq of the listing after which it was given up.   settled: the differences that
    were said last, None before the final list.   settle_tries: further looks at it.   looks: how often the price of a resting
    buy was asked for, by the decision behind it.
    """

    orders: dict[IntentId, Order] = {}
    by_number: dict[str, IntentId] = {}
    externals: dict[str, External] = {}
    armed: dict[Symbol, tuple[Armed, ...]] = {}
    frozen: dict[Symbol, str] = {}
    halted: str | None = None
    alarms: dict[str, Micros] = {}
    requests: int = 0
    polls: int = 0
    exit_failures: dict[Symbol, int] = {}
    last_intent: int = 0
    last_trigger: int = 0
    settled: tuple[str, ...] | None = None
    settle_tries: int = 0
    unproven: dict[Symbol, Seq] = {}
    replaced_by: dict[IntentId, IntentId] = {}
    looks: dict[Seq, int] = {}
    quotes: dict[int, Asked] = {}
    last_quote: int = 0
    live: tuple[IntentId, ...] = ()
    postponed: dict[Symbol, Postponed] = {}
    """Sells that wait, by code, as they were last said; over with the next arming or sell of the stock."""

    def live_orders(self) -> tuple[Order, ...]:
        """Return the orders that work or may work, oldest first."""
        return tuple(self.orders[intent] for intent in self.live)

    def live_order(self, code: Symbol, side: Side) -> Order | None:
        """Return the live order of that stock and side, None without one (O3: there is at most one of ours)."""
        for intent in self.live:
            order = self.orders[intent]
            if order.code == code and order.side == side:
                return order
        return None


def evolve(own: Own, event: Event) -> Own:
    """Fold one event of the own stream."""
    if own.polls and isinstance(event, OrderIntended | OrderBound | OrderFilled | OrderFinished):
        own = structs.replace(own, polls=0)
    match event:
        case OrderIntended():
            return _intended(own, event)
        case OrderBound(intent=intent, order_no=order_no, branch=branch):
            order = own.orders[intent]
            bound = structs.replace(
                order,
                stage=next_stage(order, BOUND),
                is_finished=False,
                order_no=order_no,
                branch=branch,
                is_late=order.outcome == "not_placed",
            )
            live = own.live if intent in own.live else (*own.live, intent)
            own = structs.replace(own, by_number={**own.by_number, order_no: intent}, live=live)
            own = _proven(own, order)
            return _put(own, bound)
        case OrderFilled():
            return _filled(own, event)
        case OrderFinished():
            return _finished(own, event)
        case ExternalOrderSeen():
            external = External(
                order_no=event.order_no,
                code=event.code,
                side=event.side,
                qty=event.qty,
                filled_qty=event.filled_qty,
                filled_amount=event.filled_amount_krw,
                before_qty=event.filled_qty,
                before_amount=event.filled_amount_krw,
            )
            return structs.replace(own, externals={**own.externals, event.order_no: external})
        case CancelWanted(intent=intent):
            order = own.orders[intent]
            return _put(own, structs.replace(order, stage=next_stage(order, CANCEL), cancels=order.cancels + 1))
        case OrderResized():
            return _resized(own, event)
        case _:
            return _evolve_rest(own, event)


def _evolve_rest(own: Own, event: Event) -> Own:
    match event:
        case QuoteWanted():
            return _quote_wanted(own, event)
        case ProofWanted(code=code, decision=decision):
            return structs.replace(own, unproven={**own.unproven, code: decision})
        case ExecutionsWanted(why=why):
            return structs.replace(own, requests=own.requests + 1, polls=own.polls + 1 if why == POLL else 0)
        case OrdersSettled(differences=differences):
            return structs.replace(own, settled=differences)
        case AlarmSet(alarm=alarm, due=due):
            if alarm == SETTLE:
                own = structs.replace(own, settle_tries=own.settle_tries + 1)
            return structs.replace(own, alarms={**own.alarms, alarm: due})
        case AlarmCancelled(alarm=alarm):
            return structs.replace(own, alarms={name: due for name, due in own.alarms.items() if name != alarm})
        case TriggerArmed(trigger=trigger, code=code, kind=kind, price=price, trail_bp=trail_bp, high=high):
            armed = Armed(trigger=trigger, kind=kind, price=price, trail_bp=trail_bp, high=high)
            both = (*own.armed.get(code, ()), armed)
            own = _due_no_more(own, code)
            return structs.replace(own, armed={**own.armed, code: both}, last_trigger=int(trigger))
        case ExitPostponed(code=code, reason=postponed_for, rule=rule, until=until):
            before = own.postponed.get(code)
            goes_on = before is not None and before.rule in PASSING and rule in PASSING
            first = before.first_until if before is not None and goes_on else until
            waits = Postponed(reason=postponed_for, rule=rule, until=until, first_until=first)
            return structs.replace(own, postponed={**own.postponed, code: waits})
        case TriggerDisarmed(trigger=trigger, code=code):
            return _armed_without(own, code, trigger)
        case OrderFrozen(code=code, why=why):
            return structs.replace(own, frozen={**own.frozen, code: why})
        case OrderUnfrozen(code=code):
            return structs.replace(own, frozen={other: why for other, why in own.frozen.items() if other != code})
        case EntriesHalted(reason=reason):
            return structs.replace(own, halted=reason)
        case EntriesResumed():
            return structs.replace(own, halted=None)
    return own


def quoting(own: Own, heard: Heard, code: Symbol) -> tuple[Asked, ...]:
    """Return the quotes of a stock that were asked for and have no outcome yet."""
    return tuple(one for request, one in own.quotes.items() if one.code == code and request not in heard.quoted)


def _quote_wanted(own: Own, event: QuoteWanted) -> Own:
    asked = Asked(code=event.code, why=event.why, decision=event.decision, valid_until=event.valid_until)
    others = {
        request: one for request, one in own.quotes.items() if (one.code, one.why) != (event.code, event.why)
    }  # fmt: skip
    looks = own.looks
    if event.why == "replace":
        looks = {**looks, event.decision: looks.get(event.decision, 0) + 1}
    return structs.replace(own, quotes={**others, event.request: asked}, last_quote=event.request, looks=looks)


def without(own: Own, order: Order) -> Own:
    """Return the state as if what is left of an order were gone: for a question, never to be kept."""
    over = structs.replace(order, is_finished=True)
    live = tuple(intent for intent in own.live if intent != order.intent)
    return structs.replace(own, live=live, orders={**own.orders, order.intent: over})


def _put(own: Own, order: Order) -> Own:
    return structs.replace(own, orders={**own.orders, order.intent: order})


def _proven(own: Own, order: Order) -> Own:
    """Forget a doubt about a stock's sell: it turned up, or the next one goes on proof."""
    if order.side != "sell" or order.code not in own.unproven:
        return own
    return structs.replace(own, unproven={code: seq for code, seq in own.unproven.items() if code != order.code})


def _armed_without(own: Own, code: Symbol, trigger: TriggerId | None) -> Own:
    """Drop one armed trigger of the stock, or all of them (None)."""
    left = tuple(one for one in own.armed.get(code, ()) if trigger is not None and one.trigger != trigger)
    armed = {other: those for other, those in own.armed.items() if other != code}
    if left:
        armed[code] = left
    return structs.replace(own, armed=armed)


def _intended(own: Own, event: OrderIntended) -> Own:
    order = Order(
        intent=event.intent,
        code=event.code,
        name=event.name,
        side=event.side,
        qty=event.qty,
        kind=event.kind,
        price=event.price,
        reason=event.reason,
        decision=event.decision,
        reserved_krw=event.reserved_krw,
        valid_until=event.valid_until,
        replaces=event.replaces,
    )
    if event.replaces is not None:
        own = structs.replace(own, replaced_by={**own.replaced_by, event.replaces: event.intent})
    own = structs.replace(_put(own, order), last_intent=int(event.intent), live=(*own.live, event.intent))
    own = _proven(own, order)
    # A sell takes the whole position along: whatever was armed for the stock has done its work.
    return _armed_without(_due_no_more(own, event.code), event.code, None) if event.side == "sell" else own


def _due_no_more(own: Own, code: Symbol) -> Own:
    if code not in own.postponed:
        return own
    return structs.replace(own, postponed={other: one for other, one in own.postponed.items() if other != code})


def _filled(own: Own, event: OrderFilled) -> Own:
    if event.intent is None:
        external = structs.replace(
            own.externals[event.order_no], filled_qty=event.filled_qty, filled_amount=event.filled_amount_krw
        )
        return structs.replace(own, externals={**own.externals, event.order_no: external})
    order = own.orders[event.intent]
    filled = structs.replace(
        order,
        stage=next_stage(order, WHOLE if event.filled_qty >= order.qty else PART),
        filled_qty=event.filled_qty,
        filled_amount=event.filled_amount_krw,
        fills=order.fills + 1,
    )
    return _put(own, filled)


def _resized(own: Own, event: OrderResized) -> Own:
    """Shrink an order and what it set aside, rounded up: never less than its shares cost."""
    order = own.orders[event.intent]
    reserved = Krw(-(-order.reserved_krw * event.qty // order.qty))
    return _put(own, structs.replace(order, stage=next_stage(order, RESIZED), qty=event.qty, reserved_krw=reserved))


def _finished(own: Own, event: OrderFinished) -> Own:
    order = own.orders[event.intent]
    done = structs.replace(order, stage=next_stage(order, event.outcome), is_finished=True)
    failures = own.exit_failures
    if event.side == "sell":
        count = 0 if event.outcome == "filled" else failures.get(event.code, 0) + 1
        failures = {**failures, event.code: count}
    live = tuple(intent for intent in own.live if intent != event.intent)
    return structs.replace(_put(own, done), live=live, exit_failures=failures)
