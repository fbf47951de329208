"""Verify, the data plane: derive every trigger firing, bar and snapshot again from the tape.

The tape may have lost its tail in a crash, so an event whose place lies beyond it cannot be checked: it is counted as
unverifiable, never as different.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from kquant.events.base import Event, Recorded, name_of
from kquant.events.market import MarketStatusChanged
from kquant.market.fold import Decoder, Derived, TapeLike, derive
from kquant.replay.shown import shown
from kquant.replay.verify import Difference
from kquant.values import Seq

STREAM = "market"


class MarketVerified(Struct, frozen=True, kw_only=True):
    """derived: market events derived from the tape.   compared: recorded ones that could be checked.

    unverifiable: recorded ones beyond the tape's end.   unrecorded: derived ones that a killed process had not appended
    before the end of the log; not differences.   records: tape records read.   rejected: frames among them that were
    not believed, by reason.
    """

    records: int
    derived: int
    compared: int
    differences: int
    first: Difference | None
    unverifiable: int
    unrecorded: int
    rejected: dict[str, int]

    @property
    def agrees(self) -> bool:
        """Tell whether nothing differs."""
        return self.differences == 0


def verify_market(
    tape: Iterable[TapeLike],
    facts: Sequence[Recorded],
    decode: Decoder,
    *,
    deriver: Callable[..., Iterable[Derived]] = derive,
) -> MarketVerified:
    """Derive the day's market events from *tape* and compare them with stream `market` of *facts*.

    decode: a raw frame's text to its records.   Raises BrokenTape for a tape that contradicts the journal.
    """
    end = _End(tape)
    derived = list(deriver(end, {fact.seq: fact for fact in facts}, decode))
    recorded = [fact for fact in facts if fact.stream == STREAM]
    closed = bool(facts) and facts[-1].name == "day.closed"
    waiting = _by_key(derived)
    differences: list[Difference] = []
    compared = unverifiable = 0
    for fact in recorded:
        place: int = getattr(fact.event, "place", 0)
        if place > end.last:
            unverifiable += 1
            continue
        compared += 1
        found = waiting.pop(_key(fact.event, fact.caused_by), None)
        if found is None:
            differences.append(_difference(fact, "nothing"))
        elif found[0] != fact.event:
            differences.append(_difference(fact, shown(found[0])))
    rest = sorted(waiting.values(), key=_place)
    last_place = max((getattr(fact.event, "place", 0) for fact in recorded), default=0)
    left = [item for item in rest if closed or item[1] < last_place]
    differences.extend(_missing(item, facts) for item in left)
    differences.sort(key=lambda difference: difference.seq)
    return MarketVerified(
        records=end.count,
        derived=len(derived),
        compared=compared,
        differences=len(differences),
        first=differences[0] if differences else None,
        unverifiable=unverifiable,
        unrecorded=len(rest) - len(left),
        rejected=dict(sorted(end.rejected.items())),
    )


class _End:
    """Reads a tape through and remembers where it ends."""

    def __init__(self, tape: Iterable[TapeLike]) -> None:
        self.last = 0
        self.count = 0
        self.rejected: dict[str, int] = {}
        self._tape = tape

    def __iter__(self) -> Iterator[TapeLike]:
        for record in self._tape:
            self.last = record.place
            self.count += 1
            if record.kind == "rejected":
                reason = record.data.partition(b"\n")[0].decode()
                self.rejected[reason] = self.rejected.get(reason, 0) + 1
            yield record


Key = tuple[str, int, Any]


def _key(event: Event, caused_by: Seq | None) -> Key:
    """What says that two market events are versions of the same: their cause, their minute, or their stock and place."""
    name = name_of(event)
    if isinstance(event, MarketStatusChanged):
        return (name, 0, (event.place, event.code))
    return (name, caused_by, None) if caused_by is not None else (name, 0, getattr(event, "start", None))


def _by_key(derived: Sequence[Derived]) -> dict[Key, Derived]:
    return {_key(event, caused_by): (event, place, caused_by) for event, place, caused_by in derived}


def _place(item: Derived) -> int:
    return item[1]


def _difference(fact: Recorded, decided: str) -> Difference:
    return Difference(seq=fact.seq, owner=STREAM, at=fact.at, recorded=shown(fact), decided=decided)


def _missing(item: Derived, facts: Sequence[Recorded]) -> Difference:
    event, _, caused_by = item
    near = facts[caused_by - 1] if caused_by is not None else facts[-1]
    return Difference(seq=near.seq, owner=STREAM, at=near.at, recorded="nothing", decided=shown(event))
