"""A sample of the soak: one day, killed at six exact points over real processes; and the soak's own judgement."""

import random
from collections import Counter

import msgspec
import pytest

from kquant.events.base import Event, Recorded
from kquant.events.orders import OrderAccepted, OrderIntended, OrderSendStarted
from kquant.testing.facts import recorded
from kquant.values import IntentId, Krw, Micros, Seq, Shares, Symbol

from . import checks
from .__main__ import ENOUGH, done_days, summary
from .days import Day, Killed, draw, last_hour
from .door import Post
from .points import BY_NAME, DOOR_POINTS, REQUIRED, Kill

pytestmark = pytest.mark.timeout(240)

SAMPLE = (
    Kill(point="trigger fired", phase="before"),
    Kill(point="order in flight", phase="done", nth=2),
    Kill(point="order in flight", phase="arrived"),
    Kill(point="send started", phase="after", nth=2),
    Kill(point="accepted", phase="before", nth=2),
    Kill(point="closing balance", phase="after"),
)


def test_a_day_killed_between_decision_and_fill_loses_nothing_and_posts_nothing_twice_d12(tmp_path):
    killed = Killed(tmp_path, 1, last_hour(1))
    for kill in SAMPLE:
        assert not killed.start([kill]), killed.day
    assert killed.start([]), killed.day
    day = killed.check()
    assert day.wrong == []
    assert day.deaths == [f"{kill.point}, {kill.phase}" for kill in SAMPLE]
    assert day.posts >= len(SAMPLE), "the door saw the orders"
    # The two calls that were in flight: one is in the books, one never got there, neither was sent again.
    assert day.posts <= day.intents


def intended(intent: int, qty: int = 10) -> OrderIntended:
    return OrderIntended(
        intent=IntentId(intent),
        code=Symbol("005930"),
        name="삼성전자",
        side="buy",
        qty=Shares(qty),
        kind="limit",
        price=Krw(70_000),
        reason="signal",
        decision=Seq(1),
        reserved_krw=Krw(0),
        valid_until=Micros(0),
    )


def post(qty: int = 10, what: str = "buy") -> Post:
    return msgspec.convert(
        {"caller": 2, "what": what, "code": "005930", "qty": qty, "price": 70_000, "origin": ""}, Post
    )


def accepted(intent: int) -> OrderAccepted:
    return OrderAccepted(intent=IntentId(intent), order_no="1", branch="1", time="090000")


def log_of(*events: Event) -> list[Recorded]:
    return recorded([("orders", event) for event in events])


ONE = log_of(intended(1), OrderSendStarted(intent=IntentId(1)), accepted(1))
UNANSWERED = log_of(intended(1), OrderSendStarted(intent=IntentId(1)))


def test_a_second_post_of_an_intent_is_told():
    assert checks.check_posts(ONE, [post()]) == []
    assert checks.check_posts(ONE, [post(), post()]) == ["buy 005930 10 70000: 2 POSTs for 1 to 1 intents"]


def test_an_accepted_order_that_never_came_to_the_door_is_told():
    assert checks.check_posts(UNANSWERED, []) == []
    assert checks.check_posts(ONE, []) == ["buy 005930 10 70000: 0 POSTs for 1 to 1 intents"]


def test_a_post_that_no_intent_stands_for_is_told():
    assert checks.check_posts(ONE, [post(), post(qty=11)]) == ["buy 005930 11 70000: 1 POSTs for 0 to 0 intents"]
    assert len(checks.check_posts(ONE, [post(), post(what="cancel")])) == 1


def test_two_outcomes_of_an_intent_or_none_are_told():
    assert checks.check_outcomes(ONE) == []
    assert checks.check_outcomes(UNANSWERED) == ["intent 1: no outcome"]
    assert checks.check_outcomes([*ONE, ONE[-1]]) == ["intent 1: 2 outcomes"]


def test_an_event_lost_or_altered_over_a_kill_is_told():
    assert checks.check_known(ONE, ONE[:2]) == []
    assert checks.check_known(ONE[:1], ONE[:2]) != []
    assert checks.check_known(log_of(intended(1, qty=11)), ONE[:1]) != []


def test_what_was_met_least_is_drawn_and_every_point_in_the_end():
    rng, killed, drawn = random.Random(1), Counter({"signal, before": 40}), set()
    for _ in range(200):
        kills, _ = draw(rng, killed)
        if len(kills) > 1:
            assert "signal" not in {kill.point for kill in kills}
        drawn |= {kill.point for kill in kills}
    assert drawn >= set(REQUIRED) - {"signal"}
    assert set(REQUIRED) == set(BY_NAME) | set(DOOR_POINTS)


def test_a_violation_or_a_point_never_met_ends_the_soak_with_code_1(tmp_path):
    met = Day(1, deaths=[f"{name}, before" for name in REQUIRED])
    assert summary([met], ENOUGH)[1] == 0
    text, code = summary([met, Day(2, wrong=["cash: 1, the exchange has 2"])], ENOUGH)
    assert code == 1
    assert "VIOLATED: seed 2: cash: 1, the exchange has 2" in text
    text, code = summary([Day(1, deaths=met.deaths[1:])], ENOUGH)
    assert code == 1
    assert f"NEVER MET: {REQUIRED[0]}" in text
    (tmp_path / "days.jsonl").write_bytes(msgspec.json.encode(met) + b"\n")
    assert done_days(tmp_path) == [met]
