"""The one hot fold: the tape in, market facts out.

`MarketFold` is mutable inside, because a new value for each of thousands of trades a second would cost more than all
that is computed from them. It is pure all the same: no clock, no I/O, no chance; equal inputs in equal order give
equal outputs and equal state, and no mutable part leaves it. Inputs come in tape order with their `place` in the tape
and the instant `at` they reached it, which never goes back.

Every output is (event, place, caused_by): a `market` event, where in the tape it became true, and the seq of the
control event it answers (the arming of a trigger, the request for a snapshot), None for bars and statuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from kquant.events.base import Event, Recorded
from kquant.events.feed import Dropped, FirstTick, Registered, RegistrationVoid
from kquant.events.market import BarsClosed, MarketStatusChanged, SnapshotTaken, TriggerFired
from kquant.events.orders import TriggerArmed, TriggerDisarmed
from kquant.events.pipeline import SnapshotWanted
from kquant.events.slots import RegisterWanted
from kquant.market.bars import add_trade, close_bar, minute_of, next_minute, unwatch, watch
from kquant.market.board import (
    NO_EPOCH,
    NO_ERA,
    Line,
    changed,
    new_line,
    quoted,
    take_book,
    take_program,
    take_rest,
    take_trade,
)
from kquant.market.records import Book, MarketStatus, ProgramTrade, Record, RestPrice, Trade
from kquant.market.triggers import Armed, arm, holds, trailing_high
from kquant.values import MINUTE_US, Epoch, KquantError, Krw, Micros, Seq, Shares, Symbol, TriggerId

Derived = tuple[Event, int, Seq | None]
"""(event, place in the tape, seq of what it answers)."""

CONTROL_NAMES = frozenset(
    {
        "orders.trigger_armed",
        "orders.trigger_disarmed",
        "pipeline.snapshot_wanted",
        "slots.register_wanted",
        "feed.registered",
        "feed.dropped",
        "feed.void",
        "feed.ticked",
    }
)
"""Stored names of the control events that the fold takes; each gets a mark on the tape."""


class BrokenTape(KquantError):
    """The tape says what cannot be: an unknown kind of record, or a mark of an event the journal does not hold."""


class MarketFold:
    """Board, minute bars and triggers of a day.

    rejected: how many records were not believed, by guard ("price", "volume", "code").   applied: how many were.
    A trade is believed if its price is above zero, its stock's trades were asked for in this epoch, and the day's
    shares have not fallen since the epoch's last trade of the stock. (Per epoch, so that one wrong figure cannot
    silence a stock for the day.) Order books and program trades need a stock that was asked for at all, a REST price
    needs a price above zero and no fewer shares than the board holds.
    """

    def __init__(self) -> None:
        self.applied = 0
        self.rejected: dict[str, int] = {"price": 0, "volume": 0, "code": 0}
        self._lines: dict[Symbol, Line] = {}
        self._statuses: dict[Symbol, MarketStatus] = {}
        self._where: dict[TriggerId, Line] = {}
        self._seen: dict[TriggerId, Seq] = {}
        self._traded: list[Line] = []
        self._epoch = NO_EPOCH
        self._era = 0
        self._start = Micros(0)
        self._end = Micros(0)

    def apply_records(self, records: Iterable[Record], at: Micros, place: int) -> list[Derived]:
        """Apply the records of one frame, or one REST price."""
        out: list[Derived] = self._turn(at, place) if at >= self._end else []
        for record in records:
            kind = type(record)
            if kind is Trade:
                self._trade(record, at, place, out)  # type: ignore[arg-type]
            elif kind is Book:
                self._book(record, at)  # type: ignore[arg-type]
            elif kind is ProgramTrade:
                self._program(record, at)  # type: ignore[arg-type]
            elif kind is MarketStatus:
                self._status(record, place, out)  # type: ignore[arg-type]
            else:
                self._rest(record, at, place, out)  # type: ignore[arg-type]
        return out

    def second(self, at: Micros, place: int) -> list[Derived]:
        """Take a time mark; a minute that ended closes its bars."""
        return self._turn(at, place) if at >= self._end else []

    def epoch_begin(self, epoch: Epoch, at: Micros, place: int) -> list[Derived]:
        """A connection begins: nothing is registered in it yet."""
        out = self._turn(at, place) if at >= self._end else []
        self._sever(at)
        self._epoch = epoch
        return out

    def epoch_end(self, epoch: Epoch, at: Micros, place: int) -> list[Derived]:
        """A connection ended, and every registration with it. Prices of before no longer count for an arming."""
        out = self._turn(at, place) if at >= self._end else []
        if epoch == self._epoch:
            self._sever(at)
            self._epoch = NO_EPOCH
        return out

    def control(self, fact: Recorded, at: Micros, place: int) -> list[Derived]:
        """Apply one control event at its mark on the tape. Names outside CONTROL_NAMES change nothing."""
        out = self._turn(at, place) if at >= self._end else []
        event = fact.event
        match event:
            case TriggerArmed():
                self._arm(event, fact.seq, place, out)
            case TriggerDisarmed():
                self._disarm(event.trigger)
            case SnapshotWanted():
                out.append((self.snapshot(event.run, event.codes, at, place), place, fact.seq))
            case RegisterWanted(channel="trades"):
                self._know(event.code, event.epoch)
            case Registered(channel="trades") | FirstTick(channel="trades"):
                self._know(event.code, event.epoch)
                if event.epoch == self._epoch:
                    watch(self._line(event.code).minute, at)
            case Dropped(channel="trades") | RegistrationVoid(channel="trades"):
                self._forget(event.code, event.epoch, at)
            case _:
                pass
        return out

    def floors(self) -> dict[Symbol, Shares]:
        """Return the day's shares of each stock's last believed trade in its epoch; stocks without one are left out."""
        return {code: Shares(line.floor) for code, line in self._lines.items() if line.floor}

    def refloor(self, code: Symbol) -> None:
        """Believe the stock's next day's volume even if it is lower: the one believed before was wrong."""
        self._line(code).floor = 0

    def snapshot(self, run: int, codes: Sequence[Symbol], at: Micros, place: int) -> SnapshotTaken:
        """Return what the board holds of *codes*, in the order asked. Changes nothing."""
        quotes = tuple(quoted(code, self._lines.get(code), at) for code in codes)
        return SnapshotTaken(run=run, quotes=quotes, place=place)

    def _trade(self, trade: Trade, at: Micros, place: int, out: list[Derived]) -> None:
        line = self._lines.get(trade.code)
        if line is None or line.known != self._epoch or self._epoch == NO_EPOCH:
            self.rejected["code"] += 1
            return
        if trade.last_price <= 0 or trade.last_qty < 0:
            self.rejected["price"] += 1
            return
        if trade.volume < line.floor:
            self.rejected["volume"] += 1
            return
        self.applied += 1
        take_trade(line, trade, at, self._era)
        if line.minute.trades == 0:
            self._traded.append(line)
        add_trade(line.minute, trade.last_price, trade.last_qty)
        if line.armed:
            self._test(line, place, out)

    def _book(self, book: Book, at: Micros) -> None:
        line = self._lines.get(book.code)
        if line is None:
            self.rejected["code"] += 1
            return
        if book.bid < 0 or book.ask < 0:
            self.rejected["price"] += 1
            return
        self.applied += 1
        take_book(line, book, at)

    def _program(self, program: ProgramTrade, at: Micros) -> None:
        line = self._lines.get(program.code)
        if line is None:
            self.rejected["code"] += 1
            return
        self.applied += 1
        take_program(line, program, at)

    def _status(self, status: MarketStatus, place: int, out: list[Derived]) -> None:
        if status.code not in self._lines:
            self.rejected["code"] += 1
            return
        self.applied += 1
        if self._statuses.get(status.code) != status:
            self._statuses[status.code] = status
            # A frame tells a stock's status once, the last of its records: place and code identify the fact.
            out[:] = [one for one in out if not _tells_status(one[0], status.code)]
            out.append((changed(status, place), place, None))

    def _rest(self, price: RestPrice, at: Micros, place: int, out: list[Derived]) -> None:
        line = self._line(price.code)
        if price.last_price <= 0:
            self.rejected["price"] += 1
            return
        if price.volume < line.volume:
            self.rejected["volume"] += 1
            return
        self.applied += 1
        take_rest(line, price, at, self._era)
        if line.armed:
            self._test(line, place, out)

    def _test(self, line: Line, place: int, out: list[Derived]) -> None:
        price = line.last
        fired: list[Armed] = [armed for armed in line.armed if holds(armed, price)]
        for armed in fired:
            line.armed.remove(armed)
            del self._where[armed.trigger]
            out.append((_firing(armed, line, price, place), place, armed.armed_by))

    def _arm(self, event: TriggerArmed, seq: Seq, place: int, out: list[Derived]) -> None:
        if event.trigger in self._seen:
            raise BrokenTape(
                f"trigger {event.trigger} is armed at seq {seq} and was at seq {self._seen[event.trigger]}"
            )
        line = self._line(event.code)
        self._seen[event.trigger] = seq
        self._where[event.trigger] = line
        line.armed.append(arm(event, seq))
        # Only a price that something keeps up to date tells how the stock stands now.
        if line.era == self._era:
            self._test(line, place, out)

    def _disarm(self, trigger: TriggerId) -> None:
        line = self._where.pop(trigger, None)
        if line is not None:
            line.armed[:] = [armed for armed in line.armed if armed.trigger != trigger]

    def _know(self, code: Symbol, epoch: Epoch) -> None:
        line = self._line(code)
        if line.known != epoch:
            line.known = epoch
            line.floor = 0

    def _forget(self, code: Symbol, epoch: Epoch, at: Micros) -> None:
        line = self._line(code)
        if line.known == epoch:
            line.known = NO_EPOCH
            line.era = NO_ERA
            unwatch(line.minute, at, self._start)

    def _sever(self, at: Micros) -> None:
        self._era += 1
        for line in self._lines.values():
            unwatch(line.minute, at, self._start)

    def _line(self, code: Symbol) -> Line:
        line = self._lines.get(code)
        if line is None:
            line = self._lines[code] = new_line(code)
        return line

    def _turn(self, at: Micros, place: int) -> list[Derived]:
        """End the minute under way; a minute in which nothing traded says nothing."""
        start, self._start = self._start, minute_of(at)
        self._end = Micros(self._start + MINUTE_US)
        traded = sorted(self._traded, key=_code)
        bars = tuple(close_bar(ln.minute, ln.code, start, ln.high, trailing_high(ln.armed)) for ln in traded)
        self._traded.clear()
        for line in self._lines.values():
            next_minute(line.minute)
        return [(BarsClosed(start=start, bars=bars, place=place), place, None)] if bars else []


def _tells_status(event: Event, code: Symbol) -> bool:
    return isinstance(event, MarketStatusChanged) and event.code == code


def _code(line: Line) -> Symbol:
    return line.code


def _firing(armed: Armed, line: Line, price: Krw, place: int) -> TriggerFired:
    return TriggerFired(
        trigger=armed.trigger,
        code=line.code,
        price=price,
        bid=line.bid,
        ask=line.ask,
        exchange_time=line.time,
        volume=line.volume,
        place=place,
    )


class TapeLike(Protocol):
    """What a tape record shows. kind: frame, rest, second, epoch_begin, epoch_end, control, rejected or refloor.

    data: the frame's text; a RestPrice in MessagePack; nothing; the epoch's number; the control event's seq; what was
    wrong, a line feed and the frame's text; the stock's code.
    """

    @property
    def place(self) -> int:
        """Place in the tape, from 1."""

    @property
    def at(self) -> Micros:
        """Instant it reached the tape."""

    @property
    def kind(self) -> str:
        """What it is."""

    @property
    def data(self) -> bytes:
        """What it holds."""


Decoder = Callable[[str], Sequence[Record]]
"""A raw frame's text to its records."""

_rest_price = msgspec.msgpack.Decoder(RestPrice)


def replay_into(
    fold: MarketFold, records: Iterable[TapeLike], facts: Mapping[Seq, Recorded], decode: Decoder
) -> Iterator[Derived]:
    """Apply a tape to *fold* exactly as live did, yielding what it derives. facts: the journal's events by seq.

    Raises BrokenTape for a record of unknown kind or a mark of a control event that *facts* does not hold.
    """
    for record in records:
        at, place, kind = record.at, record.place, record.kind
        if kind == "frame":
            yield from fold.apply_records(decode(record.data.decode()), at, place)
        elif kind == "second":
            yield from fold.second(at, place)
        elif kind == "control":
            seq = Seq(int(record.data))
            if seq not in facts:
                raise BrokenTape(f"tape place {place} marks event {seq}, which the journal does not hold")
            yield from fold.control(facts[seq], at, place)
        elif kind == "rest":
            yield from fold.apply_records((_rest_price.decode(record.data),), at, place)
        elif kind == "epoch_begin":
            yield from fold.epoch_begin(Epoch(int(record.data)), at, place)
        elif kind == "epoch_end":
            yield from fold.epoch_end(Epoch(int(record.data)), at, place)
        elif kind == "rejected":
            continue  # it was not believed, so nothing followed from it
        elif kind == "refloor":
            fold.refloor(Symbol(record.data.decode()))
        else:
            raise BrokenTape(f"tape place {place} is of unknown kind {kind!r}: read it with the version that wrote it")


def derive(records: Iterable[TapeLike], facts: Mapping[Seq, Recorded], decode: Decoder) -> Iterator[Derived]:
    """Return every trigger firing, bar and snapshot of a day's tape again, with place and cause, in order."""
    return replay_into(MarketFold(), records, facts, decode)
