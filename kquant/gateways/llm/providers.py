"""What a service of language models is, whatever its SDK: requests in, answers or `ServiceError` out.

    KquantError
    └── ServiceError    the service gave no answer; `outcome` says what to do about it, `retry_after` when it told

No error carries a header, an address or a key: messages are cut short and every secret in them is struck out.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import Any, Literal, Protocol
from urllib.parse import quote, quote_plus, urlsplit

from msgspec import Struct

from kquant.gateways.llm.asked import Prompt
from kquant.gateways.llm.untrusted import clean
from kquant.settings import LlmJobSettings
from kquant.values import KquantError

BODY_BYTES = 4 << 20
"""An answer's body is not read beyond this."""
WHY_CHARS = 160
CONNECT_SECONDS = 10.0
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

Outcome = Literal["limited", "overloaded", "gone", "refused", "broken", "late"]
Finish = Literal["stop", "cut", "blocked", "other"]


class ServiceError(KquantError):
    """No answer. outcome: as in `llm.answered`.   retry_after: seconds the service asks to wait, None if it does not.

    billed: the request may have been worked on, so it may cost.   lasting: no other request will fare better.
    """

    def __init__(
        self,
        outcome: Outcome,
        why: str,
        *,
        retry_after: float | None = None,
        billed: bool = False,
        lasting: bool = False,
    ) -> None:
        super().__init__(why)
        self.outcome: Outcome = outcome
        self.retry_after = retry_after
        self.billed = billed
        self.lasting = lasting


class Answer(Struct, frozen=True, kw_only=True):
    """What a model said. text: "" if nothing.   tokens_out: with the thinking.   model: who the service says it was."""

    text: str
    finish: Finish
    tokens_in: int
    tokens_out: int
    model: str


class Service(Protocol):
    """One service with one key."""

    async def models(self) -> tuple[str, ...]:
        """Return the names the service serves. Raises ServiceError."""

    async def ask(self, job: LlmJobSettings, prompt: Prompt) -> Answer:
        """Return the model's answer. Raises ServiceError. One request: trying again is the caller's business."""

    async def close(self) -> None:
        """Close the connections."""


class Lazy:
    """An SDK's client, made in a thread when it is first needed: importing an SDK takes half a second."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load
        self._loading: asyncio.Task[Any] | None = None

    async def get(self) -> Any:
        """Return the client. Raises ServiceError if its SDK is not installed."""
        if self._loading is None:
            self._loading = asyncio.ensure_future(asyncio.to_thread(self._load))
        try:
            return await asyncio.shield(self._loading)
        except ImportError as error:
            raise ServiceError(
                "refused", f"{error.name} is not installed: install kquant with its extra llm", lasting=True
            ) from None

    async def made(self) -> Any | None:
        """Return the client if there is one; without its SDK there is none."""
        if self._loading is None:
            return None
        try:
            return await self.get()
        except ServiceError:
            return None


def struck(text: str, secrets: tuple[str, ...]) -> str:
    """Return *text* without any of the secrets, however they are written in it."""
    for secret in secrets:
        for form in (secret, quote(secret, safe=""), quote_plus(secret)) if secret else ():
            text = text.replace(form, "(hidden)")
    return text


def redacted(text: str, secrets: tuple[str, ...]) -> str:
    """Return *text* short, plain, and without any of the secrets."""
    return clean(struck(text, secrets), WHY_CHARS)


def transport_error(error: Any, secrets: tuple[str, ...]) -> ServiceError | None:
    """Return what an httpx2 error means, None if it is none."""
    httpx = importlib.import_module("httpx2")
    billed = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    if isinstance(error, httpx.TimeoutException):
        return ServiceError("late", f"no answer in time ({type(error).__name__})", billed=billed)
    if isinstance(error, httpx.TransportError):
        return ServiceError("broken", redacted(f"{type(error).__name__}: {error}", secrets), billed=billed)
    return None


def unreadable(error: Exception) -> ServiceError:
    """Return what an answer in no known form is. The SDK's text may repeat all of it, so only its kind is told."""
    return ServiceError("broken", f"an answer that cannot be read ({type(error).__name__})", billed=True)


def error_of(status: int, message: str, retry_after: float | None, secrets: tuple[str, ...]) -> ServiceError:
    """Return what an HTTP status means (kis-protocol 7.3, 7.4)."""
    why = f"{status}: {redacted(message, secrets)}"
    if status == 429:
        return ServiceError("limited", why, retry_after=retry_after)
    if status in {408, 500, 502, 503, 504, 529}:
        return ServiceError("overloaded", why, retry_after=retry_after)
    return ServiceError("gone" if status == 404 else "refused", why, lasting=status in {401, 402, 403, 404})


def seconds_in(text: object) -> float | None:
    """Return a delay written as "7", "7s" or "7.25s" in seconds; None for anything else, negative or beyond a day."""
    try:
        seconds = float(str(text).strip().removesuffix("s"))
    except ValueError:
        return None
    return seconds if 0 <= seconds <= 86_400 else None


def http_client(base_url: str, timeout_seconds: float) -> Any:
    """Return an HTTP client for an SDK; it reads no body beyond BODY_BYTES. Imports httpx2, which both SDKs bring."""
    httpx = importlib.import_module("httpx2")

    class Bounded(httpx.AsyncByteStream):  # type: ignore[misc, name-defined]
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        async def __aiter__(self) -> Any:
            seen = 0
            async for chunk in self._stream:
                seen += len(chunk)
                if seen > BODY_BYTES:
                    raise httpx.RemoteProtocolError(f"the answer is longer than {BODY_BYTES:,} bytes")
                yield chunk

        async def aclose(self) -> None:
            await self._stream.aclose()

    async def uncompressed(request: Any) -> None:
        # A compressed body could be small here and huge once it is read.
        request.headers["Accept-Encoding"] = "identity"

    async def bounded(response: Any) -> None:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise httpx.RemoteProtocolError("the answer is compressed, though none was asked for")
        response.stream = Bounded(response.stream)

    return httpx.AsyncClient(
        timeout=httpx.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds)),
        follow_redirects=False,
        event_hooks={"request": [uncompressed], "response": [bounded]},
        # A proxy of the environment is for the world, never for a server on this machine.
        trust_env=urlsplit(base_url).hostname not in LOOPBACK,
    )
