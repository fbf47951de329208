"""The prints of one stock's day, drawn so that they fold back to its minute bars exactly.

Per bar: the first price is the open, the last the close, high and low are touched, everything else
lies between them on the tick grid, and quantities add to the bar's volume to the share. Where the
bar's turnover is known the quantities are tilted so that the value comes as close as prices allow.
All arithmetic that decides a print is on integers or elementwise IEEE operations: no library noise.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from .bars import points_needed
from .grid import tick_sizes
from .mixing import Flags, Floats, Ints, below, key_of, words
from .model import AUCTION, BUYER, SELLER, DayStats, Print, Stock

PRINTS_PER_MINUTE_MAX = 60
_VALUE_PER_PRINT = 400_000.0  # won; the count grows with the square root of a minute's turnover
NO_STATS = DayStats(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


class StockBars:
    """The traded bars of one stock: parallel int64 columns in time order.

    windows: each bar's first and last second with prints, counted from its `second`; the whole minute when left out.
    """

    __slots__ = ("auction", "close", "first", "high", "last", "low", "open", "second", "value", "volume")

    def __init__(
        self,
        second: Ints,
        prices: tuple[Ints, Ints, Ints, Ints],
        volume: Ints,
        value: Ints,
        auction: Flags,
        windows: tuple[Ints, Ints] | None = None,
    ) -> None:
        self.second = second
        self.open, self.high, self.low, self.close = prices
        self.volume = volume
        self.value = value
        self.auction = auction
        self.first, self.last = windows or (np.zeros_like(second), np.full_like(second, 59))


class Tape:
    """All prints of one stock's day with the running totals after each second that has prints."""

    __slots__ = ("_index", "_price", "_qty", "_second", "_side", "_starts", "_table", "auction_open", "seconds")

    def __init__(self, second: Ints, price: Ints, qty: Ints, side: Ints) -> None:
        self._second, self._price, self._qty, self._side = second, price, qty, side
        count = len(second)
        is_last = np.ones(count, dtype=np.bool_)
        is_last[:-1] = second[1:] != second[:-1]
        ends = np.flatnonzero(is_last)
        self.seconds: list[int] = second[ends].tolist()
        self._starts: list[int] = [0, *(ends + 1).tolist()]
        self._index = {s: i for i, s in enumerate(self.seconds)}
        self._table = _running_totals(second, price, qty, side)[ends]
        self.auction_open = bool(count) and int(side[0]) == AUCTION

    def __len__(self) -> int:
        return len(self._second)

    def prints(self, second: int) -> tuple[Print, ...]:
        """The prints of that second, in order."""
        row = self._index.get(second)
        if row is None:
            return ()
        part = slice(self._starts[row], self._starts[row + 1])
        return tuple(
            Print(second, price, qty, side)
            for price, qty, side in zip(
                self._price[part].tolist(), self._qty[part].tolist(), self._side[part].tolist(), strict=True
            )
        )

    def row_at(self, second: int) -> int:
        """Index of the last second with prints not after *second*; -1 when there is none yet."""
        return bisect_right(self.seconds, second) - 1

    def stats(self, second: int) -> DayStats:
        """Totals through the end of *second*."""
        row = self.row_at(second)
        return NO_STATS if row < 0 else DayStats(*self._table[row, :13].tolist())

    def sides(self, second: int) -> tuple[int, int, int, int]:
        """(buy quantity, buy value, sell quantity, sell value) through the end of *second*."""
        row = self.row_at(second)
        if row < 0:
            return (0, 0, 0, 0)
        totals: list[int] = self._table[row].tolist()
        return totals[9], totals[13], totals[10], totals[14]

    def last(self, row: int) -> tuple[int, int]:
        """(price, side) of the last print of the given second's row."""
        at = self._starts[row + 1] - 1
        return int(self._price[at]), int(self._side[at])

    def first(self) -> tuple[int, int, int]:
        """(second, price, quantity) of the first print; the tape must not be empty."""
        return int(self._second[0]), int(self._price[0]), int(self._qty[0])

    def average_qty(self) -> int:
        """Mean quantity of a print in shares, at least 1."""
        return max(1, int(self._qty.sum()) // max(1, len(self._qty)))


def _running_totals(second: Ints, price: Ints, qty: Ints, side: Ints) -> Ints:
    """Rows of DayStats' thirteen fields after each print, then buy value and sell value."""
    count = len(second)
    table = np.zeros((count, 15), dtype=np.int64)
    if not count:
        return table
    at = np.arange(count, dtype=np.int64)
    high = np.maximum.accumulate(price)
    low = np.minimum.accumulate(price)
    new_high = np.ones(count, dtype=np.bool_)
    new_high[1:] = high[1:] > high[:-1]
    new_low = np.ones(count, dtype=np.bool_)
    new_low[1:] = low[1:] < low[:-1]
    value = price * qty
    buy = (side == BUYER).astype(np.int64)
    sell = (side == SELLER).astype(np.int64)
    table[:, 0] = price[0]
    table[:, 1] = high
    table[:, 2] = low
    table[:, 3] = price
    table[:, 4] = np.cumsum(qty)
    table[:, 5] = np.cumsum(value)
    table[:, 6] = second[0]
    table[:, 7] = second[np.maximum.accumulate(np.where(new_high, at, 0))]
    table[:, 8] = second[np.maximum.accumulate(np.where(new_low, at, 0))]
    table[:, 9] = np.cumsum(qty * buy)
    table[:, 10] = np.cumsum(qty * sell)
    table[:, 11] = np.cumsum(buy)
    table[:, 12] = np.cumsum(sell)
    table[:, 13] = np.cumsum(value * buy)
    table[:, 14] = np.cumsum(value * sell)
    return table


def draw_tape(stock: Stock, bars: StockBars, seed: int, close_second: int) -> Tape:
    """Draw the day's prints of *stock* from its traded *bars*; a pure function of its arguments."""
    key = key_of(seed, "prints", stock.code)
    needed, _, first, second_extreme = points_needed(bars.open, bars.high, bars.low, bars.close)
    single = bars.second >= close_second
    if stock.single_price:
        single = np.ones(len(bars.second), dtype=np.bool_)
    counts = _print_counts(bars, needed, single, key)
    ends = np.cumsum(counts)
    starts = ends - counts
    bar_of = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    points = np.stack([bars.open, first, second_extreme, bars.close], axis=1)
    price, anchored = _prices(points, needed, counts, starts, bar_of, key)
    noise = below(key_of(key, 3), len(price), 8)
    step = np.where(noise == 0, 1, np.where(noise == 1, -1, 0))
    ticks = tick_sizes(price, etp=stock.etp)
    loose = np.clip((price + step * ticks) // ticks * ticks, bars.low[bar_of], bars.high[bar_of])
    price = np.where(anchored, price, loose)
    auction = np.zeros(len(price), dtype=np.bool_)
    auction[starts[bars.auction]] = True
    auction |= single[bar_of]
    qty = _quantities(bars, counts, starts, bar_of, price, auction & ~single[bar_of], key)
    second = _seconds(bars, starts, bar_of, single, key)
    return Tape(second, price, qty, _sides(price, auction, stock, key))


def _print_counts(bars: StockBars, needed: Ints, single: Flags, key: int) -> Ints:
    turnover = ((bars.high + bars.low) // 2 * bars.volume).astype(np.float64)
    usual = 1 + np.sqrt(turnover / _VALUE_PER_PRINT).astype(np.int64)
    usual += usual * (below(key_of(key, 1), len(usual), 128) - 64) // 256
    usual = np.maximum(usual * (bars.last - bars.first + 1) // 60, 1)
    wanted = np.clip(usual, needed, PRINTS_PER_MINUTE_MAX)
    return np.where(single, needed, np.minimum(wanted, bars.volume))


def _prices(points: Ints, needed: Ints, counts: Ints, starts: Ints, bar_of: Ints, key: int) -> tuple[Ints, Flags]:
    """Prices on straight lines between each bar's turning points, and which prints are those points."""
    keep = np.ones(points.shape, dtype=np.bool_)
    keep[:, 1:] = points[:, 1:] != points[:, :-1]
    slack = counts - needed
    a = (words(key_of(key, 2), len(counts)) % (slack + 1).astype(np.uint64)).astype(np.int64)
    b = (words(key_of(key, 4), len(counts)) % (slack + 1).astype(np.uint64)).astype(np.int64)
    shares = np.stack([np.minimum(a, b), np.maximum(a, b)], axis=1)
    rank = np.cumsum(keep, axis=1) - 1
    extra = np.zeros_like(points)
    extra = np.where(rank == 1, np.where(needed[:, None] > 2, shares[:, :1], slack[:, None]), extra)
    extra = np.where(rank == 2, np.where(needed[:, None] > 3, shares[:, 1:], slack[:, None]), extra)
    extra = np.where(rank == 3, slack[:, None], extra)
    at = (starts[:, None] + rank + extra)[keep]
    level = points[keep]
    owner = np.repeat(np.arange(len(counts), dtype=np.int64), needed)
    index = np.arange(len(bar_of), dtype=np.int64)
    left = np.searchsorted(at, index, side="right") - 1
    right = np.minimum(left + 1, len(at) - 1)
    right = np.where(owner[right] == bar_of, right, left)
    span = np.maximum(at[right] - at[left], 1)
    price = level[left] + (level[right] - level[left]) * (index - at[left]) // span
    anchored = np.zeros(len(index), dtype=np.bool_)
    anchored[at] = True
    return price, anchored


def _quantities(
    bars: StockBars, counts: Ints, starts: Ints, bar_of: Ints, price: Ints, opening: Flags, key: int
) -> Ints:
    """Whole shares, each at least 1, adding to every bar's volume."""
    if not len(price):
        return np.zeros(0, dtype=np.int64)
    w = words(key_of(key, 5), len(price))
    weight = 8 + (w & np.uint64(63)).astype(np.int64)
    weight = np.where((w >> np.uint64(6)) & np.uint64(7) == 0, weight * 6, weight)
    weight = np.where((w >> np.uint64(9)) & np.uint64(31) == 0, weight * 5, weight)
    # A single-price match gathers what waited for it: about two fifths of its minute.
    totals = np.add.reduceat(weight, starts)
    weight = np.where(opening, weight + totals[bar_of] * 2 // 3, weight)
    known = (bars.value >= 0) & (counts > 1)
    if known.any():
        weight = _tilt(bars, starts, bar_of, price, weight, known)
    total = np.add.reduceat(weight, starts)
    running = np.cumsum(weight)
    before = running - weight
    base = before[starts][bar_of]
    spare = (bars.volume - counts)[bar_of]
    upto = _share(running - base, spare, total[bar_of])
    return 1 + upto - _share(before - base, spare, total[bar_of])


def _share(part: Ints, spare: Ints, total: Ints) -> Ints:
    """floor(part * spare / total) without leaving 64 bits (weights stay below 2**22 per bar)."""
    whole, rest = np.divmod(spare, total)
    return part * whole + part * rest // total


def _tilt(bars: StockBars, starts: Ints, bar_of: Ints, price: Ints, weight: Ints, known: Flags) -> Ints:
    """Move weight towards high or low prices until the bar's mean price is that of its turnover."""
    total = np.add.reduceat(weight, starts).astype(np.float64)
    centre = np.add.reduceat(weight * price, starts).astype(np.float64) / total
    away: Floats = price.astype(np.float64) - centre[bar_of]
    # Quantised so that the sums below are sums of integers, exact in any order.
    square = np.add.reduceat((weight * (away * away).astype(np.int64)), starts).astype(np.float64) / total
    goal = bars.value.astype(np.float64) / np.maximum(bars.volume, 1) - centre
    usable = known & (square > 0.0)
    slope = np.where(usable, goal / np.where(usable, square, 1.0), 0.0)
    factor = np.clip(1.0 + slope[bar_of] * away, 0.02, 16.0)
    return np.maximum((weight.astype(np.float64) * 16.0 * factor).astype(np.int64), 1)


def _seconds(bars: StockBars, starts: Ints, bar_of: Ints, single: Flags, key: int) -> Ints:
    """Seconds of day: spread over each bar's window in order; a single-price match comes first, at its own second."""
    within = below(key_of(key, 6), len(bar_of), 60)
    # Continuous trading follows the auction it begins with.
    begin = np.minimum(bars.first + (bars.auction & ~single), bars.last)
    begin, length = begin[bar_of], (bars.last - begin + 1)[bar_of]
    ordered = np.sort(bar_of * 64 + begin + within * length // 60) & 63
    ordered[starts[bars.auction]] = bars.first[bars.auction]
    return bars.second[bar_of] + np.where(single[bar_of], bars.first[bar_of], ordered)


def _sides(price: Ints, auction: Flags, stock: Stock, key: int) -> Ints:
    """Who crossed the spread, by the tick rule; at a price limit only the other side can be hit."""
    count = len(price)
    if not count:
        return np.zeros(0, dtype=np.int64)
    move = np.zeros(count, dtype=np.int64)
    move[1:] = np.sign(price[1:] - price[:-1])
    move[0] = 1 if key & 1 else -1
    at = np.maximum.accumulate(np.where(move != 0, np.arange(count, dtype=np.int64), 0))
    flip = (move == 0) & (below(key_of(key, 8), count, 4) == 0)
    direction = np.where(flip, -move[at], move[at])
    side = np.where(direction > 0, BUYER, SELLER)
    side = np.where(price >= stock.upper, SELLER, np.where(price <= stock.lower, BUYER, side))
    return np.where(auction, AUCTION, side).astype(np.int64)
