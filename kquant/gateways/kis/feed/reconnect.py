"""When the feed may connect again. Pure: instants, endings and the day's log in, instants and events out.

KIS warns and suspends keys for endless connect loops (kis-protocol 2.5, 6 row 2), so attempts back off 1, 2, 4 ... 600 s
with jitter and only a line that stayed up for a minute ends that; so many fast failures in a row stop all trying for a
long pause, a budget an hour and a day bounds what is left, and a key the broker refuses for good is not tried again by
this process. All of it is a fold of the log, so a process that dies in a loop does not begin anew with each start.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from kquant.events.base import Event, Recorded
from kquant.events.day import AlertRaised
from kquant.events.feed import (
    FeedConnected,
    FeedLost,
    FeedStopped,
    FeedUnreachable,
    NoticesConnected,
    NoticesLost,
)
from kquant.gateways.kis.feed.session import Broken
from kquant.settings import FeedSettings
from kquant.values import SECOND_US, Micros

BACKOFF_SECONDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600)
STEADY_US = 60 * SECOND_US
"""A line that stayed up this long was a good one."""
APART_US = SECOND_US
"""Least time between two attempts."""
HOUR_US, DAY_US = 3_600 * SECOND_US, 86_400 * SECOND_US
PROCESS_ENDED = "the process ended"
CLOSED = "the feed was closed"
OURS = frozenset({PROCESS_ENDED, CLOSED})
"""Reasons of an end that are no fault of the line."""


class Reconnect:
    """Says when to try. jitter: a number from 0 to below 1, drawn by whoever may draw.

    name: what alerts call the line.   renew: whether the next attempt takes a new approval key; renewing: whether the one
    under way does.
    """

    def __init__(self, rules: FeedSettings, jitter: Callable[[], float], *, name: str = "the feed") -> None:
        self.renew = False
        self.attempt = 0
        self._rules = rules
        self._jitter = jitter
        self._name = name
        self._failures = 0
        self._next = Micros(0)
        self._stopped = Micros(0)
        self._starts: deque[Micros] = deque()
        self._up: Micros | None = None
        self._renewed = False

    @property
    def renewing(self) -> bool:
        """Whether the attempt under way takes a new approval key."""
        return self._renewed

    @property
    def up(self) -> bool:
        """Whether the broker took the line that is open."""
        return self._up is not None

    @property
    def stopped_until(self) -> Micros:
        """Before this instant nothing is tried, 0 while the breaker is closed."""
        return self._stopped

    def fold(self, fact: Recorded) -> None:
        """Take one fact of an earlier process's line; the line for notices calls its ends by names of its own."""
        match fact.event:
            case FeedConnected() | NoticesConnected():
                self.started(fact.at)
                self.accepted(fact.at)
            case FeedUnreachable():
                self.started(fact.at)
                self._fail(fact.at, 0.0, 0)
            case FeedLost(reason=reason) | NoticesLost(reason=reason):
                self._fold_end(fact.at, reason)
            case FeedStopped(until=until, fatal=fatal):
                # A person may have put the key right before starting again: one attempt tells.
                self._failures = self._rules.breaker_failures
                self._stopped = Micros(0) if fatal else until
            case _:
                pass

    def folded(self) -> None:
        """The log ends here; a line it leaves open died with its process."""
        self._up = None

    def due(self, now: Micros) -> Micros:
        """Return when the next attempt may start; not before *now*."""
        last = self._starts[-1] + APART_US if self._starts else 0
        spent = max((until for until, _ in self._spent(now)), default=Micros(0))
        return Micros(max(now, self._next, self._stopped, last, spent))

    def started(self, at: Micros) -> int:
        """An attempt starts; return its number since the last line that was a good one."""
        self._starts.append(at)
        while self._starts and self._starts[0] <= at - DAY_US:
            self._starts.popleft()
        self._stopped = Micros(0)
        self._renewed, self.renew = self.renew, False
        self.attempt += 1
        return self.attempt

    def accepted(self, at: Micros) -> None:
        """The broker took the line."""
        self._up = at

    def ended(self, at: Micros, end: Broken) -> list[Event]:
        """A line or an attempt ended; return what is to be said, and set the next instant."""
        again = end.renew_approval and self._renewed and self._up is None
        self.renew = end.renew_approval and not again
        lived, self._up = (0 if self._up is None else at - self._up), None
        if lived >= STEADY_US:
            self.attempt = self._failures = 0
        if end.reason in OURS:
            return []
        said: list[Event] = [AlertRaised(level="critical", text=end.alert)] if end.alert else []
        self._fail(at, self._jitter(), end.wait_seconds, steady=lived >= STEADY_US)
        if end.fatal or again:
            return [*said, *self._stop(at, Micros(at + DAY_US), end.reason, fatal=True)]
        if self._failures >= self._rules.breaker_failures:
            until = Micros(at + self._rules.breaker_pause_seconds * SECOND_US)
            return [*said, *self._stop(at, until, f"{self._failures} fast failures in a row ({end.reason})")]
        return [*said, *self._budget(at)]

    def _fold_end(self, at: Micros, reason: str) -> None:
        if self._up is None:
            self.started(at)
        lived, self._up = (0 if self._up is None else at - self._up), None
        if lived >= STEADY_US:
            self.attempt = self._failures = 0
        if reason not in OURS:
            self._fail(at, 0.0, 0, steady=lived >= STEADY_US)

    def _fail(self, at: Micros, jitter: float, wait_seconds: int, *, steady: bool = False) -> None:
        """Count an end, and wait: the back-off and a part of a quarter more, or what the end asks for and up to half."""
        self._failures += not steady
        base = BACKOFF_SECONDS[min(max(self.attempt - 1, 0), len(BACKOFF_SECONDS) - 1)]
        pause = max(base * (1 + jitter / 4), wait_seconds * (1 + jitter / 2))
        self._next = Micros(at + int(pause * SECOND_US))

    def _budget(self, at: Micros) -> list[Event]:
        spent = max(self._spent(at), default=None)
        return [] if spent is None else self._stop(at, *spent)

    def _spent(self, at: Micros) -> list[tuple[Micros, str]]:
        """Return until when each budget that is spent holds attempts back, and how it was spent."""
        found = []
        for limit, span, name in (
            (self._rules.connects_per_day, DAY_US, "day"),
            (self._rules.connects_per_hour, HOUR_US, "hour"),
        ):
            if len(self._starts) >= limit and self._starts[-limit] + span > at:
                reason = f"{limit} connections within a {name} are allowed"
                found.append((Micros(self._starts[-limit] + span), reason))
        return found

    def _stop(self, at: Micros, until: Micros, reason: str, *, fatal: bool = False) -> list[Event]:
        self._stopped = until
        minutes = (until - at) // (60 * SECOND_US)
        text = f"{self._name} stops trying to connect for {minutes} minutes: {reason}"
        if fatal:
            text = f"{self._name} stops trying to connect until it is started again: {reason}"
        return [
            FeedStopped(until=until, fatal=fatal, reason=reason),
            AlertRaised(level="critical", text=text),
        ]
