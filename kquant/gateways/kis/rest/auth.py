"""Access tokens and approval keys of one app key (kis-protocol 1.2 to 1.4).

A token lives 24 hours, KIS issues one a minute and sends the account holder a message for each: so it is kept in an
owner-only file that processes share under a lock, asked for by one caller for all, and only when it is needed: at the
first call, before the open (`renew_if_due`), and once after KIS has refused it. Expiry is counted from `expires_in` on
this machine's clock; the local time in the answer says KST and misled others by nine hours. A renewal that fails or
takes its time costs nobody a token that still lives, and no caller who gives up ends it for the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import structlog
from filelock import FileLock
from msgspec import Struct
from msgspec.structs import replace

from kquant.gateways.kis.rest.errors import KisError, KisNotSent, KisUnreadable, TokenTooSoon
from kquant.gateways.kis.rest.fields import text_field

MARGIN_SECONDS = 3_600
"""A token with less left is renewed by the next call."""
GAP_SECONDS = 61
"""KIS issues one token a minute and key."""
SAME_TOKEN_SECONDS = 6 * 3_600
"""Within this of an issue KIS gives the same token again, so that renewing it is no use."""
LIVES_SECONDS = 10
"""A token with more left is used while its renewal fails or is under way."""
PATIENCE_SECONDS = 2.0
"""How long a call with such a token waits for the renewal under way."""
APPROVAL_SECONDS = 8 * 3_600
"""An approval key lives 24 hours and is looked at with every registration: an older one could end while a day's
connection, of up to 13 hours, still registers with it (kis-protocol 1.4)."""
APPROVAL_GAP_SECONDS = 1.0
"""KIS issues one approval key a second: one younger than this is given again."""
SAME_AGAIN_SECONDS = 600
"""How long a token stays in use that KIS refuses and gives again: asking each minute would change nothing."""
LIFETIME_MAX = 10**7
LOCK_SECONDS = 30.0

log = structlog.get_logger("kquant.kis")

Post = Callable[[str, Mapping[str, str]], Awaitable[dict[str, Any]]]
"""Posts to an oauth path and returns the body, or raises KisError."""


class Secrets(Struct, frozen=True):
    """What signs the calls. Never printed."""

    app_key: str
    app_secret: str

    def __repr__(self) -> str:
        return "Secrets(hidden)"


class _Saved(Struct, frozen=True, kw_only=True):
    """The token file. Times are seconds since 1970 on this machine. owner: which key and host, hashed.

    asked: when a token was last asked for, whatever came of it.
    """

    owner: str = ""
    token: str = ""
    until: float = 0.0
    issued: float = 0.0
    asked: float = 0.0

    def __repr__(self) -> str:
        return "_Saved(hidden)"


class Auth:
    """One key's token and approval key. post: the oauth calls.   wall: seconds since 1970."""

    def __init__(
        self, host: str, secrets: Secrets, file: Path, post: Post, *, wall: Callable[[], float] = time.time
    ) -> None:
        self._owner = hashlib.sha256(f"{host} {secrets.app_key} {secrets.app_secret}".encode()).hexdigest()[:32]
        self._secrets = secrets
        self._file = file
        self._post = post
        self._wall = wall
        self._kept = _Saved()
        self._spoiled = "-"
        """The token that KIS refused last; it is not taken from the file again."""
        self._same_until = 0.0
        """Until when a refused token that KIS gave once more is not asked for again."""
        self._single = asyncio.Lock()
        self._renewing: asyncio.Task[None] | None = None
        self._approval = _Saved()
        self._approval_single = asyncio.Lock()
        self.issues = 0
        """Tokens this process asked for."""

    async def token(self) -> str:
        """Return a token that KIS should accept. Raises KisError; TokenTooSoon within a minute of the last request."""
        if not self._is_good(MARGIN_SECONDS):
            if self._renewing is None or self._renewing.done():
                self._renewing = asyncio.create_task(self._renew_alone(), name="token")
                self._renewing.add_done_callback(self._renewal_ended)
            if self._lives():
                await asyncio.wait({self._renewing}, timeout=PATIENCE_SECONDS)
            else:
                await asyncio.shield(self._renewing)
        return self._kept.token

    async def renew_if_due(self, before: float) -> bool:
        """Renew a token that would not live until *before* (seconds since 1970), if KIS would give another; True if so.

        Called in the morning with the end of the trading day, so that none ends while the market is open.
        """
        async with self._single:
            margin = max(before - self._wall(), MARGIN_SECONDS)
            if self._is_good(margin):
                return False
            issues = self.issues
            await self._renew(margin)
            return self.issues > issues

    def refused(self, token: str) -> None:
        """Have the token issued again before the next call, if it is still the one in use."""
        if token == self._kept.token:
            self._spoiled = token

    async def approval_key(self, *, renew: bool = False) -> str:
        """Return the feed's approval key; a new one if asked to, or if it is a day old."""
        async with self._approval_single:
            age = self._wall() - self._approval.issued
            fresh = 0 <= age < (APPROVAL_GAP_SECONDS if renew else APPROVAL_SECONDS)
            if not self._approval.token or not fresh:
                answer = await self._post("/oauth2/Approval", self._signed("secretkey"))
                key = text_field(answer, "approval_key", secret=True)
                self._approval = _Saved(token=key, issued=self._wall())
            return self._approval.token

    async def revoke(self) -> None:
        """Give the token back: for a key that will not be used again. Does nothing without one."""
        async with self._single, self._shared_file():
            self._take_over(await asyncio.to_thread(self._read))
            if self._kept.token:
                body = self._signed("appsecret") | {"token": self._kept.token}
                del body["grant_type"]
                await self._post("/oauth2/revokeP", body)
                self._kept = replace(self._kept, token="", until=0.0)
                await asyncio.to_thread(self._write, self._kept)

    def _is_good(self, margin: float) -> bool:
        kept, now = self._kept, self._wall()
        if not kept.token or kept.until - now <= margin:
            return False
        # A refused token stays in use until KIS would give another: then the refusal is the caller's answer.
        return kept.token != self._spoiled or now < max(kept.asked + GAP_SECONDS, self._same_until)

    def _lives(self) -> bool:
        """Tell whether the token at hand may be used although it is time for another."""
        kept = self._kept
        return bool(kept.token) and kept.token != self._spoiled and kept.until - self._wall() > LIVES_SECONDS

    async def _renew_alone(self) -> None:
        async with self._single:
            if not self._is_good(MARGIN_SECONDS):
                await self._renew(MARGIN_SECONDS)

    def _renewal_ended(self, task: asyncio.Task[None]) -> None:
        """Look at the end even if every caller has gone; one that cost nobody anything is told here and nowhere else."""
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, KisError):
            log.error("the token's renewal failed", exc_info=error)
        elif error is not None and not isinstance(error, TokenTooSoon) and self._lives():
            log.warning("the token could not be renewed, the one before it is still used", reason=str(error))

    def _is_young(self) -> bool:
        return self._is_good(MARGIN_SECONDS) and 0 <= self._wall() - self._kept.issued < SAME_TOKEN_SECONDS

    async def _renew(self, margin: float) -> None:
        """Take the token of another process, or ask for one, with all processes waiting for the one that asks."""
        async with self._shared_file():
            self._take_over(await asyncio.to_thread(self._read))
            if not self._is_good(margin) and not self._is_young():
                await self._issue()

    @contextlib.asynccontextmanager
    async def _shared_file(self) -> AsyncIterator[None]:
        """Hold the token file against other processes. Raises KisNotSent if it cannot be had or written."""
        lock = FileLock(f"{self._file}.lock", timeout=LOCK_SECONDS, thread_local=False)
        try:
            await asyncio.to_thread(lock.acquire)
            try:
                yield
            finally:
                lock.release()
        except OSError as error:
            raise KisNotSent(f"the token file {self._file.name} cannot be used: {error.strerror or error}") from None

    def _take_over(self, saved: _Saved) -> None:
        """Use the file's token if it lives longer than ours and is not the refused one."""
        if saved.until > self._kept.until and saved.token != self._spoiled:
            self._kept = saved
        elif saved.asked > self._kept.asked:
            self._kept = replace(self._kept, asked=saved.asked)

    async def _issue(self) -> None:
        since = self._wall() - self._kept.asked
        if 0 <= since < GAP_SECONDS:
            raise TokenTooSoon(int(GAP_SECONDS - since) + 1)
        self._kept = replace(self._kept, owner=self._owner, asked=self._wall())
        # The request stands in the file before it is made, so that a restart does not make it again too soon.
        await asyncio.to_thread(self._write, self._kept)
        self.issues += 1
        answer = await self._post("/oauth2/tokenP", self._signed("appsecret"))
        token = text_field(answer, "access_token", secret=True)
        if not token.isascii() or not token.isprintable() or " " in token:
            raise KisUnreadable("tokenP: access_token holds what no header can")
        lifetime = answer.get("expires_in")
        if not isinstance(lifetime, int) or isinstance(lifetime, bool) or not 0 < lifetime <= LIFETIME_MAX:
            raise KisUnreadable(f"tokenP: expires_in is {lifetime!r:.40}")
        now = self._wall()
        if token == self._spoiled:
            self._same_until = now + SAME_AGAIN_SECONDS
        self._kept = _Saved(owner=self._owner, token=token, until=now + lifetime, issued=now, asked=now)
        await asyncio.to_thread(self._write, self._kept)

    def _signed(self, secret_name: str) -> dict[str, str]:
        return {
            "grant_type": "client_credentials",
            "appkey": self._secrets.app_key,
            secret_name: self._secrets.app_secret,
        }

    def _read(self) -> _Saved:
        try:
            saved = msgspec.json.decode(self._file.read_bytes(), type=_Saved)
        except FileNotFoundError:
            return _Saved()
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._file.unlink(missing_ok=True)
            return _Saved()
        return saved if saved.owner == self._owner else _Saved()

    def _write(self, saved: _Saved) -> None:
        part = self._file.with_name(f"{self._file.name}.{os.getpid()}.part")
        part.unlink(missing_ok=True)  # whoever left it may have left it readable for others
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(saved))
        part.replace(self._file)
