"""A place in the order comes first, the disk second: what may be seen when, and what is committed together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event as Flag

import pytest

from kquant.events.base import Event
from kquant.events.day import AlertRaised
from kquant.events.market import TriggerFired
from kquant.journal import AlreadyAnswered, JournalError, MemoryJournal, SqliteJournal, open_day, read_day, sqlite
from kquant.journal.ahead import Ahead
from kquant.journal.recorder import JournalRecorder, Row
from kquant.values import Krw, Micros, Seq, Shares, Symbol, TriggerId

FIRED = TriggerFired(
    trigger=TriggerId(1), code=Symbol("005930"), price=Krw(1), bid=Krw(1), ask=Krw(1), exchange_time="100000",
    volume=Shares(1), place=1,
)  # fmt: skip


def alert(text: str = "hello") -> AlertRaised:
    return AlertRaised(level="info", text=text)


class Disk:
    """The recorder's disk: holds commits back until it is released. commits: names of the events of each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = Flag()
        self.free.set()
        self.reached = Flag()
        self.error: OSError | None = None
        self.commits: list[list[str]] = []
        insert = JournalRecorder.insert_rows

        def insert_rows(recorder: JournalRecorder, rows: Sequence[Row]) -> None:
            self.reached.set()
            assert self.free.wait(20)
            if self.error is not None:
                raise self.error
            insert(recorder, rows)
            self.commits.append([row.name for row in rows])

        monkeypatch.setattr(JournalRecorder, "insert_rows", insert_rows)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def journal(tmp_path: Path, disk: Disk) -> Iterator[SqliteJournal]:
    made = open_day(tmp_path, lambda: Micros(1_000))
    yield made
    disk.free.set()
    made.close()


def put(journal: SqliteJournal, *events: Event, cause: int | None = None) -> None:
    journal.append("run", events, by="run", caused_by=None if cause is None else Seq(cause)).result(20)


def test_an_event_has_its_place_before_it_is_durable_and_is_read_only_after(
    journal: SqliteJournal, disk: Disk, tmp_path: Path
) -> None:
    disk.free.clear()
    placed = journal.place("slots", [alert("a"), alert("b")], by="slots")
    assert [(record.seq, record.version) for record in placed] == [(1, 1), (2, 2)]
    assert (journal.head, journal.placed) == (0, 2)
    assert list(journal.read(Seq(0))) == []
    assert list(journal.read_placed(Seq(0))) == list(placed)
    durable = journal.append("run", [alert("c")], by="run", caused_by=placed[1].seq)
    assert not durable.done()
    disk.free.set()
    assert durable.result(20)[0].seq == 3
    assert (journal.head, journal.placed) == (3, 3)
    assert list(journal.read(Seq(0))) == list(journal.read_placed(Seq(0)))
    journal.close()
    assert list(read_day(tmp_path)) == list(journal.read(Seq(0)))


def test_a_place_is_refused_for_what_an_append_is_refused_for(journal: SqliteJournal) -> None:
    put(journal, alert())
    journal.place("slots", [alert()], by="slots", caused_by=Seq(1))
    with pytest.raises(AlreadyAnswered):
        journal.place("slots", [alert()], by="slots", caused_by=Seq(1))
    with pytest.raises(AlreadyAnswered):
        journal.append("slots", [alert()], by="slots", caused_by=Seq(1)).result(20)
    assert journal.placed == 2


def test_what_awaits_its_answer_is_committed_with_it(
    journal: SqliteJournal, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "PATIENCE_SECONDS", 1_000.0)
    patient, wait = Flag(), journal._changed.wait

    def waiting(timeout: float | None = None) -> bool:
        if timeout is not None:
            patient.set()
        return wait(timeout)

    monkeypatch.setattr(journal._changed, "wait", waiting)
    fired = journal.place("market", [FIRED], by="market")[0]
    assert patient.wait(20), "the writer waits for the answer, and for no longer than its patience"
    journal.append("orders", [alert("the answer")], by="orders", caused_by=fired.seq).result(20)
    assert disk.commits == [["market.trigger_fired", "alert.raised"]]


def test_what_is_never_answered_is_committed_all_the_same(journal: SqliteJournal, disk: Disk) -> None:
    assert journal.append("market", [FIRED], by="market").result(20)[0].seq == 1
    assert disk.commits == [["market.trigger_fired"]]


def test_closing_waits_for_no_answer(tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "PATIENCE_SECONDS", 1_000.0)
    journal = open_day(tmp_path, lambda: Micros(1_000))
    journal.place("market", [FIRED], by="market")
    journal.close()
    assert [record.event for record in read_day(tmp_path)] == [FIRED]


def test_what_has_its_place_when_the_disk_fails_is_in_no_file_and_nothing_comes_behind_it(
    tmp_path: Path, disk: Disk
) -> None:
    failures: list[JournalError] = []
    failed = Flag()

    def on_failure(error: JournalError) -> None:
        failures.append(error)
        failed.set()

    journal = open_day(tmp_path, lambda: Micros(1_000), on_failure=on_failure)
    put(journal, alert("kept"))
    disk.error = OSError("no disk")
    lost = journal.place("slots", [alert("lost")], by="slots")
    assert failed.wait(20)
    assert (journal.head, journal.placed) == (1, lost[-1].seq)
    with pytest.raises(JournalError, match="has failed"):
        journal.place("orders", [alert("behind")], by="orders", caused_by=lost[-1].seq)
    journal.close()
    assert len(failures) == 1
    assert [record.event for record in read_day(tmp_path)] == [alert("kept")]


@pytest.mark.parametrize("durable", [True, False])
def test_a_subscriber_hears_of_what_it_asked_for_and_of_nothing_else(durable: bool) -> None:
    journal = MemoryJournal(lambda: Micros(1_000))
    heard: list[int] = []

    def nudge() -> None:
        heard.append(int(journal.placed))

    if durable:
        undo = journal.subscribe(nudge, frozenset({"market.trigger_fired"}))
    else:
        undo = journal.subscribe_placed(nudge, "orders")
        journal.subscribe_placed(pytest.fail, "broker")
    journal.place("run", [alert()], by="run")
    journal.place("market", [FIRED], by="market")
    journal.place("run", [alert(), FIRED], by="run")
    assert heard == [2, 4]
    undo()
    journal.place("market", [FIRED], by="market")
    assert heard == [2, 4]


def test_who_answers_an_event_hears_of_it_while_the_disk_is_busy(journal: SqliteJournal, disk: Disk) -> None:
    disk.free.clear()
    early: list[Seq] = []
    late: list[Seq] = []
    told = Flag()

    def durable() -> None:
        late.append(journal.head)
        told.set()

    journal.subscribe_placed(lambda: early.append(journal.placed), "orders")
    journal.subscribe(durable)
    journal.place("market", [FIRED], by="market")
    assert (early, late) == ([1], [])
    disk.free.set()
    assert told.wait(20)
    assert (early, late) == ([1], [1])


def test_ahead_sees_names_behind_the_cursor_only_and_looks_at_nothing_twice() -> None:
    journal = MemoryJournal(lambda: Micros(1_000))
    ahead, all_names = Ahead(journal, frozenset({"market.trigger_fired"})), Ahead(journal, None)
    journal.place("run", [alert()] * 1_500, by="run")
    assert not ahead.anything(Seq(0))
    assert all_names.anything(Seq(0))
    journal.place("market", [FIRED], by="market")
    assert ahead.anything(Seq(0))
    assert ahead.anything(Seq(1_500))
    assert not ahead.anything(Seq(1_501))
    journal.place("run", [alert()], by="run")
    assert not ahead.anything(Seq(1_501))
