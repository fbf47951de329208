"""Execution notices on the wire: AES texts to notices (kis-protocol 2.4 and 3.4). The 26-field layout and the older of 23.

Both agree in fields 0 to 17, and nothing behind them is read: names and credit data are not ours to keep.
"""

from __future__ import annotations

import base64
import binascii
from typing import Literal

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from msgspec import Struct

from kquant.gateways.kis.feed.channels import NOTICE_WIDTH, NOTICES
from kquant.gateways.kis.feed.wire import FeedFormatError, clock_text
from kquant.values import Krw, Shares, Side, Symbol


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
    return text[2:10] in NOTICES


def decode_notices(text: str, keys: Keys) -> tuple[Notice, ...]:
    """Decrypt and return the notices of a frame."""
    try:
        flag, tr_id, count_text, payload = text.split("|", 3)
        plain = _decrypt(payload, keys) if flag == "1" else payload
        fields = [field.strip(" ") for field in plain.split("^")]
        count = int(count_text)
        width, rest = divmod(len(fields), count)
        if rest or width < NOTICE_WIDTH or tr_id not in NOTICES:
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


def _number(text: str) -> str:
    """Return an order number without its leading zeros."""
    if _figure(text) == 0:
        raise ValueError("an order number of zero")
    return text.lstrip("0")


def _code(text: str) -> Symbol:
    """Return a short code: six characters, or seven of an ETN."""
    if not (6 <= len(text) <= 7 and text.isascii() and text.isalnum()):
        raise ValueError("a stock that is no short code")
    return Symbol(text)


def _notice(f: list[str]) -> Notice:
    return Notice(
        account=f[1],
        kind=_kind(f[12], f[13], f[14]),
        request=_REQUESTS[f[5]],
        order_no=_number(f[2]),
        original_order_no=_number(f[3]) if f[3].strip("0") else "",
        code=_code(f[8]),
        side=_SIDES[f[4]],
        qty=Shares(_figure(f[9])),
        price=Krw(_figure(f[10])),
        order_qty=Shares(_figure(f[16])),
        time=clock_text(f[11]),
    )


def _kind(refused: str, kind: str, accepted: str) -> Literal["accepted", "rejected", "cancelled", "filled"]:
    if refused == "1":
        return "rejected"
    if kind == "2":
        return "filled"
    if kind == "1":
        return "cancelled" if accepted == "3" else "accepted"
    raise ValueError(f"notice kind {kind!r}")
