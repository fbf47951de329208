"""Prompts: versioned, measured, in both languages, the same bytes for the same inputs."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings

from kquant.events.analyzer import AnalysisParts
from kquant.events.scanner import ScanFacts
from kquant.gateways.llm import asked
from kquant.gateways.llm.asked import (
    ANALYSIS_PARTS,
    SCAN_PARTS,
    PromptError,
    analysis_prompt,
    scan_numbers,
    scan_prompt,
    template,
)
from kquant.gateways.research.analyst import subject_of
from kquant.testing.facts import demo_settings
from tests.llm.world import wanted
from tests.scoring.test_analysis_gateway import research_row
from tests.scoring.test_heuristic_scan import any_facts, facts

FOLDER = Path(asked.__file__).parent / "prompts"
SENT = {
    "scan-1": "4a0fdb3b98cfc806d60615e915d92d5e8ed6116c8a8c5d396df8ea8caee04999",
    "analysis-1": "41c0ba02f0526883ec8fd68df73442daeadfc496b5d3de3ecc82267a238e4526",
}
"""SHA-256 of every prompt that may have been sent: a changed text is a new file with a new number."""


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.md")))
def test_a_prompt_that_may_have_been_sent_is_never_edited(name: str) -> None:
    assert hashlib.sha256((FOLDER / f"{name}.md").read_bytes()).hexdigest() == SENT[name]


def test_the_packaged_settings_name_prompts_that_are_there() -> None:
    llm = demo_settings().llm
    for job in (llm.scan, llm.analysis):
        assert template(job.prompt).name == job.prompt
    with pytest.raises(PromptError, match="there is no prompt 'scan-99'"):
        template("scan-99")


@pytest.mark.parametrize(("name", "parts"), [("scan-1", SCAN_PARTS), ("analysis-1", ANALYSIS_PARTS)])
def test_a_prompt_states_the_rubric_in_both_languages_with_an_example_in_json(name: str, parts: dict[str, int]) -> None:
    system = template(name).system
    for part, most in parts.items():
        assert re.search(rf"^- {part} \(0-{most}\), [가-힣]", system, re.MULTILINE)
    example = msgspec.json.decode(system.splitlines()[-1])
    rows = example.get("rows", [example])
    assert {part for row in rows for part in row} - {"code"} == set(parts)
    # DeepSeek's JSON mode wants the word (kis-protocol 7.3).
    assert "JSON" in system


def test_the_wheel_carries_the_prompts() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["kquant"]
    assert not {"exclude", "include", "only-include"} & set(wheel)
    assert FOLDER.is_relative_to(Path(__file__).parents[2] / "kquant")


@given(any_facts)
@settings(max_examples=30, deadline=None)
def test_every_measured_number_is_told_and_nothing_else(each: ScanFacts) -> None:
    user = scan_prompt("scan-1", wanted(facts=each)).user
    told = msgspec.json.decode(next(line for line in user.splitlines() if line.startswith("{")))
    assert told == scan_numbers(each)
    assert set(msgspec.structs.astuple(each)) <= set(told.values())


def test_the_same_inputs_give_the_same_bytes_and_another_number_gives_others() -> None:
    once, again = (scan_prompt("scan-1", wanted(titles=("실적",))).content() for _ in range(2))
    assert once == again
    assert scan_prompt("scan-1", wanted(titles=("실적",), facts=facts(volume=3_000_001))).content() != once


def test_neither_time_nor_account_is_in_a_prompt() -> None:
    one = scan_prompt("scan-1", wanted(valid_until=1))
    assert one.content() == scan_prompt("scan-1", wanted(valid_until=2)).content()


def test_a_stock_of_a_batch_is_told_with_its_figures_and_the_parts_to_score() -> None:
    subject = subject_of(research_row("005930", news_tone=None, foreign_net_5d=None))
    user = analysis_prompt("analysis-1", (subject,), {}).user
    told = msgspec.json.decode(next(line for line in user.splitlines() if line.startswith("{")))
    assert told["parts"] == ["financials", "flows", "technicals"]
    assert (told["per_x100"], told["news_tone"]) == (900, None)
    assert told["foreign_net_5d_bp_of_volume"] is None
    assert told["institution_net_5d_bp_of_volume"] == 20_000 * 10_000 // 500_000
    assert told["trend_below_high_bp"] == (11_000 - 10_595) * 10_000 // 11_000


def test_a_stock_without_history_is_told_without_a_trend() -> None:
    subject = subject_of(research_row("005930", closes=None))
    assert subject.measured == AnalysisParts(
        financials=subject.measured.financials,
        flows=subject.measured.flows,
        news=subject.measured.news,
        technicals=None,
    )
    assert not any(name.startswith("trend_") for name, _ in subject.numbers)


def test_the_answers_schema_bounds_every_part_for_services_that_obey_one() -> None:
    schema = scan_prompt("scan-1", wanted()).answer
    assert {name: part["properties"]["score"]["maximum"] for name, part in schema["properties"].items()} == SCAN_PARTS
    rows = analysis_prompt("analysis-1", (subject_of(research_row("005930")),), {}).answer["properties"]["rows"]
    assert rows["items"]["required"] == ["code"]
