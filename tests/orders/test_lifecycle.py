"""One table holds an order's whole life (O4): what is in it happens, what is not in it stops the process."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kquant.domain.orders import lifecycle as life
from kquant.domain.orders.lifecycle import TABLE, IllegalTransition, Order, follow, next_stage
from kquant.domain.orders.seen import Seen, observe
from kquant.domain.orders.stages import stage_of
from kquant.domain.orders.state import Own, evolve
from kquant.events.orders import CancelWanted, OrderBound, OrderFilled, OrderFinished, OrderIntended, OrderResized
from kquant.values import IntentId, Krw, Micros, Seq, Shares, Symbol
from tests.orders.lives import lives
from tests.orders.orders_world import CODES, Broker, by_kind, holding, opened

A = CODES[0]
STAGES = sorted({before for before, _ in TABLE} | set(TABLE.values()))
STEPS = sorted({step for _, step in TABLE})
OWN_STEPS = [step for step in STEPS if step not in life.GATEWAY]
OVER = {"filled", "cancelled", "replaced", "refused", "expired", "blocked", "not_placed"}


def order(**fields: object) -> Order:
    values: dict[str, object] = {
        "intent": IntentId(1), "code": Symbol(A), "name": "x", "side": "buy", "qty": Shares(10), "kind": "limit",
        "price": Krw(10_000), "reason": "signal", "decision": Seq(1), "reserved_krw": Krw(100_014),
        "valid_until": Micros(1),
    }  # fmt: skip
    return Order(**(values | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(("stage", "step"), [pair for pair in itertools.product(STAGES, STEPS) if pair not in TABLE])
def test_a_step_that_the_table_does_not_hold_is_refused(stage: str, step: str) -> None:
    with pytest.raises(IllegalTransition, match=stage):
        follow(stage, step)  # type: ignore[arg-type]


def test_every_stage_is_reached_from_intended_and_every_one_has_an_end() -> None:
    reached, ends = ["intended"], set(OVER)
    for stage in reached:
        reached += [after for (before, _), after in TABLE.items() if before == stage and after not in reached]
    assert set(reached) == set(STAGES)
    for _ in STAGES:
        ends |= {before for (before, _), after in TABLE.items() if after in ends}
    assert ends == set(STAGES)


def test_the_end_is_left_by_the_brokers_evidence_alone() -> None:
    """O4: a late binding, an answer that names a number, or a fill; nothing of ours."""
    leaving = {step for (before, step), after in TABLE.items() if before in OVER and after != before}
    assert leaving == {life.BOUND, life.ACCEPTED, life.WHOLE}


@pytest.mark.parametrize(("stage", "step"), list(itertools.product(STAGES, OWN_STEPS)))
def test_an_own_step_is_legal_if_the_gateway_may_have_led_to_where_the_table_allows_it(stage: str, step: str) -> None:
    hidden = {stage}
    for _ in STAGES:
        hidden |= {TABLE[pair] for pair in TABLE if pair[0] in hidden and pair[1] in life.GATEWAY}
    at_broker = step in {life.PART, life.WHOLE, life.RESIZED, life.CANCEL}
    allowed = {TABLE[(one, step)] for one in ([stage] if at_broker else hidden) if (one, step) in TABLE}  # type: ignore[index]
    try:
        assert next_stage(order(stage=stage), step) in allowed
    except IllegalTransition:
        assert not allowed


@pytest.mark.parametrize(
    "event",
    [
        OrderFilled(
            intent=IntentId(1), order_no="1", code=Symbol(A), name="x", side="buy", qty=Shares(1), amount_krw=Krw(1),
            filled_qty=Shares(1), filled_amount_krw=Krw(1), leaves_qty=Shares(9),
        ),
        CancelWanted(intent=IntentId(1), order_no="1", branch="", valid_until=Micros(1)),
        OrderResized(intent=IntentId(1), qty=Shares(5)),
        OrderFinished(intent=IntentId(1), code=Symbol(A), side="buy", outcome="cancelled", filled_qty=Shares(0)),
        OrderFinished(intent=IntentId(1), code=Symbol(A), side="buy", outcome="filled", filled_qty=Shares(0)),
    ],
    ids=lambda event: type(event).__name__,
)  # fmt: skip
def test_the_fold_stops_at_a_step_of_an_order_that_has_no_number(event: object) -> None:
    intended = OrderIntended(
        intent=IntentId(1), code=Symbol(A), name="x", side="buy", qty=Shares(10), kind="limit", price=Krw(10_000),
        reason="signal", decision=Seq(1), reserved_krw=Krw(100_014), valid_until=Micros(1),
    )  # fmt: skip
    with pytest.raises(IllegalTransition):
        evolve(evolve(Own(), intended), event)  # type: ignore[arg-type]


def test_an_order_is_bound_once() -> None:
    bound = OrderBound(intent=IntentId(1), order_no="1", branch="")
    own = Own(orders={IntentId(1): order()}, live=(IntentId(1),))
    with pytest.raises(IllegalTransition, match="intent 1 is working"):
        evolve(evolve(own, bound), bound)


@given(st.integers(1, 1_000_000), st.integers(1, 1_000_000), st.integers(1, 10_000_000))
def test_a_smaller_order_keeps_enough_set_aside(qty: int, of: int, price: int) -> None:
    qty, of = min(qty, of), max(qty, of)
    big = order(qty=Shares(of), stage="working", reserved_krw=Krw(of * price + of * price * 140 // 1_000_000))
    own = evolve(Own(orders={IntentId(1): big}), OrderResized(intent=IntentId(1), qty=Shares(qty)))
    needed = qty * price + qty * price * 140 // 1_000_000
    assert needed <= own.orders[IntentId(1)].reserved_krw <= needed + of


@pytest.mark.parametrize(
    ("outcome", "stages"),
    [
        ("accept", ["intended", "sent", "accepted", "working", "partly_filled", "filled", "filled"]),
        ("unknown", ["intended", "sent", "unknown", "working", "partly_filled", "filled", "filled"]),
        ("refuse", ["intended", "sent", "refused", "refused"]),
        ("expire", ["intended", "expired", "expired"]),
        ("lost", ["intended", "sent", "unknown", "not_placed"]),
    ],
)
def test_a_recorded_order_goes_through_the_table(outcome: str, stages: list[str]) -> None:
    world = opened(Broker(outcomes=[outcome]))
    world.signal(A)
    for ticket in world.broker.tickets:
        world.broker.fill(ticket, 5, 10_010)
        world.notice()
        world.broker.fill(ticket, ticket.leaves, 10_010)
    world.pass_time(70)
    assert lives(world.facts())[IntentId(1)] == stages


def test_views_and_people_see_what_the_gateway_said_of_an_order() -> None:
    """`sent` and `unknown` are the gateway's facts: own state does not know them, `stage_of` adds them."""
    world = holding(at="08:55")
    world.broker.outcomes = ["lost"]
    world.fire(by_kind(world)["stop"], 9_000)
    seen, found = Seen(), []
    for fact in world.facts():
        if fact.stream != "orders":
            seen = observe(seen, fact)
        live = world.own.orders[IntentId(1)]
        found.append(stage_of(live, seen))
    assert [stage for stage, _ in itertools.groupby(found)] == ["intended", "sent", "unknown"]
