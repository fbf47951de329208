"""A small owner: counts what the operator halts, and answers each halt with an alarm named after the count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from kquant.domain.owner import Mind, Owner
from kquant.events.base import Event, Recorded
from kquant.events.day import AlarmCancelled, AlarmSet, HaltOrdered, ResumeOrdered
from kquant.settings import Settings
from kquant.testing.facts import FactLog
from kquant.values import Micros


class Counted(Struct, frozen=True):
    halts: int = 0
    alarms: tuple[str, ...] = ()


def decide(own: Counted, seen: int, fact: Recorded, _rules: Settings) -> Sequence[Event]:
    match fact.event:
        case HaltOrdered(reason="break"):
            raise ZeroDivisionError("asked to break")
        case HaltOrdered():
            due = Micros(fact.at + 1)
            return [AlarmSet(alarm=f"halt {len(own.alarms)}", due=due), AlarmSet(alarm=f"seen {seen}", due=due)]
        case _:
            return [AlarmCancelled(alarm=own.alarms[-1])] if own.alarms else []


def evolve(own: Counted, event: Event) -> Counted:
    match event:
        case AlarmSet(alarm=alarm):
            return Counted(own.halts + 1, (*own.alarms, alarm))
        case AlarmCancelled(alarm=alarm):
            return Counted(own.halts, tuple(known for known in own.alarms if known != alarm))
        case _:
            raise ValueError(f"not mine: {event}")


def observe(seen: int, fact: Recorded) -> int:
    return seen + 1


TOY: Owner[Any, Any] = Owner(
    stream="toy",
    reacts=(HaltOrdered, ResumeOrdered),
    observes=(),
    own=Counted(),
    seen=0,
    decide=decide,
    evolve=evolve,
    observe=observe,
)


def halt(reason: str = "test") -> HaltOrdered:
    return HaltOrdered(who="tester", reason=reason)


def lived(log: FactLog, inputs: Sequence[Event], *, lag: int = 0) -> list[tuple[int, Counted]]:
    """Play inputs as a live owner would answer them, answers *lag* inputs late; return (seq, own) after every fact."""
    mind = Mind(TOY)
    held: list[tuple[int, Counted]] = []
    waiting: list[Recorded] = [*log.facts]
    for event in inputs:
        waiting.append(log.add("operator", event))
        held.append((log.head, mind.own))
        while len(waiting) > lag:
            held.extend(_take(mind, log, waiting.pop(0)))
    while waiting:
        held.extend(_take(mind, log, waiting.pop(0)))
    return held


def _take(mind: Mind[Any, Any], log: FactLog, fact: Recorded) -> list[tuple[int, Counted]]:
    if not (mind.concerns(fact) and mind.perceive(fact)):
        return []
    events = mind.decide(fact)
    if not events:
        return []
    log.add("toy", *events, caused_by=fact)
    for event in events:
        mind.learn(event)
    return [(log.head, mind.own)]
