"""The last question before an order's first byte, asked once its connection stands.

Connecting can take seconds when the broker is slow. A halt that comes meanwhile must still count (`reliability` D65), so
the gate is asked again between the connection and the request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import aiohttp

_gate: ContextVar[Callable[[], None] | None] = ContextVar("gate", default=None)


@contextmanager
def gated(gate: Callable[[], None] | None) -> Iterator[None]:
    """Inside, the calling task's request is stopped by whatever *gate* raises once its connection stands."""
    token = _gate.set(gate)
    try:
        yield
    finally:
        _gate.reset(token)


class GatedConnector(aiohttp.TCPConnector):
    """A connector that asks the gate of the request it connects."""

    async def connect(self, *arguments: Any, **named: Any) -> Any:
        """Return a connection to write to at once. Raises what the gate raises; nothing was written then."""
        connection = await super().connect(*arguments, **named)
        gate = _gate.get()
        if gate is not None:
            try:
                gate()
            except BaseException:
                connection.release()
                raise
        return connection
