"""At the end of the day every order and fill is the broker's (M3); a list that lags is asked for again, not believed."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from kquant.domain.orders.settle import TRIES
from kquant.events.day import AlertRaised
from kquant.events.orders import (
    Execution,
    ExecutionsWanted,
    ExternalOrderSeen,
    OrderFilled,
    OrderFinished,
    OrdersSettled,
)
from kquant.events.portfolio import DayReconciled, PortfolioSynchronised
from tests.orders.lives import lives
from tests.orders.orders_world import CODES, Broker, Ticket, World, opened

A, B = CODES[0], CODES[1]


class Shown:
    """A ticket as the list shows it: with what *changed* says."""

    def __init__(self, ticket: Ticket, **changed: Any) -> None:
        self.no, self.code, self.side, self._ticket, self.changed = ticket.no, ticket.code, ticket.side, ticket, changed

    @property
    def leaves(self) -> int:
        return self._ticket.leaves

    def row(self) -> Execution:
        return structs.replace(self._ticket.row(), **self.changed)


def closed(world: World) -> World:
    """The close, and the final list asked for 40 seconds after it."""
    world.until("15:30:00")
    world.job("session_closed")
    world.pass_time(45)
    return world


def bought(qty: int, broker: Broker | None = None) -> World:
    world = opened(broker)
    world.signal(A)
    world.broker.fill(world.broker.tickets[0], qty, 10_010)
    world.notice()
    return world


def settled(world: World) -> list[tuple[bool, int]]:
    return [(one.agrees, len(one.differences)) for one in world.all(OrdersSettled)]


def test_a_day_without_orders_is_settled_by_the_final_list() -> None:
    world = closed(opened())
    assert settled(world) == [(True, 0)]
    listing = world.last(OrdersSettled).listing
    asked = [fact for fact in world.facts() if isinstance(fact.event, ExecutionsWanted)][-1]
    assert asked.event.why == "final"  # type: ignore[attr-defined]
    assert listing > asked.seq


def test_nothing_is_settled_before_the_final_list() -> None:
    world = bought(10**6)
    world.until("15:30:00")
    world.job("session_closed")
    world.pass_time(39)
    assert settled(world) == []
    world.pass_time(2)
    assert settled(world) == [(True, 0)]


def test_ours_and_outside_orders_that_all_agree_settle_the_day_once() -> None:
    world = bought(100)
    other = world.broker.place(B, "buy", "limit", 10, 10_000, world.clock.now())
    world.broker.fill(other, 4, 10_000)
    world.notice()
    closed(world)
    world.pass_time(300)
    assert settled(world) == [(True, 0)]
    world.assert_recovers()


def test_a_final_list_that_lags_behind_is_asked_for_again_until_it_agrees() -> None:
    """D10: an older list takes nothing back, and proves nothing."""
    world = bought(100)
    ticket = world.broker.tickets[0]
    world.until("15:29:00")
    shown = Shown(ticket, filled_qty=50, filled_amount=500_500)
    world.broker.tickets = [shown]  # type: ignore[list-item]
    closed(world)
    assert settled(world) == []
    shown.changed = {}
    world.pass_time(11)
    assert settled(world) == [(True, 0)]
    world.assert_recovers()


def test_an_order_of_ours_that_the_final_list_leaves_out_is_told_after_a_bounded_number_of_looks() -> None:
    world = bought(100)
    world.broker.hidden.add("1")
    closed(world)
    before = len(world.all(ExecutionsWanted))
    world.pass_time(600)
    assert len(world.all(ExecutionsWanted)) - before == TRIES
    assert settled(world) == [(False, 1)]
    assert world.last(OrdersSettled).differences == (f"order 1 ({A}) of intent 1 is not in the list",)
    assert any("not those of the broker" in alert.text for alert in world.all(AlertRaised))
    world.assert_recovers()


def test_an_outside_order_that_vanished_or_shows_other_figures_is_a_difference() -> None:
    world = opened()
    other = world.broker.place(B, "buy", "limit", 10, 10_000, world.clock.now())
    world.broker.fill(other, 4, 10_000)
    world.notice()
    world.broker.tickets = [Shown(other, filled_amount=39_999)]  # type: ignore[list-item]
    closed(world)
    world.pass_time(100)
    assert world.last(OrdersSettled).differences == (f"order 1 ({B}): filled 4 for 40000 here, 4 for 39999 there",)
    world.broker.tickets = []
    world.notice()
    assert world.last(OrdersSettled).differences == (f"order 1 ({B}) placed elsewhere is not in the list any more",)


def test_an_order_of_unknown_fate_keeps_the_day_open_until_it_is_given_up() -> None:
    world = opened(Broker(outcomes=["lost"]))
    world.until("15:19:50")
    world.signal(A)
    world.broker.reads_fail = True
    closed(world)
    world.broker.reads_fail = False
    world.pass_time(30)
    assert settled(world) == []
    world.pass_time(100)
    assert world.last(OrderFinished).outcome == "not_placed"
    assert settled(world) == [(True, 0)]


def test_a_fill_that_is_listed_after_the_final_list_is_booked_and_settled_anew() -> None:
    """D6, D10: the closing auction's fill reached the list late."""
    world = bought(100)
    world.broker.cancels = ["refuse"] * 9
    closed(world)
    assert world.last(OrderFinished).outcome == "expired"
    assert settled(world) == [(True, 0)]
    ticket = world.broker.tickets[0]
    world.broker.fill(ticket, 7, 10_010)
    world.notice()
    assert world.last(OrderFilled).qty == 7
    assert settled(world) == [(True, 0), (True, 0)]
    world.broker.fill(ticket, 10**6, 10_010)
    world.notice()
    assert lives(world.facts())[1][-1] == "filled"  # type: ignore[index]
    assert world.portfolio.positions[A].qty == ticket.qty
    assert settled(world) == [(True, 0)] * 3
    world.assert_recovers()


def test_a_balance_that_differs_after_the_close_brings_the_late_fill_in() -> None:
    """Nobody gives notice of it: the closing balance does."""
    world = bought(100)
    world.broker.cancels = ["refuse"] * 9
    world.until("15:29:59")
    ticket = world.broker.tickets[0]
    before = ticket.row()
    world.broker.fill(ticket, 7, 10_010)
    shown = Shown(ticket, filled_qty=100, filled_amount=before.filled_amount, leaves_qty=before.leaves_qty)
    world.broker.tickets = [shown]  # type: ignore[list-item]
    closed(world)
    assert settled(world) == [(True, 0)]
    assert world.last(PortfolioSynchronised).differences != ()
    shown.changed = {}
    world.pass_time(120)
    assert world.last(OrderFilled).qty == 7
    assert world.all(ExternalOrderSeen) == []
    assert settled(world) == [(True, 0), (True, 0)]
    assert world.last(DayReconciled).agrees
