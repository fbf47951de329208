"""Given what is known of account, stock and price, a buy is denied by this rule with these numbers (O8, O10, O11)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from kquant.domain.orders import Own, Seen, exit_rules
from kquant.domain.orders.risk import RULES
from kquant.domain.orders.sellable import SELL_UNPROVEN, TIED_OUTSIDE
from kquant.events.analyzer import ListingAnswered
from kquant.events.market import Bar, BarsClosed, MarketStatusChanged
from kquant.events.orders import ExternalOrderSeen, OrderDenied, OrderIntended, QuoteWanted
from kquant.events.pipeline import BuySignalled
from kquant.events.portfolio import BalanceAnswered
from kquant.values import Micros, Score, Seq, Symbol
from tests.orders.orders_world import CODES, FUND, Broker, World, by_kind, holding, kst, listed, opened, with_settings

A, B, C = CODES[:3]


def risky(**changes: Any) -> Any:
    return with_settings(lambda s: {"risk": structs.replace(s.risk, **changes)})


def denial(world: World) -> tuple[str, int, int]:
    refusal = world.last(OrderDenied)
    return refusal.rule, refusal.value, refusal.limit


def bought(world: World, code: str = A) -> bool:
    return any(intent.code == code and intent.side == "buy" for intent in world.all(OrderIntended))


def bar(code: str, close: int) -> BarsClosed:
    one = Bar(
        code=Symbol(code), open=close, high=close, low=close, close=close, volume=1, value=close, covered_seconds=60,
        day_high=close,
    )  # fmt: skip
    return BarsClosed(start=Micros(0), bars=(one,), place=1)


def status(**changes: Any) -> MarketStatusChanged:
    plain: dict[str, Any] = {
        "code": Symbol(A), "halted": False, "halt_reason": "", "vi": False, "overtime_vi": False, "operation": "",
        "expected_operation": "", "extension": "", "stock_status": "00", "venue": "1", "place": 1,
    }  # fmt: skip
    return MarketStatusChanged(**(plain | changes))


# -- amounts ---------------------------------------------------------------------------------------------------


def test_one_stock_takes_no_more_than_its_limit() -> None:
    world = opened(settings=risky(max_stock_krw=1_000_000))
    world.signal(A)
    intent = world.last(OrderIntended)
    assert intent.reserved_krw <= 1_000_000 < intent.reserved_krw + 10_020


def test_a_stock_whose_limit_is_below_one_share_is_denied() -> None:
    world = opened(settings=risky(max_stock_krw=10_020))
    world.signal(A)
    assert denial(world) == ("MAX_STOCK", 10_021, 10_020)


def test_positions_and_buys_under_way_take_no_more_than_the_total_limit() -> None:
    settings = risky(max_exposure_krw=9_000_000, min_order_krw=0)
    world = opened(Broker(shares={B: (100, 1_000_000)}), settings=settings)
    world.signal(A)
    taken = world.last(OrderIntended).reserved_krw
    assert taken <= 8_000_000 < taken + 10_021
    world.signal(C)
    rule, value, limit = denial(world)
    assert (rule, limit) == ("MAX_EXPOSURE", 9_000_000)
    assert value == 1_000_000 + taken + 10_021


def test_never_more_than_the_broker_takes_orders_for_without_credit() -> None:
    world = opened(settings=risky(repeat_seconds=0))
    balance = world.broker.balance()
    world.say("rest", structs.replace(balance, orderable_krw=500_000))
    world.signal(A)
    first = world.last(OrderIntended)
    assert first.reserved_krw <= 500_000 < first.reserved_krw + 10_021
    world.signal(B)
    rule, value, limit = denial(world)
    assert (rule, value, limit) == ("ORDERABLE", 10_021, 500_000 - first.reserved_krw)


def test_what_was_bought_before_the_broker_said_so_is_in_its_figure_already() -> None:
    world = opened()
    world.signal(A)
    world.say("rest", BalanceAnswered(holdings=(), cash_krw=100_000_000, cash_today_krw=0, orderable_krw=600_000))
    world.signal(B)
    second = world.last(OrderIntended)
    assert second.code == B
    assert second.reserved_krw <= 600_000 < second.reserved_krw + 10_021


def test_a_buy_takes_its_part_of_the_days_volume_at_most() -> None:
    world = opened(settings=risky(volume_share_bp=100))
    world.broker.quote_flags = {"volume": 20_099}
    world.signal(A)
    assert world.last(OrderIntended).qty == 200


def test_a_stock_that_hardly_trades_is_denied() -> None:
    world = opened(settings=risky(volume_share_bp=100))
    world.broker.quote_flags = {"volume": 99}
    world.signal(A)
    assert denial(world) == ("VOLUME", 0, 1)


# -- how often -------------------------------------------------------------------------------------------------


def test_a_stock_is_not_bought_again_soon_after_a_buy_that_came_to_nothing() -> None:
    world = opened(Broker(outcomes=["refuse"]), settings=risky(repeat_seconds=300))
    world.signal(A)
    world.pass_time(299)
    world.signal(A)
    assert denial(world) == ("REPEAT", 299, 300)
    world.pass_time(1)
    world.signal(A)
    assert len(world.all(OrderIntended)) == 2


def test_a_stock_is_bought_so_often_a_day_and_no_more() -> None:
    world = opened(Broker(outcomes=["refuse"] * 3), settings=risky(repeat_seconds=0, max_buys_per_stock=2))
    for _ in range(3):
        world.signal(A)
    assert denial(world) == ("MAX_BUYS_STOCK", 2, 2)
    world.signal(B)
    assert world.last(OrderIntended).code == B


def test_sells_count_among_the_orders_of_a_minute() -> None:
    world = holding(settings=risky(max_orders_per_minute=1))
    world.fire(by_kind(world)["stop"], 9_000)
    world.signal(B)
    assert denial(world) == ("ORDERS_PER_MINUTE", 1, 1)


# -- the day's loss --------------------------------------------------------------------------------------------


def test_an_open_loss_stops_entries_and_no_exit() -> None:
    world = holding(1_000, 10_000_000, settings=risky(max_day_loss_krw=500_000))
    world.say("market", bar(A, 9_501))
    world.signal(B)
    assert bought(world, B)
    world.say("market", bar(A, 9_500))
    world.signal(C)
    assert denial(world) == ("DAY_LOSS", 500_000, 500_000)
    world.fire(by_kind(world)["stop"], 9_500)
    assert world.last(OrderIntended).side == "sell"


def test_what_a_carried_position_lost_before_today_is_no_loss_of_today() -> None:
    """Its base price of 10,000 is what the day is measured from; it had cost 20,000."""
    world = holding(100, 2_000_000, settings=risky(max_day_loss_krw=100_000))
    world.signal(B)
    assert bought(world, B)
    world.say("market", bar(A, 9_000))
    world.signal(C)
    assert denial(world) == ("DAY_LOSS", 100_000, 100_000)


def test_a_carried_position_that_was_sold_counts_from_yesterdays_close() -> None:
    world = holding(100, 2_000_000, settings=risky(max_day_loss_krw=100_000))
    world.fire(by_kind(world)["stop"], 9_000)
    world.broker.fill(world.broker.tickets[0], 100, 9_100)
    world.notice()
    fees = 910_000 * 140 // 1_000_000 + 910_000 * 2_000 // 1_000_000
    world.signal(B)
    assert bought(world, B), "a loss of 90,000 and the costs"
    other = holding(100, 2_000_000, settings=risky(max_day_loss_krw=90_000 + fees))
    other.fire(by_kind(other)["stop"], 9_000)
    other.broker.fill(other.broker.tickets[0], 100, 9_100)
    other.notice()
    other.signal(B)
    assert denial(other) == ("DAY_LOSS", 90_000 + fees, 90_000 + fees)


# -- the stock's flags -----------------------------------------------------------------------------------------

FLAGS: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("STOCK_HALTED", {"halted": True}, {"halted": True}, {"halted": True}),
    ("STOCK_HALTED", {"halted": True}, {"stock_status": "58"}, {"status": "58"}),
    ("STOCK_HALTED", {"halted": True}, {"operation": "174"}, {"halted": True}),
    ("LIQUIDATION", {"liquidation": True}, {}, {"liquidation": True}),
    ("ADMINISTRATIVE", {"administrative": True}, {"stock_status": "51"}, {"administrative": True}),
    ("ADMINISTRATIVE", {"administrative": True}, {"stock_status": "51"}, {"status": "51"}),
    ("WARNING", {"warning": 2}, {"stock_status": "53"}, {"warning": 2}),
    ("WARNING", {"warning": 3}, {"stock_status": "52"}, {"status": "52"}),
    ("OVERHEATED", {"overheated": True}, {"stock_status": "59"}, {"overheated": True}),
    ("OVERHEATED", {"overheated": True}, {"stock_status": "59"}, {"status": "59"}),
    ("VI", {}, {"vi": True}, {"vi": True}),
    ("AUCTION", {}, {}, {"is_auction": True}),
]


@pytest.mark.parametrize(("rule", "in_list", "on_feed", "in_quote"), FLAGS)
def test_a_flag_denies_whoever_tells_it_kis_protocol_3_5(
    rule: str, in_list: dict[str, Any], on_feed: dict[str, Any], in_quote: dict[str, Any]
) -> None:
    """kis-protocol 3.5 and 4.2: the morning's list, the status channel, or the answer over HTTPS."""
    for told in ("list", "feed", "quote"):
        world = opened()
        if told == "list" and in_list:
            world.say("rest", ListingAnswered(stocks=(structs.replace(listed(A), **in_list), listed(B)), source=""))
        elif told == "feed" and on_feed:
            world.say("market", status(**on_feed))
        elif told == "quote":
            world.broker.quote_flags = in_quote
        else:
            continue
        world.signal(A)
        assert world.last(OrderDenied).rule == rule, told
        # What is known before is not asked for: the quote costs a call.
        assert bool(world.all(QuoteWanted)) is (told == "quote")
        assert not bought(world)


@pytest.mark.parametrize("flag", ["liquidation", "administrative", "warning", "overheated"])
def test_a_flag_that_the_filters_let_pass_denies_nothing(flag: str) -> None:
    settings = with_settings(lambda s: {"filters": structs.replace(s.filters, **{flag: False})})
    world = opened(settings=settings)
    world.broker.quote_flags = {flag: 2 if flag == "warning" else True}
    world.signal(A)
    assert bought(world)


def test_an_interruption_that_nobody_ended_is_over_after_its_longest_time_kis_protocol_5_4() -> None:
    world = opened()
    world.say("market", status(vi=True))
    world.pass_time(149)
    world.signal(A)
    assert world.last(OrderDenied).rule == "VI"
    world.pass_time(1)
    world.signal(A)
    assert bought(world)


def test_an_interruption_that_the_feed_ended_is_over_at_once() -> None:
    world = opened()
    world.say("market", status(vi=True))
    world.say("market", status())
    world.signal(A)
    assert bought(world)


def test_a_halt_that_the_feed_told_lasts_until_the_feed_ends_it() -> None:
    world = opened()
    world.say("market", status(halted=True))
    world.pass_time(3_600)
    world.signal(A)
    assert world.last(OrderDenied).rule == "STOCK_HALTED"
    world.say("market", status())
    world.signal(A)
    assert bought(world)


def test_a_stock_that_nobody_listed_is_not_bought_unless_its_price_is_confirmed() -> None:
    world = opened(settings=risky(confirm_price=False))
    world.signal("999990")
    assert denial(world) == ("UNLISTED", 0, 1)


# -- the price -------------------------------------------------------------------------------------------------


def aged(world: World, age_ms: int, *, wait: int = 0) -> None:
    world.broker.prices[A] = (10_000, 10_010)
    seq = world.snapshot(A, age_ms=age_ms)
    world.pass_time(wait)
    world.say(
        "pipeline",
        BuySignalled(
            run=1, code=Symbol(A), name="a", score=Score(80), last=10_000, bid=10_000, ask=10_010, snapshot=seq
        ),
    )  # fmt: skip


def test_a_signal_made_from_an_old_price_is_denied_with_its_age() -> None:
    world = opened()
    aged(world, 59_000, wait=2)
    assert denial(world) == ("STALE", 61, 60)
    aged(world, 59_000, wait=1)
    assert bought(world)


def test_a_signal_of_unknown_age_is_as_good_as_a_day_old() -> None:
    world = opened()
    world.say(
        "pipeline",
        BuySignalled(
            run=1, code=Symbol(A), name="a", score=Score(80), last=10_000, bid=10_000, ask=10_010, snapshot=Seq(1)
        ),
    )  # fmt: skip
    assert denial(world) == ("STALE", 86_400, 60)


@pytest.mark.parametrize(("last", "moved"), [(10_151, 151), (9_849, 151), (10_150, None), (9_850, None)])
def test_a_confirmed_price_too_far_from_the_signals_is_denied_up_and_down(last: int, moved: int | None) -> None:
    world = opened(settings=risky(moved_bp=150))
    world.broker.prices[A] = (last, last // 10 * 10 + 10)
    world.signal(A, moved=True)
    if moved is None:
        assert bought(world)
    else:
        assert denial(world) == ("PRICE_MOVED", moved, 150)


def test_an_answer_without_a_price_denies() -> None:
    world = opened()
    world.broker.prices[A] = (0, 0)
    world.signal(A, moved=True)
    assert denial(world) == ("QUOTE_MISSING", 0, 1)


def test_a_stock_locked_at_the_upper_limit_is_denied() -> None:
    world = opened(settings=risky(upper_limit_ticks=0))
    world.signal(A, last=13_000, ask=0)
    assert denial(world) == ("UPPER_LOCKED", 13_000, 13_000)


@pytest.mark.parametrize(("ask", "goes"), [(12_970, False), (12_960, True)])
def test_nothing_is_bought_within_three_ticks_of_the_upper_limit(ask: int, goes: bool) -> None:
    world = opened()
    world.signal(A, last=12_950, ask=ask)
    assert bought(world) is goes
    if not goes:
        assert denial(world) == ("NEAR_UPPER", 12_970, 12_970)


def test_an_ask_below_the_days_lower_limit_is_not_believed_d36() -> None:
    world = opened()
    world.signal(A, last=6_900, ask=6_910)
    assert denial(world) == ("PRICE_BAND", 6_910, 7_000)


def test_a_confirmed_upper_limit_replaces_that_of_the_morning() -> None:
    world = opened()
    world.broker.quote_flags = {"upper": 10_020}
    world.signal(A)
    assert denial(world) == ("NEAR_UPPER", 10_010, 9_990)


def test_a_market_order_counts_at_the_upper_limit_kis_protocol_4_5() -> None:
    world = opened(settings=risky(entry_kind="market", max_order_krw=1_000_000))
    world.signal(A)
    intent = world.last(OrderIntended)
    assert (intent.kind, intent.price, intent.qty) == ("market", 0, 76)
    assert intent.reserved_krw == 76 * 13_000 + 76 * 13_000 * 140 // 1_000_000


def test_a_market_order_without_a_known_upper_limit_is_denied() -> None:
    world = opened(settings=risky(entry_kind="market"))
    world.say("rest", ListingAnswered(stocks=(structs.replace(listed(A), upper=None),), source=""))
    world.signal(A)
    assert world.last(OrderDenied).rule == "PRICE_BAND"


def test_a_fund_lies_on_its_own_tick_grid_kis_protocol_5_2() -> None:
    world = opened(Broker(shares={FUND: (100, 1_001_100)}))
    stop = by_kind(world, FUND)["stop"]
    assert stop.price == 9_710
    assert by_kind(world, FUND)["target"].price == 10_615
    other = opened()
    other.signal(FUND, last=10_000, ask=10_005)
    assert other.last(OrderIntended).price == 10_010


# -- the table -------------------------------------------------------------------------------------------------


def test_every_rule_has_a_code_of_its_own() -> None:
    codes = [code for code, _ in RULES]
    assert len(set(codes)) == len(codes)
    assert codes[0] == "HALTED", "what stops everything is said first"


def test_a_restart_keeps_every_limit_and_count() -> None:
    world = holding(settings=risky(max_buys_per_stock=1, repeat_seconds=0))
    world.say("market", bar(A, 9_000))
    world.say("market", status(code=C, halted=True))
    world.broker.outcomes = ["refuse"]
    world.signal(B)
    world.fire(by_kind(world)["stop"], 9_000)
    world.broker.fill(world.broker.tickets[-1], 100, 9_000)
    world.notice(world.broker.tickets[-1].no)
    seen = world.seen
    world.assert_recovers()
    world.restart()
    assert world.seen == seen
    for code, rule in ((B, "MAX_BUYS_STOCK"), (A, "COOLDOWN"), (C, "STOCK_HALTED")):
        world.signal(code)
        assert world.last(OrderDenied).rule == rule


def test_the_fold_starts_without_any_position_price_or_standing() -> None:
    assert (Own().orders, Seen().prices, Seen().standings) == ({}, {}, {})


def test_orders_placed_elsewhere_do_not_count_as_buys_of_ours() -> None:
    world = opened(settings=risky(max_buys_per_stock=1))
    world.broker.place(B, "buy", "limit", 5, 9_000, kst("09:05:00"))
    world.notice()
    assert world.all(ExternalOrderSeen)
    world.signal(B)
    assert bought(world, B)


def test_the_guide_explains_every_rule_in_the_order_it_is_asked() -> None:
    """And everything that delays a sell."""
    text = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")
    section = text.split("## What denies a buy", 1)[1].split("\n## ", 1)[0]
    named = re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE)
    waits = {code for code, _ in exit_rules.RULES} | {TIED_OUTSIDE, SELL_UNPROVEN}
    assert named[: len(RULES)] == [code for code, _ in RULES]
    assert set(named[len(RULES) :]) == waits
