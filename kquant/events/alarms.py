"""Which alarms are set: a pure fold of the log that every clock shares, the wall's, the market's and the simulator's."""

from __future__ import annotations

from kquant.events.base import Recorded, name_of
from kquant.events.day import AlarmCancelled, AlarmRang, AlarmSet
from kquant.values import Micros, Seq

ALARMS = frozenset(name_of(cls) for cls in (AlarmSet, AlarmCancelled, AlarmRang))
"""Stored names of what the book is folded from."""


class AlarmBook:
    """Pending alarms by (stream, name). Setting one again replaces it; each rings once."""

    def __init__(self) -> None:
        self._pending: dict[tuple[str, str], tuple[Micros, Seq]] = {}

    def apply(self, fact: Recorded) -> None:
        """Fold one recorded event; others than alarms change nothing."""
        match fact.event:
            case AlarmSet(alarm=alarm, due=due):
                self._pending[fact.stream, alarm] = (due, fact.seq)
            case AlarmCancelled(alarm=alarm):
                self._pending.pop((fact.stream, alarm), None)
            case AlarmRang(owner=owner, alarm=alarm):
                known = self._pending.get((owner, alarm))
                if known is not None and known[1] == fact.caused_by:
                    del self._pending[owner, alarm]
            case _:
                return

    def next_due(self) -> Micros | None:
        """Return the earliest pending instant, None without any."""
        return min(self._pending.values())[0] if self._pending else None

    def due(self, now: Micros) -> list[tuple[Seq, AlarmRang]]:
        """Return what rings at *now*, each with the seq of its alarm.set, earliest first, ties by seq. Nothing moves."""
        ripe = sorted((due, seq, owner, alarm) for (owner, alarm), (due, seq) in self._pending.items() if due <= now)
        return [(seq, AlarmRang(owner=owner, alarm=alarm, due=due)) for due, seq, owner, alarm in ripe]
