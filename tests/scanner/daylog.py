"""A log to drive one owner with: every fact is appended by hand, the owner's reactions as a host would."""

from __future__ import annotations

from datetime import date, time
from typing import Any

from kquant.config import load
from kquant.domain.owner import Mind, Owner, recover
from kquant.events.alarms import AlarmBook
from kquant.events.analyzer import Listed, ListingAnswered
from kquant.events.base import Event, Recorded
from kquant.events.day import DayOpened, RunStarted
from kquant.hours import day_hours
from kquant.journal.memory import MemoryJournal
from kquant.settings import Settings
from kquant.values import Micros, Seq, from_kst

SETTINGS = load("demo", environ={}).settings
DAY = date(2026, 11, 20)


def opened(day: date = DAY) -> DayOpened:
    return DayOpened(
        day=day.isoformat(),
        account="****5678-01",
        hours=day_hours(day, SETTINGS.krx),
        positions=None,
        cash_krw=None,
        day_before="",
        digest_before="",
        reconciled_before=True,
    )


def listed(code: str, **changes: Any) -> Listed:
    fields: dict[str, Any] = {
        "code": code,
        "name": f"stock {code}",
        "market": "KOSDAQ",
        "kind": "common",
        "base": 10_000,
        "upper": 13_000,
        "lower": 7_000,
        "halted": False,
        "administrative": False,
        "liquidation": False,
        "overheated": False,
        "warning": 0,
        "prev_volume": 1_000_000,
    }
    return Listed(**{**fields, **changes})


def listing(*stocks: Listed) -> ListingAnswered:
    return ListingAnswered(stocks=tuple(stocks), source="")


class Drive:
    """One owner on a journal in memory; time is set by hand and alarms ring when asked."""

    def __init__(
        self, owner: Owner[Any, Any], at: str = "07:10", day: date = DAY, settings: Settings = SETTINGS
    ) -> None:
        self.day = day
        self.now = from_kst(day, time.fromisoformat(at))
        self.owner = owner
        self.journal = MemoryJournal(lambda: self.now)
        self.mind = Mind(owner)
        self.cursor = Seq(0)
        self.alarms = AlarmBook()
        self.tell(RunStarted(settings=settings, profile="demo", code_hash="", seed=1, versions={}), stream="run")

    def at(self, clock: str) -> Micros:
        return from_kst(self.day, time.fromisoformat(clock))

    def move(self, clock: str) -> None:
        self.now = self.at(clock)

    def tell(self, event: Event, stream: str = "world", caused_by: Seq | None = None) -> list[Event]:
        """Append a fact and return what the owner answers."""
        before = self.journal.head
        self.journal.append(stream, [event], by=stream, caused_by=caused_by).result()
        self._run()
        return [fact.event for fact in self.journal.read(before) if fact.stream == self.owner.stream]

    def ring(self) -> list[Event]:
        """Move to the next alarm, ring it, and return what the owner answers."""
        due = self.alarms.next_due()
        assert due is not None
        self.now = max(self.now, due)
        seq, rang = self.alarms.due(self.now)[0]
        return self.tell(rang, "clock", seq)

    def said(self, kind: type[Event]) -> list[Any]:
        return [fact.event for fact in self.journal.read(Seq(0), 100_000) if isinstance(fact.event, kind)]

    def said_at(self, kind: type[Event]) -> Seq:
        """Return the seq of the last such event."""
        return [fact.seq for fact in self.facts() if isinstance(fact.event, kind)][-1]

    def facts(self) -> list[Recorded]:
        return list(self.journal.read(Seq(0), 100_000))

    def check_recovery(self) -> None:
        """A fresh mind fed with the log is where the live one is."""
        fresh = Mind(self.owner)
        cursor = recover(fresh, self.facts())
        assert fresh.own == self.mind.own
        for fact in self.facts():
            if fact.seq > cursor and fresh.concerns(fact) and fresh.perceive(fact):
                assert fresh.decide(fact) == ()
        assert fresh.seen == self.mind.seen

    def _run(self) -> None:
        while facts := self.journal.read(self.cursor):
            for fact in facts:
                self.cursor = fact.seq
                self.alarms.apply(fact)
                if not self.mind.concerns(fact) or not self.mind.perceive(fact):
                    continue
                events = self.mind.decide(fact)
                if not events:
                    continue
                future = self.journal.append(self.owner.stream, events, by=self.owner.stream, caused_by=fact.seq)
                for recorded in future.result():
                    self.mind.learn(recorded.event)
