"""A balance that differs is no fact yet: what it takes until it is believed (`reliability` C1, D19, D20, M2)."""

from __future__ import annotations

import pytest

from kquant.events.day import AlertRaised, JobDue
from kquant.events.orders import OrderFinished
from kquant.events.portfolio import BalanceWanted, PortfolioAdjusted, PortfolioSynchronised
from kquant.events.scanner import ReadExpired
from kquant.values import SECOND_US
from tests.portfolio.desk import A, B, Desk, fill, names, opened


def synchronised(desk: Desk) -> PortfolioSynchronised:
    return next(one for one in reversed(desk.said) if isinstance(one, PortfolioSynchronised))


def adjusted(desk: Desk) -> list[PortfolioAdjusted]:
    return [one for one in desk.said if isinstance(one, PortfolioAdjusted)]


def test_an_adjustment_says_how_many_reads_agreed_and_that_no_order_explains_it() -> None:
    desk = opened(100, (A, 2, 20))
    desk.run()
    desk.balance(90, (A, 3, 30))
    desk.ring("mismatch")
    desk.listed()
    desk.balance(90, (A, 3, 30))
    [said] = adjusted(desk)
    assert said.why == "2 agreeing reads in quiet, and no order listed since the first explains them"
    assert synchronised(desk).agreeing == 2


def test_d19_an_empty_balance_ends_no_position_before_five_agreeing_reads_a_minute_apart() -> None:
    """`reliability` D19, C1: an API that fails as an empty list must not sell, nor forget, what is held."""
    desk = opened(100, (A, 2, 20), (B, 1, 9))
    desk.run()
    began = desk.at
    assert names(desk.balance(100)) == ["portfolio.synchronised", "alarm.set", "alert.raised"]
    for _ in range(3):
        desk.ring("mismatch")
        desk.listed()
        assert names(desk.balance(100)) == ["portfolio.synchronised", "alarm.set"]
        assert list(desk.own.positions) == [A, B]
    desk.ring("mismatch")
    assert "portfolio.adjusted" in names(desk.balance(100))
    assert desk.own.positions == {}
    assert desk.at - began >= 60 * SECOND_US


def test_d19_an_empty_balance_is_forgotten_when_the_next_one_is_whole() -> None:
    desk = opened(100, (A, 2, 20), (B, 1, 9))
    desk.run()
    desk.balance(100)
    desk.ring("mismatch")
    desk.listed()
    assert names(desk.balance(100, (A, 2, 20), (B, 1, 9))) == ["portfolio.synchronised"]
    assert (desk.own.agreeing, desk.own.doubts, len(desk.own.positions)) == (0, 0, 2)


def test_d19_a_balance_that_lacks_one_of_our_positions_is_believed_as_any_other_difference() -> None:
    desk = opened(100, (A, 2, 20), (B, 1, 9))
    desk.run()
    assert names(desk.balance(100, (A, 2, 20))) == ["portfolio.synchronised", "alarm.set"]
    desk.ring("mismatch")
    desk.listed()
    assert "portfolio.position_closed" in names(desk.balance(100, (A, 2, 20)))


def test_d19_a_balance_that_cannot_be_read_keeps_the_figures_and_says_so_in_the_end() -> None:
    desk = opened(100, (A, 2, 20))
    desk.run()
    desk.balance(90, (A, 3, 30))
    for _ in range(3):
        desk.ring("mismatch")
        assert names(desk.fail()) == ["alarm.set"]
    desk.ring("mismatch")
    assert names(desk.fail()) == ["alert.raised"]
    assert (desk.own.cash_krw, desk.own.positions[A].qty, desk.own.agreeing) == (100, 2, 1)


def test_a_failed_read_between_two_agreeing_ones_is_no_third() -> None:
    desk = opened(100, (A, 2, 20), (B, 1, 9))
    desk.run()
    desk.balance(100)
    desk.listed()
    for _ in range(3):
        desk.ring("mismatch")
        desk.fail()
    desk.ring("mismatch")
    desk.balance(100)
    assert synchronised(desk).agreeing == 2
    assert adjusted(desk) == []


def test_a_difference_waits_for_a_list_of_orders_that_was_asked_for_after_it() -> None:
    """`reliability` D11: an order placed elsewhere explains it, and its fill is booked once."""
    desk = opened(100, (A, 2, 20))
    desk.listed()
    desk.run()
    desk.balance(90, (A, 3, 30))
    desk.ring("mismatch")
    assert names(desk.balance(90, (A, 3, 30))) == ["portfolio.synchronised", "alarm.set"]
    desk.ring("mismatch")
    desk.listed()
    assert "portfolio.adjusted" in names(desk.balance(90, (A, 3, 30)))


def test_a_difference_without_any_list_of_orders_is_told_to_a_person_and_changes_nothing() -> None:
    desk = opened(100, (A, 2, 20))
    desk.run()
    desk.balance(90, (A, 3, 30))
    for _ in range(5):
        desk.ring("mismatch")
        assert names(desk.balance(90, (A, 3, 30))) == ["portfolio.synchronised", "alarm.set"]
    desk.ring("mismatch")
    [_, alert] = desk.balance(90, (A, 3, 30))
    assert isinstance(alert, AlertRaised)
    assert "no list of orders was read since" in alert.text
    assert desk.own.cash_krw == 100


def test_d20_a_list_asked_for_right_after_the_first_read_may_lag_and_explains_nothing() -> None:
    """`reliability` D10, D20: what the balance holds and the list does not show yet would be booked twice."""
    desk = opened(100, (A, 2, 20))
    desk.run()
    desk.balance(90, (A, 3, 30))
    desk.listed()
    desk.ring("mismatch")
    assert names(desk.balance(90, (A, 3, 30))) == ["portfolio.synchronised", "alarm.set"]
    desk.listed()
    desk.ring("mismatch")
    assert "portfolio.adjusted" in names(desk.balance(90, (A, 3, 30)))


def test_two_reads_at_once_are_one() -> None:
    desk = opened(100, (A, 2, 20))
    desk.run()
    desk.balance(90, (A, 3, 30))
    desk.prove()
    assert names(desk.balance(90, (A, 3, 30))) == ["portfolio.synchronised"]
    desk.ring("mismatch")
    desk.listed()
    assert "portfolio.adjusted" in names(desk.balance(90, (A, 3, 30)))


def test_d20_a_balance_asked_for_before_a_fill_tells_nothing_however_late_it_comes() -> None:
    """`reliability` D20: it may be from before the fill, and the fill is ten seconds old by then."""
    desk = opened(1_000_000)
    desk.wait(60)
    desk.prove()
    desk.tell(fill("buy", 1, 100))
    desk.wait(11)
    assert names(desk.balance(1_000_000)) == ["portfolio.synchronised"]
    assert (synchronised(desk).agreeing, synchronised(desk).differences != ()) == (0, True)


@pytest.mark.parametrize(("seconds", "counts"), [(10, 0), (11, 1)])
def test_d20_a_difference_counts_from_ten_seconds_after_the_last_fill(seconds: int, counts: int) -> None:
    desk = opened(1_000_000)
    desk.tell(fill("buy", 1, 100))
    desk.wait(seconds)
    desk.prove()
    desk.balance(5, (A, 1, 100))
    assert synchronised(desk).agreeing == counts


def test_d20_a_fill_between_two_agreeing_reads_begins_the_count_anew() -> None:
    desk = opened(1_000_000, (B, 1, 9))
    desk.run()
    desk.balance(999_000, (B, 1, 9))
    desk.tell(fill("buy", 1, 100))
    desk.listed()
    desk.wait(11)
    desk.ring("mismatch")
    # Ours moved by the fill, theirs by as much: the same difference, but not the same suspicion.
    assert names(desk.balance(998_900, (A, 1, 100), (B, 1, 9))) == ["portfolio.synchronised", "alarm.set"]
    assert synchronised(desk).agreeing == 1
    desk.ring("mismatch")
    desk.listed()
    assert "portfolio.adjusted" in names(desk.balance(998_900, (A, 1, 100), (B, 1, 9)))


# -- quiet is each stock's own ---------------------------------------------------------------------------------


def twice(desk: Desk, cash: int, *holdings: tuple[str, int, int]) -> None:
    """Two reads that agree, with a list of orders in between that explains nothing."""
    desk.run()
    desk.balance(cash, *holdings)
    desk.ring("mismatch")
    desk.listed()
    desk.balance(cash, *holdings)


def test_a_difference_of_one_stock_is_believed_while_an_order_of_another_rests_all_day() -> None:
    """A sell in a halted stock: what we think we hold of another, and do not, would be offered over and over."""
    desk = opened(100, (A, 2, 20), (B, 1, 9))
    desk.intend(code=A)
    twice(desk, 109, (A, 2, 20))
    [said] = adjusted(desk)
    assert [one.what for one in said.differences] == [B]
    assert list(desk.own.positions) == [A]
    assert (desk.own.cash_krw, said.cash_krw, desk.own.adjusted_krw) == (100, 100, 0), "cash needs quiet of all"
    desk.finish()
    twice(desk, 109, (A, 2, 20))
    assert (desk.own.cash_krw, desk.own.adjusted_krw) == (109, 9)


def test_a_stock_with_an_order_at_work_keeps_our_figures_while_others_are_taken_over() -> None:
    desk = opened(100, (A, 2, 20), (B, 1, 9))
    desk.intend(code=A)
    twice(desk, 100, (A, 1, 10))
    [said] = adjusted(desk)
    assert desk.own.positions[A].qty == 2
    assert [(one.code, one.qty, one.cost_krw) for one in said.holdings] == [(A, 2, 20)], "what is held afterwards"


def test_a_fill_of_one_stock_makes_no_other_one_unquiet() -> None:
    desk = opened(1_000_000, (B, 1, 9))
    desk.run()
    desk.balance(1_000_000)
    desk.tell(fill("buy", 1, 100))
    desk.ring("mismatch")
    desk.listed()
    desk.balance(999_900, (A, 1, 100))
    assert list(desk.own.positions) == [A]


def test_what_was_not_quiet_at_the_first_read_counts_from_the_second() -> None:
    """`reliability` D20: the order may have filled before the first read, and be listed later."""
    desk = opened(100, (A, 2, 20), (B, 1, 9))
    desk.intend(code=A)
    desk.run()
    desk.balance(100, (A, 1, 10))
    desk.finish()
    desk.ring("mismatch")
    desk.listed()
    desk.balance(100, (A, 1, 10))
    assert adjusted(desk) == []
    assert synchronised(desk).agreeing == 1
    desk.ring("mismatch")
    desk.listed()
    desk.balance(100, (A, 1, 10))
    assert desk.own.positions[A].qty == 1


def test_a_stock_whose_sell_was_given_up_needs_quiet_of_all() -> None:
    """Should that sell be listed late, its cash is not booked again: so shares and cash are taken over as one."""
    desk = opened(100, (A, 2, 20), (B, 1, 9))
    desk.intend(2, code=B)
    desk.tell(OrderFinished(intent=2, code=B, side="sell", outcome="not_placed", filled_qty=0))
    desk.intend(code=A)
    desk.run()
    assert names(desk.balance(109, (A, 2, 20))) == ["portfolio.synchronised"]
    desk.finish()
    twice(desk, 109, (A, 2, 20))
    assert (list(desk.own.positions), desk.own.cash_krw) == ([A], 109)


def test_after_the_close_no_difference_is_taken_over() -> None:
    """`reliability` M3: the day is reconciled or it is not; it is not made to agree."""
    desk = opened(100)
    desk.tell(JobDue(job="session_closed", due=desk.at))
    desk.prove()
    assert names(desk.balance(90)) == ["portfolio.synchronised"]
    assert desk.own.cash_krw == 100


def test_d13_a_proof_that_orders_asks_for_is_a_balance_read_after_it() -> None:
    """`reliability` D13."""
    desk = opened(100)
    assert desk.prove() == (BalanceWanted(reason="proof", valid_until=desk.at + 30 * SECOND_US),)
    assert names(desk.balance(100)) == ["portfolio.synchronised"]


def test_d13_a_balance_already_under_way_is_no_proof_and_is_followed_by_one() -> None:
    desk = opened(100)
    desk.run()
    assert desk.prove() == ()
    events = desk.balance(100)
    assert events[-1] == BalanceWanted(reason="proof", valid_until=desk.at + 30 * SECOND_US)
    assert names(desk.balance(100)) == ["portfolio.synchronised"]


def test_d13_a_proof_that_cannot_be_read_is_asked_for_a_bounded_number_of_times() -> None:
    desk = opened(100)
    desk.prove()
    for _ in range(11):
        assert names(desk.tell(ReadExpired(what="portfolio.balance_wanted"), desk.request)) == ["alarm.set"]
        assert names(desk.ring("proof")) == ["portfolio.balance_wanted"]
    assert names(desk.fail()) == ["alert.raised"]
    assert names(desk.prove()) == ["portfolio.balance_wanted"]


def test_d13_a_run_that_starts_during_a_proof_gets_its_balance_after_it() -> None:
    desk = opened(100)
    desk.prove()
    assert desk.run() == ()
    events = desk.balance(100)
    assert [event.reason for event in events if isinstance(event, BalanceWanted)] == ["pipeline"]
