"""The account's endpoints against the document's tables (kis-protocol 4.5, 4.6), on both services."""

import pytest

from kquant.exchange.core.state import Environment
from tests.exchange.helpers import OPTIONS, PREFIX, Client
from tests.exchange.protocol_account import ACCOUNTS, OLD_IDS, ORDERS
from tests.exchange.protocol_tables import Endpoint, pattern_of
from tests.exchange.quotation_world import market
from tests.exchange.test_quotations_table import busiest, leaves

BOTH: tuple[Environment, ...] = ("real", "paper")


def trading(environment: Environment) -> tuple[Client, dict[str, str]]:
    """Return a client with a holding, a resting order and what fills the tables' placeholders."""
    client = Client(market(), OPTIONS, environment=environment)
    code = busiest(client)
    client.exchange.now_us = client.exchange.midnight_us + 36_000 * 1_000_000
    bought = client.order("buy", code, 10)
    assert bought["rt_cd"] == "0", bought
    price = market().by_code[code].lower
    resting = client.order("buy", code, 1, price)
    client.exchange.advance(36_010)
    cano = client.cano
    values = {"cano": cano["CANO"], "product": cano["ACNT_PRDT_CD"], "code": code, "day": "20261120"}
    return client, values | {"price": str(price), "odno": resting["output"]["ODNO"]}


@pytest.mark.parametrize("environment", BOTH)
@pytest.mark.parametrize("one", ACCOUNTS, ids=lambda one: one.name)
def test_an_account_answer_has_the_documented_outputs(one: Endpoint, environment: Environment) -> None:
    client, values = trading(environment)
    params = {name: value.format(**values) for name, value in one.params.items()}
    tr_id = client.tr(one.tr_id)
    body = client.call(one.path, tr_id, params)[1]
    if environment == "paper" and not one.paper:
        assert body["rt_cd"] != "0"
        return
    assert body["rt_cd"] == "0", body
    assert {name for name in body if name.startswith("output")} == set(one.outputs)
    assert all(isinstance(leaf, str) for leaf in leaves(body))
    assert not one.pages or {"ctx_area_fk100", "ctx_area_nk100"} <= set(body)
    for name, container in one.outputs.items():
        rows = body[name] if container.kind == "array" else [body[name]]
        assert isinstance(body[name], list) == (container.kind == "array")
        assert rows
        assert not container.cap or len(rows) <= container.cap
        for field in container.fields.split():
            key, pattern = pattern_of(field)
            for row in rows:
                assert key in row, f"{name} lacks {key}"
                assert pattern.fullmatch(row[key]), f"{name}.{key} is {row[key]!r}, documented as {field}"


@pytest.mark.parametrize("one", ACCOUNTS, ids=lambda one: one.name)
def test_a_missing_account_parameter_is_refused(one: Endpoint) -> None:
    client, values = trading("real")
    params = {name: value.format(**values) for name, value in one.params.items()}
    for name in params:
        body = client.call(one.path, one.tr_id, {key: value for key, value in params.items() if key != name})[1]
        assert body["rt_cd"] == "2", f"{one.name} answers without {name}"


@pytest.mark.parametrize("environment", BOTH)
@pytest.mark.parametrize("one", ORDERS, ids=lambda one: one.name)
def test_an_order_is_answered_with_its_number_and_its_old_id_still_works(
    one: Endpoint, environment: Environment
) -> None:
    for tr_id in (one.tr_id, OLD_IDS[one.tr_id]):
        client, values = trading(environment)
        body = {name: value.format(**values) for name, value in one.params.items()}
        headers = client.headers(client.tr(tr_id))
        client.wall += 2
        answer = client.post(PREFIX + one.path, body, headers)[1]
        assert answer["rt_cd"] == "0", answer
        for field in one.outputs["output"].fields.split():
            key, pattern = pattern_of(field)
            assert pattern.fullmatch(answer["output"][key]), key
        assert len(answer["output"]["ODNO"]) == 10
        assert answer["output"]["KRX_FWDG_ORD_ORGNO"] == ("06010" if environment == "real" else "00950")


@pytest.mark.parametrize("one", ORDERS, ids=lambda one: one.name)
def test_an_order_without_a_required_key_is_refused(one: Endpoint) -> None:
    client, values = trading("real")
    body = {name: value.format(**values) for name, value in one.params.items()}
    for name in body:
        client.wall += 2
        left = {key: value for key, value in body.items() if key != name}
        answer = client.post(PREFIX + one.path, left, client.headers(one.tr_id))[1]
        assert answer["rt_cd"] != "0", f"{one.name} is taken without {name}"
