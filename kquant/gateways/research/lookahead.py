"""The proof that a research table cites nothing that was not public yet: checked on the bytes that are scored.

A part's cells may be there only with a `known_at` that is not after the decision, and that is not before what the part
itself shows: the newest session in it (public at 18:00 KST), the filing's date, the newest title's publication. A source
that stamps a row wrongly is caught by the second, a table that is too new by the first.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from kquant.gateways.research.columns import COLUMNS, TABLE_PARTS, TablePart
from kquant.gateways.research.table import ResearchError
from kquant.values import Micros, kst_clock, to_kst

SHOWN = 3


class LookAheadError(ResearchError):
    """A table holds something that was not public when it is decided on. The message names stock, part and times."""


def check_known(path: Path, decision: Micros) -> Micros | None:
    """Return when the latest thing in the table was public; None for a table that says nothing of it.

    decision: the instant the table is used. Raises LookAheadError, ResearchError for what is no table.
    """
    try:
        with duckdb.connect() as connection:
            rows = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
            there = {name for name, *_ in rows}
            if not any(name.endswith("_known_at") for name in there):
                return None
            latest = [_check(connection, path, part, there, decision) for part in TABLE_PARTS]
    except duckdb.Error as error:
        raise ResearchError(f"the research table cannot be read: {str(error).splitlines()[0]}") from None
    return Micros(max((each for each in latest if each is not None), default=0))


def _check(
    connection: duckdb.DuckDBPyConnection, path: Path, part: TablePart, there: set[str], decision: Micros
) -> int | None:
    cells = [name for name, column in COLUMNS.items() if column.part == part and name in there]
    if not cells:
        return None
    stamp = f"{part}_known_at"
    if stamp not in there:
        raise LookAheadError(f"the research table has {', '.join(cells)} but no {stamp}")
    # A count of no titles is no finding.
    filled = " OR ".join(f"{name} > 0" if name == "news_count" else f"{name} IS NOT NULL" for name in cells)
    shown = _shown(part, there)
    found = connection.execute(
        f"SELECT code, {stamp}, {shown} AS shown FROM read_parquet(?) "  # noqa: S608  names of this package
        f"WHERE ({filled}) AND ({stamp} IS NULL OR {stamp} > ? OR {shown} > {stamp}) ORDER BY code",
        [str(path), decision],
    ).fetchall()
    if found:
        raise LookAheadError(
            f"{part} of {len(found):,} stocks was not public at {_when(decision)}: "
            + "; ".join(_leak(code, known, seen) for code, known, seen in found[:SHOWN])
        )
    newest = connection.execute(f"SELECT max({stamp}) FROM read_parquet(?) WHERE {filled}", [str(path)]).fetchall()  # noqa: S608
    return None if newest[0][0] is None else int(newest[0][0])


def _shown(part: TablePart, there: set[str]) -> str:
    """Return the SQL of the earliest instant that what a part shows can have been public at; NULL if it shows none."""
    if f"{part}_session" in there:
        return f"epoch_us(CAST({part}_session AS TIMESTAMP) + INTERVAL 9 HOUR)"
    if part == "financials" and "statement_filed" in there:
        return "epoch_us(CAST(statement_filed AS TIMESTAMP) - INTERVAL 9 HOUR)"
    if part == "news" and "news_published_at" in there:
        return "news_published_at"
    return "NULL::BIGINT"


def _leak(code: str, known: int | None, shown: int | None) -> str:
    if known is None:
        return f"{code} does not say when"
    if shown is not None and shown > known:
        return f"{code} says {_when(known)} but shows what was public at {_when(shown)}"
    return f"{code} at {_when(known)}"


def _when(at: int) -> str:
    moment = Micros(at)
    return f"{to_kst(moment).date()} {kst_clock(moment)} KST"
