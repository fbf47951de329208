"""A day scored by language models over the real SDKs, against services on this machine that speak their formats."""

import asyncio
import json

from kquant.events.analyzer import BatchScored, PicksChosen
from kquant.events.day import AlertRaised
from kquant.events.scanner import ModelAnswered, ModelAsked, ScoreFailed, ScoreGiven, ScoreWanted
from kquant.gateways.llm.untrusted import clean_titles
from tests.llm.services import FakeService, replies, says

from .world import facts_of, folder_of, kquant, of

SMALL = (
    *("--set", "demo.stocks=60", "--set", "demo.start=15:00"),
    *("--set", "schedule.analysis=15:01", "--set", "analyzer.late_until=15:15", "--set", "analyzer.deadline=15:15"),
)


MIDDLE = {"financials": 15, "flows": 15, "news": 10, "technicals": 10}


def batch_answer(asked: str) -> str:
    """Return parts in the middle for every stock of a batch's prompt: those that were measured."""
    rows = []
    for block in asked.split("\n### ")[1:]:
        code, numbers = block.split("\n")[:2]
        parts = json.loads(numbers)["parts"]
        rows.append({"code": code, **{name: {"score": MIDDLE[name], "reason": "가운데"} for name in parts}})
    return json.dumps({"rows": rows}, ensure_ascii=False)


async def test_both_models_score_a_day_which_is_recorded_and_verified(tmp_path):
    gemini, deepseek = FakeService("gemini", says()), FakeService("openai", replies(batch_answer))
    async with gemini.running(), deepseek.running():
        config = tmp_path / "models.toml"
        config.write_text(
            f"""
[llm.gemini]
base_url = "{gemini.base_url}"
gap_ms = 0
requests_per_minute = 1000
[llm.deepseek]
base_url = "{deepseek.base_url}"
[llm.scan]
provider = "gemini"
[llm.analysis]
provider = "deepseek"
"""
        )
        data = tmp_path / "data"
        run = ("run", "--data", data, "--config", config, *SMALL)
        keys = {"GEMINI_API_KEY": "canary-gemini-5521", "DEEPSEEK_API_KEY": "canary-deepseek-7733"}
        done = await asyncio.to_thread(kquant, *run, variables=keys)
        assert done.returncode == 0, done.stderr[-2_000:]
        facts = facts_of(data)
        scores = of(facts, ScoreGiven)
        assert scores
        assert {score.model for score in scores} == {"gemini-3.5-flash-lite"}
        assert {batch.model for batch in of(facts, BatchScored)} == {"deepseek-flash"}
        assert of(facts, PicksChosen)
        assert not of(facts, ScoreFailed)
        paid = len(gemini.asked) + len(deepseek.asked)
        assert len(of(facts, ModelAsked)) == len(of(facts, ModelAnswered)) == paid
        titles = {title for wanted in of(facts, ScoreWanted) for title in wanted.titles}
        shown = "".join(gemini.user_text(place) for place in range(len(gemini.asked)))
        assert titles
        assert all(title in shown for title in clean_titles(sorted(titles)))
        verified = await asyncio.to_thread(kquant, "replay", "verify", folder_of(data))
        assert verified.returncode == 0, verified.stdout
        for path in folder_of(data).rglob("*"):
            if path.is_file():
                assert not any(key.encode() in path.read_bytes() for key in keys.values()), path
        assert not any(key in done.stdout + done.stderr for key in keys.values())


def test_a_model_without_its_key_and_a_model_that_is_gone_are_refused_in_one_line(tmp_path):
    no_key = kquant("run", "--data", tmp_path / "data", "--set", "llm.scan.provider=gemini", *SMALL)
    assert (no_key.returncode, no_key.stderr.count("\n")) == (2, 1), no_key.stderr
    assert "GEMINI_API_KEY" in no_key.stderr
    keys = {"GEMINI_API_KEY": "x"}
    gone = ("--set", "llm.scan.provider=gemini", "--set", "llm.scan.model=gemini-2.0-flash")
    old = kquant("run", "--data", tmp_path / "data", *gone, *SMALL, variables=keys)
    assert (old.returncode, old.stderr.count("\n")) == (2, 1), old.stderr
    assert "retired" in old.stderr
    assert "llm.scan.model" in old.stderr
    good = kquant("run", "--data", tmp_path / "data", *SMALL)
    assert good.returncode == 0, good.stderr[-2_000:]
    assert not [alert for alert in of(facts_of(tmp_path / "data"), AlertRaised) if "retired" in alert.text]
