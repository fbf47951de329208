"""A market day as a folder: written whole or not at all, and checked when read.

See the package's docstring for the format. Every fault is a MarketFileError of one line that names the file.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np
from msgspec import Struct

from .bars import Bars, check_bars
from .day import MarketDay
from .mixing import Flags, Ints
from .model import Interruption, MarketFileError, NewsTitle, Stock
from .research import COLUMNS, convert_row, first_line, literal, pattern, read_parquet, read_rows, write_rows
from .scripts import ScriptedHalt, ScriptedVi, scripted

FORMAT: Final = "kquant-market-day"
VERSION = 1
META, STOCKS, BARS, NEWS, RESEARCH = "meta.json", "stocks.parquet", "bars.parquet", "news.parquet", "research.parquet"
INTERRUPTIONS = "interruptions.json"
STOCK_TYPES = {
    "code": "VARCHAR",
    "name": "VARCHAR",
    "market": "VARCHAR",
    "kind": "VARCHAR",
    "base": "BIGINT",
    "upper": "BIGINT",
    "lower": "BIGINT",
    "halted": "BOOLEAN",
    "administrative": "BOOLEAN",
    "liquidation": "BOOLEAN",
    "warning": "INTEGER",
    "overheated": "BOOLEAN",
    "prev_close": "BIGINT",
    "prev_volume": "BIGINT",
    "listed_shares": "BIGINT",
    "sector": "VARCHAR",
    "kospi200": "BOOLEAN",
    "drawn": "BOOLEAN",
    "single_price": "BOOLEAN",
}
NEWS_TYPES = {
    "id": "VARCHAR",
    "date": "VARCHAR",
    "time": "VARCHAR",
    "title": "VARCHAR",
    "codes": "VARCHAR[]",
    "source": "VARCHAR",
}
BAR_COLUMNS = ("open", "high", "low", "close", "volume", "value")


class Meta(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`meta.json`. open_second and close_second are KST seconds of the day, on whole minutes."""

    format: Literal["kquant-market-day"]
    version: int
    day: dt.date
    prev_day: dt.date
    seed: int
    source: Literal["generated", "imported"]
    open_second: int
    close_second: int


class _InterruptionRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of `interruptions.json`: the fields of `Interruption` and the code."""

    code: str
    kind: Literal["static", "dynamic", "halt"]
    start: int
    end: int
    trigger: int
    reference: int
    deviation_bp: int
    result: int
    reason: str


class _NewsRow(Struct, frozen=True):
    id: str
    date: dt.date
    time: dt.time
    title: str
    codes: tuple[str, ...]
    source: str


def save(market_day: MarketDay, path: Path) -> None:
    """Write the day as the folder *path*; a market day already there is replaced, anything else is refused.

    The folder is written beside *path* and renamed, so a crash leaves the old one or none. Raises MarketFileError.
    """
    path = Path(path)
    if path.exists() and not (path / META).is_file() and not (path.is_dir() and not any(path.iterdir())):
        raise MarketFileError(f"{path} exists and is not a market day: choose another folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial_folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise MarketFileError(f"cannot write {path}: {error.strerror or error}") from None
    try:
        _write(market_day, partial_folder)
        partial_folder.chmod(0o755)
        _swap(partial_folder, path)
    except OSError as error:
        raise MarketFileError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(partial_folder, ignore_errors=True)


def _swap(fresh: Path, path: Path) -> None:
    """Put *fresh* in the place of *path*; afterwards *fresh* is what was there, or gone."""
    if not path.exists():
        fresh.rename(path)
        return
    old = fresh.with_name(fresh.name + ".old")
    path.rename(old)
    try:
        fresh.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old)


def _write(day: MarketDay, folder: Path) -> None:
    write_rows(day.stocks, STOCK_TYPES, folder / STOCKS)
    write_rows([_NewsRow(*title) for title in day.all_news], NEWS_TYPES, folder / NEWS)
    day.write_research(folder / RESEARCH)
    _write_bars(day, folder / BARS)
    names = [META, STOCKS, BARS, NEWS, RESEARCH]
    if day.interrupted():
        rows = [{"code": code, **one._asdict()} for code in day.interrupted() for one in day.interruptions(code)]
        (folder / INTERRUPTIONS).write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=1) + b"\n")
        names.append(INTERRUPTIONS)
    meta = Meta(
        format=FORMAT,
        version=VERSION,
        day=day.day,
        prev_day=day.prev_day,
        seed=day.seed,
        source=day.source,
        open_second=day.open_second,
        close_second=day.close_second,
    )
    (folder / META).write_bytes(msgspec.json.format(msgspec.json.encode(meta), indent=2) + b"\n")
    for name in names:
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())


def _write_bars(day: MarketDay, path: Path) -> None:
    import duckdb  # noqa: PLC0415  playing a generated day does not need it

    bars = day.bars
    rows, slots = np.nonzero(bars.volume > 0)
    codes = np.array([stock.code for stock in day.stocks], dtype=object)
    table: dict[str, Any] = {"code": codes[rows], "slot": slots.astype(np.int32)}
    table |= {name: getattr(bars, name)[rows, slots] for name in BAR_COLUMNS}
    table["auction"] = bars.auction[rows, slots]
    with duckdb.connect() as connection:
        connection.register("traded", table)
        connection.execute(f"COPY traded TO {literal(path)} (FORMAT parquet, COMPRESSION zstd)")


def load(
    path: Path,
    *,
    vi: Sequence[ScriptedVi | Mapping[str, object]] = (),
    halts: Sequence[ScriptedHalt | Mapping[str, object]] = (),
) -> MarketDay:
    """Read a market day's folder, and work in the interruptions and halts asked for (`scripts`).

    Raises MarketFileError: one line with the file and what is wrong with it.
    """
    path = Path(path)
    meta = read_meta(path)
    stocks = _read_stocks(path / STOCKS)
    bars = _read_bars(path / BARS, stocks, (meta.close_second - meta.open_second) // 60 + 1)
    news = _read_news(path / NEWS) if (path / NEWS).exists() else ()
    interruptions = _read_interruptions(path / INTERRUPTIONS, stocks)
    _check_research(path / RESEARCH)
    day = MarketDay(
        day=meta.day,
        prev_day=meta.prev_day,
        seed=meta.seed,
        source=meta.source,
        open_second=meta.open_second,
        close_second=meta.close_second,
        stocks=stocks,
        bars=bars,
        news=news,
        research=partial(_copy, path / RESEARCH),
        known=partial(read_parquet, path / RESEARCH),
        interruptions=interruptions,
    )
    return scripted(day, vi, halts)


def read_meta(path: Path) -> Meta:
    """Read `meta.json` of the folder *path*. Raises MarketFileError."""
    file = path / META
    if not path.is_dir():
        raise MarketFileError(f"{path} is not a folder: a market day is the folder `kquant market import` writes")
    try:
        meta = msgspec.json.decode(file.read_bytes(), type=Meta)
    except OSError as error:
        raise MarketFileError(f"cannot read {file}: {error.strerror or error}") from None
    except msgspec.MsgspecError as error:
        raise MarketFileError(f"{file} is not a market day's description: {first_line(error)}") from None
    if meta.version != VERSION:
        raise MarketFileError(
            f"{file} has format version {meta.version}, this program reads {VERSION}: import it again"
        )
    if not 0 <= meta.open_second < meta.close_second < 86_400 or meta.open_second % 60 or meta.close_second % 60:
        raise MarketFileError(f"{file} has open_second {meta.open_second} and close_second {meta.close_second}")
    if meta.prev_day >= meta.day:
        raise MarketFileError(f"{file} has prev_day {meta.prev_day} not before day {meta.day}")
    return meta


def _read_stocks(path: Path) -> tuple[Stock, ...]:
    stocks = tuple(convert_row(row, Stock, path) for row in read_rows(path, tuple(STOCK_TYPES)))
    if not stocks:
        raise MarketFileError(f"{path} lists no stock")
    seen: set[str] = set()
    for stock in stocks:
        if stock.code in seen:
            raise MarketFileError(f"{path} lists {stock.code} twice")
        seen.add(stock.code)
        if stock.base <= 0 or not 0 <= stock.lower <= stock.base <= stock.upper:
            raise MarketFileError(
                f"{path}: {stock.code} has base {stock.base} with limits {stock.lower} and {stock.upper}"
            )
    return stocks


def _read_bars(path: Path, stocks: tuple[Stock, ...], slots: int) -> Bars:
    import duckdb  # noqa: PLC0415

    columns = ", ".join(f"CAST({name} AS BIGINT) AS {name}" for name in ("slot", *BAR_COLUMNS))
    codes = tuple(stock.code for stock in stocks)
    rows = {"listed": np.array(codes, dtype=object), "place": np.arange(len(codes), dtype=np.int64)}
    try:
        with duckdb.connect() as connection:
            connection.register("places", rows)
            found = connection.execute(
                f"SELECT code, coalesce(place, -1) AS place, {columns}, CAST(auction AS BOOLEAN) AS auction "  # noqa: S608
                f"FROM read_parquet({pattern(path)}) LEFT JOIN places ON code = listed"
            ).fetchnumpy()
    except duckdb.Error as error:
        raise MarketFileError(f"cannot read {path}: {first_line(error)}") from None
    for name, column in found.items():
        if np.ma.is_masked(column):
            raise MarketFileError(f"{path} has an empty {name}")
    place: Ints = np.asarray(found["place"], dtype=np.int64)
    slot: Ints = np.asarray(found["slot"], dtype=np.int64)
    _refuse(path, found["code"], place < 0, "which is not in stocks.parquet")
    _refuse(path, found["code"], (slot < 0) | (slot >= slots), f"outside the day's {slots} minutes")
    cell = place * slots + slot
    if len(np.unique(cell)) != len(cell):
        raise MarketFileError(f"{path} has two bars for one stock and minute")
    bars = Bars.empty(len(stocks), slots)
    for name in (*BAR_COLUMNS, "auction"):
        getattr(bars, name)[place, slot] = np.asarray(found[name])
    check_bars(bars, codes, str(path))
    return bars


def _refuse(path: Path, codes: Any, bad: Flags, what: str) -> None:
    if bad.any():
        raise MarketFileError(f"{path} has a bar of {codes[int(np.argmax(bad))]} {what}")


def _read_news(path: Path) -> tuple[NewsTitle, ...]:
    found = (convert_row(row, _NewsRow, path) for row in read_rows(path, tuple(NEWS_TYPES)))
    return tuple(NewsTitle(row.id, row.date, row.time, row.title, row.codes, row.source) for row in found)


def _read_interruptions(path: Path, stocks: tuple[Stock, ...]) -> dict[str, tuple[Interruption, ...]]:
    """Read the interruptions by code, in order; a day without the file has none."""
    if not path.exists():
        return {}
    try:
        rows = msgspec.json.decode(path.read_bytes(), type=list[_InterruptionRow])
    except OSError as error:
        raise MarketFileError(f"cannot read {path}: {error.strerror or error}") from None
    except msgspec.MsgspecError as error:
        raise MarketFileError(f"{path} does not list interruptions: {first_line(error)}") from None
    listed = {stock.code for stock in stocks}
    found: dict[str, tuple[Interruption, ...]] = {}
    for row in rows:
        own = found.get(row.code, ())
        if row.code not in listed:
            raise MarketFileError(f"{path} interrupts {row.code}, which is not in stocks.parquet")
        if not (own[-1].end if own else -1) < row.start < row.end:
            raise MarketFileError(f"{path}: {row.code} is interrupted from {row.start} to {row.end}, out of order")
        one = {name: getattr(row, name) for name in Interruption._fields}
        found[row.code] = (*own, Interruption(**one))
    return found


def _check_research(path: Path) -> None:
    import duckdb  # noqa: PLC0415

    try:
        with duckdb.connect() as connection:
            connection.execute(f"SELECT {', '.join(COLUMNS)} FROM read_parquet({pattern(path)}) LIMIT 0")  # noqa: S608
    except duckdb.Error as error:
        raise MarketFileError(f"cannot read {path}: {first_line(error)}") from None


def _copy(source: Path, path: Path) -> None:
    try:
        shutil.copyfile(source, path)
    except OSError as error:
        raise MarketFileError(f"cannot copy {source} to {path}: {error.strerror or error}") from None
