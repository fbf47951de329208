"""Tokens, approval keys and the calls-per-second limit. Wall times are epoch seconds handed in by the caller.

Source: kis-protocol.md 1.2-1.4, 1.8.
"""

import base64
import hashlib
import hmac
import json
from typing import Final

from msgspec import Struct

TOKEN_LIFE_S: Final = 86_400
TOKEN_REUSE_S: Final = 6 * 3_600
ISSUE_GAP_S: Final = 60
APPROVAL_LIFE_S: Final = 86_400


class Credentials(Struct, kw_only=True):
    """What outlives a restart of the exchange: issued tokens and approval keys with their wall times."""

    tokens: dict[str, float] = {}
    """Token -> wall time of its issue."""
    approvals: dict[str, float] = {}
    issued: int = 0
    last_request: float = 0.0


class TokenOffice:
    """Issues and checks the access tokens of one app key."""

    def __init__(self, credentials: Credentials, *, app_key: str, app_secret: str, salt: bytes) -> None:
        self.credentials = credentials
        self.app_key = app_key
        self.app_secret = app_secret
        self._salt = salt

    def issue(self, wall: float) -> tuple[str, float] | None:
        """Return (token, wall time of issue), the same for six hours; None within a minute of a request."""
        kept = self.credentials
        for token, at in kept.tokens.items():
            if 0 <= wall - at < TOKEN_REUSE_S:
                return token, at
        if kept.issued and 0 <= wall - kept.last_request < ISSUE_GAP_S:
            return None
        kept.issued += 1
        kept.last_request = wall
        claims = {"sub": "token", "iss": "unogw", "iat": int(wall), "exp": int(wall) + TOKEN_LIFE_S, "n": kept.issued}
        parts = [_text(json.dumps({"typ": "JWT", "alg": "HS512"}).encode()), _text(json.dumps(claims).encode())]
        signature = hmac.new(self._salt + self.app_secret.encode(), ".".join(parts).encode(), hashlib.sha512)
        token = ".".join([*parts, _text(signature.digest())])
        kept.tokens = {old: at for old, at in kept.tokens.items() if wall - at < TOKEN_LIFE_S}
        kept.tokens[token] = wall
        return token, wall

    def revoke(self, token: str) -> bool:
        """Forget a token; False when it was unknown."""
        return self.credentials.tokens.pop(token, None) is not None

    def void(self, wall: float, *, expired: bool) -> None:
        """End every token at *wall*: as expired (EGW00123), or as if never issued (EGW00121)."""
        kept = self.credentials
        kept.tokens = dict.fromkeys(kept.tokens, wall - TOKEN_LIFE_S) if expired else {}

    def fault(self, token: str, wall: float) -> str | None:
        """Return the EGW code that refuses *token* at *wall*, or None."""
        at = self.credentials.tokens.get(token)
        if at is None:
            return "EGW00121"
        return "EGW00123" if wall - at >= TOKEN_LIFE_S else None

    def is_approved(self, key: str, wall: float) -> bool:
        """Return whether *key* is an approval key of this office and not older than 24 hours."""
        at = self.credentials.approvals.get(key)
        return at is not None and wall - at < APPROVAL_LIFE_S

    def approval(self, wall: float) -> str:
        """Return a new approval key in the shape of a UUID."""
        kept = self.credentials
        kept.issued += 1
        digest = hashlib.sha256(self._salt + f"approval {kept.issued} {self.app_key}".encode()).hexdigest()
        key = f"{digest[:8]}-{digest[8:12]}-4{digest[12:15]}-a{digest[15:18]}-{digest[18:30]}"
        kept.approvals = {old: at for old, at in kept.approvals.items() if wall - at < APPROVAL_LIFE_S}
        kept.approvals[key] = wall
        return key


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


class CallLimit:
    """At most so many calls a second, and of them so many that reach the ledger behind the gateway (None: no more of a limit).

    second_s: wall seconds that a second takes; less where market time runs faster than the wall.   `step` is called
    when market time moves under a stepped clock, and only then. Source: kis-protocol 1.8.
    """

    def __init__(self, per_second: int, ledger_per_second: int | None = None) -> None:
        self._per_second = per_second
        self._ledger_per_second = ledger_per_second
        self._count = 0
        self._ledger = 0
        self._since = float("-inf")
        self.second_s = 1.0

    def step(self) -> None:
        """Market time moved: a new second begins."""
        self._count = self._ledger = 0

    def refuse(self, wall: float, *, ledger: bool) -> str | None:
        """Count one call at *wall* and return the code it is refused with, None within the limits."""
        if wall - self._since >= self.second_s or wall < self._since:
            self._since, self._count, self._ledger = wall, 0, 0
        self._count += 1
        if self._count > self._per_second:
            return "EGW00201"
        self._ledger += ledger
        if ledger and self._ledger_per_second is not None and self._ledger > self._ledger_per_second:
            return "EGW00215"
        return None
