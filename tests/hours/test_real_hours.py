"""The tables against what the exchange did: every weekday of three years, and the minute bars of two odd days."""

from __future__ import annotations

import csv
from datetime import date, time, timedelta

import duckdb

from kquant.exchange.core.rules import is_open_day
from kquant.exchange.market.sessions import regular_hours
from kquant.holiday_library import library_word
from kquant.hours import day_hours, listed
from kquant.krx import SessionHours, sessions_at
from kquant.values import MINUTE_US, SECOND_US, Micros, from_kst, kst_clock
from tests.hours.tables import EXAM_2025, LATE_OPEN, TABLES, shared

WEEKDAYS = "xkrx_weekdays_20231201_20261231.csv"


def weekdays() -> list[dict[str, str]]:
    with shared(WEEKDAYS).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_weekday_of_the_record_opens_and_closes_as_the_calendar_says() -> None:
    rows = weekdays()
    assert len(rows) == 805
    for row in rows:
        day = date.fromisoformat(row["date"])
        opens = row["is_session"] == "true"
        assert listed(day, TABLES.calendar) is opens, row
        if opens:
            hours = day_hours(day, TABLES)
            assert (kst_clock(hours.open_at)[:5], kst_clock(hours.close_at)[:5]) == (row["open_kst"], row["close_kst"])


def test_the_library_knows_every_closed_weekday_of_the_record() -> None:
    assert [
        row for row in weekdays() if library_word(date.fromisoformat(row["date"])) != (row["is_session"] == "true")
    ] == []


def traded(name: str, day: date) -> list[Micros]:
    """Return the minutes of a day's bars in which anything traded, ascending."""
    rows = duckdb.execute(f"select ts from '{shared(name)}' where volume > 0 group by ts order by ts").fetchall()
    assert {row[0].date() for row in rows} == {day}
    return [from_kst(day, row[0].time()) for row in rows]


def phase(hours: SessionHours, at: Micros) -> str:
    [one] = sessions_at(hours, at, ("KRX",))
    return one.name


def test_on_the_exam_day_the_bars_fill_the_continuous_session() -> None:
    """The record lacks the closing match of 16:30; its bars of the closing auction are there, without a trade."""
    hours = day_hours(EXAM_2025, TABLES)
    minutes = traded("minute_bars_20251113_csat.parquet", EXAM_2025)
    assert (minutes[0], minutes[-1]) == (hours.open_at, hours.closing_auction_at - MINUTE_US)
    assert {phase(hours, at) for at in minutes} == {"continuous"}


def test_on_the_late_open_the_bars_fill_the_continuous_session_and_the_last_is_the_closing_match() -> None:
    """The closing match is stamped with the end of its auction."""
    hours = day_hours(LATE_OPEN, TABLES)
    *minutes, closing = traded("minute_bars_20260102_late_open.parquet", LATE_OPEN)
    assert (minutes[0], minutes[-1], closing) == (hours.open_at, hours.closing_auction_at - MINUTE_US, hours.close_at)
    assert {phase(hours, at) for at in minutes} == {"continuous"}


def test_the_look_alike_opens_when_the_calendar_says() -> None:
    """Two tables written apart: the exchange shares nothing with its clients."""
    day = date(2025, 1, 1)
    while day <= date(2027, 12, 31):
        assert is_open_day(day) == listed(day, TABLES.calendar), day
        if is_open_day(day):
            hours = day_hours(day, TABLES)
            opens, closes = regular_hours(day)
            midnight = from_kst(day, time(0))
            assert (midnight + opens * SECOND_US, midnight + closes * SECOND_US) == (hours.open_at, hours.close_at), day
        day += timedelta(days=1)
