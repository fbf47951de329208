# ruff: noqa: S608 -- the queries are built from names of this package, and paths and columns are escaped
"""Read an importer's source tables: Parquet or CSV, columns recognised by their usual names or mapped by the caller."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .model import MarketFileError
from .research import first_line, literal, pattern

KST = dt.timezone(dt.timedelta(hours=9))
ALIASES: dict[str, tuple[str, ...]] = {
    "code": ("code", "symbol", "ticker", "stock_code", "isu_srt_cd", "mksc_shrn_iscd", "종목코드", "단축코드"),
    "date": ("date", "day", "stck_bsop_date", "bas_dd", "trd_dd", "일자", "날짜"),
    "time": ("ts", "timestamp", "datetime", "time", "minute", "stck_cntg_hour", "체결시간", "시간", "시각"),
    "open": ("open", "stck_oprc", "tdd_opnprc", "시가"),
    "high": ("high", "stck_hgpr", "tdd_hgprc", "고가"),
    "low": ("low", "stck_lwpr", "tdd_lwprc", "저가"),
    "close": ("close", "stck_clpr", "tdd_clsprc", "종가"),
    "price": ("price", "last", "trade_price", "stck_prpr", "현재가", "체결가"),
    "volume": ("volume", "vol", "acml_vol", "acc_trdvol", "거래량"),
    "qty": ("qty", "quantity", "size", "cntg_vol", "체결량"),
    "value": ("value", "value_krw", "amount", "acml_tr_pbmn", "거래대금"),
    "value_cum": ("value_cum", "value_cum_krw"),
    "change": ("change", "prdy_vrss", "cmpprevdd_prc", "대비"),
    "base": ("base", "base_price", "기준가"),
    "prev_close": ("prev_close", "previous_close", "전일종가"),
    "name": ("name", "isu_abbrv", "hts_kor_isnm", "종목명"),
    "market": ("market", "mkt_nm", "시장구분"),
    "kind": ("kind",),
    "sector": ("sector", "sec_m_name", "업종명"),
    "shares": ("shares", "listed_shares", "list_shrs", "상장주식수"),
    "halted": ("halted", "거래정지"),
    "administrative": ("administrative", "admin_issue", "관리종목"),
    "liquidation": ("liquidation", "정리매매"),
    "foreign_net": ("foreign_net", "frgn_ntby_qty", "외국인순매수"),
    "institution_net": ("institution_net", "inst_net", "orgn_ntby_qty", "기관순매수"),
    "filed": ("filed", "rcept_dt", "statement_filed", "접수일"),
    "roe": ("roe",),
    "sales_growth": ("sales_growth", "revenue_yoy"),
    "op_margin": ("op_margin",),
    "op_growth": ("op_growth", "op_income_yoy"),
    "debt_ratio": ("debt_ratio",),
}
"""What a column is called; the first name present in the file wins. Prices won, quantities shares, ratios percent."""
PERCENT = frozenset({"roe", "sales_growth", "op_margin", "op_growth", "debt_ratio"})
TEXT = frozenset({"code", "date", "time", "name", "market", "kind", "sector", "filed"})
FLAGS = frozenset({"halted", "administrative", "liquidation"})
MARKETS = {"KOSPI": "KOSPI", "STK": "KOSPI", "유가증권": "KOSPI"} | dict.fromkeys(
    ("KOSDAQ", "KOSDAQ GLOBAL", "KSQ", "코스닥"), "KOSDAQ"
)


class Source:
    """One open table `src`, its columns under their canonical names. Use `open_source`."""

    def __init__(self, connection: Any, path: Path, columns: Mapping[str, str]) -> None:
        self.connection = connection
        self.path = path
        self.columns = columns

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query over `src`. Raises MarketFileError naming the file."""
        import duckdb  # noqa: PLC0415

        try:
            found: list[tuple[Any, ...]] = self.connection.execute(sql).fetchall()
        except duckdb.Error as error:
            raise MarketFileError(f"cannot read {self.path}: {first_line(error)}") from None
        return found

    def records(self) -> list[dict[str, Any]]:
        """Return every row as a dictionary of canonical names; codes are six characters."""
        names = list(self.columns)
        return [dict(zip(names, row, strict=True)) for row in self.rows(f"SELECT {', '.join(names)} FROM src")]


@contextmanager
def open_source(path: Path, required: tuple[str, ...], columns: Mapping[str, str]) -> Iterator[Source]:
    """Open a Parquet or CSV file. *columns* maps canonical names to the file's own.

    Raises MarketFileError when the file cannot be read, lacks a required column or holds what is not a number.
    """
    import duckdb  # noqa: PLC0415

    if not path.is_file():
        raise MarketFileError(f"{path} is not a file")
    scan = f"read_parquet({pattern(path)})"
    if path.suffix.lower() != ".parquet":
        scan = f"read_csv({pattern(path)}, all_varchar=true, header=true)"
    with duckdb.connect() as connection:
        try:
            present = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {scan}").fetchall()]
        except duckdb.Error as error:
            raise MarketFileError(f"cannot read {path}: {first_line(error)}") from None
        chosen = choose_columns(path, present, columns)
        missing = [name for name in required if name not in chosen]
        if missing:
            raise MarketFileError(
                f"{path} has no column for {', '.join(missing)}; it has {', '.join(present)}: map one with name=column"
            )
        source = Source(connection, path, chosen)
        source.rows(f"CREATE TEMP TABLE raw AS SELECT {_raw(chosen)} FROM {scan}")
        for name in chosen:
            _check(source, name, needed=name in required)
        source.rows(
            f"CREATE TEMP VIEW src AS SELECT {', '.join(f'{_cast(name)} AS {name}' for name in chosen)} FROM raw"
        )
        yield source


def choose_columns(path: Path, present: list[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Return the file's column for each canonical name found, the caller's choice first."""
    by_lower = {name.lower(): name for name in present}
    chosen = {}
    for name, column in columns.items():
        if name not in ALIASES:
            raise MarketFileError(f"{name}={column}: no such column is used; known are {', '.join(ALIASES)}")
        if column.lower() in by_lower:
            chosen[name] = by_lower[column.lower()]
    taken = set(chosen.values())
    for name, aliases in ALIASES.items():
        for alias in aliases:
            if name not in chosen and alias in by_lower and by_lower[alias] not in taken:
                chosen[name] = by_lower[alias]
    if not chosen:
        raise MarketFileError(f"{path} has no known column; it has {', '.join(present)}")
    return chosen


def _raw(chosen: Mapping[str, str]) -> str:
    parts = []
    for name, column in chosen.items():
        identifier = '"' + column.replace('"', '""') + '"'
        parts.append(f"nullif(trim(CAST({identifier} AS VARCHAR)), '') AS {name}")
    return ", ".join(parts)


def _cast(name: str) -> str:
    if name == "code":
        return "lpad(code, CAST(greatest(length(code), 6) AS INTEGER), '0')"
    if name in TEXT:
        return name
    if name in FLAGS:
        return f"upper({name}) IN ('Y', 'TRUE', '1', 'T')"
    if name in PERCENT:
        return f"TRY_CAST(replace({name}, ',', '') AS DOUBLE)"
    return f"TRY_CAST(TRY_CAST(replace({name}, ',', '') AS DECIMAL(38, 4)) AS BIGINT)"


def _check(source: Source, name: str, *, needed: bool) -> None:
    if needed and source.rows(f"SELECT 1 FROM raw WHERE {name} IS NULL LIMIT 1"):
        raise MarketFileError(f"{source.path}: column {source.columns[name]} ({name}) has empty cells")
    if name in TEXT or name in FLAGS:
        return
    bad = source.rows(f"SELECT {name} FROM raw WHERE {name} IS NOT NULL AND {_cast(name)} IS NULL LIMIT 1")
    if bad:
        raise MarketFileError(
            f"{source.path}: column {source.columns[name]} ({name}) holds {bad[0][0]!r}, not a number"
        )


def parse_day(text: str, where: str) -> dt.date:
    """Return the date of `2026-01-15`, `20260115` or a date and time. Raises MarketFileError."""
    try:
        return dt.date.fromisoformat(text[:10] if "-" in text else text[:8])
    except ValueError:
        raise MarketFileError(f"{where}: {text!r} is not a date; write YYYY-MM-DD or YYYYMMDD") from None


def parse_moment(text: str, where: str) -> tuple[dt.date | None, int]:
    """Return (date or None, KST second of the day) of a time stamp.

    Known: ISO date and time (an offset is converted to KST), HH:MM[:SS], HHMMSS, HMMSS, YYYYMMDDHHMM[SS].
    Raises MarketFileError.
    """
    day: dt.date | None = None
    try:
        if text.isdigit():
            if len(text) in {12, 14}:
                day, text = dt.date.fromisoformat(text[:8]), text[8:]
            moment = dt.time.fromisoformat(text.zfill(4 if len(text) <= 4 else 6))
        elif len(text) > 10 and "-" in text[:8]:
            stamp = dt.datetime.fromisoformat(text)
            stamp = stamp.astimezone(KST) if stamp.tzinfo else stamp
            day, moment = stamp.date(), stamp.time()
        else:
            moment = dt.time.fromisoformat(text.zfill(len(text) + (text.find(":") == 1)))
    except ValueError:
        raise MarketFileError(f"{where}: {text!r} is not a time; write HH:MM:SS, HHMMSS or an ISO time stamp") from None
    return day, moment.hour * 3600 + moment.minute * 60 + moment.second


def market_of(text: str, where: str) -> str:
    """Return KOSPI or KOSDAQ for a market's name. Raises MarketFileError for any other."""
    try:
        return MARKETS[text.strip().upper()]
    except KeyError:
        raise MarketFileError(f"{where}: market {text!r} is not KOSPI or KOSDAQ") from None


__all__ = ["ALIASES", "Source", "literal", "market_of", "open_source", "parse_day", "parse_moment", "pattern"]
