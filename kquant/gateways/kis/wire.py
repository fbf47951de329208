"""The KIS real-time wire, pure: texts to records, notices and control frames, and requests to texts.

Sources: kis-protocol 2.1 to 2.4 (frames), 3.1 to 3.4 (field tables). Any text is decoded or raises FeedFormatError and
nothing else. Records come back to back without a separator; a frame's fields must divide by its count, and a record may
be longer than known, because KIS appends fields.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from functools import cache, lru_cache
from operator import itemgetter
from typing import Literal, cast

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from msgspec import Struct

from kquant.market.records import Book, ProgramTrade, Record, Trade
from kquant.values import BasisPoints, Channel, KquantError, Krw, Shares, Side, Symbol

TR_IDS: dict[Channel, str] = {"trades": "H0STCNT0", "book": "H0STASP0", "program": "H0STPGM0"}
CHANNELS: dict[str, Channel] = {tr_id: channel for channel, tr_id in TR_IDS.items()}
NOTICE_REAL, NOTICE_PAPER = "H0STCNI0", "H0STCNI9"
WIDTHS = {"H0STCNT0": 46, "H0STASP0": 59, "H0STPGM0": 11}
"""Fewest fields a record may have; more are accepted."""
NOTICE_WIDTH = 23


class FeedFormatError(KquantError):
    """A text that is not a KIS frame, or a field that is not what its table says."""


def decode(text: str) -> tuple[Record, ...]:
    """Return the records of a plain data frame, in order."""
    try:
        # int() would take "1_0" and digits of other scripts; one look at the whole text is cheaper than one a field.
        if "_" in text or not text.isascii():
            raise FeedFormatError(f"not a data frame: {text[:40]!r} holds what no field may hold")
        flag, tr_id, count_text, payload = text.split("|", 3)
        count = int(count_text)
        fields = payload.split("^")
        width, rest = divmod(len(fields), count)
        if flag != "0" or rest or width < WIDTHS[tr_id] or count < 1:
            raise FeedFormatError(f"{tr_id}: {count} records in {len(fields)} fields")
        read, starts = _READERS[tr_id], range(0, len(fields), width)
        try:
            return read(fields, starts)
        except ValueError:
            return read(list(map(_tidy, fields)), starts)
    except (ValueError, KeyError, ZeroDivisionError, IndexError) as error:
        raise FeedFormatError(f"not a data frame: {text[:40]!r} ({type(error).__name__}: {error})") from None


@lru_cache(maxsize=8_192)
def basis_points(percent: str) -> BasisPoints:
    """Return a percentage's text ("-3.95") as basis points, exactly. Raises ValueError."""
    whole, _, part = percent.partition(".")
    size, digits = whole.removeprefix("-"), part.ljust(2, "0")
    if not size or not (size + digits).isdigit() or not percent.isascii() or len(size) > 9 or digits[2:].strip("0"):
        raise ValueError(f"rate {percent!r}")
    points = int(size) * 100 + int(digits[:2])
    return BasisPoints(-points if whole.startswith("-") else points)


def _clock(text: str) -> str:
    if len(text) != 6 or not text.isdigit():
        raise ValueError(f"time {text!r}")
    return text


def _bounded(figures: int) -> None:
    """Refuse figures, given as their bitwise or, of which one is negative or too large to be stored."""
    if figures >> 62:
        raise ValueError("a figure below zero or above all bounds")


_HALTED = {"Y": True, "N": False}


_FIGURES = (2, 12, 21, 11, 10, 7, 8, 9, 13, 14)


@cache
def _figures_at(start: int) -> Callable[[list[str]], tuple[str, ...]]:
    """Return what picks a trade's figures from a record that begins at *start*; records begin at few places."""
    return itemgetter(*(start + place for place in _FIGURES))


@lru_cache(maxsize=8_192)
def _rate(text: str) -> int:
    """Return a percentage's text as basis points; KIS writes two decimals, other texts take the longer way."""
    plain = text[-3:-2] == "." and text[-2:].isdigit() and text[:-3].removeprefix("-").isdigit() and len(text) < 12
    return int(text[:-3] + text[-2:]) if plain else basis_points(text.strip())


def _tidy(text: str) -> str:
    """Return a padded number such as " 000249250.00 " without spaces and empty decimals; other texts without spaces."""
    text = text.strip()
    whole, _, part = text.partition(".")
    return whole if whole.isdigit() and part and not part.strip("0") else text


def _trades(f: list[str], starts: range) -> tuple[Record, ...]:
    # The hot path: one sweep of `int` over a record's figures, one look at the signs and sizes of all of them, and no
    # call a record but those that make it.
    figures_at, new, rate, halted = _figures_at, _new_trade, _rate, _HALTED
    records = []
    time = ""
    for i in starts:
        last, qty, side, bid, ask, opened, high, low, volume, value = map(int, figures_at(i)(f))
        if (last | qty | side | bid | ask | opened | high | low | volume | value) >> 62:
            raise ValueError("a figure below zero or above all bounds")
        if f[i + 1] != time:  # the records of a frame mostly share it
            time = _clock(f[i + 1])
        change = rate(f[i + 5])
        if change > 0 and f[i + 3] in "45":  # a rate without a sign takes that of its direction: limit down, down
            change = -change
        records.append(
            new(
                f[i], time, last, qty, side, bid, ask, opened, high, low, volume, value,
                change, f[i + 34], f[i + 43], halted[f[i + 35]],
            )
        )  # fmt: skip
    return tuple(records)


_new_trade = cast("Callable[..., Trade]", Trade)
"""Trade, without naming the type of each figure: a call through a NewType costs as much as reading the number."""


def _books(f: list[str], starts: range) -> tuple[Record, ...]:
    return tuple([_book(f, start) for start in starts])


def _book(f: list[str], i: int) -> Record:
    book = Book(
        Symbol(f[i]),
        _clock(f[i + 1]),
        Krw(int(f[i + 13])),
        Krw(int(f[i + 3])),
        Shares(int(f[i + 33])),
        Shares(int(f[i + 23])),
        Shares(int(f[i + 44])),
        Shares(int(f[i + 43])),
        f[i + 2],
    )
    _bounded(book.bid | book.ask | book.bid_qty | book.ask_qty | book.total_bid_qty | book.total_ask_qty)
    return book


def _programs(f: list[str], starts: range) -> tuple[Record, ...]:
    return tuple([_program(f, start) for start in starts])


def _program(f: list[str], i: int) -> Record:
    sold, bought, net = Shares(int(f[i + 2])), Shares(int(f[i + 4])), Shares(int(f[i + 6]))
    _bounded(sold | bought | abs(net))
    return ProgramTrade(Symbol(f[i]), _clock(f[i + 1]), sold, bought, net)


_READERS = {"H0STCNT0": _trades, "H0STASP0": _books, "H0STPGM0": _programs}


class Keys(Struct, frozen=True):
    """AES key (32 ASCII characters) and iv (16) of one session's notices. Never shown."""

    key: str
    iv: str

    def __repr__(self) -> str:
        return "Keys(hidden)"


class Notice(Struct, frozen=True, kw_only=True):
    """An execution notice as decrypted; see events.feed.NoticeReceived for the meanings."""

    account: str
    kind: Literal["accepted", "rejected", "cancelled", "filled"]
    request: Literal["new", "revise", "cancel"]
    order_no: str
    original_order_no: str
    code: Symbol
    side: Side
    qty: Shares
    price: Krw
    order_qty: Shares
    time: str


def is_notice(text: str) -> bool:
    """Tell whether a text is an execution notice's data frame."""
    return text[2:10] in {NOTICE_REAL, NOTICE_PAPER}


def decode_notices(text: str, keys: Keys) -> tuple[Notice, ...]:
    """Decrypt and return the notices of a frame."""
    try:
        flag, tr_id, count_text, payload = text.split("|", 3)
        plain = _decrypt(payload, keys) if flag == "1" else payload
        fields = plain.split("^")
        count = int(count_text)
        width, rest = divmod(len(fields), count)
        if rest or width < NOTICE_WIDTH or tr_id not in {NOTICE_REAL, NOTICE_PAPER}:
            raise FeedFormatError(f"{tr_id}: {count} notices in {len(fields)} fields")
        return tuple(_notice(fields[start : start + width]) for start in range(0, len(fields), width))
    except (ValueError, KeyError, ZeroDivisionError, UnicodeDecodeError, binascii.Error) as error:
        raise FeedFormatError(f"not a readable notice ({type(error).__name__})") from None


def _decrypt(payload: str, keys: Keys) -> str:
    decryptor = Cipher(algorithms.AES(keys.key.encode()), modes.CBC(keys.iv.encode())).decryptor()
    padded = decryptor.update(base64.b64decode(payload, validate=True)) + decryptor.finalize()
    unpadder = PKCS7(128).unpadder()
    return (unpadder.update(padded) + unpadder.finalize()).decode()


_SIDES: dict[str, Side] = {"01": "sell", "02": "buy"}
_REQUESTS: dict[str, Literal["new", "revise", "cancel"]] = {"0": "new", "1": "revise", "2": "cancel"}


def _figure(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ValueError("a figure that is no number")
    return int(text)


def _notice(f: list[str]) -> Notice:
    return Notice(
        account=f[1],
        kind=_kind(f[12], f[13], f[14]),
        request=_REQUESTS[f[5]],
        order_no=f[2].lstrip("0"),
        original_order_no=f[3].strip().lstrip("0"),
        code=Symbol(f[8]),
        side=_SIDES[f[4]],
        qty=Shares(_figure(f[9])),
        price=Krw(_figure(f[10])),
        order_qty=Shares(_figure(f[16])),
        time=_clock(f[11]),
    )


def _kind(refused: str, kind: str, accepted: str) -> Literal["accepted", "rejected", "cancelled", "filled"]:
    if refused == "1":
        return "rejected"
    if kind == "2":
        return "filled"
    if kind == "1":
        return "cancelled" if accepted == "3" else "accepted"
    raise ValueError(f"notice kind {kind!r}")


class Control(Struct, frozen=True, kw_only=True):
    """A control frame: an acknowledgement, a refusal, or a PINGPONG (then only tr_id is set)."""

    tr_id: str
    tr_key: str = ""
    rt_cd: str = ""
    msg_cd: str = ""
    message: str = ""
    keys: Keys | None = None


class _Output(Struct):
    iv: str = ""
    key: str = ""


class _Body(Struct):
    rt_cd: str = ""
    msg_cd: str = ""
    msg1: str = ""
    output: _Output | None = None


class _Header(Struct):
    tr_id: str = ""
    tr_key: str | None = ""


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
        tr_id=frame.header.tr_id,
        tr_key=(frame.header.tr_key or "").strip(),
        rt_cd=body.rt_cd,
        msg_cd=body.msg_cd,
        message=body.msg1.strip(),
        keys=keys,
    )


def encode_request(approval_key: str, tr_type: Literal["1", "2"], tr_id: str, tr_key: str) -> str:
    """Return the text that registers ("1") or unregisters ("2") one key."""
    request = {
        "header": {"approval_key": approval_key, "custtype": "P", "tr_type": tr_type, "content-type": "utf-8"},
        "body": {"input": {"tr_id": tr_id, "tr_key": tr_key}},
    }
    return msgspec.json.encode(request).decode()
