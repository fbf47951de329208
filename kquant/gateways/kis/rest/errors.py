"""What a call to KIS can end in besides an answer, and what the codes mean for a client (kis-protocol 1.9).

KisError
├── KisRefused       KIS said no: code, text, HTTP status
├── NotOnPaper       the paper service does not offer it, and no data key was given
├── KisUnreadable    an answer that is not what the protocol says
├── KisUnreachable   no answer; whether the call arrived is not known
├── KisNotSent       the call ended before its first byte
│   ├── TokenTooSoon KIS issues one token a minute
│   └── NotAllowed   a client was asked for what its role may not name
└── StartError       keys, host or account do not belong together; nothing may start

No error carries a secret.
"""

from __future__ import annotations

from kquant.values import KquantError

LIMITED = frozenset({"EGW00201", "EGW00215"})
"""Too many calls this second, at the gateway or at the ledger. The call was not carried out."""
TOKEN_GONE = frozenset({"EGW00121", "EGW00122", "EGW00123"})
"""The token is not valid, not found or expired: after a revocation, too."""
RETRIED = frozenset({"EGW00001", "EGW00002", "EGW00202", "EGW00203", "EGW00204", "EGW00300"})
"""Passing troubles of the gateway: reads are asked once more."""
UNSUPPORTED = frozenset({"EGW02006", "EGW00203", "MCA00124", "90000000"})
"""How the paper service says that it does not offer a TR; EGW00203 only when it says so twice."""


class KisError(KquantError):
    """Root of what a call can end in besides an answer."""


class KisRefused(KisError):
    """KIS said no: code, message and HTTP status."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(f"{code} {message}".strip())
        self.code = code
        self.message = message
        self.status = status


class NotOnPaper(KisError):
    """The paper service does not offer what was asked, and no data key stands in. Everything else goes on."""


class KisUnreadable(KisError):
    """An answer that is not what the protocol says: no JSON, a missing or malformed field, too long."""


class KisUnreachable(KisError):
    """No answer: connection refused, reset or timed out. Whether the call arrived is not known."""


class KisNotSent(KisError):
    """The call ended before its first byte."""


class TokenTooSoon(KisNotSent):
    """A token was asked for less than a minute ago, and KIS issues one a minute. wait_seconds: until the next may be."""

    def __init__(self, wait_seconds: int) -> None:
        super().__init__(f"KIS issues one token a minute and the last was asked for just now: wait {wait_seconds} s")
        self.wait_seconds = wait_seconds


class NotAllowed(KisNotSent):
    """A client was asked for a TR that its role may not name."""


class StartError(KisError):
    """Keys, host or account do not belong together. The message says what to do."""
