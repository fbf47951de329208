"""The research table and its batches through the helper process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from kquant.events.analyzer import BatchFailed, BatchScored, BatchWanted, ResearchAnswered, ResearchWanted
from kquant.events.scanner import ReadExpired, ReadFailed
from kquant.gateways.research import AnalysisGateway, ResearchRow
from kquant.gateways.research.heuristic import score_row
from kquant.gateways.research.table import ResearchError, read_table
from kquant.journal.memory import MemoryJournal
from kquant.values import Seq
from tests.scoring.fakes import HandClock, Quiet, Shelf


def research_row(code: str, **changes: Any) -> ResearchRow:
    fields: dict[str, Any] = {
        "code": code, "per_x100": 900, "pbr_x100": 90, "roe_bp": 1_200, "sales_growth_bp": 1_000, "op_margin_bp": 900,
        "op_growth_bp": 2_000, "debt_ratio_bp": 6_000, "foreign_net_5d": 10_000, "institution_net_5d": 20_000,
        "foreign_net_20d": 10_000, "institution_net_20d": None, "news_count": 3, "news_tone": 40,
        "closes": tuple(range(10_000, 10_600, 5)), "volumes": (100_000,) * 120, "w52_high": 11_000,
    }  # fmt: skip
    return ResearchRow(**{**fields, **changes})


def write(path: Path, rows: list[ResearchRow]) -> None:
    lines = path.with_suffix(".jsonl")
    lines.write_bytes(msgspec.json.Encoder().encode_lines(rows))
    kinds = {"code": "VARCHAR", "closes": "BIGINT[]", "volumes": "BIGINT[]", "titles": "VARCHAR[]"}
    columns = ", ".join(f"{name}: '{kinds.get(name, 'BIGINT')}'" for name in ResearchRow.__struct_fields__)
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT *, 'more' AS extra FROM read_json('{lines}', format='newline_delimited', columns={{{columns}}}))"
            f" TO '{path}' (FORMAT parquet)"
        )


CODES = [f"{number:06d}" for number in range(2_700)]


class Desk:
    """A journal, a clock, attachments, and a gateway on them."""

    def __init__(self, table: Path) -> None:
        self.clock = HandClock()
        self.journal = MemoryJournal(self.clock.now)
        self.shelf = Shelf()
        self.table = table
        self.quiet = Quiet()

    def gateway(self) -> AnalysisGateway:
        return AnalysisGateway(
            self.journal,
            self.clock,
            self.shelf,
            self.table,
            changed=self.quiet.changed,
            on_fatal=self.quiet.on_fatal,
        )

    def want(self, *events: Any) -> None:
        self.journal.append("analyzer", events, by="analyzer").result()

    def answers(self) -> list[Any]:
        facts = [fact for fact in self.journal.read(Seq(0)) if fact.stream == "research"]
        assert len({fact.caused_by for fact in facts}) == len(facts)
        return [fact.event for fact in facts]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "research.parquet")


def batch(number: int, table: str, codes: list[str], valid_until: int = 5_000) -> BatchWanted:
    return BatchWanted(batch=number, attempt=1, codes=tuple(codes), table=table, valid_until=valid_until)


async def test_the_whole_market_is_read_kept_and_scored_in_batches(desk: Desk) -> None:
    rows = [research_row(code) for code in CODES[:2_000]]
    rows += [research_row(code, per_x100=None, pbr_x100=None, roe_bp=None, sales_growth_bp=None, op_margin_bp=None,
                          op_growth_bp=None, debt_ratio_bp=None, news_tone=None, news_count=0) for code in CODES[2_000:]]  # fmt: skip
    write(desk.table, rows)
    gateway = desk.gateway()
    await gateway.start()
    desk.want(ResearchWanted(day="2026-11-20", valid_until=5_000))
    await desk.quiet.until_idle(gateway)
    (answered,) = desk.answers()
    assert isinstance(answered, ResearchAnswered)
    assert answered.stocks == 2_700
    assert desk.shelf.contents == {answered.table: desk.table.read_bytes()}
    assert {each.part: each.stocks for each in answered.coverage} == {
        "financials": 2_000, "flows": 2_700, "news": 2_000, "technicals": 2_700,
    }  # fmt: skip
    desk.want(*(batch(n, answered.table, CODES[start : start + 50]) for n, start in enumerate(range(0, 2_700, 50), 1)))
    await desk.quiet.until_idle(gateway)
    scored = desk.answers()[1:]
    assert all(isinstance(each, BatchScored) for each in scored)
    assert sorted(each.batch for each in scored) == list(range(1, 55))
    by_code = {row.code: row.parts for each in scored for row in each.rows}
    assert by_code == {row.code: score_row(row) for row in rows}
    await gateway.close()


async def test_a_restarted_run_scores_from_the_attachment_alone(desk: Desk) -> None:
    write(desk.table, [research_row(code) for code in CODES[:3]])
    name = desk.shelf.put(desk.table.read_bytes())
    desk.table.unlink()
    desk.want(batch(1, name, [*CODES[:3], "999999"]), batch(2, name, CODES[:1], valid_until=1))
    gateway = desk.gateway()
    await gateway.start()
    await desk.quiet.until_idle(gateway)
    expired, scored = desk.answers()
    assert [row.code for row in scored.rows] == CODES[:3]
    assert expired == BatchFailed(batch=2, why="expired before it was scored")
    await gateway.close()


async def test_tables_that_cannot_be_read_fail_the_request_in_one_line(desk: Desk) -> None:
    gateway = desk.gateway()
    await gateway.start()
    desk.want(ResearchWanted(day="2026-11-20", valid_until=5_000))
    await desk.quiet.until_idle(gateway)
    desk.table.write_bytes(b"not a table")
    desk.want(ResearchWanted(day="2026-11-20", valid_until=5_000), ResearchWanted(day="2026-11-20", valid_until=1))
    await desk.quiet.until_idle(gateway)
    desk.want(batch(1, "0" * 64, CODES[:2]))
    await desk.quiet.until_idle(gateway)
    missing, expired, unreadable, batched = desk.answers()
    assert missing == ReadFailed(what="analyzer.research_wanted", reason="research.parquet: No such file or directory")
    assert expired == ReadExpired(what="analyzer.research_wanted")
    assert isinstance(unreadable, ReadFailed)
    assert unreadable.reason.startswith("research.parquet: the research table cannot be read: ")
    assert "\n" not in unreadable.reason
    assert isinstance(batched, BatchFailed)
    await gateway.close()


def test_what_is_not_known_is_none_and_never_zero() -> None:
    nothing = research_row("000001", **{name: None for name in ResearchRow.__struct_fields__ if name != "code"})
    parts = score_row(nothing)
    assert (parts.financials, parts.flows, parts.news, parts.technicals) == (None, None, None, None)
    known = score_row(research_row("000001"))
    assert None not in (known.financials, known.flows, known.news, known.technicals)
    assert score_row(research_row("000001", closes=(100,) * 19)).technicals is None
    assert score_row(research_row("000001", closes=(0,) * 120)).technicals is None


def test_better_numbers_score_better() -> None:
    row = research_row("000001")
    good, bad = score_row(row), score_row(
        research_row("000001", per_x100=-500, roe_bp=-900, op_margin_bp=-500, foreign_net_5d=-90_000,
                     news_tone=-80, closes=tuple(range(10_600, 10_000, -5)))
    )  # fmt: skip
    for name in ("financials", "flows", "news", "technicals"):
        assert getattr(good, name) > getattr(bad, name)


def test_bytes_that_are_no_table_are_refused() -> None:
    with pytest.raises(ResearchError, match="cannot be read"):
        read_table(b"PAR1")


def test_a_table_from_before_titles_reads_without_any(tmp_path: Path) -> None:
    write(tmp_path / "new.parquet", [research_row("005930", titles=("실적 발표",))])
    assert read_table((tmp_path / "new.parquet").read_bytes())["005930"].titles == ("실적 발표",)
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT * EXCLUDE (titles) FROM read_parquet('{tmp_path / 'new.parquet'}'))"
            f" TO '{tmp_path / 'old.parquet'}' (FORMAT parquet)"
        )
    assert read_table((tmp_path / "old.parquet").read_bytes())["005930"].titles is None
