"""Volatility interruptions of generated days (kis-protocol 5.4): what trips them, what they hold, how they end."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import msgspec
import pytest

from kquant.exchange.market import Interruption, MarketDay, Print, Stock, generate
from kquant.exchange.market.bars import Bars
from kquant.exchange.market.grid import daily_limits
from kquant.exchange.market.interrupt import interrupt
from kquant.exchange.market.sessions import hours_of
from tests.exchange_market.days import DAY as DATE
from tests.exchange_market.days import SEED, all_prints, fold

DAY = generate(DATE, SEED, 1_500)
OPEN, CLOSE = DAY.open_second, DAY.close_second
ALL = [(code, one) for code in DAY.interrupted() for one in DAY.interruptions(code)]
SUBJECT = [s for s in DAY.stocks if not (s.halted or s.liquidation or s.single_price)]


def _limit_bp(code: str, second: int) -> int:
    """The dynamic limit as kis-protocol 5.4 states it: 3 % KOSPI200, 6 % others, 2 % and 4 % in the closing auction."""
    large = DAY.by_code[code].kospi200
    return (200 if large else 400) if second >= CLOSE else (300 if large else 600)


def _moving() -> list[str]:
    """The stocks that were interrupted, and the busiest others that moved most."""
    calm = [stock.code for stock in SUBJECT if not DAY.interruptions(stock.code)]
    ranked = [row.code for row in DAY.rank_gainers(CLOSE + 200, "ALL", 100) if row.code in set(calm)]
    return [*DAY.interrupted(), *ranked[:20], *calm[:20]]


def test_a_day_has_interruptions_of_both_kinds_and_at_both_auctions() -> None:
    assert {one.kind for _, one in ALL} == {"static", "dynamic"}
    assert any(one.start < OPEN + 30 for _, one in ALL)
    assert any(one.start >= CLOSE for _, one in ALL)
    assert len({code for code, _ in ALL}) < len(ALL)


@pytest.mark.parametrize("code", _moving())
def test_no_print_in_continuous_trading_is_beyond_a_limit(code: str) -> None:
    prints = all_prints(DAY, code)
    for before, one in pairwise(prints):
        if one.side != 3:
            assert abs(one.price - before.price) * 10_000 < before.price * _limit_bp(code, one.second), one
            reference = DAY.status(code, one.second).reference
            assert abs(one.price - reference) * 10 < reference, one


@pytest.mark.parametrize(("code", "one"), ALL)
def test_an_interruption_is_tripped_by_its_price_and_lasts_two_minutes_and_a_random_end(
    code: str, one: Interruption
) -> None:
    """kis-protocol 5.4: real ones ran about 2:05 to 2:30."""
    bp = 1_000 if one.kind == "static" else _limit_bp(code, one.start)
    assert abs(one.trigger - one.reference) * 10_000 >= one.reference * bp
    assert abs(one.deviation_bp) == abs(one.trigger - one.reference) * 10_000 // one.reference
    assert (one.deviation_bp > 0) == (one.trigger > one.reference)
    stock = DAY.by_code[code]
    assert stock.lower <= one.trigger <= stock.upper
    if one.kind == "static":
        assert one.reference == DAY.status(code, one.start - 1).reference
    else:
        assert one.reference == DAY.stats(code, one.start - 1).last
    if one.result:
        assert 120 <= one.end - one.start < 150
    else:
        assert one.end == CLOSE - 600


@pytest.mark.parametrize(("code", "one"), ALL)
def test_prints_are_held_and_execute_at_one_price_at_the_end(code: str, one: Interruption) -> None:
    assert not [print_ for second in range(one.start, one.end) for print_ in DAY.prints(code, second)]
    assert {DAY.status(code, second)[:2] for second in (one.start, one.end - 1)} == {("vi", one.kind)}
    assert DAY.hour_class(code, one.start) == "C"
    after = DAY.status(code, one.end)
    if not one.result:
        assert after.phase == "closing"
        return
    match: Print = DAY.prints(code, one.end)[0]
    assert (match.price, match.side) == (one.result, 3)
    assert after == ("closed" if one.start >= CLOSE else "continuous", "", one.result)
    assert code in dict(DAY.status_changes(one.start))
    assert code in dict(DAY.status_changes(one.end))
    expected = DAY.indicative(code, one.start + 60)
    assert expected.price > 0
    assert 0 < expected.qty <= sum(each.qty for each in DAY.prints(code, one.end) if each.side == 3)
    assert DAY.indicative(code, one.end) == (0, 0)
    assert (DAY.indicative(code, one.start - 1) == (0, 0)) == (OPEN + 30 < one.start < CLOSE)


BASE = 100_000
HOURS = hours_of(DATE, 32_400, 55_800)


def _flat_day(*, kospi200: bool, changes: dict[int, tuple[int, int, int, int]]) -> tuple[list[Stock], Bars]:
    """One stock that trades at its base every minute but for the bars given (open, high, low, close by slot)."""
    upper, lower = daily_limits(BASE)
    stock = msgspec.structs.replace(SUBJECT[0], base=BASE, upper=upper, lower=lower, kospi200=kospi200)
    bars = Bars.empty(1, 391)
    for slot in [*range(380), 390]:
        prices = changes.get(slot, (BASE,) * 4)
        for column, price in zip((bars.open, bars.high, bars.low, bars.close), prices, strict=True):
            column[0, slot] = price
        bars.volume[0, slot] = 100
    bars.auction[0, [0, 390]] = True
    return [stock], bars


@pytest.mark.parametrize(
    ("kospi200", "slot", "prices", "kind"),
    [
        (True, 60, (100_000, 102_900, 100_000, 100_000), None),
        (True, 60, (100_000, 103_000, 100_000, 100_000), "dynamic"),
        (True, 60, (100_000, 100_000, 97_000, 97_000), "dynamic"),
        (True, 60, (97_000, 97_000, 97_000, 97_000), "dynamic"),
        (True, 60, (97_100, 97_100, 97_100, 97_100), None),
        (False, 60, (100_000, 105_900, 100_000, 100_000), None),
        (False, 60, (100_000, 106_000, 100_000, 100_000), "dynamic"),
        (False, 60, (100_000, 103_000, 97_000, 103_000), "dynamic"),
        (False, 60, (110_000, 110_000, 110_000, 110_000), "static"),
        (False, 0, (109_900, 109_900, 109_900, 109_900), None),
        (False, 0, (110_000, 110_000, 110_000, 110_000), "static"),
        (False, 0, (90_000, 90_000, 90_000, 90_000), "static"),
        (True, 390, (101_900, 101_900, 101_900, 101_900), None),
        (True, 390, (102_000, 102_000, 102_000, 102_000), "dynamic"),
        (False, 390, (103_900, 103_900, 103_900, 103_900), None),
        (False, 390, (96_000, 96_000, 96_000, 96_000), "dynamic"),
    ],
)
def test_limits_trip_where_the_rules_say(
    kospi200: bool, slot: int, prices: tuple[int, int, int, int], kind: str | None
) -> None:
    """kis-protocol 5.4: 3 % and 6 %, 2 % and 4 % in the closing auction, 10 % from the static reference."""
    # The price stays where that minute took it, so that nothing else trips (but a gap of the minute after it).
    after = {} if slot in {0, 390} or prices[3] == BASE else dict.fromkeys(range(slot + 1, 391), (prices[3],) * 4)
    if slot == 0:
        after = dict.fromkeys(range(1, 391), (prices[3],) * 4)
    stocks, bars = _flat_day(kospi200=kospi200, changes={**after, slot: prices})
    found = interrupt(bars, stocks, 1, HOURS).get(stocks[0].code, ())
    assert [one.kind for one in found] == ([kind] if kind else [])
    assert int(bars.volume.sum()) == 381 * 100
    for one in found:
        at = min((one.start - OPEN) // 60, 390)
        assert at == slot


def test_what_is_interrupted_at_the_end_executes_at_the_close() -> None:
    stocks, bars = _flat_day(kospi200=False, changes={379: (106_000,) * 4, 390: (103_000,) * 4})
    (one,) = interrupt(bars, stocks, 1, HOURS)[stocks[0].code]
    assert (one.kind, one.end, one.result) == ("dynamic", CLOSE - 600, 0)
    assert (int(bars.volume[0, 379]), int(bars.volume[0, 390])) == (0, 200)


def test_totals_and_rankings_follow_the_rewritten_prints() -> None:
    for code, one in ALL[::7]:
        prints = all_prints(DAY, code)
        for second in (one.start, one.end - 1, one.end, CLOSE + 200):
            assert DAY.stats(code, second) == fold(each for each in prints if each.second <= second)
    codes = {code for code, _ in ALL}
    for second in (OPEN + 1_800, OPEN + 7_200, CLOSE + 29, CLOSE + 200):
        end = second if second >= CLOSE else OPEN + (second - OPEN) // 60 * 60 - 1
        for row in DAY.board(second):
            if row.code in codes:
                totals = DAY.stats(row.code, end)
                assert (row.last, row.volume, row.high, row.low) == (
                    totals.last,
                    totals.volume,
                    totals.high,
                    totals.low,
                )


def test_what_has_no_limits_or_trades_by_call_auctions_only_is_never_interrupted() -> None:
    exempt = [stock for stock in DAY.stocks if stock.liquidation or stock.single_price or stock.halted]
    assert exempt
    assert not [stock.code for stock in exempt if DAY.interruptions(stock.code)]


def test_stocks_of_call_auctions_only_match_every_half_hour() -> None:
    codes = [stock.code for stock in DAY.stocks if stock.single_price and not stock.halted]
    assert codes
    for code in codes:
        prints = all_prints(DAY, code)
        assert {one.side for one in prints} == {3}
        assert {(one.second - OPEN) % 1_800 // 30 for one in prints} == {0}
        assert len({(one.second - OPEN) // 1_800 for one in prints}) >= 12
        assert DAY.status(code, OPEN + 5_000)[:2] == ("vi", "")
        assert DAY.indicative(code, OPEN + 5_000).price > 0


def test_the_same_seed_interrupts_the_same_stocks() -> None:
    again: MarketDay = generate(DATE, SEED, 1_500)
    assert [(code, one) for code in again.interrupted() for one in again.interruptions(code)] == ALL


@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        (dt.date(2026, 11, 19), 36_000, 59_400), (dt.date(2026, 1, 2), 36_000, 55_800),
        (dt.date(2026, 11, 18), 32_400, 55_800),
    ],
)  # fmt: skip
def test_a_generated_day_keeps_the_hours_of_its_date(day: dt.date, opens: int, closes: int) -> None:
    """kis-protocol 5.1: exam day one hour later, first trading day of the year opens at ten."""
    made = generate(day, 4, 60)
    assert (made.open_second, made.close_second) == (opens, closes)
    code = max(made.stocks, key=lambda stock: made.stats(stock.code, 86_399).value).code
    prints = all_prints(made, code)
    assert opens <= prints[0].second < opens + 200
    assert closes <= prints[-1].second < closes + 200
    assert len([one for one in prints if one.second > closes - 660]) > 1
    phases = [made.status(code, second).phase for second in (opens - 1_800, closes - 600, closes + 600)]
    assert phases == ["opening", "closing", "post_close"]
    if day >= dt.date(2026, 9, 14):
        # The evening ends at eight whenever the session closed.
        assert made.status(code, closes + 1_800).phase == made.status(code, 71_999).phase == "after"
        assert made.status(code, 72_000).phase == "closed"
