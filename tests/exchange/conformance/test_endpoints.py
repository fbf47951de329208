"""Every endpoint of kis-protocol 4 over real sockets, on both services: there as documented, or refused as paper does."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.exchange.protocol_account import ACCOUNTS, ORDERS
from tests.exchange.protocol_tables import QUOTATIONS, Endpoint, pattern_of
from tests.exchange.standing import Standing, started
from tests.exchange.test_quotations_table import leaves
from tests.strangers.habits import DOMESTIC, Caller, Heard

DAY = "2026-11-20"
OPTIONS = (
    *("--generate", "7", "--stocks", "400", "--holdings", "3", "--day", DAY, "--clock", "step", "--list-lag", "0"),
    *("--limits", "real=10000,paper=10000"),
)
SERVICES = ("", "paper_")
ENDPOINTS = (*QUOTATIONS, *ACCOUNTS, *ORDERS)
BY_NAME = {one.name: one for one in ENDPOINTS}
Hours = dict[str, Standing]


@pytest.fixture(scope="module")
def hours() -> Iterator[Hours]:
    """Two markets: before the open, where the expected prices are, and an hour into the session."""
    with started(*OPTIONS, "--start", "08:55:00") as early, started(*OPTIONS, "--start", "10:00:00") as late:
        yield {"0855": early, "1000": late}


class Asker:
    """Asks one service for any endpoint of the tables, with a stock it holds and an order that rests."""

    def __init__(self, exchange: Standing, prefix: str, *, trades: bool) -> None:
        self.caller = Caller(exchange, prefix)
        cano = self.caller.cano
        self._values = {"cano": cano["CANO"], "product": cano["ACNT_PRDT_CD"], "user": self.caller.hts_id}
        self._values |= {"day": DAY.replace("-", ""), "before": "20261119"}
        held = self.ask(BY_NAME["inquire-balance"]).body["output1"]
        self._values["code"] = held[0]["pdno"]
        self._values["price"] = self.ask(BY_NAME["inquire-price"]).body["output"]["stck_llam"]
        if trades:
            self._values["odno"] = self.ask(BY_NAME["order-cash"]).body["output"]["ODNO"]

    def ask(self, one: Endpoint) -> Heard:
        params = {name: value.format(**self._values) for name, value in one.params.items()}
        send = self.caller.post if one in ORDERS else self.caller.get
        return send(DOMESTIC + one.path, self.caller.tr(one.tr_id), params, gt_uid="0123456789")


Askers = dict[tuple[str, str], Asker]


@pytest.fixture(scope="module")
def askers(hours: Hours) -> Askers:
    return {
        (hour, prefix): Asker(exchange, prefix, trades=hour == "1000")
        for hour, exchange in hours.items()
        for prefix in SERVICES
    }


@pytest.mark.parametrize("prefix", SERVICES, ids=["real", "paper"])
@pytest.mark.parametrize("one", ENDPOINTS, ids=lambda one: f"{one.section}-{one.name}")
def test_an_endpoint_answers_as_documented_or_is_refused_by_paper(one: Endpoint, prefix: str, askers: Askers) -> None:
    """kis-protocol 4.1-4.7; the envelope and its lower-case headers 1.7; EGW02006 1.9."""
    asker = askers[one.needs, prefix]
    heard = asker.ask(one)
    assert heard.headers["tr_id"] == asker.caller.tr(one.tr_id)
    assert heard.headers["gt_uid"] == "0123456789"
    assert heard.headers["tr_cont"] in {"", "D", "E", "F", "M"}
    if prefix and not one.paper:
        assert (heard.status, heard.body["rt_cd"], heard.body["msg_cd"]) == (500, "1", "EGW02006")
        return
    assert (heard.status, heard.body["rt_cd"]) == (200, "0"), heard.body
    assert len(heard.body["msg1"]) >= 1
    assert all(isinstance(leaf, str) for leaf in leaves(heard.body))
    assert {name for name in heard.body if name.startswith("output")} == set(one.outputs)
    assert not one.pages or {f"ctx_area_{one.pages}", f"ctx_area_{one.pages.replace('fk', 'nk')}"} <= set(heard.body)
    for name, container in one.outputs.items():
        rows = heard.body[name] if container.kind == "array" else [heard.body[name]]
        assert isinstance(heard.body[name], list) == (container.kind == "array")
        for field in container.fields.split():
            key, pattern = pattern_of(field)
            for row in rows:
                assert pattern.fullmatch(row[key]), f"{name}.{key} is {row[key]!r}, documented as {field}"


def test_the_table_names_every_endpoint_that_the_look_alike_serves(hours: Hours) -> None:
    """Neither the document's tables nor the routes have a path that the other lacks."""
    from kquant.exchange.core.rest_overseas import PREFIX as OVERSEAS
    from tests.exchange.fake_market import FakeMarket, stock
    from tests.exchange.helpers import Client

    routes = Client(FakeMarket([stock("000010")], {})).exchange.services["real"].gateway.routes
    served = {path for path in routes if not path.startswith(OVERSEAS)}
    assert {one.path for one in ENDPOINTS} == served
    assert json.dumps(sorted(hours)) == '["0855", "1000"]'


def pages(caller: Caller, one: Endpoint) -> list[Any]:
    """Return the answers of all pages: tr_cont N and the keys as they came (1.7)."""
    values = {"cano": caller.cano["CANO"], "product": caller.cano["ACNT_PRDT_CD"], "day": DAY.replace("-", "")}
    params = {name: value.format(**values) for name, value in one.params.items()}
    heard = [caller.get(DOMESTIC + one.path, caller.tr(one.tr_id), params)]
    while heard[-1].headers["tr_cont"] in {"F", "M"}:
        params |= {"CTX_AREA_FK100": heard[-1].body["ctx_area_fk100"]}
        params |= {"CTX_AREA_NK100": heard[-1].body["ctx_area_nk100"]}
        heard.append(caller.get(DOMESTIC + one.path, caller.tr(one.tr_id), params, tr_cont="N"))
    return heard


@pytest.mark.parametrize(("prefix", "balance_rows", "order_rows"), [("", 50, 100), ("paper_", 20, 15)])
def test_pages_are_as_long_as_the_services_and_together_whole(prefix: str, balance_rows: int, order_rows: int) -> None:
    """kis-protocol 1.7, 4.5, 4.6."""
    with started(
        *OPTIONS[:4], *OPTIONS[6:], "--holdings", "105", "--start", "10:00:00", "--cash", "900000000"
    ) as there:
        caller = Caller(there, prefix)
        found = pages(caller, BY_NAME["inquire-balance"])
        assert [len(one.body["output1"]) for one in found[:-1]] == [balance_rows] * (len(found) - 1)
        assert len({row["pdno"] for one in found for row in one.body["output1"]}) == 105
        assert len({json.dumps(one.body["output2"]) for one in found}) == 1  # the sums repeat on each page
        assert [one.headers["tr_cont"] for one in found] == ["F", *["M"] * (len(found) - 2), "E"]
        code = found[0].body["output1"][0]["pdno"]
        body = caller.cano | {"PDNO": code, "ORD_DVSN": "01", "ORD_QTY": "1", "ORD_UNPR": "0"}
        count = order_rows + 3
        for _ in range(count):
            assert caller.post(f"{DOMESTIC}/trading/order-cash", caller.tr("TTTC0012U"), body).body["rt_cd"] == "0"
        found = pages(caller, BY_NAME["inquire-daily-ccld"])
        assert [len(one.body["output1"]) for one in found] == [order_rows, 3]
        assert len({row["odno"] for one in found for row in one.body["output1"]}) == count
