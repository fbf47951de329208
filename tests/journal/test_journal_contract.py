"""What both journals promise: the one suite they share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event as Flag
from threading import Semaphore
from typing import Any

import pytest

from kquant.events import codec
from kquant.events.base import Event
from kquant.events.day import AlarmSet, AlertRaised, DayClosed, JobDue
from kquant.journal import (
    AlreadyAnswered,
    Journal,
    JournalError,
    MemoryJournal,
    SqliteJournal,
    VersionConflict,
    open_day,
)
from kquant.values import Micros, Seq

CLOSED = DayClosed(reconciled=True, positions=(), cash_krw=None)


class Clock:
    """A clock that the test moves, also backwards."""

    def __init__(self) -> None:
        self.at = Micros(1_000)

    def __call__(self) -> Micros:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "memory"])
def journal(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[SqliteJournal | MemoryJournal]:
    made = open_day(tmp_path / "day", clock) if request.param == "sqlite" else MemoryJournal(clock)
    yield made
    made.close()


def alert(text: str = "hello") -> AlertRaised:
    return AlertRaised(level="info", text=text)


def add(journal: Journal, stream: str, *events: Event, **options: Any) -> Any:
    return journal.append(stream, events, by=stream, **options).result(10)


def test_an_empty_journal_has_no_head(journal: Journal) -> None:
    assert journal.head == 0
    assert list(journal.read(Seq(0))) == []


def test_an_append_gets_its_whole_envelope(journal: Journal, clock: Clock) -> None:
    add(journal, "run", alert("first"))
    two = add(journal, "slots", alert("a"), alert("b"), caused_by=1, first_index=3)
    assert [(r.seq, r.stream, r.version, r.name, r.at, r.by, r.caused_by, r.index) for r in two] == [
        (2, "slots", 1, "alert.raised", 1_000, "slots", 1, 3),
        (3, "slots", 2, "alert.raised", 1_000, "slots", 1, 4),
    ]
    assert [r.event for r in two] == [alert("a"), alert("b")]
    assert journal.head == 3


def test_what_is_read_is_what_was_appended(journal: Journal) -> None:
    appended = [record for n in range(7) for record in add(journal, "run", alert(str(n)))]
    assert list(journal.read(Seq(0))) == appended
    assert list(journal.read(Seq(3), 2)) == appended[3:5]
    assert list(journal.read(Seq(7))) == []
    assert list(journal.read(Seq(99))) == []


def test_a_negative_place_is_refused_when_reading(journal: Journal) -> None:
    with pytest.raises(JournalError, match="after=-1"):
        journal.read(Seq(-1))


def test_the_digest_chains_every_row(journal: SqliteJournal | MemoryJournal) -> None:
    assert journal.digest == codec.GENESIS
    add(journal, "run", alert("a"), alert("b"))
    add(journal, "slots", alert("c"), caused_by=2)
    before = codec.GENESIS
    for r in journal.read(Seq(0)):
        before = codec.chain(
            before, r.seq, r.stream, r.version, r.name, 1, r.at, r.by, r.caused_by, r.index, codec.encode(r.event)
        )
        assert r.digest == before
    assert journal.digest == before


def test_no_cause_is_answered_twice_at_one_index(journal: Journal) -> None:
    add(journal, "run", alert())
    add(journal, "slots", alert("a"), alert("b"), caused_by=1)
    with pytest.raises(AlreadyAnswered, match="slots has answered seq 1 at index 1"):
        add(journal, "slots", alert("again"), caused_by=1, first_index=1)
    with pytest.raises(AlreadyAnswered):
        add(journal, "slots", alert("new"), alert("again"), caused_by=1, first_index=1)
    assert journal.head == 3
    add(journal, "slots", alert("c"), caused_by=1, first_index=2)
    add(journal, "orders", alert("a"), caused_by=1)
    add(journal, "slots", alert("d"), caused_by=2)
    assert [r.version for r in journal.read(Seq(0)) if r.stream == "slots"] == [1, 2, 3, 4]


def test_facts_without_a_cause_may_repeat(journal: Journal) -> None:
    add(journal, "clock", alert())
    add(journal, "clock", alert())
    assert journal.head == 2


def test_an_unexpected_version_is_a_conflict(journal: Journal) -> None:
    add(journal, "slots", alert(), expected_version=0)
    with pytest.raises(VersionConflict, match="slots is at version 1, slots expected 0"):
        add(journal, "slots", alert(), expected_version=0)
    add(journal, "slots", alert(), expected_version=1)
    assert journal.head == 2


@pytest.mark.parametrize("cause", [0, -1, 2, 99])
def test_a_cause_must_be_in_the_journal(journal: Journal, cause: int) -> None:
    add(journal, "run", alert())
    with pytest.raises(JournalError, match=f"names cause {cause}"):
        add(journal, "slots", alert(), caused_by=cause)


def test_an_empty_append_is_answered_with_nothing(journal: Journal) -> None:
    assert add(journal, "slots") == ()
    assert journal.head == 0


def test_an_event_that_could_not_be_read_back_is_refused(journal: Journal) -> None:
    class Foreign(Event, frozen=True, kw_only=True, tag="foreign.happened"):
        pass

    for bad in (Foreign(), AlertRaised(level="loud", text="x"), AlarmSet(alarm="a", due=1.5)):  # type: ignore[arg-type]
        with pytest.raises(JournalError, match="could not be read back"):
            journal.append("run", [alert(), bad], by="run")
    assert journal.head == 0


def test_time_never_goes_back(journal: Journal, clock: Clock) -> None:
    ats = []
    for at in (500, 900, 700, 900, 1_000, 1):
        clock.at = Micros(at)
        ats.append(add(journal, "run", alert())[0].at)
    assert ats == [500, 900, 900, 900, 1_000, 1_000]


def test_nothing_follows_the_close_of_the_day(journal: Journal) -> None:
    add(journal, "run", alert(), CLOSED)
    with pytest.raises(JournalError, match="closed after seq 2"):
        add(journal, "run", alert())
    assert journal.head == 2


def test_the_close_must_be_the_last_event_of_its_append(journal: Journal) -> None:
    with pytest.raises(JournalError, match="must be the last"):
        add(journal, "run", CLOSED, alert())
    assert journal.head == 0


def test_a_closed_journal_can_be_read_and_refuses_appends(journal: Journal) -> None:
    add(journal, "run", alert())
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="is closed"):
        add(journal, "run", alert())
    assert [r.seq for r in journal.read(Seq(0))] == [1]


def test_closing_commits_what_is_queued(journal: Journal) -> None:
    futures = [journal.append("run", [alert(str(n))], by="run") for n in range(2_000)]
    journal.close()
    assert [future.result(0)[0].seq for future in futures] == list(range(1, 2_001))


def test_subscribers_are_nudged_when_the_events_can_be_read(journal: Journal) -> None:
    heads: list[int] = []
    nudged = Flag()

    def nudge() -> None:
        heads.append(journal.head)
        nudged.set()

    undo = journal.subscribe(nudge)
    add(journal, "run", alert())
    assert nudged.wait(10)
    assert heads == [1]
    undo()
    undo()
    add(journal, "run", alert())
    journal.close()
    assert heads == [1]


def test_a_subscriber_that_raises_is_dropped_and_the_others_are_still_nudged(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    def dead() -> None:
        calls.append("dead")
        raise RuntimeError("this subscriber is dead")

    journal.subscribe(dead)
    journal.subscribe(lambda: calls.append("alive"))
    add(journal, "run", alert())
    journal.append("run", [alert()], by="run").result(10)
    journal.close()
    assert calls.count("dead") == 1
    assert calls[:2] == ["dead", "alive"]
    assert calls.count("alive") == 2
    assert "this subscriber is dead" in caplog.text


def test_several_appenders_leave_no_gap_and_keep_their_own_order(journal: Journal) -> None:
    def appender(name: str) -> list[Any]:
        return [journal.append(name, [alert(f"{n}"), alert(f"{n}+")], by=name) for n in range(150)]

    def reader() -> None:
        cursor = Seq(0)
        nudged = Semaphore(0)
        journal.subscribe(nudged.release)
        while cursor < 6 * 150 * 2:
            if cursor == journal.head:
                assert nudged.acquire(timeout=10)
            for record in journal.read(cursor, 7):
                assert record.seq == cursor + 1
                cursor = record.seq

    with ThreadPoolExecutor(8) as pool:
        reads = [pool.submit(reader) for _ in range(2)]
        futures = [pool.submit(appender, f"s{n}") for n in range(6)]
        for future in futures:
            for answer in future.result():
                first, second = answer.result(10)
                assert second.seq == first.seq + 1
        for read in reads:
            read.result(10)
    records = journal.read(Seq(0), 10_000)
    assert [r.seq for r in records] == list(range(1, 1_801))
    for n in range(6):
        mine = [r for r in records if r.stream == f"s{n}"]
        assert [r.version for r in mine] == list(range(1, 301))
        assert [r.event.text for r in mine[::2]] == [str(k) for k in range(150)]


def test_racing_answers_to_one_cause_leave_exactly_one(journal: Journal) -> None:
    add(journal, "run", JobDue(job="scan", due=Micros(1)))
    with ThreadPoolExecutor(8) as pool:
        futures = list(
            pool.map(lambda n: journal.append("scanner", [alert(str(n))], by="s", caused_by=Seq(1)), range(40))
        )
    errors = [future.exception(10) for future in futures]
    assert sum(error is None for error in errors) == 1
    assert all(error is None or isinstance(error, AlreadyAnswered) for error in errors)
    assert journal.head == 2


async def test_a_loop_awaits_the_future_without_blocking(journal: Journal) -> None:
    futures = [asyncio.wrap_future(journal.append("run", [alert(str(n))], by="run")) for n in range(20)]
    assert [(await future)[0].event for future in futures] == [alert(str(n)) for n in range(20)]


def test_an_append_that_was_handed_over_cannot_be_cancelled(journal: Journal) -> None:
    future = journal.append("run", [alert()], by="run")
    assert not future.cancel()
    assert future.result(10)[0].seq == 1


def test_both_journals_store_the_same(tmp_path: Path, clock: Clock) -> None:
    def fill(journal: Journal) -> None:
        add(journal, "run", alert("a"), alert("b"))
        clock.at = Micros(2_000)
        add(journal, "slots", alert("c"), caused_by=2)

    makers: list[Callable[[], SqliteJournal | MemoryJournal]] = [
        lambda: open_day(tmp_path / "day", clock),
        lambda: MemoryJournal(clock),
    ]
    seen = []
    for make in makers:
        clock.at = Micros(1_000)
        journal = make()
        fill(journal)
        journal.close()
        seen.append(list(journal.read(Seq(0))))
    assert seen[0] == seen[1]
