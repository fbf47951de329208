"""The recorded 15 January 2026: nothing of the day itself, every listed stock, and what is missing where.

The traps are those of the data's README; the data is never in the repository, so without it these tests are skipped.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from kquant.events.analyzer import Listed, ResearchAnswered, ResearchWanted
from kquant.exchange.market import import_krx_day
from kquant.gateways.research import AnalysisGateway
from kquant.gateways.research.assemble import Assembler
from kquant.gateways.research.heuristic import score_row
from kquant.gateways.research.lookahead import LookAheadError, check_known
from kquant.gateways.research.sources.port import (
    FinancialRow,
    FlowRow,
    Missing,
    PriceRow,
    Row,
    Source,
    Stock,
    ValuationRow,
    Wanted,
    filing_known_at,
    session_known_at,
)
from kquant.gateways.research.table import read_file
from kquant.journal.memory import MemoryJournal
from kquant.settings import ResearchSettings
from kquant.values import MINUTE_US, Krw, Micros, Seq, Shares, Symbol, from_kst
from tests.research.fakes import LeapClock
from tests.scoring.fakes import HandClock, Quiet, Shelf

DAY = date(2026, 1, 15)
MORNING = from_kst(DAY, time(7, 20))
SHARED = Path(os.environ.get("KQUANT_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")
PLACE = SHARED / f"day-{DAY}"
LISTED = 2_781
pytestmark = [
    pytest.mark.skipif(not PLACE.is_dir(), reason=f"no day-{DAY} in the shared data: set KQUANT_SHARED_DATA"),
    pytest.mark.timeout(300),
]


def rows(sql: str, *paths: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(sql.format(*(f"'{PLACE / path}'" for path in paths))).fetchall()


DAILY = "daily_all_20260102_20260116.parquet"


def listing() -> tuple[Stock, ...]:
    found = rows("SELECT code, name, market, close - change, shares, volume FROM {} "
                 f"WHERE date = '{DAY}' AND market <> 'KONEX' ORDER BY code", DAILY)  # fmt: skip
    return tuple(
        Stock(
            listed=Listed(
                code=Symbol(code), name=name, market="KOSPI" if market == "KOSPI" else "KOSDAQ", kind="common",
                base=Krw(base), upper=None, lower=None, halted=False, administrative=False, liquidation=False,
                overheated=False, warning=0, prev_volume=Shares(volume),
            ),
            shares=shares,
        )
        for code, name, market, base, shares, volume in found
    )  # fmt: skip


class Recorded:
    """The recorded files as a source, all of them: also of the day and after it, as a careless one would."""

    name = "krx"
    parts = ("prices", "flows", "valuation", "financials")

    def __init__(self, *, careless: str = "") -> None:
        self.careless = careless

    async def gather(self, part: Any, wanted: Wanted, missing: Missing) -> AsyncIterator[Sequence[Row]]:
        match part:
            case "prices":
                closes = rows("SELECT code, date, close FROM {}", "close_all_20250701_20260115.parquet")
                yield [PriceRow(code=code, session=at, close=close) for code, at, close in closes]
                yield [
                    PriceRow(
                        code=code, session=at, open=o, high=h, low=low, close=c, volume=v, base=c - change, shares=n
                    )
                    for code, at, o, h, low, c, v, change, n in rows(
                        "SELECT code, date, open, high, low, close, volume, change, shares FROM {}", DAILY
                    )
                ]
            case "flows":
                yield [
                    FlowRow(code=code, session=at, foreign_net=foreign, institution_net=institution)
                    for code, at, foreign, institution in rows(
                        "SELECT code, date, foreign_net, inst_net FROM {}", "investor_flow_65codes.parquet"
                    )
                ]
            case "valuation":
                day = DAY if self.careless == "valuation" else DAY - timedelta(days=1)
                yield [
                    ValuationRow(code=code, session=day, per_x100=per, pbr_x100=pbr)
                    for code, per, pbr in rows(
                        "SELECT p.code, round(100 * per * y.close / t.close)::BIGINT, round(100 * pbr * y.close / t.close)"
                        f"::BIGINT FROM {{}} p JOIN {{}} t ON t.code = p.code AND t.date = '{DAY}' AND t.close > 0 "
                        f"JOIN {{}} y ON y.code = p.code AND y.date = '{DAY - timedelta(days=1)}'",
                        "per_pbr_all.parquet", DAILY, DAILY,
                    )
                ]  # fmt: skip
            case "financials":
                told = rows("SELECT stock_code, rcept_dt, roe, op_margin, debt_ratio FROM {} ORDER BY rcept_dt",
                            "../research/dart_annual_pit_2022_2025.parquet")  # fmt: skip
                found = {}
                for code, text, *ratios in told:
                    received = date(int(text[:4]), int(text[4:6]), int(text[6:]))
                    known_at = filing_known_at(received, None)
                    if known_at <= wanted.decision or self.careless == "financials":
                        bp = [None if each is None else round(each * 100) for each in ratios]
                        found[code] = FinancialRow(
                            code=code, known_at=known_at, filed=received.isoformat(), roe_bp=bp[0], op_margin_bp=bp[1],
                            debt_ratio_bp=bp[2],
                        )  # fmt: skip
                yield list(found.values())


def assembler(folder: Path, source: Recorded, clock: LeapClock) -> Assembler:
    async def listed() -> tuple[str, tuple[Stock, ...]]:
        return "krx", listing()

    async def opened(stack: AsyncExitStack, day_folder: Path) -> tuple[Mapping[str, Source], tuple[str, ...]]:
        return {"krx": source}, ()

    calendar = [each for (each,) in rows("SELECT DISTINCT date FROM {} ORDER BY date DESC", "index_daily.parquet")]
    settings = ResearchSettings(financials=("krx",), news=())
    return Assembler(
        settings, folder, clock, listed, opened, lambda day, count: [each for each in calendar if each < day][:count],
        lambda function, *arguments: function(*arguments),
    )  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clock = LeapClock(MORNING - 5 * MINUTE_US)
    made = assembler(tmp_path_factory.mktemp("real"), Recorded(), clock)
    return asyncio.run(made.build(DAY, Micros(clock.now() + 60 * MINUTE_US), MORNING))


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("import") / "day"
    import_krx_day(SHARED, DAY, out, seed=1)
    return out / "research.parquet"


def table_rows(path: Path, columns: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(f"SELECT {columns} FROM read_parquet('{path}') ORDER BY code").fetchall()


def test_no_row_of_the_day_or_after_it_is_in_the_table_though_the_source_gave_them(built: Path) -> None:
    assert check_known(built, MORNING) <= MORNING  # type: ignore[operator]
    last = "2026-01-14"
    found = table_rows(built, "code, prices_session, flows_session, valuation_session, statement_filed")
    assert len(found) == LISTED
    assert {row[1] for row in found} <= {None, last, "2026-01-13", "2026-01-12"}
    assert {row[2] for row in found} <= {None, last}
    assert {row[3] for row in found} <= {None, last}
    assert max(row[4] for row in found if row[4]) <= last
    closes = dict(rows(f"SELECT code, close FROM {{}} WHERE date = '{last}'", DAILY))
    assert {code: row.closes[-1] for code, row in read_file(built).items() if row.closes} == {
        code: closes[code] for code, row in read_file(built).items() if row.closes
    }


@pytest.mark.parametrize(("careless", "message"), [("valuation", ""), ("financials", "financials of .* not public")])
async def test_a_source_that_passes_the_days_own_figures_is_caught(tmp_path: Path, careless: str, message: str) -> None:
    """PER and PBR of the day itself, and statements filed later: the traps of the data's README."""
    clock = LeapClock(MORNING - 5 * MINUTE_US)
    made = assembler(tmp_path, Recorded(careless=careless), clock)
    until = Micros(clock.now() + 60 * MINUTE_US)
    if message:
        with pytest.raises(LookAheadError, match=message):
            await made.build(DAY, until, MORNING)
    else:
        # Ratios of another session than the newest close's are not used at all.
        path = await made.build(DAY, until, MORNING)
        assert {row for (row,) in table_rows(path, "valuation_session")} == {None}


def test_the_splits_of_those_days_are_scaled(built: Path) -> None:
    """하이딥 365590 was merged five for one: its base differs from the close before by that factor."""
    base, moved, closes = next(
        (row[1], row[2], row[3]) for row in table_rows(built, "code, base, ret_1d_bp, closes") if row[0] == "365590"
    )
    assert abs(moved) <= 3_000
    assert 0.5 < closes[-1] / base < 2 or base > 3 * closes[-1]


def test_every_listed_stock_is_covered_and_what_is_missing_is_said(built: Path) -> None:
    known = read_file(built)
    assert len(known) == LISTED
    parts = {code: score_row(row) for code, row in known.items()}
    have = {name: sum(getattr(each, name) is not None for each in parts.values())
            for name in ("financials", "flows", "news", "technicals")}  # fmt: skip
    assert have["news"] == 0
    assert 0 < have["flows"] <= 65 < LISTED * 3 // 100
    assert have["technicals"] > 2_400
    assert {row.w52_high for row in known.values()} == {None}


def test_the_imported_day_says_when_each_part_was_public(imported: Path) -> None:
    """What the analyzer of a played day reads; nothing in it is later than the morning."""
    latest = check_known(imported, MORNING)
    assert latest == from_kst(DAY, time(0)) <= MORNING
    with pytest.raises(LookAheadError):
        check_known(imported, session_known_at(date(2026, 1, 13)))
    found = table_rows(imported, "code, prices_session, flows_session, statement_filed")
    assert max(row[1] for row in found if row[1]) == "2026-01-14"
    assert max(row[2] for row in found if row[2]) == "2026-01-14"
    assert max(row[3] for row in found if row[3]) < "2026-01-15"


async def test_the_analyzers_answer_names_the_gaps_of_the_whole_market(imported: Path) -> None:
    clock, quiet = HandClock(MORNING), Quiet()
    journal = MemoryJournal(clock.now)
    gateway = AnalysisGateway(journal, clock, Shelf(), imported, changed=quiet.changed, on_fatal=quiet.on_fatal)
    await gateway.start()
    asked = ResearchWanted(day=DAY.isoformat(), valid_until=Micros(MORNING + 90 * MINUTE_US))
    journal.append("analyzer", [asked], by="analyzer").result()
    await quiet.until_idle(gateway)
    await gateway.close()
    (answered,) = [fact.event for fact in journal.read(Seq(0)) if fact.stream == "research"]
    assert isinstance(answered, ResearchAnswered)
    have = {each.part: each.stocks for each in (*answered.coverage, *answered.figures)}
    assert answered.stocks == LISTED + 11  # the eleven ETFs that have minute bars
    assert (have["news"], have["52-week high"]) == (0, 0)
    assert answered.stocks - have["flows"] > answered.stocks * 97 // 100
    assert have["closes 20d"] > 2_500
    assert have["volumes 20d"] < 90
