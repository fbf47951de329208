"""Recorded sequences for tests, made as a journal makes them: gapless seq, stream versions, indices, digest chain."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, time

from kquant.config import load
from kquant.events import codec
from kquant.events.base import Event, Recorded, name_of
from kquant.events.day import DayOpened, RunStarted
from kquant.hours import day_hours
from kquant.settings import Settings
from kquant.values import SECOND_US, KquantError, Krw, Micros, Seq, from_kst

DAY = "2026-11-20"
"""The day of facts that name none."""


class NotALog(KquantError):
    """Events that no journal would have taken: an unknown cause, or time going back."""


def clock(text: str, day: str = DAY) -> Micros:
    """Return the instant of HH:MM:SS KST on *day* (ISO date)."""
    return from_kst(date.fromisoformat(day), time.fromisoformat(text))


def demo_settings() -> Settings:
    """Return the demo profile's settings, untouched by the environment."""
    return load("demo", environ={}).settings


class FactLog:
    """A log under construction. `facts` is what a journal would read back.

    The clock stands still between calls: `at` moves it, and what comes after without one has the same instant.
    """

    def __init__(self, at: Micros | None = None) -> None:
        self.facts: list[Recorded] = []
        self._at = clock("07:10:00") if at is None else at
        self._versions: dict[str, int] = {}
        self._digest = codec.GENESIS

    @property
    def head(self) -> Seq:
        """Seq of the last fact, 0 without any."""
        return Seq(len(self.facts))

    def add(
        self,
        stream: str,
        *events: Event,
        caused_by: int | Recorded | None = None,
        at: Micros | str | None = None,
        by: str | None = None,
        first_index: int = 0,
    ) -> Recorded:
        """Append events of one transaction and return the last. at: UTC microseconds, or HH:MM:SS KST of DAY."""
        if not events:
            raise NotALog(f"add to {stream} needs an event")
        cause = Seq(caused_by.seq if isinstance(caused_by, Recorded) else caused_by) if caused_by is not None else None
        if cause is not None and not 1 <= cause <= self.head:
            raise NotALog(f"{stream} names cause {cause}, the log ends at {self.head}")
        instant = clock(at) if isinstance(at, str) else self._at if at is None else at
        if instant < self._at:
            raise NotALog(f"{stream}: the clock would go back from {self._at} to {instant}")
        self._at = instant
        for index, event in enumerate(events, first_index):
            self._append(stream, event, cause, by or stream, index)
        return self.facts[-1]

    def _append(self, stream: str, event: Event, cause: Seq | None, by: str, index: int) -> None:
        seq = Seq(self.head + 1)
        version = self._versions.get(stream, 0) + 1
        name = name_of(event)
        payload = codec.encode(event)
        row = (seq, stream, version, name, event.VERSION, self._at, by, cause, index, payload)
        self._digest = codec.chain(self._digest, *row)
        self._versions[stream] = version
        self.facts.append(
            Recorded(
                seq=seq,
                stream=stream,
                version=version,
                name=name,
                at=self._at,
                by=by,
                caused_by=cause,
                index=index,
                event=event,
                digest=self._digest,
            )
        )

    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self._at = Micros(self._at + seconds * SECOND_US)

    def start(self, *, code_hash: str = "", settings: Settings | None = None) -> Recorded:
        """Append `run.started`."""
        event = RunStarted(
            settings=settings or demo_settings(),
            profile="demo",
            code_hash=code_hash,
            seed=1,
            versions={"kquant": "test"},
        )
        return self.add("run", event)

    def open_day(self, cash_krw: int | None = None, day: str = DAY) -> Recorded:
        """Append `day.opened` with the packaged calendar's hours and no carried positions."""
        hours = day_hours(date.fromisoformat(day), demo_settings().krx)
        event = DayOpened(
            day=day,
            account="5000****-01",
            hours=hours,
            positions=None,
            cash_krw=None if cash_krw is None else Krw(cash_krw),
            day_before="",
            digest_before="",
            reconciled_before=True,
        )
        return self.add("run", event)


def recorded(rows: Sequence[tuple[str, Event]]) -> list[Recorded]:
    """Return a log of (stream, event) pairs without causes, all at one instant."""
    log = FactLog()
    for stream, event in rows:
        log.add(stream, event)
    return log.facts
