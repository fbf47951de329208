"""A run's language models joined: from a request in the journal to the real SDK and back, and the check at start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from kquant.config import ConfigError, load
from kquant.events.analyzer import BatchScored, BatchWanted, Listed, ListingAnswered
from kquant.events.scanner import ModelAnswered, ScoreAbstained, ScoreGiven
from kquant.gateways.clock import WallClock
from kquant.gateways.llm import Desk, LlmError
from kquant.gateways.research import AnalysisGateway
from kquant.gateways.scoring import HeuristicScorer, ScorerGateway
from kquant.journal.memory import MemoryJournal
from kquant.settings import LlmPrice, LlmSettings
from kquant.testing.facts import demo_settings
from kquant.values import SECOND_US, Krw, Micros, Seq, Shares, Symbol
from tests.llm.services import FakeService, Kind, fails, replies, says
from tests.llm.test_batch import rows
from tests.llm.world import KEY, VirtualClock, llm_settings, settings_with, wanted
from tests.scoring.fakes import Quiet, Shelf
from tests.scoring.test_analysis_gateway import research_row, write

ENVIRON = {"GEMINI_API_KEY": KEY, "DEEPSEEK_API_KEY": KEY}
PROVIDERS: dict[Kind, Any] = {"gemini": "gemini", "openai": "deepseek"}


class Room:
    """A journal on the wall's clock, attachments, a desk."""

    def __init__(self, llm: LlmSettings, folder: Path, environ: dict[str, str] | None = None) -> None:
        self.clock = WallClock()
        self.journal = MemoryJournal(self.clock.now)
        self.store = Shelf()
        self.quiet = Quiet()
        self.desk = Desk(
            settings_with(llm),
            ENVIRON if environ is None else environ,
            journal=self.journal,
            clock=self.clock,
            store=self.store,
            answers=folder / "answers",
        )

    def soon(self) -> Micros:
        return Micros(self.clock.now() + 30 * SECOND_US)

    async def through(self, gateway: Any, stream: str, *requests: Any) -> list[Any]:
        """Return what a gateway answers to the requests."""
        self.journal.append("asks", requests, by="asks").result()
        await gateway.start()
        await self.quiet.until_idle(gateway)
        await gateway.close()
        await self.desk.close()
        return [fact.event for fact in self.journal.read(Seq(0), 10_000) if fact.stream == stream]

    def scorer(self) -> ScorerGateway:
        return ScorerGateway(
            self.journal, self.clock, self.desk.scorer(), changed=self.quiet.changed, on_fatal=self.quiet.on_fatal
        )

    def analysis(self, table: Path | None = None) -> AnalysisGateway:
        return AnalysisGateway(
            self.journal,
            self.clock,
            self.store,
            table,
            changed=self.quiet.changed,
            on_fatal=self.quiet.on_fatal,
            analyst=self.desk.analyst(),
        )


def any_day(llm: LlmSettings) -> LlmSettings:
    """Return settings whose prices hold, and whose models are served, on whatever day this runs."""
    return replace(llm, prices=tuple(replace(price, since="2000-01-01") for price in llm.prices), retired=())


def priced(llm: LlmSettings, model: str) -> LlmSettings:
    """Return settings in which a model costs nothing."""
    return replace(llm, prices=(LlmPrice(model=model, since="2000-01-01", input_krw=0, output_krw=0),))


def on_the_day(llm: LlmSettings, folder: Path) -> Desk:
    """Return a desk on the day of the tests' facts."""
    clock = VirtualClock()
    journal = MemoryJournal(clock.now)
    return Desk(settings_with(llm), ENVIRON, journal=journal, clock=clock, store=Shelf(), answers=folder)


def listed(code: str, name: str) -> Listed:
    return Listed(
        code=Symbol(code), name=name, market="KOSPI", kind="common", base=Krw(70_000), upper=None, lower=None,
        halted=False, administrative=False, liquidation=False, overheated=False, warning=0, prev_volume=Shares(1),
    )  # fmt: skip


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_a_candidate_is_scored_by_the_real_sdk_and_all_of_it_recorded(kind: Kind, tmp_path: Path) -> None:
    async with FakeService(kind, says()).running() as fake:
        room = Room(any_day(llm_settings(fake.base_url, PROVIDERS[kind])), tmp_path)
        [given] = await room.through(room.scorer(), "scorer", wanted(valid_until=room.soon()))
    assert isinstance(given, ScoreGiven)
    assert (given.tokens, given.fallback, given.reused) == (1_700, "", False)
    assert given.reasons[0] == "3회 연속"
    assert fake.user_text() == msgspec.json.decode(room.store.get(given.prompt))["user"]
    assert '"change_bp":1200' in fake.user_text()


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_a_service_that_is_busy_and_then_limits_is_asked_until_it_answers(kind: Kind, tmp_path: Path) -> None:
    script = (fails(503), fails(429, delay="0.1s"), says())
    async with FakeService(kind, *script).running() as fake:
        room = Room(any_day(llm_settings(fake.base_url, PROVIDERS[kind])), tmp_path)
        [given] = await room.through(room.scorer(), "scorer", wanted(valid_until=room.soon()))
    assert isinstance(given, ScoreGiven)
    outcomes = [fact.event.outcome for fact in room.journal.read(Seq(0)) if isinstance(fact.event, ModelAnswered)]
    assert outcomes == ["overloaded", "limited", "answered"]


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_an_empty_answer_abstains_and_a_model_that_is_gone_lets_the_heuristic_score(
    kind: Kind, tmp_path: Path
) -> None:
    async with FakeService(kind, says(None)).running() as fake:
        room = Room(any_day(llm_settings(fake.base_url, PROVIDERS[kind])), tmp_path)
        [abstained] = await room.through(room.scorer(), "scorer", wanted(valid_until=room.soon()))
        assert len(fake.asked) == 2
    assert isinstance(abstained, ScoreAbstained)
    async with FakeService(kind, fails(404)).running() as fake:
        room = Room(any_day(llm_settings(fake.base_url, PROVIDERS[kind])), tmp_path / "other")
        [given] = await room.through(room.scorer(), "scorer", wanted(valid_until=room.soon()))
    assert isinstance(given, ScoreGiven)
    assert given.model == "heuristic-1"
    assert "does not serve" in given.fallback


async def test_a_batch_goes_from_the_research_table_through_the_helper_to_the_model(tmp_path: Path) -> None:
    codes = ("005930", "000660")
    table = tmp_path / "research.parquet"
    write(table, [research_row(code, titles=("실적 <b>발표</b>",)) for code in codes])

    def answered(user: str) -> str:
        made = msgspec.json.decode(rows(*codes))
        for row in made["rows"]:
            row["flows"] = {"score": 12, "reason": "so"}
        return msgspec.json.encode(made).decode() if "### 005930" in user else ""

    async with FakeService("openai", replies(answered)).running() as fake:
        room = Room(any_day(llm_settings(fake.base_url, "deepseek")), tmp_path)
        name = room.store.put(table.read_bytes())
        request = BatchWanted(batch=1, attempt=1, codes=codes, table=name, valid_until=room.soon())
        listing = ListingAnswered(stocks=(listed("005930", "삼성전자"),), source="")
        [scored] = await room.through(room.analysis(), "research", listing, request)
    assert isinstance(scored, BatchScored)
    assert [row.code for row in scored.rows] == list(codes)
    assert (scored.model, scored.tokens) == ("deepseek-flash", 1_700)
    text = fake.user_text()
    assert "- name: 삼성전자\n- title: 실적 ‹b›발표‹/b›" in text
    for number in (
        '"per_x100":900',
        '"foreign_net_5d_bp_of_volume":200',
        '"trend_change_bp":',
        '"parts":["financials"',
    ):
        assert number in text


async def test_the_check_at_start_finds_both_models(tmp_path: Path) -> None:
    async with FakeService("gemini", says()).running() as fake:
        room = Room(any_day(llm_settings(fake.base_url)), tmp_path)
        assert await room.desk.check() == ()
        assert fake.lists == 2
        await room.desk.close()


async def test_a_model_that_is_not_listed_is_one_clear_error_and_is_never_asked(tmp_path: Path) -> None:
    async with FakeService(
        "gemini", says(), models=("gemini-4-flash", "gemini-4-pro", "embedding-1")
    ).running() as fake:
        room = Room(any_day(llm_settings(fake.base_url)), tmp_path)
        with pytest.raises(LlmError) as caught:
            await room.desk.check()
        [scan, _] = str(caught.value).split("; ")
        assert scan == (
            "gemini does not list model gemini-3.5-flash-lite: set llm.scan.model to one it does (gemini-4-flash, gemini-4-pro)"
        )
        [given] = await room.through(room.scorer(), "scorer", wanted(valid_until=room.soon()))
        assert isinstance(given, ScoreGiven)
        assert (given.fallback, fake.asked) == (scan, [])


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (
            "gemini-2.0-flash",
            "model gemini-2.0-flash was retired on 2026-06-01: set llm.scan.model to gemini-3.5-flash-lite or",
        ),
        (
            "deepseek-reasoner",
            "model deepseek-reasoner was retired on 2026-07-24: set llm.scan.model to deepseek-flash",
        ),
    ],
)
async def test_a_retired_model_is_told_with_its_successors_before_anybody_is_asked(
    model: str, said: str, tmp_path: Path
) -> None:
    desk = on_the_day(priced(llm_settings(model=model), model), tmp_path)
    with pytest.raises(LlmError, match=said.replace(".", r"\.")):
        await desk.check()


async def test_a_model_that_will_be_retired_soon_is_told_in_time(tmp_path: Path) -> None:
    async with FakeService("gemini", says(), models=("gemini-2.5-flash",)).running() as fake:
        llm = llm_settings(fake.base_url, model="gemini-2.5-flash")
        desk = on_the_day(priced(llm, "gemini-2.5-flash"), tmp_path)
        assert (await desk.check())[0] == (
            "model gemini-2.5-flash will be retired on 2026-12-01: set llm.scan.model to gemini-3.5-flash-lite"
        )
        await desk.close()


async def test_a_service_that_cannot_be_asked_for_its_models_is_no_error(tmp_path: Path) -> None:
    desk = on_the_day(llm_settings("http://127.0.0.1:9"), tmp_path)
    notes = await desk.check()
    assert len(notes) == 2
    assert notes[0].startswith("gemini could not be asked for its models:")
    await desk.close()


@pytest.mark.parametrize("provider", ["gemini", "deepseek"])
def test_a_service_without_a_key_is_refused_by_the_variables_name(provider: str, tmp_path: Path) -> None:
    variable = {"gemini": "GEMINI_API_KEY", "deepseek": "DEEPSEEK_API_KEY"}[provider]
    with pytest.raises(LlmError, match=f"llm.scan.provider is {provider}, but {variable} is not set"):
        Room(any_day(llm_settings(provider=provider)), tmp_path, {variable: " "})


def test_a_key_that_no_header_could_carry_is_refused_without_showing_it(tmp_path: Path) -> None:
    with pytest.raises(LlmError) as caught:
        Room(any_day(llm_settings()), tmp_path, {"GEMINI_API_KEY": "canary\n열쇠"})
    assert "canary" not in str(caught.value)


def test_a_model_without_a_price_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(LlmError, match=r"llm\.scan\.model is 'mine', which has no price"):
        Room(llm_settings(model="mine"), tmp_path)


async def test_a_server_of_ones_own_needs_an_address_a_price_of_zero_and_no_key(tmp_path: Path) -> None:
    async with FakeService("openai", says(), models=("mine",)).running() as fake:
        llm = priced(llm_settings(fake.base_url, "other", model="mine"), "mine")
        room = Room(replace(any_day(llm), day_budget_krw=0), tmp_path, {})
        assert await room.desk.check() == ()
        [given] = await room.through(room.scorer(), "scorer", wanted(valid_until=room.soon()))
    assert isinstance(given, ScoreGiven)
    assert (given.model, given.cost_krw, given.fallback) == ("mine", 0, "")
    with pytest.raises(LlmError, match=r"llm\.other\.base_url is empty"):
        Room(replace(llm, other=replace(llm.other, base_url="")), tmp_path, {})


def test_as_packaged_nothing_is_asked_and_no_key_is_read(tmp_path: Path) -> None:
    room = Room(demo_settings().llm, tmp_path, {})
    assert isinstance(room.desk.scorer(), HeuristicScorer)
    assert room.desk.analyst() is None


def test_every_packaged_model_has_a_price_and_none_is_retired() -> None:
    llm = demo_settings().llm
    assert {llm.scan.model, llm.analysis.model} <= {price.model for price in llm.prices}
    assert not {price.model for price in llm.prices} & {each.model for each in llm.retired}
    successors = {name for each in llm.retired for name in each.successors}
    assert successors <= {price.model for price in llm.prices}


def test_settings_of_language_models_are_refused_by_name(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('[llm.scan]\nprovider = "chatgpt"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"llm\.scan\.provider"):
        load("demo", file=mine, environ={})


def test_no_sdk_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, kquant.cli, kquant.gateways.llm, kquant.gateways.scoring, kquant.gateways.research\n"
        "found = {'google.genai', 'openai', 'httpx2', 'httpx', 'pydantic', 'pandas', 'pykrx'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
