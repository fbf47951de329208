"""Picks and scores: the daily analysis, the minute scans, the brain's final scores."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from kquant.events import analyzer, pipeline, scanner
from kquant.events.base import Recorded
from kquant.events.day import RunStarted
from kquant.values import Micros, Score, Symbol
from kquant.views.names import names_of


class PickLine(Struct, frozen=True, kw_only=True):
    """One daily pick. subscribed: whether it claims a slot.   missing: parts of the rubric that nothing was known for."""

    rank: int
    code: Symbol
    name: str
    score: Score
    points: int
    subscribed: bool
    missing: tuple[str, ...] = ()


class PicksView(Struct, frozen=True, kw_only=True):
    """The last picks of the day, best first; at None: none were made. research: what they rest on, None unknown."""

    at: Micros | None
    picks: tuple[PickLine, ...]
    analysed: int
    unscored: int
    research: analyzer.ResearchAnswered | None = None


class ScanLine(Struct, frozen=True, kw_only=True):
    """A stock's scans over the day. last and best: totals, None if it never got one.   parts: of the last score."""

    code: Symbol
    name: str
    cycle: int
    scans: int
    qualified: int
    last: Score | None
    best: Score | None
    parts: scanner.ScanParts | None
    reasons: tuple[str, ...]
    model: str


class FinalLine(Struct, frozen=True, kw_only=True):
    """A stock's last final score. run: the pipeline run it comes from.   why: it is no buy, "" if it is."""

    code: Symbol
    name: str
    run: int
    at: Micros
    total: Score | None
    parts: pipeline.BrainParts
    why: str


class ScoresView(Struct, frozen=True, kw_only=True):
    """scans: best score first.   finals: by code of the newest run a stock was in, best first."""

    scans: tuple[ScanLine, ...]
    finals: tuple[FinalLine, ...]


def picks_view(facts: Iterable[Recorded]) -> PicksView:
    """Return the daily picks after *facts*."""
    found = PicksView(at=None, picks=(), analysed=0, unscored=0)
    research: analyzer.ResearchAnswered | None = None
    for fact in facts:
        event = fact.event
        if isinstance(event, analyzer.ResearchAnswered):
            research = event
        if isinstance(event, analyzer.PicksChosen):
            lines = tuple(
                PickLine(
                    rank=pick.rank,
                    code=pick.code,
                    name=pick.name,
                    score=pick.score,
                    points=pick.points,
                    subscribed=place < event.subscribed,
                    missing=pick.missing,
                )
                for place, pick in enumerate(event.picks)
            )
            found = PicksView(
                at=fact.at, picks=lines, analysed=event.analysed, unscored=event.unscored, research=research
            )
    return found


def lacking(research: analyzer.ResearchAnswered | None) -> list[str]:
    """Return how much of the market each part and figure was known for, and what its sources said."""
    if research is None:
        return []
    stocks = max(1, research.stocks)
    known = [f"{each.part} {each.stocks * 100 // stocks} %" for each in (*research.coverage, *research.figures)]
    return [f"known of {research.stocks:,} stocks: {', '.join(known) or 'not said'}", *research.notes]


class _Scan(Struct):
    cycle: int = 0
    scans: int = 0
    qualified: int = 0
    last: Score | None = None
    best: Score | None = None
    parts: scanner.ScanParts | None = None
    reasons: tuple[str, ...] = ()
    model: str = ""


def scores_view(facts: Iterable[Recorded]) -> ScoresView:
    """Return scan scores and final scores after *facts*."""
    known = list(facts)
    names = names_of(known)
    scans: dict[Symbol, _Scan] = {}
    finals: dict[Symbol, FinalLine] = {}
    threshold = Score(0)
    for fact in known:
        match fact.event:
            case RunStarted(settings=settings):
                threshold = Score(settings.pipeline.threshold)
            case scanner.ScoreGiven(code=code, parts=parts, reasons=reasons, model=model):
                scan = scans.setdefault(code, _Scan())
                scan.parts, scan.reasons, scan.model = parts, reasons, model
            case scanner.ScanCompleted(cycle=cycle, scored=scored, qualified=qualified):
                for row in scored:
                    _score(scans.setdefault(row.code, _Scan()), cycle, row.total)
                for row in qualified:
                    scans.setdefault(row.code, _Scan()).qualified += 1
            case pipeline.PipelineCompleted(run=run, scores=scores):
                for final in scores:
                    finals[final.code] = FinalLine(
                        code=final.code,
                        name=final.name,
                        run=run,
                        at=fact.at,
                        total=final.total,
                        parts=final.parts,
                        why=final.why or (f"below {threshold}" if _or_below(final.total) < threshold else ""),
                    )
            case _:
                continue
    lines = [_line(code, names.get(code, ""), scan) for code, scan in scans.items() if scan.scans]
    return ScoresView(
        scans=tuple(sorted(lines, key=lambda line: (-_or_below(line.best), line.code))),
        finals=tuple(sorted(finals.values(), key=lambda line: (-_or_below(line.total), line.code))),
    )


def _score(scan: _Scan, cycle: int, total: Score | None) -> None:
    scan.cycle, scan.last = cycle, total
    scan.scans += 1
    if total is not None and (scan.best is None or total > scan.best):
        scan.best = total


def _line(code: Symbol, name: str, scan: _Scan) -> ScanLine:
    return ScanLine(
        code=code,
        name=name,
        cycle=scan.cycle,
        scans=scan.scans,
        qualified=scan.qualified,
        last=scan.last,
        best=scan.best,
        parts=scan.parts,
        reasons=scan.reasons,
        model=scan.model,
    )


def _or_below(score: Score | None) -> int:
    """Put no score after every score."""
    return -1 if score is None else score
