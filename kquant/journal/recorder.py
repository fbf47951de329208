"""The `eventsourcing` package's SQLite recorder, subclassed for the journal's own table.

What is kept of the package: the recorder interface, its datastore and pool, its transactions. What is ours: the table
with an explicit `seq`, exactly one connection, `BEGIN IMMEDIATE`, WAL with synchronous=FULL asserted, and rules inside
the database that make it append-only. The package reads through the view `stored_events`, so its queries stay as they
are and its own recorder test cases run against this class.

One connection only: SQLite 3.7.0-3.51.2 can corrupt a WAL file that two connections write (fixed in 3.51.3).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from eventsourcing.persistence import InterfaceError, StoredEvent
from eventsourcing.sqlite import (
    SQLiteApplicationRecorder,
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteDatastore,
    SQLiteTransaction,
)

from kquant.events import codec
from kquant.values import Micros, Seq

FULL = 2
"""The value of PRAGMA synchronous that makes a commit survive a power loss."""

LOCK_SECONDS = 2
"""How long to wait for a foreign lock before giving up: a second instance is refused within two seconds."""

_COLUMNS = 'seq, stream, version, name, payload_version, payload, at, "by", caused_by, idx, digest'

SELECT_ROWS = f"SELECT {_COLUMNS} FROM journal ORDER BY seq"  # noqa: S608  # constants
"""Reads the table in the order of `Row`."""

_TABLES = (
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS journal (
        seq INTEGER PRIMARY KEY,
        stream TEXT NOT NULL,
        version INTEGER NOT NULL,
        name TEXT NOT NULL,
        payload_version INTEGER NOT NULL,
        payload BLOB NOT NULL,
        at INTEGER NOT NULL,
        "by" TEXT NOT NULL,
        caused_by INTEGER CHECK (caused_by BETWEEN 1 AND seq - 1),
        idx INTEGER NOT NULL CHECK (idx >= 0),
        digest BLOB NOT NULL CHECK (length(digest) = 32),
        UNIQUE (stream, version),
        UNIQUE (stream, caused_by, idx)
    ) STRICT""",
    # The names the package's queries use.
    """CREATE VIEW IF NOT EXISTS stored_events AS
        SELECT seq AS rowid, stream AS originator_id, version AS originator_version, name AS topic, payload AS state
        FROM journal""",
)


def _refuse(name: str, table: str, when: str, condition: str, message: str) -> str:
    guard = f"WHEN {condition}" if condition else ""
    return (
        f"CREATE TRIGGER IF NOT EXISTS {name} BEFORE {when} ON {table} {guard} "
        f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
    )


class Row(NamedTuple):
    """One row of the table, in column order. Units and meaning: `events.base.Recorded`."""

    seq: int
    stream: str
    version: int
    name: str
    payload_version: int
    payload: bytes
    at: int
    by: str
    caused_by: int | None
    idx: int
    digest: bytes


class _ImmediateTransaction(SQLiteTransaction):
    """A writer takes its lock at BEGIN, so that it fails before any work and never in the middle."""

    def __enter__(self) -> SQLiteCursor:
        cursor = self.connection.cursor()
        cursor.execute("BEGIN IMMEDIATE" if self.commit else "BEGIN")
        return cursor


class _JournalConnection(SQLiteConnection):
    @contextmanager
    def transaction(self, *, commit: bool) -> Iterator[SQLiteCursor]:
        with _ImmediateTransaction(self, commit=commit) as cursor, cursor:
            yield cursor


class _JournalPool(SQLiteConnectionPool):
    """A pool of exactly one connection, which holds the file's lock as long as it is open."""

    def _create_connection(self) -> SQLiteConnection:
        try:
            conn = sqlite3.connect(
                self.db_name, uri=True, check_same_thread=False, isolation_level=None, timeout=LOCK_SECONDS
            )
        except sqlite3.Error as error:
            raise InterfaceError(error) from error
        try:
            # Before WAL: the index of the log then lives in memory and no second process can write, or even read.
            conn.execute("PRAGMA locking_mode=EXCLUSIVE")
            _demand(conn, "PRAGMA journal_mode=WAL", "memory" if self.is_sqlite_memory_mode else "wal")
            conn.execute(f"PRAGMA synchronous={FULL}")
            _demand(conn, "PRAGMA synchronous", FULL)
            conn.execute("PRAGMA foreign_keys=ON")
        except (sqlite3.Error, InterfaceError) as error:
            conn.close()
            raise error if isinstance(error, InterfaceError) else InterfaceError(error) from error
        conn.row_factory = sqlite3.Row
        return _JournalConnection(sqlite_conn=conn, max_age=None)


def _demand(conn: sqlite3.Connection, pragma: str, wanted: object) -> None:
    found = conn.execute(pragma).fetchone()[0]
    if found != wanted:
        raise InterfaceError(f"{pragma} gives {found}, {wanted} is needed for a durable journal")


class JournalDatastore(SQLiteDatastore):
    """The journal file: one connection, exclusive, durable. Creates the file if it is missing."""

    def __init__(self, path: Path | str) -> None:
        name = path if isinstance(path, str) else path.absolute().as_uri()
        super().__init__(name, originator_id_type="text")
        self.pool.close()
        self.pool = _JournalPool(db_name=name, pool_size=1, max_overflow=0, pool_timeout=30.0)


class JournalRecorder(SQLiteApplicationRecorder):
    """Rows in, rows out; refuses everything that is not an append at the end of the log and of the stream.

    `insert_rows` is what the journal's writer uses. `insert_events` is the package's interface: its events carry no
    envelope, so they are recorded as appended by the package, caused by nothing, at the instant of the row before.
    """

    FIRST_VERSIONS: ClassVar[tuple[int, ...]] = (1,)
    """Versions that the first event of a stream may have."""

    def __init__(self, datastore: SQLiteDatastore) -> None:
        super().__init__(datastore, events_table_name="stored_events")
        self._insert = f"INSERT INTO journal ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608  # constants

    def construct_create_table_statements(self) -> list[str]:
        """Return the table, the view and the triggers that keep the file append-only."""
        first = ",".join(map(str, self.FIRST_VERSIONS))
        last = "(SELECT MAX(version) FROM journal WHERE stream = NEW.stream)"
        return [
            *_TABLES,
            _refuse("journal_no_update", "journal", "UPDATE", "", "the journal is append-only: no update"),
            _refuse("journal_no_delete", "journal", "DELETE", "", "the journal is append-only: no delete"),
            _refuse("meta_no_update", "meta", "UPDATE", "", "the format is fixed: no update"),
            _refuse("meta_no_delete", "meta", "DELETE", "", "the format is fixed: no delete"),
            _refuse(
                "journal_seq",
                "journal",
                "INSERT",
                "NEW.seq IS NOT (SELECT COALESCE(MAX(seq), 0) + 1 FROM journal)",
                "seq must follow the last one",
            ),
            _refuse(
                "journal_version",
                "journal",
                "INSERT",
                f"NEW.version IS NOT {last} + 1 AND NOT ({last} IS NULL AND NEW.version IN ({first}))",
                "version must follow the last one of the stream",
            ),
            # Also what a unique index lets through: INSERT OR REPLACE deletes the older row without any trigger.
            _refuse(
                "journal_answered",
                "journal",
                "INSERT",
                "EXISTS (SELECT 1 FROM journal WHERE stream = NEW.stream AND caused_by = NEW.caused_by"
                " AND idx = NEW.idx)",
                "the cause has been answered at that index",
            ),
            _refuse(
                "journal_sealed",
                "journal",
                "INSERT",
                "EXISTS (SELECT 1 FROM journal WHERE seq = NEW.seq - 1 AND name = 'day.closed')",
                "the day is closed and its journal sealed",
            ),
        ]

    def _create_table(self, c: SQLiteCursor) -> None:
        super()._create_table(c)
        c.execute("INSERT OR IGNORE INTO meta VALUES ('format', ?)", (str(codec.FORMAT),))

    def insert_rows(self, rows: Sequence[Row]) -> None:
        """Append the rows in one durable transaction. Raises the package's PersistenceError if one is refused."""
        with self.datastore.transaction(commit=True) as cursor:
            cursor.executemany(self._insert, rows)

    def select_rows(self) -> list[Row]:
        """Return all rows in order of seq."""
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute(SELECT_ROWS)
            return [Row(*row) for row in cursor.fetchall()]

    def _insert_events(self, c: SQLiteCursor, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int]:
        c.execute("SELECT seq, at, digest FROM journal ORDER BY seq DESC LIMIT 1")
        row = c.fetchone()
        seq, at, digest = (0, 0, codec.GENESIS) if row is None else (row["seq"], row["at"], row["digest"])
        given: list[int] = []
        for event in stored_events:
            seq += 1
            stream, version, name = str(event.originator_id), event.originator_version, event.topic
            digest = codec.chain(
                digest, Seq(seq), stream, version, name, 1, Micros(at), "eventsourcing", None, 0, event.state
            )
            c.execute(
                self._insert,
                Row(seq, stream, version, name, 1, event.state, at, "eventsourcing", None, 0, digest),
            )
            given.append(seq)
        return given
