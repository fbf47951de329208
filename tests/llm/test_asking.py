"""Pace, budget, deadlines and what follows from a service's refusals (kis-protocol 7.3, 7.4)."""

from __future__ import annotations

import asyncio
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kquant.events.day import AlertRaised
from kquant.events.scanner import ModelAnswered, ModelAsked
from kquant.gateways.llm.asked import Prompt
from kquant.gateways.llm.meter import MILLION, Meter, cost_of, price_of, whole_won
from kquant.gateways.llm.pace import Pace
from kquant.gateways.llm.providers import Answer, ServiceError
from kquant.journal.memory import MemoryJournal
from kquant.settings import LlmJobSettings, LlmPrice
from kquant.testing.facts import demo_settings
from kquant.values import MINUTE_US, SECOND_US, Seq
from tests.llm.services import SCAN_TEXT
from tests.llm.world import NOW, InMemory, VirtualClock, World, always, in_turn, llm_settings, said, wanted

BUSY = ServiceError("overloaded", "503: busy")
LIMITED = ServiceError("limited", "429: slow down", retry_after=7.0)


def alerts(world: World) -> list[str]:
    return [event.text for event in world.events() if isinstance(event, AlertRaised)]


def begun(world: World) -> list[float]:
    """Return when each request left, in seconds since the beginning."""
    return [(fact.at - NOW) / SECOND_US for fact in world.recorded() if isinstance(fact.event, ModelAsked)]


async def test_a_429_is_obeyed_to_the_second_and_then_answered(tmp_path: Path) -> None:
    world = World(tmp_path, in_turn(LIMITED, said()))
    scored = await world.score()
    assert scored.fallback == ""
    assert begun(world) == [0, 7]
    assert [event.outcome for event in world.events()[1::2]] == ["limited", "answered"]


async def test_a_429_holds_back_everybody_else_too(tmp_path: Path) -> None:
    async def answer(_job: LlmJobSettings, prompt: Prompt) -> Answer:
        if "first" in prompt.user and len(world.service.asked) == 1:
            raise LIMITED
        return said()

    world = World(tmp_path, InMemory(answer))

    async def two() -> None:
        first = asyncio.ensure_future(world.scorer.score(wanted(name="first"), world.cause()))
        await world.clock.sleep(1)
        await world.scorer.score(wanted("000660", name="second"), world.cause())
        await first

    await world.clock.run(two())
    assert begun(world) == [0, 7, 7]


async def test_a_delay_beyond_the_deadline_is_not_waited_for(tmp_path: Path) -> None:
    world = World(tmp_path, in_turn(ServiceError("limited", "429: tomorrow", retry_after=3_600)))
    scored = await world.score()
    assert scored.fallback == "no time for another try: 429: tomorrow"
    # Nobody else is sent there meanwhile, or waits for it, and a person is told once.
    again = await world.score(wanted("000660"))
    assert again.fallback == "no time for another try: gemini limits the requests"
    assert world.clock.now() == NOW
    assert len(world.service.asked) == 1
    assert alerts(world) == ["gemini limits the requests (429); meanwhile the heuristic scores"]


async def test_a_busy_service_is_asked_again_ever_later(tmp_path: Path) -> None:
    world = World(tmp_path, in_turn(BUSY, BUSY, BUSY, said()))
    assert (await world.score()).fallback == ""
    assert begun(world) == [0, 1, 3, 7]
    assert [event.cost for event in world.events() if isinstance(event, ModelAnswered)][:3] == [0, 0, 0]


async def test_a_service_that_stays_down_is_left_alone_and_a_person_told_once(tmp_path: Path) -> None:
    world = World(tmp_path, in_turn(BUSY))
    first = await world.score()
    asked = len(world.service.asked)
    assert asked == 5
    assert "busy" in first.fallback
    second = await world.score(wanted("000660", valid_until=world.clock.now() + 40 * SECOND_US))
    assert len(world.service.asked) == asked
    assert "is down" in second.fallback
    assert alerts(world) == ["gemini is down: 503: busy; meanwhile the heuristic scores"]


async def test_after_the_pause_one_request_tries_and_an_answer_opens_the_door(tmp_path: Path) -> None:
    world = World(tmp_path, in_turn(BUSY, BUSY, BUSY, BUSY, BUSY, said()))
    await world.score()
    await world.clock.run(world.clock.sleep(61))
    later = world.clock.now() + 40 * SECOND_US
    assert (await world.score(wanted("000660", valid_until=later))).fallback == ""
    assert (await world.score(wanted("035720", valid_until=later))).fallback == ""


@pytest.mark.parametrize("outcome", ["gone", "refused"])
async def test_a_model_that_is_gone_is_never_asked_again_and_the_setting_is_named_once(
    tmp_path: Path, outcome: Any
) -> None:
    llm = llm_settings(model="gemini-2.0-flash")
    llm = replace(llm, prices=(LlmPrice(model="gemini-2.0-flash", since="2026-01-01", input_krw=1, output_krw=1),))
    world = World(tmp_path, in_turn(ServiceError(outcome, "404: not found", lasting=True)), llm)
    for code in ("000001", "000002", "000003"):
        scored = await world.score(wanted(code, name=code))
        assert scored.model == "heuristic-1"
        assert "set llm.scan.model to gemini-3.5-flash-lite or gemini-3.8-flash" in scored.fallback
    assert len(world.service.asked) == 1
    [text] = alerts(world)
    assert text.startswith("gemini does not serve gemini-2.0-flash: 404: not found (set llm.scan.model to")


async def test_a_request_that_is_refused_for_itself_closes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, in_turn(ServiceError("refused", "400: odd"), said()))
    assert (await world.score()).fallback == "400: odd"
    assert (await world.score(wanted("000660"))).fallback == ""
    assert alerts(world) == []


async def test_a_model_without_a_price_is_not_asked(tmp_path: Path) -> None:
    world = World(tmp_path, always(said()), replace(llm_settings(), prices=()))
    assert "has no price" in (await world.score()).fallback
    assert world.service.asked == []


async def test_the_budget_stops_the_asking_and_says_so_once(tmp_path: Path) -> None:
    llm = replace(llm_settings(), day_budget_krw=12)
    world = World(tmp_path, always(said()), llm)
    results = [await world.score(wanted(f"{number:06d}", name=str(number))) for number in range(30)]
    paid = [result for result in results if not result.fallback]
    assert 3 <= len(paid) < 12
    assert {result.fallback for result in results[len(paid) :]} == {"the day's budget of 12 won is spent"}
    assert sum(event.cost for event in world.events() if isinstance(event, ModelAnswered)) <= 12 * MILLION
    assert alerts(world) == ["the day's budget of 12 won is spent: the heuristic scores"]


async def test_a_restart_knows_what_was_spent(tmp_path: Path) -> None:
    llm = replace(llm_settings(), day_budget_krw=12)
    first = World(tmp_path / "a", always(said()), llm)
    while not (await first.score(wanted(name=str(len(first.events()))))).fallback:
        pass
    again = World(tmp_path / "b", always(said()), llm, journal=first.journal)
    assert (await again.score(wanted(name="after"))).fallback == "the day's budget of 12 won is spent"
    assert again.meter.spent == first.meter.spent
    assert again.service.asked == []
    assert len(alerts(again)) == 1


async def test_a_call_that_a_crash_left_open_counts_with_all_it_could_cost(tmp_path: Path) -> None:
    journal = MemoryJournal(lambda: NOW)
    asked = ModelAsked(
        job="scan", provider="gemini", model="m", prompt_version="v", prompt="p", attempt=1, reserve=3 * MILLION
    )
    journal.append("scanner", [wanted()], by="scanner").result()
    journal.append("llm", [asked], by="llm", caused_by=Seq(1)).result()
    meter = Meter(journal, 5)
    assert meter.spent == 3 * MILLION
    assert meter.affordable(2 * MILLION)
    assert not meter.affordable(2 * MILLION + 1)
    # The same request is asked for again after the restart: its record takes the next place.
    seq = await meter.asked(Seq(1), asked)
    assert [fact.index for fact in journal.read(Seq(0)) if fact.stream == "llm"] == [0, 1]
    assert seq == 3


@pytest.mark.parametrize("budget", [0, 4, 9, 25])
@pytest.mark.parametrize("kind", ["good", "empty", "busy", "hang", "uncounted", "refused", "mixed"])
async def test_whatever_a_service_does_the_day_never_costs_more_than_its_budget(
    tmp_path: Path, budget: int, kind: str
) -> None:
    kinds = ["good", "empty", "busy", "hang", "uncounted", "refused"]

    async def answer(_job: LlmJobSettings, _prompt: Prompt) -> Answer:
        now = kinds[len(world.service.asked) % len(kinds)] if kind == "mixed" else kind
        match now:
            case "busy":
                raise ServiceError("broken", "cut", billed=True)
            case "refused":
                raise ServiceError("refused", "400: no")
            case "hang":
                await world.clock.sleep(100)
            case "empty":
                return said("")
            case "uncounted":
                return said(SCAN_TEXT, tokens=(0, 0))
            case _:
                pass
        return said()

    world = World(tmp_path, InMemory(answer), replace(llm_settings(), day_budget_krw=budget))

    async def burst() -> None:
        until = world.clock.now() + 40 * SECOND_US
        requests = [wanted(f"{number:06d}", name=str(number), valid_until=until) for number in range(20)]
        await asyncio.gather(*(world.scorer.score(request, world.cause()) for request in requests))

    await world.clock.run(burst())
    assert world.meter.spent <= budget * MILLION
    assert Meter(world.journal, budget).spent == world.meter.spent


async def test_thirty_evaluations_fit_in_their_minute_at_half_a_second_a_call(tmp_path: Path) -> None:
    async def answer(_job: LlmJobSettings, _prompt: Prompt) -> Answer:
        await world.clock.sleep(3)
        return said()

    llm = llm_settings()
    world = World(tmp_path, InMemory(answer), replace(llm, gemini=replace(llm.gemini, gap_ms=500)))

    async def cycle() -> list[Any]:
        until = NOW + demo_settings().scanner.deadline_seconds * SECOND_US
        requests = [wanted(f"{number:06d}", name=str(number), valid_until=until) for number in range(30)]
        return list(await asyncio.gather(*(world.scorer.score(request, world.cause()) for request in requests)))

    results = await world.clock.run(cycle())
    assert [result.fallback for result in results] == [""] * 30
    times = begun(world)
    assert all(after - before >= 0.5 for before, after in pairwise(times))
    assert world.clock.now() - NOW < 30 * SECOND_US


@settings(max_examples=60, deadline=None)
@given(
    asks=st.lists(st.tuples(st.integers(0, 90), st.integers(1, 900)), min_size=1, max_size=40),
    per_minute=st.integers(1, 12),
    tokens=st.integers(1_000, 3_000),
    concurrency=st.integers(1, 4),
    took=st.integers(0, 30),
)
def test_no_minute_has_more_requests_or_tokens_than_allowed(
    asks: list[tuple[int, int]], per_minute: int, tokens: int, concurrency: int, took: int
) -> None:
    limits = replace(
        llm_settings().gemini, requests_per_minute=per_minute, tokens_per_minute=tokens, concurrency=concurrency
    )
    clock = VirtualClock()
    begun: list[tuple[int, int]] = []
    running = [0, 0]

    async def one(pace: Pace, after: int, size: int) -> None:
        await clock.sleep(after)
        async with pace.place(size):
            begun.append((clock.now(), size))
            running[0] += 1
            running[1] = max(running)
            await clock.sleep(took)
            running[0] -= 1

    async def all_of_them() -> None:
        pace = Pace(limits, clock)
        await asyncio.gather(*(one(pace, after, size) for after, size in asks))

    async def main() -> None:
        await clock.run(all_of_them())

    asyncio.run(main())
    assert len(begun) == len(asks)
    assert running[1] <= concurrency
    for at, _ in begun:
        window = [size for when, size in begun if at <= when < at + MINUTE_US]
        assert len(window) <= per_minute
        assert sum(window) <= tokens


def test_a_price_is_the_one_in_force_on_the_day() -> None:
    prices = demo_settings().llm.prices
    found = {day: price_of(prices, "gemini-3.8-flash", date.fromisoformat(day)) for day in ("2026-12-31", "2027-01-01")}
    assert [price.input_krw if price else None for price in found.values()] == [1_125, 2_250]
    assert price_of(prices, "gemini-3.8-flash", date(2025, 12, 31)) is None
    assert price_of(prices, "nobody", date(2026, 11, 20)) is None


def test_a_cost_is_exact_and_told_in_whole_won_half_up() -> None:
    price = LlmPrice(model="m", since="2026-01-01", input_krw=450, output_krw=3_750)
    assert cost_of(price, 1_000, 200) == 1_200_000
    assert [whole_won(cost) for cost in (0, 499_999, 500_000, 1_200_000)] == [0, 0, 1, 1]


async def test_a_request_that_may_have_been_worked_on_is_charged_all_it_could_cost(tmp_path: Path) -> None:
    world = World(tmp_path, in_turn(ServiceError("broken", "cut", billed=True), said()))
    await world.score()
    asked, broken, _, answered = world.events()
    assert (broken.outcome, broken.cost) == ("broken", asked.reserve)
    assert world.meter.spent == asked.reserve + answered.cost


async def test_an_answer_whose_tokens_nobody_counted_is_charged_all_it_could_cost(tmp_path: Path) -> None:
    world = World(tmp_path, always(said(tokens=(0, 0))))
    await world.score()
    asked, answered = world.events()
    assert (answered.outcome, answered.cost) == ("answered", asked.reserve)


async def test_while_it_was_down_one_request_tries_and_the_others_do_not(tmp_path: Path) -> None:
    down = True

    async def answer(_job: LlmJobSettings, _prompt: Prompt) -> Answer:
        await world.clock.sleep(2)
        if down:
            raise BUSY
        return said()

    world = World(tmp_path, InMemory(answer))
    await world.score(wanted(valid_until=NOW + 60 * SECOND_US))
    before = len(world.service.asked)
    await world.clock.run(world.clock.sleep(61))

    async def burst() -> list[Any]:
        until = world.clock.now() + 20 * SECOND_US
        requests = [wanted(f"{number:06d}", name=str(number), valid_until=until) for number in range(6)]
        return list(await asyncio.gather(*(world.scorer.score(request, world.cause()) for request in requests)))

    results = await world.clock.run(burst())
    assert len(world.service.asked) == before + 1
    assert all(result.model == "heuristic-1" for result in results)


async def test_failures_with_answers_between_them_are_no_outage(tmp_path: Path) -> None:
    world = World(tmp_path, in_turn(*([BUSY, BUSY, BUSY, said()] * 4)))
    for number in range(4):
        until = world.clock.now() + 40 * SECOND_US
        scored = await world.score(wanted(f"{number:06d}", name=str(number), valid_until=until))
        assert scored.fallback == ""
    assert alerts(world) == []
