"""Candidates from the rankings and from the user's HTS: condition searches and watch lists, kis-protocol 4.2."""

from __future__ import annotations

import pytest

from kquant.gateways.kis.rest.candidates import Candidates, UnknownSource
from kquant.gateways.kis.rest.errors import KisUnreachable, NotOnPaper
from tests.gateways_kis.look_alike import look_alike


@pytest.fixture
async def calls(tmp_path):
    async with look_alike(tmp_path) as there:
        there.at(10, 30, 20)
        yield await there.calls("real")


async def test_every_source_gives_its_rows_beside_the_rankings(calls):
    sources = ("gainers", "volumes", "condition:상승률상위", "watchlist:관심종목1", "condition:상승률상위")
    answer = await Candidates(calls, sources).fetch(3, 20)
    assert (answer.cycle, len(answer.gainers), len(answer.volumes), answer.missing) == (3, 20, 20, ())
    assert [each.source for each in answer.further] == ["condition:상승률상위", "watchlist:관심종목1"]
    watched = answer.further[1].rows
    assert [row.rank for row in watched] == list(range(1, len(watched) + 1))
    (one,) = [row for row in watched if row.rank == 1]
    price = await calls.price(one.code)
    assert (one.price, one.volume, one.turnover, one.high) == (price.last_price, price.volume, price.value, price.high)


async def test_a_ranking_that_is_no_source_is_not_asked(calls):
    answer = await Candidates(calls, ("volumes", "condition:상한가")).fetch(1, 20)
    assert (answer.gainers, len(answer.volumes)) == ((), 20)
    assert [(each.source, each.rows) for each in answer.further] == [("condition:상한가", ())]


async def test_a_name_the_hts_does_not_know_is_told_with_those_it_knows(calls):
    answer = await Candidates(calls, ("gainers", "condition:없는이름", "watchlist:없는목록")).fetch(1, 20)
    assert len(answer.gainers) == 20
    first, second = answer.missing
    assert first.startswith("condition:없는이름: the HTS has no condition '없는이름'")
    assert "거래량급증" in first
    assert "코스닥관심" in second
    with pytest.raises(UnknownSource):
        await Candidates(calls, ("condition:없는이름",)).fetch(1, 20)


async def test_a_further_source_that_fails_costs_nobody_elses_rows(calls):
    async def fails(seq):
        raise KisUnreachable("gone")

    candidates = Candidates(calls, ("gainers", "condition:상승률상위", "watchlist:우량주"))
    calls.condition_hits = fails
    answer = await candidates.fetch(1, 20)
    assert answer.missing == ("condition:상승률상위: gone",)
    assert [each.source for each in answer.further] == ["watchlist:우량주"]


async def test_the_number_of_a_list_is_looked_up_once(calls):
    count = 0
    conditions = calls.conditions

    async def counted():
        nonlocal count
        count += 1
        return await conditions()

    calls.conditions = counted
    candidates = Candidates(calls, ("gainers", "condition:상승률상위"))
    for cycle in range(3):
        assert not (await candidates.fetch(cycle, 20)).missing
    assert count == 1


async def test_on_paper_without_a_data_key_the_read_fails_with_what_to_set(tmp_path):
    async with look_alike(tmp_path) as there:
        calls = await there.calls("paper")
        for sources in (("gainers",), ("condition:상승률상위",)):
            with pytest.raises(NotOnPaper, match="KIS_DATA_APP_KEY"):
                await Candidates(calls, sources).fetch(1, 20)
