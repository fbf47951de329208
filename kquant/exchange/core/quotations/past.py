"""Sessions before the day, and the day itself as the newest: what every daily chart and every extreme is made of.

A generated day's last 120 sessions are its research table's; older ones are derived from the seed so that the 52-week
high and low of that table are reached, never passed. An imported day has what it knows and nothing else.
Prices are won, adjusted for splits; 0 is a price that is not known, None a volume or value that is not.
"""

import datetime as dt
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Final, Literal, NamedTuple

from kquant.exchange.core.quotations.source import Source
from kquant.exchange.core.rules import is_open_day
from kquant.exchange.market.mixing import Stream, key_of
from kquant.exchange.market.model import Stock
from kquant.exchange.market.research import ResearchRow

Period = Literal["D", "W", "M", "Y"]
SESSIONS: Final = 249
"""Sessions kept before a generated day: with the day itself, the 250 of d250_hgpr."""
_SPLIT_ONE_IN: Final = 40
_SPLIT_RATIOS: Final = (2, 5, 10)


class DailyBar(NamedTuple):
    """One session (or week, month, year, dated by its last session)."""

    day: dt.date
    open: int
    high: int
    low: int
    close: int
    volume: int | None
    value: int | None


class Split(NamedTuple):
    """Shares became more (or fewer): a raw price before `day` is the adjusted one times up / down."""

    day: dt.date
    up: int
    down: int


class Extreme(NamedTuple):
    """A highest or lowest price and its day; price 0 and no day when not known."""

    price: int
    day: dt.date | None


def sessions_before(first: dt.date, count: int) -> tuple[dt.date, ...]:
    """Return *first* and the open days before it, *count* in all, newest last."""
    days = [first]
    day = first
    while len(days) < count:
        day -= dt.timedelta(days=1)
        if is_open_day(day):
            days.append(day)
    return tuple(reversed(days))


class Past:
    """The sessions of each stock, built when first asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._bars: dict[str, tuple[DailyBar, ...]] = {}
        self._days: tuple[dt.date, ...] = ()

    @property
    def days(self) -> tuple[dt.date, ...]:
        """Return the dates of the sessions before the day, newest last."""
        if not self._days:
            self._days = sessions_before(self._source.market.prev_day, SESSIONS)
        return self._days

    def bars(self, stock: Stock) -> tuple[DailyBar, ...]:
        """Return the sessions before the day, newest last."""
        found = self._bars.get(stock.code)
        if found is None:
            row = self._source.market.known(stock.code)
            found = () if row is None else self._build(stock, row)
            self._bars[stock.code] = found
        return found

    def previous(self, stock: Stock) -> DailyBar:
        """Return the session before the day; its other prices are 0 when only the close is known."""
        bars = self.bars(stock)
        if bars and bars[-1].close == stock.base:
            return bars[-1]
        return DailyBar(self._source.market.prev_day, 0, 0, 0, stock.base, stock.prev_volume, None)

    def with_today(self, stock: Stock) -> tuple[DailyBar, ...]:
        """Return the sessions with the day so far as the newest, once the session has begun."""
        source = self._source
        if source.last() < source.market.open_second:
            return self.bars(stock)
        stats = source.stats(stock)
        today = DailyBar(
            source.market.day,
            stats.open,
            stats.high,
            stats.low,
            stats.last or stock.base,
            stats.volume,
            stats.value,
        )
        return (*self.bars(stock), today)

    def extreme(self, stock: Stock, kind: Literal["high", "low"], since: dt.date) -> Extreme:
        """Return the highest high or lowest low since *since*, the day so far included.

        Not known (price 0) when the sessions do not reach back to *since*: an imported day's mostly do not.
        """
        bars = [bar for bar in self.with_today(stock) if bar.day >= since]
        reaches = bool(self.bars(stock)) and self.bars(stock)[0].day <= since + dt.timedelta(days=6)
        prices = [(bar.high if kind == "high" else bar.low, bar.day) for bar in bars]
        past = [price for price, day in prices if day < self._source.market.day]
        if not prices or not (reaches or self._source.generated) or not all(past):
            return self._from_table(stock, kind, since, prices)
        traded = [pair for pair in prices if pair[0]]
        if not traded:
            return Extreme(0, None)
        best = max(price for price, _ in traded) if kind == "high" else min(price for price, _ in traded)
        return Extreme(*max((price, day) for price, day in traded if price == best))

    def split(self, stock: Stock) -> Split | None:
        """Return the stock's last change of its share count, or None.

        A base price that is not the previous close is one that takes effect on the day; generated days have some more.
        """
        market = self._source.market
        if stock.base != stock.prev_close:
            return Split(market.day, stock.prev_close, stock.base)
        if not self._source.generated or stock.kind != "common" or market.known(stock.code) is None:
            return None
        stream = Stream(key_of(market.seed, "split", stock.code))
        if stream.below(_SPLIT_ONE_IN):
            return None
        ratio = stream.pick(_SPLIT_RATIOS)
        return Split(self.days[-stream.between(10, 110)], ratio, 1)

    def _from_table(
        self, stock: Stock, kind: Literal["high", "low"], since: dt.date, prices: list[tuple[int, dt.date]]
    ) -> Extreme:
        """Return the table's 52-week figure when *since* is a year ago, moved by what the day did; else not known."""
        market = self._source.market
        row = market.known(stock.code)
        figure = None if row is None else row.w52_high if kind == "high" else row.w52_low
        if figure is None or (market.day - since).days < 360:
            return Extreme(0, None)
        stats = self._source.stats(stock)
        today = stats.high if kind == "high" else stats.low
        if today and (today >= figure if kind == "high" else today <= figure):
            return Extreme(today, market.day)
        return Extreme(figure, next((day for price, day in reversed(prices) if price == figure), None))

    def _build(self, stock: Stock, row: ResearchRow) -> tuple[DailyBar, ...]:
        closes = row.closes or ()
        count = len(closes)
        days = self.days[-count:] if count else ()
        volumes, highs, lows = (_aligned(column, count) for column in (row.volumes, row.highs, row.lows))
        generated = self._source.generated
        recent = []
        for at, close in enumerate(closes):
            high, low = highs[at] or 0, lows[at] or 0
            newest = at == count - 1
            volume = stock.prev_volume if newest else volumes[at]
            opened = _opening(self._source, stock, days[at], (high, low)) if generated and high and low else 0
            value = None if not generated or volume is None else _value(opened, high, low, close, volume)
            recent.append(DailyBar(days[at], opened, high, low, close, volume, value))
        if not generated or not recent:
            return tuple(recent)
        return (*self._older(stock, row, recent), *recent)

    def _older(self, stock: Stock, row: ResearchRow, recent: list[DailyBar]) -> list[DailyBar]:
        """Walk back from the oldest known session; one session makes the year's high, another its low."""
        count = SESSIONS - len(recent)
        if count < 10:
            return []
        top = row.w52_high or max(bar.high for bar in recent)
        bottom = row.w52_low or min(bar.low for bar in recent)
        stream = Stream(key_of(self._source.market.seed, "older", stock.code))
        # Within the 52 weeks, which begin some sessions after the 250 days do.
        peak = stream.between(8, count - 1)
        trough = 8 + (peak - 8 + stream.between(1, count - 9)) % (count - 8)
        days = self.days[:count]
        bars: list[DailyBar] = []
        close = recent[0].close
        for at in reversed(range(count)):
            step = stream.between(-330, 330)
            close = min(max(close * 10_000 // (10_000 + step), bottom), top)
            high = min(close + close * stream.below(300) // 10_000, top)
            low = max(close - close * stream.below(300) // 10_000, bottom)
            if at == peak:
                high = top
            if at == trough:
                low = bottom
            opened = stream.between(low, high) if at not in (peak, trough) else close
            volume = int(stock.prev_volume * stream.between(30, 190) // 100)
            bars.append(DailyBar(days[at], opened, high, low, close, volume, _value(opened, high, low, close, volume)))
        return bars[::-1]


def _aligned(column: tuple[int, ...] | None, count: int) -> list[int | None]:
    """Return a column of values that ends on the same session, padded at the front."""
    values = list(column or ())[-count:] if count else []
    return [None] * (count - len(values)) + values


def _opening(source: Source, stock: Stock, day: dt.date, span: tuple[int, int]) -> int:
    high, low = span
    return low + Stream(key_of(source.market.seed, "open", stock.code, day.toordinal())).below(high - low + 1)


def _value(opened: int, high: int, low: int, close: int, volume: int) -> int:
    """Return a session's turnover in won, at the mean of its four prices."""
    return volume * (opened + high + low + close) // 4


def merged(bars: Iterable[DailyBar], period: Period) -> list[DailyBar]:
    """Return the sessions (newest last) as weeks, months or years, each dated by its last session."""
    keys: dict[Period, Callable[[dt.date], tuple[int, ...]]] = {
        "D": lambda day: (day.toordinal(),),
        "W": lambda day: day.isocalendar()[:2],
        "M": lambda day: (day.year, day.month),
        "Y": lambda day: (day.year,),
    }
    key = keys[period]
    return [_fold(list(group)) for _, group in groupby(bars, key=lambda bar: key(bar.day))]


def _fold(bars: list[DailyBar]) -> DailyBar:
    volumes = [bar.volume for bar in bars if bar.volume is not None]
    values = [bar.value for bar in bars if bar.value is not None]
    traded = [bar for bar in bars if bar.volume != 0]
    highs, lows = [bar.high for bar in traded], [bar.low for bar in traded]
    return DailyBar(
        bars[-1].day,
        traded[0].open if traded else 0,
        max(highs) if highs and all(highs) else 0,
        min(lows) if lows and all(lows) else 0,
        bars[-1].close,
        sum(volumes) if len(volumes) == len(bars) else None,
        sum(values) if len(values) == len(bars) else None,
    )


def raw(bar: DailyBar, split: Split | None) -> DailyBar:
    """Return the bar as it was traded: before a split at the old share count's prices and volumes."""
    if split is None or bar.day >= split.day:
        return bar
    up, down = split.up, split.down

    def price(adjusted: int) -> int:
        return adjusted * up // down

    volume = None if bar.volume is None else bar.volume * down // up
    return DailyBar(bar.day, price(bar.open), price(bar.high), price(bar.low), price(bar.close), volume, bar.value)
