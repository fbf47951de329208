"""Calibration: the scores of recorded days against what became of the stocks, per scorer and line of its rubric.

Returns count from the close of the day a stock was scored on: whatever the score knew, it did not know them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from kquant.replay.commands import Answer, plain
from kquant.replay.outcomes import NoOutcome, Outcomes, Read, returns_bp
from kquant.values import KquantError, Symbol
from kquant.views.calibration import Came, Least, Line, Sample, came_of, enough, line_of
from kquant.views.calibration_chart import Panel, calibration_chart
from kquant.views.marks import LINES, Job, ScoredDay
from kquant.views.words import columns, counted, percent

HORIZONS = range(1, 11)
JOBS: Sequence[tuple[Job, str]] = (
    ("analysis", "daily analysis 일일 분석"),
    ("scan", "minute scan 1분 스캔"),
    ("final", "final score 최종 점수"),
)
BAR = 12
"""Widest bar to either side, in characters."""


class BadHorizon(KquantError):
    """A horizon outside 1 to 10 sessions."""


class Scorer(Struct, frozen=True, kw_only=True):
    """Who scored: one model in one job. lines: the total first, then the rubric's parts."""

    job: Job
    model: str
    lines: tuple[Line, ...]


class Chosen(Struct, frozen=True, kw_only=True):
    """What came of the daily picks. name: "picks", or "subscribed" for those that claimed a slot."""

    name: str
    sufficient: bool
    came: Came


class DayLeft(Struct, frozen=True, kw_only=True):
    """A day without samples, and why."""

    day: str
    why: str


class Calibration(Struct, frozen=True, kw_only=True):
    """horizon: sessions.   days: with samples.   left: days without.   unpriced: scores of stocks without a return."""

    horizon: int
    outcomes: str
    least: Least
    days: tuple[str, ...]
    left: tuple[DayLeft, ...]
    unpriced: int
    scorers: tuple[Scorer, ...]
    chosen: tuple[Chosen, ...]


class _Gathered(Struct):
    """Samples by scorer and line, and of the picks, as the days are read."""

    lines: dict[tuple[Job, str], dict[str, list[Sample]]]
    chosen: dict[str, list[Sample]]
    unpriced: int = 0


def calibrate(folders: Sequence[Path], read: Read, outcomes: Outcomes, horizon: int, least: Least) -> Calibration:
    """Return the scores of the days in *folders* against the returns of the *horizon* sessions after each.

    A day without outcomes is left out and named. Raises BadHorizon.
    """
    if horizon not in HORIZONS:
        raise BadHorizon(f"--horizon {horizon}: {HORIZONS[0]} to {HORIZONS[-1]} sessions")
    gathered = _Gathered(lines={}, chosen={})
    days: list[str] = []
    left: list[DayLeft] = []
    for folder in folders:
        day = read(folder)
        if isinstance(day, NoOutcome):
            left.append(DayLeft(day=folder.name, why=day.why))
            continue
        sessions = outcomes.after(folder, day, horizon) if day.marks else NoOutcome("nothing was scored")
        if isinstance(sessions, NoOutcome):
            left.append(DayLeft(day=folder.name, why=sessions.why))
            continue
        found = returns_bp(sessions)
        known = {code: found[code] for code in day.listing if code in found} if day.listing else found
        if not known:
            left.append(DayLeft(day=folder.name, why=f"{outcomes.name} know none of its stocks"))
            continue
        _gather(gathered, day, known)
        days.append(folder.name)
    return Calibration(
        horizon=horizon,
        outcomes=outcomes.name,
        least=least,
        days=tuple(days),
        left=tuple(left),
        unpriced=gathered.unpriced,
        scorers=_scorers(gathered, least),
        chosen=_chosen(gathered, least),
    )


def _gather(gathered: _Gathered, day: ScoredDay, known: Mapping[Symbol, int]) -> None:
    usual = (2 * sum(known.values()) + len(known)) // (2 * len(known))

    def sample(code: Symbol, score: int) -> Sample:
        return Sample(day=day.day, score=score, bp=known[code], excess_bp=known[code] - usual)

    for mark in day.marks:
        if mark.code not in known:
            gathered.unpriced += 1
            continue
        lines = gathered.lines.setdefault((mark.job, mark.model), {})
        for line, score in mark.lines:
            lines.setdefault(line, []).append(sample(mark.code, score))
    for what, codes in (("picks", day.picks), ("subscribed", day.picks[: day.subscribed])):
        priced = [sample(code, place) for place, code in enumerate(codes) if code in known]
        gathered.chosen.setdefault(what, []).extend(priced)


def _scorers(gathered: _Gathered, least: Least) -> tuple[Scorer, ...]:
    order = {job: place for place, (job, _) in enumerate(JOBS)}
    return tuple(
        Scorer(
            job=job, model=model, lines=tuple(line_of(name, lines[name], least) for name in LINES[job] if name in lines)
        )
        for (job, model), lines in sorted(gathered.lines.items(), key=lambda each: (order[each[0][0]], each[0][1]))
    )


def _chosen(gathered: _Gathered, least: Least) -> tuple[Chosen, ...]:
    found = [(name, came_of(samples)) for name, samples in gathered.chosen.items() if samples]
    return tuple(
        Chosen(name=name, sufficient=enough(came.samples, came.days, least), came=came) for name, came in found
    )


def answer(found: Calibration) -> Answer:
    """Return the calibration for the command line. Too few samples are an answer, not a failure."""
    return Answer(data=plain(found), text="\n".join(_lines(found)))


def _lines(found: Calibration) -> list[str]:
    head = (
        f"Scores of {counted(len(found.days), 'day')} against {counted(found.horizon, 'session')} from the close of the day "
        f"({found.outcomes}); excess: above the mean of all listed stocks"
    )
    lines = [head]
    if found.unpriced:
        lines.append(
            f"{counted(found.unpriced, 'score')} of stocks without a return: not traded, or their prices are not there"
        )
    lines += [f"left out {each.day}: {each.why}" for each in found.left]
    for scorer in found.scorers:
        title = dict(JOBS)[scorer.job]
        for line in scorer.lines:
            lines += ["", f"{title} · {scorer.model} · {line.name}", *_line(line, found.least)]
    if found.chosen:
        lines += ["", "daily picks 일일 추천"]
    for chosen in found.chosen:
        came = chosen.came
        what = f"{chosen.name}: "
        lines.append(what + (_said(came) if chosen.sufficient else insufficient(came.samples, came.days, found.least)))
    if not found.scorers:
        lines += ["", insufficient(0, 0, found.least)]
    return lines


def _line(line: Line, least: Least) -> list[str]:
    if not line.sufficient:
        return [insufficient(line.samples, line.days, least)]
    widest = max(1, *(abs(decile.came.excess_bp) for decile in line.deciles))
    rows = [
        [
            str(decile.decile),
            f"{decile.low}-{decile.high}" if decile.low < decile.high else str(decile.low),
            f"{decile.came.samples:,}",
            percent(decile.came.mean_bp),
            percent(decile.came.median_bp),
            f"{decile.came.up_percent} %",
            percent(decile.came.excess_bp),
            _bar(decile.came.excess_bp, widest),
        ]
        for decile in line.deciles
    ]
    head = ["decile", "score", "n", "mean", "median", "rose", "excess", ""]
    return [*columns(head, rows, right=(0, 1, 2, 3, 4, 5, 6)), correlation(line)]


def _bar(value: int, widest: int) -> str:
    """Draw a bar from the middle: to the left below nothing, to the right above it."""
    size = "█" * round(BAR * abs(value) / widest)
    return f"{size if value < 0 else '':>{BAR}}│{size if value > 0 else ''}"


def correlation(line: Line) -> str:
    """Return a line's correlation in words, with its n."""
    if line.rank is None:
        return f"rank correlation: none, all scores or all returns are equal (n {line.samples:,})"
    text = f"rank correlation {line.rank:+.3f} (n {line.samples:,}, {counted(line.days, 'day')})"
    if line.daily is not None and line.daily_error is not None:
        text += f"; mean of {line.daily_days} days {line.daily:+.3f} ± {line.daily_error:.3f}"
    return text


def insufficient(samples: int, days: int, least: Least) -> str:
    """Return what stands where there are too few samples."""
    return (
        f"insufficient 표본 부족: {counted(samples, 'sample')} on {counted(days, 'day')}, wanted {least.samples:,} on "
        f"{counted(least.days, 'day')}"
    )


def _said(came: Came) -> str:
    return (
        f"mean {percent(came.mean_bp)}, median {percent(came.median_bp)}, excess {percent(came.excess_bp)}, "
        f"{came.up_percent} % rose (n {came.samples:,}, {counted(came.days, 'day')})"
    )


def picture(found: Calibration) -> str:
    """Return the calibration as one SVG."""
    panels = [
        Panel(
            title=f"{scorer.job} · {scorer.model} · {line.name}",
            said=correlation(line) if line.sufficient else insufficient(line.samples, line.days, found.least),
            line=line,
        )
        for scorer in found.scorers
        for line in scorer.lines
    ]
    title = f"Mean excess return (%) by score decile, {counted(found.horizon, 'session')} after {counted(len(found.days), 'day')}"
    return calibration_chart(title, panels)
