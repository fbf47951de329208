"""The final score: bounds, missing parts, freshness."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kquant.domain.brain import Evidence, MinuteBar, judge, parts_of, total_of
from kquant.events.market import Quoted
from kquant.events.pipeline import BrainParts
from kquant.values import MINUTE_US
from tests.scanner.daylog import SETTINGS

RULES = SETTINGS.pipeline
NOW = 1_000 * MINUTE_US
maybe = st.none() | st.integers(0, 100)
some_parts = st.builds(BrainParts, pick=maybe, scan=maybe, momentum=maybe, volume=maybe, program=maybe, book=maybe)


def quote(**changes: Any) -> Quoted:
    fields: dict[str, Any] = {
        "code": "000100", "last": 10_100, "last_age_ms": 500, "bid": 10_090, "ask": 10_100, "quote_age_ms": 500,
        "open": 10_000, "high": 10_200, "low": 9_900, "volume": 100_000, "value": 1_000_000_000, "change_bp": 100,
        "program_net": None, "program_age_ms": None, "book_bid_qty": None, "book_ask_qty": None, "book_age_ms": None,
        "source": "feed",
    }  # fmt: skip
    return Quoted(**{**fields, **changes})


def bars(count: int, *, volume: int = 100, last: int = 0, opens: int = 10_000) -> tuple[MinuteBar, ...]:
    """*count* minutes before NOW, the last five with a volume of their own."""
    return tuple(
        MinuteBar(NOW - back * MINUTE_US, opens, (last or volume) if back <= 5 else volume, 60)
        for back in range(count, 0, -1)
    )


def evidence(**changes: Any) -> Evidence:
    fields: dict[str, Any] = {
        "at": NOW, "quote": quote(), "pick": 80, "scan": 90, "scan_at": NOW - MINUTE_US, "bars": bars(30),
    }  # fmt: skip
    return Evidence(**{**fields, **changes})


def test_the_blend_is_the_weighted_mean_of_its_parts() -> None:
    parts = parts_of(evidence(), RULES)
    assert (parts.pick, parts.scan, parts.momentum, parts.volume, parts.program, parts.book) == (
        80,
        90,
        75,
        50,
        None,
        None,
    )
    assert judge(evidence(), RULES).total == (2 * (80 * 25 + 90 * 25 + 75 * 20 + 50 * 15) + 85) // 170 == 76


@given(some_parts)
def test_a_missing_part_is_left_out_and_never_read_as_zero(parts: BrainParts) -> None:
    total = total_of(parts, RULES)
    known = [value for name in parts.__struct_fields__ if (value := getattr(parts, name)) is not None]
    if not known:
        assert total is None
        return
    assert total is not None
    assert min(known) <= total <= max(known)
    for name in parts.__struct_fields__:
        if getattr(parts, name) is None:
            assert (
                total_of(replace(parts, **{name: 0}), RULES) <= total <= total_of(replace(parts, **{name: 100}), RULES)
            )
            assert abs(total_of(replace(parts, **{name: total}), RULES) - total) <= 1


@given(some_parts, st.sampled_from(BrainParts.__struct_fields__), st.integers(0, 100))
def test_a_better_part_never_lowers_the_score(parts: BrainParts, name: str, value: int) -> None:
    before = getattr(parts, name)
    if before is not None and value >= before:
        assert total_of(replace(parts, **{name: value}), RULES) >= total_of(parts, RULES)


@given(
    st.integers(1, 2_000_000), st.integers(-10**7, 10**7), st.integers(0, 10**7), st.integers(0, 10**7),
    st.lists(st.builds(MinuteBar, st.integers(900, 1_000).map(lambda m: m * MINUTE_US), st.integers(1, 10**6),
             st.integers(0, 10**7), st.integers(0, 60)), max_size=40),
)  # fmt: skip
def test_every_part_is_between_0_and_100(last: int, net: int, bid: int, ask: int, some: list[MinuteBar]) -> None:
    seen = quote(last=last, program_net=net, program_age_ms=0, book_bid_qty=bid, book_ask_qty=ask, book_age_ms=0)
    parts = parts_of(evidence(quote=seen, bars=tuple(some)), RULES)
    for name in parts.__struct_fields__:
        value = getattr(parts, name)
        assert value is None or 0 <= value <= 100


def test_momentum_volume_program_and_book_speak_for_buyers() -> None:
    rising = parts_of(evidence(bars=bars(30, last=300, opens=9_950)), RULES)
    assert (rising.momentum, rising.volume) == (88, 100)
    falling = parts_of(evidence(bars=bars(30, last=50, opens=10_302)), RULES)
    assert (falling.momentum, falling.volume) == (1, 25)
    both = quote(program_net=5_000, program_age_ms=1, book_bid_qty=700, book_ask_qty=300, book_age_ms=1)
    parts = parts_of(evidence(quote=both), RULES)
    assert (parts.program, parts.book) == (75, 90)


def test_without_a_live_market_part_the_brain_abstains_however_good_the_scores() -> None:
    verdict = judge(evidence(bars=(), pick=100, scan=100), RULES)
    assert (verdict.total, verdict.why) == (None, "no live market part")
    old = quote(program_net=5_000, program_age_ms=61_000, book_bid_qty=7, book_ask_qty=3, book_age_ms=61_000)
    assert judge(evidence(bars=(), quote=old), RULES).total is None
    assert judge(evidence(bars=(), quote=replace(old, book_age_ms=1)), RULES).total is not None


def test_stale_or_missing_quotes_abstain_and_say_so() -> None:
    cases = {
        "no trade seen": quote(last=None, last_age_ms=None),
        "stale: the last trade is 61 s old": quote(last_age_ms=61_000),
        "no quote seen": quote(bid=None, ask=None, quote_age_ms=None),
        "stale: the quote is 75 s old": quote(quote_age_ms=75_000),
        "nothing offered": quote(ask=0),
    }
    for why, seen in cases.items():
        assert (judge(evidence(quote=seen), RULES).total, judge(evidence(quote=seen), RULES).why) == (None, why)


def test_a_scan_score_older_than_five_minutes_is_left_out() -> None:
    assert parts_of(evidence(scan_at=NOW - 5 * MINUTE_US), RULES).scan == 90
    assert parts_of(evidence(scan_at=NOW - 5 * MINUTE_US - 1), RULES).scan is None
