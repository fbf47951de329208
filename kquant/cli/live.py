"""The live run: one account, one trading day, wired together, driven to the close, sealed and reported."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog
from rich.console import Console

from kquant.actors.threads import ThreadRuntime
from kquant.cli import codes
from kquant.cli.days import JOURNAL, account_name, folder_for, masked, parse_day, take_lock
from kquant.cli.display import Display
from kquant.cli.lockstep import Lockstep, NotSettled, Stillness
from kquant.cli.rooms import Joined, Rooms
from kquant.config import Loaded
from kquant.domain import OWNERS
from kquant.events.base import Event, Recorded
from kquant.events.day import AlertRaised, DayClosed, DayOpened, JobDue, RunStarted, RunStopped
from kquant.events.portfolio import DayReconciled
from kquant.gateways.clock import RunningClock, SteppedClock
from kquant.gateways.embedded import Credentials, EmbeddedExchange, ExchangeError, Hello, Ready
from kquant.hours import day_hours, up_until
from kquant.journal import SqliteJournal, open_day, read_day
from kquant.krx import SessionHours
from kquant.replay.verify import code_hash
from kquant.values import SECOND_US, KquantError, Micros, Seq
from kquant.views.portfolio import portfolio_view
from kquant.views.progress import Progress

log = structlog.get_logger("kquant.run")
SWITCH_SECONDS = 0.0005
"""Thread switch interval: an owner's decision should not wait 5 ms behind another thread."""


class RunError(KquantError):
    """The run cannot start or cannot go on."""


@dataclass(frozen=True)
class RunOptions:
    """What the command line asks for. speed: "max", or market seconds a wall second."""

    loaded: Loaded
    data: Path
    day: str | None
    speed: str
    market: Path | None
    quiet: bool = False


@dataclass
class Outcome:
    """How the run ended."""

    code: int
    folder: Path
    reason: str = ""
    facts: list[Recorded] = field(default_factory=list)
    wall_seconds: float = 0.0


class LiveRun:
    """Builds the rooms, drives market time, seals the day. One use."""

    def __init__(self, options: RunOptions, console: Console) -> None:
        self._options = options
        self._console = console
        self._settings = options.loaded.settings
        self._failed = asyncio.Event()
        self._reason = ""
        self._interrupted = False
        self._over = False
        self._reconciled: DayReconciled | None = None
        self._progress = Progress(self._settings.slots.capacity)
        self._read = Seq(0)

    async def run(self) -> Outcome:
        """Trade the day, or go on with it; return how it ended."""
        if self._settings.broker.exchange != "embedded":
            raise RunError(
                f"profile {self._settings.profile} trades through the KIS services, which this version does not reach yet: "
                "use --profile demo"
            )
        sys.setswitchinterval(SWITCH_SECONDS)
        self._handle_signals(asyncio.get_running_loop())
        started = time.monotonic()
        credentials = Credentials()
        day = parse_day(self._options.day or self._settings.demo.day)
        hours = day_hours(day, self._settings.krx)
        account = self._options.data / account_name(credentials.account)
        lock = take_lock(account)
        try:
            folder = self._folder(account, day)
            folder.mkdir(parents=True, exist_ok=True)
            exchange = EmbeddedExchange(
                folder / "exchange",
                self._settings.demo,
                day=day.isoformat(),
                speed=self._options.speed,
                market=self._options.market,
            )
            try:
                ready = await exchange.start(credentials)
                outcome = await self._trade(folder, account, day, hours, exchange, ready, credentials)
            finally:
                await exchange.close()
        finally:
            lock.release()
        outcome.wall_seconds = time.monotonic() - started
        return outcome

    def _folder(self, account: Path, day: date) -> Path:
        """Return the day's folder: the unfinished one, or the next number after sealed ones."""
        number = 1
        while (folder := folder_for(account, day, number)).is_dir():
            if not (folder / JOURNAL).exists():
                return folder
            facts = read_day(folder, check=False)
            if not facts or not isinstance(facts[-1].event, DayClosed):
                return folder
            number += 1
        return folder

    async def _trade(
        self,
        folder: Path,
        account: Path,
        day: date,
        hours: SessionHours,
        exchange: EmbeddedExchange,
        ready: Ready,
        credentials: Credentials,
    ) -> Outcome:
        hello = await exchange.hello()
        if (hello.open, hello.close) != (hours.open_at, hours.close_at):
            raise RunError(f"the market of {day} does not open and close when config/calendar.toml says")
        loop = asyncio.get_running_loop()
        clock = self._clock(hello)
        journal = open_day(folder, clock.now, on_failure=lambda error: self._fatal(loop, str(error)))
        stillness = Stillness(loop, lambda: journal.head)
        rooms = Rooms(
            Joined(
                settings=self._settings,
                folder=folder,
                account_folder=account,
                credentials=credentials,
                ready=ready,
                hours=hours,
                clock=clock,
                journal=journal,
                changed=stillness.changed,
                on_fatal=lambda reason: self._fatal(loop, reason),
                status=self._status,
            )
        )
        runtime = ThreadRuntime(
            OWNERS, journal, on_fatal=lambda reason: self._fatal(loop, reason), changed=stillness.changed
        )
        try:
            self._open(journal, day, hours, masked(credentials.account))
            await rooms.start()
            runtime.start()
            for name, part in (("owners", runtime), *rooms.parts()):
                stillness.add(name, part)
            try:
                with Display(
                    self._console, f"kquant · {self._settings.profile} · {day}", self._settings.slots.capacity
                ) as display:
                    await self._drive(exchange, clock, journal, rooms, stillness, hours, display)
            except (ExchangeError, NotSettled) as error:
                self._reason = self._reason or str(error)
                self._failed.set()
            code = await self._end(journal, rooms, runtime, stillness)
        finally:
            runtime.stop()
            await rooms.close()
            journal.close()
        facts = list(journal.read(Seq(0), 10_000_000))
        return Outcome(code=code, folder=folder, reason=self._reason, facts=facts)

    def _clock(self, hello: Hello) -> SteppedClock | RunningClock:
        if hello.mode == "step":
            return SteppedClock(hello.now)
        return RunningClock(hello.now, hello.speed or 1.0)

    def _open(self, journal: SqliteJournal, day: date, hours: SessionHours, account: str) -> None:
        """Record the process, and the day if this is its first process."""
        events: list[Event] = [
            RunStarted(
                settings=self._settings,
                profile=self._settings.profile,
                code_hash=code_hash(),
                seed=self._settings.demo.seed,
                versions={"kquant": version("kquant"), "python": sys.version.split()[0]},
            )
        ]
        if journal.head == 0:
            events.append(
                DayOpened(
                    day=day.isoformat(),
                    account=account,
                    hours=hours,
                    positions=None,
                    cash_krw=None,
                    day_before="",
                    digest_before="",
                    reconciled_before=True,
                )
            )
        journal.append("run", events, by="run").result()

    async def _drive(
        self,
        exchange: EmbeddedExchange,
        clock: SteppedClock | RunningClock,
        journal: SqliteJournal,
        rooms: Rooms,
        stillness: Stillness,
        hours: SessionHours,
        display: Display,
    ) -> None:
        """Let market time pass until the day is over, somebody interrupts, or something fails."""
        give_up = Micros(up_until(hours, self._settings) + 3_600 * SECOND_US)

        def look() -> bool:
            self._follow(journal)
            display.show(clock.now(), self._progress)
            return self._interrupted or (self._over and self._reconciled is not None)

        if isinstance(clock, SteppedClock):

            async def moved(now: Micros) -> None:
                await rooms.second(now)
                clock.set(now)
                rooms.clock_gateway.nudge()

            lockstep = Lockstep(exchange, stillness, next_due=rooms.next_due, applied=rooms.applied, moved=moved)
            await lockstep.run(give_up, look, self._failed)
            return
        last = clock.now() // SECOND_US
        while not (look() or self._failed.is_set() or clock.now() > give_up):
            await asyncio.sleep(0.05)
            second = clock.now() // SECOND_US
            if second > last:
                clock.adjust(await exchange.now())
                for passed in range(last + 1, second + 1):
                    await rooms.second(Micros(passed * SECOND_US))
                last = second

    def _follow(self, journal: SqliteJournal) -> None:
        while facts := journal.read(self._read):
            for fact in facts:
                self._progress.apply(fact)
                match fact.event:
                    case JobDue(job="day_end"):
                        self._over = True
                    case DayReconciled():
                        self._reconciled = fact.event
                    case AlertRaised(level=level, text=text):
                        log.log(40 if level == "critical" else 30, text, seq=fact.seq)
                    case _:
                        pass
            self._read = facts[-1].seq

    async def _end(self, journal: SqliteJournal, rooms: Rooms, runtime: ThreadRuntime, stillness: Stillness) -> int:
        """Seal the day if it is over; otherwise say why the process ends.

        Before the seal the feed hangs up, every owner has answered all it was told, and nobody is left to add a word.
        """
        if self._failed.is_set():
            return codes.FAILED
        if self._interrupted:
            await asyncio.wrap_future(journal.append("run", [RunStopped(reason="interrupted")], by="run"))
            return codes.INTERRUPTED
        if self._reconciled is None:
            self._reason = "the closing balance was never compared: start again to finish the day"
            await asyncio.wrap_future(journal.append("run", [RunStopped(reason=self._reason)], by="run"))
            return codes.FAILED
        await rooms.hang_up()
        await stillness.wait(self._failed)
        if self._failed.is_set():
            return codes.FAILED
        runtime.stop()
        await rooms.close()
        held = portfolio_view(journal.read(Seq(0), 10_000_000))
        closed = DayClosed(reconciled=self._reconciled.agrees, positions=held.carried(), cash_krw=held.cash_krw)
        await asyncio.wrap_future(journal.append("run", [RunStopped(reason="day over"), closed], by="run"))
        return codes.OK if self._reconciled.agrees else codes.DIFFERS

    def _status(self) -> dict[str, Any]:
        return {"clock": self._progress.clock(), "line": self._progress.line(), "slots": self._progress.slots}

    def _fatal(self, loop: asyncio.AbstractEventLoop, reason: str) -> None:
        """Stop the run; called from any thread, the first reason counts."""

        def stop() -> None:
            if not self._failed.is_set():
                self._reason = reason
                log.critical("the run stops", reason=reason)
                self._failed.set()

        loop.call_soon_threadsafe(stop)

    def _handle_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        def interrupt() -> None:
            self._interrupted = True

        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, interrupt)
            except NotImplementedError:  # Windows: Ctrl-C raises KeyboardInterrupt instead
                return
