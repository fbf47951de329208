"""The exchange's durable state: a SQLite file a service (ledger, credentials) and an eight-byte market clock.

The ledger is committed with `synchronous=FULL` before an order is answered or a fill is told. The clock is written
without fsync: it survives the death of the process, and after a power cut the day goes on from a little earlier.
"""

import datetime as dt
import os
import sqlite3
from pathlib import Path
from typing import Final

import msgspec

from kquant.exchange.core.auth import Credentials
from kquant.exchange.core.books import Cash, Changes, Environment, Fill, LedgerState, Order, Position
from kquant.exchange.core.state import Restored

FORMAT: Final = "1"
FILES: Final[dict[Environment, str]] = {"real": "ledger.sqlite3", "paper": "paper.sqlite3"}
"""The books of each service; a folder of before the paper service has the real one's alone and goes on with it."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS orders (no INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS fills (no INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS positions (code TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS past (place INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
"""


class StoreError(Exception):
    """The state folder cannot be used; the one-line message says why."""


class ClockFile:
    """The market time of a state folder, in UTC microseconds."""

    def __init__(self, folder: Path) -> None:
        """Open or create it; raises StoreError when the folder cannot be used."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(folder / "clock", os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        except OSError as error:
            raise StoreError(f"cannot use the state folder {folder}: {error}") from error

    def load(self) -> int | None:
        """Return the time saved last, or None before the first."""
        os.lseek(self._file, 0, os.SEEK_SET)
        clock = os.read(self._file, 8)
        return int.from_bytes(clock, "little") if len(clock) == 8 else None

    def save(self, now_us: int) -> None:
        """Write the market time."""
        os.lseek(self._file, 0, os.SEEK_SET)
        os.write(self._file, now_us.to_bytes(8, "little"))

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class SqliteStore:
    """The books of one service of an exchange: of the day that runs, and what earlier days left."""

    def __init__(self, folder: Path, environment: Environment = "real") -> None:
        """Open or create the books in *folder*; raises StoreError when it cannot be used."""
        self._folder = folder
        self._credentials = b""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(folder / FILES[environment], isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"cannot use the state folder {folder}: {error}") from error

    @property
    def day(self) -> dt.date | None:
        """The trading day the books are of; None in a new folder."""
        text = self._meta("day")
        return None if text is None else dt.date.fromisoformat(text)

    @property
    def first_day(self) -> dt.date | None:
        """The day the account was opened on; folders of before days followed days have but one."""
        text = self._meta("first_day")
        return self.day if text is None else dt.date.fromisoformat(text)

    def claim(self, day: dt.date, market_id: str) -> None:
        """Begin new books on *day*, or make sure that the books found are of that day and market.

        Raises StoreError, with what the folder holds, when they are not.
        """
        names = ("format", FORMAT), ("day", day.isoformat()), ("market", market_id)
        if self.day is None:
            self._put([*names, ("first_day", day.isoformat())])
        for name, value in names:
            known = self._meta(name)
            if known != value:
                raise StoreError(
                    f"the state folder {self._folder} holds {name} {known}, not {value}: use another folder"
                )

    def load(self) -> Restored | None:
        """Return what the folder holds, or None when the service never ran there."""
        cash, matched, credentials = self._meta("cash"), self._meta("matched_through"), self._meta("credentials")
        day = self.day
        if cash is None or matched is None or credentials is None or day is None:
            return None
        return Restored(
            ledger=LedgerState(
                cash=msgspec.json.decode(cash, type=Cash),
                orders=[msgspec.json.decode(body, type=Order) for body in self._bodies("orders", "no")],
                fills=[msgspec.json.decode(body, type=Fill) for body in self._bodies("fills", "no")],
                positions=[msgspec.json.decode(body, type=Position) for body in self._bodies("positions", "code")],
                past=[msgspec.json.decode(body, type=Order) for body in self._bodies("past", "place")],
            ),
            matched_through=int(matched),
            credentials=msgspec.json.decode(credentials, type=Credentials),
            day=day,
        )

    def save_opening(self, state: LedgerState) -> None:
        """Write the first day's account."""
        self._write(Changes((), (), tuple(state.positions), state.cash), -1, Credentials())

    def save(self, changes: Changes, matched_through: int, credentials: Credentials) -> None:
        """Commit *changes* durably in one transaction; nothing is written when nothing changed."""
        if changes or msgspec.json.encode(credentials) != self._credentials:
            self._write(changes, matched_through, credentials)

    def open_day(self, day: dt.date, market_id: str, state: LedgerState, credentials: Credentials) -> None:
        """Replace the day that is over by the next one's books, in one transaction."""
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            for table in ("orders", "fills", "positions", "past"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 -- names of our own
            self._db.executemany(
                "INSERT INTO past (body) VALUES (?)", [(msgspec.json.encode(row),) for row in state.past]
            )
            first = self._meta("first_day") or self._meta("day") or day.isoformat()
            self._put([("day", day.isoformat()), ("market", market_id), ("first_day", first)])
            rows = Changes(tuple(state.orders), tuple(state.fills), tuple(state.positions), state.cash)
            self._insert(rows, -1, credentials)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _write(self, changes: Changes, matched_through: int, credentials: Credentials) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            self._insert(changes, matched_through, credentials)

    def _insert(self, changes: Changes, matched_through: int, credentials: Credentials) -> None:
        encode = msgspec.json.encode
        meta = [("matched_through", str(matched_through)), ("credentials", encode(credentials).decode())]
        if changes.cash is not None:
            meta.append(("cash", encode(changes.cash).decode()))
        self._db.executemany(
            "INSERT OR REPLACE INTO orders VALUES (?, ?)", [(row.no, encode(row)) for row in changes.orders]
        )
        self._db.executemany("INSERT INTO fills VALUES (?, ?)", [(row.no, encode(row)) for row in changes.fills])
        self._db.executemany(
            "INSERT OR REPLACE INTO positions VALUES (?, ?)", [(row.code, encode(row)) for row in changes.positions]
        )
        self._put(meta)
        self._credentials = encode(credentials)

    def _put(self, meta: list[tuple[str, str]]) -> None:
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta)

    def _meta(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def _bodies(self, table: str, key: str) -> list[bytes]:
        return [row[0] for row in self._db.execute(f"SELECT body FROM {table} ORDER BY {key}")]  # noqa: S608
