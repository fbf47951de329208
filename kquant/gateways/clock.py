"""Clocks, and the gateway that turns alarms into events. Instants are UTC microseconds of the run's clock.

A run has one clock: the wall's, the embedded exchange's stepped by hand, or its running at N times the wall.
"""

from __future__ import annotations

import asyncio
import heapq
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from kquant.events.alarms import ALARMS, AlarmBook
from kquant.journal.ahead import Ahead
from kquant.journal.port import AlreadyAnswered, Journal
from kquant.values import SECOND_US, KquantError, Micros, Seq

STREAM = "clock"
NAP_SECONDS = 5.0
"""The longest sleep on the wall's clock before it is looked at again."""


class ClockWentBack(KquantError):
    """Time would go back."""


class Clock(Protocol):
    """What gateways know of time."""

    def now(self) -> Micros:
        """Return the instant."""

    async def sleep_until(self, at: Micros) -> None:
        """Return once the clock has reached *at*; at once if it has."""


class WallClock:
    """The machine's clock, kept from going back by the monotonic one. wall, steady: nanoseconds of either."""

    def __init__(self, wall: Callable[[], int] = time.time_ns, steady: Callable[[], int] = time.monotonic_ns) -> None:
        self._wall = wall
        self._steady = steady
        self._offset = wall() - steady()

    def now(self) -> Micros:
        """Return the instant."""
        return Micros((self._steady() + self._offset) // 1_000)

    def follow_wall(self) -> int:
        """Return how far the wall is ahead (microseconds, negative: behind), and go with it if it is ahead.

        It is ahead after a machine was suspended; a wall that was set back is not followed, because time never goes back.
        """
        skew = self._wall() - self._steady() - self._offset
        if skew > 0:
            self._offset += skew
        return skew // 1_000 if skew > 0 else -(-skew // 1_000)

    async def sleep_until(self, at: Micros) -> None:
        """Sleep on the wall, in naps: a machine that was suspended must not sleep on."""
        while (left := at - self.now()) > 0:  # noqa: ASYNC110  the clock may be corrected while we sleep
            await asyncio.sleep(min(left / SECOND_US, NAP_SECONDS))


class RunningClock:
    """The market's clock running at *speed* times the wall, corrected now and then by the exchange."""

    def __init__(self, now: Micros, speed: float) -> None:
        self._speed = speed
        self._anchor = (now, time.monotonic_ns())  # read and replaced whole: several threads ask for the time

    def now(self) -> Micros:
        """Return the instant."""
        base, started = self._anchor
        return Micros(base + int((time.monotonic_ns() - started) * self._speed) // 1_000)

    def adjust(self, now: Micros) -> None:
        """Follow the exchange's clock, never back."""
        if now > self.now():
            self._anchor = (now, time.monotonic_ns())

    async def sleep_until(self, at: Micros) -> None:
        """Sleep on the wall, *speed* times shorter; again if the clock was corrected meanwhile."""
        while (left := at - self.now()) > 0:  # noqa: ASYNC110  the clock may be corrected while we sleep
            await asyncio.sleep(left / SECOND_US / self._speed)


class SteppedClock:
    """A clock that stands still until it is set. Sleepers of several event loops are woken; all of it is thread-safe."""

    def __init__(self, now: Micros) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._sleepers: list[tuple[Micros, int, Callable[[], None]]] = []
        self._count = 0

    def now(self) -> Micros:
        """Return the instant it stands at."""
        return self._now

    def set(self, at: Micros) -> None:
        """Move to *at* and wake who waited for it, earliest first. Raises ClockWentBack."""
        woken: list[Callable[[], None]] = []
        with self._lock:
            if at < self._now:
                raise ClockWentBack(f"the market's clock would go back from {self._now} to {at}")
            self._now = at
            while self._sleepers and self._sleepers[0][0] <= at:
                woken.append(heapq.heappop(self._sleepers)[2])
        for wake in woken:
            wake()

    def next_wake(self) -> Micros | None:
        """Return the earliest instant a sleeper waits for, None without sleepers."""
        with self._lock:
            return self._sleepers[0][0] if self._sleepers else None

    async def sleep_until(self, at: Micros) -> None:
        """Return once the clock was set to *at* or later."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()

        def finish() -> None:
            if not waiter.done():
                waiter.set_result(None)

        def wake() -> None:
            loop.call_soon_threadsafe(finish)

        with self._lock:
            if at <= self._now:
                return
            self._count += 1
            sleeper = (at, self._count, wake)
            heapq.heappush(self._sleepers, sleeper)
        try:
            await waiter
        except asyncio.CancelledError:
            with self._lock:
                if sleeper in self._sleepers:
                    self._sleepers.remove(sleeper)
                    heapq.heapify(self._sleepers)
            raise


class ClockGateway:
    """Rings the alarms owners set: appends `alarm.rang` once each, at start for those missed as well.

    changed: called when it may have become idle.   on_fatal: called when it cannot go on.
    """

    def __init__(
        self, journal: Journal, clock: Clock, *, changed: Callable[[], None], on_fatal: Callable[[str], None]
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._changed = changed
        self._on_fatal = on_fatal
        self._closing = False
        self._book = AlarmBook()
        self._ahead = Ahead(journal, ALARMS)
        self._cursor = Seq(0)
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._undo: Callable[[], None] | None = None
        self._rung: set[Seq] = set()

    async def start(self) -> None:
        """Follow the journal and begin to ring."""
        loop = asyncio.get_running_loop()

        def nudged() -> None:
            loop.call_soon_threadsafe(self._wake.set)

        self._undo = self._journal.subscribe(nudged, ALARMS)
        self._follow()
        self._task = asyncio.create_task(self._run(), name="clock")
        self._task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Stop ringing; what is missed rings at the next start."""
        self._closing = True
        if self._undo is not None:
            self._undo()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def idle(self) -> bool:
        """Tell whether everything read is folded and nothing is due now."""
        due = self._book.next_due()
        return not self._ahead.anything(self._cursor) and (due is None or due > self._clock.now())

    def next_due(self) -> Micros | None:
        """Return the earliest pending alarm."""
        return self._book.next_due()

    def nudge(self) -> None:
        """The clock moved: look again."""
        self._wake.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Without alarms a run would wait for ever: its end is told, whatever it was."""
        if not self._closing:
            error = None if task.cancelled() else task.exception()
            self._on_fatal(f"clock: {error!r}" if error else "clock: its task was cancelled")

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            self._follow()
            for seq, rang in self._book.due(self._clock.now()):
                if seq in self._rung:
                    continue
                self._rung.add(seq)
                try:
                    await asyncio.wrap_future(self._journal.append(STREAM, [rang], by="clock", caused_by=seq))
                except AlreadyAnswered:
                    continue
            self._follow()
            self._changed()
            await self._sleep()

    async def _sleep(self) -> None:
        due = self._book.next_due()
        if self._wake.is_set() or self._ahead.anything(self._cursor):
            return
        waits: list[asyncio.Task[object]] = [asyncio.create_task(_await(self._wake.wait()))]
        if due is not None:
            waits.append(asyncio.create_task(_await(self._clock.sleep_until(due))))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _follow(self) -> None:
        while facts := self._journal.read(self._cursor):
            for fact in facts:
                self._book.apply(fact)
            self._cursor = facts[-1].seq


async def _await(coroutine: Awaitable[object]) -> object:
    return await coroutine
