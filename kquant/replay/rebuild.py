"""Rebuild: what every owner held at a moment, from the log alone.

Nothing is decided here and nothing acts: an owner's `own` is the fold of its own stream, `seen` the fold of the
foreign facts it subscribes to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import Any

from kquant.domain.owner import Mind, Owner
from kquant.events.base import Recorded
from kquant.events.day import DayOpened
from kquant.journal import read_streams
from kquant.values import KquantError, Micros, Seq, from_kst


class NoSuchMoment(KquantError):
    """A seq or a time that the day does not have."""


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """All owners as they were when the event `seq` had been appended. version: of each owner's stream there."""

    seq: Seq
    at: Micros
    own: Mapping[str, Any]
    seen: Mapping[str, Any]
    versions: Mapping[str, int]


def rebuild(facts: Sequence[Recorded], owners: Sequence[Owner[Any, Any]], seq: Seq | None = None) -> Rebuilt:
    """Return every owner's state with all facts up to *seq* (included; None: the whole log) folded.

    `seen` holds every foreign fact up to *seq*, also inputs the owner had not answered yet.
    Raises NoSuchMoment for a seq the log does not have, BrokenLog for a fact that does not fit.
    """
    if not facts:
        raise NoSuchMoment("the day's journal is empty: there is nothing to rebuild")
    end = facts[-1].seq if seq is None else seq
    if not facts[0].seq <= end <= facts[-1].seq:
        raise NoSuchMoment(f"seq {end} is not in the day: it has {facts[0].seq} to {facts[-1].seq}")
    minds = {owner.stream: Mind(owner) for owner in owners}
    at = facts[0].at
    for fact in facts:
        if fact.seq > end:
            break
        at = fact.at
        mine = minds.get(fact.stream)
        if mine is not None:
            mine.learn(fact.event)
        for mind in minds.values():
            if mind.concerns(fact):
                mind.perceive(fact)
    return Rebuilt(
        seq=end,
        at=at,
        own={stream: mind.own for stream, mind in minds.items()},
        seen={stream: mind.seen for stream, mind in minds.items()},
        versions={stream: mind.version for stream, mind in minds.items()},
    )


def fold_at(facts: Sequence[Recorded], owners: Sequence[Owner[Any, Any]], seq: Seq) -> dict[str, Any]:
    """Return stream -> `own` with every own event up to *seq* (included) folded; seq 0 gives the initial states.

    Cheaper than `rebuild`: foreign facts are not looked at.
    """
    minds = {owner.stream: Mind(owner) for owner in owners}
    for fact in facts:
        if fact.seq > seq:
            break
        mind = minds.get(fact.stream)
        if mind is not None:
            mind.learn(fact.event)
    return {stream: mind.own for stream, mind in minds.items()}


def own_at(folder: Path, owners: Sequence[Owner[Any, Any]], seq: Seq | None = None) -> dict[str, Any]:
    """Return stream -> `own` from a day's folder: only the owners' own rows are read, decoded and folded.

    The quickest way to a state: equal to `fold_at` on the whole log, without building the log. Raises JournalError.
    """
    own = {owner.stream: owner.own for owner in owners}
    evolve = {owner.stream: owner.evolve for owner in owners}
    for stream, event in read_streams(folder, tuple(own), seq):
        own[stream] = evolve[stream](own[stream], event)
    return own


def seq_at(facts: Sequence[Recorded], moment: str) -> Seq:
    """Return the seq of the last fact at or before *moment* (HH:MM or HH:MM:SS KST on the day's date).

    A fact within that very second counts. Raises NoSuchMoment for a text that is no time, or one before the first fact.
    """
    try:
        clock = time.fromisoformat(moment)
    except ValueError:
        raise NoSuchMoment(f"{moment!r} is not a time: write HH:MM:SS, KST") from None
    if clock.tzinfo is not None:
        raise NoSuchMoment(f"{moment!r} names a time zone: times are KST, write HH:MM:SS")
    end = from_kst(_date_of(facts), clock.replace(microsecond=999_999))
    found = [fact.seq for fact in facts if fact.at <= end]
    if not found:
        raise NoSuchMoment(f"the day's journal begins after {moment} KST")
    return found[-1]


def _date_of(facts: Sequence[Recorded]) -> date:
    for fact in facts:
        if isinstance(fact.event, DayOpened):
            return date.fromisoformat(fact.event.day)
    raise NoSuchMoment("the log has no day.opened, so a time of day means nothing in it: use --seq")
