"""The host of one owner: reads on from its cursor, decides, places its answer, folds it, and only then takes the next input.

A plain object: the Pykka runtime gives it a thread, the one-thread runtime a turn. Nothing else moves an owner live.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog

from kquant.domain.owner import BrokenLog, Mind, Owner, recover
from kquant.events.base import Event, Recorded
from kquant.events.day import AlertRaised, OwnerParked
from kquant.journal.port import AlreadyAnswered, Journal, JournalError
from kquant.values import Seq, Symbol

COMMIT_SECONDS = 60
"""A commit that takes longer means the disk is gone; the process stops and recovers."""

CRITICAL = frozenset({"orders", "portfolio", "slots"})
"""Owners the process does not go on without: a parked input of theirs that names no stock stops it."""

log = structlog.get_logger("kquant.actors")


class OwnerHost:
    """Runs one owner against a journal. Not thread-safe: one runtime drives it.

    on_fatal: called once with a reason when the process must stop (broken log, failed journal, critical failure).
    """

    def __init__(self, owner: Owner[Any, Any], journal: Journal, on_fatal: Callable[[str], None]) -> None:
        self.owner = owner
        self.cursor = Seq(0)
        self.busy_since: float | None = None
        self.failed = False
        self._journal = journal
        self._on_fatal = on_fatal
        self._mind = Mind(owner)

    @property
    def own(self) -> Any:
        """The owner's state, frozen: readable from any thread."""
        return self._mind.own

    def recover(self) -> None:
        """Fold what the owner did before; the only way it starts."""
        facts = _whole(self._journal)
        self._mind = Mind(self.owner)
        self.cursor = recover(self._mind, facts)

    def catch_up(self) -> bool:
        """Answer every input that has its place; return whether there was anything to read.

        An answer gets its place behind its cause, so neither need be durable for the owner to go on: whoever acts on
        an answer waits for that. If the journal fails, owner and process end with it.
        """
        moved = False
        while not self.failed and (facts := self._journal.read_placed(self.cursor)):
            moved = True
            for fact in facts:
                try:
                    self._take(fact)
                except (BrokenLog, JournalError) as error:
                    self._fail(f"{self.owner.stream} at seq {fact.seq}: {error}")
                    return True
                self.cursor = fact.seq
        return moved

    def _take(self, fact: Recorded) -> None:
        if not self._mind.concerns(fact):
            return
        if not self._mind.perceive(fact):
            return
        self.busy_since = time.monotonic()
        events = self._decide(fact)
        self.busy_since = None
        if not events:
            return
        placed = self._journal.place(
            self.owner.stream,
            events,
            by=self.owner.stream,
            caused_by=fact.seq,
            expected_version=self._mind.version,
        )
        for recorded in placed:
            self._mind.learn(recorded.event)

    def _decide(self, fact: Recorded) -> tuple[Event, ...]:
        try:
            return self._mind.decide(fact)
        except BrokenLog:
            raise
        except Exception as first:
            # The watchdog times decisions; to write a trace and to fold a whole day anew may take longer.
            self.busy_since = None
            log.exception("owner failed, rebuilt for a second try", owner=self.owner.stream, seq=fact.seq)
            self._rebuild(fact)
            self.busy_since = time.monotonic()
            try:
                return self._mind.decide(fact)
            except BrokenLog:
                raise
            except Exception as second:
                self.busy_since = None
                log.exception("owner failed again, input parked", owner=self.owner.stream, seq=fact.seq)
                self._park(fact, second or first)
                return ()

    def _rebuild(self, fact: Recorded) -> None:
        """Fold anew what the owner knew when it met *fact*: all it ever said, and what it saw up to the fact.

        Answers to earlier inputs may lie behind the fact in the log, so `own` is not cut at its seq.
        """
        self._mind = Mind(self.owner)
        for known in _whole(self._journal):
            if known.stream == self.owner.stream:
                self._mind.learn(known.event)
            elif known.seq <= fact.seq and self._mind.concerns(known):
                self._mind.perceive(known)

    def _park(self, fact: Recorded, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        code: Symbol | None = getattr(fact.event, "code", None)
        number: str = getattr(fact.event, "order_no", "")
        events: list[Event] = [
            OwnerParked(owner=self.owner.stream, seq=fact.seq, error=text, code=code, order_no=number),
            AlertRaised(
                level="critical", text=f"{self.owner.stream} cannot answer {fact.name} at seq {fact.seq}: {text}"
            ),
        ]
        try:
            self._journal.append(f"parked.{self.owner.stream}", events, by="supervision", caused_by=fact.seq).result(
                COMMIT_SECONDS
            )
        except AlreadyAnswered:
            # The process stopped for it once; started again it goes on without that input, as verify does.
            log.warning("input was parked before and is skipped", owner=self.owner.stream, seq=fact.seq)
            return
        if self.owner.stream in CRITICAL and code is None:
            raise BrokenLog(f"{self.owner.stream} failed twice on {fact.name}: {text}")

    def _fail(self, reason: str) -> None:
        self.failed = True
        self.busy_since = None
        self._on_fatal(reason)


def _whole(journal: Journal) -> list[Recorded]:
    facts: list[Recorded] = []
    while page := journal.read_placed(facts[-1].seq if facts else Seq(0), 100_000):
        facts.extend(page)
    return facts
