"""The real pykrx in its child process, against a server of KRX's pages (kis-protocol 7.5)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from kquant.gateways.research.sources.cache import Book
from kquant.gateways.research.sources.krx import Krx
from kquant.gateways.research.sources.port import (
    Empty,
    FlowRow,
    Missing,
    PriceRow,
    SourceDown,
    SourceError,
    SourceRefused,
    SourceUnreadable,
    ValuationRow,
)
from tests.research.fakes import (
    HTML,
    SESSIONS,
    FakeSite,
    KrxPages,
    LeapClock,
    always,
    hanging,
    krx_net,
    krx_price,
    krx_ratio,
    rows_from,
    stock,
    wanted,
)

pytest.importorskip("requests", reason="pykrx is an optional extra")
CANARIES = ("krx-id-canary", "krx-pw-canary")
NEWEST, BEFORE = SESSIONS[:2]


def day(session: date) -> str:
    return f"{session:%Y%m%d}"


def pages() -> KrxPages:
    found = KrxPages()
    found.prices[day(NEWEST)] = [
        krx_price("005930", (69_000, 71_500, 68_900, 71_000), 12_345_678, "1.43", 5_919_637_922),
        krx_price("0004V0", (0, 0, 0, 1_000), 0, "0.00", 1_000),
    ]
    found.prices[day(BEFORE)] = [krx_price("005930", (69_000, 70_500, 68_900, 70_000), 11, "-0.5", 5_919_637_922)]
    found.nets[day(NEWEST), "9000"] = [krx_net("005930", 1_500), krx_net("0004V0", -20)]
    found.nets[day(NEWEST), "7050"] = [krx_net("005930", -300)]
    found.ratios[day(NEWEST)] = [krx_ratio("005930", "15.03", "1.20"), krx_ratio("0004V0", "-", "0.78")]
    return found


async def gather(
    site: FakeSite, folder: Path, part: Any, sessions: tuple[date, ...] = (NEWEST,), **changes: Any
) -> list[Any]:
    settings = site.service(**{"timeout_seconds": 20, **changes})
    environ = {"PATH": "/usr/bin", "HOME": str(folder), "KIS_APP_SECRET": "not-for-the-child"}
    source = Krx(settings, CANARIES, LeapClock(), Book(folder / "counts.jsonl", int), environ)
    asked = wanted((stock("005930"),))
    return await rows_from(source.gather(part, asked, Missing(sessions=sessions, codes=())))


@pytest.fixture(autouse=True)
def _nothing_is_imported_or_printed_here(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert not {"pykrx", "pandas", "matplotlib"} & set(sys.modules)
    out, err = capfd.readouterr()
    assert not [canary for canary in CANARIES if canary in out + err]


async def test_prices_of_a_session_come_with_their_base_and_shares(tmp_path: Path) -> None:
    async with FakeSite(pages()).running() as site:
        rows = await gather(site, tmp_path, "prices", (NEWEST, BEFORE))
    assert rows[0] == PriceRow(
        code="005930", session=NEWEST, open=69_000, high=71_500, low=68_900, close=71_000, volume=12_345_678,
        base=69_999, shares=5_919_637_922,
    )  # fmt: skip
    assert (rows[1].code, rows[1].open, rows[1].close, rows[1].volume) == ("0004V0", 0, 1_000, 0)
    assert (rows[2].session, rows[2].close) == (BEFORE, 70_000)


async def test_who_is_in_one_list_alone_did_nothing_in_the_other(tmp_path: Path) -> None:
    async with FakeSite(pages()).running() as site:
        rows = await gather(site, tmp_path, "flows")
    assert rows == [
        FlowRow(code="0004V0", session=NEWEST, foreign_net=-20, institution_net=0),
        FlowRow(code="005930", session=NEWEST, foreign_net=1_500, institution_net=-300),
    ]


async def test_a_per_of_zero_is_none(tmp_path: Path) -> None:
    async with FakeSite(pages()).running() as site:
        rows = await gather(site, tmp_path, "valuation")
    assert rows == [
        ValuationRow(code="005930", session=NEWEST, per_x100=1_503, pbr_x100=120),
        ValuationRow(code="0004V0", session=NEWEST, per_x100=None, pbr_x100=78),
    ]


async def test_the_login_goes_to_krx_and_nowhere_else(tmp_path: Path) -> None:
    found = pages()
    async with FakeSite(found).running() as site:
        await gather(site, tmp_path, "valuation")
    (sent,) = [params for path, params in site.asked if path.endswith("MDCCOMS001D1.cmd")]
    assert (sent["mbrId"], sent["pw"]) == CANARIES
    assert found.logins == 1
    kept = (tmp_path / "counts.jsonl").read_bytes()
    assert kept
    assert not [canary for canary in CANARIES if canary.encode() in kept]


@pytest.mark.parametrize(
    ("login", "instead", "kind"),
    [
        ("CD002", None, SourceRefused),
        ("CD010", None, SourceRefused),
        ("CD001", always(400, b"LOGOUT"), SourceRefused),
        ("CD001", always(200, b"LOGOUT"), SourceRefused),
        ("CD001", always(429), SourceDown),
        ("CD001", always(503), SourceDown),
        ("CD001", always(200, HTML), SourceUnreadable),
        ("CD001", always(200, b'{"OutBlock_1":[{"ISU_SRT_CD":"\xff"}]}'), SourceUnreadable),
        ("CD001", always(200, b'{"OutBlock_1":[]}'), Empty),
    ],
    ids=["no login", "password to change", "logged out", "logged out well", "429", "503", "html", "invalid utf-8", "empty"],
)  # fmt: skip
async def test_what_krx_says_instead_of_rows_is_one_error(
    tmp_path: Path, login: str, instead: Any, kind: type[SourceError]
) -> None:
    found = pages()
    found.login, found.instead = login, instead
    async with FakeSite(found).running() as site:
        with pytest.raises(kind) as caught:
            await gather(site, tmp_path, "prices")
    assert not [canary for canary in CANARIES if canary in str(caught.value)]


async def test_a_holiday_of_zeros_is_empty_and_sessions_around_it_count(tmp_path: Path) -> None:
    found = pages()
    found.prices[day(SESSIONS[2])] = [krx_price("005930", (0, 0, 0, 0), 0, "0", 0)]
    async with FakeSite(found).running() as site:
        rows = await gather(site, tmp_path, "prices", (SESSIONS[2], NEWEST))
        assert [row.session for row in rows] == [NEWEST, NEWEST]
        with pytest.raises(Empty, match="and 2 sessions after it are empty"):
            await gather(site, tmp_path, "prices", (NEWEST, *SESSIONS[2:9]))


async def test_a_silent_server_is_left_and_the_child_ends(tmp_path: Path) -> None:
    found = pages()
    told: list[FakeSite] = []
    site = FakeSite(found)
    told.append(site)
    found.instead = hanging(told)
    async with site.running():
        with pytest.raises(SourceDown):
            await gather(site, tmp_path, "prices", timeout_seconds=2)
