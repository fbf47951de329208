"""Commands on market days: import one from bars or from recorded KRX data, and say what a folder holds."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

from kquant.cli import codes
from kquant.cli.days import parse_day
from kquant.cli.shell import Json, app
from kquant.values import KquantError

if TYPE_CHECKING:
    from kquant.exchange.market import ImportReport

market_app = App(name="market", help="Make and look at market days, which `kquant run --market` plays.")
app.command(market_app)

Source = Annotated[Path | None, Parameter(negative="")]


class MarketError(KquantError):
    """A market day that cannot be made or read; the message is one line that names the file."""


@market_app.command(name="import")
def import_(
    *,
    day: str,
    out: Path,
    bars: Source = None,
    krx: Source = None,
    daily: Source = None,
    master: Source = None,
    flows: Source = None,
    statements: Source = None,
    columns: Annotated[list[str] | None, Parameter(name="--columns", negative="", consume_multiple=True)] = None,
    seed: int = 0,
    json: Json = False,
) -> int:
    """Make a market day from minute bars or ticks, or from a folder of recorded KRX days.

    Stocks that have only a daily row get an intraday path that hits its open, high, low, close and volume.

    Parameters
    ----------
    day
        The trading day, YYYY-MM-DD.
    out
        Folder to write; a market day already there is replaced.
    bars
        Parquet or CSV: minute bars (code, time, open, high, low, close, volume) or ticks (code, time, price, qty).
    krx
        Folder of recorded days (day-YYYY-MM-DD, master, research, hours), instead of --bars.
    daily
        Official daily rows: code, open, high, low, close, volume; date, change, name, market. Earlier rows: history.
    master
        Names, markets, kinds, sectors, shares and flags by code.
    flows
        Net shares by code and date: foreign_net, institution_net.
    statements
        Annual figures by code with the date they were filed, ratios in percent.
    columns
        What a column is called in the files, name=column; several may follow.
    seed
        Seed of the drawn paths and of the prints inside a bar.
    json
        Print what was found as JSON.

    """
    trading_day = parse_day(day)
    if (bars is None) == (krx is None):
        raise MarketError("give either --bars FILE or --krx FOLDER")
    tables = {"daily": daily, "master": master, "flows": flows, "statements": statements}
    found = msgspec.to_builtins(_import(bars, krx, trading_day, out, tables, _mapping(columns or []), seed))
    _print({"folder": str(out), **found}, _imported(found, out), json=json)
    return codes.OK


def _import(
    bars: Path | None,
    krx: Path | None,
    day: date,
    out: Path,
    tables: dict[str, Path | None],
    columns: dict[str, str],
    seed: int,
) -> ImportReport:
    from kquant.exchange import market  # noqa: PLC0415  numpy loads only for these commands

    try:
        if bars is not None:
            return market.import_bars(
                bars,
                day,
                out,
                daily=tables["daily"],
                master=tables["master"],
                flows=tables["flows"],
                statements=tables["statements"],
                columns=columns,
                seed=seed,
            )
        extra = [f"--{name}" for name, path in tables.items() if path is not None] + (["--columns"] if columns else [])
        if krx is None or extra:
            raise MarketError(f"--krx brings its own tables: leave out {', '.join(extra)}")
        return market.import_krx_day(krx, day, out, seed=seed)
    except market.MarketFileError as error:
        raise MarketError(str(error)) from None


@market_app.command
def info(folder: Path, *, json: Json = False) -> int:
    """Say what a market day's folder holds, reading and checking all of it."""
    from kquant.exchange import market  # noqa: PLC0415

    try:
        day = market.load(folder)
    except market.MarketFileError as error:
        raise MarketError(str(error)) from None
    traded = int((day.bars.volume.sum(axis=1) > 0).sum())
    found: dict[str, Any] = {
        "folder": str(folder),
        "day": day.day.isoformat(),
        "prev_day": day.prev_day.isoformat(),
        "source": day.source,
        "seed": day.seed,
        "open": _clock(day.open_second),
        "close": _clock(day.close_second),
        "stocks": len(day.stocks),
        "kospi": sum(stock.market == "KOSPI" for stock in day.stocks),
        "kosdaq": sum(stock.market == "KOSDAQ" for stock in day.stocks),
        "traded": traded,
        "drawn": sum(stock.drawn for stock in day.stocks),
        "halted": sum(stock.halted for stock in day.stocks),
        "liquidation": [stock.code for stock in day.stocks if stock.liquidation],
        "bars": int((day.bars.volume > 0).sum()),
        "headlines": len(day.all_news),
        "gainers": [
            {"code": row.code, "name": day.by_code[row.code].name, "change_bp": row.change_bp, "volume": row.volume}
            for row in day.rank_gainers(day.close_second, "ALL", 10)
        ],
    }
    lines = [
        f"{found['day']}  {found['open']}-{found['close']} KST  {found['source']}, seed {found['seed']}",
        (
            f"{found['stocks']:,} stocks ({found['kospi']:,} KOSPI, {found['kosdaq']:,} KOSDAQ), {traded:,} traded, "
            f"{found['drawn']:,} with a drawn path, {found['halted']:,} halted"
        ),
        f"{found['bars']:,} minute bars, {found['headlines']:,} headlines",
        "top gainers at the close:",
        *(
            f"  {row['code']}  {row['change_bp'] / 100:+7.2f} %  {row['volume']:>14,}  {row['name']}"
            for row in found["gainers"]
        ),
    ]
    _print(found, lines, json=json)
    return codes.OK


def _imported(found: dict[str, Any], out: Path) -> list[str]:
    lines = [
        f"{found['day']}: {found['stocks']:,} stocks in {out}",
        (
            f"{found['from_bars']:,} from bars, {found['drawn']:,} drawn from daily rows, {found['untraded']:,} untraded, "
            f"{found['upper_limits']:,} at the upper limit"
        ),
        (
            f"research: closes of {found['closes']:,}, investor flows of {found['flows_5d']:,}, "
            f"statements of {found['statements']:,}"
        ),
    ]
    if found["left_out"]:
        lines.append(f"{found['left_out']:,} rows outside the session are left out")
    if found["guessed_bases"]:
        lines.append(
            f"no base price for {len(found['guessed_bases']):,} (first: {found['guessed_bases'][0]}); "
            "their first price stands in: give --daily with change or base"
        )
    return lines


def _mapping(texts: list[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, column = text.partition("=")
        if not (name and equals and column):
            raise MarketError(f"--columns {text}: write name=column")
        pairs[name] = column
    return pairs


def _clock(second: int) -> str:
    return f"{second // 3600:02}:{second // 60 % 60:02}"


def _print(document: dict[str, Any], lines: list[str], *, json: bool) -> None:
    if json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
    else:
        sys.stdout.write("\n".join(lines) + "\n")
