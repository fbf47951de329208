"""The gateways of one run, built and joined. Nothing else constructs them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kquant.cli.lines import Lines
from kquant.cli.lockstep import Part
from kquant.gateways.clock import ClockGateway, RunningClock, SteppedClock, WallClock
from kquant.gateways.embedded import Stepped
from kquant.gateways.kis.feed.channels import NOTICE_PAPER, NOTICE_REAL, ON_PAPER
from kquant.gateways.kis.feed.gateway import KisFeed
from kquant.gateways.kis.feed.notices import NoticeLine
from kquant.gateways.kis.feed.session import FeedSession
from kquant.gateways.kis.feed.wire import decode
from kquant.gateways.kis.rest.errors import KisError
from kquant.gateways.kis.rest.orders import OrderGateway
from kquant.gateways.kis.rest.reads import RestGateway
from kquant.gateways.lastgate import LastGate
from kquant.gateways.llm import Desk, LlmError
from kquant.gateways.market import MarketDesk
from kquant.gateways.operator import OperatorGateway
from kquant.gateways.research.assemble import Assembler
from kquant.gateways.research.gateway import AnalysisGateway
from kquant.gateways.research.opening import assembler
from kquant.gateways.scoring.gateway import ScorerGateway
from kquant.journal import Attachments, SqliteJournal, TapeError, TapeReader, TapeWriter
from kquant.krx import SessionHours
from kquant.market.records import RestPrice
from kquant.settings import Settings
from kquant.values import SECOND_US, Micros, Symbol

ANSWERS = "answers"
"""Folder beside the days with what language models answered, to be used again."""

RESEARCH = "research"
"""Folder beside the accounts with what was gathered before the open, for all of them."""


@dataclass(frozen=True, kw_only=True)
class Joined:
    """What the gateways are joined to. gate: asked before each order.   research: the day's table (Parquet) that the market brings, None if it is to be gathered."""

    settings: Settings
    folder: Path
    account_folder: Path
    gate: LastGate
    lines: Lines
    research: Path | None
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
        calls = self._calls = joined.lines.calls
        self._models = Desk(
            settings,
            os.environ,
            journal=journal,
            clock=clock,
            store=attachments,
            answers=joined.account_folder / ANSWERS,
        )
        self._tape = TapeWriter(joined.folder, settings.journal.tape_block_frames)
        self.clock_gateway = ClockGateway(journal, clock, changed=changed, on_fatal=on_fatal)
        self.operator = OperatorGateway(
            journal, joined.account_folder, joined.folder, joined.gate, joined.status, on_fatal
        )
        self._scorer = ScorerGateway(journal, clock, self._models.scorer(), changed=changed, on_fatal=on_fatal)
        self._analysis = AnalysisGateway(
            journal,
            clock,
            attachments,
            joined.research if joined.research is not None else self._research(),
            analyst=self._models.analyst(),
            changed=changed,
            on_fatal=on_fatal,
        )
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
                sources=settings.scanner.sources,
            ),
            "broker": OrderGateway(
                journal,
                calls,
                clock,
                joined.gate,
                joined.hours,
                allowed=settings.broker.orders,
                follow=settings.schedule.follow,
                timeout_seconds=settings.broker.order_timeout_seconds,
                changed=changed,
                on_fatal=on_fatal,
            ),
            "scorer": self._scorer,
            "research": self._analysis,
        }
        self.feed = self._feed(settings, joined.lines)
        self._syncing: asyncio.Task[None] | None = None
        self._closed = False

    def _research(self) -> Assembler:
        """Return what gathers the day's table where the market brings none."""
        joined = self._joined
        folder = joined.account_folder.parent / RESEARCH
        calls = joined.lines.calls.data
        return assembler(joined.settings.research, joined.settings.krx, folder, joined.clock, os.environ, calls)

    def _feed(self, settings: Settings, lines: Lines) -> KisFeed:
        """Return the feed: quotes and notices on one session, or quotes on the reading key's and notices on the paper key's."""
        gap_us, ack_us = settings.broker.register_gap_ms * 1_000, settings.slots.ack_seconds * SECOND_US
        keys, market = lines.keys, settings.broker.channels
        own_tr, own_offered = (NOTICE_PAPER, ON_PAPER) if lines.environment == "paper" else (NOTICE_REAL, None)
        approval = lines.data_approval()
        if lines.reading is None or approval is None:
            url, asked, notices = lines.hosts.ws_url, lines.approval(), None
            session = FeedSession(
                keys.hts_id, keys.account, own_tr, gap_us=gap_us, ack_us=ack_us, market=market, offered=own_offered
            )
        else:
            url, asked = lines.reading[0].ws_url, approval
            session = FeedSession("", "", None, gap_us=gap_us, ack_us=ack_us, market=market)
            own = FeedSession(keys.hts_id, keys.account, own_tr, gap_us=gap_us, ack_us=ack_us)
            notices = NoticeLine(_tryitout(lines.hosts.ws_url), own, lines.approval())
        return KisFeed(
            _tryitout(url),
            self._joined.journal,
            self._joined.clock,
            session,
            desk=self._desk,
            approval=asked,
            changed=self._joined.changed,
            on_fatal=self._joined.on_fatal,
            notices=notices,
            probe=self._probe,
        )

    async def check_models(self, *, strict: bool) -> tuple[str, ...]:
        """Ask the language models' services for the models that are set; return what a person should know.

        strict: one that is gone raises LlmError; else that is part of what is returned, and the heuristic scores.
        """
        try:
            return await self._models.check()
        except LlmError as error:
            if strict:
                raise
            return (str(error),)

    async def start(self) -> None:
        """Start every gateway; each takes up what the log leaves open."""
        for follower in self._followers.values():
            await follower.start()
        await self.clock_gateway.start()
        await asyncio.to_thread(self.feed.start)
        await self.operator.start()
        self._syncing = asyncio.create_task(self._keep_synced(), name="tape sync")

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
        await self._models.close()
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

    def waits_outside(self) -> bool:
        """Tell whether a language model's service is waited for, which keeps the wall's time."""
        return self._scorer.waits_outside() or self._analysis.waits_outside()

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

    def _desk(self) -> MarketDesk:
        joined = self._joined
        desk = MarketDesk(
            joined.journal,
            self._tape,
            joined.clock,
            decode=decode,
            changed=joined.changed,
            on_fatal=joined.on_fatal,
        )
        desk.recover(TapeReader(joined.folder))
        return desk

    def _price(self, price: RestPrice) -> None:
        self.feed.call(lambda: self.feed.desk.price(price))

    async def _probe(self, code: Symbol) -> RestPrice | None:
        """Return a stock's price over REST for the feed's thread, None if it cannot be had."""
        try:
            return await self._joined.lines.here(self._calls.price(code))
        except KisError:
            return None


def _tryitout(url: str) -> str:
    """Return the address of the feed's one path (kis-protocol 1.1)."""
    return f"{url.rstrip('/')}/tryitout"
