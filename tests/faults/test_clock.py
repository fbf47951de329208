"""The broker's clock is wrong: nothing new is bought meanwhile, no order is lost sight of, and a person is told."""

import pytest

from kquant.cli import codes
from kquant.events.day import AlertRaised
from kquant.events.feed import ClockSkewed, FeedLost
from kquant.events.orders import ExternalOrderSeen, OrderBound, OrderDenied, OrderIntended, OrderUnknown
from kquant.values import kst_clock

from .checks import check_day
from .rig import Played, play

pytestmark = pytest.mark.timeout(240)

AHEAD = 90
FAULTS = (
    f"clock_skew:s={AHEAD},from=14:42:00,until=15:06:00",
    "lost_answer:path=/trading/order-cash,from=14:43:00,count=3",
)


@pytest.fixture(scope="module")
def skewed(tmp_path_factory) -> Played:
    return play(tmp_path_factory.mktemp("skewed"), *FAULTS)


def test_the_table_ends_equal_and_nothing_was_sent_twice(skewed):
    check_day(skewed)
    assert skewed.outcome.code == codes.OK
    assert len(skewed.of(FeedLost)) == 1


def test_a_clock_that_is_wrong_is_told_within_half_a_minute_and_so_is_its_being_right_again_kis_protocol_6_row_27(
    skewed,
):
    assert skewed.hits("clock_skew") > 100
    told = [fact for fact in skewed.facts if isinstance(fact.event, ClockSkewed)]
    assert [abs(fact.event.seconds - ahead) <= 1 for fact, ahead in zip(told, (AHEAD, 0), strict=True)] == [True, True]
    assert "14:42:00" <= kst_clock(told[0].at) <= "14:42:30"
    assert "15:06:00" <= kst_clock(told[1].at) <= "15:06:30"
    [alert] = [event for event in skewed.of(AlertRaised) if "clock" in event.text]
    assert alert.level == "critical"
    assert "ahead of ours" in alert.text


def test_nothing_is_bought_while_the_clocks_differ_and_sells_go_on(skewed):
    meanwhile = [fact for fact in skewed.facts if "14:42:30" <= kst_clock(fact.at) < "15:06:00"]
    intended = [fact.event for fact in meanwhile if isinstance(fact.event, OrderIntended)]
    assert intended
    assert {event.side for event in intended} == {"sell"}
    denied = [fact.event for fact in meanwhile if isinstance(fact.event, OrderDenied)]
    assert {event.rule for event in denied} == {"CLOCK_SKEW"}
    assert all(event.limit < abs(event.value) for event in denied)
    after = [fact.event for fact in skewed.facts if kst_clock(fact.at) >= "15:07:00"]
    assert any(isinstance(event, OrderIntended) and event.side == "buy" for event in after)


def test_an_order_whose_answer_is_lost_is_found_in_the_list_although_its_time_is_wrong(skewed):
    assert skewed.hits("lost_answer") == 3
    unknown = {event.intent for event in skewed.of(OrderUnknown)}
    assert len(unknown) == 3
    assert unknown <= {event.intent for event in skewed.of(OrderBound)}
    assert skewed.of(ExternalOrderSeen) == []
