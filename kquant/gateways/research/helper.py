"""What runs in the helper process: research tables by hash, their coverage, and batches scored from them.

The process ignores Ctrl-C (its parent decides) and ends by itself when its parent is gone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence

from kquant.events.analyzer import BatchRow, Coverage
from kquant.gateways.research.analyst import Subject, subject_of
from kquant.gateways.research.heuristic import score_row
from kquant.gateways.research.table import ResearchRow, read_table
from kquant.values import Symbol

_tables: dict[str, dict[str, ResearchRow]] = {}


def settle_in() -> None:
    """Prepare the process: the pool calls this once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)


def load(table: str, content: bytes) -> tuple[int, tuple[Coverage, ...]]:
    """Keep a table under its hash; return how many rows it has and how many stocks have each part."""
    rows = _tables[table] = read_table(content)
    parts = [score_row(row) for row in rows.values()]
    coverage = tuple(
        Coverage(part=name, stocks=sum(getattr(each, name) is not None for each in parts))
        for name in ("financials", "flows", "news", "technicals")
    )
    return len(rows), coverage


def score(table: str, codes: Sequence[Symbol]) -> tuple[BatchRow, ...]:
    """Return the parts of those codes that the table has. The table must have been loaded."""
    rows = _tables[table]
    return tuple(BatchRow(code=code, parts=score_row(rows[code])) for code in codes if code in rows)


def subjects(table: str, codes: Sequence[Symbol]) -> tuple[Subject, ...]:
    """Return what an analyst is told of those codes that the table has. The table must have been loaded."""
    rows = _tables[table]
    return tuple(subject_of(rows[code]) for code in codes if code in rows)
