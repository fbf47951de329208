"""The exchange's side of a KIS WebSocket session, without a socket: text goes in, answers come out.

`SessionHub` owns what sessions share: approval keys and the rule of one session per app key. Times are KST seconds
of the market's day. Source: kis-protocol.md 2.1-2.5.
"""

import hashlib
import json
from typing import Any, Final

from msgspec import Struct

LIMIT: Final = 41
"""Registrations a session, order notices included, counted per (tr_id, tr_key)."""
PING_EVERY_S: Final = 12

NOTICE: Final = "H0STCNI0"
CHANNELS: Final = frozenset({"H0STCNT0", "H0STASP0", "H0STPGM0", NOTICE})

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
    """One connection: what it has registered and what was sent to it."""

    number: int
    key: str
    iv: str
    app_key: str = ""
    registered: dict[tuple[str, str], None] = {}
    frames: int = 0
    next_ping: int = 0
    pongs: int = 0


def _answer(code: str, tr_id: str, tr_key: str, output: dict[str, str] | None = None) -> str:
    rt_cd, text = MESSAGES[code]
    body: dict[str, Any] = {"rt_cd": rt_cd, "msg_cd": code, "msg1": text}
    if output is not None:
        body["output"] = output
    header = {"tr_id": tr_id, "tr_key": tr_key, "encrypt": "Y" if tr_id == NOTICE else "N"}
    if code == "OPSP8996":
        header = {"tr_id": "(null)", "tr_key": "(null)", "encrypt": "N"}
    return json.dumps({"header": header, "body": body}, ensure_ascii=False, separators=(",", ":"))


class SessionHub:
    """All sessions of the exchange. Methods return the texts to send; nothing here owns a socket."""

    def __init__(self, *, hts_id: str, codes: frozenset[str], salt: bytes, linger_s: int = 0) -> None:
        self.hts_id = hts_id
        self.codes = codes
        self.sessions: dict[int, WsSession] = {}
        self.approvals: dict[str, str] = {}
        """Approval key -> app key."""
        self.trades: dict[str, dict[int, WsSession]] = {}
        self.books: dict[str, dict[int, WsSession]] = {}
        self.programs: dict[str, dict[int, WsSession]] = {}
        self.notices: dict[int, WsSession] = {}
        self.limit = LIMIT
        self.refuse_next: str | None = None
        """A test's fault: answer the next registration with this code."""
        self.last_number = 0
        self._salt = salt
        self._linger_s = linger_s
        self._lingering: dict[str, int] = {}

    def connect(self, second: int) -> WsSession:
        """Open a session; its AES key and iv belong to it alone."""
        self.last_number += 1
        digest = hashlib.sha256(self._salt + f"session {self.last_number} at {second}".encode()).hexdigest()
        session = WsSession(number=self.last_number, key=digest[:32], iv=digest[32:48], next_ping=second + PING_EVERY_S)
        self.sessions[session.number] = session
        return session

    def disconnect(self, session: WsSession, second: int) -> None:
        """Close a session: every registration is gone; the app key stays taken while the server notices."""
        self.sessions.pop(session.number, None)
        for pair in list(session.registered):
            self._remove(session, pair)
        if session.app_key and self._linger_s:
            self._lingering[session.app_key] = second + self._linger_s

    def receive(self, session: WsSession, text: str, second: int) -> list[str]:
        """Handle one text frame of the client and return the answers; a PINGPONG echo has none."""
        try:
            frame = json.loads(text)
        except ValueError:
            return [_answer("OPSP9999", "(null)", "")]
        if not isinstance(frame, dict):
            return [_answer("OPSP9999", "(null)", "")]
        header = frame.get("header")
        if not isinstance(header, dict):
            return [_answer("OPSP9998", "(null)", "")]
        if header.get("tr_id") == "PINGPONG":
            session.pongs += 1
            return []
        fault = self._fault(frame, header)
        tr_id, tr_key = _pair(frame)
        if fault is not None:
            return [_answer(fault, tr_id, tr_key)]
        return [self._change(session, header, (tr_id, tr_key), second)]

    def pings(self, second: int, date_text: str, time_text: str) -> list[tuple[WsSession, str]]:
        """Return the PINGPONG frames due at *second*, for sessions that hold a registration."""
        due = []
        for session in self.sessions.values():
            if session.registered and second >= session.next_ping:
                session.next_ping = second + PING_EVERY_S
                due.append((session, f'{{"header":{{"tr_id":"PINGPONG","datetime":"{date_text}{time_text}"}}}}'))
        return due

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
        if given.get("tr_id") not in CHANNELS:
            return "OPSP8991"
        if "tr_key" not in given:
            return "OPSP9990"
        if not isinstance(given["tr_key"], str):
            return "OPSP8993"
        if header.get("approval_key") not in self.approvals:
            return "OPSP0011"
        known = (self.hts_id,) if given["tr_id"] == NOTICE else self.codes
        return None if given["tr_key"] in known else "OPSP8992"

    def _change(self, session: WsSession, header: dict[str, Any], pair: tuple[str, str], second: int) -> str:
        app_key = self.approvals[header["approval_key"]]
        held = any(other.app_key == app_key for other in self.sessions.values() if other is not session)
        if held or self._lingering.get(app_key, second) > second:
            return _answer("OPSP8996", *pair)
        session.app_key = app_key
        if str(header["tr_type"]) == "2":
            if pair not in session.registered:
                return _answer("OPSP0003", *pair)
            self._remove(session, pair)
            return _answer("OPSP0001", *pair, {"iv": session.iv, "key": session.key})
        if self.refuse_next is not None:
            code, self.refuse_next = self.refuse_next, None
            return _answer(code, *pair)
        if pair in session.registered:
            return _answer("OPSP0002", *pair)
        if len(session.registered) >= self.limit:
            return _answer("OPSP0008", *pair)
        session.registered[pair] = None
        if pair[0] == NOTICE:
            self.notices[session.number] = session
        else:
            self._table(pair[0]).setdefault(pair[1], {})[session.number] = session
        return _answer("OPSP0000", *pair, {"iv": session.iv, "key": session.key})

    def _remove(self, session: WsSession, pair: tuple[str, str]) -> None:
        session.registered.pop(pair, None)
        if pair[0] == NOTICE:
            self.notices.pop(session.number, None)
            return
        table = self._table(pair[0])
        holders = table.get(pair[1], {})
        holders.pop(session.number, None)
        if not holders:
            table.pop(pair[1], None)

    def _table(self, tr_id: str) -> dict[str, dict[int, WsSession]]:
        return {"H0STCNT0": self.trades, "H0STASP0": self.books, "H0STPGM0": self.programs}[tr_id]


def _pair(frame: dict[str, Any]) -> tuple[str, str]:
    body = frame.get("body")
    given = body.get("input") if isinstance(body, dict) else None
    if not isinstance(given, dict):
        return "(null)", ""
    return str(given.get("tr_id", "(null)")), str(given.get("tr_key", ""))
