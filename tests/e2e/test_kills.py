"""Killed at any moment, the run goes on with the same command: nothing lost, no order doubled, the day reconciles."""

import asyncio
import contextlib
import random
import signal
import subprocess
from collections import Counter

import pytest

from kquant.events.analyzer import BatchScored
from kquant.events.day import DayClosed, RunStarted, RunStopped
from kquant.events.feed import FeedConnected, Registered
from kquant.events.market import TriggerFired
from kquant.events.orders import OrderAccepted, OrderBound, OrderFilled, OrderIntended, OrderSendStarted
from kquant.events.pipeline import PipelineStarted
from kquant.events.portfolio import BalanceWanted, DayReconciled
from kquant.events.scanner import RankingsWanted, ScoreGiven
from kquant.journal import read_day

from .world import AFTERNOON, books_of, facts_of, folder_of, kill, kquant, of, start, watch

pytestmark = pytest.mark.timeout(240)


def nth(kind, number, **having):
    """Return a condition that holds at the *number*-th event of *kind* since the kill before."""
    seen = 0

    def wanted(fact):
        nonlocal seen
        if isinstance(fact.event, kind) and all(getattr(fact.event, name) == value for name, value in having.items()):
            seen += 1
        return seen >= number

    return wanted


def after(seed):
    """Return a condition that holds after some hundred events, at a place nobody chose."""
    left = random.Random(seed).randint(30, 700)

    def wanted(fact):
        nonlocal left
        left -= 1
        return left <= 0

    return wanted


MOMENTS = {
    "amid the analysis": lambda: nth(BatchScored, 2),
    "while slots are registered": lambda: nth(Registered, 7),
    "while a scan is scored": lambda: nth(ScoreGiven, 17),
    "with rankings under way": lambda: nth(RankingsWanted, 3),
    "anywhere": lambda: after(1),
    "at the start of a pipeline run": lambda: nth(PipelineStarted, 1),
    "as an order is about to leave": lambda: nth(OrderSendStarted, 1),
    "anywhere else": lambda: after(2),
    "as an order was taken": lambda: nth(OrderAccepted, 1),
    "as a trigger fired": lambda: nth(TriggerFired, 1),
    "as the closing balance is asked for": lambda: nth(BalanceWanted, 1, reason="closing"),
}
"""In the order of the day. The first six come in any day; where a kill lands decides whether orders follow."""
ALWAYS = 6


def check_nothing_doubled(data, facts):
    """Every order the exchange has is one intent of ours, and every intent at most one order of the exchange."""
    books = books_of(data)
    bound = of(facts, OrderBound)
    assert Counter(order.order_no for order in bound) == Counter(list(books.placed))
    assert len({order.intent for order in bound}) == len(bound)
    intents = {intent.intent: intent for intent in of(facts, OrderIntended)}
    for order in bound:
        row, intent = books.placed[order.order_no], intents[order.intent]
        assert (row["code"], row["side"], row["qty"]) == (intent.code, intent.side, intent.qty)
    sent = Counter(started.intent for started in of(facts, OrderSendStarted))
    assert not sent or max(sent.values()) == 1
    ours = Counter()
    for fill in of(facts, OrderFilled):
        ours[fill.order_no] += fill.qty
    assert ours == {no: order["filled"] for no, order in books.placed.items() if order["filled"]}
    [closed] = of(facts, DayClosed)
    assert closed.cash_krw == books.d2
    assert {p.code: (p.qty, p.cost_krw) for p in closed.positions} == {
        code: (row["qty"], row["cost"]) for code, row in books.positions.items()
    }


async def test_a_day_killed_again_and_again_goes_on_with_nothing_lost_and_no_order_doubled(tmp_path):
    data = tmp_path / "data"
    killed, known, ended = [], [], None
    for name, moment in MOMENTS.items():
        run = start("run", "--data", data, *AFTERNOON)
        reached = await watch(data, run, moment(), after=len(known))
        if reached is None:
            _, err = await asyncio.to_thread(run.communicate)
            ended = run.returncode, err
            break
        code, _, _ = await asyncio.to_thread(kill, run)
        assert code == -signal.SIGKILL
        killed.append(name)
        facts = list(read_day(folder_of(data)))
        assert facts[: len(known)] == known, name
        assert len(facts) >= reached.seq
        known = facts
    if ended is None:
        done = await asyncio.to_thread(kquant, "run", "--data", data, *AFTERNOON)
        ended = done.returncode, done.stderr
    assert ended[0] == 0, ended[1][-2_000:]
    facts = facts_of(data)
    assert facts[: len(known)] == known
    assert len(killed) >= ALWAYS, killed
    assert len(of(facts, RunStarted)) == len(killed) + 1
    assert len(of(facts, FeedConnected)) >= 3
    assert [day.agrees for day in of(facts, DayReconciled)][-1]
    assert of(facts, OrderIntended)
    check_nothing_doubled(data, facts)
    verified = kquant("replay", "verify", folder_of(data))
    assert verified.returncode == 0, verified.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_run_stopped_by_a_signal_ends_in_order_with_130_and_goes_on(tmp_path, number):
    import os

    data = tmp_path / "data"
    late = tuple(text.replace("14:25", "15:10") for text in AFTERNOON)
    run = start("run", "--data", data, *late)
    assert await watch(data, run, nth(ScoreGiven, 40)) is not None
    os.killpg(run.pid, number)  # as a terminal does it: the exchange is in the way as well
    _, err = await asyncio.to_thread(run.communicate)
    assert run.returncode == 130, err
    assert "Traceback" not in err
    facts = facts_of(data)
    assert isinstance(facts[-1].event, RunStopped) or isinstance(facts[-2].event, RunStopped)
    done = await asyncio.to_thread(kquant, "run", "--data", data, *late)
    assert done.returncode == 0, done.stderr[-2_000:]
    after_all = facts_of(data)
    assert after_all[: len(facts)] == facts
    check_nothing_doubled(data, after_all)


def test_a_run_killed_while_it_starts_starts_again(tmp_path):
    data = tmp_path / "data"
    late = tuple(text.replace("14:25", "15:22") for text in AFTERNOON)
    moments = random.Random(3)
    known = []
    for _ in range(6):
        run = start("run", "--data", data, *late)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(timeout=moments.uniform(0.3, 1.8))
        code, _, err = kill(run)
        assert code in {-signal.SIGKILL, 0}, err
        if (folder_of(data) / "journal.sqlite").exists():
            facts = list(read_day(folder_of(data)))
            assert facts[: len(known)] == known
            known = facts
        if code == 0:
            break
    else:
        done = kquant("run", "--data", data, *late)
        assert done.returncode == 0, done.stderr[-2_000:]
    facts = facts_of(data)
    assert facts[: len(known)] == known
    check_nothing_doubled(data, facts)
    assert kquant("replay", "verify", folder_of(data)).returncode == 0
