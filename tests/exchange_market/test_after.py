"""What trades after the close (kis-protocol 5.1): at the closing price until 16:00, then the after-market until 20:00."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from kquant.exchange.market import DayStats, MarketDay, Print, generate, scripted
from kquant.exchange.market.after import draw_after_hours
from kquant.exchange.market.grid import daily_limits, tick_size
from tests.exchange_market.days import all_prints, fold, small_day

DAY = small_day()
OPEN, CLOSE = DAY.open_second, DAY.close_second
LATER = CLOSE + 600, CLOSE + 1_800, CLOSE + 16_200
BUSY = [row.code for row in DAY.rank_volume(CLOSE + 200, "ALL", 60)]


def _between(day: MarketDay, code: str, start: int, end: int) -> list[Print]:
    return [one for second in range(start, end) for one in day.prints(code, second)]


def test_nothing_prints_between_the_close_and_post_close_trading_nor_after_eight() -> None:
    for code in BUSY:
        assert not _between(DAY, code, CLOSE + 200, LATER[0])
        assert not _between(DAY, code, LATER[2], LATER[2] + 60)


def test_post_close_trading_is_thin_and_at_the_closing_price() -> None:
    volumes = []
    for code in BUSY:
        day, prints = DAY.stats(code, CLOSE + 200), _between(DAY, code, *LATER[:2])
        assert {one.price for one in prints} <= {day.last}
        volumes.append(sum(one.qty for one in prints))
        assert volumes[-1] <= day.volume // 100
        assert DAY.segment_stats(code, LATER[1] - 1).volume == volumes[-1]
    assert sum(volume > 0 for volume in volumes) > len(BUSY) // 2


def test_the_after_market_trades_thinly_on_the_grid_inside_limits_around_the_close() -> None:
    """kis-protocol 5.3: limits of 30 % of the regular close."""
    traded = 0
    for code in BUSY:
        stock, day = DAY.by_code[code], DAY.stats(code, CLOSE + 200)
        prints = _between(DAY, code, *LATER[1:])
        upper, lower = daily_limits(day.last)
        for one in prints:
            assert lower <= one.price <= upper
            assert one.price % tick_size(one.price, etp=stock.etp) == 0
            assert one.qty > 0
            assert one.side in {1, 5}
        assert sum(one.qty for one in prints) <= day.volume // 20
        traded += bool(prints)
        for second in (LATER[1] + 600, LATER[2] - 1):
            assert DAY.segment_stats(code, second) == fold(one for one in prints if one.second <= second)
    assert traded > len(BUSY) // 2


@pytest.mark.parametrize("close", [13_000, 7_000])
def test_limits_of_the_evening_are_around_the_close_and_not_the_mornings_base(close: int) -> None:
    stock = msgspec.structs.replace(DAY.by_code[BUSY[0]], base=10_000, upper=13_000, lower=7_000)
    totals = DayStats(10_000, 13_000, 7_000, close, 50_000_000, 1, OPEN, OPEN, OPEN, 0, 0, 0, 0)
    prints = [
        one
        for seed in range(8)
        for tape in [draw_after_hours(stock, totals, DAY.hours, seed).after]
        for second in tape.seconds
        for one in tape.prints(second)
    ]
    upper, lower = daily_limits(close)
    assert all(lower <= one.price <= upper for one in prints)
    assert any(not 7_000 <= one.price <= 13_000 for one in prints)


def test_the_regular_days_totals_and_rankings_stay_the_regular_days() -> None:
    for code in BUSY[:10]:
        assert DAY.stats(code, 86_399) == fold(all_prints(DAY, code))
    assert DAY.rank_volume(86_399, "ALL", 60) == DAY.rank_volume(CLOSE + 200, "ALL", 60)


def test_the_after_market_has_a_book_of_its_own() -> None:
    code = max(BUSY, key=lambda one: len(_between(DAY, one, *LATER[1:])))
    prints = _between(DAY, code, *LATER[1:])
    last = prints[len(prints) // 2]
    second = max(one.second for one in prints if one.second == last.second)
    quote, book = DAY.quote(code, second), DAY.book(code, second)
    newest = [one for one in prints if one.second <= second][-1]
    assert newest.price in (quote.bid, quote.ask)
    assert (book.bids[0].price, book.asks[0].price) == (quote.bid, quote.ask)
    assert DAY.status(code, second).phase == "after"
    assert DAY.segment(second).market_code == "3"


def test_etfs_and_halted_stocks_stay_out_of_the_after_market() -> None:
    out = [stock for stock in DAY.stocks if stock.etp or stock.halted or stock.single_price]
    assert {stock.kind for stock in out} >= {"etf"}
    for stock in out:
        assert DAY.status(stock.code, LATER[1]).phase in {"closed", "halted"}
        assert not _between(DAY, stock.code, *LATER[1:])


def test_before_the_after_market_began_nothing_prints_in_the_evening() -> None:
    old = generate(dt.date(2026, 9, 11), 3, 60)
    for stock in old.stocks:
        assert not _between(old, stock.code, *LATER[1:])
    assert any(_between(old, stock.code, *LATER[:2]) for stock in old.stocks)


def test_a_stock_halted_at_the_close_does_not_trade_after_it() -> None:
    code = BUSY[0]
    day = scripted(DAY, halts=[{"code": code, "start": "14:00"}])
    assert not _between(day, code, CLOSE, LATER[2])
    assert day.quote(code, LATER[1] + 5) == (0, 0, 0, 0)


@pytest.mark.parametrize("second", [LATER[0], LATER[1] + 3_600, LATER[2] + 60])
def test_the_book_of_the_session_stands_still_once_it_is_over(second: int) -> None:
    etf = next(stock.code for stock in DAY.stocks if stock.etp and not stock.halted)
    assert DAY.book(etf, second) == DAY.book(etf, LATER[0])
