"""Who trades how at which second (kis-protocol 5.1, 5.4 and 3.1): phases, segments, codes."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kquant.exchange.market import MarketDay, generate
from kquant.exchange.market.grid import tick_size
from kquant.exchange.market.quotes import prev_volume_at
from kquant.exchange.market.sessions import hours_of, regular_hours, segment_at
from tests.exchange_market.days import DAY as DATE
from tests.exchange_market.days import all_prints, small_day

DAY = small_day()
CODES = [stock.code for stock in DAY.stocks]
OPEN, CLOSE = DAY.open_second, DAY.close_second
PLAIN = next(
    stock.code
    for stock in DAY.stocks
    if stock.kind == "common" and not (stock.halted or stock.single_price or DAY.interruptions(stock.code))
)


@pytest.mark.parametrize(
    ("clock", "phase"),
    [
        ("08:29:59", "closed"), ("08:30:00", "opening"), ("08:59:59", "opening"), ("09:00:30", "continuous"),
        ("15:19:59", "continuous"), ("15:20:00", "closing"), ("15:29:59", "closing"), ("15:30:30", "closed"),
        ("15:39:59", "closed"), ("15:40:00", "post_close"), ("15:59:59", "post_close"), ("16:00:00", "after"),
        ("19:59:59", "after"), ("20:00:00", "closed"),
    ],
)  # fmt: skip
def test_the_day_runs_through_its_phases(clock: str, phase: str) -> None:
    """kis-protocol 5.1."""
    hour, minute, second = (int(part) for part in clock.split(":"))
    assert DAY.status(PLAIN, hour * 3_600 + minute * 60 + second).phase == phase


@settings(max_examples=40, deadline=None)
@given(code=st.sampled_from(CODES))
def test_every_auction_matches_in_the_second_its_call_ends(code: str) -> None:
    """kis-protocol 5.1: auction ends carry a random delay of up to 30 s."""
    opened, closed = DAY.phases.auction_ends(code)
    assert OPEN <= opened < OPEN + 30
    assert CLOSE <= closed < CLOSE + 30
    for one in all_prints(DAY, code):
        if one.side == 3:
            before, now = DAY.status(code, one.second - 1).phase, DAY.status(code, one.second).phase
            assert before in {"opening", "closing", "vi"}
            assert (now == before) == (before == "vi" and DAY.by_code[code].single_price)
        else:
            assert DAY.status(code, one.second).phase == "continuous"


def test_a_market_of_many_stocks_does_not_open_in_one_second() -> None:
    assert len({DAY.phases.auction_ends(code)[0] for code in CODES}) == 30


@settings(max_examples=60, deadline=None)
@given(code=st.sampled_from(CODES), second=st.integers(OPEN - 2_000, CLOSE + 16_500))
def test_a_change_is_told_in_the_second_it_happens_and_in_no_other(code: str, second: int) -> None:
    now, before = DAY.status(code, second), DAY.status(code, second - 1)
    told = dict(DAY.status_changes(second))
    assert told.get(code) == (now if now[:2] != before[:2] else None)


def test_a_halted_stock_is_halted_while_the_market_is_open() -> None:
    code = next(stock.code for stock in DAY.stocks if stock.halted)
    assert {DAY.status(code, second).phase for second in (OPEN - 1_800, OPEN, 40_000, CLOSE - 1)} == {"halted"}
    assert DAY.status(code, OPEN - 1_801).phase == DAY.status(code, CLOSE + 60).phase == "closed"


def test_the_static_reference_is_the_base_and_then_the_last_single_price() -> None:
    """kis-protocol 5.4: the day's base, then the last single-price result; 3.1 [45] shows the day's open."""
    prints = all_prints(DAY, PLAIN)
    opening, closing = prints[0], prints[-1]
    assert (opening.side, closing.side) == (3, 3)
    assert DAY.status(PLAIN, opening.second - 1).reference == DAY.by_code[PLAIN].base
    assert DAY.status(PLAIN, opening.second).reference == DAY.status(PLAIN, CLOSE - 1).reference == opening.price
    assert DAY.status(PLAIN, closing.second).reference == closing.price


def test_the_hour_class_says_where_a_price_is_only_expected() -> None:
    """kis-protocol 3.1 [43]: B pre-open expected, C expected after 09:00, A post-close expected, 0 in session."""
    opened = DAY.phases.auction_ends(PLAIN)[0]
    seconds = (OPEN - 1, opened - 1, opened, CLOSE - 601, CLOSE - 600, CLOSE + 60)
    assert opened > OPEN
    assert [DAY.hour_class(PLAIN, second) for second in seconds] == ["B", "C", "0", "0", "A", "0"]


def test_expected_prices_are_told_in_calls_only() -> None:
    """kis-protocol 3.2 [47]: the expected price is 0 outside auctions."""
    opened, closed = DAY.phases.auction_ends(PLAIN)
    for second in (OPEN - 1_800, OPEN - 900, opened - 1, CLOSE - 600, closed - 1):
        assert DAY.indicative(PLAIN, second).price > 0
    for second in (OPEN - 1_801, opened, CLOSE - 601, closed):
        assert DAY.indicative(PLAIN, second) == (0, 0)
    quantities = [DAY.indicative(PLAIN, second).qty for second in range(OPEN - 1_800, OPEN, 60)]
    assert quantities == sorted(quantities)
    assert len({DAY.indicative(PLAIN, second).price for second in range(OPEN - 1_800, OPEN, 20)}) > 3


def test_the_last_seconds_of_a_call_leave_a_tick_of_doubt() -> None:
    """kis-protocol 5.1: which second of the random end is the last one nobody can tell."""
    away = []
    for code in [row.code for row in DAY.rank_volume(CLOSE + 200, "ALL", 40)]:
        closing = all_prints(DAY, code)[-1]
        if DAY.interruptions(code) or closing.second < CLOSE:
            continue
        tick = tick_size(closing.price, etp=DAY.by_code[code].etp)
        away += [abs(DAY.indicative(code, at).price - closing.price) // tick for at in range(CLOSE - 9, closing.second)]
    assert set(away) == {0, 1}


@pytest.mark.parametrize(
    ("clock", "codes"),
    [
        (32_000, ("regular", "2", "10")), (40_000, ("regular", "2", "20")), (55_815, ("regular", "2", "20")),
        (56_500, ("close", "5", "31")), (57_600, ("after", "3", "30")), (72_000, ("regular", "2", "30")),
    ],
)  # fmt: skip
def test_each_second_belongs_to_a_market_segment(clock: int, codes: tuple[str, str, str]) -> None:
    """kis-protocol 3.1 [46] and [34]."""
    assert DAY.segment(clock) == codes


def test_the_after_market_exists_since_its_first_day() -> None:
    """kis-protocol 5.1: from 2026-09-14."""
    before, since = (hours_of(dt.date(2026, 9, day), 32_400, 55_800) for day in (11, 14))
    assert (before.after_from, before.after_until) == (0, 0)
    assert (since.after_from, since.after_until) == (57_600, 72_000)
    assert segment_at(before, 57_600).name == "regular"
    old = generate(dt.date(2026, 9, 11), 3, 40)
    assert {old.status(stock.code, 57_600).phase for stock in old.stocks} == {"closed"}


def test_yesterdays_volume_grows_to_yesterdays_total_and_not_above() -> None:
    """kis-protocol 3.1 [41]: volume at the same time of the previous day."""
    stock = DAY.by_code[PLAIN]
    usual, exam = regular_hours(dt.date(2026, 11, 18)), regular_hours(DAY.prev_day)
    figures = [prev_volume_at(stock, DAY.seed, usual, second) for second in range(OPEN, CLOSE + 1, 30)]
    assert (figures[0], figures[-1]) == (0, stock.prev_volume)
    assert figures == sorted(figures)
    assert stock.prev_volume * 15 // 100 < figures[120] < stock.prev_volume * 60 // 100
    # The day before was an exam day: it opened at ten, and traded until half past four.
    assert exam == (36_000, 59_400)
    assert DAY.prev_volume_at(PLAIN, OPEN + 3_600) == 0
    assert 0 < DAY.prev_volume_at(PLAIN, CLOSE) < DAY.prev_volume_at(PLAIN, 59_400) == stock.prev_volume


@settings(max_examples=60, deadline=None)
@given(code=st.sampled_from(CODES), second=st.integers(OPEN - 1_900, CLOSE + 60))
def test_the_midpoint_lies_between_bid_and_ask_in_continuous_trading(code: str, second: int) -> None:
    """kis-protocol 3.2 [59] to [61]."""
    middle, quote = DAY.midpoint(code, second), DAY.quote(code, second)
    if DAY.status(code, second).phase != "continuous" or not quote.bid or not quote.ask:
        assert middle == (0, 0, 0)
    else:
        assert middle.price == (quote.bid + quote.ask) // 2
        assert (middle.qty > 0) == (middle.side in {1, 2})


def test_asking_the_state_draws_no_tape() -> None:
    fresh: MarketDay = generate(DATE, 9, 40)
    assert len(fresh.status_changes(OPEN - 1_800)) == 40
    assert fresh._tape.cache_info().currsize == 0
