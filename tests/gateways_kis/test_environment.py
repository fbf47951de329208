"""Real and paper are never mixed: `reliability` X4 and row 64, kis-protocol 1.1, 1.9, 4.1."""

from __future__ import annotations

import itertools

import pytest

from kquant.gateways.kis.rest.endpoints import ACCOUNT, DATA, ORDERS
from kquant.gateways.kis.rest.environment import SERVICES, check_belonging, service_of, start_error
from kquant.gateways.kis.rest.errors import KisRefused, KisUnreachable, StartError

BOTH = ("real", "paper")


@pytest.mark.parametrize(("host", "trs", "key", "account"), list(itertools.product(BOTH, repeat=4)))
def test_of_all_sixteen_combinations_only_the_two_pure_ones_start(host, trs, key, account):
    service = SERVICES[host]
    if len({host, trs, key, account}) == 1:
        check_belonging(trs, urls=(service.rest_url, service.ws_url), key=key, account=account)
        return
    with pytest.raises(StartError, match=r"real|paper"):
        check_belonging(trs, urls=(service.rest_url, service.ws_url), key=key, account=account)


@pytest.mark.parametrize("url", ["http://127.0.0.1:5001", "ws://localhost:1", "http://[::1]:80"])
@pytest.mark.parametrize("environment", BOTH)
def test_a_look_alike_on_loopback_plays_either_service(url, environment):
    check_belonging(environment, urls=(url,), key=environment, account=environment)


@pytest.mark.parametrize(
    "url",
    [
        "https://openapi.koreainvestment.com",
        "https://openapi.koreainvestment.com:29443",
        "http://10.0.0.1:9443",
        "http://openapi.koreainvestment.com:9443",  # the app secret in the clear
        "wss://ops.koreainvestment.com:21000",
        "",
        "x",
    ],
)
def test_a_host_that_is_nobodys_is_refused(url):
    with pytest.raises(StartError, match="no host of KIS"):
        service_of(url)


def test_an_address_that_holds_a_password_is_refused_without_showing_it():
    for url in ("https://me:hush@openapi.koreainvestment.com:9443", "http://me:hush@127.0.0.1:80"):
        with pytest.raises(StartError, match="user name or password") as caught:
            service_of(url)
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:99999", "http://127.0.0.1:x"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(StartError, match="no address"):
        service_of(url)


@pytest.mark.parametrize("environment", BOTH)
def test_a_look_alikes_prices_never_lead_to_orders_at_the_broker(environment):
    """`reliability` X4: one role speaks to one service, over REST and on the feed."""
    service = SERVICES[environment]
    for urls in ((service.rest_url, "ws://127.0.0.1:1"), ("http://127.0.0.1:1", service.ws_url)):
        with pytest.raises(StartError, match="not the same service"):
            check_belonging(environment, urls=urls, key=environment, account=environment)


def test_the_hosts_are_those_of_the_document():
    """kis-protocol 1.1"""
    assert (SERVICES["real"].rest_url, SERVICES["real"].ws_url) == (
        "https://openapi.koreainvestment.com:9443", "ws://ops.koreainvestment.com:21000",
    )  # fmt: skip
    assert (SERVICES["paper"].rest_url, SERVICES["paper"].ws_url) == (
        "https://openapivts.koreainvestment.com:29443", "ws://ops.koreainvestment.com:31000",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("EGW02004", "real app key"),
        ("EGW02007", "paper app key"),
        ("OPSQ2000", "account number"),
        ("IGW00002", "account does not match"),
        ("EGW00103", "renew it"),
        ("EGW00310", "broker.rest_url"),
        ("EGW02006", "broker.rest_url"),
    ],
)
def test_what_kis_says_of_a_mix_up_becomes_what_to_do(code, told):
    """kis-protocol 1.9"""
    error = start_error(KisRefused(code, "no", 500), "the paper keys")
    assert error is not None
    assert told in str(error)
    assert code in str(error)


def test_other_troubles_do_not_blame_the_keys():
    assert start_error(KisRefused("EGW00201", "busy", 500), "x") is None
    assert start_error(KisUnreachable("gone"), "x") is None


PAPER_HAS = {
    "inquire-daily-ccld", "inquire-balance", "inquire-psbl-order", "inquire-price", "inquire-daily-price",
    "inquire-asking-price-exp-ccn", "inquire-investor", "inquire-daily-itemchartprice", "inquire-time-itemchartprice",
    "inquire-time-dailychartprice", "order-cash", "order-rvsecncl",
}  # fmt: skip


def test_paper_offers_what_the_document_says_and_nothing_else():
    """kis-protocol 4.1"""
    for endpoint in (*DATA, *ACCOUNT, *ORDERS):
        assert (endpoint.paper != "") is (endpoint.path.rsplit("/", 1)[1] in PAPER_HAS), endpoint.path


def test_trading_ids_become_v_ids_on_paper_and_quotations_keep_theirs():
    """kis-protocol 1.6"""
    for endpoint in (*ACCOUNT, *ORDERS):
        assert endpoint.paper in {"", f"V{endpoint.real[1:]}"}
    for endpoint in DATA:
        assert endpoint.paper in {"", endpoint.real}
