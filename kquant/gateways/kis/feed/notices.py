"""Execution notices on a line of their own: quotes come from the real data key, executions from the paper key.

The paper service offers no program trading, market status, NXT or unified channels, so its quotes are taken from a real
session while its notices need its own (kis-protocol 2.5). The line has no epoch and no registrations but its notice;
its loss and return are events of their own, so that nobody takes them for the loss of the slot table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from kquant.events.base import Event, Recorded
from kquant.events.day import AlertRaised
from kquant.events.feed import FeedConnected, NoticesConnected, NoticesLost, NoticeUnreadable
from kquant.gateways.clock import Clock
from kquant.gateways.kis.feed.connection import Keeper
from kquant.gateways.kis.feed.liveness import Pulse
from kquant.gateways.kis.feed.reconnect import PROCESS_ENDED, Reconnect
from kquant.gateways.kis.feed.session import Broken, FeedSession, Output, Report
from kquant.settings import FeedSettings
from kquant.values import SECOND_US, Epoch, Micros

BY = "notices"
"""Who appends this line's events: they share the stream `feed` with the quotes' line."""


class Unreadable:
    """Bounds what unreadable notices say: the first has executions read over REST at once, a flood of them no more often."""

    EVERY_US = 2 * SECOND_US
    ALERT_EVERY_US = 600 * SECOND_US

    def __init__(self) -> None:
        self.count = 0
        self._next = Micros(0)
        self._next_alert = Micros(0)

    def note(self, event: NoticeUnreadable, at: Micros) -> list[Event]:
        """Take one; return what to record of it."""
        self.count += 1
        if at < self._next:
            return []
        self._next = Micros(at + self.EVERY_US)
        if at < self._next_alert:
            return [event]
        self._next_alert = Micros(at + self.ALERT_EVERY_US)
        text = f"execution notices cannot be read ({self.count} so far): executions come over REST only. {event.reason}"
        return [event, AlertRaised(level="warning", text=text)]


class NoticeLine:
    """The second connection. It lives on the feed's thread and loop, which attaches it.

    session: made with the notice's TR id, and asked for nothing else.   approval: as the feed's, of this line's key.
    """

    def __init__(self, url: str, session: FeedSession, approval: Callable[[bool], Awaitable[str]]) -> None:
        self.keeper: Keeper
        self._url = url
        self._session = session
        self._approval = approval
        self._clock: Clock
        self._append: Callable[[Event], None]
        self._reconnect: Reconnect
        self._number = Epoch(0)
        self._up = False
        self._unreadable = Unreadable()

    def attach(
        self,
        clock: Clock,
        wall: Clock | None,
        rules: FeedSettings,
        jitter: Callable[[], float],
        facts: Sequence[Recorded],
        append: Callable[[Event], None],
        changed: Callable[[], None],
    ) -> None:
        """Take up what *facts* leave, and get ready to run. append: records an event of this line."""
        self._clock, self._append = clock, append
        self._reconnect = Reconnect(rules, jitter, name="the line for execution notices")
        for fact in facts:
            if fact.by != BY:
                continue
            self._reconnect.fold(fact)
            match fact.event:
                case NoticesConnected(line=number):
                    self._number, self._up = max(self._number, number), True
                case NoticesLost(line=number):
                    self._number, self._up = max(self._number, number), False
                case _:
                    pass
        self._reconnect.folded()
        if self._up:
            self.lost(PROCESS_ENDED)
        self.keeper = Keeper(self._url, clock, wall, self._session, self, self._reconnect, Pulse(rules), changed)

    async def approval(self, renew: bool) -> str:
        """Return an approval key."""
        return await self._approval(renew)

    def opened(self, approval: str) -> None:
        """A socket is open: the next number, and the notice is registered."""
        self._number = Epoch(self._number + 1)
        self.handle(self._session.opened(self._number, approval, self._clock.now()))

    def lost(self, reason: str) -> None:
        """The line is gone."""
        self._up = False
        self._session.closed()
        self._append(NoticesLost(line=self._number, reason=reason))

    def unreachable(self, attempt: int, reason: str) -> None:
        """No socket could be opened."""
        self._append(NoticesLost(line=self._number, reason=f"unreachable, attempt {attempt}: {reason}"))

    def say(self, events: Sequence[Event]) -> None:
        """Record what the reconnection policy says."""
        for event in events:
            self._append(event)

    def handle(self, outputs: Sequence[Output]) -> Broken | None:
        """Record notices; the session's connection is this line's, not the slot table's."""
        broken = None
        for output in outputs:
            match output:
                case Report(event=FeedConnected()):
                    self._up = True
                    self._append(NoticesConnected(line=self._number))
                case Report(event=NoticeUnreadable() as event):
                    self.say(self._unreadable.note(event, self._clock.now()))
                case Report(event=event):
                    self._append(event)
                case Broken():
                    broken = output
                case _:
                    pass  # data nobody registered for here
        return broken
