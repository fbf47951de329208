"""A day's journal file: beginning it, reading it back, and saying what is wrong with it in one line."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import NoneType
from typing import Any, Protocol

from eventsourcing.persistence import PersistenceError

from kquant.events import codec
from kquant.events.base import Event, Recorded, UnknownEvent
from kquant.journal._disk import sync_folder
from kquant.journal.port import JournalError
from kquant.journal.recorder import SELECT_ROWS, JournalDatastore, JournalRecorder, Row
from kquant.values import Micros, Seq

JOURNAL_FILE = "journal.sqlite"
"""Name of the file in the day's folder."""

LOG_BYTES = 1_100 * 4_120
"""What SQLite's log grows to before its pages are taken over (1,000 frames of a page each) and it is begun anew."""

MAX_SEQ = 2**63 - 1

INDEX_GUESSES = 64
"""How many indices are tried when the column of an altered row is looked for."""


# In column order. A STRICT table holds these, unless the file was altered past SQLite.
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "seq": int,
    "stream": str,
    "version": int,
    "name": str,
    "payload_version": int,
    "payload": bytes,
    "at": int,
    "by": str,
    "caused_by": (int, NoneType),
    "idx": int,
    "digest": bytes,
}


class _Cursor(Protocol):
    def execute(self, statement: str, /) -> Any: ...
    def fetchone(self) -> Any: ...


def create_or_load(folder: Path) -> tuple[JournalRecorder, list[Recorded]]:
    """Open the day's file for writing, creating folder and file if they are missing, and return what it holds, checked.

    Raises JournalError; nothing stays open then.
    """
    path = folder / JOURNAL_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JournalError(f"{folder}: cannot be used as a day's folder: {error.strerror}") from error
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise JournalError(f"{path}: read-only, a running day needs a folder it can write")
    datastore = JournalDatastore(path)
    try:
        recorder = JournalRecorder(datastore)
        with datastore.transaction(commit=False) as cursor:
            is_new = _scalar(cursor, "SELECT COUNT(*) FROM sqlite_master") == 0
        if is_new:
            recorder.create_table()
            for made in (folder, folder.parent):
                sync_folder(made)
        with datastore.transaction(commit=False) as cursor:
            records = _load(cursor, path, check=True)
        _fill(path.with_name(JOURNAL_FILE + "-wal"))
    except (sqlite3.Error, PersistenceError, UnicodeDecodeError, OSError) as error:
        datastore.close()
        raise _explained(path, error) from error
    except BaseException:
        datastore.close()
        raise
    return recorder, records


def _fill(log: Path) -> None:
    """Give SQLite's log its full size, so that commits overwrite it from the first one on.

    A file that grows needs the file system's own journal at each commit, which waits for what all others have written:
    milliseconds, and hundreds of them on a busy disk. SQLite knows its frames by their checksums: zeroes are none.
    """
    with log.open("r+b") as file:
        missing = LOG_BYTES - file.seek(0, os.SEEK_END)
        if missing > 0:
            file.write(bytes(missing))
            file.flush()
            os.fsync(file.fileno())


def read_streams(folder: Path, streams: Collection[str], upto: Seq | None = None) -> Iterator[tuple[str, Event]]:
    """Yield (stream, event) of the named streams in the order of the day, up to *upto*: what folding owners needs.

    Rows are decoded as they are read, and nothing is checked but that they can be: see `read_day` for that.
    Raises JournalError in one line.
    """
    path = folder / JOURNAL_FILE
    # The plus keeps SQLite from collecting by the stream's index and sorting: the table lies in seq order already.
    marks = ", ".join("?" * len(streams))
    query = (
        f"SELECT stream, name, payload_version, payload FROM journal WHERE +stream IN ({marks}) "  # noqa: S608  marks
        "AND seq <= ? ORDER BY seq"
    )
    try:
        with _reading(path) as cursor:
            if _scalar(cursor, "SELECT COUNT(*) FROM sqlite_master") == 0:
                return
            for stream, name, version, payload in cursor.execute(query, (*streams, MAX_SEQ if upto is None else upto)):
                yield stream, codec.decode(name, version, payload)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise _explained(path, error) from error
    except UnknownEvent as error:
        raise JournalError(f"{path}: {error}") from error


def read_day(folder: Path, *, check: bool = True) -> Sequence[Recorded]:
    """Return all events of a day that no process is writing, without touching the file.

    check: recompute the digest chain and have SQLite check its structure; without it only the decoding can fail.
    A file without a table, left by a process killed while it began the day, holds no events.
    Raises JournalError in one line, also for a day that is running: ask the running instance instead.
    """
    path = folder / JOURNAL_FILE
    try:
        with _reading(path) as cursor:
            if _scalar(cursor, "SELECT COUNT(*) FROM sqlite_master") == 0:
                return []
            return _load(cursor, path, check=check)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise _explained(path, error) from error


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Cursor]:
    if not path.is_file():
        raise JournalError(f"{path}: no such journal")
    log = path.with_name(JOURNAL_FILE + "-wal")
    # What a killed process left in the log belongs to the day; only without one may SQLite skip it (and all locks).
    has_log = log.exists() and log.stat().st_size > 0
    uri = f"{path.absolute().as_uri()}?mode=ro{'' if has_log else '&immutable=1'}"
    with closing(sqlite3.connect(uri, uri=True, timeout=0)) as conn, closing(conn.cursor()) as cursor:
        yield cursor


def _load(cursor: _Cursor, path: Path, *, check: bool) -> list[Recorded]:
    if _scalar(cursor, "SELECT COUNT(*) FROM sqlite_master WHERE name IN ('meta', 'journal')") != 2:
        raise JournalError(f"{path}: not a journal of this program")
    found = _scalar(cursor, "SELECT MAX(value) FROM meta WHERE key = 'format'")
    if found != str(codec.FORMAT):
        raise JournalError(f"{path}: has format {found}, this version reads {codec.FORMAT}: use the one that wrote it")
    rows = list(_rows(cursor, path))
    if check:
        _check(rows, path)
        # The chain covers what the rows say; indices and free pages are SQLite's to check.
        state = _scalar(cursor, "PRAGMA integrity_check(1)")
        if state != "ok":
            raise JournalError(f"{path}: damaged: {' '.join(str(state).split())}")
    return [_recorded(row, path) for row in rows]


def _rows(cursor: _Cursor, path: Path) -> Iterator[Row]:
    cursor.execute(SELECT_ROWS)
    seq = 0
    while True:
        try:
            row = cursor.fetchone()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise JournalError(f"{path}: altered at seq {seq + 1} or what follows cannot be read: {error}") from error
        if row is None:
            return
        found = Row(*row)
        seq = found.seq
        for (column, kinds), value in zip(_KINDS.items(), found, strict=True):
            if not isinstance(value, kinds):
                raise JournalError(f"{path}: altered at seq {seq}: column {column} was changed to {value!r}")
        yield found


def _recorded(row: Row, path: Path) -> Recorded:
    try:
        event = codec.decode(row.name, row.payload_version, row.payload)
    except UnknownEvent as error:
        raise JournalError(f"{path}: seq {row.seq}: {error}") from error
    return Recorded(
        seq=Seq(row.seq),
        stream=row.stream,
        version=row.version,
        name=row.name,
        at=Micros(row.at),
        by=row.by,
        caused_by=None if row.caused_by is None else Seq(row.caused_by),
        index=row.idx,
        event=event,
        digest=row.digest,
    )


def _check(rows: Sequence[Row], path: Path) -> None:
    """Recompute the chain; raises JournalError naming the first row that does not hold."""
    digest = codec.GENESIS
    versions: dict[str, int] = {}
    for place, row in enumerate(rows, 1):
        if row.seq != place:
            raise JournalError(f"{path}: altered at seq {place}: the row is missing, the next has seq {row.seq}")
        expected = versions.get(row.stream, 0) + 1
        if _chained(digest, row) != row.digest:
            column = _altered_column(digest, rows, place, expected)
            raise JournalError(f"{path}: altered at seq {place}: {column}, the digest does not hold")
        if row.version != expected:
            raise JournalError(f"{path}: broken at seq {place}: {row.stream} has version {row.version}, not {expected}")
        versions[row.stream] = row.version
        digest = row.digest


def _chained(before: bytes, row: Row) -> bytes:
    cause = None if row.caused_by is None else Seq(row.caused_by)
    return codec.chain(
        before,
        Seq(row.seq),
        row.stream,
        row.version,
        row.name,
        row.payload_version,
        Micros(row.at),
        row.by,
        cause,
        row.idx,
        row.payload,
    )


def _altered_column(before: bytes, rows: Sequence[Row], place: int, expected_version: int) -> str:
    """Say which column of the row at *place* was altered, by finding the one whose true value restores the digest.

    `at` and `payload` cannot be guessed: they are what is left.
    """
    row = rows[place - 1]
    following = rows[place] if place < len(rows) else None
    if following is not None and _chained(_chained(before, row), following) == following.digest:
        return "column digest was changed"
    guesses: list[tuple[str, Sequence[Any]]] = [
        ("version", (expected_version,)),
        ("idx", range(INDEX_GUESSES)),
        ("name", tuple(codec.EVENTS)),
        ("stream", sorted({other.stream for other in rows})),
        ("by", sorted({other.by for other in rows})),
        ("caused_by", (None, *range(1, place))),
    ]
    for column, values in guesses:
        for value in values:
            if _chained(before, row._replace(**{column: value})) == row.digest:
                return f"column {column} was changed from {value!r} to {getattr(row, column)!r}"
    if any(known.at > row.at for known in rows[place - 2 : place - 1]):
        return "column at was changed: it goes back"
    try:
        codec.decode(row.name, row.payload_version, row.payload)
    except UnknownEvent:
        return "column payload was changed: it cannot be decoded"
    return "column payload or at was changed"


def _scalar(cursor: _Cursor, statement: str) -> Any:
    cursor.execute(statement)
    return cursor.fetchone()[0]


def _explained(path: Path, error: Exception) -> JournalError:
    text = " ".join(str(error).split())
    if "locked" in text:
        return JournalError(f"{path}: in use by a running instance, ask that one")
    if "not a database" in text:
        return JournalError(f"{path}: not a database, restore it from a copy")
    if "readonly" in text or "unable to open" in text:
        return JournalError(f"{path}: cannot be opened ({text}): check its rights, or copy the folder elsewhere")
    return JournalError(f"{path}: cannot be read: {text}")
