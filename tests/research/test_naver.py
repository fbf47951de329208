"""Naver news as a source, over HTTP on both of its hosts (kis-protocol 7.2)."""

from __future__ import annotations

from datetime import date, time
from pathlib import Path
from typing import Any

import pytest

from kquant.gateways.research.sources.cache import Book
from kquant.gateways.research.sources.naver import HOSTS, Naver, plain, published_at
from kquant.gateways.research.sources.port import Empty, SourceError, SourceRefused, SourceUnreadable
from kquant.gateways.research.sources.web import Web
from kquant.values import MINUTE_US, from_kst
from tests.research.fakes import (
    DAMAGED,
    DAY,
    MORNING,
    FakeSite,
    LeapClock,
    all_missing,
    always,
    huge,
    in_turn,
    naver_body,
    naver_item,
    rows_from,
    stock,
    wanted,
)

KEYS = ("id-canary", "secret-canary")
SAMSUNG, HYNIX = stock("005930", "삼성전자"), stock("000660", "SK하이닉스")
NEWS = naver_body(
    naver_item("<b>삼성전자</b>, &quot;역대 최대&quot; 수주 &amp; 증익", "https://a.kr/1"),
    naver_item("<b>삼성전자</b>, &quot;역대 최대&quot; 수주 &amp; 증익", "https://b.kr/1"),
    naver_item("삼성전자 재탕", "https://a.kr/1"),
    naver_item("이웃 회사 소식", "https://a.kr/2"),
    naver_item("삼성전자 오래된 소식", "https://a.kr/3", "Mon, 02 Nov 2026 09:00:00 +0900"),
    naver_item("\u202e삼성전자\u200b 보이지 않는 글자", "", "Fri, 20 Nov 2026 07:10:00 +0900"),
)


async def gather(
    site: FakeSite,
    folder: Path,
    host: Any = "hub",
    stocks: Any = (SAMSUNG,),
    clock: LeapClock | None = None,
    **changes: Any,
) -> list[Any]:
    clock = clock or LeapClock()
    async with Web(clock, site.service(**changes), "naver", Book(folder / "counts.jsonl", int)) as web:
        source = Naver(web, HOSTS[host], KEYS, clock, folder, folder / f"{clock.now()}", 3)
        asked = wanted(stocks, decision=clock.now() + 10 * MINUTE_US)
        return await rows_from(source.gather("news", asked, all_missing(asked)))


@pytest.mark.parametrize(
    ("host", "path", "names"),
    [
        ("hub", "/search/v1/news", ("X-NCP-APIGW-API-KEY-ID", "X-NCP-APIGW-API-KEY")),
        ("legacy", "/v1/search/news.json", ("X-Naver-Client-Id", "X-Naver-Client-Secret")),
    ],
)
async def test_either_host_is_asked_in_its_own_way(
    tmp_path: Path, host: str, path: str, names: tuple[str, str]
) -> None:
    async with FakeSite(always(200, NEWS)).running() as site:
        rows = await gather(site, tmp_path, host)
    assert site.asked == [(path, {"query": "삼성전자", "display": "20", "start": "1", "sort": "date"})]
    assert tuple(site.headers[0][name] for name in names) == KEYS
    assert len(rows) == 2


async def test_titles_are_plain_named_recent_and_told_once(tmp_path: Path) -> None:
    async with FakeSite(always(200, NEWS)).running() as site:
        rows = await gather(site, tmp_path)
    assert [row.title for row in rows] == ['삼성전자, "역대 최대" 수주 & 증익', "삼성전자 보이지 않는 글자"]
    assert rows[0].published_at == from_kst(date(2026, 11, 19), time(18, 30))
    assert {row.known_at for row in rows} == {MORNING}


async def test_a_title_counts_from_when_it_was_first_seen(tmp_path: Path) -> None:
    evening = from_kst(date(2026, 11, 19), time(19))
    async with FakeSite(always(200, NEWS)).running() as site:
        await gather(site, tmp_path, clock=LeapClock(evening))
        rows = await gather(site, tmp_path)
    assert [row.known_at for row in rows] == [evening, MORNING]


async def test_a_build_on_the_same_day_asks_only_for_the_rest(tmp_path: Path) -> None:
    refuse_second = in_turn(always(200, NEWS), always(401))
    async with FakeSite(refuse_second).running() as site:
        with pytest.raises(SourceRefused):
            await gather(site, tmp_path, stocks=(SAMSUNG, HYNIX))
        site.handler = always(200, naver_body())
        rows = await gather(site, tmp_path, stocks=(SAMSUNG, HYNIX))
    assert [params["query"] for _, params in site.asked] == ["삼성전자", "SK하이닉스", "SK하이닉스"]
    assert len(rows) == 2


@pytest.mark.parametrize("status", [401, 403])
async def test_keys_that_may_not_search_stop_the_source(tmp_path: Path, status: int) -> None:
    body = b'{"errorCode":"024","errorMessage":"Authentication failed secret-canary"}'
    async with FakeSite(always(status, body)).running() as site:
        with pytest.raises(SourceRefused, match=str(status)) as caught:
            await gather(site, tmp_path)
        assert len(site.asked) == 1
    assert "canary" not in str(caught.value)


async def test_the_days_limit_is_told_by_429(tmp_path: Path) -> None:
    body = b'{"errorCode":"010","errorMessage":"Query limit exceeded"}'
    async with FakeSite(in_turn(always(429, body), always(200, NEWS))).running() as site:
        assert len(await gather(site, tmp_path / "once")) == 2
    async with FakeSite(always(429, body)).running() as site:
        with pytest.raises(SourceRefused, match="429"):
            await gather(site, tmp_path / "ever")


async def test_one_company_that_fails_is_left_out_and_five_in_a_row_end_it(tmp_path: Path) -> None:
    bad = always(400, b'{"errorCode":"SE01","errorMessage":"Incorrect query request"}')
    stocks = [stock(f"{number:06}", f"회사{number}") for number in range(8)]
    good = always(200, naver_body(naver_item("회사7 소식", "https://a.kr/7")))
    async with FakeSite(in_turn(*[bad] * 4, good)).running() as site:
        assert [row.code for row in await gather(site, tmp_path / "four", stocks=stocks)] == ["000007"]
    async with FakeSite(bad).running() as site:
        with pytest.raises(SourceUnreadable, match="HTTP 400"):
            await gather(site, tmp_path / "all", stocks=stocks)
        assert len(site.asked) == 5


async def test_nothing_about_the_fifty_most_traded_is_empty_though_the_answers_are_good(tmp_path: Path) -> None:
    stocks = [stock(f"{number:06}") for number in range(60)]
    async with FakeSite(always(200, naver_body())).running() as site:
        with pytest.raises(Empty):
            await gather(site, tmp_path / "silent", stocks=stocks)
        assert len(site.asked) == 50
        assert await gather(site, tmp_path / "few", stocks=stocks[:49]) == []


@pytest.mark.parametrize("name", sorted(DAMAGED))
async def test_an_answer_in_no_documented_form_is_one_error(tmp_path: Path, name: str) -> None:
    stocks = [stock(f"{number:06}") for number in range(5)]
    async with FakeSite(DAMAGED[name]).running() as site:
        with pytest.raises(SourceError):
            await gather(site, tmp_path, stocks=stocks)


async def test_huge_answers_are_left(tmp_path: Path) -> None:
    async with FakeSite(huge(4 << 20)).running() as site:
        with pytest.raises(SourceUnreadable, match="more than"):
            await gather(site, tmp_path, stocks=[stock(f"{number:06}") for number in range(5)])


async def test_requests_keep_their_distance(tmp_path: Path) -> None:
    clock = LeapClock()
    stocks = [stock(f"{number:06}") for number in range(10)]
    async with FakeSite(always(200, naver_body())).running() as site:
        await gather(site, tmp_path, stocks=stocks, clock=clock, gap_ms=120)
    assert clock.slept == [120_000] * 9


@pytest.mark.parametrize(
    "text", ["", "어제", "20261120", "Fri, 20 Nov 2026 07:20:00", "Mon, 20 Nov 1950 07:20:00 +0900"]
)
def test_a_date_without_its_offset_is_refused(text: str) -> None:
    with pytest.raises(SourceUnreadable):
        published_at(text)


def test_a_title_is_no_longer_than_a_title() -> None:
    assert len(plain("가" * 5_000)) == 200
    assert plain("a < b &lt;b&gt; <b>c</b>\n\t d") == "a < b <b> c d"
    assert published_at("Fri, 20 Nov 2026 07:20:00 +0900") == MORNING == from_kst(DAY, time(7, 20))
    assert MORNING % MINUTE_US == 0
