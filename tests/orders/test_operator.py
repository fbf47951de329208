"""What a person orders: a halt between a signal and its intent, a holding sold, a real account armed for the day."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from kquant.events.base import Event
from kquant.events.day import AlertRaised, ArmOrdered, DisarmOrdered, FlattenOrdered, HaltOrdered, ResumeOrdered
from kquant.events.orders import (
    CancelWanted,
    EntriesHalted,
    ExitPostponed,
    OrderAccepted,
    OrderDenied,
    OrderIntended,
    QuoteAnswered,
    QuoteWanted,
    TriggerArmed,
)
from kquant.events.portfolio import PositionClosed
from kquant.settings import Settings
from tests.orders.orders_world import CODES, DAY, Broker, Ticket, World, by_kind, holding, opened, with_settings
from tests.orders.test_replace import check, hold

A, B, C = CODES[0], CODES[1], CODES[2]
TODAY = DAY.isoformat()
ARMED = ArmOrdered(who="kim", day=TODAY, limits="x")


def live(**risk: Any) -> Settings:
    return with_settings(
        lambda s: {
            "broker": structs.replace(s.broker, exchange="live"),
            "risk": structs.replace(s.risk, **risk),
        }
    )


def operator(world: World, event: Event) -> None:
    world.say("operator", event)
    world.assert_recovers()


def sells(world: World) -> list[tuple[str, str]]:
    return [(intent.code, intent.reason) for intent in world.all(OrderIntended) if intent.side == "sell"]


def buys(world: World) -> list[str]:
    return [intent.code for intent in world.all(OrderIntended) if intent.side == "buy"]


def fill_all(world: World, price: int = 10_000) -> None:
    for ticket in world.broker.tickets:
        world.broker.fill(ticket, ticket.leaves, price)
    world.pass_time(35)


def answered(world: World) -> QuoteAnswered:
    wanted = world.last(QuoteWanted)
    quote = world._quote(wanted)
    assert isinstance(quote, QuoteAnswered)
    return quote


def test_d65_a_halt_between_a_signal_and_its_confirmed_price_stops_the_buy() -> None:
    """`reliability` D65: the price is asked for over HTTPS in between, and the halt comes meanwhile."""
    world = opened(Broker(quotes="hold"))
    world.signal(A)
    [wanted] = [fact for fact in world.facts() if isinstance(fact.event, QuoteWanted)]
    operator(world, HaltOrdered(who="kim", reason="stop"))
    world.say("rest", answered(world), caused_by=wanted.seq)
    assert buys(world) == []
    assert world.last(OrderDenied).rule == "HALTED"


def test_a_disarming_between_a_signal_and_its_confirmed_price_stops_the_buy() -> None:
    world = opened(Broker(quotes="hold"), settings=live())
    operator(world, ARMED)
    world.signal(A)
    [wanted] = [fact for fact in world.facts() if isinstance(fact.event, QuoteWanted)]
    operator(world, DisarmOrdered(who="kim", reason="stop"))
    world.say("rest", answered(world), caused_by=wanted.seq)
    assert buys(world) == []
    assert world.last(OrderDenied).rule == "NOT_ARMED"


def test_one_holding_is_sold_on_a_persons_word_and_cools_down_while_others_stay() -> None:
    world = opened(Broker(shares={A: (100, 1_000_000), B: (50, 500_000)}))
    operator(world, FlattenOrdered(who="kim", reason="news", code=A))
    assert sells(world) == [(A, "operator")]
    fill_all(world)
    assert world.last(PositionClosed).code == A
    assert set(by_kind(world, B)) == {"stop", "target", "trailing"}
    assert world.all(EntriesHalted) == []
    world.signal(A)
    assert world.last(OrderDenied).rule == "COOLDOWN"
    world.signal(C)
    assert buys(world) == [C]


def test_flattening_everything_sells_every_holding_cancels_buys_and_halts_entries() -> None:
    world = opened(Broker(shares={A: (100, 1_000_000), B: (50, 500_000)}))
    world.signal(C)
    operator(world, FlattenOrdered(who="kim", reason="enough"))
    assert sorted(sells(world)) == [(A, "operator"), (B, "operator")]
    assert [cancel.intent for cancel in world.all(CancelWanted)] == [1]
    assert world.last(EntriesHalted).reason == "kim: everything is sold: enough"
    world.signal(CODES[3])
    assert world.last(OrderDenied).rule == "HALTED"


def test_a_buy_that_filled_before_its_cancel_is_sold_with_everything_else() -> None:
    """Cancelled is not cancelled until the list says so (`reliability` C1, Kiwoom 2025)."""
    world = opened(Broker(cancels=["refuse"]))
    world.signal(A)
    operator(world, FlattenOrdered(who="kim", reason="enough"))
    assert sells(world) == []
    fill_all(world)
    world.pass_time(30)
    assert sells(world) == [(A, "operator")]


def test_after_resuming_a_new_buy_is_not_taken_for_one_that_was_to_go() -> None:
    world = opened(Broker(shares={A: (100, 1_000_000)}), settings=with_settings(lambda s: {}))
    operator(world, FlattenOrdered(who="kim", reason="enough"))
    fill_all(world)
    operator(world, ResumeOrdered(who="kim", reason="again"))
    world.signal(B)
    fill_all(world, 10_010)
    world.pass_time(30)
    assert sells(world) == [(A, "operator")]
    assert set(by_kind(world, B)) == {"stop", "target", "trailing"}


def test_a_holding_ordered_out_is_offered_again_until_it_is_gone() -> None:
    """The same rules as every exit: refused, it waits and goes again; partly filled, the rest follows."""
    world = holding(100)
    world.broker.outcomes = ["refuse"]
    operator(world, FlattenOrdered(who="kim", reason="news", code=A))
    world.pass_time(60)
    assert sells(world) == [(A, "operator")] * 2
    assert len(world.broker.tickets) == 1
    fill_all(world)
    assert world.last(PositionClosed).code == A


def test_what_is_being_sold_already_is_not_offered_twice() -> None:
    world = holding()
    world.fire(by_kind(world)["stop"], 9_690)
    operator(world, FlattenOrdered(who="kim", reason="news", code=A))
    operator(world, FlattenOrdered(who="kim", reason="news"))
    assert sells(world) == [(A, "stop")]


def test_what_is_not_held_is_answered_with_nothing() -> None:
    world = opened()
    operator(world, FlattenOrdered(who="kim", reason="news", code=A))
    assert world.all(OrderIntended) == []


def test_a_real_account_buys_nothing_until_it_is_armed_for_that_day() -> None:
    world = opened(settings=live(repeat_seconds=0))
    world.signal(A)
    assert (world.last(OrderDenied).rule, world.all(QuoteWanted)) == ("NOT_ARMED", [])
    operator(world, structs.replace(ARMED, day="2026-11-19"))
    world.signal(A)
    assert buys(world) == []
    operator(world, ARMED)
    world.signal(A)
    assert buys(world) == [A]
    operator(world, DisarmOrdered(who="kim", reason="lunch"))
    world.signal(B)
    assert buys(world) == [A]
    assert world.last(OrderDenied).rule == "NOT_ARMED"


@pytest.mark.parametrize("exchange", ["embedded", "paper"])
def test_what_trades_no_real_money_needs_no_arming(exchange: str) -> None:
    world = opened(settings=with_settings(lambda s: {"broker": structs.replace(s.broker, exchange=exchange)}))
    world.signal(A)
    assert buys(world) == [A]


def test_an_exit_that_is_due_unarmed_waits_says_so_and_goes_once_it_is_armed() -> None:
    world = holding(settings=live())
    world.fire(by_kind(world)["stop"], 9_000)
    assert sells(world) == []
    postponed = world.last(ExitPostponed)
    assert (postponed.code, postponed.reason, postponed.rule) == (A, "stop", "NOT_ARMED")
    assert "kquant arm" in world.last(AlertRaised).text
    operator(world, ARMED)
    world.pass_time(1)
    world.fire(by_kind(world)["stop"], 9_000)
    assert sells(world) == [(A, "stop")]


def test_a_stop_that_stays_due_unarmed_all_day_does_not_flood_the_log() -> None:
    world = holding(settings=live())
    before = len(world.facts())
    for _ in range(60):
        if (stop := by_kind(world).get("stop")) is not None:
            world.fire(stop, 9_000)
        world.pass_time(60)
    assert len(world.all(ExitPostponed)) <= 12, "at most one in five minutes"
    assert len(world.facts()) - before < 60 * 12


def test_disarming_cancels_the_buys_that_work_and_lets_a_sell_that_left_go_on() -> None:
    world = opened(Broker(shares={A: (100, 1_000_000)}), settings=live())
    operator(world, ARMED)
    world.signal(B)
    world.fire(by_kind(world)["stop"], 9_690)
    operator(world, DisarmOrdered(who="kim", reason="lunch"))
    assert [cancel.intent for cancel in world.all(CancelWanted)] == [1]
    assert len(world.all(TriggerArmed)) == 3


def test_what_is_ordered_out_unarmed_goes_as_soon_as_it_is_armed() -> None:
    world = holding(settings=live())
    operator(world, FlattenOrdered(who="kim", reason="news", code=A))
    assert sells(world) == []
    assert world.last(ExitPostponed).reason == "operator"
    operator(world, ARMED)
    world.pass_time(1)
    assert sells(world) == [(A, "operator")]


# -- what a flatten order covers: held or in flight when it was given --------------------------------------------


def accept(world: World, intent: OrderIntended) -> Ticket:
    """The broker's answer to a held order comes."""
    ticket = world.broker.place(A, "buy", intent.kind, intent.qty, intent.price, world.clock.now())
    said = OrderAccepted(intent=intent.intent, order_no=ticket.no, branch="06010", time=ticket.time)
    world.say("broker", said)
    return ticket


def flattened_in_flight(code: str | None, **rest: Any) -> tuple[World, OrderIntended]:
    """A buy of A is on its way, its answer still out, when a person orders it flat."""
    world = opened(**rest)
    waiting = hold(world)
    world.signal(A)
    operator(world, FlattenOrdered(who="kim", reason="news", code=code))
    del world._order
    return world, waiting[0]


@pytest.mark.parametrize("code", [A, None])
def test_a_buy_in_flight_is_cancelled_as_soon_as_it_can_be_and_what_filled_of_it_is_sold(code: str | None) -> None:
    world, intent = flattened_in_flight(code, broker=Broker(cancels=["refuse", "refuse"]))
    ticket = accept(world, intent)
    assert [cancel.intent for cancel in world.all(CancelWanted)] == [intent.intent]
    world.broker.fill(ticket, 100, 10_010)
    world.notice(ticket.no)
    assert sells(world) == [(A, "operator")]
    world.broker.fill(world.broker.tickets[-1], 100, 10_000)
    world.broker.fill(ticket, 50, 10_010)
    world.pass_time(60)
    assert sells(world) == [(A, "operator")] * 2, "what it brings after the first sell goes as well"
    assert len(world.all(CancelWanted)) > 1
    check(world)


def test_a_signal_whose_price_was_being_confirmed_when_its_stock_was_ordered_flat_buys_nothing() -> None:
    world = opened(Broker(quotes="hold"))
    world.signal(A)
    world.signal(B)
    first, second = [fact for fact in world.facts() if isinstance(fact.event, QuoteWanted)]
    operator(world, FlattenOrdered(who="kim", reason="news", code=A))
    for wanted in (first, second):
        quote = world._quote(wanted.event)  # type: ignore[arg-type]
        world.say("rest", quote, caused_by=wanted.seq)
    assert buys(world) == [B]
    assert [(one.code, one.rule) for one in world.all(OrderDenied)] == [(A, "FLATTENING")]


def test_a_new_signal_after_a_stock_was_ordered_flat_is_a_new_decision() -> None:
    world, intent = flattened_in_flight(
        A, settings=with_settings(lambda s: {"risk": structs.replace(s.risk, repeat_seconds=0)})
    )
    accept(world, intent)
    world.pass_time(30)
    world.signal(A)
    assert buys(world) == [A, A]
    fill_all(world, 10_010)
    assert sells(world) == []
    assert set(by_kind(world)) == {"stop", "target", "trailing"}


@pytest.mark.parametrize("code", [A, None])
@pytest.mark.parametrize("when", ["sold before", "in flight", "in flight and filled"])
def test_what_a_person_buys_later_is_kept_though_we_bought_that_stock_earlier(when: str, code: str | None) -> None:
    """The order was done when what it covered was gone."""
    if when == "sold before":
        world = opened()
        world.signal(A)
        fill_all(world, 10_010)
        world.fire(by_kind(world)["stop"], 9_000)
        fill_all(world)
        operator(world, FlattenOrdered(who="kim", reason="enough", code=code))
    else:
        world, intent = flattened_in_flight(code)
        ticket = accept(world, intent)
        world.broker.fill(ticket, 100 if "filled" in when else 0, 10_010)
        world.notice(ticket.no)
        fill_all(world)
    world.pass_time(60)
    assert A not in world.portfolio.positions
    before = sells(world)
    ticket = world.broker.place(A, "buy", "limit", 10, 10_000, world.clock.now())
    world.broker.fill(ticket, 10, 10_000)
    world.notice(ticket.no)
    world.pass_time(30)
    assert world.portfolio.positions[A].qty == 10
    assert sells(world) == before
    assert set(by_kind(world)) == {"stop", "target", "trailing"}
    check(world)
