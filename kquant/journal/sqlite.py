"""The journal in a file: appenders give events their place, one writer thread commits them in groups."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Condition, Thread, current_thread
from time import monotonic, sleep

from kquant.events.base import Event, Recorded
from kquant.journal.dayfile import create_or_load
from kquant.journal.daylog import Append, DayLog, Nudges, Placed, pending, prepare
from kquant.journal.port import JournalError
from kquant.journal.recorder import JournalRecorder
from kquant.values import Micros, Seq

GROUP = 512
"""Most appends in one transaction: bounds how long the first of them waits."""

PATIENCE_SECONDS = 0.001
"""How long a commit waits for the answer to an event that awaits one (`Event.ANSWERED_BY`): two commits cost more."""

HEAD_START_SECONDS = 0.0005
"""What waits for such a commit acts before the others are woken: they would compete with it for the interpreter."""

OnFailure = Callable[[JournalError], None]


class SqliteJournal:
    """A `Journal` whose futures resolve once the rows are on disk. Made by `open_day`.

    now: the run's clock, read once an append.   on_failure: called once when the file can no longer be written, as a
    rule from the writer's thread; from then on every future raises JournalError and nothing is ever retried. What has
    its place by then is in no file: whoever decided on it is stopped with the process.
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
        self._placed_nudges = Nudges()
        self._changed = Condition()
        self._queue: deque[Placed] = deque()
        self._since = 0.0
        """When the first of the queue came, on the machine's monotonic clock."""
        self._closing = False
        self._failure: JournalError | None = None
        self._writer = Thread(target=self._write, name="journal-writer", daemon=True)
        self._writer.start()

    @property
    def head(self) -> Seq:
        """Seq of the last durable event, 0 when empty."""
        return self._log.head

    @property
    def placed(self) -> Seq:
        """Seq of the last event that has its place, durable or not."""
        return self._log.placed

    @property
    def digest(self) -> bytes:
        """Digest of the last durable event; GENESIS when empty."""
        return self._log.digest

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
        """Place the events and queue them for the next group commit; see `Journal.append`. It cannot be cancelled."""
        append, future = prepare(stream, events, by, caused_by, first_index, expected_version), pending()
        try:
            self._place(append, future)
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
        """Place the events, queue them for the next group commit and return them; see `Journal.place`."""
        return self._place(prepare(stream, events, by, caused_by, first_index, expected_version), None)

    def read(self, after: Seq, limit: int = 1_000) -> Sequence[Recorded]:
        """Return up to *limit* durable events with seq above *after*, in order."""
        return self._log.read(after, limit)

    def read_placed(self, after: Seq, limit: int = 1_000) -> Sequence[Recorded]:
        """Return up to *limit* events with seq above *after*, durable or not, in order."""
        return self._log.read_placed(after, limit)

    def subscribe(self, nudge: Callable[[], None], names: frozenset[str] | None = None) -> Callable[[], None]:
        """Have *nudge* called from the writer's thread after each commit of *names*, None for all; returns an undo."""
        return self._nudges.add(nudge, names)

    def subscribe_placed(self, nudge: Callable[[], None], stream: str) -> Callable[[], None]:
        """Have *nudge* called from the appender's thread once an event that *stream* answers has its place."""
        return self._placed_nudges.add(nudge, frozenset({stream}))

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

    def _place(self, append: Append, future: Future[tuple[Recorded, ...]] | None) -> tuple[Recorded, ...]:
        broken: Exception | None = None
        with self._changed:
            refused = self._refusal(append.stream)
            if refused is not None:
                raise refused
            try:
                placed = self._log.place(append, self._now(), future)
            except JournalError:
                raise
            except Exception as error:  # noqa: BLE001  # half placed perhaps: nothing may come behind it
                broken = error
            else:
                if not self._queue:
                    self._since = monotonic()
                    self._changed.notify()
                elif not placed.answered_by:
                    self._changed.notify()
                self._queue.append(placed)
        if broken is not None:
            raise self._fail(broken, [])
        if placed.answered_by:
            self._placed_nudges.call(placed.answered_by)
        return placed.records

    def _write(self) -> None:
        group: list[Placed] = []
        try:
            while group := self._next_group():
                self._commit(group)
        except Exception as error:  # noqa: BLE001  # whatever it is, a writer that ends without a word is worse
            self._fail(error, group)
        finally:
            self._recorder.datastore.close()

    def _next_group(self) -> list[Placed]:
        """Return what to commit together, once there is something; nothing at the end."""
        with self._changed:
            while self._failure is None:
                if self._queue:
                    patience = self._patience()
                    if patience <= 0:
                        break
                    self._changed.wait(patience)
                elif self._closing:
                    break
                else:
                    self._changed.wait()
            group = [self._queue.popleft() for _ in range(min(GROUP, len(self._queue)))]
            self._since = monotonic()
            return group

    def _patience(self) -> float:
        """Return how many seconds longer to wait for the answer to what came last."""
        if self._closing or len(self._queue) >= GROUP or not self._queue[-1].answered_by:
            return 0
        return self._since + PATIENCE_SECONDS - monotonic()

    def _commit(self, group: list[Placed]) -> None:
        """Store the group in one transaction; only then it is told."""
        rows = [row for placed in group for row in placed.rows]
        if rows:
            self._recorder.insert_rows(rows)
            self._log.publish(rows[-1].seq)
        for placed in group:
            if placed.future is not None:
                placed.future.set_result(placed.records)
        if rows:
            if any(placed.answered_by for placed in group):
                sleep(HEAD_START_SECONDS)
            self._nudges.call({record.name for placed in group for record in placed.records})

    def _fail(self, cause: Exception, group: list[Placed]) -> JournalError:
        """Refuse everything from now on; the first cause is told."""
        failure = JournalError(f"the journal cannot be written, stop and restart: {type(cause).__name__}: {cause}")
        failure.__cause__ = cause
        with self._changed:
            first = self._failure is None
            self._failure = self._failure or failure
            waiting = [placed.future for placed in (*group, *self._queue) if placed.future is not None]
            self._queue.clear()
            self._changed.notify()
        for future in waiting:
            if not future.done():
                future.set_exception(JournalError(str(failure)))
        if first and self._on_failure is not None:
            self._on_failure(failure)
        return failure


def open_day(folder: Path, now: Callable[[], Micros], *, on_failure: OnFailure | None = None) -> SqliteJournal:
    """Open the day's journal for writing, or begin it; everything stored is checked first.

    Raises JournalError, in one line, if the folder or file cannot be written, is of another format, is in use by
    another process, or was altered (naming the seq, and the column if that can be told).
    """
    recorder, loaded = create_or_load(folder)
    return SqliteJournal(recorder, loaded, now, on_failure)
