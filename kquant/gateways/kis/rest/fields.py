"""Fields of KIS's answers, read strictly: a missing or malformed one is KisUnreadable with its name, never a zero.

All leaf values are text (kis-protocol 4); padding is stripped. Money and shares are whole numbers.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from kquant.gateways.kis.feed.wire import basis_points
from kquant.gateways.kis.rest.errors import KisUnreadable
from kquant.values import BasisPoints, Krw, Shares, Symbol, is_code

Row = Mapping[str, Any]

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")
"""A whole number that can be stored, as KIS writes them."""
_DECIMAL = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{0,8})?|[+-]?\.[0-9]{1,8}")
_DAY = re.compile(r"[12][0-9]{3}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])")
_TIME = re.compile(r"([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]")


def text_field(row: Row, name: str, *, secret: bool = False) -> str:
    """Return a field that must be text and not blank. Raises KisUnreadable naming it, and its value unless *secret*."""
    value = row.get(name)
    if not isinstance(value, str) or not (value := value.strip()):
        shown = type(value).__name__ if secret else repr(value)[:80]
        raise KisUnreadable(f"field {name} is {shown}, not a text")
    return value


def any_text(row: Row, name: str) -> str:
    """Return a field that must be there as text and may be blank."""
    value = row.get(name)
    if not isinstance(value, str):
        raise KisUnreadable(f"field {name} is {value!r:.80}, not a text")
    return value.strip()


def int_field(row: Row, name: str) -> int:
    """Return a field that must be a whole number, as text. "70850.0000" counts, "70850.5" does not."""
    text = text_field(row, name)
    if _WHOLE.fullmatch(text) is None:
        raise KisUnreadable(f"field {name} is {text[:80]!r}, not a whole number")
    return int(text.partition(".")[0])


def count_field(row: Row, name: str) -> int:
    """Return a field that must be a whole number of zero or more."""
    number = int_field(row, name)
    if number < 0:
        raise KisUnreadable(f"field {name} is {number}, below zero")
    return number


def price_field(row: Row, name: str) -> Krw:
    """Return a price that must be above zero (won). A price of zero is no price: it starved others of their exits."""
    number = int_field(row, name)
    if number <= 0:
        raise KisUnreadable(f"field {name} is {number}, not a price")
    return Krw(number)


def won_field(row: Row, name: str) -> Krw:
    """Return an amount or a day's price of zero or more (won); open, high and low are 0 before the first trade."""
    return Krw(count_field(row, name))


def shares_field(row: Row, name: str) -> Shares:
    """Return shares, zero or more."""
    return Shares(count_field(row, name))


def blank_or_int(row: Row, name: str) -> int | None:
    """Return a whole number, None where the field is blank. Raises KisUnreadable where it is missing."""
    return int_field(row, name) if any_text(row, name) else None


def rate_field(row: Row, name: str) -> BasisPoints:
    """Return a percentage as basis points, exactly."""
    text = text_field(row, name)
    try:
        return basis_points(text)
    except ValueError:
        raise KisUnreadable(f"field {name} is {text[:80]!r}, not a percentage") from None


def change_field(row: Row, rate: str, sign: str) -> BasisPoints:
    """Return a change as basis points. A rate without a sign takes that of *sign* (4 limit down, 5 down), where that is."""
    points = rate_field(row, rate)
    falls = points > 0 and row.get(sign) in ("4", "5")
    return BasisPoints(-points) if falls else points


def decimal_field(row: Row, name: str) -> Decimal:
    """Return a decimal figure that is no money of ours, such as a ratio, exactly as written."""
    text = text_field(row, name)
    if _DECIMAL.fullmatch(text) is None:
        raise KisUnreadable(f"field {name} is {text[:80]!r}, not a decimal number")
    return Decimal(text)


def code_field(row: Row, name: str) -> Symbol:
    """Return a short code: six characters, or seven of an ETN; letters allowed."""
    text = text_field(row, name)
    if not is_code(text):
        raise KisUnreadable(f"field {name} is {text[:80]!r}, not a short code")
    return Symbol(text)


def day_field(row: Row, name: str) -> str:
    """Return a date YYYYMMDD."""
    text = text_field(row, name)
    if _DAY.fullmatch(text) is not None:
        with contextlib.suppress(ValueError):  # 31 February is none
            date(int(text[:4]), int(text[4:6]), int(text[6:]))
            return text
    raise KisUnreadable(f"field {name} is {text[:80]!r}, not a date YYYYMMDD")


def time_field(row: Row, name: str) -> str:
    """Return a time HHMMSS (KST)."""
    text = text_field(row, name)
    if _TIME.fullmatch(text) is None:
        raise KisUnreadable(f"field {name} is {text[:80]!r}, not a time HHMMSS")
    return text


def flag_field(row: Row, name: str) -> bool:
    """Return a Y or N field."""
    text = text_field(row, name)
    if text not in {"Y", "N"}:
        raise KisUnreadable(f"field {name} is {text[:80]!r}, neither Y nor N")
    return text == "Y"
