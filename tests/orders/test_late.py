"""An order given up as not placed that turns up late, beside a balance that was taken over meanwhile: booked once."""

from __future__ import annotations

from kquant.events.orders import ExecutionsWanted, OrderFilled, OrderFinished, OrderIntended
from kquant.events.portfolio import CashMoved, PortfolioAdjusted
from tests.orders.orders_world import CODES, Broker, World, by_kind, holding, opened

A = CODES[0]


def agree(world: World) -> None:
    theirs = {code: qty for code, (qty, _) in world.broker.shares.items() if qty}
    assert {code: held.qty for code, held in world.portfolio.positions.items()} == theirs
    assert world.portfolio.cash_krw == world.broker.cash
    own = world.portfolio
    flow = own.sold_krw - own.bought_krw - own.fees_krw - own.taxes_krw + own.adjusted_krw
    assert own.cash_krw == own.start_krw + flow
    world.assert_recovers()


def taken_over(filled: int) -> World:
    """A buy that was placed, listed nowhere and given up; *filled* shares of it came in with the balance."""
    world = opened(Broker(outcomes=["late"]))
    world.signal(A)
    world.broker.fill(world.broker.tickets[0], filled, 10_010)
    world.pass_time(70)
    assert world.last(OrderFinished).outcome == "not_placed"
    world.pipeline()
    world.pass_time(25)
    assert world.last(PortfolioAdjusted).presumed == (A,)
    agree(world)
    return world


def test_a_late_buy_that_the_balance_held_is_not_booked_again() -> None:
    world = taken_over(10**6)
    world.broker.hidden.clear()
    world.notice()
    assert world.last(OrderFinished).outcome == "filled"
    assert [(moved.amount_krw, moved.covered_code) for moved in world.all(CashMoved)] == [(0, A)]
    agree(world)
    assert len(world.all(PortfolioAdjusted)) == 1


def test_a_late_buy_listed_in_two_steps_is_covered_in_both() -> None:
    world = taken_over(300)
    ticket = world.broker.tickets[0]
    filled, amount = ticket.filled, ticket.amount
    world.broker.cancels = ["refuse"] * 9
    world.broker.hidden.clear()
    ticket.filled, ticket.amount = 100, 1_001_000
    world.notice()
    ticket.filled, ticket.amount = filled, amount
    world.notice()
    assert [fill.qty for fill in world.all(OrderFilled)] == [100, 200]
    agree(world)
    world.broker.fill(ticket, 50, 10_010)
    world.notice()
    assert world.last(CashMoved).covered_code is None
    agree(world)
    assert len(world.all(PortfolioAdjusted)) == 1


def test_a_late_sell_that_the_balance_held_is_not_booked_again() -> None:
    world = holding()
    world.broker.outcomes = ["late"]
    world.fire(by_kind(world)["stop"], 9_000)
    world.broker.fill(world.broker.tickets[0], 100, 9_000)
    world.pass_time(70)
    assert world.last(OrderFinished).outcome == "not_placed"
    world.pipeline()
    world.pass_time(25)
    assert world.portfolio.positions == {}
    world.broker.hidden.clear()
    world.notice()
    assert world.last(OrderFilled).qty == 100
    agree(world)
    assert [intent.side for intent in world.all(OrderIntended)] == ["sell"]


def test_what_a_late_order_filled_after_the_balance_is_found_by_the_next_balances() -> None:
    world = taken_over(100)
    world.broker.fill(world.broker.tickets[0], 50, 10_010)
    world.broker.hidden.clear()
    world.notice()
    assert world.portfolio.positions[A].qty == 100
    world.pass_time(60)
    assert world.portfolio.positions[A].qty == 150
    agree(world)


def test_a_late_order_is_booked_when_no_balance_held_it() -> None:
    world = opened(Broker(outcomes=["late"]))
    world.signal(A)
    world.pass_time(70)
    world.broker.fill(world.broker.tickets[0], 10**6, 10_010)
    world.broker.hidden.clear()
    world.notice()
    assert world.last(CashMoved).covered_code is None
    agree(world)
    assert world.all(PortfolioAdjusted) == []


def test_a_balance_taken_over_before_the_order_covers_none_of_its_fills() -> None:
    world = holding()
    world.broker.shares[A] = (90, 900_000)
    world.pipeline()
    world.pass_time(25)
    assert world.last(PortfolioAdjusted).presumed == ()
    world.broker.outcomes = ["late"]
    world.fire(by_kind(world)["stop"], 9_000)
    world.pass_time(62)
    assert world.last(OrderFinished).outcome == "not_placed"
    world.broker.fill(world.broker.tickets[0], 90, 9_000)
    world.broker.hidden.clear()
    world.notice()
    agree(world)
    assert len(world.all(PortfolioAdjusted)) == 1


def test_a_balance_that_differs_asks_for_the_list_before_it_is_believed() -> None:
    world = opened()
    ticket = world.broker.place(A, "buy", "limit", 10, 10_000, world.clock.now())
    world.broker.fill(ticket, 10, 10_000)
    world.pipeline()
    assert world.last(ExecutionsWanted).why == "balance differs"
    world.pass_time(60)
    assert world.all(PortfolioAdjusted) == []
    agree(world)


def test_a_fill_of_another_order_is_booked_although_the_balance_held_a_late_one() -> None:
    world = taken_over(100)
    other = world.broker.place(A, "buy", "limit", 5, 10_000, world.clock.now())
    world.broker.fill(other, 5, 10_000)
    world.notice()
    assert world.portfolio.positions[A].qty == 105
    agree(world)


def test_a_late_sell_is_booked_although_the_balance_held_a_late_buy() -> None:
    world = taken_over(100)
    world.broker.outcomes = ["late"]
    world.fire(by_kind(world)["stop"], 9_000)
    world.pass_time(62)
    assert [done.outcome for done in world.all(OrderFinished)] == ["not_placed", "not_placed"]
    world.broker.fill(world.broker.tickets[1], 100, 9_000)
    world.broker.hidden.discard(world.broker.tickets[1].no)
    world.notice()
    assert world.portfolio.positions == {}
    agree(world)


def test_a_stock_whose_orders_all_ended_in_the_list_is_not_presumed_to_be_in_the_balance() -> None:
    world = opened()
    world.signal(A)
    world.broker.fill(world.broker.tickets[0], 10**6, 10_010)
    world.pass_time(30)
    assert world.last(OrderFinished).outcome == "filled"
    qty, cost = world.broker.shares[A]
    world.broker.shares[A] = (qty + 10, cost)
    world.pipeline()
    world.pass_time(25)
    assert world.last(PortfolioAdjusted).presumed == ()
