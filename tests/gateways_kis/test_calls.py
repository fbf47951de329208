"""Every typed call, over real sockets, against the look-alike, whose tables were written by others."""

from __future__ import annotations

import datetime as dt

import pytest

from kquant.exchange.market import MarketDay
from kquant.gateways.kis.rest.answers import FinanceTable
from kquant.gateways.kis.rest.calls.reference import FIGURES
from kquant.gateways.kis.rest.endpoints import FLUCTUATION
from kquant.gateways.kis.rest.environment import SERVICES
from kquant.gateways.kis.rest.errors import KisRefused
from kquant.values import Krw, Shares
from tests.gateways_kis.look_alike import DAY, LookAlike, look_alike, market

TABLES: list[FinanceTable] = list(FIGURES)


@pytest.fixture
async def there(tmp_path):
    async with look_alike(tmp_path) as made:
        made.at(10, 30, 20)
        yield made


@pytest.fixture
async def calls(there):
    return await there.calls("real")


def stock(day: MarketDay | None = None):
    return next(each for each in (day or market()).stocks if each.kind == "common" and not each.halted)


def second(there: LookAlike) -> int:
    return there.exchange.second - 1


async def test_a_price_is_the_markets(there, calls):
    one, stats = stock(), market().stats(stock().code, second(there))
    price = await calls.price(one.code)
    assert (price.last_price, price.open, price.high, price.low, price.volume, price.value) == (
        stats.last, stats.open, stats.high, stats.low, stats.volume, stats.value,
    )  # fmt: skip
    detail = await calls.quote(one.code)
    assert (detail.upper, detail.lower, detail.base) == (one.upper, one.lower, one.base)
    assert (detail.last_price, detail.halted, detail.warning) == (stats.last, one.halted, one.warning)


async def test_many_prices_come_thirty_a_call_and_equal_the_single_ones(calls):
    """kis-protocol 4.3: intstock-multprice, up to 30 symbols."""
    codes = [each.code for each in market().stocks if each.kind == "common"][:41]
    prices = await calls.prices(codes)
    assert [price.code for price in prices] == codes
    assert prices[7] == await calls.price(codes[7])


async def test_an_order_book_has_ten_levels_a_side_best_first(calls):
    book = await calls.book(stock().code)
    asks, bids = [each.price for each in book.asks if each.price], [each.price for each in book.bids if each.price]
    assert asks == sorted(asks)
    assert bids == sorted(bids, reverse=True)
    assert bids[0] < asks[0]
    assert book.total_ask_qty >= sum(each.qty for each in book.asks)
    assert book.expected_price is None


async def test_an_order_book_of_an_auction_says_what_is_expected(tmp_path):
    async with look_alike(tmp_path) as there:
        there.at(8, 55)
        calls = await there.calls("real")
        book = await calls.book(stock().code)
        assert book.expected_price is not None
        assert book.expected_qty


async def test_rankings_leave_out_at_the_source_what_is_never_bought(calls):
    """kis-protocol 4.2: exclusion flags; ecosystem 0, row 9."""
    by_code = {each.code: each for each in market().stocks}
    for rows in (await calls.gainers(50), await calls.volumes(50)):
        assert 30 < len(rows) <= 50
        for row in rows:
            one = by_code[row.code]
            assert one.kind in {"common", "reit"}
            assert not (one.halted)
            assert not (one.administrative)
            assert not (one.liquidation)
            assert not (one.warning)


async def test_a_ranking_that_takes_no_flags_is_asked_without_them_from_then_on(there, calls):
    """kis-protocol 4.2: the official sample doubts the ten flags."""
    asked: list[str] = []
    get = calls.data._client.get

    async def picky(endpoint, params, **rest):
        flags = params["fid_trgt_exls_cls_code"]
        asked.append(flags)
        if flags != "0":
            raise KisRefused("OPSQ2002", "ERROR INVALID", 200)
        return await get(endpoint, params, **rest)

    calls.data._client.get = picky
    assert len(await calls.gainers(20)) == 20
    assert len(await calls.gainers(20)) == 20
    assert asked == ["1111111101", "0", "0"]
    assert FLUCTUATION.real == "FHPST01700000"


async def test_condition_searches_are_listed_and_run_and_no_hit_is_no_error(calls):
    """kis-protocol 4.2: zero hits are rt_cd 1 with MCA05918."""
    by_name = {each.name: each.seq for each in await calls.conditions()}
    hits = await calls.condition_hits(by_name["상승률상위"])
    assert [row.rank for row in hits] == list(range(1, len(hits) + 1))
    assert all(row.price > 0 and row.high is not None for row in hits)
    assert await calls.condition_hits(by_name["천만원이상"]) == ()


async def test_watch_lists_give_their_stocks_in_the_users_order(calls):
    groups = await calls.watch_groups()
    rows = await calls.watch_list(groups[0].code)
    assert len({row.code for row in rows}) == len(rows) > 0
    assert all(market().by_code[row.code].name == row.name for row in rows)


async def test_todays_minutes_stop_before_the_one_that_runs(there, calls):
    """kis-protocol 4.4: the newest bar is unfinished, the future is fake."""
    bars = await calls.data.minutes(stock().code)
    times = [bar.time for bar in bars]
    assert times == sorted(times)
    assert (times[0], times[-1]) == ("090000", "102900")
    stats = market().stats(stock().code, 10 * 3600 + 30 * 60 - 1)
    assert sum(bar.volume for bar in bars) == stats.volume
    assert bars[-1].value_so_far == stats.value
    assert await calls.data.minutes(stock().code, since="101500") == bars[-15:]


async def test_a_past_days_minutes_are_whole(calls):
    bars = await calls.data.minutes_of(stock().code, dt.date(2026, 11, 18))
    assert {bar.day for bar in bars} == {"20261118"}
    assert len(bars) > 120
    (day,) = await calls.data.daily(stock().code, dt.date(2026, 11, 18), dt.date(2026, 11, 18), adjusted=True)
    assert (max(bar.high for bar in bars), min(bar.low for bar in bars)) == (day.high, day.low)


async def test_minutes_of_a_day_to_come_are_never_asked(calls):
    for day in (DAY, dt.date(2026, 11, 21)):
        with pytest.raises(ValueError, match="no past day"):
            await calls.data.minutes_of(stock().code, day)


async def test_daily_bars_go_over_pages_and_end_today(calls):
    bars = await calls.data.daily(stock().code, dt.date(2026, 1, 1), dt.date(2030, 1, 1), adjusted=True)
    days = [bar.day for bar in bars]
    assert days == sorted(set(days))
    assert len(days) > 100
    assert days[-1] == "20261120"
    assert [bar.close for bar in bars][-2] == stock().prev_close


async def test_both_daily_charts_agree_for_both_meanings_of_the_price_flag(calls):
    """kis-protocol 4.4 and 6 row 20: the flag of one chart is the opposite of the other's."""
    code = stock().code
    for adjusted in (True, False):
        recent = await calls.data.recent_days(code, adjusted=adjusted)
        first = dt.date.fromisoformat(recent[0].day)
        longer = await calls.data.daily(code, first, DAY, adjusted=adjusted)
        assert [(bar.day, bar.close) for bar in recent] == [(bar.day, bar.close) for bar in longer]


async def test_todays_investors_are_unknown_until_the_close(calls):
    """kis-protocol 4.3: today's row is filled only after the close."""
    today, before = (await calls.data.investors(stock().code))[:2]
    assert (today.day, today.is_settled, today.foreigners) == ("20261120", False, None)
    assert (before.day, before.is_settled) == ("20261119", True)


async def test_interruptions_name_their_price_and_end(calls):
    for each in await calls.data.interruptions():
        assert each.began < "103020"
        assert each.ended is None or each.ended > each.began


@pytest.mark.parametrize("quarterly", [False, True])
@pytest.mark.parametrize("table", TABLES)
async def test_finance_tables_have_all_their_figures_newest_first(calls, table, quarterly):
    rows = await calls.data.finance(table, stock().code, quarterly=quarterly)
    assert [row.period for row in rows] == sorted((row.period for row in rows), reverse=True)
    assert all(set(row.figures) == set(FIGURES[table]) for row in rows)


async def test_reference_data_is_the_markets(calls):
    info = await calls.data.stock_info(stock().code)
    assert (info.name, info.halted, info.listed_shares) == (stock().name, stock().halted, stock().listed_shares)
    holidays = {each.day: each for each in await calls.holidays("20261120")}
    assert (holidays["20261120"].is_open, holidays["20261121"].is_open) == (True, False)
    news = await calls.news()
    assert [item.published for item in news] == sorted((item.published for item in news), reverse=True)


@pytest.mark.parametrize("environment", ["real", "paper"])
async def test_a_balance_of_several_pages_is_whole(tmp_path, environment):
    """kis-protocol 4.5: 50 rows a page on the real service, 20 on paper."""
    async with look_alike(tmp_path, holdings=55) as there:
        trading = await there.trading(environment)
        get, pages = trading._client.get, []

        async def counted(endpoint, params, **rest):
            pages.append(params["CTX_AREA_NK100"])
            return await get(endpoint, params, **rest)

        trading._client.get = counted
        balance = await trading.balance()
        assert len(pages) == -(-55 // SERVICES[environment].balance_rows)
        assert len(balance.holdings) == 55
        assert balance.cash_krw == 100_000_000


@pytest.mark.parametrize("environment", ["real", "paper"])
async def test_orders_live_the_same_life_on_both_services(tmp_path, environment):
    """kis-protocol 4.6: open orders come from psbl-rvsecncl, on paper from the day's list; 15 rows a page there."""
    async with look_alike(tmp_path) as there:
        there.at(10, 30)
        trading = await there.trading(environment)
        one = stock()
        placed = []
        for _ in range(17):
            answer = await trading.place(
                one.code, "buy", "limit", Shares(1), Krw(one.lower), timeout_seconds=5, gate=lambda: None
            )
            placed.append(answer.body["output"]["ODNO"].lstrip("0"))
        branch = answer.body["output"]["KRX_FWDG_ORD_ORGNO"]
        assert branch == SERVICES[environment].branch == ("06010" if environment == "real" else "00950")
        assert answer.body["msg_cd"] in SERVICES[environment].success
        assert len(placed) > SERVICES["paper"].execution_rows
        assert [row.order_no for row in await trading.executions("20261120")] == placed
        assert {row.order_no for row in await trading.open_orders()} == set(placed)
        await trading.cancel(placed[0], branch, "limit", timeout_seconds=5, gate=lambda: None)
        up = Krw(one.lower + (1 if one.lower < 2000 else 100) * 10)
        changed = await trading.replace(placed[1], branch, "limit", up, timeout_seconds=5, gate=lambda: None)
        number = changed.body["output"]["ODNO"].lstrip("0")
        there.at(10, 31)
        still = {row.order_no: row for row in await trading.open_orders()}
        assert placed[0] not in still
        assert placed[1] not in still
        assert (still[number].original_order_no, still[number].price) == (placed[1], up)


async def test_in_the_after_market_a_limit_order_is_of_its_own_type_kis_protocol_4_9(tmp_path):
    async with look_alike(tmp_path) as there:
        there.at(16, 30)
        trading, one = await there.trading("real"), stock()
        price = Krw(market().stats(one.code, 15 * 3_600 + 1_799).last)

        async def place(*, after_market: bool) -> None:
            await trading.place(
                one.code, "buy", "limit", Shares(1), price, timeout_seconds=5, gate=lambda: None,
                after_market=after_market,
            )  # fmt: skip

        with pytest.raises(KisRefused):  # type 00 is the regular session's
            await place(after_market=False)
        await place(after_market=True)
        assert [row.kind for row in await trading.executions("20261120")] == ["limit"]
        with pytest.raises(ValueError, match="no market orders"):
            await trading.place(
                one.code, "buy", "market", Shares(1), Krw(0), timeout_seconds=5, gate=lambda: None, after_market=True
            )


@pytest.mark.parametrize("environment", ["real", "paper"])
async def test_what_may_be_bought_and_sold_is_told_on_both_services(tmp_path, environment):
    """kis-protocol 4.5: nrcvb_* is without credit; a market order reckons with the upper limit."""
    async with look_alike(tmp_path) as there:
        there.at(10, 30)
        trading = await there.trading(environment)
        first = await trading.balance()
        assert first.cash_krw == first.cash_next_krw == first.cash_today_krw == 100_000_000
        assert (await trading.orderable(None, "market", Krw(0))).amount == 100_000_000
        held = first.holdings[0]
        sellable = await trading.sellable(held.code)
        assert (sellable.held, sellable.qty) == (held.qty, held.sellable)
        one = stock()
        at_market = await trading.orderable(one.code, "market", Krw(0))
        assert at_market.unit_price == one.upper
        assert 0 < at_market.qty * one.upper <= at_market.amount
        at_limit = await trading.orderable(one.code, "limit", Krw(one.lower))
        assert at_limit.qty > at_market.qty
        await trading.place(one.code, "buy", "limit", Shares(7), Krw(one.lower), timeout_seconds=5, gate=lambda: None)
        held_back = 7 * one.lower + 7 * one.lower * 140 // 1_000_000
        assert (await trading.orderable(None, "market", Krw(0))).amount == 100_000_000 - held_back
        assert (await trading.balance()).cash_krw == 100_000_000
