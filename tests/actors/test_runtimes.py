"""The same owners in both runtimes: threads under Pykka, and one thread on a virtual clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import Struct

from kquant.actors import threads
from kquant.actors.single import OwnerFailed, SingleRuntime, VirtualClock
from kquant.actors.threads import ThreadRuntime
from kquant.config import load
from kquant.domain.owner import Owner
from kquant.events.base import Event, Recorded
from kquant.events.day import AlarmRang, AlarmSet, AlertRaised, HaltOrdered, OwnerParked, ResumeOrdered, RunStarted
from kquant.events.market import TriggerFired
from kquant.events.orders import OrderUnfrozen
from kquant.journal import open_day
from kquant.journal.memory import MemoryJournal
from kquant.journal.recorder import JournalRecorder, Row
from kquant.replay.verify import verify
from kquant.settings import Settings
from kquant.values import Krw, Micros, Seq, Shares, Symbol, TriggerId

SETTINGS = load("demo", environ={}).settings
STARTED = RunStarted(settings=SETTINGS, profile="demo", code_hash="", seed=1, versions={})
FIRED = TriggerFired(
    trigger=TriggerId(1), code=Symbol("005930"), price=Krw(1), bid=Krw(1), ask=Krw(1), exchange_time="100000",
    volume=Shares(1), place=1,
)  # fmt: skip


class Count(Struct, frozen=True):
    value: int = 0


def _decide(own: Count, seen: Count, fact: Recorded, settings: Settings) -> list[Event]:
    """Count halts; set an alarm at each, and raise an alert when it rings. A reason of "bad" is more than it can take."""
    match fact.event:
        case HaltOrdered(reason="bad"):
            raise ValueError("bad reason")
        case OrderUnfrozen(why="bad"):
            raise ValueError("bad stock")
        case HaltOrdered() | TriggerFired():
            return [AlarmSet(alarm="later", due=Micros(fact.at + 5_000_000))]
        case AlarmRang():
            return [AlertRaised(level="info", text=f"halts seen: {seen.value}, alarms before: {own.value}")]
    return []


def _evolve(own: Count, event: Event) -> Count:
    return Count(own.value + isinstance(event, AlarmSet))


def _observe(seen: Count, fact: Recorded) -> Count:
    return Count(seen.value + isinstance(fact.event, HaltOrdered))


def toy(stream: str = "scanner") -> Owner[Count, Count]:
    return Owner(
        stream=stream,
        reacts=(HaltOrdered, AlarmRang, OrderUnfrozen, TriggerFired),
        observes=(ResumeOrdered,),
        own=Count(),
        seen=Count(),
        decide=_decide,
        evolve=_evolve,
        observe=_observe,
    )


def halt(reason: str = "a drill") -> HaltOrdered:
    return HaltOrdered(who="a test", reason=reason)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(Micros(1_000_000))


@pytest.fixture
def journal(clock: VirtualClock) -> MemoryJournal:
    journal = MemoryJournal(clock.now)
    journal.append("run", [STARTED], by="run").result()
    return journal


def names(journal: MemoryJournal) -> list[str]:
    return [fact.name for fact in journal.read(Seq(0))]


def test_alarms_ring_in_order_on_the_virtual_clock(journal: MemoryJournal, clock: VirtualClock) -> None:
    runtime = SingleRuntime([toy()], journal, clock)
    runtime.start()
    journal.append("operator", [halt()], by="a test").result()
    runtime.run_until(Micros(3_000_000))
    assert names(journal) == ["run.started", "operator.halted", "alarm.set"]
    runtime.run_until(Micros(10_000_000))
    assert names(journal)[3:] == ["alarm.rang", "alert.raised"]
    rang = journal.read(Seq(3))[0]
    assert (rang.at, rang.caused_by) == (6_000_000, 3)


def test_a_restarted_owner_goes_on_where_it_stopped_and_answers_nothing_twice(
    journal: MemoryJournal, clock: VirtualClock
) -> None:
    first = SingleRuntime([toy()], journal, clock)
    first.start()
    journal.append("operator", [halt()], by="a test").result()
    first.run_until(Micros(10_000_000))
    before = names(journal)
    second = SingleRuntime([toy()], journal, clock)
    second.start()
    assert names(journal) == before
    assert second.hosts["scanner"].own == first.hosts["scanner"].own
    journal.append("operator", [halt()], by="a test").result()
    second.run_until(Micros(20_000_000))
    assert journal.read(Seq(len(before)))[-1].event == AlertRaised(level="info", text="halts seen: 2, alarms before: 2")


def test_an_input_that_fails_twice_is_parked_with_an_alert_and_the_next_one_answered(
    journal: MemoryJournal, clock: VirtualClock
) -> None:
    runtime = SingleRuntime([toy()], journal, clock)
    runtime.start()
    journal.append("operator", [halt("bad"), halt()], by="a test").result()
    runtime.settle()
    parked = [fact.event for fact in journal.read(Seq(0)) if isinstance(fact.event, OwnerParked)]
    assert parked == [OwnerParked(owner="scanner", seq=Seq(2), error="ValueError: bad reason")]
    assert names(journal)[-1] == "alarm.set"
    assert "alert.raised" in names(journal)


def test_an_owner_rebuilt_for_a_second_try_knows_what_it_said_behind_the_failing_input(
    journal: MemoryJournal, clock: VirtualClock
) -> None:
    runtime = SingleRuntime([toy()], journal, clock)
    runtime.start()
    # The answer to the first lies at seq 4, behind the input that fails: seq 3.
    journal.append("operator", [halt(), halt("bad"), halt()], by="a test").result()
    runtime.settle()
    assert [fact.name for fact in journal.read(Seq(4))] == [
        "alarm.set",
        "owner.parked",
        "alert.raised",
        "alarm.set",
    ]
    assert runtime.hosts["scanner"].own == Count(2)
    runtime.run_until(Micros(10_000_000))
    assert journal.read(Seq(0))[-1].event == AlertRaised(level="info", text="halts seen: 3, alarms before: 2")


def test_a_critical_owner_that_fails_without_a_stock_stops_the_process(
    journal: MemoryJournal, clock: VirtualClock
) -> None:
    runtime = SingleRuntime([toy("orders")], journal, clock)
    runtime.start()
    journal.append("operator", [halt("bad")], by="a test").result()
    with pytest.raises(OwnerFailed, match=r"orders failed twice on operator\.halted: ValueError: bad reason"):
        runtime.settle()


def test_a_process_started_again_skips_the_input_that_stopped_it(journal: MemoryJournal, clock: VirtualClock) -> None:
    first = SingleRuntime([toy("orders")], journal, clock)
    first.start()
    journal.append("operator", [halt("bad"), halt()], by="a test").result()
    with pytest.raises(OwnerFailed):
        first.settle()
    SingleRuntime([toy("orders")], journal, clock).start()
    assert names(journal)[1:] == ["operator.halted", "operator.halted", "owner.parked", "alert.raised", "alarm.set"]
    again = verify(journal.read(Seq(0)), [toy("orders")])
    assert (again.differences, again.parked) == (0, 1)


def test_a_critical_owner_that_fails_on_a_stocks_input_names_it_and_goes_on(
    journal: MemoryJournal, clock: VirtualClock
) -> None:
    runtime = SingleRuntime([toy("slots")], journal, clock)
    runtime.start()
    journal.append("orders", [OrderUnfrozen(code=Symbol("005930"), why="bad")], by="a test").result()
    journal.append("operator", [halt()], by="a test").result()
    runtime.settle()
    parked = [fact.event for fact in journal.read(Seq(0)) if isinstance(fact.event, OwnerParked)]
    assert parked == [OwnerParked(owner="slots", seq=Seq(2), error="ValueError: bad stock", code=Symbol("005930"))]
    assert names(journal)[-1] == "alarm.set"


def test_threads_write_the_same_log_as_one_thread(tmp_path: Path) -> None:
    def play(start: Callable[[MemoryJournal, VirtualClock], Callable[[], None]]) -> list[tuple[str, object]]:
        clock = VirtualClock(Micros(1_000_000))
        journal = MemoryJournal(clock.now)
        journal.append("run", [STARTED], by="run").result()
        settle = start(journal, clock)
        for reason in ("one", "bad", "two"):
            journal.append("operator", [halt(reason)], by="a test").result()
            settle()
        return [(fact.name, fact.caused_by) for fact in journal.read(Seq(0))]

    def single(journal: MemoryJournal, clock: VirtualClock) -> Callable[[], None]:
        runtime = SingleRuntime([toy(), toy("pipeline")], journal, clock)
        runtime.start()
        return runtime.settle

    runtimes = []

    def threaded(journal: MemoryJournal, clock: VirtualClock) -> Callable[[], None]:
        changed = threading.Condition()

        def signal() -> None:
            with changed:
                changed.notify_all()

        runtime = ThreadRuntime([toy(), toy("pipeline")], journal, on_fatal=pytest.fail, changed=signal)
        runtime.start()
        runtimes.append(runtime)

        def settle() -> None:
            with changed:
                assert changed.wait_for(runtime.idle, timeout=10)

        return settle

    try:
        assert sorted(play(threaded), key=str) == sorted(play(single), key=str)
    finally:
        for runtime in runtimes:
            runtime.stop()


def test_an_owner_that_hangs_is_told_and_does_not_keep_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "HANG_SECONDS", 0.05)
    monkeypatch.setattr(threads, "STOP_SECONDS", 0.05)
    end = threading.Event()
    hanging: list[threading.Thread] = []

    def decide(own: Count, seen: Count, fact: Recorded, settings: Settings) -> list[Event]:
        hanging.append(threading.current_thread())
        end.wait(60)
        return []

    reasons: list[str] = []
    told = threading.Event()

    def fatal(reason: str) -> None:
        reasons.append(reason)
        told.set()

    journal = MemoryJournal(VirtualClock(Micros(1)).now)
    journal.append("run", [STARTED], by="run").result()
    runtime = ThreadRuntime([replace(toy(), decide=decide)], journal, on_fatal=fatal, changed=lambda: None)
    runtime.start()
    try:
        journal.append("operator", [halt()], by="a test").result()
        assert told.wait(10)
        runtime.stop()
        assert hanging[0].is_alive()
        assert hanging[0].daemon
    finally:
        end.set()
    assert "owner scanner has not answered" in reasons[0]


def test_a_thread_runtime_reports_a_broken_log_once() -> None:
    def broken(own: Count, event: Event) -> Count:
        raise LookupError("no such slot")

    clock = VirtualClock(Micros(1))
    journal = MemoryJournal(clock.now)
    journal.append("run", [STARTED], by="run").result()
    good = toy()
    owner = Owner(
        stream=good.stream,
        reacts=good.reacts,
        observes=good.observes,
        own=good.own,
        seen=good.seen,
        decide=good.decide,
        evolve=broken,
        observe=good.observe,
    )
    reasons: list[str] = []
    told = threading.Event()

    def fatal(reason: str) -> None:
        reasons.append(reason)
        told.set()

    runtime = ThreadRuntime([owner], journal, on_fatal=fatal, changed=lambda: None)
    runtime.start()
    journal.append("operator", [halt()], by="a test").result()
    assert told.wait(10)
    runtime.stop()
    assert reasons == ["scanner at seq 2: scanner cannot apply its own alarm.set: LookupError('no such slot')"]


def test_an_owner_answers_what_is_not_durable_yet_and_is_idle_only_when_all_of_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, changed = threading.Event(), threading.Event()
    insert = JournalRecorder.insert_rows

    def insert_rows(recorder: JournalRecorder, rows: Sequence[Row]) -> None:
        assert free.wait(20)
        insert(recorder, rows)

    journal = open_day(tmp_path, lambda: Micros(1_000_000))
    journal.append("run", [STARTED], by="run").result(20)
    runtime = ThreadRuntime([toy("orders")], journal, on_fatal=pytest.fail, changed=changed.set)
    runtime.start()
    monkeypatch.setattr(JournalRecorder, "insert_rows", insert_rows)
    fired = journal.append("market", [FIRED], by="a test")
    while runtime.hosts["orders"].own != Count(1):
        assert changed.wait(20)
        changed.clear()
    assert [fact.name for fact in journal.read_placed(Seq(1))] == ["market.trigger_fired", "alarm.set"]
    assert not fired.done()
    assert journal.head == 1
    assert not runtime.idle()
    free.set()
    fired.result(20)
    journal.append("operator", [ResumeOrdered(who="a test", reason="")], by="a test").result(20)
    assert runtime.idle(), "what an owner only observes is no work of its"
    runtime.stop()
    journal.close()


def test_a_disk_that_does_not_answer_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free, said = threading.Event(), threading.Event()
    reasons: list[str] = []

    def fatal(reason: str) -> None:
        reasons.append(reason)
        said.set()

    journal = open_day(tmp_path, lambda: Micros(1_000_000))
    monkeypatch.setattr(threads, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(JournalRecorder, "insert_rows", lambda *_: free.wait(20))
    runtime = ThreadRuntime([toy()], journal, on_fatal=fatal, changed=lambda: None)
    runtime.start()
    journal.append("run", [STARTED], by="run")
    assert said.wait(20)
    assert "nothing behind seq 0 was written" in reasons[0]
    runtime.stop()
    free.set()
    journal.close()
