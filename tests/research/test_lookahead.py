"""A table that cites what was not public is refused: wherever the leak is planted, and whoever planted it."""

from __future__ import annotations

from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from kquant.events.analyzer import ResearchAnswered, ResearchWanted
from kquant.events.scanner import ReadFailed
from kquant.gateways.research import AnalysisGateway
from kquant.gateways.research.columns import COLUMNS, TABLE_PARTS
from kquant.gateways.research.compose import write_table
from kquant.gateways.research.lookahead import LookAheadError, check_known
from kquant.gateways.research.provenance import read_notes, read_sources
from kquant.gateways.research.sources.port import session_known_at
from kquant.gateways.research.table import ResearchError
from kquant.journal.memory import MemoryJournal
from kquant.values import Seq, from_kst
from tests.research.fakes import DAY, MORNING, SESSIONS
from tests.scoring.fakes import HandClock, Quiet, Shelf

EVENING = session_known_at(SESSIONS[0])
FILED = date(2026, 3, 10)


def row(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = dict.fromkeys(COLUMNS)
    fields |= {
        "code": "005930", "name": "삼성전자", "market": "KOSPI", "base": 70_000, "per_x100": 1_500, "roe_bp": 900,
        "foreign_net_5d": 10, "institution_net_5d": -3, "news_count": 1, "news_tone": 0, "titles": ["제목"],
        "closes": [69_000, 70_000], "statement_filed": FILED.isoformat(), "listing_known_at": MORNING - 1,
        "prices_known_at": EVENING, "flows_known_at": EVENING, "valuation_known_at": EVENING,
        "financials_known_at": from_kst(FILED + timedelta(days=1), time(0)), "news_known_at": EVENING + 5,
        "prices_session": SESSIONS[0].isoformat(), "flows_session": SESSIONS[0].isoformat(),
        "valuation_session": SESSIONS[0].isoformat(), "news_published_at": EVENING, "prices_source": "krx",
        "flows_source": "krx", "valuation_source": "krx", "financials_source": "dart", "news_source": "naver",
        "listing_source": "kis",
    }  # fmt: skip
    return {**fields, **changes}


def table(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "research.parquet"
    write_table(rows, ('krx: it\'s "left out"',), path)
    return path


def test_every_finding_belongs_to_a_part_that_says_when_it_was_public() -> None:
    for name, column in COLUMNS.items():
        provenance = name.endswith(("_known_at", "_source", "_session", "_published_at"))
        assert (column.part is None) == (provenance or name == "code"), name
    assert {f"{part}_known_at" for part in TABLE_PARTS} <= set(COLUMNS)


def test_what_was_public_in_time_passes_and_the_latest_of_it_is_told(tmp_path: Path) -> None:
    path = table(tmp_path, row(), row(code="000660", news_known_at=MORNING))
    assert check_known(path, MORNING) == MORNING
    with pytest.raises(LookAheadError, match=r"news of 1 stocks was not public at 2026-11-20 07:19:59 KST: 000660 at"):
        check_known(path, MORNING - 1)  # type: ignore[arg-type]
    assert [(each.part, each.origin, each.stocks) for each in read_sources(path)] == [
        ("listing", "kis", 2), ("prices", "krx", 2), ("flows", "krx", 2), ("valuation", "krx", 2),
        ("financials", "dart", 2), ("news", "naver", 2),
    ]  # fmt: skip
    assert read_notes(path) == ('krx: it\'s "left out"',)


@pytest.mark.parametrize("part", TABLE_PARTS)
def test_a_leak_planted_in_any_part_is_caught(tmp_path: Path, part: str) -> None:
    path = table(tmp_path, row(), row(code="000660", **{f"{part}_known_at": MORNING + 1}))
    with pytest.raises(LookAheadError, match=rf"^{part} of 1 stocks was not public .*000660"):
        check_known(path, MORNING)


@pytest.mark.parametrize("part", TABLE_PARTS)
def test_a_finding_that_does_not_say_when_is_caught(tmp_path: Path, part: str) -> None:
    path = table(tmp_path, row(**{f"{part}_known_at": None}))
    with pytest.raises(LookAheadError, match=f"^{part} .*does not say when"):
        check_known(path, MORNING)


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        ("prices", {"prices_session": DAY.isoformat()}),
        ("flows", {"flows_session": DAY.isoformat()}),
        ("valuation", {"valuation_session": DAY.isoformat()}),
        ("financials", {"statement_filed": DAY.isoformat()}),
        ("news", {"news_published_at": MORNING}),
    ],
)
def test_a_source_that_stamps_what_came_later_is_caught_by_what_it_shows(
    tmp_path: Path, part: str, shown: dict[str, Any]
) -> None:
    path = table(tmp_path, row(**shown))
    with pytest.raises(LookAheadError, match=f"^{part} .*but shows what was public at 2026-11-20"):
        check_known(path, MORNING)


def test_what_is_unknown_needs_no_time(tmp_path: Path) -> None:
    empty = row(
        foreign_net_5d=None, institution_net_5d=None, flows_known_at=None, news_count=0, news_tone=None, titles=None,
        news_known_at=None, news_published_at=None,
    )  # fmt: skip
    assert check_known(table(tmp_path, empty), MORNING) == MORNING - 1


def test_a_table_that_says_nothing_of_its_times_is_told_apart(tmp_path: Path) -> None:
    path = table(tmp_path, row())
    bare, half = tmp_path / "bare.parquet", tmp_path / "half.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT code, closes FROM '{path}') TO '{bare}' (FORMAT parquet)")
        connection.execute(f"COPY (SELECT code, closes, news_known_at FROM '{path}') TO '{half}' (FORMAT parquet)")
    assert check_known(bare, MORNING) is None
    assert read_notes(bare) == ()
    with pytest.raises(LookAheadError, match="has closes but no prices_known_at"):
        check_known(half, MORNING)
    with pytest.raises(ResearchError, match="cannot be read"):
        check_known(Path(__file__), MORNING)


@pytest.mark.parametrize(("leak", "answered"), [(0, True), (1, False)])
async def test_the_gateway_refuses_a_leak_before_anything_is_scored(tmp_path: Path, leak: int, answered: bool) -> None:
    path = table(tmp_path, row(flows_known_at=MORNING + leak))
    clock, quiet, shelf = HandClock(MORNING), Quiet(), Shelf()
    journal = MemoryJournal(clock.now)
    gateway = AnalysisGateway(journal, clock, shelf, path, changed=quiet.changed, on_fatal=quiet.on_fatal)
    await gateway.start()
    journal.append(
        "analyzer",
        [ResearchWanted(day="2026-11-20", valid_until=MORNING + 1_000)],
        by="analyzer",  # type: ignore[arg-type]
    ).result()
    await quiet.until_idle(gateway)
    (fact,) = [each for each in journal.read(Seq(0)) if each.stream == "research"]
    if answered:
        assert isinstance(fact.event, ResearchAnswered)
        assert fact.event.known_until == MORNING <= fact.at
        assert [each.origin for each in fact.event.sources if each.part == "financials"] == ["dart"]
        assert fact.event.notes == ('krx: it\'s "left out"',)
        assert {each.part: each.stocks for each in fact.event.figures}["52-week high"] == 0
    else:
        assert isinstance(fact.event, ReadFailed)
        assert "flows of 1 stocks was not public" in fact.event.reason
    await gateway.close()
