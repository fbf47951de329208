"""KIS over HTTPS: token, approval key, headers, envelope, limits and errors. What is asked stands in `calls.py`.

Sources: kis-protocol 1.1 to 1.9. The body is parsed whatever the status: a limit refusal is an HTTP 500 with JSON.
Secrets stay in this object; no error carries them.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct

from kquant.gateways.clock import Clock
from kquant.gateways.follow import waiting_until
from kquant.gateways.kis.limits import Limiter
from kquant.values import SECOND_US, KquantError, Micros

BODY_LIMIT = 1 << 20
FILE_LIMIT = 1 << 24
LIMITED = frozenset({"EGW00201", "EGW00215"})
TOKEN_GONE = frozenset({"EGW00121", "EGW00122", "EGW00123"})
RETRIED = frozenset({"EGW00001", "EGW00002", "EGW00202", "EGW00204", "EGW00300"})
TOKEN_MARGIN_SECONDS = 3_600
TOKEN_GAP_SECONDS = 61
"""KIS issues one token a minute and key."""


_WHOLE = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")
"""A whole number that can be stored, as KIS writes them."""


class KisError(KquantError):
    """Root of what a call can end in besides an answer."""


class KisRefused(KisError):
    """KIS said no: code, message and HTTP status."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(f"{code} {message}".strip())
        self.code = code
        self.message = message
        self.status = status


class KisUnreadable(KisError):
    """An answer that is not what the protocol says: no JSON, a missing or malformed field, too long."""


class KisUnreachable(KisError):
    """No answer: connection refused, reset or timed out. Whether the call arrived is not known."""


class KisNotSent(KisError):
    """The call ended before its first byte: no token could be had."""


class Secrets(Struct, frozen=True):
    """What signs the calls. Never printed."""

    app_key: str
    app_secret: str

    def __repr__(self) -> str:
        return "Secrets(hidden)"


class Answer(Struct, frozen=True):
    """A successful call: the parsed body, and the page marks of header and body."""

    body: dict[str, Any]
    more: bool
    raw: bytes


class RestClient:
    """One key's calls. lanes: see `limits.Lane`. The token is cached in an owner-only file beside the account's days."""

    def __init__(
        self, base_url: str, secrets: Secrets, clock: Clock, *, per_second: int, timeout_seconds: int, token_file: Path
    ) -> None:
        self._base = base_url.rstrip("/")
        self._secrets = secrets
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._token_file = token_file
        self._token = ""
        self._token_until = 0.0
        self._token_issued = 0.0
        self._token_spoiled = False
        self._token_refused: tuple[float, KisRefused] | None = None
        self._token_lock = asyncio.Lock()
        self._approval = ""
        self._limiter = Limiter(per_second, clock)
        self._http: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the connection pool."""
        self._http = aiohttp.ClientSession(timeout=self._timeout)

    async def close(self) -> None:
        """Close the connection pool."""
        if self._http is not None:
            await self._http.close()

    async def get(
        self, path: str, tr_id: str, params: Mapping[str, str], *, lane: int, following: bool = False
    ) -> Answer:
        """Ask; retried once after a limit, a passing gateway error or a lost token."""
        try:
            return await self._call("GET", path, tr_id, lane, params=params, following=following)
        except KisRefused as error:
            if error.code in LIMITED | RETRIED:
                again = Micros(self._clock.now() + SECOND_US)
                with waiting_until(again):
                    await self._clock.sleep_until(again)
            elif error.code not in TOKEN_GONE:
                raise
        return await self._call("GET", path, tr_id, lane, params=params, following=following)

    async def post_once(
        self,
        path: str,
        tr_id: str,
        body: Mapping[str, str],
        *,
        lane: int,
        timeout_seconds: int,
        gate: Callable[[], None],
    ) -> Answer:
        """Send an order: exactly one POST, never repeated by anything here.

        Token and limit come first; *gate* is asked last, synchronously before the POST, and stops it by raising.
        Raises KisNotSent if it ends before the first byte.
        """
        try:
            token = await self._valid_token()
        except KisError as error:
            raise KisNotSent(str(error)) from None
        await self._limiter.take(lane)
        gate()
        try:
            return await self._send("POST", path, tr_id, token, body=body, timeout_seconds=timeout_seconds)
        except KisRefused as error:
            self._note(error, token)
            raise

    async def download(self, path: str) -> bytes:
        """Return a file that needs no key."""
        try:
            async with self._session().get(self._base + path, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise KisRefused(str(answer.status), f"download of {path}", answer.status)
                return await _body(answer, FILE_LIMIT)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise KisUnreachable(f"download of {path}: {type(error).__name__}") from None

    async def approval_key(self, *, renew: bool = False) -> str:
        """Return the feed's approval key, a new one if asked to."""
        if renew or not self._approval:
            body = {
                "grant_type": "client_credentials",
                "appkey": self._secrets.app_key,
                "secretkey": self._secrets.app_secret,
            }
            answer = await self._oauth("/oauth2/Approval", body)
            self._approval = text_field(answer, "approval_key", secret=True)
        return self._approval

    async def _call(
        self,
        method: str,
        path: str,
        tr_id: str,
        lane: int,
        *,
        params: Mapping[str, str],
        following: bool,
    ) -> Answer:
        token = await self._valid_token()
        await self._limiter.take(lane)
        try:
            return await self._send(method, path, tr_id, token, params=params, following=following)
        except KisRefused as error:
            self._note(error, token)
            raise

    def _note(self, error: KisRefused, token: str) -> None:
        """Have the token issued again before the next call, if it is still the one that was refused."""
        if error.code in TOKEN_GONE and token == self._token:
            self._token_spoiled = True

    async def _send(
        self,
        method: str,
        path: str,
        tr_id: str,
        token: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, str] | None = None,
        following: bool = False,
        timeout_seconds: int | None = None,
    ) -> Answer:
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
            async with self._session().request(
                method,
                self._base + path,
                headers=headers,
                params=params,
                data=data,
                timeout=timeout,
                # A redirect would send the secrets elsewhere, and an order twice.
                allow_redirects=False,
            ) as answer:
                raw = await _body(answer)
                status, more = answer.status, answer.headers.get("tr_cont", "") in {"F", "M"}
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise KisUnreachable(f"{tr_id}: {type(error).__name__}") from None
        parsed = _parse(raw, tr_id, status)
        if parsed.get("rt_cd") != "0" or status != 200:
            if "rt_cd" not in parsed and "error_code" not in parsed:
                raise KisUnreadable(f"{tr_id}: HTTP {status} without rt_cd")
            if parsed.get("rt_cd") == "0":
                raise KisUnreadable(f"{tr_id}: HTTP {status} with rt_cd 0")
            code = str(parsed.get("msg_cd") or parsed.get("error_code") or "")
            message = str(parsed.get("msg1") or parsed.get("error_description") or "").strip()
            raise KisRefused(code, message, status)
        return Answer(parsed, more, raw)

    async def _valid_token(self) -> str:
        async with self._token_lock:
            if not self._token:
                self._read_token()
            now = time.time()
            old = self._token_spoiled and now - self._token_issued > TOKEN_GAP_SECONDS
            if old or now > self._token_until - TOKEN_MARGIN_SECONDS:
                await self._issue_token()
            return self._token

    async def _issue_token(self) -> None:
        """Ask for a token, but never within a minute of a refusal."""
        if self._token_refused is not None and time.time() - self._token_refused[0] < TOKEN_GAP_SECONDS:
            raise self._token_refused[1]
        body = {
            "grant_type": "client_credentials",
            "appkey": self._secrets.app_key,
            "appsecret": self._secrets.app_secret,
        }
        try:
            answer = await self._oauth("/oauth2/tokenP", body)
        except KisRefused as error:
            self._token_refused = (time.time(), error)
            raise
        token = text_field(answer, "access_token", secret=True)
        lifetime = answer.get("expires_in")
        if not isinstance(lifetime, int) or lifetime <= 0:
            raise KisUnreadable(f"tokenP: expires_in is {lifetime!r}")
        self._token, self._token_spoiled, self._token_refused = token, False, None
        self._token_issued = time.time()
        self._token_until = self._token_issued + lifetime
        self._write_token()

    def _read_token(self) -> None:
        try:
            saved = msgspec.json.decode(self._token_file.read_bytes(), type=_Saved)
        except FileNotFoundError:
            return
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._token_file.unlink()
            return
        self._token, self._token_until, self._token_issued = saved.token, saved.until, saved.issued

    def _write_token(self) -> None:
        part = self._token_file.with_suffix(".part")
        part.unlink(missing_ok=True)  # whoever left it may have left it readable for others
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(
                msgspec.json.encode(_Saved(token=self._token, until=self._token_until, issued=self._token_issued))
            )
        part.replace(self._token_file)

    async def _oauth(self, path: str, body: Mapping[str, str]) -> dict[str, Any]:
        try:
            async with self._session().post(
                self._base + path,
                data=msgspec.json.encode(body),
                headers={"content-type": "application/json"},
                allow_redirects=False,
            ) as answer:
                parsed = _parse(await _body(answer), path, answer.status)
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise KisUnreachable(f"{path}: {type(error).__name__}") from None
        if status != 200:
            code = str(parsed.get("error_code") or parsed.get("msg_cd") or status)
            raise KisRefused(code, str(parsed.get("error_description") or parsed.get("msg1") or "").strip(), status)
        return parsed

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            raise KisError("the REST client is not started")
        return self._http


class _Saved(Struct, frozen=True, kw_only=True):
    token: str
    until: float
    issued: float


async def _body(answer: aiohttp.ClientResponse, limit: int = BODY_LIMIT) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in answer.content.iter_chunked(1 << 16):
        size += len(part)
        if size > limit:
            raise KisUnreadable(f"an answer longer than {limit} bytes")
        parts.append(part)
    return b"".join(parts)


def _parse(raw: bytes, what: str, status: int) -> dict[str, Any]:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise KisUnreadable(f"{what}: HTTP {status} with a body that is no JSON object") from None


def text_field(row: Mapping[str, Any], name: str, *, secret: bool = False) -> str:
    """Return a field that must be text and not blank. Raises KisUnreadable naming it, and its value unless *secret*."""
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        shown = type(value).__name__ if secret else repr(value)[:80]
        raise KisUnreadable(f"field {name} is {shown}, not a text")
    return value.strip()


def int_field(row: Mapping[str, Any], name: str) -> int:
    """Return a field that must be a whole number, as text. "70850.0000" counts, "70850.5" does not."""
    text = text_field(row, name)
    if _WHOLE.fullmatch(text) is None:
        raise KisUnreadable(f"field {name} is {text[:80]!r}, not a whole number")
    return int(text.partition(".")[0])
