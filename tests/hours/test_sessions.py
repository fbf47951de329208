"""The sessions of a day, from the dated tables (kis-protocol 5.1)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kquant.config import ConfigError, load
from kquant.hours import ClosedDay, day_hours, listed, order_session, table_faults, table_on
from kquant.krx import OffLimits, sessions_at
from kquant.settings import Follow, KrxTables, SessionRow
from kquant.values import MINUTE_US, Micros, from_kst, kst_clock
from tests.hours.tables import EXAM, EXAM_2025, LATE_OPEN, NORMAL, TABLES, sessions, words

FIRST, LAST = date.fromisoformat(TABLES.calendar.first_day), date.fromisoformat(TABLES.calendar.last_day)


def clock(day: date, hour: int, minute: int = 0, second: int = 0) -> Micros:
    return Micros(from_kst(day, time(hour, minute, second)))


def test_a_normal_day_has_the_sessions_of_the_protocol_document() -> None:
    """kis-protocol 5.1, the table from 2026-09-14 on."""
    assert sessions(NORMAL) == [
        "NXT pre_market 08:00-08:50",
        "KRX pre_open 08:30-08:40",
        "KRX opening_auction 08:30-09:00",
        "KRX continuous 09:00-15:20",
        "NXT main 09:00:30-15:20",
        "KRX closing_auction 15:20-15:30",
        "NXT after_auction 15:30-15:40",
        "KRX post_close 15:40-16:00",
        "NXT after_market 15:40-20:00",
        "KRX after_market 16:00-20:00",
    ]


def test_the_krx_after_market_takes_the_place_of_single_price_trading_on_2026_09_14() -> None:
    assert sessions(date(2026, 9, 11))[-1] == "KRX single_price 16:00-18:00"
    assert sessions(date(2026, 9, 14))[-1] == "KRX after_market 16:00-20:00"


def test_nxt_trades_from_2025_03_04_on() -> None:
    assert {line.split()[0] for line in sessions(date(2025, 2, 28))} == {"KRX"}
    assert sessions(date(2025, 3, 4))[0] == "NXT pre_market 08:00-08:50"


def test_on_the_exam_day_of_2025_sessions_are_an_hour_later_and_evenings_end_as_always() -> None:
    assert sessions(EXAM_2025) == [
        "KRX pre_open 09:30-09:40",
        "KRX opening_auction 09:30-10:00",
        "KRX continuous 10:00-16:20",
        "NXT main 10:00:30-16:20",
        "KRX closing_auction 16:20-16:30",
        "NXT after_auction 16:30-16:40",
        "KRX post_close 16:40-17:00",
        "NXT after_market 16:40-20:00",
        "KRX single_price 17:00-18:00",
    ]


def test_on_the_exam_day_of_2026_the_after_market_begins_an_hour_later() -> None:
    assert sessions(EXAM)[-1] == "KRX after_market 17:00-20:00"
    assert "assumed" in day_hours(EXAM, TABLES).note


def test_on_a_late_open_what_belongs_to_the_open_moves_and_the_close_stays() -> None:
    assert sessions(LATE_OPEN) == [
        "KRX pre_open 09:30-09:40",
        "KRX opening_auction 09:30-10:00",
        "KRX continuous 10:00-15:20",
        "NXT main 10:00:30-15:20",
        "KRX closing_auction 15:20-15:30",
        "NXT after_auction 15:30-15:40",
        "KRX post_close 15:40-16:00",
        "NXT after_market 15:40-20:00",
        "KRX single_price 16:00-18:00",
    ]


@pytest.mark.parametrize("day", [date(2026, 6, 3), date(2026, 7, 17), date(2026, 11, 21), date(2027, 5, 3)])
def test_a_closed_day_has_no_hours(day: date) -> None:
    with pytest.raises(ClosedDay, match=f"closed on {day}"):
        day_hours(day, TABLES)


def test_a_closed_day_that_somebody_above_the_calendar_opens_has_normal_hours_and_says_so() -> None:
    hours = day_hours(date(2026, 7, 17), TABLES, opens=True)
    assert (kst_clock(hours.open_at), kst_clock(hours.close_at)) == ("09:00:00", "15:30:00")
    assert hours.note == "2026-07-17 is no trading day of config/calendar.toml: normal hours assumed"


def test_the_first_moment_of_a_session_is_in_it_and_its_last_is_not() -> None:
    hours = day_hours(NORMAL, TABLES)
    at = clock(NORMAL, 15, 30)
    assert [words(one) for one in sessions_at(hours, at, ("KRX",))] == []
    assert [one.name for one in sessions_at(hours, Micros(at - 1), ("KRX",))] == ["closing_auction"]
    assert [one.name for one in sessions_at(hours, at, ("KRX", "NXT"))] == ["after_auction"]


@given(st.dates(FIRST, LAST))
def test_the_sessions_of_any_open_day_are_sound(day: date) -> None:
    if not listed(day, TABLES.calendar):
        return
    hours = day_hours(day, TABLES)
    starts = [one.start for one in hours.sessions]
    assert starts == sorted(starts)
    assert all(one.start < one.end for one in hours.sessions)
    krx = {one.name: one for one in hours.sessions if one.venue == "KRX"}
    assert krx["opening_auction"].end == krx["continuous"].start == hours.open_at
    assert krx["continuous"].end == krx["closing_auction"].start == hours.closing_auction_at
    assert krx["closing_auction"].end == hours.close_at
    nxt = [one for one in hours.sessions if one.venue == "NXT"]
    assert all(before.end <= after.start for before, after in pairwise(nxt))
    assert hours.shift_minutes * MINUTE_US in {0, hours.close_at - clock(day, 15, 30)}


def test_each_venue_trades_one_way_at_a_time_but_for_the_pre_open() -> None:
    hours = day_hours(NORMAL, TABLES)
    for minute in range(24 * 60):
        at = Micros(from_kst(NORMAL, time()) + minute * MINUTE_US)
        assert len(sessions_at(hours, at, ("NXT",))) <= 1
        names = [one.name for one in sessions_at(hours, at, ("KRX",))]
        assert len(names) <= 1 or names == ["pre_open", "opening_auction"]


@pytest.mark.parametrize(
    ("at", "follow", "session"),
    [
        ((8, 29, 59), "all", None),
        ((8, 30), "regular", "opening_auction"),
        ((8, 59, 59), "regular", "opening_auction"),
        ((9, 0), "regular", "continuous"),
        ((15, 25), "regular", "closing_auction"),
        ((15, 30), "all", None),
        ((15, 45), "all", None),
        ((16, 0), "regular", None),
        ((16, 0), "krx", "after_market"),
        ((19, 59, 59), "all", "after_market"),
        ((20, 0), "all", None),
    ],
)
def test_orders_are_taken_in_the_regular_session_and_in_a_followed_after_market(
    at: tuple[int, ...], follow: Follow, session: str | None
) -> None:
    """Order windows of kis-protocol 5.1; order types of their own (4.9) keep the other sessions closed to us."""
    found = order_session(day_hours(NORMAL, TABLES), clock(NORMAL, *at), follow)
    assert (found.name if found is not None else None) == session


def test_a_day_before_the_first_session_table_is_refused() -> None:
    with pytest.raises(OffLimits, match="2023-11-30"):
        table_on("2023-11-30", TABLES.sessions)


def test_the_calendar_begins_with_the_first_session_table() -> None:
    assert TABLES.calendar.first_day == TABLES.sessions[0].since


def test_the_packaged_tables_have_no_faults() -> None:
    assert table_faults(TABLES) == ()


def edited(which: str, **changes: str) -> KrxTables:
    table = TABLES.sessions[-1]
    rows: list[SessionRow] = [replace(row, **changes) if row.name == which else row for row in table.rows]
    return replace(TABLES, sessions=(*TABLES.sessions[:-1], replace(table, rows=tuple(rows))))


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (lambda: replace(TABLES, sessions=TABLES.sessions[::-1]), "must ascend by since"),
        (lambda: edited("pre_open", end="08:30"), "KRX.pre_open ends before it starts"),
        (lambda: edited("pre_open", name="opening_auction"), "a session is named twice"),
        (lambda: edited("continuous", end="15:19"), "must follow each other"),
        (lambda: edited("closing_auction", name="last_auction"), "KRX needs opening_auction, continuous"),
        (lambda: edited("closing_auction", end="15:31"), "is not 09:00 to 15:30"),
        (
            lambda: replace(TABLES, calendar=replace(TABLES.calendar, closing_auction_minutes=5)),
            "closing_auction_minutes",
        ),
        (
            lambda: replace(
                TABLES,
                calendar=replace(
                    TABLES.calendar, special=(replace(TABLES.calendar.special[-1], without=("NXT.night",)),)
                ),
            ),
            "no session NXT.night to be without",
        ),
    ],
)
def test_tables_that_contradict_themselves_are_told(broken: Callable[[], KrxTables], fault: str) -> None:
    faults = table_faults(broken())
    assert any(fault in one for one in faults), faults


def test_settings_with_contradictory_tables_are_refused() -> None:
    with pytest.raises(ConfigError, match="closing_auction_minutes"):
        load("demo", environ={}, sets={"krx.calendar.closing_auction_minutes": 5})


def test_every_day_of_the_calendar_has_hours_or_is_closed() -> None:
    days = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
    opens = [day for day in days if listed(day, TABLES.calendar)]
    assert all(day_hours(day, TABLES).sessions for day in opens)
    assert len([day for day in opens if day.year == 2027]) == 245
