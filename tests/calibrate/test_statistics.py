"""Deciles and rank correlation, against definitions written out the long way."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kquant.views.calibration import Least, Sample, came_of, deciles_of, line_of, rank_correlation

LEAST = Least(samples=10, days=2)
scores = st.integers(0, 100)
returns = st.integers(-9_900, 40_000)


def sample(score, bp=0, day="2026-11-20", excess=None):
    return Sample(day=day, score=score, bp=bp, excess_bp=bp if excess is None else excess)


def long_way(pairs):
    """Spearman: Pearson of ranks; a rank is one more than the smaller values, plus half of the other equal ones."""
    sides = [[pair[side] for pair in pairs] for side in (0, 1)]
    ranks = [[Fraction(sum(v < w for v in side)) + Fraction(side.count(w) + 1, 2) for w in side] for side in sides]
    means = [sum(side) / len(side) for side in ranks]
    left, right = ([rank - mean for rank in side] for side, mean in zip(ranks, means, strict=True))
    size = sum(a * a for a in left) * sum(b * b for b in right)
    return None if size == 0 else float(sum(a * b for a, b in zip(left, right, strict=True))) / float(size) ** 0.5


@given(st.lists(st.tuples(scores, returns), min_size=1, max_size=40))
def test_rank_correlation_is_spearmans(pairs):
    found, wanted = rank_correlation(pairs), long_way(pairs)
    assert found == (None if wanted is None else pytest.approx(wanted))


@given(st.lists(st.tuples(scores, returns), max_size=60))
def test_deciles_hold_every_sample_once_in_order_and_never_part_equal_scores(pairs):
    found = deciles_of([sample(*pair) for pair in pairs])
    assert sum(decile.came.samples for decile in found) == len(pairs)
    edges = [edge for decile in found for edge in (decile.low, decile.high)]
    assert edges == sorted(edges)
    assert all(one.high < two.low for one, two in pairwise(found))
    assert [decile.decile for decile in found] == sorted({decile.decile for decile in found})
    assert all(1 <= decile.decile <= 10 for decile in found)


def test_a_hundred_different_scores_make_ten_tenths_of_ten():
    found = deciles_of([sample(score, bp=score) for score in range(100)])
    assert [(d.decile, d.low, d.high, d.came.samples) for d in found] == [
        (tenth + 1, tenth * 10, tenth * 10 + 9, 10) for tenth in range(10)
    ]


def test_scores_that_are_all_equal_stay_in_one_tenth_and_have_no_correlation():
    line = line_of(
        "total", [sample(50, bp=bp, day=day) for bp in range(10) for day in ("2026-11-20", "2026-11-23")], LEAST
    )
    assert [(d.low, d.high, d.came.samples) for d in line.deciles] == [(50, 50, 20)]
    assert line.rank is None


def test_what_came_of_stocks_in_numbers():
    came = came_of(
        [sample(1, 100, excess=50), sample(2, -300, day="2026-11-23", excess=-150), sample(3, 800, excess=400)]
    )
    assert (came.samples, came.days) == (3, 2)
    assert (came.mean_bp, came.median_bp, came.excess_bp, came.up_percent) == (200, 100, 100, 67)


def test_a_line_needs_samples_and_days():
    one_day = [sample(score, score) for score in range(10)]
    assert not line_of("total", one_day, LEAST).sufficient
    two_days = [*one_day[:9], sample(9, 9, day="2026-11-23")]
    assert line_of("total", two_days, LEAST).sufficient
    assert not line_of("total", two_days[1:], LEAST).sufficient


def test_days_have_correlations_of_their_own_so_that_a_markets_mood_is_no_skill():
    """Pooled, high scores fell on the day that rose: each day by itself says the opposite."""
    good = [sample(60 + k, excess=1_000 - k) for k in range(10)]
    bad = [sample(20 + k, excess=-1_000 - k, day="2026-11-23") for k in range(10)]
    line = line_of("total", [*good, *bad], LEAST)
    assert line.rank > 0.5
    assert (line.daily, line.daily_error, line.daily_days) == (-1.0, 0.0, 2)


def test_a_day_of_fewer_than_ten_samples_has_no_correlation_of_its_own():
    line = line_of("total", [sample(k, k) for k in range(9)], LEAST)
    assert (line.daily, line.daily_error, line.daily_days) == (None, None, 0)
