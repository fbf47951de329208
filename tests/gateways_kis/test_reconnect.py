"""When the feed may connect again (kis-protocol 2.5 and 6 rows 2 and 3)."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kquant.events.base import Event
from kquant.events.day import AlertRaised
from kquant.events.feed import FeedConnected, FeedLost, FeedStopped, FeedUnreachable
from kquant.gateways.kis.feed.reconnect import CLOSED, PROCESS_ENDED, STEADY_US, Reconnect
from kquant.gateways.kis.feed.session import Broken
from kquant.settings import FeedSettings
from kquant.testing.facts import FactLog
from kquant.values import SECOND_US, Epoch, Micros

LOST = Broken("closed by the broker", 0)
HOUR = 3_600 * SECOND_US
BEGIN = Micros(10**15)


def policy(jitter: float = 0.0, **rules: Any) -> Reconnect:
    return Reconnect(FeedSettings(**rules), lambda: jitter)


def fail(line: Reconnect, at: Micros, end: Broken = LOST) -> tuple[Micros, list[Event]]:
    """Start at the first allowed instant from *at* on, fail at once; return when the next may start."""
    start = line.due(at)
    line.started(start)
    said = line.ended(start, end)
    return line.due(start), said


def seconds(line: Reconnect, count: int, end: Broken = LOST) -> list[int]:
    at, found = BEGIN, []
    for _ in range(count):
        before = line.due(at)
        at, _ = fail(line, at, end)
        found.append((at - before) // SECOND_US)
    return found


def test_attempts_back_off_1_2_4_up_to_600_seconds() -> None:
    assert seconds(policy(breaker_failures=100), 12) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]


def test_jitter_adds_up_to_a_quarter_and_to_a_wait_the_broker_asks_for_up_to_half() -> None:
    line = policy(0.999, breaker_failures=100)
    for base in (1, 2, 4, 8, 16, 32):
        before = line.due(BEGIN)
        after, _ = fail(line, BEGIN)
        assert base * 1.2 * SECOND_US < after - before <= base * 1.25 * SECOND_US
    in_use = Broken("OPSP8996", 60)
    for jitter, least, most in ((0.0, 60, 60), (0.999, 89, 90)):
        (waited,) = seconds(policy(jitter), 1, in_use)
        assert least <= waited <= most


def test_only_a_line_that_stayed_up_a_minute_ends_the_back_off() -> None:
    for lived, expected in ((STEADY_US - 1, 8), (STEADY_US, 1)):
        line = policy()
        for _ in range(3):
            at, _ = fail(line, BEGIN)
        line.started(at)
        line.accepted(at)
        end = Micros(at + lived)
        line.ended(end, LOST)
        assert (line.due(end) - end) // SECOND_US == expected


def test_ten_fast_failures_stop_the_trying_and_say_so_and_one_attempt_follows_the_pause() -> None:
    line = policy()
    at = BEGIN
    for _ in range(9):
        at, said = fail(line, at)
        assert said == []
    at, said = fail(line, at)
    stopped, alert = said
    assert isinstance(stopped, FeedStopped)
    assert isinstance(alert, AlertRaised)
    assert (alert.level, stopped.fatal, stopped.until) == ("critical", False, at)
    assert line.stopped_until == at
    before = at
    at, said = fail(line, at)
    assert isinstance(said[0], FeedStopped), "the one attempt failed too: the pause begins anew"
    assert at - before >= 1_800 * SECOND_US
    line.started(at)
    line.accepted(at)
    assert line.stopped_until == 0
    line.ended(Micros(at + STEADY_US), LOST)
    assert line.due(at) == at + STEADY_US + SECOND_US


def test_a_key_the_broker_refuses_is_not_tried_again_by_this_process() -> None:
    line = policy()
    at, said = fail(line, BEGIN, Broken("OPSP9994", 60, fatal=True, alert="the key is refused"))
    assert [type(one) for one in said] == [AlertRaised, FeedStopped, AlertRaised]
    assert said[1].fatal
    assert at - BEGIN >= 24 * HOUR


def test_a_new_approval_key_is_taken_once_and_a_second_refusal_of_it_is_final() -> None:
    line = policy()
    unknown = Broken("OPSP0011", 5, renew_approval=True)
    at, said = fail(line, BEGIN, unknown)
    assert (line.renew, said) == (True, [])
    line.started(at)
    assert not line.renew, "one new key an attempt"
    said = line.ended(at, unknown)
    assert not line.renew
    assert isinstance(said[0], FeedStopped)
    assert said[0].fatal


def test_a_renewed_key_that_was_taken_once_may_be_renewed_again_later() -> None:
    line = policy()
    unknown = Broken("OPSP0011", 5, renew_approval=True)
    at, _ = fail(line, BEGIN, unknown)
    line.started(at)
    line.accepted(at)
    assert line.ended(Micros(at + STEADY_US), unknown) == []
    assert line.renew


def test_the_budget_of_an_hour_and_of_a_day_is_kept() -> None:
    line = policy(connects_per_hour=5, connects_per_day=12, breaker_failures=100)
    at, starts, said = BEGIN, [], []
    while len(starts) < 30:
        starts.append(line.due(at))
        at, events = fail(line, at)
        said += events
    for first, sixth in zip(starts, starts[5:], strict=False):
        assert sixth - first >= HOUR
    for first, later in zip(starts, starts[12:], strict=False):
        assert later - first >= 24 * HOUR
    reasons = [one.reason for one in said if isinstance(one, FeedStopped)]
    assert any("hour" in one for one in reasons)
    assert any("day" in one for one in reasons)


def replayed(log: FactLog, **rules: Any) -> Reconnect:
    line = policy(**rules)
    for fact in log.facts:
        line.fold(fact)
    line.folded()
    return line


def test_the_breaker_and_the_back_off_outlive_the_process() -> None:
    log = FactLog()
    for attempt in range(1, 4):
        log.add("feed", FeedUnreachable(attempt=attempt, reason="refused"))
    assert replayed(log).due(log.facts[-1].at) - log.facts[-1].at == 4 * SECOND_US
    log.add("feed", FeedStopped(until=Micros(log.facts[-1].at + HOUR), fatal=False, reason="10 fast failures"))
    line = replayed(log)
    assert line.due(log.facts[-1].at) == log.facts[-1].at + HOUR
    _, said = fail(line, Micros(log.facts[-1].at + HOUR))
    assert isinstance(said[0], FeedStopped), "a half-open breaker opens at the first failure"


def test_a_restart_is_worth_one_attempt_with_a_key_that_was_refused() -> None:
    log = FactLog()
    log.add("feed", FeedStopped(until=Micros(10**18), fatal=True, reason="OPSP9994"))
    assert replayed(log).due(BEGIN) == BEGIN


def test_ends_of_our_own_making_are_no_failures_but_their_connections_count() -> None:
    log = FactLog(BEGIN)
    for number in range(20):
        log.add("feed", FeedConnected(epoch=Epoch(number + 1)), at=Micros(BEGIN + number * 5 * SECOND_US))
        reason = PROCESS_ENDED if number % 2 else CLOSED
        log.add("feed", FeedLost(epoch=Epoch(number + 1), reason=reason))
    now = Micros(log.facts[-1].at + 5 * SECOND_US)
    assert replayed(log).due(now) == now
    line = replayed(log, connects_per_hour=20)
    line.ended(now, LOST)
    assert line.due(now) >= log.facts[0].at + HOUR, "a process that dies in a loop spends the budget"


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 90), st.booleans()), max_size=60),
    st.floats(0, 0.999),
)
def test_whatever_happens_attempts_keep_a_second_apart_and_never_wait_longer_than_the_rules(history, jitter) -> None:
    line = policy(jitter)
    now, last = BEGIN, Micros(0)
    for idle, lived, accepted in history:
        now = line.due(Micros(now + idle * SECOND_US))
        assert now - last >= SECOND_US
        last = now
        line.started(now)
        if accepted:
            line.accepted(now)
            now = Micros(now + lived * SECOND_US)
        line.ended(now, LOST)
        assert line.due(now) - now <= max(750, 24 * 3_600) * SECOND_US
