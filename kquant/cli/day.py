"""One trading day, wired together behind a door, driven to its end, sealed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import structlog
from rich.console import Console

from kquant.actors.threads import ThreadRuntime
from kquant.cli import codes
from kquant.cli.days import masked
from kquant.cli.display import Display
from kquant.cli.doors import Door, Drive, MarketDay
from kquant.cli.lines import Lines
from kquant.cli.lockstep import NotSettled, Stillness
from kquant.cli.outcome import MARKET, Outcome
from kquant.cli.plan import Planned
from kquant.cli.rooms import Joined, Rooms
from kquant.domain import OWNERS
from kquant.events.base import Event
from kquant.events.day import AlertRaised, DayClosed, DayOpened, JobDue, RunStarted, RunStopped
from kquant.events.portfolio import DayReconciled
from kquant.gateways.embedded import ExchangeError
from kquant.gateways.lastgate import Arming, HaltFlag, LastGate, Now, limits_digest
from kquant.journal import SqliteJournal, open_day
from kquant.replay.verify import code_hash
from kquant.settings import Settings
from kquant.values import SECOND_US, KquantError, Micros, Seq
from kquant.views.portfolio import portfolio_view
from kquant.views.progress import Progress

log = structlog.get_logger("kquant.run")
GIVE_UP_AFTER_US = 3_600 * SECOND_US
"""After the day's last job a run that still has not reconciled stops and says so."""


class DayRun:
    """Builds the rooms, drives market time, seals the day. One use."""

    def __init__(
        self,
        settings: Settings,
        planned: Planned,
        door: Door,
        lines: Lines,
        account_folder: Path,
        console: Console,
        *,
        alerts: Sequence[str],
        until: Micros,
        interrupted: Callable[[], bool],
        first: bool = True,
    ) -> None:
        """first: the process's first day, before which a person can still put the settings right."""
        self._settings = settings
        self._planned = planned
        self._door = door
        self._lines = lines
        self._account_folder = account_folder
        self._console = console
        self._alerts = alerts
        self._until = until
        self._interrupted = interrupted
        self._first = first
        self._gate = gate_of(settings, account_folder, lines.keys.account, door.clock)
        self._failed = asyncio.Event()
        self._reason = ""
        self._over = False
        self._reconciled: DayReconciled | None = None
        self._progress = Progress(settings.slots.capacity)
        self._read = self._known = Seq(0)
        self._journal: SqliteJournal | None = None

    async def run(self) -> Outcome:
        """Trade the day, or go on with it; return how it ended."""
        folder, clock = self._planned.folder, self._door.clock
        folder.mkdir(parents=True, exist_ok=True)
        market = await self._door.meet(self._planned.hours)
        if market.about is not None:
            (folder / MARKET).write_bytes(msgspec.json.encode(market.about))
        loop = asyncio.get_running_loop()
        journal = self._journal = open_day(folder, clock.now, on_failure=lambda error: self._fatal(loop, str(error)))
        stillness = Stillness(loop, lambda: journal.placed)
        try:
            rooms = self._join(journal, market, stillness, lambda reason: self._fatal(loop, reason))
        except KquantError:
            journal.close()
            raise
        runtime = ThreadRuntime(
            OWNERS, journal, on_fatal=lambda reason: self._fatal(loop, reason), changed=stillness.changed
        )
        try:
            self._alerts = (*self._alerts, *await rooms.check_models(strict=self._first))
            self._open(journal)
            await rooms.start()
            runtime.start()
            for name, part in (("owners", runtime), *rooms.parts()):
                stillness.add(name, part)
            stillness.excuse(rooms.waits_outside)
            try:
                title = f"kquant · {self._settings.profile} · {self._planned.day}"
                with Display(self._console, title, self._settings.slots.capacity) as display:

                    def look() -> bool:
                        self._follow(journal)
                        display.show(clock.now(), self._progress)
                        return self._interrupted() or (self._over and self._reconciled is not None)

                    until = Micros(self._until + GIVE_UP_AFTER_US)
                    await self._door.drive(Drive(rooms, stillness, until, look, self._failed))
            except (ExchangeError, NotSettled) as error:
                self._reason = self._reason or str(error)
                self._failed.set()
            code = await self._end(journal, rooms, runtime, stillness)
        finally:
            runtime.stop()
            await rooms.close()
            journal.close()
            self._journal = None
        facts = list(journal.read(Seq(0), 10_000_000))
        return Outcome(code=code, folder=folder, reason=self._reason, facts=facts)

    def _join(
        self, journal: SqliteJournal, market: MarketDay, stillness: Stillness, on_fatal: Callable[[str], None]
    ) -> Rooms:
        return Rooms(
            Joined(
                settings=self._settings,
                folder=self._planned.folder,
                account_folder=self._account_folder,
                gate=self._gate,
                lines=self._lines,
                research=market.research,
                hours=self._planned.hours,
                clock=self._door.clock,
                journal=journal,
                changed=stillness.changed,
                on_fatal=on_fatal,
                status=self._status,
            )
        )

    def alert(self, text: str) -> None:
        """Put something a person should know into the running day's log."""
        if self._journal is not None:
            self._journal.append("run", [AlertRaised(level="critical", text=text)], by="run")

    def _open(self, journal: SqliteJournal) -> None:
        """Record the process, and the day if this is its first process."""
        planned, before = self._planned, self._planned.before
        events: list[Event] = [
            RunStarted(
                settings=self._settings,
                profile=self._settings.profile,
                code_hash=code_hash(),
                seed=self._settings.demo.seed,
                versions={"kquant": version("kquant"), "python": sys.version.split()[0]},
            )
        ]
        self._known = journal.head
        self._follow(journal)
        reason = self._gate.halt.reason() or self._progress.halted
        if journal.head == 0 and before is not None and not before.reconciled:
            reason = reason or f"the day before ({before.folder}) was not reconciled"
        if self._gate.is_halted() or reason:
            log.warning("entries are halted: nothing new is bought until `kquant resume`", reason=reason)
        if (unarmed := self._gate.why_not_armed()) and self._settings.broker.orders:
            log.warning("no real order leaves until `kquant arm`", why=unarmed)
        if journal.head == 0:
            events.append(
                DayOpened(
                    day=planned.day.isoformat(),
                    account=masked(self._lines.keys.account),
                    hours=planned.hours,
                    positions=before.positions if before else None,
                    cash_krw=before.cash_krw if before else None,
                    day_before=before.folder if before else "",
                    digest_before=before.digest if before else "",
                    reconciled_before=before.reconciled if before else True,
                )
            )
        events.extend(AlertRaised(level="warning", text=text) for text in self._alerts)
        journal.append("run", events, by="run").result()

    def _follow(self, journal: SqliteJournal) -> None:
        while facts := journal.read(self._read):
            for fact in facts:
                self._progress.apply(fact)
                match fact.event:
                    case JobDue(job="day_end"):
                        self._over = True
                    case DayReconciled():
                        self._reconciled = fact.event
                    case AlertRaised(level=level, text=text) if fact.seq > self._known:
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
        if self._interrupted():
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
        hours = self._planned.hours
        return {
            "profile": self._settings.profile,
            "account": masked(self._lines.keys.account),
            "day": self._planned.day.isoformat(),
            "clock": self._progress.clock(),
            "line": self._progress.line(),
            "slots": self._progress.slots,
            "halted": self._why_halted(),
            "session_open": hours.open_at <= self._door.clock.now() < hours.close_at,
            "live": live_state(self._settings, self._gate),
        }

    def _why_halted(self) -> str | None:
        """Return why nothing new is bought, by the halt file, a person, or `orders` itself; None while it is."""
        said = self._gate.halt.reason() or self._progress.halted
        return said or ("no reason given" if self._gate.is_halted() else None)

    def _fatal(self, loop: asyncio.AbstractEventLoop, reason: str) -> None:
        """Stop the run; called from any thread, the first reason counts."""

        def stop() -> None:
            if not self._failed.is_set():
                self._reason = reason
                log.critical("the run stops", reason=reason)
                self._failed.set()

        loop.call_soon_threadsafe(stop)


def gate_of(settings: Settings, account_folder: Path, account: str, clock: Now) -> LastGate:
    """Return the last gate of one account: a real one is guarded by its arming."""
    arming = Arming(account_folder, account, limits_digest(settings)) if settings.broker.exchange == "live" else None
    return LastGate(HaltFlag(account_folder), arming, clock)


def live_state(settings: Settings, gate: LastGate) -> dict[str, Any] | None:
    """Return what only a real account has: whether it is armed, and by which limits the run goes. None for others."""
    if gate.arming is None:
        return None
    why = gate.why_not_armed()
    return {
        "orders": settings.broker.orders,
        "armed": why == "",
        "why": why,
        "today": gate.today().isoformat(),
        "limits": gate.arming.limits,
    }
