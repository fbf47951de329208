"""A day that could not be compared: the next one buys nothing, over a restart, until a person says so."""

import json
import signal

import pytest

from kquant.events.day import DayOpened, ResumeOrdered
from kquant.events.orders import EntriesHalted, EntriesResumed, OrderIntended
from kquant.events.portfolio import BalanceAnswered, DayReconciled
from kquant.journal import read_day

from .world import ACCOUNT, kill, kquant, of, start, watch

pytestmark = pytest.mark.timeout(240)

NO_BALANCE = [
    f"html_500:path=inquire-balance,from={first},until={last},count=0"
    for first, last in (("16:30:00", "16:45:00"), ("15:30:10", "15:45:00"))
]
"""The exam day of 2026-11-19 closes an hour late, the next one at the usual time: neither closing balance can be read."""
EVENING = (
    *("--day", "2026-11-19", "--days", "2", "--set", "demo.stocks=60", "--set", "demo.holdings=3"),
    *("--set", "demo.start=16:10", "--set", "schedule.analysis=16:11", "--set", "analyzer.late_until=16:12"),
    *(
        "--set",
        "analyzer.deadline=16:12",
        "--set",
        "schedule.scan_every_seconds=3600",
        "--set",
        "slots.extra_channels=[]",
    ),
    *("--set", f"demo.faults={json.dumps(NO_BALANCE)}"),
)


async def test_the_day_after_an_unreconciled_one_is_halted_over_a_restart_until_resume(tmp_path):
    data = tmp_path / "data"
    run = start("run", "--data", data, *EVENING)
    second = data / ACCOUNT / "2026-11-20"

    def on_the_second_day(fact):
        return second.is_dir() and isinstance(fact.event, BalanceAnswered) and fact.seq > 20

    assert await watch(data, run, on_the_second_day) is not None
    _, _, err = kill(run, signal.SIGKILL)
    assert "nothing new is bought until `kquant resume`" in err
    [verdict] = of(list(read_day(data / ACCOUNT / "2026-11-19")), DayReconciled)
    assert (verdict.agrees, "could not be read" in verdict.why) == (False, True)

    again = start("run", "--data", data, *EVENING)
    assert await watch(data, again, lambda fact: isinstance(fact.event, BalanceAnswered), after=20) is not None
    said = kquant("status", "--data", data)
    assert "the day before (2026-11-19) was not reconciled" in said.stdout
    assert "kquant resume" in said.stdout
    assert kquant("resume", "--data", data, "--reason", "compared by hand").returncode == 0
    _, err = again.communicate(timeout=200)
    assert "nothing new is bought until `kquant resume`" in err
    then = list(read_day(second))
    assert of(then, DayOpened)[0].reconciled_before is False
    [halted] = of(then, EntriesHalted)
    assert "2026-11-19" in halted.reason
    assert len(of(then, ResumeOrdered)) == len(of(then, EntriesResumed)) == 1
    resumed = next(fact.seq for fact in then if isinstance(fact.event, EntriesResumed))
    buys = [fact.seq for fact in then if isinstance(fact.event, OrderIntended) and fact.event.side == "buy"]
    assert all(seq > resumed for seq in buys)
    assert " 0 differences" in kquant("replay", "verify", second).stdout
