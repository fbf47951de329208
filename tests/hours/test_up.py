"""From when to when a run is up, and what a person is told of a calendar that ends."""

from __future__ import annotations

from datetime import date

import pytest
from msgspec.structs import replace

from kquant.hours import at_clock, day_hours, followed, table_warnings, up_from, up_until
from kquant.settings import Follow
from kquant.values import kst_clock, to_kst
from tests.hours.tables import EXAM, EXAM_2025, LATE_OPEN, NORMAL, SETTINGS, TABLES, words


def up(day: date, follow: Follow, analysis: str = "07:20") -> tuple[str, str]:
    settings = replace(SETTINGS, schedule=replace(SETTINGS.schedule, follow=follow, analysis=analysis))
    hours = day_hours(day, TABLES)
    first, last = up_from(hours, settings), up_until(hours, settings)
    assert to_kst(first).date() == to_kst(last).date() == day
    return kst_clock(first)[:5], kst_clock(last)[:5]


@pytest.mark.parametrize(
    ("day", "follow", "expected"),
    [
        (NORMAL, "regular", ("07:10", "15:32")),
        (NORMAL, "krx", ("07:10", "20:02")),
        (NORMAL, "all", ("07:10", "20:02")),
        (EXAM, "regular", ("08:10", "16:32")),
        (EXAM, "krx", ("08:10", "20:02")),
        (EXAM_2025, "krx", ("08:10", "18:02")),
        (EXAM_2025, "all", ("08:10", "20:02")),
        (LATE_OPEN, "regular", ("07:10", "15:32")),
    ],
)
def test_a_run_is_up_from_before_the_analysis_until_after_the_last_followed_session(
    day: date, follow: Follow, expected: tuple[str, str]
) -> None:
    assert up(day, follow) == expected


@pytest.mark.parametrize(("follow", "wakes"), [("regular", "08:20"), ("krx", "08:20"), ("all", "07:50")])
def test_a_run_without_an_early_analysis_wakes_before_its_first_session(follow: Follow, wakes: str) -> None:
    assert up(NORMAL, follow, analysis="08:45")[0] == wakes


@pytest.mark.parametrize("follow", ["regular", "krx", "all"])
@pytest.mark.parametrize("day", [NORMAL, EXAM, LATE_OPEN])
def test_every_followed_session_lies_within_what_a_run_is_up_for(day: date, follow: Follow) -> None:
    settings = replace(SETTINGS, schedule=replace(SETTINGS.schedule, follow=follow))
    hours = day_hours(day, TABLES)
    assert followed(hours, follow)
    for one in followed(hours, follow):
        assert up_from(hours, settings) < one.start < one.end < up_until(hours, settings)


def test_krx_is_followed_without_nxt_and_all_is_everything() -> None:
    hours = day_hours(NORMAL, TABLES)
    assert {words(one).split()[0] for one in followed(hours, "krx")} == {"KRX"}
    assert followed(hours, "all") == hours.sessions
    assert [one.name for one in followed(hours, "regular")] == ["opening_auction", "continuous", "closing_auction"]


def test_hours_of_an_old_log_without_sessions_are_up_for_the_regular_session() -> None:
    hours = replace(day_hours(NORMAL, TABLES), sessions=())
    settings = replace(SETTINGS, schedule=replace(SETTINGS.schedule, follow="all", analysis="08:58"))
    assert kst_clock(up_from(hours, settings)) == "08:48:00"
    assert kst_clock(up_until(hours, settings)) == "15:32:00"


def test_a_time_of_the_timetable_moves_with_the_exam_day_and_not_with_a_late_open() -> None:
    assert kst_clock(at_clock("07:20", day_hours(EXAM, TABLES))) == "08:20:00"
    assert kst_clock(at_clock("07:20", day_hours(LATE_OPEN, TABLES))) == "07:20:00"


CALENDAR = replace(TABLES.calendar, last_day="2027-12-31", announced_until="2026-12-31")


@pytest.mark.parametrize(
    ("today", "warned"),
    [
        (date(2026, 11, 30), None),
        (date(2026, 12, 1), "computed from the holiday law"),
        (date(2027, 11, 30), "computed from the holiday law"),
        (date(2027, 12, 1), "the calendar ends on 2027-12-31"),
        (date(2028, 1, 1), "the calendar ends on 2027-12-31"),
    ],
)
def test_a_calendar_that_ends_within_thirty_days_is_warned_of(today: date, warned: str | None) -> None:
    warnings = table_warnings(today, CALENDAR)
    assert len(warnings) == (warned is not None)
    assert warned is None or warned in warnings[0]


def test_a_calendar_announced_as_a_whole_warns_only_of_its_end() -> None:
    calendar = replace(CALENDAR, announced_until="2027-12-31")
    assert table_warnings(date(2027, 11, 30), calendar) == ()
    assert table_warnings(date(2027, 12, 1), calendar) == (
        "the calendar ends on 2027-12-31: extend config/calendar.toml, later days count as unknown",
    )
