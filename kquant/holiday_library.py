"""What a library of holidays says of a day: the third word, after the broker and our own calendar.

The package knows closed days, not hours: late opens and exam days are ordinary days to it.
"""

from __future__ import annotations

from datetime import date
from importlib import import_module


def library_word(day: date) -> bool | None:
    """Tell whether the package `holidays` has the Korea Exchange open on *day*; None without the package."""
    if day.weekday() >= 5:
        return False
    try:
        package = import_module("holidays")
    except ModuleNotFoundError:
        return None
    return day not in package.financial_holidays("XKRX", years=day.year)
