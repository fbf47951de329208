"""A running day answers questions, takes orders from its operator, and lets nobody else in."""

import asyncio
import signal

import msgspec
import pytest

from kquant.events.day import HaltOrdered, ResumeOrdered
from kquant.events.orders import OrderIntended, OrderSendStarted
from kquant.events.pipeline import BuySignalled, PipelineCompleted
from kquant.events.scanner import ScoreGiven
from kquant.gateways.lastgate import HaltFlag

from .test_kills import check_nothing_doubled, nth
from .world import ACCOUNT, AFTERNOON, facts_of, kill, kquant, of, start, watch

pytestmark = pytest.mark.timeout(240)

LATE = (*(text.replace("14:25", "14:38") for text in AFTERNOON), "--set", "pipeline.threshold=45")


def sent_buys(facts):
    buys = {fact.event.intent for fact in facts if isinstance(fact.event, OrderIntended) and fact.event.side == "buy"}
    return [f.seq for f in facts if isinstance(f.event, OrderSendStarted) and f.event.intent in buys]


async def test_a_running_day_answers_over_its_socket_and_halt_stops_buys_until_resume(tmp_path):
    data = tmp_path / "data"
    assert kquant("halt", "--data", data, "--reason", "before the start").returncode == 0
    assert HaltFlag(data / ACCOUNT).reason() == "before the start"
    run = start("run", "--data", data, *LATE, "--speed", "50")
    try:
        scored = await watch(data, run, nth(ScoreGiven, 20))
        assert scored is not None

        async def ask(*arguments):
            return await asyncio.to_thread(kquant, *arguments, "--data", data)

        status, events, why, rebuilt, verified, second = await asyncio.gather(
            ask("status", "--json"),
            ask("events", "latest", "--stream", "scorer", "--json"),
            ask("why", "latest", scored.event.code),
            ask("replay", "rebuild", "latest", "--seq", str(scored.seq), "--json"),
            ask("replay", "verify", "latest"),
            ask("run"),
        )
        for done in (status, events, why, rebuilt, verified):
            assert done.returncode == 0, (done.args, done.stderr, done.stdout)
            assert run.poll() is None
        shown = msgspec.json.decode(status.stdout)
        assert set(shown) >= {"clock", "line", "slots", "day"}
        assert (shown["profile"], shown["account"], shown["halted"]) == ("demo", "5000****-01", "before the start")
        listed = msgspec.json.decode(events.stdout)
        assert scored.seq in {row["seq"] for row in listed}
        assert {row["stream"] for row in listed} == {"scorer"}
        assert scored.event.code in why.stdout
        assert msgspec.json.decode(rebuilt.stdout)["seq"] == scored.seq
        assert " 0 differences" in verified.stdout
        assert "still running" in verified.stdout
        assert second.returncode == 3
        assert second.stderr.startswith("kquant: another kquant runs on")
        assert len(second.stderr.splitlines()) == 1

        follower = start("events", "latest", "--follow", "--json", "--data", data)
        ran = await watch(data, run, nth(PipelineCompleted, 1))
        assert ran is not None
        resumed = await ask("resume", "--reason", "go on")
        assert "recorded" in resumed.stdout
        assert await watch(data, run, nth(ResumeOrdered, 1)) is not None
        halted = await ask("halt", "--reason", "enough", "--json")
        assert msgspec.json.decode(halted.stdout)["recorded"] is not None
        again = await ask("resume", "--json")
        assert msgspec.json.decode(again.stdout)["recorded"] is not None
    finally:
        code, _, err = await asyncio.to_thread(kill, run, signal.SIGTERM)
    assert code == 130, err
    followed, _ = await asyncio.to_thread(follower.communicate)
    facts = facts_of(data)
    rows = [msgspec.json.decode(line) for line in followed.splitlines()]
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[-1]["seq"] >= next(fact.seq for fact in facts if isinstance(fact.event, ResumeOrdered))
    # The file of before is on record as soon as the day begins; one that is found before its command is told twice.
    assert list(dict.fromkeys(order.reason for order in of(facts, HaltOrdered))) == ["before the start", "enough"]
    first_resume = next(fact.seq for fact in facts if isinstance(fact.event, ResumeOrdered))
    assert [seq for seq in sent_buys(facts) if seq < first_resume] == []

    done = await asyncio.to_thread(kquant, "run", "--data", data, *LATE)
    assert done.returncode == 0, done.stderr[-2_000:]
    facts = facts_of(data)
    assert of(facts, BuySignalled)
    assert [seq for seq in sent_buys(facts) if seq > first_resume]
    check_nothing_doubled(data, facts)


async def test_a_halt_by_file_stops_every_buy_of_a_day_and_no_sell(tmp_path):
    data = tmp_path / "data"
    assert kquant("halt", "--data", data).returncode == 0
    done = await asyncio.to_thread(kquant, "run", "--data", data, *LATE)
    assert done.returncode == 0, done.stderr[-2_000:]
    facts = facts_of(data)
    assert of(facts, BuySignalled)
    assert sent_buys(facts) == []


async def test_a_run_whose_exchange_is_gone_says_so_with_code_4_and_goes_on_when_started_again(tmp_path):
    import os

    data = tmp_path / "data"
    late = tuple(text.replace("14:25", "15:10") for text in AFTERNOON)
    run = start("run", "--data", data, *late)
    assert await watch(data, run, nth(ScoreGiven, 40)) is not None
    ready = next((data / ACCOUNT).glob("*/exchange/exchange.json"))
    os.kill(msgspec.json.decode(ready.read_bytes())["pid"], signal.SIGKILL)
    _, err = await asyncio.to_thread(run.communicate)
    assert run.returncode == 4, err
    assert "exchange" in err
    assert "Traceback" not in err
    done = await asyncio.to_thread(kquant, "run", "--data", data, *late)
    assert done.returncode == 0, done.stderr[-2_000:]
    check_nothing_doubled(data, facts_of(data))
