"""One budget for all calls of a key, on the run's clock."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kquant.gateways.clock import SteppedClock
from kquant.gateways.kis.rest.limits import BACKFILL, ORDERS, PORTFOLIO, RANKINGS, Limiter, limit_for
from kquant.settings import LimitTable
from kquant.values import SECOND_US, Micros
from tests.gateways_kis.look_alike import settings as broker_settings

CALLS = st.lists(st.tuples(st.integers(0, 3 * SECOND_US), st.integers(0, 4)), max_size=40)


async def turns() -> None:
    for _ in range(12):
        await asyncio.sleep(0)


async def play(
    per_second: int,
    calls: list[tuple[int, int]],
    *,
    gap_us: int = 0,
    reserved: int = 0,
    refuse_at: tuple[int, ...] = (),
) -> list[tuple[int, int, int]]:
    """Return (when, lane, arrival) of every call made, in the order they were let through."""
    clock = SteppedClock(Micros(0))
    limiter = Limiter(per_second, clock, gap_us=gap_us, reserved=reserved)
    made: list[tuple[int, int, int]] = []

    async def call(lane: int, number: int) -> None:
        await limiter.take(lane)
        made.append((clock.now(), lane, number))
        if number in refuse_at:
            limiter.slow_down()

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


async def test_a_call_that_its_gate_stops_at_its_turn_gives_the_turn_to_the_next():
    class Expired(Exception):
        pass

    def shut() -> None:
        raise Expired

    clock = SteppedClock(Micros(0))
    limiter = Limiter(1, clock, gap_us=1_050_000)
    await limiter.take(ORDERS)
    late = [asyncio.create_task(limiter.take(ORDERS, shut)) for _ in range(3)]
    sell = asyncio.create_task(limiter.take(ORDERS))
    await turns()
    clock.set(Micros(1_050_000))
    await asyncio.wait_for(sell, 5)
    ended = await asyncio.gather(*late, return_exceptions=True)
    assert [type(one) for one in ended] == [Expired] * 3
    clock.set(Micros(2_100_000))
    with pytest.raises(Expired):
        await limiter.take(ORDERS, shut)
    assert limiter._free_at(ORDERS) <= clock.now(), "a turn at once was given back as well"


GAPS = st.integers(0, 1_100_000)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), GAPS, CALLS)
def test_two_calls_are_never_closer_than_the_spacing(per_second, gap_us, calls):
    """kis-protocol 1.8: 80 ms on a real key, 1.05 s on paper."""
    made = asyncio.run(play(per_second, calls, gap_us=gap_us))
    assert len(made) == len(calls)
    times = [at for at, _, _ in made]
    assert times == sorted(times)
    assert all(later - first >= gap_us for first, later in itertools.pairwise(times))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 18), st.integers(1, 4), st.integers(1, 60))
def test_of_each_second_orders_keep_a_fifth_whatever_the_others_want(per_second, reserved, others):
    """`reliability` D15: a burst of reads leaves the order lane at least 20 % of the budget."""
    made = asyncio.run(play(per_second, [(0, BACKFILL)] * others, reserved=reserved))
    kept = min(max(reserved, -(-per_second // 5)), max(1, per_second // 3))
    times = [at for at, _, _ in made]
    for first, later in zip(times, times[per_second - kept :], strict=False):
        assert later - first >= SECOND_US
    assert kept * 5 >= per_second


def test_of_a_new_keys_three_calls_a_second_orders_keep_one():
    """kis-protocol 1.8. With two kept a price and its order book took two seconds, and lists waited behind them."""
    made = asyncio.run(play(3, [(0, PORTFOLIO)] * 4, reserved=2))
    assert [at for at, _, _ in made] == [0, 0, SECOND_US, SECOND_US]


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 18), st.integers(0, SECOND_US - 1))
def test_an_order_in_a_burst_of_reads_goes_at_once(per_second, at):
    made = asyncio.run(play(per_second, [(0, RANKINGS)] * 60 + [(at, ORDERS)], reserved=2))
    (when,) = [moment for moment, lane, _ in made if lane == ORDERS]
    assert when == at


def test_an_order_waits_for_its_own_spacing_not_for_the_turn_of_a_read_before_it():
    calls = [(0, RANKINGS)] * 3 + [(150_000, ORDERS)]
    made = asyncio.run(play(4, calls, gap_us=100_000, reserved=2))
    assert [(at, lane) for at, lane, _ in made] == [
        (0, RANKINGS),
        (100_000, RANKINGS),
        (200_000, ORDERS),
        (300_000, RANKINGS),
    ]


def test_on_paper_an_order_takes_the_next_turn_before_all_who_wait():
    calls = [(0, PORTFOLIO)] * 5 + [(1, ORDERS)]
    made = asyncio.run(play(1, calls, gap_us=1_050_000, reserved=2))
    assert [lane for _, lane, _ in made][:2] == [PORTFOLIO, ORDERS]
    assert made[1][0] == 1_050_000


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 18), st.lists(st.integers(0, 30), max_size=6, unique=True))
def test_refusals_slow_the_pace_to_a_floor_and_nobody_is_left_waiting(per_second, refused):
    calls = [(0, BACKFILL)] * 40
    made = asyncio.run(play(per_second, calls, reserved=2, refuse_at=tuple(refused)))
    assert len(made) == 40
    assert made[-1][0] <= 40 * 4 * SECOND_US


async def test_after_a_refusal_the_pace_drops_at_once_and_comes_back_slowly():
    """EGW00201 and EGW00215: kis-protocol 1.8."""
    clock = SteppedClock(Micros(0))
    limiter = Limiter(18, clock, gap_us=80_000)
    limiter.slow_down()
    limiter.slow_down()
    assert (limiter.pace(), limiter.refusals) == (600, 2)
    clock.set(Micros(2 * SECOND_US))
    limiter.slow_down()
    assert limiter.pace() == 360
    for _ in range(5):
        clock.set(Micros(clock.now() + 2 * SECOND_US))
        limiter.slow_down()
    assert limiter.pace() == 250
    paces = []
    for _ in range(16):
        clock.set(Micros(clock.now() + 10 * SECOND_US))
        paces.append(limiter.pace())
    assert paces == sorted(paces)
    assert (paces[0], paces[-1]) == (300, 1_000)


async def test_below_one_call_a_second_the_spacing_grows():
    clock = SteppedClock(Micros(10 * SECOND_US))
    limiter = Limiter(1, clock, gap_us=1_050_000)
    await limiter.take(ORDERS)
    limiter.slow_down()
    second = asyncio.create_task(limiter.take(ORDERS))
    await turns()
    assert clock.next_wake() == 10 * SECOND_US + 1_750_000
    clock.set(Micros(12 * SECOND_US))
    await asyncio.wait_for(second, 5)


@pytest.mark.parametrize(
    ("environment", "day", "since", "expected"),
    [
        ("real", "2026-11-20", None, (15, 80_000)),
        ("real", "2026-11-20", "2026-11-18", (3, 80_000)),
        ("real", "2026-11-20", "2026-11-17", (15, 80_000)),
        ("paper", "2026-11-20", None, (1, 1_050_000)),
        ("paper", "2026-04-19", None, (2, 550_000)),
    ],
)
def test_the_limit_is_that_of_the_day_the_service_and_the_keys_age(environment, day, since, expected):
    """kis-protocol 1.8: 18/s since 2026-04-20 (20 before), 1/s on paper (2 before), 3/s for a key's first three days."""
    broker = broker_settings(exchange="live")
    key_since = None if since is None else dt.date.fromisoformat(since)
    limit = limit_for(broker, environment, dt.date.fromisoformat(day), key_since)
    assert (limit.per_second, limit.gap_us, limit.reserved) == (*expected, 2)


def test_the_table_bounds_what_the_setting_asks_for():
    broker = broker_settings(exchange="live", rest_per_second=20)
    assert limit_for(broker, "real", dt.date(2026, 4, 19)).per_second == 20
    assert limit_for(broker, "real", dt.date(2026, 4, 20)).per_second == 18


def test_a_service_without_a_table_is_an_error():
    with pytest.raises(ValueError, match="paper"):
        limit_for(broker_settings(), "paper", dt.date(1999, 1, 1))


def test_settings_of_old_logs_have_the_limits_of_their_time():
    from kquant.settings import BrokerSettings

    (field,) = [name for name in BrokerSettings.__struct_fields__ if name == "limits"]
    defaults = dict(
        zip(reversed(BrokerSettings.__struct_fields__), reversed(BrokerSettings.__struct_defaults__), strict=False)
    )
    assert defaults[field] == broker_settings().limits
    assert all(isinstance(table, LimitTable) for table in defaults[field])
