"""The fault matrix from D14 on: rules and sums, budgets, tokens, damaged answers, balances, a broker that is away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kquant.domain.orders.sizing import limit_price, price_cap
from kquant.events.day import AlertRaised
from kquant.events.orders import (
    OrderAccepted,
    OrderRefused,
    OrderSendStarted,
    OrderUnknown,
)
from kquant.events.portfolio import DayReconciled, PortfolioAdjusted, PortfolioSynchronised
from kquant.events.scanner import ReadFailed
from kquant.exchange.core.rules import CostRates
from kquant.exchange.core.rules import tick_size as their_tick
from kquant.gateways.clock import SteppedClock
from kquant.gateways.kis.rest.errors import KisError
from kquant.gateways.kis.rest.limits import ORDERS, RANKINGS, Limiter
from kquant.krx import commission, costs_on, sell_tax, tick_size
from kquant.values import SECOND_US, Krw, Micros
from tests.money.cases import DAMAGED, HTML, A, B, buying, buys_are_denied, changed, flat, posts, rest
from tests.money.client import LOST, Reply, refusal, says
from tests.money.world import kst, rules

# -- rules, budgets, tokens ---------------------------------------------------------------------------------


@given(amount=st.integers(0, 10**12), day=st.sampled_from(["2025-06-30", "2026-01-02", "2026-11-20"]))
def test_d14_fees_and_taxes_are_the_brokers_to_the_won(amount: int, day: str) -> None:
    table = costs_on(day, rules().krx.costs)
    theirs = CostRates(sell_tax=150 if day < "2026" else 200)
    assert commission(Krw(amount), table) == theirs.commission_on(amount) == amount * 14 // 100_000
    assert sell_tax(Krw(amount), table, fund=False) == theirs.tax_on(amount, is_sell=True, kind="common")
    assert sell_tax(Krw(amount), table, fund=True) == theirs.tax_on(amount, is_sell=True, kind="etf") == 0


@given(last=st.integers(100, 2_000_000), ask=st.integers(0, 2_000_000), upper=st.integers(100, 2_600_000))
def test_d14_a_limit_lies_on_the_grid_and_inside_the_day_or_there_is_none(last: int, ask: int, upper: int) -> None:
    settings = rules()
    risk, bands = settings.risk, settings.krx.ticks
    cap = price_cap(Krw(last), Krw(upper), risk, bands)
    price = limit_price(Krw(ask), cap, risk, bands)
    assert price <= cap <= upper
    assert price <= last * (10_000 + risk.collar_bp) // 10_000
    if price:
        assert tick_size(price, bands) == their_tick(price)
        assert price % their_tick(price) == 0


@pytest.mark.parametrize(("ask", "rule"), [(0, "PRICE_BAND"), (10_200, "PRICE_BAND")])
def test_d14_a_buy_that_no_price_fits_is_refused_here_and_never_sent(ask: int, rule: str) -> None:
    world = flat()
    book = world.broker.market.quote

    def quote(code: str, second: int) -> Any:
        return book(code, second)._replace(ask=ask)

    world.broker.market.quote = quote  # type: ignore[method-assign]
    assert buys_are_denied(world) == rule
    assert posts(world) == []


async def test_d15_in_a_burst_of_refusals_orders_keep_their_lane_and_the_pace_drops_and_comes_back() -> None:
    clock = SteppedClock(kst("10:00:00"))
    limiter = Limiter(10, clock, reserved=2)
    done: list[tuple[int, int]] = []

    async def call(lane: int) -> None:
        await limiter.take(lane)
        done.append((int(clock.now()), lane))

    for _ in range(5):
        limiter.slow_down()
    slow = limiter.pace()
    assert 250 <= slow < 1_000, "bounded: never slower than a quarter"
    tasks = [asyncio.create_task(call(RANKINGS)) for _ in range(60)]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(call(ORDERS)) for _ in range(6)]
    while not all(task.done() for task in tasks):
        for _ in range(8):
            await asyncio.sleep(0)
        clock.set(Micros(clock.now() + SECOND_US // 10))
    first = done[0][0]
    orders = [at for at, lane in done if lane == ORDERS]
    others = [at for at, lane in done if lane != ORDERS]
    assert max(orders) < max(others), "orders overtake what waited before them"
    for start in range(first, max(others), SECOND_US):
        within = [lane for at, lane in done if start <= at < start + SECOND_US]
        assert sum(lane != ORDERS for lane in within) <= 8, "a fifth of the second is for orders alone"
    assert len(done) == len(tasks)
    clock.set(Micros(clock.now() + 600 * SECOND_US))
    assert limiter.pace() == 1_000


def test_d15_a_limited_order_is_refused_for_good_and_a_limited_read_is_asked_again_at_most_once() -> None:
    world = buying(fate=refusal("EGW00201", "초당 거래건수를 초과하였습니다.", 500))
    assert world.last(OrderRefused).message_code == "EGW00201"
    world.pipeline()
    calls = 0

    def limited(reply: Reply) -> Reply:
        nonlocal calls
        calls += 1
        return refusal("EGW00201", status=500)

    world.read(world.reads[0], limited)
    assert calls == 2
    assert isinstance(world.facts()[-1].event, ReadFailed) or world.all(ReadFailed)
    rest(world)
    assert posts(world) == [1]


def test_d16_without_a_token_an_order_is_refused_unsent_and_may_be_decided_anew() -> None:
    world = flat()
    world.signal(A)
    line = world._connected()[0]._calls.trading._client.line  # type: ignore[attr-defined]
    good, line.auth = line.auth, _NoToken()
    world.send(world.outgoing[0])
    assert world.last(OrderRefused).message_code == "NOT_SENT"
    assert posts(world) == []
    line.auth = good
    world.wait(2)
    world.signal(A)
    world.serve()
    assert isinstance(world.last(OrderAccepted), OrderAccepted)
    rest(world)


class _NoToken:
    async def token(self) -> str:
        raise KisError("EGW00133: a token is given once a minute")


@pytest.mark.parametrize("reached", [True, False], ids=["placed", "not placed"])
@pytest.mark.parametrize("name", DAMAGED)
def test_d17_a_damaged_answer_leaves_the_order_unknown_and_the_list_decides(name: str, *, reached: bool) -> None:
    damaged = DAMAGED[name]
    world = buying(fate=(lambda _: damaged) if reached else damaged)
    assert isinstance(world.last(OrderUnknown), OrderUnknown)
    assert len(world.last(OrderUnknown).why) < 1_000
    rest(world)
    assert world.orders.orders[1].order_no == ("1001" if reached else "")


@pytest.mark.parametrize(
    "field", ["odno", "tot_ccld_qty", "tot_ccld_amt", "ord_qty", "rmn_qty", "cnc_cfrm_qty", "pdno"]
)
@pytest.mark.parametrize("value", ["missing", None, "NaN", "1e9", "−0", "１００", "-1", "", "1.5"])
def test_d18_a_row_with_a_malformed_figure_is_no_row_and_nothing_moves(field: str, value: str | None) -> None:
    world = buying()
    world.serve()
    world.broker.fill(1001, 100)

    def damage(body: Any) -> None:
        row = body["output1"][0]
        if value == "missing":
            del row[field]
        else:
            row[field] = value

    world.broker.notices.clear()
    world.wait(3)
    before = world.orders.orders
    world.read(world.reads[0], lambda reply: changed(reply, damage))
    assert field in world.last(ReadFailed).reason or "row" in world.last(ReadFailed).reason
    assert world.orders.orders == before
    world.wait(30, serving=True)
    assert world.orders.orders[1].filled_qty == 100


# -- balances -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["empty list", "no sums", "a page of two"])
def test_d19_an_empty_or_partial_balance_is_an_error_and_what_is_held_stays(damage: str) -> None:
    world = flat(shares={A: (10, 100_000), B: (20, 200_000)})
    before = world.portfolio.positions

    def part(body: Any) -> None:
        if damage == "empty list":
            body["output1"] = []
        elif damage == "no sums":
            body["output2"] = []
        else:
            body["output1"] = body["output1"][:1]

    runs = len(world.all(PortfolioSynchronised))
    world.pipeline()
    while world.reads:
        world.read(world.reads[0], lambda reply: changed(reply, part) if b"output2" in reply.body else reply)
    assert world.all(ReadFailed)
    assert world.portfolio.positions == before
    assert len(world.all(PortfolioSynchronised)) == runs, "the run is told of no synchronised portfolio"
    rest(world)


def test_d20_a_balance_read_while_fills_arrive_changes_nothing_by_itself() -> None:
    world = buying()
    world.serve()
    world.broker.fill(1001, 300)  # the balance knows of it, the list was not read yet
    world.broker.notices.clear()
    world.pipeline()
    for read in world.reads:
        world.read(read)
    assert world.last(PortfolioSynchronised).differences
    world.broker.fill(1001, 498)
    world.wait(60, serving=True)
    assert world.all(PortfolioAdjusted) == []
    rest(world)


# -- the broker is away -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [1, 60, 3_600])
@pytest.mark.parametrize("reached", [True, False], ids=["placed", "not placed"])
def test_d21_while_the_broker_cannot_be_reached_no_order_is_aged_out_and_none_is_placed(
    seconds: int, *, reached: bool
) -> None:
    world = buying(fate="answer lost" if reached else "lost")
    world.down = LOST
    world.wait(seconds, serving=True)
    assert world.orders.orders[1].is_live, "absence of answers is no answer"
    assert buys_are_denied(world, B) == "NOT_READY"
    world.down = None
    rest(world)
    assert posts(world) == [1]
    assert world.orders.orders[1].order_no == ("1001" if reached else "")


@pytest.mark.parametrize(
    "down", [Reply(500, HTML), refusal("OPSQ0002", "시스템 점검 중입니다"), says(503, message="maintenance")]
)
def test_d22_a_broker_that_is_down_all_day_ends_in_an_unreconciled_day_a_person_is_told_of(down: Reply) -> None:
    world = buying(fate="answer lost")
    world.down = down
    world.wait(3_600, serving=True)
    world.clock.set(kst("15:29:50"))
    world.pass_to(kst("15:30:00"), serving=True)
    world.job("session_closed")
    world.wait(3_600, serving=True)
    assert not world.last(DayReconciled).agrees
    assert [one for one in world.all(AlertRaised) if one.level == "critical"]
    assert [fact for fact in world.facts() if isinstance(fact.event, OrderSendStarted)][1:] == []
