"""A generated market at a time of the day, and short ways to ask it."""

import datetime as dt
import functools
from typing import Any

from kquant.exchange.market import MarketDay, generate
from kquant.exchange.market.research import ResearchRow
from tests.exchange.fake_market import FakeMarket, stock
from tests.exchange.helpers import Client

DAY = dt.date(2026, 11, 20)
J = {"FID_COND_MRKT_DIV_CODE": "J"}


@functools.cache
def market(stocks: int = 400) -> MarketDay:
    return generate(DAY, 7, stocks=stocks)


def at(hhmm: str, stocks: int = 400) -> Client:
    """Return a client of the generated market at a time of the day; no second has to be played for it."""
    client = Client(market(stocks))
    client.exchange.now_us = client.exchange.midnight_us + (int(hhmm[:2]) * 3_600 + int(hhmm[2:]) * 60) * 1_000_000
    return client


def of(code: str, **more: str) -> dict[str, str]:
    return J | {"FID_INPUT_ISCD": code} | more


def daily(client: Client, code: str, period: str = "D", adjusted: str = "0", **dates: str) -> list[dict[str, str]]:
    params = of(
        code,
        FID_INPUT_DATE_1=dates.get("first", "00000101"),
        FID_INPUT_DATE_2=dates.get("until", "20261120"),
        FID_PERIOD_DIV_CODE=period,
        FID_ORG_ADJ_PRC=adjusted,
    )
    found = rows(client.call("/quotations/inquire-daily-itemchartprice", "FHKST03010100", params)[1])
    return [bar for bar in found if bar]  # an empty row may pad the array


def rows(body: dict[str, Any], name: str = "output2") -> list[dict[str, str]]:
    assert body["rt_cd"] == "0", body
    found: list[dict[str, str]] = body[name]
    return found


def imported(row: ResearchRow | None = None, **changes: object) -> FakeMarket:
    """Return a recorded day of one stock, of which only *row* is known."""
    fake = FakeMarket([stock("000010", "하나전자", **changes)], {})  # type: ignore[arg-type]
    fake.source = "imported"
    if row is not None:
        fake.research["000010"] = row
    return fake


def known(**figures: object) -> ResearchRow:
    """Return a research row of which only *figures* are known."""
    values: dict[str, object] = dict.fromkeys(ResearchRow.__struct_fields__)
    values |= {
        "code": "000010",
        "name": "하나전자",
        "market": "KOSPI",
        "sector": "전기전자",
        "kind": "common",
        "halted": False,
        "administrative": False,
        "liquidation": False,
        "warning": 0,
        "overheated": False,
        "base": 10_000,
        "news_count": 0,
    }
    return ResearchRow(**(values | figures))  # type: ignore[arg-type]
