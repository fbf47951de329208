"""A language model as the scan's scorer: scored, abstained and failed stay apart, and all of it is recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from kquant.events.scanner import ModelAnswered, ModelAsked, ScanParts, ScoreAbstained, ScoreFailed, ScoreGiven
from kquant.gateways.llm.asking import Unavailable
from kquant.gateways.llm.providers import ServiceError
from kquant.gateways.scoring import Abstained, Scored, ScorerGateway
from kquant.gateways.scoring.heuristic import score_facts
from kquant.settings import LlmJobSettings
from kquant.values import SECOND_US, Seq
from tests.llm.services import SCAN_TEXT
from tests.llm.world import NOW, InMemory, World, always, in_turn, kept_in, llm_settings, said, wanted
from tests.scoring.fakes import Quiet
from tests.scoring.test_heuristic_scan import facts

MEASURED = score_facts(facts())
assert isinstance(MEASURED, Scored)
BEST = SCAN_TEXT.replace(":20,", ":30,").replace(":12,", ":20,").replace(":18,", ":30,").replace(":10,", ":20,")


def near(text: str = SCAN_TEXT) -> str:
    """Return an answer near enough to what the numbers give to be left as it is."""
    assert isinstance(MEASURED, Scored)
    parts = {name: {"score": value, "reason": "so"} for name, value in msgspec.structs.asdict(MEASURED.parts).items()}
    parts["risk"]["score"] -= 1
    return msgspec.json.encode(parts).decode() if text else ""


async def test_a_score_tells_what_was_said_measured_paid_and_kept(tmp_path: Path) -> None:
    world = World(tmp_path, always(said(near())))
    scored = await world.score()
    assert isinstance(scored, Scored)
    assert scored.parts == replace(MEASURED.parts, risk=MEASURED.parts.risk - 1)
    assert (scored.measured, scored.said, scored.fallback, scored.reused) == (MEASURED.parts, None, "", False)
    assert (scored.model, scored.tokens) == ("gemini-3.5-flash-lite", 1_700)
    assert scored.prompt_version.startswith("scan-1:")
    assert world.store.get(scored.answer).decode() == near()
    assert msgspec.json.decode(world.store.get(scored.prompt))["user"] == world.service.asked[0].user
    # 1,500 tokens at 450 won and 200 at 3,750 won a million.
    asked, answered = world.events()
    assert isinstance(answered, ModelAnswered)
    assert answered.cost == 1_500 * 450 + 200 * 3_750
    assert scored.cost_krw == 1
    assert isinstance(asked, ModelAsked)
    assert (asked.job, asked.provider, asked.model, asked.attempt) == ("scan", "gemini", "gemini-3.5-flash-lite", 1)
    assert (asked.prompt, answered.answer) == (scored.prompt, scored.answer)
    assert asked.reserve > answered.cost
    assert [fact.caused_by for fact in world.recorded()] == [1, 2]


async def test_a_score_beyond_the_bound_is_drawn_back_and_both_are_told(tmp_path: Path) -> None:
    scored = await World(tmp_path, always(said(BEST))).score()
    assert scored.said == ScanParts(persistence=30, volume=20, momentum=30, risk=20)
    assert sum(msgspec.structs.astuple(scored.parts)) == sum(msgspec.structs.astuple(MEASURED.parts)) + 10


@pytest.mark.parametrize(
    ("text", "finish", "asked", "why"),
    [
        ("", "stop", 2, "empty"),
        (SCAN_TEXT[:50], "cut", 2, "cut off"),
        (SCAN_TEXT, "cut", 2, "cut off"),
        ("80점", "stop", 2, "not what was asked"),
        (SCAN_TEXT, "blocked", 1, "safety"),
        ("", "blocked", 1, "safety"),
        (SCAN_TEXT, "other", 2, "did not end"),
    ],
)
async def test_an_answer_that_is_no_use_abstains_and_is_paid_for(
    tmp_path: Path, text: str, finish: str, asked: int, why: str
) -> None:
    world = World(tmp_path, always(said(text, finish)))
    abstained = await world.score()
    assert isinstance(abstained, Abstained)
    assert why in abstained.why
    assert len(world.service.asked) == asked
    assert abstained.tokens == asked * 1_700
    assert (abstained.model, abstained.cost_krw) == ("gemini-3.5-flash-lite", asked + (asked == 2))
    assert world.store.get(abstained.answer).decode() == text


async def test_a_second_answer_mends_a_first_that_was_empty(tmp_path: Path) -> None:
    world = World(tmp_path, in_turn(said(""), said(near())))
    scored = await world.score()
    assert isinstance(scored, Scored)
    assert (scored.tokens, [event.attempt for event in world.events()[::2]]) == (3_400, [1, 2])


async def test_when_the_second_try_cannot_be_made_the_first_answer_still_abstains(tmp_path: Path) -> None:
    world = World(tmp_path, in_turn(said(""), ServiceError("refused", "no")))
    assert isinstance(await world.score(), Abstained)


async def test_facts_that_cannot_be_are_not_worth_a_request(tmp_path: Path) -> None:
    world = World(tmp_path, always(said(near())))
    assert isinstance(await world.score(wanted(facts=facts(price=0))), Abstained)
    assert world.service.asked == []


async def test_the_same_prompt_is_answered_from_the_record_without_network_or_cost(tmp_path: Path) -> None:
    first = await World(tmp_path, always(said(BEST))).score()
    world = World(tmp_path, always(said("never asked")), replace(llm_settings(), day_budget_krw=0))
    again = await world.score()
    assert (again.parts, again.answer, again.prompt) == (first.parts, first.answer, first.prompt)
    assert (again.reused, again.cost_krw, again.tokens) == (True, 0, 0)
    assert (world.service.asked, world.events()) == ([], [])
    assert world.store.get(again.answer).decode() == BEST


async def test_a_recorded_answer_that_was_no_use_abstains_again_for_nothing(tmp_path: Path) -> None:
    await World(tmp_path, always(said(""))).score()
    again = await World(tmp_path, always(said(near()))).score()
    assert isinstance(again, Abstained)
    assert (again.reused, again.cost_krw) == (True, 0)


@pytest.mark.parametrize(
    "change", [{"model": "gemini-3.8-flash"}, {"thinking": "on"}, {"effort": "low"}, {"max_output_tokens": 2_048}]
)
async def test_another_model_or_setting_is_asked_anew(tmp_path: Path, change: dict[str, Any]) -> None:
    await World(tmp_path, always(said(BEST))).score()
    world = World(tmp_path, always(said(BEST)), llm_settings(**change))
    assert not (await world.score()).reused


async def test_a_damaged_record_is_asked_for_again_and_mended(tmp_path: Path) -> None:
    await World(tmp_path, always(said(BEST))).score()
    [path] = kept_in(tmp_path)
    path.write_bytes(path.read_bytes()[:-3])
    assert not (await World(tmp_path, always(said(BEST))).score()).reused
    assert (await World(tmp_path, always(said(""))).score()).reused


async def test_a_record_in_anothers_place_is_not_taken(tmp_path: Path) -> None:
    await World(tmp_path, always(said(BEST))).score()
    await World(tmp_path, always(said(BEST))).score(wanted(name="another"))
    one, other = kept_in(tmp_path)
    one.write_bytes(other.read_bytes())
    results = [await World(tmp_path, always(said(BEST))).score(wanted(name=name)) for name in ("삼성전자", "another")]
    assert sorted(result.reused for result in results) == [False, True]


async def test_without_a_service_the_heuristic_stands_in_and_says_why(tmp_path: Path) -> None:
    world = World(tmp_path, always(said()), replace(llm_settings(), day_budget_krw=0))
    scored = await world.score()
    assert (scored.parts, scored.model) == (MEASURED.parts, "heuristic-1")
    assert scored.fallback == "the day's budget of 0 won is spent"
    assert world.service.asked == []


async def test_with_no_one_to_stand_in_the_request_has_failed(tmp_path: Path) -> None:
    world = World(tmp_path, in_turn(ServiceError("refused", "400: no")), replace(llm_settings(), fallback="none"))
    with pytest.raises(Unavailable, match="400: no"):
        await world.score()


async def test_the_gateway_keeps_the_four_states_apart(tmp_path: Path) -> None:
    async def answer(job: LlmJobSettings, prompt: Any) -> Any:
        if "name: bad" in prompt.user:
            return said("prose")
        if "name: gone" in prompt.user:
            raise ServiceError("refused", "400: no")
        return said(near())

    world = World(tmp_path, InMemory(answer), replace(llm_settings(), fallback="none"))
    quiet = Quiet()
    gateway = ScorerGateway(world.journal, world.clock, world.scorer, changed=quiet.changed, on_fatal=quiet.on_fatal)
    requests = [
        wanted("000001", name="good"),
        wanted("000002", name="bad"),
        wanted("000003", name="gone"),
        wanted("000004", name="old", valid_until=NOW - 1),
    ]
    world.journal.append("scanner", requests, by="scanner").result()
    await gateway.start()
    await world.clock.run(quiet.until_idle(gateway))
    await gateway.close()
    outcomes = {
        event.code: event
        for event in (fact.event for fact in world.journal.read(Seq(0)) if fact.stream == "scorer")
        if isinstance(event, ScoreGiven | ScoreAbstained | ScoreFailed)
    }
    given, abstained, failed, stale = (outcomes[f"00000{number}"] for number in range(1, 5))
    assert isinstance(given, ScoreGiven)
    assert (given.model, given.measured, given.tokens) == ("gemini-3.5-flash-lite", MEASURED.parts, 1_700)
    assert isinstance(abstained, ScoreAbstained)
    assert abstained.tokens == 3_400
    assert isinstance(failed, ScoreFailed)
    assert (failed.why, failed.stale) == ("Unavailable: 400: no", False)
    assert isinstance(stale, ScoreFailed)
    assert stale.stale


async def test_an_answer_that_comes_too_late_leaves_time_for_the_heuristic(tmp_path: Path) -> None:
    async def never(_job: LlmJobSettings, _prompt: Any) -> Any:
        await world.clock.sleep(3_600)

    world = World(tmp_path, InMemory(never))
    scored = await world.score()
    assert (scored.model, scored.fallback) == ("heuristic-1", "no answer in time")
    assert world.clock.now() == NOW + 37 * SECOND_US
    asked, answered = world.events()
    # It may still be billed, so all it could have cost is spent.
    assert (answered.outcome, answered.cost) == ("late", asked.reserve)
    assert world.meter.spent == asked.reserve
