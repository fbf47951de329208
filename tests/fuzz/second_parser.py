"""A second opinion on data frames, written from kis-protocol 2.4, 3.1 to 3.5, 3.7, 5.2 and 5.3 and nothing else.

It shares no line with the client's decoder or its guards, and it is slow and plain on purpose.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

WHOLE = re.compile(r"\s*[+-]?[0-9]+\s*|[0-9]+\.0+")
RATE = re.compile(r"\s*-?[0-9]{1,9}(?:\.[0-9]{0,2}0*)?\s*|\s*-?[0-9]{1,9}\s*")
TIME = re.compile(r"(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]")
KINDS = {"CNT0": "trades", "ASP0": "book", "PGM0": "program", "MKO0": "status"}
LEAST = {"trades": 46, "book": 59, "program": 11, "status": 10}
HUGE = 1 << 62


class NotAFrameError(Exception):
    """Why a text may not be believed."""


@dataclass
class Stock:
    """What is known of one stock. fund: its grid is 5 won."""

    lower: int
    upper: int
    fund: bool = False
    volume: int = 0


@dataclass
class Judge:
    """Judges one text after another. market: H0ST, H0UN or H0NX.   latest: HHMMSS no frame may be ahead of."""

    market: str
    latest: str
    stocks: dict[str, Stock] = field(default_factory=dict)

    def judge(self, text: str) -> list[dict[str, object]]:
        """Return the frame's records by field name; raise NotAFrameError if anything is wrong with it."""
        parts = text.split("|")
        if len(parts) != 4:
            raise NotAFrameError("four parts")
        flag, tr_id, count, payload = parts
        need(flag == "0", "plain")
        kind = KINDS.get(tr_id[4:])
        if kind is None or tr_id[:4] != self.market or len(tr_id) != 8:
            raise NotAFrameError("TR id")
        need(re.fullmatch("[0-9]{3}", count) is not None and count != "000", "count")
        fields = [each.strip(" ") for each in payload.split("^")]
        width, rest = divmod(len(fields), int(count))
        need(rest == 0 and width >= LEAST[kind], "width")
        if kind != "status":
            need(all(ord(each) < 128 and each != "_" for each in text), "alphabet")
        records = [fields[start : start + width] for start in range(0, len(fields), width)]
        return getattr(self, kind)(records)

    def trades(self, records: list[list[str]]) -> list[dict[str, object]]:
        before = {code: stock.volume for code, stock in self.stocks.items()}
        found = []
        for cell in records:
            stock = self.stock(cell[0])
            names = ("price", "sign", "open", "high", "low", "ask", "bid", "qty", "volume", "value", "side")
            places = (2, None, 7, 8, 9, 10, 11, 12, 13, 14, 21)
            read = {name: whole(cell[at]) for name, at in zip(names, places, strict=True) if at is not None}
            need(all(0 <= value < HUGE for value in read.values()), "sizes")
            need(RATE.fullmatch(cell[5]) is not None, "rate")
            need(cell[35] in {"Y", "N"}, "halted")
            self.time(cell[1])
            need(read["price"] > 0 and read["volume"] >= read["qty"], "figures")
            for name in ("price", "bid", "ask"):
                if name == "price" or read[name]:
                    need(stock.lower <= read[name] <= stock.upper, "band")
            need(on_half(read["price"], stock.fund), "half grid")
            need(on_grid(read["bid"], stock.fund) and on_grid(read["ask"], stock.fund), "grid")
            need(read["volume"] >= before[cell[0]], "volume")
            before[cell[0]] = read["volume"]
            found.append({"code": cell[0], **read})
        for cell in found:
            self.stocks[cell["code"]].volume = cell["volume"]
        return found

    def book(self, records: list[list[str]]) -> list[dict[str, object]]:
        found = []
        for cell in records:
            stock = self.stock(cell[0])
            read = {
                "ask": whole(cell[3]),
                "bid": whole(cell[13]),
                "ask_qty": whole(cell[23]),
                "bid_qty": whole(cell[33]),
            }
            read |= {"total_ask_qty": whole(cell[43]), "total_bid_qty": whole(cell[44])}
            need(all(0 <= value < HUGE for value in read.values()), "sizes")
            self.time(cell[1])
            for name in ("bid", "ask"):
                need(read[name] == 0 or stock.lower <= read[name] <= stock.upper, "band")
                need(on_grid(read[name], stock.fund), "grid")
            found.append({"code": cell[0], **read})
        return found

    def program(self, records: list[list[str]]) -> list[dict[str, object]]:
        found = []
        for cell in records:
            self.stock(cell[0])
            sold, bought, net = whole(cell[2]), whole(cell[4]), whole(cell[6])
            need(0 <= sold < HUGE and 0 <= bought < HUGE and net == bought - sold, "sum")
            self.time(cell[1])
            found.append({"code": cell[0], "sold": sold, "bought": bought, "net": net})
        return found

    def status(self, records: list[list[str]]) -> list[dict[str, object]]:
        found = []
        for cell in records:
            self.stock(cell[0])  # the layout without a symbol names no stock, so it can be believed of none
            halted, vi, overtime = (cell[1], cell[8], cell[9])
            need(halted in {"Y", "N"} and {vi, overtime} <= {"Y", "N", ""}, "flags")
            found.append({"code": cell[0], "halted": halted == "Y", "vi": vi == "Y"})
        return found

    def stock(self, code: str) -> Stock:
        if code not in self.stocks:
            raise NotAFrameError("code")
        return self.stocks[code]

    def time(self, text: str) -> None:
        need(TIME.fullmatch(text) is not None and text <= self.latest, "time")


def need(holds: bool, what: str) -> None:
    if not holds:
        raise NotAFrameError(what)


def whole(text: str) -> int:
    if WHOLE.fullmatch(text) is None:
        raise NotAFrameError(f"number {text!r}")
    return int(text.strip().partition(".")[0])


def tick_of(price: int, fund: bool) -> int:
    if fund:
        return 5 if price >= 2_000 else 1
    steps = [(500_000, 1_000), (200_000, 500), (50_000, 100), (20_000, 50), (5_000, 10), (2_000, 5), (0, 1)]
    return next(tick for least, tick in steps if price >= least)


def on_grid(price: int, fund: bool) -> bool:
    return price % tick_of(price, fund) == 0


def on_half(price: int, fund: bool) -> bool:
    """A midpoint between two quotes is a whole number of half ticks, cut to the won."""
    tick = tick_of(price, fund)
    below = price - price % tick
    return price in {below, below + tick // 2}
