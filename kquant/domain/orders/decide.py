"""What `orders` does about each input. Sends happen in the gateway; here an intent is written down first (O1)."""

from __future__ import annotations

from collections.abc import Sequence

from kquant.domain.orders import entry, exits, listing, replace, sellable
from kquant.domain.orders.draft import AGAIN_US, Draft
from kquant.domain.orders.lifecycle import Order, Outcome
from kquant.domain.orders.seen import Seen
from kquant.domain.orders.sellable import PARKED
from kquant.domain.orders.state import POLL, SETTLE, Own
from kquant.events.base import Event, Recorded
from kquant.events.day import (
    AlarmRang,
    AlertRaised,
    ArmOrdered,
    DayOpened,
    DisarmOrdered,
    FlattenOrdered,
    HaltOrdered,
    JobDue,
    OwnerParked,
    ResumeOrdered,
)
from kquant.events.feed import FeedConnected, NoticeReceived, NoticesConnected, NoticeUnreadable
from kquant.events.market import MarketStatusChanged, TriggerFired
from kquant.events.orders import (
    CancelAccepted,
    CancelRefused,
    CancelUnknown,
    EntriesHalted,
    EntriesResumed,
    ExecutionsListed,
    OrderAccepted,
    OrderBlocked,
    OrderExpired,
    OrderRefused,
    OrderUnfrozen,
    OrderUnknown,
    QuoteAnswered,
    QuoteFailed,
)
from kquant.events.pipeline import BuySignalled
from kquant.events.portfolio import (
    BalanceAnswered,
    PortfolioOpened,
    PortfolioSynchronised,
    PositionChanged,
    PositionClosed,
    PositionOpened,
)
from kquant.events.scanner import ReadExpired, ReadFailed
from kquant.settings import Settings
from kquant.values import SECOND_US, IntentId, Symbol

FINAL_AFTER_US = 40 * SECOND_US
"""An auction may end up to 30 s late: a listing asked for this long after the close is final."""
LONGEST_POLL_SECONDS = 60
IDLE_POLL_SECONDS = 30
GUARDED = frozenset({"orders", "portfolio", "slots"})
"""Owners without which no new position is opened."""


def decide(own: Own, seen: Seen, fact: Recorded, settings: Settings) -> Sequence[Event]:
    """Return what follows from one input."""
    draft = Draft(own, seen, fact, settings)
    match fact.event:
        case BuySignalled():
            entry.signalled(draft, fact.event)
        case QuoteAnswered(request=request) | QuoteFailed(request=request):
            _quoted(draft, request)
        case TriggerFired():
            exits.fired(draft, fact.event)
        case MarketStatusChanged(code=code):
            exits.stirred(draft, code)
        case PositionOpened(code=code) | PositionChanged(code=code) | PositionClosed(code=code):
            exits.tend(draft, code)
        case ExecutionsListed() if seen.outcome_at == fact.seq:
            listing.apply(draft, fact.event.rows)
            _poll_on(draft)
        case ReadFailed() | ReadExpired() if seen.outcome_at == fact.seq:
            _poll_on(draft)
        case NoticeReceived() | NoticeUnreadable():
            draft.ask("notice")
        case FeedConnected(epoch=time) | NoticesConnected(line=time) if time > 1 and seen.cash_krw is not None:
            # Notices missed while their line was down are never repeated.
            draft.ask("feed reconnected")
        case BalanceAnswered():
            sellable.proved(draft)
        case AlarmRang(alarm=alarm):
            _rang(draft, alarm)
        case _:
            _answered(draft)
    return draft.events


def _answered(draft: Draft) -> None:
    """The gateway's outcomes, the day and the operator."""
    match draft.fact.event:
        case OrderAccepted():
            _accepted(draft, draft.fact.event)
        case OrderRefused(intent=intent):
            _not_sent(draft, intent, "refused")
        case OrderExpired(intent=intent):
            _not_sent(draft, intent, "expired")
        case OrderBlocked(intent=intent):
            _not_sent(draft, intent, "blocked")
        case OrderUnknown(intent=intent, why=why):
            order = draft.own.orders.get(intent)
            if order is not None and order.state == "intended":
                text = f"{order.side} {order.qty} {order.code}: it is unknown whether it was placed ({why})"
                draft.emit(AlertRaised(level="warning", text=text))
                draft.ask("order unknown")
        case CancelAccepted(intent=intent) | CancelRefused(intent=intent) | CancelUnknown(intent=intent):
            _cancel_answered(draft, intent)
        case _:
            _day(draft)


def _day(draft: Draft) -> None:
    match draft.fact.event:
        case DayOpened(reconciled_before=False, day_before=before) if before:
            _halt(draft, f"the day before ({before}) was not reconciled")
        case PortfolioOpened():
            draft.ask("opening")
        case PortfolioSynchronised(differences=differences) if differences:
            # A fill that was not listed yet may explain it: book it before the balance is believed.
            draft.ask("balance differs")
        case HaltOrdered(who=who, reason=reason):
            _halt(draft, f"{who}: {reason}")
        case ResumeOrdered(who=who, reason=reason):
            if draft.own.halted is not None:
                draft.emit(EntriesResumed(reason=f"{who}: {reason}"))
            _unfreeze(draft, f"{who}: {reason}")
        case FlattenOrdered() | ArmOrdered() | DisarmOrdered():
            _operator(draft)
        case OwnerParked(owner=owner, seq=seq, code=code) if owner in GUARDED:
            _halt(draft, f"{owner} could not answer seq {seq}")
            if code is not None:
                draft.freeze(code, f"{owner} could not answer seq {seq}")
            if code is not None and draft.seen.parked.get(code) == draft.fact.seq:
                sellable.prove_parked(draft, code)
        case JobDue(job="flatten") if draft.settings.exits.flat_at_close:
            _flatten(draft)
        case JobDue(job="session_closed"):
            hours = draft.seen.hours
            after = draft.at if hours is None else max(draft.at, hours.close_at)
            draft.ask("session closed")
            draft.wake("final", after + FINAL_AFTER_US)


def _operator(draft: Draft) -> None:
    match draft.fact.event:
        case FlattenOrdered(code=None, who=who, reason=reason):
            _halt(draft, f"{who}: everything is sold: {reason}")
            draft.cancel_buys()
            exits.flatten(draft, sorted(draft.seen.positions), "operator")
        case FlattenOrdered(code=code) if code is not None:
            exits.flatten(draft, [code], "operator")
        case ArmOrdered():
            # What could not be sold before need not wait for its turn any longer.
            for code in sorted(draft.seen.positions):
                if draft.is_pending(f"exit.{code}"):
                    draft.wake_exit(code, draft.at)
        case DisarmOrdered():
            # What they bring could not be sold.
            draft.cancel_buys()


def _halt(draft: Draft, reason: str) -> None:
    if draft.own.halted is None:
        draft.emit(EntriesHalted(reason=reason))


def _unfreeze(draft: Draft, why: str) -> None:
    """Release the frozen stocks, all but those with an order that may or may not have been placed."""
    unsure = {order.code for order in draft.own.live_orders() if order.state == "intended"}
    for code in sorted(draft.own.frozen):
        if code not in unsure:
            draft.emit(OrderUnfrozen(code=code, why=why))


def _quoted(draft: Draft, request: int) -> None:
    """Hand a quote's outcome to what asked for it: its first one, and in time by the log."""
    asked = draft.own.quotes.get(request)
    if asked is None or draft.seen.heard.quoted.get(request) != draft.fact.seq:
        return
    event = draft.fact.event
    quote = event if isinstance(event, QuoteAnswered) and draft.at <= asked.valid_until else None
    match asked.why:
        case "entry":
            entry.quoted(draft, asked, quote)
        case "replace":
            replace.quoted(draft, asked, quote)
        case "exit":
            exits.quoted(draft, asked.code)


def _accepted(draft: Draft, event: OrderAccepted) -> None:
    order = draft.own.orders.get(event.intent)
    if order is None or order.order_no or not (order.state == "intended" or order.outcome == "not_placed"):
        return
    if event.order_no in draft.own.by_number or event.order_no in draft.own.externals:
        draft.freeze(order.code, f"order number {event.order_no} was given to intent {order.intent} and to another")
        draft.ask("order number given twice")
        return
    listing.bind(draft, order, event.order_no, event.branch)
    _poll_soon(draft)
    if draft.seen.notice_seq > 0:
        _catch_up(draft, order)


def _catch_up(draft: Draft, order: Order) -> None:
    """A fill can be told before the answer of its order: look at the list once more at once."""
    sent = draft.seen.sent_seq.get(order.intent)
    if sent is not None and draft.seen.notice_seq > sent:
        draft.ask("notice before the answer")


def _not_sent(draft: Draft, intent: IntentId, outcome: Outcome) -> None:
    order = draft.own.orders.get(intent)
    if order is not None and order.state == "intended" and intent not in draft.seen.doubts:
        draft.finish(order, outcome)
        if order.side == "sell" and outcome == "refused":
            # Shares may be on offer elsewhere without our knowing: the list tells what is left to be sold.
            draft.ask("sell refused")


def _cancel_answered(draft: Draft, intent: IntentId) -> None:
    """Have the list tell what the cancel did, and look at the order again: its alarm may have rung before the answer."""
    draft.ask("cancel answered")
    order = draft.own.orders.get(intent)
    if order is not None and order.state == "working" and not draft.is_pending(f"rest.{intent}"):
        draft.wake(f"rest.{intent}", draft.at + draft.settings.risk.resting_seconds * SECOND_US)


def _rang(draft: Draft, alarm: str) -> None:
    name, _, key = alarm.partition(".")
    if name == POLL:
        # A notice that came while a listing was under way counts as one now.
        is_news = draft.seen.notice_seq > draft.seen.outcome_of or draft.seen.failures > 0
        draft.ask("poll after news" if is_news else POLL)
    elif name in ("final", SETTLE):
        draft.ask(name)
    elif name == "exit":
        exits.look(draft, Symbol(key))
    elif name == "hold":
        exits.tend(draft, Symbol(key))
    elif name == PARKED:
        sellable.prove_parked(draft, Symbol(key))
    elif name == "rest":
        order = draft.own.orders.get(IntentId(int(key)))
        if order is not None:
            replace.rest(draft, order)


def _poll_soon(draft: Draft) -> None:
    draft.wake(POLL, draft.at + draft.settings.risk.executions_every_seconds * SECOND_US)


def _poll_later(draft: Draft) -> None:
    """Ask ever less often while nothing changes, as when a sell rests in a halt; a notice or a change begins anew."""
    every = draft.settings.risk.executions_every_seconds
    seconds = min(every << min(draft.own.polls, 10), max(every, IDLE_POLL_SECONDS))
    draft.wake(POLL, draft.at + seconds * SECOND_US)


def _poll_on(draft: Draft) -> None:
    """Ask again while anything works or is unknown, after a failure, and when a notice came after the request."""
    every, failures = draft.settings.risk.executions_every_seconds, draft.seen.failures
    asked = draft.fact.caused_by
    if failures:
        draft.wake(POLL, draft.at + min(every << min(failures, 6), LONGEST_POLL_SECONDS) * SECOND_US)
    elif asked is not None and max(draft.seen.notice_seq, draft.seen.final_seq) > asked:
        draft.wake(POLL, draft.at + AGAIN_US)
    elif any(_is_unsure(draft, order) for order in draft.own.live_orders()):
        _poll_soon(draft)
    elif any(order.state == "working" or order.intent in draft.seen.doubts for order in draft.own.live_orders()):
        _poll_later(draft)


def _is_unsure(draft: Draft, order: Order) -> bool:
    """Tell whether the list is still to say if it was placed; after enough of it only a person can."""
    doubt = draft.seen.doubts.get(order.intent)
    if order.state != "intended" or doubt is None:
        return False
    risk, listings = draft.settings.risk, draft.seen.listings - doubt.listings
    return listings < risk.unknown_listings or draft.at - doubt.at < risk.unknown_seconds * SECOND_US


def _flatten(draft: Draft) -> None:
    """Sell every position before the close and cancel what would open new ones."""
    draft.cancel_buys()
    exits.flatten(draft, sorted(draft.seen.positions), "flatten")
