"""The run and the day: stream `run`, plus what any owner may say."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from kquant.events.base import Event
from kquant.krx import SessionHours
from kquant.settings import Settings
from kquant.values import Krw, Micros, Seq, Shares, Symbol


class RunStarted(Event, frozen=True, kw_only=True, tag="run.started"):
    """First event of every process: everything that decisions depend on besides the log.

    code_hash: SHA-256 (hex) over the modules decisions are made of.   seed: of the embedded market.
    """

    settings: Settings
    profile: str
    code_hash: str
    seed: int
    versions: dict[str, str]


class Carried(Struct, frozen=True, kw_only=True):
    """A position carried over from the day before. cost_krw: what the shares cost in all."""

    code: Symbol
    name: str
    qty: Shares
    cost_krw: Krw


class DayOpened(Event, frozen=True, kw_only=True, tag="day.opened"):
    """Opens the day's journal. `cash_krw` and `positions` are those the day before ended with; None on the first day.

    account: masked.   day_before, digest_before: folder name and last digest (hex) of the day before, "" on the first.
    """

    day: str
    account: str
    hours: SessionHours
    positions: tuple[Carried, ...] | None
    cash_krw: Krw | None
    day_before: str
    digest_before: str
    reconciled_before: bool


class DayClosed(Event, frozen=True, kw_only=True, tag="day.closed"):
    """Seals the day's journal. reconciled: positions and cash equal the broker's."""

    reconciled: bool
    positions: tuple[Carried, ...]
    cash_krw: Krw | None


class RunStopped(Event, frozen=True, kw_only=True, tag="run.stopped"):
    """The process ended in order, before or after the close."""

    reason: str


class OwnerParked(Event, frozen=True, kw_only=True, tag="owner.parked"):
    """An owner failed twice on the event at `seq`: that input is skipped, live, in verify and in replay.

    code: the stock that event names, None if it names none.   order_no: the broker's order, "" if it names none.
    """

    owner: str
    seq: Seq
    error: str
    code: Symbol | None = None
    order_no: str = ""


class AlertRaised(Event, frozen=True, kw_only=True, tag="alert.raised"):
    """Something a person should know now."""

    level: Literal["info", "warning", "critical"]
    text: str


class AlarmSet(Event, frozen=True, kw_only=True, tag="alarm.set"):
    """The stream's owner wants to be woken at `due`. Setting an alarm of the same name again replaces it."""

    alarm: str
    due: Micros


class AlarmCancelled(Event, frozen=True, kw_only=True, tag="alarm.cancelled"):
    """The stream's owner no longer wants that alarm."""

    alarm: str


class AlarmRang(Event, frozen=True, kw_only=True, tag="alarm.rang"):
    """The clock reached `due`; caused by the `alarm.set`. How late it is shows in the envelope's `at`."""

    owner: str
    alarm: str
    due: Micros


class HaltOrdered(Event, frozen=True, kw_only=True, tag="operator.halted"):
    """A person stopped new entries. Exits keep working."""

    who: str
    reason: str


class ResumeOrdered(Event, frozen=True, kw_only=True, tag="operator.resumed"):
    """A person allowed new entries again."""

    who: str
    reason: str


class FlattenOrdered(Event, frozen=True, kw_only=True, tag="operator.flatten_ordered"):
    """A person wants a holding sold, or all of them (code None), under the rules of every exit."""

    who: str
    reason: str
    code: Symbol | None = None


class ArmOrdered(Event, frozen=True, kw_only=True, tag="operator.armed"):
    """A person let real orders leave on that trading day (ISO date). limits: digest of the limits that were shown."""

    who: str
    day: str
    limits: str


class DisarmOrdered(Event, frozen=True, kw_only=True, tag="operator.disarmed"):
    """Real orders may no longer leave, exits included."""

    who: str
    reason: str


Job = Literal["analysis", "session_opened", "scan", "pipeline", "flatten", "session_closed", "day_end"]


class JobDue(Event, frozen=True, kw_only=True, tag="schedule.due"):
    """The timetable says: now. `due` is the planned instant."""

    job: Job
    due: Micros


class JobSkipped(Event, frozen=True, kw_only=True, tag="schedule.skipped"):
    """A planned instant passed unused (too late, or the session is not open)."""

    job: Job
    due: Micros
    reason: str
