"""The live run: one account, day after day, each traded behind its door and reported."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import structlog
from msgspec import structs
from rich.console import Console

from kquant.cli import codes
from kquant.cli.arm import check_offset
from kquant.cli.day import DayRun, gate_of, live_state
from kquant.cli.days import account_name, masked, parse_day, take_lock
from kquant.cli.doors import Door, EmbeddedDoor, KisDoor
from kquant.cli.keys import Keys, data_keys, trading_keys
from kquant.cli.limits import armed_words, real_money
from kquant.cli.lines import Hosts, Lines
from kquant.cli.open_day import check_open
from kquant.cli.outcome import Outcome
from kquant.cli.plan import Planned, begun, chain_of, day_before, ended, next_open, sealed, unsealed_folder
from kquant.config import Loaded
from kquant.gateways.embedded import Credentials, EmbeddedExchange
from kquant.holiday_library import library_word
from kquant.hours import ClosedDay, DayDecision, day_hours, hours_to_plan, up_from, up_until
from kquant.krx import SessionHours
from kquant.settings import Settings
from kquant.values import SECOND_US, KquantError, Micros, kst_clock, to_kst

log = structlog.get_logger("kquant.run")
SWITCH_SECONDS = 0.0005
"""Thread switch interval: an owner's decision should not wait 5 ms behind another thread."""


class RunError(KquantError):
    """The run cannot start or cannot go on."""


@dataclass(frozen=True)
class RunOptions:
    """What the command line asks for. speed: "max", or market seconds a wall second.   days: to trade, None for ever."""

    loaded: Loaded
    data: Path
    day: str | None
    speed: str
    market: Path | None
    days: int | None = None


class LiveRun:
    """Trades days until enough are done, one fails, or somebody interrupts. One use. each: told of every day's outcome."""

    def __init__(self, options: RunOptions, console: Console, each: Callable[[Outcome], None]) -> None:
        self._options = options
        self._console = console
        self._each = each
        self._settings = options.loaded.settings
        self._interrupted = False
        self._today: DayRun | None = None
        self._done = 0

    async def run(self) -> int:
        """Trade; return the exit code of the last day, or of the first that failed."""
        sys.setswitchinterval(SWITCH_SECONDS)
        self._handle_signals(asyncio.get_running_loop())
        match self._settings.broker.exchange:
            case "embedded":
                return await self._embedded()
            case "paper" | "live" as profile:
                return await self._kis(profile)

    async def _embedded(self) -> int:
        credentials = Credentials()
        keys = Keys(
            account=credentials.account,
            hts_id=credentials.hts_id,
            app_key=credentials.app_key,
            app_secret=credentials.app_secret,
        )
        account = self._options.data / account_name(keys.account)
        lock = take_lock(account)
        try:
            first = parse_day(self._options.day or self._settings.demo.day)
            chain = chain_of(account, first)
            day = date.fromisoformat(chain.folder.name[:10])
            planned = Planned(
                day=day, hours=day_hours(day, self._settings.krx), folder=chain.folder, before=chain.before
            )
            self._done = chain.done
            state = chain.root / "exchange"
            state.mkdir(parents=True, exist_ok=True)
            exchange = EmbeddedExchange(
                state,
                self._settings.demo,
                day=first.isoformat(),
                speed=self._options.speed,
                market=self._options.market,
                days=self._options.days or 1,
            )
            try:
                ready = await exchange.start(credentials)
                door = EmbeddedDoor(exchange, await exchange.hello())
                hosts = Hosts(rest_url=f"http://127.0.0.1:{ready.rest_port}", ws_url=f"ws://127.0.0.1:{ready.ws_port}")
                async with Lines(
                    self._settings.broker, "real", hosts, keys, door.clock, tokens=state, today=day
                ) as lines:
                    return await self._days(planned, door, lines, account)
            finally:
                await exchange.close()
        finally:
            lock.release()

    async def _kis(self, profile: Literal["paper", "live"]) -> int:
        broker = self._settings.broker
        if self._options.market is not None or self._options.day is not None or self._options.speed != "max":
            raise RunError(
                f"profile {profile} trades today's market at its own pace: leave --market, --day, --speed out"
            )
        keys = trading_keys(profile, broker, os.environ)
        reading = data_keys(broker, os.environ) if profile == "paper" else None
        if profile == "paper" and reading is None:
            self._settings = _as_paper_shows(self._settings)
        check_offset(broker)
        account = self._options.data / account_name(keys.account)
        lock = take_lock(account)
        door = KisDoor(self._skewed, offset_seconds=broker.clock_offset_seconds)
        try:
            today = to_kst(door.clock.now()).date()
            async with Lines(
                broker,
                "paper" if profile == "paper" else "real",
                Hosts(rest_url=broker.rest_url, ws_url=broker.ws_url),
                keys,
                door.clock,
                tokens=account,
                today=today,
                reading=(Hosts(rest_url=broker.data_rest_url, ws_url=broker.data_ws_url), reading) if reading else None,
            ) as lines:
                await lines.check()
                if profile == "live":
                    gate = gate_of(self._settings, account, keys.account, door.clock)
                    state = armed_words(live_state(self._settings, gate) or {})
                    banner = real_money(self._settings, masked(keys.account), today.isoformat(), state, brief=True)
                    self._console.print(banner)
                return await self._days(self._next(account, today, door.clock.now()), door, lines, account)
        finally:
            lock.release()

    async def _days(self, planned: Planned, door: Door, lines: Lines, account: Path) -> int:
        """Trade day after day."""
        code = codes.OK
        while True:
            await self._wait(door, planned)
            if self._interrupted:
                return codes.INTERRUPTED
            decision = await door.during(self._opens(planned, lines))
            if decision is not None and decision.hours is None:
                why = f": {'; '.join(decision.alerts)}" if decision.alerts else ""
                if self._settings.broker.exchange == "embedded":
                    raise ClosedDay(f"the exchange is closed on {planned.day}{why}")
                log.warning("the exchange is closed", day=planned.day.isoformat(), alerts=decision.alerts)
                planned = self._next(account, _day_after(planned.day), door.clock.now())
                continue
            started = time.monotonic()
            run = self._today = DayRun(
                self._settings,
                planned,
                door,
                lines,
                account,
                self._console,
                alerts=decision.alerts if decision is not None else (),
                until=self._up_until(planned.hours),
                interrupted=lambda: self._interrupted,
                first=self._done == 0,
            )
            outcome = await run.run()
            self._today = None
            outcome.wall_seconds = time.monotonic() - started
            self._each(outcome)
            code = max(code, outcome.code)
            if outcome.code not in {codes.OK, codes.DIFFERS}:
                return outcome.code
            self._done += 1
            if self._options.days is not None and self._done >= self._options.days:
                return code
            planned = self._after(account, planned, door.clock.now())

    async def _opens(self, planned: Planned, lines: Lines) -> DayDecision | None:
        """Ask whether the exchange opens that day, before anything of it is written; None for a day that goes on."""
        warnings: tuple[str, ...] = ()
        if self._settings.broker.exchange != "embedded":
            warnings = lines.begin_day(planned.day)
            await lines.renew(self._up_until(planned.hours))
        if begun(planned.folder):
            return None
        decision = await check_open(planned.day, self._settings.krx, lines.calls.is_open_day)
        return structs.replace(decision, alerts=(*decision.alerts, *warnings))

    async def _wait(self, door: Door, planned: Planned) -> None:
        """Rest until the day's first hour; a run that comes later starts at once."""
        wake_at = up_from(planned.hours, self._settings)
        if door.clock.now() >= wake_at:
            return
        opens = f"{planned.day} {kst_clock(wake_at)} KST"
        self._console.print(
            f"kquant · {self._settings.profile} · resting until {opens}", highlight=False, soft_wrap=True
        )
        await door.rest(wake_at, lambda: self._interrupted)

    def _after(self, account: Path, planned: Planned, now: Micros) -> Planned:
        """Return the day to trade next. The embedded exchange's days follow the one this run traded, whatever lies beside it."""
        if self._settings.broker.exchange != "embedded":
            return self._next(account, planned.day, now)
        day, hours = next_open(_day_after(planned.day), self._hours, self._up_until, now)
        return Planned(day=day, hours=hours, folder=unsealed_folder(account, day), before=ended(planned.folder))

    def _next(self, account: Path, first: date, now: Micros) -> Planned:
        """Return the first open day from *first* on that is neither over nor sealed."""
        while True:
            day, hours = next_open(first, self._hours, self._up_until, now)
            folder = account / day.isoformat()
            if sealed(folder) is None:
                return Planned(day=day, hours=hours, folder=folder, before=day_before(account, day))
            first = _day_after(day)

    def _hours(self, day: date) -> SessionHours | None:
        return hours_to_plan(day, self._settings.krx, library=library_word(day))

    def _up_until(self, hours: SessionHours) -> Micros:
        return up_until(hours, self._settings)

    def _skewed(self, skew: int) -> None:
        if self._today is not None:
            way = "forwards" if skew > 0 else "back"
            self._today.alert(f"the machine's clock jumped {way} by {abs(skew) / SECOND_US:.1f} s")

    def _handle_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        def interrupt() -> None:
            self._interrupted = True

        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, interrupt)
            except NotImplementedError:  # Windows: Ctrl-C raises KeyboardInterrupt instead
                return


def _day_after(day: date) -> date:
    return day + timedelta(days=1)


def _as_paper_shows(settings: Settings) -> Settings:
    """Return the settings without the channels that the paper service lacks: asking for each would be refused."""
    shown = tuple(one for one in settings.slots.extra_channels if one == "book")
    return structs.replace(settings, slots=structs.replace(settings.slots, extra_channels=shown))
