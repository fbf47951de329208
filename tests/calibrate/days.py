"""Recorded days of a handful of stocks, and daily rows, for calibration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from kquant.domain.rubrics import analysis_score
from kquant.events import analyzer, scanner
from kquant.events.base import Event, Recorded
from kquant.events.day import DayOpened
from kquant.journal import open_day
from kquant.testing.facts import FactLog, clock, demo_settings
from kquant.values import Krw, Score, Shares, Symbol

FRIDAY, MONDAY, TUESDAY, WEDNESDAY = "2026-11-20", "2026-11-23", "2026-11-24", "2026-11-25"


def code(number: int) -> Symbol:
    return Symbol(f"{number:06d}")


def listing(bases: Mapping[Symbol, int], volume: int = 1_000) -> analyzer.ListingAnswered:
    """Every stock with limits of 30 % around its base."""
    return analyzer.ListingAnswered(
        stocks=tuple(
            analyzer.Listed(
                code=each, name=f"stock {each}", market="KOSPI", kind="common", base=Krw(base),
                upper=Krw(base * 13 // 10), lower=Krw(base * 7 // 10), halted=False, administrative=False,
                liquidation=False, overheated=False, warning=0, prev_volume=Shares(volume),
            )
            for each, base in bases.items()
        ),
        source="",
    )  # fmt: skip


def parts(financials: int, flows: int | None = None, news: int | None = None, technicals: int | None = 10):
    return analyzer.AnalysisParts(financials=financials, flows=flows, news=news, technicals=technicals)


def batch(rows: Sequence[analyzer.BatchRow], model: str = "heuristic-1", number: int = 1) -> analyzer.BatchScored:
    return analyzer.BatchScored(
        batch=number, rows=tuple(rows), model=model, prompt="", answer="", tokens=0, cost_krw=Krw(0), latency_ms=0
    )


def judged(scored: analyzer.BatchScored) -> analyzer.BatchJudged:
    scores = tuple(analysis_score(row.code, row.parts, demo_settings().analyzer.min_coverage) for row in scored.rows)
    return analyzer.BatchJudged(batch=scored.batch, scores=scores)


def picked(codes: Iterable[Symbol], subscribed: int) -> analyzer.PicksChosen:
    chosen = tuple(
        analyzer.Pick(rank=rank, code=each, name="", score=Score(90), points=100) for rank, each in enumerate(codes, 1)
    )
    return analyzer.PicksChosen(picks=chosen, subscribed=subscribed, analysed=len(chosen), unscored=0, failed_batches=0)


def given(each: Symbol, points: int, cycle: int = 1, model: str = "heuristic-1", **more) -> scanner.ScoreGiven:
    """A scan's score of *points*, of which 30 at most are persistence and the rest momentum."""
    return scanner.ScoreGiven(
        cycle=cycle, code=each,
        parts=scanner.ScanParts(persistence=min(points, 30), volume=0, momentum=max(points - 30, 0), risk=0),
        reasons=(), model=model, prompt="", answer="", tokens=0, cost_krw=Krw(0), latency_ms=0, **more,
    )  # fmt: skip


def day_log(
    day: str, scored: Sequence[analyzer.BatchScored] = (), *more: Event, bases: Mapping[Symbol, int], before: str = "",
    volume: int = 1_000, exchange: str = "live",
) -> list[Recorded]:  # fmt: skip
    """A day's log: the listing, the batches with what the analyzer makes of them, then *more*."""
    log = FactLog(clock("07:10:00", day))
    settings = demo_settings()
    log.start(settings=replace(settings, broker=replace(settings.broker, exchange=exchange)))
    opened = FactLog(clock("07:10:00", day)).open_day(day=day).event
    assert isinstance(opened, DayOpened)
    log.add("run", replace(opened, day_before=before))
    log.add("rest", listing(bases, volume))
    for each in scored:
        log.add("analyzer", judged(each), caused_by=log.add("research", each))
    for event in more:
        log.add("analyzer" if event.__struct_config__.tag.startswith("analyzer") else "scorer", event)
    return log.facts


def write(folder: Path, facts: Sequence[Recorded]) -> Path:
    """Write a log as a day's folder."""
    at = [facts[0].at]
    journal = open_day(folder, lambda: at[0])
    for fact in facts:
        at[0] = fact.at
        journal.append(fact.stream, [fact.event], by=fact.by, caused_by=fact.caused_by).result()
    journal.close()
    return folder
