"""The account's answers lie: ghosts in the balance, parts of pages, a list that lags, and a balance that is never right."""

import pytest

from kquant.cli import codes
from kquant.events.day import AlertRaised, DayClosed
from kquant.events.orders import ExecutionsListed, ExternalOrderSeen
from kquant.events.portfolio import BalanceAnswered, DayReconciled, PortfolioSynchronised, PositionOpened
from kquant.events.scanner import ReadFailed

from .checks import check_books, check_day, check_log, check_orders, check_table
from .rig import Played, play

pytestmark = pytest.mark.timeout(240)

BALANCE, LIST = "path=/trading/inquire-balance", "path=/trading/inquire-daily-ccld"
GHOST = "000020"
REFUSED = {
    "ghost_rows:how=foreign,count=2": "of nothing that is held",
    f"partial_pages:how=cut,{BALANCE},count=2,after=2": "some are missing",
    f"partial_pages:how=empty,{BALANCE},count=1,after=4": "some are missing",
    f"partial_pages:how=endless,{BALANCE},count=2,after=5": "no end of pages",
    f"partial_pages:how=cut,{LIST},count=3,after=20": "some are missing",
    f"partial_pages:how=empty,{LIST},count=3,after=30": "some are missing",
    f"partial_pages:how=endless,{LIST},count=2,after=40": "no end of pages",
}
"""A fault and what the failure it leads to says."""
HARMLESS = (
    "ghost_rows:how=zero,count=2,after=4",
    "ghost_rows:how=repeat,count=2,after=6",
    f"partial_pages:how=blank_next,{LIST},count=2,after=50",
    "list_lag:s=6",
)
"""Rows without shares, rows told twice and a last page without rows say nothing false; a list that lags catches up."""
FAULTS = (*REFUSED, *HARMLESS)
WRONG = "ghost_rows:how=foreign,count=0,from=15:25:00"


@pytest.fixture(scope="module")
def account(tmp_path_factory) -> Played:
    return play(tmp_path_factory.mktemp("account"), *FAULTS)


@pytest.fixture(scope="module")
def wrong(tmp_path_factory) -> Played:
    """A day whose closing balance is never right."""
    return play(tmp_path_factory.mktemp("wrong"), WRONG, start="14:56")


def test_the_table_ends_equal_and_nothing_was_sent_twice(account):
    check_day(account)
    assert account.outcome.code == codes.OK


@pytest.mark.parametrize("spec", FAULTS)
def test_the_fault_happened(account, spec):
    assert account.witness.faults[1 + FAULTS.index(spec)]["hits"] >= 1


@pytest.mark.parametrize("said", sorted(set(REFUSED.values())))
def test_a_part_or_a_ghost_is_a_named_failure_and_never_taken_for_the_whole_kis_protocol_1_7(account, said):
    assert [event for event in account.of(ReadFailed) if said in event.reason]


def test_no_balance_was_believed_that_was_not_the_exchanges(account):
    assert account.of(BalanceAnswered)
    for answer in account.of(BalanceAnswered):
        assert GHOST not in {row.code for row in answer.holdings}
        assert len({row.code for row in answer.holdings}) == len(answer.holdings)
    assert GHOST not in {event.code for event in account.of(PositionOpened)}
    assert all(event.differences == () for event in account.of(PortfolioSynchronised))


def test_the_days_list_never_shrinks_and_an_order_it_lacks_for_a_while_is_no_strangers(account):
    assert account.hits("list_lag") >= 10
    before: dict[str, int] = {}
    for listed in account.of(ExecutionsListed):
        now = {row.order_no: row.filled_qty for row in listed.rows}
        assert set(before) <= set(now)
        assert all(now[number] >= filled for number, filled in before.items())
        before = now
    assert account.of(ExternalOrderSeen) == []


def test_a_day_whose_closing_balance_is_never_right_says_so_and_is_not_called_reconciled(wrong):
    assert wrong.hits("ghost_rows") >= 8
    check_books(wrong)
    check_log(wrong)
    check_orders(wrong)
    check_table(wrong)
    assert wrong.outcome.code == codes.DIFFERS
    [closed] = wrong.of(DayClosed)
    assert not closed.reconciled
    assert [event.agrees for event in wrong.of(DayReconciled)] == [False]
    assert any(event.level == "critical" and "closing balance" in event.text for event in wrong.of(AlertRaised))
