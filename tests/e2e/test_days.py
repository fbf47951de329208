"""Days follow days: a night is passed, positions and D+2 cash are carried over, a killed run goes on with the day it was in."""

import signal

import pytest

from kquant.events.analyzer import ListingAnswered
from kquant.events.day import AlertRaised, DayClosed, DayOpened, RunStarted
from kquant.events.portfolio import BalanceAnswered, DayReconciled, PortfolioSynchronised
from kquant.journal import read_day

from .world import ACCOUNT, kill, kquant, of, start, watch

pytestmark = pytest.mark.timeout(240)

QUIET = (
    *("--set", "demo.stocks=60", "--set", "demo.holdings=3", "--set", "demo.start=15:10"),
    *("--set", "schedule.analysis=15:11", "--set", "analyzer.late_until=15:12", "--set", "analyzer.deadline=15:12"),
    *("--set", "schedule.scan_every_seconds=3600", "--set", "slots.extra_channels=[]"),
)
"""A small market and few jobs: the first day is an evening, the next one whole."""
TWO_DAYS = ("--day", "2026-11-19", "--days", "2", *QUIET)


async def test_a_run_killed_on_its_second_day_goes_on_with_it_and_both_days_agree(tmp_path):
    data = tmp_path / "data"
    run = start("run", "--data", data, *TWO_DAYS)
    second = data / ACCOUNT / "2026-11-20"

    def on_the_second_day(fact):
        return second.is_dir() and isinstance(fact.event, BalanceAnswered) and fact.seq > 40

    assert await watch(data, run, on_the_second_day) is not None
    kill(run, signal.SIGKILL)
    done = kquant("run", "--data", data, *TWO_DAYS)
    assert done.returncode == 0, done.stderr[-2_000:]

    first = list(read_day(data / ACCOUNT / "2026-11-19"))
    then = list(read_day(second))
    [closed] = of(first, DayClosed)
    [opened] = of(then, DayOpened)
    assert opened.positions == closed.positions
    assert len(closed.positions) > 0
    assert (opened.cash_krw, opened.reconciled_before) == (closed.cash_krw, True)
    assert (opened.day_before, opened.digest_before) == ("2026-11-19", first[-1].digest.hex())
    assert len(of(first, RunStarted)) == 1
    assert len(of(then, RunStarted)) == 2
    # The exam day's hours are the exam day's, and the next day is a normal one.
    assert of(first, DayOpened)[0].hours.shift_minutes == 60
    assert opened.hours.shift_minutes == 0
    # The broker's books went through the night as well: the opening balance is what was carried over.
    opening = next(event for event in of(then, PortfolioSynchronised) if event.reason == "opening")
    assert opening.differences == ()
    assert [event.agrees for event in of(first, DayReconciled) + of(then, DayReconciled)] == [True, True]
    # What is held is still listed: the days are of one market.
    [listing] = of(then, ListingAnswered)[:1]
    assert {held.code for held in opened.positions} <= {stock.code for stock in listing.stocks}
    assert not [event for event in of(then, AlertRaised) if event.level == "critical"]
    for day in ("2026-11-19", "2026-11-20"):
        verified = kquant("replay", "verify", data / ACCOUNT / day)
        assert verified.returncode == 0, verified.stdout
        assert " 0 differences" in verified.stdout

    # Both are sealed: the same command begins a chain of its own.
    again = kquant("run", "--data", data, "--day", "2026-11-20", "--days", "1", *QUIET, "--set", "demo.start=15:20")
    assert again.returncode == 0, again.stderr[-2_000:]
    [fresh] = of(list(read_day(data / ACCOUNT / "2026-11-20.2")), DayOpened)
    assert (fresh.positions, fresh.day_before) == (None, "")
