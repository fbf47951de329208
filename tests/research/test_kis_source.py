"""KIS as a source: one stock a call, most traded first (kis-protocol 4.3, 4.4, 4.7, 4.8)."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from kquant.config import load
from kquant.events.pipeline import NewsItem
from kquant.gateways.kis.rest.errors import KisUnreachable, NotOnPaper
from kquant.gateways.research.sources.kis import Kis, shares_of
from kquant.gateways.research.sources.port import Empty, Missing, PriceRow, SourceDown, SourceRefused
from tests.research.fakes import (
    DAY,
    MORNING,
    SESSIONS,
    KisByHand,
    LeapClock,
    all_missing,
    bar,
    nets,
    ratios,
    rows_from,
    stock,
    wanted,
)

STOCKS = (stock("005930"), stock("000660"))


async def gather(
    calls: KisByHand, folder: Path, part: Any, missing: Missing | None = None, **changes: Any
) -> list[Any]:
    source = Kis(calls, LeapClock(), folder, folder / "today")
    asked = wanted(changes.pop("stocks", STOCKS), **changes)
    return await rows_from(source.gather(part, asked, missing or all_missing(asked)))


async def test_a_stock_without_history_is_asked_for_the_year_and_one_with_it_for_thirty_days(tmp_path: Path) -> None:
    calls = KisByHand()
    calls.bars["005930"] = (bar(SESSIONS[1], 100), bar(SESSIONS[0], 110))
    calls.recent["000660"] = (bar(SESSIONS[2], 190), bar(SESSIONS[0], 200))
    missing = Missing(sessions=SESSIONS, codes=("005930", "000660"), newest={"000660": SESSIONS[2]})  # type: ignore[arg-type]
    rows = await gather(calls, tmp_path, "prices", missing)
    assert calls.asked == [("daily", "005930"), ("recent", "000660")]
    assert rows[1] == PriceRow(code="005930", session=SESSIONS[0], open=110, high=120, low=100, close=110, volume=1_000)
    assert [row.close for row in rows] == [100, 110, 200]


@pytest.mark.parametrize(("ex_rights", "asked"), [("00", ["recent"]), ("02", ["recent"]), ("01", ["recent", "daily"])])
async def test_a_scale_that_moved_asks_for_the_whole_year_again(
    tmp_path: Path, ex_rights: str, asked: list[str]
) -> None:
    calls = KisByHand()
    calls.recent["005930"] = (bar(SESSIONS[1], 100, ex_rights=ex_rights), bar(SESSIONS[0], 100))
    missing = Missing(sessions=SESSIONS, codes=("005930",), newest={"005930": SESSIONS[2]})  # type: ignore[arg-type]
    await gather(calls, tmp_path, "prices", missing)
    assert [what for what, _ in calls.asked] == asked


async def test_flows_of_a_session_that_is_not_final_are_left_out(tmp_path: Path) -> None:
    calls = KisByHand()
    calls.flows["005930"] = (nets(DAY, 5, 5), nets(SESSIONS[0], 7, -3), nets(SESSIONS[1], None, None))
    rows = await gather(calls, tmp_path, "flows")
    assert [(row.session, row.foreign_net, row.institution_net) for row in rows] == [(SESSIONS[0], 7, -3)]


async def test_finance_figures_count_from_when_they_were_fetched(tmp_path: Path) -> None:
    """They carry no date of publication (kis-protocol 4.7)."""
    calls = KisByHand()
    calls.ratios["005930"] = (ratios(grs="12.34", roe_val="9.5", lblt_rate="40", eps="1234", bps="0"),)
    (row,) = await gather(calls, tmp_path, "financials")
    assert (row.known_at, row.filed) == (MORNING, "")
    assert (row.sales_growth_bp, row.roe_bp, row.debt_ratio_bp, row.op_margin_bp) == (1_234, 950, 4_000, None)
    assert (row.eps_krw, row.bps_krw) == (1_234, None)
    assert await gather(calls, tmp_path / "again", "financials", decision=MORNING - 1) == []


async def test_titles_name_their_stocks(tmp_path: Path) -> None:
    calls = KisByHand()
    calls.items = (
        NewsItem(id="1", published="20261120070000", title="삼성전자 수주", codes=("005930", "999999"), source="연합"),  # type: ignore[arg-type]
        NewsItem(id="2", published="20261120070500", title="시황", codes=(), source="연합"),
    )
    rows = await gather(calls, tmp_path, "news")
    assert [(row.code, row.title, row.known_at) for row in rows] == [("005930", "삼성전자 수주", MORNING)]


@pytest.mark.parametrize("part", ["prices", "flows", "financials", "news"])
async def test_paper_without_a_data_key_is_told_once(tmp_path: Path, part: str) -> None:
    calls = KisByHand()
    calls.raises = NotOnPaper("no")
    with pytest.raises(SourceRefused, match="a data key would answer"):
        await gather(calls, tmp_path, part)
    assert len(calls.asked) == 1


async def test_ten_stocks_in_a_row_that_fail_end_it_and_nothing_about_fifty_is_empty(tmp_path: Path) -> None:
    stocks = [stock(f"{number:06}") for number in range(60)]
    calls = KisByHand()
    calls.raises = KisUnreachable("no")
    with pytest.raises(SourceDown, match="10 stocks in a row failed: KisUnreachable"):
        await gather(calls, tmp_path / "down", "flows", stocks=stocks)
    assert len(calls.asked) == 10
    with pytest.raises(Empty, match="nothing about any of 50 stocks"):
        await gather(KisByHand(), tmp_path / "empty", "flows", stocks=stocks)


async def test_a_build_on_the_same_day_asks_nothing_twice(tmp_path: Path) -> None:
    calls = KisByHand()
    calls.flows = {each.code: (nets(SESSIONS[0], 7, -3),) for each in STOCKS}
    first = await gather(calls, tmp_path, "flows")
    assert await gather(calls, tmp_path, "flows") == first
    assert len(calls.asked) == 2


def master(*rows: tuple[str, str, str, int, int, int], kosdaq: bool = False) -> bytes:
    """A master file (kis-protocol 4.8): code, name, group, base, volume, shares in thousands.

    The fields used lie five bytes earlier in a KOSDAQ tail, the ETP class and the SPAC mark four and five.
    """
    lines = []
    for code, name, group, base, volume, shares in rows:
        tail = bytearray(b"0" * (221 if kosdaq else 227))
        tail[0:2] = group.encode()
        shift = 5 if kosdaq else 0
        fields = [(41, f"{base:09}"), (60, "N"), (61, "N"), (62, "N"), (63, "00"), (81, f"{volume:012}")]
        for start, text in [*fields, (113, f"{shares:015}"), (158, "0")]:
            tail[start - shift : start - shift + len(text)] = text.encode()
        lines.append(code.ljust(9).encode() + b"KR7000000000" + name.encode("cp949").ljust(40) + bytes(tail))
    told = io.BytesIO()
    with zipfile.ZipFile(told, "w") as archive:
        archive.writestr("kospi_code.mst", b"\n".join(lines) + b"\n")
    return told.getvalue()


async def test_the_listing_has_shares_and_is_most_traded_first_with_funds_last(tmp_path: Path) -> None:
    calls = KisByHand()
    calls.masters["kospi"] = master(
        ("005930", "삼성전자", "ST", 70_000, 1_000, 5_919_637),
        ("000660", "SK하이닉스", "ST", 200_000, 9_000, 0),
        ("069500", "KODEX 200", "EF", 50_000, 90_000_000, 100),
    )
    calls.masters["kosdaq"] = master(("247540", "에코프로비엠", "ST", 100_000, 5_000, 97_801), kosdaq=True)
    source = Kis(calls, LeapClock(), tmp_path, tmp_path / "today")
    bands = load(profile="demo").settings.krx.ticks
    found = await source.listing(bands)
    assert [each.code for each in found] == ["000660", "247540", "005930", "069500"]
    assert [each.shares for each in found] == [None, 97_801_000, 5_919_637_000, 100_000]
    calls.masters["kosdaq"] = b"not a zip"
    with pytest.raises(SourceDown, match="KOSDAQ master"):
        await source.listing(bands)
    calls.masters["kosdaq"] = master(kosdaq=True)
    with pytest.raises(Empty, match="lists no stock"):
        await source.listing(bands)


def test_shares_are_read_from_the_master_in_thousands() -> None:
    told = master(("005930", "삼성전자", "ST", 70_000, 1_000, 5_919_637), ("000660", "하이닉스", "ST", 1, 1, 0))
    assert shares_of(told, "KOSPI") == {"005930": 5_919_637_000}
    with pytest.raises(SourceDown, match="no zip file"):
        shares_of(b"PK", "KOSPI")
