"""The feed's shell on real sockets: connects, loses the line, comes back, and says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.datastructures import Headers
from websockets.http11 import Response

from kquant.events.feed import FeedConnected, FeedLost, FeedUnreachable, FirstTick, Registered, RegistrationVoid
from kquant.events.slots import RegisterWanted
from kquant.gateways.clock import SteppedClock
from kquant.gateways.kis.feed.gateway import KisFeed
from kquant.gateways.kis.feed.session import FeedSession
from kquant.gateways.kis.feed.wire import decode
from kquant.gateways.kis.rest.client import KisRefused
from kquant.gateways.market import MarketDesk
from kquant.journal import MemoryJournal, MemoryTape
from kquant.testing.facts import clock as kst
from kquant.values import SECOND_US, Epoch, Micros, Symbol
from tests.gateways_kis.test_session_scenarios import ack
from tests.gateways_kis.test_wire import TRADE_47


class Broker:
    """Acknowledges everything it is asked, unless told not to."""

    def __init__(self) -> None:
        self.sockets: list[ServerConnection] = []
        self.asked: list[tuple[str, str]] = []
        self.echoes: list[str] = []
        self.answer: Callable[[str, str], str | None] = lambda tr_id, key: ack(
            tr_id, key, "OPSP0000", keys=("k" * 32, "i" * 16)
        )

    async def serve(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        async for text in socket:
            frame = json.loads(text)
            if frame["header"].get("tr_id") == "PINGPONG":
                self.echoes.append(str(text))
                continue
            given = frame["body"]["input"]
            self.asked.append((given["tr_id"], given["tr_key"]))
            if (answer := self.answer(given["tr_id"], given["tr_key"])) is not None:
                broadcast((socket,), answer)


class Room:
    def __init__(
        self, url: str, journal: MemoryJournal, clock: SteppedClock, tape: MemoryTape, notice_tr: str | None = "H0STCNI0",
        **given: Any,
    ) -> None:  # fmt: skip
        self.journal, self.clock, self.tape = journal, clock, tape
        self.fatal: list[str] = []
        self.approvals: list[bool] = []
        self.approval_errors: list[BaseException] = []

        async def approval(renew: bool) -> str:
            self.approvals.append(renew)
            if self.approval_errors:
                raise self.approval_errors.pop()
            return "approval"

        def desk() -> MarketDesk:
            made = MarketDesk(journal, tape, clock, decode=decode, changed=lambda: None, on_fatal=self.fatal.append)
            made.recover(tape)
            return made

        session = FeedSession("DEMO01", "50001234-01", notice_tr, gap_us=1_000, ack_us=5 * SECOND_US)
        self.feed = KisFeed(
            url, journal, clock, session, desk=desk, approval=approval, changed=lambda: None,
            on_fatal=self.fatal.append, jitter=lambda: 0.0, **given,
        )  # fmt: skip

    def events(self, kind: type[Any]) -> list[Any]:
        return [fact.event for fact in self.journal.read(0, 10_000) if isinstance(fact.event, kind)]

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                assert self.fatal == []
                await asyncio.sleep(0.001)

    async def settled(self) -> None:
        await self.until(self.feed.idle)

    def want(self, code: str, epoch: int) -> None:
        event = RegisterWanted(
            code=Symbol(code), channel="trades", priority=1, epoch=Epoch(epoch),
            valid_until=Micros(self.clock.now() + 60 * SECOND_US),
        )  # fmt: skip
        self.journal.append("slots", [event], by="slots").result()


@pytest.fixture
async def broker():
    made = Broker()
    async with serve(made.serve, "127.0.0.1", 0) as server:
        made.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield made


@pytest.fixture
async def room(broker):
    clock = SteppedClock(kst("15:08:00", "2026-09-14"))
    made = Room(broker.url, MemoryJournal(clock.now), clock, MemoryTape())
    await asyncio.to_thread(made.feed.start)
    yield made
    await asyncio.to_thread(made.feed.close)


async def registered(room: Room, code: str = "005930", epoch: int = 1) -> None:
    await room.until(lambda: len(room.events(FeedConnected)) == epoch)
    room.want(code, epoch)
    await room.until(lambda: room.feed.wake_at() is not None or room.events(Registered))
    room.clock.set(Micros(room.clock.now() + 1_000))
    await room.until(lambda: any(one.epoch == epoch for one in room.events(Registered)))


async def test_data_after_a_registration_is_on_the_tape_and_told_once(room, broker):
    await registered(room)
    for _ in range(2):
        broadcast(broker.sockets, TRADE_47)
    await room.until(lambda: room.feed.frames == 4)
    await room.settled()
    (first,) = room.events(FirstTick)
    frames = [record for record in room.tape if record.kind == "frame"]
    assert [record.data.decode() for record in frames] == [TRADE_47, TRADE_47]
    assert first.place == frames[0].place
    assert broker.asked == [("H0STCNI0", "DEMO01"), ("H0STCNT0", "005930")]


async def test_a_dropped_line_is_idle_until_its_next_attempt_and_comes_back_as_a_new_epoch(room, broker):
    await registered(room)
    broker.sockets[-1].transport.abort()
    await room.until(lambda: room.events(FeedLost))
    await room.settled()
    assert not room.feed.connected
    resume = room.feed.wake_at()
    assert resume is not None
    assert room.clock.now() + SECOND_US <= resume <= room.clock.now() + 2 * SECOND_US
    room.clock.set(resume)
    assert not room.feed.idle() or len(room.events(FeedConnected)) == 2
    await room.until(lambda: len(room.events(FeedConnected)) == 2)
    await room.settled()
    assert [one.epoch for one in room.events(FeedConnected)] == [1, 2]
    assert [record.kind for record in room.tape if record.kind.startswith("epoch")] == [
        "epoch_begin", "epoch_end", "epoch_begin",
    ]  # fmt: skip
    await registered(room, "000660", 2)


async def test_a_request_without_an_answer_is_void_when_the_line_drops(room, broker):
    await registered(room)
    broker.answer = lambda tr_id, key: None
    room.want("000660", 1)
    room.clock.set(Micros(room.clock.now() + 2_000))
    await room.until(lambda: ("H0STCNT0", "000660") in broker.asked)
    broker.sockets[-1].transport.abort()
    await room.until(lambda: room.events(RegistrationVoid))
    assert [one.code for one in room.events(RegistrationVoid)] == ["000660"]


async def test_a_notice_registration_without_an_answer_ends_the_connection_and_says_why(room, broker):
    await room.until(lambda: room.events(FeedConnected))
    broker.answer = lambda tr_id, key: None
    broker.sockets[-1].transport.abort()
    await room.until(lambda: room.events(FeedLost))
    await room.settled()
    room.clock.set(Micros(room.clock.now() + 2 * SECOND_US))
    await room.until(lambda: len(broker.asked) == 2)
    await room.until(lambda: room.feed.wake_at() is not None and room.feed.connected)
    room.clock.set(Micros(room.clock.now() + 16 * SECOND_US))
    await room.until(lambda: len(room.events(FeedLost)) == 2)
    assert "not acknowledged" in room.events(FeedLost)[1].reason
    await room.settled()
    assert room.feed.wake_at() >= room.clock.now() + 5 * SECOND_US


async def test_an_approval_key_that_cannot_be_had_is_one_failed_attempt(broker):
    clock = SteppedClock(kst("15:08:00", "2026-09-14"))
    room = Room(broker.url, MemoryJournal(clock.now), clock, MemoryTape())
    room.approval_errors.append(KisRefused("EGW00133", "once a minute", 403))
    await asyncio.to_thread(room.feed.start)
    try:
        await room.until(lambda: room.events(FeedUnreachable))
        await room.settled()
        assert room.events(FeedUnreachable)[0].attempt == 1
        clock.set(Micros(clock.now() + 2 * SECOND_US))
        await room.until(lambda: room.events(FeedConnected))
        assert room.fatal == []
    finally:
        await asyncio.to_thread(room.feed.close)


async def test_an_unknown_approval_key_is_renewed_at_the_next_attempt(broker):
    clock = SteppedClock(kst("15:08:00", "2026-09-14"))
    room = Room(broker.url, MemoryJournal(clock.now), clock, MemoryTape())
    answer, broker.answer = broker.answer, lambda tr_id, key: ack(tr_id, key, "OPSP0011")
    await asyncio.to_thread(room.feed.start)
    try:
        await room.until(lambda: room.events(FeedLost))
        broker.answer = answer
        await room.settled()
        clock.set(Micros(clock.now() + 6 * SECOND_US))
        await room.until(lambda: room.events(FeedConnected))
        assert room.approvals == [False, True]
    finally:
        await asyncio.to_thread(room.feed.close)


async def test_a_pingpong_is_echoed_unchanged_on_the_socket(room, broker):
    await room.until(lambda: room.events(FeedConnected))
    text = '{"header": {"tr_id":"PINGPONG","datetime":"20260914150742"}}'
    broadcast(broker.sockets, text)
    await room.until(lambda: broker.echoes)
    assert broker.echoes == [text]


async def test_a_second_process_goes_on_with_the_next_epoch_and_ends_the_last(room, broker):
    await registered(room)
    await asyncio.to_thread(room.feed.close)
    room.clock.set(Micros(room.clock.now() + SECOND_US))  # two connections keep a second apart
    again = Room(broker.url, room.journal, room.clock, room.tape)
    await asyncio.to_thread(again.feed.start)
    try:
        await again.until(lambda: len(again.events(FeedConnected)) == 2)
        assert [one.epoch for one in again.events(FeedConnected)] == [1, 2]
        assert [one.epoch for one in again.events(FeedLost)] == [1]
    finally:
        await asyncio.to_thread(again.feed.close)


async def test_a_desk_that_fails_stops_the_run(room):
    await room.until(lambda: room.events(FeedConnected))

    def fail() -> None:
        raise RuntimeError("boom")

    await asyncio.wrap_future(room.feed.call(fail))
    assert any("boom" in reason for reason in room.fatal)


async def test_a_redirect_is_not_followed_because_the_approval_key_would_go_there(broker):
    def elsewhere(_: ServerConnection, __: Any) -> Response:
        return Response(302, "Found", Headers(Location=broker.url), b"")

    async with serve(broker.serve, "127.0.0.1", 0, process_request=elsewhere) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        clock = SteppedClock(kst("15:08:00", "2026-09-14"))
        made = Room(url, MemoryJournal(clock.now), clock, MemoryTape())
        await asyncio.to_thread(made.feed.start)
        await made.until(lambda: made.events(FeedUnreachable))
        await asyncio.to_thread(made.feed.close)
    assert "302" in made.events(FeedUnreachable)[0].reason
    assert broker.sockets == []


async def test_a_proxy_of_the_environment_is_not_used(broker, monkeypatch):
    for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "WS_PROXY"):
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    clock = SteppedClock(kst("15:08:00", "2026-09-14"))
    made = Room(broker.url, MemoryJournal(clock.now), clock, MemoryTape())
    await asyncio.to_thread(made.feed.start)
    await made.until(lambda: made.events(FeedConnected) or made.events(FeedUnreachable))
    await asyncio.to_thread(made.feed.close)
    assert made.events(FeedUnreachable) == []


async def test_a_caller_who_gives_up_waiting_does_the_feed_no_harm(room):
    await room.until(lambda: room.events(FeedConnected))
    future = room.feed.call(lambda: None)
    assert not future.cancel()
    await asyncio.wrap_future(room.feed.call(lambda: None))
    assert future.done()
    assert room.fatal == []


async def test_a_feed_whose_line_fails_tells_it_and_leaves_nobody_waiting(room, broker):
    """What is asked of a feed that ended is over at once: a run that waited for it would never stop."""
    await registered(room)

    def fail(*_: object) -> None:
        raise RuntimeError("boom")

    room.feed.desk.frame = fail
    broadcast(broker.sockets, TRADE_47)
    async with asyncio.timeout(20):
        while room.feed._thread.is_alive():
            await asyncio.wrap_future(room.feed.call(lambda: None))
        await asyncio.wrap_future(room.feed.call(lambda: None))
    assert any("boom" in reason for reason in room.fatal)


async def test_a_feed_whose_work_is_cancelled_by_somebody_tells_it(broker):
    """An approval is asked for on another loop: if that ends, so does the question, and the line with it."""
    clock = SteppedClock(kst("15:08:00", "2026-09-14"))
    made = Room(broker.url, MemoryJournal(clock.now), clock, MemoryTape())
    made.approval_errors = [asyncio.CancelledError()]
    await asyncio.to_thread(made.feed.start)
    async with asyncio.timeout(20):
        while not made.fatal:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert "ended by itself" in made.fatal[0]
    await asyncio.to_thread(made.feed.close)
