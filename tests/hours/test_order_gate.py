"""The last gate before the broker knows the sessions of the day (kis-protocol 5.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date, time
from typing import Any

import pytest

from kquant.events.orders import OrderBlocked, OrderIntended, OrderUnknown
from kquant.gateways.clock import SteppedClock
from kquant.gateways.kis.rest.orders import OrderGateway
from kquant.hours import day_hours
from kquant.journal.memory import MemoryJournal
from kquant.settings import Follow
from kquant.values import IntentId, Krw, Micros, OrderKind, Seq, Shares, Symbol, from_kst
from tests.hours.tables import EXAM, LATE_OPEN, NORMAL, TABLES


class Calls:
    """Asks the gate as the real calls do, then loses the answer. posts: how many got past the gate; after: of what kind."""

    def __init__(self, *, real: bool = True) -> None:
        self.posts = 0
        self.after: list[bool] = []
        self.has_after_market = real

    async def place(self, *order: Any, gate: Callable[[], None], after_market: bool, **more: Any) -> None:
        gate()
        self.posts += 1
        self.after.append(after_market)
        raise TimeoutError


class Open:
    def is_halted(self) -> bool:
        return False

    def is_armed(self) -> bool:
        return True


async def outcome(
    day: date, at: time, kind: OrderKind, follow: Follow, calls: Calls | None = None
) -> tuple[int, str | None]:
    """Return how many posts left and why the order was blocked, None if it was not."""
    now = from_kst(day, at)
    clock = SteppedClock(now)
    journal, calls = MemoryJournal(clock.now), calls or Calls()
    gateway = OrderGateway(
        journal,
        calls,  # type: ignore[arg-type]
        clock,
        Open(),
        day_hours(day, TABLES),
        allowed=True,
        timeout_seconds=5,
        changed=lambda: None,
        on_fatal=pytest.fail,
        follow=follow,
    )
    await gateway.start()
    intent = OrderIntended(
        intent=IntentId(1), code=Symbol("005930"), name="삼성전자", side="sell", qty=Shares(10), kind=kind,
        price=Krw(71_000 if kind == "limit" else 0), reason="stop", decision=Seq(1), reserved_krw=Krw(0),
        valid_until=Micros(now + 5),
    )  # fmt: skip
    journal.append("orders", [intent], by="orders").result()
    async with asyncio.timeout(10):
        while not any(isinstance(fact.event, OrderBlocked | OrderUnknown) for fact in journal.read(Seq(0))):  # noqa: ASYNC110
            await asyncio.sleep(0)
    await gateway.close()
    last = journal.read(Seq(0))[-1].event
    return calls.posts, last.why if isinstance(last, OrderBlocked) else None


LEAVES, BLOCKED = (1, None), (0, "session")


@pytest.mark.parametrize(
    ("day", "at", "kind", "follow", "expected"),
    [
        (NORMAL, time(8, 29, 59), "limit", "all", BLOCKED),
        (NORMAL, time(8, 30), "limit", "regular", LEAVES),
        (NORMAL, time(9, 0), "market", "regular", LEAVES),
        (NORMAL, time(15, 29, 59), "market", "regular", LEAVES),
        (NORMAL, time(15, 30), "limit", "all", BLOCKED),
        (NORMAL, time(15, 45), "limit", "all", BLOCKED),
        (NORMAL, time(16, 0), "limit", "regular", BLOCKED),
        (NORMAL, time(16, 0), "limit", "krx", LEAVES),
        (NORMAL, time(16, 0), "market", "krx", BLOCKED),
        (NORMAL, time(20, 0), "limit", "all", BLOCKED),
        (EXAM, time(9, 29, 59), "limit", "regular", BLOCKED),
        (EXAM, time(16, 29), "market", "regular", LEAVES),
        (EXAM, time(16, 30), "limit", "krx", BLOCKED),
        (EXAM, time(17, 0), "limit", "krx", LEAVES),
        (LATE_OPEN, time(9, 0), "limit", "all", BLOCKED),
        (LATE_OPEN, time(9, 30), "limit", "regular", LEAVES),
        (LATE_OPEN, time(16, 30), "limit", "all", BLOCKED),
    ],
)
async def test_orders_leave_in_sessions_that_take_them_and_market_orders_never_in_the_after_market(
    day: date, at: time, kind: OrderKind, follow: Follow, expected: tuple[int, str | None]
) -> None:
    assert await outcome(day, at, kind, follow) == expected


async def test_only_in_the_after_market_is_an_order_one_of_the_after_market_kis_protocol_4_9() -> None:
    calls = Calls()
    for at in (time(8, 30), time(15, 29, 59), time(16, 0), time(19, 59, 59)):
        assert await outcome(NORMAL, at, "limit", "krx", calls)
    assert calls.after == [False, False, True, True]


async def test_paper_has_no_after_market_kis_protocol_4_9() -> None:
    assert await outcome(NORMAL, time(16, 0), "limit", "krx", Calls(real=False)) == BLOCKED
    assert await outcome(NORMAL, time(15, 29), "limit", "krx", Calls(real=False)) == LEAVES
