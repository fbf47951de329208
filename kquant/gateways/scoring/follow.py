"""A gateway that follows the journal: one cursor, requests taken once, every outcome counted until it is durable.

Lives on one asyncio loop; the journal's nudges may come from any thread. At start the whole log is read, so a request
that an earlier process left open is taken now, and one that has its outcome is not.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from kquant.events.base import Event, Recorded, name_of
from kquant.gateways.scoring.port import Clock
from kquant.journal.port import AlreadyAnswered, Journal
from kquant.values import Micros, Seq

T = TypeVar("T")
PAGE = 10_000


class TooLate(Exception):
    """The clock reached a request's deadline before its answer came."""


class Follower(ABC):
    """Answers requests of certain event classes in its own stream, each with exactly one outcome.

    changed: called, on the loop, whenever the gateway may have become idle.
    on_fatal: called with a reason when an outcome cannot be written: the process must stop and recover.
    """

    stream: str
    takes: tuple[type[Event], ...]

    def __init__(
        self, journal: Journal, clock: Clock, *, changed: Callable[[], None], on_fatal: Callable[[str], None]
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._changed = changed
        self._on_fatal = on_fatal
        self._cursor = Seq(0)
        self._pending = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._answered: set[Seq] = set()
        self._names = frozenset(name_of(cls) for cls in self.takes)
        self._undo: Callable[[], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Fold the log, take what is still open, and follow from there."""
        loop = self._loop = asyncio.get_running_loop()
        facts = self._journal.read(Seq(0), max(1, self._journal.head))
        self._answered = {fact.caused_by for fact in facts if fact.stream == self.stream and fact.caused_by is not None}
        self._undo = self._journal.subscribe(lambda: self._hand_over(loop, self._catch_up))
        self._catch_up()

    async def close(self) -> None:
        """Stop following and cancel what is under way: it stays open in the log, and the next start takes it up."""
        if self._undo is not None:
            self._undo()
        self._loop = None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def idle(self) -> bool:
        """Tell whether every request up to the journal's head has a durable outcome."""
        return self._pending == 0 and not self._tasks and self._cursor >= self._journal.head

    @abstractmethod
    async def _answer(self, fact: Recorded) -> Sequence[Event]:
        """Return the request's outcome: one event, or none if there is nothing to say. Must not raise."""

    def _hand_over(self, loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: Any) -> None:
        if self._loop is loop and not loop.is_closed():
            loop.call_soon_threadsafe(call, *args)

    def _catch_up(self) -> None:
        while facts := self._journal.read(self._cursor, PAGE):
            for fact in facts:
                if fact.name in self._names and fact.seq not in self._answered:
                    self._answered.add(fact.seq)
                    self._spawn(self._take(fact))
            self._cursor = facts[-1].seq
        self._changed()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_fatal(f"{self.stream}: {type(error).__name__}: {error}")
        self._changed()

    async def _take(self, fact: Recorded) -> None:
        events = await self._answer(fact)
        if not events:
            return
        loop = asyncio.get_running_loop()
        self._pending += 1
        future = self._journal.append(self.stream, events, by=self.stream, caused_by=fact.seq)
        future.add_done_callback(lambda done: self._hand_over(loop, self._appended, done))

    def _appended(self, future: Future[tuple[Recorded, ...]]) -> None:
        self._pending -= 1
        error = future.exception()
        if error is not None and not isinstance(error, AlreadyAnswered):
            self._on_fatal(f"{self.stream}: {error}")
        self._changed()

    async def _in_time(self, work: Awaitable[T], valid_until: Micros) -> T:
        """Return what *work* gives, or raise TooLate once the clock reaches *valid_until*; *work* is cancelled then."""
        task = asyncio.ensure_future(work)
        await asyncio.sleep(0)
        late: asyncio.Future[None] | None = None
        try:
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
