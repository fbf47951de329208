"""Every request to the scorer has exactly one outcome."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kquant.events.scanner import ScanParts, ScoreAbstained, ScoreFailed, ScoreGiven, ScoreWanted
from kquant.gateways.scoring import Abstained, HeuristicScorer, Scored, ScorerGateway
from kquant.journal.memory import MemoryJournal
from kquant.values import Seq
from tests.scoring.fakes import HandClock, Quiet, until
from tests.scoring.test_heuristic_scan import facts

PARTS = ScanParts(persistence=1, volume=2, momentum=3, risk=4)


class Scripted:
    """Answers by code: a value, an error, or nothing until released."""

    model = "scripted"

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def score(self, wanted: ScoreWanted, cause: Seq) -> Scored | Abstained:
        self.asked.append(wanted.code)
        answer = self.answers[wanted.code]
        if isinstance(answer, asyncio.Event):
            await answer.wait()
            return Scored(parts=PARTS, reasons=())
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]


def wanted(code: str, valid_until: int = 5_000) -> ScoreWanted:
    return ScoreWanted(cycle=1, code=code, name=code, facts=facts(), valid_until=valid_until)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def journal(clock: HandClock) -> MemoryJournal:
    return MemoryJournal(clock.now)


def gateway(journal: MemoryJournal, clock: HandClock, scorer: Any, quiet: Quiet) -> ScorerGateway:
    return ScorerGateway(journal, clock, scorer, changed=quiet.changed, on_fatal=quiet.on_fatal)


def outcomes(journal: MemoryJournal) -> dict[Seq, Any]:
    found = [(fact.caused_by, fact.event) for fact in journal.read(Seq(0)) if fact.stream == "scorer"]
    assert len(found) == len(dict(found))
    return dict(found)


async def test_a_whole_page_is_evaluated_by_the_heuristic_each_request_once(
    journal: MemoryJournal, clock: HandClock
) -> None:
    quiet = Quiet()
    scorer = gateway(journal, clock, HeuristicScorer(), quiet)
    await scorer.start()
    assert scorer.idle()
    requests = [wanted(f"{number:06d}") for number in range(30)]
    journal.append("scanner", requests, by="scanner").result()
    assert not scorer.idle()
    await quiet.until_idle(scorer)
    answers = outcomes(journal)
    assert list(answers) == list(range(1, 31))
    assert [answer.code for answer in answers.values()] == [request.code for request in requests]
    assert all(isinstance(answer, ScoreGiven) and answer.model == "heuristic-1" for answer in answers.values())
    await scorer.close()


async def test_abstentions_errors_and_expired_requests_have_their_own_outcomes(
    journal: MemoryJournal, clock: HandClock
) -> None:
    quiet = Quiet()
    scripted = Scripted({"a": Abstained(why="thin"), "b": RuntimeError("refused"), "c": None})
    journal.append("scanner", [wanted("a"), wanted("b"), wanted("c", valid_until=999)], by="scanner").result()
    scorer = gateway(journal, clock, scripted, quiet)
    await scorer.start()
    await quiet.until_idle(scorer)
    assert list(outcomes(journal).values()) == [
        ScoreFailed(cycle=1, code="c", why="expired before it was asked", stale=True),
        ScoreAbstained(cycle=1, code="a", why="thin"),
        ScoreFailed(cycle=1, code="b", why="RuntimeError: refused"),
    ]
    assert scripted.asked == ["a", "b"]
    await scorer.close()


async def test_an_answer_that_does_not_come_in_time_has_failed(journal: MemoryJournal, clock: HandClock) -> None:
    quiet = Quiet()
    scripted = Scripted({"a": asyncio.Event()})
    scorer = gateway(journal, clock, scripted, quiet)
    await scorer.start()
    journal.append("scanner", [wanted("a")], by="scanner").result()
    await until(lambda: clock._waiting)
    assert not scorer.idle()
    clock.set(5_000)
    await quiet.until_idle(scorer)
    assert outcomes(journal) == {1: ScoreFailed(cycle=1, code="a", why="no answer in time")}
    await scorer.close()


async def test_a_restart_takes_up_what_is_open_and_repeats_nothing(journal: MemoryJournal, clock: HandClock) -> None:
    quiet = Quiet()
    answer = Scored(parts=PARTS, reasons=())
    journal.append("scanner", [wanted("a"), wanted("b")], by="scanner").result()
    first = gateway(journal, clock, Scripted({"a": answer, "b": asyncio.Event()}), quiet)
    await first.start()
    await until(lambda: outcomes(journal))
    await first.close()
    assert list(outcomes(journal)) == [1]
    scripted = Scripted({"b": answer})
    second = gateway(journal, clock, scripted, quiet)
    await second.start()
    await quiet.until_idle(second)
    assert scripted.asked == ["b"]
    assert list(outcomes(journal)) == [1, 2]
    await second.close()


async def test_a_journal_that_cannot_take_an_outcome_is_fatal(journal: MemoryJournal, clock: HandClock) -> None:
    quiet = Quiet()
    scripted = Scripted({"a": (held := asyncio.Event())})
    scorer = gateway(journal, clock, scripted, quiet)
    await scorer.start()
    journal.append("scanner", [wanted("a")], by="scanner").result()
    await until(lambda: scripted.asked)
    journal.close()
    held.set()
    await until(lambda: quiet.fatal)
    assert "closed" in quiet.fatal[0]
    await scorer.close()
