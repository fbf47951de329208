"""Who trades how at which second: each stock's phase, its interruptions and its static reference price.

The clock gives the phase (`sessions`), a seeded random end the second in which each stock's auctions match, and the
interruptions are laid over both. Nothing here draws a tape: what is needed of prices comes from the minute bars.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence

import numpy as np

from .bars import Bars
from .mixing import Ints, key_of, mix
from .model import Interruption, Status, Stock
from .sessions import RANDOM_END_SECONDS, Hours, phase_at

NO_INTERRUPTIONS: Mapping[str, tuple[Interruption, ...]] = {}
_FULL_MINUTE = 59


def auction_key(seed: int, code: str) -> int:
    """Return the key of the random ends of one stock's auctions."""
    return key_of(seed, "auction end", code)


def auction_delay(key: int, slot: int) -> int:
    """Return how many seconds after its nominal end the auction of minute *slot* matches."""
    return mix(key ^ slot) % RANDOM_END_SECONDS


class Phases:
    """The trading state of every stock of a day, as pure functions of the second."""

    def __init__(
        self,
        hours: Hours,
        stocks: Sequence[Stock],
        bars: Bars,
        seed: int,
        interruptions: Mapping[str, tuple[Interruption, ...]],
    ) -> None:
        self._hours = hours
        self._stocks = {stock.code: stock for stock in stocks}
        self._row = {stock.code: row for row, stock in enumerate(stocks)}
        self._bars = bars
        self._seed = seed
        self._last_slot = bars.volume.shape[1] - 1
        self.interruptions = interruptions
        self._ends: dict[str, tuple[int, int]] = {}
        self._references: dict[str, tuple[list[int], list[int]]] = {}
        self._edges: dict[int, tuple[str, ...]] | None = None

    def auction_ends(self, code: str) -> tuple[int, int]:
        """Return the seconds in which the opening and the closing call end; a match may be delayed by a VI."""
        ends = self._ends.get(code)
        if ends is None:
            key = auction_key(self._seed, code)
            opened = self._hours.open + auction_delay(key, 0)
            ends = self._ends[code] = opened, self._hours.close + auction_delay(key, self._last_slot)
        return ends

    def interruption(self, code: str, second: int) -> Interruption | None:
        """Return the interruption or halt in force during *second*."""
        for one in self.interruptions.get(code, ()):
            if one.start <= second < one.end:
                return one
        return None

    def status(self, code: str, second: int) -> Status:
        """Return the state in force during *second*."""
        times, prices = self._reference_steps(code)
        reference = prices[bisect_right(times, second) - 1]
        stock = self._stocks[code]
        phase = phase_at(self._hours, stock, second, *self.auction_ends(code))
        one = None if phase == "halted" else self.interruption(code, second)
        if one is not None:
            return Status("halted", "", reference) if one.kind == "halt" else Status("vi", one.kind, reference)
        if phase == "continuous" and stock.single_price:
            phase = "vi"
        return Status(phase, "", reference)

    def changes(self, second: int) -> list[tuple[str, Status]]:
        """Return the stocks whose phase or interruption is another than a second before, in listing order."""
        if self._edges is None:
            self._edges = self._find_edges()
        hours = self._hours
        common = {hours.opening_from, hours.closing_from, hours.post_close_from, hours.post_close_until}
        common |= {hours.after_from, hours.after_until} - {0}
        changed = []
        for code in self._stocks if second in common else self._edges.get(second, ()):
            now, before = self.status(code, second), self.status(code, second - 1)
            if now[:2] != before[:2]:
                changed.append((code, now))
        return changed

    def windows(self, code: str, slots: Ints) -> tuple[Ints, Ints]:
        """Return each bar's first and last second with prints, counted from the bar's minute.

        A bar that begins with an auction begins where that ends; a bar cut by an interruption ends before it.
        """
        row = self._row[code]
        first, last = np.zeros(len(slots), dtype=np.int64), np.full(len(slots), _FULL_MINUTE, dtype=np.int64)
        key = auction_key(self._seed, code)
        whole = self._stocks[code].single_price
        for place in np.flatnonzero(self._bars.auction[row, slots] | whole).tolist():
            first[place] = auction_delay(key, int(slots[place]))
        for one in self.interruptions.get(code, ()):
            for place, slot in enumerate(slots.tolist()):
                begin = self._hours.open + 60 * slot
                if begin <= one.start < begin + 60 and slot != self._last_slot:
                    last[place] = one.start - begin - 1
                if one.result and (begin <= one.end < begin + 60 or (slot == self._last_slot and one.end > begin)):
                    first[place] = one.end - begin
        return first, last

    # -- inside ---------------------------------------------------------------------------------

    def _reference_steps(self, code: str) -> tuple[list[int], list[int]]:
        """Return from which second on which static reference holds: the base, then each single-price result."""
        steps = self._references.get(code)
        if steps is None:
            row, stock = self._row[code], self._stocks[code]
            single = self._bars.volume[row] > 0 if stock.single_price else self._bars.auction[row]
            slots = np.flatnonzero(single)
            first = self.windows(code, slots)[0]
            times = (self._hours.open + 60 * slots + first).tolist()
            steps = self._references[code] = [-1, *times], [stock.base, *self._bars.open[row, slots].tolist()]
        return steps

    def _find_edges(self) -> dict[int, tuple[str, ...]]:
        edges: dict[int, dict[str, None]] = {}
        for code in self._stocks:
            for second in self.auction_ends(code):
                edges.setdefault(second, {})[code] = None
        for code in self._stocks:
            for one in self.interruptions.get(code, ()):
                for second in (one.start, one.end):
                    edges.setdefault(second, {})[code] = None
        order = {code: place for place, code in enumerate(self._stocks)}
        return {second: tuple(sorted(codes, key=order.__getitem__)) for second, codes in edges.items()}
