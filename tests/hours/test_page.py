"""docs/hours.md prints the tables of config/: each table on the page is the one made from them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from kquant.hours import day_hours, followed, up_until
from kquant.settings import Follow, SessionTable
from kquant.values import kst_clock
from tests.hours.tables import NORMAL, SETTINGS, TABLES

PAGE = (Path(__file__).parents[2] / "docs" / "hours.md").read_text(encoding="utf-8")
KINDS = {"continuous": "continuous 접속매매", "auction": "auction 단일가", "closing_price": "closing price 종가"}
EDGES = {"open": "the open", "close": "the close", "never": "–"}
FOLLOWS: tuple[Follow, ...] = ("regular", "krx", "all")


def sessions(table: SessionTable) -> str:
    rows = [
        f"### From {table.since}: {table.note}",
        "",
        "| KST | venue | session | 한국어 | matching | start moves with | end moves with |",
        "|---|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {row.start}–{row.end} | {row.venue} | {row.name} | {row.korean} | {KINDS[row.kind]} "
        f"| {EDGES[row.start_moves]} | {EDGES[row.end_moves]} |"
        for row in table.rows
    ]
    return "\n".join(rows)


def other_hours() -> str:
    rows = ["| day | regular session | timetable | not held | note |", "|---|---|---|---|---|"]
    rows += [
        f"| {rule.day} | {rule.open}–{rule.close} | {f'{rule.shift_minutes} minutes later' if rule.shift_minutes else 'as always'} "
        f"| {', '.join(rule.without) or '–'} | {rule.note} |"
        for rule in TABLES.calendar.special
    ]
    return "\n".join(rows)


def following() -> str:
    rows = ["| `schedule.follow` | first session | last session | the day ends |", "|---|---|---|---|"]
    hours = day_hours(NORMAL, TABLES)
    for follow in FOLLOWS:
        names = [f"{one.venue} {one.name} {kst_clock(edge)[:5]}" for one, edge in _edges(follow)]
        settings = _settings(follow)
        rows.append(f"| `{follow}` | {names[0]} | {names[1]} | {kst_clock(up_until(hours, settings))[:5]} |")
    return "\n".join(rows)


def _edges(follow: Follow):
    ones = followed(day_hours(NORMAL, TABLES), follow)
    last = max(ones, key=lambda one: (one.end, one.venue == "KRX"))
    return (ones[0], ones[0].start), (last, last.end)


def _settings(follow: Follow):
    from msgspec.structs import replace

    return replace(SETTINGS, schedule=replace(SETTINGS.schedule, follow=follow))


@pytest.mark.parametrize("table", TABLES.sessions, ids=lambda table: table.since)
def test_the_page_has_every_session_table_as_it_is_in_the_settings(table: SessionTable) -> None:
    assert sessions(table) in PAGE, f"print this in docs/hours.md:\n{sessions(table)}"


def test_the_page_has_no_session_table_that_the_settings_lack() -> None:
    assert PAGE.count("### From ") == len(TABLES.sessions)


def test_the_page_has_the_days_of_other_hours() -> None:
    assert other_hours() in PAGE, f"print this in docs/hours.md:\n{other_hours()}"


def test_the_page_says_when_a_normal_day_ends_by_what_is_followed() -> None:
    assert following() in PAGE, f"print this in docs/hours.md:\n{following()}"


def test_the_page_says_how_far_the_calendar_goes() -> None:
    calendar = TABLES.calendar
    assert f"from {calendar.first_day} to {calendar.last_day}" in PAGE
    assert f"After {calendar.announced_until} the closed days are computed" in PAGE
    computed = [day for day in calendar.closed if day > calendar.announced_until]
    assert all(date.fromisoformat(day).weekday() < 5 for day in computed)
    assert ", ".join(computed) in PAGE, f"print this in docs/hours.md:\n{', '.join(computed)}"
