"""A generated day as a whole: the same everywhere, ranked well, and shaped like a market."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kquant.exchange.market import MarketFilter, generate
from kquant.exchange.market.generate import previous_open_day
from tests.exchange_market.days import COLUMNS, DAY, SEED, small_day

FINGERPRINT = """
import datetime, hashlib
from kquant.exchange.market import generate
day = generate(datetime.date(2026, 11, 20), 7, 120)
text = hashlib.sha256()
for name in ("open", "high", "low", "close", "volume", "value", "auction"):
    text.update(getattr(day.bars, name).tobytes())
text.update(repr(day.stocks).encode())
text.update(repr(day.all_news).encode())
for stock in day.stocks[:10]:
    for second in range(32400, 36000, 7):
        text.update(repr((day.prints(stock.code, second), day.book(stock.code, second))).encode())
text.update(repr(day.rank_gainers(40000, "ALL", 50)).encode())
print(text.hexdigest())
"""


def test_two_processes_with_other_hash_seeds_play_the_same_day() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", FINGERPRINT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "4242")
    }
    assert len(found) == 1
    assert len(found.pop().strip()) == hashlib.sha256().digest_size * 2


def test_the_order_of_questions_does_not_change_an_answer() -> None:
    one, other = generate(DAY, 3, 40), generate(DAY, 3, 40)
    codes = [stock.code for stock in one.stocks]
    asked = [(code, second) for code in codes for second in range(32_400, 34_000, 400)]
    forwards = {key: (one.prints(*key), one.stats(*key), one.quote(*key)) for key in asked}
    backwards = {key: (other.prints(*key), other.stats(*key), other.quote(*key)) for key in reversed(asked)}
    assert forwards == backwards


def test_another_seed_gives_another_day() -> None:
    assert generate(DAY, 3, 40).stocks != generate(DAY, 4, 40).stocks


@pytest.mark.parametrize("market", ["ALL", "KOSPI", "KOSDAQ"])
@pytest.mark.parametrize("second", [32_460, 36_000, 55_800])
def test_rankings_are_sorted_unique_and_of_their_market(market: MarketFilter, second: int) -> None:
    day = small_day()
    gainers, busiest = day.rank_gainers(second, market, 30), day.rank_volume(second, market, 30)
    assert len(gainers) == len(busiest) == 30
    assert [row.change_bp for row in gainers] == sorted((row.change_bp for row in gainers), reverse=True)
    assert [row.volume for row in busiest] == sorted((row.volume for row in busiest), reverse=True)
    for rows in (gainers, busiest):
        assert len({row.code for row in rows}) == 30
        assert market == "ALL" or {day.by_code[row.code].market for row in rows} == {market}


def test_a_ranking_is_the_state_of_the_last_finished_minute() -> None:
    day = small_day()
    assert day.rank_gainers(day.open_second + 59, "ALL", 10) == []
    for row in day.rank_volume(day.open_second + 35 * 60 + 17, "ALL", 20):
        totals = day.stats(row.code, day.open_second + 35 * 60 - 1)
        assert (row.last, row.volume, row.high, row.low, row.open) == (
            totals.last,
            totals.volume,
            totals.high,
            totals.low,
            totals.open,
        )
        assert row.change == totals.last - day.by_code[row.code].base


def test_news_comes_newest_first_and_never_early() -> None:
    day = small_day()
    noon = day.news(12 * 3600)
    assert noon
    assert len(noon) < len(day.news(86_399)) == len(day.all_news)
    stamps = [(title.date, title.time) for title in noon]
    assert stamps == sorted(stamps, reverse=True)
    assert all(stamp[1].hour < 12 or stamp[1].isoformat() == "12:00:00" for stamp in stamps)
    code = noon[0].codes[0]
    assert all(code in title.codes for title in day.news(12 * 3600, code))


def test_the_default_day_looks_like_a_market() -> None:
    day = generate(DAY, SEED)
    bars, traded = day.bars, day.bars.volume.sum(axis=1) > 0
    base = np.array([stock.base for stock in day.stocks])
    newest = 390 - np.argmax(bars.volume[:, ::-1] > 0, axis=1)
    change = (bars.close[np.arange(len(base)), newest] / base - 1.0)[traded]
    assert len({stock.name for stock in day.stocks}) == len({stock.code for stock in day.stocks}) == 2_700
    assert 2_600 <= traded.sum() < 2_700
    assert 40 <= (change > 0.10).sum() <= 110
    assert (change < -0.10).sum() >= 3
    at_limit = sum(row.last == day.by_code[row.code].upper for row in day.rank_gainers(day.close_second, "ALL", 50))
    assert 8 <= at_limit <= 25
    minutes = bars.volume[:, :380].sum(axis=0)
    assert minutes[:20].mean() > 2 * minutes[180:200].mean() < 1.9 * minutes[-15:].mean()
    leaders = [{row.code for row in day.rank_gainers(32_400 + 600 * k, "ALL", 20)} for k in range(1, 39)]
    assert len(set().union(*leaders)) >= 45
    assert {stock.market for stock in day.stocks} == {"KOSPI", "KOSDAQ"}


def test_the_day_before_a_monday_is_friday() -> None:
    assert previous_open_day(DAY.replace(day=23)).isoformat() == "2026-11-20"
    assert previous_open_day(dt.date(2026, 1, 2)).isoformat() == "2025-12-30"


def test_a_day_cannot_be_changed() -> None:
    for name in COLUMNS:
        with pytest.raises(ValueError, match="read-only"):
            getattr(small_day().bars, name)[0, 0] = 1
