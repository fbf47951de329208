"""The brain: one final score of 0 to 100 a candidate, a weighted mean of the parts there are. Pure integers.

    total = round_half_up( sum(weight_i x part_i) / sum(weight_i) )      over the parts that are not missing

| part     | of                                                        | 0        | 50    | 100      |
|----------|-----------------------------------------------------------|----------|-------|----------|
| pick     | the daily pick's score                                    | as given |       |          |
| scan     | the latest scan's score, at most 5 minutes old            | as given |       |          |
| momentum | last price against the open of the first bar of the last  | -2 %     | 0 %   | +2 %     |
|          | `momentum_minutes`                                        |          |       |          |
| volume   | shares a minute in the last 5 minutes against the stock's | 0 x      | 1 x   | 3 x      |
|          | own average earlier today                                 |          |       |          |
| program  | net program buying as a share of the day's volume         | -10 %    | 0 %   | +10 %    |
| book     | bids as a share of all sizes in the book                  | 25 %     | 50 %  | 75 %     |

Weights are the settings' `pipeline.weights`. A missing part takes its weight out of both sums; it is never read as zero.
Momentum needs two bars in its window; volume two recent and five earlier bars of which at least half was watched,
each scaled to a full minute (a minute without a trade has no bar and is left out of both sides); program and book need
their channel subscribed and fresh. The brain abstains (None, and why) without a last trade, when trade or quote is
older than `stale_after_seconds`, when nothing is offered, and without at least one live market part: momentum,
volume, program or book.
"""

from __future__ import annotations

from msgspec import Struct

from kquant.domain.rubrics import blend, divide_half_up, scale
from kquant.events.market import Quoted
from kquant.events.pipeline import BrainParts
from kquant.settings import PipelineSettings
from kquant.values import MINUTE_US, Krw, Micros, Score, Shares

SCAN_FRESH_US = 5 * MINUTE_US
MOMENTUM_BP = 200
PROGRAM_BP = 1_000
VOLUME_MINUTES = 5
RECENT_BARS_LEAST = 2
EARLIER_BARS_LEAST = 5
WATCHED_SECONDS_LEAST = 30
NO_PARTS = BrainParts(pick=None, scan=None, momentum=None, volume=None, program=None, book=None)


class MinuteBar(Struct, frozen=True, gc=False):
    """What the brain keeps of a bar. start: of the minute.   volume: shares.   covered: seconds watched, 0 to 60."""

    start: Micros
    open: Krw
    volume: Shares
    covered: int


class Evidence(Struct, frozen=True, kw_only=True):
    """All that a final score rests on.

    at: the instant scored for.   bars: of today, oldest first.   scan_at: when the scan's score was given.
    """

    at: Micros
    quote: Quoted
    pick: Score | None
    scan: Score | None
    scan_at: Micros | None
    bars: tuple[MinuteBar, ...]


class Verdict(Struct, frozen=True, kw_only=True):
    """A final score; total None: abstained, `why` says so ("" otherwise)."""

    total: Score | None
    parts: BrainParts
    why: str


def judge(evidence: Evidence, settings: PipelineSettings) -> Verdict:
    """Return the candidate's final score, or an abstention."""
    why = _unusable(evidence.quote, settings.stale_after_seconds * 1_000)
    if why:
        return Verdict(total=None, parts=NO_PARTS, why=why)
    parts = parts_of(evidence, settings)
    weights = settings.weights
    live = blend(
        (
            (parts.momentum, weights.momentum),
            (parts.volume, weights.volume),
            (parts.program, weights.program),
            (parts.book, weights.book),
        )
    )
    if live.total is None:
        return Verdict(total=None, parts=parts, why="no live market part")
    return Verdict(total=total_of(parts, settings), parts=parts, why="")


def total_of(parts: BrainParts, settings: PipelineSettings) -> Score | None:
    """Blend the parts there are; None without any."""
    weights = settings.weights
    return blend(
        (
            (parts.pick, weights.pick),
            (parts.scan, weights.scan),
            (parts.momentum, weights.momentum),
            (parts.volume, weights.volume),
            (parts.program, weights.program),
            (parts.book, weights.book),
        )
    ).total


def parts_of(evidence: Evidence, settings: PipelineSettings) -> BrainParts:
    """Return every part that can be measured."""
    stale_ms = settings.stale_after_seconds * 1_000
    scan_is_fresh = evidence.scan_at is not None and evidence.at - evidence.scan_at <= SCAN_FRESH_US
    return BrainParts(
        pick=evidence.pick,
        scan=evidence.scan if scan_is_fresh else None,
        momentum=_momentum(evidence, settings.momentum_minutes),
        volume=_volume(evidence),
        program=_program(evidence.quote, stale_ms),
        book=_book(evidence.quote, stale_ms),
    )


def _unusable(quote: Quoted, stale_ms: int) -> str:
    if quote.last is None or quote.last_age_ms is None:
        return "no trade seen"
    if quote.last_age_ms > stale_ms:
        return f"stale: the last trade is {quote.last_age_ms // 1_000} s old"
    if quote.bid is None or quote.ask is None or quote.quote_age_ms is None:
        return "no quote seen"
    if quote.quote_age_ms > stale_ms:
        return f"stale: the quote is {quote.quote_age_ms // 1_000} s old"
    return "nothing offered" if quote.ask == 0 else ""


def _momentum(evidence: Evidence, minutes: int) -> Score | None:
    recent = [bar for bar in evidence.bars if bar.start >= evidence.at - minutes * MINUTE_US]
    last = evidence.quote.last
    if last is None or len(recent) < RECENT_BARS_LEAST:
        return None
    move_bp = divide_half_up((last - recent[0].open) * 10_000, recent[0].open)
    return Score(scale(move_bp, -MOMENTUM_BP, MOMENTUM_BP))


def _volume(evidence: Evidence) -> Score | None:
    since = evidence.at - VOLUME_MINUTES * MINUTE_US
    watched = [bar for bar in evidence.bars if bar.covered >= WATCHED_SECONDS_LEAST]
    recent = [bar for bar in watched if bar.start >= since]
    earlier = [bar for bar in watched if bar.start < since]
    if len(recent) < RECENT_BARS_LEAST or len(earlier) < EARLIER_BARS_LEAST:
        return None
    usual = sum(bar.volume * 60 // bar.covered for bar in earlier) * len(recent)
    now = sum(bar.volume * 60 // bar.covered for bar in recent) * len(earlier)
    if usual == 0:
        return None
    percent = now * 100 // usual
    return Score(percent // 2 if percent <= 100 else min(100, 50 + (percent - 100) // 4))


def _program(quote: Quoted, stale_ms: int) -> Score | None:
    if quote.program_net is None or quote.program_age_ms is None or quote.program_age_ms > stale_ms:
        return None
    if quote.volume is None or quote.volume == 0:
        return None
    share_bp = divide_half_up(quote.program_net * 10_000, quote.volume)
    return Score(scale(share_bp, -PROGRAM_BP, PROGRAM_BP))


def _book(quote: Quoted, stale_ms: int) -> Score | None:
    bids, asks = quote.book_bid_qty, quote.book_ask_qty
    if bids is None or asks is None or quote.book_age_ms is None or quote.book_age_ms > stale_ms:
        return None
    if bids + asks == 0:
        return None
    return Score(scale(divide_half_up(bids * 10_000, bids + asks), 2_500, 7_500))
