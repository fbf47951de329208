"""What runs in the helper process: research tables by hash, their coverage, and batches scored from them.

The process ignores Ctrl-C (its parent decides) and ends by itself when its parent is gone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from kquant.events.analyzer import BatchRow, Coverage, SourceUsed
from kquant.gateways.research.analyst import Subject, subject_of
from kquant.gateways.research.heuristic import CLOSES_LEAST, score_row
from kquant.gateways.research.lookahead import check_known
from kquant.gateways.research.provenance import read_notes, read_sources
from kquant.gateways.research.table import ResearchRow, read_file
from kquant.values import Micros, Symbol

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


class Loaded(Struct, frozen=True, kw_only=True):
    """What a table holds, as `research.answered` tells it."""

    stocks: int
    coverage: tuple[Coverage, ...]
    figures: tuple[Coverage, ...]
    sources: tuple[SourceUsed, ...]
    notes: tuple[str, ...]
    known_until: Micros | None


FIGURES: dict[str, Callable[[ResearchRow], bool]] = {
    "PER": lambda row: row.per_x100 is not None,
    "PBR": lambda row: row.pbr_x100 is not None,
    "statement": lambda row: any(
        each is not None for each in (row.roe_bp, row.op_margin_bp, row.debt_ratio_bp, row.sales_growth_bp)
    ),
    "flows 5d": lambda row: None not in (row.foreign_net_5d, row.institution_net_5d),
    "flows 20d": lambda row: None not in (row.foreign_net_20d, row.institution_net_20d),
    "closes 20d": lambda row: row.closes is not None and len(row.closes) >= CLOSES_LEAST,
    "volumes 20d": lambda row: row.volumes is not None and len(row.volumes) >= CLOSES_LEAST,
    "52-week high": lambda row: row.w52_high is not None,
}
"""What is counted beneath the parts: a part may be known by some of its figures only."""


def load(table: str, content: bytes, decision: Micros) -> Loaded:
    """Keep a table under its hash; return what it holds. Raises LookAheadError for what was not public at *decision*."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "research.parquet"
        path.write_bytes(content)
        rows = read_file(path)
        known_until = check_known(path, decision)
        sources, notes = read_sources(path), read_notes(path)
    _tables[table] = rows
    parts = [score_row(row) for row in rows.values()]
    return Loaded(
        stocks=len(rows),
        coverage=tuple(
            Coverage(part=name, stocks=sum(getattr(each, name) is not None for each in parts))
            for name in ("financials", "flows", "news", "technicals")
        ),
        figures=tuple(Coverage(part=name, stocks=sum(map(known, rows.values()))) for name, known in FIGURES.items()),
        sources=sources,
        notes=notes,
        known_until=known_until,
    )


def score(table: str, codes: Sequence[Symbol]) -> tuple[BatchRow, ...]:
    """Return the parts of those codes that the table has. The table must have been loaded."""
    rows = _tables[table]
    return tuple(BatchRow(code=code, parts=score_row(rows[code])) for code in codes if code in rows)


def subjects(table: str, codes: Sequence[Symbol]) -> tuple[Subject, ...]:
    """Return what an analyst is told of those codes that the table has. The table must have been loaded."""
    rows = _tables[table]
    return tuple(subject_of(rows[code]) for code in codes if code in rows)
