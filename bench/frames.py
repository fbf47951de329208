"""Trade frames as the feed sends them: seeded, 47 fields a record, figures of a plausible day."""

from __future__ import annotations

import random
from collections.abc import Sequence

FIELDS = 47
FIELDS_BEFORE = 46
"""Width before the market class was appended, which older parsers insist on."""
BOOK_FIELDS_BEFORE = 59


def codes(count: int, first: int = 100_000) -> list[str]:
    """Return *count* symbols."""
    return [f"{first + 10 * place:06d}" for place in range(count)]


def record(code: str, price: int, volume: int, chance: random.Random, base: int = 70_000) -> str:
    """Return one trade of *code* at *price* won, *volume* shares into the day that began at *base* won."""
    second = chance.randrange(32_400, 36_000)  # the first hour, before any clock these frames are received under
    time = f"{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}"
    change = price - base
    sign = "2" if change > 0 else "5" if change < 0 else "3"
    sold = volume * 48 // 100
    fields = (
        code, time, price, sign, change, f"{change / base * 100:.2f}", f"{price - 31.57:.2f}", base, base + 1_500,
        base - 1_500, price + _tick(price), price, chance.randrange(1, 500), volume, volume * price, 113_664, 103_131, -10_533,
        "98.51", sold, volume - sold, chance.choice("15"), "0.37", "73.08", "090025", sign, change, "091025", "5",
        price - base - 1_500, "114825", "2", price - base + 1_500, "20260914", "20", "N", chance.randrange(1, 9_999),
        chance.randrange(1, 9_999), 101_158, 466_092, "0.20", 8_331_745, "140.44", "0", "", base, "2",
    )  # fmt: skip
    return "^".join(map(str, fields))


class _Walk:
    """A seeded day of each symbol: every trade takes its price and its volume on."""

    def __init__(self, seed: int, symbols: Sequence[str]) -> None:
        self.chance = random.Random(seed)
        self.bases = {code: _on_grid(self.chance.randrange(1_000, 900_000)) for code in symbols}
        self._prices = dict(self.bases)
        self._volumes = dict.fromkeys(symbols, 1_000)

    def trades(self, code: str, count: int) -> str:
        """Return a frame of the next *count* trades of *code*."""
        rows = []
        for _ in range(count):
            self._volumes[code] += self.chance.randrange(1, 500)
            self._prices[code] = _next(self._prices[code], self.bases[code], self.chance)
            rows.append(record(code, self._prices[code], self._volumes[code], self.chance, self.bases[code]))
        return f"0|H0STCNT0|{count:03d}|{'^'.join(rows)}"


def mixed(records: int, *, seed: int = 7, symbols: Sequence[str] | None = None) -> list[str]:
    """Return frames of 1 to 5 records that hold at least *records* in all."""
    symbols = symbols or codes(40)
    walk = _Walk(seed, symbols)
    frames: list[str] = []
    made = 0
    while made < records:
        count = walk.chance.randrange(1, 6)
        frames.append(walk.trades(walk.chance.choice(symbols), count))
        made += count
    return frames


def book(code: str, price: int, chance: random.Random) -> str:
    """Return an order book of *code* around *price* (won), 62 fields."""
    tick = _tick(price)
    asks, bids = (
        [price + (level + 1) * tick for level in range(10)],
        [max(price - level * tick, 0) for level in range(10)],
    )
    sizes = [[chance.randrange(1, 99_999) for _ in range(10)] for _ in range(2)]
    fields = (
        code, "093000", "0", *asks, *bids, *sizes[0], *sizes[1], sum(sizes[0]), sum(sizes[1]), 0, 0, 0, 0, 211_181,
        -price, "5", "-100.00", 5_531_414, -30_000, 0, 0, 0, 0, price + tick // 2, 4_927, "2",
    )  # fmt: skip
    return "^".join(map(str, fields))


def session(count: int, *, seed: int = 7, symbols: Sequence[str] | None = None) -> list[str]:
    """Return *count* frames as a busy session sends them: 45 % trades of 1 to 5 records, 55 % order books."""
    symbols = symbols or codes(40)
    walk = _Walk(seed, symbols)
    chance = walk.chance
    books = {code: [book(code, walk.bases[code], chance) for _ in range(8)] for code in symbols}
    frames = []
    for _ in range(count):
        code = chance.choice(symbols)
        if chance.random() < 0.55:
            frames.append(f"0|H0STASP0|001|{chance.choice(books[code])}")
        else:
            frames.append(walk.trades(code, chance.randrange(1, 6)))
    return frames


def _tick(price: int) -> int:
    for below, tick in ((2_000, 1), (5_000, 5), (20_000, 10), (50_000, 50), (200_000, 100), (500_000, 500)):
        if price < below:
            return tick
    return 1_000


def _on_grid(price: int) -> int:
    return price - price % _tick(price)


def _next(price: int, base: int, chance: random.Random) -> int:
    """Walk by up to two ticks a trade within the day's limits, so texts repeat about as often as on a real tape."""
    moved = _on_grid(price + chance.choice((-2, -1, -1, 0, 0, 0, 1, 1, 2)) * _tick(price))
    return moved if base * 7 <= moved * 10 <= base * 13 else price


def narrowed(frame: str) -> str:
    """Return the frame without each record's newest fields, for a parser that knows only those before them."""
    head, tr_id, count, body = frame.split("|", 3)
    cells = body.split("^")
    if tr_id == "H0STASP0":
        return f"{head}|{tr_id}|{count}|{'^'.join(cells[:BOOK_FIELDS_BEFORE])}"
    rows = ["^".join(cells[start : start + FIELDS_BEFORE]) for start in range(0, len(cells), FIELDS)]
    return f"{head}|{tr_id}|{count}|{'^'.join(rows)}"
