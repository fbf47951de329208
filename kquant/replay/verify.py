"""Verify: decide everything again from the log and compare.

Each owner is fed the recorded inputs in the order of `seq`. What it decides must be, event by event, what was recorded:
stream, version, cause, index, name and payload. After a difference the owner goes on from what was recorded, so that
one wrong event is reported once and not as a day of consequences.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from kquant.domain.owner import BrokenLog, Mind, Owner
from kquant.events import codec
from kquant.events.base import Event, Recorded, UnknownEvent, name_of
from kquant.events.day import DayClosed, OwnerParked, RunStarted
from kquant.replay.shown import shown
from kquant.values import Micros, Seq

DECIDING = ("domain", "market", "events", "values.py", "krx.py", "settings.py", "hours.py")
"""The part of the package that decisions are made of."""

NOTHING = "nothing"


class Difference(Struct, frozen=True, kw_only=True):
    """One place where the log and this code disagree. seq: of the recorded event, or of the input left unanswered.

    owner: its stream.   at: when, UTC microseconds.   recorded, decided: both versions as readable text.
    """

    seq: Seq
    owner: str
    at: Micros
    recorded: str
    decided: str


class Verified(Struct, frozen=True, kw_only=True):
    """What verify found.

    decisions: inputs decided again.   events: recorded events those answers were compared with.
    parked: inputs skipped because the owner could not answer them live.
    unanswered: decided inputs after the end of a log that was cut off; not differences.
    other_code: code hashes of the log that are not this code's.   chain: what is wrong with the log itself, "" if nothing.
    """

    decisions: int
    events: int
    differences: int
    first: Difference | None
    parked: int
    unanswered: int
    by_owner: dict[str, int]
    other_code: tuple[str, ...]
    chain: str

    @property
    def agrees(self) -> bool:
        """Tell whether nothing differs and the log is whole."""
        return self.differences == 0 and not self.chain


def code_hash() -> str:
    """Return SHA-256 (hex) over the source files that decisions are made of, by relative path and content.

    Line ends are normalised, so that a checkout on Windows is the same code.
    """
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for part in DECIDING:
        place = root / part
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            text = path.read_bytes().replace(b"\r\n", b"\n")
            digest.update(f"{path.relative_to(root).as_posix()}|{len(text)}|".encode())
            digest.update(text)
    return digest.hexdigest()


def verify(facts: Sequence[Recorded], owners: Sequence[Owner[Any, Any]], *, chain: bool = True) -> Verified:
    """Decide every input of *facts* again with *owners* and compare.

    chain: also recompute the digest chain from the decoded events; leave it out where the stored bytes were checked.
    """
    finished = any(isinstance(fact.event, DayClosed) for fact in facts[-1:])
    results = [_Again(owner, facts).run(finished=finished) for owner in owners]
    found = sorted((d for result in results for d in result.differences), key=_place)
    mine = code_hash()
    started = [fact.event.code_hash for fact in facts if isinstance(fact.event, RunStarted)]
    return Verified(
        decisions=sum(result.decisions for result in results),
        events=sum(result.events for result in results),
        differences=len(found),
        first=found[0] if found else None,
        parked=sum(result.parked for result in results),
        unanswered=sum(result.unanswered for result in results),
        by_owner={result.owner.stream: result.decisions for result in results},
        other_code=tuple(dict.fromkeys(known for known in started if known != mine)),
        chain=check_chain(facts) if chain else check_order(facts),
    )


def check_order(facts: Sequence[Recorded]) -> str:
    """Return what breaks the log's order (gaps in seq or in a stream, time going back, a cause to come), "" if nothing."""
    versions: dict[str, int] = {}
    before = Micros(0)
    for place, fact in enumerate(facts, 1):
        if fact.seq != place:
            return f"seq {place} is missing: the next event has seq {fact.seq}"
        expected = versions.get(fact.stream, 0) + 1
        if fact.version != expected:
            return f"seq {fact.seq}: {fact.stream} has version {fact.version}, not {expected}"
        if fact.at < before:
            return f"seq {fact.seq}: time goes back"
        if fact.caused_by is not None and not 1 <= fact.caused_by < fact.seq:
            return f"seq {fact.seq}: its cause {fact.caused_by} does not come before it"
        versions[fact.stream] = fact.version
        before = fact.at
    return ""


def check_chain(facts: Sequence[Recorded]) -> str:
    """Return what is wrong with order or digests, "" if nothing.

    Events of an older payload version cannot be checked here: the stored bytes are what their digest covers.
    """
    wrong = check_order(facts)
    if wrong:
        return wrong
    digest = codec.GENESIS
    for fact in facts:
        digest = codec.chain(
            digest,
            fact.seq,
            fact.stream,
            fact.version,
            fact.name,
            fact.event.VERSION,
            fact.at,
            fact.by,
            fact.caused_by,
            fact.index,
            codec.encode(fact.event),
        )
        if digest != fact.digest:
            return f"seq {fact.seq}: {fact.name} was altered, its digest does not hold"
    return ""


class _Again:
    """One owner deciding its day again."""

    def __init__(self, owner: Owner[Any, Any], facts: Sequence[Recorded]) -> None:
        self.owner = owner
        self.decisions = 0
        self.events = 0
        self.parked = 0
        self.unanswered = 0
        self.differences: list[Difference] = []
        self._facts = facts
        self._answers: dict[Seq, list[Recorded]] = {}
        self._cursor = Seq(0)
        self._skipped: set[Seq] = set()
        for fact in facts:
            if fact.stream == owner.stream and fact.caused_by is not None:
                self._answers.setdefault(fact.caused_by, []).append(fact)
                self._cursor = max(self._cursor, fact.caused_by)
            elif isinstance(fact.event, OwnerParked) and fact.event.owner == owner.stream:
                self._skipped.add(fact.event.seq)
                self._cursor = max(self._cursor, fact.event.seq)

    def run(self, *, finished: bool) -> _Again:
        """Go through the log once. finished: the day was closed, so that every input must have been answered."""
        mind = Mind(self.owner)
        stale: list[Recorded] = [f for f in self._facts if f.stream == self.owner.stream and f.caused_by is None]
        for fact in stale:
            self._differ(fact, shown(fact), NOTHING + ": an owner's events always have a cause")
        for fact in self._facts:
            if not mind.concerns(fact):
                continue
            if mind.perceive(fact):
                self._answer(mind, fact, open_end=not finished or isinstance(fact.event, DayClosed))
        for cause in sorted(self._answers):
            for fact in self._answers[cause]:
                self._differ(fact, shown(fact), f"{NOTHING}: seq {cause} is not an input of {self.owner.stream}")
        return self

    def _answer(self, mind: Mind[Any, Any], fact: Recorded, *, open_end: bool) -> None:
        recorded = self._answers.pop(fact.seq, [])
        if fact.seq in self._skipped and not recorded:
            self.parked += 1
            return
        self.decisions += 1
        try:
            decided: Sequence[Event] = mind.decide(fact)
        except BrokenLog:
            raise
        except Exception as error:  # noqa: BLE001  # whatever a decision raises here is the finding
            decided = ()
            self._differ(recorded[0] if recorded else fact, _all(recorded), f"raised {type(error).__name__}: {error}")
        else:
            if not recorded and decided and open_end and fact.seq > self._cursor:
                self.unanswered += 1
                return
            self._compare(mind.version, fact, recorded, decided)
        self.events += len(recorded)
        for known in recorded:
            mind.learn(known.event)

    def _compare(self, version: int, cause: Recorded, recorded: Sequence[Recorded], decided: Sequence[Event]) -> None:
        for index in range(max(len(recorded), len(decided))):
            known = recorded[index] if index < len(recorded) else None
            event = decided[index] if index < len(decided) else None
            if known is None:
                self._differ(
                    cause, f"{NOTHING} more in answer to {shown(cause)}", self._line(event, version + index + 1)
                )
            elif event is None:
                self._differ(known, shown(known), NOTHING)
            elif not _same(known, event, version + index + 1, index):
                self._differ(known, self._full(known), self._line(event, version + index + 1, index, known.caused_by))

    def _full(self, known: Recorded) -> str:
        return self._line(known.event, known.version, known.index, known.caused_by)

    def _line(self, event: Event | None, version: int, index: int | None = None, cause: Seq | None = None) -> str:
        place = "" if index is None else f" caused by {cause} index {index}"
        return f"{self.owner.stream} version {version}{place}: {shown(event)}"

    def _differ(self, at: Recorded, recorded: str, decided: str) -> None:
        self.differences.append(
            Difference(seq=at.seq, owner=self.owner.stream, at=at.at, recorded=recorded, decided=decided)
        )


def _same(known: Recorded, event: Event, version: int, index: int) -> bool:
    if (known.version, known.index, known.name) != (version, index, name_of(event)):
        return False
    return known.event == event and _bytes(known.event) == _bytes(event)


def _bytes(event: Event) -> bytes:
    try:
        return codec.encode(event)
    except (TypeError, UnknownEvent) as error:
        raise BrokenLog(f"{name_of(event)} cannot be encoded: {error}") from error


def _all(recorded: Iterable[Recorded]) -> str:
    return "; ".join(shown(fact) for fact in recorded) or NOTHING


def _place(difference: Difference) -> tuple[int, str]:
    return difference.seq, difference.owner
