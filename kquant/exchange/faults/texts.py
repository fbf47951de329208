"""WebSocket texts read and broken: which text is what, and the pure changes that faults make to it.

Source: kis-protocol.md 2.2-2.4 (forms), 3.1-3.4 (places of prices, times and codes).
"""

import base64
import binascii
import datetime as dt
import json
import random
import re
from typing import Final, Literal, NamedTuple

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from msgspec import Struct

from kquant.exchange.core.registrations import MESSAGES
from kquant.exchange.core.wire import encrypt
from kquant.exchange.faults.verdicts import Session

Sort = Literal["ack", "ping", "data", "notice", "other"]
_TIMED: Final = ("CNT0", "ASP0", "PGM0", "ANC0")
_ODD_NUMBERS: Final = ("NaN", "1e9", "-0", "１２３", "", "null", "99999999999999999999", "0x10")
_NOISE: Final = "^|{}\x00 -9zé가"
_GARBLES: Final = ("bytes", "cut", "merge", "count", "fields", "channel", "number")
_FORGERIES: Final = ("price", "volume", "stock")
_NOTICE_STOCK, _NOTICE_HOUR, _NOTICE_KIND = 8, 11, 13
_PRICES: Final = {"CNT0": (2, 10, 11), "ASP0": tuple(range(3, 23))}
"""Places of prices in a record of a channel of any venue; the first of a trade is its own."""
_VOLUME, _HOUR = 13, 1
_COUNT: Final = re.compile(r"\d{3}", re.ASCII)
_NUMBER: Final = re.compile(r"\d+", re.ASCII)
_MAX_FACTOR: Final = 2
"""Twice a price is beyond the daily limit of 30 % from wherever it stood."""


class Text(Struct, frozen=True, kw_only=True):
    """A text of the server, read as far as faults look at it. plain: a notice's record, blank if unreadable."""

    sort: Sort
    tr_id: str = ""
    key: str = ""
    code: str = ""
    plain: str = ""


def read(text: str, session: Session) -> Text:
    """Return what *text* is; a notice is decrypted with the session's own key of its channel."""
    if text.startswith("{"):
        return _read_control(text)
    flag, _, rest = text.partition("|")
    tr_id, _, rest = rest.partition("|")
    payload = rest.partition("|")[2]
    if flag == "1":
        plain = _decrypt(payload, *session.cipher(tr_id))
        cells = plain.split("^")
        return Text(sort="notice", tr_id=tr_id, key=cells[_NOTICE_STOCK] if plain else "", plain=plain)
    return Text(sort="data" if flag == "0" else "other", tr_id=tr_id, key=payload.partition("^")[0])


def notice_is_fill(found: Text) -> bool:
    """Tell whether a notice reports a fill (CNTG_YN 2)."""
    return bool(found.plain) and found.plain.split("^")[_NOTICE_KIND] == "2"


def request_of(text: str) -> tuple[str, str, str] | None:
    """Return (tr_type, tr_id, tr_key) of a client's registration text; None for anything else."""
    try:
        frame = json.loads(text)
        given = frame["body"]["input"]
        return str(frame["header"]["tr_type"]), str(given["tr_id"]), str(given["tr_key"])
    except (ValueError, KeyError, TypeError):
        return None


def refusal_text(code: str, tr_id: str, tr_key: str) -> str:
    """Return the server's refusal *code* of a registration (section 2.2)."""
    rt_cd, message = MESSAGES[code]
    header = {"tr_id": tr_id, "tr_key": tr_key, "encrypt": "Y" if "CNI" in tr_id else "N"}
    if code == "OPSP8996":
        header = {"tr_id": "(null)", "tr_key": "(null)", "encrypt": "N"}
    return _json({"header": header, "body": {"rt_cd": rt_cd, "msg_cd": code, "msg1": message}})


def with_key(text: str, key: str) -> str:
    """Return an acknowledgement that names *key* as its tr_key."""
    frame = json.loads(text)
    frame["header"]["tr_key"] = key
    return _json(frame)


class _Frame(NamedTuple):
    flag: str
    tr_id: str
    records: str
    cells: list[str]

    @property
    def width(self) -> int:
        return len(self.cells) // int(self.records)

    def __str__(self) -> str:
        return f"{self.flag}|{self.tr_id}|{self.records}|{'^'.join(self.cells)}"


def _whole(text: str) -> _Frame | None:
    """Return a data frame that has its structure, None once another fault has broken it."""
    parts = text.split("|", 3)
    if len(parts) != len(_Frame._fields) or not _COUNT.fullmatch(parts[2]) or parts[2] == "000":
        return None
    frame = _Frame(parts[0], parts[1], parts[2], parts[3].split("^"))
    return None if len(frame.cells) % int(frame.records) else frame


def garble(text: str, how: str, rng: random.Random) -> str | None:
    """Return a data frame broken by *rng*: bytes, cut, merge, count, fields, channel, number, or any of them."""
    frame = _whole(text)
    if frame is None:
        return None
    at = rng.randrange(len(frame.cells))
    match rng.choice(_GARBLES) if how == "any" else how:
        case "bytes":
            letters = list(text)
            for _ in range(rng.randint(1, 4)):
                letters[rng.randrange(len(letters))] = rng.choice(_NOISE)
            return "".join(letters)
        case "cut":
            return text[: rng.randrange(1, len(text))]
        case "merge":
            return text + text
        case "count":
            frame = frame._replace(records=rng.choice(("000", f"{int(frame.records) + 1:03d}", "999", "x", "")))
        case "fields":
            del frame.cells[at]
        case "channel":
            frame = frame._replace(tr_id=rng.choice(("H0STXXX0", "", "H0STCNT", "PINGPONG")))
        case _:
            frame.cells[at] = rng.choice(_ODD_NUMBERS)
    return str(frame)


def forge(text: str, how: str, rng: random.Random) -> str | None:
    """Return a well-formed trade or book that cannot be, None where *how* does not apply."""
    frame = _whole(text)
    places = () if frame is None else _PRICES.get(frame.tr_id[-4:], ())
    if frame is None or not places or max(*places, _VOLUME) >= frame.width:
        return None
    is_trade, cells = frame.tr_id.endswith("CNT0"), frame.cells
    how = rng.choice(_FORGERIES if is_trade else ("price", "stock")) if how == "any" else how
    if how == "stock":
        cells[0] = "999999"
        return str(frame)
    if how == "volume" and not is_trade:
        return None
    spoilt = (_VOLUME,) if how == "volume" else places[:1] if is_trade else places
    if not all(_NUMBER.fullmatch(cells[at]) for at in spoilt):
        return None
    for at in spoilt:
        cells[at] = str(int(cells[at]) // 2 if how == "volume" else int(cells[at]) * _MAX_FACTOR)
    return str(frame)


def zero_prices(text: str) -> str | None:
    """Return a trade or book frame whose prices are all 0, None for another channel."""
    frame = _whole(text)
    places = () if frame is None else _PRICES.get(frame.tr_id[-4:], ())
    if frame is None or not places or max(places) >= frame.width:
        return None
    for start in range(0, len(frame.cells), frame.width):
        for place in places:
            frame.cells[start + place] = "0"
    return str(frame)


def garble_notice(text: str, rng: random.Random) -> str:
    """Return a notice whose cipher text is of another key: as long, and not to be decrypted."""
    head, _, payload = text.rpartition("|")
    letters = rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", k=len(payload) - 2)
    return f"{head}|{''.join(letters)}{payload[-2:]}"


def skew(text: str, found: Text, seconds: int, session: Session) -> str | None:
    """Return the text with its times shifted by *seconds*; None where it has none."""
    if found.sort == "ping":
        frame = json.loads(text)
        frame["header"]["datetime"] = shift_datetime(frame["header"]["datetime"], seconds)
        return _json(frame)
    if found.sort == "notice" and found.plain:
        cells = found.plain.split("^")
        cells[_NOTICE_HOUR] = shift_hour(cells[_NOTICE_HOUR], seconds)
        return f"{text.rpartition('|')[0]}|{encrypt('^'.join(cells), *session.cipher(found.tr_id))}"
    frame = _whole(text) if found.sort == "data" and found.tr_id[-4:] in _TIMED else None
    if frame is None or frame.width <= _HOUR:
        return None
    for start in range(0, len(frame.cells), frame.width):
        frame.cells[start + _HOUR] = shift_hour(frame.cells[start + _HOUR], seconds)
    return str(frame)


def shift_hour(text: str, seconds: int) -> str:
    """Return HHMMSS *seconds* later, round the clock; anything else as it is."""
    if len(text) != 6 or not text.isascii() or not text.isdigit():
        return text
    at = (int(text[:2]) * 3_600 + int(text[2:4]) * 60 + int(text[4:]) + seconds) % 86_400
    return f"{at // 3_600:02d}{at % 3_600 // 60:02d}{at % 60:02d}"


def shift_datetime(text: str, seconds: int) -> str:
    """Return YYYYMMDDHHMMSS *seconds* later."""
    moment = dt.datetime.strptime(text, "%Y%m%d%H%M%S")  # noqa: DTZ007 -- shifted and printed, never compared
    return f"{moment + dt.timedelta(seconds=seconds):%Y%m%d%H%M%S}"


def _read_control(text: str) -> Text:
    frame = json.loads(text)
    header, body = frame.get("header", {}), frame.get("body")
    tr_id = str(header.get("tr_id", ""))
    if tr_id == "PINGPONG":
        return Text(sort="ping", tr_id=tr_id)
    if not isinstance(body, dict):
        return Text(sort="other", tr_id=tr_id)
    return Text(sort="ack", tr_id=tr_id, key=str(header.get("tr_key", "")), code=str(body.get("msg_cd", "")))


def _decrypt(payload: str, key: str, iv: str) -> str:
    try:
        decryptor = Cipher(algorithms.AES(key.encode("ascii")), modes.CBC(iv.encode("ascii"))).decryptor()
        padded = decryptor.update(base64.b64decode(payload, validate=True)) + decryptor.finalize()
        unpadder = padding.PKCS7(128).unpadder()
        return (unpadder.update(padded) + unpadder.finalize()).decode()
    except (binascii.Error, ValueError):
        return ""


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
