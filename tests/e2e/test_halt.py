"""`reliability` D65 over real processes: a halt while the run hangs holds as soon as it goes on, by its file alone.

And `kquant flatten`: everything that is held goes, nothing new comes.
"""

import asyncio
import contextlib
import signal
import sys

import pytest

from kquant.events.day import FlattenOrdered, HaltOrdered
from kquant.events.orders import OrderAccepted, OrderBlocked, OrderDenied, OrderIntended, OrderSendStarted
from kquant.events.pipeline import BuySignalled, PipelineCompleted
from kquant.events.portfolio import PositionClosed, PositionOpened
from kquant.gateways.lastgate import HaltFlag

from .test_kills import check_nothing_doubled, nth
from .world import ACCOUNT, AFTERNOON, facts_of, kill, kquant, of, start, watch

pytestmark = [pytest.mark.timeout(240), pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")]

BUSY = (*(text.replace("14:25", "14:38") for text in AFTERNOON), "--set", "pipeline.threshold=45")


def buys(facts):
    return {fact.event.intent for fact in facts if isinstance(fact.event, OrderIntended) and fact.event.side == "buy"}


def halted_at(facts):
    return next(fact.seq for fact in facts if isinstance(fact.event, HaltOrdered))


def let_through(facts, after):
    """Return the buys whose send began after that place in the log and was not stopped at the last gate."""
    ours = buys(facts)
    stopped = {event.intent for event in of(facts, OrderBlocked)}
    begun = {fact.event.intent for fact in facts if isinstance(fact.event, OrderSendStarted) and fact.seq > after}
    return (begun & ours) - stopped


@contextlib.contextmanager
def hung(process):
    """The whole process stands still: no loop turns, no thread runs."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


async def test_d65_a_halt_while_the_run_hangs_lets_no_buy_leave_when_it_goes_on(tmp_path):
    data = tmp_path / "data"
    run = start("run", "--data", data, *BUSY)
    try:
        first = await watch(data, run, nth(BuySignalled, 1))
        assert first is not None, run.communicate()
        with hung(run):
            told = await asyncio.to_thread(kquant, "halt", "--data", data, "--reason", "now")
            assert told.returncode == 0, told.stderr
            assert "halted" in told.stdout
            assert "its last gate sees the file" in told.stdout, "nobody could record it yet"
            assert HaltFlag(data / ACCOUNT).has_file()
        # Whatever was queued goes on, and meets the halt.
        assert await watch(data, run, nth(HaltOrdered, 1)) is not None, run.communicate()
        assert await watch(data, run, nth(PipelineCompleted, 2)) is not None
    finally:
        code, _, err = await asyncio.to_thread(kill, run, signal.SIGTERM)
    assert code == 130, err
    facts = facts_of(data)
    assert let_through(facts, halted_at(facts)) == set()
    assert {event.why for event in of(facts, OrderBlocked)} <= {"halted"}
    after = [fact for fact in facts if fact.seq > halted_at(facts)]
    assert {event.rule for event in of(after, OrderDenied)} == {"HALTED"}


async def test_everything_held_is_sold_on_one_word_and_nothing_is_bought_until_resumed(tmp_path):
    data = tmp_path / "data"
    run = start("run", "--data", data, *BUSY, "--speed", "100")
    try:
        assert await watch(data, run, nth(OrderAccepted, 1)) is not None

        async def ask(*arguments):
            return await asyncio.to_thread(kquant, *arguments, "--data", data)

        refused = await ask("flatten")
        assert (refused.returncode, "give --yes" in refused.stderr) == (2, True)
        refused = await ask("flatten", "999999", "--yes")
        assert (refused.returncode, "999999 is not held" in refused.stderr) == (2, True)
        sold = await ask("flatten", "--yes", "--reason", "enough")
        assert sold.returncode == 0, sold.stderr
        assert "entries are halted until `kquant resume`" in sold.stdout
        assert "at the market, intent" in sold.stdout
        assert "합계 · in all" in sold.stderr
        assert "HALTED" in (await ask("status")).stdout
        assert await watch(data, run, nth(PipelineCompleted, 2)) is not None
    finally:
        code, _, err = await asyncio.to_thread(kill, run, signal.SIGTERM)
    assert code == 130, err
    facts = facts_of(data)
    [ordered] = [fact for fact in facts if isinstance(fact.event, FlattenOrdered)]
    assert (ordered.event.code, ordered.event.reason) == (None, "enough")
    assert let_through(facts, ordered.seq) == set()
    asked = {event.code for event in of(facts, OrderIntended) if event.reason == "operator"}
    held = {event.code for event in of([f for f in facts if f.seq < ordered.seq], PositionOpened)}
    gone = {event.code for event in of(facts, PositionClosed)}
    assert asked
    assert held <= asked | gone
    done = await asyncio.to_thread(kquant, "run", "--data", data, *BUSY)
    assert done.returncode == 0, done.stderr[-2_000:]
    facts = facts_of(data)
    assert let_through(facts, ordered.seq) == set(), "a restart does not resume"
    assert held <= {event.code for event in of(facts, PositionClosed)}
    check_nothing_doubled(data, facts)


def test_a_flatten_without_a_running_instance_is_told_in_one_line(tmp_path):
    done = kquant("flatten", "--yes", "--data", tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 1)
    assert "no running instance" in done.stderr
    assert list(tmp_path.iterdir()) == []
