"""The live profile against the look-alike's real service: unarmed nothing leaves, armed it trades, disarmed it stops."""

import contextlib
import os
import pty
import subprocess
import sys
import time

import msgspec
import pytest

from kquant.events.day import ArmOrdered, DisarmOrdered, FlattenOrdered, RunStopped
from kquant.events.market import TriggerFired
from kquant.events.orders import ExitPostponed, OrderAccepted, OrderBlocked, OrderIntended, OrderSendStarted
from kquant.exchange.servers.options import SECRETS
from kquant.gateways.operator import NoInstance, ask_stream, decode_row
from kquant.journal import read_day

from .test_paper import TRADING, command, look_alike
from .world import ROOT, of

pytestmark = [pytest.mark.timeout(240), pytest.mark.skipif(sys.platform == "win32", reason="a terminal is a pty")]

REAL = "50001234-01"
KEYS = TRADING | {"KIS_ACCOUNT": REAL, "KIS_APP_KEY": SECRETS["appkey"], "KIS_APP_SECRET": SECRETS["appsecret"]}
NARROW = ("--set", "exits.stop_loss_bp=1", "--set", "exits.take_profit_bp=1")
"""Whatever the market does, every holding is to be sold at once."""


class Rehearsal:
    """One data folder, and a look-alike whose day plays as today or later."""

    def __init__(self, data, ready, days_later=0):
        self.data = data
        self.shift = ready["shift_seconds"]
        found = {
            "rest_url": f"http://127.0.0.1:{ready['rest_port']}",
            "ws_url": f"ws://127.0.0.1:{ready['ws_port']}",
            "data_rest_url": f"http://127.0.0.1:{ready['rest_port']}",
            "data_ws_url": f"ws://127.0.0.1:{ready['ws_port']}",
            "clock_offset_seconds": self.shift,
        }
        self.options = [
            *NARROW,
            *(part for name, value in found.items() for part in ("--set", f"broker.{name}={value}")),
        ]

    def say(self, *arguments):
        """Run a command nobody sits at; return its code, output and errors."""
        process = command(*arguments, "--data", self.data, keys=KEYS, data=self.data)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def typed(self, text, *arguments):
        """Run a command at a terminal, with *text* typed there."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "kquant", *map(str, arguments), "--data", str(self.data)],
            cwd=ROOT,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUTF8": "1", "HOME": str(self.data), "COLUMNS": "120", **KEYS},
        )
        os.close(theirs)
        os.write(ours, f"{text}\n".encode())
        out, err = process.communicate(timeout=60)
        os.close(ours)
        return process.returncode, out, err

    def today(self):
        return time.strftime("%Y%m%d", time.gmtime(time.time() + self.shift + 9 * 3600))

    @contextlib.contextmanager
    def run(self):
        """Trade until the block ends; give the process."""
        arguments = ("run", "--profile", "live", "--data", self.data, *self.options)
        process = command(*arguments, keys=KEYS, data=self.data)
        try:
            yield process
        finally:
            process.terminate()
            self.out, self.err = process.communicate(timeout=60)

    def until(self, process, wanted, seconds=90):
        """Follow the running day until its log holds what is wanted; return its facts."""
        import asyncio

        async def follow():
            seen = []
            while process.poll() is None:
                with contextlib.suppress(NoInstance, ConnectionError):
                    after = seen[-1].seq if seen else 0
                    async for row in ask_stream(self.data / REAL, "events", after=after, follow=True):
                        seen.append(decode_row(row))
                        if wanted(seen):
                            return seen
                await asyncio.sleep(0.05)
            raise AssertionError(process.stderr.read()[-3_000:])

        return asyncio.run(asyncio.wait_for(follow(), seconds))

    def facts(self):
        [folder] = (self.data / REAL).glob("20*")
        return list(read_day(folder))


def sent_after(facts, kind):
    """Return the sends begun after the last event of that kind."""
    last = max(fact.seq for fact in facts if isinstance(fact.event, kind))
    return [fact for fact in facts if isinstance(fact.event, OrderSendStarted) and fact.seq > last]


def test_unarmed_nothing_leaves_armed_it_trades_and_disarmed_it_stops(tmp_path):
    with look_alike("--clock", "wall", "--open-now") as ready:
        there = Rehearsal(tmp_path, ready)
        code, _, err = there.say("arm", *there.options)
        assert (code, len(err.splitlines())) == (2, 1), "nobody is there to type"
        with there.run() as process:
            facts = there.until(process, lambda seen: len(of(seen, ExitPostponed)) >= 2)
            assert of(facts, TriggerFired)
            assert {event.rule for event in of(facts, ExitPostponed)} == {"NOT_ARMED"}
            assert of(facts, OrderIntended) == []

            _, status, _ = there.say("status")
            assert "no order leaves (not armed): kquant arm" in status
            code, _, err = there.say("flatten", "--yes")
            assert (code, "kquant arm" in err) == (2, True)
            code, _, err = there.typed(f"00 {there.today()}", "arm", *there.options)
            assert (code, "not armed" in err) == (2, True)
            code, _, err = there.typed(f"34 {there.today()}", "arm", *there.options, "--set", "risk.max_positions=99")
            assert (code, "other limits" in err) == (2, True)

            code, out, err = there.typed(f"34 {there.today()}", "arm", *there.options)
            assert code == 0, err
            assert "the running instance has recorded it" in out
            assert "실전 주문 · REAL MONEY" in err
            facts = there.until(process, lambda seen: len(of(seen, OrderAccepted)) >= 2)
            assert len(of(facts, ArmOrdered)) == 1
            assert sent_after(facts, ArmOrdered)
            _, status, _ = there.say("status", "--json")
            assert msgspec.json.decode(status)["live"]["armed"] is True

            code, out, _ = there.say("disarm", "--reason", "lunch")
            assert (code, "no real order leaves" in out) == (0, True)
            facts = there.until(process, lambda seen: of(seen, DisarmOrdered))
            assert of(facts, DisarmOrdered)[0].reason == "lunch"
        facts = there.facts()
        assert "실전 주문 · REAL MONEY" in there.out
        assert "no real order leaves until `kquant arm`" in there.err
        assert of(facts, RunStopped)
        assert [event.intent for event in of(facts, OrderBlocked) if event.why != "not armed"] == []
        assert sent_after(facts, DisarmOrdered) == []
    # What was decided of the files is decided again from the log alone.
    code, out, err = there.say("replay", "verify", "latest")
    assert (code, " 0 differences" in out) == (0, True), out + err


def test_an_arming_of_the_day_before_arms_nothing_and_one_of_before_the_start_does(tmp_path):
    with look_alike("--clock", "wall", "--open-now") as ready:
        there = Rehearsal(tmp_path, ready)
        code, out, err = there.typed(f"34 {there.today()}", "arm", *there.options)
        assert code == 0, err
        assert "once `kquant run` trades today" in out
        file = tmp_path / REAL / "ARMED"
        today = msgspec.json.decode(file.read_bytes())
        yesterday = time.strftime("%Y-%m-%d", time.gmtime(time.time() + there.shift + 9 * 3600 - 86_400))
        file.write_bytes(msgspec.json.encode({**today, "day": yesterday}))
        with there.run() as process:
            facts = there.until(process, lambda seen: of(seen, ExitPostponed))
            assert of(facts, ArmOrdered) == of(facts, OrderIntended) == []
            _, status, _ = there.say("status")
            assert f"armed for {yesterday}" in status

            # Typed before the start, today's arming counts as soon as the run looks at it.
            file.write_bytes(msgspec.json.encode(today))
            facts = there.until(process, lambda seen: of(seen, OrderAccepted))
            assert len(of(facts, ArmOrdered)) == 1
            code, out, err = there.say("flatten", "--yes", "--reason", "the rehearsal ends")
            assert (code == 0 and "ordered out" in out) or "nothing is held" in err
            there.until(process, lambda seen: of(seen, FlattenOrdered) or "nothing is held" in err)


def test_a_run_that_only_watches_says_so_and_sends_nothing(tmp_path):
    with look_alike("--clock", "wall", "--open-now") as ready:
        there = Rehearsal(tmp_path, ready)
        there.options += ["--set", "broker.orders=false"]
        code, _, err = there.typed(f"34 {there.today()}", "arm", *there.options)
        assert (code, "only watches" in err) == (2, True)
        with there.run() as process:
            facts = there.until(process, lambda seen: of(seen, TriggerFired))
            assert of(facts, OrderSendStarted) == []
            _, status, _ = there.say("status")
            assert "watched only: broker.orders is off" in status
        assert "watched only" in there.out
