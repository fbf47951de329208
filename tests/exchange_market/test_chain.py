"""Days that follow days: prices, volumes and histories go on where the day before ended."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from pathlib import Path

import pytest

from kquant.exchange.market import MarketDay, MarketFileError, generate, markets, save
from kquant.exchange.market.grid import daily_limits

FRIDAY, MONDAY, TUESDAY = dt.date(2026, 11, 20), dt.date(2026, 11, 23), dt.date(2026, 11, 24)
STOCKS = 120


def _path(day: MarketDay) -> list[object]:
    codes = [stock.code for stock in day.stocks[:10]]
    return [day.stocks, [[day.prints(code, second) for second in range(32_400, 33_000)] for code in codes]]


@pytest.fixture(scope="module")
def days() -> list[MarketDay]:
    chain = markets(5, stocks=STOCKS)
    return [chain(day) for day in (FRIDAY, MONDAY, TUESDAY)]


def test_the_first_day_is_the_generated_one(days: list[MarketDay]) -> None:
    assert _path(days[0]) == _path(generate(FRIDAY, 5, STOCKS))


def test_a_day_opens_where_the_one_before_closed(days: list[MarketDay]) -> None:
    for before, day in pairwise(days):
        assert day.prev_day == before.day
        assert [stock.code for stock in day.stocks] == [stock.code for stock in before.stocks]
        for stock in day.stocks:
            totals = before.stats(stock.code, 86_399)
            close = totals.last or before.by_code[stock.code].base
            assert (stock.base, stock.prev_close, stock.prev_volume) == (close, close, totals.volume)
            if not stock.liquidation:
                assert (stock.upper, stock.lower) == daily_limits(close, etp=stock.etp)


def test_days_differ_and_trade(days: list[MarketDay]) -> None:
    busiest = [[row.code for row in day.rank_gainers(86_399, "ALL", 10)] for day in days]
    assert busiest[0] != busiest[1] != busiest[2]
    sums = [sum(row.value for row in day.rank_volume(86_399, "ALL", 100)) for day in days]
    assert max(sums) < 4 * min(sums)


def test_what_is_known_of_a_later_day_ends_with_the_days_played(days: list[MarketDay]) -> None:
    friday, monday, tuesday = days
    for stock in tuesday.stocks[:40]:
        first, now = friday.known(stock.code), tuesday.known(stock.code)
        assert first
        assert now
        totals = [day.stats(stock.code, 86_399) for day in (friday, monday)]
        assert now.closes == (*(first.closes or ())[2:], monday.by_code[stock.code].base, stock.base)
        assert (now.volumes or ())[-2:] == tuple(one.volume for one in totals)
        assert (now.highs or ())[-1] == (totals[1].high or stock.base)
        assert (now.roe_bp, now.statement_filed) == (first.roe_bp, first.statement_filed)
        assert now.base == stock.base


def test_a_later_day_is_the_same_whatever_was_asked_before(days: list[MarketDay]) -> None:
    again = markets(5, stocks=STOCKS, first=FRIDAY)
    assert _path(again(TUESDAY)) == _path(days[2])
    assert _path(again(MONDAY)) == _path(days[1])
    known = [again(TUESDAY).known(stock.code) for stock in days[2].stocks]
    assert known == [days[2].known(stock.code) for stock in days[2].stocks]


def test_days_that_cannot_be_are_refused() -> None:
    chain = markets(5, stocks=20, first=FRIDAY)
    with pytest.raises(MarketFileError, match="begin on 2026-11-20"):
        chain(dt.date(2026, 11, 19))
    with pytest.raises(MarketFileError, match="the exchange is closed"):
        chain(dt.date(2026, 11, 21))


def test_folders_play_on_their_days(tmp_path: Path) -> None:
    for seed, day in enumerate((FRIDAY, MONDAY)):
        save(generate(day, seed, 20), tmp_path / str(seed))
    given = markets([tmp_path / "0", tmp_path / "1"])
    assert (given(MONDAY).seed, given(FRIDAY).seed) == (1, 0)
    with pytest.raises(MarketFileError, match="no market day of 2026-11-24: there are 2026-11-20, 2026-11-23"):
        given(TUESDAY)
    assert markets(tmp_path / "0")(FRIDAY).day == FRIDAY
