"""A clock that is moved by hand, and a run of a gateway until it is idle."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

from kquant.gateways.follow import Answering
from kquant.values import Micros


class HandClock:
    def __init__(self, now: int = 1_000) -> None:
        self._now = now
        self._waiting: list[tuple[int, asyncio.Event]] = []

    def now(self) -> Micros:
        return Micros(self._now)

    async def sleep_until(self, at: Micros) -> None:
        if at <= self._now:
            return
        event = asyncio.Event()
        self._waiting.append((at, event))
        await event.wait()

    def set(self, at: int) -> None:
        self._now = at
        for due, event in self._waiting:
            if due <= at:
                event.set()


class Shelf:
    """Attachments in memory."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def put(self, content: bytes) -> str:
        name = hashlib.sha256(content).hexdigest()
        self.contents[name] = content
        return name

    def get(self, name: str) -> bytes:
        return self.contents[name]


class Quiet:
    """What a gateway calls when it may have become idle; waits for it."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.fatal: list[str] = []

    def changed(self) -> None:
        self.event.set()

    def on_fatal(self, reason: str) -> None:
        self.fatal.append(reason)
        self.event.set()

    async def until_idle(self, gateway: Answering) -> None:
        while not gateway.idle() and not self.fatal:
            self.event.clear()
            if not gateway.idle():
                await self.event.wait()
        assert self.fatal == []


async def until(holds: Callable[[], object]) -> None:
    """Let the loop turn until something holds that nobody announces."""
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0)
