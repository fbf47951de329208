"""The feed as a live run has it: its thread, session, guards, market desk, armed triggers, tape and journal on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from time import monotonic, perf_counter, sleep, time_ns

from bench.peer import ROOT
from kquant.config import load
from kquant.events.analyzer import Listed, ListingAnswered
from kquant.events.base import Event
from kquant.events.day import DayOpened, RunStarted
from kquant.events.feed import FeedConnected, Registered
from kquant.events.orders import TriggerArmed
from kquant.events.slots import RegisterWanted
from kquant.gateways.kis.feed.gateway import KisFeed
from kquant.gateways.kis.feed.session import FeedSession
from kquant.gateways.kis.feed.wire import decode
from kquant.gateways.market import MarketDesk
from kquant.hours import day_hours
from kquant.journal import TapeWriter, open_day
from kquant.values import (
    MINUTE_US,
    SECOND_US,
    BasisPoints,
    Epoch,
    Krw,
    Micros,
    Seq,
    Shares,
    Symbol,
    TriggerId,
)

WAIT_SECONDS = 120.0


class Clock:
    """The wall's pace from one hour into the session on."""

    def __init__(self, begin: Micros) -> None:
        self._shift = begin - time_ns() // 1_000

    def now(self) -> Micros:
        """Return the instant."""
        return Micros(time_ns() // 1_000 + self._shift)

    async def sleep_until(self, at: Micros) -> None:
        """Sleep on the wall."""
        import asyncio

        await asyncio.sleep(max(0, at - self.now()) / SECOND_US)


class Sender:
    """The local broker's process. core: it runs there alone, where the system can say so."""

    def __init__(self, core: int | None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.feed_sender"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if core is not None:
            os.sched_setaffinity(self._process.pid, {core})
        self.port = int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the sender ended with {self._process.wait()}: see its error above")
        return line

    def order(self, path: Path, first: int, count: int) -> None:
        """Have it send; returns at once. A count of 0 only reads the file."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"path": str(path), "first": first, "count": count}) + "\n")
        self._process.stdin.flush()

    def done(self) -> None:
        """Wait until the order is carried out."""
        self._line()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)


class Rig:
    """One day: *codes* registered for trades and books, a stop armed far below each. One use."""

    def __init__(self, folder: Path, port: int, codes: list[str]) -> None:
        self._settings = load(environ={}).settings
        day = date.fromisoformat(self._settings.demo.day)
        self._hours = day_hours(day, self._settings.krx)
        self._clock = Clock(Micros(self._hours.open_at + 60 * MINUTE_US))
        self._codes = [Symbol(code) for code in codes]
        self._failure: list[str] = []
        self._journal = open_day(folder, self._clock.now)
        self._tape = TapeWriter(folder, self._settings.journal.tape_block_frames)
        self.feed = KisFeed(
            f"ws://127.0.0.1:{port}/tryitout",
            self._journal,
            self._clock,
            FeedSession("", "", None, gap_us=0, ack_us=5 * SECOND_US),
            desk=self._desk,
            approval=_approval,
            changed=lambda: None,
            on_fatal=self._failure.append,
        )
        self._second = 0

    def _desk(self) -> MarketDesk:
        return MarketDesk(
            self._journal,
            self._tape,
            self._clock,
            decode=decode,
            changed=lambda: None,
            on_fatal=self._failure.append,
        )

    def open(self) -> None:
        """Connect, register everything, arm the triggers."""
        opened = DayOpened(
            day=str(self._settings.demo.day), account="", hours=self._hours, positions=None, cash_krw=None, day_before="",
            digest_before="", reconciled_before=True,
        )  # fmt: skip
        started = RunStarted(settings=self._settings, profile="demo", code_hash="", seed=0, versions={})
        listing = ListingAnswered(stocks=tuple(_listed(code) for code in self._codes), source="")
        self._append("run", [started, opened, listing])
        self.feed.start()
        self._until(lambda: self._count(FeedConnected) == 1, "the connection")
        for code in self._codes:
            for channel in ("trades", "book"):
                before = self._count(Registered)
                valid = Micros(self._clock.now() + 60 * SECOND_US)
                wanted = RegisterWanted(code=code, channel=channel, priority=1, epoch=Epoch(1), valid_until=valid)
                self._append("slots", [wanted])
                self._until(lambda before=before: self._count(Registered) > before, "a registration")
        armed = [
            TriggerArmed(
                trigger=TriggerId(number), code=code, kind="stop", price=Krw(1), trail_bp=BasisPoints(0), high=Krw(0)
            )
            for number, code in enumerate(self._codes, 1)
        ]
        self._append("orders", list(armed))
        self._until(self.feed.idle, "the feed")

    def take(self, sender: Sender, path: Path, first: int, count: int) -> float:
        """Have *count* frames sent and wait until all are applied; return the seconds."""
        before = self.feed.frames
        sender.order(path, first, count)
        begun = perf_counter()
        self._until(lambda: self.feed.frames >= before + count, "the frames")
        seconds = perf_counter() - begun
        sender.done()
        if self.feed.desk.rejected:
            raise RuntimeError(f"frames were not believed: {self.feed.desk.rejected}")
        return seconds

    def close(self) -> None:
        """End the day."""
        self.feed.close()
        self._tape.close()
        self._journal.close()

    def _append(self, stream: str, events: list[Event]) -> None:
        self._journal.append(stream, events, by=stream).result()

    def _count(self, kind: type[Event]) -> int:
        return sum(isinstance(fact.event, kind) for fact in self._journal.read(Seq(0), 100_000))

    def _until(self, reached: Callable[[], bool], what: str) -> None:
        """Wait, and mark the seconds that pass, as a live run does."""
        deadline = monotonic() + WAIT_SECONDS
        while not reached():
            if self._failure or monotonic() > deadline:
                raise RuntimeError(f"waiting for {what}: {self._failure}")
            second = int(monotonic())
            if second > self._second:
                self._second = second
                self.feed.call(lambda: self.feed.desk.second(self._clock.now()))
            sleep(0.002)


async def _approval(_renew: bool) -> str:
    return "approval"


def _listed(code: Symbol) -> Listed:
    return Listed(
        code=code, name=f"Stock {code}", market="KOSPI", kind="common", base=Krw(100_000), upper=Krw(10_000_000),
        lower=Krw(1), halted=False, administrative=False, liquidation=False, overheated=False, warning=0,
        prev_volume=Shares(1),
    )  # fmt: skip
