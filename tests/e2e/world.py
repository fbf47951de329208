"""What the end-to-end tests share: the real command in a process of its own, the folders it leaves, the exchange's books."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kquant.events.base import Recorded
from kquant.gateways.operator import NoInstance, ask_stream, decode_row
from kquant.journal import read_day

ROOT = Path(__file__).parents[2]
ACCOUNT = "50001234-01"
DAY = "2026-11-20"
REAL_DAY = "2026-01-15"
SHARED = Path(os.environ.get("KQUANT_SHARED_DATA") or ROOT.parent / "shared" / "data")
"""The folder that holds the recorded day."""

AFTERNOON = (
    *("--set", "demo.stocks=300", "--set", "demo.start=14:25"),
    *("--set", "schedule.analysis=14:26", "--set", "analyzer.late_until=14:40", "--set", "analyzer.deadline=14:40"),
)
"""A small market whose day begins in the afternoon: analysis, scans, pipeline runs, orders and the close in an hour."""


def folder_of(data: Path, day: str = DAY) -> Path:
    return data / ACCOUNT / day


def environment() -> dict[str, str]:
    """Return the environment of a command whose output is read."""
    return {**os.environ, "PYTHONUTF8": "1", "COLUMNS": "120"}


def kquant(
    *arguments: str | Path, timeout: float = 240, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. variables: of its environment, beside our own."""
    return subprocess.run(
        [sys.executable, "-m", "kquant", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**environment(), **(variables or {})},
    )


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    """Start a command in a process group of its own, as a terminal does."""
    return subprocess.Popen(
        [sys.executable, "-m", "kquant", *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment(),
    )


def kill(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> tuple[int, str, str]:
    """Send a signal and wait for the end; return exit code, output and errors."""
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


async def watch(
    data: Path, process: subprocess.Popen[str], wanted: Callable[[Recorded], bool], after: int = 0
) -> Recorded | None:
    """Follow the running day over its socket until an event is wanted; return it, or None when the run ended first."""
    import asyncio

    while process.poll() is None:
        try:
            async for row in ask_stream(data / ACCOUNT, "events", after=after, follow=True):
                fact = decode_row(row)
                after = fact.seq
                if wanted(fact):
                    return fact
        except (NoInstance, ConnectionError):
            pass
        await asyncio.sleep(0.02)
    return None


def facts_of(data: Path) -> list[Recorded]:
    return list(read_day(folder_of(data)))


def of(facts: Sequence[Recorded], kind: type) -> list:
    """Return the events of one type, in order."""
    return [fact.event for fact in facts if isinstance(fact.event, kind)]


@dataclass(frozen=True)
class Books:
    """The exchange's own ledger file, as plain JSON rows."""

    orders: list[dict]
    fills: list[dict]
    positions: dict[str, dict]
    cash: dict

    @property
    def d2(self) -> int:
        cash = self.cash
        return cash["settled"] - cash["bought"] + cash["sold"] - cash["fees"] - cash["taxes"]

    @property
    def placed(self) -> dict[str, dict]:
        """New orders by number; cancels and revisions are left out."""
        return {str(order["no"]): order for order in self.orders if order.get("request", "new") == "new"}


def books_of(data: Path, day: str = DAY) -> Books:
    """Read a copy of the ledger, so that the exchange's file and its log stay as they are."""
    source = folder_of(data, day) / "exchange"
    copy = data / "ledger-copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for path in source.glob("ledger.sqlite3*"):
        shutil.copy(path, copy / path.name)
    db = sqlite3.connect(copy / "ledger.sqlite3")
    try:
        rows = {
            table: [msgspec.json.decode(body) for (body,) in db.execute(f"SELECT body FROM {table} ORDER BY 1")]
            for table in ("orders", "fills", "positions")
        }
        [[cash]] = db.execute("SELECT value FROM meta WHERE name = 'cash'").fetchall()
    finally:
        db.close()
    positions = {row["code"]: row for row in rows["positions"] if row["qty"]}
    return Books(rows["orders"], rows["fills"], positions, msgspec.json.decode(cash))
