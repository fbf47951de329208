"""A market day as the exchange plays it: read-only, and every answer a pure function of the day and the arguments.

Asking in any order, or twice, gives equal answers. Prints of a stock are drawn on first touch (`tape.draw_tape`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from .bars import Bars
from .grid import step_price, tick_size
from .mixing import Ints, key_of, mix
from .model import BUYER, Book, DayStats, Indicative, Level, NewsTitle, Print, Program, Quote, RankRow, Stock
from .research import ResearchRow, write_parquet
from .tape import StockBars, Tape, draw_tape

MarketFilter = Literal["ALL", "KOSPI", "KOSDAQ"]
AUCTION_SECONDS = 600
PRE_OPEN_SECONDS = 1_800
LEVELS = 10


class MarketDay:
    """One day of the whole market. bars: dense columns, one row a stock, in the order of *stocks*.

    news: oldest first.   research: one row a listed stock, known before the day began.
    """

    def __init__(
        self,
        day: dt.date,
        prev_day: dt.date,
        seed: int,
        source: Literal["generated", "imported"],
        stocks: tuple[Stock, ...],
        bars: Bars,
        *,
        open_second: int,
        close_second: int,
        news: tuple[NewsTitle, ...],
        research: Sequence[ResearchRow],
    ) -> None:
        self.day = day
        self.prev_day = prev_day
        self.seed = seed
        self.source: Literal["generated", "imported"] = source
        self.stocks = stocks
        self.by_code: Mapping[str, Stock] = {stock.code: stock for stock in stocks}
        self.bars = bars.freeze()
        self.open_second = open_second
        self.close_second = close_second
        self.headlines = news
        self.research = research
        self._rows = {stock.code: row for row, stock in enumerate(stocks)}
        self._tapes: dict[str, Tape] = {}
        self._ranks: _Ranks | None = None

    def tape(self, code: str) -> Tape:
        """Return all prints of a stock's day. KeyError for a code that is not listed."""
        tape = self._tapes.get(code)
        if tape is None:
            tape = self._tapes[code] = self._draw(code)
        return tape

    def prints(self, code: str, second: int) -> tuple[Print, ...]:
        """Return the regular session's prints in [second, second + 1)."""
        return self.tape(code).prints(second)

    def stats(self, code: str, second: int) -> DayStats:
        """Return the day so far, through the end of *second*."""
        return self.tape(code).stats(second)

    def quote(self, code: str, second: int) -> Quote:
        """Return best bid and ask as of the end of *second*; zeros before the first print."""
        tape = self.tape(code)
        row = tape.row_at(second)
        if row < 0:
            return Quote(0, 0, 0, 0)
        stock = self.by_code[code]
        price, side = tape.last(row)
        tick = tick_size(price, etp=stock.etp)
        at_grid = price // tick * tick
        if side == BUYER:
            ask = at_grid if at_grid == price else step_price(price, 1, etp=stock.etp)
            bid = step_price(ask, -1, etp=stock.etp)
        else:
            bid = at_grid
            ask = step_price(bid, 1, etp=stock.etp)
        size = tape.average_qty()
        word = mix(key_of(self.seed, "quote", code) ^ (second // 2))
        if bid >= stock.upper:
            return Quote(stock.upper, 0, size * (400 + word % 400), 0)
        if ask <= stock.lower or bid < max(stock.lower, 1):
            return Quote(0, max(stock.lower, 1), 0, size * (400 + word % 400))
        if ask > stock.upper:
            ask, bid = stock.upper, step_price(stock.upper, -1, etp=stock.etp)
        return Quote(bid, ask, size * (2 + word % 19), size * (2 + (word >> 16) % 19))

    def book(self, code: str, second: int) -> Book:
        """Return ten levels each way, consistent with the quote."""
        stock = self.by_code[code]
        quote = self.quote(code, second)
        word = key_of(self.seed, "book", code) ^ (second // 2)
        asks = self._levels(quote.ask, quote.ask_qty, 1, stock, word)
        bids = self._levels(quote.bid, quote.bid_qty, -1, stock, word ^ 0x5555)
        return Book(asks, bids, sum(level.qty for level in asks), sum(level.qty for level in bids))

    def _levels(self, price: int, qty: int, step: int, stock: Stock, word: int) -> tuple[Level, ...]:
        levels = []
        for place in range(LEVELS):
            if price <= 0 or price > stock.upper or price < stock.lower:
                levels.append(Level(0, 0))
                continue
            word = mix(word)
            levels.append(Level(price, qty if place == 0 else max(1, qty * (50 + word % 151) // 100)))
            price = step_price(price, step, etp=stock.etp)
        return tuple(levels)

    def indicative(self, code: str, second: int) -> Indicative:
        """Return the expected auction price and quantity in the call auctions before the open and before the close."""
        tape = self.tape(code)
        if not len(tape):
            return Indicative(0, 0)
        if self.open_second - PRE_OPEN_SECONDS <= second < self.open_second and tape.auction_open:
            _, price, qty = tape.first()
            return Indicative(price, max(1, qty * (second - self.open_second + PRE_OPEN_SECONDS) // PRE_OPEN_SECONDS))
        if self.close_second - AUCTION_SECONDS <= second < self.close_second:
            closing = tape.prints(self.close_second)
            if closing:
                return Indicative(closing[-1].price, sum(one.qty for one in closing))
        return Indicative(0, 0)

    def rank_gainers(self, second: int, market: MarketFilter, limit: int) -> list[RankRow]:
        """Return the best risers as of the last finished minute, best first, ties by code."""
        return self._rank(second, market, limit, by_volume=False)

    def rank_volume(self, second: int, market: MarketFilter, limit: int) -> list[RankRow]:
        """Return the most traded by shares as of the last finished minute, ties by code."""
        return self._rank(second, market, limit, by_volume=True)

    def program(self, code: str, second: int) -> Program:
        """Return program trading so far: a steady share of the stock's own buys and sells."""
        buy_qty, buy_value, sell_qty, sell_value = self.tape(code).sides(second)
        word = key_of(self.seed, "program", code)
        bought, sold = 5 + word % 30, 5 + (word >> 8) % 30
        size = self.tape(code).average_qty()
        rest = mix(word ^ (second // 10))
        return Program(
            sell_qty * sold // 100,
            sell_value * sold // 100,
            buy_qty * bought // 100,
            buy_value * bought // 100,
            size * (rest % 40),
            size * ((rest >> 8) % 40),
        )

    def news(self, second: int, code: str | None = None) -> list[NewsTitle]:
        """Return titles published by then, newest first; of one stock if *code* is given."""
        moment = (dt.datetime.combine(self.day, dt.time()) + dt.timedelta(seconds=min(second, 86_399))).time()
        return [
            title
            for title in reversed(self.headlines)
            if (title.date < self.day or title.time <= moment) and (code is None or code in title.codes)
        ]

    def write_research(self, path: Path) -> None:
        """Write the point-in-time research table (`research.COLUMNS`) as Parquet."""
        write_parquet(self.research, path)

    def stock_bars(self, row: int) -> StockBars:
        """Return the traded bars of the stock in that row."""
        bars = self.bars
        slots = np.flatnonzero(bars.volume[row] > 0)
        seconds = self.open_second + 60 * slots.astype(np.int64)
        prices = (bars.open[row, slots], bars.high[row, slots], bars.low[row, slots], bars.close[row, slots])
        return StockBars(seconds, prices, bars.volume[row, slots], bars.value[row, slots], bars.auction[row, slots])

    def _draw(self, code: str) -> Tape:
        row = self._rows[code]
        return draw_tape(self.stocks[row], self.stock_bars(row), self.seed, self.open_second, self.close_second)

    def _rank(self, second: int, market: MarketFilter, limit: int, *, by_volume: bool) -> list[RankRow]:
        if self._ranks is None:
            self._ranks = _Ranks(self.stocks, self.bars)
        finished = min((second - self.open_second) // 60, self.bars.volume.shape[1])
        return [] if finished <= 0 else self._ranks.top(finished - 1, market, limit, by_volume=by_volume)


class _Ranks:
    """Running columns of the whole market, one slot a minute."""

    def __init__(self, stocks: tuple[Stock, ...], bars: Bars) -> None:
        traded = bars.volume > 0
        slots = np.arange(bars.volume.shape[1], dtype=np.int64)
        newest = np.maximum.accumulate(np.where(traded, slots, -1), axis=1)
        rows = np.arange(len(stocks), dtype=np.int64)[:, None]
        self.seen = newest >= 0
        self.last: Ints = np.where(self.seen, bars.close[rows, np.maximum(newest, 0)], 0)
        self.high: Ints = np.maximum.accumulate(bars.high, axis=1)
        huge = np.iinfo(np.int64).max
        self.low: Ints = np.minimum.accumulate(np.where(traded, bars.low, huge), axis=1)
        self.volume: Ints = np.cumsum(bars.volume, axis=1)
        mid = (bars.open + bars.high + bars.low + bars.close) // 4 * bars.volume
        self.value: Ints = np.cumsum(np.where(bars.value >= 0, bars.value, mid), axis=1)
        first = np.argmax(traded, axis=1)
        self.open: Ints = bars.open[np.arange(len(stocks)), first]
        self.base: Ints = np.array([stock.base for stock in stocks], dtype=np.int64)
        self.stocks = stocks
        self.order = np.argsort(np.argsort(np.array([stock.code for stock in stocks])))
        self.markets = np.array([stock.market for stock in stocks])

    def top(self, slot: int, market: MarketFilter, limit: int, *, by_volume: bool) -> list[RankRow]:
        """Return the best *limit* rows at the end of *slot*."""
        change = self.last[:, slot] - self.base
        basis = np.sign(change) * (np.abs(change) * 10_000 // np.maximum(self.base, 1))
        key = self.volume[:, slot] if by_volume else basis
        eligible = self.seen[:, slot]
        if market != "ALL":
            eligible = eligible & (self.markets == market)
        chosen = np.flatnonzero(eligible)
        best = chosen[np.lexsort((self.order[chosen], -key[chosen]))][:limit]
        return [
            RankRow(
                self.stocks[row].code,
                int(self.last[row, slot]),
                int(change[row]),
                int(basis[row]),
                int(self.volume[row, slot]),
                int(self.value[row, slot]),
                int(self.open[row]),
                int(self.high[row, slot]),
                int(self.low[row, slot]),
                self.stocks[row].prev_volume,
            )
            for row in best.tolist()
        ]
