"""How far a judgement may leave the numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kquant.domain.rubrics import ANALYSIS_MAXIMA, SCAN_MAXIMA, analysis_score, scan_total
from kquant.events.analyzer import AnalysisParts
from kquant.events.scanner import ScanParts
from kquant.gateways.llm.asked import ANALYSIS_PARTS, SCAN_PARTS
from kquant.gateways.llm.bound import drawn_back, total_of
from kquant.gateways.llm.scan import bounded
from kquant.values import Symbol

maxima = st.lists(st.sampled_from((20, 30)), min_size=1, max_size=4)
points = st.integers(0, 100)


@st.composite
def judged(draw: st.DrawFn) -> tuple[list[int], list[int], list[int], int]:
    most = draw(maxima)
    said, other, measured = ([draw(st.integers(0, each)) for each in most] for _ in range(3))
    return said, other, measured, sum(most)


@given(judged(), points)
def test_the_total_stays_within_half_the_points_and_each_part_between_said_and_measured(
    case: tuple[list[int], list[int], list[int], int], text_points: int
) -> None:
    said, _, measured, most = case
    kept = drawn_back(said, measured, most, text_points)
    assert abs(total_of(kept, most) - total_of(measured, most)) <= text_points // 2
    for was, own, now in zip(said, measured, kept, strict=True):
        assert min(was, own) <= now <= max(was, own)


@given(judged(), points)
def test_two_judgements_of_the_same_numbers_differ_by_no_more_than_the_points(
    case: tuple[list[int], list[int], list[int], int], text_points: int
) -> None:
    one, other, measured, most = case
    totals = [total_of(drawn_back(said, measured, most, text_points), most) for said in (one, other)]
    assert abs(totals[0] - totals[1]) <= text_points


@given(judged(), points)
def test_what_is_near_enough_is_left_as_it_was_said(
    case: tuple[list[int], list[int], list[int], int], text_points: int
) -> None:
    said, _, measured, most = case
    if abs(total_of(said, most) - total_of(measured, most)) <= text_points // 2:
        assert drawn_back(said, measured, most, text_points) == tuple(said)


@given(judged())
def test_nothing_to_move_by_is_what_was_measured(case: tuple[list[int], list[int], list[int], int]) -> None:
    said, _, measured, most = case
    assert total_of(drawn_back(said, measured, most, 0), most) == total_of(measured, most)


@given(judged(), points)
def test_the_bound_is_used_to_the_full(case: tuple[list[int], list[int], list[int], int], text_points: int) -> None:
    said, _, measured, most = case
    kept = drawn_back(said, measured, most, text_points)
    if list(kept) != said:
        further = sum(kept) + (1 if sum(said) > sum(measured) else -1)
        assert abs(total_of((further,), most) - total_of(measured, most)) > text_points // 2


def test_an_extreme_judgement_is_drawn_back_in_proportion() -> None:
    measured = ScanParts(persistence=15, volume=10, momentum=15, risk=10)
    said = ScanParts(persistence=30, volume=20, momentum=30, risk=20)
    assert bounded(said, measured, 20) == ScanParts(persistence=18, volume=12, momentum=18, risk=12)


@given(st.lists(st.none() | st.integers(0, 20), min_size=4, max_size=4))
def test_the_gateway_adds_parts_as_the_domain_does(values: list[int | None]) -> None:
    parts = AnalysisParts(**dict(zip(ANALYSIS_PARTS, values, strict=True)))
    known = {name: value for name, value in zip(ANALYSIS_PARTS, values, strict=True) if value is not None}
    if known:
        total = analysis_score(Symbol("005930"), parts, 0).total
        assert total_of(tuple(known.values()), sum(ANALYSIS_PARTS[name] for name in known)) == total


def test_the_rubrics_of_the_prompts_are_the_domains() -> None:
    assert SCAN_PARTS == SCAN_MAXIMA
    assert ANALYSIS_PARTS == ANALYSIS_MAXIMA
    assert scan_total(ScanParts(persistence=30, volume=20, momentum=30, risk=20)) == 100
