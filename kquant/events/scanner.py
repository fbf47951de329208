"""The minute scan: stream `scanner`, and its gateways' answers (streams `rest` and `scorer`)."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from kquant.events.base import Event
from kquant.values import BasisPoints, Krw, Micros, Score, Shares, Symbol


class RankRow(Struct, frozen=True, kw_only=True, gc=False):
    """One row of a ranking. turnover: won so far today. prev_volume: shares of the day before, None if not given."""

    code: Symbol
    name: str
    rank: int
    price: Krw
    change_bp: BasisPoints
    volume: Shares
    turnover: Krw | None
    high: Krw | None
    low: Krw | None
    open: Krw | None
    prev_volume: Shares | None


class ScanStarted(Event, frozen=True, kw_only=True, tag="scanner.started"):
    """A scan cycle begins. cycle: from 1."""

    cycle: int
    due: Micros


class RankingsWanted(Event, frozen=True, kw_only=True, tag="scanner.rankings_wanted"):
    """Request to REST: the top `limit` by rise and by volume. Ends in rankings.answered or read.failed/expired."""

    cycle: int
    limit: int
    valid_until: Micros


class SourceRows(Struct, frozen=True, kw_only=True, gc=False):
    """What one further source of candidates gave, in its own order. source: as set ("condition:NAME", "watchlist:NAME")."""

    source: str
    rows: tuple[RankRow, ...]


class RankingsAnswered(Event, frozen=True, kw_only=True, tag="rankings.answered"):
    """Both rankings, best first, and what further sources gave.

    missing: sources that gave nothing this time, with the reason. A ranking that is no source is empty.
    """

    cycle: int
    gainers: tuple[RankRow, ...]
    volumes: tuple[RankRow, ...]
    further: tuple[SourceRows, ...] = ()
    missing: tuple[str, ...] = ()


class ReadFailed(Event, frozen=True, kw_only=True, tag="read.failed"):
    """Outcome of any read request: refused or failed after its retries. what: the request's stored name."""

    what: str
    reason: str


class ReadExpired(Event, frozen=True, kw_only=True, tag="read.expired"):
    """Outcome of any read request: it was no longer valid when its turn came."""

    what: str


class ScanFacts(Struct, frozen=True, kw_only=True, gc=False):
    """Numbers a scan score is made from, all measured. ranks: None if not in that ranking.

    cycles_seen: consecutive cycles in the rankings, this one included.   change_bp_before, volume_before: of the
    previous cycle, None at first sight.   minutes_open: since the open.
    """

    price: Krw
    change_bp: BasisPoints
    volume: Shares
    turnover: Krw
    high: Krw | None
    low: Krw | None
    open: Krw | None
    prev_volume: Shares | None
    gainer_rank: int | None
    volume_rank: int | None
    cycles_seen: int
    change_bp_before: BasisPoints | None
    volume_before: Shares | None
    minutes_open: int


class ScoreWanted(Event, frozen=True, kw_only=True, tag="scanner.score_wanted"):
    """Request to the scorer. Ends in score.given, score.abstained or score.failed.

    titles: of today's news of the stock, newest first, as published: text that nobody here vouches for.
    """

    cycle: int
    code: Symbol
    name: str
    facts: ScanFacts
    valid_until: Micros
    titles: tuple[str, ...] = ()


class ScanParts(Struct, frozen=True, kw_only=True, gc=False):
    """The rubric of the scan: 30 + 20 + 30 + 20."""

    persistence: int
    volume: int
    momentum: int
    risk: int


class ScoreGiven(Event, frozen=True, kw_only=True, tag="score.given"):
    """The parts of a score with a reason each; the total is computed by the scanner, not trusted.

    model: who scored ("heuristic-1").   cost_krw, tokens, latency_ms: 0 where nothing was paid or measured.
    prompt, answer: attachments' hashes, "" without.   prompt_version: the prompt's name and the SHA-256 of its file.
    measured: what the numbers alone give.   said: the model's parts, where `parts` were drawn back towards `measured`
    to stay within `llm.text_points`; None: they are `parts`.   reused: an earlier answer to the same prompt, not paid
    again.   fallback: why the heuristic stood in for the model that was set, "" otherwise.
    """

    cycle: int
    code: Symbol
    parts: ScanParts
    reasons: tuple[str, ...]
    model: str
    prompt: str
    answer: str
    tokens: int
    cost_krw: Krw
    latency_ms: int
    prompt_version: str = ""
    measured: ScanParts | None = None
    said: ScanParts | None = None
    reused: bool = False
    fallback: str = ""


class ScoreAbstained(Event, frozen=True, kw_only=True, tag="score.abstained"):
    """The scorer gave no usable score: neither 0 nor 50, and it never buys. model, prompt … as in score.given."""

    cycle: int
    code: Symbol
    why: str
    model: str = ""
    prompt: str = ""
    answer: str = ""
    tokens: int = 0
    cost_krw: Krw = Krw(0)
    latency_ms: int = 0
    prompt_version: str = ""
    reused: bool = False


class ScoreFailed(Event, frozen=True, kw_only=True, tag="score.failed"):
    """The scorer could not be asked, or was too late. stale: its facts had become too old to be scored at all."""

    cycle: int
    code: Symbol
    why: str
    stale: bool = False


class ModelAsked(Event, frozen=True, kw_only=True, tag="llm.asked"):
    """A request to a language model is about to leave; `caused_by` is the request it answers. Stream `llm`.

    prompt: an attachment's hash.   attempt: from 1, of the same prompt.   reserve: the most it can cost, in millionths
    of a won; it counts as spent until the answer tells the real cost.
    """

    job: Literal["scan", "analysis"]
    provider: str
    model: str
    prompt_version: str
    prompt: str
    attempt: int
    reserve: int


class ModelAnswered(Event, frozen=True, kw_only=True, tag="llm.answered"):
    """What came of the `llm.asked` in `caused_by`. cost: in millionths of a won.

    outcome: answered; limited (429); overloaded (5xx); gone (the model); refused (the key, the balance, the request);
    broken (no connection, or nothing that can be read); late.   answer: an attachment's hash, "" without one.
    finish: how the answer ended: stop, cut (out of tokens), blocked (by the provider), other; "" without an answer.
    """

    outcome: Literal["answered", "limited", "overloaded", "gone", "refused", "broken", "late"]
    why: str
    finish: str
    answer: str
    tokens_in: int
    tokens_out: int
    cost: int
    latency_ms: int


class ScanScore(Struct, frozen=True, kw_only=True, gc=False):
    """A candidate's total (None: no score) in one cycle."""

    code: Symbol
    name: str
    total: Score | None


class Left(Struct, frozen=True, kw_only=True, gc=False):
    """A candidate a filter dropped. filter: its setting's name."""

    code: Symbol
    name: str
    filter: str


class ScanCompleted(Event, frozen=True, kw_only=True, tag="scanner.completed"):
    """A cycle's result. qualified: total at or above the threshold, best first, at most `subscribed` of them."""

    cycle: int
    scored: tuple[ScanScore, ...]
    qualified: tuple[ScanScore, ...]
    left: tuple[Left, ...]


class ScanFailed(Event, frozen=True, kw_only=True, tag="scanner.failed"):
    """A cycle without a result: no rankings, or the previous cycle was still open."""

    cycle: int
    reason: str
