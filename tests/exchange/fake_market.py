"""A tiny market day for tests: a few stocks, scripted prints, a fixed spread. Implements the Market port."""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path

from kquant.exchange.core.ports import MarketFilter
from kquant.exchange.core.wire import fold_print
from kquant.exchange.market.model import (
    Book,
    DayStats,
    Interruption,
    Level,
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
from kquant.exchange.market.research import ResearchRow
from kquant.exchange.market.sessions import hour_class, hours_of, phase_at, segment_at

OPEN, CLOSE = 32_400, 55_800
EMPTY = DayStats(*([0] * 13))


def stock(code: str, name: str = "", base: int = 10_000, *, kind: str = "common", **changes: object) -> Stock:
    """Return a stock with plain values."""
    values: dict[str, object] = {
        "code": code,
        "name": name or f"종목{code}",
        "market": "KOSPI",
        "kind": kind,
        "base": base,
        "upper": base * 13 // 10,
        "lower": base * 7 // 10,
        "halted": False,
        "administrative": False,
        "liquidation": False,
        "warning": 0,
        "overheated": False,
        "prev_close": base,
        "prev_volume": 1_000_000,
        "listed_shares": 10_000_000,
        "sector": "전기전자",
        "kospi200": False,
        "drawn": False,
        "single_price": False,
    }
    return Stock(**(values | changes))  # type: ignore[arg-type]


class FakeMarket:
    """Prints are given as {code: [Print, ...]}; the book is one tick around the last price, *depth* shares a level.

    *paused* interrupts stocks: {code: [Interruption, ...]}; auctions end at their nominal second.
    """

    def __init__(
        self,
        stocks: Sequence[Stock],
        prints: Mapping[str, Sequence[Print]] | None = None,
        depth: int = 100,
        paused: Mapping[str, Sequence[Interruption]] | None = None,
    ) -> None:
        self.day = dt.date(2026, 1, 15)
        self.prev_day = dt.date(2026, 1, 14)
        self.seed = 7
        self.source = "generated"
        self.stocks = tuple(stocks)
        self.by_code = {row.code: row for row in stocks}
        self.open_second, self.close_second = OPEN, CLOSE
        self.hours = hours_of(self.day, OPEN, CLOSE)
        self.depth = depth
        self._paused = {code: tuple(rows) for code, rows in (paused or {}).items()}
        self.research: dict[str, ResearchRow] = {}
        self._by_second: dict[tuple[str, int], tuple[Print, ...]] = {}
        self._all = {code: tuple(rows) for code, rows in (prints or {}).items()}
        for code, rows in self._all.items():
            for row in rows:
                key = (code, row.second)
                self._by_second[key] = (*self._by_second.get(key, ()), row)

    def prints(self, code: str, second: int) -> tuple[Print, ...]:
        return self._by_second.get((code, second), ())

    def stats(self, code: str, second: int) -> DayStats:
        stats = EMPTY
        for row in self._all.get(code, ()):
            if row.second <= second:
                stats = fold_print(stats, row)
        return stats

    def book(self, code: str, second: int) -> Book:
        last = self.stats(code, second).last
        if not last:
            return Book((Level(0, 0),) * 10, (Level(0, 0),) * 10, 0, 0)
        asks = tuple(Level(last + 10 * n, self.depth) for n in range(1, 11))
        bids = tuple(Level(last - 10 * n, self.depth) for n in range(10))
        return Book(asks, bids, self.depth * 10, self.depth * 10)

    def quote(self, code: str, second: int) -> Quote:
        book = self.book(code, second)
        return Quote(book.bids[0].price, book.asks[0].price, book.bids[0].qty, book.asks[0].qty)

    def indicative(self, code: str, second: int) -> tuple[int, int]:
        return (self.by_code[code].base, 500) if second < OPEN or CLOSE - 600 <= second < CLOSE else (0, 0)

    def status(self, code: str, second: int) -> Status:
        stock = self.by_code[code]
        for one in self.interruptions(code):
            if one.start <= second < one.end:
                return Status(
                    "halted" if one.kind == "halt" else "vi", "" if one.kind == "halt" else one.kind, stock.base
                )
        return Status(phase_at(self.hours, stock, second, OPEN, CLOSE), "", stock.base)

    def status_changes(self, second: int) -> list[tuple[str, Status]]:
        found = [(code, self.status(code, second), self.status(code, second - 1)) for code in self.by_code]
        return [(code, now) for code, now, before in found if now != before]

    def interruptions(self, code: str) -> tuple[Interruption, ...]:
        return self._paused.get(code, ())

    def interrupted(self) -> tuple[str, ...]:
        return tuple(self._paused)

    def segment(self, second: int) -> Segment:
        return segment_at(self.hours, second)

    def segment_stats(self, code: str, second: int) -> DayStats:
        return self.stats(code, second)

    def hour_class(self, code: str, second: int) -> str:
        return hour_class(self.hours, self.status(code, second), second)

    def prev_volume_at(self, code: str, second: int) -> int:
        return self.by_code[code].prev_volume // 2

    def midpoint(self, code: str, second: int) -> Midpoint:
        quote = self.quote(code, second)
        return Midpoint((quote.bid + quote.ask) // 2, 0, 0)

    def _rows(self, second: int, market: MarketFilter) -> list[RankRow]:
        rows = []
        for row in self.stocks:
            s = self.stats(row.code, second)
            if s.volume and market in ("ALL", row.market):
                change = s.last - row.base
                bp = change * 10_000 // row.base
                rows.append(
                    RankRow(row.code, s.last, change, bp, s.volume, s.value, s.open, s.high, s.low, row.prev_volume)
                )
        return rows

    def rank_gainers(self, second: int, market: MarketFilter, limit: int) -> list[RankRow]:
        return sorted(self._rows(second, market), key=lambda row: (-row.change_bp, row.code))[:limit]

    def rank_volume(self, second: int, market: MarketFilter, limit: int) -> list[RankRow]:
        return sorted(self._rows(second, market), key=lambda row: (-row.volume, row.code))[:limit]

    def board(self, second: int) -> list[RankRow]:
        return self._rows(second, "ALL")

    def known(self, code: str) -> ResearchRow | None:
        return self.research.get(code)

    def program(self, code: str, second: int) -> Program:
        return Program(100, 1_000_000, 150, 1_500_000, 5, 7)

    def news(self, second: int, code: str | None = None) -> list[NewsTitle]:
        title = NewsTitle("2026011508000001", self.day, dt.time(8), "공급계약 체결", ("000010",), "연합")
        return [title] if second >= 8 * 3600 and code in (None, "000010") else []

    def traded_codes(self) -> frozenset[str]:
        return frozenset(stock.code for stock in self.stocks)

    def write_research(self, path: Path) -> None:
        path.write_bytes(b"research")
