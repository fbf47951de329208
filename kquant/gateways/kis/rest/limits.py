"""How often KIS may be asked with one key: one budget for all callers, orders first (kis-protocol 1.8).

A call waits for its lane's turn, for the second's budget and for the spacing between calls, on the run's clock. Some of
each second is kept for orders. A refusal for too many calls slows everything down at once; the pace comes back slowly.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, timedelta
from typing import NamedTuple

from msgspec import Struct

from kquant.gateways.clock import Clock
from kquant.gateways.follow import waiting_until
from kquant.gateways.kis.rest.endpoints import Environment
from kquant.settings import BrokerSettings
from kquant.values import SECOND_US, Micros

ORDERS, RECONCILIATION, PORTFOLIO, RANKINGS, BACKFILL = range(5)
"""Lanes, most urgent first."""
NEW_KEY_DAYS = 3
FULL = 1_000
SLOWER = 600
"""What a refusal leaves of the pace, in thousandths."""
SLOWEST = 250
RECOVERED = 50
RECOVERY_US = 10 * SECOND_US
"""After a refusal, so many thousandths of the pace come back each so often."""
ORDER_PART = 5
"""Orders keep at least one call in so many."""
ORDER_MOST = 3
"""And at most one in so many: of a new key's three calls a second two are left for prices, books and lists."""


class Limit(Struct, frozen=True, kw_only=True):
    """A key's budget on a day. gap_us: least time between two calls.   reserved: calls a second kept for orders."""

    per_second: int
    gap_us: int
    reserved: int


def limit_for(
    broker: BrokerSettings,
    environment: Environment,
    day: date,
    key_since: date | None = None,
    *,
    reads_only: bool = False,
) -> Limit:
    """Return the budget in force on *day* (KST): the dated table's, never more than `broker.rest_per_second`.

    key_since: the day the key was issued; KIS holds a new real key to less for its first three days. The exchange of
    the demo counts by its own clock's seconds, so that calls need no spacing there.
    reads_only: a key beside the account's, which places no orders: `broker.rest_per_second` is not about it.
    """
    tables = [table for table in broker.limits if table.environment == environment and table.since <= day.isoformat()]
    if not tables:
        raise ValueError(f"broker.limits has no table for the {environment} service on {day}")
    table = max(tables, key=lambda each: each.since)
    per_second = table.per_second
    if key_since is not None and key_since <= day < key_since + timedelta(days=NEW_KEY_DAYS):
        per_second = min(per_second, table.new_key_per_second)
    gap_ms = 0 if broker.exchange == "embedded" else table.gap_ms
    return Limit(
        per_second=per_second if reads_only else min(per_second, broker.rest_per_second),
        gap_us=gap_ms * 1_000,
        reserved=0 if reads_only else broker.order_calls_per_second,
    )


_one: ContextVar[dict[Limiter, int] | None] = ContextVar("one", default=None)
"""Of calls that belong together: the place their first one has in each line."""


@contextmanager
def as_one() -> Iterator[None]:
    """Inside, calls made one after the other keep the place of the first, ahead of those of their lane that came later.

    So what needs several answers is complete before the next such thing begins, where calls are scarce.
    """
    token = _one.set({})
    try:
        yield
    finally:
        _one.reset(token)


class _Waiting(NamedTuple):
    """A call that waits for its turn: by lane, by place, and by number, which no two share. gate: as for `Limiter.take`."""

    lane: int
    place: int
    number: int
    turn: asyncio.Future[None]
    gate: Callable[[], None] | None


class Limiter:
    """At most *per_second* calls in any second of the clock, waiting callers by lane, then by arrival.

    gap_us: least time between two calls.   reserved: calls of each second that only orders may use; at least a fifth of
    them if any, at most a third, and never the last one.
    """

    def __init__(self, per_second: int, clock: Clock, *, gap_us: int = 0, reserved: int = 0) -> None:
        self._per_second = per_second
        self._gap_us = gap_us
        self._reserved = reserved
        self._clock = clock
        self._taken: deque[Micros] = deque()
        self._others: deque[Micros] = deque()
        """Of the taken, those that were no orders."""
        self._waiting: list[_Waiting] = []
        self._count = 0
        self._pump: asyncio.Task[None] | None = None
        self._pace = FULL
        self._paced_at = Micros(0)
        self.refusals = 0
        """Refusals for too many calls, as KIS counted them."""

    def allow(self, limit: Limit) -> None:
        """Go by another budget from now on, as a new day's."""
        self._per_second, self._gap_us, self._reserved = limit.per_second, limit.gap_us, limit.reserved

    async def take(self, lane: int, gate: Callable[[], None] | None = None) -> None:
        """Return when a call of this lane may be made.

        gate: asked when it is this call's turn; if it raises, the turn is the next one's at once, and it is raised here.
        """
        count = self._count = self._count + 1
        one = _one.get()
        place = count if one is None else one.setdefault(self, count)
        first = not self._waiting or (lane, place) < self._waiting[0][:2]
        if first and self._free_at(lane) <= self._clock.now():
            if gate is not None:
                gate()
            self._note(lane)
            return
        waits = _Waiting(lane, place, count, asyncio.get_running_loop().create_future(), gate)
        heapq.heappush(self._waiting, waits)
        if first and self._pump is not None:
            self._pump.cancel()  # it sleeps for somebody whose turn comes later
            self._pump = None
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._serve(), name="limiter")
        # Whose turn came, or was given on, waits for nothing any more, though the next turn is later.
        with waiting_until(lambda: Micros(0) if waits.turn.done() else self._free_at(lane)):
            await waits.turn

    def slow_down(self) -> None:
        """KIS refused a call for too many: go slower, once for all the refusals of a second."""
        now = self._clock.now()
        self.refusals += 1
        if self._pace < FULL and now - self._paced_at < SECOND_US:
            return
        self._pace = max(self.pace() * SLOWER // FULL, SLOWEST)
        self._paced_at = now

    def pace(self) -> int:
        """Return the pace now in thousandths of the full one."""
        return min(FULL, self._pace + (self._clock.now() - self._paced_at) // RECOVERY_US * RECOVERED)

    def _free_at(self, lane: int) -> Micros:
        """Return the instant from which a call of this lane may be made; in the past if it may now."""
        pace = self.pace()
        per_second = max(1, self._per_second * pace // FULL)
        at = 0
        if len(self._taken) >= per_second:
            at = self._taken[-per_second] + SECOND_US
        if self._taken:
            at = max(at, self._taken[-1] + self._spacing(pace))
        if lane != ORDERS and self._reserved and per_second > 1:
            kept = max(self._reserved, -(-per_second // ORDER_PART))
            others = per_second - min(kept, max(1, per_second // ORDER_MOST))
            if len(self._others) >= others:
                at = max(at, self._others[-others] + SECOND_US)
        return Micros(at)

    def _spacing(self, pace: int) -> int:
        spacing = self._gap_us * FULL // pace
        if self._per_second * pace < FULL:  # less than one call a second
            spacing = max(spacing, SECOND_US * FULL // (self._per_second * pace))
        return spacing

    def _note(self, lane: int) -> None:
        now = self._clock.now()
        self._taken.append(now)
        if lane != ORDERS:
            self._others.append(now)
        for calls in (self._taken, self._others):
            while len(calls) > self._per_second:
                calls.popleft()

    async def _serve(self) -> None:
        while self._waiting:
            waits = self._waiting[0]
            at = self._free_at(waits.lane)
            if waits.turn.done():
                heapq.heappop(self._waiting)
            elif at <= self._clock.now():
                heapq.heappop(self._waiting)
                self._give(waits)
            else:
                await self._clock.sleep_until(at)

    def _give(self, waits: _Waiting) -> None:
        """Give the turn to who waited for it longest, unless that call is not to be made any more."""
        try:
            if waits.gate is not None:
                waits.gate()
        except Exception as error:  # noqa: BLE001  whatever stops the call is its caller's to know, not the pump's
            waits.turn.set_exception(error)
        else:
            self._note(waits.lane)
            waits.turn.set_result(None)
