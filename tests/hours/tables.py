"""The packaged tables, and a day's hours in words."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest

from kquant.config import load
from kquant.hours import day_hours
from kquant.krx import Session
from kquant.values import kst_clock

SETTINGS = load("demo", environ={}).settings
TABLES = SETTINGS.krx
NORMAL, EXAM, EXAM_2025, LATE_OPEN = date(2026, 11, 20), date(2026, 11, 19), date(2025, 11, 13), date(2026, 1, 2)


def words(one: Session) -> str:
    start, end = (clock.removesuffix(":00") for clock in (kst_clock(one.start), kst_clock(one.end)))
    return f"{one.venue} {one.name} {start}-{end}"


def sessions(day: date) -> list[str]:
    return [words(one) for one in day_hours(day, TABLES).sessions]


def shared(name: str) -> Path:
    """Return a file of real market data; without it the test is skipped, or fails where the data are asked for."""
    folder = Path(os.environ.get("KQUANT_SHARED_DATA", Path(__file__).parents[2] / "../shared/data"))
    found = folder / "hours" / name
    if not found.exists():
        if os.environ.get("KQUANT_REQUIRE_SHARED_DATA") == "1":
            pytest.fail(f"{name} is missing, and KQUANT_REQUIRE_SHARED_DATA asks for it")
        pytest.skip(f"{name} is not here: set KQUANT_SHARED_DATA to the folder of real market data")
    return found
