"""KIS over HTTPS: one key's line to its service, and the two kinds of clients on it. What is asked stands in `calls/`.

Sources: kis-protocol 1.1 to 1.9. A line owns the key: secrets, token, budget and connection; every call of the key goes
through its one line, whoever makes it. Clients are roles on a line: `ReadOnlyClient` cannot name what is not a quotation
or reference TR and has no way to post; `TradingClient` may do both.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from kquant.gateways.clock import Clock
from kquant.gateways.follow import waiting_until
from kquant.gateways.kis.rest.auth import Auth, Secrets
from kquant.gateways.kis.rest.connector import GatedConnector, gated
from kquant.gateways.kis.rest.endpoints import ACCOUNT, DATA_TRS, ORDERS, Endpoint, Environment
from kquant.gateways.kis.rest.envelope import HTTP_OK, Answer, parse, read_answer, refusal
from kquant.gateways.kis.rest.environment import MASTER_URL, service_of
from kquant.gateways.kis.rest.errors import (
    LIMITED,
    RETRIED,
    TOKEN_GONE,
    UNSUPPORTED,
    KisError,
    KisNotSent,
    KisRefused,
    KisUnreachable,
    KisUnreadable,
    NotAllowed,
    NotOnPaper,
    StartError,
    TokenTooSoon,
)
from kquant.gateways.kis.rest.fields import int_field, text_field
from kquant.gateways.kis.rest.limits import Limiter
from kquant.values import SECOND_US, Micros

BODY_LIMIT = 1 << 20
FILE_LIMIT = 1 << 24
RETRY_AFTER_US = SECOND_US
JITTER_US = 300_000
TRADING_TRS = DATA_TRS | {endpoint.real for endpoint in (*ACCOUNT, *ORDERS)}
ORDER_TRS = frozenset(endpoint.real for endpoint in ORDERS)
DATA_ADVICE = "set KIS_DATA_APP_KEY and KIS_DATA_APP_SECRET to those of a real key, which is only read with"


def no_jitter() -> int:
    """Return no extra wait: for a clock that is stepped."""
    return 0


def some_jitter() -> int:
    """Return microseconds to wait longer before a second try, so that callers do not come back together."""
    return random.randrange(JITTER_US)  # noqa: S311  nobody gains by guessing it


class Line:
    """One key's connection to its service: token, budget and HTTP. Nothing above it sees a secret.

    token_file: owner-only, shared by processes.   advice: what to do when paper lacks something.
    """

    def __init__(
        self,
        base_url: str,
        secrets: Secrets,
        clock: Clock,
        limiter: Limiter,
        *,
        environment: Environment,
        timeout_seconds: int,
        token_file: Path,
        advice: str = DATA_ADVICE,
        jitter: Callable[[], int] = some_jitter,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.environment: Environment = environment
        self.clock = clock
        self.limiter = limiter
        self.advice = advice
        self.jitter = jitter
        self._base = base_url.rstrip("/")
        self._files = self._base if service_of(base_url) == "loopback" else MASTER_URL
        self._secrets = secrets
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self.auth = Auth(self._base, secrets, token_file, self._oauth, wall=wall)
        self._http: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the connection pool; again does nothing."""
        if self._http is None:
            # Cookies of one answer have no business in another's call, nor in a process that stays up for weeks.
            self._http = aiohttp.ClientSession(
                connector=GatedConnector(), timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()
            )

    async def close(self) -> None:
        """Close the connection pool; again does nothing."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def read(self, endpoint: Endpoint, params: Mapping[str, str], lane: int, *, following: bool) -> Answer:
        """Make one GET: token, turn, call."""
        token = await self.auth.token()
        await self.limiter.take(lane)
        return await self.send("GET", endpoint, token, params=params, following=following)

    async def send(
        self,
        method: str,
        endpoint: Endpoint,
        token: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, str] | None = None,
        following: bool = False,
        timeout_seconds: int | None = None,
        gate: Callable[[], None] | None = None,
    ) -> Answer:
        """Send one call and return its answer; what KIS says of token and pace is taken to heart.

        gate: asked once the connection stands; whatever it raises stops the call before its first byte.
        """
        tr_id = endpoint.tr_id(self.environment)
        headers = {
            "content-type": "application/json; charset=utf-8",
            "authorization": f"Bearer {token}",
            "appkey": self._secrets.app_key,
            "appsecret": self._secrets.app_secret,
            "tr_id": tr_id,
            "tr_cont": "N" if following else "",
            "custtype": "P",
        }
        data = None if body is None else msgspec.json.encode(body)
        timeout = self._timeout if timeout_seconds is None else aiohttp.ClientTimeout(total=timeout_seconds)
        try:
            with gated(gate):
                # A redirect would send the secrets elsewhere, and an order twice.
                answer = await self._session().request(
                    method,
                    self._base + endpoint.path,
                    headers=headers,
                    params=params,
                    data=data,
                    timeout=timeout,
                    allow_redirects=False,
                )
            async with answer:
                raw = await _body(answer)
                status, tr_cont = answer.status, answer.headers.get("tr_cont", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise KisUnreachable(f"{tr_id}: {type(error).__name__}") from None
        try:
            return read_answer(raw, tr_id, status, tr_cont)
        except KisRefused as error:
            if error.code in TOKEN_GONE:
                self.auth.refused(token)
            if error.code in LIMITED:
                self.limiter.slow_down()
            raise self._without_secrets(error, token) from None

    def _without_secrets(self, error: KisRefused, token: str = "") -> KisRefused:
        """Return it with what signs our calls struck out of its words, which are logged and recorded."""
        message = error.message
        for secret in (self._secrets.app_secret, self._secrets.app_key, token):
            message = message.replace(secret, "(hidden)") if secret else message
        return error if message == error.message else KisRefused(error.code, message, error.status)

    async def download(self, path: str) -> bytes:
        """Return a file that needs no key."""
        try:
            async with self._session().get(self._files + path, allow_redirects=False) as answer:
                if answer.status != HTTP_OK:
                    raise KisRefused(str(answer.status), f"download of {path}", answer.status)
                return await _body(answer, FILE_LIMIT)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise KisUnreachable(f"download of {path}: {type(error).__name__}") from None

    async def _oauth(self, path: str, body: Mapping[str, str]) -> dict[str, Any]:
        try:
            async with self._session().post(
                self._base + path,
                data=msgspec.json.encode(body),
                headers={"content-type": "application/json"},
                allow_redirects=False,
            ) as answer:
                parsed = parse(await _body(answer), path, answer.status)
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise KisUnreachable(f"{path}: {type(error).__name__}") from None
        if status != HTTP_OK or "error_code" in parsed or parsed.get("rt_cd", "0") != "0":
            raise self._without_secrets(refusal(parsed, status))
        return parsed

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            raise KisError("the line to KIS is not started")
        return self._http


class ReadOnlyClient:
    """Reads quotations and reference data. It can neither name another TR nor post anything."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self._allowed = DATA_TRS

    @property
    def environment(self) -> Environment:
        """Return which service answers."""
        return self.line.environment

    @property
    def clock(self) -> Clock:
        """Return the run's clock."""
        return self.line.clock

    def offers(self, endpoint: Endpoint) -> bool:
        """Tell whether the service has the TR at all."""
        return bool(endpoint.tr_id(self.environment))

    async def get(self, endpoint: Endpoint, params: Mapping[str, str], *, lane: int, following: bool = False) -> Answer:
        """Ask; once more after about a second when the answer was a limit or a passing trouble, at once for a new token.

        Raises NotAllowed for a TR outside this client's role, NotOnPaper for one that the paper service lacks.
        """
        if endpoint.real not in self._allowed or endpoint.real in ORDER_TRS:
            raise NotAllowed(f"{endpoint.real} ({endpoint.what}) is nothing that a {type(self).__name__} may ask")
        if not self.offers(endpoint):
            raise self.missing(endpoint)
        try:
            return await self.line.read(endpoint, params, lane, following=following)
        except KisRefused as error:
            if error.code in LIMITED | RETRIED:
                again = Micros(self.clock.now() + RETRY_AFTER_US + self.line.jitter())
                with waiting_until(again):
                    await self.clock.sleep_until(again)
            elif error.code in UNSUPPORTED and self.environment == "paper":
                raise self.missing(endpoint) from None
            elif error.code not in TOKEN_GONE:
                raise
        try:
            return await self.line.read(endpoint, params, lane, following=following)
        except KisRefused as error:
            if error.code in UNSUPPORTED and self.environment == "paper":
                raise self.missing(endpoint) from None
            raise

    async def download(self, path: str) -> bytes:
        """Return a file that needs no key."""
        return await self.line.download(path)

    def missing(self, endpoint: Endpoint) -> NotOnPaper:
        """Return the error that says what the paper service lacks and what to do."""
        return NotOnPaper(f"the paper service has no {endpoint.real} ({endpoint.what}): {self.line.advice}")


class TradingClient(ReadOnlyClient):
    """Reads, asks an account, and sends orders: exactly one POST each."""

    def __init__(self, line: Line) -> None:
        super().__init__(line)
        self._allowed = TRADING_TRS

    async def post_once(
        self,
        endpoint: Endpoint,
        body: Mapping[str, str],
        *,
        lane: int,
        timeout_seconds: int,
        gate: Callable[[], None],
    ) -> Answer:
        """Send an order: exactly one POST, never repeated by anything here.

        Token and limit come first; *gate* is asked at its turn, which it gives to the next by raising, then last, before
        the POST and once its connection stands.
        Raises KisNotSent if it ends before the first byte.
        """
        if endpoint.real not in ORDER_TRS:
            raise NotAllowed(f"{endpoint.real} ({endpoint.what}) is no order")
        try:
            token = await self.line.auth.token()
        except KisError as error:
            raise KisNotSent(str(error)) from None
        await self.line.limiter.take(lane, gate)
        gate()
        return await self.line.send("POST", endpoint, token, body=body, timeout_seconds=timeout_seconds, gate=gate)


class RestClient(TradingClient):
    """A trading client that owns its line: all of one key's calls.

    per_second, gap_us, reserved: the key's budget (`limits`).   token_file: as for `Line`.
    """

    def __init__(
        self,
        base_url: str,
        secrets: Secrets,
        clock: Clock,
        *,
        per_second: int,
        timeout_seconds: int,
        token_file: Path,
        gap_us: int = 0,
        reserved: int = 0,
        environment: Environment = "real",
        advice: str = DATA_ADVICE,
        jitter: Callable[[], int] = no_jitter,
        wall: Callable[[], float] = time.time,
    ) -> None:
        limiter = Limiter(per_second, clock, gap_us=gap_us, reserved=reserved)
        line = Line(
            base_url, secrets, clock, limiter, environment=environment, timeout_seconds=timeout_seconds,
            token_file=token_file, advice=advice, jitter=jitter, wall=wall,
        )  # fmt: skip
        super().__init__(line)

    async def start(self) -> None:
        """Open the connection pool."""
        await self.line.start()

    async def close(self) -> None:
        """Close the connection pool."""
        await self.line.close()

    async def approval_key(self, *, renew: bool = False) -> str:
        """Return the feed's approval key, a new one if asked to."""
        return await self.line.auth.approval_key(renew=renew)


async def _body(answer: aiohttp.ClientResponse, limit: int = BODY_LIMIT) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in answer.content.iter_chunked(1 << 16):
        size += len(part)
        if size > limit:
            raise KisUnreadable(f"an answer longer than {limit} bytes")
        parts.append(part)
    return b"".join(parts)


__all__ = [
    "Answer",
    "KisError",
    "KisNotSent",
    "KisRefused",
    "KisUnreachable",
    "KisUnreadable",
    "Line",
    "NotAllowed",
    "NotOnPaper",
    "ReadOnlyClient",
    "RestClient",
    "Secrets",
    "StartError",
    "TokenTooSoon",
    "TradingClient",
    "int_field",
    "no_jitter",
    "some_jitter",
    "text_field",
]
