"""The minute scan: rankings in, candidates out to the scorer, the best of them qualified for a slot.

A cycle: `schedule.due scan` -> `scanner.started` + `scanner.rankings_wanted` -> `rankings.answered` -> one
`scanner.score_wanted` a candidate -> every outcome is in, or the deadline rings -> `scanner.completed`.

- Candidates are both rankings and the user's further sources interleaved, best first (first gainer, first by volume,
  first of each further source, second gainer …), each stock once, filters applied before the count, at most `max_scored`. A stock in both has its facts from the row with the
  larger day volume, which is the fresher one; what that row lacks comes from the other.
- Turnover that no ranking gave is taken as low x volume, the least that can have been traded; without a low the
  stock is left out as "turnover_unknown".
- Yesterday's volume, where a ranking does not give it, is the listing's.
- A high that no ranking gives is the highest price or high seen of the stock in earlier rankings, if that is above the
  price now; else it stays unknown.
- A cycle still open when the next is due makes that next one `scanner.failed`. At the deadline the cycle completes
  with the scores that arrived; without rankings it has failed. No score is None: it never qualifies.
- The headlines sent along are today's of that stock, newest first, at most `titles`, as far as any pipeline run has
  fetched news; a heuristic does not read them.
- Persistence is counted over consecutive ranking answers, scored or not; a gap of more than two and a half scan
  intervals starts the count anew.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from kquant.domain.filters import TURNOVER_UNKNOWN, UNLISTED, Candidate, dropped_by
from kquant.domain.owner import BrokenLog, Owner
from kquant.domain.rubrics import scan_total
from kquant.events.analyzer import Listed, ListingAnswered
from kquant.events.base import Event, Recorded
from kquant.events.day import AlarmCancelled, AlarmRang, AlarmSet, DayOpened, JobDue, RunStarted
from kquant.events.pipeline import NewsAnswered, NewsItem
from kquant.events.scanner import (
    Left,
    RankingsAnswered,
    RankingsWanted,
    RankRow,
    ReadExpired,
    ReadFailed,
    ScanCompleted,
    ScanFacts,
    ScanFailed,
    ScanScore,
    ScanStarted,
    ScoreAbstained,
    ScoreFailed,
    ScoreGiven,
    ScoreWanted,
)
from kquant.settings import Settings
from kquant.values import MINUTE_US, SECOND_US, BasisPoints, Krw, Micros, Score, Seq, Shares, Symbol, to_kst

DEADLINE = "deadline"
RANKINGS = "scanner.rankings_wanted"
KEPT = 20
"""Headlines of one stock that are remembered: no setting asks for more."""


class Cycle(Struct, frozen=True, kw_only=True):
    """An open cycle. wanted: whom the scorer was asked about, in order; None before the rankings."""

    number: int
    deadline: Micros
    wanted: tuple[tuple[Symbol, str], ...] | None = None


class Scanner(Struct, frozen=True, kw_only=True):
    """Own state. cycle: number of the last one begun.   completed, qualified: of the last one with a result."""

    cycle: int = 0
    open: Cycle | None = None
    completed: int = 0
    qualified: tuple[ScanScore, ...] = ()


class Entry(Struct, frozen=True, kw_only=True):
    """One stock of the last ranking answer. Ranks None: not in that ranking.   before: as it was the time before."""

    name: str
    row: RankRow
    gainer_rank: int | None
    volume_rank: int | None
    cycles_seen: int
    change_bp_before: BasisPoints | None
    volume_before: Shares | None


class Seen(Struct, frozen=True, kw_only=True):
    """What others said. entries: the last answer's stocks, interleaved.   scores: outcomes of cycle `scores_cycle`.

    highs: the highest price or high that any ranking gave of a stock today.   due_seq: of the last scan due.
    news: today's of each stock, newest first, each once.
    """

    listing: dict[Symbol, Listed] = {}
    open_at: Micros | None = None
    gap_us: int = 150 * SECOND_US
    due_seq: Seq = Seq(0)
    ranked_at: Micros | None = None
    entries: dict[Symbol, Entry] = {}
    highs: dict[Symbol, Krw] = {}
    scores_cycle: int = 0
    scores: dict[Symbol, Score | None] = {}
    news: dict[Symbol, tuple[NewsItem, ...]] = {}


def decide(own: Scanner, seen: Seen, fact: Recorded, settings: Settings) -> list[Event]:
    """Begin, advance and end scan cycles."""
    match fact.event:
        case JobDue(job="scan", due=due):
            return _begin(own, due, settings)
        case RankingsAnswered(cycle=cycle) if own.open and own.open.number == cycle and own.open.wanted is None:
            return _ask(own.open, seen, fact.at, settings)
        case ReadFailed(reason=reason) if own.open and own.open.wanted is None and _is_its_read(seen, fact):
            return [ScanFailed(cycle=own.open.number, reason=f"no rankings: {reason}"), AlarmCancelled(alarm=DEADLINE)]
        case ReadExpired() if own.open and own.open.wanted is None and _is_its_read(seen, fact):
            return [ScanFailed(cycle=own.open.number, reason="no rankings in time"), AlarmCancelled(alarm=DEADLINE)]
        case ScoreGiven(cycle=cycle) | ScoreAbstained(cycle=cycle) | ScoreFailed(cycle=cycle):
            if own.open and own.open.number == cycle and _all_in(own.open, seen):
                return [*_complete(own.open, seen, settings), AlarmCancelled(alarm=DEADLINE)]
        case AlarmRang(alarm=alarm, due=due) if alarm == DEADLINE and own.open and own.open.deadline == due:
            if own.open.wanted is None:
                seconds = settings.scanner.deadline_seconds
                return [ScanFailed(cycle=own.open.number, reason=f"no rankings within {seconds} s")]
            return _complete(own.open, seen, settings)
    return []


def _is_its_read(seen: Seen, fact: Recorded) -> bool:
    """Tell whether a failed read is of the rankings asked for since the last due: an older one says nothing of now."""
    event = fact.event
    if not isinstance(event, ReadFailed | ReadExpired) or event.what != RANKINGS or fact.caused_by is None:
        return False
    return fact.caused_by > seen.due_seq


def _begin(own: Scanner, due: Micros, settings: Settings) -> list[Event]:
    cycle = own.cycle + 1
    if own.open is not None:
        return [ScanFailed(cycle=cycle, reason=f"cycle {own.open.number} was still open")]
    deadline = Micros(due + settings.scanner.deadline_seconds * SECOND_US)
    return [
        ScanStarted(cycle=cycle, due=due),
        RankingsWanted(cycle=cycle, limit=settings.scanner.rank_limit, valid_until=deadline),
        AlarmSet(alarm=DEADLINE, due=deadline),
    ]


def _ask(cycle: Cycle, seen: Seen, at: Micros, settings: Settings) -> list[Event]:
    """Ask the scorer about every candidate that passes, or complete at once when none does."""
    passing, left = _sift(seen, settings)
    if not passing:
        completed = ScanCompleted(cycle=cycle.number, scored=(), qualified=(), left=left)
        return [completed, AlarmCancelled(alarm=DEADLINE)]
    return [
        ScoreWanted(
            cycle=cycle.number,
            code=entry.row.code,
            name=entry.name,
            facts=_facts(entry, turnover, seen, at),
            valid_until=cycle.deadline,
            titles=tuple(item.title for item in seen.news.get(entry.row.code, ())[: settings.scanner.titles]),
        )
        for entry, turnover in passing
    ]


def _sift(seen: Seen, settings: Settings) -> tuple[list[tuple[Entry, Krw]], tuple[Left, ...]]:
    """Return who is scored, with turnover (won), and who a filter left out."""
    passing: list[tuple[Entry, Krw]] = []
    left: list[Left] = []
    for code, entry in seen.entries.items():
        stock, turnover = seen.listing.get(code), turnover_of(entry.row)
        dropped = UNLISTED
        if stock is not None:
            candidate = Candidate(stock=stock, price=entry.row.price, turnover=turnover)
            by_filter = dropped_by(candidate, settings.filters, settings.krx.ticks)
            if by_filter is None and turnover is not None:
                passing.append((entry, turnover))
                continue
            dropped = by_filter if by_filter is not None else TURNOVER_UNKNOWN
        left.append(Left(code=code, name=entry.name, filter=dropped))
    return passing[: settings.scanner.max_scored], tuple(left)


def turnover_of(row: RankRow) -> Krw | None:
    """Return the day's turnover (won): as ranked, else the least it can have been, else None."""
    if row.turnover is not None:
        return row.turnover
    return None if row.low is None else Krw(row.low * row.volume)


def _facts(entry: Entry, turnover: Krw, seen: Seen, at: Micros) -> ScanFacts:
    if seen.open_at is None:
        raise BrokenLog(f"rankings at {at} before any day.opened")
    row, stock = entry.row, seen.listing[entry.row.code]
    earlier = seen.highs[row.code] if seen.highs[row.code] > row.price else None
    return ScanFacts(
        price=row.price,
        change_bp=row.change_bp,
        volume=row.volume,
        turnover=turnover,
        high=_known(row.high, earlier),
        low=row.low,
        open=row.open,
        prev_volume=row.prev_volume if row.prev_volume is not None else stock.prev_volume,
        gainer_rank=entry.gainer_rank,
        volume_rank=entry.volume_rank,
        cycles_seen=entry.cycles_seen,
        change_bp_before=entry.change_bp_before,
        volume_before=entry.volume_before,
        minutes_open=(at - seen.open_at) // MINUTE_US,
    )


def _all_in(cycle: Cycle, seen: Seen) -> bool:
    if cycle.wanted is None or seen.scores_cycle != cycle.number:
        return False
    return all(code in seen.scores for code, _ in cycle.wanted)


def _complete(cycle: Cycle, seen: Seen, settings: Settings) -> list[Event]:
    scores = seen.scores if seen.scores_cycle == cycle.number else {}
    scored = tuple(ScanScore(code=code, name=name, total=scores.get(code)) for code, name in cycle.wanted or ())
    at_least = settings.scanner.threshold
    best = sorted(
        ((each.total, each) for each in scored if each.total is not None and each.total >= at_least),
        key=lambda pair: (-pair[0], pair[1].code),
    )
    qualified = tuple(each for _, each in best[: settings.scanner.subscribed])
    _, left = _sift(seen, settings)
    return [ScanCompleted(cycle=cycle.number, scored=scored, qualified=qualified, left=left)]


def evolve(own: Scanner, event: Event) -> Scanner:
    """Follow the cycle. Deadlines come with the alarm, candidates with the requests to the scorer."""
    match event:
        case ScanStarted(cycle=cycle):
            return replace(own, cycle=cycle, open=Cycle(number=cycle, deadline=Micros(0)))
        case AlarmSet(due=due) if own.open is not None:
            return replace(own, open=replace(own.open, deadline=due))
        case ScoreWanted(cycle=cycle, code=code, name=name) if own.open is not None and own.open.number == cycle:
            return replace(own, open=replace(own.open, wanted=(*(own.open.wanted or ()), (code, name))))
        case ScanCompleted(cycle=cycle, qualified=qualified):
            return replace(own, open=None, completed=cycle, qualified=qualified)
        case ScanFailed(cycle=cycle):
            still_open = own.open if own.open is not None and own.open.number != cycle else None
            return replace(own, cycle=max(own.cycle, cycle), open=still_open)
        case RankingsWanted() | AlarmCancelled():
            return own
        case _:
            raise BrokenLog(f"scanner never says {event!r} now")


def observe(seen: Seen, fact: Recorded) -> Seen:
    """Keep the listing, the last rankings with their history, and the scores of the cycle under way."""
    match fact.event:
        case RunStarted(settings=settings):
            return replace(seen, gap_us=settings.schedule.scan_every_seconds * SECOND_US * 5 // 2)
        case DayOpened(hours=hours):
            return replace(seen, open_at=hours.open_at)
        case JobDue(job="scan"):
            return replace(seen, due_seq=fact.seq)
        case ListingAnswered(stocks=stocks):
            return replace(seen, listing={stock.code: stock for stock in stocks})
        case NewsAnswered(items=items):
            return replace(seen, news=_news(seen.news, items, fact.at))
        case RankingsAnswered():
            entries = _entries(seen, fact.event, fact.at)
            return replace(seen, ranked_at=fact.at, entries=entries, highs=_highs(seen, entries))
        case ScoreGiven(cycle=cycle, code=code, parts=parts):
            return _scored(seen, cycle, code, scan_total(parts))
        case ScoreAbstained(cycle=cycle, code=code) | ScoreFailed(cycle=cycle, code=code):
            return _scored(seen, cycle, code, None)
        case _:
            return seen


def _news(
    known: dict[Symbol, tuple[NewsItem, ...]], items: tuple[NewsItem, ...], at: Micros
) -> dict[Symbol, tuple[NewsItem, ...]]:
    """Add what was published today to what is known of each stock named, newest first, at most `KEPT` of a stock."""
    today, found = f"{to_kst(at):%Y%m%d}", dict(known)
    for item in items:
        if not item.published.startswith(today):
            continue
        for code in item.codes:
            others = [each for each in found.get(code, ()) if each.id != item.id]
            newest = sorted([*others, item], key=lambda each: (each.published, each.id), reverse=True)
            found[code] = tuple(newest[:KEPT])
    return found


def _scored(seen: Seen, cycle: int, code: Symbol, total: Score | None) -> Seen:
    if cycle < seen.scores_cycle:
        return seen
    scores = seen.scores if cycle == seen.scores_cycle else {}
    return replace(seen, scores_cycle=cycle, scores={code: total, **scores})


def _entries(seen: Seen, answer: RankingsAnswered, at: Micros) -> dict[Symbol, Entry]:
    """Merge rankings and further sources, interleaved and without duplicates, and carry each stock's history on."""
    consecutive = seen.ranked_at is not None and at - seen.ranked_at <= seen.gap_us
    gainers = {row.code: row for row in reversed(answer.gainers)}
    volumes = {row.code: row for row in reversed(answer.volumes)}
    merged: dict[Symbol, Entry] = {}
    rankings = (answer.gainers, answer.volumes, *(each.rows for each in answer.further))
    for place in range(max(map(len, rankings))):
        for ranking in rankings:
            if place >= len(ranking) or ranking[place].code in merged:
                continue
            code = ranking[place].code
            gainer, volume = gainers.get(code), volumes.get(code)
            before = seen.entries.get(code) if consecutive else None
            merged[code] = Entry(
                name=ranking[place].name,
                row=_one_row(gainer, volume) if gainer and volume else gainer or volume or ranking[place],
                gainer_rank=gainer.rank if gainer else None,
                volume_rank=volume.rank if volume else None,
                cycles_seen=before.cycles_seen + 1 if before else 1,
                change_bp_before=before.row.change_bp if before else None,
                volume_before=before.row.volume if before else None,
            )
    return merged


def _highs(seen: Seen, entries: dict[Symbol, Entry]) -> dict[Symbol, Krw]:
    now = {
        code: each.row.price if each.row.high is None else max(each.row.price, each.row.high)
        for code, each in entries.items()
    }
    return {**seen.highs, **{code: max(high, seen.highs.get(code, high)) for code, high in now.items()}}


def _one_row(gainer: RankRow, volume: RankRow) -> RankRow:
    fresh, other = (gainer, volume) if gainer.volume > volume.volume else (volume, gainer)
    turnover = fresh.turnover if fresh.turnover is not None else other.turnover
    return replace(
        fresh,
        turnover=turnover,
        high=_known(fresh.high, other.high),
        low=_known(fresh.low, other.low),
        open=_known(fresh.open, other.open),
        prev_volume=Shares(fresh.prev_volume) if fresh.prev_volume is not None else other.prev_volume,
    )


def _known(first: Krw | None, second: Krw | None) -> Krw | None:
    return first if first is not None else second


SCANNER: Owner[Scanner, Seen] = Owner(
    stream="scanner",
    reacts=(JobDue, RankingsAnswered, ReadFailed, ReadExpired, ScoreGiven, ScoreAbstained, ScoreFailed, AlarmRang),
    observes=(RunStarted, DayOpened, ListingAnswered, NewsAnswered),
    own=Scanner(),
    seen=Seen(),
    decide=decide,
    evolve=evolve,
    observe=observe,
)
