# ruff: noqa: S608 -- the queries are built from names of this module, and paths are escaped
"""Import a recorded KRX day from a folder of research data: bars of some stocks, official rows of all.

What the exchange knows as the day opens: base price (close - change: the previous close is wrong after a split),
limits, the three names in liquidation trading (a dated side list; KRX publishes no flag in the daily rows), names,
markets (KOSDAQ GLOBAL is KOSDAQ) and the administrative mark of the day before's rows. The master file is weeks younger
than the day: only names of ETFs, sectors, kinds and index membership are taken from it, none of its flags or figures.
Halted: no trade that day nor in the five sessions before. Everything in the research table was published before the
day: PER and PBR are moved to the base price, closes, flows and filings are those of earlier dates.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Self

from .importer_parts import (
    CLOSES_KEPT,
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
from .importer_sources import open_source
from .model import Kind, MarketFileError, Stock
from .research import first_line, pattern

LIQUIDATION = {dt.date(2026, 1, 15): frozenset({"150840", "010600", "057880"})}
"""Names in liquidation trading (no price limits, 30-minute call auctions), by day."""
SESSIONS_TO_CALL_HALTED = 5
SPLIT_RATIO_BP = 3_100
"""A close that moves further from one session to the next was not traded there: the share count changed."""
GROUPS: dict[str, Kind] = {"EF": "etf", "EN": "etn", "RT": "reit"}


def import_krx_day(shared: Path, day: dt.date, out: Path, *, seed: int = 20260115) -> ImportReport:
    """Write the recorded *day* under *shared* (folders `day-YYYY-MM-DD`, `master`, `research`, `hours`) to *out*.

    Stocks without minute bars get a path drawn from *seed* that hits their official open, high, low, close and volume.
    Raises MarketFileError naming the file that is missing or wrong.
    """
    with _Data(Path(shared), day) as data:
        hours = data.hours()
        minute = data.minute_bars(hours)
        prev_day = data.prev_day()
        rows = data.listing(sorted(minute.rows))
        histories = data.histories()
        stocks = tuple(_stock(row, minute, histories, LIQUIDATION.get(day, frozenset())) for row in rows)
        per, pbr = data.valuations()
        known = Known(
            day=day,
            histories={
                stock.code: _comparable(histories[stock.code], stock) for stock in stocks if stock.code in histories
            },
            flows=data.flows(),
            statements=data.statements(),
            per_x100=per,
            pbr_x100=pbr,
        )
    research = [research_row(stock, known, halted=_was_halted(histories.get(stock.code))) for stock in stocks]
    daily = {row["code"]: DailyRow(row["open"], row["high"], row["low"], row["close"], row["volume"]) for row in rows}
    bars = put_together(seed, hours, stocks, minute, daily)
    made = save_day(out, day, prev_day, seed, hours, stocks, bars, research)
    return report_of(made, research, minute, ())


class _Data:
    """The folder's tables, read for one day."""

    def __init__(self, shared: Path, day: dt.date) -> None:
        import duckdb  # noqa: PLC0415  playing a generated day does not need it

        self.day = day
        self.shared = shared
        self.folder = shared / f"day-{day}"
        if not self.folder.is_dir():
            raise MarketFileError(f"{shared} has no folder day-{day}: give the folder that holds the recorded days")
        self.daily = self._one("daily_all_*.parquet")
        self._connection = duckdb.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def _one(self, name: str, folder: Path | None = None) -> Path:
        place = folder if folder is not None else self.folder
        found = sorted(place.glob(name))
        if len(found) != 1:
            raise MarketFileError(f"{place} has {len(found)} files {name}, one is needed")
        return found[0]

    def _rows(self, sql: str, path: Path) -> list[tuple[Any, ...]]:
        import duckdb  # noqa: PLC0415

        try:
            found: list[tuple[Any, ...]] = self._connection.execute(sql).fetchall()
        except duckdb.Error as error:
            raise MarketFileError(f"cannot read {path}: {first_line(error)}") from None
        return found

    def hours(self) -> Hours:
        """The day's session. Raises MarketFileError on a day without one."""
        path = self._one("xkrx_weekdays_*.csv", self.shared / "hours")
        found = self._rows(
            f"SELECT is_session, epoch(open_kst), epoch(close_kst) FROM read_csv({pattern(path)}) WHERE date = '{self.day}'",
            path,
        )
        if not found or not found[0][0]:
            raise MarketFileError(f"{path}: {self.day} is no session")
        return Hours(int(found[0][1]), int(found[0][2]))

    def minute_bars(self, hours: Hours) -> MinuteBars:
        """The recorded bars, off-grid prints as printed."""
        path = self._one("minute_bars_[0-9]*codes.parquet")
        with open_source(path, ("code", "time", "open", "high", "low", "close", "volume"), {}) as source:
            return read_minute_bars(source, self.day, hours)

    def prev_day(self) -> dt.date:
        """The session before the day."""
        path = self.daily
        found = self._rows(f"SELECT max(date) FROM read_parquet({pattern(path)}) WHERE date < '{self.day}'", path)
        if found[0][0] is None:
            raise MarketFileError(f"{path} has no session before {self.day}")
        prev: dt.date = found[0][0]
        return prev

    def listing(self, with_bars: list[str]) -> list[dict[str, Any]]:
        """Every KOSPI and KOSDAQ stock of the day by code, and the ETFs among the bars (not in the daily rows)."""
        master = self._one("kis_master_*.parquet", self.shared / "master")
        history = self._one("kis_daily_history_of_codes.parquet")
        names = (
            "code", "name", "market", "open", "high", "low", "close", "volume", "base", "shares", "dept",
            "prev_close", "prev_volume", "group", "pref", "spac", "sector", "k200",
        )  # fmt: skip
        extra = "\"group\", pref, spac, coalesce(sec_m_name, sec_l_name, '기타'), coalesce(k200_sector, '0') <> '0'"
        stocks = self._rows(
            f"""WITH d AS (FROM read_parquet({pattern(self.daily)}) WHERE market <> 'KONEX'),
            prev AS (FROM d WHERE date = '{self.prev_day()}')
            SELECT t.code, t.name, t.market, t.open, t.high, t.low, t.close, t.volume, t.close - t.change, t.shares,
              prev.dept, coalesce(prev.close, t.close - t.change), coalesce(prev.volume, 0), {extra}
            FROM (FROM d WHERE date = '{self.day}') t LEFT JOIN prev USING (code)
            LEFT JOIN read_parquet({pattern(master)}) m ON m.code = t.code ORDER BY t.code""",
            self.daily,
        )
        seen = {row[0] for row in stocks}
        others = ", ".join(f"'{code}'" for code in with_bars if code not in seen)
        etfs = self._rows(
            f"""SELECT m.code, m.name, m.market, 0, 0, 0, 0, 0, h.base, shares_k * 1000, NULL, h.base, h.volume, {extra}
            FROM read_parquet({pattern(master)}) m JOIN (
              SELECT code, arg_max(close, date) AS base, arg_max(volume, date) AS volume
              FROM read_parquet({pattern(history)}) WHERE date < '{self.day}' GROUP BY code) h USING (code)
            WHERE m.code IN ({others or "''"}) ORDER BY m.code""",
            master,
        )
        listed = [dict(zip(names, row, strict=True)) for row in [*stocks, *etfs]]
        missing = set(with_bars) - {row["code"] for row in listed}
        if missing:
            raise MarketFileError(f"{master} and {self.daily} do not list {min(missing)}, which has minute bars")
        return sorted(listed, key=lambda row: str(row["code"]))

    def histories(self) -> dict[str, History]:
        """Daily values before the day: the long table of closes, other columns where they were recorded."""
        long = self._one("kis_daily_history_of_codes.parquet")
        closes = self._one("close_all_*.parquet")
        values = (
            "list(close ORDER BY date), list(volume ORDER BY date), list(high ORDER BY date), list(low ORDER BY date), "
            "max(date)"
        )
        touched = "CASE WHEN volume = 0 THEN close ELSE {0} END AS {0}"
        found: dict[str, History] = {}
        for path in (self.daily, long):
            rows = self._rows(
                f"SELECT code, {values} FROM (SELECT code, date, close, volume, {touched.format('high')}, "
                f"{touched.format('low')} FROM read_parquet({pattern(path)}) WHERE date < '{self.day}') GROUP BY code",
                path,
            )
            found |= {
                code: History(tuple(closes), tuple(volumes), tuple(highs), tuple(lows), until)
                for code, closes, volumes, highs, lows, until in rows
            }
        detailed = {row[0] for row in self._rows(f"SELECT DISTINCT code FROM read_parquet({pattern(long)})", long)}
        for code, column, until in self._rows(
            f"SELECT code, list(close ORDER BY date), max(date) FROM read_parquet({pattern(closes)}) "
            f"WHERE date < '{self.day}' GROUP BY code",
            closes,
        ):
            if code not in detailed:
                held = found.get(code, History())
                newest = until if held.until is None else max(until, held.until)
                found[code] = held._replace(closes=tuple(column[-CLOSES_KEPT:]), until=newest)
        return found

    def valuations(self) -> tuple[dict[str, int], dict[str, int]]:
        """PER and PBR in hundredths at the base price: the recorded ones are of the day's own close."""
        path = self._one("per_pbr_all.parquet")
        moved = "CAST(round(100 * {0} * (d.close - d.change) / d.close) AS BIGINT)"
        rows = self._rows(
            f"SELECT p.code, {moved.format('per')}, {moved.format('pbr')} FROM read_parquet({pattern(path)}) p "
            f"JOIN read_parquet({pattern(self.daily)}) d ON d.code = p.code AND d.date = '{self.day}' "
            f"WHERE p.date = '{self.day}' AND d.close > 0",
            path,
        )
        return (
            {code: per for code, per, _ in rows if per is not None},
            {code: pbr for code, _, pbr in rows if pbr is not None},
        )

    def flows(self) -> dict[str, Flows]:
        """Net shares of the sessions before the day."""
        path = self._one("investor_flow_*codes.parquet")
        rows = self._rows(
            f"SELECT code, list((foreign_net, inst_net) ORDER BY date), max(date) FROM read_parquet({pattern(path)}) "
            f"WHERE date < '{self.day}' GROUP BY code",
            path,
        )
        return {code: flows_of(pairs, until) for code, pairs, until in rows}

    def statements(self) -> dict[str, Statement]:
        """The newest annual statement of each company filed before the day."""
        path = self._one("dart_annual_pit_*.parquet", self.shared / "research")
        columns = "rcept_dt, roe, revenue_yoy, op_margin, op_income_yoy, debt_ratio"
        rows = self._rows(
            f"SELECT stock_code, {columns} FROM read_parquet({pattern(path)}) WHERE rcept_dt < '{self.day:%Y%m%d}' "
            "QUALIFY row_number() OVER (PARTITION BY stock_code ORDER BY analysis_year DESC, rcept_dt DESC) = 1",
            path,
        )
        return {
            code: Statement(f"{filed[:4]}-{filed[4:6]}-{filed[6:]}", *(basis_points(ratio) for ratio in ratios))
            for code, filed, *ratios in rows
        }


def _was_halted(history: History | None) -> bool:
    recent = history.volumes[-SESSIONS_TO_CALL_HALTED:] if history else ()
    return len(recent) == SESSIONS_TO_CALL_HALTED and not any(recent)


def _comparable(history: History, stock: Stock) -> History:
    """Leave out what lies before a change of the share count; scale to the base price if that came this morning."""
    closes = history.closes
    cut = 0
    for place in range(1, len(closes)):
        before, after = closes[place - 1], closes[place]
        if before <= 0 or abs(after - before) * 10_000 > SPLIT_RATIO_BP * before:
            cut = place
    kept = len(closes) - cut
    columns = [column[-kept:] for column in (history.closes, history.volumes, history.highs, history.lows)]
    if closes and abs(stock.base - closes[-1]) * 10_000 > SPLIT_RATIO_BP * closes[-1]:
        last = closes[-1]
        columns = [
            tuple(value * last // stock.base if at == 1 else value * stock.base // last for value in column)
            for at, column in enumerate(columns)
        ]
    return History(columns[0], columns[1], columns[2], columns[3], history.until)


def _stock(
    row: dict[str, Any], minute: MinuteBars, histories: dict[str, History], liquidation: frozenset[str]
) -> Stock:
    code, name = row["code"], row["name"]
    kind = GROUPS.get(row["group"] or "", "common")
    if kind == "common":
        kind = "spac" if row["spac"] == "Y" else "preferred" if row["pref"] in {"1", "2", "9"} else kind_of(code, name)
    in_liquidation = code in liquidation
    upper, lower = limits_of(row["base"], etp=kind in {"etf", "etn"}, liquidation=in_liquidation)
    has_bars = code in minute.rows
    traded = has_bars or row["volume"] > 0
    return Stock(
        code=code,
        name=name,
        market="KOSPI" if row["market"] == "KOSPI" else "KOSDAQ",
        kind=kind,
        base=row["base"],
        upper=upper,
        lower=lower,
        halted=not traded and _was_halted(histories.get(code)),
        administrative="관리종목" in (row["dept"] or "") and not in_liquidation,
        liquidation=in_liquidation,
        warning=0,
        overheated=False,
        prev_close=row["prev_close"],
        prev_volume=row["prev_volume"],
        listed_shares=row["shares"] or 0,
        sector=row["sector"],
        kospi200=row["k200"],
        drawn=not has_bars and row["volume"] > 0,
        single_price=is_single_price(minute.bars, minute.rows[code]) if has_bars else in_liquidation,
    )
