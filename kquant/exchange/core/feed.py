"""The market's real-time frames of one second, the same for every session: what each channel says of each stock.

NXT is not played: its channels are silent, and the unified ones carry what KRX's carry. Source: kis-protocol.md 3.
"""

from collections.abc import Callable
from typing import Final

from kquant.exchange.core.ports import Market
from kquant.exchange.core.rules import phase_at
from kquant.exchange.core.wire import RECORDS_MAX, book_record, data_frame, fold_print, program_record, trade_record
from kquant.exchange.market.model import Book, Stock

PROGRAM_EVERY_S: Final = 10


class Feed:
    """Makes the frames of one market day, second by second in order."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._date = f"{market.day:%Y%m%d}"
        self._books: dict[str, Book] = {}
        self._second = -1
        self._made: dict[tuple[str, str], tuple[str, ...]] = {}
        self._makers: dict[str, Callable[[str, Stock, int], tuple[str, ...]]] = {
            "CNT0": self._trades,
            "ASP0": self._book,
            "PGM0": self._program,
        }
        self.channels: tuple[str, ...] = tuple(f"H0{venue}{kind}" for kind in self._makers for venue in ("ST", "UN"))
        """The channels that say anything, in the order of a second's frames."""

    def frames(self, tr_id: str, code: str, second: int) -> tuple[str, ...]:
        """Return the frames of channel *tr_id* for *code* in [second, second + 1); none for a code not listed."""
        if second != self._second:
            self._second = second
            self._made.clear()
        stock = self._market.by_code.get(code)
        if stock is None:  # registered on an earlier day and delisted since
            return ()
        kind = tr_id[4:]
        if (kind, code) not in self._made:
            self._made[kind, code] = self._makers[kind](f"H0ST{kind}", stock, second)
        made = self._made[kind, code]
        return made if tr_id.startswith("H0ST") else tuple(text.replace(f"H0ST{kind}", tr_id, 1) for text in made)

    def _trades(self, tr_id: str, stock: Stock, second: int) -> tuple[str, ...]:
        code = stock.code
        prints = self._market.prints(code, second)
        if not prints:
            return ()
        stats = self._market.stats(code, second - 1)
        quote = self._market.quote(code, second)
        book = self._market.book(code, second)
        totals = (book.ask_qty_total, book.bid_qty_total)
        records = []
        for trade in prints:
            stats = fold_print(stats, trade)
            records.append(trade_record(stock, trade, stats, quote, totals, self._date))
        return tuple(
            data_frame(tr_id, records[start : start + RECORDS_MAX]) for start in range(0, len(records), RECORDS_MAX)
        )

    def _book(self, tr_id: str, stock: Stock, second: int) -> tuple[str, ...]:
        book = self._market.book(stock.code, second)
        before = self._books.get(stock.code)
        if book == before:
            return ()
        self._books[stock.code] = book
        phase = phase_at(second, self._market.open_second, self._market.close_second)
        hour_class = {"opening": "B", "closing": "A", "continuous": "0", "closed": "0"}[phase]
        expected = (0, 0) if phase == "continuous" else self._market.indicative(stock.code, second)
        volume = self._market.stats(stock.code, second).volume
        record = book_record(stock, second, book, before, volume, expected, hour_class)
        return (data_frame(tr_id, (record,)),)

    def _program(self, tr_id: str, stock: Stock, second: int) -> tuple[str, ...]:
        if (second + int(stock.code[-2:], 36)) % PROGRAM_EVERY_S:
            return ()
        record = program_record(stock.code, second, self._market.program(stock.code, second))
        return (data_frame(tr_id, (record,)),)
