"""What holds of every day, whatever went wrong: the slot table, the orders, the books and the log."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from kquant.cli import codes
from kquant.events.base import Event
from kquant.events.day import AlertRaised, DayClosed, DayOpened, OwnerParked
from kquant.events.feed import (
    Dropped,
    FeedConnected,
    FeedLost,
    FirstTick,
    Registered,
    RegistrationExpired,
    RegistrationRefused,
    RegistrationUnanswered,
    RegistrationVoid,
)
from kquant.events.orders import (
    CancelWanted,
    ExternalOrderSeen,
    OrderAccepted,
    OrderBlocked,
    OrderBound,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRefused,
    OrderSendStarted,
    OrderUnknown,
)
from kquant.events.portfolio import DayReconciled
from kquant.events.slots import DropWanted, RegisterWanted
from kquant.values import SECOND_US
from kquant.views.slots import SlotsView, slots_view

from .rig import Moment, Pair, Played

CAPACITY = 40
PICKS_CAP, SURGES_CAP = 20, 10
LAST_SECONDS = 600
"""The table is compared at the end of the continuous session: so long before the close."""


@dataclass
class Client:
    """What the client believes, as its log tells it: a fold of its own, apart from every fold of the package.

    sure: acknowledged or ticking.   unsure: asked and not answered in time.   asked: with a request under way.
    """

    epoch: int = 0
    up: bool = False
    sure: set[Pair] = field(default_factory=set)
    unsure: set[Pair] = field(default_factory=set)
    asked: set[Pair] = field(default_factory=set)

    def apply(self, event: Event) -> None:
        match event:
            case FeedConnected(epoch=epoch) | FeedLost(epoch=epoch):
                self.epoch, self.up = epoch, isinstance(event, FeedConnected)
                self.sure.clear()
                self.unsure.clear()
                self.asked.clear()
            case RegisterWanted(code=code, channel=channel) | DropWanted(code=code, channel=channel):
                self.asked.add((code, channel))
            case (
                Registered(epoch=epoch)
                | Dropped(epoch=epoch)
                | RegistrationRefused(epoch=epoch)
                | RegistrationUnanswered(epoch=epoch)
                | RegistrationExpired(epoch=epoch)
                | RegistrationVoid(epoch=epoch)
                | FirstTick(epoch=epoch)
            ) if self.up and epoch == self.epoch:
                self._answered(event, (event.code, event.channel))
            case _:
                pass

    def _answered(self, event: Event, pair: Pair) -> None:
        match event:
            case FirstTick():
                if pair in self.unsure:
                    self.unsure.discard(pair)
                    self.sure.add(pair)
                return
            case Registered():
                self.unsure.discard(pair)
                self.sure.add(pair)
            case Dropped() | RegistrationVoid() | RegistrationRefused(action="register"):
                self.unsure.discard(pair)
                self.sure.discard(pair)
            case RegistrationUnanswered(action="register") if pair in self.sure:
                pass
            case RegistrationUnanswered() | RegistrationRefused():
                self.sure.discard(pair)
                self.unsure.add(pair)
            case _:
                pass
        self.asked.discard(pair)


@dataclass(frozen=True)
class Compared:
    """One moment seen from both sides, at rest: nothing asked, both on the same connection."""

    moment: Moment
    sure: frozenset[Pair]
    unsure: frozenset[Pair]


def compared(played: Played) -> list[Compared]:
    """Return the moments at which both sides were on the same connection and nothing was under way.

    Whenever both are on the same connection, whatever the exchange holds is sure, unsure or asked for on our side, and
    what is sure and not being changed is held by the exchange.
    """
    client, place, found = Client(), 0, []
    facts = played.facts
    for moment in played.witness.moments:
        while place < moment.seq:
            client.apply(facts[place].event)
            place += 1
        if not client.up or moment.session != client.epoch:
            continue
        known = client.sure | client.unsure | client.asked
        assert moment.held <= known, (moment.clock, moment.held - known)
        firm = client.sure - client.asked
        assert firm <= moment.held, (moment.clock, firm - moment.held)
        if not client.asked:
            found.append(Compared(moment, frozenset(client.sure), frozenset(client.unsure)))
    return found


def check_table(played: Played, *, unsure: int = 0, refused: int = 0, last_seconds: int = LAST_SECONDS) -> SlotsView:
    """The slot table ends equal on both sides and serves the best; the exchange never had to refuse one too many.

    unsure: registrations that may stay uncertain until the next connection.   refused: OPSP0008 that a fault answers.
    """
    [opened] = played.of(DayOpened)
    hub = played.witness.hub
    assert hub["peak"] <= CAPACITY + 1
    assert "OPSP0008" not in hub["refusals"], hub["refusals"]
    over = [event for event in played.of(RegistrationRefused) if event.kind == "over_capacity"]
    assert len(over) == refused
    last_at = opened.hours.close_at - last_seconds * SECOND_US
    last = [one for one in compared(played) if one.moment.now < last_at][-1]
    assert last_at - last.moment.now < LAST_SECONDS * SECOND_US, last.moment.clock
    assert last.moment.notice, "the execution notice is not registered"
    assert last.sure <= last.moment.held <= last.sure | last.unsure
    assert len(last.unsure) <= unsure, last.unsure
    check_best_served(slots_view(played.facts[: last.moment.seq]), last)
    return slots_view(played.facts[: last.moment.seq])


def check_best_served(view: SlotsView, last: Compared, capacity: int = CAPACITY) -> None:
    """Who waits for a slot waits for a reason: the table, or the class, is full of those who are as good or better."""
    held = Counter(line.priority for line in view.held)
    full = len(view.held) >= capacity
    assert held, last.moment.clock
    for line in view.waiting:
        match line.priority:
            case 1:
                assert full, (last.moment.clock, line, held)
                assert set(held) == {1}, (last.moment.clock, line, held)
            case 2:
                assert held[2] >= PICKS_CAP or (full and not held[3] + held[4]), (last.moment.clock, line, held)
            case _:
                assert held[3] >= SURGES_CAP or (full and not held[4]), (last.moment.clock, line, held)


def check_orders(played: Played, *, posts_lost: int = 0) -> None:
    """One POST an intent, nothing sent twice, and every order of the exchange is one intent of ours or known as foreign.

    posts_lost: order calls that never got as far as the exchange's door.
    """
    started = Counter(event.intent for event in played.of(OrderSendStarted))
    assert started, "a day without orders shows nothing"
    assert max(started.values()) == 1
    kinds = (OrderAccepted, OrderRefused, OrderUnknown, OrderExpired, OrderBlocked)
    outcomes = Counter(event.intent for kind in kinds for event in played.of(kind))
    assert set(outcomes) == {event.intent for event in played.of(OrderIntended)}
    assert max(outcomes.values()) == 1
    not_sent = sum(event.message_code == "NOT_SENT" for event in played.of(OrderRefused))
    not_sent += sum(event.intent in started for kind in (OrderExpired, OrderBlocked) for event in played.of(kind))
    cancels = len(played.of(CancelWanted))
    sent = len(started) - not_sent
    assert sent <= played.posts + posts_lost <= sent + cancels, (sent, cancels, played.posts)
    bound = {event.order_no: event.intent for event in played.of(OrderBound)}
    assert len(set(bound.values())) == len(bound) == len(played.of(OrderBound))
    external = {event.order_no for event in played.of(ExternalOrderSeen)}
    orders = played.orders
    assert set(bound) | external == set(orders)
    assert not set(bound) & external
    intents = {event.intent: event for event in played.of(OrderIntended)}
    for number, intent in bound.items():
        row, ours = orders[number], intents[intent]
        assert (row["code"], row["side"], row["qty"]) == (ours.code, ours.side, ours.qty), number


def check_books(played: Played) -> None:
    """The day ends sealed. It agrees with the exchange to the won, or says that it does not."""
    assert played.outcome.code in {codes.OK, codes.DIFFERS}, played.outcome.reason
    [closed] = played.of(DayClosed)
    last = played.of(DayReconciled)[-1]
    assert closed.reconciled == last.agrees == (played.outcome.code == codes.OK)
    ledger = played.witness.ledger
    ours = {row.code: (row.qty, row.cost_krw) for row in closed.positions}
    theirs = {row["code"]: (row["qty"], row["cost"]) for row in ledger["positions"] if row["qty"]}
    equal = ours == theirs and closed.cash_krw == ledger["cash"]["d2"]
    if closed.reconciled:
        assert equal
        filled: Counter[str] = Counter()
        for fill in played.of(OrderFilled):
            filled[fill.order_no] += fill.qty
        assert filled == {number: row["filled"] for number, row in played.orders.items() if row["filled"]}
    else:
        assert [event for event in played.of(AlertRaised) if "balance" in event.text]


def check_log(played: Played) -> None:
    """No owner was parked, and the day decides again to the same, event by event and tick by tick."""
    assert played.of(OwnerParked) == []
    assert played.verified.code == 0, played.verified.text


def check_day(played: Played, *, unsure: int = 0, refused: int = 0, posts_lost: int = 0) -> SlotsView:
    """All of it."""
    check_books(played)
    check_log(played)
    check_orders(played, posts_lost=posts_lost)
    return check_table(played, unsure=unsure, refused=refused)
