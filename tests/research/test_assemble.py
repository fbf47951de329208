"""The day's table from whatever sources there are: order, gaps, deadlines, restarts, nothing secret anywhere."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import date, time
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from kquant.config import load
from kquant.events.analyzer import BatchScored, BatchWanted, ResearchAnswered, ResearchWanted
from kquant.events.scanner import ReadFailed
from kquant.gateways.research import AnalysisGateway
from kquant.gateways.research.assemble import Assembler, BuildError
from kquant.gateways.research.compose import Made
from kquant.gateways.research.lookahead import LookAheadError, check_known
from kquant.gateways.research.opening import Opening, sessions_before
from kquant.gateways.research.provenance import read_notes
from kquant.gateways.research.sources.port import (
    Empty,
    FinancialRow,
    FlowRow,
    Missing,
    PriceRow,
    Row,
    Source,
    SourceDown,
    SourceRefused,
    Stock,
    TitleRow,
    ValuationRow,
    Wanted,
    session_known_at,
)
from kquant.gateways.research.table import read_file
from kquant.journal.memory import MemoryJournal
from kquant.settings import ResearchSettings
from kquant.values import MINUTE_US, SECOND_US, Micros, Seq, from_kst
from tests.research.fakes import (
    DAY,
    MORNING,
    SESSIONS,
    DartPages,
    FakeSite,
    KisByHand,
    LeapClock,
    accounts,
    always,
    bar,
    naver_body,
    naver_item,
    nets,
    ratios,
    stock,
)
from tests.scoring.fakes import HandClock, Quiet, Shelf

STOCKS = (stock("005930", "삼성전자"), stock("000660", "SK하이닉스"), stock("069500", "KODEX 200", kind="fund"))
UNTIL = Micros(MORNING + 30 * MINUTE_US)
TOMORROW = from_kst(date(2026, 11, 21), time(7, 20))


class Given:
    """A source that yields what it was given, then raises; it keeps what it was asked for."""

    def __init__(
        self, name: str, given: Mapping[str, Sequence[Sequence[Row]]], raises: Exception | None = None
    ) -> None:
        self.name = name
        self.parts = tuple(given)
        self.given = given
        self.raises = raises
        self.asked: list[tuple[str, Missing]] = []
        self.hangs = False

    async def gather(self, part: Any, wanted: Wanted, missing: Missing) -> AsyncIterator[Sequence[Row]]:
        self.asked.append((part, missing))
        for batch in self.given[part]:
            yield batch
        if self.hangs:
            await asyncio.Event().wait()
        if self.raises is not None:
            raise self.raises


def prices(code: str, count: int = 25, close: int = 10_000) -> list[PriceRow]:
    return [
        PriceRow(code=code, session=each, open=close, high=close, low=close, close=close + number, volume=1_000)
        for number, each in enumerate(reversed(SESSIONS[:count]))
    ]


def flows(code: str, count: int = 20) -> list[FlowRow]:
    return [FlowRow(code=code, session=each, foreign_net=10, institution_net=-1) for each in SESSIONS[:count]]


def statement(code: str, **changes: Any) -> FinancialRow:
    fields: dict[str, Any] = {
        "code": code,
        "known_at": MORNING - 1,
        "filed": "2026-03-10",
        "roe_bp": 900,
        "op_margin_bp": 800,
        "debt_ratio_bp": 5_000,
    }
    return FinancialRow(**{**fields, **changes})


def title(code: str, text: str = "제목", **changes: Any) -> TitleRow:
    fields: dict[str, Any] = {"known_at": MORNING - 5, "published_at": MORNING - 9, "key": text}
    return TitleRow(code=code, title=text, **{**fields, **changes})


async def build(
    folder: Path, *sources: Given, clock: LeapClock | None = None, day: date = DAY, stocks: Any = STOCKS,
    settings: ResearchSettings | None = None, no_later: Micros | None = None, until: Micros = UNTIL,
    sessions: Sequence[date] = SESSIONS,
) -> Path:  # fmt: skip
    async def listing() -> tuple[str, tuple[Stock, ...]]:
        if isinstance(stocks, Exception):
            raise stocks
        return "kis", stocks

    async def opened(stack: AsyncExitStack, day_folder: Path) -> tuple[Mapping[str, Source], tuple[str, ...]]:
        return {each.name: each for each in sources}, ("naver: left out, set NAVER_CLIENT_ID",)

    def run(function: Any, *arguments: Any) -> Any:
        return function(*arguments)

    made = Assembler(
        settings or ResearchSettings(), folder, clock or LeapClock(), listing, opened,
        lambda _, count: sessions[:count], run,
    )  # fmt: skip
    return await made.build(day, until, no_later)


def rows_of(path: Path) -> dict[str, dict[str, Any]]:
    with duckdb.connect() as connection:
        cursor = connection.execute("SELECT * FROM read_parquet(?)", [str(path)])
        names = [each[0] for each in cursor.description or ()]
        return {row[0]: dict(zip(names, row, strict=True)) for row in cursor.fetchall()}


async def test_every_listed_stock_has_a_row_and_the_next_source_fills_what_is_missing(tmp_path: Path) -> None:
    krx = Given("krx", {
        "prices": [[row] for row in prices("005930")], "flows": [], "valuation":
        [[ValuationRow(code="005930", session=SESSIONS[0], per_x100=1_200, pbr_x100=110)]],
    }, Empty("krx: flows are empty"))  # fmt: skip
    kis = Given("kis", {"prices": [prices("000660")], "flows": [flows("005930"), flows("000660", 5)],
                        "financials": [[statement("000660", filed="", eps_krw=500)]]})  # fmt: skip
    dart = Given("dart", {"financials": [[statement("005930")]], "news": [[title("005930", "유상증자결정")]]})
    naver = Given("naver", {"news": [[title("005930", "삼성전자 수주"), title("005930", "삼성전자 급등")]]})
    path = await build(tmp_path, krx, kis, dart, naver)
    rows = rows_of(path)
    assert list(rows) == ["000660", "005930", "069500"]
    samsung, hynix, fund = rows["005930"], rows["000660"], rows["069500"]
    assert (samsung["prices_source"], hynix["prices_source"], fund["prices_source"]) == ("krx", "kis", None)
    assert (samsung["flows_source"], samsung["foreign_net_5d"], samsung["foreign_net_20d"]) == ("kis", 50, 200)
    assert (hynix["foreign_net_5d"], hynix["foreign_net_20d"]) == (50, None)
    assert (samsung["financials_source"], hynix["financials_source"]) == ("dart", "kis")
    assert (samsung["news_source"], samsung["news_count"], samsung["news_tone"]) == ("dart+naver", 3, 33)
    assert (fund["news_count"], fund["news_tone"], fund["titles"]) == (0, None, None)
    # KRX's PER is at its close, the row's at the day's base; where there is none, it is price over earnings.
    assert samsung["per_x100"] == (2 * 1_200 * 10_000 + 10_024) // (2 * 10_024)
    assert (hynix["per_x100"], hynix["valuation_source"]) == (10_000 * 100 // 500, "kis")
    assert dict(kis.asked)["prices"].codes == ("000660", "069500")
    assert [missing.codes for part, missing in kis.asked if part == "financials"] == [("000660",)]
    notes = read_notes(path)
    assert {"naver: left out, set NAVER_CLIENT_ID", "flows: krx: flows are empty"} <= set(notes)
    assert read_file(path)["005930"].rsi14_x100 == 10_000
    made = msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=Made)
    assert (made.stocks, made.known_until) == (3, MORNING)


async def test_without_any_source_there_is_still_a_table_that_says_so(tmp_path: Path) -> None:
    path = await build(tmp_path)
    rows = rows_of(path)
    assert [row["closes"] for row in rows.values()] == [None] * 3
    assert check_known(path, MORNING) == MORNING
    with pytest.raises(BuildError, match="no research table without a listing: kis: no master"):
        await build(tmp_path, stocks=SourceDown("kis: no master"))


async def test_the_deadline_cuts_a_source_off_and_what_it_gave_is_written(tmp_path: Path) -> None:
    clock = LeapClock()
    slow = Given(
        "kis", {"prices": [prices("005930")], "flows": [flows("005930")], "financials": [[statement("005930")]]}
    )
    slow.hangs = True
    building = asyncio.create_task(build(tmp_path, slow, clock=clock))
    while len(slow.asked) < 3 or clock.now() < UNTIL:
        await asyncio.sleep(0)
        if len(slow.asked) == 3:
            clock.set(UNTIL)
    rows = rows_of(await building)
    assert rows["005930"]["closes"] is not None
    assert rows["005930"]["foreign_net_20d"] == 200
    assert rows["005930"]["roe_bp"] == 900
    path = tmp_path / "tables" / "2026-11-20.parquet"
    assert "prices: kis was not done by the deadline" in read_notes(path)


async def test_a_second_build_asks_only_for_what_is_missing(tmp_path: Path) -> None:
    first = Given("krx", {"prices": [[row] for row in prices("005930", 3)], "flows": [flows("005930")[:1]]})
    await build(tmp_path, first)
    assert dict(first.asked)["prices"].sessions == SESSIONS
    again = Given("krx", {"prices": [], "flows": []})
    rows = rows_of(await build(tmp_path, again))
    assert dict(again.asked)["prices"].sessions == SESSIONS[3:]
    assert dict(again.asked)["flows"].sessions == SESSIONS[1:20]
    assert len(rows["005930"]["closes"]) == 3
    kis = Given("kis", {"prices": [], "flows": []})
    await build(tmp_path, kis)
    assert dict(kis.asked)["prices"].codes == ("000660", "069500")
    assert dict(kis.asked)["prices"].newest == {}
    after = Given("kis", {"prices": [], "flows": []})
    await build(tmp_path, after, sessions=(date(2026, 11, 20), *SESSIONS), clock=LeapClock(TOMORROW),
                until=Micros(TOMORROW + 30 * MINUTE_US))  # fmt: skip
    assert dict(after.asked)["prices"].codes == ("005930", "000660", "069500")
    assert dict(after.asked)["prices"].newest == {"005930": SESSIONS[0]}


async def test_a_session_is_used_once_its_figures_are_final(tmp_path: Path) -> None:
    """At 17:59 of the 19th its figures are not public yet (kis-protocol 7.5)."""
    for moment, newest in ((time(17, 59), "2026-11-18"), (time(18), "2026-11-19")):
        at = from_kst(SESSIONS[0], moment)
        kis = Given("kis", {"prices": [prices("005930")], "flows": [flows("005930")]})
        folder = tmp_path / newest
        path = await build(folder, kis, clock=LeapClock(at), until=Micros(at + 30 * MINUTE_US))
        row = rows_of(path)["005930"]
        assert (row["prices_session"], row["flows_session"]) == (newest, newest)


async def test_a_past_day_sees_nothing_public_later(tmp_path: Path) -> None:
    later = LeapClock(MORNING + 86_400 * SECOND_US)
    kis = Given("kis", {"prices": [prices("005930")]})
    path = await build(tmp_path, kis, clock=later, no_later=MORNING, until=Micros(later.now() + 30 * MINUTE_US))
    assert check_known(path, MORNING) == session_known_at(SESSIONS[0]) < MORNING
    assert rows_of(path)["005930"]["halted"] is None


async def test_a_source_that_lies_about_its_times_makes_no_table(tmp_path: Path) -> None:
    liar = Given("dart", {"financials": [[statement("005930", known_at=UNTIL + 1)]], "news": []})
    with pytest.raises(LookAheadError, match="financials of 1 stocks"):
        await build(tmp_path, liar)
    assert not list((tmp_path / "tables").iterdir())
    liar = Given("dart", {"financials": [[statement("005930", filed="2026-11-21")]], "news": []})
    with pytest.raises(LookAheadError, match="but shows"):
        await build(tmp_path, liar)


async def test_prices_that_stopped_days_ago_are_not_used(tmp_path: Path) -> None:
    old = [row for row in prices("005930") if row.session <= SESSIONS[3]]
    fresh = [row for row in prices("000660") if row.session <= SESSIONS[2]]
    rows = rows_of(await build(tmp_path, Given("kis", {"prices": [old, fresh]})))
    assert rows["005930"]["closes"] is None
    assert rows["000660"]["prices_session"] == SESSIONS[2].isoformat()


CANARIES = {
    "DART_API_KEY": "dart-canary" + "0" * 29, "NAVER_CLIENT_ID": "naver-id-canary", "NAVER_CLIENT_SECRET": "naver-pw-canary",
}  # fmt: skip


async def test_the_real_sources_together_leave_no_key_anywhere(tmp_path: Path) -> None:
    pages = DartPages({"005930": "00126380"})
    pages.statements["2025"] = accounts(
        "00126380", "20260310000123", sales=("30,000,000,000", "25,000,000,000"), operating=("45", "30"), net=("1,000,000,000", "20"),
        equity=("20,000,000,000", "180"), debt=("100", "90"),
    )  # fmt: skip
    calls = KisByHand()
    calls.bars = {each.code: tuple(bar(day, 10_000 + n) for n, day in enumerate(reversed(SESSIONS))) for each in STOCKS}
    calls.flows = {each.code: tuple(nets(day, 5, -2) for day in SESSIONS) for each in STOCKS}
    calls.ratios = {"000660": (ratios(roe_val="9", grs="1", lblt_rate="50"),)}
    news = always(
        200, naver_body(naver_item("삼성전자 수주", "https://a.kr/1"), naver_item("SK하이닉스 급락", "https://a.kr/2"))
    )
    async with FakeSite(pages).running() as dart, FakeSite(news).running() as naver:
        settings = ResearchSettings(dart=dart.service(secret_env="DART_API_KEY"), naver=naver.service(  # noqa: S106
            id_env="NAVER_CLIENT_ID", secret_env="NAVER_CLIENT_SECRET"))  # noqa: S106  # fmt: skip
        clock = LeapClock()

        async def listing() -> tuple[str, tuple[Stock, ...]]:
            return "kis", STOCKS

        tables = load(profile="demo").settings.krx
        assembler = Assembler(
            settings, tmp_path, clock, listing, Opening(settings, tmp_path, clock, CANARIES, calls),
            sessions_before(tables), lambda function, *arguments: function(*arguments),
        )  # fmt: skip
        path = await assembler.for_day("2026-11-20", Micros(MORNING + 90 * MINUTE_US))
        rows = rows_of(path)
        shutil.rmtree(tmp_path / "days")
        naver.handler = always(403, b"naver-pw-canary")
        dart.handler = always(200, f'{{"status":"020","message":"{CANARIES["DART_API_KEY"]}"}}'.encode())
        again = read_notes(await assembler.for_day("2026-11-20", Micros(MORNING + 90 * MINUTE_US)))
    assert "financials: dart: status 020, the day's requests are used up" in again
    assert "news: naver: HTTP 403, the keys are not those of this host or may not search" in again
    parts = ("prices", "flows", "valuation", "financials", "news")
    assert [rows["005930"][f"{part}_source"] for part in parts] == ["kis", "kis", "dart", "dart", "naver"]
    assert rows["000660"]["financials_source"] == "kis"
    assert (rows["005930"]["per_x100"], rows["005930"]["pbr_x100"]) == (1_000, 50)
    assert rows["005930"]["titles"] == ["삼성전자 수주"]
    assert "krx: left out, set KRX_ID and KRX_PW" in again
    for kept in tmp_path.rglob("*"):  # noqa: ASYNC240
        assert not kept.is_file() or not [key for key in CANARIES.values() if key.encode() in kept.read_bytes()], kept


def test_sources_without_keys_are_named_with_their_variables(tmp_path: Path) -> None:
    async def opened() -> tuple[Mapping[str, Source], tuple[str, ...]]:
        async with AsyncExitStack() as stack:
            opening = Opening(ResearchSettings(), tmp_path, LeapClock(), {"KRX_ID": "someone"}, None)
            return await opening(stack, tmp_path / "today")

    sources, notes = asyncio.run(opened())
    assert sources == {}
    assert notes == (
        "kis: left out, this run has no line to KIS",
        "krx: left out, set KRX_PW",
        "dart: left out, set DART_API_KEY",
        "naver: left out, set NAVER_CLIENT_ID and NAVER_CLIENT_SECRET",
    )


def test_the_calendar_gives_the_sessions_before_a_day() -> None:
    before = sessions_before(load(profile="demo").settings.krx)
    assert tuple(before(DAY, 29)) == SESSIONS
    assert before(date(2026, 1, 5), 2) == [date(2026, 1, 2), date(2025, 12, 30)]
    assert session_known_at(SESSIONS[0]) < MORNING


@pytest.mark.parametrize("error", [SourceRefused("krx: no login"), SourceDown("krx: HTTP 503")])
async def test_a_source_that_fails_leaves_what_it_gave(tmp_path: Path, error: Exception) -> None:
    krx = Given("krx", {"prices": [[row] for row in prices("005930")]}, error)
    path = await build(tmp_path, krx)
    assert rows_of(path)["005930"]["prices_source"] == "krx"
    assert f"prices: {error}" in read_notes(path)


class Maker:
    """An assembler as the gateway knows it, built on the clock of the run."""

    def __init__(self, folder: Path, clock: HandClock, sources: Mapping[str, Source]) -> None:
        async def listing() -> tuple[str, tuple[Stock, ...]]:
            return "kis", STOCKS

        async def opened(stack: AsyncExitStack, day_folder: Path) -> tuple[Mapping[str, Source], tuple[str, ...]]:
            return sources, ()

        self.assembler = Assembler(
            ResearchSettings(), folder, clock, listing, opened, lambda _, count: SESSIONS[:count]
        )  # fmt: skip


async def test_the_analyzers_request_builds_the_table_in_a_process_of_its_own(tmp_path: Path) -> None:
    clock, quiet, shelf = HandClock(MORNING), Quiet(), Shelf()
    journal = MemoryJournal(clock.now)
    kis = Given("kis", {"prices": [prices(each.code) for each in STOCKS], "flows": [flows("005930")],
                        "financials": [[statement("005930", known_at=MORNING)]], "news": [[title("005930")]]})  # fmt: skip
    maker = Maker(tmp_path, clock, {"kis": kis}).assembler
    gateway = AnalysisGateway(journal, clock, shelf, maker, changed=quiet.changed, on_fatal=quiet.on_fatal)
    await gateway.start()
    asked = ResearchWanted(day="2026-11-20", valid_until=Micros(MORNING + 90 * MINUTE_US))
    journal.append("analyzer", [asked], by="analyzer").result()
    await quiet.until_idle(gateway)
    (answered,) = [fact.event for fact in journal.read(Seq(0)) if fact.stream == "research"]
    assert isinstance(answered, ResearchAnswered)
    assert answered.stocks == 3
    assert answered.known_until == MORNING
    assert {(each.part, each.origin, each.stocks) for each in answered.sources} == {
        ("listing", "kis", 3), ("prices", "kis", 3), ("flows", "kis", 1), ("financials", "kis", 1), ("news", "kis", 1),
    }  # fmt: skip
    batch = BatchWanted(
        batch=1,
        attempt=1,
        codes=tuple(each.code for each in STOCKS),
        table=answered.table,
        valid_until=asked.valid_until,
    )
    journal.append("analyzer", [batch], by="analyzer").result()
    await quiet.until_idle(gateway)
    scored = [fact.event for fact in journal.read(Seq(0)) if fact.stream == "research"][-1]
    assert isinstance(scored, BatchScored)
    parts = {row.code: row.parts for row in scored.rows}
    assert None not in msgspec.structs.astuple(parts["005930"])
    assert (parts["000660"].flows, parts["000660"].news) == (None, None)
    assert not {"pykrx", "pandas"} & set(sys.modules)
    await gateway.close()


async def test_a_build_that_fails_is_the_requests_one_outcome(tmp_path: Path) -> None:
    clock, quiet, shelf = HandClock(MORNING), Quiet(), Shelf()
    journal = MemoryJournal(clock.now)
    liar = Given("dart", {"financials": [[statement("005930", known_at=UNTIL + 99)]]})
    maker = Maker(tmp_path, clock, {"dart": liar}).assembler
    gateway = AnalysisGateway(journal, clock, shelf, maker, changed=quiet.changed, on_fatal=quiet.on_fatal)
    await gateway.start()
    asked = ResearchWanted(day="2026-11-20", valid_until=Micros(MORNING + 90 * MINUTE_US))
    journal.append("analyzer", [asked], by="analyzer").result()
    await quiet.until_idle(gateway)
    (failed,) = [fact.event for fact in journal.read(Seq(0)) if fact.stream == "research"]
    assert isinstance(failed, ReadFailed)
    assert "financials of 1 stocks was not public" in failed.reason
    await gateway.close()
