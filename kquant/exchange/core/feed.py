"""The market's real-time frames of one second, the same for every session: what each channel says of each stock.

NXT is not played: its channels are silent but for the market's operation, and the unified ones carry what KRX's carry.
Source: kis-protocol.md 3.
"""

from collections.abc import Callable, Sequence
from typing import Final

from kquant.exchange.core.layouts import Layout
from kquant.exchange.core.ports import Market
from kquant.exchange.core.wire import (
    RECORDS_MAX,
    Moment,
    book_record,
    data_frame,
    expected_record,
    fold_print,
    program_record,
    status_record,
    trade_record,
    unified_book_record,
)
from kquant.exchange.market.model import Book, DayStats, Indicative, Stock

PROGRAM_EVERY_S: Final = 10
_CLOSE_SESSION_END_S: Final = 1_800
"""Trading at the closing price ends this long after the close."""


class Feed:
    """Makes the frames of one market day, second by second in order."""

    def __init__(self, market: Market, layout: Layout) -> None:
        self._market = market
        self._layout = layout
        self._date = f"{market.day:%Y%m%d}"
        self._books: dict[str, tuple[Book, Indicative]] = {}
        self._expected: dict[str, Indicative] = {}
        self._second = -1
        self._made: dict[tuple[str, str], Sequence[str]] = {}
        self._shown: dict[str, Book] = {}
        """This second's books: trades, books and auctions of a stock show the same one."""
        self._makers: dict[str, Callable[[Stock, int], Sequence[str]]] = {
            "CNT0": self._trades,
            "ASP0": self._book,
            "PGM0": self._program,
            "ANC0": self._auction,
            "MKO0": self._status,
        }
        venues = {"MKO0": ("ST", "UN", "NX")}
        self.channels: tuple[str, ...] = tuple(
            f"H0{venue}{kind}" for kind in self._makers for venue in venues.get(kind, ("ST", "UN"))
        )
        """The channels that say anything, in the order of a second's frames."""

    def frames(self, tr_id: str, code: str, second: int) -> list[str]:
        """Return the frames of channel *tr_id* for *code* in [second, second + 1); none for a code not listed."""
        if second != self._second:
            self._second = second
            self._made.clear()
            self._shown.clear()
        kind = tr_id[4:]
        records = self._made.get((kind, code))
        if records is None:
            stock = self._market.by_code.get(code)
            # A stock registered on an earlier day may be delisted since.
            records = self._made[kind, code] = () if stock is None else self._makers[kind](stock, second)
        if not records:
            return []
        if tr_id == "H0UNASP0":
            records = [unified_book_record(record) for record in records]
        fitted = [self._layout.fit(tr_id, record) for record in records]
        return [data_frame(tr_id, fitted[at : at + RECORDS_MAX]) for at in range(0, len(fitted), RECORDS_MAX)]

    # -- one stock, one second ------------------------------------------------------------------------------

    def _trades(self, stock: Stock, second: int) -> Sequence[str]:
        market, code = self._market, stock.code
        prints = market.prints(code, second)
        if not prints:
            return ()
        stats = self._stats(code, second)
        quote, book = market.quote(code, second), self._book_of(code, second)
        totals = (book.ask_qty_total, book.bid_qty_total)
        moment = self._moment(stock, second)
        records = []
        for trade in prints:
            folded = fold_print(stats, trade)
            # After the regular session volume goes on, while open, high and low stay the session's.
            stats = folded if moment.segment.name == "regular" else folded._replace(**_marks(stats))
            records.append(trade_record(stock, trade, stats, quote, totals, moment))
        return records

    def _stats(self, code: str, second: int) -> DayStats:
        """Return the day before *second*, with what was traded after the regular session added to its sums."""
        market = self._market
        segment = market.segment(second)
        if segment.name == "regular":
            return market.stats(code, second - 1)
        stats = market.stats(code, second)
        last_of_close = market.close_second + _CLOSE_SESSION_END_S - 1
        if segment.name == "after":
            stats = _added(stats, market.segment_stats(code, last_of_close))
        if market.segment(second - 1).name == segment.name:
            stats = _added(stats, market.segment_stats(code, second - 1))
        return stats

    def _moment(self, stock: Stock, second: int) -> Moment:
        market, code = self._market, stock.code
        return Moment(
            self._date,
            market.status(code, second),
            market.segment(second),
            market.hour_class(code, second),
            market.prev_volume_at(code, second),
        )

    def _book(self, stock: Stock, second: int) -> Sequence[str]:
        market, code = self._market, stock.code
        book, expected = self._book_of(code, second), Indicative(*market.indicative(code, second))
        last = self._books.get(code)
        if last == (book, expected):
            return ()
        self._books[code] = (book, expected)
        record = book_record(
            stock,
            second,
            book,
            last[0] if last else None,
            self._stats(code, second + 1).volume,
            expected,
            market.hour_class(code, second),
            market.midpoint(code, second),
            market.segment(second),
        )
        return (record,)

    def _book_of(self, code: str, second: int) -> Book:
        book = self._shown.get(code)
        if book is None:
            book = self._shown[code] = self._market.book(code, second)
        return book

    def _program(self, stock: Stock, second: int) -> Sequence[str]:
        if (second + int(stock.code[-2:], 36)) % PROGRAM_EVERY_S:
            return ()
        return (program_record(stock.code, second, self._market.program(stock.code, second)),)

    def _auction(self, stock: Stock, second: int) -> Sequence[str]:
        market, code = self._market, stock.code
        expected = Indicative(*market.indicative(code, second))
        if expected == self._expected.get(code, Indicative(0, 0)):
            return ()
        self._expected[code] = expected
        if expected.price == 0:  # the auction has matched: its trade says so
            return ()
        book = self._book_of(code, second)
        totals = (book.ask_qty_total, book.bid_qty_total)
        moment = self._moment(stock, second)
        stats = self._stats(code, second)
        return (expected_record(stock, second, expected, stats, market.quote(code, second), totals, moment),)

    def _status(self, stock: Stock, second: int) -> Sequence[str]:
        now, before = self._market.status(stock.code, second), self._market.status(stock.code, second - 1)
        if (now.phase, now.vi) == (before.phase, before.vi):
            return ()
        reasons = [one.reason for one in self._market.interruptions(stock.code) if one.start <= second < one.end]
        return (status_record(stock, before, now, "".join(reasons)),)


def _marks(stats: DayStats) -> dict[str, int]:
    names = ("open", "high", "low", "open_second", "high_second", "low_second")
    return {name: getattr(stats, name) for name in names}


def _added(day: DayStats, later: DayStats) -> DayStats:
    """Return *day* with the sums of a later segment added."""
    return day._replace(
        last=later.last or day.last,
        volume=day.volume + later.volume,
        value=day.value + later.value,
        buy_volume=day.buy_volume + later.buy_volume,
        sell_volume=day.sell_volume + later.sell_volume,
        buy_count=day.buy_count + later.buy_count,
        sell_count=day.sell_count + later.sell_count,
    )
