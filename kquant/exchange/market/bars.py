"""Minute bars of the whole market as dense numpy columns, one row per stock, one slot per minute.

Slot k covers the minute that begins at ``open_second + 60 * k``; the last slot is the closing auction.
A slot without a trade has volume 0 (its prices are 0 too).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .mixing import Flags, Ints
from .model import MarketFileError


@dataclass(frozen=True)
class Bars:
    """Columns of shape (stocks, slots): won and shares.

    `value` is the bar's turnover in won where it is known, else -1. `auction`: the bar's first print
    is a single-price match (opening, closing, after a pause).
    """

    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    value: Ints
    auction: Flags

    @staticmethod
    def empty(stocks: int, slots: int) -> Bars:
        """Bars without a trade."""

        def zeros() -> Ints:
            return np.zeros((stocks, slots), dtype=np.int64)

        value = np.full((stocks, slots), -1, dtype=np.int64)
        auction = np.zeros((stocks, slots), dtype=np.bool_)
        return Bars(zeros(), zeros(), zeros(), zeros(), zeros(), value, auction)

    def put(self, rows: Ints, other: Bars) -> None:
        """Replace the given *rows* by the rows of *other*."""
        for name in ("open", "high", "low", "close", "volume", "value", "auction"):
            getattr(self, name)[rows] = getattr(other, name)

    def freeze(self) -> Bars:
        """Make the columns read-only and give them back."""
        for name in ("open", "high", "low", "close", "volume", "value", "auction"):
            getattr(self, name).setflags(write=False)
        return self


def points_needed(opens: Ints, highs: Ints, lows: Ints, closes: Ints) -> tuple[Ints, Flags, Ints, Ints]:
    """How many prints a bar needs to show its prices, and the order of its extremes.

    Returns (prints needed 1..4, high comes first, first extreme, second extreme). The order chosen is
    one that needs the fewest prints; a bar free to choose visits the nearer extreme of its open first.
    """
    yes = np.ones(np.shape(opens), dtype=np.bool_)
    nearer = (highs - opens) < (opens - lows)
    high_first = np.where(
        opens == highs, yes, np.where(opens == lows, ~yes, np.where(closes == highs, ~yes, closes == lows))
    )
    free = (opens != highs) & (opens != lows) & (closes != highs) & (closes != lows)
    high_first = np.where(free, nearer, high_first)
    first = np.where(high_first, highs, lows)
    second = np.where(high_first, lows, highs)
    # A bar that ends where it began and began on one extreme goes to the other and comes back.
    needed = 1 + (first != opens) + (second != first) + (closes != second)
    return needed.astype(np.int64), high_first, first, second


def check_bars(bars: Bars, codes: tuple[str, ...], where: str) -> None:
    """Refuse bars that no sequence of prints can produce. Raises MarketFileError naming the first one."""
    traded = bars.volume > 0

    def refuse(bad: Flags, what: str) -> None:
        if bad.any():
            row, slot = (int(i) for i in np.argwhere(bad)[0])
            o, h, low, c, v = (int(x[row, slot]) for x in (bars.open, bars.high, bars.low, bars.close, bars.volume))
            bar = f"open {o} high {h} low {low} close {c} volume {v}"
            raise MarketFileError(f"{where}: bar {slot} of {codes[row]} {what}: {bar}")

    refuse(bars.volume < 0, "has a negative volume")
    top = np.maximum(bars.open, bars.close)
    bottom = np.minimum(bars.open, bars.close)
    refuse(traded & ((bars.high < top) | (bars.low > bottom)), "has a high or low inside its open and close")
    refuse(traded & (bars.low <= 0), "has a price that is not above zero")
    needed = points_needed(bars.open, bars.high, bars.low, bars.close)[0]
    refuse(traded & (needed > bars.volume), "shows more prices than it has shares")
