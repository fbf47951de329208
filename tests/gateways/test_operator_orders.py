"""What a person orders over the operator's socket or by file: to flatten, to arm, to disarm, and the halt that holds."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import date, time
from pathlib import Path
from typing import Any, Self

import pytest

from kquant.events.base import Event
from kquant.events.day import ArmOrdered, DisarmOrdered, FlattenOrdered, HaltOrdered, ResumeOrdered
from kquant.gateways.clock import SteppedClock
from kquant.gateways.lastgate import Arming, HaltFlag, LastGate, withdraw
from kquant.gateways.operator import OperatorGateway, ask
from kquant.journal.memory import MemoryJournal
from kquant.values import Seq, from_kst

TODAY, TOMORROW = date(2026, 11, 23), date(2026, 11, 24)


class Room:
    """A running day of a real account, or of one that needs no arming."""

    def __init__(self, folder: Path, journal: MemoryJournal | None = None, *, live: bool = True, limits: str = "these"):
        self.folder = folder
        self.clock = SteppedClock(from_kst(TODAY, time(10, 0)))
        self.journal = journal or MemoryJournal(self.clock.now)
        self.gate = LastGate(HaltFlag(folder), self.arming(limits) if live else None, self.clock)
        day = folder / TODAY.isoformat()
        self.gateway = OperatorGateway(self.journal, folder, day, self.gate, dict, pytest.fail)

    def arming(self, limits: str = "these") -> Arming:
        return Arming(self.folder, "12345678-01", limits)

    async def __aenter__(self) -> Self:
        await self.gateway.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.gateway.close()

    async def say(self, command: str, **fields: object) -> dict[str, Any]:
        (line,) = await ask(self.folder, command, who="me", reason="so", **fields)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def said(self) -> list[Event]:
        return [fact.event for fact in self.journal.read(Seq(0))]

    async def until(self, kind: type[Event]) -> Event:
        """Wait until such an event is on record."""
        while True:
            for event in self.said():
                if isinstance(event, kind):
                    return event
            await asyncio.sleep(0.01)


@pytest.fixture
async def room(tmp_path):
    async with Room(tmp_path) as made:
        yield made


@pytest.mark.parametrize("code", ["005930", "0001A0", "Q500001"])
async def test_one_holding_is_ordered_out_and_entries_go_on(room, code):
    answer = await room.say("flatten", code=code)
    assert room.said() == [FlattenOrdered(who="me", reason="so", code=code)]
    assert answer == {"seq": 1}
    assert not room.gate.is_halted()


async def test_flattening_everything_halts_entries_too_also_after_a_restart(room, tmp_path):
    assert await room.say("flatten") == {"seq": 2}
    assert room.said() == [HaltOrdered(who="me", reason="so"), FlattenOrdered(who="me", reason="so")]
    assert room.gate.is_halted()
    assert LastGate(HaltFlag(tmp_path), None, room.clock).is_halted(), "on another day as well"
    await room.say("resume")
    assert not room.gate.is_halted()


@pytest.mark.parametrize("code", [7, "5930", "", "삼성전자", "삼성전자전자전", "q500001", "Q5000011", ["005930"]])
async def test_what_is_no_code_is_refused_and_nothing_is_sold(room, code):
    assert "error" in await room.say("flatten", code=code)
    assert room.said() == []


async def test_an_arming_is_recorded_with_who_armed_and_which_limits(room):
    room.arming().write(TODAY, "kim")
    assert await room.say("arm") == {"day": "2026-11-23"}
    assert room.said() == [ArmOrdered(who="kim", day="2026-11-23", limits="these")]
    await room.say("arm")
    assert len(room.said()) == 1


@pytest.mark.parametrize(
    ("day", "limits", "why"),
    [(TOMORROW, "these", "armed for 2026-11-24"), (TODAY, "others", "limits changed"), (None, "", "not armed")],
)
async def test_without_a_valid_file_nobody_arms_over_the_socket(room, day, limits, why):
    if day is not None:
        room.arming(limits).write(day, "kim")
    assert why in (await room.say("arm"))["error"]
    assert room.said() == []
    assert not room.gate.is_armed()


async def test_a_run_without_real_money_has_nothing_to_arm(tmp_path):
    async with Room(tmp_path, live=False) as room:
        room.arming().write(TODAY, "kim")
        assert "no real account" in (await room.say("arm"))["error"]
        assert room.said() == []


async def test_disarming_counts_at_once_and_is_recorded_with_its_reason(room, tmp_path):
    room.arming().write(TODAY, "kim")
    await room.say("arm")
    assert await room.say("disarm") == {"armed": False}
    assert room.said()[1:] == [DisarmOrdered(who="me", reason="so")]
    assert not room.gate.is_armed()
    assert not (tmp_path / "ARMED").exists()


async def test_files_that_come_and_go_by_hand_are_recorded(room):
    room.arming().write(TODAY, "kim")
    async with asyncio.timeout(10):
        assert await room.until(ArmOrdered) == ArmOrdered(who="kim", day="2026-11-23", limits="these")
        withdraw(room.folder)
        assert await room.until(DisarmOrdered) == DisarmOrdered(who="file", reason="not armed")
        HaltFlag(room.folder).write("by hand")
        assert await room.until(HaltOrdered) == HaltOrdered(who="file", reason="by hand")


async def test_an_arming_of_before_the_start_is_recorded_before_anything_is_decided(tmp_path):
    Room(tmp_path).arming().write(TODAY, "kim")
    async with Room(tmp_path) as room:
        assert room.said() == [ArmOrdered(who="kim", day="2026-11-23", limits="these")]


async def test_a_restart_under_other_limits_is_no_longer_armed(tmp_path):
    Room(tmp_path).arming().write(TODAY, "kim")
    async with Room(tmp_path) as first:
        assert first.gate.is_armed()
    async with Room(tmp_path, first.journal, limits="wider") as second:
        assert not second.gate.is_armed()
        assert second.said()[1:] == [DisarmOrdered(who="file", reason="the limits changed since it was armed")]


async def test_the_night_disarms(room):
    room.arming().write(TODAY, "kim")
    await room.say("arm")
    room.clock.set(from_kst(TOMORROW, time(0, 0)))
    assert not room.gate.is_armed()
    async with asyncio.timeout(10):
        assert "armed for 2026-11-23" in (await room.until(DisarmOrdered)).reason


async def test_a_halt_that_came_while_a_resume_was_being_written_wins(tmp_path):
    """Two people at once: the later word is the halt, in memory, in the file and in the log."""
    held = HeldJournal()
    async with Room(tmp_path, held) as room:
        await room.say("halt")
        held.hold()
        resuming = asyncio.ensure_future(room.say("resume"))
        await asyncio.to_thread(held.asked.wait, 10)
        HaltFlag(tmp_path).write("again")
        halting = asyncio.ensure_future(room.say("halt"))
        await asyncio.sleep(0)
        while room.gateway._halts < 2:  # noqa: ASYNC110  the socket needs its turns
            await asyncio.sleep(0)
        held.release()
        await asyncio.gather(resuming, halting)
        assert room.gate.is_halted()
        assert HaltFlag(tmp_path).has_file()
        assert [type(event) for event in room.said()] == [HaltOrdered, ResumeOrdered, HaltOrdered]


class HeldJournal(MemoryJournal):
    """A journal whose disk stands still while held: nothing is written, and nobody is answered."""

    def __init__(self) -> None:
        super().__init__(SteppedClock(from_kst(TODAY, time(10, 0))).now)
        self.asked = threading.Event()
        self._held: list[Any] | None = None

    def hold(self) -> None:
        self.asked.clear()
        self._held = []

    def append(self, *arguments: Any, **named: Any) -> Any:
        from concurrent.futures import Future

        if self._held is None:
            return super().append(*arguments, **named)
        later: Future[Any] = Future()
        self._held.append((later, arguments, named))
        self.asked.set()
        return later

    def release(self) -> None:
        held, self._held = self._held or [], None
        for later, arguments, named in held:
            later.set_result(super().append(*arguments, **named).result())
