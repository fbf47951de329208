"""What a fault book is told and what it answers, hook by hook."""

from collections.abc import Collection
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

from kquant.exchange.core.rest import Request, Response

Service = Literal["real", "paper"]
Drop = Literal["", "abort", "close"]
"""Nothing, end without a close frame, or end in order."""
Lose = Literal["", "abort", "hang"]


class Now(NamedTuple):
    """The moment: market time as UTC microseconds and as the KST second of the day, the wall as epoch seconds."""

    us: int
    second: int
    wall: float


class Session(Protocol):
    """What is looked at of a WebSocket session."""

    number: int

    def cipher(self, tr_id: str) -> tuple[str, str]:
        """Return the AES key and iv of a channel."""

    @property
    def registered(self) -> Collection[tuple[str, str]]:
        """Return what it holds, as (tr_id, tr_key)."""


class Before(Struct, kw_only=True):
    """What to do with a call before its effect. Waits are milliseconds, of the wall and of the market's clock.

    request: the call as the exchange is to see it.
    """

    request: Request
    wall_ms: int = 0
    market_ms: int = 0
    lose: Lose = ""
    reply: Response | None = None
    """Answer this; the call has no effect."""
    reject_order: bool = False


class After(Struct, kw_only=True):
    """What to do with an answer after the effect."""

    response: Response
    wall_ms: int = 0
    market_ms: int = 0
    lose: Lose = ""


class Connected(NamedTuple):
    """What to do with a handshake: refuse it with an HTTP status (0: accept), drop the line once accepted."""

    status: int = 0
    drop: Drop = ""


class Incoming(NamedTuple):
    """What to do with a text of the client: `answers` instead of the exchange's (None: the exchange answers)."""

    answers: tuple[str, ...] | None = None
    drop: Drop = ""


class Outgoing(NamedTuple):
    """What is sent now in place of a text, and whether the line is lost after it.

    swallowed_ping: a PINGPONG was kept back on purpose; the session must not be blamed for not echoing it.
    """

    texts: tuple[str, ...]
    drop: Drop = ""
    swallowed_ping: bool = False


class Moment(NamedTuple):
    """Something to do now with a line of a service, or (session 0) with the service's tokens."""

    act: Literal["abort", "close", "freeze", "revoke", "expire"]
    service: Service
    session: int
