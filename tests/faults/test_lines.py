"""The line is cut, refused, taken by another session, or the whole service is away: the feed comes back with its table."""

from itertools import pairwise

import pytest

from kquant.events.day import AlertRaised
from kquant.events.feed import FeedConnected, FeedLost, FeedUnreachable, Registered, RegistrationRefused
from kquant.events.orders import ExecutionsWanted
from kquant.events.scanner import ReadFailed
from kquant.events.slots import PollingEnded, PollingStarted, RegisterWanted
from kquant.values import SECOND_US, kst_clock

from .checks import check_day, compared
from .rig import Played, play

pytestmark = pytest.mark.timeout(240)

FAULTS = (
    "drop_connection:from=14:50:00",
    "drop_connection:on=register,after=10,from=14:52:00",
    "drop_connection:on=connect,how=close,from=14:52:00",
    "drop_connection:from=14:55:00,how=close",
    "refuse_connection:from=14:55:00,until=14:56:00",
    "drop_connection:on=text,from=15:00:00",
    "maintenance:from=15:05:00,until=15:06:00",
    "drop_connection:from=15:10:00",
    "appkey_in_use:from=15:09:00,count=1",
    "appkey_in_use:after=15,count=1,from=15:10:00",
)


@pytest.fixture(scope="module")
def lines(tmp_path_factory) -> Played:
    return play(tmp_path_factory.mktemp("lines"), *FAULTS)


def ends(played: Played, start: str, end: str) -> list[FeedLost]:
    """Return the connections that ended in a part of the day."""
    lost = [fact for fact in played.facts if isinstance(fact.event, FeedLost)]
    return [fact.event for fact in lost if start <= kst_clock(fact.at) < end]


def test_the_table_ends_equal_and_nothing_was_sent_twice(lines):
    check_day(lines)


def test_every_line_that_ended_is_told_with_its_reason_and_made_again_kis_protocol_6_rows_1_and_2(lines):
    lost, up = lines.of(FeedLost), lines.of(FeedConnected)
    assert len(lost) >= 8
    assert [one.epoch for one in lost] == list(range(1, len(lost) + 1))
    assert all(one.reason for one in lost)
    assert {one.epoch for one in up} <= {one.epoch for one in lost}
    hits = [row["hits"] for row in lines.witness.faults if row["kind"] == "drop_connection"]
    assert hits == [1] * 6


def test_a_line_cut_at_a_registration_at_a_handshake_and_at_a_text_comes_back(lines):
    for on, start, end in (("register", "14:49:00", "14:58:00"), ("connect", "14:52:00", "14:58:00")):
        assert lines.fault("drop_connection", on=on)["hits"] == 1
        assert ends(lines, start, end)
    assert lines.fault("drop_connection", on="text")["hits"] == 1
    assert ends(lines, "14:59:00", "15:01:00")


def test_an_orderly_close_is_told_as_one(lines):
    [end] = ends(lines, "14:54:58", "14:55:05")
    assert "1001" in end.reason or end.reason == "closed by the broker"


def test_every_registration_of_a_new_line_is_asked_for_once_and_paced(lines):
    for epoch in {one.epoch for one in lines.of(FeedConnected)}:
        asked = [fact for fact in lines.facts if isinstance(fact.event, RegisterWanted) and fact.event.epoch == epoch]
        minute = [fact.event for fact in asked if fact.at - asked[0].at < 30 * SECOND_US]
        pairs = [(one.code, one.channel) for one in minute]
        assert len(pairs) == len(set(pairs)), epoch
        assert len(minute) <= 40


def test_the_execution_notice_is_registered_before_anything_else(lines):
    seen = set()
    for moment in lines.witness.moments:
        if moment.held and moment.session not in seen:
            assert moment.notice, moment.clock
            seen.add(moment.session)
    assert len(seen) >= 6


def test_attempts_that_are_refused_follow_at_growing_distance_kis_protocol_2_5(lines):
    assert lines.hits("refuse_connection") >= 5
    at = [fact.at for fact in lines.facts if isinstance(fact.event, FeedUnreachable) and kst_clock(fact.at) < "14:57"]
    gaps = [later - earlier for earlier, later in pairwise(at)]
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 8 * gaps[0]
    attempts = [event.attempt for event in lines.of(FeedUnreachable)]
    assert attempts[:3] == [1, 2, 3]
    assert all("503" in event.reason for event in lines.of(FeedUnreachable))


def test_maintenance_refuses_reads_and_lines_and_the_day_goes_on_after_it_kis_protocol_6_row_18(lines):
    assert lines.hits("maintenance") >= 5
    assert ends(lines, "15:04:58", "15:05:02")
    assert any("503" in event.reason for event in lines.of(ReadFailed))
    again = [fact for fact in lines.facts if isinstance(fact.event, FeedConnected) and kst_clock(fact.at) > "15:06"]
    assert again
    assert kst_clock(again[0].at) < "15:07:30"


def test_another_session_with_the_key_is_an_alert_and_patience_not_a_fight_kis_protocol_2_5(lines):
    assert [row["hits"] for row in lines.witness.faults if row["kind"] == "appkey_in_use"] == [1, 1]
    alerts = [event for event in lines.of(AlertRaised) if "another session" in event.text]
    assert [event.level for event in alerts] == ["critical", "critical"]
    facts = lines.facts
    refused = [fact.at for fact in facts if isinstance(fact.event, FeedLost) and "OPSP8996" in fact.event.reason]
    assert len(refused) == 2
    for at in refused:
        following = next(fact.at for fact in facts if isinstance(fact.event, FeedConnected) and fact.at > at)
        assert following - at >= 60 * SECOND_US
    [midst] = [event for event in lines.of(RegistrationRefused) if event.message_code == "OPSP8996"]
    assert midst.kind == "fatal"


def test_holdings_are_polled_while_the_feed_is_down_and_only_then(lines):
    started = [event for event in lines.of(PollingStarted) if event.why == "feed down"]
    assert started
    assert len(lines.of(PollingEnded)) >= len(started)


def test_executions_are_read_over_rest_after_every_new_line(lines):
    asked = [event.why for event in lines.of(ExecutionsWanted)]
    assert asked.count("feed reconnected") >= 4


def test_both_sides_agree_on_every_line(lines):
    sessions = {one.moment.session for one in compared(lines)}
    registered = {event.epoch for event in lines.of(Registered)}
    assert len(registered) >= 6
    assert len(registered & sessions) >= 5, "a line may end before it has come to rest"
