"""How often a service may be asked: requests and tokens a minute, a least gap, so many at once, first come first served.

The minute is the service's own, so the clock here is the wall's, whatever the run's clock does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kquant.gateways.clock import Clock
from kquant.settings import LlmServiceSettings
from kquant.values import MINUTE_US, SECOND_US, Micros


class Pace:
    """The pace of one key at one service."""

    def __init__(self, settings: LlmServiceSettings, wall: Clock) -> None:
        self._settings = settings
        self._wall = wall
        self._turn = asyncio.Lock()
        self._places = asyncio.Semaphore(settings.concurrency)
        self._begun: deque[list[int]] = deque()
        """[instant, tokens] of each request of the last minute."""
        self._held_until = Micros(0)

    @asynccontextmanager
    async def place(self, tokens: int) -> AsyncIterator[list[int]]:
        """Wait for a place and a moment, and hold the place. tokens: the request's, as estimated.

        Yields the entry whose second value may be set to the tokens it really took.
        """
        async with self._places:
            async with self._turn:
                while (wait := self._wait(tokens)) > 0:
                    await self._wall.sleep_until(Micros(self._wall.now() + wait))
                entry = [self._wall.now(), tokens]
                self._begun.append(entry)
            yield entry

    def hold(self, seconds: float) -> None:
        """Begin nothing for so long: the service said it has had enough."""
        self._held_until = max(self._held_until, Micros(self._wall.now() + int(seconds * SECOND_US)))

    def held_for(self) -> float:
        """Return for how many seconds the service wants nothing, 0 if it may be asked."""
        return max(0, self._held_until - self._wall.now()) / SECOND_US

    def _wait(self, tokens: int) -> int:
        """Return how long (microseconds) until a request of so many tokens may begin."""
        now = self._wall.now()
        while self._begun and self._begun[0][0] <= now - MINUTE_US:
            self._begun.popleft()
        waits = [0, self._held_until - now]
        if self._begun:
            waits.append(self._begun[-1][0] + self._settings.gap_ms * 1_000 - now)
        over = len(self._begun) - self._settings.requests_per_minute
        if over >= 0:
            waits.append(self._begun[over][0] + MINUTE_US - now)
        waits.append(self._wait_for_tokens(tokens, now))
        return max(waits)

    def _wait_for_tokens(self, tokens: int, now: int) -> int:
        """Return when enough of the last minute's tokens are a minute old; a request above the limit goes alone."""
        used = sum(entry[1] for entry in self._begun)
        for at, took in self._begun:
            if used + tokens <= self._settings.tokens_per_minute:
                return 0
            used -= took
            if used + tokens <= self._settings.tokens_per_minute or used == 0:
                return at + MINUTE_US - now
        return 0
