"""Who scored which stock on a day, part by part: what calibration holds against later prices.

One mark a stock, scorer and day. The analysis gives one; of a day's scans and pipeline runs the last one stands, since it
is nearest to the close from which returns are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import asdict

from kquant.domain.rubrics import analysis_score, scan_total
from kquant.events import analyzer, pipeline, scanner
from kquant.events.base import Recorded
from kquant.events.day import DayOpened, RunStarted
from kquant.values import Krw, Seq, Shares, Symbol

Job = Literal["analysis", "scan", "final"]
TOTAL, MEASURED, SAID = "total", "numbers alone", "model alone"
"""Lines beside the rubric's parts: the score that counted; what the numbers gave; what the model said before it was
drawn back towards them. The latter two only where a language model was asked."""
LINES: Mapping[Job, tuple[str, ...]] = {
    "analysis": (TOTAL, MEASURED, SAID, *analyzer.AnalysisParts.__struct_fields__),
    "scan": (TOTAL, MEASURED, SAID, *scanner.ScanParts.__struct_fields__),
    "final": (TOTAL, *pipeline.BrainParts.__struct_fields__),
}
"""A job's lines in the order they are shown in."""
BRAIN = "brain"
"""Who blends the pipeline's final scores."""


class Mark(Struct, frozen=True, kw_only=True, gc=False):
    """One stock's scores by one scorer. lines: name of the line and its points; a part that is missing has none."""

    job: Job
    model: str
    code: Symbol
    lines: tuple[tuple[str, int], ...]


class Base(Struct, frozen=True, kw_only=True, gc=False):
    """A stock as the day's listing has it. upper, lower: the day's limits, None without.   volume: of the day before."""

    price: Krw
    upper: Krw | None
    lower: Krw | None
    volume: Shares


class ScoredDay(Struct, frozen=True, kw_only=True):
    """A recorded day. day: ISO date.   embedded: played by the embedded exchange; `day_before` is the folder it followed.

    listing: by code, empty if it never came.   picks: best first; the first `subscribed` of them claimed a slot.
    """

    day: str
    embedded: bool
    day_before: str
    marks: tuple[Mark, ...]
    listing: dict[Symbol, Base]
    picks: tuple[Symbol, ...]
    subscribed: int


def scored_day(facts: Iterable[Recorded]) -> ScoredDay | None:
    """Return what a day's log says of its scores, None for a log in which no day was opened."""
    opened: DayOpened | None = None
    embedded, coverage = False, 0
    listing: dict[Symbol, Base] = {}
    picks: tuple[Symbol, ...] = ()
    subscribed = 0
    batches: dict[Seq, analyzer.BatchScored] = {}
    marks: dict[tuple[Job, str, Symbol], Mark] = {}

    def put(each: Mark) -> None:
        marks[each.job, each.model, each.code] = each

    for fact in facts:
        match fact.event:
            case RunStarted(settings=settings):
                embedded, coverage = settings.broker.exchange == "embedded", settings.analyzer.min_coverage
            case DayOpened() as event:
                opened = event
            case analyzer.ListingAnswered(stocks=stocks):
                listing = {one.code: _base(one) for one in stocks}
            case analyzer.BatchScored() as event:
                batches[fact.seq] = event
            case analyzer.BatchJudged() as event if fact.caused_by in batches:
                for mark in _analysis(batches[fact.caused_by], event, coverage):
                    put(mark)
            case analyzer.PicksChosen() as event:
                picks, subscribed = tuple(pick.code for pick in event.picks), event.subscribed
            case scanner.ScoreGiven() as event:
                put(_scan(event))
            case pipeline.PipelineCompleted(scores=scores):
                for final in scores:
                    put(_final(final))
            case _:
                continue
    if opened is None:
        return None
    return ScoredDay(
        day=opened.day,
        embedded=embedded,
        day_before=opened.day_before,
        marks=tuple(mark for mark in marks.values() if mark.lines),
        listing=listing,
        picks=picks,
        subscribed=subscribed,
    )


def _base(stock: analyzer.Listed) -> Base:
    return Base(price=stock.base, upper=stock.upper, lower=stock.lower, volume=stock.prev_volume)


def _analysis(batch: analyzer.BatchScored, judged: analyzer.BatchJudged, coverage: int) -> Iterable[Mark]:
    totals = {score.code: score.total for score in judged.scores}
    for row in batch.rows:
        extra: list[tuple[str, int | None]] = []
        if row.measured is not None:
            said = row.parts if row.said is None else row.said
            extra = [
                (MEASURED, analysis_score(row.code, row.measured, coverage).total),
                (SAID, analysis_score(row.code, said, coverage).total),
            ]
        lines = [(TOTAL, totals.get(row.code)), *extra, *asdict(row.parts).items()]
        yield Mark(job="analysis", model=batch.model, code=row.code, lines=_known(lines))


def _scan(given: scanner.ScoreGiven) -> Mark:
    extra: list[tuple[str, int | None]] = []
    if given.measured is not None:
        said = given.parts if given.said is None else given.said
        extra = [(MEASURED, scan_total(given.measured)), (SAID, scan_total(said))]
    lines = [(TOTAL, scan_total(given.parts)), *extra, *asdict(given.parts).items()]
    return Mark(job="scan", model=given.model, code=given.code, lines=_known(lines))


def _final(score: pipeline.FinalScore) -> Mark:
    lines = [(TOTAL, score.total), *asdict(score.parts).items()]
    return Mark(job="final", model=BRAIN, code=score.code, lines=_known(lines))


def _known(lines: Iterable[tuple[str, int | None]]) -> tuple[tuple[str, int], ...]:
    return tuple((name, points) for name, points in lines if points is not None)
