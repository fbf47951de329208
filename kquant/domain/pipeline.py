"""The intraday run: fetch, commit, brain, order, in that order.

`schedule.due pipeline` -> `pipeline.started` (portfolio asks for the balance) + `pipeline.news_wanted` -> the portfolio
agrees with the broker and the news has its outcome -> `pipeline.committed` + `pipeline.snapshot_wanted` ->
`market.snapshot` -> a signal for every final score at or above the threshold, best first -> `pipeline.completed`.

- Candidates: stocks with a live trades registration and a claim as pick or surge, not held and without an open order.
- The run goes on with a balance read after it was due. A difference with the broker is explained while an order that
  can cause it is open (of that stock; any, for cash); one that is not, or no balance by the deadline: aborted, no buys.
- News missing at its deadline is left out, and `committed` says so with None.
- A run still open when the next is due: the next is skipped.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from kquant.domain.brain import NO_PARTS, Evidence, MinuteBar, judge
from kquant.domain.filters import TURNOVER_UNKNOWN, UNLISTED, Candidate, dropped_by
from kquant.domain.owner import BrokenLog, Owner
from kquant.events.analyzer import Listed, ListingAnswered, PicksChosen
from kquant.events.base import Event, Recorded
from kquant.events.day import AlarmCancelled, AlarmRang, AlarmSet, JobDue
from kquant.events.feed import Dropped, FeedConnected, FeedLost, FirstTick, Registered
from kquant.events.market import BarsClosed, Quoted, SnapshotTaken
from kquant.events.orders import OrderFinished, OrderIntended
from kquant.events.pipeline import (
    BuySignalled,
    FinalScore,
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
from kquant.events.scanner import Left, ReadExpired, ReadFailed, ScanCompleted
from kquant.events.slots import DropWanted, SlotClaimed, SlotClaimEnded
from kquant.settings import Settings
from kquant.values import SECOND_US, Epoch, IntentId, Micros, Score, Seq, Symbol

SYNC, NEWS, SNAPSHOT = "sync", "news", "snapshot"
NEWS_READ = "pipeline.news_wanted"
SNAPSHOT_US = 10 * SECOND_US
"""The market answers a snapshot from memory; without an answer by then it is not there."""


class Run(Struct, frozen=True, kw_only=True):
    """An open run."""

    number: int
    due: Micros
    sync_deadline: Micros
    news_deadline: Micros = Micros(0)
    snapshot_deadline: Micros = Micros(0)
    stage: Literal["fetching", "snapshot"] = "fetching"


class Pipeline(Struct, frozen=True, kw_only=True):
    """Own state. runs: begun so far.   scores: of the last completed run, best first."""

    runs: int = 0
    open: Run | None = None
    scores: tuple[FinalScore, ...] = ()


class Claim(Struct, frozen=True, kw_only=True):
    """Why slots watches a stock. reasons: in the order claimed."""

    name: str
    reasons: tuple[str, ...]


class Sync(Struct, frozen=True):
    """A balance compared. seq: of portfolio.synchronised."""

    seq: Seq
    balance: Seq
    differences: tuple[Difference, ...]


class Seen(Struct, frozen=True, kw_only=True):
    """What others said. dues: planned instant and seq of the latest dues.   live: trades registrations of the epoch."""

    listing: dict[Symbol, Listed] = {}
    picks: dict[Symbol, Score] = {}
    scans: dict[Symbol, tuple[Score, Micros]] = {}
    bars: dict[Symbol, tuple[MinuteBar, ...]] = {}
    claims: dict[Symbol, Claim] = {}
    epoch: Epoch = Epoch(0)
    live: tuple[Symbol, ...] = ()
    held: tuple[Symbol, ...] = ()
    working: dict[IntentId, Symbol] = {}
    dues: tuple[tuple[Micros, Seq], ...] = ()
    sync: Sync | None = None
    news: tuple[int, Seq] | None = None
    news_failed: Seq = Seq(0)


def candidates(seen: Seen) -> tuple[Symbol, ...]:
    """Return the codes a run may score, ordered by code."""
    busy = {*seen.held, *seen.working.values()}
    return tuple(
        code
        for code in sorted(seen.live)
        if code not in busy and code in seen.claims and {"picked", "surging"}.intersection(seen.claims[code].reasons)
    )


def decide(own: Pipeline, seen: Seen, fact: Recorded, settings: Settings) -> list[Event]:
    """Begin, commit, score and end runs."""
    run = own.open
    match fact.event:
        case JobDue(job="pipeline", due=due):
            if run is not None:
                return [PipelineSkipped(due=due, reason=f"run {run.number} was still open")]
            return _begin(own, seen, due, fact.at, settings)
        case PortfolioSynchronised() | NewsAnswered() if run is not None and run.stage == "fetching":
            return _commit(run, seen, fact.at)
        case ReadFailed(what=what) | ReadExpired(what=what) if what == NEWS_READ:
            return _commit(run, seen, fact.at) if run is not None and run.stage == "fetching" else []
        case SnapshotTaken(run=number) if run is not None and run.stage == "snapshot" and run.number == number:
            return _score(run, seen, fact, fact.event, settings)
        case AlarmRang(alarm=alarm, due=due) if run is not None:
            return _rang(run, seen, alarm, due, fact.at)
    return []


def _begin(own: Pipeline, seen: Seen, due: Micros, at: Micros, settings: Settings) -> list[Event]:
    number = own.runs + 1
    sync = Micros(at + settings.pipeline.sync_deadline_seconds * SECOND_US)
    news = Micros(at + settings.pipeline.news_deadline_seconds * SECOND_US)
    return [
        PipelineStarted(run=number, due=due, sync_deadline=sync),
        NewsWanted(run=number, codes=candidates(seen), valid_until=news),
        AlarmSet(alarm=SYNC, due=sync),
        AlarmSet(alarm=NEWS, due=news),
    ]


def _rang(run: Run, seen: Seen, alarm: str, due: Micros, at: Micros) -> list[Event]:
    if run.stage == "snapshot":
        if alarm == SNAPSHOT and due == run.snapshot_deadline:
            return [PipelineAborted(run=run.number, reason=f"no market snapshot within {SNAPSHOT_US // SECOND_US} s")]
        return []
    # At either alarm: the portfolio can stop agreeing after its own deadline while the news is still awaited.
    if at >= run.sync_deadline and _synchronised(run, seen) is None:
        aborted = PipelineAborted(run=run.number, reason=_why_not(run, seen))
        return [aborted, AlarmCancelled(alarm=NEWS)] if at < run.news_deadline else [aborted]
    return _commit(run, seen, at)


def _due_seq(run: Run, seen: Seen) -> Seq:
    return next(seq for due, seq in reversed(seen.dues) if due == run.due)


def _synchronised(run: Run, seen: Seen) -> Seq | None:
    """Return the seq of the comparison the run may rest on, None without one."""
    sync = seen.sync
    if sync is None or sync.balance <= _due_seq(run, seen) or _unexplained(sync, seen):
        return None
    return sync.seq


def _unexplained(sync: Sync, seen: Seen) -> list[Difference]:
    working = set(seen.working.values())
    return [each for each in sync.differences if not (working if each.what == "cash" else each.what in working)]


def _why_not(run: Run, seen: Seen) -> str:
    if seen.sync is None or seen.sync.balance <= _due_seq(run, seen):
        return "portfolio not synchronised in time"
    first = _unexplained(seen.sync, seen)[0]
    return f"portfolio differs from the broker: {first.what} is {first.ours} here, {first.theirs} there"


def _commit(run: Run, seen: Seen, at: Micros) -> list[Event]:
    """Fix what was fetched, once the portfolio agrees and the news came, failed or is late."""
    portfolio = _synchronised(run, seen)
    news = seen.news[1] if seen.news is not None and seen.news[0] == run.number else None
    news_over = news is not None or seen.news_failed > _due_seq(run, seen) or at >= run.news_deadline
    if portfolio is None or not news_over:
        return []
    events: list[Event] = [PipelineCommitted(run=run.number, portfolio=portfolio, news=news)]
    if at < run.sync_deadline:
        events.append(AlarmCancelled(alarm=SYNC))
    if at < run.news_deadline:
        events.append(AlarmCancelled(alarm=NEWS))
    codes = candidates(seen)
    if not codes:
        return [*events, PipelineCompleted(run=run.number, scores=(), left=(), signals=0)]
    snapshot = SnapshotWanted(run=run.number, codes=codes)
    return [*events, snapshot, AlarmSet(alarm=SNAPSHOT, due=Micros(at + SNAPSHOT_US))]


def _score(run: Run, seen: Seen, fact: Recorded, taken: SnapshotTaken, settings: Settings) -> list[Event]:
    eligible = candidates(seen)
    scores: list[FinalScore] = []
    left: list[Left] = []
    for quote in taken.quotes:
        name = seen.claims[quote.code].name if quote.code in seen.claims else seen.listing[quote.code].name
        dropped = _dropped(seen.listing.get(quote.code), quote, settings)
        if dropped is not None:
            left.append(Left(code=quote.code, name=name, filter=dropped))
        elif quote.code not in eligible:
            why = "no longer a candidate: its slot, claim, position or order changed"
            scores.append(FinalScore(code=quote.code, name=name, total=None, parts=NO_PARTS, why=why))
        else:
            verdict = judge(_evidence(seen, quote, fact.at), settings.pipeline)
            final = FinalScore(code=quote.code, name=name, total=verdict.total, parts=verdict.parts, why=verdict.why)
            scores.append(final)
    scores.sort(key=lambda each: (each.total is None, -each.total if each.total is not None else 0, each.code))
    signals = _signals(run, scores, taken, fact.seq, settings.pipeline.threshold)
    completed = PipelineCompleted(run=run.number, scores=tuple(scores), left=tuple(left), signals=len(signals))
    return [*signals, completed, AlarmCancelled(alarm=SNAPSHOT)]


def _dropped(stock: Listed | None, quote: Quoted, settings: Settings) -> str | None:
    if stock is None:
        return UNLISTED
    candidate = Candidate(stock=stock, price=quote.last, turnover=quote.value)
    dropped = dropped_by(candidate, settings.filters, settings.krx.ticks)
    if dropped is None and quote.last is not None and quote.value is None:
        return TURNOVER_UNKNOWN
    return dropped


def _evidence(seen: Seen, quote: Quoted, at: Micros) -> Evidence:
    scan, scan_at = seen.scans.get(quote.code, (None, None))
    return Evidence(
        at=at,
        quote=quote,
        pick=seen.picks.get(quote.code),
        scan=scan,
        scan_at=scan_at,
        bars=seen.bars.get(quote.code, ()),
    )


def _signals(run: Run, scores: list[FinalScore], taken: SnapshotTaken, seq: Seq, threshold: int) -> list[Event]:
    quotes = {quote.code: quote for quote in taken.quotes}
    signals: list[Event] = []
    for each in scores:
        quote = quotes[each.code]
        if each.total is None or each.total < threshold:
            continue
        if quote.last is None or quote.bid is None or quote.ask is None:
            raise BrokenLog(f"{each.code} has a final score without a quote")
        signals.append(
            BuySignalled(
                run=run.number,
                code=each.code,
                name=each.name,
                score=each.total,
                last=quote.last,
                bid=quote.bid,
                ask=quote.ask,
                snapshot=seq,
            )
        )
    return signals


def evolve(own: Pipeline, event: Event) -> Pipeline:
    """Follow the run. Deadlines come with the alarms."""
    match event:
        case PipelineStarted(run=number, due=due, sync_deadline=deadline):
            return replace(own, runs=number, open=Run(number=number, due=due, sync_deadline=deadline))
        case AlarmSet(alarm=alarm, due=due) if own.open is not None:
            changed = {SYNC: "sync_deadline", NEWS: "news_deadline", SNAPSHOT: "snapshot_deadline"}[alarm]
            return replace(own, open=replace(own.open, **{changed: due}))
        case SnapshotWanted() if own.open is not None:
            return replace(own, open=replace(own.open, stage="snapshot"))
        case PipelineCompleted(scores=scores):
            return replace(own, open=None, scores=scores)
        case PipelineAborted():
            return replace(own, open=None)
        case NewsWanted() | PipelineCommitted() | PipelineSkipped() | BuySignalled() | AlarmCancelled():
            return own
        case _:
            raise BrokenLog(f"pipeline never says {event!r} now")


def observe(seen: Seen, fact: Recorded) -> Seen:
    """Keep what candidates, commits and scores rest on."""
    match fact.event:
        case JobDue(job="pipeline", due=due):
            return replace(seen, dues=(*seen.dues[-3:], (due, fact.seq)))
        case PortfolioSynchronised(balance=balance, differences=differences):
            return replace(seen, sync=Sync(fact.seq, balance, differences))
        case NewsAnswered(run=number):
            return replace(seen, news=(number, fact.seq))
        case ReadFailed(what=what) | ReadExpired(what=what) if what == NEWS_READ:
            return replace(seen, news_failed=fact.seq)
        case ListingAnswered(stocks=stocks):
            return replace(seen, listing={stock.code: stock for stock in stocks})
        case PicksChosen(picks=picks):
            return replace(seen, picks={pick.code: pick.score for pick in picks})
        case ScanCompleted(scored=scored):
            fresh = {each.code: (each.total, fact.at) for each in scored if each.total is not None}
            return replace(seen, scans={**seen.scans, **fresh})
        case BarsClosed(start=start, bars=bars):
            added = {
                bar.code: (*seen.bars.get(bar.code, ()), MinuteBar(start, bar.open, bar.volume, bar.covered_seconds))
                for bar in bars
            }
            return replace(seen, bars={**seen.bars, **added})
        case PositionOpened(code=code):
            return replace(seen, held=_with(seen.held, code))
        case PositionClosed(code=code):
            return replace(seen, held=_without(seen.held, code))
        case OrderIntended(intent=intent, code=code):
            return replace(seen, working={**seen.working, intent: code})
        case OrderFinished(intent=intent):
            return replace(seen, working={each: code for each, code in seen.working.items() if each != intent})
        case _:
            return _observe_slots(seen, fact)


def _observe_slots(seen: Seen, fact: Recorded) -> Seen:
    match fact.event:
        case SlotClaimed(code=code, name=name, reason=reason):
            known = seen.claims[code].reasons if code in seen.claims else ()
            claim = Claim(name=name, reasons=(*(each for each in known if each != reason), reason))
            return replace(seen, claims={**seen.claims, code: claim})
        case SlotClaimEnded(code=code, reason=reason) if code in seen.claims:
            reasons = tuple(each for each in seen.claims[code].reasons if each != reason)
            claims = {each: claim for each, claim in seen.claims.items() if each != code}
            if reasons:
                claims[code] = replace(seen.claims[code], reasons=reasons)
            return replace(seen, claims=claims)
        case FeedConnected(epoch=epoch) | FeedLost(epoch=epoch):
            return replace(seen, epoch=epoch, live=())
        case Registered(epoch=epoch, code=code, channel="trades") | FirstTick(epoch=epoch, code=code, channel="trades"):
            return replace(seen, live=_with(seen.live, code)) if epoch == seen.epoch else seen
        case Dropped(epoch=epoch, code=code, channel="trades") if epoch == seen.epoch:
            return replace(seen, live=_without(seen.live, code))
        case DropWanted(code=code, channel="trades"):
            return replace(seen, live=_without(seen.live, code))
        case _:
            return seen


def _with(codes: tuple[Symbol, ...], code: Symbol) -> tuple[Symbol, ...]:
    return codes if code in codes else (*codes, code)


def _without(codes: tuple[Symbol, ...], code: Symbol) -> tuple[Symbol, ...]:
    return tuple(each for each in codes if each != code)


PIPELINE: Owner[Pipeline, Seen] = Owner(
    stream="pipeline",
    reacts=(JobDue, PortfolioSynchronised, NewsAnswered, ReadFailed, ReadExpired, SnapshotTaken, AlarmRang),
    observes=(
        ListingAnswered,
        PicksChosen,
        ScanCompleted,
        BarsClosed,
        PositionOpened,
        PositionClosed,
        OrderIntended,
        OrderFinished,
        SlotClaimed,
        SlotClaimEnded,
        DropWanted,
        FeedConnected,
        FeedLost,
        Registered,
        FirstTick,
        Dropped,
    ),
    own=Pipeline(),
    seen=Seen(),
    decide=decide,
    evolve=evolve,
    observe=observe,
)
