"""Given what was booked, when a fill or a balance arrives, then these facts follow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kquant.events.day import AlertRaised, Carried
from kquant.events.portfolio import (
    BalanceWanted,
    CashMoved,
    Difference,
    PortfolioAdjusted,
    PortfolioOpened,
    PortfolioSynchronised,
    PositionChanged,
    PositionClosed,
    PositionOpened,
)
from kquant.events.scanner import ReadExpired, ReadFailed
from kquant.values import SECOND_US
from tests.portfolio.desk import FUND, A, B, Desk, fill, names, opened


def test_the_day_opens_at_the_first_balance() -> None:
    desk = Desk()
    assert names(tuple(desk.said)) == ["portfolio.balance_wanted"]
    events = desk.balance(500, (A, 3, 300))
    assert events == (
        PortfolioOpened(cash_krw=500),
        PositionOpened(code=A, name=A, qty=3, cost_krw=300, carried=True),
        PortfolioSynchronised(reason="opening", balance=desk.seq - 3, differences=()),
    )


def test_an_opening_balance_unlike_what_was_carried_over_is_taken_with_an_alert_once_two_reads_agree() -> None:
    desk = Desk(carried=(Carried(code=A, name=A, qty=3, cost_krw=300),), cash=500)
    assert names(desk.balance(499, (A, 2, 200), (B, 1, 9))) == ["portfolio.synchronised", "alarm.set"]
    assert desk.tell(fill("buy", 1, 100)) == ()
    assert names(desk.ring("opening")) == ["portfolio.balance_wanted"]
    events = desk.balance(499, (A, 2, 200), (B, 1, 9))
    adjusted = next(event for event in events if isinstance(event, PortfolioAdjusted))
    assert adjusted.differences == (
        Difference(what=A, ours=3, theirs=2),
        Difference(what=B, ours=0, theirs=1),
        Difference(what="cash", ours=500, theirs=499),
    )
    assert adjusted.why == "2 agreeing reads before the day was opened"
    assert isinstance(events[-1], AlertRaised)
    assert (desk.own.cash_krw, list(desk.own.positions)) == (499, [A, B])


def test_an_opening_balance_without_any_carried_position_needs_five_agreeing_reads() -> None:
    """`reliability` C1: an empty list is no zero."""
    desk = Desk(carried=(Carried(code=A, name=A, qty=3, cost_krw=300),), cash=500)
    assert names(desk.balance(500)) == ["portfolio.synchronised", "alarm.set", "alert.raised"]
    for _ in range(3):
        desk.ring("opening")
        assert names(desk.balance(500)) == ["portfolio.synchronised", "alarm.set"]
    assert not desk.own.is_open
    desk.ring("opening")
    assert names(desk.balance(500))[0] == "portfolio.opened"
    assert desk.own.positions == {}


def test_an_empty_opening_balance_that_was_wrong_leaves_what_was_carried_over() -> None:
    desk = Desk(carried=(Carried(code=A, name=A, qty=3, cost_krw=300),), cash=500)
    desk.balance(500)
    desk.ring("opening")
    assert not any(isinstance(event, PortfolioAdjusted) for event in desk.balance(500, (A, 3, 300)))
    assert desk.own.positions[A].qty == 3


def test_an_opening_balance_that_keeps_changing_is_told_to_a_person_and_opens_nothing() -> None:
    desk = Desk(carried=(Carried(code=A, name=A, qty=3, cost_krw=300),), cash=500)
    for read in range(29):
        assert names(desk.balance(read, (A, 3, 300))) == ["portfolio.synchronised", "alarm.set"]
        desk.ring("opening")
    assert names(desk.balance(99, (A, 3, 300))) == ["portfolio.synchronised", "alert.raised"]
    assert not desk.own.is_open


def test_an_opening_balance_like_the_carried_one_is_just_taken() -> None:
    desk = Desk(carried=(Carried(code=A, name=A, qty=3, cost_krw=300),), cash=500)
    assert not any(isinstance(event, PortfolioAdjusted | AlertRaised) for event in desk.balance(500, (A, 3, 300)))


def test_a_failed_opening_balance_is_asked_again_by_alarm_a_bounded_number_of_times() -> None:
    desk = Desk()
    for _ in range(29):
        assert names(desk.fail()) == ["alarm.set"]
        assert names(desk.ring("opening")) == ["portfolio.balance_wanted"]
    assert names(desk.fail()) == ["alert.raised"]
    assert names(desk.run()) == ["portfolio.balance_wanted"]


def test_a_buy_moves_cash_by_amount_and_fee_and_opens_a_position() -> None:
    desk = opened(1_000_000)
    assert desk.tell(fill("buy", 10, 100_000)) == (
        CashMoved(intent=1, order_no="1", amount_krw=-100_000, fee_krw=14, tax_krw=0, cash_krw=899_986),
        PositionOpened(code=A, name=A, qty=10, cost_krw=100_000, carried=False),
    )
    assert desk.tell(fill("buy", 5, 60_000, no="2"))[1] == PositionChanged(
        code=A, qty=15, cost_krw=160_000, realised_krw=0
    )


def test_a_sell_pays_fee_and_tax_and_takes_cost_off_in_proportion() -> None:
    desk = opened(0, (A, 3, 100))
    assert desk.tell(fill("sell", 1, 1_000_000)) == (
        CashMoved(intent=1, order_no="1", amount_krw=1_000_000, fee_krw=140, tax_krw=2_000, cash_krw=997_860),
        PositionChanged(code=A, qty=2, cost_krw=67, realised_krw=999_967),
    )
    assert desk.tell(fill("sell", 2, 10, no="2"))[1] == PositionClosed(code=A, realised_krw=-57)


def test_a_fund_pays_no_sell_tax() -> None:
    desk = opened(0, (FUND, 1, 100))
    moved = desk.tell(fill("sell", 1, 1_000_000, code=FUND))[0]
    assert isinstance(moved, CashMoved)
    assert (moved.fee_krw, moved.tax_krw) == (140, 0)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 900_000)), min_size=1, max_size=12))
def test_costs_do_not_depend_on_how_an_order_fills(parts: list[tuple[int, int]]) -> None:
    whole, pieces = opened(10**12, (A, 10_000, 10**8)), opened(10**12, (A, 10_000, 10**8))
    qty, amount = sum(one for one, _ in parts), sum(one * price for one, price in parts)
    whole.tell(fill("sell", qty, amount))
    done = paid = 0
    for one, price in parts:
        done, paid = done + one, paid + one * price
        pieces.tell(fill("sell", one, one * price, cum=(done, paid)))
    assert pieces.own.cash_krw == whole.own.cash_krw
    assert (pieces.own.fees_krw, pieces.own.taxes_krw) == (whole.own.fees_krw, whole.own.taxes_krw)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["buy", "sell"]), st.sampled_from([A, B, FUND]), st.integers(1, 99), st.integers(1, 10**6)
        ),
        max_size=30,
    )
)
def test_cash_is_start_plus_sells_minus_buys_fees_and_taxes_to_the_won(
    orders: list[tuple[str, str, int, int]],
) -> None:
    desk = opened(10**10, (A, 50, 777_777))
    shares, cost_flow = {A: 50, B: 0, FUND: 0}, 777_777
    for number, (side, code, wanted, price) in enumerate(orders):
        qty = wanted if side == "buy" else min(wanted, shares[code])
        if qty == 0:
            continue
        shares[code] += qty if side == "buy" else -qty
        cost_flow += qty * price if side == "buy" else -qty * price
        desk.tell(fill(side, qty, qty * price, code=code, no=str(number)))
    own = desk.own
    assert own.cash_krw == 10**10 + own.sold_krw - own.bought_krw - own.fees_krw - own.taxes_krw
    assert {code: held.qty for code, held in own.positions.items()} == {c: q for c, q in shares.items() if q}
    assert sum(held.cost_krw for held in own.positions.values()) == cost_flow + own.realised_krw
    assert own.equity_krw() == 10**10 + 777_777 + own.realised_krw - own.fees_krw - own.taxes_krw


def test_selling_more_than_is_known_is_told_to_a_person() -> None:
    desk = opened(0, (A, 1, 100))
    events = desk.tell(fill("sell", 2, 300))
    assert names(events) == ["portfolio.cash_moved", "portfolio.position_closed", "alert.raised"]


def test_a_pipeline_run_is_answered_with_a_synchronised_portfolio() -> None:
    desk = opened(100)
    assert desk.run() == (BalanceWanted(reason="pipeline", valid_until=desk.at + 20 * SECOND_US),)
    assert desk.balance(100) == (PortfolioSynchronised(reason="pipeline", balance=desk.seq - 1, differences=()),)


def test_a_run_that_starts_while_another_balance_is_under_way_gets_its_own() -> None:
    desk = Desk()
    assert desk.run() == ()
    events = desk.balance(100)
    assert events[-1] == BalanceWanted(reason="pipeline", valid_until=desk.at + 20 * SECOND_US)


def test_a_failed_run_balance_is_asked_again_only_within_the_deadline() -> None:
    desk = opened(100)
    desk.run()
    assert names(desk.fail()) == ["alarm.set"]
    assert names(desk.ring("pipeline")) == ["portfolio.balance_wanted"]
    desk.wait(19)
    assert desk.tell(ReadExpired(what="portfolio.balance_wanted"), desk.request) == ()


def test_another_owners_failed_read_means_nothing() -> None:
    desk = Desk()
    assert desk.tell(ReadFailed(what="orders.executions_wanted", reason="x"), desk.request) == ()


def test_the_same_answer_twice_counts_once() -> None:
    desk = opened(100)
    desk.run()
    assert desk.balance(100)
    assert desk.balance(100) == ()


def test_a_difference_in_quiet_is_believed_after_two_agreeing_reads() -> None:
    desk = opened(100, (A, 2, 20))
    desk.run()
    assert names(desk.balance(90, (A, 3, 30))) == ["portfolio.synchronised", "alarm.set"]
    assert desk.ring("mismatch") == (BalanceWanted(reason="mismatch", valid_until=desk.at + 30 * SECOND_US),)
    desk.listed()
    events = desk.balance(90, (A, 3, 30))
    assert names(events) == [
        "portfolio.synchronised",
        "portfolio.adjusted",
        "portfolio.position_changed",
        "alert.raised",
    ]
    assert (desk.own.cash_krw, desk.own.positions[A].qty, desk.own.adjusted_krw) == (90, 3, -10)


def test_two_reads_that_disagree_adjust_nothing_and_asking_ends() -> None:
    desk = opened(100)
    desk.run()
    desk.balance(90)
    for step in range(5):
        assert names(desk.ring("mismatch")) == ["portfolio.balance_wanted"]
        assert names(desk.balance(91 + step)) == ["portfolio.synchronised", "alarm.set"]
    desk.ring("mismatch")
    assert names(desk.balance(80)) == ["portfolio.synchronised", "alert.raised"]
    assert desk.own.cash_krw == 100


def test_a_mismatch_that_went_away_is_forgotten() -> None:
    desk = opened(100)
    desk.run()
    desk.balance(90)
    desk.ring("mismatch")
    assert names(desk.balance(100)) == ["portfolio.synchronised"]
    assert (desk.own.suspicion, desk.own.doubts) == ((), 0)


@pytest.mark.parametrize("working", [True, False])
def test_a_difference_is_expected_while_orders_work_or_just_filled(working: bool) -> None:
    desk = opened(1_000_000)
    desk.intend()
    if not working:
        desk.tell(fill("buy", 1, 100))
        desk.finish()
        desk.wait(9)
    desk.run()
    assert names(desk.balance(5)) == ["portfolio.synchronised"]


def test_a_fill_before_the_opening_balance_is_left_to_that_balance() -> None:
    assert Desk().tell(fill("buy", 1, 100)) == ()
