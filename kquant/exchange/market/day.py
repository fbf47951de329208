"""One trading day of the whole market, read-only: prints, quotes, totals, rankings, news.

Every method is a pure function of the day's bars and seed; asking twice, or in another order, gives
the same answer. Seconds are seconds of the day in KST.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np

from . import quotes
from .after import NO_AFTER_HOURS, NO_TAPE, AfterHours, draw_after_hours
from .bars import Bars, check_bars
from .calls import NOTHING_EXPECTED, call_at, expected
from .model import (
    NO_MIDPOINT,
    Book,
    DayStats,
    Indicative,
    Interruption,
    MarketFileError,
    Midpoint,
    NewsTitle,
    Print,
    Program,
    Quote,
    RankRow,
    Segment,
    Status,
    Stock,
)
from .phases import NO_INTERRUPTIONS, Phases
from .rankings import MarketFilter, Rankings, VolumeOrder
from .research import ResearchRow
from .sessions import hour_class, hours_of, regular_hours, segment_at
from .tape import StockBars, Tape, draw_tape

TAPES_KEPT = 256


class MarketDay:
    """The market the exchange plays. Build one with `generate`, `load` or an importer.

    stocks: in listing order, by_code the same by code.   open_second, close_second: of the regular
    session; the closing call auction is its last ten minutes, the opening one the half hour before it.
    news: in any order.   research: writes the point-in-time research table to a path, known: gives its rows.
    interruptions: by code, in order; the bars already say what they do to the prints.
    """

    def __init__(
        self,
        *,
        day: dt.date,
        prev_day: dt.date,
        seed: int,
        source: Literal["generated", "imported"],
        open_second: int,
        close_second: int,
        stocks: Sequence[Stock],
        bars: Bars,
        news: Sequence[NewsTitle],
        research: Callable[[Path], None],
        known: Callable[[], Iterable[ResearchRow]] = tuple,
        interruptions: Mapping[str, tuple[Interruption, ...]] = NO_INTERRUPTIONS,
    ) -> None:
        self.day = day
        self.prev_day = prev_day
        self.seed = seed
        self.source: Literal["generated", "imported"] = source
        self.open_second = open_second
        self.close_second = close_second
        self.stocks = tuple(stocks)
        self.by_code = MappingProxyType({stock.code: stock for stock in self.stocks})
        self.bars = bars.freeze()
        self._write_research = research
        self._read_known = known
        self._known: Mapping[str, ResearchRow] | None = None
        if len(self.by_code) != len(self.stocks):
            raise MarketFileError(f"market day {day}: a stock code occurs twice")
        check_bars(bars, tuple(s.code for s in self.stocks), f"market day {day}")
        self.hours = hours_of(day, open_second, close_second)
        self._session_over = self.hours.post_close_from
        self.phases = Phases(self.hours, self.stocks, bars, seed, interruptions)
        self._row = {stock.code: i for i, stock in enumerate(self.stocks)}
        self._tape = lru_cache(maxsize=TAPES_KEPT)(self._draw)
        self._after = lru_cache(maxsize=TAPES_KEPT)(self._draw_after)
        late = frozenset(code for code, all_ in interruptions.items() if all_ and all_[-1].start >= close_second)
        self._rankings = Rankings(self.hours, self.stocks, bars, late)
        self._ranked = lru_cache(maxsize=64)(self._rankings.rank)
        self._boarded = lru_cache(maxsize=2)(self._rankings.board)
        self._static: dict[str, quotes.Static] = {}
        self._news = sorted(news, key=lambda n: (n.date, n.time, n.id), reverse=True)

    # -- one stock ------------------------------------------------------------------------------

    def tape(self, code: str) -> Tape:
        """All prints of *code*. Raises KeyError for a code that is not listed."""
        return self._tape(code)

    def prints(self, code: str, second: int) -> tuple[Print, ...]:
        """Prints in [second, second + 1), in order.

        The opening and the closing match come within thirty seconds of the open and the close, later where an
        interruption holds them; nothing prints in a call auction, a volatility interruption or a halt. A generated
        day trades on after its close (`after`); of an imported one nothing is known then.
        """
        if second >= self._session_over:
            return self._tape_after(code, second).prints(second)
        return self._tape(code).prints(second)

    def stats(self, code: str, second: int) -> DayStats:
        """Totals of the regular session through the end of *second*: exactly the fold of its prints so far."""
        return self._tape(code).stats(second)

    def quote(self, code: str, second: int) -> Quote:
        """Best bid and ask at the end of *second*; zeros where nothing rests (or the stock is halted)."""
        phase = self.phases.status(code, second).phase
        if phase == "continuous":
            return quotes.quote(self._quoted(code), self._tape(code), second, NOTHING_EXPECTED)
        if second < self.hours.opening_from or phase == "halted":
            return quotes.NO_QUOTE
        if phase != "after":
            moment = min(second, self._session_over)
            return quotes.quote(self._quoted(code), self._tape(code), moment, self.indicative(code, second))
        later = self._after(code)
        if later is NO_AFTER_HOURS:
            return quotes.NO_QUOTE
        return quotes.quote(self._quoted_after(code), later.after, second, NOTHING_EXPECTED)

    def book(self, code: str, second: int) -> Book:
        """Ten levels each way on the tick grid; its first levels are `quote`."""
        quote = self.quote(code, second)
        if second < self._session_over:
            return quotes.book(self._quoted(code), quote, second)
        if quote != quotes.NO_QUOTE and self.status(code, second).phase == "after":
            return quotes.book(self._quoted_after(code), quote, second)
        return quotes.book(self._quoted(code), quote, self._session_over)

    def indicative(self, code: str, second: int) -> Indicative:
        """Expected price and quantity while a call auction or an interruption collects orders for a match."""
        stock = self.by_code[code]
        call = call_at(self.phases, self.hours, self._tape(code), stock, second)
        return expected(call, stock, self._quoted(code).key, second)

    def program(self, code: str, second: int) -> Program:
        """Cumulative program trading through the end of *second*; never decreasing, part of the volume."""
        return quotes.program(self._quoted(code), self._tape(code), second)

    def prev_volume_at(self, code: str, second: int) -> int:
        """Shares the stock had traded at this time of the previous day (drawn, but fixed)."""
        return quotes.prev_volume_at(self.by_code[code], self.seed, regular_hours(self.prev_day), second)

    def midpoint(self, code: str, second: int) -> Midpoint:
        """What rests between bid and ask in continuous trading."""
        if self.status(code, second).phase != "continuous":
            return NO_MIDPOINT
        return quotes.midpoint(self._quoted(code), self.quote(code, second), second)

    # -- phases ---------------------------------------------------------------------------------

    def status(self, code: str, second: int) -> Status:
        """The stock's trading state during *second*. Raises KeyError for a code that is not listed."""
        return self.phases.status(code, second)

    def status_changes(self, second: int) -> list[tuple[str, Status]]:
        """The stocks whose phase or interruption begins or ends with *second*, in listing order."""
        return self.phases.changes(second)

    def interruptions(self, code: str) -> tuple[Interruption, ...]:
        """The day's interruptions and halts of *code* in order, those to come as well."""
        return self.phases.interruptions.get(code, ())

    def interrupted(self) -> tuple[str, ...]:
        """The codes with an interruption or a halt this day, in listing order."""
        return tuple(stock.code for stock in self.stocks if self.phases.interruptions.get(stock.code))

    def segment(self, second: int) -> Segment:
        """Which market prints of *second* belong to."""
        return segment_at(self.hours, second)

    def segment_stats(self, code: str, second: int) -> DayStats:
        """Totals of the segment *second* lies in, through its end: the regular session's are `stats`."""
        if self.segment(second).name == "regular":
            return self.stats(code, second)
        return self._tape_after(code, second).stats(second)

    def hour_class(self, code: str, second: int) -> str:
        """HOUR_CLS_CODE of kis-protocol 3.1 [43]: 0 trading, B, C and A where prices are only expected."""
        return hour_class(self.hours, self.status(code, second), second)

    # -- the market -----------------------------------------------------------------------------

    def rank_gainers(self, second: int, market: MarketFilter, limit: int) -> list[RankRow]:
        """The *limit* stocks risen most against their base, best first, ties by code.

        State as of the last minute finished by *second*; stocks without a trade are not ranked.
        """
        return list(self._ranked(self._rankings.finished(second), market, "gain")[:limit])

    def rank_volume(self, second: int, market: MarketFilter, limit: int, by: VolumeOrder = "volume") -> list[RankRow]:
        """The *limit* stocks with most shares (or won, or growth against yesterday) traded so far."""
        return list(self._ranked(self._rankings.finished(second), market, by)[:limit])

    def board(self, second: int) -> tuple[RankRow, ...]:
        """Every stock that traded, in listing order; state as of the last minute finished by *second*."""
        return self._boarded(self._rankings.finished(second))

    def known(self, code: str) -> ResearchRow | None:
        """What was known of *code* before the day: its row of the research table, None when it has none."""
        if self._known is None:
            self._known = {row.code: row for row in self._read_known()}
        return self._known.get(code)

    def news(self, second: int, code: str | None = None) -> list[NewsTitle]:
        """Headlines published by *second*, newest first; those naming *code* when it is given."""
        now = (dt.datetime.combine(self.day, dt.time()) + dt.timedelta(seconds=second)).replace(tzinfo=None)
        return [
            n for n in self._news if dt.datetime.combine(n.date, n.time) <= now and (code is None or code in n.codes)
        ]

    def traded_codes(self) -> frozenset[str]:
        """The codes that print at all this day."""
        rows = np.flatnonzero(self.bars.volume.sum(axis=1))
        return frozenset(self.stocks[row].code for row in rows.tolist())

    def write_research(self, path: Path) -> None:
        """Write the point-in-time research table (`research.COLUMNS`) as Parquet."""
        self._write_research(path)

    def altered(self, bars: Bars, interruptions: Mapping[str, tuple[Interruption, ...]]) -> MarketDay:
        """Return this day with other bars and the interruptions that belong to them."""
        return MarketDay(
            day=self.day,
            prev_day=self.prev_day,
            seed=self.seed,
            source=self.source,
            open_second=self.open_second,
            close_second=self.close_second,
            stocks=self.stocks,
            bars=bars,
            news=self._news,
            research=self._write_research,
            known=self._read_known,
            interruptions=interruptions,
        )

    @property
    def all_news(self) -> tuple[NewsTitle, ...]:
        """Every headline of the day, newest first, published or not."""
        return tuple(self._news)

    # -- inside ---------------------------------------------------------------------------------

    def _draw(self, code: str) -> Tape:
        row = self._row[code]
        b = self.bars
        at = np.flatnonzero(b.volume[row] > 0)
        prices = (b.open[row, at], b.high[row, at], b.low[row, at], b.close[row, at])
        second = at * 60 + self.open_second
        windows = self.phases.windows(code, at)
        own = StockBars(second, prices, b.volume[row, at], b.value[row, at], b.auction[row, at], windows)
        return draw_tape(self.stocks[row], own, self.seed, self.close_second)

    def _draw_after(self, code: str) -> AfterHours:
        halted = any(one.kind == "halt" and one.end > self.close_second for one in self.interruptions(code))
        totals = self.stats(code, self.hours.post_close_from)
        if self.source == "imported" or halted or not totals.volume:
            return NO_AFTER_HOURS
        return draw_after_hours(self.by_code[code], totals, self.hours, self.seed)

    def _tape_after(self, code: str, second: int) -> Tape:
        name = self.segment(second).name
        if name == "regular":
            return NO_TAPE
        later = self._after(code)
        return later.after if name == "after" else later.post_close

    def _quoted_after(self, code: str) -> quotes.Static:
        usual, later = self._quoted(code), self._after(code)
        return usual._replace(stock=later.stock or usual.stock, spread=usual.spread + 2, size=max(1, usual.size // 8))

    def _quoted(self, code: str) -> quotes.Static:
        static = self._static.get(code)
        if static is None:
            static = quotes.static_of(self.by_code[code], self._tape(code), self.seed)
            self._static[code] = static
        return static
