"""The client's own order and read gateways, REST calls, parsing and classification, joined to the look-alike in memory.

Only two things are replaced: the socket (`Door`, in place of an aiohttp session), and how tasks are run (each to its
end, at once). What happens on the way is the test's: a request or an answer may be lost, late or damaged.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Self

import aiohttp
from msgspec import Struct

from kquant.events.base import Event, Recorded
from kquant.events.orders import OrderSendStarted
from kquant.exchange.core.rest import Request, Response
from kquant.gateways.clock import Clock
from kquant.gateways.kis.rest import connector
from kquant.gateways.kis.rest.calls import KisCalls
from kquant.gateways.kis.rest.client import Line, Secrets, TradingClient, no_jitter
from kquant.gateways.kis.rest.limits import Limiter
from kquant.gateways.kis.rest.orders import OrderGateway
from kquant.gateways.kis.rest.reads import RestGateway
from kquant.journal.port import AlreadyAnswered, Journal
from kquant.krx import SessionHours
from kquant.settings import Settings
from kquant.values import Micros, Seq
from tests.money.broker import ACCOUNT, KEY, SECRET, Broker

_LOOP = asyncio.new_event_loop()
TIMEOUT_SECONDS = 5


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end on a private loop."""
    return _LOOP.run_until_complete(work)


class Suspended(BaseException):
    """The request is on its way, and its answer too: the call will be finished later, from what was answered."""


class Reply(Struct, frozen=True):
    """What comes back over the wire: status, headers, bytes. None as status: nothing comes back."""

    status: int | None
    body: bytes = b""
    tr_cont: str = ""


LOST = Reply(None)


def reply_of(response: Response) -> Reply:
    """Return the look-alike's answer as it goes over the wire."""
    return Reply(response.status, response.content, response.headers.get("tr_cont", ""))


def says(status: int, **body: object) -> Reply:
    """Return an answer with that JSON body."""
    return Reply(status, json.dumps(body, ensure_ascii=False).encode())


def refusal(code: str, text: str = "no", status: int = 200) -> Reply:
    """Return a refusal with that message code."""
    return says(status, rt_cd="1", msg_cd=code, msg1=text)


class _Content:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        for start in range(0, len(self._raw), size):
            yield self._raw[start : start + size]


class _Answered:
    """What an aiohttp session gives for a request."""

    def __init__(self, status: int, reply: Reply) -> None:
        self.status, self.headers = status, {"tr_cont": reply.tr_cont}
        self.content = _Content(reply.body)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


class Door:
    """Stands where the HTTP session would. `answer` is asked for every call's reply."""

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self.answer = answer

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        data: bytes | None = None,
        **_: object,
    ) -> _Answered:
        request = Request(
            method=method,
            path="/" + url.split("/", 3)[3],
            headers={name.lower(): value for name, value in headers.items()},
            params=dict(params or {}),
            body=json.loads(data) if data else {},
        )
        gate = connector._gate.get()
        if gate is not None:
            gate()  # the connection stands: as `GatedConnector` does
        reply = self.answer(request)
        if reply.status is None:
            raise aiohttp.ServerDisconnectedError
        return _Answered(reply.status, reply)


class _Known:
    """Stands where the token's keeper would: a token that is good."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self) -> str:
        return self._token

    def refused(self, token: str) -> None:
        return None


class _Free:
    """Stands where the pace would: every call may be made at once."""

    async def take(self, lane: int, gate: object = None) -> None:
        return None

    def slow_down(self) -> None:
        return None


def calls_of(broker: Broker, clock: Clock, answer: Callable[[Request], Reply]) -> KisCalls:
    """Return the account's calls, answered by *answer*."""
    line = Line(
        "http://127.0.0.1:1", Secrets(KEY, SECRET), clock, Limiter(1, clock), environment=broker.environment,
        timeout_seconds=TIMEOUT_SECONDS, token_file=Path("unused"), jitter=no_jitter,
    )  # fmt: skip
    line.auth = _Known(broker.token())  # type: ignore[assignment]
    line.limiter = _Free()  # type: ignore[assignment]
    line._http = Door(answer)  # type: ignore[assignment]
    return KisCalls(TradingClient(line), "-".join(ACCOUNT))


class PinnedClock:
    """The run's clock, or the instant a call that is finished later was begun at."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.pinned: Micros | None = None

    def now(self) -> Micros:
        return self._clock.now() if self.pinned is None else self.pinned

    async def sleep_until(self, at: Micros) -> None:
        return None


class Gate:
    """The halt flag, and whether it was up when a call that is finished later was begun."""

    def __init__(self) -> None:
        self.halted = False
        self.armed = True

    def is_halted(self) -> bool:
        return self.halted

    def is_armed(self) -> bool:
        return self.armed


def _fatal(reason: str) -> None:
    raise AssertionError(f"the gateway stops the run: {reason}")


class CrankedOrders(OrderGateway):
    """The order gateway, each task run to its end or to where its answer is waited for."""

    def __init__(self, journal: Journal, calls: KisCalls, clock: Clock, gate: Gate, hours: SessionHours) -> None:
        super().__init__(
            journal, calls, clock, gate, hours, allowed=True, timeout_seconds=TIMEOUT_SECONDS,
            changed=lambda: None, on_fatal=_fatal,
        )  # fmt: skip
        self.resumed = False
        """The call was begun before: its send is in the log already."""

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        run(work)

    async def append(self, event: Event, caused_by: Seq | None, index: int = 0) -> bool:
        if self.resumed and isinstance(event, OrderSendStarted):
            return True
        return _append(self._journal, self.stream, self.by, event, caused_by, index)


class CrankedReads(RestGateway):
    """The read gateway, each task run to its end."""

    def __init__(self, journal: Journal, calls: KisCalls, clock: Clock, settings: Settings) -> None:
        super().__init__(
            journal, calls, clock, None, settings.krx.ticks, price=lambda _: None,  # type: ignore[arg-type]
            changed=lambda: None, on_fatal=_fatal,
        )  # fmt: skip

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        run(work)

    async def append(self, event: Event, caused_by: Seq | None, index: int = 0) -> bool:
        return _append(self._journal, self.stream, self.by, event, caused_by, index)


def _append(journal: Journal, stream: str, by: str, event: Event, caused_by: Seq | None, index: int) -> bool:
    try:
        journal.append(stream, [event], by=by, caused_by=caused_by, first_index=index).result()
    except AlreadyAnswered:
        return False
    return True


class Flight(Struct, frozen=True):
    """A call whose request is sent and whose answer is not here. at, halted: when it was begun."""

    fact: Recorded
    at: Micros
    halted: bool
    reply: Reply
