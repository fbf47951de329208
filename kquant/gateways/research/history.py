# ruff: noqa: S608 -- the queries are built from names of this module
"""Daily prices and flows of the whole market as columns on disk, and what is reckoned from them, by DuckDB.

A file is what one source gave at one time; of a stock's session the newest word counts. Everything here runs in the
helper process. Returns, means, ranges and highs are window functions over whole sessions:

- RSI is Cutler's (plain means of 14 gains and losses) and ATR the plain mean of 14 true ranges, so neither depends on
  where a history happens to begin.
- Prices before a session whose base differs from the close before it (rights, splits, mergers: more than 0.5 %) are
  scaled to it, volumes the other way. Prices that a source had adjusted already have no base and stay.
- What needs n sessions is NULL with fewer. The 52-week high and low need 240 of the last 250.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

import duckdb
import msgspec
from msgspec import Struct

from kquant.gateways.research.sources.port import FlowRow, PriceRow
from kquant.values import Micros, to_kst

Kept = Literal["prices", "flows"]
KINDS: Final[dict[Kept, dict[str, str]]] = {
    "prices": {
        "code": "VARCHAR", "session": "DATE", "open": "BIGINT", "high": "BIGINT", "low": "BIGINT", "close": "BIGINT",
        "volume": "BIGINT", "base": "BIGINT", "shares": "BIGINT",
    },
    "flows": {"code": "VARCHAR", "session": "DATE", "foreign_net": "BIGINT", "institution_net": "BIGINT"},
}  # fmt: skip
KEPT: Final = 120
"""Sessions of closes, volumes, highs and lows that go into the table."""
YEAR, YEAR_LEAST = 250, 240
MOVED_BP: Final = 50
"""A base price that differs more from the close before it was moved."""


class PriceHistory(Struct, frozen=True, kw_only=True):
    """One stock's prices, adjusted, newest last. figures: of `TECHNICALS` and the 52-week marks, None unknown."""

    source: str
    session: date
    close: int
    shares: int | None
    closes: tuple[int, ...]
    volumes: tuple[int, ...] | None
    highs: tuple[int, ...] | None
    lows: tuple[int, ...] | None
    figures: dict[str, int | None]


class Nets(Struct, frozen=True, kw_only=True):
    """One stock's net buying. None where the sessions are not all known."""

    source: str
    session: date
    foreign_5d: int | None
    institution_5d: int | None
    foreign_20d: int | None
    institution_20d: int | None


def keep(folder: Path, part: Kept, name: str, source: str, stamp: Micros, rows: Sequence[PriceRow | FlowRow]) -> None:
    """Write a source's rows as one file; a file of that name is replaced, whole or not at all."""
    place = folder / part
    place.mkdir(parents=True, exist_ok=True)
    columns = ", ".join(f"{column}: '{kind}'" for column, kind in KINDS[part].items())
    lines, made = place / f".{name}.jsonl", place / f".{name}.part"
    lines.write_bytes(msgspec.json.Encoder().encode_lines(rows))
    try:
        with duckdb.connect() as connection:
            connection.execute(
                f"COPY (SELECT *, {_text(source)} AS source, {int(stamp)} AS stamp FROM "
                f"read_json({_text(str(lines))}, format='newline_delimited', columns={{{columns}}})) "
                f"TO {_text(str(made))} (FORMAT parquet, COMPRESSION zstd)"
            )
        made.replace(place / f"{name}.parquet")
    finally:
        lines.unlink(missing_ok=True)
        made.unlink(missing_ok=True)


def newest_by_code(folder: Path, part: Kept, first: date) -> dict[str, date]:
    """Return the newest session kept of each stock, from *first* on."""
    if not _files(folder, part):
        return {}
    with duckdb.connect() as connection:
        return dict(
            connection.execute(
                f"SELECT code, max(session) FROM {_all(folder, part)} WHERE session >= ? GROUP BY code", [first]
            ).fetchall()
        )


def whole_sessions(folder: Path, part: Kept, source: str) -> set[date]:
    """Return the sessions of which a source gave the whole market: files named source-YYYY-MM-DD."""
    names = [path.stem for path in _files(folder, part)]
    return {date.fromisoformat(name[len(source) + 1 :]) for name in names if _is_session(name, source)}


def prune(folder: Path, before: date) -> None:
    """Remove what no table can use any more: files of a session, or fetched, before a day."""
    for part in KINDS:
        for path in _files(folder, part):
            source, _, rest = path.stem.partition("-")
            if _is_session(path.stem, source):
                made = date.fromisoformat(rest)
            else:
                stamp = rest.partition("-")[0]
                made = to_kst(Micros(int(stamp))).date() if stamp.isdigit() else before
            if made < before:
                path.unlink()


def prices(folder: Path, sessions: Sequence[date]) -> dict[str, PriceHistory]:
    """Return every stock's prices over *sessions* (newest first), as public by the newest of them."""
    if not sessions or not _files(folder, "prices"):
        return {}
    with duckdb.connect() as connection:
        _adjusted(connection, folder, sessions)
        cursor = connection.execute(_TECHNICALS, [sessions[min(len(sessions), YEAR) - 1]])
        names = [column[0] for column in cursor.description or ()]
        rows = cursor.fetchall()
    return {row[0]: _history(dict(zip(names, row, strict=True))) for row in rows}


def flows(folder: Path, sessions: Sequence[date]) -> dict[str, Nets]:
    """Return every stock's net buying over the newest 5 and 20 of *sessions* (newest first)."""
    if len(sessions) < 5 or not _files(folder, "flows"):
        return {}
    five, twenty = list(sessions[:5]), list(sessions[:20])
    sums = ", ".join(
        f"CASE WHEN count({who}_net) FILTER (list_contains({days}, session)) = {count} "
        f"THEN CAST(sum({who}_net) FILTER (list_contains({days}, session)) AS BIGINT) END"
        for days, count in (("$five", 5), ("$twenty", 20))
        for who in ("foreign", "institution")
    )
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"SELECT code, arg_max(source, session), max(session), {sums} FROM ({_newest(folder, 'flows')}) "
            "WHERE list_contains($twenty, session) GROUP BY code",
            {"five": five, "twenty": twenty},
        ).fetchall()
    return {
        code: Nets(
            source=source,
            session=session,
            foreign_5d=foreign_5,
            institution_5d=institution_5,
            foreign_20d=foreign_20,
            institution_20d=institution_20,
        )
        for code, source, session, foreign_5, institution_5, foreign_20, institution_20 in rows
    }


def _adjusted(connection: duckdb.DuckDBPyConnection, folder: Path, sessions: Sequence[date]) -> None:
    """Make the table `bars`: one row a stock and session, on the newest session's scale."""
    connection.execute("CREATE TEMP TABLE wanted AS SELECT unnest(?::DATE[]) AS session", [list(sessions)])
    connection.execute(
        f"""CREATE TEMP TABLE bars AS
        WITH one AS (SELECT * FROM ({_newest(folder, "prices")}) JOIN wanted USING (session) WHERE close > 0),
        moved AS (
          SELECT *, lag(close) OVER (PARTITION BY code ORDER BY session) AS before FROM one
        ), steps AS (
          SELECT *, CASE WHEN base > 0 AND abs(base - before) * 10000 > {MOVED_BP} * before
            THEN base::DOUBLE / before ELSE 1 END AS step FROM moved
        ), scaled AS (
          SELECT *, coalesce(product(step) OVER (PARTITION BY code ORDER BY session
            ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING), 1) AS scale FROM steps
        )
        SELECT code, session, source, shares,
          greatest(1, round(close * scale))::BIGINT AS close,
          CASE WHEN high > 0 THEN greatest(1, round(high * scale))::BIGINT
               WHEN high = 0 THEN greatest(1, round(close * scale))::BIGINT END AS high,
          CASE WHEN low > 0 THEN greatest(1, round(low * scale))::BIGINT
               WHEN low = 0 THEN greatest(1, round(close * scale))::BIGINT END AS low,
          round(volume / scale)::BIGINT AS volume
        FROM scaled"""
    )


_TECHNICALS: Final = f"""
WITH steps AS (
  SELECT *, close - lag(close) OVER w AS step, lag(close) OVER w AS before FROM bars
  WINDOW w AS (PARTITION BY code ORDER BY session)
), measured AS (
  SELECT *, CASE WHEN before IS NOT NULL THEN greatest(high - low, abs(high - before), abs(low - before)) END AS reach
  FROM steps
), windows AS (
  SELECT code, session, source, shares, close,
    before AS c1, lag(close, 5) OVER w AS c5, lag(close, 20) OVER w AS c20, lag(close, 60) OVER w AS c60,
    {", ".join(f"CASE WHEN count(*) OVER w{n} = {n} THEN avg(close) OVER w{n} END AS m{n}" for n in (5, 20, 60, 120))},
    CASE WHEN count(step) OVER w14 = 14 THEN sum(greatest(step, 0)) OVER w14 END AS gains,
    CASE WHEN count(step) OVER w14 = 14 THEN sum(greatest(-step, 0)) OVER w14 END AS losses,
    CASE WHEN count(reach) OVER w14 = 14 THEN avg(reach) OVER w14 END AS atr,
    CASE WHEN count(volume) OVER w5 = 5 THEN avg(volume) OVER w5 END AS v5,
    CASE WHEN count(volume) OVER w20 = 20 THEN avg(volume) OVER w20 END AS v20,
    row_number() OVER (PARTITION BY code ORDER BY session DESC) AS back
  FROM measured
  WINDOW w AS (PARTITION BY code ORDER BY session),
    {", ".join(f"w{n} AS (PARTITION BY code ORDER BY session ROWS {n - 1} PRECEDING)" for n in (5, 14, 20, 60, 120))}
), lists AS (
  SELECT code, list(close ORDER BY session) AS closes, list(volume ORDER BY session) AS volumes,
    list(high ORDER BY session) AS highs, list(low ORDER BY session) AS lows,
    CASE WHEN count(high) FILTER (session >= $1) >= {YEAR_LEAST} THEN max(high) FILTER (session >= $1) END AS w52_high,
    CASE WHEN count(low) FILTER (session >= $1) >= {YEAR_LEAST} THEN min(low) FILTER (session >= $1) END AS w52_low
  FROM bars GROUP BY code
)
SELECT code, session, source, shares, close, closes, volumes, highs, lows, w52_high, w52_low,
  {", ".join(f"floor((close - c{n}) * 10000.0 / c{n})::BIGINT AS ret_{n}d_bp" for n in (1, 5, 20, 60))},
  {", ".join(f"round(m{n})::BIGINT AS ma{n}" for n in (5, 20, 60, 120))},
  CASE WHEN gains + losses > 0 THEN round(10000.0 * gains / (gains + losses))::BIGINT
       WHEN gains IS NOT NULL THEN 5000 END AS rsi14_x100,
  round(atr)::BIGINT AS atr14, round(atr * 10000 / close)::BIGINT AS atr14_bp,
  CASE WHEN v20 > 0 THEN round(100 * v5 / v20)::BIGINT END AS volume_ratio_percent,
  floor((close - w52_low) * 10000.0 / w52_low)::BIGINT AS above_52w_low_bp,
  greatest(0, floor((w52_high - close) * 10000.0 / w52_high))::BIGINT AS below_52w_high_bp
FROM windows JOIN lists USING (code) WHERE back = 1"""
_LISTS: Final = ("closes", "volumes", "highs", "lows")
_NOT_FIGURES: Final = frozenset({"code", "session", "source", "shares", "close", *_LISTS})


def _history(row: dict[str, Any]) -> PriceHistory:
    return PriceHistory(
        source=row["source"],
        session=row["session"],
        close=row["close"],
        shares=row["shares"],
        closes=tuple(row["closes"][-KEPT:]),
        volumes=_tail(row["volumes"]),
        highs=_tail(row["highs"]),
        lows=_tail(row["lows"]),
        figures={name: value for name, value in row.items() if name not in _NOT_FIGURES},
    )


def _tail(values: list[int | None]) -> tuple[int, ...] | None:
    """Return the values known without a gap up to the newest; None if the newest is unknown."""
    kept: list[int] = []
    for value in reversed(values[-KEPT:]):
        if value is None:
            break
        kept.append(value)
    return tuple(reversed(kept)) or None


def _files(folder: Path, part: Kept) -> list[Path]:
    return sorted((folder / part).glob("[!.]*.parquet"))


def _all(folder: Path, part: Kept) -> str:
    names = ", ".join(_text(str(path)) for path in _files(folder, part))
    return f"read_parquet([{names}])"


def _newest(folder: Path, part: Kept) -> str:
    """Return the SQL of one row a stock and session: the newest word, of equally new ones the fullest."""
    fullest = "volume IS NULL, base IS NULL" if part == "prices" else "foreign_net IS NULL, institution_net IS NULL"
    return (
        f"SELECT * FROM {_all(folder, part)} "
        f"QUALIFY row_number() OVER (PARTITION BY code, session ORDER BY stamp DESC, {fullest}, source) = 1"
    )


def _is_session(name: str, source: str) -> bool:
    head, _, session = name.partition("-")
    try:
        return head == source and len(session) == 10 and bool(date.fromisoformat(session))
    except ValueError:
        return False


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
