"""Faults that only the wall's clock shows: a dead line, missing PINGPONGs, mute pings, a silent session, a shut door.

The day runs at a multiple of the wall's speed. Nothing waits for the client, as at KIS.
"""

import pytest

from kquant.events.day import AlertRaised
from kquant.events.feed import FeedConnected, FeedLost, FeedStopped, FeedUnreachable
from kquant.values import SECOND_US, kst_clock

from .checks import check_books, check_log, check_orders, check_table
from .rig import BUSY, Played, play

pytestmark = pytest.mark.timeout(240)

SPEED = 30
HALF_OPEN_SECONDS = 2
"""On the wall: a minute of the market's, which is less than the silence of all stocks that is looked into."""
QUIET_SECONDS = 90
FAULTS = (
    "half_open:from=15:11:00",
    "no_pingpong:from=15:13:30,until=15:16:00",
    "no_pingpong:from=15:17:00,until=15:19:30",
    "silent_symbol:from=15:17:00,until=15:19:30",
    "no_pingpong:from=15:21:30,until=15:24:00",
    "silent_symbol:from=15:21:30,until=15:24:00",
    "no_pongs:from=15:21:30,until=15:24:00",
    "drop_connection:from=15:25:00",
    "refuse_connection:from=15:25:00,until=15:26:00",
)


@pytest.fixture(scope="module")
def wall(tmp_path_factory) -> Played:
    rules = (
        f"feed.half_open_seconds={HALF_OPEN_SECONDS}",
        f"feed.quiet_seconds={QUIET_SECONDS}",
        "feed.breaker_failures=5",
        "feed.breaker_pause_seconds=90",
    )
    return play(tmp_path_factory.mktemp("wall"), *FAULTS, start="15:06", speed=str(SPEED), changes=(*BUSY, *rules))


def lost(played: Played, start: str, end: str) -> list[tuple[int, str]]:
    """Return when and why lines ended in a part of the day."""
    return [
        (fact.at, fact.event.reason)
        for fact in played.facts
        if isinstance(fact.event, FeedLost) and start <= kst_clock(fact.at) < end
    ]


def test_the_table_ends_equal_and_nothing_was_sent_twice(wall):
    check_books(wall)
    check_log(wall)
    check_orders(wall)
    check_table(wall, last_seconds=30)


def test_a_half_open_line_is_found_out_and_made_again_once(wall):
    assert wall.hits("half_open") == 1
    [(at, reason)] = lost(wall, "15:11:00", "15:13:30")
    assert "half open" in reason
    again = next(fact.at for fact in wall.facts if isinstance(fact.event, FeedConnected) and fact.at > at)
    assert again - at < 120 * SECOND_US, "a closing handshake that nobody answers takes two seconds of the wall"


def test_missing_pingpongs_are_no_reason_to_hang_up_while_data_flow_kis_protocol_2_3(wall):
    assert lost(wall, "15:13:30", "15:17:00") == []


def test_a_session_without_data_is_given_up_once_when_the_market_is_heard_to_trade_over_rest(wall):
    assert wall.fault("silent_symbol", **{"from": "15:17:00"})["hits"] > 20
    [(_, reason)] = lost(wall, "15:17:00", "15:21:30")
    assert "no data for" in reason
    assert "unheard" in reason


def test_a_line_that_answers_neither_with_data_nor_pingpong_nor_pongs_is_dead_kis_protocol_2_3(wall):
    assert wall.hits("no_pongs") >= 1
    assert wall.fault("no_pingpong", **{"from": "15:21:30"})["hits"] >= 1
    assert any("half open" in reason for _, reason in lost(wall, "15:21:30", "15:24:30"))


def test_a_shut_door_opens_the_breaker_with_an_alert_and_the_feed_comes_back_after_the_pause(wall):
    assert wall.hits("refuse_connection") >= 3
    stopped = [fact for fact in wall.facts if isinstance(fact.event, FeedStopped)]
    assert len(stopped) == 1
    assert not stopped[0].event.fatal
    assert len([event for event in wall.of(AlertRaised) if "stops trying to connect" in event.text]) == 1
    tries = [
        f.at for f in wall.facts if isinstance(f.event, FeedUnreachable | FeedConnected) and f.seq > stopped[0].seq
    ]
    assert tries
    assert tries[0] >= stopped[0].event.until
    assert any(isinstance(f.event, FeedConnected) for f in wall.facts if f.at >= stopped[0].event.until)
