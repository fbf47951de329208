"""How often KIS may be asked: one budget a key, orders first.

A call waits for its lane's turn and for the second's budget on the run's clock (kis-protocol 1.8).
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque

from kquant.gateways.clock import Clock
from kquant.gateways.follow import waiting_until
from kquant.values import SECOND_US, Micros

ORDERS, RECONCILIATION, PORTFOLIO, RANKINGS, OTHER = range(5)
"""Lanes, most urgent first."""


class Limiter:
    """At most *per_second* calls in any second of the clock, waiting callers by lane, then by arrival."""

    def __init__(self, per_second: int, clock: Clock) -> None:
        self._per_second = per_second
        self._clock = clock
        self._taken: deque[Micros] = deque()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0
        self._pump: asyncio.Task[None] | None = None

    async def take(self, lane: int) -> None:
        """Return when a call of this lane may be made."""
        if not self._waiting and self._free():
            self._taken.append(self._clock.now())
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._waiting, (lane, self._count, turn))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._serve(), name="limiter")
        with waiting_until(self._next_free):
            await turn

    def _next_free(self) -> Micros:
        """Return when the budget allows a call again; now if it does."""
        now = self._clock.now()
        counted = [at for at in self._taken if at > now - SECOND_US]
        return Micros(counted[-self._per_second] + SECOND_US) if len(counted) >= self._per_second else now

    def _free(self) -> bool:
        edge = self._clock.now() - SECOND_US
        while self._taken and self._taken[0] <= edge:
            self._taken.popleft()
        return len(self._taken) < self._per_second

    async def _serve(self) -> None:
        while self._waiting:
            while not self._free():
                await self._clock.sleep_until(Micros(self._taken[0] + SECOND_US))
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self._taken.append(self._clock.now())
                turn.set_result(None)
