"""The exchange's side of a KIS WebSocket session, without a socket: text goes in, answers come out.

`SessionHub` owns what sessions of one service share: the channels it offers, who listens to what, and the rule of one
session per app key. Times are market time in epoch seconds. Source: kis-protocol.md 2.1-2.5, 3, 7.6.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

from kquant.exchange.core.books import Environment

LIMIT: Final = 41
"""Registrations a session, order notices included, counted per (tr_id, tr_key)."""
PING_EVERY_S: Final = 12
FOREIGN_ID_S: Final = 3
"""A notice registered with somebody else's HTS id is acknowledged; the socket ends this soon after (section 6, 1)."""
KST: Final = dt.timezone(dt.timedelta(hours=9))

NOTICES: Final[dict[Environment, str]] = {"real": "H0STCNI0", "paper": "H0STCNI9"}
_SILENT_NOTICES: Final[dict[Environment, str]] = {"real": "H0GSCNI0", "paper": "H0GSCNI9"}
"""Notices of overseas orders: clients register them besides, and python-kis a paper one on its real session; none is
ever sent here."""
_KINDS: Final = ("CNT0", "ASP0", "PGM0", "MKO0", "ANC0")
CHANNELS: Final[dict[Environment, frozenset[str]]] = {
    "real": frozenset(
        {
            NOTICES["real"],
            *_SILENT_NOTICES.values(),
            *(f"H0{venue}{kind}" for venue in ("ST", "NX", "UN") for kind in _KINDS),
        }
    ),
    "paper": frozenset({"H0STCNT0", "H0STASP0", NOTICES["paper"], _SILENT_NOTICES["paper"]}),
}
_BY_PERSON: Final = frozenset((*NOTICES.values(), *_SILENT_NOTICES.values()))
"""Channels whose tr_key is an HTS id; everywhere else it is a stock's code."""

MESSAGES: Final = {
    "OPSP0000": ("0", "SUBSCRIBE SUCCESS"),
    "OPSP0001": ("0", "UNSUBSCRIBE SUCCESS"),
    "OPSP0002": ("1", "ALREADY IN SUBSCRIBE"),
    "OPSP0003": ("1", "UNSUBSCRIBE ERROR(not found!)"),
    "OPSP0007": ("1", "SUBSCRIBE INTERNAL ERROR"),
    "OPSP0008": ("1", "MAX SUBSCRIBE OVER"),
    "OPSP0009": ("1", "SUBSCRIBE ERROR : mci send failed"),
    "OPSP0010": ("1", "SUBSCRIBE WARNING : invalid appkey"),
    "OPSP0011": ("1", "invalid approval : NOT FOUND"),
    "OPSP8991": ("1", "invalid tr_id"),
    "OPSP8992": ("1", "invalid tr_key"),
    "OPSP8993": ("1", "invalid JSON tr_key"),
    "OPSP8994": ("1", "personalseckey not found"),
    "OPSP8995": ("1", "appsecret not found"),
    "OPSP8996": ("9", "ALREADY IN USE appkey"),
    "OPSP8997": ("1", "invalid tr_type"),
    "OPSP8998": ("1", "invalid custtype"),
    "OPSP8999": ("1", "resource not available : ALLOC_CALL_PARAM"),
    "OPSP9990": ("1", "tr_key not found"),
    "OPSP9991": ("1", "input not found"),
    "OPSP9992": ("1", "body not found"),
    "OPSP9993": ("1", "internal error"),
    "OPSP9994": ("1", "invalid appkey"),
    "OPSP9995": ("1", "resource not available"),
    "OPSP9996": ("1", "appkey not found"),
    "OPSP9997": ("1", "custtype not found"),
    "OPSP9998": ("1", "header not found"),
    "OPSP9999": ("1", "JSON PARSING ERROR"),
}


class WsSession(Struct, kw_only=True, eq=False):
    """One connection: what it has registered and what it owes."""

    number: int
    secret: bytes
    app_key: str = ""
    registered: dict[tuple[str, str], None] = {}
    next_ping: int = 0
    unanswered: int = 0
    """PINGPONG frames sent since the client last answered one."""
    pongs: int = 0
    ends_at: int | None = None
    """Market time at which the server cuts the line."""

    def is_over(self, now: int) -> bool:
        """Return whether the server cuts the line at *now*."""
        return self.ends_at is not None and now >= self.ends_at

    def cipher(self, tr_id: str) -> tuple[str, str]:
        """Return the AES key (32) and iv (16) of a channel: each belongs to this session and this channel alone."""
        digest = hashlib.sha256(self.secret + tr_id.encode()).hexdigest()
        return digest[:32], digest[32:48]


class SessionHub:
    """All sessions of one service. Methods return the texts to send; nothing here owns a socket.

    owner_of: the app key that an approval key was issued for (either service's), or None when it is not valid at a
    wall time.   linger_s: how long an app key stays taken after its session was lost.
    """

    def __init__(
        self,
        environment: Environment,
        *,
        hts_id: str,
        app_key: str,
        app_secret: str,
        owner_of: Callable[[str, float], str | None],
        salt: bytes,
        linger_s: int = 0,
    ) -> None:
        self.environment: Environment = environment
        self.hts_id = hts_id
        self.codes: frozenset[str] = frozenset()
        self.sessions: dict[int, WsSession] = {}
        self.holders: dict[str, dict[str, dict[int, WsSession]]] = {}
        """tr_id -> tr_key -> session number -> session."""
        self.limit = LIMIT
        self.peak = 0
        """Most registrations that a session ever held."""
        self.refusals: dict[str, int] = {}
        """How often each code of a refusal was answered."""
        self.last_number = 0
        self._app_key = app_key
        self._app_secret = app_secret
        self._owner_of = owner_of
        self._salt = salt
        self._linger_s = linger_s
        self._lingering: dict[str, int] = {}

    def connect(self, now: int) -> WsSession:
        """Open a session; its AES keys belong to it alone."""
        self.last_number += 1
        secret = hashlib.sha256(
            self._salt + f"{self.environment} session {self.last_number} at {now}".encode()
        ).digest()
        session = WsSession(number=self.last_number, secret=secret, next_ping=now + PING_EVERY_S)
        self.sessions[session.number] = session
        return session

    def disconnect(self, session: WsSession, now: int, *, orderly: bool = False) -> None:
        """Close a session: every registration is gone; after a loss the app key stays taken while the server notices."""
        if self.sessions.pop(session.number, None) is None:
            return
        for pair in list(session.registered):
            self._remove(session, pair)
        if session.app_key and self._linger_s and not orderly:
            self._lingering[session.app_key] = now + self._linger_s

    def receive(self, session: WsSession, text: str, now: int, wall: float) -> list[str]:
        """Handle one text frame of the client and return the answers; a PINGPONG echo has none."""
        try:
            frame = msgspec.json.decode(text)
        except (msgspec.DecodeError, ValueError, RecursionError):  # no JSON, no UTF-8, nested without end
            return [self._refuse("OPSP9999", "(null)", "")]
        if not isinstance(frame, dict):
            return [self._refuse("OPSP9999", "(null)", "")]
        header = frame.get("header")
        if not isinstance(header, dict):
            return [self._refuse("OPSP9998", "(null)", "")]
        if header.get("tr_id") == "PINGPONG":
            self.ponged(session)
            return []
        tr_id, tr_key = _pair(frame)
        fault = self._fault(frame, header) or self._caller_fault(header, wall)
        if fault is None and tr_id not in _BY_PERSON and tr_key not in self.codes:
            fault = "OPSP8992"
        if fault is not None:
            return [self._refuse(fault, tr_id, tr_key)]
        return [self._change(session, header, (tr_id, tr_key), now)]

    def ponged(self, session: WsSession) -> None:
        """The client answered: by the same text, or by a WebSocket pong that carries it."""
        session.pongs += 1
        session.unanswered = 0

    def pings(self, now: int) -> list[tuple[WsSession, str]]:
        """Return the PINGPONG frames due at *now*, for sessions that hold a registration."""
        due = []
        for session in self.sessions.values():
            if session.registered and now >= session.next_ping:
                session.next_ping = now + PING_EVERY_S
                session.unanswered += 1
                at = dt.datetime.fromtimestamp(now, KST)
                due.append((session, f'{{"header":{{"tr_id":"PINGPONG","datetime":"{at:%Y%m%d%H%M%S}"}}}}'))
        return due

    def holders_of(self, tr_id: str) -> dict[str, dict[int, WsSession]]:
        """Return who has registered *tr_id*, by tr_key."""
        return self.holders.get(tr_id, {})

    def listeners(self) -> Iterable[WsSession]:
        """Return the sessions that get the account's notices."""
        return self.holders_of(NOTICES[self.environment]).get(self.hts_id, {}).values()

    # -- helpers --------------------------------------------------------------------------------------------

    def _fault(self, frame: dict[str, Any], header: dict[str, Any]) -> str | None:
        if "custtype" not in header:
            return "OPSP9997"
        if header["custtype"] not in ("P", "B"):
            return "OPSP8998"
        if str(header.get("tr_type")) not in ("1", "2"):
            return "OPSP8997"
        body = frame.get("body")
        if not isinstance(body, dict):
            return "OPSP9992"
        given = body.get("input")
        if not isinstance(given, dict):
            return "OPSP9991"
        tr_id = given.get("tr_id")
        if not isinstance(tr_id, str) or tr_id not in CHANNELS[self.environment]:
            return "OPSP8991"
        if "tr_key" not in given:
            return "OPSP9990"
        if not isinstance(given["tr_key"], str):
            return "OPSP8993"
        return None if given["tr_key"] else "OPSP8992"

    def _caller_fault(self, header: dict[str, Any], wall: float) -> str | None:
        approval = header.get("approval_key")
        if isinstance(approval, str) and approval:
            owner = self._owner_of(approval, wall)
            if owner is None:
                return "OPSP0011"
            return None if owner == self._app_key else "OPSP0010"
        # Without an approval key the caller is looked up by the older header of app key and secret, and never let in.
        if not header.get("appkey"):
            return "OPSP9996"
        if header["appkey"] != self._app_key:
            return "OPSP9994"
        if header.get("appsecret") != self._app_secret:
            return "OPSP8995"
        if header["custtype"] == "B" and not header.get("personalseckey"):
            return "OPSP8994"
        return "OPSP0011"

    def _change(self, session: WsSession, header: dict[str, Any], pair: tuple[str, str], now: int) -> str:
        held = any(other.app_key for other in self.sessions.values() if other is not session)
        if held or self._lingering.get(self._app_key, now) > now:
            return self._refuse("OPSP8996", *pair)
        session.app_key = self._app_key
        key, iv = session.cipher(pair[0])
        output = {"iv": iv, "key": key}
        if str(header["tr_type"]) == "2":
            if pair not in session.registered:
                return self._refuse("OPSP0003", *pair)
            self._remove(session, pair)
            return _answer("OPSP0001", *pair, output)
        if pair in session.registered:
            return self._refuse("OPSP0002", *pair)
        if len(session.registered) >= self.limit:
            return self._refuse("OPSP0008", *pair)
        session.registered[pair] = None
        self.peak = max(self.peak, len(session.registered))
        self.holders.setdefault(pair[0], {}).setdefault(pair[1], {})[session.number] = session
        if pair[0] in _BY_PERSON and pair[1] != self.hts_id:
            session.ends_at = now + FOREIGN_ID_S
        return _answer("OPSP0000", *pair, output)

    def _refuse(self, code: str, tr_id: str, tr_key: str) -> str:
        self.refusals[code] = self.refusals.get(code, 0) + 1
        return _answer(code, tr_id, tr_key)

    def _remove(self, session: WsSession, pair: tuple[str, str]) -> None:
        session.registered.pop(pair, None)
        table = self.holders.get(pair[0], {})
        holders = table.get(pair[1], {})
        holders.pop(session.number, None)
        if not holders:
            table.pop(pair[1], None)


def _answer(code: str, tr_id: str, tr_key: str, output: dict[str, str] | None = None) -> str:
    rt_cd, text = MESSAGES[code]
    body: dict[str, Any] = {"rt_cd": rt_cd, "msg_cd": code, "msg1": text}
    if output is not None:
        body["output"] = output
    header = {"tr_id": tr_id, "tr_key": tr_key, "encrypt": "Y" if tr_id in _BY_PERSON else "N"}
    if code == "OPSP8996":
        header = {"tr_id": "(null)", "tr_key": "(null)", "encrypt": "N"}
    return json.dumps({"header": header, "body": body}, ensure_ascii=False, separators=(",", ":"))


def _pair(frame: dict[str, Any]) -> tuple[str, str]:
    body = frame.get("body")
    given = body.get("input") if isinstance(body, dict) else None
    if not isinstance(given, dict):
        return "(null)", ""
    return str(given.get("tr_id", "(null)")), str(given.get("tr_key", ""))
