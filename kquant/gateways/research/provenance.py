# ruff: noqa: S608 -- the queries are built from names of this package
"""What a research table says of itself: how many stocks have each part from which source, and what could not be had."""

from __future__ import annotations

from pathlib import Path

import duckdb
import msgspec

from kquant.events.analyzer import SourceUsed
from kquant.gateways.research.columns import TABLE_PARTS
from kquant.gateways.research.table import ResearchError
from kquant.values import Micros


def read_sources(path: Path) -> tuple[SourceUsed, ...]:
    """Return the sources by part; none for a table that names none. Raises ResearchError."""
    try:
        with duckdb.connect() as connection:
            described = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
            there = {name for name, *_ in described}
            return tuple(
                SourceUsed(part=part, origin=origin, stocks=stocks, known_until=Micros(until))
                for part in TABLE_PARTS
                if {f"{part}_source", f"{part}_known_at"} <= there
                for origin, stocks, until in connection.execute(
                    f"SELECT {part}_source, count(*), max({part}_known_at) FROM read_parquet(?) "
                    f"WHERE {part}_source IS NOT NULL AND {part}_known_at IS NOT NULL "
                    f"GROUP BY {part}_source ORDER BY {part}_source",
                    [str(path)],
                ).fetchall()
            )
    except duckdb.Error as error:
        raise ResearchError(f"the research table cannot be read: {str(error).splitlines()[0]}") from None


def read_notes(path: Path) -> tuple[str, ...]:
    """Return the notes in a table; none where it has none. Raises ResearchError."""
    try:
        with duckdb.connect() as connection:
            found = connection.execute(
                "SELECT value FROM parquet_kv_metadata(?) WHERE decode(key) = 'notes'", [str(path)]
            ).fetchall()
        return msgspec.json.decode(found[0][0], type=tuple[str, ...]) if found else ()
    except (duckdb.Error, msgspec.MsgspecError) as error:
        raise ResearchError(f"the research table's notes cannot be read: {str(error).splitlines()[0]}") from None
