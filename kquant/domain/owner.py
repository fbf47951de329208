"""What an owner is: two folds and a decision, all pure. The live hosts, recovery, verify and the simulator share this.

    decide(own, seen, fact, rules) -> new events      no clock, randomness, I/O, logging, set iteration
    evolve(own, event) -> own                         the owner's own stream, in version order; never refuses
    observe(seen, fact) -> seen                       foreign events it subscribes to, in log order

`decide` gets `seen` with the fact already observed. Time is `fact.at` and the instants inside events, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kquant.events.base import Event, Recorded, name_of
from kquant.events.day import RunStarted
from kquant.settings import Settings
from kquant.values import KquantError, Seq

Own = TypeVar("Own")
Seen = TypeVar("Seen")


class BrokenLog(KquantError):
    """An `evolve` met a fact that does not fit: the log is broken and the process must stop."""


@dataclass(frozen=True, kw_only=True)
class Owner(Generic[Own, Seen]):
    """An owner's definition. stream: its name and its stream.

    reacts: foreign event classes that are inputs to `decide`.   observes: further ones that only `seen` needs.
    `alarm.rang` reaches an owner only if `AlarmRang` is in `reacts` and the alarm is its own.
    """

    stream: str
    reacts: tuple[type[Event], ...]
    observes: tuple[type[Event], ...]
    own: Own
    seen: Seen
    decide: Callable[[Own, Seen, Recorded, Settings], Sequence[Event]]
    evolve: Callable[[Own, Event], Own]
    observe: Callable[[Seen, Recorded], Seen]

    def input_names(self) -> frozenset[str]:
        """Return the stored names of the events that `decide` is asked about."""
        return frozenset(name_of(cls) for cls in self.reacts)

    def seen_names(self) -> frozenset[str]:
        """Return the stored names of all foreign events that reach `seen`."""
        return frozenset(name_of(cls) for cls in (*self.reacts, *self.observes))


class Mind(Generic[Own, Seen]):
    """An owner's state at one place in the log, moved on by facts. Not thread-safe: one host has it.

    The order is always: observe the fact, decide, evolve with what was decided. `settings` are those of the last
    `run.started` before the input.
    """

    def __init__(self, owner: Owner[Own, Seen]) -> None:
        self.owner = owner
        self.own: Own = owner.own
        self.seen: Seen = owner.seen
        self.settings: Settings | None = None
        self.version = 0
        self._inputs = owner.input_names()
        self._seen = owner.seen_names()
        self.names = self._seen | {name_of(RunStarted)}
        """Stored names of everything foreign that can concern this owner."""

    def concerns(self, fact: Recorded) -> bool:
        """Tell whether the fact is foreign and reaches this owner at all."""
        if fact.stream == self.owner.stream:
            return False
        if isinstance(fact.event, RunStarted):
            return True
        if fact.name == "alarm.rang":
            return fact.name in self._seen and _rings_for(fact.event, self.owner.stream)
        return fact.name in self._seen

    def perceive(self, fact: Recorded) -> bool:
        """Fold a foreign fact into `seen`; return whether `decide` is to be asked about it."""
        if isinstance(fact.event, RunStarted):
            self.settings = fact.event.settings
        if fact.name in self._seen:
            self.seen = self.owner.observe(self.seen, fact)
        return fact.name in self._inputs

    def decide(self, fact: Recorded) -> tuple[Event, ...]:
        """Return what follows from an input that was perceived. State does not move."""
        if self.settings is None:
            raise BrokenLog(f"{self.owner.stream} meets {fact.name} at seq {fact.seq} before any run.started")
        return tuple(self.owner.decide(self.own, self.seen, fact, self.settings))

    def learn(self, event: Event) -> None:
        """Fold one event of the own stream. Any error here means a broken log."""
        try:
            self.own = self.owner.evolve(self.own, event)
        except Exception as error:
            raise BrokenLog(f"{self.owner.stream} cannot apply its own {name_of(event)}: {error!r}") from error
        self.version += 1


def _rings_for(event: Any, stream: str) -> bool:
    return bool(event.owner == stream)


def recover(mind: Mind[Any, Any], facts: Sequence[Recorded]) -> Seq:
    """Bring a fresh mind to where its owner stopped, and return the cursor: the highest input it has answered.

    `own` is folded whole in version order, `seen` up to the cursor. Inputs after the cursor are answered again;
    those whose answer was empty give empty again.
    """
    stream = mind.owner.stream
    cursor = Seq(0)
    for fact in facts:
        if fact.stream == stream:
            mind.learn(fact.event)
            if fact.caused_by is not None and fact.caused_by > cursor:
                cursor = fact.caused_by
    names = mind.names
    for fact in facts:
        if fact.seq > cursor:
            break
        if fact.name in names and mind.concerns(fact):
            mind.perceive(fact)
    return cursor
