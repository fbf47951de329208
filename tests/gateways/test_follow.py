"""The base of the gateways: nothing of theirs ends unseen, and waiting for the clock is not being busy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from kquant.events.base import Recorded
from kquant.events.day import AlertRaised
from kquant.gateways.clock import SteppedClock
from kquant.gateways.follow import FollowingGateway, waiting_until
from kquant.journal.memory import MemoryJournal
from kquant.values import Micros
from tests.scoring.fakes import Quiet, until


class Probe(FollowingGateway):
    """Runs what it is given for every fact."""

    stream = by = "probe"
    work: Callable[[Recorded], Coroutine[Any, Any, object] | None]

    def fold(self, facts: list[Recorded]) -> None:
        self.folded = len(facts)

    def take(self, fact: Recorded) -> None:
        if (work := self.work(fact)) is not None:
            self.spawn(work)


class Room:
    def __init__(self, work: Callable[[Recorded], Coroutine[Any, Any, object] | None]) -> None:
        self.clock = SteppedClock(Micros(0))
        self.journal = MemoryJournal(self.clock.now)
        self.quiet = Quiet()
        self.probe = Probe(self.journal, self.clock, changed=self.quiet.changed, on_fatal=self.quiet.on_fatal)
        self.probe.work = work

    def say(self) -> Recorded:
        return self.journal.append("x", [AlertRaised(level="info", text="x")], by="x").result()[0]


async def test_a_task_that_fails_stops_the_run():
    async def fail() -> None:
        raise RuntimeError("boom")

    room = Room(lambda _: fail())
    await room.probe.start()
    room.say()
    await until(lambda: room.quiet.fatal)
    assert "boom" in room.quiet.fatal[0]
    await room.probe.close()


async def test_a_task_that_somebody_cancels_stops_the_run_but_closing_does_not():
    room = Room(lambda _: asyncio.sleep(1_000))
    await room.probe.start()
    room.say()
    await until(lambda: len(room.probe._tasks) == 1)
    next(iter(room.probe._tasks)).cancel()
    await until(lambda: room.quiet.fatal)
    room.say()
    await until(lambda: len(room.probe._tasks) == 1)
    await room.probe.close()
    assert len(room.quiet.fatal) == 1


async def test_a_fact_that_cannot_be_taken_stops_the_run():
    def refuse(_: Recorded) -> None:
        raise ValueError("no such fact")

    room = Room(refuse)
    await room.probe.start()
    room.say()
    await until(lambda: room.quiet.fatal)
    assert "no such fact" in room.quiet.fatal[0]
    await room.probe.close()


async def test_a_task_that_waits_for_the_clock_alone_leaves_the_gateway_idle_until_then():
    released = asyncio.Event()
    room: Room

    async def wait() -> None:
        with waiting_until(Micros(100)):
            await room.clock.sleep_until(Micros(100))
        await released.wait()

    room = Room(lambda _: wait())
    await room.probe.start()
    room.say()
    assert not room.probe.idle()
    await until(room.probe.idle)
    room.clock.set(Micros(100))
    assert not room.probe.idle()
    released.set()
    await until(room.probe.idle)
    await room.probe.close()


async def test_an_outcome_that_stands_is_left_and_told():
    room = Room(lambda _: None)
    await room.probe.start()
    cause = room.say()
    first, second = (AlertRaised(level="info", text=text) for text in ("first", "second"))
    assert await room.probe.append(first, cause.seq)
    assert not await room.probe.append(second, cause.seq)
    assert [fact.event for fact in room.journal.read(0) if fact.stream == "probe"] == [first]
    await room.probe.close()
