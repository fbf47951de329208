"""What every asyncio gateway does: follow the journal with an own cursor, act on requests, say when it is idle."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any

from kquant.events.base import Event, Recorded
from kquant.journal.port import AlreadyAnswered, Journal
from kquant.values import Seq


class FollowingGateway(ABC):
    """Reads facts in order on one loop; `take` may start tasks, each counted until it ends.

    changed: called when it may have become idle.   on_fatal: called when it cannot go on.
    """

    stream: str
    by: str

    def __init__(self, journal: Journal, *, changed: Callable[[], None], on_fatal: Callable[[str], None]) -> None:
        self._journal = journal
        self._changed = changed
        self._on_fatal = on_fatal
        self._cursor = Seq(0)
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._undo: Callable[[], None] | None = None

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
            loop.call_soon_threadsafe(self._follow)

        self._undo = self._journal.subscribe(nudged)
        facts: list[Recorded] = []
        while page := self._journal.read(self._cursor, 100_000):
            facts.extend(page)
            self._cursor = page[-1].seq
        self.fold(facts)
        self._changed()

    async def close(self) -> None:
        """Stop following and cancel what is under way."""
        if self._undo is not None:
            self._undo()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def idle(self) -> bool:
        """Tell whether it has read everything and nothing is under way that does not wait on the clock."""
        return self._cursor >= self._journal.head and len(self._tasks) <= self._waiting

    async def append(self, event: Event, caused_by: Seq | None, index: int = 0) -> None:
        """Append one outcome and return once it is durable; an outcome that stands already is left as it is."""
        try:
            await asyncio.wrap_future(
                self._journal.append(self.stream, [event], by=self.by, caused_by=caused_by, first_index=index)
            )
        except AlreadyAnswered:
            return

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work*; a failure nobody expected stops the run."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_fatal(f"{self.by}: {error!r}")
        self._changed()

    def _follow(self) -> None:
        while facts := self._journal.read(self._cursor):
            for fact in facts:
                self.take(fact)
            self._cursor = facts[-1].seq
        self._changed()
