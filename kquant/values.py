"""Values every room shares: what they mean, in which unit, and where the unit comes from.

Money is whole won, quantities are whole shares, instants are UTC microseconds, sessions are KST.
Nothing here reads a clock or does I/O.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Literal, NewType

Symbol = NewType("Symbol", str)
"""A KRX short code, never a number: six digits or capitals ("005930"), seven of an ETN ("Q500001"; kis-protocol 3.1)."""

Krw = NewType("Krw", int)
"""Whole won: a price per share or an amount, as the name says."""

Shares = NewType("Shares", int)
"""Whole shares."""

BasisPoints = NewType("BasisPoints", int)
"""A rate in hundredths of a percent: 29.97 % is 2997."""

Score = NewType("Score", int)
"""A judgement from 0 to 100. No score is None, never 0 and never 50."""

Seq = NewType("Seq", int)
"""Place in the day's journal, from 1, without gaps. It alone orders replay."""

Micros = NewType("Micros", int)
"""An instant: microseconds since 1970-01-01 UTC."""

Epoch = NewType("Epoch", int)
"""Number of a broker connection within the day, from 1."""

IntentId = NewType("IntentId", int)
"""Our number of one intended order within the day, from 1."""

TriggerId = NewType("TriggerId", int)
"""Our number of one arming within the day, from 1."""

Side = Literal["buy", "sell"]
OrderKind = Literal["limit", "market"]
Channel = Literal["trades", "book", "program", "status"]
"""What one registration brings: trades (H0STCNT0), order book (H0STASP0), program trading (H0STPGM0), market status
with halts and volatility interruptions (H0STMKO0)."""

Priority = Literal[1, 2, 3, 4]
"""1 holdings, 2 daily picks, 3 surging stocks, 4 extra channels."""

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
KST = timezone(timedelta(hours=9), "KST")
"""Korea has had no daylight saving time since 1988, so a fixed offset is exact and needs no time zone files."""


class KquantError(Exception):
    """Root of every error kquant raises on purpose. The message names the value and what to do."""


_CODE = re.compile(r"[0-9A-Z]{6,7}")


def is_code(text: str) -> bool:
    """Tell whether *text* has the form of a `Symbol`."""
    return _CODE.fullmatch(text) is not None


def to_kst(at: Micros) -> datetime:
    """Return the instant as an aware KST datetime."""
    return datetime.fromtimestamp(at // SECOND_US, KST) + timedelta(microseconds=at % SECOND_US)


def from_kst(day: date, moment: time) -> Micros:
    """Return the instant of a KST wall-clock time on a day."""
    return Micros(int(datetime.combine(day, moment, KST).astimezone(UTC).timestamp()) * SECOND_US + moment.microsecond)


def kst_second(at: Micros) -> int:
    """Return the second of the KST day, 09:00:00 being 32400."""
    return (at // SECOND_US + 9 * 3600) % 86_400


def kst_clock(at: Micros) -> str:
    """Return HH:MM:SS in KST."""
    second = kst_second(at)
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
