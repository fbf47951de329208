"""Gateways that answer requests in their own stream, each with exactly one outcome, within the request's deadline."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import TypeVar

from kquant.events.base import Event, Recorded, name_of
from kquant.gateways.clock import Clock
from kquant.gateways.follow import FollowingGateway
from kquant.journal.port import Journal
from kquant.values import Micros

T = TypeVar("T")


class TooLate(Exception):
    """The clock reached a request's deadline before its answer came."""


class Answering(FollowingGateway):
    """Takes every request of the classes in `takes` once. At start, those an earlier process left open are taken."""

    takes: tuple[type[Event], ...]

    def __init__(
        self, journal: Journal, clock: Clock, *, changed: Callable[[], None], on_fatal: Callable[[str], None]
    ) -> None:
        super().__init__(journal, changed=changed, on_fatal=on_fatal)
        self._clock = clock
        self._names = frozenset(name_of(cls) for cls in self.takes)

    def fold(self, facts: list[Recorded]) -> None:
        """Take the requests that have no outcome yet."""
        answered = {fact.caused_by for fact in facts if fact.stream == self.stream}
        for fact in facts:
            if fact.seq not in answered:
                self.take(fact)

    def take(self, fact: Recorded) -> None:
        """Start answering a request; other facts change nothing."""
        if fact.name in self._names:
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
