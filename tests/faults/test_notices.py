"""Execution notices are lost, doubled, late, unreadable, ahead of their order: the broker's list decides, once each."""

from collections import Counter

import pytest

from kquant.events.day import AlertRaised
from kquant.events.feed import NoticeReceived, NoticeUnreadable
from kquant.events.orders import (
    ExecutionsWanted,
    OrderAccepted,
    OrderBound,
    OrderFilled,
    OrderFinished,
)

from .checks import check_day
from .rig import Played, play

pytestmark = pytest.mark.timeout(240)

FAULTS = (
    "lose_notice:count=6,chance=0.3",
    "repeat_notice:count=10,chance=0.3",
    "reorder_notices:count=10,chance=0.3",
    "late_notice:count=10,chance=0.3,s=8",
    "garble_notice:count=4,chance=0.3",
    "notice_first:count=4,ms=50",
    "reject_order:count=2,after=6",
)


@pytest.fixture(scope="module")
def notices(tmp_path_factory) -> Played:
    return play(tmp_path_factory.mktemp("notices"), *FAULTS)


def test_the_table_ends_equal_and_nothing_was_sent_twice(notices):
    check_day(notices)


@pytest.mark.parametrize("kind", ["lose_notice", "repeat_notice", "reorder_notices", "late_notice"])
def test_fills_are_those_of_the_list_whatever_came_of_their_notices_kis_protocol_6_row_8(notices, kind):
    assert notices.hits(kind) >= 5
    filled: Counter[str] = Counter()
    for fill in notices.of(OrderFilled):
        filled[fill.order_no] += fill.qty
        assert fill.filled_qty == filled[fill.order_no], "cumulative and one after another"
    assert filled == {number: row["filled"] for number, row in notices.orders.items() if row["filled"]}


def test_a_notice_that_cannot_be_read_has_the_list_read_and_is_told_kis_protocol_6_row_7(notices):
    assert notices.hits("garble_notice") == 4
    unreadable = [fact for fact in notices.facts if isinstance(fact.event, NoticeUnreadable)]
    assert unreadable
    asked = [fact for fact in notices.facts if isinstance(fact.event, ExecutionsWanted)]
    for fact in unreadable:
        assert any(one.seq > fact.seq and one.at - fact.at <= 2_000_000 for one in asked)
    assert [event for event in notices.of(AlertRaised) if "cannot be read" in event.text]


def test_a_notice_before_the_answer_of_its_order_loses_nothing_kis_protocol_6_row_9(notices):
    assert notices.hits("notice_first") == 4
    first = 0
    for fact in notices.facts:
        if not isinstance(fact.event, OrderAccepted):
            continue
        before = notices.facts[: fact.seq - 1]
        number = fact.event.order_no
        first += any(isinstance(one.event, NoticeReceived) and one.event.order_no == number for one in before)
    assert first >= 2
    assert len(notices.of(OrderBound)) == len(notices.of(OrderAccepted))


def test_an_order_taken_and_then_rejected_ends_as_refused_and_is_not_sent_again(notices):
    assert notices.hits("reject_order") == 2
    rejected = {number for number, row in notices.orders.items() if row["rejected"]}
    assert len(rejected) == 2
    intents = {event.intent for event in notices.of(OrderBound) if event.order_no in rejected}
    ends = {event.intent: event for event in notices.of(OrderFinished)}
    assert {ends[intent].outcome for intent in intents} == {"refused"}
    assert all(ends[intent].filled_qty == 0 for intent in intents)
    assert {event.order_no for event in notices.of(NoticeReceived) if event.kind == "rejected"} <= rejected
