"""Loopback servers that speak what the services speak (kis-protocol 7.1, 7.2, 7.5), a clock that leaps, and KIS by hand."""

from __future__ import annotations

import asyncio
import io
import urllib.parse
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date, time
from decimal import Decimal
from typing import Any

import msgspec
from aiohttp import web

from kquant.events.analyzer import Listed
from kquant.events.pipeline import NewsItem
from kquant.gateways.kis.rest.answers import DailyBar, FinanceRow, InvestorFlow
from kquant.gateways.research.sources.port import Missing, Stock, Wanted
from kquant.settings import ResearchServiceSettings
from kquant.values import Krw, Micros, Shares, Symbol, from_kst

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LEAP_MOST_US = 200_000_000
PARAMS = web.RequestKey("params", dict)

DAY = date(2026, 11, 20)
MORNING = from_kst(DAY, time(7, 20))
SESSIONS = tuple(date(2026, 11, each) for each in (19, 18, 17, 16, 13, 12, 11, 10, 9, 6, 5, 4, 3, 2)) + tuple(
    date(2026, 10, each) for each in (30, 29, 28, 27, 26, 23, 22, 21, 20, 19, 16, 15, 14, 13, 12)
)


class LeapClock:
    """Short sleeps are over at once and move it on; long ones wait until it is set."""

    def __init__(self, now: int = MORNING) -> None:
        self._now = now
        self._waiting: list[tuple[int, asyncio.Event]] = []
        self.slept: list[int] = []

    def now(self) -> Micros:
        return Micros(self._now)

    async def sleep_until(self, at: Micros) -> None:
        wait = at - self._now
        if wait <= 0:
            return
        if wait <= LEAP_MOST_US:
            self.slept.append(wait)
            self.set(at)
            await asyncio.sleep(0)
            return
        event = asyncio.Event()
        self._waiting.append((at, event))
        await event.wait()

    def set(self, at: int) -> None:
        self._now = max(self._now, at)
        for due, event in self._waiting:
            if due <= self._now:
                event.set()


class FakeSite:
    """Answers every request with the handler, and keeps what was asked."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.headers: list[Mapping[str, str]] = []
        self.base_url = ""
        self.released = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeSite]:
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{tail:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            self.released.set()
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        params = dict(request.query)
        if request.method == "POST":
            params |= dict(urllib.parse.parse_qsl((await request.read()).decode(), keep_blank_values=True))
        self.asked.append((request.path, params))
        self.headers.append(request.headers.copy())
        request[PARAMS] = params
        return await self.handler(request)

    def service(self, **changes: Any) -> ResearchServiceSettings:
        fields: dict[str, Any] = {"base_url": self.base_url, "gap_ms": 0, "day_requests": 1_000, "timeout_seconds": 5}
        return ResearchServiceSettings(**{**fields, **changes})


def always(status: int = 200, body: bytes = b"", headers: dict[str, str] | None = None) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return answer


def in_turn(*handlers: Handler) -> Handler:
    """The handlers one after the other, the last for all that follow."""
    left = list(handlers)

    async def answer(request: web.Request) -> web.StreamResponse:
        return await (left.pop(0) if len(left) > 1 else left[0])(request)

    return answer


def hanging(site: list[FakeSite]) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        await site[0].released.wait()
        return web.Response()

    return answer


def huge(size: int) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            for _ in range(0, size, 1 << 16):
                await response.write(b" " * (1 << 16))
        except ConnectionError:
            pass  # the client had enough
        return response

    return answer


HTML = "<html><body>서비스 점검중입니다</body></html>".encode()
DAMAGED: dict[str, Handler] = {
    "html": always(200, HTML, {"Content-Type": "text/html"}),
    "invalid utf-8": always(
        200, b'{"status":"\xff\xfe","items":[{"title":"\xc3(","pubDate":"Fri, 20 Nov 2026 07:20:00 +0900"}]}'
    ),
    "cut": always(200, b'{"status":"000","list":[{"rcept_no":"2026'),
    "wrong types": always(200, b'{"status":0,"list":{},"items":{},"total":"x"}'),
    "a list": always(200, b"[]"),
    "nothing": always(200, b""),
}


def listed(code: str, name: str = "", **changes: Any) -> Listed:
    fields: dict[str, Any] = {
        "code": Symbol(code), "name": name or f"회사{code}", "market": "KOSPI", "kind": "common", "base": Krw(10_000),
        "upper": Krw(13_000), "lower": Krw(7_000), "halted": False, "administrative": False, "liquidation": False,
        "overheated": False, "warning": 0, "prev_volume": Shares(100_000),
    }  # fmt: skip
    return Listed(**{**fields, **changes})


def stock(code: str, name: str = "", *, shares: int | None = 1_000_000, **changes: Any) -> Stock:
    return Stock(listed=listed(code, name, **changes), shares=None if shares is None else Shares(shares))


def wanted(stocks: Sequence[Stock], **changes: Any) -> Wanted:
    fields: dict[str, Any] = {"day": DAY, "decision": MORNING, "sessions": SESSIONS, "stocks": tuple(stocks)}
    return Wanted(**{**fields, **changes})


def all_missing(asked: Wanted) -> Missing:
    return Missing(sessions=asked.sessions, codes=tuple(each.code for each in asked.stocks))


async def rows_from(batches: Any) -> list[Any]:
    return [row async for batch in batches for row in batch]


# -- DART (7.1) ---------------------------------------------------------------------------------------------------------


def corp_codes(pairs: dict[str, str]) -> bytes:
    """CORPCODE.xml in its zip. pairs: DART's code by stock code; companies without a stock have a blank one."""
    items = "".join(
        f"<list><corp_code>{corp}</corp_code><corp_name>회사</corp_name><stock_code>{code}</stock_code>"
        f"<modify_date>20260101</modify_date></list>"
        for code, corp in [*pairs.items(), (" ", "99999999")]
    )
    told = io.BytesIO()
    with zipfile.ZipFile(told, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("CORPCODE.xml", f'<?xml version="1.0" encoding="UTF-8"?><result>{items}</result>')
    return told.getvalue()


def accounts(corp: str, receipt: str, fs_div: str = "CFS", **amounts: tuple[str, str]) -> list[dict[str, str]]:
    """Lines of fnlttMultiAcnt.json. amounts: (this year, the year before) as DART writes them."""
    names = {
        "sales": ("IS", "매출액"), "operating": ("IS", "영업이익"), "net": ("IS", "당기순이익(손실)"),
        "equity": ("BS", "자본총계"), "debt": ("BS", "부채총계"),
    }  # fmt: skip
    return [
        {
            "rcept_no": receipt, "bsns_year": receipt[:4], "corp_code": corp, "stock_code": "", "reprt_code": "11011",
            "fs_div": fs_div, "sj_div": names[name][0], "account_nm": names[name][1], "thstrm_amount": now,
            "frmtrm_amount": before, "currency": "KRW", "ord": "1",
        }
        for name, (now, before) in amounts.items()
    ]  # fmt: skip


class DartPages:
    """DART. statements: lines by business year.   filings: of list.json, newest first."""

    def __init__(self, companies: dict[str, str]) -> None:
        self.companies = companies
        self.statements: dict[str, list[dict[str, str]]] = {}
        self.filings: list[dict[str, str]] = []
        self.page = 100

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        params = request[PARAMS]
        match request.path.rpartition("/")[2]:
            case "corpCode.xml":
                return web.Response(body=corp_codes(self.companies))
            case "fnlttMultiAcnt.json":
                asked = params["corp_code"].split(",")
                if len(asked) > 100:
                    return web.json_response({"status": "021", "message": "조회 가능한 회사 개수가 초과"})
                lines = [each for each in self.statements.get(params["bsns_year"], []) if each["corp_code"] in asked]
                found = {"status": "000", "message": "정상", "list": lines}
                return web.json_response(found if lines else {"status": "013", "message": "조회된 데이타가 없습니다."})
            case "list.json":
                start = (int(params["page_no"]) - 1) * self.page
                pages = max(1, -(-len(self.filings) // self.page))
                return web.json_response(
                    {"status": "000", "message": "정상", "page_no": int(params["page_no"]), "total_page": pages,
                     "total_count": len(self.filings), "list": self.filings[start : start + self.page]}
                )  # fmt: skip
        return web.json_response({"status": "101", "message": "부적절한 접근입니다."})


def filing(code: str, receipt: str, name: str, rm: str = "") -> dict[str, str]:
    return {
        "corp_code": "00000001", "corp_name": "회사", "stock_code": code, "corp_cls": "Y", "report_nm": name,
        "rcept_no": receipt, "flr_nm": "회사", "rcept_dt": receipt[:8], "rm": rm,
    }  # fmt: skip


# -- KRX pages as pykrx reads them (7.5) --------------------------------------------------------------------------------


class KrxPages:
    """KRX's data site: login and the three pages. prices, nets, ratios: by session YYYYMMDD."""

    def __init__(self, *, login: str = "CD001") -> None:
        self.login = login
        self.prices: dict[str, list[dict[str, str]]] = {}
        self.nets: dict[tuple[str, str], list[dict[str, str]]] = {}
        self.ratios: dict[str, list[dict[str, str]]] = {}
        self.instead: Handler | None = None
        self.logins = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if request.path.endswith("MDCCOMS001D1.cmd"):
            self.logins += 1
            return web.json_response({"_error_code": self.login, "_error_message": "로그인"})
        if not request.path.endswith("getJsonData.cmd"):
            return web.Response(text="<html></html>", headers={"Set-Cookie": "JSESSIONID=1; Path=/"})
        if self.instead is not None:
            return await self.instead(request)
        params = request[PARAMS]
        match params["bld"].rpartition("/")[2]:
            case "MDCSTAT01501":
                return web.json_response({"OutBlock_1": self.prices.get(params["trdDd"], []), "CURRENT_DATETIME": ""})
            case "MDCSTAT03501":
                return web.json_response({"output": self.ratios.get(params["trdDd"], []), "CURRENT_DATETIME": ""})
            case "MDCSTAT02401":
                rows = self.nets.get((params["strtDd"], params["invstTpCd"]), [])
                return web.json_response({"output": rows, "CURRENT_DATETIME": ""})
            case "finder_stkisu" | "finder_listdelisu":
                return web.json_response({"block1": []})
        return web.Response(status=400, text="LOGOUT")


def krx_price(code: str, prices: tuple[int, int, int, int], volume: int, rate: str, shares: int) -> dict[str, str]:
    opened, high, low, close = (f"{price:,}" if price else "-" for price in prices)
    return {
        "ISU_SRT_CD": code, "ISU_CD": f"KR7{code}003", "ISU_ABBRV": "회사", "MKT_NM": "KOSPI", "TDD_CLSPRC": close,
        "FLUC_TP_CD": "1", "CMPPREVDD_PRC": "0", "FLUC_RT": rate, "TDD_OPNPRC": opened, "TDD_HGPRC": high,
        "TDD_LWPRC": low, "ACC_TRDVOL": f"{volume:,}", "ACC_TRDVAL": f"{volume * prices[3]:,}",
        "MKTCAP": f"{prices[3] * shares:,}", "LIST_SHRS": f"{shares:,}", "MKT_ID": "STK",
    }  # fmt: skip


def krx_net(code: str, net: int) -> dict[str, str]:
    return {
        "ISU_SRT_CD": code, "ISU_NM": "회사", "ASK_TRDVOL": "1,000", "BID_TRDVOL": f"{1_000 + net:,}",
        "NETBID_TRDVOL": f"{net:,}", "ASK_TRDVAL": "1", "BID_TRDVAL": "1", "NETBID_TRDVAL": "0",
    }  # fmt: skip


def krx_ratio(code: str, per: str, pbr: str) -> dict[str, str]:
    return {
        "ISU_SRT_CD": code, "ISU_CD": f"KR7{code}003", "ISU_ABBRV": "회사", "ISU_ABBRV_STR": "회사", "TDD_CLSPRC": "10,000",
        "FLUC_TP_CD": "1", "CMPPREVDD_PRC": "0", "FLUC_RT": "0", "EPS": "1,000", "PER": per, "FWD_EPS": "-",
        "FWD_PER": "-", "BPS": "10,000", "PBR": pbr, "DPS": "0", "DVD_YLD": "0.00",
    }  # fmt: skip


# -- Naver (7.2) --------------------------------------------------------------------------------------------------------


def naver_item(title: str, link: str, at: str = "Thu, 19 Nov 2026 18:30:00 +0900") -> dict[str, str]:
    return {
        "title": title,
        "originallink": link,
        "link": f"https://n.news.naver.com/{link}",
        "description": "",
        "pubDate": at,
    }


def naver_body(*items: dict[str, str]) -> bytes:
    return msgspec.json.encode(
        {"lastBuildDate": "Fri, 20 Nov 2026 07:20:00 +0900", "total": len(items), "start": 1, "display": len(items),
         "items": items}
    )  # fmt: skip


# -- KIS by hand --------------------------------------------------------------------------------------------------------


class KisByHand:
    """KIS's data calls. Each answer is a value, or an exception that is raised."""

    def __init__(self) -> None:
        self.bars: dict[str, tuple[DailyBar, ...]] = {}
        self.recent: dict[str, tuple[DailyBar, ...]] = {}
        self.flows: dict[str, tuple[InvestorFlow, ...]] = {}
        self.ratios: dict[str, tuple[FinanceRow, ...]] = {}
        self.items: tuple[NewsItem, ...] = ()
        self.masters: dict[str, bytes] = {}
        self.raises: Exception | None = None
        self.asked: list[tuple[str, str]] = []

    def _ask(self, what: str, code: str) -> None:
        self.asked.append((what, code))
        if self.raises is not None:
            raise self.raises

    async def daily(self, code: Symbol, first: date, last: date, *, adjusted: bool) -> tuple[DailyBar, ...]:
        assert adjusted
        self._ask("daily", code)
        return self.bars.get(code, ())

    async def recent_days(self, code: Symbol, *, adjusted: bool) -> tuple[DailyBar, ...]:
        assert adjusted
        self._ask("recent", code)
        return self.recent.get(code, ())

    async def investors(self, code: Symbol) -> tuple[InvestorFlow, ...]:
        self._ask("investors", code)
        return self.flows.get(code, ())

    async def finance(self, table: str, code: Symbol, *, quarterly: bool) -> tuple[FinanceRow, ...]:
        self._ask(f"finance {table}", code)
        return self.ratios.get(code, ())

    async def news(self) -> tuple[NewsItem, ...]:
        self._ask("news", "")
        return self.items

    async def master(self, market: str) -> bytes:
        self._ask("master", market)
        return self.masters[market]


def bar(session: date, close: int, *, ex_rights: str = "00", volume: int = 1_000) -> DailyBar:
    return DailyBar(
        day=f"{session:%Y%m%d}", open=Krw(close), high=Krw(close + 10), low=Krw(close - 10), close=Krw(close),
        volume=Shares(volume), value=None, ex_rights=ex_rights,
    )  # fmt: skip


def nets(session: date, foreign: int | None, institution: int | None) -> InvestorFlow:
    return InvestorFlow(
        day=f"{session:%Y%m%d}", close=Krw(10_000), individuals=None if foreign is None else Shares(0),
        foreigners=None if foreign is None else Shares(foreign),
        institutions=None if institution is None else Shares(institution),
    )  # fmt: skip


def ratios(**figures: str) -> FinanceRow:
    names = ("grs", "bsop_prfi_inrt", "ntin_inrt", "roe_val", "eps", "sps", "bps", "rsrv_rate", "lblt_rate")
    return FinanceRow(
        period="202512", figures={name: Decimal(figures[name]) if name in figures else None for name in names}
    )
