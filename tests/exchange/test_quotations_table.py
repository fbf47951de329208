"""Every quotation and reference endpoint against the tables of the protocol document (kis-protocol 4.1-4.4, 4.7, 4.10)."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import pytest

from kquant.exchange.core.rest import Request
from kquant.exchange.market import generate
from tests.exchange.helpers import PREFIX, Client
from tests.exchange.protocol_tables import QUOTATIONS, Endpoint, pattern_of

DAY = dt.date(2026, 11, 20)
HOURS = {"0855": 8 * 3_600 + 55 * 60, "1000": 36_000}
ids = [f"{one.section} {one.name}" for one in QUOTATIONS]


@pytest.fixture(scope="module")
def clients() -> dict[str, Client]:
    market = generate(DAY, 7, stocks=400)
    found = {}
    for name, second in HOURS.items():
        found[name] = Client(market)
        found[name].exchange.now_us = found[name].exchange.midnight_us + second * 1_000_000
    return found


def busiest(client: Client) -> str:
    rows = client.exchange.market.rank_volume(36_000, "ALL", 100)
    by_code = client.exchange.market.by_code
    return next(
        row.code for row in rows if by_code[row.code].kind == "common" and client.exchange.market.known(row.code)
    )


def filled(params: Mapping[str, str], client: Client) -> dict[str, str]:
    values = {"code": busiest(client), "day": "20261120", "before": "20261119", "user": client.options.hts_id}
    return {name: value.format(**values) for name, value in params.items()}


def ask(client: Client, one: Endpoint, params: Mapping[str, str], tr_id: str = "") -> tuple[int, dict[str, Any]]:
    client.wall += 2
    headers = client.headers(tr_id or one.tr_id)
    request = Request(method="GET", path=PREFIX + one.path, headers=headers, params=params, body={})
    answer = client.exchange.rest(request, client.wall)
    return answer.status, json.loads(answer.content)


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in leaves(inner)]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in leaves(inner)]
    return [value]


@pytest.mark.parametrize("one", QUOTATIONS, ids=ids)
def test_an_answer_has_the_documented_outputs_fields_and_formats(one: Endpoint, clients: dict[str, Client]) -> None:
    client = clients[one.needs]
    status, body = ask(client, one, filled(one.params, client))
    assert (status, body["rt_cd"]) == (200, "0"), body
    assert {name for name in body if name.startswith("output")} == set(one.outputs)
    assert all(isinstance(leaf, str) for leaf in leaves(body))
    for name, container in one.outputs.items():
        rows = body[name] if container.kind == "array" else [body[name]]
        assert isinstance(body[name], list) == (container.kind == "array")
        assert rows, f"{name} is empty"
        assert not container.cap or len(rows) <= container.cap
        for field in container.fields.split():
            key, pattern = pattern_of(field)
            for row in rows:
                assert key in row, f"{name} lacks {key}"
                assert pattern.fullmatch(row[key]), f"{name}.{key} is {row[key]!r}, documented as {field}"


@pytest.mark.parametrize("one", QUOTATIONS, ids=ids)
def test_each_required_parameter_is_refused_when_it_is_missing(one: Endpoint, clients: dict[str, Client]) -> None:
    """kis-protocol 1.6: a blank one must be there, leaving the key out is rejected (rt_cd 2)."""
    client = clients[one.needs]
    params = filled(one.params, client)
    for name in params:
        _, body = ask(client, one, {key: value for key, value in params.items() if key != name})
        assert body["rt_cd"] == "2", f"{one.name} answers without {name}"
        assert name in body["msg1"]


@pytest.mark.parametrize("one", QUOTATIONS, ids=ids)
def test_paper_offers_what_table_4_1_says_and_refuses_the_rest(one: Endpoint, clients: dict[str, Client]) -> None:
    """kis-protocol 4.1, 1.9: EGW02006 with HTTP 500 for a TR that paper lacks."""
    client = Client(clients[one.needs].exchange.market, environment="paper")
    client.exchange.now_us = clients[one.needs].exchange.now_us
    status, body = ask(client, one, filled(one.params, client))
    assert (status, body["rt_cd"]) == (200, "0") if one.paper else (status, body["msg_cd"]) == (500, "EGW02006")


@pytest.mark.parametrize(
    "one", [one for one in QUOTATIONS if "{code}" in one.params.values()], ids=lambda one: one.name
)
def test_a_code_that_is_not_listed_is_refused(one: Endpoint, clients: dict[str, Client]) -> None:
    """kis-protocol 1.9: MCA05918 is a symbol code error; several prices at once give an empty row instead."""
    client = clients[one.needs]
    params = {name: "999990" if value == "{code}" else value for name, value in one.params.items()}
    _, body = ask(client, one, filled(params, client))
    if one.name == "intstock-multprice":
        assert (body["output"][0]["inter2_prpr"], body["output"][0]["inter_kor_isnm"]) == ("0", "")
    elif one.name in {"search-info", "search-stock-info"}:
        assert body["rt_cd"] == "7"
    else:
        assert (body["rt_cd"], body["msg_cd"]) == ("1", "MCA05918")


@pytest.mark.parametrize(
    "one", [one for one in QUOTATIONS if "FID_COND_MRKT_DIV_CODE" in one.params], ids=lambda one: one.name
)
def test_a_wrong_market_division_is_opsq2001(one: Endpoint, clients: dict[str, Client]) -> None:
    """kis-protocol 1.9."""
    client = clients[one.needs]
    _, body = ask(client, one, filled(one.params, client) | {"FID_COND_MRKT_DIV_CODE": "X"})
    assert (body["rt_cd"], body["msg_cd"]) == ("2", "OPSQ2001")


@pytest.mark.parametrize("one", QUOTATIONS, ids=ids)
def test_another_endpoints_tr_id_is_refused(one: Endpoint, clients: dict[str, Client]) -> None:
    """kis-protocol 1.9: EGW00310."""
    client = clients[one.needs]
    status, body = ask(client, one, filled(one.params, client), "FHKST00000000")
    assert (status, body["msg_cd"]) == (500, "EGW00310")


def test_the_documented_price_has_82_fields_and_no_symbol_name() -> None:
    one = next(one for one in QUOTATIONS if one.name == "inquire-price")
    names = {pattern_of(field)[0] for field in one.outputs["output"].fields.split()}
    assert len(names) == 82
    assert not any("isnm" in name and name != "bstp_kor_isnm" for name in names)
