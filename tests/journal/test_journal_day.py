"""The journal in its file: restart, kill, tampering, failing disks, groups."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kquant.events.base import Recorded
from kquant.events.day import AlertRaised, DayClosed
from kquant.journal import (
    JOURNAL_FILE,
    AlreadyAnswered,
    JournalError,
    SqliteJournal,
    VersionConflict,
    open_day,
    read_day,
)
from kquant.journal.dayfile import LOG_BYTES
from kquant.values import Micros, Seq

ROOT = Path(__file__).parents[2]


def now() -> Micros:
    return Micros(1_700_000_000_000_000)


def alert(text: str = "hello") -> AlertRaised:
    return AlertRaised(level="info", text=text)


def write_day(folder: Path, *, sealed: bool = False) -> list[Recorded]:
    journal = open_day(folder, now)
    journal.append("run", [alert("first"), alert("second")], by="run").result(10)
    journal.append("slots", [alert("third")], by="slots-host", caused_by=Seq(2)).result(10)
    journal.append("run", [alert("fourth")], by="run").result(10)
    if sealed:
        closed = DayClosed(reconciled=True, positions=(), cash_krw=None)
        journal.append("run", [closed], by="run").result(10)
    journal.close()
    return list(journal.read(Seq(0)))


@pytest.fixture
def held() -> Iterator[tuple[Any, Flag, Flag]]:
    """A subscriber that holds the writer's thread after its next commit, so that a whole group piles up behind it."""
    entered, release = Flag(), Flag()

    def nudge() -> None:
        entered.set()
        assert release.wait(30)

    yield nudge, entered, release
    release.set()


def hold(journal: SqliteJournal, held: tuple[Any, Flag, Flag]) -> Flag:
    nudge, entered, release = held
    journal.subscribe(nudge)
    journal.append("run", [alert("holds the writer")], by="run").result(10)
    assert entered.wait(10)
    return release


def test_a_restarted_day_goes_on_where_it_stopped(tmp_path: Path) -> None:
    before = write_day(tmp_path / "day")
    journal = open_day(tmp_path / "day", lambda: Micros(5))
    assert list(journal.read(Seq(0))) == before
    assert journal.digest == before[-1].digest
    with pytest.raises(AlreadyAnswered):
        journal.append("slots", [alert()], by="slots", caused_by=Seq(2)).result(10)
    with pytest.raises(VersionConflict):
        journal.append("run", [alert()], by="run", expected_version=2).result(10)
    (more,) = journal.append("run", [alert("fifth")], by="run", expected_version=3).result(10)
    assert (more.seq, more.version) == (5, 4)
    assert more.at == before[-1].at
    journal.close()
    assert list(read_day(tmp_path / "day")) == [*before, more]


def test_a_sealed_day_is_read_and_refuses_appends(tmp_path: Path) -> None:
    before = write_day(tmp_path, sealed=True)
    stamp = (tmp_path / JOURNAL_FILE).stat().st_mtime_ns
    assert list(read_day(tmp_path)) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [JOURNAL_FILE]
    assert (tmp_path / JOURNAL_FILE).stat().st_mtime_ns == stamp
    journal = open_day(tmp_path, now)
    with pytest.raises(JournalError, match="closed after seq 5"):
        journal.append("run", [alert()], by="run").result(10)
    journal.close()
    assert list(read_day(tmp_path)) == before


def test_a_group_is_one_transaction_in_which_only_the_conflicting_append_fails(
    tmp_path: Path, held: tuple[Any, Flag, Flag]
) -> None:
    journal = open_day(tmp_path, now)
    release = hold(journal, held)
    statements: list[str] = []
    with journal._recorder.datastore.get_connection(commit=True) as connection:
        connection._sqlite_conn.set_trace_callback(statements.append)
    one = journal.append("slots", [alert("one")], by="slots", caused_by=Seq(1))
    again = journal.append("slots", [alert("again"), alert("more")], by="slots", caused_by=Seq(1))
    conflict = journal.append("orders", [alert("conflict")], by="orders", expected_version=7)
    two = journal.append("orders", [alert("two")], by="orders", expected_version=0)
    ahead = journal.append("slots", [alert("three")], by="slots", caused_by=Seq(3))
    release.set()
    assert [future.result(10)[0].seq for future in (one, two, ahead)] == [2, 3, 4]
    with pytest.raises(AlreadyAnswered):
        again.result(10)
    with pytest.raises(VersionConflict):
        conflict.result(10)
    journal.close()
    assert [text.split()[0] for text in statements if text.startswith(("BEGIN", "COMMIT"))] == ["BEGIN", "COMMIT"]
    assert [record.event for record in read_day(tmp_path)][1:] == [alert("one"), alert("two"), alert("three")]


def test_a_full_disk_fails_every_pending_and_later_append_and_says_so_once(
    tmp_path: Path, held: tuple[Any, Flag, Flag]
) -> None:
    failures: list[JournalError] = []
    failed = Flag()

    def on_failure(error: JournalError) -> None:
        failures.append(error)
        failed.set()

    journal = open_day(tmp_path, now, on_failure=on_failure)
    release = hold(journal, held)
    with journal._recorder.datastore.transaction(commit=False) as cursor:
        cursor.execute("PRAGMA max_page_count=1")
    pending = [journal.append("run", [alert("x" * 50_000)], by="run") for _ in range(1_200)]
    release.set()
    for future in pending:
        with pytest.raises(JournalError, match=r"cannot be written.*full"):
            future.result(10)
    assert failed.wait(10)
    with pytest.raises(JournalError, match="has failed"):
        journal.append("run", [alert()], by="run").result(10)
    journal.close()
    assert len(failures) == 1
    assert journal.failure is failures[0]
    assert [record.event for record in journal.read(Seq(0))] == [alert("holds the writer")]
    assert list(read_day(tmp_path)) == list(journal.read(Seq(0)))


def test_a_clock_that_raises_fails_the_journal_too(tmp_path: Path) -> None:
    def broken() -> Micros:
        raise OSError("no clock")

    journal = open_day(tmp_path, broken)
    with pytest.raises(JournalError, match="no clock"):
        journal.append("run", [alert()], by="run").result(10)
    journal.close()


def test_a_running_day_is_refused_to_a_second_writer_and_to_readers(tmp_path: Path) -> None:
    journal = open_day(tmp_path, now)
    journal.append("run", [alert()], by="run").result(10)
    with pytest.raises(JournalError, match="in use by a running instance"):
        open_day(tmp_path, now)
    with pytest.raises(JournalError, match="in use by a running instance"):
        read_day(tmp_path)
    journal.append("run", [alert()], by="run").result(10)
    journal.close()
    assert len(read_day(tmp_path)) == 2


APPENDER = """
import sys
from pathlib import Path
from kquant.events.day import AlertRaised
from kquant.journal import open_day
from kquant.values import Micros

journal = open_day(Path(sys.argv[1]), lambda: Micros(1))
number = journal.head
while True:
    futures = [journal.append("run", [AlertRaised(level="info", text=str(number + n + 1))], by="run") for n in range(5)]
    number += 5
    for future in futures:
        print(future.result()[0].seq, flush=True)
"""


def test_a_kill_in_the_middle_of_appending_loses_no_acknowledged_event(tmp_path: Path) -> None:
    done = 0
    for acknowledged in (1, 7, 23, 61, 140):
        child = subprocess.Popen([sys.executable, "-c", APPENDER, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT)
        assert child.stdout is not None
        seqs = [int(child.stdout.readline()) for _ in range(acknowledged)]
        os.kill(child.pid, signal.SIGKILL)
        seqs += [int(line) for line in child.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
        child.stdout.close()
        assert child.wait(10) == -signal.SIGKILL
        assert seqs == list(range(done + 1, done + len(seqs) + 1))
        records = read_day(tmp_path)
        assert len(records) >= seqs[-1]
        assert [record.event for record in records] == [alert(str(n + 1)) for n in range(len(records))]
        done = len(records)
    journal = open_day(tmp_path, now)
    assert journal.head == done
    journal.close()


def altered(folder: Path, statement: str) -> None:
    """Change the file as an intruder would: past the triggers."""
    conn = sqlite3.connect(folder / JOURNAL_FILE)
    for (trigger,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        conn.execute(f"DROP TRIGGER {trigger}")
    conn.execute("PRAGMA ignore_check_constraints=ON")
    conn.execute(statement)
    conn.commit()
    conn.close()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            "UPDATE journal SET payload = CAST(replace(payload, 'third', 'thirt') AS BLOB) WHERE seq = 3",
            "seq 3: column",
        ),
        ("UPDATE journal SET payload = x'c1' WHERE seq = 2", "seq 2: column payload was changed: it cannot be decoded"),
        ("UPDATE journal SET at = at + 1 WHERE seq = 2", "seq 2: column payload or at"),
        ("UPDATE journal SET at = 3 WHERE seq = 2", "seq 2: column at was changed: it goes back"),
        ("UPDATE journal SET stream = 'orders' WHERE seq = 1", "seq 1: column stream was changed from 'run'"),
        ("UPDATE journal SET version = 9 WHERE seq = 4", "seq 4: column version was changed from 3 to 9"),
        ("UPDATE journal SET name = 'run.stopped' WHERE seq = 3", "seq 3: column name was changed from 'alert.raised'"),
        ("UPDATE journal SET \"by\" = 'run' WHERE seq = 3", "seq 3: column payload or at|seq 3: column by"),
        ("UPDATE journal SET \"by\" = 'slots-host' WHERE seq = 1", "seq 1: column by was changed from 'run'"),
        ("UPDATE journal SET caused_by = 1 WHERE seq = 3", "seq 3: column caused_by was changed from 2 to 1"),
        ("UPDATE journal SET caused_by = NULL WHERE seq = 3", "seq 3: column caused_by was changed from 2 to None"),
        ("UPDATE journal SET idx = 5 WHERE seq = 3", "seq 3: column idx was changed from 0 to 5"),
        ("UPDATE journal SET digest = zeroblob(32) WHERE seq = 2", "seq 2: column digest was changed"),
        ("DELETE FROM journal WHERE seq = 2", "seq 2: the row is missing"),
        ("UPDATE journal SET payload_version = 2 WHERE seq = 2", "altered at seq 2: column payload"),
    ],
)
def test_an_altered_row_is_named(tmp_path: Path, change: str, says: str) -> None:
    write_day(tmp_path)
    altered(tmp_path, change)
    for opening in (lambda: read_day(tmp_path), lambda: open_day(tmp_path, now)):
        with pytest.raises(JournalError, match=says) as caught:
            opening()
        assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def clean_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    write_day(folder)
    return folder


def test_one_changed_byte_of_a_stored_text_is_named_with_its_seq(clean_day: Path, tmp_path: Path) -> None:
    stored = (clean_day / JOURNAL_FILE).read_bytes()
    for seq, text in enumerate((b"first", b"second", b"third", b"fourth"), 1):
        place = stored.index(text)
        (tmp_path / JOURNAL_FILE).write_bytes(stored[:place] + b"X" + stored[place + 1 :])
        with pytest.raises(JournalError, match=f"altered at seq {seq}: column payload"):
            read_day(tmp_path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.integers(0, 2**20), byte=st.integers(0, 255))
def test_any_changed_byte_is_refused_or_changes_nothing(clean_day: Path, tmp_path: Path, where: int, byte: int) -> None:
    stored, records = (clean_day / JOURNAL_FILE).read_bytes(), list(read_day(clean_day))
    place = where % len(stored)
    (tmp_path / JOURNAL_FILE).write_bytes(stored[:place] + bytes([byte]) + stored[place + 1 :])
    with suppress(JournalError):
        assert list(read_day(tmp_path)) == records


def test_without_the_check_a_changed_digest_is_not_looked_at(tmp_path: Path) -> None:
    write_day(tmp_path)
    altered(tmp_path, "UPDATE journal SET digest = zeroblob(32) WHERE seq = 2")
    assert len(read_day(tmp_path, check=False)) == 4


def test_a_day_copied_after_a_kill_is_read_with_its_log(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", APPENDER, str(tmp_path / "a")], stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdout is not None
    assert child.stdout.readline() == b"1\n"
    child.kill()
    child.wait(10)
    child.stdout.close()
    assert (tmp_path / "a" / f"{JOURNAL_FILE}-wal").stat().st_size > 0
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert len(read_day(tmp_path / "b")) >= 1


def one_line(error: pytest.ExceptionInfo[JournalError], folder: Path, says: str) -> None:
    text = str(error.value)
    assert "\n" not in text
    assert str(folder) in text
    assert re.search(says, text), text


def test_a_missing_journal_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(JournalError) as error:
        read_day(tmp_path)
    one_line(error, tmp_path, "no such journal")


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_FILE).write_bytes(b"not a database, surely" * 100)
    for opening in (lambda: read_day(tmp_path), lambda: open_day(tmp_path, now)):
        with pytest.raises(JournalError) as error:
            opening()
        one_line(error, tmp_path, "not a database")


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    conn = sqlite3.connect(tmp_path / JOURNAL_FILE)
    conn.execute("CREATE TABLE other (x)")
    conn.close()
    for opening in (lambda: read_day(tmp_path), lambda: open_day(tmp_path, now)):
        with pytest.raises(JournalError) as error:
            opening()
        one_line(error, tmp_path, "not a journal of this program")


def test_another_format_is_refused(tmp_path: Path) -> None:
    write_day(tmp_path)
    altered(tmp_path, "UPDATE meta SET value = '99'")
    for opening in (lambda: read_day(tmp_path), lambda: open_day(tmp_path, now)):
        with pytest.raises(JournalError) as error:
            opening()
        one_line(error, tmp_path, "has format 99, this version reads 1")


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "day").write_text("a file")
    with pytest.raises(JournalError) as error:
        open_day(tmp_path / "day", now)
    one_line(error, tmp_path, "cannot be used as a day's folder")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Rights do not bind the superseuser that tests may run as, so the answer of the system is replaced.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(JournalError) as error:
        open_day(tmp_path, now)
    one_line(error, tmp_path, "read-only")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("begun", [False, True], ids=["no byte", "a header without tables"])
def test_an_empty_file_left_by_a_kill_holds_no_events_and_becomes_the_day(tmp_path: Path, begun: bool) -> None:
    path = tmp_path / JOURNAL_FILE
    path.touch()
    if begun:
        with closing(sqlite3.connect(path)) as conn:
            conn.execute("PRAGMA journal_mode=WAL")
        assert path.stat().st_size > 0
    assert list(read_day(tmp_path)) == []
    assert len(write_day(tmp_path)) == 4
    assert len(read_day(tmp_path)) == 4


def test_the_log_has_its_full_size_from_the_first_commit_and_leaves_with_the_day(tmp_path: Path) -> None:
    log = tmp_path / f"{JOURNAL_FILE}-wal"
    journal = open_day(tmp_path, now)
    before = log.stat().st_size
    for _ in range(20):
        journal.append("run", [alert("x" * 500)], by="run").result(10)
    assert log.stat().st_size == before == LOG_BYTES
    journal.close()
    assert not log.exists()
    assert len(read_day(tmp_path)) == 20


def test_a_log_of_nothing_but_zeroes_holds_no_events(tmp_path: Path) -> None:
    before = write_day(tmp_path)
    (tmp_path / f"{JOURNAL_FILE}-wal").write_bytes(bytes(LOG_BYTES))
    assert list(read_day(tmp_path)) == before
    journal = open_day(tmp_path, now)
    assert journal.append("run", [alert("more")], by="run").result(10)[0].seq == len(before) + 1
    journal.close()
    assert list(read_day(tmp_path))[:-1] == before
