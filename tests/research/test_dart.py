"""OpenDART as a source, over HTTP to a server of its wire format (kis-protocol 7.1)."""

from __future__ import annotations

from datetime import date, time
from pathlib import Path
from typing import Any

import pytest

from kquant.gateways.research.sources.cache import Book
from kquant.gateways.research.sources.dart import Dart, companies_of, received_on, won
from kquant.gateways.research.sources.port import Empty, SourceDown, SourceError, SourceRefused, SourceUnreadable
from kquant.gateways.research.sources.web import Web
from kquant.values import from_kst
from tests.research.fakes import (
    DAMAGED,
    MORNING,
    DartPages,
    FakeSite,
    LeapClock,
    accounts,
    all_missing,
    always,
    corp_codes,
    filing,
    hanging,
    huge,
    in_turn,
    rows_from,
    stock,
    wanted,
)

KEY = "k" * 40
SAMSUNG, HYNIX, YOUNG = stock("005930"), stock("000660"), stock("0004V0")
CORPS = {"005930": "00126380", "000660": "00164779", "0004V0": "01234567"}


async def gather(
    site: FakeSite, folder: Path, part: Any = "financials", stocks: Any = (SAMSUNG, HYNIX, YOUNG), **changes: Any
) -> list[Any]:
    clock = LeapClock()
    async with Web(clock, site.service(**changes), "dart", Book(folder / "counts.jsonl", int)) as web:
        source = Dart(web, KEY, clock, folder, folder / "today", 3)
        asked = wanted(stocks)
        return await rows_from(source.gather(part, asked, all_missing(asked)))


def pages() -> DartPages:
    found = DartPages(CORPS)
    found.statements["2025"] = [
        *accounts("00126380", "20260310000123", sales=("300,000", "250,000"), operating=("45,000", "30,000"),
                  net=("30,000", "20,000"), equity=("200,000", "180,000"), debt=("100,000", "90,000")),
        *accounts("00126380", "20260310000123", "OFS", sales=("1", "1"), equity=("1", "1")),
        *accounts("00164779", "20261119000777", sales=("100", "100"), operating=("-5", "10"), equity=("50", "50")),
    ]  # fmt: skip
    found.statements["2024"] = accounts(
        "00164779", "20250320000001", sales=("90", "100"), operating=("-", ""), equity=("-5", "")
    )
    return found


async def test_statements_count_from_the_day_after_they_were_filed(tmp_path: Path) -> None:
    async with FakeSite(pages()).running() as site:
        rows = {row.code: row for row in await gather(site, tmp_path)}
    samsung = rows["005930"]
    assert (samsung.filed, samsung.known_at) == ("2026-03-10", from_kst(date(2026, 3, 11), time(0)))
    assert (samsung.sales_growth_bp, samsung.op_margin_bp, samsung.op_growth_bp) == (2_000, 1_500, 5_000)
    assert (samsung.roe_bp, samsung.debt_ratio_bp, samsung.net_krw) == (1_500, 5_000, 30_000)
    assert rows["000660"].known_at == from_kst(date(2026, 11, 20), time(0)) < MORNING
    assert rows["000660"].op_margin_bp == -500
    assert "0004V0" not in rows


async def test_a_statement_filed_on_the_day_is_left_out_and_the_year_before_stands_in(tmp_path: Path) -> None:
    found = pages()
    found.statements["2025"] = accounts("00164779", "20261120000777", sales=("100", "100"))
    async with FakeSite(found).running() as site:
        (row,) = await gather(site, tmp_path, stocks=(HYNIX,))
    assert row.filed == "2025-03-20"
    # From a loss there is no growth, and with no equity no ratio to it.
    assert (row.sales_growth_bp, row.op_growth_bp, row.debt_ratio_bp, row.roe_bp) == (-1_000, None, None, None)


async def test_a_build_after_a_crash_asks_only_for_the_rest(tmp_path: Path) -> None:
    async with FakeSite(pages()).running() as site:
        first = await gather(site, tmp_path)
        asked = len(site.asked)
        assert await gather(site, tmp_path) == first
        assert len(site.asked) == asked


async def test_companies_are_asked_a_hundred_at_a_time(tmp_path: Path) -> None:
    stocks = [stock(f"{number:06}") for number in range(250)]
    found = DartPages({each.code: f"{number:08}" for number, each in enumerate(stocks)})
    found.statements["2025"] = [
        line for number in range(250) for line in accounts(f"{number:08}", "20260310000123", sales=("2", "1"))
    ]
    async with FakeSite(found).running() as site:
        rows = await gather(site, tmp_path, stocks=stocks)
        assert [path for path, _ in site.asked].count("/fnlttMultiAcnt.json") == 3
    assert len(rows) == 250


async def test_filings_are_titles_from_when_they_were_first_seen(tmp_path: Path) -> None:
    found = DartPages(CORPS)
    found.page = 2
    found.filings = [
        filing("005930", "20261120000001", "[기재정정]단일판매ㆍ공급계약체결              "),
        filing("000660", "20261119000002", "유상증자결정", "철"),
        filing("0004V0", "20261118000003", "분기보고서 (2026.09)"),
        filing("", "20261118000004", "비상장"),
        filing("999999", "20261118000005", "상장이 아닌 것"),
    ]
    async with FakeSite(found).running() as site:
        rows = await gather(site, tmp_path, "news")
        assert len(site.asked) == 3
        again = await gather(site, tmp_path, "news")
    assert [(row.code, row.title) for row in rows] == [
        ("005930", "[기재정정]단일판매ㆍ공급계약체결"), ("0004V0", "분기보고서 (2026.09)"),
    ]  # fmt: skip
    # Filed this morning: known since it was seen. Filed on the 18th: since the 19th, though seen today.
    assert (rows[0].known_at, rows[1].known_at) == (MORNING, from_kst(date(2026, 11, 19), time(0)))
    assert again == rows


@pytest.mark.parametrize(
    ("status", "kind"),
    [("010", SourceRefused), ("011", SourceRefused), ("012", SourceRefused), ("020", SourceRefused),
     ("901", SourceRefused), ("800", SourceDown), ("900", SourceDown), ("100", SourceUnreadable),
     ("101", SourceUnreadable), ("021", SourceUnreadable), ("555", SourceUnreadable)],
)  # fmt: skip
async def test_every_status_has_its_reaction_in_json_and_in_the_list_of_companies(
    tmp_path: Path, status: str, kind: type[SourceError]
) -> None:
    told = f'{{"status":"{status}","message":"{KEY}"}}'.encode()
    xml = f"<result><status>{status}</status><message>{KEY}</message></result>".encode()
    async with FakeSite(in_turn(always(200, corp_codes(CORPS)), always(200, told))).running() as site:
        with pytest.raises(kind) as caught:
            await gather(site, tmp_path / "json")
    assert KEY not in str(caught.value)
    async with FakeSite(always(200, xml)).running() as site:
        with pytest.raises(kind) as caught:
            await gather(site, tmp_path / "xml")
    assert KEY not in str(caught.value)


async def test_no_data_for_anybody_is_empty_though_the_answer_is_good(tmp_path: Path) -> None:
    async with FakeSite(DartPages(CORPS)).running() as site:
        with pytest.raises(Empty, match="no statement of 3 companies"):
            await gather(site, tmp_path)


@pytest.mark.parametrize("name", sorted(DAMAGED))
async def test_an_answer_in_no_documented_form_is_one_error(tmp_path: Path, name: str) -> None:
    async with FakeSite(in_turn(always(200, corp_codes(CORPS)), DAMAGED[name])).running() as site:
        with pytest.raises(SourceUnreadable):
            await gather(site, tmp_path / "json")
    async with FakeSite(DAMAGED[name]).running() as site:
        with pytest.raises(SourceError):
            await gather(site, tmp_path / "zip")


async def test_passing_troubles_are_tried_again_and_lasting_ones_given_up(tmp_path: Path) -> None:
    found = pages()
    flaky = in_turn(always(503), always(429, b"", {"Retry-After": "7"}), found)
    async with FakeSite(flaky).running() as site:
        assert len(await gather(site, tmp_path / "flaky")) == 2
    async with FakeSite(always(500)).running() as site:
        with pytest.raises(SourceDown, match="HTTP 500, 4 times") as caught:
            await gather(site, tmp_path / "down")
        assert len(site.asked) == 4
    assert KEY not in str(caught.value)
    async with FakeSite(always(429, b"", {"Retry-After": "86400"})).running() as site:
        with pytest.raises(SourceRefused, match="come back in 86400 s"):
            await gather(site, tmp_path / "limited")
        assert len(site.asked) == 1


async def test_a_huge_or_silent_answer_is_left(tmp_path: Path) -> None:
    async with FakeSite(huge(40 << 20)).running() as site:
        with pytest.raises(SourceUnreadable, match="more than"):
            await gather(site, tmp_path / "huge")
    told: list[FakeSite] = []
    site = FakeSite(hanging(told))
    told.append(site)
    async with site.running():
        with pytest.raises(SourceDown, match="no answer in time, 4 times"):
            await gather(site, tmp_path / "slow", timeout_seconds=1)


async def test_nothing_is_followed_to_another_address(tmp_path: Path) -> None:
    async with FakeSite(always(302, b"", {"Location": "/elsewhere"})).running() as site:
        with pytest.raises(SourceUnreadable):
            await gather(site, tmp_path)
        assert [path for path, _ in site.asked] == ["/corpCode.xml"]


async def test_the_days_requests_are_counted_over_restarts(tmp_path: Path) -> None:
    async with FakeSite(pages()).running() as site:
        with pytest.raises(SourceRefused, match="the day's 2 requests are used up"):
            await gather(site, tmp_path, day_requests=2)
        with pytest.raises(SourceRefused, match="used up"):
            await gather(site, tmp_path, day_requests=2)
        assert len(site.asked) == 2


def test_a_list_of_companies_that_declares_entities_is_refused() -> None:
    with pytest.raises(SourceUnreadable):
        companies_of(b"PK\x03\x04 not a zip")
    assert companies_of(corp_codes(CORPS)) == CORPS


@pytest.mark.parametrize("text", ["12.5", "천원", "1e9", "--1", "9" * 19])
def test_an_amount_that_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(SourceUnreadable):
        won(text)


def test_amounts_and_receipts_are_read_as_written() -> None:
    assert [won(text) for text in ("1,234", "-5", "", " - ", "0")] == [1_234, -5, None, None, 0]
    assert received_on("20260310000123") == date(2026, 3, 10)
    for receipt in ("2026031000012", "20261310000123", "x" * 14):
        with pytest.raises(SourceUnreadable):
            received_on(receipt)
