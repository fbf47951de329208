"""The order gateway on the real REST client: what a server does to an order, and how many times it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import pytest
from aiohttp import web

from kquant.events.orders import (
    CancelRefused,
    CancelUnknown,
    CancelWanted,
    OrderAccepted,
    OrderBlocked,
    OrderExpired,
    OrderIntended,
    OrderRefused,
    OrderSendStarted,
    OrderUnknown,
)
from kquant.gateways.clock import SteppedClock
from kquant.gateways.kis.rest.calls import KisCalls
from kquant.gateways.kis.rest.client import RestClient, Secrets
from kquant.gateways.kis.rest.limits import ORDERS
from kquant.gateways.kis.rest.orders import OrderGateway
from kquant.gateways.lastgate import HaltFlag, LastGate
from kquant.journal.memory import MemoryJournal
from kquant.krx import SessionHours
from kquant.values import SECOND_US, IntentId, Krw, Micros, Seq, Shares, Symbol
from tests.scoring.fakes import Quiet, until

OPEN, CLOSE = Micros(100_000 * SECOND_US), Micros(120_000 * SECOND_US)
HOURS = SessionHours(open_at=OPEN, closing_auction_at=CLOSE, close_at=CLOSE, shift_minutes=0, note="")
PLACED = {"KRX_FWDG_ORD_ORGNO": "06010", "ODNO": "0000117057", "ORD_TMD": "100512"}
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Room:
    def __init__(self, folder: Path, *, per_second: int = 15) -> None:
        self.posts: list[tuple[str, str]] = []
        self.answer: Answer = says({"rt_cd": "0", "output": PLACED})
        self.clock = SteppedClock(OPEN)
        self.journal = MemoryJournal(self.clock.now)
        self.quiet = Quiet()
        self.halt = HaltFlag(folder)
        self.folder, self.per_second = folder, per_second

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/oauth2/tokenP":
            return web.json_response({"access_token": "token", "expires_in": 86_400})
        self.posts.append((request.method, request.path.rsplit("/", 1)[1]))
        return await self.answer(request)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.serve)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.client = RestClient(
            f"http://127.0.0.1:{self.runner.addresses[0][1]}", Secrets("key", "secret"), self.clock,
            per_second=self.per_second, timeout_seconds=1, token_file=self.folder / "token.json",
        )  # fmt: skip
        await self.client.start()
        self.gateway = OrderGateway(
            self.journal, KisCalls(self.client, "50001234-01"), self.clock,
            LastGate(self.halt, None, self.clock), HOURS, allowed=True,
            timeout_seconds=1, changed=self.quiet.changed, on_fatal=self.quiet.on_fatal,
        )  # fmt: skip
        await self.gateway.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.gateway.close()
        await self.client.close()
        await self.runner.cleanup()

    def intend(self, side: Any = "buy", intent: int = 1, valid_us: int = 30 * SECOND_US) -> Seq:
        event = OrderIntended(
            intent=IntentId(intent), code=Symbol("005930"), name="x", side=side, qty=Shares(10), kind="limit",
            price=Krw(71_000), reason="signal", decision=Seq(1), reserved_krw=Krw(0),
            valid_until=Micros(OPEN + valid_us),
        )  # fmt: skip
        return self.journal.append("orders", [event], by="orders").result()[0].seq

    def cancel(self) -> None:
        wanted = CancelWanted(
            intent=IntentId(1), order_no="117057", branch="06010", valid_until=Micros(OPEN + 30 * SECOND_US)
        )
        self.journal.append("orders", [wanted], by="orders").result()

    async def outcomes(self) -> list[Any]:
        await asyncio.sleep(0)
        await self.quiet.until_idle(self.gateway)  # type: ignore[arg-type]
        return [fact.event for fact in self.journal.read(0) if fact.stream == "broker"]


def says(body: Any, status: int = 200) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        if isinstance(body, str):
            return web.Response(text=body, status=status, content_type="text/html")
        return web.json_response(body, status=status)

    return answer


async def resets(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def hangs(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(1_000)
    return web.Response()


def refused(code: str, status: int = 200) -> Answer:
    return says({"rt_cd": "1", "msg_cd": code, "msg1": "no "}, status)


CASES = {
    "accepted": (says({"rt_cd": "0", "output": PLACED}), OrderAccepted),
    "refused": (refused("APBK0400"), OrderRefused),
    "limited": (refused("EGW00201", 500), OrderRefused),
    "result unknown": (refused("EGW00301", 500), OrderUnknown),
    "a code nobody knows": (refused("ZZZZ9999"), OrderUnknown),
    "reset": (resets, OrderUnknown),
    "no answer": (hangs, OrderUnknown),
    "html": (says("<html>", 500), OrderUnknown),
    "html and ok": (says("<html>"), OrderUnknown),
    "no number": (says({"rt_cd": "0", "output": {**PLACED, "ODNO": ""}}), OrderUnknown),
    "zeros for a number": (says({"rt_cd": "0", "output": {**PLACED, "ODNO": "0000000000"}}), OrderUnknown),
    "no output": (says({"rt_cd": "0"}), OrderUnknown),
    "success with an error's status": (says({"rt_cd": "0", "output": PLACED}, 500), OrderUnknown),
}


@pytest.mark.parametrize("case", CASES)
async def test_whatever_becomes_of_an_order_it_is_posted_once(tmp_path, case):
    answer, outcome = CASES[case]
    async with Room(tmp_path) as room:
        room.answer = answer
        room.intend()
        started, ended = await room.outcomes()
        assert started == OrderSendStarted(intent=IntentId(1))
        assert type(ended) is outcome
        assert room.posts == [("POST", "order-cash")]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (refused("APBK0344"), CancelRefused),
        (refused("ZZZZ9999"), CancelRefused),
        (refused("EGW00201", 500), CancelRefused),
        (refused("EGW00302", 500), CancelUnknown),
        (resets, CancelUnknown),
        (says("<html>", 500), CancelUnknown),
    ],
)
async def test_a_cancel_whose_result_is_not_known_is_not_called_refused(tmp_path, answer, outcome):
    async with Room(tmp_path) as room:
        room.answer = answer
        room.cancel()
        (ended,) = await room.outcomes()
        assert type(ended) is outcome
        assert room.posts == [("POST", "order-rvsecncl")]


async def test_a_halt_by_file_stops_buys_and_lets_sells_pass(tmp_path):
    async with Room(tmp_path) as room:
        room.halt.write("by hand")
        room.intend("buy")
        assert await room.outcomes() == [OrderBlocked(intent=IntentId(1), why="halted")]
        assert room.posts == []
        room.intend("sell")
        assert type((await room.outcomes())[-1]) is OrderAccepted


async def test_a_halt_during_the_wait_for_the_budget_still_stops_a_buy(tmp_path):
    async with Room(tmp_path, per_second=1) as room:
        await room.client.line.limiter.take(ORDERS)
        room.intend()
        await until(lambda: room.gateway.idle() and room.clock.next_wake() is not None)
        room.halt.set(halted=True)
        room.clock.set(Micros(OPEN + SECOND_US))
        ended = (await room.outcomes())[-1]
        assert ended == OrderBlocked(intent=IntentId(1), why="halted")
        assert room.posts == []


async def test_an_order_that_never_got_its_turn_was_provably_not_sent(tmp_path):
    async with Room(tmp_path, per_second=1) as room:
        await room.client.line.limiter.take(ORDERS)
        room.intend()
        while len(room.journal.read(0)) < 3:
            room.quiet.event.clear()
            await room.quiet.event.wait()
        ended = room.journal.read(0)[-1].event
        assert isinstance(ended, OrderRefused)
        assert ended.message_code == "NOT_SENT"
        assert room.posts == []


async def test_an_order_that_expired_while_it_waited_leaves_its_turn_to_the_sell_behind_it(tmp_path):
    async with Room(tmp_path, per_second=1) as room:
        await room.client.line.limiter.take(ORDERS)
        room.intend(valid_us=SECOND_US // 2)
        room.intend("sell", 2)
        await until(lambda: len(room.client.line.limiter._waiting) == 2)
        room.clock.set(Micros(OPEN + SECOND_US))
        expired, accepted = (await room.outcomes())[-2:]
        assert expired == OrderExpired(intent=IntentId(1))
        assert (type(accepted), accepted.intent) == (OrderAccepted, 2)
        assert room.posts == [("POST", "order-cash")]


async def test_a_sell_waits_for_its_turn_as_long_as_it_is_valid(tmp_path):
    """Nine holdings sold at one call a second: the last waits longer than a buy would."""
    async with Room(tmp_path, per_second=1) as room:
        await room.client.line.limiter.take(ORDERS)
        room.intend("sell", 1)
        room.intend("buy", 2)
        while len(room.journal.read(0)) < 5:
            room.quiet.event.clear()
            await room.quiet.event.wait()
        gone = room.journal.read(0)[-1].event
        assert (type(gone), gone.intent) == (OrderRefused, 2)
        room.clock.set(Micros(OPEN + SECOND_US))
        accepted = (await room.outcomes())[-1]
        assert (type(accepted), accepted.intent) == (OrderAccepted, 1)


async def test_a_send_that_stands_in_the_log_is_not_begun_again(tmp_path):
    async with Room(tmp_path) as room:
        seq = room.intend()
        await room.outcomes()
        room.gateway.take(room.journal.read(Seq(seq - 1))[0])
        assert len(await room.outcomes()) == 2
        assert room.posts == [("POST", "order-cash")]
