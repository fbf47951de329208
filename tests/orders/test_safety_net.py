"""What known bugs (bench/mutants) got away with before these tests were here."""

from __future__ import annotations

import pytest
from msgspec import structs

from kquant.domain.orders import lifecycle as life
from kquant.domain.orders.lifecycle import follow
from kquant.domain.orders.settle import differences
from kquant.domain.orders.state import Own
from kquant.events.day import FlattenOrdered
from kquant.events.orders import CancelWanted, ExecutionsListed, OrderFinished, OrderIntended, TriggerDisarmed

from .orders_world import CODES, Broker, Ticket, World, by_kind, holding, opened, with_settings


def next_listing(world: World) -> None:
    before = len(world.all(ExecutionsListed))
    for _ in range(120):
        if len(world.all(ExecutionsListed)) > before:
            return
        world.pass_time(1)
    raise AssertionError("no listing in two minutes")


def test_an_unknown_order_is_not_given_up_for_its_age_while_the_lists_cannot_be_read_d21() -> None:
    world = opened(Broker(outcomes=["lost"]))
    world.broker.lists_fail = True
    world.signal()
    world.pass_time(300)
    world.broker.lists_fail = False
    for _ in range(4):
        next_listing(world)
        assert world.all(OrderFinished) == []
    next_listing(world)
    assert world.last(OrderFinished).outcome == "not_placed"


def test_a_cancel_that_is_not_answered_yet_is_not_asked_for_again() -> None:
    world = opened()
    answer = world._answer
    world._answer = lambda fact: None if isinstance(fact.event, CancelWanted) else answer(fact)  # type: ignore[method-assign]
    world.signal()
    world.pass_time(31)
    assert len(world.all(CancelWanted)) == 1
    world.say("operator", FlattenOrdered(who="kim", reason="enough"))
    world.pass_time(120)
    assert len(world.all(CancelWanted)) == 1


def test_a_firing_of_a_trigger_that_was_armed_anew_at_another_price_sells_nothing() -> None:
    world = holding()
    before = by_kind(world)["stop"]
    by_hand = world.broker.place(CODES[0], "buy", "limit", 100, 12_000, world.clock.now())
    world.broker.fill(by_hand, 100, 12_000)
    world.notice(by_hand.no)
    world.pass_time(10)
    assert before.trigger in {one.trigger for one in world.all(TriggerDisarmed)}
    now = by_kind(world)["stop"]
    assert now.price > before.price
    world.fire(before, before.price)
    assert world.all(OrderIntended) == []
    world.fire(now, now.price)
    assert world.last(OrderIntended).side == "sell"


def test_a_refusal_after_a_doubt_proves_nothing_only_the_list_ends_it() -> None:
    assert follow("unknown", life.REFUSED) == "unknown"


@pytest.mark.parametrize("limit", ["max_stock_krw", "max_order_krw"])
@pytest.mark.parametrize(("room", "ended"), [(0, "cancelled"), (1_000_000, "replaced")])
def test_a_replacement_counts_what_its_original_has_filled_against_the_limits(
    limit: str, room: int, ended: str
) -> None:
    # The amount the first order is for is all that the limit allows; half of it fills, and the rest has become dearer.
    changed = {"unfilled": "replace", "resting_seconds": 30, "repeat_seconds": 0, limit: 8_000_000 + room}
    world = opened(settings=with_settings(lambda s: {"risk": structs.replace(s.risk, **changed)}))
    world.signal()
    first = world.broker.tickets[0]
    assert first.qty * first.price > 7_900_000
    world.broker.fill(first, first.qty // 2, first.price)
    world.notice()
    world.broker.prices[CODES[0]] = (10_050, 10_060)
    world.pass_time(45)
    assert world.all(OrderFinished)[0].outcome == ended


def test_an_order_in_the_final_list_that_nobody_knows_is_told_by_its_number() -> None:
    row = Ticket("9", CODES[0], "buy", "limit", 10, 10_000, "150000").row()
    assert differences(Own(), (row,)) == (f"order 9 ({CODES[0]}) is neither ours nor known as placed elsewhere",)
