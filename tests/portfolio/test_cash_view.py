"""Cash and gains as a trader reads them: what the view says equals what orders and broker reckon with, to the won."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kquant.domain.orders.seen import Seen, observe
from kquant.domain.orders.sizing import reserved_krw
from kquant.events.base import Recorded
from kquant.events.market import Bar, BarsClosed
from kquant.events.orders import OrderIntended
from kquant.events.portfolio import BalanceAnswered
from kquant.values import MINUTE_US, SECOND_US, Krw, Micros
from kquant.views.holdings import portfolio_lines
from kquant.views.portfolio import PortfolioView, portfolio_view
from tests.orders.orders_world import CODES, Broker, World, holding, opened
from tests.portfolio.desk import A, Desk, fill

CODE = CODES[0]


def view_of(world: World) -> PortfolioView:
    return portfolio_view(world.facts())


def reserved_of(world: World) -> int:
    seen = Seen()
    for fact in world.facts():
        if fact.stream != "orders":
            seen = observe(seen, fact)
    return reserved_krw(world.own, seen)


def test_an_open_buy_holds_cash_back_until_it_fills_or_ends() -> None:
    world = opened()
    world.signal(CODE)
    intent = world.last(OrderIntended)
    cash = view_of(world).cash
    assert (cash.reserved_krw, cash.settled_krw) == (intent.reserved_krw, 100_000_000)
    assert cash.free_krw == 100_000_000 - intent.reserved_krw
    world.broker.fill(world.broker.tickets[0], 100, intent.price)
    world.notice()
    part = view_of(world).cash
    assert part.reserved_krw == reserved_of(world) < intent.reserved_krw
    world.broker.fill(world.broker.tickets[0], intent.qty, intent.price - 10)
    world.notice()
    done = view_of(world).cash
    assert (done.reserved_krw, done.free_krw) == (0, world.broker.cash)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(1, 900)), max_size=12))
def test_what_is_held_back_is_what_orders_reckons_with(steps: list[tuple[int, int, int]]) -> None:
    world = opened(Broker(cash=60_000_000))
    for what, which, qty in steps:
        alive = [ticket for ticket in world.broker.tickets if ticket.leaves]
        if what == 0:
            world.signal(CODES[which])
        elif what == 1:
            world.pass_time(31)
        elif what == 2:
            world.broker.outcomes = ["unknown"]
            world.signal(CODES[which])
        elif alive:
            ticket = alive[which % len(alive)]
            world.broker.fill(ticket, qty, ticket.price or 10_000)
            world.notice(ticket.no)
        assert view_of(world).cash.reserved_krw == reserved_of(world)


def test_each_settlement_day_and_the_brokers_own_word_come_from_the_last_balance() -> None:
    desk = Desk()
    view = portfolio_view(desk.facts)
    assert (view.cash.settled_krw, view.cash.today_krw, view.cash.read_at) == (None, None, None)
    said = BalanceAnswered(
        holdings=(), cash_krw=Krw(900), cash_today_krw=Krw(1_000), cash_next_krw=Krw(950), orderable_krw=Krw(800)
    )
    desk.tell(said, desk.request)
    cash = portfolio_view(desk.facts).cash
    assert (cash.today_krw, cash.next_krw, cash.settled_krw, cash.orderable_krw) == (1_000, 950, 900, 800)
    assert cash.read_at == desk.at
    text = "\n".join(portfolio_lines(portfolio_view(desk.facts), Micros(desk.at)))
    for shown in ("today (D+0 예수금)", "1,000원", "950원", "900원", "미수 없는 주문가능", "800원"):
        assert shown in text


def test_what_nobody_said_is_unknown_and_no_zero() -> None:
    desk = Desk()
    desk.balance(900)
    view = portfolio_view(desk.facts)
    assert (view.cash.next_krw, view.cash.orderable_krw) == (None, None)
    lines = portfolio_lines(view, Micros(desk.at))
    assert any("D+1" in line and "unknown" in line for line in lines)
    assert any("주문가능" in line and "unknown" in line for line in lines)


def test_a_position_shows_average_cost_gain_and_how_old_its_price_is() -> None:
    world = holding(100, 1_234_567)
    start = Micros(world.clock.now())
    bar = Bar(
        code=CODE, open=Krw(1), high=Krw(1), low=Krw(1), close=Krw(13_000), volume=1, value=Krw(1), covered_seconds=60,
        day_high=Krw(1),
    )  # fmt: skip
    [before] = view_of(world).positions
    assert (before.mark, before.mark_at) == (10_000, None)  # the day's base price
    world.say("market", BarsClosed(start=start, bars=(bar,), place=1))
    [line] = view_of(world).positions
    assert (line.average_krw, line.unrealised_krw) == (12_345, 1_300_000 - 1_234_567)
    assert line.mark_at == start + MINUTE_US
    text = "\n".join(portfolio_lines(view_of(world), Micros(start + MINUTE_US + 90 * SECOND_US)))
    assert "▲65,433원" in text
    assert "90 s" in text


def test_a_position_whose_price_nobody_knows_has_an_unknown_gain() -> None:
    desk = Desk()
    desk.balance(900, ("999999", 7, 700))
    view = portfolio_view(desk.facts)
    [line] = view.positions
    assert (line.mark, line.unrealised_krw, view.unpriced, view.unrealised_krw) == (None, None, 1, 0)
    assert view.equity_krw == 900 + 700  # at cost
    text = "\n".join(portfolio_lines(view, Micros(desk.at)))
    assert "without 1 position of unknown price" in text
    assert text.count("unknown") >= 3


def test_an_order_and_the_one_in_its_place_hold_cash_back_once() -> None:
    desk = Desk()
    desk.balance(1_000_000)
    first = OrderIntended(
        intent=1, code=A, name=A, side="buy", qty=10, kind="limit", price=100, reason="signal", decision=1,
        reserved_krw=1_001, valid_until=desk.at,
    )  # fmt: skip
    desk.tell(first)
    desk.tell(replace(first, intent=2, replaces=1, price=120, reserved_krw=1_201, reason="replace"))
    assert portfolio_view(desk.facts).cash.reserved_krw == 1_201
    desk.tell(fill("buy", 10, 1_000))
    view = portfolio_view(desk.facts)
    assert view.cash.free_krw == 1_000_000 - 1_000 - 1_201


def test_the_view_says_whether_the_day_was_reconciled() -> None:
    desk = Desk()
    desk.balance(900)
    facts: list[Recorded] = desk.facts
    assert portfolio_view(facts).reconciled is None
    assert any("not compared" in line for line in portfolio_lines(portfolio_view(facts), Micros(desk.at)))
