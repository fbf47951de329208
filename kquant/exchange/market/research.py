"""The point-in-time research table: one row a listed stock, only what was known before 07:20 of the day.

Columns (Parquet): code, name, market, sector, kind, halted, administrative, liquidation, warning, overheated, base,
market_cap (won), per_x100, pbr_x100, roe_bp, sales_growth_bp, op_margin_bp, op_growth_bp, debt_ratio_bp (NULL where no
statement was filed), statement_filed (YYYY-MM-DD), foreign_net_5d, institution_net_5d, foreign_net_20d,
institution_net_20d (shares; NULL where unknown), news_count, news_tone (-100..100, NULL without news), closes, volumes,
highs, lows (lists of daily values, newest last; NULL when unknown), w52_high, w52_low (won; NULL when unknown), and what
makes "known before" checkable: listing_, prices_, flows_, valuation_, financials_ and news_known_at (microseconds UTC:
when the latest of that part was public), prices_session and flows_session (YYYY-MM-DD: the newest session in it).
A session is public at 18:00 KST, a filing on the day after it was received.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from .model import MarketFileError

T = TypeVar("T", bound=Struct)

TYPES = {
    "code": "VARCHAR",
    "name": "VARCHAR",
    "market": "VARCHAR",
    "sector": "VARCHAR",
    "kind": "VARCHAR",
    "halted": "BOOLEAN",
    "administrative": "BOOLEAN",
    "liquidation": "BOOLEAN",
    "warning": "INTEGER",
    "overheated": "BOOLEAN",
    "base": "BIGINT",
    "market_cap": "BIGINT",
    "per_x100": "BIGINT",
    "pbr_x100": "BIGINT",
    "roe_bp": "BIGINT",
    "sales_growth_bp": "BIGINT",
    "op_margin_bp": "BIGINT",
    "op_growth_bp": "BIGINT",
    "debt_ratio_bp": "BIGINT",
    "statement_filed": "VARCHAR",
    "foreign_net_5d": "BIGINT",
    "institution_net_5d": "BIGINT",
    "foreign_net_20d": "BIGINT",
    "institution_net_20d": "BIGINT",
    "news_count": "BIGINT",
    "news_tone": "BIGINT",
    "closes": "BIGINT[]",
    "volumes": "BIGINT[]",
    "highs": "BIGINT[]",
    "lows": "BIGINT[]",
    "w52_high": "BIGINT",
    "w52_low": "BIGINT",
}
PROVENANCE = {
    "listing_known_at": "BIGINT",
    "prices_known_at": "BIGINT",
    "flows_known_at": "BIGINT",
    "valuation_known_at": "BIGINT",
    "financials_known_at": "BIGINT",
    "news_known_at": "BIGINT",
    "prices_session": "VARCHAR",
    "flows_session": "VARCHAR",
}
COLUMNS = tuple(TYPES)
"""What every table has; one written before provenance was told lacks its columns."""
KST_US = 9 * 3_600_000_000
FINAL_US = 18 * 3_600_000_000
DAY_US = 86_400_000_000


class ResearchRow(Struct, frozen=True, kw_only=True):
    """One stock's row; see the module's docstring for units. None: not known before the day."""

    code: str
    name: str
    market: str
    sector: str
    kind: str
    halted: bool
    administrative: bool
    liquidation: bool
    warning: int
    overheated: bool
    base: int
    market_cap: int | None
    per_x100: int | None
    pbr_x100: int | None
    roe_bp: int | None
    sales_growth_bp: int | None
    op_margin_bp: int | None
    op_growth_bp: int | None
    debt_ratio_bp: int | None
    statement_filed: str | None
    foreign_net_5d: int | None
    institution_net_5d: int | None
    foreign_net_20d: int | None
    institution_net_20d: int | None
    news_count: int
    news_tone: int | None
    closes: tuple[int, ...] | None
    volumes: tuple[int, ...] | None
    highs: tuple[int, ...] | None
    lows: tuple[int, ...] | None
    w52_high: int | None
    w52_low: int | None
    listing_known_at: int | None = None
    prices_known_at: int | None = None
    flows_known_at: int | None = None
    valuation_known_at: int | None = None
    financials_known_at: int | None = None
    news_known_at: int | None = None
    prices_session: str | None = None
    flows_session: str | None = None


def midnight(day: dt.date) -> int:
    """Return the beginning of a KST day in microseconds UTC."""
    return (day - dt.date(1970, 1, 1)).days * DAY_US - KST_US


def final_at(session: dt.date) -> int:
    """Return when a session's figures are public, in microseconds UTC."""
    return midnight(session) + FINAL_US


def write_parquet(rows: Iterable[ResearchRow], path: Path) -> None:
    """Write the rows (a sequence of ResearchRow) as Parquet."""
    write_rows(rows, TYPES | PROVENANCE, path)


def write_rows(rows: Iterable[Struct], types: dict[str, str], path: Path) -> None:
    """Write structs as a Parquet file with the given column types; an empty table is written too."""
    import duckdb  # noqa: PLC0415  playing a generated day needs it here only

    columns = ", ".join(f"{name}: '{kind}'" for name, kind in types.items())
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "rows.jsonl"
        lines.write_bytes(msgspec.json.Encoder().encode_lines(rows))
        with duckdb.connect() as connection:
            connection.execute(
                f"COPY (SELECT * FROM read_json({pattern(lines)}, format='newline_delimited', columns={{{columns}}})) "  # noqa: S608
                f"TO {literal(path)} (FORMAT parquet, COMPRESSION zstd)"
            )


def read_parquet(path: Path) -> list[ResearchRow]:
    """Read a research table. Raises MarketFileError naming the file and what is wrong."""
    there = columns_of(path)
    columns = (*COLUMNS, *(name for name in PROVENANCE if name in there))
    return [convert_row(row, ResearchRow, path) for row in read_rows(path, columns)]


def columns_of(path: Path) -> frozenset[str]:
    """Return the columns of a Parquet file. Raises MarketFileError."""
    import duckdb  # noqa: PLC0415

    try:
        with duckdb.connect() as connection:
            found = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({pattern(path)})").fetchall()  # noqa: S608
    except duckdb.Error as error:
        raise MarketFileError(f"cannot read {path}: {first_line(error)}") from None
    return frozenset(name for name, *_ in found)


def convert_row(row: Mapping[str, object], kind: type[T], path: Path) -> T:
    """Return the row as a *kind* of struct. Raises MarketFileError naming the file and the field."""
    try:
        return msgspec.convert(row, kind)
    except msgspec.ValidationError as error:
        raise MarketFileError(f"{path}: a row for {row.get('code')!r} is wrong: {error}") from None


def read_rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, object]]:
    """Return a Parquet file's rows as dictionaries of the named columns. Raises MarketFileError."""
    import duckdb  # noqa: PLC0415

    try:
        with duckdb.connect() as connection:
            found = connection.execute(f"SELECT {', '.join(columns)} FROM read_parquet({pattern(path)})").fetchall()  # noqa: S608
    except duckdb.Error as error:
        raise MarketFileError(f"cannot read {path}: {first_line(error)}") from None
    return [dict(zip(columns, row, strict=True)) for row in found]


def literal(path: Path) -> str:
    """Return the path as an SQL string, for writing to it."""
    return "'" + str(path).replace("'", "''") + "'"


def pattern(path: Path) -> str:
    """Return the path as an SQL string for reading, where duckdb would take `[`, `*` and `?` for wildcards."""
    return literal(Path("".join(f"[{sign}]" if sign in "[*?" else sign for sign in str(path))))


def first_line(error: Exception) -> str:
    """Return the first line of a library's message, which may have many."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
