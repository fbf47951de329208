import asyncio
import threading
from datetime import time

import pytest

from kquant.events.base import name_of
from kquant.events.orders import CancelWanted, OrderBound, OrderIntended, OrderSendStarted
from kquant.gateways.clock import SteppedClock
from kquant.gateways.kis.rest.client import Answer, KisNotSent, KisRefused, KisUnreachable, KisUnreadable
from kquant.gateways.kis.rest.orders import OrderGateway
from kquant.hours import day_hours
from kquant.journal import open_day, sqlite
from kquant.journal.memory import MemoryJournal
from kquant.journal.recorder import JournalRecorder
from kquant.krx import SessionHours
from kquant.values import from_kst
from tests.hours.tables import NORMAL, TABLES

OPEN, CLOSE = 10_000_000_000, 20_000_000_000
HOURS = SessionHours(open_at=OPEN, closing_auction_at=CLOSE - 1, close_at=CLOSE, shift_minutes=0, note="")
PLACED = {"ODNO": "0000117057", "KRX_FWDG_ORD_ORGNO": "06010", "ORD_TMD": "100512"}


class FakeCalls:
    """Asks the gate as the real one does, then gives or raises what it was told to. posts: how many left."""

    def __init__(self, journal, result):
        self.journal = journal
        self.result = result
        self.posts = 0
        self.durable_before_post = True
        self.sent = []

    has_after_market = True

    async def place(self, code, side, kind, qty, price, *, timeout_seconds, gate, after_market):
        return self._post(gate, "order.send_started")

    async def cancel(self, order_no, branch, kind, *, timeout_seconds, gate, after_market):
        self.sent.append(("cancel", order_no, branch, kind, after_market))
        return self._post(gate, None)

    async def replace(self, order_no, branch, kind, price, *, timeout_seconds, gate, after_market):
        self.sent.append(("replace", order_no, branch, kind, price, after_market))
        return self._post(gate, "order.send_started")

    def _post(self, gate, needed):
        if isinstance(self.result, KisNotSent):
            raise self.result
        gate()
        self.posts += 1
        if needed is not None:
            self.durable_before_post &= needed in [fact.name for fact in self.journal.read(0)]
        if isinstance(self.result, Exception):
            raise self.result
        return Answer({"rt_cd": "0", "output": self.result}, False, b"")


class Gate:
    def __init__(self, halted=False, armed=True):
        self.halted = halted
        self.armed = armed

    def is_halted(self):
        return self.halted

    def is_armed(self):
        return self.armed


def intended(side="buy", valid_until=OPEN + 5, intent=1, replaces=None):
    return OrderIntended(
        intent=intent, code="005930", name="x", side=side, qty=10, kind="limit", price=71000, reason="signal",
        decision=1, reserved_krw=0, valid_until=valid_until, replaces=replaces,
    )  # fmt: skip


class Desk:
    """A gateway with everything around it."""

    def __init__(self, result=PLACED, *, halted=False, allowed=True, armed=True, now=OPEN):
        self.clock = SteppedClock(now)
        self.journal = MemoryJournal(self.clock.now)
        self.calls = FakeCalls(self.journal, result)
        self.gateway = OrderGateway(
            self.journal,
            self.calls,
            self.clock,
            Gate(halted, armed),
            HOURS,
            allowed=allowed,
            timeout_seconds=5,
            changed=lambda: None,
            on_fatal=pytest.fail,
        )

    def intend(self, side="buy", valid_until=OPEN + 5, intent=1, replaces=None):
        event = intended(side, valid_until, intent, replaces)
        return self.journal.append("orders", [event], by="orders").result()[0].seq

    def want_cancel(self, valid_until=OPEN + 5, kind="limit"):
        event = CancelWanted(intent=1, order_no="117057", branch="06010", valid_until=valid_until, kind=kind)
        return self.journal.append("orders", [event], by="orders").result()[0].seq

    def bind(self, intent=1):
        event = OrderBound(intent=intent, order_no="116000", branch="06010")
        self.journal.append("orders", [event], by="orders").result()

    async def settle(self):
        async with asyncio.timeout(10):
            for _ in range(20):
                await asyncio.sleep(0)
            while not self.gateway.idle():  # noqa: ASYNC110  the loop needs its turns, not time
                await asyncio.sleep(0)
        await self.gateway.close()

    def outcomes(self):
        return [fact for fact in self.journal.read(0) if fact.stream == "broker"]


async def place(desk, **intent):
    await desk.gateway.start()
    seq = desk.intend(**intent)
    await desk.settle()
    assert all(fact.caused_by == seq for fact in desk.outcomes())
    return [name_of(fact.event) for fact in desk.outcomes()]


async def test_an_accepted_order_was_durably_begun_and_posted_once():
    desk = Desk()
    assert await place(desk) == ["order.send_started", "order.accepted"]
    assert (desk.calls.posts, desk.calls.durable_before_post) == (1, True)
    accepted = desk.outcomes()[-1].event
    assert (accepted.order_no, accepted.branch, accepted.time) == ("117057", "06010", "100512")


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (KisRefused("APBK0400", "too many", 200), "order.refused"),
        (KisRefused("40580000", "closed", 200), "order.refused"),
        (KisRefused("EGW00201", "limit", 500), "order.refused"),
        (KisRefused("EGW00301", "upstream timeout", 500), "order.unknown"),
        (KisRefused("ABCD9999", "never seen", 200), "order.unknown"),
        (KisUnreachable("reset"), "order.unknown"),
        (KisUnreadable("html"), "order.unknown"),
        (TimeoutError(), "order.unknown"),
        (PLACED | {"ODNO": ""}, "order.unknown"),
        (PLACED | {"ODNO": "0000000000"}, "order.unknown"),
        (PLACED | {"ODNO": "-117057"}, "order.unknown"),
        (PLACED | {"ODNO": "１１７０５７"}, "order.unknown"),
        (PLACED | {"ODNO": "APBK0013"}, "order.unknown"),
    ],
)
async def test_only_a_proven_refusal_is_a_refusal(result, outcome):
    desk = Desk(result)
    assert await place(desk) == ["order.send_started", outcome]
    assert desk.calls.posts == 1


@pytest.mark.parametrize(
    ("desk", "intent", "outcome", "why"),
    [
        ({"halted": True}, {}, "order.blocked", "halted"),
        ({"allowed": False}, {}, "order.blocked", "profile"),
        ({"armed": False}, {}, "order.blocked", "not armed"),
        ({"armed": False}, {"side": "sell"}, "order.blocked", "not armed"),
        ({"now": CLOSE}, {"valid_until": CLOSE + 5}, "order.blocked", "session"),
        ({"now": OPEN + 9}, {}, "order.expired", None),
    ],
)
async def test_the_last_gate_lets_nothing_leave(desk, intent, outcome, why):
    desk = Desk(**desk)
    assert await place(desk, **intent) == [outcome]
    assert (desk.calls.posts, getattr(desk.outcomes()[0].event, "why", None)) == (0, why)


async def test_a_halt_lets_sells_pass():
    desk = Desk(halted=True)
    assert await place(desk, side="sell") == ["order.send_started", "order.accepted"]


async def test_a_restart_never_sends_again():
    desk = Desk()
    begun, waiting = desk.intend(intent=1), desk.intend(intent=2)
    desk.journal.append("broker", [OrderSendStarted(intent=1)], by="x", caused_by=begun).result()
    cancel = desk.want_cancel()
    await desk.gateway.start()
    await desk.settle()
    found = {fact.caused_by: fact.event for fact in desk.outcomes()}
    assert {seq: name_of(event) for seq, event in found.items()} == {
        begun: "order.unknown",
        waiting: "order.expired",
        cancel: "cancel.unknown",
    }
    assert found[begun].why == "the process ended during the send"
    assert desk.calls.posts == 0


@pytest.mark.parametrize(
    ("result", "valid_until", "outcome", "posts"),
    [
        (PLACED, OPEN + 5, "cancel.accepted", 1),
        (KisRefused("APBK0344", "filled meanwhile", 200), OPEN + 5, "cancel.refused", 1),
        (KisUnreachable("reset"), OPEN + 5, "cancel.unknown", 1),
        (PLACED, OPEN - 1, "cancel.unknown", 0),
    ],
)
async def test_a_cancel_has_one_outcome(result, valid_until, outcome, posts):
    desk = Desk(result, halted=True)
    await desk.gateway.start()
    desk.want_cancel(valid_until)
    await desk.settle()
    assert [name_of(fact.event) for fact in desk.outcomes()] == [outcome]
    assert desk.calls.posts == posts


@pytest.mark.parametrize("kind", ["limit", "market"])
async def test_a_cancel_names_the_orders_own_type(kind):
    """kis-protocol 4.6, 4.9"""
    desk = Desk()
    await desk.gateway.start()
    desk.want_cancel(kind=kind)
    await desk.settle()
    assert desk.calls.sent == [("cancel", "117057", "06010", kind, False)]


async def replace(desk, *, bound=True, before_start=False):
    if bound and before_start:
        desk.bind(1)
    await desk.gateway.start()
    if bound and not before_start:
        desk.bind(1)
    desk.intend(intent=2, replaces=1)
    await desk.settle()
    return [name_of(fact.event) for fact in desk.outcomes()]


@pytest.mark.parametrize("before_start", [False, True])
async def test_a_replacement_changes_the_order_that_was_bound_and_is_posted_once(before_start):
    """kis-protocol 4.6: order-rvsecncl 01 with the original's number; the answer has a new one."""
    desk = Desk()
    assert await replace(desk, before_start=before_start) == ["order.send_started", "order.accepted"]
    assert desk.calls.sent == [("replace", "116000", "06010", "limit", 71_000, False)]
    assert (desk.calls.posts, desk.calls.durable_before_post) == (1, True)
    accepted = desk.outcomes()[-1].event
    assert (accepted.intent, accepted.order_no) == (2, "117057")


async def test_a_replacement_of_an_order_without_a_number_never_leaves():
    desk = Desk()
    assert await replace(desk, bound=False) == ["order.blocked"]
    assert (desk.outcomes()[0].event.why, desk.calls.posts) == ("no order to replace", 0)


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (KisRefused("APBK0400", "filled already", 200), "order.refused"),
        (KisRefused("40330000", "nothing left to change", 200), "order.refused"),
        (KisRefused("40320000", "no such order", 200), "order.refused"),
        (KisRefused("ABCD9999", "never seen", 200), "order.unknown"),
        (KisUnreachable("reset"), "order.unknown"),
        (KisUnreadable("html"), "order.unknown"),
        (TimeoutError(), "order.unknown"),
    ],
)
async def test_what_is_not_provably_refused_leaves_a_replacement_unknown(result, outcome):
    desk = Desk(result)
    assert await replace(desk) == ["order.send_started", outcome]
    assert desk.calls.posts == 1


async def test_a_new_order_is_not_taken_for_refused_by_a_code_of_changes():
    desk = Desk(KisRefused("40330000", "nothing left to change", 200))
    assert await place(desk) == ["order.send_started", "order.unknown"]


async def test_a_halt_stops_a_replacement_of_a_buy_and_lets_its_cancel_pass():
    desk = Desk(halted=True)
    assert await replace(desk) == ["order.blocked"]
    assert desk.outcomes()[0].event.why == "halted"


async def test_a_restart_never_sends_a_replacement_again():
    desk = Desk()
    desk.bind(1)
    begun = desk.intend(intent=2, replaces=1)
    desk.journal.append("broker", [OrderSendStarted(intent=2)], by="x", caused_by=begun).result()
    await desk.gateway.start()
    await desk.settle()
    assert [name_of(fact.event) for fact in desk.outcomes()] == ["order.send_started", "order.unknown"]
    assert desk.calls.posts == 0


async def test_an_intent_is_taken_at_its_place_and_posted_once_both_marks_are_durable(tmp_path, monkeypatch):
    """reliability C0, steps 1 and 2: one commit may hold both, but no byte leaves before it."""
    free, reached, insert = threading.Event(), threading.Event(), JournalRecorder.insert_rows

    def insert_rows(recorder, rows):
        if any(row.name == "order.send_started" for row in rows):
            reached.set()
        assert free.wait(20)
        insert(recorder, rows)

    desk = Desk()
    desk.journal = desk.gateway._journal = desk.calls.journal = open_day(tmp_path, desk.clock.now)
    monkeypatch.setattr(JournalRecorder, "insert_rows", insert_rows)
    monkeypatch.setattr(sqlite, "PATIENCE_SECONDS", 1_000.0)
    await desk.gateway.start()
    placed = desk.journal.place("orders", [intended()], by="orders")[0]
    assert await asyncio.to_thread(reached.wait, 20)
    assert (desk.journal.head, desk.calls.posts) == (0, 0)
    assert not desk.gateway.idle()
    free.set()
    while len(desk.outcomes()) < 2:  # noqa: ASYNC110  the loop needs its turns, not time
        await asyncio.sleep(0)
    assert [fact.caused_by for fact in desk.outcomes()] == [placed.seq, placed.seq]
    assert (desk.calls.posts, desk.calls.durable_before_post) == (1, True)
    await desk.gateway.close()
    desk.journal.close()


async def test_a_mark_that_never_gets_to_the_disk_lets_no_order_out(tmp_path, monkeypatch):
    def insert_rows(_recorder, _rows):
        raise OSError("no disk")

    fatal = []
    desk = Desk()
    desk.journal = desk.gateway._journal = open_day(tmp_path, desk.clock.now)
    desk.gateway._on_fatal = fatal.append
    monkeypatch.setattr(JournalRecorder, "insert_rows", insert_rows)
    await desk.gateway.start()
    desk.journal.place("orders", [intended()], by="orders")
    while not fatal:  # noqa: ASYNC110  the loop needs its turns, not time
        await asyncio.sleep(0)
    assert desk.calls.posts == 0
    assert "cannot be written" in fatal[0] or "has failed" in fatal[0]
    await desk.gateway.close()
    desk.journal.close()


@pytest.mark.parametrize(
    ("clock", "follow", "kind", "after"),
    [
        (time(15, 0), "krx", "limit", False),
        (time(17, 0), "krx", "limit", True),
        (time(17, 0), "krx", "market", False),
        (time(17, 0), "regular", "limit", False),
    ],
)
async def test_a_cancel_in_the_after_market_is_of_an_order_of_the_after_market(clock, follow, kind, after):
    """kis-protocol 4.9, 5.1: types 41 to 47 alone, and orders do not carry over."""
    now = from_kst(NORMAL, clock)
    desk = Desk(now=now)
    desk.gateway = OrderGateway(
        desk.journal, desk.calls, desk.clock, Gate(), day_hours(NORMAL, TABLES), allowed=True, timeout_seconds=5,
        changed=lambda: None, on_fatal=pytest.fail, follow=follow,
    )  # fmt: skip
    await desk.gateway.start()
    desk.want_cancel(valid_until=now + 5, kind=kind)
    await desk.settle()
    assert desk.calls.sent == [("cancel", "117057", "06010", kind, after)]


async def test_an_intent_that_nobody_was_told_of_at_its_place_is_sent_once_it_is_durable():
    desk = Desk()
    await desk.gateway.start()
    desk.gateway._undo.pop()()
    seq = desk.intend()
    await desk.settle()
    assert [(fact.name, fact.caused_by, fact.index) for fact in desk.outcomes()] == [
        ("order.send_started", seq, 0), ("order.accepted", seq, 1),
    ]  # fmt: skip
    assert desk.calls.posts == 1


async def test_a_halt_between_a_mark_and_its_commit_stops_the_order_at_once(tmp_path, monkeypatch):
    free, reached = threading.Event(), threading.Event()
    insert = JournalRecorder.insert_rows

    def insert_rows(recorder, rows):
        reached.set()
        assert free.wait(20)
        insert(recorder, rows)

    desk = Desk()
    desk.journal = desk.gateway._journal = desk.calls.journal = open_day(tmp_path, desk.clock.now)
    await desk.gateway.start()
    monkeypatch.setattr(JournalRecorder, "insert_rows", insert_rows)
    desk.journal.place("orders", [intended()], by="orders")
    assert await asyncio.to_thread(reached.wait, 20)
    desk.gateway._gate.halted = True
    free.set()
    while len(desk.outcomes()) < 2:  # noqa: ASYNC110  the loop needs its turns, not time
        await asyncio.sleep(0)
    assert [(name_of(fact.event), fact.index) for fact in desk.outcomes()] == [
        ("order.send_started", 0), ("order.blocked", 1),
    ]  # fmt: skip
    assert desk.calls.posts == 0
    await desk.gateway.close()
    desk.journal.close()


async def test_a_mark_that_is_refused_because_the_send_was_begun_already_posts_nothing():
    desk = Desk()
    await desk.gateway.start()
    desk.intend()
    desk.gateway._marked = 0  # as if the place had been told twice
    desk.gateway._mark_placed()
    await desk.settle()
    assert [name_of(fact.event) for fact in desk.outcomes()] == ["order.send_started", "order.accepted"]
    assert desk.calls.posts == 1
