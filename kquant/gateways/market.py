"""The market desk: one thread's gateway between the feed, the tape, the market fold and the journal.

Everything that reaches the fold goes on the tape first, in the order applied: frames, REST prices, second marks,
connection epochs, and a mark for every control event with its seq. A frame that the guards do not believe lies there as
`rejected` and goes no further, so a replay need not ask them again. What the fold reports becomes events in stream
`market`; the tape is flushed up to a fact's place before the fact is appended. Not thread-safe: it lives on one loop,
other threads hand their input over with `call_soon_threadsafe`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from kquant.events.base import Event, Recorded
from kquant.events.day import AlertRaised
from kquant.events.market import BarsClosed, MarketStatusChanged
from kquant.gateways.kis.feed.guards import Guards, Quarantine, Reason, Verdict
from kquant.journal.port import AlreadyAnswered, Journal, JournalError
from kquant.journal.tape import Tape, TapeRecord
from kquant.market.board import NO_EPOCH
from kquant.market.fold import CONTROL_NAMES, Derived, MarketFold, replay_into
from kquant.market.records import Record, RestPrice
from kquant.values import Epoch, Krw, Micros, Seq, Symbol

STREAM = "market"
FEED = "feed"
REJECTED_CHARS = 65_536
"""As much of a frame that was not believed is kept."""


class Now(Protocol):
    """A clock that can be read."""

    def now(self) -> Micros:
        """Return UTC microseconds of the run's clock."""


class MarketDesk:
    """Owns the tape's writer and the live fold. last_epoch, open_epoch: as the tape tells them, 0 for none.

    decode: a raw frame's text to its records; only used to fold an existing tape at start.
    changed: called whenever the desk may have become idle.
    """

    def __init__(
        self,
        journal: Journal,
        tape: Tape,
        clock: Now,
        *,
        decode: Callable[[str], Sequence[Record]],
        changed: Callable[[], None],
        on_fatal: Callable[[str], None],
    ) -> None:
        self.fold = MarketFold()
        self.last_epoch = self.open_epoch = NO_EPOCH
        self._journal = journal
        self._tape = tape
        self._clock = clock
        self._decode = decode
        self._changed = changed
        self._on_fatal = on_fatal
        self._guards = Guards()
        self._quarantine = Quarantine()
        self._cursor = Seq(0)

    def recover(self, records: Iterable[TapeRecord]) -> None:
        """Fold the day's tape so far, append what was derived but not yet recorded, and go on after its last mark."""
        facts = self._journal.read(Seq(0), 1_000_000)
        by_seq = {fact.seq: fact for fact in facts}
        answered = {fact.caused_by for fact in facts if fact.stream == STREAM and fact.caused_by is not None}
        minutes = {fact.event.start for fact in facts if isinstance(fact.event, BarsClosed)}
        statuses = {
            (fact.event.place, fact.event.code) for fact in facts if isinstance(fact.event, MarketStatusChanged)
        }
        missing: list[Derived] = []
        for derived in replay_into(self.fold, self._marking(records), by_seq, self._decode):
            event, _, caused_by = derived
            if isinstance(event, BarsClosed):
                known = event.start in minutes
            elif isinstance(event, MarketStatusChanged):
                known = (event.place, event.code) in statuses
            else:
                known = caused_by in answered
            if not known:
                missing.append(derived)
        for fact in facts[: self._cursor]:
            self._guards.learn(fact)
        self._guards.floors(self.fold.floors())
        self._report(missing)

    def _marking(self, records: Iterable[TapeRecord]) -> Iterable[TapeRecord]:
        for record in records:
            if record.kind == "control":
                self._cursor = max(self._cursor, control_seq(record))
            elif record.kind == "epoch_begin":
                self.open_epoch = self.last_epoch = Epoch(int(record.data))
            elif record.kind == "epoch_end":
                self.open_epoch = NO_EPOCH
            yield record

    def idle(self) -> bool:
        """Tell whether every control event is applied and every report is durable: what is not cannot be read yet."""
        return self._cursor >= self._journal.placed

    def catch_up(self) -> None:
        """Apply control events appended since the last look."""
        while facts := self._journal.read(self._cursor):
            for fact in facts:
                self._cursor = fact.seq
                self._guards.learn(fact)
                if fact.name in CONTROL_NAMES:
                    self._control(fact)
        self._changed()

    def frame(self, text: str, records: Sequence[Record]) -> int | None:
        """Take one data frame with its decoded records; return its place in the tape, None if it is not believed."""
        at = self._clock.now()
        verdict = self._guards.check(records, at)
        if verdict is not None and not self._believed(verdict, text, at):
            return None
        place = self._tape.append("frame", at, text.encode())
        self._report(self.fold.apply_records(records, at, place))
        return place

    def reject(self, text: str, reason: Reason) -> None:
        """Keep a text that is no data frame at all on the tape, and count it."""
        self._guards.reject(reason)
        self._quarantined(text, reason, self._clock.now())

    @property
    def rejected(self) -> Mapping[str, int]:
        """How many frames were not believed, by reason."""
        return self._guards.counts

    def limits(self, code: Symbol, lower: Krw, upper: Krw) -> None:
        """Take a stock's limits of the day as the broker tells them (won); 0 for none."""
        self._guards.limits(code, lower, upper)

    def _believed(self, verdict: Verdict, text: str, at: Micros) -> bool:
        """Do what a verdict says beside the frame itself; tell whether the frame is believed."""
        if verdict.alert:
            self._alert(verdict.alert)
        if verdict.refloor is not None:
            self._tape.append("refloor", at, verdict.refloor.encode())
            self.fold.refloor(verdict.refloor)
        if verdict.reason is None:
            return True
        self._quarantined(text, verdict.reason, at)
        return False

    def _quarantined(self, text: str, reason: Reason, at: Micros) -> None:
        """Keep a frame that is not believed on the tape, where the fold never sees it."""
        self._tape.append("rejected", at, f"{reason}\n{text[:REJECTED_CHARS]}".encode(errors="replace"))
        alert = self._quarantine.note(reason, self._guards.counts, at)
        if alert:
            self._alert(alert)

    def _alert(self, text: str) -> None:
        # Not in stream `market`: what stands there is derived from the tape, and guards are no part of that.
        self._append(AlertRaised(level="warning", text=text), None, FEED)

    def price(self, price: RestPrice) -> None:
        """Take one price asked over REST."""
        at = self._clock.now()
        place = self._tape.append("rest", at, msgspec.msgpack.encode(price))
        self._report(self.fold.apply_records((price,), at, place))

    def second(self, at: Micros) -> None:
        """Mark that market time reached *at*; minutes that ended close their bars.

        What the second held is handed to the operating system, so a kill costs no more than the second under way.
        """
        place = self._tape.append("second", at, b"")
        self._report(self.fold.second(at, place))
        self._tape.flush()

    def flush(self) -> None:
        """Hand the tape so far to the operating system, as before an event that cites a place in it."""
        self._tape.flush()

    def epoch_begin(self, epoch: Epoch) -> None:
        """A connection begins."""
        at = self._clock.now()
        self._guards.epoch(epoch)
        self.last_epoch = self.open_epoch = epoch
        place = self._tape.append("epoch_begin", at, str(epoch).encode())
        self._report(self.fold.epoch_begin(epoch, at, place))

    def epoch_end(self, epoch: Epoch) -> None:
        """A connection ended."""
        at = self._clock.now()
        self._guards.epoch(NO_EPOCH)
        self.open_epoch = NO_EPOCH
        place = self._tape.append("epoch_end", at, str(epoch).encode())
        self._report(self.fold.epoch_end(epoch, at, place))

    def close(self) -> None:
        """Seal the tape's open block."""
        self._tape.close()

    def _control(self, fact: Recorded) -> None:
        at = self._clock.now()
        place = self._tape.append("control", at, str(fact.seq).encode())
        self._report(self.fold.control(fact, at, place))

    def _report(self, derived: Iterable[Derived]) -> None:
        batch = list(derived)
        if not batch:
            return
        self._tape.flush()
        for event, _, caused_by in batch:
            self._append(event, caused_by)

    def _append(self, event: Event, caused_by: Seq | None, stream: str = STREAM) -> None:
        # Nobody here acts on a report, so nobody waits for the disk; a journal that fails says so itself.
        try:
            self._journal.place(stream, [event], by="market", caused_by=caused_by)
        except AlreadyAnswered:
            return
        except JournalError as error:
            self._on_fatal(f"market: {error}")


def control_seq(record: TapeRecord) -> Seq:
    """Return the seq a control mark stands for."""
    return Seq(int(record.data))
