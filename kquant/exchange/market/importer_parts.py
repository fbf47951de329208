# ruff: noqa: S608 -- the queries are built from names of this package, and paths and columns are escaped
"""What both importers share: minute bars from a table, research rows from histories, and the day put together."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from .bars import Bars
from .day import MarketDay
from .files import save
from .grid import NO_UPPER_LIMIT, daily_limits
from .importer_paths import DailyRow, draw_into
from .importer_sources import Source, parse_day, parse_moment
from .mixing import Ints
from .model import Kind, MarketFileError, Stock
from .research import DAY_US, ResearchRow, final_at, midnight, write_parquet

CLOSES_KEPT = 120
YEAR_SESSIONS = 240
_PREFERRED = re.compile(r"우[A-C]?$|우\(전환\)$")


class ImportReport(Struct, frozen=True, kw_only=True):
    """What an import found. `drawn`: path drawn from a daily row; `untraded`: listed without a trade that day.

    `left_out`: bars or ticks of the day outside its session. `guessed_bases`: codes whose base price is their first
    price, because no daily row, base or earlier bar gives one. `flows_5d`, `statements`, `closes`: stocks that have
    them in the research table.
    """

    day: dt.date
    prev_day: dt.date
    stocks: int
    from_bars: int
    drawn: int
    untraded: int
    left_out: int
    guessed_bases: tuple[str, ...]
    upper_limits: int
    liquidation: tuple[str, ...]
    single_price: tuple[str, ...]
    closes: int
    flows_5d: int
    statements: int


class Hours(NamedTuple):
    """Regular session in KST seconds of the day, on whole minutes."""

    open_second: int
    close_second: int

    @property
    def slots(self) -> int:
        """Minutes of the session and one slot for the closing match."""
        return (self.close_second - self.open_second) // 60 + 1


class MinuteBars(NamedTuple):
    """Bars of several stocks: code -> row of `bars`, bars outside the session, last close before the day by code."""

    rows: dict[str, int]
    bars: Bars
    left_out: int
    earlier: dict[str, int]


class History(NamedTuple):
    """Daily values before the day, newest last; lists may differ in length. until: the newest session of any."""

    closes: tuple[int, ...] = ()
    volumes: tuple[int, ...] = ()
    highs: tuple[int, ...] = ()
    lows: tuple[int, ...] = ()
    until: dt.date | None = None


class Statement(NamedTuple):
    """The newest annual statement filed before the day; basis points, None where not stated."""

    filed: str
    roe_bp: int | None
    sales_growth_bp: int | None
    op_margin_bp: int | None
    op_growth_bp: int | None
    debt_ratio_bp: int | None


class Flows(NamedTuple):
    """Net shares bought over the last 5 and 20 sessions; None where the sessions are not all known.

    until: the newest of the sessions.
    """

    foreign_5d: int | None
    institution_5d: int | None
    foreign_20d: int | None
    institution_20d: int | None
    until: dt.date | None = None


class Known(Struct, kw_only=True):
    """What is known of the stocks before the day, by code; a code may be missing everywhere."""

    day: dt.date

    histories: Mapping[str, History]
    flows: Mapping[str, Flows]
    statements: Mapping[str, Statement]
    per_x100: Mapping[str, int]
    pbr_x100: Mapping[str, int]


def read_minute_bars(source: Source, day: dt.date, hours: Hours) -> MinuteBars:
    """Return the day's bars of a table of minute bars, or of ticks folded into minutes.

    A bar's time is the start of its minute; the closing match has the session's end. Raises MarketFileError.
    """
    ticks = "price" in source.columns and "open" not in source.columns
    _place_times(source, day, hours)
    last = hours.slots - 1
    if ticks:
        prices = "arg_min(price, moment), max(price), min(price), arg_max(price, moment), sum(qty), sum(price * qty)"
        table = f"SELECT code, slot, {prices} FROM placed WHERE slot BETWEEN 0 AND {last} GROUP BY code, slot"
    else:
        value = "-1"
        if "value_cum" in source.columns:
            value = "value_cum - coalesce(lag(value_cum) OVER (PARTITION BY code ORDER BY slot), 0)"
        elif "value" in source.columns:
            value = "coalesce(value, -1)"
        table = (
            f"SELECT code, slot, open, high, low, close, volume, {value} FROM placed WHERE slot BETWEEN 0 AND {last}"
        )
    found = [row for row in source.rows(f"{table} ORDER BY code, slot") if row[6] != 0]
    left_out = source.rows(f"SELECT count(*) FROM placed WHERE slot NOT BETWEEN 0 AND {last}")[0][0]
    if not found:
        raise MarketFileError(f"{source.path} has no bar of {day} between the session's open and close")
    codes = sorted({row[0] for row in found})
    rows = {code: place for place, code in enumerate(codes)}
    if len({(row[0], row[1]) for row in found}) != len(found):
        raise MarketFileError(f"{source.path} has two bars for one stock and minute of {day}")
    bars = Bars.empty(len(codes), hours.slots)
    columns = [np.array(column, dtype=np.int64) for column in list(zip(*found, strict=True))[1:]]
    place = np.array([rows[row[0]] for row in found], dtype=np.int64)
    for name, column in zip(("open", "high", "low", "close", "volume", "value"), columns[1:], strict=True):
        getattr(bars, name)[place, columns[0]] = column
    _forget_impossible_values(bars)
    _mark_auctions(bars)
    close = "price" if ticks else "close"
    earlier = dict(source.rows(f"SELECT code, arg_max({close}, (day, second)) FROM timed WHERE day < 0 GROUP BY code"))
    return MinuteBars(rows, bars, int(left_out), earlier)


def _place_times(source: Source, day: dt.date, hours: Hours) -> None:
    """Make the views `timed` (all rows; `day` counts from the day) and `placed` (the day's rows with their slot)."""
    where = f"{source.path}: column {source.columns['time']}"
    dated = "date" in source.columns
    moments = []
    for time, date in source.rows(f"SELECT DISTINCT time, {'date' if dated else 'NULL'} FROM src"):
        stamp, second = parse_moment(time, where)
        if stamp is None and date is not None:
            stamp = parse_day(date, where)
        moments.append((time, date, 0 if stamp is None else (stamp - day).days, second))
    source.rows("CREATE TEMP TABLE moments (t VARCHAR, d VARCHAR, day INTEGER, second INTEGER)")
    source.connection.executemany("INSERT INTO moments VALUES (?, ?, ?, ?)", moments)
    match = "time = t AND date IS NOT DISTINCT FROM d" if dated else "time = t"
    source.rows(
        "CREATE TEMP TABLE timed AS SELECT src.*, moments.day, second, row_number() OVER () AS line "
        f"FROM src JOIN moments ON {match}"
    )
    source.rows(
        "CREATE TEMP VIEW placed AS SELECT *, (second, line) AS moment, "
        f"CAST(floor((second - {hours.open_second}) / 60) AS BIGINT) AS slot FROM timed WHERE day = 0"
    )


def _forget_impossible_values(bars: Bars) -> None:
    """A turnover no prices of the bar can give (rounding, a gap in a running total) counts as unknown."""
    low, high = bars.low * bars.volume, bars.high * bars.volume
    bars.value[(bars.value < low) | (bars.value > high) | (bars.volume <= 0)] = -1


def _mark_auctions(bars: Bars) -> None:
    traded = bars.volume > 0
    bars.auction[:, 0] = traded[:, 0]
    bars.auction[:, -1] = traded[:, -1]
    rows = np.arange(len(traded))
    first = np.argmax(traded, axis=1)
    # A late opening of a few minutes is still the opening match.
    delayed = (first <= 5) & (bars.high[rows, first] == bars.low[rows, first])
    bars.auction[rows[delayed], first[delayed]] = True


def is_single_price(bars: Bars, row: int) -> bool:
    """Whether the stock traded by 30-minute call auctions only: at least six one-price bars, all on the half hour."""
    at = np.flatnonzero(bars.volume[row] > 0)
    inside = at[at < bars.volume.shape[1] - 1]
    one_price = bool((bars.high[row, at] == bars.low[row, at]).all())
    return len(inside) >= 6 and one_price and bool((inside % 30 == 0).all())


def kind_of(code: str, name: str) -> Kind:
    """Return what a share is by KRX's naming: SPACs say so, preferred shares end in 우 and not in code digit 0."""
    if "스팩" in name:
        return "spac"
    if not code.endswith("0") and _PREFERRED.search(name):
        return "preferred"
    return "reit" if name.endswith("리츠") else "common"


def limits_of(base: int, *, etp: bool, liquidation: bool) -> tuple[int, int]:
    """Return (upper, lower); liquidation trading has no limits."""
    return (NO_UPPER_LIMIT, 0) if liquidation else daily_limits(base, etp=etp)


def put_together(
    seed: int,
    hours: Hours,
    stocks: Sequence[Stock],
    minute: MinuteBars,
    daily: Mapping[str, DailyRow],
) -> Bars:
    """Return the whole market's bars: as recorded where there are any, else drawn from the daily row."""
    bars = Bars.empty(len(stocks), hours.slots)
    own = [(row, minute.rows[stock.code]) for row, stock in enumerate(stocks) if stock.code in minute.rows]
    if own:
        target, origin = (np.array(column, dtype=np.int64) for column in zip(*own, strict=True))
        bars.put(target, _rows(minute.bars, origin))
    for row, stock in enumerate(stocks):
        if stock.drawn:
            draw_into(bars, row, stock, daily[stock.code], seed)
    return bars


def _rows(bars: Bars, rows: Ints) -> Bars:
    return Bars(*(getattr(bars, name)[rows] for name in ("open", "high", "low", "close", "volume", "value", "auction")))


def save_day(
    out: Path,
    day: dt.date,
    prev_day: dt.date,
    seed: int,
    hours: Hours,
    stocks: Sequence[Stock],
    bars: Bars,
    research: Sequence[ResearchRow],
) -> MarketDay:
    """Build the market day, which checks its bars, and write its folder."""
    made = MarketDay(
        day=day,
        prev_day=prev_day,
        seed=seed,
        source="imported",
        open_second=hours.open_second,
        close_second=hours.close_second,
        stocks=stocks,
        bars=bars,
        news=(),
        research=partial(write_parquet, research),
        known=lambda: research,
    )
    save(made, out)
    return made


def research_row(stock: Stock, known: Known, *, halted: bool) -> ResearchRow:
    """Return the stock's row; *halted*: as known the evening before. Nothing unknown is filled in."""
    history = known.histories.get(stock.code, History())
    statement = known.statements.get(stock.code)
    flows = known.flows.get(stock.code, Flows(None, None, None, None))
    year = len(history.highs) >= YEAR_SESSIONS
    return ResearchRow(
        code=stock.code,
        name=stock.name,
        market=stock.market,
        sector=stock.sector,
        kind=stock.kind,
        halted=halted,
        administrative=stock.administrative,
        liquidation=stock.liquidation,
        warning=stock.warning,
        overheated=stock.overheated,
        base=stock.base,
        market_cap=stock.base * stock.listed_shares if stock.listed_shares else None,
        per_x100=known.per_x100.get(stock.code),
        pbr_x100=known.pbr_x100.get(stock.code),
        roe_bp=statement.roe_bp if statement else None,
        sales_growth_bp=statement.sales_growth_bp if statement else None,
        op_margin_bp=statement.op_margin_bp if statement else None,
        op_growth_bp=statement.op_growth_bp if statement else None,
        debt_ratio_bp=statement.debt_ratio_bp if statement else None,
        statement_filed=statement.filed if statement else None,
        foreign_net_5d=flows.foreign_5d,
        institution_net_5d=flows.institution_5d,
        foreign_net_20d=flows.foreign_20d,
        institution_net_20d=flows.institution_20d,
        news_count=0,
        news_tone=None,
        closes=history.closes[-CLOSES_KEPT:] or None,
        volumes=history.volumes[-CLOSES_KEPT:] or None,
        highs=history.highs[-CLOSES_KEPT:] or None,
        lows=history.lows[-CLOSES_KEPT:] or None,
        w52_high=max(history.highs[-YEAR_SESSIONS:]) if year else None,
        w52_low=min(history.lows[-YEAR_SESSIONS:]) if year else None,
        # The base price of the day, and ratios at it, are known once the day begins.
        listing_known_at=midnight(known.day),
        valuation_known_at=midnight(known.day),
        prices_known_at=final_at(history.until) if history.until else None,
        flows_known_at=final_at(flows.until) if flows.until else None,
        financials_known_at=midnight(dt.date.fromisoformat(statement.filed)) + DAY_US if statement else None,
        prices_session=history.until.isoformat() if history.until else None,
        flows_session=flows.until.isoformat() if flows.until else None,
    )


def flows_of(rows: Sequence[tuple[int | None, int | None]], until: dt.date) -> Flows:
    """Sum (foreign, institution) net shares of the sessions before the day, oldest first, the newest being *until*."""

    def total(side: int, sessions: int) -> int | None:
        values = [row[side] for row in rows[-sessions:]]
        known = [value for value in values if value is not None]
        return sum(known) if len(known) == sessions else None

    return Flows(total(0, 5), total(1, 5), total(0, 20), total(1, 20), until)


def basis_points(percent: float | None) -> int | None:
    """Return a ratio given in percent as basis points; None stays None."""
    return None if percent is None or percent != percent else round(percent * 100)  # noqa: PLR0124  NaN is unknown too


def report_of(
    day: MarketDay, research: Sequence[ResearchRow], minute: MinuteBars, guessed: tuple[str, ...]
) -> ImportReport:
    """Count what the import made."""
    volume = day.bars.volume.sum(axis=1)
    newest = day.bars.volume.shape[1] - 1 - np.argmax(day.bars.volume[:, ::-1] > 0, axis=1)
    last = day.bars.close[np.arange(len(day.stocks)), newest]
    upper = sum(bool(volume[i]) and int(last[i]) == stock.upper for i, stock in enumerate(day.stocks))
    return ImportReport(
        day=day.day,
        prev_day=day.prev_day,
        stocks=len(day.stocks),
        from_bars=sum(stock.code in minute.rows for stock in day.stocks),
        drawn=sum(stock.drawn for stock in day.stocks),
        untraded=int((volume == 0).sum()),
        left_out=minute.left_out,
        guessed_bases=guessed,
        upper_limits=upper,
        liquidation=tuple(stock.code for stock in day.stocks if stock.liquidation),
        single_price=tuple(stock.code for stock in day.stocks if stock.single_price),
        closes=sum(row.closes is not None for row in research),
        flows_5d=sum(row.foreign_net_5d is not None for row in research),
        statements=sum(row.statement_filed is not None for row in research),
    )
