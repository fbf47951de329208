"""The daily analysis: listing, research, batches, picks, and every way it can go wrong."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from kquant.domain.analyzer import ANALYZER, LISTING_ATTEMPTS
from kquant.events.analyzer import (
    AnalysisParts,
    AnalysisSkipped,
    AnalysisStarted,
    BatchFailed,
    BatchJudged,
    BatchRow,
    BatchScored,
    BatchWanted,
    ListingWanted,
    PicksChosen,
    ResearchAnswered,
    ResearchWanted,
)
from kquant.events.day import AlarmCancelled, AlarmSet, AlertRaised, JobDue
from kquant.events.scanner import ReadExpired, ReadFailed
from kquant.values import kst_clock
from tests.scanner.daylog import SETTINGS, Drive, listed, listing, opened

SMALL = replace(SETTINGS, analyzer=replace(SETTINGS.analyzer, batch_size=2, stored=3, subscribed=2))
CODES = ["000101", "000102", "000103", "000104", "000105"]
FULL = AnalysisParts(financials=20, flows=20, news=10, technicals=10)


def parts(total: int) -> AnalysisParts:
    return AnalysisParts(
        financials=min(30, total), flows=min(30, max(0, total - 30)), news=min(20, max(0, total - 60)),
        technicals=max(0, total - 80),
    )  # fmt: skip


def scored(batch: int, *rows: tuple[str, AnalysisParts]) -> BatchScored:
    return BatchScored(
        batch=batch,
        rows=tuple(BatchRow(code=code, parts=each) for code, each in rows),
        model="test",
        prompt="",
        answer="",
        tokens=0,
        cost_krw=0,
        latency_ms=0,
    )


def research(drive: Drive) -> list[Any]:
    return drive.tell(ResearchAnswered(table="ab", stocks=5, coverage=()), "research")


def analysis(drive: Drive, clock: str = "07:20") -> list[Any]:
    drive.move(clock)
    return drive.tell(JobDue(job="analysis", due=drive.at("07:20")), "scheduler")


def scoring(*stocks: Any) -> Drive:
    drive = Drive(ANALYZER, settings=SMALL)
    drive.tell(opened(), "run")
    drive.tell(listing(*(stocks or [listed(code) for code in CODES])), "rest")
    analysis(drive)
    research(drive)
    return drive


def test_the_whole_listing_is_analysed_in_batches_ordered_by_code_and_the_best_are_picked() -> None:
    drive = Drive(ANALYZER, settings=SMALL)
    assert isinstance(drive.tell(opened(), "run")[0], ListingWanted)
    assert drive.tell(listing(*(listed(code) for code in reversed(CODES))), "rest") == []
    deadline = drive.at("08:50")
    assert analysis(drive) == [
        AlarmSet(alarm="deadline", due=deadline),
        ResearchWanted(day="2026-11-20", valid_until=deadline),
    ]
    started, *batches = research(drive)
    assert started == AnalysisStarted(stocks=5, batches=3)
    assert [batch.codes for batch in batches] == [("000101", "000102"), ("000103", "000104"), ("000105",)]
    assert {(batch.table, batch.attempt, batch.valid_until) for batch in batches} == {("ab", 1, deadline)}
    drive.tell(scored(3, ("000105", parts(90))), "research")
    drive.tell(scored(1, ("000101", parts(70)), ("000102", parts(95))), "research")
    judged, picked, cancelled = drive.tell(scored(2, ("000103", parts(90)), ("000104", parts(10))), "research")
    assert [score.total for score in judged.scores] == [90, 10]
    assert [(pick.rank, pick.code, pick.score) for pick in picked.picks] == [
        (1, "000102", 95),
        (2, "000103", 90),
        (3, "000105", 90),
    ]
    assert (picked.subscribed, picked.analysed, picked.unscored, picked.failed_batches) == (2, 5, 0, 0)
    assert cancelled == AlarmCancelled(alarm="deadline")
    drive.check_recovery()


def test_missing_parts_are_left_out_and_too_little_coverage_stays_unscored() -> None:
    drive = scoring()
    half = AnalysisParts(financials=30, flows=None, news=None, technicals=10)
    little = AnalysisParts(financials=None, flows=None, news=20, technicals=20)
    (judged,) = drive.tell(scored(1, ("000101", half), ("000102", little)), "research")
    assert [(score.total, score.points) for score in judged.scores] == [(80, 50), (None, 40)]
    (judged,) = drive.tell(scored(2, ("000103", FULL), ("999999", FULL)), "research")
    assert [(score.code, score.total, score.points) for score in judged.scores] == [
        ("000103", 60, 100),
        ("000104", None, 0),
    ]
    picked = drive.tell(scored(3), "research")[1]
    assert [pick.code for pick in picked.picks] == ["000101", "000103"]
    assert (picked.analysed, picked.unscored) == (5, 3)


def test_filters_hold_for_picks_and_name_whom_they_left_out() -> None:
    flags: list[dict[str, Any]] = [
        {"halted": True}, {"administrative": True}, {"liquidation": True}, {"warning": 3}, {"overheated": True},
        {"kind": "spac"}, {"kind": "preferred"}, {"kind": "fund"}, {"base": 999}, {},
    ]  # fmt: skip
    stocks = [listed(f"0001{n:02d}", **each) for n, each in enumerate(flags)]
    drive = scoring(*stocks)
    for number, batch in enumerate(drive.said(BatchWanted), 1):
        last = drive.tell(scored(number, *((code, parts(80)) for code in batch.codes)), "research")
    assert [pick.code for pick in last[1].picks] == ["000109"]
    assert [left.filter for left in last[1].left] == [
        "halted", "administrative", "liquidation", "warning", "overheated", "spac", "preferred", "fund", "min_price_krw",
    ]  # fmt: skip


def test_a_failed_batch_is_asked_once_more_and_then_given_up() -> None:
    drive = scoring()
    (again,) = drive.tell(BatchFailed(batch=2, why="down"), "research")
    assert (again.batch, again.attempt, again.codes) == (2, 2, ("000103", "000104"))
    alert, judged = drive.tell(BatchFailed(batch=2, why="down"), "research")
    assert isinstance(alert, AlertRaised)
    assert judged == BatchJudged(batch=2, scores=())
    assert drive.tell(scored(2, ("000103", FULL)), "research") == []
    drive.tell(scored(1, ("000101", FULL), ("000102", FULL)), "research")
    picked = drive.tell(scored(3, ("000105", FULL)), "research")[1]
    assert (picked.analysed, picked.unscored, picked.failed_batches) == (3, 0, 1)
    drive.check_recovery()


def test_the_deadline_picks_from_what_there_is() -> None:
    drive = scoring()
    drive.tell(scored(2, ("000103", FULL), ("000104", parts(70))), "research")
    (picked,) = drive.ring()
    assert isinstance(picked, PicksChosen)
    assert kst_clock(drive.now) == "08:50:00"
    assert [pick.code for pick in picked.picks] == ["000104", "000103"]
    assert (picked.analysed, picked.failed_batches) == (2, 2)
    assert drive.tell(scored(1, ("000101", FULL)), "research") == []
    drive.check_recovery()


def test_a_listing_that_fails_is_asked_again_with_growing_delay_and_at_last_a_person_is_told() -> None:
    drive = Drive(ANALYZER)
    drive.tell(opened(), "run")
    delays = []
    for attempt in range(1, LISTING_ATTEMPTS + 1):
        failure = ReadExpired(what="analyzer.listing_wanted")
        (answer,) = drive.tell(failure, "rest")
        if attempt < LISTING_ATTEMPTS:
            delays.append((answer.due - drive.now) // 1_000_000)
            assert isinstance(drive.ring()[0], ListingWanted)
    assert delays == [30, 60, 120, 240, 480, 600, 600, 600, 600]
    assert isinstance(answer, AlertRaised)
    drive.check_recovery()


def test_an_analysis_due_before_the_listing_starts_when_the_listing_comes() -> None:
    drive = Drive(ANALYZER)
    drive.tell(opened(), "run")
    assert [type(event) for event in analysis(drive)] == [AlarmSet]
    (wanted,) = drive.tell(listing(listed("000101")), "rest")
    assert isinstance(wanted, ResearchWanted)


def test_without_listing_or_research_by_the_deadline_the_analysis_is_skipped() -> None:
    for with_listing, missing in ((False, "listing"), (True, "research table")):
        drive = Drive(ANALYZER)
        drive.tell(opened(), "run")
        if with_listing:
            drive.tell(listing(listed("000101")), "rest")
        analysis(drive)
        assert drive.ring() == [AnalysisSkipped(reason=f"no {missing} by the deadline")]
        assert research(drive) == []


def test_research_is_asked_three_times() -> None:
    drive = Drive(ANALYZER)
    drive.tell(opened(), "run")
    drive.tell(listing(listed("000101")), "rest")
    analysis(drive)
    failed = ReadFailed(what="analyzer.research_wanted", reason="no file")
    for _ in range(2):
        assert isinstance(drive.tell(failed, "research")[0], AlarmSet)
        assert isinstance(drive.ring()[0], ResearchWanted)
    answer = drive.tell(failed, "research")
    assert [type(event) for event in answer] == [AlertRaised, AnalysisSkipped, AlarmCancelled]
    drive.check_recovery()


def test_a_late_analysis_has_ten_minutes() -> None:
    drive = Drive(ANALYZER)
    drive.tell(opened(), "run")
    drive.tell(listing(listed("000101")), "rest")
    assert analysis(drive, "08:55")[0] == AlarmSet(alarm="deadline", due=drive.at("09:05"))
