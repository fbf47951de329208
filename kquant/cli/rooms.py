"""The gateways of one run, built and joined. Nothing else constructs them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from kquant.cli.keys import Keys
from kquant.cli.lockstep import Part
from kquant.cli.open_day import check_open
from kquant.events.base import Event
from kquant.events.day import AlertRaised
from kquant.gateways.clock import ClockGateway, RunningClock, SteppedClock, WallClock
from kquant.gateways.embedded import Stepped
from kquant.gateways.kis.calls import KisCalls
from kquant.gateways.kis.feed import KisFeed
from kquant.gateways.kis.orders import OrderGateway
from kquant.gateways.kis.reads import RestGateway
from kquant.gateways.kis.rest import RestClient, Secrets
from kquant.gateways.kis.session import FeedSession
from kquant.gateways.kis.wire import NOTICE_REAL, decode
from kquant.gateways.market import MarketDesk
from kquant.gateways.operator import HaltFlag, OperatorGateway
from kquant.gateways.research.gateway import AnalysisGateway
from kquant.gateways.scoring.gateway import ScorerGateway
from kquant.gateways.scoring.heuristic import HeuristicScorer
from kquant.hours import ClosedDay
from kquant.journal import Attachments, SqliteJournal, TapeError, TapeReader, TapeWriter
from kquant.krx import SessionHours
from kquant.market.records import RestPrice
from kquant.settings import Settings
from kquant.values import SECOND_US, Micros, to_kst


@dataclass(frozen=True, kw_only=True)
class Entrance:
    """How the market is reached: the service, its hosts, the keys, and what is known of the day before it begins.

    data_keys: a real key that reads what the paper service lacks.   research: the day's table (Parquet), None without one.
    tokens: folder of the cached tokens.
    """

    environment: Literal["real", "paper"]
    rest_url: str
    ws_url: str
    keys: Keys
    data_keys: Keys | None
    research: Path | None
    tokens: Path


@dataclass(frozen=True, kw_only=True)
class Joined:
    """What the gateways are joined to."""

    settings: Settings
    folder: Path
    account_folder: Path
    entrance: Entrance
    hours: SessionHours
    clock: SteppedClock | RunningClock | WallClock
    journal: SqliteJournal
    changed: Callable[[], None]
    on_fatal: Callable[[str], None]
    status: Callable[[], dict[str, Any]]


class _Follower(Protocol):
    async def start(self) -> None: ...
    async def close(self) -> None: ...
    def idle(self) -> bool: ...


class Rooms:
    """Builds, starts, and closes the gateways; passes seconds on to the market desk."""

    def __init__(self, joined: Joined) -> None:
        self._joined = joined
        settings, clock, journal = joined.settings, joined.clock, joined.journal
        changed, on_fatal = joined.changed, joined.on_fatal
        attachments = Attachments(joined.folder)
        entrance = joined.entrance
        secrets = Secrets(entrance.keys.app_key, entrance.keys.app_secret)
        self._client = RestClient(
            entrance.rest_url,
            secrets,
            clock,
            per_second=settings.broker.rest_per_second,
            timeout_seconds=settings.broker.rest_timeout_seconds,
            token_file=entrance.tokens / "token.json",
        )
        calls = self._calls = KisCalls(self._client, entrance.keys.account)
        halt = HaltFlag(joined.account_folder)
        self._tape = TapeWriter(joined.folder, settings.journal.tape_block_frames)
        self.clock_gateway = ClockGateway(journal, clock, changed=changed, on_fatal=on_fatal)
        self.operator = OperatorGateway(journal, joined.account_folder, joined.folder, halt, joined.status)
        self._followers: dict[str, _Follower] = {
            "rest": RestGateway(
                journal,
                calls,
                clock,
                attachments,
                settings.krx.ticks,
                price=self._price,
                changed=changed,
                on_fatal=on_fatal,
            ),
            "broker": OrderGateway(
                journal,
                calls,
                clock,
                halt,
                joined.hours,
                allowed=settings.broker.orders,
                follow=settings.schedule.follow,
                timeout_seconds=settings.broker.order_timeout_seconds,
                changed=changed,
                on_fatal=on_fatal,
            ),
            "scorer": ScorerGateway(journal, clock, HeuristicScorer(), changed=changed, on_fatal=on_fatal),
            "research": AnalysisGateway(
                journal, clock, attachments, entrance.research, changed=changed, on_fatal=on_fatal
            ),
        }
        self.feed = KisFeed(
            entrance.ws_url,
            journal,
            clock,
            FeedSession(
                entrance.keys.hts_id,
                entrance.keys.account,
                NOTICE_REAL,
                gap_us=settings.broker.register_gap_ms * 1_000,
                ack_us=settings.slots.ack_seconds * SECOND_US,
            ),
            desk=self._desk,
            approval=self._approval,
            changed=changed,
            on_fatal=on_fatal,
        )
        self._loop: asyncio.AbstractEventLoop
        self._syncing: asyncio.Task[None] | None = None
        self._closed = False

    async def start(self) -> None:
        """Start every gateway; each takes up what the log leaves open."""
        self._loop = asyncio.get_running_loop()
        await self._client.start()
        await self._check_day()
        for follower in self._followers.values():
            await follower.start()
        await self.clock_gateway.start()
        await asyncio.to_thread(self.feed.start)
        await self.operator.start()
        self._syncing = asyncio.create_task(self._keep_synced(), name="tape sync")

    async def _check_day(self) -> None:
        """Have the broker say whether the exchange opens today; raise ClosedDay if it does not, or nobody can tell."""
        day = to_kst(self._joined.hours.open_at).date()
        decision = await check_open(day, self._joined.settings.krx, self._calls.is_open_day)
        alerts: list[Event] = [AlertRaised(level="warning", text=text) for text in decision.alerts]
        if alerts:
            await asyncio.wrap_future(self._joined.journal.append("run", alerts, by="run"))
        if not decision.is_open:
            why = f": {'; '.join(decision.alerts)}" if decision.alerts else ""
            raise ClosedDay(f"the exchange is closed on {day}{why}")

    async def hang_up(self) -> None:
        """Close the feed's connection; its end is recorded, and nothing comes after it."""
        await asyncio.to_thread(self.feed.close)

    async def close(self) -> None:
        """Close in the reverse order; the tape is sealed last. Closing again does nothing."""
        if self._closed:
            return
        self._closed = True
        await self.operator.close()
        await asyncio.to_thread(self.feed.close)
        if self._syncing is not None:
            self._syncing.cancel()
            await asyncio.gather(self._syncing, return_exceptions=True)
        await self.clock_gateway.close()
        for follower in reversed(self._followers.values()):
            await follower.close()
        await self._client.close()
        self._tape.close()

    async def _keep_synced(self) -> None:
        """Make the tape survive a power loss up to the last wall second; the disk is waited for off the loop."""
        while True:
            await asyncio.sleep(1)
            try:
                await asyncio.to_thread(self._tape.sync)
            except (TapeError, OSError) as error:
                self._joined.on_fatal(f"tape: {error}")
                return

    def parts(self) -> list[tuple[str, Part]]:
        """Return what must be idle for the run to be settled."""
        return [("clock", self.clock_gateway), *self._followers.items(), ("feed", self.feed)]

    def next_due(self) -> Micros | None:
        """Return the earliest instant an alarm or a sleeper waits for."""
        clock = self._joined.clock
        sleeper = clock.next_wake() if isinstance(clock, SteppedClock) else None
        due = [at for at in (self.clock_gateway.next_due(), sleeper, self.feed.wake_at()) if at is not None]
        return min(due) if due else None

    def applied(self, stepped: Stepped) -> bool:
        """Tell whether the feed has applied every frame it was sent; a lost connection has no more to apply."""
        return not self.feed.connected or stepped.session == 0 or self.feed.frames >= stepped.frames

    async def second(self, at: Micros) -> None:
        """Mark the second on the tape."""
        await asyncio.wrap_future(self.feed.call(lambda: self.feed.desk.second(at)))

    def _desk(self, call_soon: Callable[[Callable[[], None]], object]) -> MarketDesk:
        joined = self._joined
        desk = MarketDesk(
            joined.journal,
            self._tape,
            joined.clock,
            decode=decode,
            call_soon=call_soon,
            changed=joined.changed,
            on_fatal=joined.on_fatal,
        )
        desk.recover(TapeReader(joined.folder))
        return desk

    def _price(self, price: RestPrice) -> None:
        self.feed.call(lambda: self.feed.desk.price(price))

    async def _approval(self, renew: bool) -> str:
        work = self._client.approval_key(renew=renew)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))
