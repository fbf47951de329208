"""What every asyncio gateway does: follow the journal with an own cursor, act on requests, say when it is idle.

`FollowingGateway` is the base of all; `Answering` is for those whose every request has one outcome in one call.
No task of theirs can end unseen: one that fails, or is cancelled by anybody but `close`, stops the run.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

from kquant.events.base import Event, Recorded, name_of
from kquant.gateways.clock import Clock
from kquant.journal.ahead import Ahead
from kquant.journal.port import AlreadyAnswered, Journal
from kquant.values import Micros, Seq

T = TypeVar("T")

_waits: ContextVar[list[Callable[[], Micros]] | None] = ContextVar("waits", default=None)
"""Of the gateway's task that runs: until when it waits for nothing but the clock."""


@contextmanager
def waiting_until(at: Micros | Callable[[], Micros]) -> Iterator[None]:
    """Inside, the calling gateway's task waits for the clock to reach *at*, and for nothing else.

    Such a task does not keep a stepped clock from going on; without this it would wait for a second that never comes.
    """
    waits = _waits.get()
    if waits is None:
        yield
        return

    def due() -> Micros:
        return at() if callable(at) else at

    waits.append(due)
    try:
        yield
    finally:
        waits.remove(due)


_outside: ContextVar[list[None] | None] = ContextVar("outside", default=None)
"""Of the gateway's task that runs: one entry for each wait on a service that keeps the wall's time."""


@contextmanager
def waiting_outside() -> Iterator[None]:
    """Inside, the calling gateway's task waits for a service that has nothing to do with the market's clock.

    A stepped market stands still meanwhile, for as long as that service's own bounds let it.
    """
    outside = _outside.get()
    if outside is None:
        yield
        return
    outside.append(None)
    try:
        yield
    finally:
        outside.pop()


class TooLate(Exception):
    """The clock reached a request's deadline before its answer came."""


class FollowingGateway(ABC):
    """Reads facts in order on one loop; `take` may start tasks, each counted until it ends.

    names: stored names of the facts that `take` knows, None for all.
    changed: called when it may have become idle.   on_fatal: called when it cannot go on.
    """

    stream: str
    by: str
    names: frozenset[str] | None = None

    def __init__(
        self, journal: Journal, clock: Clock, *, changed: Callable[[], None], on_fatal: Callable[[str], None]
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._changed = changed
        self._on_fatal = on_fatal
        self._cursor = Seq(0)
        self._nudged = False
        self._ahead = Ahead(journal, None)
        self._tasks: set[asyncio.Task[object]] = set()
        self._waits: list[Callable[[], Micros]] = []
        self._outside: list[None] = []
        self._closing = False
        self._undo: list[Callable[[], None]] = []

    @abstractmethod
    def take(self, fact: Recorded) -> None:
        """React to one fact."""

    @abstractmethod
    def fold(self, facts: list[Recorded]) -> None:
        """Take up what the log so far leaves open; called once, before anything is taken."""

    async def start(self) -> None:
        """Fold the log and follow it from there."""
        loop = asyncio.get_running_loop()

        def nudged() -> None:
            if not self._nudged:
                self._nudged = True
                loop.call_soon_threadsafe(self._follow)

        self._ahead = Ahead(self._journal, self.names)
        self._undo.append(self._journal.subscribe(nudged, self.names))
        facts: list[Recorded] = []
        while page := self._journal.read(self._cursor, 100_000):
            facts.extend(page)
            self._cursor = page[-1].seq
        self.fold(facts)
        self._changed()

    async def close(self) -> None:
        """Stop following and cancel what is under way."""
        self._closing = True
        for undo in self._undo:
            undo()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def idle(self) -> bool:
        """Tell whether it has read everything and nothing is under way that does not wait on the clock."""
        if self._ahead.anything(self._cursor):
            return False
        now = self._clock.now()
        return len(self._tasks) <= sum(1 for due in self._waits if due() > now)

    def waits_outside(self) -> bool:
        """Tell whether it waits for a service that keeps the wall's time."""
        return bool(self._outside)

    async def append(self, event: Event, caused_by: Seq | None, index: int = 0) -> bool:
        """Append one outcome and return once it is durable. An outcome that stands already is left: False then."""
        try:
            await asyncio.wrap_future(
                self._journal.append(self.stream, [event], by=self.by, caused_by=caused_by, first_index=index)
            )
        except AlreadyAnswered:
            return False
        return True

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Run *work*; a failure nobody expected stops the run."""
        context = copy_context()
        context.run(_waits.set, self._waits)
        context.run(_outside.set, self._outside)
        task = asyncio.create_task(work, name=self.by, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            if not self._closing:
                self._on_fatal(f"{self.by}: a task was cancelled, its outcome is missing")
        elif (error := task.exception()) is not None:
            self._on_fatal(f"{self.by}: {error!r}")
        self._changed()

    def _follow(self) -> None:
        self._nudged = False  # before reading: what comes later nudges again
        if self._closing:
            return
        try:
            while facts := self._journal.read(self._cursor):
                for fact in facts:
                    self.take(fact)
                self._cursor = facts[-1].seq
        except Exception as error:  # noqa: BLE001  the loop would only log it, and the gateway would stand still
            self._on_fatal(f"{self.by}: {error!r}")
        self._changed()


class Answering(FollowingGateway):
    """Takes every request of the classes in `takes` once. At start, those an earlier process left open are taken."""

    takes: tuple[type[Event], ...]

    def __init__(
        self, journal: Journal, clock: Clock, *, changed: Callable[[], None], on_fatal: Callable[[str], None]
    ) -> None:
        super().__init__(journal, clock, changed=changed, on_fatal=on_fatal)
        self.names = frozenset(name_of(cls) for cls in self.takes)

    def fold(self, facts: list[Recorded]) -> None:
        """Take the requests that have no outcome yet."""
        answered = {fact.caused_by for fact in facts if fact.stream == self.stream}
        for fact in facts:
            if fact.seq not in answered:
                self.take(fact)

    def take(self, fact: Recorded) -> None:
        """Start answering a request; other facts change nothing."""
        if self.names is not None and fact.name in self.names:
            self.spawn(self._conclude(fact))

    @abstractmethod
    async def answer(self, fact: Recorded) -> Event:
        """Return the request's outcome. An error of the world is an outcome too; raising stops the run."""

    async def _conclude(self, fact: Recorded) -> None:
        await self.append(await self.answer(fact), fact.seq)

    async def in_time(self, work: Awaitable[T], valid_until: Micros) -> T:
        """Return what *work* gives, or raise TooLate once the clock reaches *valid_until*; *work* is cancelled then."""
        task = asyncio.ensure_future(work)
        late: asyncio.Future[None] | None = None
        try:
            # A scorer without I/O is done after one turn of the loop and needs no second task.
            await asyncio.sleep(0)
            if not task.done():
                late = asyncio.ensure_future(self._clock.sleep_until(valid_until))
                await asyncio.wait({task, late}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise TooLate
            return task.result()
        finally:
            for each in (task, late):
                if each is not None and not each.done():
                    each.cancel()
