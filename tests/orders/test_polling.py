"""How often the list is asked for: at once after news, ever slower while nothing changes, fast while in doubt."""

from __future__ import annotations

import itertools

from kquant.events.base import Event, Recorded
from kquant.events.orders import ExecutionsWanted, OrderFilled, OrderFinished, OrderIntended
from tests.orders.orders_world import CODES, Broker, World, by_kind, holding, opened

A, B = CODES[0], CODES[1]


def gaps(world: World, since: int) -> list[int]:
    """Seconds between the listings asked for after place *since* of the log."""
    asked = [fact.at for fact in world.facts() if isinstance(fact.event, ExecutionsWanted) and fact.seq > since]
    return [(after - before) // 1_000_000 for before, after in itertools.pairwise(asked)]


def resting_sell() -> World:
    """A market sell that nobody fills, as in a halt or a volatility interruption."""
    world = holding()
    world.fire(by_kind(world)["stop"], 9_000)
    return world


def test_a_sell_that_rests_is_looked_up_ever_less_often() -> None:
    world = resting_sell()
    since, at = len(world.facts()), world.clock.now()
    world.pass_time(200)
    first = next(fact.at for fact in world.facts() if fact.seq > since and isinstance(fact.event, ExecutionsWanted))
    assert (first - at) // 1_000_000 == 3
    assert gaps(world, since)[:6] == [6, 12, 24, 30, 30, 30]
    world.assert_recovers()


def test_a_notice_brings_the_looking_up_back_to_three_seconds() -> None:
    world = resting_sell()
    world.pass_time(200)
    since = len(world.facts())
    world.notice()
    world.pass_time(50)
    assert gaps(world, since) == [3, 6, 12, 24]


def test_a_fill_that_a_listing_shows_brings_it_back_to_three_seconds() -> None:
    world = resting_sell()
    world.pass_time(200)
    world.broker.fill(world.broker.tickets[0], 40, 9_000)
    world.pass_time(30)
    assert world.last(OrderFilled).qty == 40
    filled = next(fact for fact in world.facts() if isinstance(fact.event, OrderFilled))
    since = filled.seq
    world.pass_time(60)
    asked = [fact.at for fact in world.facts() if isinstance(fact.event, ExecutionsWanted) and fact.seq > since]
    assert (asked[0] - filled.at) // 1_000_000 == 3
    assert gaps(world, since)[:2] == [6, 12]


def test_a_notice_while_a_listing_is_under_way_is_followed_up_after_a_second_and_three() -> None:
    world = resting_sell()
    world.pass_time(200)
    serve, held = world._answer, []

    def keep_back(fact: Recorded) -> None:
        if isinstance(fact.event, ExecutionsWanted):
            held.append(fact)
        else:
            serve(fact)

    world._answer = keep_back  # type: ignore[method-assign]
    while not held:
        world.pass_time(1)
    world.notice()
    since = len(world.facts())
    world._answer = serve  # type: ignore[method-assign]
    at = world.clock.now()
    serve(held[0])
    world.runtime.settle()
    world.pass_time(30)
    asked = [fact.at for fact in world.facts() if isinstance(fact.event, ExecutionsWanted) and fact.seq > since]
    assert [(one - at) // 1_000_000 for one in asked[:3]] == [1, 4, 10]


def test_a_new_order_is_looked_up_after_three_seconds_beside_a_resting_one() -> None:
    world = resting_sell()
    world.pass_time(200)
    world.signal(B)
    world.broker.fill(world.broker.tickets[1], 10**6, 10_010)
    world.pass_time(3)
    assert world.last(OrderFilled).code == B


def test_an_order_of_unknown_fate_is_looked_up_every_three_seconds() -> None:
    world = opened(Broker(outcomes=["lost"]))
    since = len(world.facts())
    world.signal(A)
    world.pass_time(59)
    assert set(gaps(world, since)) == {3}
    world.pass_time(5)
    assert world.last(OrderFinished).outcome == "not_placed"


def test_an_order_that_may_be_two_listed_ones_is_looked_up_slowly_once_the_list_had_its_time() -> None:
    world = opened(Broker(outcomes=["unknown"]))
    original = world._order

    def twice(intent: OrderIntended) -> list[Event]:
        world.broker.place(intent.code, intent.side, intent.kind, intent.qty, intent.price, world.clock.now())
        return original(intent)

    world._order = twice  # type: ignore[method-assign]
    world.signal(A)
    world.pass_time(200)
    since = len(world.facts())
    world.pass_time(100)
    assert world.all(OrderFinished) == []
    assert set(gaps(world, since)) == {30}
