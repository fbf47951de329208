"""The paper profile against the look-alike in both dresses, at the wall's own pace; and `kquant init` before it."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import msgspec
import pytest

from kquant.events.day import AlertRaised, DayOpened, RunStopped
from kquant.events.feed import (
    FeedConnected,
    FirstTick,
    NoticeReceived,
    NoticesConnected,
    Registered,
    RegistrationRefused,
)
from kquant.events.orders import ExecutionsListed
from kquant.events.portfolio import PortfolioSynchronised, PositionOpened
from kquant.events.scanner import RankingsAnswered, ReadFailed
from kquant.exchange.servers.options import SECRETS
from kquant.journal import read_day

from .world import ROOT, of

pytestmark = pytest.mark.timeout(180)

PAPER = "50009876-01"
TRADING = {
    "KIS_ACCOUNT": PAPER,
    "KIS_HTS_ID": "DEMO01",
    "KIS_APP_KEY": SECRETS["paper_appkey"],
    "KIS_APP_SECRET": SECRETS["paper_appsecret"],
}
READING = {"KIS_DATA_APP_KEY": SECRETS["appkey"], "KIS_DATA_APP_SECRET": SECRETS["appsecret"]}
QUICK = ("--set", "schedule.scan_from=09:00")


@contextlib.contextmanager
def look_alike(*options):
    """Run the look-alike alone; give what it prints when it is up."""
    command = [sys.executable, "-m", "kquant", "exchange", "--generate", "7", "--stocks", "120", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        yield msgspec.json.decode(process.stdout.readline())
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        process.stdout.close()


def hosts(ready, **others):
    """Return the options that point the paper profile at a look-alike."""
    found = {
        "broker.rest_url": f"http://127.0.0.1:{ready['paper_rest_port']}",
        "broker.ws_url": f"ws://127.0.0.1:{ready['paper_ws_port']}",
        "broker.data_rest_url": f"http://127.0.0.1:{ready['rest_port']}",
        "broker.data_ws_url": f"ws://127.0.0.1:{ready['ws_port']}",
        "broker.clock_offset_seconds": str(ready["shift_seconds"]),
    } | {name.replace("__", "."): value for name, value in others.items()}
    return [part for name, value in found.items() for part in ("--set", f"{name}={value}")]


def buy_by_hand(port, code):
    """Buy one share as in the broker's app, through the admin port."""
    from websockets.sync.client import connect

    order = {"side": "buy", "code": code, "qty": 1, "price": 0, "division": "01"}
    with connect(f"ws://127.0.0.1:{port}") as admin:
        admin.send(msgspec.json.encode({"op": "hand", "service": "paper", "order": order}).decode())
        answer = msgspec.json.decode(admin.recv())
    assert "error" not in answer, answer
    return answer


def command(*arguments, keys, data, stdin=subprocess.DEVNULL):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KIS_")}
    return subprocess.Popen(
        [sys.executable, "-m", "kquant", *map(str, arguments)],
        cwd=ROOT,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**clean, "PYTHONUTF8": "1", "HOME": str(data), **keys},
    )


def run_until(process, data, wanted, seconds=75):
    """Let a run go on until its journal holds what is wanted, end it, and return its events, output and errors."""
    import asyncio

    from kquant.gateways.operator import NoInstance, ask_stream, decode_row

    async def follow():
        seen = []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(NoInstance, ConnectionError):
                async for row in ask_stream(data / PAPER, "events", after=seen[-1].seq if seen else 0, follow=True):
                    seen.append(decode_row(row))
                    if wanted(seen):
                        return True
                    if time.monotonic() > deadline:
                        return False
            await asyncio.sleep(0.05)
        return False

    came = asyncio.run(asyncio.wait_for(follow(), seconds + 5))
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=40)
    assert came, err[-3_000:]
    assert process.returncode == 130, err[-3_000:]
    [folder] = (data / PAPER).glob("20*")
    return list(read_day(folder)), out, err


@pytest.mark.parametrize("layout", ["2025", "2025-wide", "2026-09"])
def test_paper_trades_on_the_paper_service_and_reads_what_it_lacks_with_a_real_key(tmp_path, layout):
    with look_alike("--clock", "wall", "--open-now", "--layout", layout) as ready:
        run = command(
            *("run", "--profile", "paper", "--data", tmp_path, *QUICK, *hosts(ready)),
            keys=TRADING | READING,
            data=tmp_path,
        )

        by_hand = []

        def enough(facts):
            """Somebody buys a share by hand once everything is up; its notices are what the run waits for last."""
            kinds = {type(fact.event) for fact in facts}
            if not by_hand and kinds >= {NoticesConnected, FirstTick, RankingsAnswered, ExecutionsListed}:
                code = of(facts, PositionOpened)[0].code
                by_hand.append(buy_by_hand(ready["admin_port"], code))
            return kinds >= {PortfolioSynchronised, NoticeReceived}

        facts, _, err = run_until(run, tmp_path, enough)
    [opened] = of(facts, DayOpened)
    assert opened.account == "5000****-01"
    # Quotes come on the real session, program trading included; notices on the paper one.
    assert {event.channel for event in of(facts, Registered)} == {"trades", "book", "program"}
    assert of(facts, RegistrationRefused) == []
    assert [event.epoch for event in of(facts, FeedConnected)] == [1]
    assert of(facts, ReadFailed) == []
    assert of(facts, PortfolioSynchronised)[0].differences == ()
    [notice] = of(facts, NoticeReceived)[:1]
    assert (notice.kind, notice.side, notice.order_qty) == ("accepted", "buy", 1)
    assert [event.reason for event in of(facts, RunStopped)] == ["interrupted"]
    spoken = "\n".join([err, *map(repr, facts)])
    for secret in (*TRADING.values(), *READING.values()):
        if len(secret) > 30:
            assert secret not in spoken


def test_paper_without_a_real_key_says_what_is_missing_and_runs_with_what_there_is(tmp_path):
    with look_alike("--clock", "wall", "--open-now") as ready:
        run = command(
            "run", "--profile", "paper", "--data", tmp_path, *QUICK, *hosts(ready), keys=TRADING, data=tmp_path
        )

        def enough(facts):
            kinds = {type(fact.event) for fact in facts}
            return kinds >= {FirstTick, ReadFailed, PortfolioSynchronised, ExecutionsListed} and any(
                isinstance(fact.event, ReadFailed) and "FHPST01700000" in fact.event.reason for fact in facts
            )

        facts, _, err = run_until(run, tmp_path, enough)
    assert "no rankings, news, holidays and program trading" in err
    assert "KIS_DATA_APP_KEY" in err
    assert {event.channel for event in of(facts, Registered)} == {"trades", "book"}
    assert of(facts, RegistrationRefused) == []
    assert any("the calendar decides" in event.text for event in of(facts, AlertRaised))
    assert of(facts, PortfolioSynchronised)[0].differences == ()


@pytest.mark.parametrize(
    ("keys", "change", "words"),
    [
        (READING, {}, ("the paper service was called with a real key",)),
        ({}, {"broker__rest_url": "REAL"}, ("the real service was called with a paper key",)),
        ({"KIS_ACCOUNT": "12345678-01"}, {}, ("the account number does not belong to this key",)),
        ({}, {"broker__rest_url": "https://openapi.koreainvestment.com:9443", "broker__clock_offset_seconds": "0"}, ("the real one",)),
        ({}, {"broker__ws_url": "ws://ops.koreainvestment.com:21000", "broker__clock_offset_seconds": "0"}, ("the real one",)),
        ({}, {"broker__rest_url": "https://example.com"}, ("is no host of KIS",)),
    ],
    ids=["real key", "real host", "account", "KIS's real host", "KIS's real feed", "nobody's host"],
)  # fmt: skip
def test_a_mix_of_real_and_paper_refuses_to_start_in_one_line(tmp_path, keys, change, words):
    swapped = {"KIS_APP_KEY": READING["KIS_DATA_APP_KEY"], "KIS_APP_SECRET": READING["KIS_DATA_APP_SECRET"]}
    given = TRADING | (swapped if keys is READING else keys)
    with look_alike("--clock", "wall", "--open-now") as ready:
        real = f"http://127.0.0.1:{ready['rest_port']}"
        others = {name: real if value == "REAL" else value for name, value in change.items()}
        run = command(
            "run", "--profile", "paper", "--data", tmp_path, *hosts(ready, **others), keys=given, data=tmp_path
        )
        _, err = run.communicate(timeout=60)
    assert run.returncode == 2, err
    lines = [line for line in err.splitlines() if line.startswith("kquant: ")]
    assert len(lines) == 1, err
    for word in words:
        assert word in lines[0]
    assert not list((tmp_path / given["KIS_ACCOUNT"]).glob("20*"))


def test_init_writes_keys_that_work_and_refuses_those_that_do_not(tmp_path):
    with look_alike("--clock", "wall", "--open-now") as ready:
        options = (
            "--profile",
            "paper",
            "--account",
            PAPER,
            "--hts-id",
            "DEMO01",
            *hosts(ready),
            "--set",
            f"journal.data={tmp_path}",
        )
        wrong = command("init", *options, keys=TRADING | {"KIS_APP_SECRET": "x" * 180}, data=tmp_path)
        _, err = wrong.communicate(timeout=60)
        assert wrong.returncode == 2
        assert "the app secret does not belong to the app key" in err.splitlines()[-1]
        assert not (tmp_path / ".kquant").exists()

        right = command("init", *options, keys=TRADING, data=tmp_path)
        out, err = right.communicate(timeout=60)
        assert right.returncode == 0, err
        assert "cash D+2 100,000,000원" in out
        keys_file = tmp_path / ".kquant" / "keys.toml"
        assert keys_file.stat().st_mode & 0o777 == 0o600
        assert TRADING["KIS_APP_SECRET"] not in out + err

        reads = command("init", "--profile", "data", *hosts(ready), "--json", keys=READING, data=tmp_path)
        out, err = reads.communicate(timeout=60)
        assert reads.returncode == 0, err
        assert msgspec.json.decode(out)["written"] == ["data"]

        # The keys of the file are enough for the next command.
        run = command("run", "--profile", "paper", "--data", tmp_path, *QUICK, *hosts(ready), keys={}, data=tmp_path)

        def enough(facts):
            return any(isinstance(fact.event, PortfolioSynchronised) for fact in facts)

        facts, _, _ = run_until(run, tmp_path, enough)
    assert of(facts, PortfolioSynchronised)[0].differences == ()
