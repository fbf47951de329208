"""The whole market minute by minute, for rankings and boards: one row of figures a stock, one state a finished minute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from .bars import Bars
from .mixing import Ints
from .model import RankRow, Stock
from .sessions import RANDOM_END_SECONDS, VI_SECONDS, Hours

MarketFilter = Literal["ALL", "KOSPI", "KOSDAQ"]
VolumeOrder = Literal["volume", "value", "growth"]
Order = VolumeOrder | Literal["gain"]
RANKED = 100


class Rankings:
    """Figures of every stock after each minute; after the last one comes the state with every closing match.

    late: the stocks whose closing auction is interrupted, so that they are not yet in the state after the random end.
    """

    def __init__(self, hours: Hours, stocks: Sequence[Stock], bars: Bars, late: frozenset[str]) -> None:
        self._hours = hours
        self._stocks = stocks
        self._slots: int = bars.volume.shape[1]
        traded = bars.volume > 0
        slot = np.where(traded, np.arange(self._slots, dtype=np.int64), 0)
        latest = np.maximum.accumulate(slot, axis=1)
        middle = (bars.open + bars.high + bars.low + bars.close) // 4 * bars.volume
        value = np.where(bars.value >= 0, bars.value, middle)
        rows = np.flatnonzero(np.array([stock.code in late for stock in stocks]))
        self._last = self._states(np.take_along_axis(bars.close, latest, axis=1), rows)
        self._volume = self._states(np.cumsum(bars.volume, axis=1), rows)
        self._value = self._states(np.cumsum(np.where(traded, value, 0), axis=1), rows)
        self._high = self._states(np.maximum.accumulate(bars.high, axis=1), rows)
        low = np.minimum.accumulate(np.where(traded, bars.low, np.iinfo(np.int64).max), axis=1)
        self._low = self._states(low, rows)
        self._open = np.take_along_axis(bars.open, np.argmax(traded, axis=1)[:, None], axis=1)[:, 0]
        self._base = np.array([s.base for s in stocks], dtype=np.int64)
        self._prev_volume = np.array([s.prev_volume for s in stocks], dtype=np.int64)
        order = sorted(range(len(stocks)), key=lambda i: stocks[i].code)
        self._code_rank = np.empty(len(order), dtype=np.int64)
        self._code_rank[order] = np.arange(len(order), dtype=np.int64)
        kospi = np.array([s.market == "KOSPI" for s in stocks], dtype=np.bool_)
        self._members = {"ALL": np.ones(len(order), dtype=np.bool_), "KOSPI": kospi, "KOSDAQ": ~kospi}

    def finished(self, second: int) -> int:
        """Return the state *second* sees: that of the last minute over, -1 before the first one is."""
        since_close = second - self._hours.close
        if since_close >= VI_SECONDS + 2 * RANDOM_END_SECONDS:
            return self._slots
        if since_close >= RANDOM_END_SECONDS - 1:
            return self._slots - 1
        return min((second - self._hours.open) // 60 - 1, self._slots - 2)

    def rank(self, state: int, market: MarketFilter, by: Order) -> list[RankRow]:
        """Return the best hundred, best first, ties by code; stocks without a trade are not ranked."""
        if state < 0:
            return []
        if market not in self._members:
            raise ValueError(f"market {market!r} is not one of ALL, KOSPI, KOSDAQ")
        volume = self._volume[state]
        rows = np.flatnonzero(self._members[market] & (volume > 0))
        key = self._key(state, by)
        return self._rows_of(state, rows[np.lexsort((self._code_rank[rows], -key[rows]))][:RANKED])

    def board(self, state: int) -> tuple[RankRow, ...]:
        """Return every stock that has traded, in listing order."""
        return () if state < 0 else tuple(self._rows_of(state, np.flatnonzero(self._volume[state] > 0)))

    # -- inside ---------------------------------------------------------------------------------

    def _states(self, columns: Ints, late: Ints) -> Ints:
        states = np.empty((self._slots + 1, len(columns)), dtype=np.int64)
        states[:-1] = columns.T
        states[-1] = states[-2]
        states[-2, late] = states[-3, late]
        return states

    def _key(self, state: int, by: Order) -> Ints:
        # Exact: basis points truncate, so ratios are compared at a millionth.
        keys: Ints = self._value[state] if by == "value" else self._volume[state]
        if by == "gain":
            keys = (self._last[state] - self._base) * 1_000_000 // self._base
        elif by == "growth":
            keys = keys * 10_000 // np.maximum(self._prev_volume, 1)
        return keys

    def _rows_of(self, state: int, best: Ints) -> list[RankRow]:
        last = self._last[state][best]
        change = last - self._base[best]
        columns = (
            last,
            change,
            _toward_zero(change * 10_000, self._base[best]),
            self._volume[state][best],
            self._value[state][best],
            self._open[best],
            self._high[state][best],
            self._low[state][best],
            self._prev_volume[best],
        )
        numbers = zip(*(c.tolist() for c in columns), strict=True)
        return [RankRow(self._stocks[i].code, *n) for i, n in zip(best.tolist(), numbers, strict=True)]


def _toward_zero(number: Ints, by: Ints) -> Ints:
    result: Ints = np.sign(number) * (np.abs(number) // by)
    return result
