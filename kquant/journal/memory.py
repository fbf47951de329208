"""The journal in memory, for tests and the simulator: the same rules, committed in the caller's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Lock

from kquant.events.base import Event, Recorded
from kquant.journal.daylog import DayLog, Nudges, prepare
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
        self._lock = Lock()
        self._closed = False

    @property
    def head(self) -> Seq:
        """Seq of the last event, 0 when empty."""
        return self._log.head

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
        append = prepare(stream, events, by, caused_by, first_index, expected_version)
        with self._lock:
            if self._closed:
                append.future.set_exception(JournalError(f"the journal is closed: {stream} cannot append"))
                return append.future
            try:
                records, _ = self._log.stage(append, self._now())
            except JournalError as error:
                append.future.set_exception(error)
                return append.future
            self._log.publish(records)
        append.future.set_result(tuple(records))
        if records:
            self._nudges.call()
        return append.future

    def read(self, after: Seq, limit: int = 1_000) -> Sequence[Recorded]:
        """Return up to *limit* events with seq above *after*, in order."""
        return self._log.read(after, limit)

    def subscribe(self, nudge: Callable[[], None]) -> Callable[[], None]:
        """Have *nudge* called after each append; returns an undo."""
        return self._nudges.add(nudge)

    def close(self) -> None:
        """Refuse further appends; what is there stays readable."""
        with self._lock:
            self._closed = True
