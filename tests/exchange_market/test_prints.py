"""What a stock's prints, totals, quotes and book promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kquant.exchange.market.bars import Bars
from kquant.exchange.market.grid import daily_limits, floor_price, tick_size
from kquant.exchange.market.model import Stock
from kquant.exchange.market.tape import StockBars, draw_tape
from tests.exchange_market.days import LATEST_CLOSING, all_prints, fold, small_day

DAY = small_day()
CODES = [stock.code for stock in DAY.stocks]
OPEN, CLOSE = DAY.open_second, DAY.close_second
LAST_SLOT = (CLOSE - OPEN) // 60


def _rebuilt(code: str) -> dict[int, tuple[int, int, int, int, int]]:
    minutes: dict[int, list[tuple[int, int]]] = {}
    for one in all_prints(DAY, code):
        minutes.setdefault(min((one.second - OPEN) // 60, LAST_SLOT), []).append((one.price, one.qty))
    return {
        slot: (
            found[0][0],
            max(price for price, _ in found),
            min(price for price, _ in found),
            found[-1][0],
            sum(qty for _, qty in found),
        )
        for slot, found in minutes.items()
    }


@settings(max_examples=12, deadline=None)
@given(code=st.sampled_from(CODES))
def test_prints_fold_back_to_the_minute_bars_to_the_share(code: str) -> None:
    row = CODES.index(code)
    bars = DAY.bars
    expected = {
        int(slot): tuple(int(getattr(bars, name)[row, slot]) for name in ("open", "high", "low", "close", "volume"))
        for slot in np.flatnonzero(bars.volume[row] > 0)
    }
    assert _rebuilt(code) == expected


@settings(max_examples=25, deadline=None)
@given(code=st.sampled_from(CODES), second=st.integers(OPEN - 60, CLOSE + 60))
def test_totals_are_the_fold_of_the_prints_so_far(code: str, second: int) -> None:
    assert DAY.stats(code, second) == fold(one for one in all_prints(DAY, code) if one.second <= second)


@settings(max_examples=10, deadline=None)
@given(code=st.sampled_from(CODES))
def test_prints_lie_on_the_grid_inside_the_limits_and_never_in_the_closing_call(code: str) -> None:
    stock = DAY.by_code[code]
    for one in all_prints(DAY, code):
        assert one.qty > 0
        assert stock.lower <= one.price <= stock.upper
        assert one.price % tick_size(one.price, etp=stock.etp) == 0
        assert OPEN <= one.second < CLOSE - 600 or CLOSE <= one.second < CLOSE + LATEST_CLOSING
        if one.second >= CLOSE:
            assert one.side == 3


def test_a_halted_stock_has_no_print_no_quote_and_no_rank() -> None:
    halted = [stock.code for stock in DAY.stocks if stock.halted]
    assert halted
    ranked = {row.code for row in DAY.rank_volume(CLOSE, "ALL", 600)}
    for code in halted:
        assert DAY.stats(code, CLOSE).volume == 0
        assert DAY.quote(code, OPEN + 3_600) == (0, 0, 0, 0)
        assert code not in ranked


@settings(max_examples=200, deadline=None)
@given(code=st.sampled_from(CODES), second=st.integers(OPEN - 3_600, CLOSE + 60))
def test_the_book_begins_with_the_quote_and_leaves_no_price_out(code: str, second: int) -> None:
    stock = DAY.by_code[code]
    quote, book = DAY.quote(code, second), DAY.book(code, second)
    assert (book.bids[0], book.asks[0]) == ((quote.bid, quote.bid_qty), (quote.ask, quote.ask_qty))
    if quote.bid and quote.ask:
        assert quote.bid < quote.ask
    for levels, sign in ((book.asks, 1), (book.bids, -1)):
        shown = [level.price for level in levels if level.price]
        assert shown == sorted(shown, key=lambda price: sign * price)
        assert len(set(shown)) == len(shown)
        assert all(stock.lower <= price <= stock.upper for price in shown)
        assert all(floor_price(price, etp=stock.etp) == price for price in shown)
        assert all((level.qty > 0) == (level.price > 0) for level in levels)


def test_a_stock_locked_at_its_upper_limit_shows_no_seller() -> None:
    locked = [
        (stock.code, slot)
        for row, stock in enumerate(DAY.stocks)
        for slot in np.flatnonzero((DAY.bars.low[row, :380] == stock.upper) & (DAY.bars.volume[row, :380] > 0))[:1]
    ]
    assert locked
    for code, slot in locked:
        quote = DAY.quote(code, OPEN + 60 * int(slot) + 59)
        assert (quote.bid, quote.ask) == (DAY.by_code[code].upper, 0)


def test_the_expected_price_of_both_calls_reaches_the_match() -> None:
    code = max(CODES, key=lambda one: DAY.stats(one, CLOSE).value)
    first = all_prints(DAY, code)[0]
    assert abs(DAY.indicative(code, OPEN - 1).price - first.price) <= 2 * tick_size(first.price)
    closing = all_prints(DAY, code)[-1]
    assert closing.side == 3
    assert abs(DAY.indicative(code, closing.second - 1).price - closing.price) <= 2 * tick_size(closing.price)
    assert DAY.indicative(code, OPEN + 3_600) == (0, 0)


@settings(max_examples=30, deadline=None)
@given(code=st.sampled_from(CODES), one=st.integers(OPEN, CLOSE), other=st.integers(OPEN, CLOSE))
def test_program_trading_only_grows_and_stays_inside_the_volume(code: str, one: int, other: int) -> None:
    before, after = (DAY.program(code, second) for second in sorted((one, other)))
    assert all(late >= early for early, late in zip(before[:4], after[:4], strict=True))
    totals = DAY.stats(code, max(one, other))
    assert after.buy_qty <= totals.buy_volume
    assert after.sell_qty <= totals.sell_volume


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_bar_is_drawn_exactly_whatever_its_prices(data: st.DataObject) -> None:
    low = data.draw(st.integers(1, 300_000))
    high = low + data.draw(st.integers(0, 60)) * data.draw(st.sampled_from([1, 3, tick_size(low)]))
    opened, close = (data.draw(st.integers(low, high)) for _ in range(2))
    volume = data.draw(st.integers(4, 2_000_000))
    value = data.draw(st.one_of(st.just(-1), st.integers(low * volume, high * volume)))
    upper, lower = daily_limits(high)
    stock = _stock(base=high, upper=upper, lower=min(low, lower))
    column = [np.array([number], dtype=np.int64) for number in (opened, high, low, close, volume, value)]
    bars = StockBars(
        np.array([OPEN], dtype=np.int64),
        (column[0], column[1], column[2], column[3]),
        column[4],
        column[5],
        np.array([data.draw(st.booleans())]),
    )
    totals = draw_tape(stock, bars, data.draw(st.integers(0, 2**63)), CLOSE).stats(OPEN + 59)
    assert totals[:5] == (opened, high, low, close, volume)


def _stock(*, base: int, upper: int, lower: int) -> Stock:
    return Stock(
        code="000010", name="가", market="KOSPI", kind="common", base=base, upper=upper, lower=lower, halted=False,
        administrative=False, liquidation=False, warning=0, overheated=False, prev_close=base, prev_volume=0,
        listed_shares=1, sector="기타", kospi200=False, drawn=False, single_price=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("base", "upper", "lower"), [(5_760, 7_480, 4_040), (2_835, 3_685, 1_985), (742_000, 964_000, 520_000)]
)
def test_daily_limits_are_cut_to_the_grid(base: int, upper: int, lower: int) -> None:
    assert daily_limits(base) == (upper, lower)


def test_empty_bars_have_no_trade() -> None:
    assert not Bars.empty(2, 3).volume.any()
