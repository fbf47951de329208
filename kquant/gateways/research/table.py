"""The research table as scorers read it: one row a stock, known before the day. Runs in the helper process.

The table is Parquet with the columns of `ResearchRow`; further columns are ignored, a missing one is an error unless
its field has a default.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import duckdb
import msgspec
from msgspec import Struct

from kquant.values import KquantError


class ResearchError(KquantError):
    """The research table cannot be used; the one-line message says why."""


class ResearchRow(Struct, frozen=True, kw_only=True):
    """One stock. Ratios of statements are NULL where none was filed, flows where they are unknown.

    per_x100, pbr_x100: price to earnings and to book, times 100; negative with a loss.   *_bp: basis points.
    *_net_5d, *_net_20d: net shares bought.   news_tone: -100 to 100.   closes, volumes: daily, newest last, won, shares.
    w52_high: won.   titles: of news, newest first, as published.

    Columns from `titles` on may be absent. rsi14_x100: RSI in hundredths.   atr14_bp: the mean range, of the price.
    """

    code: str
    per_x100: int | None
    pbr_x100: int | None
    roe_bp: int | None
    sales_growth_bp: int | None
    op_margin_bp: int | None
    op_growth_bp: int | None
    debt_ratio_bp: int | None
    foreign_net_5d: int | None
    institution_net_5d: int | None
    foreign_net_20d: int | None
    institution_net_20d: int | None
    news_count: int | None
    news_tone: int | None
    closes: tuple[int, ...] | None
    volumes: tuple[int, ...] | None
    w52_high: int | None
    titles: tuple[str, ...] | None = None
    ret_5d_bp: int | None = None
    ret_60d_bp: int | None = None
    rsi14_x100: int | None = None
    atr14_bp: int | None = None
    above_52w_low_bp: int | None = None


def read_table(content: bytes) -> dict[str, ResearchRow]:
    """Return the rows by code. Raises ResearchError for bytes that are not such a table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "research.parquet"
        path.write_bytes(content)
        return read_file(path)


def read_file(path: Path) -> dict[str, ResearchRow]:
    """Return the rows of a file by code. Raises ResearchError."""
    try:
        with duckdb.connect() as connection:
            there = {
                name
                for name, *_ in connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
            }
            columns = [each.name for each in msgspec.structs.fields(ResearchRow) if each.required or each.name in there]
            relation = connection.execute(f"SELECT {', '.join(columns)} FROM read_parquet(?)", [str(path)])  # noqa: S608
            found = relation.fetchall()
    except duckdb.Error as error:
        raise ResearchError(f"the research table cannot be read: {str(error).splitlines()[0]}") from None
    try:
        rows = [msgspec.convert(dict(zip(columns, row, strict=True)), ResearchRow) for row in found]
    except msgspec.ValidationError as error:
        raise ResearchError(f"the research table has a value of the wrong type: {error}") from None
    return {row.code: row for row in rows}
