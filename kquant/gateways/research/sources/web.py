"""HTTP for research sources: paced, bounded in size and time, tried again after passing troubles, counted for the day.

No error holds an address's query or an answer's text: keys travel in queries, and answers come from strangers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

import aiohttp
from msgspec import Struct

from kquant.gateways.clock import Clock
from kquant.gateways.research.sources.cache import Book
from kquant.gateways.research.sources.port import SourceDown, SourceRefused, SourceUnreadable
from kquant.settings import ResearchServiceSettings
from kquant.values import SECOND_US, Micros

TRIES: Final = 4
BACK_OFF_SECONDS: Final = 2
LONGEST_WAIT_SECONDS: Final = 120
"""A service that wants us to wait longer is left for today."""
MOST_BYTES: Final = 32 << 20
COUNTED: Final = 50
"""The day's count is written every so many requests; a crash forgets fewer than these."""


class Answer(Struct, frozen=True, kw_only=True):
    """What came back, whatever it means to the service."""

    status: int
    body: bytes


class Pace:
    """At most one request every `gap_ms`, and `day_requests` a day over all processes that share the book."""

    def __init__(self, clock: Clock, settings: ResearchServiceSettings, name: str, book: Book[int]) -> None:
        self._clock = clock
        self._gap_us = settings.gap_ms * 1_000
        self._most = settings.day_requests
        self._name = name
        self._book = book
        kept = book.get(name)
        self._used = self._written = 0 if kept is None else kept.value
        self._next = Micros(0)

    async def turn(self) -> None:
        """Return when the next request may go. Raises SourceRefused when the day's requests are used up."""
        if self._used >= self._most:
            raise SourceRefused(f"{self._name}: the day's {self._most:,} requests are used up")
        self._used += 1
        if self._used - self._written >= COUNTED or self._used == 1:
            self.note()
        at = max(self._clock.now(), self._next)
        self._next = Micros(at + self._gap_us)
        await self._clock.sleep_until(at)

    def note(self) -> None:
        """Write the day's count down."""
        if self._used != self._written:
            self._book.put(self._name, self._clock.now(), self._used)
            self._written = self._used


class Web:
    """One service's connection. An async context manager. host: told in errors in place of the address."""

    def __init__(self, clock: Clock, settings: ResearchServiceSettings, name: str, counts: Book[int]) -> None:
        self._clock = clock
        self._settings = settings
        self._name = name
        self._pace = Pace(clock, settings, name, counts)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout_seconds), trust_env=False
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pace.note()
        if self._session is not None:
            await self._session.close()

    async def get(
        self,
        path: str,
        params: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        *,
        most_bytes: int = MOST_BYTES,
    ) -> Answer:
        """Return the answer, whatever its status says short of 429 and 5xx. Raises SourceError."""
        why, limited = "", False
        for number in range(TRIES):
            if number:
                await self._wait(BACK_OFF_SECONDS << (number - 1))
            await self._pace.turn()
            try:
                answer, asked_to_wait = await self._once(path, params, headers, most_bytes)
            except (TimeoutError, aiohttp.ClientError, OSError) as error:
                limited = False
                why = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
                continue
            limited = answer.status == 429
            if limited:
                why = "429 too many requests"
                if asked_to_wait > LONGEST_WAIT_SECONDS:
                    raise SourceRefused(f"{self._name}: {why}, come back in {asked_to_wait} s")
                await self._wait(asked_to_wait)
            elif answer.status >= 500:
                why = f"HTTP {answer.status}"
            else:
                return answer
        raise (SourceRefused if limited else SourceDown)(f"{self._name}: {why}, {TRIES} times")

    async def _once(
        self, path: str, params: Mapping[str, str], headers: Mapping[str, str] | None, most_bytes: int
    ) -> tuple[Answer, int]:
        if self._session is None:
            raise RuntimeError(f"{self._name} was asked before it was opened")
        url = self._settings.base_url.rstrip("/") + path
        async with self._session.get(url, params=params, headers=headers, allow_redirects=False) as response:
            body = bytearray()
            async for chunk in response.content.iter_chunked(1 << 16):
                body += chunk
                if len(body) > most_bytes:
                    raise SourceUnreadable(f"{self._name}: an answer of more than {most_bytes:,} bytes")
            return Answer(status=response.status, body=bytes(body)), _seconds(response.headers.get("Retry-After", ""))

    async def _wait(self, seconds: int) -> None:
        await self._clock.sleep_until(Micros(self._clock.now() + seconds * SECOND_US))


def _seconds(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


async def let_others_run() -> None:
    """Give way to the loop between pieces of work that wait for nothing."""
    await asyncio.sleep(0)
