"""KRX rules the exchange enforces: tick sizes, costs, closed days.

Prices and amounts are whole won, rates are parts per 100,000, times are seconds of the day in KST.
Source: kis-protocol.md 5.1-5.5. The exchange states these rules itself and shares no table with its clients.
"""

import datetime as dt
from typing import Final

from msgspec import Struct

_TICKS: Final = ((2_000, 1), (5_000, 5), (20_000, 10), (50_000, 50), (200_000, 100), (500_000, 500))

RANDOM_END_S: Final = 30
"""An auction may end up to this many seconds late, so day orders live that long after the close."""


def tick_size(price: int, kind: str = "common") -> int:
    """Return the price step in won at *price*; ETFs and ETNs step by 5 from 2,000 won (2023-01-25 table)."""
    if kind in ("etf", "etn"):
        return 1 if price < 2_000 else 5
    for below, tick in _TICKS:
        if price < below:
            return tick
    return 1_000


class CostRates(Struct, frozen=True, kw_only=True):
    """Costs in parts per 100,000 of an order's cumulative amount."""

    commission: int = 14
    sell_tax: int

    def commission_on(self, amount: int) -> int:
        """Return the commission in won on an order's cumulative *amount*, floored."""
        return amount * self.commission // 100_000

    def tax_on(self, amount: int, *, is_sell: bool, kind: str) -> int:
        """Return the sell tax in won on an order's cumulative *amount*, floored; ETFs and ETNs pay none."""
        if not is_sell or kind in ("etf", "etn"):
            return 0
        return amount * self.sell_tax // 100_000


def cost_rates(day: dt.date) -> CostRates:
    """Return the rates in force on *day*: tax 0.15 % in 2025, 0.20 % from 2026 (rural tax included)."""
    if day < dt.date(2025, 1, 1):
        raise ValueError(f"no sell tax is tabulated for {day}; trading days from 2025-01-01 on are supported")
    return CostRates(sell_tax=150 if day.year == 2025 else 200)


_CLOSED: Final = frozenset(
    dt.date(year, month, day)
    for year, dates in {
        2025: "0101 0127 0128 0129 0130 0303 0501 0505 0506 0603 0606 0815 1003 1006 1007 1008 1009 1225 1231",
        2026: "0101 0216 0217 0218 0302 0501 0505 0525 0603 0717 0817 0924 0925 1005 1009 1225 1231",
        2027: "0101 0208 0209 0301 0503 0505 0513 0719 0816 0914 0915 0916 1004 1011 1227 1231",
    }.items()
    for month, day in ((int(text[:2]), int(text[2:])) for text in dates.split())
)


def is_open_day(day: dt.date) -> bool:
    """Return whether KRX trades on *day*: weekdays without the closed days of 2025 to 2027, 2027's as the holiday law has them."""
    return day.weekday() < 5 and day not in _CLOSED


def is_bank_day(day: dt.date) -> bool:
    """Return whether banks work on *day* (they do on the last day of the year)."""
    return is_open_day(day) or (day.weekday() < 5 and (day.month, day.day) == (12, 31))


def hhmmss(second: int) -> str:
    """Return a KST second of the day as HHMMSS text."""
    return f"{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}"


def sign_of(change: int, price: int, upper: int, lower: int) -> str:
    """Return KIS's direction code: 1 upper limit, 2 up, 3 unchanged, 4 lower limit, 5 down."""
    if change > 0:
        return "1" if price == upper else "2"
    if change < 0:
        return "4" if price == lower and lower > 0 else "5"
    return "3"


def percent(part: int, whole: int) -> str:
    """Return part / whole in percent with two decimals, rounded half away from zero; `0.00` over zero."""
    if whole == 0:
        return "0.00"
    negative = (part < 0) != (whole < 0)
    hundredths = (abs(part) * 20_000 + abs(whole)) // (2 * abs(whole))
    text = f"{hundredths // 100}.{hundredths % 100:02d}"
    return f"-{text}" if negative and hundredths else text


def ratio(part: int, whole: int, decimals: int) -> str:
    """Return part / whole as decimal text with *decimals* places, truncated; zero over zero."""
    scale = 10**decimals
    scaled = part * scale // whole if whole else 0
    sign, scaled = ("-", -scaled) if scaled < 0 else ("", scaled)
    return f"{sign}{scaled // scale}.{scaled % scale:0{decimals}d}"
