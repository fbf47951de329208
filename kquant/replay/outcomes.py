"""What became of stocks after a day: returns over the sessions that follow it, with base-price changes taken out.

A session's return is close over base, the base being what the exchange set (기준가 = close - change), so that a split or a
rights issue is no gain or loss. Returns over several sessions are their product. Two sources, each in whole won:

- a file of daily rows (Parquet or CSV): code, date, close, and change or base; volume if there is one;
- the recorded days that follow: a session's close is the base of the session after it. If that lies outside the
  session's price limits the base was changed, and the stock is left out; a change within the limits goes unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from kquant.hours import listed
from kquant.journal import JournalError, read_day
from kquant.settings import CalendarTable
from kquant.values import KquantError, Krw, Shares, Symbol
from kquant.views.marks import Base, ScoredDay, scored_day

DAYS_KEPT = 16
"""Recorded days held in memory while a window moves over them: the longest horizon and some."""


class OutcomeError(KquantError):
    """Prices that cannot be used; the message names the file or the column."""


class Move(Struct, frozen=True, gc=False):
    """A stock in one session. volume: None if the source has none."""

    base: Krw
    close: Krw
    volume: Shares | None


class NoOutcome(Struct, frozen=True):
    """Why there are no returns after a day."""

    why: str


Session = Mapping[Symbol, Move]
Read = Callable[[Path], ScoredDay | NoOutcome]
"""What a day's folder holds, or why it cannot be used."""


def read_scored(folder: Path) -> ScoredDay | NoOutcome:
    """Read a finished or stopped day. Its digests are `replay verify`'s business."""
    try:
        found = scored_day(read_day(folder, check=False))
    except JournalError as error:
        return NoOutcome(str(error))
    return NoOutcome("no day was opened in it") if found is None else found


class Outcomes(Protocol):
    """A source of what became of stocks."""

    @property
    def name(self) -> str:
        """What the source is, for people."""

    def after(self, folder: Path, day: ScoredDay, horizon: int) -> Sequence[Session] | NoOutcome:
        """Return the *horizon* sessions that follow a day recorded in *folder*."""


def sessions_after(day: str, count: int, calendar: CalendarTable) -> list[str]:
    """Return the dates of the next *count* open days, fewer where the calendar ends."""
    found: list[str] = []
    at = date.fromisoformat(day)
    while len(found) < count:
        at += timedelta(days=1)
        word = listed(at, calendar)
        if word is None:
            return found
        if word:
            found.append(at.isoformat())
    return found


def returns_bp(sessions: Sequence[Session]) -> dict[Symbol, int]:
    """Return each stock's return over the sessions in basis points, half up.

    A stock that is missing in one of them, or traded in none, is left out: nobody could have had that return.
    """
    found = {}
    for code, first in sessions[0].items():
        moves = [first, *(session[code] for session in sessions[1:] if code in session)]
        if len(moves) < len(sessions) or not any(move.volume is None or move.volume > 0 for move in moves):
            continue
        gained = paid = 1
        for move in moves:
            gained, paid = gained * move.close, paid * move.base
        found[code] = (2 * (gained - paid) * 10_000 + paid) // (2 * paid)
    return found


class FileOutcomes:
    """Daily rows in a file, read session by session. Raises OutcomeError if it is no such file."""

    def __init__(self, path: Path, calendar: CalendarTable) -> None:
        import duckdb  # noqa: PLC0415  the trading process reads none of this

        self.name = path.name
        self._calendar = calendar
        self._error = duckdb.Error
        self._connection = duckdb.connect()
        if not path.is_file():
            raise OutcomeError(f"--outcomes {path} is not a file")
        reader = "read_csv" if path.suffix.lower() in {".csv", ".gz", ".tsv"} else "read_parquet"
        types = ", types={'code': 'VARCHAR'}" if reader == "read_csv" else ""
        source = f"{reader}('{str(path).replace(chr(39), chr(39) * 2)}'{types})"
        try:
            described = self._connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()  # noqa: S608  an escaped path
            columns = {row[0] for row in described}
            missing = {"code", "date", "close"} - columns
            if missing or not columns & {"change", "base"}:
                wanted = ", ".join(sorted(missing) or ["change or base"])
                raise OutcomeError(f"--outcomes {path.name} has no column {wanted}")
            base = "base" if "base" in columns else "close - change"
            volume = "volume" if "volume" in columns else "NULL"
            self._connection.execute(
                "CREATE TABLE rows AS SELECT code, CAST(date AS DATE) AS day, CAST(close AS BIGINT) AS close, "  # noqa: S608  names of this module, and an escaped path
                f"CAST({base} AS BIGINT) AS base, CAST({volume} AS BIGINT) AS volume FROM {source}"
            )
        except duckdb.Error as error:
            raise OutcomeError(f"--outcomes {path.name} cannot be read: {str(error).splitlines()[0]}") from None
        self._session = lru_cache(DAYS_KEPT)(self._read)

    def after(self, folder: Path, day: ScoredDay, horizon: int) -> Sequence[Session] | NoOutcome:  # noqa: ARG002  the port's; a file knows dates only
        """Return the sessions that follow the day's date."""
        dates = sessions_after(day.day, horizon, self._calendar)
        if len(dates) < horizon:
            return NoOutcome(_calendar_ends(self._calendar))
        sessions = [self._session(text) for text in dates]
        empty = [text for text, session in zip(dates, sessions, strict=True) if not session]
        return NoOutcome(f"{self.name} has no rows of {empty[0]}") if empty else sessions

    def _read(self, day: str) -> Session:
        rows = self._connection.execute(
            "SELECT code, base, close, volume FROM rows WHERE day = ? AND base > 0 AND close > 0", [day]
        ).fetchall()
        found = {Symbol(code): Move(Krw(base), Krw(close), volume) for code, base, close, volume in rows}
        if len(found) < len(rows):
            raise OutcomeError(f"--outcomes {self.name} has a stock twice on {day}")
        return found


class RecordedOutcomes:
    """The recorded days beside a day, in its account's folder."""

    name = "recorded days"

    def __init__(self, read: Read, calendar: CalendarTable) -> None:
        self._read = read
        self._calendar = calendar

    def after(self, folder: Path, day: ScoredDay, horizon: int) -> Sequence[Session] | NoOutcome:
        """Return the sessions that follow, each closed by the base prices of the one after it."""
        dates = sessions_after(day.day, horizon + 1, self._calendar)
        if len(dates) <= horizon:
            return NoOutcome(_calendar_ends(self._calendar))
        days: list[ScoredDay] = []
        at = folder
        for text in dates:
            found = self._next(at, day, text)
            if found is None:
                return NoOutcome(f"{text} was not recorded")
            at = found[0]
            if not found[1].listing:
                return NoOutcome(f"{text} has no listing")
            days.append(found[1])
        return [_closed_by(one.listing, after.listing) for one, after in pairwise(days)]

    def _next(self, folder: Path, day: ScoredDay, text: str) -> tuple[Path, ScoredDay] | None:
        """Return the day of that date that followed. Days of the demo are one market only if one followed the other."""
        beside = [path for path in folder.parent.glob(f"{text}*") if path.is_dir()]
        for path in sorted(beside, key=lambda path: (len(path.name), path.name), reverse=True):
            found = self._read(path)
            if isinstance(found, ScoredDay) and (not day.embedded or found.day_before == folder.name):
                return path, found
        return None


def _closed_by(listing: Mapping[Symbol, Base], after: Mapping[Symbol, Base]) -> Session:
    found = {}
    for code, base in listing.items():
        then = after.get(code)
        if then is None or base.price <= 0 or then.price <= 0:
            continue
        beyond = (base.upper is not None and then.price > base.upper) or (
            base.lower is not None and then.price < base.lower
        )
        if not beyond:
            found[code] = Move(base.price, then.price, then.volume)
    return found


def _calendar_ends(calendar: CalendarTable) -> str:
    return f"the calendar ends on {calendar.last_day}"
