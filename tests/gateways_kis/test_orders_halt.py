"""`reliability` D65: once a person halts, no new entry leaves, whatever the queues hold, the disk does, or the loop is stuck in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from kquant.events.base import Recorded
from kquant.events.day import HaltOrdered
from kquant.events.orders import CancelAccepted, OrderAccepted, OrderBlocked, OrderIntended
from kquant.gateways.kis.rest.connector import GatedConnector
from kquant.gateways.lastgate import Arming, HaltFlag, LastGate, withdraw
from kquant.gateways.operator import OperatorGateway, ask
from kquant.journal.memory import MemoryJournal
from kquant.values import IntentId, Seq
from tests.gateways_kis.test_orders_on_the_wire import Room

PLENTY = 300


class StuckJournal(MemoryJournal):
    """A journal whose disk stands still for what is appended by others than the test: nobody is answered until freed."""

    def __init__(self, room: Room) -> None:
        super().__init__(room.clock.now)
        self.reached = threading.Event()
        self._kept: list[Callable[[], None]] | None = []

    def append(self, stream: str, *arguments: Any, **named: Any) -> Future[tuple[Recorded, ...]]:
        kept, write = self._kept, super().append
        if stream == "orders" or kept is None:
            return write(stream, *arguments, **named)
        placed, later = write(stream, *arguments, **named), Future[tuple[Recorded, ...]]()

        def answer() -> None:
            error = placed.exception()
            later.set_result(placed.result()) if error is None else later.set_exception(error)

        kept.append(answer)
        self.reached.set()
        return later

    def free(self) -> None:
        kept, self._kept = self._kept or [], None
        for write in kept:
            write()


def intend(room: Room, number: int, side: Any = "buy", replaces: int | None = None) -> None:
    event = structs.replace(
        of_room(room, side), intent=IntentId(number), replaces=None if replaces is None else IntentId(replaces)
    )
    room.journal.append("orders", [event], by="orders").result()


def of_room(room: Room, side: Any) -> OrderIntended:
    """Return the room's own kind of intent, without appending it to the room's journal."""
    journal, room.journal = room.journal, MemoryJournal(room.clock.now)
    try:
        room.intend(side)
        (fact,) = room.journal.read(Seq(0))
    finally:
        room.journal = journal
    assert isinstance(fact.event, OrderIntended)
    return fact.event


def blocked(outcomes: list[Any]) -> set[int]:
    return {event.intent for event in outcomes if isinstance(event, OrderBlocked) and event.why == "halted"}


def from_another_process(folder: Path) -> None:
    """`kquant halt` while this process does nothing at all: its loop waits here for the thread to end."""
    thread = threading.Thread(target=HaltFlag(folder).write, args=("by hand",))
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


async def test_d65_an_inbox_full_of_buys_leaves_none_and_lets_sells_and_cancels_pass(tmp_path):
    async with Room(tmp_path) as room:
        for number in range(1, PLENTY):
            intend(room, number)
        intend(room, PLENTY, "sell")
        room.cancel()
        from_another_process(tmp_path)
        outcomes = await room.outcomes()
    assert blocked(outcomes) == set(range(1, PLENTY))
    assert [event.intent for event in outcomes if isinstance(event, OrderAccepted)] == [PLENTY]
    assert [type(event) for event in outcomes].count(CancelAccepted) == 1
    assert sorted(room.posts) == [("POST", "order-cash"), ("POST", "order-rvsecncl")]


async def test_d65_a_replacement_of_a_buy_is_a_new_entry(tmp_path):
    async with Room(tmp_path) as room:
        from_another_process(tmp_path)
        intend(room, 2, replaces=1)
        assert await room.outcomes() == [OrderBlocked(intent=IntentId(2), why="halted")]
        assert room.posts == []


async def test_d65_a_stuck_disk_holds_up_neither_the_halt_nor_what_it_stops(tmp_path):
    """The halt cannot be written down, and no more can the send's beginning: memory decides."""
    room = Room(tmp_path)
    journal = room.journal = StuckJournal(room)
    async with room:
        gate = LastGate(room.halt, None, room.clock)
        operator = OperatorGateway(journal, tmp_path, tmp_path / "2026-11-20", gate, dict, pytest.fail)
        await operator.start()
        intend(room, 1)
        assert await asyncio.to_thread(journal.reached.wait, 10), "the send was to begin"
        halting = asyncio.ensure_future(ask(tmp_path, "halt", who="me", reason="stop"))
        while not room.halt.is_halted():  # noqa: ASYNC110  the socket needs its turns
            await asyncio.sleep(0)
        journal.free()
        assert blocked(await room.outcomes()) == {1}
        await halting
        await operator.close()
    assert room.posts == []
    assert [fact.event for fact in journal.read(Seq(0)) if isinstance(fact.event, HaltOrdered)] == [
        HaltOrdered(who="me", reason="stop")
    ]


async def test_d65_a_blocked_loop_sends_nothing_when_it_goes_on(tmp_path):
    room = Room(tmp_path)
    journal = room.journal = StuckJournal(room)
    async with room:
        intend(room, 1)
        assert await asyncio.to_thread(journal.reached.wait, 10)
        from_another_process(tmp_path)
        journal.free()
        assert blocked(await room.outcomes()) == {1}
    assert room.posts == []


async def test_d65_a_halt_while_the_connection_is_being_made_still_counts(tmp_path, monkeypatch):
    async with Room(tmp_path) as room:
        await room.client.line.auth.token()
        connecting, go_on = asyncio.Event(), asyncio.Event()
        connect = GatedConnector._create_connection

        async def slowly(self: GatedConnector, *arguments: Any) -> Any:
            connecting.set()
            await go_on.wait()
            return await connect(self, *arguments)

        monkeypatch.setattr(GatedConnector, "_create_connection", slowly)
        monkeypatch.setattr(GatedConnector, "_get", no_old_connection)
        intend(room, 1)
        await connecting.wait()
        room.halt.write("now")
        go_on.set()
        assert blocked(await room.outcomes()) == {1}
        assert room.posts == []


async def no_old_connection(*_: object) -> None:
    """Every request needs a connection of its own."""
    return


async def test_a_disarmed_account_sends_neither_buys_nor_sells_but_cancels(tmp_path):
    room = Room(tmp_path)
    arming = Arming(tmp_path, "12345678-01", "limits")
    async with room:
        gate = LastGate(room.halt, arming, room.clock)
        arming.write(gate.today(), "me")
        room.gateway._gate = gate
        intend(room, 1)
        assert [type(event) for event in await room.outcomes()][-1] is OrderAccepted
        withdraw(tmp_path)
        intend(room, 2)
        intend(room, 3, "sell")
        room.cancel()
        outcomes = await room.outcomes()
    assert {event.intent: event.why for event in outcomes if isinstance(event, OrderBlocked)} == {
        2: "not armed",
        3: "not armed",
    }
    assert sorted(room.posts) == [("POST", "order-cash"), ("POST", "order-rvsecncl")]
