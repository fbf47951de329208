"""The journal in memory, for tests and the simulator: the same rules, committed in the caller's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Lock

from kquant.events.base import Event, Recorded
from kquant.journal.daylog import Append, DayLog, Nudges, pending, prepare
from kquant.journal.port import JournalError
from kquant.values import Micros, Seq


class MemoryJournal:
    """A `Journal` without a file. Futures are resolved when `append` returns; nudges run in the appender's thread.

    now: the run's clock, read once an append.
    """

    def __init__(self, now: Callable[[], Micros]) -> None:
        self._now = now
        self._log = DayLog()
        self._nudges = Nudges()
        self._placed_nudges = Nudges()
        self._lock = Lock()
        self._closed = False

    @property
    def head(self) -> Seq:
        """Seq of the last event, 0 when empty."""
        return self._log.head

    @property
    def placed(self) -> Seq:
        """The same: what has its place is kept."""
        return self._log.placed

    @property
    def digest(self) -> bytes:
        """Digest of the last event."""
        return self._log.digest

    def append(
        self,
        stream: str,
        events: Sequence[Event],
        *,
        by: str,
        caused_by: Seq | None = None,
        first_index: int = 0,
        expected_version: int | None = None,
    ) -> Future[tuple[Recorded, ...]]:
        """Append at once; see `Journal.append`."""
        append, future = prepare(stream, events, by, caused_by, first_index, expected_version), pending()
        try:
            self._keep(append, future)
        except JournalError as error:
            future.set_exception(error)
        return future

    def place(
        self,
        stream: str,
        events: Sequence[Event],
        *,
        by: str,
        caused_by: Seq | None = None,
        first_index: int = 0,
        expected_version: int | None = None,
    ) -> tuple[Recorded, ...]:
        """Append and return what was appended, or raise; see `Journal.place`."""
        return self._keep(prepare(stream, events, by, caused_by, first_index, expected_version), None)

    def _keep(self, append: Append, future: Future[tuple[Recorded, ...]] | None) -> tuple[Recorded, ...]:
        with self._lock:
            if self._closed:
                raise JournalError(f"the journal is closed: {append.stream} cannot append")
            records = self._log.place(append, self._now(), future).records
            self._log.publish(self._log.placed)
        if future is not None:
            future.set_result(records)
        if records:
            self._placed_nudges.call({record.event.ANSWERED_BY for record in records})
            self._nudges.call({record.name for record in records})
        return records

    def read(self, after: Seq, limit: int = 1_000) -> Sequence[Recorded]:
        """Return up to *limit* events with seq above *after*, in order."""
        return self._log.read(after, limit)

    def read_placed(self, after: Seq, limit: int = 1_000) -> Sequence[Recorded]:
        """Return the same."""
        return self._log.read(after, limit)

    def subscribe(self, nudge: Callable[[], None], names: frozenset[str] | None = None) -> Callable[[], None]:
        """Have *nudge* called after each append of *names*, None for all; returns an undo."""
        return self._nudges.add(nudge, names)

    def subscribe_placed(self, nudge: Callable[[], None], stream: str) -> Callable[[], None]:
        """Have *nudge* called before those of `subscribe`; returns an undo."""
        return self._placed_nudges.add(nudge, frozenset({stream}))

    def close(self) -> None:
        """Refuse further appends; what is there stays readable."""
        with self._lock:
            self._closed = True
