"""Returns after a day: base-price changes are no gain, what did not trade is no return, sessions follow the calendar."""

from pathlib import Path

import duckdb
import pytest

from kquant.replay.outcomes import (
    FileOutcomes,
    Move,
    NoOutcome,
    OutcomeError,
    RecordedOutcomes,
    read_scored,
    returns_bp,
    sessions_after,
)
from kquant.testing.facts import demo_settings
from kquant.values import Krw, Shares

from .days import FRIDAY, MONDAY, TUESDAY, WEDNESDAY, code, day_log, write

CALENDAR = demo_settings().krx.calendar
A, B, C = code(1), code(2), code(3)


def move(base, close, volume=1):
    return Move(Krw(base), Krw(close), None if volume is None else Shares(volume))


def daily(path: Path, rows, columns="code, date, close, change, volume") -> Path:
    """rows: SQL tuples."""
    values = ", ".join(rows)
    duckdb.execute(f"COPY (SELECT * FROM (VALUES {values}) t({columns})) TO '{path}'")
    return path


def read(folder, horizon, outcomes):
    return outcomes.after(folder, read_scored(folder), horizon)


def test_returns_multiply_over_sessions_and_a_split_is_no_loss():
    sessions = [{A: move(10_000, 11_000)}, {A: move(1_100, 1_210)}]  # a stock split ten for one between the two
    assert returns_bp(sessions) == {A: 2_100}


@pytest.mark.parametrize(
    ("base", "close", "bp"), [(30_000, 30_001, 0), (30_000, 30_002, 1), (30_000, 29_998, -1), (3, 2, -3_333)]
)
def test_a_return_is_rounded_to_the_nearest_basis_point(base, close, bp):
    assert returns_bp([{A: move(base, close)}]) == {A: bp}


def test_a_stock_that_traded_in_no_session_or_is_missing_in_one_has_no_return():
    sessions = [
        {A: move(100, 100, 0), B: move(100, 100, 0), C: move(100, 110)},
        {A: move(100, 100, 0), B: move(100, 90, 5)},
    ]
    assert returns_bp(sessions) == {B: -1_000}


def test_a_source_without_volumes_counts_every_stock():
    assert returns_bp([{A: move(100, 101, None)}]) == {A: 100}


def test_sessions_skip_weekends_and_closed_days_and_end_with_the_calendar():
    assert sessions_after(FRIDAY, 2, CALENDAR) == [MONDAY, TUESDAY]
    assert sessions_after("2026-12-24", 2, CALENDAR) == ["2026-12-28", "2026-12-29"]
    assert len(sessions_after(CALENDAR.last_day, 1, CALENDAR)) == 0


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_file_of_daily_rows_gives_base_as_close_less_change(tmp_path, ending):
    rows = [
        f"('000001', DATE '{MONDAY}', 11000, 1000, 5)",
        f"('000002', DATE '{MONDAY}', 900, -100, 0)",
        f"('000001', DATE '{TUESDAY}', 5500, 0, 5)",
    ]
    folder = write(tmp_path / FRIDAY, day_log(FRIDAY, bases={A: 10_000}))
    outcomes = FileOutcomes(daily(tmp_path / f"rows.{ending}", rows), CALENDAR)
    assert read(folder, 1, outcomes) == [{A: move(10_000, 11_000, 5), B: move(1_000, 900, 0)}]
    assert returns_bp(read(folder, 2, outcomes)) == {A: 1_000}
    assert read(folder, 3, outcomes) == NoOutcome(f"rows.{ending} has no rows of {WEDNESDAY}")


def test_a_file_may_name_the_base_itself(tmp_path):
    path = daily(tmp_path / "rows.parquet", [f"('000001', DATE '{MONDAY}', 11000, 8000)"], "code, date, close, base")
    folder = write(tmp_path / FRIDAY, day_log(FRIDAY, bases={A: 10_000}))
    assert read(folder, 1, FileOutcomes(path, CALENDAR)) == [{A: move(8_000, 11_000, None)}]


def test_a_file_that_cannot_be_used_is_refused_by_name(tmp_path):
    with pytest.raises(OutcomeError, match=r"gone\.parquet is not a file"):
        FileOutcomes(tmp_path / "gone.parquet", CALENDAR)
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(OutcomeError, match=r"text.parquet cannot be read"):
        FileOutcomes(tmp_path / "text.parquet", CALENDAR)
    path = daily(tmp_path / "thin.csv", [f"('000001', DATE '{MONDAY}', 1)"], "code, date, close")
    with pytest.raises(OutcomeError, match=r"thin\.csv has no column change or base"):
        FileOutcomes(path, CALENDAR)
    twice = daily(tmp_path / "twice.csv", [f"('000001', DATE '{MONDAY}', 1, 1)"] * 2, "code, date, close, base")
    folder = write(tmp_path / FRIDAY, day_log(FRIDAY, bases={A: 10_000}))
    with pytest.raises(OutcomeError, match=f"twice.csv has a stock twice on {MONDAY}"):
        read(folder, 1, FileOutcomes(twice, CALENDAR))


def test_recorded_days_close_a_session_with_the_bases_of_the_next(tmp_path):
    friday = write(tmp_path / FRIDAY, day_log(FRIDAY, bases={A: 9_000}))
    write(tmp_path / MONDAY, day_log(MONDAY, bases={A: 10_000, B: 5_000, C: 700}))
    write(tmp_path / TUESDAY, day_log(TUESDAY, bases={A: 10_500, B: 1_000, C: 700}, volume=0))
    outcomes = RecordedOutcomes(read_scored, CALENDAR)
    # B's base lies beyond Monday's limits: it was set anew, not reached by trading.
    assert read(friday, 1, outcomes) == [{A: move(10_000, 10_500, 0), C: move(700, 700, 0)}]
    assert read(friday, 2, outcomes) == NoOutcome(f"{WEDNESDAY} was not recorded")


def test_a_demo_day_is_followed_only_by_the_day_that_went_on_with_its_market(tmp_path):
    def demo(name, bases, before=""):
        return write(tmp_path / name, day_log(name[:10], bases=bases, before=before, exchange="embedded"))

    friday, again = demo(FRIDAY, {A: 100}), demo(f"{FRIDAY}.2", {A: 100})
    demo(MONDAY, {A: 110}, before=f"{FRIDAY}.2")
    demo(TUESDAY, {A: 121}, before=MONDAY)
    outcomes = RecordedOutcomes(read_scored, CALENDAR)
    assert read(friday, 1, outcomes) == NoOutcome(f"{MONDAY} was not recorded")
    assert read(again, 1, outcomes) == [{A: move(110, 121, 1_000)}]


def test_a_running_day_or_an_empty_one_says_why_it_cannot_be_used(tmp_path):
    assert isinstance(read_scored(tmp_path / "nothing"), NoOutcome)
