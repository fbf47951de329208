"""Turn minute bars or ticks of any source into a market day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .generate import previous_open_day
from .importer_parts import (
    Flows,
    History,
    Hours,
    ImportReport,
    Known,
    MinuteBars,
    Statement,
    basis_points,
    flows_of,
    is_single_price,
    kind_of,
    limits_of,
    put_together,
    read_minute_bars,
    report_of,
    research_row,
    save_day,
)
from .importer_paths import DailyRow
from .importer_sources import market_of, open_source, parse_day
from .model import Kind, MarketFileError, Stock
from .sessions import regular_hours

KINDS: dict[str, Kind] = {
    "common": "common",
    "preferred": "preferred",
    "etf": "etf",
    "etn": "etn",
    "spac": "spac",
    "reit": "reit",
}
PRICES = ("open", "high", "low", "close", "volume")
NO_COLUMNS: Mapping[str, str] = {}
Record = dict[str, Any]


def import_bars(
    bars: Path,
    day: dt.date,
    out: Path,
    *,
    daily: Path | None = None,
    master: Path | None = None,
    flows: Path | None = None,
    statements: Path | None = None,
    columns: Mapping[str, str] = NO_COLUMNS,
    seed: int = 0,
    open_second: int | None = None,
    close_second: int | None = None,
) -> ImportReport:
    """Write the market day of *day* to the folder *out* and say what was found. Raises MarketFileError.

    bars: minute bars (code, time, open, high, low, close, volume, optionally value) or ticks (code, time, price, qty).
    daily: official rows (code, open, high, low, close, volume; date, name, market, change, base); a stock that has
    only this gets a drawn path, and rows before *day* become its history.   master: code with name, market, kind,
    sector, shares and flags.   flows: code, date, foreign_net, institution_net.   statements: code, filed and ratios
    in percent.   columns: canonical name -> the file's column, where `importer_sources.ALIASES` does not know it.
    The base price is `base`, else close - change, else the close before *day*, else the first price (reported).
    The session is that of *day* where none is given.
    """
    usual = regular_hours(day)
    hours = Hours(usual[0] if open_second is None else open_second, usual[1] if close_second is None else close_second)
    with open_source(bars, ("code", "time"), columns) as source:
        ticks = "price" in source.columns and "open" not in source.columns
        missing = [name for name in (("price", "qty") if ticks else PRICES) if name not in source.columns]
        if missing:
            raise MarketFileError(f"{bars} has no column for {', '.join(missing)}: map one with name=column")
        minute = read_minute_bars(source, day, hours)
    rows = _records(daily, ("code", *PRICES), columns)
    today, before = _split(rows, day, daily)
    listed = {record["code"]: record for record in _records(master, ("code",), columns)}
    stocks: list[Stock] = []
    guessed: list[str] = []
    daily_rows: dict[str, DailyRow] = {}
    for code in sorted(minute.rows.keys() | today.keys() | (listed.keys() & before.keys())):
        row = today.get(code)
        if row is not None:
            daily_rows[code] = DailyRow(*(_number(row, name, daily) for name in PRICES))
        base = _base(code, row, before.get(code, []), minute, listed.get(code, {}))
        if base is None:
            guessed.append(code)
            base = _first_price(minute, code, daily_rows)
        known_as = {**(row or {}), **{k: v for k, v in listed.get(code, {}).items() if v is not None}}
        stocks.append(_stock(code, known_as, base, before.get(code, []), minute, daily_rows, str(master or daily)))
    known = Known(
        day=day,
        histories={code: _history(past) for code, past in before.items()},
        flows=_flows(flows, day, columns),
        statements=_statements(statements, day, columns),
        per_x100={},
        pbr_x100={},
    )
    research = [research_row(stock, known, halted=stock.halted) for stock in stocks]
    filled = put_together(seed, hours, stocks, minute, daily_rows)
    prev_day = max((past[-1]["day"] for past in before.values()), default=previous_open_day(day))
    made = save_day(out, day, prev_day, seed, hours, stocks, filled, research)
    return report_of(made, research, minute, tuple(guessed))


def _records(path: Path | None, required: tuple[str, ...], columns: Mapping[str, str]) -> list[Record]:
    if path is None:
        return []
    with open_source(path, required, columns) as source:
        return source.records()


def _split(rows: list[Record], day: dt.date, path: Path | None) -> tuple[dict[str, Record], dict[str, list[Record]]]:
    """Return the day's row by code, and the rows before the day, oldest first; later ones are never looked at."""
    today: dict[str, Record] = {}
    before: dict[str, list[Record]] = {}
    for row in rows:
        row["day"] = parse_day(row["date"], f"{path}: column date") if row.get("date") else day
        if row["day"] == day and today.setdefault(row["code"], row) is not row:
            raise MarketFileError(f"{path} has two rows of {row['code']} for {day}")
        if row["day"] < day:
            before.setdefault(row["code"], []).append(row)
    for past in before.values():
        past.sort(key=lambda row: row["day"])
    return today, before


def _number(row: Record, name: str, path: Path | None) -> int:
    value = row[name]
    if not isinstance(value, int):
        raise MarketFileError(f"{path}: {row['code']} has no {name}")
    return value


def _base(code: str, row: Record | None, past: list[Record], minute: MinuteBars, master: Record) -> int | None:
    """Return the day's base price; the previous close is only its stand-in (they differ after a split)."""
    for record in (row or {}, master):
        if record.get("base"):
            return int(record["base"])
    if row is not None and row.get("change") is not None:
        return int(row["close"]) - int(row["change"])
    if row is not None and row.get("prev_close"):
        return int(row["prev_close"])
    return int(past[-1]["close"]) if past else minute.earlier.get(code)


def _first_price(minute: MinuteBars, code: str, daily: Mapping[str, DailyRow]) -> int:
    if code in minute.rows:
        row = minute.rows[code]
        return int(minute.bars.open[row, int((minute.bars.volume[row] > 0).argmax())])
    return daily[code].open or daily[code].close


def _stock(
    code: str,
    record: Record,
    base: int,
    past: list[Record],
    minute: MinuteBars,
    daily: Mapping[str, DailyRow],
    where: str,
) -> Stock:
    if base <= 0:
        raise MarketFileError(f"{where}: the base price of {code} would be {base}; a column `change` is signed won")
    name = str(record.get("name") or code)
    kind = kind_of(code, name)
    if record.get("kind"):
        text = str(record["kind"]).lower()
        if text not in KINDS:
            raise MarketFileError(f"{where}: kind {text!r} of {code} is not one of {', '.join(KINDS)}")
        kind = KINDS[text]
    liquidation = bool(record.get("liquidation"))
    upper, lower = limits_of(base, etp=kind in {"etf", "etn"}, liquidation=liquidation)
    market = market_of(str(record["market"]), where) if record.get("market") else "KOSPI"
    has_bars = code in minute.rows
    return Stock(
        code=code,
        name=name,
        market="KOSPI" if market == "KOSPI" else "KOSDAQ",
        kind=kind,
        base=base,
        upper=upper,
        lower=lower,
        halted=bool(record.get("halted")),
        administrative=bool(record.get("administrative")),
        liquidation=liquidation,
        warning=0,
        overheated=False,
        prev_close=int(past[-1]["close"]) if past else base,
        prev_volume=int(past[-1]["volume"]) if past else 0,
        listed_shares=int(record.get("shares") or 0),
        sector=str(record.get("sector") or "기타"),
        kospi200=False,
        drawn=not has_bars and code in daily and daily[code].volume > 0,
        single_price=is_single_price(minute.bars, minute.rows[code]) if has_bars else liquidation,
    )


def _history(past: list[Record]) -> History:
    closes, volumes = (tuple(int(row[name]) for row in past) for name in ("close", "volume"))
    # A session without a trade has no high or low of its own: the close stands for both.
    highs = tuple(int(row["high"] or row["close"]) for row in past)
    lows = tuple(int(row["low"] or row["close"]) for row in past)
    return History(closes, volumes, highs, lows, past[-1]["day"] if past else None)


def _flows(path: Path | None, day: dt.date, columns: Mapping[str, str]) -> dict[str, Flows]:
    rows: dict[str, list[tuple[dt.date, int | None, int | None]]] = {}
    for record in _records(path, ("code", "date", "foreign_net", "institution_net"), columns):
        at = parse_day(record["date"], f"{path}: column date")
        if at < day:
            rows.setdefault(record["code"], []).append((at, record["foreign_net"], record["institution_net"]))
    return {
        code: flows_of([row[1:] for row in sorted(past, key=lambda row: row[0])], max(row[0] for row in past))
        for code, past in rows.items()
    }


def _statements(path: Path | None, day: dt.date, columns: Mapping[str, str]) -> dict[str, Statement]:
    newest: dict[str, Statement] = {}
    for record in _records(path, ("code", "filed"), columns):
        filed = parse_day(record["filed"], f"{path}: column filed")
        held = newest.get(record["code"])
        if filed < day and (held is None or held.filed <= filed.isoformat()):
            newest[record["code"]] = Statement(
                filed.isoformat(),
                basis_points(record.get("roe")),
                basis_points(record.get("sales_growth")),
                basis_points(record.get("op_margin")),
                basis_points(record.get("op_growth")),
                basis_points(record.get("debt_ratio")),
            )
    return newest
