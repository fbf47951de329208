"""D1 to D22 of reliability.md's fault matrix: each injected for real, each with the invariants it names.

A world's checker (`checks`) asks O1 to O12, M1 and M2 after every step of every test here; what stands in a test is what
its row says beyond that. Calls go through the client's own gateways to the look-alike's ledger.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from kquant.events.day import AlertRaised
from kquant.events.orders import (
    CancelRefused,
    ExecutionsListed,
    OrderBound,
    OrderFilled,
    OrderFinished,
    OrderFrozen,
    OrderIntended,
    OrderRefused,
    OrderUnknown,
)
from kquant.events.portfolio import BalanceAnswered
from kquant.gateways.kis.rest.orders import PROVEN_REFUSALS
from tests.money.cases import A, B, buying, buys_are_denied, changed, flat, holding, posts, rest
from tests.money.client import refusal
from tests.money.explore import Scope, explore, settle_down
from tests.money.world import World

# -- the order and its answer -------------------------------------------------------------------------------


def test_d01_a_request_lost_before_the_broker_is_unknown_then_given_up_and_its_stock_blocked() -> None:
    world = buying(fate="lost")
    assert isinstance(world.last(OrderUnknown), OrderUnknown)
    assert buys_are_denied(world, B) == "NOT_READY"  # C0.7: nothing new while one is unresolved
    world.wait(30, serving=True)
    assert world.last(OrderFinished).outcome == "not_placed"
    assert world.last(OrderFrozen).code == A
    assert buys_are_denied(world) == "FROZEN"
    assert posts(world) == [1]
    rest(world)


def test_d02_an_accepted_order_whose_answer_was_lost_is_bound_to_its_number() -> None:
    world = buying(fate="answer lost")
    world.serve_reads()
    assert world.last(OrderBound) == OrderBound(
        intent=world.last(OrderIntended).intent, order_no="1001", branch="06010"
    )
    world.broker.fill(1001, 300)
    rest(world)
    assert posts(world) == [1]


@pytest.mark.parametrize("seconds", [0, 4, 8, 30, 120])
def test_d03_an_answer_after_the_deadline_leaves_the_order_unknown_until_the_list_agrees(seconds: int) -> None:
    world = buying(flat(list_lag_s=seconds), "delayed")
    world.wait(min(seconds, 10))
    world.arrive(world.delayed[0])
    assert world.truth == {1001: 1}
    settle_down(world)
    world.wait(120, serving=True)
    world.notice_again()
    settle_down(world)
    given_up = [one for one in world.all(OrderFinished) if one.outcome == "not_placed"]
    assert bool(given_up) == (seconds >= 8), "the listings asked for end before so long a lag"
    assert world.orders.orders[1].order_no == "1001"
    assert world.broker.ledger.orders[1001].leaves == 0, "cancelled: it rested too long, or came late"
    assert posts(world) == [1]
    world.checks.at_rest(world)


@pytest.mark.parametrize("code", sorted(PROVEN_REFUSALS))
def test_d04_a_proven_refusal_keeps_its_reason_and_nothing_is_sent_again(code: str) -> None:
    world = buying(fate=refusal(code, "사유", 500 if code.startswith("EGW") else 200))
    assert world.last(OrderRefused) == OrderRefused(
        intent=world.last(OrderIntended).intent, message_code=code, message="사유"
    )
    assert world.last(OrderFinished).outcome == "refused"
    rest(world)
    assert posts(world) == [1]


@pytest.mark.parametrize("number", ["", "0000000000", "   "])
def test_d05_an_acceptance_without_a_number_is_unknown_until_the_list_says(number: str) -> None:
    world = buying(fate=lambda reply: changed(reply, lambda body: body["output"].update(ODNO=number)))
    assert isinstance(world.last(OrderUnknown), OrderUnknown)
    world.serve_reads()
    assert world.last(OrderBound).order_no == "1001"
    rest(world)


def test_d05_a_number_that_was_given_before_freezes_the_stock() -> None:
    world = buying()
    world.serve()
    world.signal(B)
    world.send(world.outgoing[0], lambda reply: changed(reply, lambda body: body["output"].update(ODNO="0000001001")))
    assert world.last(OrderFrozen).code == B
    assert [event.intent for event in world.all(OrderBound)] == [1], "O7: a number belongs to one intent"
    assert buys_are_denied(world, B) == "FROZEN"


# -- fills and notices --------------------------------------------------------------------------------------


def _told(world: World, how: str) -> Any:
    """Let an order fill in three parts, its notices told in that way; return what it comes to."""
    world.signal(A)
    world.send(world.outgoing[0], "pending" if how == "before the answer" else "deliver")
    for qty in (100, 100, 598):
        world.broker.fill(1001, qty)
        if how == "in order":
            world.notice()
            world.serve_reads()
    if how == "lost":
        world.broker.notices.clear()
    if how == "repeated":
        for _ in range(3):
            world.notice(keep=True)
            world.serve_reads()
    if how == "backwards":
        while world.broker.notices:
            world.notice(len(world.broker.notices) - 1)
            world.serve_reads()
    if how == "before the answer":
        while world.broker.notices:
            world.notice()
        world.serve_reads()
        world.deliver(world.flights[0])
    rest(world, day=False)
    order = world.orders.orders[1]
    return (order.order_no, order.filled_qty, order.filled_amount, order.outcome, world.portfolio.cash_krw)


@pytest.mark.parametrize("how", ["lost", "repeated", "backwards", "before the answer"])
def test_d06_notices_lost_repeated_reordered_or_early_lead_to_the_same_end(how: str) -> None:
    assert _told(flat(), how) == _told(flat(), "in order")


def test_d07_two_identical_partial_fills_in_one_second_are_both_counted() -> None:
    world = buying()
    world.serve()
    second = world.broker.second
    world.broker.fill(1001, 50)
    world.broker.fill(1001, 50)
    assert [(one.qty, one.price, one.second) for one in world.broker.ledger.fills] == [(50, 10_020, second)] * 2
    first, again = world.broker.notices[-2:]
    assert first == again, "as notices they cannot be told apart"
    world.serve()
    assert world.orders.orders[1].filled_qty == 100
    rest(world)


# -- cancels and replacements -------------------------------------------------------------------------------


def cancelling() -> World:
    """A buy rested too long: its cancel waits to be sent."""
    world = buying(flat((A,)))
    world.serve()
    while not world.outgoing:
        world.ring()
        world.serve_reads()
    return world


def test_d08_a_cancel_races_fills_in_every_order_of_events_and_ends_as_the_broker_has_it() -> None:
    scope = Scope(start=cancelling, signals=0, fires=0, crashes=0, stales=1, rests=20)
    found = explore(scope, 4)
    assert found.states > 100
    assert found.kinds["fill"] > 30


def test_d09_a_cancel_refused_because_it_filled_leaves_the_order_tracked() -> None:
    world = cancelling()
    world.broker.fill(1001, 798)
    world.broker.notices.clear()  # the fill is not known here yet
    world.send(world.outgoing[0])
    assert world.last(CancelRefused).message_code == "APBK0400"
    assert world.orders.orders[1].is_live
    world.serve_reads()
    assert world.last(OrderFilled).filled_qty == 798
    assert world.last(OrderFinished).outcome == "filled"
    rest(world)


# -- the list -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lag", [1, 3, 10])
def test_d10_a_list_that_lags_delays_the_answer_and_changes_nothing_else(lag: int) -> None:
    world = buying(flat(risk={"unknown_seconds": 60, "unknown_listings": 5}, list_lag_s=lag), "answer lost")
    world.broker.fill(1001, 100)
    world.serve_reads()
    assert world.orders.orders[1].order_no == ""
    rest(world)
    assert world.orders.orders[1].order_no == "1001"


def test_d10_an_older_list_after_a_newer_one_takes_nothing_back() -> None:
    world = buying()
    world.serve()
    world.wait(3)
    world.read(world.reads[0], "stale")
    world.broker.fill(1001, 798)
    stale = world.reads[0]
    world.read(stale)
    world.broker.notices.clear()
    world.wait(30, serving=True)
    newest = world.all(ExecutionsListed)
    assert world.orders.orders[1].outcome == "filled"
    cause = next(fact.seq for fact in world.facts() if fact.event is world.all(ExecutionsListed)[0])
    before = world.orders
    world.say("rest", newest[0], cause)  # the oldest list once more: it knows of nothing yet
    assert world.orders == before, "O6: applying older figures changes nothing"


def test_d10_rows_that_move_between_pages_are_an_error_not_a_list() -> None:
    world = flat((A,), environment="real")
    for _ in range(130):
        world.broker.desk.place("buy", A, 1, 9_000, "00", world.broker.second, channel="hand")
    world.broker.notices.clear()
    world.signal(A)
    world.serve()
    whole, calls = world.broker.rest, 0

    def moving(request: Any) -> Any:
        nonlocal calls
        calls += 1
        answer = whole(request)
        if calls == 1 and request.path.endswith("inquire-daily-ccld"):
            world.broker.fill(1131, 100)  # between the first page and the second
        return answer

    world.wait(3)
    world.broker.rest = moving  # type: ignore[method-assign]
    [read] = world.reads
    world.read(read)
    world.broker.rest = whole  # type: ignore[method-assign]
    assert calls == 2
    told = world.facts()[-1].event
    assert world.orders.orders[1].filled_qty in (0, 100), told
    world.broker.notices.clear()
    world.wait(10, serving=True)
    assert world.orders.orders[1].filled_qty == 100


def test_d11_an_order_placed_by_hand_is_counted_and_never_touched() -> None:
    world = holding()
    mine = world.broker.desk.place("buy", A, 7, 9_990, "00", world.broker.second, channel="hand")
    world.broker.fill(mine.no, 7)  # type: ignore[union-attr]
    other = world.broker.desk.place("sell", A, 3, 11_000, "00", world.broker.second, channel="hand")
    world.serve()
    assert world.portfolio.positions[A].qty == 17
    assert not world.outgoing
    code, stop = next((code, one) for code, one in world.armed() if one.kind == "stop")
    world.fire(code, stop.trigger, stop.price)
    world.serve()
    sold = [event for event in world.all(OrderIntended) if event.side == "sell"]
    assert all(event.qty <= 14 for event in sold), "O9: what the other order ties is not ours to offer"
    assert world.broker.ledger.orders[other.no].leaves == 3  # type: ignore[union-attr]
    world.broker.desk.cancel(other.no, None, world.broker.second)  # type: ignore[union-attr]
    rest(world)


# -- crashes ------------------------------------------------------------------------------------------------

POINTS = ("intended", "on the way", "begun", "answer on the way", "accepted", "listed", "part filled", "cancel begun")


@pytest.mark.parametrize("point", POINTS)
def test_d12_a_crash_between_intent_and_fill_loses_nothing_and_posts_nothing_twice(point: str) -> None:
    world = flat()
    world.signal(A)
    place = POINTS.index(point)
    if place >= 1:
        world.send(world.outgoing[0], {1: "delayed", 2: "lost", 3: "pending"}.get(place, "deliver"))
    if place >= 5:
        world.serve()
    if place >= 6:
        world.broker.fill(1001, 100)
    if place >= 7:
        while not world.outgoing:
            world.ring()
            world.serve_reads()
        world.send(world.outgoing[0], "pending")
    world.crash()
    if world.delayed:
        world.arrive(world.delayed[0])
    rest(world)
    assert len(world.broker.orders()) <= 1
    assert len(posts(world)) <= 1


@pytest.mark.parametrize("fate", ["lost", "delayed", "answer lost"])
def test_d13_a_stop_whose_sell_is_unknown_goes_again_only_when_nothing_can_be_pending(fate: str) -> None:
    world = holding(list_lag_s=3_600)  # the list will never tell
    code, stop = next((code, one) for code, one in world.armed() if one.kind == "stop")
    world.fire(code, stop.trigger, stop.price)
    world.send(world.outgoing[0], fate)
    if world.delayed:
        world.arrive(world.delayed[0])
    world.wait(20)
    for _ in range(30):
        world.wait(20)
        while world.reads:
            world.serve_reads()
        # Armed anew, it fires again at once where the price still is as low.
        for code, one in world.armed()[:1]:
            world.fire(code, one.trigger, stop.price)
        if world.outgoing:
            break
    again = [event for event in world.all(OrderIntended) if event.side == "sell"][1:]
    if fate == "lost":
        assert again, "the broker says that nothing is tied: the stop goes out once more"
        proof = [fact.seq for fact in world.facts() if isinstance(fact.event, BalanceAnswered)]
        sent = [fact.seq for fact in world.facts() if fact.event in again]
        doubt = [fact.seq for fact in world.facts() if isinstance(fact.event, OrderUnknown)]
        assert doubt[0] < proof[-1] < sent[0], "O9: only on a balance asked for after the doubt"
        return
    assert not again, "the shares are tied in the order that nobody sees"
    assert [level for level in world.all(AlertRaised) if level.level == "critical"], "a person is told"


def test_all_22_rows_of_the_matrix_that_touch_orders_have_their_test() -> None:
    trees = [
        ast.parse(file.read_text(encoding="utf-8")) for file in Path(__file__).parent.glob("test_fault_matrix*.py")
    ]
    names = [
        node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    found = {int(match[1]) for name in names if (match := re.match(r"test_d(\d\d)_", name))}
    assert found == set(range(1, 23))
