"""The feed's shell: a thread with its own loop that owns the lines, the session and the market desk.

It shares nothing with owners but the journal: requests are read with an own cursor, reports are appended. How a line is
kept up stands in `connection.py`, when it may connect in `reconnect.py`, what silence means in `liveness.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any

import structlog

from kquant.events.base import Event, Recorded
from kquant.events.day import AlertRaised, RunStarted
from kquant.events.feed import ClockSkewed, FeedConnected, FeedLost, FeedUnreachable, FirstTick, NoticeUnreadable
from kquant.events.slots import DropWanted, RegisterWanted
from kquant.gateways.clock import Clock, RunningClock, SteppedClock, WallClock
from kquant.gateways.kis.feed.connection import Keeper
from kquant.gateways.kis.feed.liveness import Pulse, Quiet, Skew
from kquant.gateways.kis.feed.notices import BY as NOTICES
from kquant.gateways.kis.feed.notices import NoticeLine, Unreadable
from kquant.gateways.kis.feed.reconnect import PROCESS_ENDED, Reconnect
from kquant.gateways.kis.feed.registry import OpenRequests
from kquant.gateways.kis.feed.session import Broken, Data, FeedSession, Output, Rejected, Report, Told
from kquant.gateways.market import MarketDesk
from kquant.journal.port import AlreadyAnswered, Journal
from kquant.krx import Venue
from kquant.market.records import RestPrice
from kquant.settings import FeedSettings
from kquant.values import SECOND_US, Epoch, KquantError, Micros, Seq, Symbol

STREAM = "feed"
LOOK_US = 5 * SECOND_US
"""How often the silence of the whole set is looked at."""
VENUES: dict[str, tuple[Venue, ...]] = {"krx": ("KRX",), "unified": ("KRX", "NXT"), "nxt": ("NXT",)}
"""Whose sessions the channels of a market cover."""

log = structlog.get_logger("kquant.feed")


class KisFeed:
    """Keeps one connection, as long as it runs. `desk` is used on this thread only.

    approval: returns an approval key, a new one if asked to renew; runs wherever it likes.
    changed: called when it may have become idle.   on_fatal: called when it cannot go on.
    notices: a second line for execution notices; `session` then carries quotes only.
    probe: returns a stock's price over REST, None if it cannot be had; without it silence of the market is not judged.
    wall: what a line's pulse is measured with. Left out it is the wall, or none with a stepped clock, where market time
    waits for us.   jitter: from 0 to below 1; spreads reconnections, decides nothing.
    """

    def __init__(
        self,
        url: str,
        journal: Journal,
        clock: Clock,
        session: FeedSession,
        *,
        desk: Callable[[], MarketDesk],
        approval: Callable[[bool], Awaitable[str]],
        changed: Callable[[], None],
        on_fatal: Callable[[str], None],
        notices: NoticeLine | None = None,
        probe: Callable[[Symbol], Awaitable[RestPrice | None]] | None = None,
        wall: Clock | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.desk: MarketDesk
        self._url = url
        self._journal = journal
        self._clock = clock
        self._session = session
        self._make_desk = desk
        self._approval = approval
        self._changed = changed
        self._on_fatal = on_fatal
        self._notices = notices
        self._probe = probe
        stepped = isinstance(clock, SteppedClock)
        self._wall = wall if wall is not None or stepped else WallClock()
        self._watched = not stepped or wall is not None
        self._jitter = jitter
        self._loop: asyncio.AbstractEventLoop
        self._keeper: Keeper | None = None
        self._quiet: Quiet | None = None
        self._skew: Skew | None = None
        self._unreadable = Unreadable()
        self._cursor = Seq(0)
        self._epoch = Epoch(0)
        self._appending = 0
        self._over = False
        self._calls: set[Future[None]] = set()
        self._calls_lock = threading.Lock()
        self._started = threading.Event()
        self._stop: asyncio.Event
        self._thread = threading.Thread(target=self._main, name="feed", daemon=True)

    @property
    def frames(self) -> int:
        """How many frames of this connection are applied."""
        return 0 if self._keeper is None else self._keeper.frames

    @property
    def connected(self) -> bool:
        """Whether a socket is open."""
        return self._keeper is not None and self._keeper.connected

    def start(self) -> None:
        """Start the thread; returns once the desk is recovered and the first connection is under way."""
        self._thread.start()
        self._started.wait()

    def close(self) -> None:
        """Close the socket and end the thread."""
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # it ends by itself just now
                self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(timeout=15)
            self._over = not self._thread.is_alive()

    def call(self, callback: Callable[[], None]) -> Future[None]:
        """Run *callback* on the feed's thread, as for the desk; the future tells when it has run.

        A callback that fails, or comes after the feed's end, is no error of the caller's: whoever waits on the future
        finds the run stopped, because the failure has been told before.
        """
        done: Future[None] = Future()
        done.set_running_or_notify_cancel()  # what was handed over cannot be cancelled, only awaited

        def run() -> None:
            try:
                callback()
            except Exception as error:  # noqa: BLE001  not everyone looks at the future
                self._on_fatal(f"feed: {error!r}")
            self._ran(done)

        with self._calls_lock:
            self._calls.add(done)
        try:
            self._loop.call_soon_threadsafe(run)
        except RuntimeError:
            self._ran(done)
        return done

    def _ran(self, done: Future[None]) -> None:
        with self._calls_lock:
            if done in self._calls:
                self._calls.remove(done)
                done.set_result(None)

    def idle(self) -> bool:
        """Tell whether nothing is under way that does not wait on the clock; a closed feed is idle for good."""
        if self._over:
            return True
        if self._keeper is None or self._appending or self._cursor < self._journal.placed:
            return False
        lines = [self._keeper] if self._notices is None else [self._keeper, self._notices.keeper]
        return all(line.idle() for line in lines) and self.desk.idle()

    def wake_at(self) -> Micros | None:
        """Return the earliest instant a line sends, gives up or tries to connect; None if none does."""
        if self._keeper is None:
            return None
        lines = [self._keeper] if self._notices is None else [self._keeper, self._notices.keeper]
        due = [at for at in (line.wake_at() for line in lines) if at is not None]
        return min(due) if due else None

    # -- what the thread does ----------------------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except Exception as error:
            self._on_fatal(f"feed: {error!r}")
            log.exception("the feed failed")
        finally:
            self._started.set()
            for never_run in list(self._calls):
                self._ran(never_run)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.desk = self._make_desk()
        works = self._prepare()
        undo = self._journal.subscribe(self._nudged)
        self._follow()
        self._started.set()
        tasks = [asyncio.create_task(work, name="feed") for work in works]
        stopping = asyncio.create_task(_wait(self._stop))
        await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        undo()
        unseen = not self._stop.is_set()
        failed = [task for task in tasks if task.done() and not task.cancelled() and task.exception() is not None]
        for task in (*tasks, stopping):
            task.cancel()
        await asyncio.gather(*tasks, stopping, return_exceptions=True)
        # The journal answers on its own thread, which must find this loop open.
        while self._appending:  # noqa: ASYNC110  at the end of a run only
            await asyncio.sleep(0.001)
        for task in failed:
            task.result()
        if unseen:
            raise KquantError("a line of the feed ended by itself")

    def _prepare(self) -> list[Coroutine[Any, Any, None]]:
        """Take up what the log leaves, and return what is to run."""
        facts = self._journal.read(Seq(0), 10_000_000)
        settings = [fact.event.settings for fact in facts if isinstance(fact.event, RunStarted)]
        rules = settings[-1].feed if settings else FeedSettings()
        reconnect = Reconnect(rules, self._jitter)
        if not isinstance(self._clock, RunningClock):  # the exchange itself keeps that one right
            self._skew = Skew(rules)
        if self._watched:
            self._quiet = Quiet(rules, VENUES[self._session.market])
        self._fold(facts, reconnect)
        self._keeper = Keeper(
            self._url, self._clock, self._wall, self._session, self, reconnect, Pulse(rules), self._changed
        )
        works: list[Coroutine[Any, Any, None]] = [self._keeper.run()]
        if self._notices is not None:
            self._notices.attach(
                self._clock,
                self._wall,
                rules,
                self._jitter,
                facts,
                lambda event: self._append(event, None, NOTICES),
                self._changed,
            )
            works.append(self._notices.keeper.run())
        if self._quiet is not None and self._probe is not None:
            works.append(self._listen_for_silence(self._quiet, self._probe))
        return works

    def _fold(self, facts: Sequence[Recorded], reconnect: Reconnect) -> None:
        """Take the last epoch's number from log and tape, end it, and void what was asked and not answered."""
        requests, lost = OpenRequests(), True
        for fact in facts:
            self._cursor = fact.seq
            requests.fold(fact)
            self._learn(fact)
            if fact.by == NOTICES:
                continue
            reconnect.fold(fact)
            match fact.event:
                case FeedConnected(epoch=epoch):
                    self._epoch, lost = max(self._epoch, epoch), False
                case FeedLost(epoch=epoch):
                    self._epoch, lost = max(self._epoch, epoch), True
                case _:
                    pass
        reconnect.folded()
        for fact in requests.open():
            self.handle(self._session.request(fact))
        # A connection the broker never took is on the tape only; its number is used all the same.
        self._epoch = max(self._epoch, self.desk.last_epoch)
        if not lost or self.desk.open_epoch:
            self.desk.epoch_end(self.desk.open_epoch or self._epoch)
        if not lost:
            self._append(FeedLost(epoch=self._epoch, reason=PROCESS_ENDED), None)

    def _learn(self, fact: Recorded) -> None:
        if self._quiet is not None:
            self._quiet.learn(fact)
        if self._skew is not None:
            self._skew.learn(fact)

    def _nudged(self) -> None:
        self._loop.call_soon_threadsafe(self._follow)

    def _follow(self) -> None:
        try:
            self.desk.catch_up()
            while facts := self._journal.read(self._cursor):
                for fact in facts:
                    if isinstance(fact.event, RegisterWanted | DropWanted):
                        self.handle(self._session.request(fact))
                    self._learn(fact)
                self._cursor = facts[-1].seq
        except Exception as error:  # noqa: BLE001  the loop would only log it, and the feed would stand still
            self._on_fatal(f"feed: {error!r}")
        if self._keeper is not None:
            self._keeper.wake()
        self._changed()

    async def _listen_for_silence(self, quiet: Quiet, probe: Callable[[Symbol], Awaitable[RestPrice | None]]) -> None:
        """Ask over REST when the whole set is silent, and give up a line that the market speaks past."""
        while True:
            await self._clock.sleep_until(Micros(self._clock.now() + LOOK_US))
            code = quiet.check(self._clock.now()) if self.connected else None
            if code is None:
                continue
            price = await probe(code)
            reason = quiet.probed(code, None if price is None else price.volume, self._clock.now())
            if reason is not None and self._keeper is not None:
                self._keeper.give_up(Broken(reason, 0))

    # -- what its line does ------------------------------------------------------------------------------------------

    async def approval(self, renew: bool) -> str:
        """Return an approval key."""
        return await self._approval(renew)

    def opened(self, approval: str) -> None:
        """A socket is open: a new epoch begins."""
        self._epoch = Epoch(self._epoch + 1)
        self.desk.epoch_begin(self._epoch)
        if self._quiet is not None:
            self._quiet.opened(self._epoch, self._clock.now())
        self.handle(self._session.opened(self._epoch, approval, self._clock.now()))

    def lost(self, reason: str) -> None:
        """The epoch ends."""
        self.desk.epoch_end(self._epoch)
        self._append(FeedLost(epoch=self._epoch, reason=reason), None)
        self.handle(self._session.closed())

    def unreachable(self, attempt: int, reason: str) -> None:
        """No socket could be opened."""
        self._append(FeedUnreachable(attempt=attempt, reason=reason), None)

    def say(self, events: Sequence[Event]) -> None:
        """Record what nothing asked for."""
        for event in events:
            self._append(event, None)

    def handle(self, outputs: Sequence[Output]) -> Broken | None:
        """Hand data to the desk and reports to the journal."""
        broken = None
        for output in outputs:
            kind = type(output)
            if kind is Data:
                self._data(output)  # type: ignore[arg-type]
            elif isinstance(output, Report):
                if isinstance(output.event, NoticeUnreadable):
                    self.say(self._unreadable.note(output.event, self._clock.now()))
                else:
                    self._append(output.event, output.caused_by)
            elif isinstance(output, Rejected):
                self.desk.reject(output.text, output.reason)
            elif isinstance(output, Broken):
                broken = output
            elif isinstance(output, Told):
                self._told(output.at)
        return broken

    def _told(self, theirs: Micros) -> None:
        """Say how far the broker's clock is from ours, when that changes."""
        seconds = None if self._skew is None else self._skew.told(theirs, self._clock.now())
        if seconds is None:
            return
        self._append(ClockSkewed(seconds=seconds), None)
        way = "ahead of" if seconds > 0 else "behind"
        text = f"the broker's clock is {abs(seconds)} s {way} ours: no new entries until both agree"
        if seconds:
            self._append(AlertRaised(level="critical", text=text), None)

    def _data(self, data: Data) -> None:
        place = self.desk.frame(data.text, data.records)
        if place is None:
            self._session.doubted(data.first)
            return
        if self._quiet is not None:
            self._quiet.data(data.records[-1], self._clock.now())
        if data.first:
            self.desk.flush()
            for code, channel in data.first:
                self._append(FirstTick(epoch=self._epoch, code=code, channel=channel, place=place), None)

    def _append(self, event: Event, caused_by: Seq | None, by: str = STREAM) -> None:
        self._appending += 1
        future = self._journal.append(STREAM, [event], by=by, caused_by=caused_by)
        future.add_done_callback(lambda done: self._loop.call_soon_threadsafe(self._appended, done))

    def _appended(self, done: Future[tuple[Recorded, ...]]) -> None:
        self._appending -= 1
        error = done.exception()
        # A closing feed may come too late for a sealed day; a failed journal reports itself.
        if error is not None and not isinstance(error, AlreadyAnswered) and not self._stop.is_set():
            self._on_fatal(f"feed: {error}")
        self._changed()


async def _wait(event: asyncio.Event) -> None:
    await event.wait()
