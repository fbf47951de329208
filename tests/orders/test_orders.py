"""Given a world, when something happens, then these orders follow."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import structs

from kquant.events.day import HaltOrdered, OwnerParked, ResumeOrdered
from kquant.events.feed import FeedConnected, NoticesConnected
from kquant.events.orders import (
    CancelWanted,
    EntriesHalted,
    EntriesResumed,
    ExecutionsWanted,
    ExternalOrderSeen,
    OrderBound,
    OrderDenied,
    OrderFilled,
    OrderFinished,
    OrderFrozen,
    OrderIntended,
    OrderUnfrozen,
)
from kquant.settings import Settings
from kquant.values import Epoch, Seq
from tests.orders.orders_world import CODES, Broker, World, by_kind, holding, opened, with_settings

A, B = CODES[0], CODES[1]


def denied(world: World) -> OrderDenied:
    assert world.all(OrderIntended) == []
    return world.last(OrderDenied)


def test_a_signal_becomes_an_intent_of_one_equity_share_a_tick_above_the_ask() -> None:
    world = opened()
    world.signal(last=10_000, ask=10_010)
    intent = world.last(OrderIntended)
    assert (intent.side, intent.kind, intent.price, intent.reason) == ("buy", "limit", 10_020, "signal")
    budget = 100_000_000 * 800 // 10_000
    cost = intent.qty * 10_020
    assert intent.reserved_krw == cost + cost * 140 // 1_000_000 <= budget
    assert (intent.qty + 1) * 10_020 * 1_000_140 // 1_000_000 > budget
    assert intent.valid_until == world.clock.now() + 5_000_000


def test_the_limit_is_bounded_by_the_collar_and_lies_on_the_tick_grid() -> None:
    settings = with_settings(lambda s: {"risk": structs.replace(s.risk, limit_ticks_above_ask=50, upper_limit_ticks=0)})
    world = opened(settings=settings)
    world.signal(last=10_033, ask=10_040)
    assert world.last(OrderIntended).price == 10_130
    world.signal(B, last=12_990, ask=12_990)
    assert world.last(OrderIntended).price == 13_000


@pytest.mark.parametrize(("last", "ask"), [(10_000, 0), (10_000, 10_200), (12_990, 13_010)])
def test_an_ask_that_collar_or_upper_limit_do_not_reach_is_denied(last: int, ask: int) -> None:
    world = opened()
    world.signal(last=last, ask=ask)
    assert denied(world).rule == "PRICE_BAND"
    assert denied(world).value == ask


def test_nothing_is_bought_before_the_portfolio_opened() -> None:
    world = opened(Broker(reads_fail=True))
    world.signal()
    assert (denied(world).rule, denied(world).value, denied(world).limit) == ("NOT_READY", 0, 1)


@pytest.mark.parametrize("clock", ["08:59:59", "15:20:00", "15:31:00"])
def test_nothing_is_bought_outside_continuous_trading(clock: str) -> None:
    world = World()
    world.until(clock)
    world.signal()
    assert denied(world).rule == "SESSION_CLOSED"


def test_what_is_held_is_not_bought_again() -> None:
    world = holding()
    world.signal(A)
    assert (denied(world).rule, denied(world).value) == ("ALREADY_HELD", 100)


def test_there_is_one_open_order_of_a_stock_at_most() -> None:
    world = opened()
    world.signal()
    world.signal()
    assert len(world.all(OrderIntended)) == 1
    assert world.last(OrderDenied).rule == "OPEN_ORDER"


@pytest.mark.parametrize(
    ("setting", "value", "rule"),
    [
        ("max_positions", 1, "MAX_POSITIONS"),
        ("max_orders_per_minute", 1, "ORDERS_PER_MINUTE"),
        ("max_orders_per_day", 1, "ORDERS_PER_DAY"),
        ("max_day_buy_krw", 8_000_000, "DAY_BUY_AMOUNT"),
        ("max_day_loss_krw", 0, "DAY_LOSS"),
        ("max_order_krw", 10_020, "ORDER_AMOUNT"),
        ("position_share_bp", 0, "QTY_ZERO"),
    ],
)
def test_each_limit_denies_with_its_code_and_numbers(setting: str, value: int, rule: str) -> None:
    world = opened(settings=with_settings(lambda s: {"risk": structs.replace(s.risk, **{setting: value})}))
    world.signal(A)
    world.signal(B)
    refusal = world.all(OrderDenied)[-1]
    assert (refusal.rule, refusal.code) == (rule, B)
    assert refusal.decision == max(fact.seq for fact in world.facts() if fact.name == "pipeline.buy_signalled")


@pytest.mark.parametrize(
    ("setting", "left"),
    [("max_order_krw", 300_100), ("max_day_buy_krw", 42_100), ("position_share_bp", 30)],
)
def test_a_buy_that_the_limits_leave_too_small_is_denied_with_its_amount(setting: str, left: int) -> None:
    world = opened(settings=with_settings(lambda s: {"risk": structs.replace(s.risk, **{setting: left})}))
    world.signal(last=10_000, ask=10_010)
    budget = left * 100_000_000 // 10_000 if setting == "position_share_bp" else left
    affordable = budget * 1_000_000 // (10_020 * 1_000_140)
    assert (denied(world).rule, denied(world).value, denied(world).limit) == (
        "ORDER_SMALL",
        affordable * 10_020,
        300_000,
    )


def test_a_buy_of_exactly_the_smallest_amount_goes() -> None:
    settings = with_settings(lambda s: {"risk": structs.replace(s.risk, max_order_krw=305_000, min_order_krw=300_600)})
    world = opened(settings=settings)
    world.signal(last=10_000, ask=10_010)
    assert world.last(OrderIntended).qty * world.last(OrderIntended).price == 300_600


def test_a_log_without_the_smallest_order_still_reads_and_has_no_such_limit() -> None:
    settings = with_settings(lambda s: {})
    raw = msgspec.to_builtins(settings)
    del raw["risk"]["min_order_krw"]
    assert msgspec.convert(raw, Settings).risk == structs.replace(settings.risk, min_order_krw=0)


def test_orders_per_minute_are_allowed_again_after_a_minute() -> None:
    world = opened(settings=with_settings(lambda s: {"risk": structs.replace(s.risk, max_orders_per_minute=1)}))
    world.signal(A)
    world.pass_time(61)
    world.signal(B)
    assert [intent.code for intent in world.all(OrderIntended)] == [A, B]


def test_reserved_cash_is_not_spent_twice() -> None:
    settings = with_settings(
        lambda s: {"risk": structs.replace(s.risk, position_share_bp=9_000, max_order_krw=10**9, min_order_krw=0)}
    )
    world = opened(Broker(cash=1_000_000), settings=settings)
    world.signal(A)
    world.signal(B)
    first, second = world.all(OrderIntended)
    assert first.reserved_krw + second.reserved_krw <= 1_000_000
    world.signal(CODES[2])
    assert world.last(OrderDenied).rule == "CASH"


def test_an_operator_halts_entries_and_allows_them_again_while_exits_go_on() -> None:
    world = holding()
    world.say("operator", HaltOrdered(who="kim", reason="lunch"))
    world.say("operator", HaltOrdered(who="kim", reason="lunch"))
    world.signal(B)
    assert world.last(OrderDenied).rule == "HALTED"
    assert [halt.reason for halt in world.all(EntriesHalted)] == ["kim: lunch"]
    world.fire(by_kind(world)["stop"], 9_000)
    assert world.last(OrderIntended).side == "sell"
    world.say("operator", ResumeOrdered(who="kim", reason="back"))
    world.signal(B)
    assert world.last(OrderIntended).code == B


def test_a_parked_guard_halts_entries() -> None:
    world = opened()
    world.say("parked.scanner", OwnerParked(owner="scanner", seq=Seq(1), error="x"))
    assert world.all(EntriesHalted) == []
    world.say("parked.slots", OwnerParked(owner="slots", seq=Seq(1), error="x"))
    assert world.last(EntriesHalted).reason == "slots could not answer seq 1"


@pytest.mark.parametrize(("owner", "frozen"), [("orders", [A]), ("portfolio", [A]), ("slots", [A]), ("scanner", [])])
def test_the_stock_of_a_parked_guards_input_is_frozen_until_resumed(owner: str, frozen: list[str]) -> None:
    world = opened()
    world.say(f"parked.{owner}", OwnerParked(owner=owner, seq=Seq(1), error="x", code=A))
    assert [one.code for one in world.all(OrderFrozen)] == frozen
    world.say("operator", ResumeOrdered(who="kim", reason="mended"))
    assert [one.code for one in world.all(OrderUnfrozen)] == frozen
    world.signal(A)
    assert world.last(OrderIntended).code == A


def test_a_parked_input_that_names_no_stock_freezes_none() -> None:
    world = opened()
    world.say("parked.slots", OwnerParked(owner="slots", seq=Seq(1), error="x"))
    assert world.all(OrderFrozen) == []


def test_a_day_after_an_unreconciled_one_starts_halted() -> None:
    assert World(reconciled=False, day_before="2026-11-19").own.halted is not None
    assert World(reconciled=False, day_before="").own.halted is None


def test_partial_fills_become_deltas_until_the_order_is_filled() -> None:
    world = opened()
    world.signal()
    ticket = world.broker.tickets[0]
    world.broker.fill(ticket, 100, 10_010)
    world.pass_time(3)
    world.broker.fill(ticket, ticket.leaves, 10_020)
    world.pass_time(3)
    fills = world.all(OrderFilled)
    assert [(fill.qty, fill.filled_qty) for fill in fills] == [(100, 100), (ticket.qty - 100, ticket.qty)]
    assert sum(fill.amount_krw for fill in fills) == ticket.amount
    assert world.last(OrderFinished).outcome == "filled"
    asked = len(world.all(ExecutionsWanted))
    world.pass_time(600)
    assert len(world.all(ExecutionsWanted)) == asked


def test_a_notice_asks_for_the_list_at_once() -> None:
    world = opened()
    world.signal()
    world.broker.fill(world.broker.tickets[0], 5, 10_010)
    world.notice()
    assert world.last(OrderFilled).qty == 5


@pytest.mark.parametrize("again", [FeedConnected(epoch=Epoch(2)), NoticesConnected(line=Epoch(2))])
def test_a_line_that_is_up_again_asks_for_the_list(again) -> None:
    """Nothing is replayed after a reconnect: kis-protocol 3.4."""
    world = opened()
    asked = len(world.all(ExecutionsWanted))
    world.say("feed", again)
    assert len(world.all(ExecutionsWanted)) == asked + 1


def test_a_resting_buy_is_cancelled_and_its_reservation_released() -> None:
    world = opened()
    world.signal()
    world.broker.fill(world.broker.tickets[0], 7, 10_010)
    world.pass_time(40)
    assert len(world.all(CancelWanted)) == 1
    done = world.last(OrderFinished)
    assert (done.outcome, done.filled_qty) == ("cancelled", 7)
    assert world.own.live == ()


def test_a_cancel_that_met_a_fill_leaves_the_order_filled() -> None:
    world = opened(Broker(cancels=["refuse"]))
    world.signal()
    world.pass_time(29)
    ticket = world.broker.tickets[0]
    world.broker.fill(ticket, ticket.qty, 10_010)
    world.pass_time(10)
    assert world.last(OrderFinished).outcome == "filled"


def test_a_lost_cancel_is_asked_again_later() -> None:
    world = opened(Broker(cancels=["lost", "lost"]))
    world.signal()
    world.pass_time(200)
    assert len(world.all(CancelWanted)) == 3
    assert world.last(OrderFinished).outcome == "cancelled"


@pytest.mark.parametrize(("outcome", "ended"), [("refuse", "refused"), ("expire", "expired")])
def test_an_order_that_never_worked_is_finished_as_such(outcome: str, ended: str) -> None:
    world = opened(Broker(outcomes=[outcome]))
    world.signal()
    assert world.last(OrderFinished).outcome == ended
    world.signal(B)
    assert world.last(OrderIntended).code == B


def test_an_unknown_order_is_found_in_the_list_and_bound() -> None:
    world = opened(Broker(outcomes=["unknown"]))
    world.signal()
    assert world.last(OrderBound).order_no == "1"
    world.broker.fill(world.broker.tickets[0], 10**9, 10_010)
    world.pass_time(5)
    assert world.last(OrderFinished).outcome == "filled"
    assert world.all(ExternalOrderSeen) == []


def test_no_stock_is_bought_while_an_order_is_unknown() -> None:
    world = opened(Broker(outcomes=["lost"]))
    world.signal(A)
    world.signal(B)
    assert (world.last(OrderDenied).rule, world.last(OrderDenied).value) == ("NOT_READY", 1)


def test_an_unknown_order_in_no_listing_for_a_minute_is_presumed_not_placed_and_the_stock_frozen() -> None:
    world = opened(Broker(outcomes=["lost"]))
    world.signal(A)
    world.pass_time(59)
    assert world.all(OrderFinished) == []
    world.pass_time(10)
    assert world.last(OrderFinished).outcome == "not_placed"
    world.signal(A)
    assert world.last(OrderDenied).rule == "FROZEN"
    world.signal(B)
    assert world.last(OrderIntended).code == B


def test_resuming_releases_a_frozen_stock_whose_orders_are_resolved_halted_or_not() -> None:
    settings = with_settings(lambda s: {"risk": structs.replace(s.risk, repeat_seconds=0)})
    world = opened(Broker(outcomes=["lost"]), settings=settings)
    world.signal(A)
    world.pass_time(70)
    assert list(world.own.frozen) == [A]
    world.say("operator", ResumeOrdered(who="kim", reason="checked by hand"))
    assert world.all(OrderUnfrozen) == [OrderUnfrozen(code=A, why="kim: checked by hand")]
    world.signal(A)
    assert [intent.code for intent in world.all(OrderIntended)] == [A, A]
    world.assert_recovers()


def test_a_frozen_stock_with_an_unknown_order_stays_frozen_when_entries_resume() -> None:
    world = opened(Broker(outcomes=["unknown"]))
    original = world._order

    def twice(intent: OrderIntended):
        world.broker.place(intent.code, intent.side, intent.kind, intent.qty, intent.price, world.clock.now())
        return original(intent)

    world._order = twice  # type: ignore[method-assign]
    world.signal(A)
    world.say("operator", HaltOrdered(who="kim", reason="two alike"))
    world.say("operator", ResumeOrdered(who="kim", reason="not checked"))
    assert world.last(EntriesResumed).reason == "kim: not checked"
    assert world.all(OrderUnfrozen) == []
    world.signal(A)
    assert world.last(OrderDenied).rule == "FROZEN"


def test_an_order_that_appears_after_it_was_given_up_is_bound_and_cancelled() -> None:
    world = opened(Broker(outcomes=["late"]))
    world.signal(A)
    world.pass_time(70)
    assert world.last(OrderFinished).outcome == "not_placed"
    world.broker.hidden.clear()
    world.notice()
    assert world.last(OrderBound).order_no == "1"
    world.pass_time(5)
    assert world.last(OrderFinished).outcome == "cancelled"
    world.assert_recovers()


def test_two_candidates_for_an_unknown_order_freeze_the_stock() -> None:
    world = opened(Broker(outcomes=["unknown"]))
    intended = []
    original = world._order

    def twice(intent: OrderIntended):
        intended.append(intent)
        world.broker.place(intent.code, intent.side, intent.kind, intent.qty, intent.price, world.clock.now())
        return original(intent)

    world._order = twice  # type: ignore[method-assign]
    world.signal(A)
    world.pass_time(90)
    assert len(intended) == 1
    assert [frozen.code for frozen in world.all(OrderFrozen)] == [A]
    assert world.all(OrderBound) == []
    world.signal(A)
    assert world.last(OrderDenied).rule == "FROZEN"


def test_an_unknown_order_does_not_match_another_price_or_an_older_time() -> None:
    broker = Broker(outcomes=["lost"])
    world = opened(broker)
    broker.place(A, "buy", "limit", 797, 10_020, world.clock.now() - 60_000_000)
    world.signal(A)
    qty = world.last(OrderIntended).qty
    broker.tickets[0].qty = qty
    broker.place(A, "buy", "limit", qty, 10_030, world.clock.now())
    world.pass_time(90)
    assert world.all(OrderBound) == []
    assert {seen.order_no for seen in world.all(ExternalOrderSeen)} == {"1", "2"}


def test_an_order_placed_elsewhere_is_recorded_and_its_fills_counted_once() -> None:
    world = opened()
    ticket = world.broker.place(B, "buy", "limit", 10, 10_000, world.clock.now())
    world.broker.fill(ticket, 4, 10_000)
    world.notice()
    world.notice()
    assert [(seen.order_no, seen.qty) for seen in world.all(ExternalOrderSeen)] == [("1", 10)]
    assert [(fill.intent, fill.qty) for fill in world.all(OrderFilled)] == [(None, 4)]
    assert world.portfolio.positions[B].qty == 4


def test_fills_from_before_the_opening_balance_are_not_booked_again() -> None:
    broker = Broker()
    ticket = broker.place(B, "buy", "limit", 10, 10_000, 0)
    broker.fill(ticket, 4, 10_000)
    world = opened(broker)
    assert (world.portfolio.positions[B].qty, world.portfolio.cash_krw) == (4, broker.cash)
    broker.fill(ticket, 6, 10_000)
    world.notice()
    assert (world.portfolio.positions[B].qty, world.portfolio.cash_krw) == (10, broker.cash)


def test_a_listing_older_than_the_last_one_or_repeated_changes_nothing() -> None:
    world = opened()
    world.signal()
    ticket = world.broker.tickets[0]
    old = ticket.row()
    world.broker.fill(ticket, 50, 10_010)
    world.pass_time(3)
    before = (world.own.orders, world.portfolio.positions)
    for row in (old, ticket.row(), old):
        world.broker.tickets = [_Fixed(row)]
        world.notice()
    assert (world.own.orders, world.portfolio.positions) == before


class _Fixed:
    def __init__(self, row) -> None:
        self.no, self._row = row.order_no, row

    def row(self):
        return self._row
