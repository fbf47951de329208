"""Batches of the daily analysis: good rows kept, the rest asked for once more, the deadline met (kis-protocol 7.3)."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from kquant.domain.rubrics import analysis_score
from kquant.events.analyzer import AnalysisParts, BatchFailed, BatchScored, BatchWanted, RowLeft
from kquant.events.scanner import ModelAsked
from kquant.gateways.llm.asked import ANALYSIS_PARTS, Prompt
from kquant.gateways.llm.batch import LlmAnalyst
from kquant.gateways.llm.providers import Answer, ServiceError
from kquant.gateways.research.analyst import Subject
from kquant.settings import LlmJobSettings
from kquant.testing.facts import clock as instant
from kquant.values import SECOND_US, Symbol
from tests.llm.world import NOW, InMemory, World, always, in_turn, llm_settings, said

PARTS = AnalysisParts(financials=15, flows=None, news=10, technicals=12)
NOTHING = AnalysisParts(financials=None, flows=None, news=None, technicals=None)
BUSY = ServiceError("overloaded", "503: busy")


def subject(code: str, measured: AnalysisParts = PARTS) -> Subject:
    return Subject(code=Symbol(code), numbers=(("per_x100", 900), ("roe_bp", None)), measured=measured)


def codes_in(prompt: Prompt) -> list[str]:
    return re.findall(r"^### (\w+)$", prompt.user, re.MULTILINE)


def rows(*codes: str, score: int = 12) -> str:
    made = [
        {"code": code, **{name: {"score": score, "reason": "so"} for name in ("financials", "news", "technicals")}}
        for code in codes
    ]
    return msgspec.json.encode({"rows": made}).decode()


async def analyse(
    folder: Path, service: InMemory, *subjects: Subject, attempt: int = 1, llm: Any = None, extra: tuple[str, ...] = ()
) -> tuple[BatchScored | BatchFailed, World]:
    world = World(folder, service, llm)
    codes = (*(each.code for each in subjects), *map(Symbol, extra))
    request = BatchWanted(batch=7, attempt=attempt, codes=codes, table="", valid_until=NOW + 3_600 * SECOND_US)
    analyst = LlmAnalyst(world.llm, 2, world.asker)
    return await world.clock.run(analyst.analyse(request, world.cause(), subjects, {Symbol("000001"): "하나"})), world


async def test_a_batch_is_scored_with_what_was_measured_said_and_paid(tmp_path: Path) -> None:
    text = rows("000001", "000002", score=20)
    outcome, world = await analyse(tmp_path, always(said(text)), subject("000001"), subject("000002"))
    assert isinstance(outcome, BatchScored)
    assert (outcome.batch, outcome.model, outcome.tokens, outcome.left) == (7, "gemini-3.5-flash-lite", 1_700, ())
    assert outcome.prompt_version.startswith("analysis-1:")
    assert world.store.get(outcome.answer).decode() == text
    for row in outcome.rows:
        assert row.measured == PARTS
        assert row.said == AnalysisParts(financials=20, flows=None, news=20, technicals=20)
        totals = [analysis_score(row.code, parts, 0).total for parts in (row.parts, PARTS)]
        assert None not in totals
        assert totals[0] - totals[1] == 10
        assert row.reasons == ("financials: so", "news: so", "technicals: so")
    assert "name: 하나" in world.service.asked[0].user


async def test_rows_that_are_missing_or_bad_are_asked_for_once_more_and_then_left_out(tmp_path: Path) -> None:
    first = rows("000001", "000002", "000003").replace('"000002"', '"000001"')
    service = in_turn(said(first), said(rows("000002")))
    outcome, world = await analyse(tmp_path, service, *(subject(f"00000{number}") for number in range(1, 5)))
    assert isinstance(outcome, BatchScored)
    assert codes_in(world.service.asked[0]) == ["000001", "000002", "000003", "000004"]
    assert set(codes_in(world.service.asked[1])) == {"000001", "000002", "000004"}
    assert [row.code for row in outcome.rows] == ["000002", "000003"]
    assert set(outcome.left) == {RowLeft(code=Symbol(code), why="no row") for code in ("000001", "000004")}
    assert outcome.tokens == 3_400


async def test_whole_rows_of_an_answer_that_was_cut_are_kept(tmp_path: Path) -> None:
    service = in_turn(said(rows("000001", "000002")[:-20], "cut"), said(rows("000002")))
    outcome, world = await analyse(tmp_path, service, subject("000001"), subject("000002"))
    assert isinstance(outcome, BatchScored)
    assert [row.code for row in outcome.rows] == ["000001", "000002"]
    assert codes_in(world.service.asked[1]) == ["000002"]


async def test_a_stock_without_numbers_is_not_asked_about_and_never_gets_a_score(tmp_path: Path) -> None:
    service = always(said(rows("000001", "000002")))
    known = (subject("000001"), subject("000002", NOTHING))
    outcome, world = await analyse(tmp_path, service, *known, extra=("000003",))
    assert isinstance(outcome, BatchScored)
    assert codes_in(world.service.asked[0]) == ["000001"]
    assert [row.code for row in outcome.rows] == ["000001"]
    assert set(outcome.left) == {
        RowLeft(code=Symbol(code), why="nothing was measured") for code in ("000002", "000003")
    }


async def test_a_batch_of_nothing_known_asks_nobody(tmp_path: Path) -> None:
    outcome, world = await analyse(tmp_path, always(said("")), subject("000001", NOTHING))
    assert isinstance(outcome, BatchScored)
    assert (outcome.rows, world.service.asked) == ((), [])


async def test_a_batch_without_any_usable_row_has_failed_and_the_analyzer_asks_anew(tmp_path: Path) -> None:
    outcome, world = await analyse(tmp_path, always(said("prose")), subject("000001"))
    assert isinstance(outcome, BatchFailed)
    assert "not what was asked" in outcome.why
    assert len(world.service.asked) == 2
    # The analyzer's next attempt is another question, so it is not answered from the record.
    again, world = await analyse(tmp_path, always(said(rows("000001"))), subject("000001"), attempt=2)
    assert isinstance(again, BatchScored)
    assert (again.reused, len(world.service.asked)) == (False, 1)


async def test_the_same_batch_is_answered_from_the_record(tmp_path: Path) -> None:
    await analyse(tmp_path, always(said(rows("000001"))), subject("000001"))
    outcome, world = await analyse(tmp_path, always(said("prose")), subject("000001"))
    assert isinstance(outcome, BatchScored)
    assert (outcome.reused, outcome.cost_krw, outcome.tokens, world.service.asked) == (True, 0, 0, [])


async def test_a_service_that_may_come_back_makes_the_batch_fail_while_an_attempt_is_left(tmp_path: Path) -> None:
    outcome, _ = await analyse(tmp_path / "a", always_fails(BUSY), subject("000001"))
    assert isinstance(outcome, BatchFailed)
    outcome, _ = await analyse(tmp_path / "b", always_fails(BUSY), subject("000001"), attempt=2)
    assert isinstance(outcome, BatchScored)
    assert (outcome.model, outcome.rows[0].parts) == ("heuristic-1", PARTS)
    assert "503: busy" in outcome.fallback


async def test_a_spent_budget_lets_the_heuristic_take_over_at_once(tmp_path: Path) -> None:
    llm = replace(llm_settings(), day_budget_krw=0)
    outcome, _ = await analyse(tmp_path, always(said("")), subject("000001"), subject("000002", NOTHING), llm=llm)
    assert isinstance(outcome, BatchScored)
    assert (outcome.model, outcome.fallback) == ("heuristic-1", "the day's budget of 0 won is spent")
    assert [row.code for row in outcome.rows] == ["000001"]
    assert outcome.left == (RowLeft(code=Symbol("000002"), why="nothing was measured"),)


async def test_with_no_one_to_stand_in_a_batch_fails_to_the_end(tmp_path: Path) -> None:
    llm = replace(llm_settings(), fallback="none")
    outcome, _ = await analyse(tmp_path, always_fails(BUSY), subject("000001"), attempt=2, llm=llm)
    assert isinstance(outcome, BatchFailed)


async def test_what_was_heard_stands_when_the_second_try_cannot_be_made(tmp_path: Path) -> None:
    service = in_turn(said(rows("000001")), ServiceError("refused", "400: no"))
    outcome, _ = await analyse(tmp_path, service, subject("000001"), subject("000002"))
    assert isinstance(outcome, BatchScored)
    assert [row.code for row in outcome.rows] == ["000001"]
    assert outcome.left == (RowLeft(code=Symbol("000002"), why="no row"),)


def always_fails(error: ServiceError) -> InMemory:
    return in_turn(error)


async def test_the_whole_market_is_done_before_0850_with_a_minute_an_answer_and_one_in_twenty_failing(
    tmp_path: Path,
) -> None:
    """2,800 stocks from 07:20, 50 a batch, eight at once; every 20th request fails, every 20th answer is no use."""
    turns = 0

    async def slow(_job: LlmJobSettings, prompt: Prompt) -> Answer:
        nonlocal turns
        turns += 1
        turn = turns
        await world.clock.sleep(60)
        if turn % 20 == 5:
            raise BUSY
        return said("not json" if turn % 20 == 15 else rows(*codes_in(prompt)), tokens=(12_000, 15_000))

    llm = llm_settings(provider="deepseek")
    world = World(tmp_path, InMemory(slow), llm)
    world.clock._now = instant("07:20:00")
    deadline = instant("08:50:00")
    analyst = LlmAnalyst(llm, 2, world.asker)
    codes = [Symbol(f"{number:06d}") for number in range(2_800)]
    batches = [codes[start : start + 50] for start in range(0, len(codes), 50)]

    async def batch(number: int, mine: list[Symbol]) -> BatchScored:
        subjects = tuple(subject(code) for code in mine)
        for attempt in (1, 2):
            request = BatchWanted(batch=number, attempt=attempt, codes=tuple(mine), table="", valid_until=deadline)
            outcome = await analyst.analyse(request, world.cause(), subjects, {})
            if isinstance(outcome, BatchScored):
                return outcome
        raise AssertionError(outcome.why)

    async def everything() -> list[BatchScored]:
        return list(await asyncio.gather(*(batch(number, mine) for number, mine in enumerate(batches, 1))))

    outcomes = await world.clock.run(everything())
    assert sum(len(outcome.rows) for outcome in outcomes) == 2_800
    assert {outcome.model for outcome in outcomes} == {"deepseek-flash"}
    assert len([event for event in world.events() if isinstance(event, ModelAsked)]) > len(batches)
    # 56 batches and a few again, eight at a time, a minute each: under a quarter of an hour.
    assert world.clock.now() < instant("07:35:00")


def test_the_parts_of_the_rubric_are_those_of_the_events() -> None:
    assert tuple(ANALYSIS_PARTS) == AnalysisParts.__struct_fields__
