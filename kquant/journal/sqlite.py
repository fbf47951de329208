"""The journal in a file: one writer thread that commits in groups."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Condition, Thread, current_thread

from kquant.events.base import Event, Recorded
from kquant.journal.dayfile import create_or_load
from kquant.journal.daylog import Append, DayLog, Nudges, prepare
from kquant.journal.port import JournalError
from kquant.journal.recorder import JournalRecorder, Row
from kquant.values import Micros, Seq

GROUP = 512
"""Most appends in one transaction: bounds how long the first of them waits."""

OnFailure = Callable[[JournalError], None]


class SqliteJournal:
    """A `Journal` whose futures resolve once the rows are on disk. Made by `open_day`.

    now: the run's clock, read once a group by the writer.   on_failure: called once, from the writer's thread, when
    the file can no longer be written; from then on every future raises JournalError and nothing is ever retried.
    """

    def __init__(
        self,
        recorder: JournalRecorder,
        loaded: Sequence[Recorded],
        now: Callable[[], Micros],
        on_failure: OnFailure | None = None,
    ) -> None:
        self._recorder = recorder
        self._now = now
        self._on_failure = on_failure
        self._log = DayLog()
        self._log.load(loaded)
        self._nudges = Nudges()
        self._changed = Condition()
        self._queue: deque[Append] = deque()
        self._closing = False
        self._failure: JournalError | None = None
        self._writer = Thread(target=self._write, name="journal-writer", daemon=True)
        self._writer.start()

    @property
    def head(self) -> Seq:
        """Seq of the last durable event, 0 when empty."""
        return self._log.head

    @property
    def digest(self) -> bytes:
        """Digest of the last durable event; GENESIS when empty."""
        events = self._log.read(Seq(max(self._log.head - 1, 0)), 1)
        return events[0].digest if events else self._log.digest

    @property
    def failure(self) -> JournalError | None:
        """Why nothing can be written any more, None while all is well."""
        return self._failure

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
        """Queue the events for the next group commit; see `Journal.append`. It cannot be cancelled."""
        append = prepare(stream, events, by, caused_by, first_index, expected_version)
        with self._changed:
            refused = self._refusal(stream)
            if refused is None:
                self._queue.append(append)
                self._changed.notify()
        if refused is not None:
            append.future.set_exception(refused)
        return append.future

    def read(self, after: Seq, limit: int = 1_000) -> Sequence[Recorded]:
        """Return up to *limit* durable events with seq above *after*, in order."""
        return self._log.read(after, limit)

    def subscribe(self, nudge: Callable[[], None]) -> Callable[[], None]:
        """Have *nudge* called from the writer's thread after each commit; returns an undo."""
        return self._nudges.add(nudge)

    def close(self) -> None:
        """Commit what is queued and close the file. What is there stays readable. May be called again."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if current_thread() is not self._writer:
            self._writer.join()

    def _refusal(self, stream: str) -> JournalError | None:
        if self._failure is not None:
            return JournalError(f"the journal has failed, nothing may be appended: {self._failure}")
        if self._closing:
            return JournalError(f"the journal is closed: {stream} cannot append")
        return None

    def _write(self) -> None:
        group: list[Append] = []
        try:
            while group := self._next_group():
                self._commit(group)
        except Exception as error:  # noqa: BLE001  # whatever it is, a writer that ends without a word is worse
            self._fail(error, group)
        finally:
            self._recorder.datastore.close()

    def _next_group(self) -> list[Append]:
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            return [self._queue.popleft() for _ in range(min(GROUP, len(self._queue)))]

    def _commit(self, group: list[Append]) -> None:
        """Check each append against what is in memory, so that one that conflicts fails alone; store the others."""
        now = self._now()
        accepted: list[tuple[Append, list[Recorded]]] = []
        refused: list[tuple[Append, JournalError]] = []
        rows: list[Row] = []
        for append in group:
            try:
                records, new = self._log.stage(append, now)
            except JournalError as error:
                refused.append((append, error))
            else:
                accepted.append((append, records))
                rows += new
        if rows:
            self._recorder.insert_rows(rows)
            self._log.publish(record for _, records in accepted for record in records)
        for append, records in accepted:
            append.future.set_result(tuple(records))
        for append, refusal in refused:
            append.future.set_exception(refusal)
        if rows:
            self._nudges.call()

    def _fail(self, cause: Exception, group: list[Append]) -> None:
        failure = JournalError(f"the journal cannot be written, stop and restart: {type(cause).__name__}: {cause}")
        failure.__cause__ = cause
        with self._changed:
            self._failure = failure
            waiting = [append for append in (*group, *self._queue) if not append.future.done()]
            self._queue.clear()
        for append in waiting:
            append.future.set_exception(JournalError(str(failure)))
        if self._on_failure is not None:
            self._on_failure(failure)


def open_day(folder: Path, now: Callable[[], Micros], *, on_failure: OnFailure | None = None) -> SqliteJournal:
    """Open the day's journal for writing, or begin it; everything stored is checked first.

    Raises JournalError, in one line, if the folder or file cannot be written, is of another format, is in use by
    another process, or was altered (naming the seq, and the column if that can be told).
    """
    recorder, loaded = create_or_load(folder)
    return SqliteJournal(recorder, loaded, now, on_failure)
