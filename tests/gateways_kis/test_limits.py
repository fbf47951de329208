"""One budget for all calls of a key, on the run's clock."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from kquant.gateways.clock import SteppedClock
from kquant.gateways.kis.limits import ORDERS, BACKFILL, Limiter
from kquant.values import SECOND_US, Micros

CALLS = st.lists(st.tuples(st.integers(0, 3 * SECOND_US), st.integers(0, 4)), max_size=40)


async def turns() -> None:
    for _ in range(12):
        await asyncio.sleep(0)


async def play(per_second: int, calls: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Return (when, lane, arrival) of every call made, in the order they were let through."""
    clock = SteppedClock(Micros(0))
    limiter = Limiter(per_second, clock)
    made: list[tuple[int, int, int]] = []

    async def call(lane: int, number: int) -> None:
        await limiter.take(lane)
        made.append((clock.now(), lane, number))

    tasks = []
    arrivals = sorted(calls)
    for number, (at, lane) in enumerate(arrivals):
        while (wake := clock.next_wake()) is not None and wake <= at:
            clock.set(wake)
            await turns()
        clock.set(Micros(at))
        tasks.append(asyncio.create_task(call(lane, number)))
        await turns()
    while (wake := clock.next_wake()) is not None:
        clock.set(wake)
        await turns()
    await asyncio.gather(*tasks)
    return made


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), CALLS)
def test_no_second_of_the_clock_sees_more_calls_than_the_budget(per_second, calls):
    made = asyncio.run(play(per_second, calls))
    assert len(made) == len(calls)
    times = sorted(at for at, _, _ in made)
    for first, later in zip(times, times[per_second:], strict=False):
        assert later - first >= SECOND_US


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.lists(st.integers(0, 4), min_size=1, max_size=20))
def test_those_who_wait_go_by_lane_and_then_by_arrival(per_second, lanes):
    made = asyncio.run(play(per_second, [(0, BACKFILL)] * per_second + [(1, lane) for lane in lanes]))
    waited = [(lane, number) for at, lane, number in made if at > 0]
    assert waited == sorted(waited)


async def test_a_caller_who_gave_up_costs_no_turn():
    clock = SteppedClock(Micros(0))
    limiter = Limiter(1, clock)
    await limiter.take(ORDERS)
    gone, stays = asyncio.create_task(limiter.take(ORDERS)), asyncio.create_task(limiter.take(BACKFILL))
    await turns()
    gone.cancel()
    await turns()
    clock.set(Micros(SECOND_US))
    await asyncio.wait_for(stays, 5)
    assert gone.cancelled()
