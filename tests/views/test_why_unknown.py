"""A code that no listing knows is refused, not answered with what holds for every stock."""

import pytest

from kquant.events.analyzer import Listed, ListingAnswered, PicksChosen
from kquant.testing.facts import FactLog
from kquant.values import Krw, Shares, Symbol
from kquant.views.why import UnknownStock, why


def test_a_part_of_a_code_is_no_stock() -> None:
    log = FactLog()
    log.start()
    log.open_day()
    samsung = Listed(
        code=Symbol("005930"),
        name="삼성전자",
        market="KOSPI",
        kind="common",
        base=Krw(70_000),
        upper=Krw(91_000),
        lower=Krw(49_000),
        halted=False,
        administrative=False,
        liquidation=False,
        overheated=False,
        warning=0,
        prev_volume=Shares(1),
    )
    log.add("rest", ListingAnswered(stocks=(samsung,), source=""))
    log.add("analyzer", PicksChosen(picks=(), subscribed=0, analysed=1, unscored=0, failed_batches=0))
    assert why(log.facts, "005930").name == "삼성전자"
    with pytest.raises(UnknownStock, match="0059"):
        why(log.facts, "0059")
