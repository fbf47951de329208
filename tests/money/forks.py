"""Copies of a journal in memory and of a runtime that go their own ways: facts and states are frozen and stay shared."""

from __future__ import annotations

from kquant.actors.host import OwnerHost
from kquant.actors.single import SingleRuntime, VirtualClock
from kquant.journal.memory import MemoryJournal


def fork_journal(journal: MemoryJournal, clock: VirtualClock) -> MemoryJournal:
    other = MemoryJournal(clock.now)
    old, new = journal._log, other._log
    new.__dict__.update(old.__dict__)
    new._events, new._versions, new._answered = list(old._events), dict(old._versions), set(old._answered)
    return other


def fork_runtime(runtime: SingleRuntime, journal: MemoryJournal, clock: VirtualClock) -> SingleRuntime:
    other = SingleRuntime((), journal, clock)
    for stream, host in runtime.hosts.items():
        made = OwnerHost(host.owner, journal, host._on_fatal)
        mind = host._mind
        made._mind.own, made._mind.seen = mind.own, mind.seen
        made._mind.settings, made._mind.version, made.cursor = mind.settings, mind.version, host.cursor
        other.hosts[stream] = made
    other._alarms._pending = dict(runtime._alarms._pending)
    other._read = runtime._read
    return other
