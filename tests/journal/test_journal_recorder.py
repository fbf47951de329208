"""The recorder: the package's own recorder cases, and what the database itself refuses."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock
from uuid import uuid4

import eventsourcing.cryptography
import pytest
from eventsourcing.persistence import IntegrityError, InterfaceError, StoredEvent

from kquant.journal import recorder as under_test
from kquant.journal.recorder import JournalDatastore, JournalRecorder, Row

# The module of cases also holds cipher cases, for which it imports a library we do not install; the package's other
# cipher module has the same names. None of those cases is used here.
with mock.patch.dict(sys.modules, {"eventsourcing.cipher": eventsourcing.cryptography}):
    from eventsourcing.tests import persistence as package_cases

DIGEST = bytes(32)


class _RecorderForPackageCases(JournalRecorder):
    # The package's cases start some streams at 0 and others at 1. Ours start at 1, and the database insists on it; the
    # rule that versions have no gaps is unchanged here.
    FIRST_VERSIONS = (0, 1)


class _AggregateRecorderForPackageCases(_RecorderForPackageCases):
    # The aggregate case demands that no notification ids come back, the application case that they do. One class of
    # ours serves both uses, so for the first the ids are dropped.
    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> None:
        super().insert_events(stored_events, **kwargs)


class _InAFile:
    # In a file and not in memory, which is what runs in production. Names of streams are text and not UUIDs, as the
    # package's own text variants of these cases do.
    recorder_class: type[JournalRecorder]

    def setUp(self) -> None:
        self.folder = TemporaryDirectory()
        self.datastore = JournalDatastore(Path(self.folder.name) / "journal.sqlite")

    def tearDown(self) -> None:
        # A case stops its readers without waiting for them.
        for thread in threading.enumerate():
            if "read_continuously" in thread.name:
                thread.join()
        self.datastore.close()
        self.folder.cleanup()

    def new_originator_id(self) -> str:
        return f"stream-{uuid4()}"

    def create_recorder(self) -> JournalRecorder:
        recorder = self.recorder_class(self.datastore)
        recorder.create_table()
        return recorder


class TestPackageAggregateCases(_InAFile, package_cases.AggregateRecorderTestCase):
    recorder_class = _AggregateRecorderForPackageCases


class TestPackageApplicationCases(_InAFile, package_cases.ApplicationRecorderTestCase):
    recorder_class = _RecorderForPackageCases


class TestPackageNotificationIdsDoNotInterleave(_InAFile, package_cases.NonInterleavingNotificationIDsBaseCase):
    recorder_class = _RecorderForPackageCases


@pytest.fixture
def datastore(tmp_path: Path) -> Any:
    store = JournalDatastore(tmp_path / "journal.sqlite")
    yield store
    store.close()


@pytest.fixture
def recorder(datastore: JournalDatastore) -> JournalRecorder:
    made = JournalRecorder(datastore)
    made.create_table()
    made.insert_rows([row(1, "slots", 1), row(2, "slots", 2, caused_by=1)])
    return made


def row(seq: int, stream: str, version: int, *, caused_by: int | None = None, idx: int = 0, name: str = "x") -> Row:
    return Row(seq, stream, version, name, 1, b"{}", 7, "test", caused_by, idx, DIGEST)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (row(4, "slots", 3), "seq must follow"),
        (row(2, "slots", 3), "seq must follow"),
        (row(3, "slots", 4), "version must follow"),
        (row(3, "slots", 2), "version must follow"),
        (row(3, "orders", 2), "version must follow"),
        (row(3, "orders", 0), "version must follow"),
        (row(3, "slots", 3, caused_by=1), "answered"),
        (row(3, "slots", 3, caused_by=3), "CHECK"),
        (row(3, "slots", 3, idx=-1), "CHECK"),
    ],
)
def test_the_database_refuses_a_row_that_does_not_follow(recorder: JournalRecorder, bad: Row, says: str) -> None:
    before = recorder.select_rows()
    with pytest.raises(IntegrityError, match=says):
        recorder.insert_rows([bad])
    assert recorder.select_rows() == before


def test_the_same_index_of_another_cause_or_stream_is_no_repeat(recorder: JournalRecorder) -> None:
    recorder.insert_rows([row(3, "orders", 1, caused_by=1), row(4, "slots", 3, caused_by=2), row(5, "slots", 4)])
    assert len(recorder.select_rows()) == 5


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET payload = x'00' WHERE seq = 1",
        "DELETE FROM journal WHERE seq = 2",
        "UPDATE meta SET value = '9'",
        "DELETE FROM meta",
        "INSERT OR REPLACE INTO journal VALUES (3,'slots',3,'x',1,x'00',7,'test',1,0,zeroblob(32))",
        "INSERT OR REPLACE INTO journal VALUES (2,'slots',3,'x',1,x'00',7,'test',NULL,0,zeroblob(32))",
        "INSERT OR REPLACE INTO journal VALUES (3,'slots',2,'x',1,x'00',7,'test',NULL,0,zeroblob(32))",
    ],
)
def test_the_database_is_append_only(recorder: JournalRecorder, datastore: JournalDatastore, statement: str) -> None:
    before = recorder.select_rows()
    with pytest.raises(IntegrityError), datastore.transaction(commit=True) as cursor:
        cursor.execute(statement)
    assert recorder.select_rows() == before


def test_nothing_follows_the_close_of_the_day(recorder: JournalRecorder) -> None:
    recorder.insert_rows([row(3, "run", 1, name="day.closed")])
    with pytest.raises(IntegrityError, match="sealed"):
        recorder.insert_rows([row(4, "run", 2)])


def test_rows_of_one_call_are_all_stored_or_none(recorder: JournalRecorder) -> None:
    with pytest.raises(IntegrityError):
        recorder.insert_rows([row(3, "slots", 3), row(5, "slots", 4)])
    assert [stored.seq for stored in recorder.select_rows()] == [1, 2]


def test_a_second_connection_cannot_even_read(recorder: JournalRecorder, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "journal.sqlite", timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("SELECT * FROM journal")
    other.close()


def test_a_write_takes_its_lock_at_begin(datastore: JournalDatastore) -> None:
    seen: list[str] = []
    with datastore.get_connection(commit=True) as connection:
        connection._sqlite_conn.set_trace_callback(seen.append)
    with datastore.transaction(commit=True):
        pass
    assert seen == ["BEGIN IMMEDIATE", "COMMIT"]


def test_every_commit_survives_a_power_loss(datastore: JournalDatastore) -> None:
    found = []
    with datastore.transaction(commit=False) as cursor:
        for pragma in ("journal_mode", "synchronous"):
            cursor.execute(f"PRAGMA {pragma}")
            found.append(cursor.fetchone()[0])
    assert found == ["wal", 2]


def test_a_pragma_that_does_not_hold_stops_the_start() -> None:
    connection = sqlite3.connect(":memory:")
    with pytest.raises(InterfaceError, match="journal_mode=WAL gives memory, wal is needed"):
        under_test._demand(connection, "PRAGMA journal_mode=WAL", "wal")
    connection.close()
