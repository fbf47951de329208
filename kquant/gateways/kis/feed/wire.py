"""The KIS real-time data frames, pure: texts to records. Notices are in `executions.py`, control frames in `control.py`.

Sources: kis-protocol 2.4 (frames), 3.1 to 3.3, 3.5 and 3.7 (field tables). Any text is decoded or raises FeedFormatError
and nothing else. Records come back to back without a separator; a frame's fields must divide by its count, and a record
may be longer than known, because KIS appends fields. Whether a record may be believed is not asked here (`guards.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from operator import itemgetter
from typing import cast

from kquant.gateways.kis.feed.channels import CHANNELS, LEAST_WIDTH, NOTICE_REAL
from kquant.market.records import Book, MarketStatus, ProgramTrade, Record, Trade
from kquant.values import BasisPoints, Channel, KquantError, Krw, Shares, Symbol

__all__ = ["NOTICE_REAL", "FeedFormatError", "Frame", "basis_points", "clock_text", "decode", "read"]


class FeedFormatError(KquantError):
    """A text that is not a KIS frame, or a field that is not what its table says."""


Frame = tuple[str, int, tuple[Record, ...]]
"""A data frame as read: its TR id, how many fields a record has, the records. Plain, because a named one costs a tenth."""


def decode(text: str) -> tuple[Record, ...]:
    """Return the records of a plain data frame, in order."""
    return read(text)[2]


def read(text: str) -> Frame:
    """Return a plain data frame's TR id, width and records."""
    try:
        # int() would take "1_0" and digits of other scripts; one look at the whole text is cheaper than one a field.
        # Only a halt's reason is free text.
        if ("_" in text or not text.isascii()) and CHANNELS.get(text[2:10]) != "status":
            raise FeedFormatError(f"not a data frame: {text[:40]!r} holds what no field may hold")
        flag, tr_id, count_text, payload = text.split("|")  # a fifth part is a second frame run into this one
        count = int(count_text)
        fields = payload.split("^") if " " not in payload else [field.strip(" ") for field in payload.split("^")]
        width, rest = divmod(len(fields), count)
        if flag != "0" or rest or width < _LEAST[tr_id] or not _is_count(count_text):
            raise FeedFormatError(f"{tr_id}: {count} records in {len(fields)} fields")
        records, starts = _READERS[tr_id], range(0, len(fields), width)
        try:
            return tr_id, width, records(fields, starts)
        except ValueError:
            return tr_id, width, records(_tidied(fields, starts), starts)
    except (ValueError, KeyError, ZeroDivisionError, IndexError) as error:
        raise FeedFormatError(f"not a data frame: {text[:40]!r} ({type(error).__name__}: {error})") from None


@lru_cache(maxsize=1_024)
def _is_count(text: str) -> bool:
    return len(text) == 3 and text.isascii() and text.isdigit() and text != "000"


@lru_cache(maxsize=8_192)
def basis_points(percent: str) -> BasisPoints:
    """Return a percentage's text ("-3.95") as basis points, exactly. Raises ValueError."""
    whole, _, part = percent.partition(".")
    size, digits = whole.removeprefix("-"), part.ljust(2, "0")
    if not size or not (size + digits).isdigit() or not percent.isascii() or len(size) > 9 or digits[2:].strip("0"):
        raise ValueError(f"rate {percent!r}")
    points = int(size) * 100 + int(digits[:2])
    return BasisPoints(-points if whole.startswith("-") else points)


def clock_text(text: str) -> str:
    """Return a time of six digits. Raises ValueError."""
    if len(text) != 6 or not text.isdigit():
        raise ValueError(f"time {text!r}")
    return text


def _bounded(figures: int) -> None:
    """Refuse figures, given as their bitwise or, of which one is negative or too large to be stored."""
    if figures >> 62:
        raise ValueError("a figure below zero or above all bounds")


_HALTED = {"Y": True, "N": False}
_DOWN = {"4", "5"}
"""Directions of a price that is lower than the day before: limit down, down."""


_SEGMENT = 46
"""Where the market segment stands, in frames from 2026-09-14 on."""
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


def _tidied(fields: list[str], starts: range) -> list[str]:
    """Return the fields with figures made plain; a symbol and a time are none."""
    tidied = list(map(_tidy, fields))
    for start in starts:
        tidied[start : start + 2] = fields[start : start + 2]
    return tidied


def _tidy(text: str) -> str:
    """Return a number such as "000249250.00" without its empty decimals; other texts as they are."""
    whole, _, part = text.partition(".")
    return whole if whole.isdigit() and part and not part.strip("0") else text


def _trades(f: list[str], starts: range) -> tuple[Record, ...]:
    # The hot path: one sweep of `int` over a record's figures, one look at the signs and sizes of all of them, and no
    # call a record but those that make it.
    figures_at, new, rate, halted = _figures_at, _new_trade, _rate, _HALTED
    classed = starts.step > _SEGMENT
    records = []
    time = ""
    for i in starts:
        last, qty, side, bid, ask, opened, high, low, volume, value = map(int, figures_at(i)(f))
        if (last | qty | side | bid | ask | opened | high | low | volume | value) >> 62:
            raise ValueError("a figure below zero or above all bounds")
        if f[i + 1] != time:  # the records of a frame mostly share it
            time = clock_text(f[i + 1])
        change = rate(f[i + 5])
        if change > 0 and f[i + 3] in _DOWN:  # a rate without a sign takes that of its direction: limit down, down
            change = -change
        records.append(
            new(
                f[i], time, last, qty, side, bid, ask, opened, high, low, volume, value,
                change, f[i + 34], f[i + 43], halted[f[i + 35]], f[i + _SEGMENT] if classed else "",
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
        clock_text(f[i + 1]),
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
    return ProgramTrade(Symbol(f[i]), clock_text(f[i + 1]), sold, bought, net)


def _statuses(f: list[str], starts: range) -> tuple[Record, ...]:
    return tuple([_status(f[start : start + starts.step]) for start in starts])


def _status(f: list[str]) -> Record:
    # The unified channel's official list leaves the symbol out, its live frames have it: told apart by shape (3.5).
    code = "" if f[0] in _HALTED else f[0]
    halted, reason, operation, expected, extension, _, status, vi, overtime_vi, *rest = f[1:] if code else f
    if code and len(code) < 6:
        raise ValueError(f"symbol {code!r}")
    return MarketStatus(
        code=Symbol(code),
        halted=_HALTED[halted],
        halt_reason=_text(reason),
        operation=_text(operation),
        expected=_text(expected),
        extension=_text(extension),
        stock_status=_text(status),
        vi=_FLAGS[vi],
        overtime_vi=_FLAGS[overtime_vi],
        venue=_text(rest[0]) if rest else "",
    )


_FLAGS = {"Y": True, "N": False, "": False}
"""Flags of a status; what is left blank is not so."""


def _text(text: str) -> str:
    text = text.strip()
    return "" if text == "(null)" else text


_READ_AS: dict[Channel, Callable[[list[str], range], tuple[Record, ...]]] = {
    "trades": _trades,
    "book": _books,
    "program": _programs,
    "status": _statuses,
}
_READERS = {tr_id: _READ_AS[channel] for tr_id, channel in CHANNELS.items()}
_LEAST = {tr_id: LEAST_WIDTH[channel] for tr_id, channel in CHANNELS.items()}
