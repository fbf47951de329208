"""What our client reads of every answer and sends in every call, against the document's tables and the look-alike's routes.

The two were written apart: a name that only one of them knows is a fault of one of them. kis-protocol 3, 4.
"""

import datetime as dt
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kquant.exchange.core.gateway import PREFIX, Gateway
from kquant.exchange.core.layouts import FIELDS, LAYOUTS
from kquant.exchange.core.rest import Request, Response
from kquant.gateways.kis.feed.channels import CHANNELS, LEAST_WIDTH
from kquant.gateways.kis.rest import client as rest
from kquant.gateways.kis.rest import endpoints
from kquant.gateways.kis.rest.calls.reference import FIGURES
from kquant.gateways.kis.rest.envelope import Answer
from kquant.values import Krw, Shares, Symbol
from tests.exchange.protocol_account import ACCOUNTS, OLD_IDS, ORDERS
from tests.exchange.protocol_tables import QUOTATIONS, Endpoint, pattern_of
from tests.gateways_kis.look_alike import DAY, LookAlike, look_alike, market
from tests.gateways_kis.test_calls import stock

TABLE = {one.path: one for one in (*QUOTATIONS, *ACCOUNTS, *ORDERS)}
CLIENTS = (*endpoints.DATA, *endpoints.ACCOUNT, *endpoints.ORDERS)
ALTERNATIVES = {"output", "output1", "output2"}
"""Where portal and samples disagree the client takes whichever container is there (kis-protocol 4.10)."""
EVERYWHERE = {"prdy_vrss_sign"}
"""What the head of section 4 says of all answers with a change."""


class Watched(dict[str, Any]):
    """A row that remembers which of its keys somebody asked for, and which of them it lacks."""

    def __init__(self, row: Mapping[str, Any], asked: set[str], lacking: set[str]) -> None:
        super().__init__({name: watched(value, asked, lacking) for name, value in row.items()})
        self._asked, self._lacking = asked, lacking

    def get(self, name: str, default: Any = None) -> Any:
        self._asked.add(name)
        if name not in self:
            self._lacking.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> Any:
        self._asked.add(name)
        return super().__getitem__(name)


def watched(value: Any, asked: set[str], lacking: set[str]) -> Any:
    if isinstance(value, dict):
        return Watched(value, asked, lacking)
    return [watched(one, asked, lacking) for one in value] if isinstance(value, list) else value


class Watch:
    """What was read of the answers and sent in the calls, by TR id."""

    def __init__(self) -> None:
        self.read: dict[str, set[str]] = {}
        self.lacking: dict[str, set[str]] = {}
        self.sent: dict[str, set[str]] = {}
        self.paths: dict[str, str] = {}


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    seen = Watch()
    read_answer, answer = rest.read_answer, Gateway.rest

    def reading(raw: bytes, what: str, status: int, tr_cont: str) -> Answer:
        found = read_answer(raw, what, status, tr_cont)
        return Answer(
            watched(found.body, seen.read.setdefault(what, set()), seen.lacking.setdefault(what, set())),
            found.more,
            found.raw,
        )

    def answering(self: Gateway, request: Request, wall: float) -> Response:
        tr_id = request.headers.get("tr_id", "")
        if tr_id:
            seen.sent.setdefault(tr_id, set()).update(request.params or request.body)
            seen.paths[tr_id] = request.path.removeprefix(PREFIX)
        return answer(self, request, wall)

    monkeypatch.setattr(rest, "read_answer", reading)
    monkeypatch.setattr(Gateway, "rest", answering)
    return seen


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[LookAlike]:
    async with look_alike(tmp_path) as made:
        made.at(10, 30, 20)
        yield made


async def ask_everything(there: LookAlike, environment: Any) -> None:
    """Make every call the client has, once."""
    calls = await there.calls(environment, data=environment == "paper")
    code, day = Symbol(stock().code), f"{DAY:%Y%m%d}"
    data, trading = calls.data, calls.trading
    await data.gainers(20)
    await data.volumes(20)
    searches = {one.name: one.seq for one in await data.conditions()}
    await data.condition_hits(searches["상승률상위"])
    await data.watch_list((await data.watch_groups())[0].code)
    await data.price(code)
    await data.prices([Symbol(one.code) for one in market().stocks[:3]])
    await data.quote(code)
    await data.book(code)
    await data.minutes(code)
    await data.minutes_of(code, DAY - dt.timedelta(days=1))
    await data.daily(code, DAY - dt.timedelta(days=30), DAY, adjusted=True)
    await data.recent_days(code, adjusted=True)
    await data.investors(code)
    await data.interruptions()
    await data.news()
    await data.holidays(day)
    await data.stock_info(code)
    for table in FIGURES:
        await data.finance(table, code, quarterly=False)
    await trading.balance()
    held = (await trading.balance()).holdings[0].code
    await trading.orderable(code, "market", Krw(0))
    await trading.sellable(held)
    order: dict[str, Any] = {"timeout_seconds": 5, "gate": lambda: None}
    placed = await trading.place(code, "buy", "limit", Shares(2), Krw(stock().lower), **order)
    await trading.place(held, "sell", "market", Shares(1), Krw(0), **order)
    row = placed.body["output"]
    await trading.open_orders()
    await trading.executions(day)
    await trading.cancel(row["ODNO"], row["KRX_FWDG_ORD_ORGNO"], "limit", **order)


def documented(one: Endpoint) -> set[str]:
    return {pattern_of(field)[0] for container in one.outputs.values() for field in container.fields.split()}


@pytest.mark.parametrize("environment", ["real", "paper"])
async def test_the_client_reads_documented_fields_and_sends_documented_parameters(
    environment: Any, there: LookAlike, watch: Watch
) -> None:
    await ask_everything(there, environment)
    wanted = {one.tr_id(environment) or one.real for one in CLIENTS}
    wanted -= {one.real for one in endpoints.ACCOUNT if environment == "paper" and not one.paper}
    assert wanted <= set(watch.read), f"nobody asked {wanted - set(watch.read)}"
    for tr_id, keys in watch.read.items():
        one = TABLE[watch.paths[tr_id]]
        paging = {f"ctx_area_{one.pages}", f"ctx_area_{one.pages.replace('fk', 'nk')}"} if one.pages else set()
        envelope = ALTERNATIVES | paging | {"rt_cd", "msg_cd", "msg1"}
        assert keys <= documented(one) | envelope | EVERYWHERE, f"{one.name}: {keys - documented(one) - envelope}"
        assert watch.lacking[tr_id] <= ALTERNATIVES, f"{one.name} lacks {watch.lacking[tr_id]}"
        assert keys - envelope or one in ORDERS, f"{one.name}: nothing is read of it"
        sent, table = {name.upper() for name in watch.sent[tr_id]}, {name.upper() for name in one.params}
        extra = sent - table - set(one.optional)
        if one.name == "intstock-multprice":  # pairs of market and code, numbered up to 30
            extra = {name for name in extra if not name.rstrip("0123456789").endswith("_")}
        assert table <= sent, f"{one.name} lacks {table - sent}"
        assert not extra, f"{one.name} sends {extra}"


def test_each_tr_that_the_client_names_is_at_its_path_on_each_service_as_documented() -> None:
    """kis-protocol 4.1: where paper has a TR, and under which id."""
    from tests.exchange.fake_market import FakeMarket
    from tests.exchange.fake_market import stock as fake
    from tests.exchange.helpers import Client

    routes = Client(FakeMarket([fake("000010")], {})).exchange.services["real"].gateway.routes
    for one in CLIENTS:
        path = one.path.removeprefix(PREFIX)
        table, route = TABLE[path], routes[path]
        assert one.real in route.real
        assert bool(one.paper) == bool(route.paper) == table.paper
        assert not one.paper or one.paper in route.paper
        same_family = {table.tr_id, "TTTC0011U"} if path == "/trading/order-cash" else {table.tr_id}
        assert one.real in same_family
        assert one.real not in OLD_IDS.values()


@pytest.mark.parametrize("tr_id", CHANNELS)
def test_each_channel_that_the_client_reads_is_served_and_never_narrower_than_it_needs(tr_id: str) -> None:
    """kis-protocol 3: the least width holds in every layout the look-alike can send."""
    for layout in LAYOUTS.values():
        assert LEAST_WIDTH[CHANNELS[tr_id]] <= len(layout.fields(tr_id)) <= len(FIELDS[tr_id])
