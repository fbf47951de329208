"""Portfolio cannot book a fill and parks (V2, D54): its stock is frozen, entries halt, and nothing waits for ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from kquant.domain.orders import ORDERS
from kquant.domain.portfolio import PORTFOLIO
from kquant.events.base import Event, Recorded
from kquant.events.day import AlertRaised, OwnerParked, ResumeOrdered
from kquant.events.orders import EntriesHalted, ExitPostponed, OrderDenied, OrderFilled, OrderFrozen, OrderIntended
from tests.orders.orders_world import CODES, Broker, World, by_kind, opened
from tests.orders.test_replace import check, held_cash

A, B, C = CODES[0], CODES[1], CODES[2]


def unbookable(fill: int = 1, shares: dict[str, tuple[int, int]] | None = None) -> World:
    """Portfolio fails on that fill of A, as on a fault of its own, and on no other input."""

    def decide(own: Any, seen: Any, fact: Recorded, settings: Any) -> Sequence[Event]:
        if isinstance(fact.event, OrderFilled) and fact.event.code == A:
            fills = [one for one in world.facts() if isinstance(one.event, OrderFilled) and one.event.code == A]
            if [one.seq for one in fills].index(fact.seq) == fill - 1:
                raise ArithmeticError("a fault")
        return PORTFOLIO.decide(own, seen, fact, settings)

    owners = (ORDERS, replace(PORTFOLIO, decide=decide))
    world = World(Broker(shares=dict(shares or {})), owners=owners)
    world.until("09:05:00")
    return world


def filled(world: World, qty: int = 10**6, price: int = 10_010) -> None:
    world.broker.fill(world.broker.tickets[-1], qty, price)
    world.notice(world.broker.tickets[-1].no)


def sells(world: World, code: str = A) -> list[int]:
    return [one.qty for one in world.all(OrderIntended) if (one.code, one.side) == (code, "sell")]


def test_its_stock_is_frozen_with_a_critical_alert_and_entries_halt() -> None:
    world = unbookable()
    world.signal(A)
    filled(world)
    [parked] = world.all(OwnerParked)
    assert (parked.owner, parked.code, parked.order_no) == ("portfolio", A, "1")
    assert [one.code for one in world.all(OrderFrozen)] == [A]
    assert world.all(EntriesHalted) != []
    assert all(one.level == "critical" for one in world.all(AlertRaised))
    world.signal(B)
    assert world.last(OrderDenied).rule == "HALTED"
    world.say("operator", ResumeOrdered(who="kim", reason="mended"))
    world.signal(B)
    assert world.last(OrderIntended).code == B, "not NOT_READY for ever"
    world.assert_recovers()


def test_what_was_bought_is_found_in_the_balance_and_protected() -> None:
    world = unbookable()
    world.signal(A)
    filled(world, 100)
    world.pass_time(120)
    assert world.portfolio.positions[A].qty == world.broker.shares[A][0] == 100
    assert world.portfolio.cash_krw == world.broker.cash
    assert held_cash(world) == 0
    world.fire(by_kind(world)["stop"], 9_000)
    assert sells(world) == [100]
    filled(world, price=9_000)
    assert world.portfolio.positions == {}
    world.pass_time(60)
    assert world.portfolio.cash_krw == world.broker.cash
    check(world)


def test_until_then_its_cash_stays_set_aside() -> None:
    world = unbookable()
    world.signal(A)
    filled(world)
    assert held_cash(world) >= 798 * 10_010


def test_a_holding_sold_in_part_goes_on_being_sold_as_far_as_the_broker_proves() -> None:
    """O9, D13: ours says 100, and 40 of them are gone."""
    world = unbookable(shares={A: (100, 1_000_000), B: (50, 500_000)})
    world.fire(by_kind(world)["stop"], 9_000)
    ticket = world.broker.tickets[0]
    world.broker.fill(ticket, 40, 9_000)
    ticket.cancelled = 60
    world.notice()
    assert (world.portfolio.positions[A].qty, sells(world)) == (100, [100])
    world.fire(by_kind(world, B)["stop"], 9_000)
    assert sells(world, B) == [50], "others' exits go on"
    world.pass_time(6)
    world.fire(by_kind(world)["stop"], 9_000)
    assert sells(world) == [100, 60]
    filled(world, price=9_000)
    world.pass_time(120)
    assert A not in world.portfolio.positions
    assert "UNBOOKED" not in [one.rule for one in world.all(ExitPostponed)]
    check(world)


def test_a_holding_of_which_nothing_may_be_sold_waits_and_is_given_up_with_the_balance() -> None:
    world = unbookable(shares={A: (100, 1_000_000)})
    world.fire(by_kind(world)["stop"], 9_000)
    filled(world, price=9_000)
    world.pass_time(120)
    assert sells(world) == [100]
    assert A not in world.portfolio.positions
    assert world.portfolio.cash_krw == world.broker.cash
    check(world)


@pytest.mark.parametrize("fill", [1, 2])
def test_another_fill_of_the_same_order_is_booked_and_waited_for(fill: int) -> None:
    world = unbookable(fill)
    world.signal(A)
    filled(world, 100)
    filled(world, 50)
    world.pass_time(180)
    assert world.portfolio.positions[A].qty == 150
    assert set(by_kind(world)) == {"stop", "target", "trailing"}
    assert world.portfolio.cash_krw == world.broker.cash
    check(world)


def test_a_restart_goes_on_as_before() -> None:
    world = unbookable()
    world.signal(A)
    filled(world, 100)
    world.restart()
    world.pass_time(120)
    assert world.portfolio.positions[A].qty == 100
    assert set(by_kind(world)) == {"stop", "target", "trailing"}
    world.say("operator", ResumeOrdered(who="kim", reason="mended"))
    world.signal(C)
    assert world.last(OrderIntended).code == C
    assert opened().all(OwnerParked) == []
