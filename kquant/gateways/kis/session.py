"""One feed connection after another as a protocol without I/O: texts and requests in, texts and reports out.

It owns no socket and no clock. The execution notice is registered first; at most one request is unanswered; requests
keep their distance; every request ends in exactly one report. Sources: kis-protocol 2.1 to 2.5.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from msgspec import Struct

from kquant.events.base import Event, Recorded
from kquant.events.feed import (
    Action,
    Dropped,
    FeedConnected,
    NoticeReceived,
    NoticeUnreadable,
    Registered,
    RegistrationExpired,
    RegistrationRefused,
    RegistrationUnanswered,
    RegistrationVoid,
)
from kquant.events.slots import DropWanted, RegisterWanted
from kquant.gateways.kis.wire import (
    TR_IDS,
    Control,
    FeedFormatError,
    Keys,
    decode,
    decode_control,
    decode_notices,
    encode_request,
    is_notice,
)
from kquant.market.records import Book, ProgramTrade, Record, Trade
from kquant.values import Channel, Epoch, Micros, Seq, Symbol

ALREADY = "OPSP0002"
NOT_FOUND = "OPSP0003"
ANSWERS: dict[Action, frozenset[str]] = {
    "register": frozenset({"OPSP0000", ALREADY}),
    "drop": frozenset({"OPSP0001", NOT_FOUND}),
}
"""Codes that answer only one kind of request: a late one must not be taken for the answer to the next of its key."""
IN_USE = "OPSP8996"
UNKNOWN_APPROVAL = "OPSP0011"
REFUSALS: dict[str, Literal["invalid_key", "resource", "over_capacity", "fatal", "other"]] = {
    "OPSP0007": "resource",
    "OPSP0008": "over_capacity",
    "OPSP0009": "resource",
    "OPSP0010": "fatal",
    "OPSP0011": "fatal",
    "OPSP8991": "invalid_key",
    "OPSP8992": "invalid_key",
    "OPSP8993": "invalid_key",
    "OPSP8994": "fatal",
    "OPSP8995": "fatal",
    "OPSP8996": "fatal",
    "OPSP8999": "resource",
    "OPSP9993": "resource",
    "OPSP9994": "fatal",
    "OPSP9995": "resource",
    "OPSP9996": "fatal",
}
"""What a refusal means; a code that is not here is "other"."""


class Report(Struct, frozen=True):
    """An event to append; caused_by is the request's seq, None if the world caused it."""

    event: Event
    caused_by: Seq | None = None


class Data(Struct, frozen=True):
    """A decoded data frame. first: registrations that had no data before in this epoch."""

    text: str
    records: tuple[Record, ...]
    first: tuple[tuple[Symbol, Channel], ...]


class Broken(Struct, frozen=True):
    """The connection is of no use: close it. wait_seconds: at least this long before the next attempt."""

    reason: str
    wait_seconds: int
    renew_approval: bool = False


Output = Report | Data | Broken


class _Request(Struct, frozen=True):
    action: Action
    code: Symbol
    channel: Channel
    epoch: Epoch
    seq: Seq
    valid_until: Micros


class FeedSession:
    """Speaks KIS on one connection at a time. gap_us: between requests; ack_us: patience for an acknowledgement."""

    def __init__(self, hts_id: str, account: str, notice_tr: str, *, gap_us: int, ack_us: int) -> None:
        self.rejected = 0
        self._hts_id = hts_id
        self._account = account.replace("-", "")
        self._notice_tr = notice_tr
        self._gap_us = gap_us
        self._ack_us = ack_us
        self._epoch = Epoch(0)
        self._approval = ""
        self._ready = False
        self._keys: Keys | None = None
        self._queue: deque[_Request] = deque()
        self._pending: tuple[_Request | None, Micros] | None = None
        self._not_before = Micros(0)
        self._out: list[str] = []
        self._asked: set[tuple[Symbol, Channel]] = set()
        self._ticked: set[tuple[Symbol, Channel]] = set()

    @property
    def unanswered(self) -> bool:
        """Whether a request awaits its acknowledgement."""
        return self._pending is not None

    def opened(self, epoch: Epoch, approval_key: str, at: Micros) -> None:
        """A connection is open: forget the last one, and register the execution notice."""
        self._epoch, self._approval, self._ready, self._keys = epoch, approval_key, False, None
        self._asked.clear()
        self._ticked.clear()
        self._out.append(encode_request(approval_key, "1", self._notice_tr, self._hts_id))
        self._pending = (None, Micros(at + self._ack_us))
        self._not_before = Micros(at + self._gap_us)

    def closed(self) -> list[Output]:
        """The connection is gone, and with it what was asked on it."""
        asked = [self._pending[0]] if self._pending is not None and self._pending[0] is not None else []
        waiting = [*asked, *self._queue]
        self._queue.clear()
        self._out.clear()
        self._pending, self._ready = None, False
        return [_void(request) for request in waiting]

    def request(self, fact: Recorded) -> list[Output]:
        """Take a recorded request; it is void outside its epoch."""
        event = fact.event
        if not isinstance(event, RegisterWanted | DropWanted):
            return []
        action: Action = "register" if isinstance(event, RegisterWanted) else "drop"
        request = _Request(action, event.code, event.channel, event.epoch, fact.seq, event.valid_until)
        if event.epoch != self._epoch or not self._ready:
            return [_void(request)]
        self._queue.append(request)
        return []

    def receive(self, text: str) -> list[Output]:
        """Take one text frame. What cannot be read is counted in `rejected`, never raised."""
        try:
            if text.startswith("{"):
                return self._control(text, decode_control(text))
            if is_notice(text):
                return self._notices(text)
            return self._data(text)
        except FeedFormatError as error:
            self.rejected += 1
            if is_notice(text):
                return [Report(NoticeUnreadable(epoch=self._epoch, reason=str(error)))]
            return []

    def to_send(self, at: Micros) -> list[str]:
        """Return the texts to send now; the next queued request joins if its time has come."""
        if self._queue and self._pending is None and self._ready and at >= self._not_before:
            request = self._queue.popleft()
            tr_type: Literal["1", "2"] = "1" if request.action == "register" else "2"
            if request.action == "register":
                self._asked.add((request.code, request.channel))
            self._out.append(encode_request(self._approval, tr_type, TR_IDS[request.channel], request.code))
            self._pending = (request, Micros(at + self._ack_us))
            self._not_before = Micros(at + self._gap_us)
        texts, self._out = self._out, []
        return texts

    def late(self, at: Micros) -> list[Output]:
        """Give up on what was not answered or not sent in time."""
        outputs: list[Output] = []
        if self._pending is not None and at >= self._pending[1]:
            request, self._pending = self._pending[0], None
            if request is None:
                return [Broken("the execution notice was not acknowledged", 5)]
            outputs.append(
                Report(
                    RegistrationUnanswered(
                        epoch=request.epoch, code=request.code, channel=request.channel, action=request.action
                    ),
                    request.seq,
                )
            )
        for request in [one for one in self._queue if one.valid_until < at]:
            self._queue.remove(request)
            expired = RegistrationExpired(
                epoch=request.epoch, code=request.code, channel=request.channel, action=request.action
            )
            outputs.append(Report(expired, request.seq))
        return outputs

    def wake_at(self) -> Micros | None:
        """Return when `late` or `to_send` should be called again, None if only input matters."""
        times = [self._pending[1]] if self._pending is not None else []
        if self._queue and self._pending is None:
            times.append(self._not_before)
        return min(times) if times else None

    def _control(self, text: str, control: Control) -> list[Output]:
        if control.tr_id == "PINGPONG":
            self._out.append(text)
            return []
        if control.tr_id == self._notice_tr and control.keys is not None:
            self._keys = control.keys
        if self._pending is None:
            return []
        request, _ = self._pending
        if request is None:
            return self._notice_answered(control)
        addressed = control.tr_id == TR_IDS[request.channel] and control.tr_key in {request.code, ""}
        stale = control.msg_cd in ANSWERS["drop" if request.action == "register" else "register"]
        if (not addressed or stale) and control.msg_cd != IN_USE:
            return []
        self._pending = None
        return self._answered(request, control)

    def _notice_answered(self, control: Control) -> list[Output]:
        if control.tr_id != self._notice_tr and control.msg_cd != IN_USE:
            return []
        self._pending = None
        if control.rt_cd == "0" or control.msg_cd == ALREADY:
            self._ready = True
            return [Report(FeedConnected(epoch=self._epoch))]
        wait = 60 if control.msg_cd == IN_USE else 5
        return [Broken(f"{control.msg_cd} {control.message}", wait, control.msg_cd == UNKNOWN_APPROVAL)]

    def _answered(self, request: _Request, control: Control) -> list[Output]:
        code, channel, epoch = request.code, request.channel, request.epoch
        event: Event
        if request.action == "register" and (control.rt_cd == "0" or control.msg_cd == ALREADY):
            event = Registered(epoch=epoch, code=code, channel=channel, already=control.msg_cd == ALREADY)
        elif request.action == "drop" and (control.rt_cd == "0" or control.msg_cd == NOT_FOUND):
            event = Dropped(epoch=epoch, code=code, channel=channel, already=control.msg_cd == NOT_FOUND)
            self._asked.discard((code, channel))
            self._ticked.discard((code, channel))
        else:
            if request.action == "register":
                self._asked.discard((code, channel))
            kind = REFUSALS.get(control.msg_cd, "other")
            event = RegistrationRefused(
                epoch=epoch,
                code=code,
                channel=channel,
                action=request.action,
                kind=kind,
                message_code=control.msg_cd,
                message=control.message,
            )
            if kind == "fatal":
                renew = control.msg_cd == UNKNOWN_APPROVAL
                return [Report(event, request.seq), Broken(f"{control.msg_cd} {control.message}", 60, renew)]
        return [Report(event, request.seq)]

    def _data(self, text: str) -> list[Output]:
        records = decode(text)
        first: list[tuple[Symbol, Channel]] = []
        for record in records:
            key = (record.code, channel_of(record))
            # What trails behind a drop, or was never asked for, is no registration's first data.
            if key in self._asked and key not in self._ticked:
                self._ticked.add(key)
                first.append(key)
        return [Data(text, records, tuple(first))]

    def _notices(self, text: str) -> list[Output]:
        if self._keys is None:
            raise FeedFormatError("a notice came before its keys")
        return [
            Report(
                NoticeReceived(
                    epoch=self._epoch,
                    kind=notice.kind,
                    request=notice.request,
                    order_no=notice.order_no,
                    original_order_no=notice.original_order_no,
                    code=notice.code,
                    side=notice.side,
                    qty=notice.qty,
                    price=notice.price,
                    order_qty=notice.order_qty,
                    time=notice.time,
                )
            )
            for notice in decode_notices(text, self._keys)
            if notice.account == self._account
        ]


def channel_of(record: Record) -> Channel:
    """Return the channel a record came on."""
    match record:
        case Trade():
            return "trades"
        case Book():
            return "book"
        case ProgramTrade():
            return "program"
        case _:
            raise FeedFormatError(f"{type(record).__name__} comes on no channel")


def _void(request: _Request) -> Report:
    event = RegistrationVoid(epoch=request.epoch, code=request.code, channel=request.channel, action=request.action)
    return Report(event, request.seq)
