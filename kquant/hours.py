"""The hours of a day from dated tables: which sessions take place when, which are followed, and whether a day opens.

Pure functions of `config/calendar.toml` and `config/sessions.toml`. Who says whether the exchange opens: the broker
first, our calendar second, a library of holidays third (`agree`). Source: kis-protocol 4.7 and 5.1.
"""

from __future__ import annotations

from datetime import date, time, timedelta
from itertools import pairwise

from msgspec import Struct

from kquant.krx import OffLimits, Session, SessionHours
from kquant.settings import Anchor, CalendarTable, Follow, KrxTables, SessionRow, SessionRule, SessionTable, Settings
from kquant.values import MINUTE_US, SECOND_US, KquantError, Micros, from_kst, to_kst

REGULAR = ("opening_auction", "continuous", "closing_auction")
"""KRX's regular session, in its three phases."""
ENDS_SOON_DAYS = 30
"""A table that ends within so many days is worth a warning."""


class ClosedDay(KquantError):
    """The exchange does not open on the day, or nobody can tell: closed by default."""


class DayDecision(Struct, frozen=True, kw_only=True):
    """Whether the exchange opens, with the day's hours if it does. alerts: what a person should know."""

    is_open: bool
    hours: SessionHours | None
    alerts: tuple[str, ...]


def listed(day: date, calendar: CalendarTable) -> bool | None:
    """Tell whether the calendar says that the exchange opens on *day*; None if the day is outside the table."""
    if day.weekday() >= 5:
        return False
    text = day.isoformat()
    if not calendar.first_day <= text <= calendar.last_day:
        return None
    return text not in calendar.closed


def day_hours(day: date, tables: KrxTables, *, opens: bool = False) -> SessionHours:
    """Return every session of *day* (KST) as instants.

    opens: somebody above the calendar says that the exchange opens, so a day without hours of its own has normal ones.
    Raises ClosedDay if the exchange is closed or the day unknown, OffLimits if no session table covers it.
    """
    calendar, text = tables.calendar, day.isoformat()
    word = listed(day, calendar)
    if word is None and not opens:
        raise ClosedDay(
            f"{text} is outside the calendar ({calendar.first_day} to {calendar.last_day}): extend config/calendar.toml"
        )
    if word is False and not opens:
        raise ClosedDay(f"the exchange is closed on {text}: choose a trading day")
    rule = _rule(text, calendar)
    if not word:
        rule = _normal(text, calendar, note=f"{text} is no trading day of config/calendar.toml: normal hours assumed")
    close_at = _instant(day, rule.close)
    return SessionHours(
        open_at=_instant(day, rule.open),
        closing_auction_at=Micros(close_at - calendar.closing_auction_minutes * MINUTE_US),
        close_at=close_at,
        shift_minutes=rule.shift_minutes,
        note=rule.note,
        sessions=_sessions(day, rule, tables),
    )


def _rule(text: str, calendar: CalendarTable) -> SessionRule:
    found = [rule for rule in calendar.special if rule.day == text]
    return found[0] if found else _normal(text, calendar, note="")


def _normal(text: str, calendar: CalendarTable, *, note: str) -> SessionRule:
    return SessionRule(day=text, open=calendar.open, close=calendar.close, shift_minutes=0, note=note)


def _sessions(day: date, rule: SessionRule, tables: KrxTables) -> tuple[Session, ...]:
    calendar = tables.calendar
    moved: dict[Anchor, int] = {
        "open": _instant(day, rule.open) - _instant(day, calendar.open),
        "close": _instant(day, rule.close) - _instant(day, calendar.close),
        "never": 0,
    }
    sessions = [
        Session(
            venue=row.venue,
            name=row.name,
            kind=row.kind,
            start=Micros(_instant(day, row.start) + moved[row.start_moves]),
            end=Micros(_instant(day, row.end) + moved[row.end_moves]),
        )
        for row in table_on(day.isoformat(), tables.sessions).rows
        if f"{row.venue}.{row.name}" not in rule.without
    ]
    return tuple(sorted(sessions, key=lambda one: (one.start, one.end, one.venue)))


def table_on(day: str, tables: tuple[SessionTable, ...]) -> SessionTable:
    """Return the session table in force on *day* (ISO date). *tables* ascend by `since`."""
    in_force = [table for table in tables if table.since <= day]
    if not in_force:
        raise OffLimits(f"no session table covers {day}: add one to config/sessions.toml")
    return in_force[-1]


def _instant(day: date, clock: str) -> Micros:
    return from_kst(day, time.fromisoformat(clock))


def at_clock(clock: str, hours: SessionHours) -> Micros:
    """Return the instant of a time of the timetable (KST of a normal day), moved with the session's shift."""
    return Micros(_instant(to_kst(hours.open_at).date(), clock) + hours.shift_minutes * MINUTE_US)


def followed(hours: SessionHours, follow: Follow) -> tuple[Session, ...]:
    """Return the sessions of the day that the setting `schedule.follow` names, ascending by start."""
    match follow:
        case "regular":
            return tuple(one for one in hours.sessions if one.venue == "KRX" and one.name in REGULAR)
        case "krx":
            return tuple(one for one in hours.sessions if one.venue == "KRX")
        case "all":
            return hours.sessions


def up_from(hours: SessionHours, settings: Settings) -> Micros:
    """Return when a run has to be up: before the first followed session and before the day's first job."""
    starts = [one.start for one in followed(hours, settings.schedule.follow)]
    first = min([*starts, hours.open_at, at_clock(settings.schedule.analysis, hours)])
    return Micros(first - settings.schedule.up_before_seconds * SECOND_US)


def up_until(hours: SessionHours, settings: Settings) -> Micros:
    """Return when the day ends: the job `day_end`, after the last followed session."""
    ends = [one.end for one in followed(hours, settings.schedule.follow)]
    return Micros(max([*ends, hours.close_at]) + settings.schedule.day_end_after_close_seconds * SECOND_US)


def order_session(hours: SessionHours, at: Micros, follow: Follow) -> Session | None:
    """Return the KRX session that takes a priced order at *at*, None if none does.

    The regular session always; the after-market only if it is followed. Sessions at a fixed closing price and
    single-price trading take only order types of their own (kis-protocol 4.9), which are never sent.
    """
    for one in hours.sessions:
        wanted = one.name in REGULAR or (one.name == "after_market" and follow != "regular")
        if one.venue == "KRX" and wanted and one.start <= at < one.end:
            return one
    return None


def agree(broker: bool | None, local: bool | None, library: bool | None) -> tuple[bool, str | None]:
    """Return whether the exchange opens, and what the three say if they do not say the same.

    Each says True (opens), False (closed) or None (cannot tell). The broker's word stands. Without it the calendar
    and the library must not contradict each other, and at least one must say that the exchange opens: closed if unsure.
    """
    words = {"the broker": broker, "config/calendar.toml": local, "the holiday library": library}
    said = [word for word in (broker, local, library) if word is not None]
    is_open = broker if broker is not None else bool(said) and all(said)
    if all(said) or not any(said):
        return is_open, None
    shown = ", ".join(f"{who} says {'open' if word else 'closed'}" for who, word in words.items() if word is not None)
    return is_open, f"{shown}: taken as {'open' if is_open else 'closed'}"


def decide_day(day: date, tables: KrxTables, *, broker: bool | None, library: bool | None) -> DayDecision:
    """Return whether *day* (KST) is traded, under which hours, and what to alert a person of."""
    local = listed(day, tables.calendar)
    is_open, disagreement = agree(broker, local, library)
    alerts = [f"trading day {day}: {disagreement}"] if disagreement is not None else []
    if not is_open:
        return DayDecision(is_open=False, hours=None, alerts=tuple(alerts))
    hours = day_hours(day, tables, opens=True)
    if local is not True:
        alerts.append(hours.note)
    return DayDecision(is_open=True, hours=hours, alerts=tuple(alerts))


def hours_to_plan(day: date, tables: KrxTables, *, library: bool | None) -> SessionHours | None:
    """Return the hours under which *day* is to be waited for, None if neither calendar nor library calls it open.

    A day on which they differ is waited for as well: the broker's word on the day decides.
    """
    if listed(day, tables.calendar) is not True and library is not True:
        return None
    return day_hours(day, tables, opens=True)


def table_warnings(today: date, calendar: CalendarTable) -> tuple[str, ...]:
    """Return what to tell a person about a calendar that ends soon, or whose announced part does."""
    soon = (today + timedelta(days=ENDS_SOON_DAYS)).isoformat()
    warnings = []
    if calendar.last_day <= soon:
        warnings.append(
            f"the calendar ends on {calendar.last_day}: extend config/calendar.toml, later days count as unknown"
        )
    elif calendar.announced_until and calendar.announced_until <= soon:
        warnings.append(
            f"closed days after {calendar.announced_until} are computed from the holiday law: "
            "compare config/calendar.toml with the exchange's notice of December"
        )
    return tuple(warnings)


def table_faults(tables: KrxTables) -> tuple[str, ...]:
    """Return what contradicts itself in the calendar and the session tables, nothing if they are sound."""
    since = [table.since for table in tables.sessions]
    faults = [] if since == sorted(set(since)) else ["krx.sessions must ascend by since"]
    for table in tables.sessions:
        faults += _row_faults(table, tables.calendar)
    for rule in tables.calendar.special:
        in_force = [table for table in tables.sessions if table.since <= rule.day]
        names = [f"{row.venue}.{row.name}" for row in in_force[-1].rows] if in_force else []
        faults += [
            f"krx.calendar.special {rule.day}: there is no session {name} to be without"
            for name in rule.without
            if name not in names
        ]
    return tuple(faults)


def _row_faults(table: SessionTable, calendar: CalendarTable) -> list[str]:
    where = f"krx.sessions since {table.since}"
    rows = {f"{row.venue}.{row.name}": row for row in table.rows}
    faults = [] if len(rows) == len(table.rows) else [f"{where}: a session is named twice"]
    faults += [
        f"{where}: {name} ends before it starts" for name, row in rows.items() if _time(row.end) <= _time(row.start)
    ]
    regular: list[SessionRow] = [rows[f"KRX.{name}"] for name in REGULAR if f"KRX.{name}" in rows]
    if len(regular) != len(REGULAR):
        return [*faults, f"{where}: KRX needs {', '.join(REGULAR)}"]
    if any(before.end != after.start for before, after in pairwise(regular)):
        faults.append(f"{where}: the three phases of the regular session must follow each other")
    auction = timedelta(minutes=calendar.closing_auction_minutes)
    closing = regular[2]
    if (regular[1].start, closing.end) != (calendar.open, calendar.close):
        faults.append(f"{where}: the regular session is not {calendar.open} to {calendar.close} of krx.calendar")
    if _time(closing.end) - _time(closing.start) != auction:
        faults.append(f"{where}: the closing auction is not krx.calendar.closing_auction_minutes long")
    return faults


def _time(clock: str) -> timedelta:
    moment = time.fromisoformat(clock)
    return timedelta(hours=moment.hour, minutes=moment.minute, seconds=moment.second)
