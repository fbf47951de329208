"""Filters as data: each names what it drops, and switching it off lets through."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kquant.domain.filters import FILTERS, Candidate, dropped_by
from kquant.krx import ticks_down
from kquant.settings import FilterSettings
from tests.scanner.daylog import SETTINGS, listed

RULES, BANDS = SETTINGS.filters, SETTINGS.krx.ticks
stocks = st.builds(
    listed,
    st.just("000100"),
    kind=st.sampled_from(["common", "preferred", "fund", "spac", "reit"]),
    upper=st.none() | st.integers(5_000, 50_000),
    halted=st.booleans(),
    administrative=st.booleans(),
    liquidation=st.booleans(),
    overheated=st.booleans(),
    warning=st.integers(0, 3),
)
some = st.builds(
    Candidate, stock=stocks, price=st.none() | st.integers(1, 60_000), turnover=st.none() | st.integers(0, 10**10)
)


def candidate(**changes: Any) -> Candidate:
    price, turnover = changes.pop("price", 10_000), changes.pop("turnover", 10**9)
    return Candidate(stock=listed("000100", **changes), price=price, turnover=turnover)


def off(name: str) -> FilterSettings:
    value = getattr(RULES, name)
    return replace(RULES, **{name: False if isinstance(value, bool) else 0})


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("halted", {"halted": True}),
        ("administrative", {"administrative": True}),
        ("liquidation", {"liquidation": True, "upper": None, "lower": None}),
        ("warning", {"warning": 2}),
        ("warning", {"warning": 3}),
        ("overheated", {"overheated": True}),
        ("spac", {"kind": "spac"}),
        ("preferred", {"kind": "preferred"}),
        ("fund", {"kind": "fund"}),
        ("min_price_krw", {"price": 999, "upper": 1_200}),
        ("min_turnover_krw", {"turnover": 499_999_999}),
        ("upper_limit_ticks", {"price": 12_970}),
    ],
)
def test_each_filter_drops_its_own_and_can_be_switched_off(name: str, changes: dict[str, Any]) -> None:
    assert dropped_by(candidate(**changes), RULES, BANDS) == name
    assert dropped_by(candidate(**changes), off(name), BANDS) is None


def test_an_ordinary_stock_passes() -> None:
    assert dropped_by(candidate(), RULES, BANDS) is None
    assert dropped_by(candidate(warning=1), RULES, BANDS) is None
    assert dropped_by(candidate(price=12_960), RULES, BANDS) is None
    assert dropped_by(candidate(price=50_000, upper=None), RULES, BANDS) is None


def test_every_setting_has_its_filter() -> None:
    assert {each.name for each in FILTERS} == set(FilterSettings.__struct_fields__)


@given(some)
def test_a_dropped_candidate_is_dropped_for_a_true_reason_and_a_passing_one_for_none(each: Candidate) -> None:
    name = dropped_by(each, RULES, BANDS)
    stock, price, turnover = each.stock, each.price, each.turnover
    true = {
        "halted": stock.halted,
        "administrative": stock.administrative,
        "liquidation": stock.liquidation,
        "overheated": stock.overheated,
        "warning": stock.warning >= 2,
        "spac": stock.kind == "spac",
        "preferred": stock.kind == "preferred",
        "fund": stock.kind == "fund",
        "min_price_krw": price is not None and price < 1_000,
        "min_turnover_krw": turnover is not None and turnover < 500_000_000,
        "upper_limit_ticks": price is not None
        and stock.upper is not None
        and price >= ticks_down(stock.upper, 3, BANDS),
    }
    assert true[name] if name is not None else not any(true.values())
