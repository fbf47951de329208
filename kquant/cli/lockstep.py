"""How market time passes: step by step as fast as the run settles, or at N times the wall's speed.

Settled means: every cursor is at the journal's head, no activity is under way that does not wait on the clock, and every
frame the exchange sent has been applied. Only then the next second is asked for, so speed skips waiting, never work.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from kquant.gateways.embedded import EmbeddedExchange, Stepped
from kquant.values import KquantError, Micros

STALL_SECONDS = 30.0
"""Nothing of a run's own takes this long on the wall; one that does not settle by then says what it waits for."""


class NotSettled(KquantError):
    """The run did not come to rest; the message names who is still busy."""


class Part(Protocol):
    """Anything with work of its own."""

    def idle(self) -> bool:
        """Tell whether there is nothing left to do until the clock moves."""


class Stillness:
    """Waits until every part is idle. `changed` may be called from any thread, as often as parts like.

    head: the journal's head. Parts are asked one after another, so they count as still only if it did not move meanwhile.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, head: Callable[[], int]) -> None:
        self._loop = loop
        self._head = head
        self._parts: list[tuple[str, Part]] = []
        self._excuses: list[Callable[[], bool]] = []
        self._event = asyncio.Event()
        self._flagged = False

    def add(self, name: str, part: Part) -> None:
        """Watch one more part."""
        self._parts.append((name, part))

    def excuse(self, waits_outside: Callable[[], bool]) -> None:
        """Do not count the time in which *waits_outside* says that a service outside is waited for."""
        self._excuses.append(waits_outside)

    def changed(self) -> None:
        """Some part may have become idle."""
        if not self._flagged:
            self._flagged = True
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._flagged = False
        self._event.set()

    def busy(self) -> list[str]:
        """Name the parts that are not idle."""
        return [name for name, part in self._parts if not part.idle()]

    async def wait(self, failed: asyncio.Event) -> None:
        """Return once all parts are idle, or *failed* is set. Raises NotSettled after STALL_SECONDS of the run's own."""
        deadline = time.monotonic() + STALL_SECONDS
        while not failed.is_set():
            self._event.clear()
            head = self._head()
            if all(part.idle() for _, part in self._parts) and self._head() == head:
                return
            if any(excused() for excused in self._excuses):
                deadline = time.monotonic() + STALL_SECONDS
            elif time.monotonic() > deadline:
                raise NotSettled(f"waiting for {', '.join(self.busy())} for {STALL_SECONDS:.0f} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._event.wait(), 0.05)


class Lockstep:
    """Drives the embedded exchange's clock second by second.

    next_due: the earliest instant anybody waits for, None without one.   moved: tells every clock and the market desk
    that time reached an instant.   applied: whether the feed has applied that many frames of that session.
    """

    def __init__(
        self,
        exchange: EmbeddedExchange,
        stillness: Stillness,
        *,
        next_due: Callable[[], Micros | None],
        applied: Callable[[Stepped], bool],
        moved: Callable[[Micros], Awaitable[None]],
    ) -> None:
        self._exchange = exchange
        self._stillness = stillness
        self._next_due = next_due
        self._applied = applied
        self._moved = moved
        self._awaited: Stepped | None = None

    def idle(self) -> bool:
        """Tell whether the last step's frames are applied."""
        return self._awaited is None or self._applied(self._awaited)

    async def run(self, until: Micros, done: Callable[[], bool], failed: asyncio.Event) -> None:
        """Step until *done*, *failed*, or market time *until*."""
        self._stillness.add("frames", self)
        while not failed.is_set():
            await self._stillness.wait(failed)
            if done() or failed.is_set():
                return
            due = self._next_due()
            goal = until if due is None else min(due, until)
            # Frames of a second are applied under the clock they were traded in; only then does time move on.
            stepped = self._awaited = await self._exchange.step(goal)
            await self._stillness.wait(failed)
            self._awaited = None
            if failed.is_set():
                return
            await self._moved(stepped.now)
            if stepped.now >= until:
                return
