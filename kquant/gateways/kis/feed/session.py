"""One feed connection after another as a protocol without I/O: texts and requests in, texts and reports out.

It owns no socket and no clock. The execution notice is registered first; at most one request is unanswered; requests
keep their distance; every request ends in exactly one report; what the broker holds is not asked for again.
Sources: kis-protocol 2.1 to 2.5; what each control code asks for stands in `control.OPSP`.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from kquant.events.base import Event, Recorded
from kquant.events.day import AlertRaised
from kquant.events.feed import (
    FeedConnected,
    NoticeReceived,
    NoticeUnreadable,
    Registered,
    RegistrationExpired,
    RegistrationUnanswered,
    RegistrationVoid,
)
from kquant.events.slots import DropWanted, RegisterWanted
from kquant.gateways.kis.feed.channels import CHANNELS, KNOWN_WIDTHS, TR_IDS, Market
from kquant.gateways.kis.feed.control import Control, Kind, decode_control, encode_request, reaction
from kquant.gateways.kis.feed.executions import Keys, decode_notices, is_notice
from kquant.gateways.kis.feed.registry import Key, Request
from kquant.gateways.kis.feed.wire import FeedFormatError, read
from kquant.market.records import Record
from kquant.values import KST, SECOND_US, Epoch, Micros, Seq, Symbol

RETRY_SECONDS = 5
"""Least wait after a connection that the broker did not take."""
IN_USE_SECONDS = 60
"""Least wait while another session holds the app key: its slot stays taken for tens of seconds after a loss (2.5)."""

NOTICE_PATIENCE = 3
"""The execution notice is waited for so many times longer than a registration: giving up costs a connection, and KIS
holds the app key's place for tens of seconds after one (2.5)."""


class Report(Struct, frozen=True):
    """An event to append; caused_by is the request's seq, None if the world caused it."""

    event: Event
    caused_by: Seq | None = None


class Data(Struct, frozen=True):
    """A decoded data frame. first: registrations that had no data before in this epoch."""

    text: str
    records: tuple[Record, ...]
    first: tuple[Key, ...]


class Rejected(Struct, frozen=True):
    """A text that is no frame. text: "" for a control frame, which may hold keys and is written nowhere."""

    text: str
    reason: Literal["format", "control"]


class Broken(Struct, frozen=True):
    """The connection is of no use: close it. wait_seconds: at least this long before the next attempt.

    fatal: the broker refuses the key itself, so trying again is of no use.   alert: what a person should know, or "".
    """

    reason: str
    wait_seconds: int
    renew_approval: bool = False
    fatal: bool = False
    alert: str = ""


class Told(Struct, frozen=True):
    """The broker's clock as its PINGPONG tells it, whole seconds."""

    at: Micros


Output = Report | Data | Rejected | Broken | Told


class FeedSession:
    """Speaks KIS on one connection at a time.

    notice_tr: TR id of the execution notice, None for a line that carries quotes only and is ready once it is open.
    gap_us: between requests.   ack_us: patience for an acknowledgement.   market: whose trading is shown.
    offered: TR ids the service has, None for all; a registration of another is refused here and never sent.
    """

    def __init__(
        self,
        hts_id: str,
        account: str,
        notice_tr: str | None,
        *,
        gap_us: int,
        ack_us: int,
        market: Market = "krx",
        offered: frozenset[str] | None = None,
    ) -> None:
        self.rejected = 0
        self.market = market
        self._hts_id = hts_id
        self._account = account.replace("-", "")
        self._notice_tr = notice_tr
        self._gap_us = gap_us
        self._ack_us = ack_us
        self._tr_ids = TR_IDS[market]
        self._own = frozenset(self._tr_ids.values())
        self._offered = offered
        self._epoch = Epoch(0)
        self._approval = ""
        self._ready = False
        self._keys: dict[str, Keys] = {}
        self._queue: deque[Request] = deque()
        self._pending: tuple[Request | None, Micros] | None = None
        self._not_before = Micros(0)
        self._out: list[str] = []
        self._active: set[Key] = set()
        self._fresh: set[Key] = set()
        self._ticked: set[Key] = set()
        self._uncertain: set[Key] = set()
        self._widths: dict[str, int] = {}
        self._told: set[str] = set()

    @property
    def unanswered(self) -> bool:
        """Whether a request awaits its acknowledgement."""
        return self._pending is not None

    @property
    def ready(self) -> bool:
        """Whether the broker took the connection: requests may be made."""
        return self._ready

    def opened(self, epoch: Epoch, approval_key: str, at: Micros) -> list[Output]:
        """A connection is open: forget the last one, and register the execution notice, if there is one."""
        self._epoch, self._approval = epoch, approval_key
        self._forget()
        self._not_before = Micros(at + self._gap_us)
        if self._notice_tr is None:
            self._ready = True
            return [Report(FeedConnected(epoch=epoch))]
        self._out.append(encode_request(approval_key, "1", self._notice_tr, self._hts_id))
        self._pending = (None, Micros(at + NOTICE_PATIENCE * self._ack_us))
        return []

    def closed(self) -> list[Output]:
        """The connection is gone, and with it what was asked on it and the notices' keys."""
        asked = [self._pending[0]] if self._pending is not None and self._pending[0] is not None else []
        waiting = [*asked, *self._queue]
        self._forget()
        return [Report(request.outcome(RegistrationVoid), request.seq) for request in waiting]

    def _forget(self) -> None:
        self._ready, self._pending = False, None
        self._queue.clear()
        self._out.clear()
        self._keys.clear()
        for keys in (self._active, self._fresh, self._ticked, self._uncertain):
            keys.clear()

    def request(self, fact: Recorded) -> list[Output]:
        """Take a recorded request; it is void outside its epoch, and refused if the service has no such channel."""
        event = fact.event
        if not isinstance(event, RegisterWanted | DropWanted):
            return []
        request = Request.of(event, fact.seq)
        if event.epoch != self._epoch or not self._ready:
            return [Report(request.outcome(RegistrationVoid), request.seq)]
        tr_id = self._tr_ids[event.channel]
        if self._offered is not None and tr_id not in self._offered:
            said = f"this service has no {tr_id}: nothing was sent"
            return [Report(request.refused("invalid_key", "", said), request.seq)]
        self._queue.append(request)
        return []

    def receive(self, text: str) -> list[Output]:
        """Take one text frame. What cannot be read is counted in `rejected`, never raised."""
        try:
            if text.startswith("{"):
                return self._control(text, self._without_key(decode_control(text)))
            if is_notice(text):
                return self._notices(text)
            return self._data(text)
        except FeedFormatError as error:
            self.rejected += 1
            if is_notice(text):
                return [Report(NoticeUnreadable(epoch=self._epoch, reason=str(error)))]
            meant_control = text.lstrip("\ufeff \t\r\n").startswith("{")
            return [Rejected("", "control") if meant_control else Rejected(text, "format")]

    def doubted(self, first: tuple[Key, ...]) -> None:
        """The frame that would have been the first data of these registrations was not believed."""
        for key in first:
            self._ticked.discard(key)
            self._fresh.add(key)

    def to_send(self, at: Micros) -> list[str]:
        """Return the texts to send now; the next queued request joins if its time has come."""
        sendable = self._queue and self._pending is None and self._ready and at >= self._not_before
        # What came too late, and what need not be sent, is answered by `late`.
        if sendable and self._queue[0].valid_until >= at and not self._needless(self._queue[0]):
            request = self._queue.popleft()
            tr_type: Literal["1", "2"] = "1" if request.action == "register" else "2"
            if request.action == "register" and request.key not in self._ticked:
                self._fresh.add(request.key)
            self._out.append(encode_request(self._approval, tr_type, self._tr_ids[request.channel], request.code))
            self._pending = (request, Micros(at + self._ack_us))
            self._not_before = Micros(at + self._gap_us)
        texts, self._out = self._out, []
        return texts

    def late(self, at: Micros) -> list[Output]:
        """Give up on what was not answered or not sent in time, and answer what need not be sent."""
        outputs: list[Output] = []
        if self._pending is not None and at >= self._pending[1]:
            request, self._pending = self._pending[0], None
            if request is None:
                return [Broken("the execution notice was not acknowledged", RETRY_SECONDS)]
            self._uncertain.add(request.key)
            self._active.discard(request.key)
            outputs.append(Report(request.outcome(RegistrationUnanswered), request.seq))
        while self._pending is None and self._queue and self._needless(self._queue[0]):
            needless = self._queue.popleft()
            outputs.append(Report(needless.registered(already=True), needless.seq))
        for request in [one for one in self._queue if one.valid_until < at]:
            self._queue.remove(request)
            outputs.append(Report(request.outcome(RegistrationExpired), request.seq))
        return outputs

    def wake_at(self) -> Micros | None:
        """Return when `late` or `to_send` should be called again, None if only input matters."""
        times = [self._pending[1]] if self._pending is not None else []
        if self._queue and self._pending is None:
            times.append(self._not_before)
        return min(times) if times else None

    def _needless(self, request: Request) -> bool:
        """Tell whether the broker holds what is to be registered: KIS asks not to send that again (2.5)."""
        return request.action == "register" and request.key in self._active

    def _without_key(self, control: Control) -> Control:
        """Return it with our approval key struck out of its words, which are logged and recorded."""
        if not self._approval or self._approval not in control.message:
            return control
        return replace(control, message=control.message.replace(self._approval, "(hidden)"))

    def _control(self, text: str, control: Control) -> list[Output]:
        if control.tr_id == "PINGPONG":
            self._out.append(text)
            return _told(control.time)
        does = reaction(control).does
        if control.tr_id == self._notice_tr and control.keys is not None and (does in {"active", "already"}):
            self._keys[control.tr_id] = control.keys
        nameless = control.tr_id == "" and control.rt_cd != "0"
        if self._pending is None:
            return self._unasked(control, nameless=nameless)
        request, _ = self._pending
        if request is None:
            return self._notice_answered(control) if control.tr_id == self._notice_tr or nameless else []
        addressed = control.tr_id == self._tr_ids[request.channel] and control.tr_key in {request.code, ""}
        # A late answer to a registration must not be taken for that to the drop which followed it, nor the reverse.
        stale = does in ({"free", "not_found"} if request.action == "register" else {"active", "already"})
        if (addressed and not stale) or nameless:
            self._pending = None
            return self._answered(request, control)
        return [] if addressed else self._unasked(control, nameless=False)

    def _unasked(self, control: Control, *, nameless: bool) -> list[Output]:
        """Take a control frame that answers nothing under way: a late acknowledgement, or word that the key is taken."""
        if nameless and reaction(control).does in {"wait", "renew", "stop"}:
            return [_broken(control)]
        channel = CHANNELS.get(control.tr_id)
        key = (Symbol(control.tr_key), channel) if channel is not None else None
        if key is None or key not in self._uncertain or reaction(control).does not in {"active", "already"}:
            return []
        self._uncertain.discard(key)
        self._active.add(key)
        return [Report(Registered(epoch=self._epoch, code=key[0], channel=key[1], already=False))]

    def _notice_answered(self, control: Control) -> list[Output]:
        self._pending = None
        react = reaction(control)
        if react.does not in {"active", "already"} and control.rt_cd != "0":
            said = (
                f"the broker does not take the execution notice, look at the HTS id: {control.msg_cd} {control.message}"
            )
            return [*(self._once("notice", said) if react.does == "fix" else []), _broken(control)]
        if self._notice_tr not in self._keys:
            return [Broken("the execution notice was acknowledged without usable keys", RETRY_SECONDS)]
        self._ready = True
        return [Report(FeedConnected(epoch=self._epoch))]

    def _answered(self, request: Request, control: Control) -> list[Output]:
        key, react = request.key, reaction(control)
        self._uncertain.discard(key)
        if request.action == "register" and (control.rt_cd == "0" or react.does == "already"):
            self._active.add(key)
            return [Report(request.registered(already=react.does == "already"), request.seq)]
        if request.action == "drop" and (control.rt_cd == "0" or react.does == "not_found"):
            for keys in (self._active, self._fresh, self._ticked):
                keys.discard(key)
            return [Report(request.dropped(already=react.does == "not_found"), request.seq)]
        if request.action == "register":
            self._fresh.discard(key)
        kind: Kind = react.kind or "other"
        outputs: list[Output] = [Report(request.refused(kind, control.msg_cd, control.message), request.seq)]
        if kind == "fatal":
            return [*outputs, _broken(control)]
        return outputs + (self._once(control.msg_cd, _malformed(control)) if kind == "other" else [])

    def _data(self, text: str) -> list[Output]:
        tr_id, width, records = read(text)
        if tr_id not in self._own:
            raise FeedFormatError(f"{tr_id} was never registered here")
        outputs: list[Output] = [] if self._widths.get(tr_id) == width else self._width(tr_id, width)
        if not self._fresh:
            return [*outputs, Data(text, records, ())]
        first: list[Key] = []
        for record in records:
            key = (record.code, CHANNELS[tr_id])
            # What trails behind a drop, or was never asked for, is no registration's first data.
            if key in self._fresh:
                self._fresh.discard(key)
                self._ticked.add(key)
                self._uncertain.discard(key)
                self._active.add(key)
                first.append(key)
        return [*outputs, Data(text, records, tuple(first))]

    def _width(self, tr_id: str, width: int) -> list[Output]:
        """Tell once a channel of a width no document knows, or of one that changes while we look."""
        before = self._widths.get(tr_id)
        self._widths[tr_id] = width
        if before is None and width in KNOWN_WIDTHS[tr_id]:
            return []
        known = ", ".join(map(str, sorted(KNOWN_WIDTHS[tr_id])))
        was = f", {before} before" if before is not None else ""
        return self._once(
            tr_id, f"records of {tr_id} have {width} fields{was} (known: {known}): KIS changed its layout"
        )

    def _once(self, topic: str, text: str) -> list[Output]:
        if topic in self._told:
            return []
        self._told.add(topic)
        return [Report(AlertRaised(level="warning", text=text))]

    def _notices(self, text: str) -> list[Output]:
        keys = self._keys.get(text[2:10])
        if keys is None:
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
            for notice in decode_notices(text, keys)
            if notice.account == self._account
        ]


def _broken(control: Control) -> Broken:
    """Return how a connection ends that the broker refuses, by the code's reaction."""
    react = reaction(control)
    said = f"{control.msg_cd} {control.message}".strip()
    if react.does == "stop":
        return Broken(said, IN_USE_SECONDS, fatal=True, alert=f"the broker refuses the feed's key: {said}")
    if react.does == "wait":
        return Broken(said, IN_USE_SECONDS, alert=f"another session uses the feed's app key: {said}")
    return Broken(said, RETRY_SECONDS, renew_approval=react.does == "renew")


def _told(time: str) -> list[Output]:
    """Return the broker's clock as a PINGPONG tells it; one without a readable time is echoed all the same."""
    if len(time) != 14 or not (time.isascii() and time.isdigit()):
        return []
    try:
        moment = datetime.strptime(time, "%Y%m%d%H%M%S").replace(tzinfo=KST)
    except ValueError:
        return []
    return [Told(Micros(int(moment.timestamp()) * SECOND_US))]


def _malformed(control: Control) -> str:
    return f"the broker calls a registration malformed: {control.msg_cd} {control.message}"
