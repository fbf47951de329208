"""The end of the day (`reliability` M3): orders, fills, positions and cash equal the broker's, or it is unreconciled."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kquant.events.day import AlertRaised
from kquant.events.portfolio import BalanceWanted, DayReconciled, Difference
from kquant.values import SECOND_US
from tests.portfolio.desk import A, Desk, fill, names, opened

NEVER = "orders and fills were never compared with the broker's final list"
CASH = Difference(what="cash", ours=100, theirs=99)


def verdicts(desk: Desk) -> list[DayReconciled]:
    return [one for one in desk.said if isinstance(one, DayReconciled)]


def closed(cash: int = 100) -> Desk:
    """A desk whose orders are settled and whose closing balance is asked for."""
    desk = opened(cash)
    desk.close()
    assert desk.settle() == (BalanceWanted(reason="closing", valid_until=desk.at + 30 * SECOND_US),)
    return desk


def test_the_closing_balance_is_asked_for_after_the_orders_are_settled() -> None:
    desk = opened(100)
    desk.close()
    for _ in range(12):
        assert names(desk.ring("closing")) == ["alarm.set"]
    assert desk.settle() == (BalanceWanted(reason="closing", valid_until=desk.at + 30 * SECOND_US),)
    assert desk.balance(100)[-1] == DayReconciled(agrees=True, differences=())
    assert desk.run() == ()


def test_orders_that_are_settled_while_one_still_works_are_waited_for() -> None:
    desk = opened(100)
    desk.intend()
    desk.close()
    assert names(desk.settle()) == ["alarm.set"]
    assert names(desk.ring("closing")) == ["alarm.set"]
    desk.finish()
    assert names(desk.ring("closing")) == ["portfolio.balance_wanted"]


def test_a_day_whose_orders_are_never_settled_waits_ten_minutes_and_is_unreconciled() -> None:
    """`orders` was parked, or the broker's list could not be read: that the balance agrees is not enough."""
    desk = opened(100)
    desk.close()
    began = desk.at
    for _ in range(119):
        assert names(desk.ring("closing")) == ["alarm.set"]
    assert names(desk.ring("closing")) == ["portfolio.balance_wanted"]
    assert desk.at - began == 600 * SECOND_US
    assert names(desk.balance(100)) == ["portfolio.synchronised", "alert.raised", "portfolio.reconciled"]
    assert verdicts(desk) == [DayReconciled(agrees=False, differences=(), why=NEVER)]


def test_orders_that_differ_are_named_though_cash_and_positions_agree() -> None:
    desk = opened(100)
    desk.close()
    desk.settle("12345: filled 10 here, 12 there")
    [_, alert, verdict] = desk.balance(100)
    assert verdict == DayReconciled(
        agrees=False, differences=(), orders=("12345: filled 10 here, 12 there",),
        why="orders or fills differ from the broker's final list",
    )  # fmt: skip
    assert isinstance(alert, AlertRaised)
    assert "12345: filled 10 here" in alert.text


def test_a_closing_balance_that_keeps_differing_ends_unreconciled_and_untouched() -> None:
    desk = closed()
    for _ in range(7):
        assert names(desk.balance(99)) == ["portfolio.synchronised", "alarm.set"]
        desk.ring("closing")
    why = "positions or cash differ from the closing balance"
    assert desk.balance(99)[-1] == DayReconciled(agrees=False, differences=(CASH,), why=why)
    assert desk.own.cash_krw == 100


def test_a_closing_balance_that_cannot_be_read_ends_unreconciled() -> None:
    desk = closed()
    for _ in range(7):
        assert names(desk.fail()) == ["alarm.set"]
        desk.ring("closing")
    why = "the closing balance could not be read: HTTP 500"
    assert desk.fail()[-1] == DayReconciled(agrees=False, differences=(), why=why)


def test_a_day_that_never_opened_ends_unreconciled() -> None:
    desk = Desk()
    desk.fail()
    desk.close()
    [_, verdict] = desk.settle()
    why = "the day ends without a balance: the portfolio was never opened"
    assert verdict == DayReconciled(agrees=False, differences=(), why=why)


def test_a_fill_listed_before_the_next_closing_balance_explains_the_difference() -> None:
    desk = closed(1_000)
    desk.balance(899, (A, 1, 100))
    desk.tell(fill("buy", 1, 100))
    desk.ring("closing")
    desk.balance(900, (A, 1, 100))
    assert verdicts(desk) == [DayReconciled(agrees=True, differences=())]


def test_a_fill_listed_after_the_verdict_takes_it_back_and_a_later_read_explains_it() -> None:
    desk = closed(1_000)
    for _ in range(8):
        desk.balance(900, (A, 1, 100))
        if not verdicts(desk):
            desk.ring("closing")
    assert [one.agrees for one in verdicts(desk)] == [False]
    assert names(desk.tell(fill("buy", 1, 100)))[-1] == "alarm.set"
    assert names(desk.ring("closing")) == ["portfolio.balance_wanted"]
    desk.balance(900, (A, 1, 100))
    assert [one.agrees for one in verdicts(desk)] == [False, True]


def test_a_fill_that_breaks_a_verdict_of_agreement_takes_it_back_as_well() -> None:
    desk = closed(1_000)
    desk.balance(1_000)
    desk.tell(fill("buy", 1, 100))
    for _ in range(8):
        desk.ring("closing")
        desk.balance(1_000)
    assert [one.agrees for one in verdicts(desk)] == [True, False]


def test_orders_settled_after_the_verdict_are_heard() -> None:
    desk = opened(100)
    desk.close()
    desk.settle("12345: filled 10 here, 12 there")
    desk.balance(100)
    assert names(desk.settle()) == ["alarm.set"]
    desk.ring("closing")
    desk.balance(100)
    assert [one.agrees for one in verdicts(desk)] == [False, True]


def test_a_fill_during_the_day_has_nothing_to_do_with_the_verdict() -> None:
    desk = opened(1_000)
    assert names(desk.tell(fill("buy", 1, 100))) == ["portfolio.cash_moved", "portfolio.position_opened"]


@settings(deadline=None)
@given(st.booleans(), st.sampled_from([(), ("1: filled 1 here, 2 there",)]), st.sampled_from([0, 1]))
def test_m3_a_day_agrees_only_with_settled_orders_and_a_balance_to_the_won(
    settles: bool, lines: tuple[str, ...], off: int
) -> None:
    desk = opened(100)
    desk.close()
    if settles:
        desk.settle(*lines)
    for _ in range(140):
        if verdicts(desk):
            break
        if desk.own.requests > desk.mind.seen.outcomes:
            desk.balance(100 + off)
        else:
            desk.ring("closing")
    [verdict] = verdicts(desk)
    assert verdict.agrees is (settles and not lines and not off)
    assert (verdict.why == "") is verdict.agrees
    assert (verdict.orders, bool(verdict.differences)) == (lines if settles else (), bool(off))
