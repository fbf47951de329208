"""Which day a run trades next, in which folder, and what it carries over from the day before.

A day that is sealed is never written again: a second run of it gets its own folder. A day left unsealed is gone on with
while it lasts; after it, its positions are the broker's to tell, and the next day says that they were never compared.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

from msgspec import Struct

from kquant.cli.days import JOURNAL, day_folders, folder_for
from kquant.events.base import Recorded
from kquant.events.day import Carried, DayClosed, DayOpened
from kquant.journal import read_day
from kquant.krx import SessionHours
from kquant.values import KquantError, Krw, Micros, to_kst

LOOK_AHEAD_DAYS = 30


class NoOpenDay(KquantError):
    """No day ahead is known to be open."""


class DayBefore(Struct, frozen=True, kw_only=True):
    """How the day before ended. positions, cash_krw: None if it was never sealed.   digest: of its last event, hex."""

    folder: str
    digest: str
    positions: tuple[Carried, ...] | None
    cash_krw: Krw | None
    reconciled: bool


class Planned(Struct, frozen=True, kw_only=True):
    """A day to trade."""

    day: date
    hours: SessionHours
    folder: Path
    before: DayBefore | None


def sealed(folder: Path) -> Recorded | None:
    """Return the event that sealed a day's journal, None if it is unsealed or empty."""
    if not (folder / JOURNAL).exists():
        return None
    facts = read_day(folder, check=False)
    return facts[-1] if facts and isinstance(facts[-1].event, DayClosed) else None


def begun(folder: Path) -> bool:
    """Tell whether a day's journal holds anything."""
    return (folder / JOURNAL).exists() and bool(read_day(folder, check=False))


def unsealed_folder(account: Path, day: date) -> Path:
    """Return the day's folder to write: the unsealed one, or the next number after sealed ones."""
    number = 1
    while sealed(folder := folder_for(account, day, number)) is not None:
        number += 1
    return folder


def day_before(account: Path, day: date) -> DayBefore | None:
    """Return how the newest earlier day of the account ended, None if there is none."""
    earlier = [folder for folder in day_folders(account) if folder.name[:10] < day.isoformat() and begun(folder)]
    return None if not earlier else ended(earlier[-1])


def ended(folder: Path) -> DayBefore:
    """Return how a day ended that was begun."""
    closed = sealed(folder)
    if closed is not None and isinstance(closed.event, DayClosed):
        event = closed.event
        return DayBefore(
            folder=folder.name,
            digest=closed.digest.hex(),
            positions=event.positions,
            cash_krw=event.cash_krw,
            reconciled=event.reconciled,
        )
    last = read_day(folder, check=False)[-1]
    return DayBefore(folder=folder.name, digest=last.digest.hex(), positions=None, cash_krw=None, reconciled=False)


class Chain(Struct, frozen=True, kw_only=True):
    """Days that one run of the embedded exchange trades, one after another.

    root: folder of the first, which holds the exchange's state.   folder, before: the day under way.   done: days sealed.
    """

    root: Path
    folder: Path
    before: DayBefore | None
    done: int


def chain_of(account: Path, day: date) -> Chain:
    """Return the chain that begins with *day* and is not finished, or a new one."""
    for folder in reversed(day_folders(account)):
        if not begun(folder) or sealed(folder) is not None:
            continue
        names = _chain(account, folder)
        root = account / names[0]
        if root.name[:10] == day.isoformat():
            before = ended(account / names[-2]) if len(names) > 1 else None
            return Chain(root=root, folder=folder, before=before, done=len(names) - 1)
    folder = unsealed_folder(account, day)
    return Chain(root=folder, folder=folder, before=None, done=0)


def _chain(account: Path, folder: Path) -> list[str]:
    """Return the names of the days that led to *folder*, the first one first."""
    names = [folder.name]
    while True:
        opened = next((fact.event for fact in read_day(account / names[0], check=False) if _opens(fact)), None)
        if not isinstance(opened, DayOpened) or not opened.day_before:
            return names
        names.insert(0, opened.day_before)


def _opens(fact: Recorded) -> bool:
    return isinstance(fact.event, DayOpened)


def next_open(
    first: date,
    hours_of: Callable[[date], SessionHours | None],
    until_of: Callable[[SessionHours], Micros],
    now: Micros,
) -> tuple[date, SessionHours]:
    """Return the first open day from *first* on that is not yet over at *now*.

    hours_of: a day's hours, None if it is closed.   until_of: when a day with such hours is over.
    """
    day = max(first, to_kst(now).date())
    for ahead in range(LOOK_AHEAD_DAYS):
        candidate = day + timedelta(days=ahead)
        hours = hours_of(candidate)
        if hours is not None and until_of(hours) > now:
            return candidate, hours
    raise NoOpenDay(f"no open day in the {LOOK_AHEAD_DAYS} days from {day} on")
