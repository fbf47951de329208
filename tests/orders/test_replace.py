"""A buy that does not fill is replaced at the price of now (정정): one exposure, whatever races what (D8, D9)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from kquant.domain.orders.seen import Seen, observe
from kquant.domain.orders.sizing import bought_krw, reserved_krw
from kquant.events.base import Event
from kquant.events.day import FlattenOrdered, HaltOrdered
from kquant.events.orders import (
    CancelWanted,
    Execution,
    ExternalOrderSeen,
    OrderAccepted,
    OrderBound,
    OrderDenied,
    OrderFilled,
    OrderFinished,
    OrderFrozen,
    OrderIntended,
    OrderRefused,
    OrderResized,
    OrderSendStarted,
    OrderUnknown,
    QuoteWanted,
)
from kquant.settings import Settings
from kquant.values import IntentId
from tests.orders.lives import lives
from tests.orders.orders_world import CODES, Broker, World, by_kind, opened, with_settings

A, B = CODES[0], CODES[1]


def replacing(**changed: Any) -> Settings:
    plain = {"unfilled": "replace", "max_replaces": 2, "resting_seconds": 30, "repeat_seconds": 0}
    return with_settings(lambda s: {"risk": structs.replace(s.risk, **(plain | changed))})


def resting(broker: Broker | None = None, *, at: tuple[int, int] = (10_050, 10_060), **changed: Any) -> World:
    """A buy of A at 10,020 that rests, while the price has gone on to *at* (last, ask)."""
    world = opened(broker, settings=replacing(**changed))
    world.signal(A)
    world.broker.prices[A] = at
    return world


def outcomes(world: World) -> list[tuple[int, str]]:
    return [(done.intent, done.outcome) for done in world.all(OrderFinished)]


def held_cash(world: World) -> int:
    seen = Seen()
    for fact in world.facts():
        if fact.stream != "orders":
            seen = observe(seen, fact)
    return reserved_krw(world.own, seen)


def hold(world: World) -> list[OrderIntended]:
    """From now on sends begin and their answers stay out; returns where the intents gather."""
    waiting: list[OrderIntended] = []

    def begun(intent: OrderIntended) -> list[Event]:
        waiting.append(intent)
        return [OrderSendStarted(intent=intent.intent)]

    world._order = begun  # type: ignore[method-assign]
    return waiting


def check(world: World) -> None:
    lives(world.facts())
    world.assert_recovers()


def test_a_resting_buy_is_replaced_at_the_confirmed_price() -> None:
    world = resting()
    world.pass_time(35)
    first, second = world.all(OrderIntended)
    assert (second.replaces, second.reason, second.qty, second.price) == (first.intent, "replace", first.qty, 10_070)
    assert second.decision == first.decision
    wanted = world.all(QuoteWanted)[-1]
    assert (wanted.why, wanted.decision) == ("replace", first.decision)
    assert world.journal.read(second.quote - 1, 1)[0].name == "quote.answered"
    assert outcomes(world) == [(1, "replaced")]
    assert world.all(CancelWanted) == []
    assert lives(world.facts())[IntentId(1)][-1] == "replaced"
    check(world)


def test_a_replacement_fills_and_the_position_is_that_of_one_order() -> None:
    world = resting()
    world.broker.fill(world.broker.tickets[0], 100, 10_020)
    world.pass_time(35)
    first, second = world.all(OrderIntended)
    assert second.qty == first.qty - 100
    world.broker.fill(world.broker.tickets[1], 10**6, 10_070)
    world.pass_time(10)
    assert world.portfolio.positions[A].qty == first.qty
    assert world.portfolio.cash_krw == world.broker.cash
    assert outcomes(world) == [(1, "replaced"), (2, "filled")]
    assert held_cash(world) == 0
    check(world)


def test_replaced_so_often_it_is_cancelled() -> None:
    world = resting(max_replaces=1)
    world.pass_time(31)
    world.broker.prices[A] = (10_070, 10_080)
    world.pass_time(60)
    assert len(world.all(OrderIntended)) == 2
    assert [wanted.intent for wanted in world.all(CancelWanted)] == [2]
    assert outcomes(world) == [(1, "replaced"), (2, "cancelled")]
    check(world)


def test_a_price_that_did_not_move_leaves_the_order_and_is_looked_at_again() -> None:
    world = resting(at=(10_000, 10_010))
    world.pass_time(35)
    assert (len(world.all(OrderIntended)), world.all(CancelWanted)) == (1, [])
    world.broker.prices[A] = (10_050, 10_060)
    world.pass_time(30)
    assert [intent.price for intent in world.all(OrderIntended)] == [10_020, 10_070]


def test_looks_are_bounded_as_replacements_are() -> None:
    world = resting(at=(10_000, 10_010))
    world.pass_time(100)
    assert len([wanted for wanted in world.all(QuoteWanted) if wanted.why == "replace"]) == 2
    assert outcomes(world) == [(1, "cancelled")]


@pytest.mark.parametrize(
    ("at", "changed"),
    [
        ((10_500, 10_700), {}),
        ((10_050, 10_060), {"max_order_krw": 8_000_000, "position_share_bp": 800}),
        ((10_050, 10_060), {"unfilled": "cancel"}),
    ],
    ids=["beyond the collar", "more than an order may cost", "cancel is the setting"],
)
def test_what_the_rules_do_not_allow_is_cancelled_instead(at: tuple[int, int], changed: dict[str, Any]) -> None:
    world = resting(at=at, **changed)
    world.pass_time(35)
    assert len(world.all(OrderIntended)) == 1
    assert outcomes(world) == [(1, "cancelled")]


def test_without_a_price_it_is_cancelled() -> None:
    world = resting()
    world.broker.quotes = "fail"
    world.pass_time(35)
    assert outcomes(world) == [(1, "cancelled")]


def test_entries_halted_meanwhile_it_is_cancelled() -> None:
    world = resting()
    world.say("operator", HaltOrdered(who="kim", reason="lunch"))
    world.pass_time(35)
    assert (len(world.all(OrderIntended)), outcomes(world)) == (1, [(1, "cancelled")])


def test_shares_that_filled_in_the_race_make_the_replacement_smaller() -> None:
    """D8: the original fills between the decision and the change."""
    world = resting()
    world.broker.race = 300
    world.pass_time(35)
    first, second = world.all(OrderIntended)
    assert second.qty == first.qty
    assert [(resized.intent, resized.qty) for resized in world.all(OrderResized)] == [(2, first.qty - 300)]
    world.broker.fill(world.broker.tickets[1], 10**6, 10_070)
    world.pass_time(10)
    assert outcomes(world) == [(1, "replaced"), (2, "filled")]
    assert world.portfolio.positions[A].qty == first.qty
    assert world.portfolio.cash_krw == world.broker.cash
    check(world)


def test_an_original_that_filled_whole_in_the_race_refuses_its_replacement() -> None:
    """D9"""
    world = resting()
    world.broker.race = 10**6
    world.pass_time(60)
    assert sorted(outcomes(world)) == [(1, "filled"), (2, "refused")]
    assert world.all(CancelWanted) == []
    check(world)


@pytest.mark.parametrize(("outcome", "ended"), [("refuse", "refused"), ("expire", "expired")])
def test_a_replacement_that_did_not_leave_leaves_the_original_which_is_cancelled(outcome: str, ended: str) -> None:
    world = resting()
    world.broker.outcomes = [outcome]
    world.pass_time(30)
    assert outcomes(world)[0] == (2, ended)
    assert world.own.orders[IntentId(1)].state == "working"
    world.pass_time(5)
    assert [wanted.intent for wanted in world.all(CancelWanted)] == [1]
    assert outcomes(world)[1] == (1, "cancelled")
    check(world)


def test_an_unknown_replacement_is_bound_by_the_number_it_changes() -> None:
    """O7: exact, not by likeness; the clock of the list is no part of it."""
    world = resting(Broker(outcomes=["accept", "unknown"]))
    world.pass_time(35)
    assert [(bound.intent, bound.order_no) for bound in world.all(OrderBound)] == [(1, "1"), (2, "2")]
    assert outcomes(world) == [(1, "replaced")]
    assert world.all(ExternalOrderSeen) == []
    check(world)


@pytest.mark.parametrize("rows", ["none", "another's"])
def test_while_a_replacement_is_unknown_neither_is_touched_and_the_stock_is_not_bought(rows: str) -> None:
    world = resting(Broker(outcomes=["accept", "lost"]))
    world.pass_time(31)
    if rows == "another's":
        first = world.all(OrderIntended)[0]
        world.broker.place(A, "buy", "limit", first.qty, 10_070, world.clock.now())
    world.pass_time(55)
    assert (world.all(CancelWanted), len(world.all(OrderIntended)), outcomes(world)) == ([], 2, [])
    world.signal(A)
    assert world.last(OrderDenied).rule in {"NOT_READY", "OPEN_ORDER"}
    world.pass_time(15)
    assert outcomes(world)[0] == (2, "not_placed")
    assert [frozen.code for frozen in world.all(OrderFrozen)] == [A]
    world.pass_time(5)
    assert [wanted.intent for wanted in world.all(CancelWanted)] == [1]
    assert [seen.order_no for seen in world.all(ExternalOrderSeen)] == (["2"] if rows == "another's" else [])
    check(world)


def test_a_replacement_given_up_that_appears_late_is_bound_and_cancelled() -> None:
    world = resting(Broker(outcomes=["accept", "late"]))
    world.pass_time(90)
    assert (2, "not_placed") in outcomes(world)
    world.broker.hidden.clear()
    world.notice()
    assert world.last(OrderBound).intent == 2
    world.pass_time(10)
    assert outcomes(world)[-1] == (2, "cancelled")
    check(world)


def test_an_unknown_replacement_of_an_order_that_filled_whole_is_over() -> None:
    world = resting(Broker(outcomes=["accept", "lost"]))
    world.pass_time(31)
    world.broker.fill(world.broker.tickets[0], 10**6, 10_020)
    world.pass_time(8)
    assert sorted(outcomes(world)) == [(1, "filled"), (2, "not_placed")]
    assert world.all(OrderFrozen) == []
    check(world)


def test_a_replacement_that_the_exchange_rejects_afterwards_leaves_the_original_which_is_cancelled() -> None:
    """kis-protocol 4.6: taken by the broker is not taken by the exchange."""
    world = resting()
    place = world.broker.change

    def rejected(old: Any, price: int, at: Any) -> Any:
        ticket = place(old, price, at)
        old.cancelled, ticket.rejected = 0, ticket.qty
        return ticket

    world.broker.change = rejected  # type: ignore[method-assign]
    world.pass_time(40)
    assert outcomes(world) == [(2, "refused"), (1, "cancelled")]
    check(world)


def test_an_order_of_ours_that_was_changed_by_hand_is_replaced_by_an_external_one() -> None:
    """D11: the new number is not ours and is never touched."""
    world = resting(unfilled="cancel")
    new = world.broker.change(world.broker.tickets[0], 10_030, world.clock.now())
    world.broker.fill(new, 10, 10_030)
    world.notice()
    assert outcomes(world) == [(1, "replaced")]
    assert [seen.order_no for seen in world.all(ExternalOrderSeen)] == ["2"]
    assert [(fill.intent, fill.qty) for fill in world.all(OrderFilled)] == [(None, 10)]
    world.pass_time(120)
    assert world.all(CancelWanted) == []
    assert world.portfolio.cash_krw == world.broker.cash


@pytest.mark.parametrize("way", ["up", "down"])
def test_cash_is_set_aside_once_at_the_dearer_price_while_both_may_live(way: str) -> None:
    """M1: never below zero, never twice."""
    world = resting(at=(10_050, 10_060) if way == "up" else (9_900, 9_910))
    world.broker.fill(world.broker.tickets[0], 100, 10_020)
    world.notice()
    waiting = hold(world)
    world.pass_time(30)
    (second,) = waiting
    first = world.all(OrderIntended)[0]
    dearer = max(10_020, second.price)
    amount = (first.qty - 100) * dearer
    held = held_cash(world)
    assert amount <= held <= amount + amount * 140 // 1_000_000 + 2
    total = 100 * 10_020 + amount
    assert total <= bought_krw(world.own) <= total + total * 140 // 1_000_000 + 3
    world.say("broker", OrderRefused(intent=second.intent, message_code="APBK0400", message="no"))
    left = (first.qty - 100) * 10_020
    assert left <= held_cash(world) <= left + left * 140 // 1_000_000 + 2


def test_a_stock_that_is_being_sold_is_not_bought_on_at_a_better_price() -> None:
    world = resting()
    world.broker.fill(world.broker.tickets[0], 100, 10_020)
    world.notice()
    world.broker.cancels = ["refuse"]
    world.fire(by_kind(world)["stop"], 9_000)
    world.pass_time(100)
    assert [intent.side for intent in world.all(OrderIntended)] == ["buy", "sell"]
    assert {wanted.intent for wanted in world.all(CancelWanted)} == {1}


def test_a_stock_that_is_being_sold_is_rid_of_a_replacement_as_soon_as_it_has_a_number() -> None:
    world = resting()
    world.broker.fill(world.broker.tickets[0], 100, 10_020)
    world.notice()
    waiting = hold(world)
    world.pass_time(30)
    world.fire(by_kind(world)["stop"], 9_000)
    assert world.all(CancelWanted) == []
    new = world.broker.change(world.broker.tickets[0], waiting[0].price, world.clock.now())
    world.say("broker", OrderAccepted(intent=waiting[0].intent, order_no=new.no, branch="06010", time=new.time))
    assert [wanted.intent for wanted in world.all(CancelWanted)] == [2]
    check(world)


def test_a_stock_that_a_person_wants_sold_is_not_bought_on() -> None:
    world = resting()
    world.broker.fill(world.broker.tickets[0], 100, 10_020)
    world.notice()
    world.broker.cancels = ["refuse", "refuse"]
    world.say("operator", FlattenOrdered(who="kim", reason="enough", code=A))
    world.pass_time(100)
    assert [intent.side for intent in world.all(OrderIntended)] == ["buy", "sell"]


def test_a_restart_while_a_replacement_is_on_its_way_ends_in_the_same_place() -> None:
    world = resting()
    waiting = hold(world)
    world.pass_time(31)
    world.say("broker", OrderUnknown(intent=waiting[0].intent, why="the process ended during the send"))
    world.assert_recovers()
    world.broker.change(world.broker.tickets[0], waiting[0].price, world.clock.now())
    world.pass_time(10)
    assert world.own.by_number == {"1": 1, "2": 2}
    check(world)


class Shown:
    """A row that the list shows whatever has become of its order."""

    def __init__(self, row: Execution, **changed: Any) -> None:
        self.no, self.code, self.side, self.leaves = row.order_no, row.code, row.side, row.leaves_qty
        self._row = structs.replace(row, **changed)

    def row(self) -> Execution:
        return self._row


def test_an_original_that_the_list_shows_open_for_longer_is_neither_cancelled_nor_counted() -> None:
    """D10: the row of the original lags; what was left of it lives under the new number, and is over."""
    world = resting()
    old = Shown(world.broker.tickets[0].row())
    change = world.broker.change

    def stale(ticket: Any, price: int, at: Any) -> Any:
        new = change(ticket, price, at)
        world.broker.tickets[0] = old  # type: ignore[call-overload]
        return new

    world.broker.change = stale  # type: ignore[method-assign]
    world.pass_time(31)
    world.broker.fill(world.broker.tickets[1], 10**6, 10_070)
    world.pass_time(100)
    assert outcomes(world) == [(2, "filled")]
    assert held_cash(world) == 0
    assert world.all(CancelWanted) == []


@pytest.mark.parametrize("changed", [{"original_order_no": "77"}, {"price": 10_080}, {"more": 1}], ids=str)
def test_a_change_of_another_order_is_not_taken_for_the_lost_replacement(changed: dict[str, Any]) -> None:
    """O7: it must name our order, and be what we sent."""
    world = resting(Broker(outcomes=["accept", "lost"]))
    world.pass_time(31)
    second = world.all(OrderIntended)[1]
    row = world.broker.place(A, "buy", "limit", second.qty, 10_070, world.clock.now()).row()
    more = changed.pop("more", 0)
    fields = {"original_order_no": "1", "order_qty": second.qty + more} | changed
    world.broker.tickets[1] = Shown(row, **fields)  # type: ignore[call-overload]
    world.pass_time(90)
    assert [bound.intent for bound in world.all(OrderBound)] == [1]
    assert (2, "not_placed") in outcomes(world)
    assert [seen.order_no for seen in world.all(ExternalOrderSeen)] == ["2"]
