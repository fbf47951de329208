"""The intraday run (fetch, commit, brain, order): stream `pipeline`, and the news answer (stream `rest`)."""

from __future__ import annotations

from msgspec import Struct

from kquant.events.base import Event
from kquant.events.scanner import Left
from kquant.values import Krw, Micros, Score, Seq, Symbol


class PipelineStarted(Event, frozen=True, kw_only=True, tag="pipeline.started"):
    """A run begins; portfolio reacts with a balance request. run: from 1."""

    run: int
    due: Micros
    sync_deadline: Micros


class NewsWanted(Event, frozen=True, kw_only=True, tag="pipeline.news_wanted"):
    """Request to REST: breaking news titles. Ends in news.answered or read.failed/expired."""

    run: int
    codes: tuple[Symbol, ...]
    valid_until: Micros


class NewsItem(Struct, frozen=True, kw_only=True):
    """A title. published: YYYYMMDDHHMMSS KST. codes: the stocks it names."""

    id: str
    published: str
    title: str
    codes: tuple[Symbol, ...]
    source: str


class NewsAnswered(Event, frozen=True, kw_only=True, tag="news.answered"):
    """Titles, newest first."""

    run: int
    items: tuple[NewsItem, ...]


class PipelineCommitted(Event, frozen=True, kw_only=True, tag="pipeline.committed"):
    """What was fetched is fixed: the events the brain may use. news: None if it is missing."""

    run: int
    portfolio: Seq
    news: Seq | None


class SnapshotWanted(Event, frozen=True, kw_only=True, tag="pipeline.snapshot_wanted"):
    """Request to the market: what the board holds of these codes. Ends in market.snapshot."""

    run: int
    codes: tuple[Symbol, ...]


class BrainParts(Struct, frozen=True, kw_only=True):
    """The final score's parts, 0-100 each; None: missing, left out of the blend."""

    pick: Score | None
    scan: Score | None
    momentum: Score | None
    volume: Score | None
    program: Score | None
    book: Score | None


class FinalScore(Struct, frozen=True, kw_only=True):
    """A candidate's final score. None: abstained, `why` says so."""

    code: Symbol
    name: str
    total: Score | None
    parts: BrainParts
    why: str


class BuySignalled(Event, frozen=True, kw_only=True, tag="pipeline.buy_signalled"):
    """A candidate passed. last, bid, ask: from the snapshot at `snapshot`."""

    run: int
    code: Symbol
    name: str
    score: Score
    last: Krw
    bid: Krw
    ask: Krw
    snapshot: Seq


class PipelineCompleted(Event, frozen=True, kw_only=True, tag="pipeline.completed"):
    """The run's result: every candidate's score, best first, and who a filter left out."""

    run: int
    scores: tuple[FinalScore, ...]
    left: tuple[Left, ...]
    signals: int


class PipelineAborted(Event, frozen=True, kw_only=True, tag="pipeline.aborted"):
    """The run ended without a decision: no buys."""

    run: int
    reason: str


class PipelineSkipped(Event, frozen=True, kw_only=True, tag="pipeline.skipped"):
    """A due run did not start, and why (the previous one still open)."""

    due: Micros
    reason: str
