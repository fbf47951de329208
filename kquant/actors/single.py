"""The second runtime: the very same owners in one thread on a virtual clock. Same log in, same log out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kquant.actors.host import OwnerHost
from kquant.domain.owner import Owner
from kquant.events.alarms import AlarmBook
from kquant.journal.port import Journal
from kquant.values import KquantError, Micros, Seq


class OwnerFailed(KquantError):
    """An owner failed for good; the message says where."""


class VirtualClock:
    """Time that stands still until it is moved. UTC microseconds."""

    def __init__(self, now: Micros) -> None:
        self._now = now

    def now(self) -> Micros:
        """Return the instant it stands at."""
        return self._now

    def set(self, at: Micros) -> None:
        """Move to *at*, never back."""
        if at < self._now:
            raise OwnerFailed(f"the clock would go back from {self._now} to {at}")
        self._now = at


class SingleRuntime:
    """Drives owners and synchronous gateways in a fixed order, so a run is a function of its inputs.

    gateways: called after the owners are at the head; each reads on from its own cursor and returns whether it
    appended anything.
    """

    def __init__(
        self,
        owners: Sequence[Owner[Any, Any]],
        journal: Journal,
        clock: VirtualClock,
        gateways: Sequence[Callable[[], bool]] = (),
    ) -> None:
        self.hosts = {owner.stream: OwnerHost(owner, journal, _raise) for owner in owners}
        self.clock = clock
        self._journal = journal
        self._gateways = tuple(gateways)
        self._alarms = AlarmBook()
        self._read = Seq(0)

    def start(self) -> None:
        """Recover every owner and settle."""
        for host in self.hosts.values():
            host.recover()
        self.settle()

    def settle(self) -> None:
        """Let owners and gateways react until nobody has anything to add."""
        moved = True
        while moved:
            moved = False
            for host in self.hosts.values():
                moved = host.catch_up() or moved
            for gateway in self._gateways:
                moved = gateway() or moved

    def run_until(self, until: Micros) -> None:
        """Ring every alarm due up to *until*, in order, settling after each, and leave the clock there."""
        self.settle()
        while (due := self._next_due()) is not None and due <= until:
            self.clock.set(max(due, self.clock.now()))
            seq, rang = self._alarms.due(self.clock.now())[0]
            self._journal.append("clock", [rang], by="clock", caused_by=seq).result()
            self.settle()
        self.clock.set(until)

    def _next_due(self) -> Micros | None:
        while facts := self._journal.read(self._read):
            for fact in facts:
                self._alarms.apply(fact)
            self._read = facts[-1].seq
        return self._alarms.next_due()


def _raise(reason: str) -> None:
    raise OwnerFailed(reason)
