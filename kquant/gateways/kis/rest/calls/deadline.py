"""A call that may be given up: worth waiting for, but not worth missing a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from kquant.gateways.clock import Clock
from kquant.values import Micros

T = TypeVar("T")


async def in_time(clock: Clock, work: Coroutine[Any, Any, T], until: Micros) -> T | None:
    """Return what *work* gives, None once the clock reaches *until*; *work* is cancelled then. Its errors are raised."""
    if clock.now() >= until:
        work.close()
        return None
    task = asyncio.ensure_future(work)
    late = asyncio.ensure_future(clock.sleep_until(until))
    try:
        await asyncio.wait({task, late}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for each in (task, late):
            each.cancel()
