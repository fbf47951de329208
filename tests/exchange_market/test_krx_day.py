"""The recorded day of 2026-01-15, where its data is present: every trap the data is known for."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import duckdb
import pytest

from kquant.exchange.market import ImportReport, MarketDay, MarketFileError, Print, import_krx_day, load
from kquant.exchange.market.research import ResearchRow, read_parquet

DAY = dt.date(2026, 1, 15)
SHARED = Path(os.environ.get("KQUANT_SHARED_DATA") or Path(__file__).parents[2].parent / "shared" / "data")
FOLDER = SHARED / f"day-{DAY}"
LIQUIDATION = ("010600", "057880", "150840")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImportReport, Path]:
    if not FOLDER.is_dir():
        reason = "the recorded day is not here: set KQUANT_SHARED_DATA to the folder that holds day-2026-01-15"
        if os.environ.get("KQUANT_REQUIRE_SHARED_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    out = tmp_path_factory.mktemp("krx") / "day"
    return import_krx_day(SHARED, DAY, out, seed=1), out


@pytest.fixture(scope="module")
def day(imported: tuple[ImportReport, Path]) -> MarketDay:
    return load(imported[1])


@pytest.fixture(scope="module")
def research(imported: tuple[ImportReport, Path]) -> dict[str, ResearchRow]:
    return {row.code: row for row in read_parquet(imported[1] / "research.parquet")}


def _official() -> dict[str, tuple[int, int, int, int, int, int]]:
    rows = duckdb.execute(
        "SELECT code, open, high, low, close, volume, close - change FROM "
        f"read_parquet('{FOLDER}/daily_all_*.parquet') WHERE date = '{DAY}' AND market <> 'KONEX'"
    ).fetchall()
    return {row[0]: row[1:] for row in rows}


def test_the_report_counts_the_day(imported: tuple[ImportReport, Path]) -> None:
    report = imported[0]
    assert (report.stocks, report.from_bars, report.drawn, report.untraded) == (2_781 + 11, 80, 2_622, 90)
    assert (report.upper_limits, report.left_out, report.guessed_bases) == (17, 0, ())
    assert report.liquidation == LIQUIDATION
    assert report.prev_day == dt.date(2026, 1, 14)
    assert report.statements == 2_072


def test_every_stock_plays_its_official_prices_and_base(day: MarketDay) -> None:
    official = _official()
    assert len(official) == 2_781
    exact = 0
    for code, (opened, high, low, close, volume, base) in official.items():
        stock, totals = day.by_code[code], day.stats(code, 86_399)
        assert stock.base == base, code
        if not volume:
            assert totals.volume == 0, code
            continue
        assert totals[:4] == (opened, high, low, close), code
        assert stock.lower <= low <= high <= stock.upper, code
        if stock.drawn:
            assert totals.volume == volume, code
        else:
            exact += 1
            assert totals.volume <= volume, code
    assert exact == 69


def test_liquidation_trading_has_no_limits_and_only_call_auctions(day: MarketDay) -> None:
    for code in LIQUIDATION:
        stock = day.by_code[code]
        assert (stock.liquidation, stock.lower, stock.single_price) == (True, 0, True)
        assert stock.upper > 100 * stock.base
        assert {(one.second - day.open_second) % 1_800 // 30 for one in _prints(day, code)} == {0}
    assert sum(stock.liquidation for stock in day.stocks) == 3


def _prints(day: MarketDay, code: str) -> list[Print]:
    return [one for second in range(day.open_second, day.close_second + 60) for one in day.prints(code, second)]


def test_call_auction_stock_late_opening_and_lock_are_kept(day: MarketDay) -> None:
    pj, mobase = day.by_code["006140"], day.by_code["101330"]
    assert pj.single_price
    assert len(_prints(day, "006140")) == 14
    opening = day.stats("101330", 86_399)
    assert day.open_second + 120 <= opening.open_second < day.open_second + 150
    assert opening.open == opening.low == mobase.upper == 7_480
    assert day.quote("101330", 36_000).ask == 0


def test_markets_kinds_and_names_are_those_of_the_exchange(day: MarketDay) -> None:
    assert day.by_code["196170"].market == "KOSDAQ"
    assert {stock.market for stock in day.stocks} == {"KOSPI", "KOSDAQ"}
    etfs = [stock for stock in day.stocks if stock.kind == "etf"]
    assert len(etfs) == 11
    assert day.by_code["091180"].name == "KODEX 자동차"
    assert day.by_code["005935"].kind == "preferred"


def test_off_grid_prints_stay_as_printed(day: MarketDay) -> None:
    rows = duckdb.execute(
        f"SELECT code, high FROM read_parquet('{FOLDER}/minute_bars_80codes.parquet') WHERE high % 5 <> 0 AND high > 5000"
    ).fetchall()
    assert rows
    for code, price in rows[:20]:
        assert any(one.price == price for one in _prints(day, code))


def test_nothing_after_the_evening_before_is_in_the_research(research: dict[str, ResearchRow]) -> None:
    assert len(research) == 2_792
    samsung, split = research["005930"], research["365590"]
    assert samsung.closes is not None
    assert samsung.closes[-1] == samsung.base == _official()["005930"][5]
    assert split.closes is not None
    assert set(split.closes[-3:]) == {split.base}
    assert all(row.statement_filed is None or row.statement_filed < "2026-01-15" for row in research.values())
    assert all(row.w52_high is None and row.news_count == 0 for row in research.values())
    hynix = research["000660"]
    flows = duckdb.execute(
        f"SELECT foreign_net FROM read_parquet('{FOLDER}/investor_flow_65codes.parquet') "
        f"WHERE code = '000660' AND date < '{DAY}' ORDER BY date DESC LIMIT 5"
    ).fetchall()
    assert hynix.foreign_net_5d == sum(row[0] for row in flows)
    per = duckdb.execute(
        f"SELECT per FROM read_parquet('{FOLDER}/per_pbr_all.parquet') WHERE code = '000660'"
    ).fetchall()
    close, base = _official()["000660"][3], _official()["000660"][5]
    assert close != base
    assert hynix.per_x100 == round(per[0][0] * 100 * base / close)


def test_a_day_that_was_not_recorded_is_refused(imported: tuple[ImportReport, Path], tmp_path: Path) -> None:
    assert imported[0].stocks
    with pytest.raises(MarketFileError, match="no folder day-2026-01-16"):
        import_krx_day(SHARED, dt.date(2026, 1, 16), tmp_path / "out")
