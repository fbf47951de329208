"""The operator's socket: who may speak, what is recorded, and what another process reads back."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path
from typing import Any, Self

import pytest

from kquant.events.day import AlertRaised, HaltOrdered, ResumeOrdered
from kquant.gateways.clock import SteppedClock
from kquant.gateways.lastgate import HaltFlag, LastGate
from kquant.gateways.operator import INSTANCE, NoInstance, OperatorGateway, ask, ask_stream, decode_row
from kquant.journal.memory import MemoryJournal
from kquant.values import Micros


class Room:
    def __init__(self, folder: Path, journal: MemoryJournal | None = None) -> None:
        self.folder = folder
        self.journal = journal or MemoryJournal(lambda: Micros(1))
        self.halt = HaltFlag(folder)
        gate = LastGate(self.halt, None, SteppedClock(Micros(1)))
        day = folder / "2026-11-20"
        self.gateway = OperatorGateway(self.journal, folder, day, gate, lambda: {"line": "well"}, pytest.fail)

    async def __aenter__(self) -> Self:
        await self.gateway.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.gateway.close()

    async def say(self, line: bytes) -> dict[str, Any]:
        port = json.loads((self.folder / INSTANCE).read_bytes())["port"]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(line + b"\n")
        answer: dict[str, Any] = json.loads(await reader.readline())
        writer.close()
        return answer

    @property
    def token(self) -> str:
        return str(json.loads((self.folder / INSTANCE).read_bytes())["token"])


@pytest.fixture
async def room(tmp_path):
    async with Room(tmp_path) as made:
        yield made


async def test_the_instance_file_is_its_owners_alone_and_goes_with_the_run(tmp_path):
    (tmp_path / "instance.part").touch(0o666)
    async with Room(tmp_path):
        assert stat.S_IMODE((tmp_path / INSTANCE).stat().st_mode) == 0o600
    assert not (tmp_path / INSTANCE).exists()
    with pytest.raises(NoInstance):
        await ask(tmp_path, "status")


@pytest.mark.parametrize("token", ["wrong", "", "한글", None, 7, "\ud800"])
async def test_a_wrong_token_is_refused_and_nothing_is_recorded(room, token):
    line = json.dumps({"token": token, "command": "halt", "who": "x", "reason": "x"}).encode()
    answer = await room.say(line)
    assert list(answer) == ["error"]
    assert room.journal.head == 0
    assert not room.halt.is_halted()


@pytest.mark.parametrize("line", [b"", b"[]", b"hello", b"\xff", b"null"])
async def test_a_line_that_is_no_command_is_refused(room, line):
    assert "error" in await room.say(line)


@pytest.mark.parametrize(
    "fields", [{"command": "halt"}, {"command": "events", "after": "x"}, {"command": "fly"}, {}, {"command": 7}]
)
async def test_a_command_that_does_not_fit_is_answered_with_an_error(room, fields):
    answer = await room.say(json.dumps({"token": room.token, **fields}).encode())
    assert "error" in answer
    assert room.journal.head == 0


async def test_a_halt_is_recorded_and_holds_until_resumed(room):
    (answer,) = await ask(room.folder, "halt", who="me", reason="too wild")
    assert room.halt.is_halted()
    (recorded,) = room.journal.read(0)
    assert recorded.event == HaltOrdered(who="me", reason="too wild")
    assert (recorded.stream, json.loads(answer)) == ("operator", {"seq": 1})
    await ask(room.folder, "resume", who="me", reason="calm")
    assert not room.halt.is_halted()
    assert room.journal.read(1)[0].event == ResumeOrdered(who="me", reason="calm")


async def test_a_halt_whose_file_cannot_be_removed_stays_in_force_and_on_record(room):
    await ask(room.folder, "halt", who="me", reason="x")
    (room.folder / "HALT").mkdir()
    (answer,) = await ask(room.folder, "resume", who="me", reason="calm")
    assert "HALT cannot be removed" in json.loads(answer)["error"]
    assert "by hand" in json.loads(answer)["error"]
    assert room.halt.is_halted()
    assert [fact.event for fact in room.journal.read(0)] == [HaltOrdered(who="me", reason="x")]


async def test_who_and_why_are_recorded_as_one_printable_line(room):
    await ask(room.folder, "halt", who="m\x1be", reason="two\nlines" + "x" * 500)
    (recorded,) = room.journal.read(0)
    assert recorded.event == HaltOrdered(who="m e", reason=("two lines" + "x" * 500)[:200])


async def test_a_halt_outlives_the_process(tmp_path):
    async with Room(tmp_path) as first:
        await ask(tmp_path, "halt", who="me", reason="x")
    async with Room(tmp_path, first.journal) as second:
        assert second.halt.is_halted()
        await ask(tmp_path, "resume", who="me", reason="x")
    async with Room(tmp_path, first.journal) as third:
        assert not third.halt.is_halted()


async def test_a_halt_that_cannot_be_recorded_stops_entries_all_the_same(room):
    room.journal.close()
    (answer,) = await ask(room.folder, "halt", who="me", reason="x")
    assert "error" in json.loads(answer)
    assert room.halt.is_halted()


def test_a_file_halts_without_a_running_program(tmp_path):
    flag = HaltFlag(tmp_path)
    assert not flag.is_halted()
    HaltFlag(tmp_path).write("by hand")
    assert flag.is_halted()
    assert flag.reason() == "by hand"
    flag.clear()
    assert not flag.is_halted()


async def test_events_read_over_the_socket_equal_the_recorded_ones(room):
    said = [AlertRaised(level="info", text=f"number {number} 한글") for number in range(1_200)]
    room.journal.append("run", said, by="x").result()
    lines = await ask(room.folder, "events", after=100)
    assert [decode_row(line) for line in lines] == list(room.journal.read(100, 2_000))


async def test_a_follower_is_told_what_comes_later(room):
    stream = ask_stream(room.folder, "events", after=0, follow=True)
    waiting = asyncio.ensure_future(anext(stream))
    recorded = room.journal.append("run", [AlertRaised(level="info", text="later")], by="x").result()[0]
    assert decode_row(await asyncio.wait_for(waiting, 10)) == recorded
    await stream.aclose()


async def test_status_is_what_the_run_says(room):
    (answer,) = await ask(room.folder, "status")
    assert json.loads(answer) == {"line": "well"}
