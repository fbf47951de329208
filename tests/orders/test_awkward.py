"""Awkward moments of orders: late, half or absurd facts lose no order, starve no exit, and stop no run."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from kquant.events.base import Recorded
from kquant.events.day import AlertRaised, OwnerParked, ResumeOrdered, RunStarted
from kquant.events.orders import (
    CancelUnknown,
    CancelWanted,
    Execution,
    ExternalOrderSeen,
    OrderAccepted,
    OrderDenied,
    OrderFilled,
    OrderFrozen,
    OrderIntended,
    OrderResized,
)
from kquant.settings import Settings
from kquant.values import IntentId
from tests.orders.orders_world import CODES, Broker, World, by_kind, holding, opened, with_settings
from tests.orders.test_replace import check, held_cash, hold, outcomes, replacing, resting

A, B = CODES[0], CODES[1]


def risk_of(**changed: Any) -> Settings:
    return with_settings(lambda s: {"risk": structs.replace(s.risk, **changed)})


def test_a_smaller_replacement_that_is_listed_only_after_the_close_stops_nothing() -> None:
    """D10: the list lags until the day is over; what it then says of an order that expired here is no step back."""
    world = resting()
    world.broker.race = 300
    world.broker.hidden = {"2"}
    world.broker.cancels = ["refuse"] * 9
    world.pass_time(35)
    world.until("15:30:00")
    world.job("session_closed")
    world.pass_time(45)
    assert dict(outcomes(world)) == {1: "cancelled", 2: "expired"}
    world.broker.fill(world.broker.tickets[1], 100, 10_070)
    world.broker.hidden.clear()
    world.pass_time(60)
    assert (world.all(OwnerParked), world.all(OrderResized)) == ([], [])
    assert world.last(OrderFilled).qty == 100
    assert world.portfolio.cash_krw == world.broker.cash
    check(world)


def test_a_sell_refused_for_shares_on_offer_elsewhere_looks_at_the_list_and_offers_the_rest() -> None:
    """O9: no notice told of the order placed by hand."""
    world = holding()
    world.broker.place(A, "sell", "limit", 40, 12_000, world.clock.now())
    world.fire(by_kind(world)["stop"], 9_000)
    assert [seen.qty for seen in world.all(ExternalOrderSeen)] == [40]
    world.pass_time(10)
    world.fire(by_kind(world)["stop"], 9_000)
    assert [intent.qty for intent in world.all(OrderIntended)] == [100, 60]
    check(world)


def test_a_cancel_whose_outcome_takes_longer_than_an_order_may_rest_is_asked_for_again() -> None:
    world = opened(settings=risk_of(resting_seconds=2))
    world.signal(A)
    held_back: list[Recorded] = []
    answer = world._answer

    def slow(fact: Recorded) -> None:
        if isinstance(fact.event, CancelWanted) and not held_back:
            held_back.append(fact)
        else:
            answer(fact)

    world._answer = slow  # type: ignore[method-assign]
    world.pass_time(7)
    assert [wanted.intent for wanted in world.all(CancelWanted)] == [1]
    world.say("broker", CancelUnknown(intent=IntentId(1), why="no answer in time"), caused_by=held_back[0].seq)
    world.pass_time(10)
    assert outcomes(world) == [(1, "cancelled")]


def sold_while_replacing() -> tuple[World, OrderIntended]:
    """A buy that filled in part is being replaced; the answer stays out until all that is held was sold at the stop."""
    world = resting()
    world.broker.fill(world.broker.tickets[0], 100, 10_020)
    world.notice()
    waiting = hold(world)
    world.pass_time(30)
    del world._order
    world.fire(by_kind(world)["stop"], 9_000)
    world.broker.fill(world.broker.tickets[1], 10**6, 9_000)
    world.notice()
    assert A not in world.portfolio.positions
    return world, waiting[0]


def test_a_replacement_whose_answer_comes_after_the_stock_was_sold_is_cancelled_at_once() -> None:
    world, second = sold_while_replacing()
    new = world.broker.change(world.broker.tickets[0], second.price, world.clock.now())
    world.say("broker", OrderAccepted(intent=second.intent, order_no=new.no, branch="06010", time=new.time))
    assert [wanted.intent for wanted in world.all(CancelWanted)] == [second.intent]
    world.pass_time(10)
    assert outcomes(world)[-1] == (second.intent, "cancelled")
    check(world)


@pytest.mark.parametrize("listed", [True, False])
def test_a_sell_answered_with_anothers_number_is_found_in_the_list_or_goes_again_on_proof(listed: bool) -> None:
    """D5, D13: its stock is frozen, and its exit lives."""
    world = opened(Broker(shares={A: (100, 1_000_000), B: (100, 1_000_000)}))
    world.fire(by_kind(world, A)["stop"], 9_000)
    waiting = hold(world)
    world.fire(by_kind(world, B)["stop"], 9_000)
    del world._order
    if listed:
        ticket = world.broker.place(B, "sell", "market", 100, 0, world.clock.now())
        world.broker.fill(ticket, 100, 9_000)
    said = OrderAccepted(intent=waiting[0].intent, order_no="1", branch="06010", time="090500")
    world.say("broker", said)
    assert [frozen.code for frozen in world.all(OrderFrozen)] == [B]
    world.pass_time(150)
    if listed:
        assert B not in world.portfolio.positions
    else:
        assert (waiting[0].intent, "not_placed") in outcomes(world)
        assert {"stop", "target", "trailing"} == set(by_kind(world, B))
    world.say("operator", ResumeOrdered(who="kim", reason="looked into"))
    assert world.own.frozen == {}
    check(world)


@pytest.mark.parametrize("whose", ["ours", "another's"])
def test_a_fill_listed_before_its_amount_is_booked_once_with_what_it_cost(whose: str) -> None:
    """D10: half of a row lags. Shares for nothing would have neither a stop nor a place in the day's end."""
    world = opened(settings=replacing(resting_seconds=600))
    if whose == "ours":
        world.signal(A)
    else:
        world.broker.place(A, "buy", "limit", 798, 10_020, world.clock.now())
    ticket = world.broker.tickets[0]
    world.notice()
    world.broker.fill(ticket, 10**6, 10_010)
    amount, ticket.amount = ticket.amount, 0
    world.notice()
    assert world.all(OrderFilled) == []
    ticket.amount = amount
    world.pass_time(5)
    world.notice()
    assert [(fill.qty, fill.amount_krw) for fill in world.all(OrderFilled)] == [(798, amount)]
    assert world.portfolio.positions[A].cost_krw == amount
    assert {"stop", "target", "trailing"} == set(by_kind(world))


def test_an_absurd_confirmed_price_is_denied_and_stops_no_run() -> None:
    """D18: the numbers of a denial fit the journal whatever was answered."""
    world = opened()
    nobodys = "000900"
    world.broker.prices[nobodys] = (9 * 10**17, 9 * 10**17)
    world.signal(nobodys, last=100, ask=100, moved=True)
    assert world.last(OrderDenied).rule == "PRICE_MOVED"
    assert world.last(OrderDenied).value == 2**63 - 1
    check(world)


@pytest.mark.parametrize("missing", ["upper", "lower"])
def test_a_stock_whose_limits_nobody_tells_is_not_bought(missing: str) -> None:
    """O10: a rule on the day's limits never passes because they are not known."""
    world = opened()
    world.broker.quote_flags = {missing: 0}
    world.signal("000900")
    assert [denied.rule for denied in world.all(OrderDenied)] == ["UNLISTED"]
    assert world.all(OrderIntended) == []


@pytest.mark.parametrize(
    ("rule", "changed"), [("REPEAT", {"repeat_seconds": 300}), ("ORDERS_PER_MINUTE", {"max_orders_per_minute": 1})]
)
def test_a_restart_under_another_validity_of_orders_forgets_no_order(rule: str, changed: dict[str, Any]) -> None:
    """O11: when an order was intended does not depend on the settings of now."""
    world = opened(settings=risk_of(**changed))
    world.signal(A)
    world.broker.fill(world.broker.tickets[0], 10**6, 10_010)
    world.notice()
    world.fire(by_kind(world)["stop"], 9_000)
    world.broker.fill(world.broker.tickets[1], 10**6, 9_000)
    world.notice()
    settings = risk_of(**changed, order_valid_seconds=3_600, cooldown_seconds=1)
    world.say("run", RunStarted(settings=settings, profile="demo", code_hash="", seed=1, versions={}))
    world.pass_time(2)
    world.signal(A if rule == "REPEAT" else B)
    assert world.last(OrderDenied).rule == rule


def nothing_left(world: World, **listed: int) -> World:
    """The broker lists the buy of A (798 shares) with nothing left of it, though its shares do not add up."""
    ticket = world.broker.tickets[0]
    plain = ticket.row

    def row() -> Execution:
        return structs.replace(plain(), leaves_qty=0, **listed)

    ticket.row = row  # type: ignore[method-assign]
    return world


def test_an_order_of_which_nothing_is_left_is_over_though_its_shares_do_not_add_up() -> None:
    """O5: 300 cancelled by hand, the rest gone uncounted. A second list, when lagging is over, must say the same."""
    world = opened(settings=replacing(resting_seconds=600))
    world.signal(A)
    world.broker.fill(world.broker.tickets[0], 100, 10_010)
    nothing_left(world, cancelled_qty=300)
    world.notice()
    world.notice()
    assert outcomes(world) == [], "two lists in one breath are one"
    world.pass_time(40)
    assert outcomes(world) == [(1, "cancelled")]
    [told] = [alert for alert in world.all(AlertRaised) if "nothing left" in alert.text]
    assert "398 of 798" in told.text
    assert world.own.live == ()
    assert held_cash(world) == 0
    check(world)


def test_what_fills_of_it_afterwards_is_booked_all_the_same() -> None:
    world = opened(settings=replacing(resting_seconds=600))
    world.signal(A)
    nothing_left(world)
    world.notice()
    world.pass_time(40)
    assert outcomes(world) == [(1, "cancelled")]
    world.broker.fill(world.broker.tickets[0], 50, 10_010)
    world.notice()
    assert world.portfolio.positions[A].qty == 50
    assert world.portfolio.cash_krw == world.broker.cash
    check(world)


def test_figures_that_still_move_end_nothing() -> None:
    world = opened(settings=replacing(resting_seconds=600))
    world.signal(A)
    nothing_left(world)
    for _ in range(6):
        world.broker.fill(world.broker.tickets[0], 10, 10_010)
        world.notice()
        world.pass_time(9)
        world.notice()
        assert outcomes(world) == []
    check(world)


def test_while_a_replacement_may_have_taken_its_place_nobody_ends_it() -> None:
    world = resting()
    waiting = hold(world)
    world.pass_time(30)
    assert [intent.replaces for intent in waiting] == [1]
    nothing_left(world)
    world.notice()
    world.pass_time(60)
    assert outcomes(world) == []
