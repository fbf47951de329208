"""Minute bars of the day and of past days. Source: kis-protocol.md 4.4, 6 (#22).

Real answers have no bar for a minute without a trade. The newest bar is unfinished, and until its first trade it shows
the volume of the bar before. Minutes still to come are answered with copies of the current price.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from kquant.exchange.core.quotations.forms import Row, cents, percent_of
from kquant.exchange.core.quotations.past import DailyBar, Past, raw
from kquant.exchange.core.quotations.source import Source, date_of, direction, expect, second_of, ymd
from kquant.exchange.core.rest import Answer, Request
from kquant.exchange.core.rules import hhmmss
from kquant.exchange.market.importer_paths import DailyRow, draw_path
from kquant.exchange.market.mixing import key_of
from kquant.exchange.market.model import MarketFileError, Stock

TODAY_ROWS: Final = 30
PAST_ROWS: Final = 120
_SLOTS: Final = 391
_OPEN: Final = 32_400


class MinuteBar(NamedTuple):
    """One minute: its first second of the day, prices and turnover of the day so far in won, shares."""

    start: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    value_so_far: int


class Minutes:
    """Answers both minute charts."""

    def __init__(self, source: Source, past: Past) -> None:
        self._source = source
        self._past = past

    def today(self, request: Request) -> Answer:
        """inquire-time-itemchartprice FHKST03010200: 30 bars of the day up to FID_INPUT_HOUR_1, newest first."""
        names = ("FID_INPUT_HOUR_1", "FID_PW_DATA_INCU_YN", "FID_ETC_CLS_CODE")
        stock, fields = self._source.stock(request, *names)
        asked = second_of("FID_INPUT_HOUR_1", fields["FID_INPUT_HOUR_1"]) // 60 * 60
        expect(fields, "FID_PW_DATA_INCU_YN", "Y", "N", "")
        # Clients ask for the newest bars with 000000.
        bars = self._day_bars(stock, asked or self._source.last() // 60 * 60, TODAY_ROWS)
        date = ymd(self._source.market.day)
        return Answer(outputs={"output1": self._summary(stock), "output2": [_row(date, bar) for bar in bars]})

    def past(self, request: Request) -> Answer:
        """inquire-time-dailychartprice FHKST03010230: 120 bars up to an hour of a day of the last year, newest first.

        With FID_PW_DATA_INCU_YN they go on into the sessions before. An imported day has no minutes of other days.
        """
        names = ("FID_INPUT_HOUR_1", "FID_INPUT_DATE_1", "FID_PW_DATA_INCU_YN", "FID_FAKE_TICK_INCU_YN")
        stock, fields = self._source.stock(request, *names)
        day = date_of("FID_INPUT_DATE_1", fields["FID_INPUT_DATE_1"])
        until = second_of("FID_INPUT_HOUR_1", fields["FID_INPUT_HOUR_1"]) // 60 * 60
        expect(fields, "FID_PW_DATA_INCU_YN", "Y", "N", "")
        expect(fields, "FID_FAKE_TICK_INCU_YN", "Y", "N", "")
        rows: list[Row] = []
        market = self._source.market
        if day >= market.day:
            now = self._source.last() // 60 * 60
            bars = self._day_bars(stock, min(until, now) if day == market.day else now, PAST_ROWS)
            rows += [_row(ymd(market.day), bar) for bar in bars]
        onward = fields["FID_PW_DATA_INCU_YN"] == "Y"
        for daily in reversed(self._past.bars(stock)) if self._source.generated else ():
            if len(rows) >= PAST_ROWS or (rows and not onward) or (daily.day < day and not onward):
                break
            if daily.day > day:
                continue
            bars = self._drawn(stock, daily)
            rows += [_row(ymd(daily.day), bar) for bar in bars if daily.day < day or bar.start <= until]
        return Answer(outputs={"output1": self._summary(stock), "output2": rows[:PAST_ROWS]})

    def _summary(self, stock: Stock) -> Row:
        stats = self._source.stats(stock)
        price = stats.last or stock.base
        change, sign = direction(stock, price)
        return {
            "prdy_vrss": str(change),
            "prdy_vrss_sign": sign,
            "prdy_ctrt": cents(percent_of(change, stock.base)),
            "stck_prdy_clpr": str(stock.prev_close),
            "acml_vol": str(stats.volume),
            "acml_tr_pbmn": str(stats.value),
            "hts_kor_isnm": stock.name,
            "stck_prpr": str(price),
        }

    def _day_bars(self, stock: Stock, asked: int, wanted: int) -> list[MinuteBar]:
        """Return *wanted* bars of the day, newest first, from the minute beginning at *asked* backwards."""
        source, market = self._source, self._source.market
        last = source.last()
        now = last // 60 * 60
        stats = source.stats(stock)
        bars: list[MinuteBar] = []
        if not stats.volume:
            return bars
        # A future hour: copies of the current price (kis-protocol 4.4), one a minute.
        for start in range(min(asked, market.close_second), now, -60):
            if len(bars) < wanted:
                bars.append(MinuteBar(start, stats.last, stats.last, stats.last, stats.last, 0, stats.value))
        for start in range(min(asked, now), market.open_second - 60, -60):
            if len(bars) >= wanted:
                break
            bar = self._bar(stock, start, last)
            if bar is not None:
                bars.append(bar)
            elif start == now and now < market.close_second:
                bars.append(self._unfinished(stock, start, last))
        return bars

    def _bar(self, stock: Stock, start: int, last: int) -> MinuteBar | None:
        """Return the bar of a minute, None when nothing traded in it."""
        market = self._source.market
        end = min(start + 59, last)
        stats, before = market.stats(stock.code, end), market.stats(stock.code, start - 1)
        if stats.volume == before.volume:
            return None
        prices = [trade.price for second in range(start, end + 1) for trade in market.prints(stock.code, second)]
        volume = stats.volume - before.volume
        return MinuteBar(start, prices[0], max(prices), min(prices), prices[-1], volume, stats.value)

    def _unfinished(self, stock: Stock, start: int, last: int) -> MinuteBar:
        """Return the newest bar before its first trade: flat, with the volume of the bar before."""
        market = self._source.market
        stats = market.stats(stock.code, last)
        volume = 0
        for earlier in range(start - 60, market.open_second - 60, -60):
            bar = self._bar(stock, earlier, last)
            if bar is not None:
                volume = bar.volume
                break
        return MinuteBar(start, stats.last, stats.last, stats.last, stats.last, volume, stats.value)

    def _drawn(self, stock: Stock, daily: DailyBar) -> list[MinuteBar]:
        """Return the bars of a past session, newest first: they fold to its daily bar, at the prices of that day."""
        bar = raw(daily, self._past.split(stock))
        if not bar.volume:
            return []
        row = DailyRow(bar.open, bar.high, bar.low, bar.close, bar.volume)
        key = key_of(self._source.market.seed, "minutes", stock.code, daily.day.toordinal())
        try:
            path = draw_path(stock, row, _SLOTS, key)
        except MarketFileError:
            # Fewer shares than the session has prices: no trading could have made it, and it has no minutes.
            return []
        columns: Sequence[list[int]] = [column.tolist() for column in path]
        bars: list[MinuteBar] = []
        value = 0
        for slot, opened, high, low, close, volume in zip(*columns, strict=True):
            value += volume * (opened + high + low + close) // 4
            bars.append(MinuteBar(_OPEN + 60 * slot, opened, high, low, close, volume, value))
        return bars[::-1]


def _row(date: str, bar: MinuteBar) -> Row:
    return {
        "stck_bsop_date": date,
        "stck_cntg_hour": hhmmss(bar.start),
        "stck_prpr": str(bar.close),
        "stck_oprc": str(bar.open),
        "stck_hgpr": str(bar.high),
        "stck_lwpr": str(bar.low),
        "cntg_vol": str(bar.volume),
        "acml_tr_pbmn": str(bar.value_so_far),
    }
