"""Imports of small synthetic sources, and paths drawn from a daily row."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kquant.exchange.market import MarketFileError, import_bars, load
from kquant.exchange.market.bars import Bars, check_bars
from kquant.exchange.market.grid import NO_UPPER_LIMIT
from kquant.exchange.market.importer_paths import DailyRow, draw_into, draw_path
from kquant.exchange.market.importer_sources import parse_moment
from kquant.exchange.market.model import Stock
from kquant.exchange.market.research import read_parquet
from tests.exchange_market.days import all_prints, fold

DAY = dt.date(2026, 3, 4)
BARS = """code,ts,open,high,low,close,volume
5930,2026-03-03 15:30:00,69000,69000,69000,69000,10
5930,2026-03-04 09:00:00,70000,70500,69900,70200,1200
5930,2026-03-04 09:01:00,70200,70300,70200,70300,800
5930,2026-03-04 15:30:00,70400,70400,70400,70400,500
5930,2026-03-04 15:45:00,70400,70400,70400,70400,7
"""
DAILY = """일자,종목코드,종목명,시장구분,시가,고가,저가,종가,대비,거래량
20260303,000660,하나,KOSPI,980,"1,010",970,"1,000",5,"10,000"
20260304,000660,하나,KOSPI,"1,010","1,090","1,000","1,080",80,"54,321"
20260304,005930,둘,KOSPI,70000,70500,69900,70400,1400,2500
20260304,123456,셋,KOSDAQ GLOBAL,0,0,0,500,0,0
20260305,000660,하나,KOSPI,1,1,1,1,-1079,1
"""


def _parquet(path: Path, csv: str) -> Path:
    text = path.with_suffix(".csv")
    text.write_text(csv)
    duckdb.connect().execute(
        f"COPY (SELECT * FROM read_csv('{text}', types={{'code': 'VARCHAR'}})) TO '{path}' (FORMAT parquet)"
    )
    return path


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_bars_in_parquet_and_daily_rows_in_csv_become_a_day(tmp_path: Path) -> None:
    flows = _write(
        tmp_path / "flows.csv",
        "code,date,foreign_net,inst_net\n" + "".join(f"000660,2026-02-{20 + k},{k},-{k}\n" for k in range(6)),
    )
    statements = _write(
        tmp_path / "st.csv",
        "code,rcept_dt,roe,debt_ratio\n000660,20250301,5.5,80\n000660,20260303,7.25,90\n000660,20260304,99,1\n",
    )
    report = import_bars(
        _parquet(tmp_path / "bars.parquet", BARS),
        DAY,
        tmp_path / "out",
        daily=_write(tmp_path / "daily.csv", DAILY),
        flows=flows,
        statements=statements,
        seed=3,
    )
    assert (report.stocks, report.from_bars, report.drawn, report.untraded, report.left_out) == (3, 1, 1, 1, 1)
    day = load(tmp_path / "out")
    assert (day.source, day.day, day.prev_day) == ("imported", DAY, dt.date(2026, 3, 3))
    drawn, barred, silent = day.stocks
    assert (drawn.code, drawn.name, drawn.base, drawn.prev_volume, drawn.drawn) == (
        "000660",
        "하나",
        1_000,
        10_000,
        True,
    )
    assert (barred.code, barred.base, barred.drawn, silent.market) == ("005930", 69_000, False, "KOSDAQ")
    assert fold(all_prints(day, "000660"))[:5] == (1_010, 1_090, 1_000, 1_080, 54_321)
    assert fold(all_prints(day, "005930"))[:5] == (70_000, 70_500, 69_900, 70_400, 2_500)
    day.write_research(tmp_path / "research.parquet")
    row = read_parquet(tmp_path / "research.parquet")[0]
    assert (row.closes, row.volumes, row.highs) == ((1_000,), (10_000,), (1_010,))
    assert (row.foreign_net_5d, row.institution_net_5d, row.foreign_net_20d) == (15, -15, None)
    assert (row.roe_bp, row.debt_ratio_bp, row.statement_filed) == (725, 9_000, "2026-03-03")


def test_ticks_fold_into_minutes_and_columns_can_be_mapped(tmp_path: Path) -> None:
    ticks = _write(
        tmp_path / "ticks.csv",
        "sym,at,px,n\nA00010,090001,100,5\nA00010,090030,103,1\nA00010,090030,101,2\nA00010,090100,102,4\n",
    )
    columns = {"code": "sym", "time": "at", "price": "px", "qty": "n"}
    report = import_bars(ticks, DAY, tmp_path / "out", columns=columns)
    assert report.guessed_bases == ("A00010",)
    bars = load(tmp_path / "out").bars
    shown = [
        tuple(int(getattr(bars, name)[0, slot]) for name in ("open", "high", "low", "close", "volume", "value"))
        for slot in (0, 1)
    ]
    assert shown == [(100, 103, 100, 101, 8, 805), (102, 102, 102, 102, 4, 408)]


def test_bars_alone_take_the_close_before_as_their_base(tmp_path: Path) -> None:
    report = import_bars(_write(tmp_path / "bars.csv", BARS), DAY, tmp_path / "out")
    assert report.guessed_bases == ()
    assert load(tmp_path / "out").by_code["005930"].base == 69_000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "bars.csv"),
        ("code,time,open,high,low,close\n1,0900,1,1,1,1\n", "no column for volume"),
        ("a,b\n1,2\n", "no known column"),
        ("time,open\n0900,1\n", "no column for code"),
        (BARS.replace("70500", "many"), "holds 'many', not a number"),
        (BARS.replace("70500", "69950"), "high or low inside its open and close"),
        (BARS.replace("2026-03-04 09:01:00", "soon"), "'soon' is not a time"),
        (BARS.replace("09:01:00", "09:00:30"), "two bars for one stock and minute"),
        (BARS.replace("2026-03-04", "2026-03-02"), "no bar of 2026-03-04"),
        (BARS.replace(",800", ",1"), "shows more prices than it has shares"),
        (BARS.replace("5930,2026-03-04 09:01:00", ",2026-03-04 09:01:00"), "column code (code) has empty cells"),
    ],
)
def test_bad_bars_are_one_line_that_names_the_file(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(MarketFileError) as caught:
        import_bars(_write(tmp_path / "bars.csv", text), DAY, tmp_path / "out")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_bad_daily_rows_are_refused(tmp_path: Path) -> None:
    bars = _write(tmp_path / "bars.csv", BARS)
    for text, says in (
        (DAILY.replace("20260303", "yesterday"), "'yesterday' is not a date"),
        (DAILY.replace("KOSDAQ GLOBAL", "NASDAQ"), "market 'NASDAQ' is not KOSPI or KOSDAQ"),
        (DAILY.replace('"1,090"', '"1,020"'), "daily row of 000660"),
        (DAILY + "20260304,123456,셋,KOSDAQ,0,0,0,500,0,0\n", "two rows of 123456"),
        (DAILY.replace(",80,", ',"1,080",'), "base price of 000660"),
    ):
        with pytest.raises(MarketFileError, match=says):
            import_bars(bars, DAY, tmp_path / "out", daily=_write(tmp_path / "daily.csv", text))


def test_an_unknown_mapped_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MarketFileError, match="colour=x: no such column is used"):
        import_bars(_write(tmp_path / "bars.csv", BARS), DAY, tmp_path / "out", columns={"colour": "x"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0900", (None, 32_400)),
        ("90105", (None, 32_465)),
        ("09:01:05", (None, 32_465)),
        ("9:01", (None, 32_460)),
        ("20260304090000", (DAY, 32_400)),
        ("2026-03-04T00:00:00Z", (DAY, 32_400)),
        ("2026-03-04 09:00:00.250", (DAY, 32_400)),
    ],
)
def test_times_are_read_in_the_usual_shapes(text: str, expected: tuple[dt.date | None, int]) -> None:
    assert parse_moment(text, "here") == expected


def _stock(**fields: Any) -> Stock:
    plain: dict[str, Any] = {
        "code": "000010", "name": "가", "market": "KOSPI", "kind": "common", "base": 1_000, "upper": NO_UPPER_LIMIT,
        "lower": 0, "halted": False, "administrative": False, "liquidation": False, "warning": 0, "overheated": False,
        "prev_close": 1_000, "prev_volume": 0, "listed_shares": 1, "sector": "기타", "kospi200": False, "drawn": True,
        "single_price": False,
    }  # fmt: skip
    return Stock(**{**plain, **fields})


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_drawn_path_hits_its_daily_row_exactly(data: st.DataObject) -> None:
    low = data.draw(st.integers(1, 900_000))
    high = low + data.draw(st.integers(0, low // 2 + 1))
    daily = DailyRow(
        data.draw(st.integers(low, high)),
        high,
        low,
        data.draw(st.integers(low, high)),
        data.draw(st.integers(4, 10**8)),
    )
    stock = _stock(upper=data.draw(st.sampled_from([high, NO_UPPER_LIMIT])), single_price=data.draw(st.booleans()))
    bars = Bars.empty(1, 391)
    draw_into(bars, 0, stock, daily, data.draw(st.integers(0, 2**40)))
    check_bars(bars, ("000010",), "drawn")
    at = [slot for slot in range(391) if bars.volume[0, slot]]
    assert bars.open[0, at[0]] == daily.open
    assert bars.close[0, at[-1]] == daily.close
    assert bars.high[0, at].max() == daily.high
    assert bars.low[0, at].min() == daily.low
    assert bars.volume.sum() == daily.volume
    assert not any(380 <= slot < 390 for slot in at)


def test_a_path_is_drawn_from_its_seed_alone() -> None:
    daily = DailyRow(1_000, 1_100, 980, 1_050, 500_000)
    one, same, other = (draw_path(_stock(), daily, 391, key) for key in (1, 1, 2))
    assert one.close.tolist() == same.close.tolist()
    assert one.close.tolist() != other.close.tolist()


def test_a_stock_that_closes_at_its_limit_stays_there_once_locked() -> None:
    daily = DailyRow(1_050, 1_300, 1_040, 1_300, 5_000_000)
    path = draw_path(_stock(upper=1_300, lower=700), daily, 391, 9)
    first = path.close.tolist().index(1_300)
    tail = path.close.tolist()[first:]
    assert len(tail) > 2
    assert tail.count(1_300) >= len(tail) - 2


def test_too_few_shares_for_the_prices_are_refused() -> None:
    with pytest.raises(MarketFileError, match="2 shares cannot show its four prices"):
        draw_path(_stock(), DailyRow(1_000, 1_100, 980, 1_050, 2), 391, 1)
