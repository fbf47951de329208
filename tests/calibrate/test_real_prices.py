"""Returns of all stocks over the recorded fortnight of 2026-01-02 to 16, against the same in SQL."""

import os
from functools import reduce
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest

from kquant.replay.outcomes import FileOutcomes, NoOutcome, read_scored, returns_bp
from kquant.testing.facts import demo_settings

from .days import code, day_log, write

SHARED = Path(os.environ.get("KQUANT_SHARED_DATA") or Path(__file__).parents[2].parent / "shared" / "data")
DAILY = SHARED / "day-2026-01-15" / "daily_all_20260102_20260116.parquet"
CALENDAR = demo_settings().krx.calendar
REBASED = "365590"
"""하이딥: its shares were put together five to one."""


@pytest.fixture(scope="module")
def outcomes():
    if not DAILY.is_file():
        reason = "the recorded prices are not here: set KQUANT_SHARED_DATA to the folder that holds day-2026-01-15"
        if os.environ.get("KQUANT_REQUIRE_SHARED_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return FileOutcomes(DAILY, CALENDAR)


def after(outcomes, tmp_path, day, horizon):
    folder = write(tmp_path / day, day_log(day, bases={code(1): 1_000}))
    return outcomes.after(folder, read_scored(folder), horizon)


@pytest.mark.parametrize(("day", "horizon"), [("2026-01-02", 10), ("2026-01-08", 5), ("2026-01-15", 1)])
def test_returns_of_the_recorded_fortnight_are_those_of_the_official_rows(outcomes, tmp_path, day, horizon):
    sessions = after(outcomes, tmp_path, day, horizon)
    rows = duckdb.execute(
        f"SELECT code, list(close / (close - change)), sum(volume) FROM '{DAILY}' WHERE date > ? AND date IN "
        f"(SELECT DISTINCT date FROM '{DAILY}' WHERE date > ? ORDER BY date LIMIT ?) GROUP BY code",
        [day, day, horizon],
    ).fetchall()
    wanted = {
        each: (reduce(lambda a, b: a * b, moves) - 1) * 10_000
        for each, moves, volume in rows
        if len(moves) == horizon and volume > 0
    }
    found = returns_bp(sessions)
    assert found.keys() == wanted.keys()
    assert len(found) > 2_700
    assert all(abs(found[each] - wanted[each]) <= 0.51 for each in found)


def test_a_change_of_the_base_price_is_no_return(outcomes, tmp_path):
    [(closes,)] = duckdb.execute(f"SELECT list(close ORDER BY date) FROM '{DAILY}' WHERE code = '{REBASED}'").fetchall()
    jump = max(later / earlier for earlier, later in pairwise(closes))
    assert jump > 3
    assert abs(returns_bp(after(outcomes, tmp_path, "2026-01-02", 10))[REBASED]) < 5_000


def test_prices_end_with_the_file(outcomes, tmp_path):
    assert after(outcomes, tmp_path, "2026-01-15", 2) == NoOutcome(f"{DAILY.name} has no rows of 2026-01-19")
