"""The path from a frame to a durable intent, put together as a live run does: feed thread, desk, journal, orders."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from asyncio.subprocess import PIPE
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from time import monotonic, perf_counter_ns, time_ns

from websockets.asyncio.client import connect

from bench.peer import ROOT
from kquant.actors.threads import ThreadRuntime
from kquant.config import load
from kquant.domain.orders import ORDERS
from kquant.events.base import Event
from kquant.events.day import DayOpened, RunStarted
from kquant.events.feed import Registered
from kquant.events.orders import OrderIntended, OrderSendStarted
from kquant.events.portfolio import PositionOpened
from kquant.gateways.kis.feed.wire import decode
from kquant.gateways.market import MarketDesk
from kquant.hours import day_hours
from kquant.journal import TapeWriter, open_day
from kquant.values import MINUTE_US, Epoch, Krw, Micros, Seq, Shares, Symbol

COST = Krw(70_000)
WAIT_SECONDS = 30.0


class _Clock:
    """The wall's pace from one hour into the session on."""

    def __init__(self, begin: Micros) -> None:
        self._shift = begin - time_ns() // 1_000

    def now(self) -> Micros:
        return Micros(time_ns() // 1_000 + self._shift)


class Rig:
    """One phase: a new day with a position and armed exits in every code of *held*; *others* only trade. One use.

    After `play`, latencies holds nanoseconds from a firing frame's receipt to its durable intent, frames and seconds
    what the feed took in all.
    """

    def __init__(self, folder: Path, held: list[str], others: list[str]) -> None:
        self._settings = load(environ={}).settings
        day = date.fromisoformat(self._settings.demo.day)
        self._hours = day_hours(day, self._settings.krx)
        self._clock = _Clock(Micros(self._hours.open_at + 60 * MINUTE_US))
        self._held, self._others = held, others
        self._failure: list[str] = []
        self._changed = threading.Event()
        self._journal = open_day(folder, self._clock.now)
        self._tape = TapeWriter(folder, self._settings.journal.tape_block_frames)
        self._desk = MarketDesk(
            self._journal,
            self._tape,
            self._clock,
            decode=decode,
            changed=self._changed.set,
            on_fatal=self._failure.append,
        )
        self._runtime = ThreadRuntime([ORDERS], self._journal, on_fatal=self._failure.append, changed=self._changed.set)
        self._received: dict[str, int] = {}
        self._read = self._begun = Seq(0)
        self._firing = frozenset(held)
        self.latencies: list[int] = []
        self.frames = 0
        self.seconds = 0.0

    def play(self, order: dict[str, object]) -> None:
        """Arm everything, let the feed send what *order* says (see `feed_server`), and wait for the last intent."""
        try:
            self._prepare(str(date.fromisoformat(self._settings.demo.day)))
            with ThreadPoolExecutor(1, thread_name_prefix="feed") as feed:
                feed.submit(lambda: asyncio.run(self._feed(order))).result()
        finally:
            self._runtime.stop()
            self._desk.close()
            self._journal.close()
        if self._failure:
            raise RuntimeError(self._failure[0])

    def _prepare(self, day: str) -> None:
        opened = DayOpened(
            day=day, account="", hours=self._hours, positions=None, cash_krw=None, day_before="", digest_before="",
            reconciled_before=True,
        )  # fmt: skip
        started = RunStarted(settings=self._settings, profile="demo", code_hash="", seed=0, versions={})
        self._append("run", [started, opened])
        self._desk.epoch_begin(Epoch(1))
        codes = [Symbol(code) for code in (*self._held, *self._others)]
        self._append("feed", [Registered(epoch=Epoch(1), code=c, channel="trades", already=False) for c in codes])
        self._append("portfolio", [_position(Symbol(code)) for code in self._held])
        self._runtime.start()
        self._await(self._runtime.idle)
        self._desk.catch_up()
        self._read = self._begun = self._journal.head
        self._journal.subscribe(self._committed)
        self._journal.subscribe_placed(self._intended, "broker")

    def _append(self, stream: str, events: list[Event]) -> None:
        self._journal.append(stream, events, by=stream).result()

    def _await(self, reached: Callable[[], bool]) -> None:
        """Wait until a condition holds; the parts say when something may have changed."""
        deadline = monotonic() + WAIT_SECONDS
        while not reached():
            if self._failure or monotonic() > deadline:
                raise RuntimeError(f"{len(self.latencies)} of {len(self._held)} intents came; {self._failure}")
            self._changed.wait(0.1)
            self._changed.clear()

    def _intended(self) -> None:
        """Stand for the order gateway, whose mark is what the commit of an intent waits for."""
        for fact in self._journal.read_placed(self._begun):
            self._begun = fact.seq
            if isinstance(fact.event, OrderIntended):
                begun = OrderSendStarted(intent=fact.event.intent)
                self._journal.append("broker", [begun], by="bench", caused_by=fact.seq)

    def _committed(self) -> None:
        """Called by the journal's writer after each commit: what is read now is durable."""
        now = perf_counter_ns()
        for fact in self._journal.read(self._read):
            self._read = fact.seq
            if isinstance(fact.event, OrderIntended):
                self.latencies.append(now - self._received[fact.event.code])
        self._changed.set()

    async def _feed(self, order: dict[str, object]) -> None:
        loop = asyncio.get_running_loop()

        def nudge() -> None:
            loop.call_soon_threadsafe(self._desk.catch_up)

        undo = self._journal.subscribe(nudge)
        server = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.feed_server", cwd=ROOT, stdin=PIPE, stdout=PIPE
        )
        if server.stdin is None or server.stdout is None:
            raise RuntimeError("the feed's process has no pipes")
        server.stdin.write(json.dumps(order).encode() + b"\n")
        keeper: asyncio.Task[None] | None = None
        try:
            port = int(await server.stdout.readline())
            async with connect(f"ws://127.0.0.1:{port}", compression=None) as connection:
                keeper = asyncio.create_task(self._keep())
                begun = perf_counter_ns()
                async for text in connection:
                    self._frame(str(text), perf_counter_ns())
                self.seconds = (perf_counter_ns() - begun) / 1e9
            await asyncio.to_thread(self._await, lambda: len(self.latencies) == len(self._held) and self._desk.idle())
        finally:
            if keeper is not None:
                keeper.cancel()
            undo()
            await server.wait()

    def _frame(self, text: str, received: int) -> None:
        records = decode(text)
        code = records[0].code
        if code in self._firing:
            self._received[code] = received
        self._desk.frame(text, records)
        self.frames += 1

    async def _keep(self) -> None:
        """Once a second: the second's mark, and the tape's sync beside the loop."""
        while True:
            await asyncio.sleep(1)
            self._desk.second(self._clock.now())
            await asyncio.to_thread(self._tape.sync)


def _position(code: Symbol) -> PositionOpened:
    return PositionOpened(code=code, name=f"Stock {code}", qty=Shares(10), cost_krw=Krw(10 * COST), carried=False)
