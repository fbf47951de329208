"""Intraday runs: fetch, commit, brain, order, and every way a run ends without buying."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from kquant.domain.pipeline import PIPELINE, candidates
from kquant.events.analyzer import Pick, PicksChosen
from kquant.events.day import AlarmCancelled, AlarmSet, JobDue
from kquant.events.feed import Dropped, FeedConnected, FeedLost, FirstTick, Registered
from kquant.events.market import Bar, BarsClosed, SnapshotTaken
from kquant.events.orders import OrderFinished, OrderIntended
from kquant.events.pipeline import (
    BuySignalled,
    NewsAnswered,
    NewsWanted,
    PipelineAborted,
    PipelineCommitted,
    PipelineCompleted,
    PipelineSkipped,
    PipelineStarted,
    SnapshotWanted,
)
from kquant.events.portfolio import Difference, PortfolioSynchronised, PositionClosed, PositionOpened
from kquant.events.scanner import ReadFailed, ScanCompleted, ScanScore
from kquant.events.slots import DropWanted, SlotClaimed, SlotClaimEnded
from kquant.settings import Settings
from kquant.values import MINUTE_US, SECOND_US
from tests.pipeline.test_brain import quote
from tests.scanner.daylog import SETTINGS, Drive, listed, listing, opened

A, B, C = "000101", "000102", "000103"


def claimed(code: str, reason: Any = "picked") -> SlotClaimed:
    return SlotClaimed(code=code, name=f"stock {code}", reason=reason, rank=0, since=0)


def registered(code: str, epoch: int = 1, channel: Any = "trades") -> Registered:
    return Registered(epoch=epoch, code=code, channel=channel, already=False)


def intended(code: str, intent: int = 1) -> OrderIntended:
    return OrderIntended(
        intent=intent, code=code, name=code, side="buy", qty=1, kind="limit", price=1, reason="signal", decision=1,
        reserved_krw=1, valid_until=0,
    )  # fmt: skip


def ready(*codes: str, settings: Settings = SETTINGS) -> Drive:
    """A morning at 09:20 with live, claimed stocks that have bars."""
    drive = Drive(PIPELINE, settings=settings)
    drive.tell(opened(), "run")
    drive.tell(listing(*(listed(code) for code in (A, B, C))), "rest")
    picks = tuple(Pick(rank=n, code=code, name=code, score=80, points=100) for n, code in enumerate((A, B, C), 1))
    drive.tell(PicksChosen(picks=picks, subscribed=2, analysed=3, unscored=0, failed_batches=0), "analyzer")
    drive.tell(FeedConnected(epoch=1), "feed")
    for code in codes:
        drive.tell(claimed(code), "slots")
        drive.tell(registered(code), "feed")
    for minute in range(20):
        start = drive.at("09:00") + minute * MINUTE_US
        bars = tuple(
            Bar(code=code, open=10_000, high=10_100, low=9_990, close=10_050, volume=1_000, value=10_000_000,
                covered_seconds=60, day_high=10_200)
            for code in codes
        )  # fmt: skip
        drive.move(f"09:{minute:02d}")
        drive.tell(BarsClosed(start=start, bars=bars, place=minute), "market")
    return drive


def due(drive: Drive, clock: str = "09:20") -> list[Any]:
    drive.move(clock)
    return drive.tell(JobDue(job="pipeline", due=drive.now), "scheduler")


def synchronised(drive: Drive, *differences: Difference) -> list[Any]:
    balance = drive.journal.head
    return drive.tell(PortfolioSynchronised(reason="pipeline", balance=balance, differences=differences), "portfolio")


def news(drive: Drive, run: int = 1) -> list[Any]:
    return drive.tell(NewsAnswered(run=run, items=()), "rest")


def snapshot(drive: Drive, *quotes: Any, run: int = 1) -> list[Any]:
    return drive.tell(SnapshotTaken(run=run, quotes=quotes, place=99), "market")


def test_a_portfolio_that_stops_agreeing_while_the_news_is_awaited_leaves_no_run_open() -> None:
    patient = replace(SETTINGS.pipeline, sync_deadline_seconds=10, news_deadline_seconds=20)
    drive = ready(A, settings=replace(SETTINGS, pipeline=patient))
    due(drive)
    assert synchronised(drive) == []
    assert drive.ring() == []
    assert synchronised(drive, Difference(what=A, ours=0, theirs=7)) == []
    assert [type(event) for event in drive.ring()] == [PipelineAborted]
    assert isinstance(due(drive, "09:30")[0], PipelineStarted)
    drive.check_recovery()


def test_a_run_fetches_commits_thinks_and_signals_in_that_order() -> None:
    drive = ready(A, B, C)
    for_scan = ScanScore(code=A, name=A, total=95)
    drive.tell(ScanCompleted(cycle=1, scored=(for_scan,), qualified=(for_scan,), left=()), "scanner")
    started, wanted, *_ = due(drive)
    assert started == PipelineStarted(run=1, due=drive.at("09:20"), sync_deadline=drive.now + 20 * SECOND_US)
    assert wanted == NewsWanted(run=1, codes=(A, B, C), valid_until=drive.now + 10 * SECOND_US)
    assert synchronised(drive) == []
    committed, *rest = news(drive)
    assert (committed.news, committed.portfolio) == (drive.said_at(NewsAnswered), drive.said_at(PortfolioSynchronised))
    assert [type(event) for event in rest] == [AlarmCancelled, AlarmCancelled, SnapshotWanted, AlarmSet]
    strong = quote(code=A, last=10_150, ask=10_160)
    weak = quote(code=B, last=9_800)
    unseen = quote(code=C, last=None, last_age_ms=None)
    signal, completed, cancelled = snapshot(drive, strong, weak, unseen)
    assert isinstance(signal, BuySignalled)
    assert (signal.code, signal.last, signal.ask, signal.snapshot) == (A, 10_150, 10_160, drive.said_at(SnapshotTaken))
    assert [score.code for score in completed.scores] == [A, B, C]
    assert completed.scores[0].total == signal.score >= 70 > completed.scores[1].total
    assert (completed.scores[2].total, completed.scores[2].why) == (None, "no trade seen")
    assert completed.signals == 1
    assert cancelled == AlarmCancelled(alarm="snapshot")
    drive.check_recovery()


def test_candidates_are_live_claimed_not_held_and_without_an_open_order() -> None:
    drive = ready(A, B, C)
    now = lambda: candidates(drive.mind.seen)  # noqa: E731
    assert now() == (A, B, C)
    drive.tell(intended(A), "orders")
    assert now() == (B, C)
    drive.tell(PositionOpened(code=B, name=B, qty=1, cost_krw=1, carried=False), "portfolio")
    assert now() == (C,)
    drive.tell(OrderFinished(intent=1, code=A, side="buy", outcome="expired", filled_qty=0), "orders")
    drive.tell(PositionClosed(code=B, realised_krw=0), "portfolio")
    assert now() == (A, B, C)
    drive.tell(SlotClaimEnded(code=A, reason="picked", why="new picks"), "slots")
    assert now() == (B, C)
    drive.tell(claimed(A, "held"), "slots")
    assert now() == (B, C)
    drive.tell(claimed(A, "surging"), "slots")
    assert now() == (A, B, C)
    drive.tell(DropWanted(code=B, channel="book", epoch=1, valid_until=0, why=""), "slots")
    assert now() == (A, B, C)
    drive.tell(DropWanted(code=B, channel="trades", epoch=1, valid_until=0, why=""), "slots")
    assert now() == (A, C)
    drive.tell(Dropped(epoch=1, code=C, channel="trades", already=False), "feed")
    assert now() == (A,)
    drive.tell(FeedLost(epoch=1, reason="test"), "feed")
    assert now() == ()
    drive.tell(FeedConnected(epoch=2), "feed")
    drive.tell(registered(A, epoch=1), "feed")
    assert now() == ()
    drive.tell(FirstTick(epoch=2, code=A, channel="trades", place=1), "feed")
    drive.tell(registered(B, epoch=2, channel="book"), "feed")
    assert now() == (A,)


def test_a_portfolio_not_synchronised_by_the_deadline_aborts_the_run() -> None:
    drive = ready(A)
    due(drive)
    assert news(drive) == []
    assert drive.ring() == []
    assert drive.ring() == [PipelineAborted(run=1, reason="portfolio not synchronised in time")]
    assert synchronised(drive) == []
    drive.check_recovery()


def test_a_balance_from_before_the_run_does_not_count() -> None:
    drive = ready(A)
    synchronised(drive)
    due(drive)
    assert news(drive) == []


def test_an_unexplained_difference_aborts_unless_a_later_balance_agrees() -> None:
    drive = ready(A, B)
    due(drive)
    news(drive)
    assert synchronised(drive, Difference(what=C, ours=10, theirs=9)) == []
    drive.ring()
    assert drive.ring()[0] == PipelineAborted(
        run=1, reason=f"portfolio differs from the broker: {C} is 10 here, 9 there"
    )
    due(drive, "09:30")
    news(drive, 2)
    synchronised(drive, Difference(what=C, ours=10, theirs=9))
    assert isinstance(synchronised(drive)[0], PipelineCommitted)


def test_a_difference_that_an_open_order_explains_does_not_stop_the_run() -> None:
    drive = ready(A, B)
    drive.tell(intended(C), "orders")
    due(drive)
    news(drive)
    explained = (Difference(what="cash", ours=10, theirs=9), Difference(what=C, ours=0, theirs=1))
    assert isinstance(synchronised(drive, *explained)[0], PipelineCommitted)


def test_missing_news_is_left_out_and_recorded() -> None:
    for outcome in ("failed", "late"):
        drive = ready(A)
        due(drive)
        synchronised(drive)
        if outcome == "failed":
            answer = drive.tell(ReadFailed(what="pipeline.news_wanted", reason="500"), "rest")
        else:
            answer = drive.ring()
        assert isinstance(answer[0], PipelineCommitted)
        assert answer[0].news is None


def test_a_run_still_open_skips_the_next() -> None:
    drive = ready(A)
    due(drive)
    assert due(drive, "09:30") == [PipelineSkipped(due=drive.now, reason="run 1 was still open")]
    assert drive.mind.own.open.number == 1
    drive.check_recovery()


def test_no_candidates_complete_a_run_without_asking_the_market() -> None:
    drive = ready()
    due(drive)
    synchronised(drive)
    assert news(drive)[-1] == PipelineCompleted(run=1, scores=(), left=(), signals=0)


def test_no_snapshot_aborts_the_run() -> None:
    drive = ready(A)
    due(drive)
    synchronised(drive)
    news(drive)
    assert drive.ring() == [PipelineAborted(run=1, reason="no market snapshot within 10 s")]
    assert snapshot(drive, quote(code=A)) == []


def test_filters_and_late_changes_keep_a_candidate_from_being_bought() -> None:
    drive = ready(A, B, C)
    drive.tell(listing(listed(A, administrative=True), listed(B)), "rest")
    due(drive)
    synchronised(drive)
    news(drive)
    drive.tell(intended(B), "orders")
    completed = snapshot(drive, quote(code=A), quote(code=B), quote(code=C))[0]
    assert {left.code: left.filter for left in completed.left} == {A: "administrative", C: "unlisted"}
    assert completed.scores[0].why.startswith("no longer a candidate")
    assert completed.signals == 0


def test_near_the_upper_limit_or_on_little_turnover_nothing_is_bought() -> None:
    drive = ready(A, B, C)
    due(drive)
    synchronised(drive)
    news(drive)
    limit, thin, unknown = quote(code=A, last=12_980), quote(code=B, value=499_999_999), quote(code=C, value=None)
    completed = snapshot(drive, limit, thin, unknown)[0]
    assert [left.filter for left in completed.left] == ["upper_limit_ticks", "min_turnover_krw", "turnover_unknown"]
