"""Where a run meets its market: the embedded exchange, or the KIS services. A door has the clock.

Everything behind the door is the same for all of them; only who moves time differs. The embedded exchange is stepped as
fast as the run settles, or runs at N times the wall; KIS runs at the wall's own pace.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol, TypeVar

import structlog
from msgspec import Struct

from kquant.cli.lockstep import Lockstep, Stillness
from kquant.cli.rooms import Rooms
from kquant.gateways.clock import RunningClock, SteppedClock, WallClock
from kquant.gateways.embedded import EmbeddedExchange, Hello
from kquant.krx import SessionHours
from kquant.values import SECOND_US, KquantError, Micros

T = TypeVar("T")
log = structlog.get_logger("kquant.run")

SKEW_US = 2 * SECOND_US
POLL_SECONDS = 0.05
REST_SECONDS = 0.5


class DoorError(KquantError):
    """The market cannot be reached, or is not the one that was asked for."""


class Drive(Struct, frozen=True):
    """How a day is driven. until: give up then.   look: called all the time, true when the day is over."""

    rooms: Rooms
    stillness: Stillness
    until: Micros
    look: Callable[[], bool]
    failed: asyncio.Event


class MarketDay(Struct, frozen=True, kw_only=True):
    """research: the day's table (Parquet), None without one.   about: where a simulated day comes from, None for KIS."""

    research: Path | None = None
    about: dict[str, Any] | None = None


class Door(Protocol):
    """What the day needs of its market."""

    @property
    def clock(self) -> SteppedClock | RunningClock | WallClock:
        """The run's clock."""

    async def meet(self, hours: SessionHours, /) -> MarketDay:
        """Return what is known of the day before it begins. Raises DoorError if it is not the day planned."""

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what *work* returns, which may wait for market time before the day is driven."""

    async def drive(self, drive: Drive) -> None:
        """Let market time pass until the day is over or fails."""

    async def rest(self, until: Micros, stopped: Callable[[], bool]) -> None:
        """Let the time between two days pass."""


class EmbeddedDoor:
    """The embedded exchange in its own process."""

    def __init__(self, exchange: EmbeddedExchange, hello: Hello) -> None:
        self._exchange = exchange
        self.clock: SteppedClock | RunningClock = (
            SteppedClock(hello.now) if hello.mode == "step" else RunningClock(hello.now, hello.speed or 1.0)
        )

    async def meet(self, hours: SessionHours, /) -> MarketDay:
        """Have the exchange confirm the day's hours."""
        hello = await self._exchange.hello()
        if (hello.open, hello.close) != (hours.open_at, hours.close_at):
            raise DoorError(f"the market of {hello.day} does not open and close when config/calendar.toml says")
        return MarketDay(research=Path(hello.research), about=hello.market)

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """Step towards whatever *work* sleeps for: a call that backs off would else wait for ever."""
        clock = self.clock
        task = asyncio.ensure_future(work)
        try:
            while True:
                done, _ = await asyncio.wait({task}, timeout=POLL_SECONDS)
                if done:
                    return task.result()
                if isinstance(clock, SteppedClock) and (due := clock.next_wake()) is not None:
                    clock.set((await self._exchange.step(due)).now)
        finally:
            task.cancel()

    async def drive(self, drive: Drive) -> None:
        """Step it, or follow it."""
        rooms, clock = drive.rooms, self.clock
        if isinstance(clock, RunningClock):
            await _follow(drive, clock, self._adjust)
            return
        stepped = clock

        async def moved(now: Micros) -> None:
            await rooms.second(now)
            stepped.set(now)
            rooms.clock_gateway.nudge()

        lockstep = Lockstep(
            self._exchange, drive.stillness, next_due=rooms.next_due, applied=rooms.applied, moved=moved
        )
        await lockstep.run(drive.until, drive.look, drive.failed)

    async def rest(self, until: Micros, stopped: Callable[[], bool]) -> None:
        """Let the exchange's night pass."""
        while self.clock.now() < until and not stopped():
            if isinstance(self.clock, SteppedClock):
                self.clock.set((await self._exchange.step(until)).now)
            else:
                await self._adjust()
                await asyncio.sleep(POLL_SECONDS)

    async def _adjust(self) -> None:
        if isinstance(self.clock, RunningClock):
            self.clock.adjust(await self._exchange.now())


class KisDoor:
    """The KIS services, on the wall's clock. skewed: told (microseconds) when the wall has jumped.

    offset_seconds: of a look-alike's clock, 0 for KIS.
    """

    def __init__(self, skewed: Callable[[int], None], *, offset_seconds: int = 0) -> None:
        offset = offset_seconds * 1_000_000_000
        self.clock = WallClock(wall=lambda: time.time_ns() + offset)
        self._skewed = skewed
        self._told = 0

    async def meet(self, _hours: SessionHours, /) -> MarketDay:
        """Return nothing: KIS has no table of the day, and whether it opens is asked over its lines."""
        return MarketDay()

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """Await it: the wall passes by itself."""
        return await work

    async def drive(self, drive: Drive) -> None:
        """Follow the wall."""
        await _follow(drive, self.clock, self._resync)

    async def rest(self, until: Micros, stopped: Callable[[], bool]) -> None:
        """Sleep over the night in short naps: a suspended machine must not sleep on."""
        while (left := until - self.clock.now()) > 0 and not stopped():
            await asyncio.sleep(min(left / SECOND_US, REST_SECONDS))
            await self._resync()

    async def _resync(self) -> None:
        skew = self.clock.follow_wall()
        # A wall that was set back stays behind: it is told of once.
        if abs(skew - self._told) > SKEW_US:
            self._told = min(skew, 0)
            log.warning("the machine's clock has jumped", seconds=round(skew / SECOND_US, 1))
            self._skewed(skew)


async def _follow(
    drive: Drive, clock: RunningClock | WallClock, correct: Callable[[], Coroutine[None, None, None]]
) -> None:
    """Hand every second of a clock that runs by itself to the rooms."""
    last = clock.now() // SECOND_US
    while not (drive.look() or drive.failed.is_set() or clock.now() > drive.until):
        await asyncio.sleep(POLL_SECONDS)
        second = clock.now() // SECOND_US
        if second > last:
            await correct()
            for passed in range(last + 1, second + 1):
                await drive.rooms.second(Micros(passed * SECOND_US))
            last = second
