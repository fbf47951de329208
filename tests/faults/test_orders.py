"""Order calls and their answers are lost, slow, refused or broken: one POST an intent, and the list says what became of it."""

from collections import Counter

import pytest

from kquant.events.day import AlertRaised
from kquant.events.orders import (
    CancelUnknown,
    CancelWanted,
    ExecutionsListed,
    OrderBound,
    OrderFinished,
    OrderFrozen,
    OrderIntended,
    OrderRefused,
    OrderSendStarted,
    OrderUnknown,
)
from kquant.values import SECOND_US

from .checks import check_day
from .rig import BUSY, Played, play

pytestmark = pytest.mark.timeout(240)

CASH = "path=/trading/order-cash"
TAKEN = (
    f"lost_answer:{CASH},after=2,count=2",
    f"lost_answer:{CASH},how=hang,after=5",
    f"rest_error:{CASH},code=EGW00302,effect=after,after=8",
    f"truncated_json:{CASH},after=10",
    f"set_field:{CASH},field=ODNO,value=,after=12",
    f"slow_rest:{CASH},ms=3000,effect=after,after=14",
    f"wrong_content_type:{CASH},after=16",
    f"null_field:{CASH},field=ODNO,after=28",
)
"""The order is placed; its answer says nothing of that, but for a wrong content-type, which is read all the same."""
NOT_TAKEN = (
    f"lost_request:{CASH},after=18",
    f"html_500:{CASH},after=20",
    f"lost_request:{CASH},how=hang,after=22",
    f"rest_error:{CASH},code=EGW00302,effect=before,after=24",
)
"""The order is not placed, and nothing tells."""
REFUSED = (f"throttle:{CASH},count=1,after=26", f"throttle:{CASH},code=EGW00215,count=1,after=27")
"""Refusals after which nothing was placed, and the client knows it (kis-protocol 1.8)."""
CANCELS = ("lost_answer:path=/trading/order-rvsecncl", "lost_request:path=/trading/order-rvsecncl,after=1")
FAULTS = (*TAKEN, *NOT_TAKEN, *REFUSED, *CANCELS)

BUSIER = (
    *("risk.cooldown_seconds=60", "risk.repeat_seconds=0", "risk.max_positions=20", "pipeline.threshold=40"),
    *("risk.limit_ticks_above_ask=0", "risk.resting_seconds=5"),
)
"""The last fault waits for the 29th order and two cancels, however the day goes."""


@pytest.fixture(scope="module")
def orders(tmp_path_factory) -> Played:
    return play(tmp_path_factory.mktemp("orders"), *FAULTS, changes=(*BUSY, *BUSIER, "broker.order_timeout_seconds=1"))


def ends(played: Played) -> dict[int, str]:
    return {event.intent: event.outcome for event in played.of(OrderFinished)}


def test_the_table_ends_equal_and_nothing_was_sent_twice(orders):
    check_day(orders)


@pytest.mark.parametrize("spec", FAULTS, ids=lambda spec: spec.replace("path=/trading/", ""))
def test_the_fault_happened(orders, spec):
    rows = orders.witness.faults[1:]
    assert rows[FAULTS.index(spec)]["hits"] == rows[FAULTS.index(spec)]["count"]


def test_an_order_whose_answer_is_lost_is_bound_to_its_number_and_never_sent_again_kis_protocol_6_row_10(orders):
    unknown = {event.intent for event in orders.of(OrderUnknown)}
    lost = len(TAKEN)  # one of them twice, and a wrong content-type is no reason to doubt
    assert len(unknown) == lost + len(NOT_TAKEN)
    bound = {event.intent for event in orders.of(OrderBound)}
    assert len(unknown & bound) == lost
    assert {ends(orders)[intent] for intent in unknown & bound} <= {"filled", "cancelled", "expired"}


def test_an_unknown_order_is_bound_within_seconds(orders):
    facts = orders.facts
    bound = {fact.event.intent: fact.at for fact in facts if isinstance(fact.event, OrderBound)}
    for fact in facts:
        if isinstance(fact.event, OrderUnknown) and fact.event.intent in bound:
            assert bound[fact.event.intent] - fact.at <= 15 * SECOND_US


def test_an_order_in_no_listing_is_given_up_after_a_minute_with_its_stock_frozen_and_told(orders):
    missing = {event.intent for event in orders.of(OrderUnknown)} - {event.intent for event in orders.of(OrderBound)}
    assert len(missing) == len(NOT_TAKEN)
    assert {ends(orders)[intent] for intent in missing} == {"not_placed"}
    intents = {event.intent: event for event in orders.of(OrderIntended)}
    assert {event.code for event in orders.of(OrderFrozen)} == {intents[intent].code for intent in missing}
    unknown = {f.event.intent: f for f in orders.facts if isinstance(f.event, OrderUnknown)}
    for fact in orders.facts:
        if isinstance(fact.event, OrderFinished) and fact.event.intent in missing:
            since = unknown[fact.event.intent]
            assert fact.at - since.at >= 60 * SECOND_US
            listings = [one for one in orders.facts[since.seq : fact.seq] if isinstance(one.event, ExecutionsListed)]
            assert len(listings) >= 5


def test_every_unknown_order_is_an_alert(orders):
    alerts = [event for event in orders.of(AlertRaised) if "unknown whether it was placed" in event.text]
    assert len(alerts) == len(orders.of(OrderUnknown))


def test_a_frozen_stock_is_bought_no_more_and_sold_once_at_most(orders):
    intents = {event.intent: event for event in orders.of(OrderIntended)}
    frozen: set[str] = set()
    sold: Counter[str] = Counter()
    for event in (fact.event for fact in orders.facts):
        if isinstance(event, OrderFrozen):
            frozen.add(event.code)
        elif isinstance(event, OrderSendStarted) and intents[event.intent].code in frozen:
            assert intents[event.intent].side == "sell"
            sold[intents[event.intent].code] += 1
    assert frozen
    assert max(sold.values(), default=0) <= 1


def test_a_limit_refusal_is_final_for_that_intent_and_nothing_was_placed_kis_protocol_1_8(orders):
    refused = Counter(event.message_code for event in orders.of(OrderRefused))
    assert refused == {"EGW00201": 1, "EGW00215": 1}
    bound = {event.intent for event in orders.of(OrderBound)}
    assert not bound & {event.intent for event in orders.of(OrderRefused)}


def test_a_cancel_whose_answer_is_lost_is_asked_about_and_at_most_one_call_each_was_made(orders):
    wanted = orders.of(CancelWanted)
    assert len(orders.of(CancelUnknown)) == 2
    cancels = [row for row in orders.witness.ledger["orders"] if row["request"] == "cancel"]
    assert len(cancels) == len(wanted) - 1, "one call never arrived"
    assert all(row.get("origin") for row in cancels)
