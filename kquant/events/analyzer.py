"""The daily analysis: stream `analyzer`, and its gateways' answers (streams `rest` and `research`)."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from kquant.events.base import Event
from kquant.events.scanner import Left
from kquant.values import Krw, Micros, Score, Shares, Symbol

MarketName = Literal["KOSPI", "KOSDAQ", "KONEX"]
StockKind = Literal["common", "preferred", "fund", "spac", "reit", "other"]


class Listed(Struct, frozen=True, kw_only=True, gc=False):
    """A listed stock with the flags filters ask for. warning: 0 none, 1 caution, 2 warning, 3 risk."""

    code: Symbol
    name: str
    market: MarketName
    kind: StockKind
    base: Krw
    upper: Krw | None
    lower: Krw | None
    halted: bool
    administrative: bool
    liquidation: bool
    overheated: bool
    warning: int
    prev_volume: Shares


class ListingWanted(Event, frozen=True, kw_only=True, tag="analyzer.listing_wanted"):
    """Request to REST: every listed KOSPI and KOSDAQ stock. Ends in listing.answered or read.failed/expired."""

    valid_until: Micros


class ListingAnswered(Event, frozen=True, kw_only=True, tag="listing.answered"):
    """The listing, ordered by code. source: an attachment's hash."""

    stocks: tuple[Listed, ...]
    source: str


class AnalysisStarted(Event, frozen=True, kw_only=True, tag="analyzer.started"):
    """The daily analysis begins; batches of codes from 1."""

    stocks: int
    batches: int


class ResearchWanted(Event, frozen=True, kw_only=True, tag="analyzer.research_wanted"):
    """Request: gather what was known before the day. Ends in research.answered or read.failed/expired."""

    day: str
    valid_until: Micros


class Coverage(Struct, frozen=True, kw_only=True):
    """How many of the listed stocks have this part ("financials", "flows", "news", "technicals")."""

    part: str
    stocks: int


class SourceUsed(Struct, frozen=True, kw_only=True):
    """Where a part of the table is from. part: "listing", "prices", "flows", "valuation", "financials" or "news".

    stocks: how many have that part from there.   known_until: when the latest of it was public.
    """

    part: str
    origin: str
    stocks: int
    known_until: Micros


class ResearchAnswered(Event, frozen=True, kw_only=True, tag="research.answered"):
    """The research table is an attachment. stocks: rows in it.

    figures: how many stocks have each figure beneath the parts.   notes: what could not be had, and why.
    known_until: when the latest thing in it was public; None for a table that does not say.
    """

    table: str
    stocks: int
    coverage: tuple[Coverage, ...]
    figures: tuple[Coverage, ...] = ()
    sources: tuple[SourceUsed, ...] = ()
    notes: tuple[str, ...] = ()
    known_until: Micros | None = None


class BatchWanted(Event, frozen=True, kw_only=True, tag="analyzer.batch_wanted"):
    """Request: score these codes from the research table. Ends in analysis.scored or analysis.failed."""

    batch: int
    attempt: int
    codes: tuple[Symbol, ...]
    table: str
    valid_until: Micros


class AnalysisParts(Struct, frozen=True, kw_only=True, gc=False):
    """The rubric of the analysis: 30 + 30 + 20 + 20. None: nothing was known for that part."""

    financials: int | None
    flows: int | None
    news: int | None
    technicals: int | None


class BatchRow(Struct, frozen=True, kw_only=True, gc=False):
    """One stock's parts. reasons, measured, said: as in score.given, where a language model was asked."""

    code: Symbol
    parts: AnalysisParts
    reasons: tuple[str, ...] = ()
    measured: AnalysisParts | None = None
    said: AnalysisParts | None = None


class RowLeft(Struct, frozen=True, kw_only=True, gc=False):
    """A stock of a batch that has no row. why: "no row", or what was wrong with it."""

    code: Symbol
    why: str


class BatchScored(Event, frozen=True, kw_only=True, tag="analysis.scored"):
    """A batch's parts; a code left out was not scored. model, tokens … as in score.given.

    left: codes without a usable row, and why.   reused: every answer was recorded before.
    """

    batch: int
    rows: tuple[BatchRow, ...]
    model: str
    prompt: str
    answer: str
    tokens: int
    cost_krw: Krw
    latency_ms: int
    prompt_version: str = ""
    reused: bool = False
    fallback: str = ""
    left: tuple[RowLeft, ...] = ()


class BatchFailed(Event, frozen=True, kw_only=True, tag="analysis.failed"):
    """A batch without a usable answer."""

    batch: int
    why: str


class AnalysisScore(Struct, frozen=True, kw_only=True, gc=False):
    """A stock's total 0-100, scaled from the parts it has. points: how many of 100 those parts could give.

    missing: the parts it lacks.
    """

    code: Symbol
    total: Score | None
    points: int
    missing: tuple[str, ...] = ()


class BatchJudged(Event, frozen=True, kw_only=True, tag="analyzer.judged"):
    """The analyzer's totals of one batch."""

    batch: int
    scores: tuple[AnalysisScore, ...]


class Pick(Struct, frozen=True, kw_only=True, gc=False):
    """One of the daily picks. rank: from 1.   points, missing: as in its score."""

    rank: int
    code: Symbol
    name: str
    score: Score
    points: int
    missing: tuple[str, ...] = ()


class PicksChosen(Event, frozen=True, kw_only=True, tag="analyzer.picked"):
    """The daily picks (the request's `daily_picks` table), best first; the first `subscribed` of them claim a slot.

    analysed: stocks in batches that were answered; `unscored` of them have no total.   failed_batches: without a usable
    answer in time.   left: stocks whose score would have made them a pick, and the filter that dropped each.
    """

    picks: tuple[Pick, ...]
    subscribed: int
    analysed: int
    unscored: int
    failed_batches: int
    left: tuple[Left, ...] = ()


class AnalysisSkipped(Event, frozen=True, kw_only=True, tag="analyzer.skipped"):
    """No analysis today, and why."""

    reason: str
