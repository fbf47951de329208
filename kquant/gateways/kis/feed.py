"""The feed's shell: a thread with its own loop that owns the socket, the session and the market desk.

It shares nothing with owners but the journal: requests are read with an own cursor, reports are appended. Protocol
pings of the library are off, because KIS has its own PINGPONG (kis-protocol 2.3).
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from kquant.events.base import Event, Recorded
from kquant.events.feed import (
    Dropped,
    FeedConnected,
    FeedLost,
    FeedUnreachable,
    FirstTick,
    Registered,
    RegistrationExpired,
    RegistrationRefused,
    RegistrationUnanswered,
    RegistrationVoid,
)
from kquant.events.slots import DropWanted, RegisterWanted
from kquant.gateways.clock import Clock
from kquant.gateways.kis.session import Broken, Data, FeedSession, Output, Rejected, Report
from kquant.gateways.market import MarketDesk
from kquant.journal.port import AlreadyAnswered, Journal
from kquant.values import SECOND_US, Epoch, KquantError, Micros, Seq

STREAM = "feed"
BACKOFF_SECONDS = (1, 2, 4, 8, 15, 30, 60, 120, 300, 600)
PATIENCE_SECONDS = 0.5
"""How long on the wall an unanswered request keeps the lockstep waiting before market time may go on."""

log = structlog.get_logger("kquant.feed")


class KisFeed:
    """Keeps one connection, as long as it runs. `desk` is used on this thread only.

    approval: returns an approval key, a new one if asked to renew; runs wherever it likes.
    changed: called when it may have become idle.   on_fatal: called when it cannot go on.
    """

    def __init__(
        self,
        url: str,
        journal: Journal,
        clock: Clock,
        session: FeedSession,
        *,
        desk: Callable[[Callable[[Callable[[], None]], object]], MarketDesk],
        approval: Callable[[bool], Awaitable[str]],
        changed: Callable[[], None],
        on_fatal: Callable[[str], None],
    ) -> None:
        self.frames = 0
        self.desk: MarketDesk
        self._url = url
        self._journal = journal
        self._clock = clock
        self._session = session
        self._make_desk = desk
        self._approval = approval
        self._changed = changed
        self._on_fatal = on_fatal
        self._loop: asyncio.AbstractEventLoop
        self._socket: ClientConnection | None = None
        self._cursor = Seq(0)
        self._epoch = Epoch(0)
        self._connecting = True
        self._appending = 0
        self._over = False
        self._resume_at: Micros | None = None
        self._asked_at: float | None = None
        self._started = threading.Event()
        self._stop: asyncio.Event
        self._wake: asyncio.Event
        self._undo: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._main, name="feed", daemon=True)

    def start(self) -> None:
        """Start the thread; returns once the desk is recovered and the first connection is under way."""
        self._thread.start()
        self._started.wait()

    def close(self) -> None:
        """Close the socket and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(timeout=15)
            self._over = not self._thread.is_alive()

    def call(self, callback: Callable[[], None]) -> Future[None]:
        """Run *callback* on the feed's thread, as for the desk; the future tells when it has run."""
        done: Future[None] = Future()

        def run() -> None:
            try:
                callback()
            except Exception as error:  # noqa: BLE001  not everyone looks at the future
                self._on_fatal(f"feed: {error!r}")  # before the future: who waits on it finds the run stopped
                done.set_exception(error)
            else:
                done.set_result(None)

        self._loop.call_soon_threadsafe(run)
        return done

    @property
    def connected(self) -> bool:
        """Whether a socket is open."""
        return self._socket is not None

    def idle(self) -> bool:
        """Tell whether nothing is under way that does not wait on the clock; a closed feed is idle for good."""
        if self._over:
            return True
        head = self._journal.head
        waiting = self._session.unanswered and (
            self._asked_at is not None and time.monotonic() - self._asked_at < PATIENCE_SECONDS
        )
        due = self.wake_at()
        overdue = due is not None and due <= self._clock.now()
        quiet = self._cursor >= head and self._appending == 0 and not waiting and not self._connecting and not overdue
        return quiet and self.desk.idle()

    def wake_at(self) -> Micros | None:
        """Return the instant the session next sends or gives up, or of the next attempt to connect; None if neither."""
        return self._session.wake_at() if self.connected else self._resume_at

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except Exception as error:
            log.exception("the feed failed")
            self._on_fatal(f"feed: {error!r}")
        finally:
            self._started.set()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop, self._wake = asyncio.Event(), asyncio.Event()
        self.desk = self._make_desk(self._loop.call_soon_threadsafe)
        self._fold()
        self._undo = self._journal.subscribe(self._nudged)
        self.desk.catch_up()
        self._started.set()
        keeper = asyncio.create_task(self._keep_connected(), name="feed")
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({keeper, stopping}, return_when=asyncio.FIRST_COMPLETED)
        self._undo()
        for task in (keeper, stopping):
            task.cancel()
        if keeper.done() and not keeper.cancelled() and (error := keeper.exception()) is not None:
            raise error
        await asyncio.gather(keeper, return_exceptions=True)
        # The journal answers on its own thread, which must find this loop open.
        while self._appending:  # noqa: ASYNC110  at the end of a run only
            await asyncio.sleep(0.001)

    def _fold(self) -> None:
        """Take the last epoch's number from the log, end it, and void what was asked and not answered."""
        open_requests: dict[Seq, Recorded] = {}
        lost = True
        for fact in self._journal.read(Seq(0), 10_000_000):
            self._cursor = fact.seq
            match fact.event:
                case FeedConnected(epoch=epoch):
                    self._epoch, lost = epoch, False
                case FeedLost():
                    lost = True
                case RegisterWanted() | DropWanted():
                    open_requests[fact.seq] = fact
                case (
                    Registered()
                    | Dropped()
                    | RegistrationRefused()
                    | RegistrationUnanswered()
                    | RegistrationExpired()
                    | RegistrationVoid()
                ):
                    open_requests.pop(fact.caused_by or Seq(0), None)
                case _:
                    pass
        for fact in open_requests.values():
            self._handle(self._session.request(fact))
        if not lost:
            self.desk.epoch_end(self._epoch)
            self._append(FeedLost(epoch=self._epoch, reason="the process ended"), None)

    def _nudged(self) -> None:
        self._loop.call_soon_threadsafe(self._follow)

    def _follow(self) -> None:
        try:
            self.desk.catch_up()
            while facts := self._journal.read(self._cursor):
                for fact in facts:
                    if isinstance(fact.event, RegisterWanted | DropWanted):
                        self._handle(self._session.request(fact))
                self._cursor = facts[-1].seq
        except Exception as error:  # noqa: BLE001  the loop would only log it, and the feed would stand still
            self._on_fatal(f"feed: {error!r}")
        self._wake.set()
        self._changed()

    async def _keep_connected(self) -> None:
        attempt, renew = 0, False
        while True:
            self._connecting, self._resume_at = True, None
            opened = self._clock.now()
            end = await self._connect_once(renew, attempt + 1)
            self._connecting, renew = True, end.renew_approval
            if self._clock.now() - opened > 60 * SECOND_US:
                attempt = 0
            log.info("feed connection ended", reason=end.reason)
            base = BACKOFF_SECONDS[min(attempt, len(BACKOFF_SECONDS) - 1)]
            jitter = random.uniform(0, base / 4)  # noqa: S311  spreads reconnects, decides nothing
            pause = max(base + jitter, end.wait_seconds)
            attempt += 1
            resume_at = self._resume_at = Micros(self._clock.now() + int(pause * SECOND_US))
            self._connecting = False
            self._changed()
            await self._clock.sleep_until(resume_at)

    async def _connect_once(self, renew: bool, attempt: int) -> Broken:
        """Hold one connection for as long as it lasts; return why it ended, the least wait, whether to renew the key."""
        try:
            approval = await self._approval(renew)
            socket = await connect(self._url, ping_interval=None, max_size=1 << 20, open_timeout=10, max_queue=1_024)
        except (OSError, WebSocketException, TimeoutError, KquantError) as error:
            self._append(FeedUnreachable(attempt=attempt, reason=f"{type(error).__name__}: {error}"), None)
            return Broken(str(error), 1)
        epoch = self._epoch = Epoch(self._epoch + 1)
        self._socket, self.frames = socket, 0
        self.desk.epoch_begin(epoch)
        self._handle(self._session.opened(epoch, approval, self._clock.now()))
        self._asked_at = time.monotonic()
        end = Broken("the feed was closed", 0)
        try:
            end = await self._hold(socket)
        finally:
            self._connecting = True
            self._socket = None
            await socket.close()
            self.desk.epoch_end(epoch)
            self._append(FeedLost(epoch=epoch, reason=end.reason), None)
            self._handle(self._session.closed())
        return end

    async def _hold(self, socket: ClientConnection) -> Broken:
        """Listen and keep time until either ends; an error of the line is a reason, one of ours is raised."""
        tasks = [
            asyncio.create_task(self._listen(socket), name="feed-listen"),
            asyncio.create_task(self._timer(socket), name="feed-timer"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(task for task in tasks if task.done()).result()
        except (OSError, WebSocketException) as error:
            return Broken(f"{type(error).__name__}: {error}", 0)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, socket: ClientConnection) -> Broken:
        await self._flush(socket)
        async for text in socket:
            broken = await self._take(socket, text if isinstance(text, str) else text.decode(errors="replace"))
            if broken is not None:
                return broken
        return Broken("closed by the broker", 0)

    async def _take(self, socket: ClientConnection, text: str) -> Broken | None:
        outputs = self._session.receive(text)
        broken = self._handle(outputs)
        self.frames += 1
        if text.startswith("{"):
            self._connecting = self._connecting and not any(
                isinstance(one, Report) and isinstance(one.event, FeedConnected) for one in outputs
            )
            await self._flush(socket)
        self._changed()
        return broken

    async def _timer(self, socket: ClientConnection) -> Broken:
        """Send queued requests when their time comes, and give up on unanswered ones."""
        while True:
            self._wake.clear()
            broken = self._handle(self._session.late(self._clock.now()))
            if broken is not None:
                return broken
            await self._flush(socket)
            self._changed()
            due = self._session.wake_at()
            waits: list[asyncio.Task[Any]] = [asyncio.create_task(self._wake.wait())]
            if due is not None:
                waits.append(asyncio.create_task(_sleep(self._clock, due)))
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in waits:
                    one.cancel()

    async def _flush(self, socket: ClientConnection) -> None:
        for text in self._session.to_send(self._clock.now()):
            self._asked_at = time.monotonic()
            await socket.send(text)

    def _handle(self, outputs: list[Output]) -> Broken | None:
        broken = None
        for output in outputs:
            match output:
                case Data(text=text, records=records, first=first):
                    place = self.desk.frame(text, records)
                    if not first:
                        continue
                    if place is None:
                        self._session.doubted(first)
                        continue
                    self.desk.flush()
                    for code, channel in first:
                        self._append(FirstTick(epoch=self._epoch, code=code, channel=channel, place=place), None)
                case Report(event=event, caused_by=cause):
                    self._append(event, cause)
                case Rejected(text=text):
                    self.desk.reject(text, "format")
                case Broken():
                    broken = output
        return broken

    def _append(self, event: Event, caused_by: Seq | None) -> None:
        self._appending += 1
        future = self._journal.append(STREAM, [event], by="feed", caused_by=caused_by)
        future.add_done_callback(lambda done: self._loop.call_soon_threadsafe(self._appended, done))

    def _appended(self, done: Future[tuple[Recorded, ...]]) -> None:
        self._appending -= 1
        error = done.exception()
        # A closing feed may come too late for a sealed day; a failed journal reports itself.
        if error is not None and not isinstance(error, AlreadyAnswered) and not self._stop.is_set():
            self._on_fatal(f"feed: {error}")
        self._changed()


async def _sleep(clock: Clock, at: Micros) -> None:
    await clock.sleep_until(at)
