"""Scheduler, analyzer, scanner, slots and pipeline through a whole day on a virtual clock, with scripted gateways."""

from __future__ import annotations

import random
from collections import Counter
from datetime import time
from typing import Any

import pytest

from kquant.actors.single import SingleRuntime, VirtualClock
from kquant.domain.analyzer import ANALYZER
from kquant.domain.owner import Mind, Owner, recover
from kquant.domain.pipeline import PIPELINE
from kquant.domain.scanner import SCANNER
from kquant.domain.scheduler import SCHEDULER
from kquant.domain.slots import SLOTS
from kquant.events.analyzer import BatchWanted, ListingWanted, PicksChosen, ResearchAnswered, ResearchWanted
from kquant.events.base import Event, Recorded
from kquant.events.day import JobDue, RunStarted
from kquant.events.feed import Dropped, FeedConnected, Registered
from kquant.events.market import SnapshotTaken
from kquant.events.pipeline import (
    BuySignalled,
    NewsAnswered,
    NewsWanted,
    PipelineCompleted,
    PipelineStarted,
    SnapshotWanted,
)
from kquant.events.portfolio import PortfolioSynchronised
from kquant.events.scanner import RankingsAnswered, RankingsWanted, ScanCompleted, ScoreGiven, ScoreWanted
from kquant.events.slots import DropWanted, RegisterWanted, SlotClaimed
from kquant.gateways.scoring.heuristic import MODEL, score_facts
from kquant.gateways.scoring.port import Scored
from kquant.journal.memory import MemoryJournal
from kquant.values import Seq, from_kst
from tests.analyzer.test_analyzer import parts, scored
from tests.pipeline.test_brain import quote
from tests.scanner.daylog import DAY, SETTINGS, listed, listing, opened
from tests.scanner.test_scanner import row

OWNERS: tuple[Owner[Any, Any], ...] = (SCHEDULER, ANALYZER, SCANNER, SLOTS, PIPELINE)
CODES = [f"{number:06d}" for number in range(200, 320)]


class World:
    """Every gateway there is, answering at once from a seeded market."""

    def __init__(self, journal: MemoryJournal) -> None:
        self.journal = journal
        self.cursor = Seq(0)
        self.chance = random.Random(7)
        self.rises = {code: self.chance.randrange(-300, 1_500) for code in CODES}

    def __call__(self) -> bool:
        facts = self.journal.read(self.cursor)
        for fact in facts:
            self.cursor = fact.seq
            answer = self.answer(fact)
            if answer is not None:
                stream, event = answer
                self.journal.append(stream, [event], by=stream, caused_by=fact.seq).result()
        return bool(facts)

    def answer(self, fact: Recorded) -> tuple[str, Event] | None:
        match fact.event:
            case ListingWanted():
                return "rest", listing(*(listed(code) for code in CODES))
            case ResearchWanted():
                return "research", ResearchAnswered(table="ab", stocks=len(CODES), coverage=())
            case BatchWanted(batch=number, codes=codes):
                return "research", scored(number, *((code, parts(self.chance.randrange(30, 95))) for code in codes))
            case RankingsWanted(cycle=cycle):
                return "rest", self.rankings(cycle)
            case ScoreWanted(cycle=cycle, code=code, facts=facts):
                answer = score_facts(facts)
                assert isinstance(answer, Scored)
                return "scorer", ScoreGiven(
                    cycle=cycle, code=code, parts=answer.parts, reasons=answer.reasons, model=MODEL, prompt="",
                    answer="", tokens=0, cost_krw=0, latency_ms=0,
                )  # fmt: skip
            case RegisterWanted(code=code, channel=channel, epoch=epoch):
                return "feed", Registered(epoch=epoch, code=code, channel=channel, already=False)
            case DropWanted(code=code, channel=channel, epoch=epoch):
                return "feed", Dropped(epoch=epoch, code=code, channel=channel, already=False)
            case PipelineStarted():
                return "portfolio", PortfolioSynchronised(reason="pipeline", balance=fact.seq, differences=())
            case NewsWanted(run=run):
                return "rest", NewsAnswered(run=run, items=())
            case SnapshotWanted(run=run, codes=codes):
                quotes = tuple(quote(code=code, book_bid_qty=8, book_ask_qty=2, book_age_ms=0) for code in codes)
                return "market", SnapshotTaken(run=run, quotes=quotes, place=1)
            case _:
                return None

    def rankings(self, cycle: int) -> RankingsAnswered:
        for code in CODES:
            self.rises[code] = max(-2_000, min(2_500, self.rises[code] + self.chance.randrange(-60, 61)))
        best = sorted(CODES, key=lambda code: -self.rises[code])[:20]
        gainers = tuple(
            row(code, n, price=10_000 + self.rises[code], change_bp=self.rises[code], volume=cycle * 10_000)
            for n, code in enumerate(best, 1)
        )
        volumes = tuple(
            row(code, n, price=10_000 + self.rises[code], change_bp=self.rises[code], volume=cycle * 20_000)
            for n, code in enumerate(self.chance.sample(CODES, 20), 1)
        )
        return RankingsAnswered(cycle=cycle, gainers=gainers, volumes=volumes)


@pytest.fixture(scope="module")
def day() -> list[Recorded]:
    clock = VirtualClock(from_kst(DAY, time(7, 10)))
    journal = MemoryJournal(clock.now)
    started = RunStarted(settings=SETTINGS, profile="demo", code_hash="", seed=1, versions={})
    journal.append("run", [started, opened()], by="run").result()
    journal.append("feed", [FeedConnected(epoch=1)], by="feed").result()
    runtime = SingleRuntime(OWNERS, journal, clock, [World(journal)])
    runtime.start()
    runtime.run_until(from_kst(DAY, time(15, 40)))
    for stream, host in runtime.hosts.items():
        facts = list(journal.read(Seq(0), 1_000_000))
        fresh = Mind(next(owner for owner in OWNERS if owner.stream == stream))
        recover(fresh, facts)
        assert fresh.own == host.own
    return list(journal.read(Seq(0), 1_000_000))


def said(day: list[Recorded], kind: type[Event]) -> list[Any]:
    return [fact.event for fact in day if isinstance(fact.event, kind)]


def test_the_day_runs_to_the_timetable(day: list[Recorded]) -> None:
    due = Counter(event.job for event in said(day, JobDue))
    assert due == {"analysis": 1, "session_opened": 1, "scan": 385, "pipeline": 17, "session_closed": 1, "day_end": 1}
    completed = said(day, ScanCompleted)
    assert len(completed) == 385
    assert all(len(event.scored) <= 30 and len(event.qualified) <= 10 for event in completed)
    (picked,) = said(day, PicksChosen)
    assert (len(picked.picks), picked.subscribed, picked.analysed) == (100, 20, 120)
    assert len(said(day, PipelineCompleted)) == 17


def test_stocks_that_qualify_in_a_scan_are_subscribed(day: list[Recorded]) -> None:
    qualified = {each.code for event in said(day, ScanCompleted) for each in event.qualified}
    surging = {event.code for event in said(day, SlotClaimed) if event.reason == "surging"}
    assert surging
    assert surging <= qualified
    asked = {event.code for event in said(day, RegisterWanted) if event.channel == "trades"}
    live = {event.code for event in said(day, Registered) if event.channel == "trades"}
    assert len(surging & asked & live) > 5


def test_only_live_claimed_stocks_are_scored_and_the_best_are_signalled(day: list[Recorded]) -> None:
    live = {event.code for event in said(day, Registered)}
    scores = [score for event in said(day, PipelineCompleted) for score in event.scores]
    assert scores
    assert {score.code for score in scores} <= live
    signals = said(day, BuySignalled)
    assert signals
    assert len(signals) == sum(score.total is not None and score.total >= 70 for score in scores)


@pytest.mark.parametrize("owner", OWNERS[:3] + OWNERS[4:], ids=lambda owner: owner.stream)
def test_every_decision_is_taken_again_from_the_log(owner: Owner[Any, Any], day: list[Recorded]) -> None:
    answers: dict[Seq, list[Recorded]] = {}
    for fact in day:
        if fact.stream == owner.stream and fact.caused_by is not None:
            answers.setdefault(fact.caused_by, []).append(fact)
    mind = Mind(owner)
    for fact in day:
        if mind.concerns(fact) and mind.perceive(fact):
            recorded = answers.pop(fact.seq, [])
            assert list(mind.decide(fact)) == [each.event for each in recorded]
            for each in recorded:
                mind.learn(each.event)
    assert answers == {}


@pytest.mark.parametrize("owner", OWNERS[:3] + OWNERS[4:], ids=lambda owner: owner.stream)
def test_recovery_at_any_moment_equals_the_live_state_then(owner: Owner[Any, Any], day: list[Recorded]) -> None:
    places = sorted(random.Random(1).sample(range(1, len(day) + 1), 12))
    live: dict[int, Any] = {}
    mind = Mind(owner)
    for place, fact in enumerate(day, 1):
        if fact.stream == owner.stream:
            mind.learn(fact.event)
        if place in places:
            live[place] = mind.own
    for place in places:
        fresh = Mind(owner)
        recover(fresh, day[:place])
        assert fresh.own == live[place]
