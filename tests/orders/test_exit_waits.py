"""Given a sell that is due, when it cannot trade, then it waits, says so once, and goes when it can (D37, D38, O8)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from kquant.events.day import FlattenOrdered, HaltOrdered
from kquant.events.market import TriggerFired
from kquant.events.orders import ExitPostponed, OrderIntended, QuoteAnswered, QuoteWanted, TriggerArmed
from kquant.market.fold import MarketFold
from kquant.market.records import RestPrice
from kquant.values import MINUTE_US, Shares
from tests.orders.orders_world import CODES, Broker, World, by_kind, holding, kst, opened, with_settings
from tests.orders.test_risk_rules import bar, risky, status

A, B = CODES[0], CODES[1]


def exits(**changes: Any) -> Any:
    return with_settings(lambda s: {"exits": structs.replace(s.exits, **changes)})


def sells(world: World) -> list[tuple[str, str, int]]:
    return [(one.code, one.reason, one.qty) for one in world.all(OrderIntended) if one.side == "sell"]


def waits(world: World) -> list[tuple[str, str]]:
    return [(one.rule, one.reason) for one in world.all(ExitPostponed)]


def stop(world: World, price: int = 9_000) -> None:
    """The stop fires; one that is armed again over a price that stays fires again."""
    trigger = by_kind(world).get("stop")
    assert trigger is not None, "the stop is not armed"
    world.fire(trigger, price)


def stop_if_armed(world: World, price: int = 9_000) -> None:
    if "stop" in by_kind(world):
        stop(world, price)


# -- interruptions, halts, auctions ----------------------------------------------------------------------------


def test_a_stop_in_an_interruption_waits_says_so_once_and_goes_when_the_feed_ends_it_d37() -> None:
    world = holding()
    world.broker.quote_flags = {"vi": True, "is_auction": True}
    world.say("market", status(vi=True))
    stop(world)
    world.pass_time(100)
    assert (sells(world), waits(world)) == ([], [("VI", "stop")])
    assert by_kind(world) == {}
    world.say("market", status())
    stop(world)
    assert sells(world) == [(A, "stop", 100)]


def test_a_price_that_came_back_in_the_interruption_is_not_sold() -> None:
    world = holding()
    world.broker.quote_flags = {"vi": True}
    world.say("market", status(vi=True))
    stop(world)
    world.say("market", status())
    world.pass_time(600)
    assert sells(world) == []
    assert set(by_kind(world)) == {"stop", "target", "trailing"}


def test_the_end_of_an_interruption_that_nobody_tells_is_found_over_https() -> None:
    world = holding()
    world.broker.quote_flags = {"vi": True}
    world.say("market", status(vi=True))
    stop(world)
    world.pass_time(50)
    assert [one.why for one in world.all(QuoteWanted)] == ["exit", "exit"]
    world.broker.quote_flags = {}
    world.pass_time(20)
    stop(world)
    assert sells(world) == [(A, "stop", 100)]


def test_a_stock_that_gathers_orders_for_longer_than_an_interruption_is_sold_in_its_auction() -> None:
    """Single-price trading (단일가매매) of 30 minutes a match: there a market order is the way out."""
    world = holding()
    world.broker.outcomes = ["refuse"]
    world.broker.quote_flags = {"is_auction": True}
    stop(world)
    world.pass_time(140)
    assert sells(world) == [(A, "stop", 100)]
    world.pass_time(60)
    assert sells(world) == [(A, "stop", 100)] * 2
    assert waits(world) == [("AUCTION", "stop")]


def test_interruption_and_auction_that_take_turns_are_one_wait() -> None:
    """Whichever the last answer named: after the longest interruption the auction is the way out."""
    world = holding()
    trigger = by_kind(world)["stop"]
    world.broker.quote_flags = {"vi": True}
    world.say("market", status(vi=True))
    world.fire(trigger, 9_000)
    for turn in range(7):
        world.broker.quote_flags = {"vi": turn % 2 == 1, "is_auction": turn % 2 == 0}
        world.pass_time(20)
    assert sells(world) == []
    assert {rule for rule, _ in waits(world)} == {"VI", "AUCTION"}
    world.pass_time(20)
    assert sells(world) == [(A, "stop", 100)]
    world.assert_recovers()


def test_a_halted_stock_is_looked_at_quietly_all_day_and_sold_when_it_trades_d38() -> None:
    world = holding()
    world.broker.outcomes = ["refuse"]
    world.broker.quote_flags = {"status": "58"}
    stop(world)
    before = len(world.facts())
    world.pass_time(3_600)
    assert waits(world) == [("STOCK_HALTED", "stop")]
    assert len(world.facts()) - before <= 120 * 6 + 10, (
        "a request, its answer and the alarms around them each half minute"
    )
    world.broker.quote_flags = {}
    world.pass_time(31)
    stop(world)
    assert sells(world) == [(A, "stop", 100)] * 2


def test_a_circuit_breaker_postpones_every_exit_until_it_is_off_kis_protocol_3_5() -> None:
    world = holding()
    world.broker.quote_flags = {"halted": True}
    world.say("market", status(operation="174"))
    stop(world)
    assert waits(world) == [("STOCK_HALTED", "stop")]
    world.say("market", status(operation="175"))
    stop(world)
    assert sells(world) == [(A, "stop", 100)]


def test_a_stop_in_the_closing_auction_waits_while_what_means_today_takes_part() -> None:
    world = opened(Broker(shares={A: (100, 1_000_000), B: (50, 500_000)}), settings=exits(flat_at_close=True))
    world.until("15:20:00")
    stop(world)
    assert (sells(world), waits(world)) == ([], [("AUCTION", "stop")])
    assert world.last(ExitPostponed).until == kst("15:30")
    world.job("flatten")
    assert sells(world) == [(A, "flatten", 100), (B, "flatten", 50)]


def test_a_persons_order_to_sell_takes_part_in_the_closing_auction() -> None:
    world = holding()
    world.until("15:25:00")
    world.say("operator", FlattenOrdered(who="kim", reason="news", code=A))
    assert sells(world) == [(A, "operator", 100)]


# -- the lower limit -------------------------------------------------------------------------------------------


def fire_locked(world: World) -> None:
    trigger = by_kind(world)["stop"]
    world.say(
        "market",
        TriggerFired(
            trigger=trigger.trigger, code=A, price=7_000, bid=0, ask=7_000, exchange_time="100000", volume=1, place=1
        ),
    )  # fmt: skip


def test_a_stock_locked_at_the_lower_limit_is_sold_when_somebody_bids_d38() -> None:
    world = holding()
    world.broker.prices[A] = (7_000, 7_000)
    world.broker.quote_flags = {"bid": 0, "bid_qty": 0}
    fire_locked(world)
    world.pass_time(60)
    assert (sells(world), waits(world)) == ([], [("LOWER_LOCKED", "stop")])
    world.broker.quote_flags = {}
    world.pass_time(20)
    fire_locked(world)
    assert sells(world) == [(A, "stop", 100)], "the answer knows of a bid, the polled firing does not"


def test_a_stock_that_stays_locked_at_the_lower_limit_is_looked_at_ever_less_often() -> None:
    world = holding()
    world.broker.prices[A] = (7_000, 7_000)
    world.broker.quote_flags = {"bid": 0, "bid_qty": 0}
    fire_locked(world)
    asked = []
    for _ in range(5):
        before, events = len(world.all(QuoteWanted)), len(world.facts())
        world.pass_time(120)
        asked.append(len(world.all(QuoteWanted)) - before)
    assert asked[0] <= 6
    assert set(asked[1:]) == {2}, "once a minute, and never less often"
    assert len(world.facts()) - events <= 12
    assert waits(world) == [("LOWER_LOCKED", "stop")]
    world.broker.quote_flags = {}
    world.pass_time(60)
    fire_locked(world)
    assert sells(world) == [(A, "stop", 100)]


def test_a_firing_without_a_bid_above_the_lower_limit_is_sold_at_once() -> None:
    world = holding()
    trigger = by_kind(world)["stop"]
    world.say(
        "market",
        TriggerFired(trigger=trigger.trigger, code=A, price=9_000, bid=0, ask=0, exchange_time="", volume=1, place=1),
    )
    assert sells(world) == [(A, "stop", 100)]


# -- after a sell that did not go through ----------------------------------------------------------------------


def test_after_a_refused_sell_its_price_is_asked_before_the_next_one() -> None:
    world = holding()
    world.broker.outcomes = ["refuse"]
    world.broker.quote_flags = {"vi": True}
    stop(world)
    assert world.all(QuoteWanted) == []
    world.pass_time(6)
    assert [(one.code, one.why) for one in world.all(QuoteWanted)] == [(A, "exit")]
    assert waits(world) == [("VI", "stop")]
    assert sells(world) == [(A, "stop", 100)]


@pytest.mark.parametrize("quotes", ["fail", "hold"])
def test_without_an_answer_the_next_sell_goes_all_the_same(quotes: str) -> None:
    """Protection beats certainty: also when no outcome of the request ever comes."""
    world = holding()
    world.broker.outcomes = ["refuse"]
    world.broker.quotes = quotes
    stop(world)
    world.pass_time(5 + 12)
    assert world.all(QuoteAnswered) == []
    stop(world)
    assert sells(world) == [(A, "stop", 100)] * 2


def test_no_price_is_asked_where_the_settings_ask_none() -> None:
    world = holding(settings=risky(confirm_price=False))
    world.broker.outcomes = ["refuse"]
    stop(world)
    world.pass_time(6)
    assert world.all(QuoteWanted) == []
    stop(world)
    assert len(sells(world)) == 2


# -- time ------------------------------------------------------------------------------------------------------


def bought(world: World, code: str = A) -> None:
    world.signal(code)
    world.broker.fill(world.broker.tickets[-1], 10**6, 10_010)
    world.notice(world.broker.tickets[-1].no)


def test_a_position_bought_today_is_sold_after_its_minutes() -> None:
    world = opened(settings=exits(hold_minutes=30))
    bought(world)
    qty = world.portfolio.positions[A].qty
    world.pass_time(30 * 60 - 1)
    assert sells(world) == []
    world.pass_time(1)
    assert sells(world) == [(A, "time", qty)]
    assert by_kind(world) == {}


def test_a_carried_position_has_no_time() -> None:
    world = holding(settings=exits(hold_minutes=1))
    world.pass_time(3_600)
    assert sells(world) == []


def test_time_goes_on_over_a_partial_sell_and_a_restart() -> None:
    world = opened(settings=exits(hold_minutes=30))
    bought(world)
    qty = world.portfolio.positions[A].qty
    world.pass_time(10 * 60)
    other = world.broker.place(A, "sell", "limit", 10, 10_000, world.clock.now())
    world.broker.fill(other, 10, 10_000)
    world.notice(other.no)
    world.restart()
    world.pass_time(20 * 60 - 1)
    assert sells(world) == []
    world.pass_time(1)
    assert sells(world) == [(A, "time", qty - 10)]


def test_a_sell_by_time_that_was_refused_goes_again() -> None:
    world = opened(settings=exits(hold_minutes=30))
    bought(world)
    world.broker.outcomes = ["refuse"]
    world.pass_time(30 * 60 + 10)
    assert [reason for _, reason, _ in sells(world)] == ["time", "time"]


def test_the_time_of_a_position_that_is_gone_sells_nothing() -> None:
    world = opened(settings=exits(hold_minutes=30))
    bought(world)
    stop(world)
    world.broker.fill(world.broker.tickets[-1], 10**6, 9_000)
    world.notice(world.broker.tickets[-1].no)
    world.pass_time(3_600)
    assert len(sells(world)) == 1


# -- nothing about entries stops an exit -----------------------------------------------------------------------


def test_no_limit_on_entries_stops_an_exit_o8() -> None:
    limits = {"max_orders_per_minute": 0, "max_orders_per_day": 0, "max_day_loss_krw": 0, "max_order_krw": 1}
    world = holding(settings=risky(**limits))
    world.say("operator", HaltOrdered(who="kim", reason="x"))
    world.say("market", bar(A, 9_000))
    stop(world)
    assert sells(world) == [(A, "stop", 100)]


def test_a_stop_fires_from_a_price_that_rest_polled_while_the_feed_is_down() -> None:
    world = holding()
    fold = MarketFold()
    now = world.clock.now()
    for fact in world.facts():
        if isinstance(fact.event, TriggerArmed):
            fold.control(fact, now, 1)
    polled = RestPrice(
        code=A, last_price=9_600, open=10_000, high=10_000, low=9_600, volume=Shares(10), value=96_000, change_bp=-400
    )  # fmt: skip
    firings = [event for event, _, _ in fold.apply_records([polled], now, 2) if isinstance(event, TriggerFired)]
    assert [(one.price, one.bid) for one in firings] == [(9_600, 0)] * len(firings)
    for firing in firings:
        world.say("market", firing)
    assert [(code, qty) for code, _, qty in sells(world)] == [(A, 100)]


def test_a_postponed_exit_survives_a_restart() -> None:
    world = holding()
    world.broker.quote_flags = {"vi": True}
    world.say("market", status(vi=True))
    stop(world)
    world.assert_recovers()
    world.restart()
    world.broker.quote_flags = {}
    world.pass_time(30)
    stop(world)
    assert sells(world) == [(A, "stop", 100)]
    assert waits(world) == [("VI", "stop")]


def test_a_sell_is_never_made_twice_while_exits_wait_and_are_looked_at_o3() -> None:
    world = holding(settings=exits(hold_minutes=390))
    for minute in range(20):
        world.broker.quote_flags = {"vi": minute % 3 == 0}
        world.say("market", status(vi=minute % 3 == 0))
        stop_if_armed(world)
        world.pass_time(MINUTE_US // 1_000_000)
    live = [one for one in world.own.live_orders() if one.side == "sell"]
    assert len(live) == 1
    assert len(sells(world)) == 1
