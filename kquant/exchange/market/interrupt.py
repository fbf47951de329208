"""Volatility interruptions and halts, worked into the minute bars before anything is derived from them.

A print that would trip an interruption (kis-protocol 5.4) does not happen: the stock's prints stop, what would have
printed in the next two minutes and the random end is held, and executes at one price when the interruption ends. The
bars say so, hence prints, totals, rankings and books all do. An interruption that reaches the closing call is
continued by it, and what it holds executes at the close.

Bars know minutes only, so a minute whose prices span the dynamic limit counts as one sweep through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from .bars import Bars
from .grid import floor_price, step_price
from .mixing import Flags, Ints, Stream, key_of
from .model import Interruption, Stock
from .phases import auction_delay, auction_key
from .sessions import RANDOM_END_SECONDS, VI_SECONDS, Hours

STATIC_BP = 1_000
DYNAMIC_BP, DYNAMIC_CLOSING_BP = 600, 400
DYNAMIC_LARGE_BP, DYNAMIC_CLOSING_LARGE_BP = 300, 200
WHOLE = 10_000

Interruptions = dict[str, tuple[Interruption, ...]]


class Trip(NamedTuple):
    """What stops a minute: kind, price that would have printed, its reference, and where the prints before it went."""

    kind: Literal["static", "dynamic"]
    price: int
    reference: int
    before: tuple[int, ...]  # turning points of the prints of this minute before it, first the minute's open


def interrupt(bars: Bars, stocks: Sequence[Stock], seed: int, hours: Hours) -> Interruptions:
    """Find every interruption of the day, rewrite *bars* accordingly and return them by code, in time order."""
    found: Interruptions = {}
    limits = np.array([DYNAMIC_LARGE_BP if stock.kospi200 else DYNAMIC_BP for stock in stocks], dtype=np.int64)
    swept = (bars.high - bars.low) * WHOLE >= np.maximum(bars.low, 1) * limits[:, None]
    for row in _candidates(bars, stocks, swept, hours).tolist():
        day = RowOfBars(bars, row, stocks[row], seed, hours)
        own = day.interrupt(swept[row], int(limits[row]))
        if own:
            found[stocks[row].code] = own
    return found


def _candidates(bars: Bars, stocks: Sequence[Stock], swept: Flags, hours: Hours) -> Ints:
    """Return the rows that may trip: a superset found fast."""
    free = np.array([not (s.halted or s.liquidation or s.single_price) for s in stocks], dtype=np.bool_)
    base = np.array([stock.base for stock in stocks], dtype=np.int64)
    first = np.where(bars.volume[:, 0] > 0, bars.open[:, 0], base)
    high = bars.high.max(axis=1)
    low = np.where(bars.volume > 0, bars.low, np.iinfo(np.int64).max).min(axis=1)
    static = (high * 10 >= first * 11) | (low * 10 <= first * 9) | (abs(first - base) * 10 >= base)
    opens, before = bars.open[:, 1:], bars.close[:, :-1]
    jumps = ((abs(opens - before) * WHOLE >= before * DYNAMIC_CLOSING_LARGE_BP) & (opens > 0) & (before > 0)).any(
        axis=1
    )
    quiet = (bars.volume[:, : (hours.closing_from - hours.open) // 60] == 0).any(axis=1)
    wide = (high - low) * WHOLE >= low * DYNAMIC_CLOSING_LARGE_BP
    last = bars.close[:, (hours.closing_from - hours.open) // 60 - 1]
    close = bars.close[:, -1]
    jumps |= (close > 0) & (last > 0) & (abs(close - last) * WHOLE >= last * DYNAMIC_CLOSING_LARGE_BP)
    rows: Ints = np.flatnonzero(free & (high > 0) & (static | swept.any(axis=1) | (quiet & wide) | jumps))
    return rows


class RowOfBars:
    """One stock's bars while its interruptions are worked in. Slots are minutes from the open, offsets seconds in one."""

    def __init__(self, bars: Bars, row: int, stock: Stock, seed: int, hours: Hours) -> None:
        self.open, self.high, self.low = bars.open[row], bars.high[row], bars.low[row]
        self.close, self.volume, self.value = bars.close[row], bars.volume[row], bars.value[row]
        self.auction = bars.auction[row]
        self.stock = stock
        self.hours = hours
        self.minutes = (hours.closing_from - hours.open) // 60
        self._ends = auction_key(seed, stock.code)
        self._stream = Stream(key_of(seed, "interruption", stock.code))

    def interrupt(self, swept: Flags, limit_bp: int) -> tuple[Interruption, ...]:
        """Work in the interruptions the prices trip and return them. swept: minutes that span *limit_bp*."""
        found: list[Interruption] = []
        tripping = swept[: self.minutes] | self._jumped(limit_bp)
        reference, slot, offset = self.stock.base, 0, 0
        if self.auction[0]:
            offset = auction_delay(self._ends, 0)
            price = int(self.open[0])
            if abs(price - reference) * WHOLE >= reference * STATIC_BP:
                one = self.hold(Trip("static", price, reference, ()), 0, offset)
                found.append(one)
                slot, offset, price = self._slot(one.end), (one.end - self.hours.open) % 60, one.result
                tripping[slot : slot + 1] = swept[slot : slot + 1]
            reference = price
        while slot < self.minutes:
            at = self._next(tripping, reference, slot)
            if at < 0:
                break
            offset = offset if at == slot else 0
            trip = self._trip(at, reference, limit_bp)
            if trip is None:
                slot, offset = at + 1, 0
                continue
            one = self.hold(trip, at, self._moment(offset, bool(trip.before)), offset)
            found.append(one)
            if not one.result:
                break
            reference, slot, offset = one.result, self._slot(one.end), (one.end - self.hours.open) % 60
            tripping[slot] = swept[slot]
        closing = self._closing()
        return (*found, closing) if closing else tuple(found)

    def hold(self, trip: Trip, slot: int, moment: int, offset: int = 0) -> Interruption:
        """Interrupt at *moment* of minute *slot* (whose trading began at *offset*) and work it into the bars."""
        start = self.hours.open + 60 * slot + moment
        end = start + VI_SECONDS + self._stream.below(RANDOM_END_SECONDS)
        held = int(self.volume[slot])
        last = int(self.close[slot])
        held -= self.cut(slot, trip.before, held * (moment - offset) // (60 - offset) if trip.before else 0)
        result, until = 0, self._slot(end)
        if until >= self.minutes:
            until, end = self.minutes, self.hours.closing_from
        rest = self.volume[slot + 1 : until]
        held += int(rest.sum())
        if rest.any():
            last = int(self.close[slot + 1 : until][np.flatnonzero(rest)[-1]])
        self.clear(slot + 1, until)
        if until == self.minutes:
            self.resume(len(self.volume) - 1, held, last)
        else:
            result = self.resume(until, held, last)
        away = _deviation(trip.price, trip.reference)
        return Interruption(trip.kind, start, end, trip.price, trip.reference, away, result, "")

    def _slot(self, second: int) -> int:
        return (second - self.hours.open) // 60

    def _moment(self, offset: int, after_prints: bool) -> int:
        """Draw the second of a minute at which trading stops; after_prints: later than *offset*."""
        least = offset + after_prints
        return least + self._stream.below(60 - least) if least < 60 else 60

    def _jumped(self, limit_bp: int) -> Flags:
        """Minutes that open too far from the last trade before them."""
        jumped = np.zeros(self.minutes, dtype=np.bool_)
        traded = np.flatnonzero(self.volume[: self.minutes])
        opens, before = self.open[traded[1:]], self.close[traded[:-1]]
        jumped[traded[1:]] = abs(opens - before) * WHOLE >= before * limit_bp
        return jumped

    def _next(self, tripping: Flags, reference: int, slot: int) -> int:
        """Return the next minute from *slot* on that may trip, -1 without one."""
        part = slice(slot, self.minutes)
        far = (self.high[part] * 10 >= reference * 11) | (self.low[part] * 10 <= reference * 9) | tripping[part]
        places = np.flatnonzero(far & (self.volume[part] > 0))
        return slot + int(places[0]) if len(places) else -1

    def _trip(self, slot: int, reference: int, limit_bp: int) -> Trip | None:
        """Return what trips in minute *slot*, None if nothing does after all."""
        opened, high, low = int(self.open[slot]), int(self.high[slot]), int(self.low[slot])
        if not self.auction[slot]:
            if abs(opened - reference) * WHOLE >= reference * STATIC_BP:
                return Trip("static", opened, reference, ())
            traded = np.flatnonzero(self.volume[:slot])
            last = int(self.close[traded[-1]]) if len(traded) else 0
            if last and abs(opened - last) * WHOLE >= last * limit_bp:
                return Trip("dynamic", opened, last, ())
        sweep = _sweep(opened, high, low, int(self.close[slot]), limit_bp)
        if sweep is None:
            return self._static(slot, reference, high, low)
        turns, up = sweep
        # The way to where the sweep begins may trip the static limit first.
        first = self._static(slot, reference, turns[-1], turns[-1])
        if first is not None:
            return first
        price = self.away(turns[-1], limit_bp if up else -limit_bp)
        if abs(price - reference) * WHOLE >= reference * STATIC_BP:
            return Trip("static", price, reference, turns)
        return Trip("dynamic", price, turns[-1], turns)

    def _static(self, slot: int, reference: int, high: int, low: int) -> Trip | None:
        opened, etp = int(self.open[slot]), self.stock.etp
        if high * WHOLE >= reference * (WHOLE + STATIC_BP) and high > opened:
            price = self.away(reference, STATIC_BP)
            return Trip("static", price, reference, _turns(opened, step_price(price, -1, etp=etp)))
        if low * WHOLE <= reference * (WHOLE - STATIC_BP) and low < opened:
            price = self.away(reference, -STATIC_BP)
            return Trip("static", price, reference, _turns(opened, step_price(price, 1, etp=etp)))
        return None

    def away(self, reference: int, by_bp: int) -> int:
        """Return the grid price nearest to *reference* that is *by_bp* or more away from it."""
        exact = reference * (WHOLE + by_bp)
        price = floor_price(exact // WHOLE, etp=self.stock.etp)
        return price if by_bp < 0 or price * WHOLE >= exact else step_price(price, 1, etp=self.stock.etp)

    def offset(self, slot: int) -> int:
        """Return in which second of minute *slot* its prints begin at the earliest: an opening auction takes its time."""
        return auction_delay(self._ends, slot) if slot == 0 or self.auction[slot] else 0

    def clear(self, since: int, until: int) -> None:
        """Take all prints from the minutes [since, until)."""
        for column in (self.open, self.high, self.low, self.close, self.volume, self.auction):
            column[since:until] = 0
        self.value[since:until] = -1

    def cut(self, slot: int, turns: tuple[int, ...], volume: int) -> int:
        """Leave of minute *slot* only the prints through *turns* with about *volume* shares; return the shares left."""
        whole = int(self.volume[slot])
        if whole <= len(turns):
            turns = turns[: whole - 1]
        kept = min(max(volume, len(turns)), whole - 1) if turns else 0
        if not turns:
            self.auction[slot] = False
            turns = (0,)
        self.open[slot], self.close[slot] = turns[0], turns[-1]
        self.high[slot], self.low[slot] = max(turns), min(turns)
        self.volume[slot], self.value[slot] = kept, -1
        return kept

    def resume(self, slot: int, held: int, last: int) -> int:
        """Execute *held* shares at the beginning of minute *slot*; return the price: *last* if nothing else tells."""
        if not self.volume[slot]:
            if not held:
                return 0
            for column in (self.open, self.high, self.low, self.close):
                column[slot] = last
        self.volume[slot] += held
        self.value[slot] = -1
        self.auction[slot] = True
        return int(self.open[slot])

    def _closing(self) -> Interruption | None:
        """Return the interruption of the closing auction if its price is too far from the last trade."""
        traded = np.flatnonzero(self.volume)
        if len(traded) < 2 or traded[-1] != len(self.volume) - 1:
            return None
        price, last = int(self.close[-1]), int(self.close[traded[-2]])
        limit_bp = DYNAMIC_CLOSING_LARGE_BP if self.stock.kospi200 else DYNAMIC_CLOSING_BP
        if abs(price - last) * WHOLE < last * limit_bp:
            return None
        start = self.hours.close + auction_delay(self._ends, len(self.volume) - 1)
        end = start + VI_SECONDS + self._stream.below(RANDOM_END_SECONDS)
        return Interruption("dynamic", start, end, price, last, _deviation(price, last), price, "")


def _deviation(price: int, reference: int) -> int:
    """How far *price* is from *reference*, in basis points truncated toward zero."""
    points = abs(price - reference) * WHOLE // reference
    return points if price > reference else -points


def _turns(*prices: int) -> tuple[int, ...]:
    return prices if prices[0] != prices[-1] else prices[:1]


def _sweep(opened: int, high: int, low: int, close: int, limit_bp: int) -> tuple[tuple[int, ...], bool] | None:
    """Return where a minute's prints turn before it moves by *limit_bp* at once, and whether upwards."""
    if (high - opened) * WHOLE >= opened * limit_bp:
        return (opened,), True
    if (opened - low) * WHOLE >= opened * limit_bp:
        return (opened,), False
    up, down = (high - low) * WHOLE >= low * limit_bp, (high - low) * WHOLE >= high * limit_bp
    if up and (close >= opened or not down):
        return _turns(opened, low), True
    return (_turns(opened, high), False) if down else None
