"""The end of the day (`reliability` M3), orders and portfolio together: settled, then compared, then said."""

from __future__ import annotations

from kquant.events.day import AlertRaised
from kquant.events.orders import OrderDenied, OrderIntended, OrdersSettled
from kquant.events.portfolio import BalanceWanted, DayReconciled
from tests.orders.orders_world import CODES, World, by_kind, holding, opened

A = CODES[0]


def close(world: World) -> None:
    world.until("15:30:00")
    world.job("session_closed")


def verdicts(world: World) -> list[DayReconciled]:
    return world.all(DayReconciled)


def test_the_closing_balance_comes_after_the_final_list_and_agrees() -> None:
    world = holding()
    close(world)
    world.pass_time(39)
    assert world.all(OrdersSettled) == []
    assert not [one for one in world.all(BalanceWanted) if one.reason == "closing"]
    world.pass_time(30)
    [settled] = world.all(OrdersSettled)
    assert (settled.agrees, settled.differences) == (True, ())
    assert verdicts(world) == [DayReconciled(agrees=True, differences=())]
    world.assert_recovers()


def test_a_fill_that_the_list_has_only_after_the_final_one_does_not_leave_the_day_unreconciled() -> None:
    world = opened()
    world.signal(A)
    ticket = world.broker.tickets[0]
    held, cash = dict(world.broker.shares), world.broker.cash
    close(world)
    world.pass_time(41)
    assert world.last(OrdersSettled).agrees
    world.broker.shares, world.broker.cash = held, cash
    ticket.cancelled = 0
    world.broker.fill(ticket, 100, 10_010)
    ticket.cancelled = ticket.qty - 100
    world.pass_time(60)
    world.notice()
    world.pass_time(60)
    assert world.portfolio.positions[A].qty == 100
    assert verdicts(world)[-1] == DayReconciled(agrees=True, differences=())
    world.assert_recovers()


def test_an_order_that_is_missing_from_the_final_list_is_named() -> None:
    world = opened()
    world.signal(A)
    world.broker.fill(world.broker.tickets[0], 10**6, 10_010)
    world.notice()
    world.broker.hidden.add("1")
    close(world)
    world.pass_time(60)
    assert world.all(OrdersSettled) == []  # asked for again: a list can lag
    world.pass_time(540)
    [verdict] = verdicts(world)
    line = f"order 1 ({A}) of intent 1 is not in the list"
    assert (verdict.agrees, verdict.differences, verdict.orders) == (False, (), (line,))
    assert any("does not reconcile" in one.text and line in one.text for one in world.all(AlertRaised))
    world.broker.hidden.clear()
    world.notice()
    world.pass_time(60)
    assert [one.agrees for one in verdicts(world)] == [False, True]
    world.assert_recovers()


def test_a_list_that_can_never_be_read_ends_in_an_unreconciled_day() -> None:
    world = holding()
    world.until("15:29:00")
    world.broker.lists_fail = True
    close(world)
    world.pass_time(900)
    assert world.all(OrdersSettled) == []
    [verdict] = verdicts(world)
    assert (verdict.agrees, verdict.differences) == (False, ())
    assert "never compared with the broker's final list" in verdict.why


def test_an_order_whose_fate_is_unknown_at_the_close_is_waited_for() -> None:
    world = holding()
    world.until("15:19:50")
    world.broker.outcomes = ["lost"] * 20
    world.fire(by_kind(world)["stop"], 9_000)
    close(world)
    world.pass_time(600)
    assert verdicts(world)[-1].agrees
    assert world.all(OrdersSettled)[-1].agrees


def test_the_day_after_an_unreconciled_one_buys_nothing_until_a_person_says_so_and_sells_all_the_same() -> None:
    world = holding(reconciled=False, day_before="2026-11-19")
    world.signal(CODES[1])
    assert world.last(OrderDenied).rule == "HALTED"
    world.assert_recovers()
    world.fire(by_kind(world)["stop"], 9_000)
    assert [(one.side, one.code) for one in world.all(OrderIntended)] == [("sell", A)]
