"""A whole demo day run by the command itself, once for all parts that want its time or its journal."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from bench.figures import NotMeasured
from bench.peer import ROOT
from kquant.journal import JOURNAL_FILE

GIVE_UP_SECONDS = 900
_runs: list[Day] = []


@dataclass(frozen=True)
class Day:
    """A finished demo day. seconds: of the whole command, from start to exit, report included."""

    folder: Path
    seconds: float
    events: int


def any_run(work: Path) -> Day:
    """Return a day that was run in this process, running one if there is none."""
    return _runs[-1] if _runs else run(work)


def run(work: Path) -> Day:
    """Run the demo into a new folder under *work*. Raises NotMeasured with the command's last line if it fails."""
    data = work / f"demo-{len(_runs) + 1}"
    command = [sys.executable, "-m", "kquant", "run", "--profile", "demo", "--speed", "max", "--data", str(data)]
    begun = perf_counter()
    try:
        ended = subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=GIVE_UP_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise NotMeasured(f"`kquant run` had not ended after {GIVE_UP_SECONDS} s") from None
    seconds = perf_counter() - begun
    if ended.returncode != 0:
        said = (ended.stderr.strip() or ended.stdout.strip() or "nothing").splitlines()[-1]
        raise NotMeasured(f"`kquant run` ended with {ended.returncode}: {said}")
    found = sorted(data.rglob(JOURNAL_FILE))
    if len(found) != 1:
        raise NotMeasured(f"`kquant run` left {len(found)} journals, one is expected")
    with closing(sqlite3.connect(found[0])) as journal:
        (events,) = journal.execute("SELECT COUNT(*) FROM journal").fetchone()
    _runs.append(Day(folder=found[0].parent, seconds=seconds, events=events))
    return _runs[-1]
