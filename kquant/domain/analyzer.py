"""The daily analysis: the whole listing, the research table, batches scored part by part, and the day's picks.

`day.opened` -> listing (asked again with a growing delay when the read fails: every filter needs it).
`schedule.due analysis`, once the listing is known -> research -> `analyzer.started` + every batch of codes, ordered by
code -> `analyzer.judged` a batch -> `analyzer.picked` once every batch is judged, or at the deadline from what there is.

- Totals: the sum of the parts there are, scaled to 100 by what those parts could give, half a point up; a stock whose
  parts could give less than `min_coverage` points stays unscored (`rubrics.analysis_score`).
- A failed batch is asked again, `batch_attempts` times in all; then it is judged with no scores and counted as failed.
- Picks: best total first, ties by code, after the filters that hold before the open, at most `stored`.
- A run that starts late has the time to `deadline`, and at least ten minutes.
"""

from __future__ import annotations

from datetime import date, time
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from kquant.domain.filters import Candidate, dropped_by
from kquant.domain.owner import BrokenLog, Owner
from kquant.domain.rubrics import ANALYSIS_MAXIMA, analysis_score
from kquant.events.analyzer import (
    AnalysisScore,
    AnalysisSkipped,
    AnalysisStarted,
    BatchFailed,
    BatchJudged,
    BatchScored,
    BatchWanted,
    Listed,
    ListingAnswered,
    ListingWanted,
    Pick,
    PicksChosen,
    ResearchAnswered,
    ResearchWanted,
)
from kquant.events.base import Event, Recorded
from kquant.events.day import AlarmCancelled, AlarmRang, AlarmSet, AlertRaised, DayOpened, JobDue
from kquant.events.scanner import Left, ReadExpired, ReadFailed
from kquant.krx import SessionHours
from kquant.settings import Settings
from kquant.values import MINUTE_US, SECOND_US, Krw, Micros, Score, Symbol, from_kst

LISTING, RESEARCH = "analyzer.listing_wanted", "analyzer.research_wanted"
RETRY_LISTING, RETRY_RESEARCH, DEADLINE = "listing", "research", "deadline"
LISTING_ATTEMPTS = 10
RESEARCH_ATTEMPTS = 3
LISTING_VALID_US = 120 * SECOND_US
RETRY_FIRST_US = 30 * SECOND_US
RETRY_MOST_US = 10 * MINUTE_US
LATE_GRACE_US = 10 * MINUTE_US

Phase = Literal["idle", "due", "researching", "scoring", "done"]


class Batch(Struct, frozen=True, kw_only=True):
    """A batch asked for. attempt: from 1.   judged: its totals are in, or it was given up."""

    codes: tuple[Symbol, ...]
    attempt: int
    table: str
    judged: bool = False


class Analyzer(Struct, frozen=True, kw_only=True):
    """Own state. phase: of the analysis.   deadline: while one is under way.   scores: totals so far."""

    phase: Phase = "idle"
    listing_attempts: int = 0
    research_attempts: int = 0
    deadline: Micros | None = None
    batches: dict[int, Batch] = {}
    scores: dict[Symbol, AnalysisScore] = {}
    picks: tuple[Pick, ...] = ()


class Seen(Struct, frozen=True, kw_only=True):
    """What others said. listing: ordered by code, None while unknown."""

    day: str | None = None
    hours: SessionHours | None = None
    listing: tuple[Listed, ...] | None = None


def decide(own: Analyzer, seen: Seen, fact: Recorded, settings: Settings) -> list[Event]:
    """Ask for listing, research and batches; judge; choose."""
    match fact.event:
        case DayOpened():
            return [_want_listing(fact.at)]
        case JobDue(job="analysis") if own.phase == "idle":
            deadline = _deadline(seen, fact.at, settings)
            asked: list[Event] = [AlarmSet(alarm=DEADLINE, due=deadline)]
            return [*asked, _want_research(seen, deadline)] if seen.listing is not None else asked
        case ListingAnswered() if own.phase == "due" and own.deadline is not None:
            return [_want_research(seen, own.deadline)]
        case ResearchAnswered(table=table) if own.phase == "researching":
            return _start(own, seen, table, settings)
        case ReadFailed(what=what, reason=reason) if what in {LISTING, RESEARCH}:
            return _read_failed(own, what, reason, fact.at)
        case ReadExpired(what=what) if what in {LISTING, RESEARCH}:
            return _read_failed(own, what, "not read in time", fact.at)
        case BatchScored(batch=batch) if _open_batch(own, batch):
            return _judge(own, seen, fact.event, settings)
        case BatchFailed(batch=batch, why=why) if _open_batch(own, batch):
            return _batch_failed(own, seen, batch, why, settings)
        case AlarmRang(alarm=alarm, due=due):
            return _rang(own, seen, alarm, due, fact.at, settings)
    return []


def _rang(own: Analyzer, seen: Seen, alarm: str, due: Micros, at: Micros, settings: Settings) -> list[Event]:
    if alarm == RETRY_LISTING and seen.listing is None:
        return [_want_listing(at)]
    if alarm == RETRY_RESEARCH and own.phase == "researching" and own.deadline is not None:
        return [_want_research(seen, own.deadline)]
    if alarm == DEADLINE and due == own.deadline:
        if own.phase == "scoring":
            return [_choose(own, seen, settings)]
        if own.phase in {"due", "researching"}:
            missing = "listing" if seen.listing is None else "research table"
            return [AnalysisSkipped(reason=f"no {missing} by the deadline")]
    return []


def _want_listing(at: Micros) -> Event:
    return ListingWanted(valid_until=Micros(at + LISTING_VALID_US))


def _want_research(seen: Seen, deadline: Micros) -> Event:
    if seen.day is None:
        raise BrokenLog("an analysis is due before any day.opened")
    return ResearchWanted(day=seen.day, valid_until=deadline)


def _deadline(seen: Seen, at: Micros, settings: Settings) -> Micros:
    if seen.day is None or seen.hours is None:
        raise BrokenLog("an analysis is due before any day.opened")
    planned = from_kst(date.fromisoformat(seen.day), time.fromisoformat(settings.analyzer.deadline))
    return Micros(max(planned + seen.hours.shift_minutes * MINUTE_US, at + LATE_GRACE_US))


def _read_failed(own: Analyzer, what: str, reason: str, at: Micros) -> list[Event]:
    """Ask again later, a bounded number of times; the delay doubles."""
    if what == LISTING:
        if own.listing_attempts < LISTING_ATTEMPTS:
            return [AlarmSet(alarm=RETRY_LISTING, due=_retry_at(at, own.listing_attempts))]
        text = f"no stock listing after {own.listing_attempts} attempts ({reason}): nothing is scanned or picked today"
        alert = AlertRaised(level="critical", text=text)
        return [alert, *_skip(own, "no listing")] if own.phase == "due" else [alert]
    if own.phase != "researching":
        return []
    if own.research_attempts < RESEARCH_ATTEMPTS:
        return [AlarmSet(alarm=RETRY_RESEARCH, due=_retry_at(at, own.research_attempts))]
    text = f"no daily analysis: the research table failed {own.research_attempts} times ({reason})"
    return [AlertRaised(level="warning", text=text), *_skip(own, f"no research table: {reason}")]


def _skip(own: Analyzer, reason: str) -> list[Event]:
    skipped = AnalysisSkipped(reason=reason)
    return [skipped] if own.deadline is None else [skipped, AlarmCancelled(alarm=DEADLINE)]


def _retry_at(at: Micros, attempts: int) -> Micros:
    return Micros(at + min(RETRY_MOST_US, RETRY_FIRST_US << max(0, attempts - 1)))


def _start(own: Analyzer, seen: Seen, table: str, settings: Settings) -> list[Event]:
    codes = sorted(stock.code for stock in seen.listing or ())
    if not codes:
        return _skip(own, "the listing is empty")
    if own.deadline is None:
        raise BrokenLog("a research table answers an analysis without a deadline")
    size = settings.analyzer.batch_size
    batches = [tuple(codes[start : start + size]) for start in range(0, len(codes), size)]
    return [
        AnalysisStarted(stocks=len(codes), batches=len(batches)),
        *(
            BatchWanted(batch=number, attempt=1, codes=batch, table=table, valid_until=own.deadline)
            for number, batch in enumerate(batches, 1)
        ),
    ]


def _open_batch(own: Analyzer, number: int) -> bool:
    batch = own.batches.get(number)
    return own.phase == "scoring" and batch is not None and not batch.judged


def _judge(own: Analyzer, seen: Seen, answer: BatchScored, settings: Settings) -> list[Event]:
    """Judge a batch. A code the answer leaves out is unscored; one it was not asked about is ignored."""
    least = settings.analyzer.min_coverage
    rows = {row.code: row.parts for row in reversed(answer.rows)}
    scores = tuple(
        analysis_score(code, rows[code], least)
        if code in rows
        else AnalysisScore(code=code, total=None, points=0, missing=tuple(ANALYSIS_MAXIMA))
        for code in own.batches[answer.batch].codes
    )
    return _judged(own, seen, BatchJudged(batch=answer.batch, scores=scores), settings)


def _batch_failed(own: Analyzer, seen: Seen, number: int, why: str, settings: Settings) -> list[Event]:
    batch = own.batches[number]
    if batch.attempt < settings.analyzer.batch_attempts and own.deadline is not None:
        again = BatchWanted(
            batch=number, attempt=batch.attempt + 1, codes=batch.codes, table=batch.table, valid_until=own.deadline
        )
        return [again]
    alert = AlertRaised(level="warning", text=f"analysis batch {number} failed {batch.attempt} times: {why}")
    return [alert, *_judged(own, seen, BatchJudged(batch=number, scores=()), settings)]


def _judged(own: Analyzer, seen: Seen, judged: BatchJudged, settings: Settings) -> list[Event]:
    after = evolve(own, judged)
    if not all(batch.judged for batch in after.batches.values()):
        return [judged]
    return [judged, _choose(after, seen, settings), AlarmCancelled(alarm=DEADLINE)]


def _choose(own: Analyzer, seen: Seen, settings: Settings) -> PicksChosen:
    stocks = {stock.code: stock for stock in seen.listing or ()}
    totals = [(score.total, score) for score in own.scores.values() if score.total is not None]
    picks: list[Pick] = []
    left: list[Left] = []
    for total, score in sorted(totals, key=lambda pair: (-pair[0], pair[1].code)):
        if len(picks) == settings.analyzer.stored:
            break
        stock = stocks[score.code]
        candidate = Candidate(stock=stock, price=Krw(stock.base), turnover=None)
        # At its base price no stock is near its limit, so the day's own tests (turnover, limit) cannot drop it here.
        dropped = dropped_by(candidate, settings.filters, settings.krx.ticks)
        if dropped is None:
            pick = Pick(
                rank=len(picks) + 1,
                code=stock.code,
                name=stock.name,
                score=Score(total),
                points=score.points,
                missing=score.missing,
            )
            picks.append(pick)
        else:
            left.append(Left(code=stock.code, name=stock.name, filter=dropped))
    answered = [batch for batch in own.batches.values() if batch.judged]
    failed = sum(1 for batch in own.batches.values() if not batch.judged or batch.codes[0] not in own.scores)
    return PicksChosen(
        picks=tuple(picks),
        subscribed=settings.analyzer.subscribed,
        analysed=sum(len(batch.codes) for batch in answered if batch.codes[0] in own.scores),
        unscored=sum(1 for score in own.scores.values() if score.total is None),
        failed_batches=failed,
        left=tuple(left),
    )


def evolve(own: Analyzer, event: Event) -> Analyzer:
    """Follow the analysis."""
    match event:
        case ListingWanted():
            return replace(own, listing_attempts=own.listing_attempts + 1)
        case AlarmSet(alarm=alarm, due=due):
            return replace(own, phase="due", deadline=due) if alarm == DEADLINE else own
        case ResearchWanted():
            return replace(own, phase="researching", research_attempts=own.research_attempts + 1)
        case AnalysisStarted():
            return replace(own, phase="scoring")
        case BatchWanted(batch=number, codes=codes, attempt=attempt, table=table):
            batch = Batch(codes=codes, attempt=attempt, table=table)
            return replace(own, batches={**own.batches, number: batch})
        case BatchJudged(batch=number, scores=scores):
            judged = replace(own.batches[number], judged=True)
            totals = {**own.scores, **{score.code: score for score in scores}}
            return replace(own, batches={**own.batches, number: judged}, scores=totals)
        case PicksChosen(picks=picks):
            return replace(own, phase="done", deadline=None, picks=picks)
        case AnalysisSkipped():
            return replace(own, phase="done", deadline=None)
        case AlarmCancelled() | AlertRaised():
            return own
        case _:
            raise BrokenLog(f"analyzer never says {event!r}")


def observe(seen: Seen, fact: Recorded) -> Seen:
    """Remember the day and its listing."""
    match fact.event:
        case DayOpened(day=day, hours=hours):
            return Seen(day=day, hours=hours)
        case ListingAnswered(stocks=stocks):
            return replace(seen, listing=stocks)
        case _:
            return seen


ANALYZER: Owner[Analyzer, Seen] = Owner(
    stream="analyzer",
    reacts=(
        DayOpened,
        JobDue,
        ListingAnswered,
        ResearchAnswered,
        ReadFailed,
        ReadExpired,
        BatchScored,
        BatchFailed,
        AlarmRang,
    ),
    observes=(),
    own=Analyzer(),
    seen=Seen(),
    decide=decide,
    evolve=evolve,
    observe=observe,
)
