"""One line to the broker, kept up: connects when `Reconnect` says so, speaks for a session, watches the line's pulse.

It owns the socket and nothing else: what a connection means is the affair of its `Line`. Protocol pings of the library
are off, because KIS has its own PINGPONG (kis-protocol 2.3), which the session echoes; `Pulse` sends its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from kquant.events.base import Event
from kquant.gateways.clock import Clock
from kquant.gateways.kis.feed.liveness import Pulse
from kquant.gateways.kis.feed.reconnect import CLOSED, Reconnect
from kquant.gateways.kis.feed.session import Broken, FeedSession, Output
from kquant.values import KquantError, Micros

PATIENCE_SECONDS = 0.5
"""How long on the wall an unanswered request keeps the lockstep waiting before market time may go on."""
GREETING_SECONDS = 10.0
"""The same for the first answer of a connection."""

CLOSE_SECONDS = 2.0
"""How long a closing handshake may take; KIS frees the app key's place sooner after a proper one (kis-protocol 6 row 3)."""

log = structlog.get_logger("kquant.feed")


class _Direct(connect):
    """Connects to the address it was given and to no other: who follows sends the approval key there."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Take a redirect for the failed attempt that it is."""
        return exc


class Line(Protocol):
    """What a connection is for. All of it runs on the connection's loop."""

    async def approval(self, renew: bool) -> str:
        """Return an approval key, a new one if asked to renew. Raises KquantError."""

    def opened(self, approval: str) -> None:
        """A socket is open."""

    def lost(self, reason: str) -> None:
        """It is gone."""

    def unreachable(self, attempt: int, reason: str) -> None:
        """No socket could be opened."""

    def handle(self, outputs: Sequence[Output]) -> Broken | None:
        """Do what the session says; return why the connection is of no use any more, if it is."""

    def say(self, events: Sequence[Event]) -> None:
        """Record events that nothing asked for."""


class Keeper:
    """Keeps one line up for as long as it runs. frames: received on this connection, and handled.

    clock: the run's, for what the protocol and the back-off wait for.   wall: what the pulse is measured with, None if
    nobody watches it (where market time waits for us, the line's silence says nothing).
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        wall: Clock | None,
        session: FeedSession,
        line: Line,
        reconnect: Reconnect,
        pulse: Pulse,
        changed: Callable[[], None],
    ) -> None:
        self.frames = 0
        self._url = url
        self._clock = clock
        self._wall = wall
        self._session = session
        self._line = line
        self._reconnect = reconnect
        self._pulse = pulse
        self._changed = changed
        self._socket: ClientConnection | None = None
        self._busy = True
        self._resume_at: Micros | None = None
        self._asked_at = 0.0
        self._wake = asyncio.Event()
        self._given_up: asyncio.Future[Broken] | None = None
        self._pongs: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        """Whether a socket is open."""
        return self._socket is not None

    def idle(self) -> bool:
        """Tell whether nothing is under way that does not wait on the clock."""
        since = time.monotonic() - self._asked_at
        if self._busy or (self._session.unanswered and since < PATIENCE_SECONDS):
            return False
        if self.connected and not self._session.ready and since < GREETING_SECONDS:
            return False
        due = self.wake_at()
        return due is None or due > self._clock.now()

    def wake_at(self) -> Micros | None:
        """Return the instant the session next sends or gives up, or of the next attempt to connect; None if neither."""
        return self._session.wake_at() if self.connected else self._resume_at

    def wake(self) -> None:
        """There is something to send."""
        self._wake.set()

    def give_up(self, end: Broken) -> None:
        """End the connection there is, if there is one."""
        if self._given_up is not None and not self._given_up.done():
            self._given_up.set_result(end)

    async def run(self) -> None:
        """Connect, and again; returns never."""
        while True:
            self._resume_at = self._reconnect.due(self._clock.now())
            self._busy = False
            self._changed()
            await self._clock.sleep_until(self._resume_at)
            self._busy, self._resume_at = True, None
            attempt = self._reconnect.started(self._clock.now())
            end = await self._connect_once(attempt)
            log.info("feed connection ended", reason=end.reason)
            self._line.say(self._reconnect.ended(self._clock.now(), end))

    async def _connect_once(self, attempt: int) -> Broken:
        """Hold one connection for as long as it lasts; return how it ended."""
        renew = self._reconnect.renewing
        try:
            approval = await self._line.approval(renew)
            socket = await _Direct(
                self._url,
                proxy=None,  # as over REST: what the environment says is for other programs
                ping_interval=None,
                max_size=1 << 20,
                open_timeout=10,
                close_timeout=CLOSE_SECONDS,
                max_queue=1_024,
                compression=None,
            )
        except (OSError, WebSocketException, TimeoutError, KquantError) as error:
            reason = f"{type(error).__name__}: {error}"
            self._line.unreachable(attempt, reason)
            return Broken(reason, 1)
        self._socket, self.frames = socket, 0
        self._given_up = asyncio.get_running_loop().create_future()
        self._asked_at = time.monotonic()
        end = Broken(CLOSED, 0)
        try:
            self._line.opened(approval)
            if self._session.ready:
                self._reconnect.accepted(self._clock.now())
            if self._wall is not None:
                self._pulse.opened(self._wall.now())
            self._busy = False
            end = await self._hold(socket)
        finally:
            self._busy = True
            self._pulse.closed()
            self._given_up.cancel()
            self._socket = None
            # First the word, then the courtesy: a dead line answers no closing handshake.
            self._line.lost(end.reason)
            await socket.close()
        return end

    async def _hold(self, socket: ClientConnection) -> Broken:
        """Listen, keep time and feel the pulse until one of them ends; an error of the line is a reason, ours is raised."""
        work = [self._listen(socket), self._timer(socket), self._giving_up()]
        if self._wall is not None:
            work.append(self._watch(socket, self._wall))
        tasks = [asyncio.create_task(one, name="feed-line") for one in work]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(task for task in tasks if task.done()).result()
        except (OSError, WebSocketException) as error:
            return Broken(f"{type(error).__name__}: {error}", 0)
        finally:
            for task in (*tasks, *self._pongs):
                task.cancel()
            await asyncio.gather(*tasks, *self._pongs, return_exceptions=True)

    async def _giving_up(self) -> Broken:
        if self._given_up is None:
            raise AssertionError("a line is held only after it was opened")
        return await self._given_up

    async def _listen(self, socket: ClientConnection) -> Broken:
        await self._flush(socket)
        session, line, pulse, wall, changed = self._session, self._line, self._pulse, self._wall, self._changed
        async for message in socket:
            text = message if isinstance(message, str) else message.decode(errors="replace")
            if wall is not None:
                pulse.frame(wall.now())
            broken = line.handle(session.receive(text))
            if text.startswith("{"):
                await self._controlled(socket, text)
            # Only now: who waits for so many frames may go on as soon as it finds the number.
            self.frames += 1
            if wall is None:  # only where market time waits for us is each frame worth a word
                changed()
            if broken is not None:
                return broken
        return Broken("closed by the broker", 0)

    async def _controlled(self, socket: ClientConnection, text: str) -> None:
        """A control frame may let the next request go, and tells whether the broker took the line."""
        if self._wall is not None and '"PINGPONG"' in text:
            self._pulse.pingpong()
        if self._session.ready and not self._reconnect.up:
            self._reconnect.accepted(self._clock.now())
        await self._flush(socket)
        self._wake.set()
        self._changed()

    async def _timer(self, socket: ClientConnection) -> Broken:
        """Send queued requests when their time comes, and give up on unanswered ones."""
        while True:
            self._wake.clear()
            broken = self._line.handle(self._session.late(self._clock.now()))
            if broken is not None:
                return broken
            await self._flush(socket)
            self._changed()
            await self._sleep(self._session.wake_at(), self._clock)

    async def _sleep(self, due: Micros | None, clock: Clock) -> None:
        """Wait for `wake`, or for *due*."""
        waits: list[asyncio.Task[Any]] = [asyncio.create_task(_result(self._wake.wait()))]
        if due is not None:
            waits.append(asyncio.create_task(_result(clock.sleep_until(due))))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    async def _watch(self, socket: ClientConnection, wall: Clock) -> Broken:
        """Feel the line's pulse; return when it is dead."""
        while True:
            due = self._pulse.due()
            # A PINGPONG may come meanwhile and make silence matter sooner, so nobody sleeps for long.
            soon = Micros(wall.now() + self._pulse.LOOK_US)
            await wall.sleep_until(soon if due is None else min(soon, due))
            match self._pulse.check(wall.now()):
                case "dead":
                    return Broken("nothing arrives any more: the line is half open", 0)
                case "ping":
                    answer = await socket.ping()
                    task = asyncio.create_task(self._await_pong(answer, wall), name="feed-pong")
                    self._pongs.add(task)
                    task.add_done_callback(self._pongs.discard)
                case None:
                    pass

    async def _await_pong(self, answer: Awaitable[float], wall: Clock) -> None:
        try:
            await answer
        except WebSocketException:
            return  # the line ended, which whoever listens says
        self._pulse.pong(wall.now())

    async def _flush(self, socket: ClientConnection) -> None:
        for text in self._session.to_send(self._clock.now()):
            self._asked_at = time.monotonic()
            await socket.send(text)


async def _result(waiting: Awaitable[object]) -> object:
    return await waiting
