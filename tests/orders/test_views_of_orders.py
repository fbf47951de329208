"""What people see of orders: stages of the table, replacements as one chain, denials and sells that wait."""

from __future__ import annotations

from msgspec import structs

from kquant.events.orders import OrderIntended, OrdersSettled, QuoteAnswered
from kquant.values import IntentId
from kquant.views.describe import describe
from kquant.views.orders import orders_view
from tests.orders.orders_world import CODES, Broker, by_kind, holding, opened, with_settings
from tests.orders.test_replace import resting
from tests.orders.test_settle import closed

A, B = CODES[0], CODES[1]


def test_a_replaced_order_and_its_replacement_are_one_chain() -> None:
    world = resting()
    world.pass_time(31)
    world.signal(B)
    view = orders_view(world.facts())
    assert [[line.intent for line in chain] for chain in view.chains()] == [[1, 2], [3]]
    first, second, third = view.orders
    assert (first.state, second.state, third.state) == ("working", "working", "working")
    world.pass_time(5)
    first, second, _ = orders_view(world.facts()).orders
    assert (first.state, first.done is not None, second.replaces) == ("replaced", True, 1)
    assert describe(world.all(OrderIntended)[1]).endswith("(in place of intent 1)")


def test_a_smaller_replacement_is_shown_with_the_shares_it_took_over() -> None:
    world = resting()
    world.broker.race = 300
    world.pass_time(35)
    first, second = orders_view(world.facts()).orders
    assert (first.filled_qty, second.qty) == (300, first.qty - 300)


def test_stages_are_those_of_the_table() -> None:
    world = opened(Broker(outcomes=["lost"]))
    world.signal(A)
    assert [line.state for line in orders_view(world.facts()).orders] == ["unknown"]
    world.pass_time(70)
    assert [line.state for line in orders_view(world.facts()).orders] == ["not_placed"]
    world.signal(B)
    world.broker.fill(world.broker.tickets[0], 5, 10_010)
    world.notice()
    assert [line.state for line in orders_view(world.facts()).orders] == ["not_placed", "partly_filled"]


def test_a_late_fill_is_shown_although_the_order_was_over() -> None:
    world = opened()
    world.signal(A)
    world.broker.cancels = ["refuse"] * 9
    closed(world)
    world.broker.fill(world.broker.tickets[0], 10**6, 10_010)
    world.notice()
    (line,) = orders_view(world.facts()).orders
    assert (line.state, line.filled_qty) == ("filled", line.qty)


def test_a_denial_names_the_signal_and_a_waiting_sell_its_rule() -> None:
    world = holding()
    world.signal(A)
    (denied,) = orders_view(world.facts()).denied
    assert world.journal.read(denied.decision - 1, 1)[0].name == "pipeline.buy_signalled"
    world.broker.place(A, "sell", "limit", 100, 12_000, world.clock.now())
    world.notice()
    world.fire(by_kind(world)["stop"], 9_000)
    (waiting,) = orders_view(world.facts()).waiting
    assert (waiting.code, waiting.rule, waiting.limit) == (A, "TIED_OUTSIDE", 100)


def test_whether_the_day_is_settled_is_known_after_the_final_list() -> None:
    world = opened()
    assert orders_view(world.facts()).settled is None
    closed(world)
    assert orders_view(world.facts()).settled is True
    assert describe(world.last(OrdersSettled)) == "the day's orders and fills agree with the broker's final list"


def test_a_quote_is_one_line_with_what_keeps_the_stock_from_trading() -> None:
    world = opened(settings=with_settings(lambda s: {"risk": structs.replace(s.risk, max_day_loss_krw=10**9)}))
    world.broker.quote_flags = {"vi": True, "is_auction": True, "warning": 2, "ask": 0}
    world.signal(A)
    text = describe(world.last(QuoteAnswered))
    assert text == "000100 at 10,000원, bid 10,000원, ask none (VI, auction, warning 2)"


def test_an_order_number_stays_with_its_line() -> None:
    world = opened()
    world.signal(A)
    (line,) = orders_view(world.facts()).orders
    assert (line.intent, line.order_no, line.quote is not None) == (IntentId(1), "1", True)
