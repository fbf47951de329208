"""The recorded day of 2026-01-15, imported and traded once by the commands; skipped where its data is not present."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from kquant.events.analyzer import BatchScored, BatchWanted, PicksChosen
from kquant.events.day import DayClosed, OwnerParked
from kquant.events.feed import Dropped, FeedConnected, FeedLost, Registered, RegistrationRefused
from kquant.events.orders import OrderIntended
from kquant.events.pipeline import PipelineCompleted, PipelineStarted
from kquant.events.portfolio import DayReconciled
from kquant.events.scanner import ScanCompleted, ScoreWanted
from kquant.journal import read_day
from kquant.values import kst_clock

from .conftest import Traded
from .world import ACCOUNT, SHARED, kquant, of
from .world import REAL_DAY as DAY

pytestmark = pytest.mark.timeout(400)

LIQUIDATION = {"150840", "010600", "057880"}
"""Stocks in liquidation trading that day: no price limits, and one of them lost 98 %."""

STOCKS, BARS, DRAWN = 2_792, 80, 2_622
"""Listed that day; following recorded minute bars; drawn to their daily row. The other 90 had no trade."""


class RealDay(Traded):
    @property
    def folder(self) -> Path:
        return self.data / ACCOUNT / DAY


@pytest.fixture(scope="module")
def real(market, tmp_path_factory):
    data = tmp_path_factory.mktemp("real") / "data"
    done = kquant("run", "--data", data, "--market", market[0], "--day", DAY, "--speed", "max")
    day = RealDay(data, done.returncode, done.stdout, done.stderr)
    assert day.code == 0, day.err[-2_000:]
    day.__dict__["facts"] = list(read_day(day.folder))
    yield day
    shutil.rmtree(data)


def test_the_import_says_how_many_stocks_are_bars_and_how_many_are_drawn(market):
    assert f"{STOCKS:,} stocks" in market[1]
    assert f"{BARS} from bars, {DRAWN:,} drawn from daily rows, 90 untraded" in market[1]


def test_the_real_day_is_traded_to_its_end_without_a_parked_input(real):
    assert of(real.facts, OwnerParked) == []
    assert "Traceback" not in real.err + real.out


def test_every_listed_stock_of_the_real_day_is_analysed_and_100_are_picked(real):
    codes = [code for batch in of(real.facts, BatchWanted) for code in batch.codes]
    assert len(codes) == len(set(codes)) == STOCKS
    assert {row.code for batch in of(real.facts, BatchScored) for row in batch.rows} == set(codes)
    [picked] = of(real.facts, PicksChosen)
    assert [pick.rank for pick in picked.picks] == list(range(1, 101))
    assert (picked.analysed, picked.failed_batches, picked.subscribed) == (STOCKS, 0, 20)


def test_the_real_day_is_scanned_every_minute(real):
    assert len(of(real.facts, ScanCompleted)) >= 380
    assert max(Counter(wanted.cycle for wanted in of(real.facts, ScoreWanted)).values()) <= 30


def test_the_real_day_runs_the_pipeline_6_and_3_and_6_and_2_times(real):
    runs = [kst_clock(run.due) for run in of(real.facts, PipelineStarted)]
    hours = Counter("rush" if t < "10" else "noon" if t < "13" else "steady" if t < "15" else "close" for t in runs)
    assert hours == {"rush": 6, "noon": 3, "steady": 6, "close": 2}
    assert len(of(real.facts, PipelineCompleted)) == 17


def test_the_real_day_never_holds_more_than_40_slots(real):
    held, most = set(), 0
    for fact in real.facts:
        match fact.event:
            case FeedConnected() | FeedLost():
                held.clear()
            case Registered(code=code, channel=channel):
                held.add((code, channel))
            case Dropped(code=code, channel=channel):
                held.discard((code, channel))
            case _:
                pass
        most = max(most, len(held))
    assert 30 <= most <= 40
    assert of(real.facts, RegistrationRefused) == []


def test_no_order_for_a_stock_in_liquidation_trading_is_ever_intended(real):
    intended = {intent.code for intent in of(real.facts, OrderIntended)}
    assert intended
    assert not intended & LIQUIDATION
    # They are listed and were the day's greatest movers: it is the filters that keep them out.
    assert {code for batch in of(real.facts, BatchWanted) for code in batch.codes} >= LIQUIDATION
    asked = {wanted.code for wanted in of(real.facts, ScoreWanted)}
    assert not asked & LIQUIDATION


def test_the_real_day_reconciles_with_the_exchange_to_the_won(real):
    [closed] = of(real.facts, DayClosed)
    assert closed.reconciled
    assert [day.agrees for day in of(real.facts, DayReconciled)] == [True]
    assert "agrees with the broker to the won" in real.out


def test_verify_finds_no_difference_on_the_real_day(real):
    done = kquant("replay", "verify", real.folder)
    assert done.returncode == 0, done.stdout
    assert re.search(r"[\d,]+ decisions, 0 differences", done.stdout)
    assert re.search(r"tape: [\d,]+ records, [\d,]+ market events derived again, 0 differences", done.stdout)


def reports(real):
    """The day's report as the terminal showed it, and as its page says it."""
    return real.out, (real.folder / "report.html").read_text(encoding="utf-8")


def test_the_report_says_how_many_stocks_have_a_drawn_path(real):
    for text in reports(real):
        assert f"imported, {STOCKS:,} stocks" in text
        assert re.search(rf"(?<![\d,]){DRAWN:,} [a-z ]*drawn", text)


def test_the_report_says_how_many_stocks_follow_recorded_bars(real):
    for text in reports(real):
        assert re.search(rf"(?<![\d,]){BARS} [a-z ]*recorded bars", text)


DAILY = SHARED / f"day-{DAY}" / "daily_all_20260102_20260116.parquet"
AFTER = f"FROM '{DAILY}' WHERE date = DATE '2026-01-16' AND market <> 'KONEX' AND volume > 0"
"""Whoever traded in the session after the real day."""


def calibrated(real, *arguments):
    done = kquant("scores", "calibrate", real.folder, "--outcomes", DAILY, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_real_days_picks_are_held_against_the_returns_of_the_next_day(real):
    """Returns of the official rows, close over base, reckoned here by another way."""
    bp = "(close / (close - change) - 1) * 10000"
    found = json.loads(calibrated(real, "--json"))
    [picked] = of(real.facts, PicksChosen)
    codes = [pick.code for pick in picked.picks]
    for chosen, wanted in zip(found["chosen"], (codes, codes[: picked.subscribed]), strict=True):
        [(count, mean, middle, rose)] = duckdb.execute(
            f"SELECT count(*), avg({bp}), median({bp}), 100 * avg((change > 0)::INT) {AFTER} AND code IN (SELECT unnest(?))",
            [wanted],
        ).fetchall()
        [(usual,)] = duckdb.execute(f"SELECT avg({bp}) {AFTER}").fetchall()
        came = chosen["came"]
        assert (came["samples"], came["days"], chosen["sufficient"]) == (count, 1, False)
        assert came["mean_bp"] == pytest.approx(mean, abs=1)
        assert came["median_bp"] == pytest.approx(middle, abs=1)
        assert came["excess_bp"] == pytest.approx(mean - usual, abs=2)
        assert came["up_percent"] == pytest.approx(rose, abs=0.5)


def test_one_real_day_is_insufficient_whatever_it_shows(real):
    text = calibrated(real)
    assert "picks: insufficient 표본 부족: 100 samples on 1 day, wanted 300 on 20 days" in text
    assert "decile " not in text
    shown = calibrated(real, "--least-days", 1)
    assert "decile " in shown
    assert "picks: insufficient 표본 부족: 100 samples on 1 day, wanted 300 on 1 day" in shown
