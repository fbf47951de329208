"""Given a position, when a trigger fires or the day ends, then this is sold."""

from __future__ import annotations

import pytest
from msgspec import structs

from kquant.domain.orders import ORDERS
from kquant.domain.orders.case import valid_us
from kquant.events.orders import (
    ExecutionsListed,
    ExecutionsWanted,
    OrderDenied,
    OrderFilled,
    OrderFinished,
    OrderIntended,
    TriggerArmed,
    TriggerDisarmed,
)
from kquant.events.portfolio import (
    CashMoved,
    DayReconciled,
    PortfolioOpened,
    PositionChanged,
    PositionClosed,
    PositionOpened,
)
from kquant.values import SECOND_US, Krw
from tests.orders.orders_world import CODES, Broker, World, by_kind, holding, opened, with_settings

A, B = CODES[0], CODES[1]


def test_a_carried_position_is_armed_with_stop_target_and_trailing_from_its_average() -> None:
    world = holding(100, 1_000_333)
    armed = by_kind(world)
    assert (armed["stop"].price, armed["target"].price) == (9_700, 10_610)
    assert (armed["trailing"].trail_bp, armed["trailing"].high) == (350, 10_004)
    assert len(world.all(TriggerArmed)) == 3


def test_a_rate_of_zero_leaves_that_exit_out() -> None:
    settings = with_settings(lambda s: {"exits": structs.replace(s.exits, take_profit_bp=0, trailing_bp=0)})
    assert list(by_kind(holding(settings=settings))) == ["stop"]


def test_a_fired_trigger_sells_the_whole_position_and_disarms_the_others() -> None:
    world = holding()
    stop = by_kind(world)["stop"]
    world.fire(stop, 9_690)
    intent = world.last(OrderIntended)
    assert (intent.side, intent.qty, intent.kind, intent.price, intent.reason) == ("sell", 100, "market", 0, "stop")
    assert {gone.trigger for gone in world.all(TriggerDisarmed)} == {1, 2, 3} - {stop.trigger}
    world.broker.fill(world.broker.tickets[0], 100, 9_690)
    world.pass_time(3)
    assert world.last(PositionClosed).code == A
    world.signal(A)
    assert world.last(OrderDenied).rule == "COOLDOWN"
    world.pass_time(1_800)
    world.signal(A)
    assert world.last(OrderIntended).side == "buy"


@pytest.mark.parametrize(("valid", "seconds"), [(30, 30), (0, 5)])
def test_a_sell_lives_long_enough_to_wait_for_its_turn_in_old_logs_as_long_as_a_buy(valid: int, seconds: int) -> None:
    """At one call a second the last of nine holdings waits for nine."""
    settings = with_settings(lambda base: {"exits": structs.replace(base.exits, valid_seconds=valid)})
    world = holding(settings=settings)
    world.fire(by_kind(world)["stop"], 9_690)
    sell = world.last(OrderIntended)
    assert sell.valid_until == world.clock.now() + seconds * SECOND_US
    world.signal(B)
    assert world.last(OrderIntended).valid_until == world.clock.now() + 5 * SECOND_US
    settings = world.settings
    assert {valid_us(settings, "sell"), valid_us(settings, "buy")} == {seconds * SECOND_US, 5 * SECOND_US}


def test_a_trigger_that_is_no_longer_armed_is_answered_with_nothing() -> None:
    world = holding()
    armed = by_kind(world)
    world.fire(armed["stop"], 9_690)
    count = len(world.facts())
    world.fire(armed["target"], 11_000)
    world.fire(armed["stop"], 9_690)
    assert len(world.facts()) == count + 2


def test_a_position_that_changes_within_a_tick_is_not_armed_anew() -> None:
    world = holding(1_000, 10_003_000)
    ticket = world.broker.place(A, "buy", "limit", 1, 10_004, world.clock.now())
    world.broker.fill(ticket, 1, 10_004)
    world.notice()
    assert world.portfolio.positions[A].qty == 1_001
    assert len(world.all(TriggerArmed)) == 3


def test_a_refused_exit_is_tried_again_after_growing_pauses_never_at_once() -> None:
    world = holding()
    world.broker.outcomes = ["refuse"] * 4
    pauses = []
    for _ in range(4):
        world.fire(by_kind(world)["stop"], 9_000)
        assert world.own.armed == {}
        waited = 0
        while not world.own.armed:
            world.pass_time(1)
            waited += 1
        pauses.append(waited)
    assert pauses == [5, 10, 20, 40]


def test_a_trigger_before_the_open_waits_for_the_session() -> None:
    world = World(Broker(shares={A: (100, 1_000_000)}))
    world.fire(by_kind(world)["stop"], 9_000)
    assert world.all(OrderIntended) == []
    world.until("09:00:00")
    world.fire(by_kind(world)["stop"], 9_000)
    assert world.last(OrderIntended).side == "sell"


def test_positions_are_sold_before_the_close_if_the_settings_say_so() -> None:
    settings = with_settings(lambda s: {"exits": structs.replace(s.exits, flat_at_close=True)})
    world = opened(Broker(shares={A: (10, 100_000), B: (20, 200_000)}), settings=settings)
    world.job("flatten")
    assert [(intent.code, intent.qty, intent.reason) for intent in world.all(OrderIntended)] == [
        (A, 10, "flatten"),
        (B, 20, "flatten"),
    ]
    assert world.own.armed == {}
    world.signal(CODES[2])
    assert world.last(OrderDenied).rule == "FLATTENING"


def test_an_order_still_open_at_the_close_is_finished_from_the_final_listing() -> None:
    world = holding()
    world.until("15:19:59")
    world.fire(by_kind(world)["stop"], 9_000)
    world.broker.fill(world.broker.tickets[0], 40, 9_000)
    world.until("15:30:00")
    world.job("session_closed")
    world.until("15:32:00")
    done = world.last(OrderFinished)
    assert (done.outcome, done.filled_qty) == ("expired", 40)
    assert world.last(DayReconciled).agrees
    world.assert_recovers()


def test_failed_listings_are_asked_again_ever_slower() -> None:
    world = opened()
    world.signal()
    world.broker.reads_fail = True
    before = len(world.all(ExecutionsWanted))
    world.pass_time(120)
    assert 3 <= len(world.all(ExecutionsWanted)) - before <= 8
    world.broker.reads_fail = False
    world.pass_time(120)
    assert world.own.live == ()


def test_every_intent_traces_to_its_decision() -> None:
    world = holding()
    world.signal(B)
    world.fire(by_kind(world)["target"], 11_000)
    names = {fact.seq: fact.name for fact in world.facts()}
    decisions = [names[intent.decision] for intent in world.all(OrderIntended)]
    assert decisions == ["pipeline.buy_signalled", "market.trigger_fired"]


def test_the_first_position_event_of_a_buy_arms_its_exits() -> None:
    world = opened()
    world.signal()
    world.broker.fill(world.broker.tickets[0], 10**9, 10_020)
    world.pass_time(3)
    assert world.last(PositionOpened).carried is False
    assert set(by_kind(world)) == {"stop", "target", "trailing"}
    assert world.all(ExecutionsListed)


# -- never more than we have, never twice (O3, O9) ----------------------------------------------------------


def test_a_stock_whose_sell_still_works_is_not_sold_a_second_time_before_the_close() -> None:
    settings = with_settings(lambda s: {"exits": structs.replace(s.exits, flat_at_close=True)})
    world = holding(settings=settings)
    world.fire(by_kind(world)["stop"], 9_000)
    world.broker.fill(world.broker.tickets[0], 40, 9_000)
    world.notice()
    world.job("flatten")
    world.pass_time(60)
    assert [intent.qty for intent in world.all(OrderIntended)] == [100]


def test_a_position_without_a_session_to_sell_in_is_not_sold() -> None:
    world = holding()
    world.until("15:29:59")
    stop = by_kind(world)["stop"]
    world.until("15:30:00")
    world.fire(stop, 9_000)
    world.job("session_closed")
    world.pass_time(600)
    assert world.all(OrderIntended) == []


def test_shares_tied_by_a_sell_placed_elsewhere_are_sold_only_once_they_are_free() -> None:
    world = holding()
    other = world.broker.place(A, "sell", "limit", 40, 10_500, world.clock.now())
    world.fire(by_kind(world)["stop"], 9_000)
    assert world.last(OrderFinished).outcome == "refused"
    world.broker.fill(other, 40, 10_500)
    world.notice()
    world.pass_time(10)
    world.fire(by_kind(world)["stop"], 9_000)
    assert [intent.qty for intent in world.all(OrderIntended)] == [100, 60]
    world.broker.fill(world.broker.tickets[1], 60, 9_000)
    world.notice()
    assert world.portfolio.positions == {}
    assert world.broker.shares[A][0] == 0


class Unbooked:
    """Orders alone: what portfolio says, and when, is told by the test."""

    def __init__(self) -> None:
        self.world = World(Broker(shares={A: (100, 1_000_000)}), owners=(ORDERS,))
        self.world.say("portfolio", PortfolioOpened(cash_krw=Krw(100_000_000)))
        self.world.until("09:05:00")

    def hold(self, qty: int) -> None:
        said = PositionOpened(code=A, name="a", qty=qty, cost_krw=qty * 10_000, carried=False)
        self.world.say("portfolio", said)

    def book(self, qty: int) -> None:
        """Portfolio books the last fill: *qty* shares are left."""
        fill = self.world.last(OrderFilled)
        moved = CashMoved(
            intent=fill.intent, order_no=fill.order_no, amount_krw=fill.amount_krw, fee_krw=Krw(0), tax_krw=Krw(0),
            cash_krw=Krw(100_000_000),
        )  # fmt: skip
        self.world.say("portfolio", moved)
        changed = PositionChanged(code=A, qty=qty, cost_krw=qty * 10_000, realised_krw=Krw(0))
        self.world.say("portfolio", changed)


def test_what_is_left_of_a_sell_waits_until_its_fill_is_booked() -> None:
    desk = Unbooked()
    desk.hold(100)
    world = desk.world
    world.fire(by_kind(world)["stop"], 9_000)
    ticket = world.broker.tickets[0]
    world.broker.fill(ticket, 40, 9_000)
    ticket.cancelled = 60
    world.notice()
    assert world.last(OrderFinished).outcome == "cancelled"
    world.pass_time(120)
    assert world.own.armed == {}
    desk.book(60)
    world.pass_time(300)
    world.fire(by_kind(world)["stop"], 9_000)
    assert [intent.qty for intent in world.all(OrderIntended)] == [100, 60]


def test_a_trigger_that_fires_between_a_fill_and_its_booking_sells_nothing_until_it_is_booked() -> None:
    desk = Unbooked()
    world = desk.world
    world.signal(A)
    ticket = world.broker.tickets[0]
    world.broker.fill(ticket, 50, 10_020)
    world.notice()
    moved = CashMoved(
        intent=world.last(OrderFilled).intent, order_no="1", amount_krw=Krw(-501_000), fee_krw=Krw(0), tax_krw=Krw(0),
        cash_krw=Krw(99_499_000),
    )  # fmt: skip
    world.say("portfolio", moved)
    desk.hold(50)
    stop = by_kind(world)["stop"]
    world.broker.fill(ticket, 30, 10_020)
    world.notice()
    world.fire(stop, 9_000)
    assert [intent.side for intent in world.all(OrderIntended)] == ["buy"]
    desk.book(80)
    world.pass_time(5)
    world.fire(by_kind(world)["stop"], 9_000)
    assert [(intent.side, intent.qty) for intent in world.all(OrderIntended)[1:]] == [("sell", 80)]


def test_a_late_firing_of_an_arming_that_was_replaced_sells_nothing() -> None:
    """A trigger id is of one arming: the position changed, its stop moved, and the old one still fires."""
    world = holding(100, 1_000_000)
    old = by_kind(world)["stop"]
    ticket = world.broker.place(A, "buy", "limit", 100, 11_000, world.clock.now())
    world.broker.fill(ticket, 100, 11_000)
    world.notice()
    assert by_kind(world)["stop"].trigger != old.trigger
    world.fire(old, old.price)
    assert world.all(OrderIntended) == []
    assert set(by_kind(world)) == {"stop", "target", "trailing"}
