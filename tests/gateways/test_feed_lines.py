"""How the feed's lines live and die, on real sockets: half-open, deaf, refused for good, two lines at once."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import broadcast, serve

from kquant.events.day import AlertRaised, DayOpened
from kquant.events.feed import (
    FeedConnected,
    FeedLost,
    FeedStopped,
    FirstTick,
    NoticeReceived,
    NoticesConnected,
    NoticesLost,
    NoticeUnreadable,
    Registered,
)
from kquant.gateways.clock import SteppedClock
from kquant.gateways.kis.feed.notices import NoticeLine, Unreadable
from kquant.gateways.kis.feed.session import FeedSession
from kquant.journal import MemoryJournal, MemoryTape
from kquant.krx import SessionHours
from kquant.market.records import RestPrice
from kquant.testing.facts import clock as kst
from kquant.values import SECOND_US, BasisPoints, Epoch, Krw, Micros, Shares, Symbol
from tests.gateways.test_feed import Broker, Room, registered
from tests.gateways_kis.test_session_scenarios import IV, KEY, ack, notice_frame
from tests.gateways_kis.test_wire import TRADE_47

PING = '{"header":{"tr_id":"PINGPONG","datetime":"20260914150742"}}'
BEGIN = kst("15:08:00", "2026-09-14")


@pytest.fixture
async def broker():
    made = Broker()
    async with serve(made.serve, "127.0.0.1", 0, ping_interval=None) as server:
        made.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield made


@asynccontextmanager
async def running(broker: Broker, journal: MemoryJournal | None = None, tape: MemoryTape | None = None, **given: Any):
    clock = SteppedClock(BEGIN)
    made = Room(broker.url, journal or MemoryJournal(clock.now), clock, tape or MemoryTape(), **given)
    await asyncio.to_thread(made.feed.start)
    try:
        yield made
    finally:
        await asyncio.to_thread(made.feed.close)


def looked(room: Room, wall: SteppedClock) -> bool:
    """Tell whether the pulse was felt since the wall's clock last moved."""
    due = wall.next_wake()
    return due is not None and due > wall.now()


async def test_a_line_that_falls_silent_after_its_pingpong_is_given_up_and_comes_back_kis_protocol_2_3(broker) -> None:
    wall = SteppedClock(Micros(0))
    async with running(broker, wall=wall) as room:
        await room.until(lambda: room.events(FeedConnected))
        broadcast(broker.sockets, PING)
        await room.until(lambda: broker.echoes)
        # Frozen: the socket stays open, and nothing is read or answered any more, not even a protocol ping.
        broker.sockets[-1].transport.pause_reading()
        while not room.events(FeedLost):
            wall.set(Micros(wall.now() + SECOND_US))
            await room.until(lambda: room.events(FeedLost) or looked(room, wall))
            assert wall.now() <= 17 * SECOND_US
        assert "half open" in room.events(FeedLost)[0].reason
        assert wall.now() >= 15 * SECOND_US
        await room.settled()
        room.clock.set(Micros(room.clock.now() + 2 * SECOND_US))
        await room.until(lambda: len(room.events(FeedConnected)) == 2)
        broker.sockets[0].transport.abort()


async def test_a_line_that_answers_protocol_pings_lives_without_pingpong(broker) -> None:
    wall = SteppedClock(Micros(0))
    async with running(broker, wall=wall) as room:
        await room.until(lambda: room.events(FeedConnected))
        broadcast(broker.sockets, PING)
        await room.until(lambda: broker.echoes)
        for _ in range(60):
            wall.set(Micros(wall.now() + SECOND_US))
            await room.until(lambda: looked(room, wall) and not room.feed._keeper._pongs)
        assert room.events(FeedLost) == []


def opened() -> DayOpened:
    hours = SessionHours(
        open_at=kst("09:00:00", "2026-09-14"), closing_auction_at=kst("15:20:00", "2026-09-14"),
        close_at=kst("15:30:00", "2026-09-14"), shift_minutes=0, note="",
    )  # fmt: skip
    return DayOpened(
        day="2026-09-14", account="", hours=hours, positions=None, cash_krw=None, day_before="", digest_before="",
        reconciled_before=True,
    )  # fmt: skip


def price(volume: int) -> RestPrice:
    return RestPrice(
        Symbol("005930"), Krw(249_250), Krw(249_500), Krw(254_500), Krw(248_500), Shares(volume), Krw(1), BasisPoints(0)
    )


@pytest.mark.parametrize(("volume", "ends"), [(14_871_538, 0), (14_871_600, 1)])
async def test_a_silent_market_is_asked_over_rest_and_only_a_deaf_line_is_given_up(broker, volume, ends) -> None:
    asked: list[Symbol] = []

    async def probe(code: Symbol) -> RestPrice:
        asked.append(code)
        return price(volume)

    journal = MemoryJournal(lambda: BEGIN)
    journal.append("run", [opened()], by="run").result()
    async with running(broker, journal, wall=SteppedClock(Micros(0)), probe=probe) as room:
        await registered(room)
        for _ in range(100):
            broadcast(broker.sockets, TRADE_47)
        await room.until(lambda: room.events(FirstTick) and room.feed.frames >= 102)
        for _ in range(200):
            if asked:
                break
            room.clock.set(Micros(room.clock.now() + 5 * SECOND_US))
            await room.until(lambda: asked or (room.feed.idle() and looked(room, room.clock)))
        assert asked == ["005930"]
        if ends:
            await room.until(lambda: room.events(FeedLost))
            assert "62 shares unheard" in room.events(FeedLost)[0].reason
        await room.until(room.feed.idle)
        assert len(room.events(FeedLost)) == ends


async def test_a_key_refused_for_good_stops_the_feed_with_an_alert_kis_protocol_2_2(broker) -> None:
    broker.answer = lambda tr_id, key: ack(tr_id, key, "OPSP9994")
    async with running(broker) as room:
        await room.until(lambda: room.events(FeedStopped))
        await room.settled()
        assert room.events(FeedStopped)[0].fatal
        assert {one.level for one in room.events(AlertRaised)} == {"critical"}
        room.clock.set(Micros(room.clock.now() + 3_600 * SECOND_US))
        await room.settled()
        assert len(broker.sockets) == 1, "nothing is tried any more"


async def test_a_key_that_another_session_holds_is_waited_for_kis_protocol_2_5(broker) -> None:
    answer, broker.answer = broker.answer, lambda tr_id, key: ack("(null)", "", "OPSP8996", rt_cd="9")
    async with running(broker) as room:
        await room.until(lambda: room.events(FeedLost))
        broker.answer = answer
        await room.settled()
        resume = room.feed.wake_at()
        assert resume is not None
        assert resume == room.clock.now() + 60 * SECOND_US
        assert any("another session" in one.text for one in room.events(AlertRaised))
        room.clock.set(resume)
        await room.until(lambda: room.events(FeedConnected))


async def test_the_breaker_outlives_the_process_and_its_state_is_in_the_log(broker) -> None:
    journal = MemoryJournal(lambda: BEGIN)
    stopped = FeedStopped(until=Micros(BEGIN + 600 * SECOND_US), fatal=False, reason="10 fast failures")
    journal.append("feed", [stopped], by="feed").result()
    async with running(broker, journal) as room:
        await room.settled()
        assert (room.feed.wake_at(), broker.sockets) == (stopped.until, [])


async def test_an_epoch_the_broker_never_took_is_not_numbered_twice(broker) -> None:
    answer, broker.answer = broker.answer, lambda tr_id, key: None
    async with running(broker) as room:
        await room.until(lambda: broker.asked)
        broker.sockets[-1].transport.abort()
        await room.until(lambda: room.events(FeedLost))
    # As a kill leaves it: the tape knows of epoch 1, the log of nothing.
    broker.answer = answer
    tape = MemoryTape()
    for record in list(room.tape)[:1]:
        assert record.kind == "epoch_begin"
        tape.append(record.kind, record.at, record.data)
    async with running(broker, tape=tape) as again:
        await again.until(lambda: again.events(FeedConnected))
        assert [one.epoch for one in again.events(FeedConnected)] == [2]
        assert [(one.kind, one.data) for one in again.tape][:3] == [
            ("epoch_begin", b"1"), ("epoch_end", b"1"), ("epoch_begin", b"2"),
        ]  # fmt: skip


async def test_a_quotes_only_feed_is_connected_once_it_is_open(broker) -> None:
    async with running(broker, notice_tr=None) as room:
        await registered(room)
        assert broker.asked == [("H0STCNT0", "005930")]


@asynccontextmanager
async def two_lines(broker: Broker, code: str = "OPSP0000"):
    """Quotes from one server, notices from another, which answers their registration with *code*."""
    paper = Broker()
    paper.answer = lambda tr_id, key: ack(tr_id, key, code, keys=(KEY, IV) if code == "OPSP0000" else None)
    async with serve(paper.serve, "127.0.0.1", 0, ping_interval=None) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"

        async def approval(renew: bool) -> str:
            return "paper approval"

        session = FeedSession("DEMO01", "50001234-01", "H0STCNI9", gap_us=1_000, ack_us=5 * SECOND_US)
        async with running(broker, notice_tr=None, notices=NoticeLine(url, session, approval)) as room:
            yield room, paper


async def test_notices_come_on_a_line_of_their_own_whose_loss_is_no_loss_of_the_slots_kis_protocol_2_5(broker) -> None:
    async with two_lines(broker) as (room, paper):
        await room.until(lambda: room.events(FeedConnected) and room.events(NoticesConnected))
        await registered(room)
        broadcast(paper.sockets, notice_frame("5000123401").replace("H0STCNI0", "H0STCNI9"))
        await room.until(lambda: room.events(NoticeReceived))
        assert (broker.asked, paper.asked) == ([("H0STCNT0", "005930")], [("H0STCNI9", "DEMO01")])
        paper.sockets[-1].transport.abort()
        await room.until(lambda: room.events(NoticesLost))
        await room.settled()
        room.clock.set(Micros(room.clock.now() + 2 * SECOND_US))
        await room.until(lambda: len(room.events(NoticesConnected)) == 2)
        assert [one.line for one in room.events(NoticesConnected)] == [1, 2]
        assert room.events(FeedLost) == []
        assert [one.code for one in room.events(Registered)] == ["005930"]


async def test_a_refused_key_of_the_notices_leaves_the_quotes_alone(broker) -> None:
    async with two_lines(broker, "OPSP9996") as (room, paper):
        await room.until(lambda: room.events(FeedStopped))
        await registered(room)
        await room.settled()
        assert [type(one) for one in room.events(NoticesLost)] == [NoticesLost]
        assert room.events(FeedLost) == []
        assert len(paper.sockets) == 1
    async with running(broker, room.journal, room.tape, notice_tr=None) as again:
        again.clock.set(Micros(BEGIN + 2 * SECOND_US))
        await again.until(lambda: len(again.events(FeedConnected)) == 2)


def test_a_flood_of_unreadable_notices_is_told_at_a_bounded_rate() -> None:
    bound = Unreadable()
    event = NoticeUnreadable(epoch=Epoch(1), reason="not a readable notice")
    told = [bound.note(event, Micros(BEGIN + number * SECOND_US // 10)) for number in range(600)]
    assert len(told[0]) == 2
    assert sum(isinstance(one, NoticeUnreadable) for each in told for one in each) == 30
    assert sum(isinstance(one, AlertRaised) for each in told for one in each) == 1
