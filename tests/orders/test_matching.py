"""Which listed order is which intent: one that may be ours is never taken for another's, and the other way round."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from kquant.events.base import Event, Recorded
from kquant.events.day import HaltOrdered
from kquant.events.feed import ClockSkewed
from kquant.events.orders import (
    Execution,
    ExecutionsWanted,
    ExternalOrderSeen,
    OrderAccepted,
    OrderBound,
    OrderDenied,
    OrderFilled,
    OrderFinished,
    OrderFrozen,
    OrderIntended,
    OrderRefused,
    OrderSendStarted,
)
from kquant.values import SECOND_US, IntentId, Micros, Symbol
from tests.orders.orders_world import CODES, Broker, Ticket, World, holding, opened, with_settings

A, B = CODES[0], CODES[1]


def hold_answers(world: World) -> None:
    """From now on the broker places orders but its answers stay out until the test says them."""

    def placed(intent: OrderIntended) -> list[Event]:
        world.broker.place(intent.code, intent.side, intent.kind, intent.qty, intent.price, world.clock.now())
        return [OrderSendStarted(intent=intent.intent)]

    world._order = placed  # type: ignore[method-assign]


def accept(world: World, no: str) -> None:
    world.say("broker", OrderAccepted(intent=IntentId(1), order_no=no, branch="06010", time="090500"))


def test_a_listing_ahead_of_the_answer_is_neither_external_nor_booked_twice() -> None:
    world = opened()
    hold_answers(world)
    world.signal(A)
    ticket = world.broker.tickets[0]
    world.broker.fill(ticket, 100, 10_010)
    world.notice()
    assert (world.all(ExternalOrderSeen), world.all(OrderFilled)) == ([], [])
    accept(world, "1")
    world.broker.fill(ticket, ticket.leaves, 10_010)
    world.pass_time(10)
    assert world.all(ExternalOrderSeen) == []
    assert [fill.intent for fill in world.all(OrderFilled)] == [1, 1]
    assert sum(fill.qty for fill in world.all(OrderFilled)) == ticket.qty
    assert (world.portfolio.positions[A].qty, world.portfolio.cash_krw) == (ticket.qty, world.broker.cash)
    assert world.all(OrderFrozen) == []


def test_a_sell_listed_ahead_of_its_answer_is_not_taken_for_an_order_placed_elsewhere() -> None:
    world = holding()
    hold_answers(world)
    armed = world.own.armed[A][0]
    world.fire(_armed(armed.trigger), 9_000)
    world.broker.fill(world.broker.tickets[0], 100, 9_000)
    world.notice()
    assert (world.all(ExternalOrderSeen), world.all(OrderFilled)) == ([], [])
    accept(world, "1")
    assert [(fill.intent, fill.qty) for fill in world.all(OrderFilled)] == [(1, 100)]
    assert (world.portfolio.positions, world.portfolio.cash_krw) == ({}, world.broker.cash)


def test_a_listed_order_held_back_for_a_refused_intent_is_told_as_external_afterwards() -> None:
    world = opened()
    hold_answers(world)
    world.signal(A)
    world.broker.fill(world.broker.tickets[0], 10, 10_010)
    world.notice()
    world.say("broker", OrderRefused(intent=IntentId(1), message_code="APBK0919", message="no"))
    world.notice()
    assert [seen.order_no for seen in world.all(ExternalOrderSeen)] == ["1"]
    assert [(fill.intent, fill.qty) for fill in world.all(OrderFilled)] == [(None, 10)]


def lost_with_another(**differs: Any) -> tuple[World, Ticket]:
    """An intent whose answer and order are lost, beside an order that is alike but for what *differs* says."""
    world = World(Broker(outcomes=["lost"], shares={A: (1_000, 10_000_000)} if differs.get("side") else {}))
    world.until("09:05:00")
    if differs.get("side"):
        world.fire(_armed(world.own.armed[A][0].trigger), 9_000)
    else:
        world.signal(A)
    intent = world.last(OrderIntended)
    alike = {"code": intent.code, "side": intent.side, "kind": intent.kind, "qty": intent.qty, "price": intent.price}
    seconds = differs.pop("seconds", 0)
    ticket = world.broker.place(
        **{**alike, **differs}, at=Micros(world.clock.now() + seconds * SECOND_US)
    )  # fmt: skip
    return world, ticket


def _armed(trigger: int) -> Any:
    class Named:
        code = Symbol(A)

    Named.trigger = trigger  # type: ignore[attr-defined]
    return Named


@pytest.mark.parametrize("seconds", [-2, 0, 20])
def test_an_order_alike_in_everything_at_the_time_of_the_send_is_bound(seconds: int) -> None:
    world, ticket = lost_with_another(seconds=seconds)
    world.pass_time(30)
    assert [(bound.intent, bound.order_no) for bound in world.all(OrderBound)] == [(1, ticket.no)]
    assert world.all(ExternalOrderSeen) == []


@pytest.mark.parametrize(("seconds", "is_bound"), [(0, True), (50, True), (51, False)])
def test_a_lost_sell_may_have_waited_for_its_turn_before_it_was_sent(seconds: int, is_bound: bool) -> None:
    """30 s of `exits.valid_seconds` come on top of what a buy may take."""
    world, _ = lost_with_another(side="sell", seconds=seconds)
    world.pass_time(30)
    assert [bound.intent for bound in world.all(OrderBound)] == [1] * is_bound


@pytest.mark.parametrize(
    "differs",
    [
        {"qty": 1},
        {"price": 10_010},
        {"kind": "market"},
        {"seconds": -3},
        {"seconds": 21},
        {"side": "buy"},
        {"code": B},
    ],
    ids=str,
)
def test_an_order_that_differs_in_one_thing_is_not_taken_for_the_lost_one(differs: dict[str, Any]) -> None:
    world, ticket = lost_with_another(**differs)
    world.broker.fill(ticket, 1, 10_000)
    world.pass_time(90)
    assert world.all(OrderBound) == []
    assert world.last(OrderFinished).outcome == "not_placed"
    assert [seen.order_no for seen in world.all(ExternalOrderSeen)] == [ticket.no]
    assert [(fill.intent, fill.qty) for fill in world.all(OrderFilled)] == [(None, 1)]


@pytest.mark.parametrize("skew", [90, -90])
@pytest.mark.parametrize(("off", "is_bound"), [(0, True), (90, True), (111, False)])
def test_while_clocks_differ_the_brokers_times_are_taken_to_be_off_by_that_much(
    skew: int, off: int, is_bound: bool
) -> None:
    """reliability D40: the order is there, whatever the time beside it says."""
    world, _ = lost_with_another(seconds=off if skew > 0 else -off)
    world.say("feed", ClockSkewed(seconds=skew))
    world.pass_time(30)
    assert [bound.intent for bound in world.all(OrderBound)] == [1] * is_bound


def test_nothing_is_bought_while_clocks_differ_and_a_sell_still_goes() -> None:
    """reliability O8"""
    world = holding()
    world.say("feed", ClockSkewed(seconds=-30))
    world.signal(B)
    assert [(denied.rule, denied.value) for denied in world.all(OrderDenied)] == [("CLOCK_SKEW", -30)]
    world.fire(_armed(world.own.armed[A][0].trigger), 9_000)
    assert world.last(OrderIntended).side == "sell"
    world.say("feed", ClockSkewed(seconds=0))
    world.signal(B)
    assert world.last(OrderIntended).side == "buy"


def test_an_order_known_as_external_is_never_bound_to_a_later_intent_alike() -> None:
    broker = Broker(outcomes=["lost"])
    world = opened(broker)
    ticket = broker.place(A, "buy", "limit", 797, 10_020, world.clock.now())
    world.notice()
    assert [seen.order_no for seen in world.all(ExternalOrderSeen)] == [ticket.no]
    world.signal(A)
    ticket.qty = world.last(OrderIntended).qty
    world.pass_time(90)
    assert world.all(OrderBound) == []


def test_no_buy_of_any_stock_while_halted_and_the_denial_says_so() -> None:
    world = opened()
    world.say("operator", HaltOrdered(who="kim", reason="lunch"))
    for code in CODES:
        world.signal(code)
    assert world.all(OrderIntended) == []
    assert [refusal.rule for refusal in world.all(OrderDenied)] == ["HALTED"] * len(CODES)


def test_a_listed_market_order_is_bound_whatever_price_the_list_shows() -> None:
    world, ticket = lost_with_another(side="sell", price=9_000)
    world.pass_time(3)
    assert [bound.order_no for bound in world.all(OrderBound)] == [ticket.no]


class Listed:
    """A row as the test wants it listed, in a ticket's place."""

    def __init__(self, row: Execution, **changed: Any) -> None:
        self.no, self._row = row.order_no, structs.replace(row, **changed)

    def row(self) -> Execution:
        return self._row


def test_a_changed_order_is_not_taken_for_the_lost_one() -> None:
    world, ticket = lost_with_another()
    world.broker.tickets = [Listed(ticket.row(), original_order_no="77")]  # type: ignore[list-item]
    world.pass_time(90)
    assert world.all(OrderBound) == []


def test_a_cancel_in_the_list_is_no_order() -> None:
    world = opened()
    ticket = world.broker.place(B, "buy", "limit", 10, 10_000, world.clock.now())
    world.broker.tickets = [Listed(ticket.row(), is_cancel=True)]  # type: ignore[list-item]
    world.notice()
    assert world.all(ExternalOrderSeen) == []


def test_a_lost_order_is_not_taken_for_an_earlier_one_of_ours_alike() -> None:
    settings = with_settings(lambda s: {"risk": structs.replace(s.risk, repeat_seconds=0)})
    world = opened(Broker(outcomes=["accept", "lost"]), settings=settings)
    world.signal(A)
    world.broker.tickets[0].cancelled = world.broker.tickets[0].qty
    world.notice()
    world.signal(A)
    first, second = world.all(OrderIntended)
    assert (first.qty, first.price) == (second.qty, second.price)
    world.pass_time(90)
    assert [bound.intent for bound in world.all(OrderBound)] == [1]
    assert world.last(OrderFinished).outcome == "not_placed"


def test_an_order_placed_elsewhere_beside_a_working_one_of_ours_is_external_at_once() -> None:
    world = opened()
    world.signal(A)
    other = world.broker.place(A, "buy", "limit", 5, 9_900, world.clock.now())
    world.notice()
    assert [seen.order_no for seen in world.all(ExternalOrderSeen)] == [other.no]


@pytest.mark.parametrize("changed", [{"code": B}, {"side": "sell"}, {"filled_qty": 10**6}], ids=str)
def test_a_number_of_ours_listed_as_something_else_freezes_the_stock_and_books_nothing(changed: dict[str, Any]) -> None:
    world = opened()
    world.signal(A)
    world.broker.fill(world.broker.tickets[0], 5, 10_010)
    world.broker.tickets = [Listed(world.broker.tickets[0].row(), **changed)]  # type: ignore[list-item]
    world.notice()
    assert [frozen.code for frozen in world.all(OrderFrozen)] == [A]
    assert world.all(OrderFilled) == []


def test_an_order_number_given_twice_freezes_the_second_stock_and_the_list_tells_its_own() -> None:
    world = opened()
    world.signal(A)
    hold_answers(world)
    world.signal(B)
    world.say("broker", OrderAccepted(intent=IntentId(2), order_no="1", branch="06010", time="090500"))
    assert [frozen.code for frozen in world.all(OrderFrozen)] == [B]
    assert [(bound.intent, bound.order_no) for bound in world.all(OrderBound)] == [(1, "1"), (2, "2")]


def test_a_refusal_after_an_unknown_outcome_ends_nothing() -> None:
    world = opened(Broker(outcomes=["lost"]))
    world.signal(A)
    world.say("broker", OrderRefused(intent=IntentId(1), message_code="APBK0919", message="no"))
    assert world.all(OrderFinished) == []


def test_a_listing_asked_for_before_the_session_was_surely_over_ends_no_order() -> None:
    world = opened()
    world.until("15:19:50")
    world.signal(A)
    world.broker.cancels = ["refuse"] * 10
    serve, asked = world._answer, []

    def keep_back(fact: Recorded) -> None:
        if isinstance(fact.event, ExecutionsWanted):
            asked.append(fact)
        else:
            serve(fact)

    world._answer = keep_back  # type: ignore[method-assign]
    world.until("15:30:00")
    world.job("session_closed")
    world.until("15:30:41")
    assert asked
    assert world.own.alarms["final"] <= world.clock.now()
    serve(asked.pop())
    world.runtime.settle()
    assert world.all(OrderFinished) == []
    world.until("15:30:43")
    serve(asked.pop())
    world.runtime.settle()
    assert world.last(OrderFinished).outcome == "expired"


def test_a_number_that_a_list_gives_to_two_orders_is_not_guessed_o7() -> None:
    """The branch decides which is ours; without that the stock is frozen and neither is booked."""
    world = opened()
    world.signal(A)
    ours = world.broker.tickets[0]
    plain = world.broker.place(A, "buy", "limit", 5, 10_000, world.clock.now())
    world.broker.fill(plain, 5, 10_000)
    plain.no, row = ours.no, plain.row
    plain.row = lambda: structs.replace(row(), branch="91252")  # type: ignore[method-assign]
    world.notice()
    assert world.all(OrderFilled) == []
    assert [frozen.code for frozen in world.all(OrderFrozen)] == [A]
    world.broker.fill(ours, 100, 10_010)
    world.notice()
    assert [(fill.intent, fill.qty) for fill in world.all(OrderFilled)] == [(1, 100)]
    plain.row = row  # type: ignore[method-assign]
    world.broker.fill(ours, 100, 10_010)
    world.notice()
    assert [(fill.intent, fill.qty) for fill in world.all(OrderFilled)] == [(1, 100)], "both of one branch"
