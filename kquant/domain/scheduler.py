"""The trading day's timetable: `day.opened` sets one alarm a job, each ring says `schedule.due` and sets the next.

Late means, job by job:
- analysis may start late, until `analyzer.late_until`;
- session_opened and flatten count until the close;
- session_closed and day_end count however late they are;
- scan and pipeline are skipped once `late_seconds` have passed: one `schedule.skipped` tells of the whole run of
  missed instants, with the `due` of the last of them, and nothing is caught up in a burst.

Times of the settings are those of a normal day and move with the session by `hours.shift_minutes` (the exam day). On
a day that merely opens late nothing moves: scans and pipeline runs planned before the open are told as skipped when
the day opens, one `schedule.skipped` a job. The day ends after the last session that `schedule.follow` names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from msgspec import Struct
from msgspec.structs import replace

from kquant.domain.owner import BrokenLog, Owner
from kquant.events.base import Event, Recorded
from kquant.events.day import AlarmRang, AlarmSet, DayOpened, Job, JobDue, JobSkipped
from kquant.hours import at_clock, up_until
from kquant.krx import SessionHours
from kquant.settings import Settings
from kquant.values import MINUTE_US, SECOND_US, Micros, kst_clock

JOBS: tuple[Job, ...] = get_args(Job)
REPEATED: tuple[Job, ...] = ("scan", "pipeline")


class Scheduler(Struct, frozen=True, kw_only=True):
    """Own state. pending: the instant each job's alarm is set for."""

    pending: tuple[tuple[Job, Micros], ...] = ()


class Seen(Struct, frozen=True, kw_only=True):
    """The day's hours as it was opened, None before."""

    hours: SessionHours | None = None


def timetable(hours: SessionHours, settings: Settings) -> dict[Job, tuple[Micros, ...]]:
    """Return every planned instant of each job, ascending."""
    before_close = settings.exits.flat_before_close_minutes * MINUTE_US
    return {
        "analysis": (at_clock(settings.schedule.analysis, hours),),
        "session_opened": (hours.open_at,),
        "scan": tuple(at for at in _scans(hours, settings) if at >= hours.open_at),
        "pipeline": tuple(at for at in _runs(hours, settings) if at >= hours.open_at),
        "flatten": (Micros(hours.close_at - before_close),),
        "session_closed": (hours.close_at,),
        "day_end": (up_until(hours, settings),),
    }


def before_open(hours: SessionHours, settings: Settings) -> dict[Job, tuple[Micros, ...]]:
    """Return what the timetable of the repeated jobs has before the open, ascending: nothing on an ordinary day."""
    return {
        "scan": tuple(at for at in _scans(hours, settings) if at < hours.open_at),
        "pipeline": tuple(at for at in _runs(hours, settings) if at < hours.open_at),
    }


def _scans(hours: SessionHours, settings: Settings) -> list[Micros]:
    step = settings.schedule.scan_every_seconds * SECOND_US
    return [Micros(at) for at in range(at_clock(settings.schedule.scan_from, hours), hours.close_at, step)]


def _runs(hours: SessionHours, settings: Settings) -> list[Micros]:
    runs = {
        Micros(at)
        for window in settings.schedule.pipeline
        for at in range(at_clock(window.start, hours), at_clock(window.end, hours), window.every_minutes * MINUTE_US)
    }
    return sorted(at for at in runs if at < hours.close_at)


def _latest(job: Job, due: Micros, hours: SessionHours, settings: Settings) -> Micros | None:
    """Return the last instant at which a job due then still counts, None without one."""
    match job:
        case "analysis":
            return at_clock(settings.analyzer.late_until, hours)
        case "session_opened" | "flatten":
            return hours.close_at
        case "scan" | "pipeline":
            return Micros(due + settings.schedule.late_seconds * SECOND_US)
        case "session_closed" | "day_end":
            return None


def decide(own: Scheduler, seen: Seen, fact: Recorded, settings: Settings) -> list[Event]:
    """Set the alarms when the day opens; say what is due when one rings."""
    if seen.hours is None:
        return []
    planned = timetable(seen.hours, settings)
    match fact.event:
        case DayOpened():
            early = before_open(seen.hours, settings)
            events: list[Event] = []
            for job in JOBS:
                if early.get(job):
                    opens = kst_clock(seen.hours.open_at)
                    reason = f"{len(early[job])} before the open at {opens} ({_span(early[job])})"
                    events.append(JobSkipped(job=job, due=early[job][-1], reason=reason))
                if planned[job]:
                    first = planned[job][0]
                    events += _next(job, planned[job], Micros(first - 1), fact.at, settings)
            return events
        case AlarmRang(alarm=alarm, due=due):
            for job, pending in own.pending:
                if job == alarm and pending == due:
                    return _rang(job, due, planned[job], fact.at, settings, seen.hours)
    return []


def _span(instants: Sequence[Micros]) -> str:
    """Return from when to when the instants go."""
    first, last = kst_clock(instants[0]), kst_clock(instants[-1])
    return first if len(instants) == 1 else f"{first} to {last}"


def _rang(
    job: Job, due: Micros, planned: tuple[Micros, ...], at: Micros, settings: Settings, hours: SessionHours
) -> list[Event]:
    latest = _latest(job, due, hours, settings)
    if latest is not None and at > latest:
        if job in REPEATED:
            return _next(job, planned, Micros(due - 1), at, settings)
        return [JobSkipped(job=job, due=due, reason=f"rang at {kst_clock(at)}, too late after {kst_clock(latest)}")]
    if job == "flatten" and not settings.exits.flat_at_close:
        return [JobSkipped(job=job, due=due, reason="exits.flat_at_close is off")]
    events: list[Event] = [JobDue(job=job, due=due)]
    return events + _next(job, planned, due, at, settings)


def _next(job: Job, planned: tuple[Micros, ...], after: Micros, at: Micros, settings: Settings) -> list[Event]:
    """Set the alarm for the job's next instant above *after*; of a repeated job, one not yet missed at *at*."""
    left = [instant for instant in planned if instant > after]
    events: list[Event] = []
    if job in REPEATED:
        late = settings.schedule.late_seconds * SECOND_US
        missed = [instant for instant in left if at > instant + late]
        left = left[len(missed) :]
        if missed:
            reason = f"{len(missed)} missed ({_span(missed)}): it was {kst_clock(at)}"
            events.append(JobSkipped(job=job, due=missed[-1], reason=reason))
    if left:
        events.append(AlarmSet(alarm=job, due=left[0]))
    return events


def evolve(own: Scheduler, event: Event) -> Scheduler:
    """Keep which alarm of each job is pending."""
    match event:
        case AlarmSet(alarm=alarm, due=due):
            kept = tuple(entry for entry in own.pending if entry[0] != alarm)
            job = next(job for job in JOBS if job == alarm)
            return replace(own, pending=(*kept, (job, due)))
        case JobDue(job=job) | JobSkipped(job=job):
            return replace(own, pending=tuple(entry for entry in own.pending if entry[0] != job))
        case _:
            raise BrokenLog(f"scheduler never says {event!r}")


def observe(seen: Seen, fact: Recorded) -> Seen:
    """Remember the hours of the day that was opened."""
    match fact.event:
        case DayOpened(hours=hours):
            return Seen(hours=hours)
        case _:
            return seen


SCHEDULER: Owner[Scheduler, Seen] = Owner(
    stream="scheduler",
    reacts=(DayOpened, AlarmRang),
    observes=(),
    own=Scheduler(),
    seen=Seen(),
    decide=decide,
    evolve=evolve,
    observe=observe,
)
