"""The timetable: normal day, exam day, late open, late starts."""

from __future__ import annotations

from datetime import date, time

import pytest
from msgspec.structs import replace

from kquant.domain.scheduler import SCHEDULER, timetable
from kquant.events.day import AlarmSet, DayOpened, JobDue, JobSkipped
from kquant.hours import ClosedDay, day_hours
from kquant.settings import Follow, Settings
from kquant.values import MINUTE_US, from_kst, kst_clock
from tests.scanner.daylog import SETTINGS, Drive, opened

NORMAL = date(2026, 11, 20)
EXAM = date(2026, 11, 19)
EXAM_2025 = date(2025, 11, 13)
LATE_OPEN = date(2026, 1, 2)


def whole_day(day: date, at: str = "07:10", settings: Settings = SETTINGS) -> Drive:
    drive = Drive(SCHEDULER, at, day, settings)
    drive.tell(opened(day), "run")
    while drive.alarms.next_due() is not None:
        drive.ring()
    return drive


def due_at(drive: Drive, job: str) -> list[str]:
    return [kst_clock(event.due)[:5] for event in drive.said(JobDue) if event.job == job]


def test_a_normal_day_runs_six_three_six_and_two_pipelines() -> None:
    runs = due_at(whole_day(date(2026, 11, 20)), "pipeline")
    rush = [run for run in runs if run < "10:00"]
    noon = [run for run in runs if "10:00" <= run < "13:00"]
    steady = [run for run in runs if "13:00" <= run < "15:00"]
    close = [run for run in runs if run >= "15:00"]
    assert rush == ["09:00", "09:10", "09:20", "09:30", "09:40", "09:50"]
    assert noon == ["10:00", "11:00", "12:00"]
    assert steady == ["13:00", "13:20", "13:40", "14:00", "14:20", "14:40"]
    assert close == ["15:00", "15:10"]


def test_a_normal_day_scans_every_minute_from_five_past_nine_to_the_close() -> None:
    scans = due_at(whole_day(date(2026, 11, 20)), "scan")
    assert len(scans) == 385
    assert (scans[0], scans[1], scans[-1]) == ("09:05", "09:06", "15:29")


def test_every_job_of_a_normal_day_is_due_once_and_in_order() -> None:
    drive = whole_day(date(2026, 11, 20))
    single = [
        (event.job, kst_clock(event.due)) for event in drive.said(JobDue) if event.job not in {"scan", "pipeline"}
    ]
    assert single == [
        ("analysis", "07:20:00"),
        ("session_opened", "09:00:00"),
        ("session_closed", "15:30:00"),
        ("day_end", "15:32:00"),
    ]
    assert [(event.job, event.reason) for event in drive.said(JobSkipped)] == [
        ("flatten", "exits.flat_at_close is off")
    ]
    drive.check_recovery()


@pytest.mark.parametrize("exam", [EXAM, EXAM_2025])
def test_the_exam_day_moves_everything_by_an_hour(exam: date) -> None:
    drive = whole_day(exam)
    assert due_at(drive, "analysis") == ["08:20"]
    assert due_at(drive, "session_opened") == ["10:00"]
    assert (due_at(drive, "scan")[0], due_at(drive, "scan")[-1]) == ("10:05", "16:29")
    assert len(due_at(drive, "scan")) == 385
    assert due_at(drive, "pipeline")[:2] == ["10:00", "10:10"]
    assert due_at(drive, "pipeline")[-1] == "16:10"
    assert len(due_at(drive, "pipeline")) == 17
    assert due_at(drive, "session_closed") == ["16:30"]
    assert due_at(drive, "day_end") == ["16:32"]
    assert [event.job for event in drive.said(JobSkipped)] == ["flatten"]


@pytest.mark.parametrize("exam", [EXAM, EXAM_2025])
@pytest.mark.parametrize("flat", [True, False])
def test_on_the_exam_day_every_time_of_the_timetable_is_an_hour_later(exam: date, flat: bool) -> None:
    settings = replace(SETTINGS, exits=replace(SETTINGS.exits, flat_at_close=flat))
    usual = timetable(day_hours(NORMAL, settings.krx), settings)
    moved = timetable(day_hours(exam, settings.krx), settings)
    assert list(moved) == list(usual)
    for job, instants in usual.items():
        assert [at - from_kst(exam, time()) for at in moved[job]] == [
            at - from_kst(NORMAL, time()) + 60 * MINUTE_US for at in instants
        ]


def test_on_the_exam_day_an_analysis_may_start_late_until_ten() -> None:
    drive = whole_day(EXAM, at="10:00")
    assert due_at(drive, "analysis") == ["08:20"]
    drive = whole_day(EXAM, at="10:01")
    assert [event.reason for event in drive.said(JobSkipped) if event.job == "analysis"] == [
        "rang at 10:01:00, too late after 10:00:00"
    ]


@pytest.mark.parametrize("day", [date(2026, 6, 3), date(2026, 7, 17)])
def test_an_election_and_constitution_day_have_no_timetable(day: date) -> None:
    with pytest.raises(ClosedDay, match=f"closed on {day}"):
        day_hours(day, SETTINGS.krx)


def test_a_late_open_skips_what_would_run_before_the_open_and_moves_nothing() -> None:
    drive = whole_day(LATE_OPEN)
    assert due_at(drive, "analysis") == ["07:20"]
    assert due_at(drive, "session_opened") == ["10:00"]
    assert due_at(drive, "scan")[0] == "10:00"
    assert due_at(drive, "pipeline")[:3] == ["10:00", "11:00", "12:00"]
    assert len(due_at(drive, "pipeline")) == 3 + 6 + 2
    assert due_at(drive, "session_closed") == ["15:30"]
    assert due_at(drive, "day_end") == ["15:32"]
    drive.check_recovery()


def test_a_late_open_records_the_scans_and_runs_it_leaves_out() -> None:
    drive = whole_day(LATE_OPEN)
    skipped = [(event.job, kst_clock(event.due), event.reason) for event in drive.said(JobSkipped)]
    assert skipped == [
        ("scan", "09:59:00", "55 before the open at 10:00:00 (09:05:00 to 09:59:00)"),
        ("pipeline", "09:50:00", "6 before the open at 10:00:00 (09:00:00 to 09:50:00)"),
        ("flatten", "15:15:00", "exits.flat_at_close is off"),
    ]


def test_what_a_late_open_leaves_out_is_told_apart_from_what_a_late_start_misses() -> None:
    drive = whole_day(LATE_OPEN, at="10:30")
    reasons = [event.reason for event in drive.said(JobSkipped) if event.job == "scan"]
    assert reasons == [
        "55 before the open at 10:00:00 (09:05:00 to 09:59:00)",
        "30 missed (10:00:00 to 10:29:00): it was 10:30:00",
    ]
    assert due_at(drive, "scan")[0] == "10:30"


@pytest.mark.parametrize(
    ("day", "follow", "ends"),
    [
        (NORMAL, "regular", "15:32"),
        (NORMAL, "krx", "20:02"),
        (NORMAL, "all", "20:02"),
        (EXAM, "krx", "20:02"),
        (EXAM_2025, "krx", "18:02"),
        (LATE_OPEN, "krx", "18:02"),
        (LATE_OPEN, "all", "20:02"),
    ],
)
def test_the_day_ends_after_the_last_followed_session(day: date, follow: Follow, ends: str) -> None:
    settings = replace(SETTINGS, schedule=replace(SETTINGS.schedule, follow=follow))
    drive = whole_day(day, settings=settings)
    assert due_at(drive, "day_end") == [ends]
    assert due_at(drive, "session_closed") == ["16:30" if day in {EXAM, EXAM_2025} else "15:30"]


def test_a_day_logged_before_sessions_were_recorded_ends_after_its_close() -> None:
    drive = Drive(SCHEDULER)
    drive.tell(bare(opened()), "run")
    while drive.alarms.next_due() is not None:
        drive.ring()
    assert due_at(drive, "day_end") == ["15:32"]


def bare(event: DayOpened) -> DayOpened:
    return replace(event, hours=replace(event.hours, sessions=()))


def test_a_run_that_starts_at_noon_skips_what_it_missed_in_one_event_a_job() -> None:
    drive = whole_day(date(2026, 11, 20), at="12:00")
    skipped = {event.job: event for event in drive.said(JobSkipped)}
    assert kst_clock(skipped["scan"].due) == "11:59:00"
    assert skipped["scan"].reason.startswith("175 missed (09:05:00 to 11:59:00)")
    assert kst_clock(skipped["pipeline"].due) == "11:00:00"
    assert skipped["analysis"].reason.endswith("too late after 09:00:00")
    assert due_at(drive, "scan")[0] == "12:00"
    assert due_at(drive, "pipeline")[0] == "12:00"
    assert due_at(drive, "session_opened") == ["09:00"]


def test_scans_missed_while_the_process_was_down_are_never_caught_up() -> None:
    drive = Drive(SCHEDULER)
    drive.tell(opened(), "run")
    while drive.alarms.next_due() <= drive.at("09:30"):  # type: ignore[operator]
        drive.ring()
    drive.move("09:47")
    before = len(due_at(drive, "scan"))
    while drive.alarms.next_due() <= drive.at("09:47"):  # type: ignore[operator]
        drive.ring()
    assert due_at(drive, "scan")[before:] == ["09:47"]
    assert [kst_clock(event.due) for event in drive.said(JobSkipped) if event.job == "scan"] == ["09:46:00"]
    drive.check_recovery()


def test_the_analysis_may_start_late_until_nine() -> None:
    drive = Drive(SCHEDULER, "09:00")
    drive.tell(opened(), "run")
    assert drive.ring()[0] == JobDue(job="analysis", due=drive.at("07:20"))


def test_only_one_alarm_a_job_is_ever_pending() -> None:
    drive = Drive(SCHEDULER)
    drive.tell(opened(), "run")
    for _ in range(60):
        jobs = [job for job, _ in drive.mind.own.pending]
        assert len(jobs) == len(set(jobs))
        drive.ring()
    assert len({event.due for event in drive.said(AlarmSet) if event.alarm == "scan"}) > 30


@pytest.mark.parametrize("flat", [True, False])
def test_flatten_comes_before_the_close_when_wanted(flat: bool) -> None:
    settings = replace(SETTINGS, exits=replace(SETTINGS.exits, flat_at_close=flat))
    assert due_at(whole_day(date(2026, 11, 20), settings=settings), "flatten") == (["15:15"] if flat else [])


@pytest.mark.parametrize("day", [date(2026, 11, 20), EXAM, LATE_OPEN])
def test_no_scan_and_no_run_is_planned_outside_the_session(day: date) -> None:
    hours = day_hours(day, SETTINGS.krx)
    planned = timetable(hours, SETTINGS)
    for job in ("scan", "pipeline"):
        assert planned[job]
        assert all(hours.open_at <= at < hours.close_at for at in planned[job])
        assert list(planned[job]) == sorted(set(planned[job]))
    assert planned["session_opened"] == (hours.open_at,)
    assert planned["analysis"][0] < from_kst(day, time(9, 0))
