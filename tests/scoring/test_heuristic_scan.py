"""The heuristic evaluation of scan candidates."""

from __future__ import annotations

from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kquant.domain.rubrics import SCAN_MAXIMA, analysis_score, blend, scale, scan_total
from kquant.events.analyzer import AnalysisParts
from kquant.events.scanner import ScanFacts, ScanParts
from kquant.exchange.market import generate
from kquant.gateways.scoring.heuristic import rise_kept, score_facts, volume_ratio
from kquant.gateways.scoring.points import along, mean_of_known, out_of
from kquant.gateways.scoring.port import Abstained, Scored


def facts(**changes: Any) -> ScanFacts:
    fields: dict[str, Any] = {
        "price": 11_200, "change_bp": 1_200, "volume": 3_000_000, "turnover": 33_000_000_000, "high": 11_300,
        "low": 9_950, "open": 10_050, "prev_volume": 2_000_000, "gainer_rank": 8, "volume_rank": 12, "cycles_seen": 6,
        "change_bp_before": 1_150, "volume_before": 2_900_000, "minutes_open": 60,
    }  # fmt: skip
    return ScanFacts(**{**fields, **changes})


def total(each: ScanFacts) -> int:
    scored = score_facts(each)
    assert isinstance(scored, Scored)
    found = scan_total(scored.parts)
    assert found is not None
    return found


price = st.integers(1, 2_000_000)
any_facts = st.builds(
    ScanFacts,
    price=price,
    change_bp=st.integers(-9_999, 100_000),
    volume=st.integers(0, 10**10),
    turnover=st.integers(0, 10**13),
    high=st.none() | price,
    low=st.none() | price,
    open=st.none() | st.integers(0, 2_000_000),
    prev_volume=st.none() | st.integers(0, 10**10),
    gainer_rank=st.none() | st.integers(1, 50),
    volume_rank=st.none() | st.integers(1, 50),
    cycles_seen=st.integers(1, 400),
    change_bp_before=st.none() | st.integers(-9_999, 100_000),
    volume_before=st.none() | st.integers(0, 10**10),
    minutes_open=st.integers(0, 390),
)


@given(any_facts)
def test_every_part_stays_within_the_rubric_and_has_a_reason(each: ScanFacts) -> None:
    scored = score_facts(each)
    assert isinstance(scored, Scored)
    for name, most in SCAN_MAXIMA.items():
        assert 0 <= getattr(scored.parts, name) <= most
    assert len(scored.reasons) == len(SCAN_MAXIMA)
    assert sum(SCAN_MAXIMA.values()) == 100


@given(any_facts, st.sampled_from(["high", "open", "prev_volume", "change_bp_before"]))
def test_a_missing_fact_is_never_worse_than_the_worst_it_could_be(each: ScanFacts, name: str) -> None:
    worst = {
        "high": 10**9,
        "open": 10**9,
        "prev_volume": 10**15,
        "change_bp_before": 200_000,
    }
    if each.change_bp > 0 or name != "high":
        assert total(replace(each, **{name: None})) >= total(replace(each, **{name: worst[name]}))


@given(any_facts)
def test_more_turnover_and_more_cycles_never_lower_the_score(each: ScanFacts) -> None:
    assert total(replace(each, turnover=each.turnover * 2)) >= total(each)
    assert total(replace(each, cycles_seen=each.cycles_seen + 1)) >= total(each)


def test_a_lasting_surge_qualifies_and_the_same_surge_faded_does_not() -> None:
    assert total(facts()) >= 80
    faded = facts(price=10_500, change_bp=500, high=12_000, change_bp_before=560)
    assert rise_kept(faded) == 25
    assert total(faded) < 60


def test_a_falling_stock_scores_low_however_much_it_trades() -> None:
    falling = facts(price=9_500, change_bp=-500, high=10_100, change_bp_before=-480, turnover=10**12, volume_rank=1)
    assert rise_kept(falling) == 0
    assert total(falling) < 50


def test_a_stock_at_first_sight_is_judged_on_what_is_known() -> None:
    first = facts(cycles_seen=1, change_bp_before=None, volume_before=None, prev_volume=None, volume_rank=None)
    assert volume_ratio(first) is None
    assert 60 <= total(first) < total(facts())


def test_impossible_facts_abstain() -> None:
    assert isinstance(score_facts(facts(price=0)), Abstained)
    assert isinstance(score_facts(facts(change_bp=-10_000)), Abstained)


def test_on_an_ordinary_page_some_but_not_all_candidates_qualify() -> None:
    page = []
    for place in range(1, 21):
        rise = 2_000 - 80 * place
        high = 10_000 + rise + (rise if place % 4 == 0 else 60)
        page.append(
            facts(
                price=10_000 + rise, change_bp=rise, high=high, gainer_rank=place, volume_rank=None,
                volume=400_000 * (place % 5 + 1), turnover=4_000_000_000 * (place % 5 + 1), cycles_seen=place % 7 + 1,
                change_bp_before=rise - 40 + 10 * (place % 9),
            )
        )  # fmt: skip
    for place in range(1, 11):
        rise = -300 + 60 * place
        page.append(
            facts(
                price=10_000 + rise, change_bp=rise, high=10_350, gainer_rank=None, volume_rank=place, cycles_seen=30,
                turnover=60_000_000_000, volume=6_000_000, prev_volume=12_000_000, change_bp_before=rise,
            )
        )  # fmt: skip
    assert 3 <= sum(total(each) >= 70 for each in page) <= 12


def test_totals_are_computed_here_and_parts_out_of_range_are_unusable() -> None:
    assert scan_total(ScanParts(persistence=30, volume=20, momentum=30, risk=20)) == 100
    assert scan_total(ScanParts(persistence=31, volume=0, momentum=0, risk=0)) is None
    assert scan_total(ScanParts(persistence=0, volume=-1, momentum=0, risk=0)) is None


@given(st.none() | st.integers(0, 30), st.none() | st.integers(0, 30), st.none() | st.integers(0, 20),
       st.none() | st.integers(0, 20), st.integers(0, 100))  # fmt: skip
def test_analysis_totals_scale_over_what_is_known(a: Any, b: Any, c: Any, d: Any, least: int) -> None:
    score = analysis_score("000100", AnalysisParts(financials=a, flows=b, news=c, technicals=d), least)
    known = [(value, most) for value, most in ((a, 30), (b, 30), (c, 20), (d, 20)) if value is not None]
    points = sum(most for _, most in known)
    assert score.points == points
    if points == 0 or points < least:
        assert score.total is None
    else:
        exact = 100 * sum(value for value, _ in known) / points
        assert score.total is not None
        assert abs(score.total - exact) <= 0.5
        assert 0 <= score.total <= 100


def test_an_analysis_part_out_of_range_is_left_out() -> None:
    parts = AnalysisParts(financials=31, flows=15, news=None, technicals=20)
    assert (analysis_score("000100", parts, 50).total, analysis_score("000100", parts, 50).points) == (70, 50)


def test_curves_means_and_scales_round_half_up() -> None:
    curve = ((0, 0), (10, 5), (20, 100))
    assert [along(curve, value) for value in (-5, 0, 1, 10, 15, 99)] == [0, 0, 1, 5, 53, 100]
    assert mean_of_known(((None, 5), (10, 1), (11, 1))) == 11
    assert mean_of_known(((None, 5),)) is None
    assert (out_of(50, 30), out_of(100, 20), out_of(0, 20)) == (15, 20, 0)
    assert (scale(-200, -200, 200), scale(0, -200, 200), scale(900, -200, 200)) == (0, 50, 100)
    assert blend(((None, 3), (40, 0))).total is None


def test_on_a_generated_day_some_but_not_all_of_each_page_qualify() -> None:
    day = generate(date(2026, 11, 20), 20261120, 2_700)
    before: dict[str, Any] = {}
    counts = []
    for minute in range(5, 390, 12):
        second = 32_400 + minute * 60
        gainers, volumes = day.rank_gainers(second, "ALL", 20), day.rank_volume(second, "ALL", 20)
        page = {line.code: line for line in (*gainers, *volumes)}
        totals = [
            total(
                facts(
                    price=line.last, change_bp=line.change_bp, volume=line.volume, turnover=line.value, high=line.high,
                    low=line.low, open=line.open, prev_volume=line.prev_volume, volume_rank=None, minutes_open=minute,
                    cycles_seen=6 if code in before else 1, change_bp_before=before.get(code),
                )
            )
            for code, line in page.items()
            if line.last < day.by_code[code].upper * 99 // 100 and day.by_code[code].kind == "common"
        ]  # fmt: skip
        before = {code: line.change_bp for code, line in page.items()}
        counts.append((sum(each >= 70 for each in totals), len(totals)))
    qualified = sorted(each for each, _ in counts)
    assert 2 <= qualified[len(qualified) // 2] <= 13
    assert all(each < page_size for each, page_size in counts)
