"""Control frames: acknowledgements and refusals to values, and what every OPSP code asks of us (kis-protocol 2.1, 2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct

from kquant.gateways.kis.feed.executions import Keys
from kquant.gateways.kis.feed.wire import FeedFormatError

Kind = Literal["invalid_key", "resource", "over_capacity", "fatal", "other"]
"""What a refusal means to who asked; see events.feed.RegistrationRefused."""


class Reaction(Struct, frozen=True):
    """What a code asks of us.

    does: active, free (the answers wished for), already, not_found (as good as those), retry (later), learn (the real
    capacity), renew (the approval key, once), wait (60 s and more), stop (the key is no good), fix (our request is).
    kind: what a refusal of it is called in events, None for what counts as done.
    """

    does: Literal["active", "free", "already", "not_found", "retry", "learn", "renew", "wait", "stop", "fix"]
    kind: Kind | None
    meaning: str


OPSP: Mapping[str, Reaction] = {
    "OPSP0000": Reaction("active", None, "subscribed"),
    "OPSP0001": Reaction("free", None, "unsubscribed"),
    "OPSP0002": Reaction("already", None, "already subscribed: treat as active, never resend"),
    "OPSP0003": Reaction("not_found", None, "not subscribed: treat as inactive"),
    "OPSP0007": Reaction("retry", "resource", "internal error on subscribing"),
    "OPSP0008": Reaction("learn", "over_capacity", "one registration too many"),
    "OPSP0009": Reaction("retry", "resource", "could not be passed on"),
    "OPSP0010": Reaction("stop", "fatal", "invalid app key"),
    "OPSP0011": Reaction("renew", "fatal", "approval key not found"),
    "OPSP8991": Reaction("fix", "invalid_key", "invalid TR id, or one the server does not offer"),
    "OPSP8992": Reaction("fix", "invalid_key", "invalid TR key"),
    "OPSP8993": Reaction("fix", "invalid_key", "TR key is no text"),
    "OPSP8994": Reaction("stop", "fatal", "personal secret key not found"),
    "OPSP8995": Reaction("stop", "fatal", "app secret not found"),
    "OPSP8996": Reaction("wait", "fatal", "another session holds the app key"),
    "OPSP8997": Reaction("fix", "other", "invalid tr_type"),
    "OPSP8998": Reaction("fix", "other", "invalid custtype"),
    "OPSP8999": Reaction("retry", "resource", "resource not available"),
    "OPSP9990": Reaction("fix", "other", "TR key not found"),
    "OPSP9991": Reaction("fix", "other", "input not found"),
    "OPSP9992": Reaction("fix", "other", "body not found"),
    "OPSP9993": Reaction("retry", "resource", "internal error"),
    "OPSP9994": Reaction("stop", "fatal", "invalid app key"),
    "OPSP9995": Reaction("retry", "resource", "resource not available"),
    "OPSP9996": Reaction("stop", "fatal", "app key missing"),
    "OPSP9997": Reaction("fix", "other", "custtype not found"),
    "OPSP9998": Reaction("fix", "other", "header not found"),
    "OPSP9999": Reaction("fix", "other", "invalid JSON"),
}
"""Every control code of kis-protocol 2.2 and its reaction. A code that is not here is refused as "other"."""

UNKNOWN_CODE = Reaction("fix", "other", "a code no document knows")


def reaction(control: Control) -> Reaction:
    """Return what an answer asks of us."""
    return OPSP.get(control.msg_cd, UNKNOWN_CODE)


class Control(Struct, frozen=True, kw_only=True):
    """A control frame: an acknowledgement, a refusal, or a PINGPONG (then only tr_id is set).

    tr_id, tr_key: "" where the header says "(null)" or nothing.   time: of a PINGPONG, YYYYMMDDHHMMSS KST, "" if it has none.
    """

    tr_id: str
    tr_key: str = ""
    rt_cd: str = ""
    msg_cd: str = ""
    message: str = ""
    keys: Keys | None = None
    time: str = ""


class _Output(Struct):
    iv: str = ""
    key: str = ""


class _Body(Struct):
    rt_cd: str = ""
    msg_cd: str = ""
    msg1: str = ""
    output: _Output | None = None


class _Header(Struct):
    tr_id: str | None = ""
    tr_key: str | None = ""
    datetime: object = ""


class _Frame(Struct):
    header: _Header
    body: _Body | None = None


_frames = msgspec.json.Decoder(_Frame)


def decode_control(text: str) -> Control:
    """Return a JSON frame's content."""
    try:
        frame = _frames.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        raise FeedFormatError(f"not a control frame: {text[:40]!r} ({error})") from None
    body = frame.body or _Body()
    output = body.output
    keys = Keys(output.key, output.iv) if output and len(output.key) == 32 and len(output.iv) == 16 else None
    return Control(
        tr_id=_named(frame.header.tr_id),
        tr_key=_named(frame.header.tr_key),
        rt_cd=body.rt_cd,
        msg_cd=body.msg_cd,
        message=body.msg1.strip(),
        keys=keys,
        time=frame.header.datetime if isinstance(frame.header.datetime, str) else "",
    )


def _named(text: str | None) -> str:
    text = "" if text is None else text.strip()
    return "" if text == "(null)" else text


def encode_request(approval_key: str, tr_type: Literal["1", "2"], tr_id: str, tr_key: str) -> str:
    """Return the text that registers ("1") or unregisters ("2") one key."""
    request = {
        "header": {"approval_key": approval_key, "custtype": "P", "tr_type": tr_type, "content-type": "utf-8"},
        "body": {"input": {"tr_id": tr_id, "tr_key": tr_key}},
    }
    return msgspec.json.encode(request).decode()
