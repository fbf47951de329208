"""The two services of one exchange: what they share and how each refuses the other's keys."""

import json
from typing import Any

import pytest

from kquant.exchange.core.rest import Request
from kquant.exchange.market.model import Print
from tests.exchange.fake_market import OPEN, FakeMarket, stock
from tests.exchange.helpers import BALANCE, OPTIONS, PAPER, PREFIX, Client

PRICE = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": "000010"}


@pytest.fixture
def client() -> Client:
    prints = {"000010": [Print(OPEN + at, 10_000, 100, 1) for at in range(1, 60)]}
    client = Client(FakeMarket([stock("000010"), stock("000020")], prints), environment="paper")
    client.exchange.advance(OPEN + 30)
    return client


def call(client: Client, path: str, headers: dict[str, str], params: dict[str, str]) -> tuple[int, Any]:
    request = Request(method="GET", path=PREFIX + path, headers=headers, params=params, body={})
    answer = client.exchange.rest(request, client.wall)
    return answer.status, json.loads(answer.content)


def keys(app_key: str, secret: str, name: str = "appsecret") -> dict[str, str]:
    return {"grant_type": "client_credentials", "appkey": app_key, name: secret}


def test_the_services_have_books_of_their_own_over_one_market(client: Client) -> None:
    assert client.order("buy", "000010", 5, 10_010)["rt_cd"] == "0"
    assert sum(row.filled for row in client.exchange.paper.ledger.orders.values()) == 5
    assert client.exchange.real.ledger.orders == {}
    _, paper = client.call("/trading/inquire-balance", "VTTC8434R", BALANCE | client.cano)
    client.see("real")
    _, real = client.call("/trading/inquire-balance", "TTTC8434R", BALANCE | client.cano)
    assert [row["pdno"] for row in paper["output1"]] == ["000010"]
    assert real["output1"] == []


def test_a_real_key_on_the_paper_host_and_the_reverse_are_named_as_such(client: Client) -> None:
    """kis-protocol 1.9: EGW02007 and EGW02004, HTTP 500."""
    real = keys(OPTIONS.app_key, OPTIONS.app_secret)
    assert client.post("/oauth2/tokenP", real)[1]["msg_cd"] == "EGW02007"
    status, body = call(
        client, "/quotations/inquire-price", client.headers("FHKST01010100") | {"appkey": OPTIONS.app_key}, PRICE
    )
    assert (status, body["msg_cd"]) == (500, "EGW02007")
    client.see("real")
    paper = keys(PAPER.app_key, PAPER.app_secret)
    status, body = client.post("/oauth2/tokenP", paper)
    assert (status, body["msg_cd"]) == (500, "EGW02004")
    assert (
        client.post("/oauth2/Approval", keys(PAPER.app_key, PAPER.app_secret, "secretkey"))[1]["msg_cd"] == "EGW02004"
    )


def test_a_quotation_has_one_id_on_both_services_and_a_ranking_none_on_paper(client: Client) -> None:
    """kis-protocol 1.6, 4.1."""
    status, body = call(client, "/quotations/inquire-price", client.headers("FHKST01010100"), PRICE)
    assert (status, body["rt_cd"]) == (200, "0")
    client.wall += 2
    status, body = call(client, "/quotations/chk-holiday", client.headers("CTCA0903R"), {})
    assert (status, body["msg_cd"]) == (500, "EGW02006")
    status, body = call(client, "/quotations/volume-rank", client.headers("FHPST01710000"), {})
    assert (status, body["msg_cd"]) == (500, "EGW02006")
    status, body = call(client, "/quotations/none", client.headers("FHPST01710000"), {})
    assert body["msg_cd"] == "MCA00124"


def test_a_trading_tr_goes_by_its_own_id_on_each_service(client: Client) -> None:
    params = BALANCE | client.cano
    status, body = call(client, "/trading/inquire-balance", client.headers("TTTC8434R"), params)
    assert (status, body["msg_cd"]) == (500, "EGW02006")
    client.see("real")
    status, body = call(client, "/trading/inquire-balance", client.headers("VTTC8434R"), params)
    assert (status, body["msg_cd"]) == (500, "EGW00310")


def test_the_paper_service_answers_one_call_a_second_and_the_real_one_eighteen(client: Client) -> None:
    """kis-protocol 1.8: EGW00201 at the gateway, whatever is asked, as HTTP 500."""
    headers = client.headers("FHKST01010100")
    assert call(client, "/quotations/inquire-price", headers, PRICE)[0] == 200
    status, body = call(client, "/quotations/inquire-price", headers, PRICE)
    assert (status, body["msg_cd"]) == (500, "EGW00201")
    status, body = call(client, "/trading/inquire-balance", headers | {"tr_id": "VTTC8434R"}, BALANCE | client.cano)
    assert (status, body["msg_cd"]) == (500, "EGW00201")
    client.see("real")
    headers = client.headers("FHKST01010100")
    found = [call(client, "/quotations/inquire-price", headers, PRICE)[0] for _ in range(19)]
    assert found == [200] * 18 + [500]


def test_the_real_keys_approval_comes_from_the_paper_host_and_serves_the_real_socket(client: Client) -> None:
    """kis-protocol 7.6: and every approval of one app key stays valid beside the newer ones."""
    real = keys(OPTIONS.app_key, OPTIONS.app_secret, "secretkey")
    first, second = (client.post("/oauth2/Approval", real)[1]["approval_key"] for _ in range(2))
    assert first != second
    own = client.approval()
    session = client.connect()
    assert client.register(session, first, "H0STCNT0", "000010")["body"]["msg_cd"] == "OPSP0010"
    assert client.register(session, own, "H0STCNT0", "000010")["body"]["msg_cd"] == "OPSP0000"
    client.see("real")
    session = client.connect()
    assert client.register(session, second, "H0STCNT0", "000010")["body"]["msg_cd"] == "OPSP0000"
    assert client.register(session, first, "H0STASP0", "000010")["body"]["msg_cd"] == "OPSP0000"


def test_paper_offers_trades_books_and_notices_alone(client: Client) -> None:
    """kis-protocol 2.5."""
    session, key = client.connect(), client.approval()
    codes = {}
    for tr_id in ("H0STCNT0", "H0STASP0", "H0STPGM0", "H0STANC0", "H0STMKO0", "H0UNCNT0", "H0NXASP0", "H0STCNI0"):
        codes[tr_id] = client.register(session, key, tr_id, "000010")["body"]["msg_cd"]
    assert {tr_id for tr_id, code in codes.items() if code == "OPSP0000"} == {"H0STCNT0", "H0STASP0"}
    assert {code for code in codes.values() if code != "OPSP0000"} == {"OPSP8991"}
    for tr_id in ("H0STCNI9", "H0GSCNI9"):
        assert client.register(session, key, tr_id, "DEMO01")["body"]["msg_cd"] == "OPSP0000"


def test_both_services_send_the_same_trades_and_each_its_own_notices(client: Client) -> None:
    lines = {}
    for environment, notice in (("real", "H0STCNI0"), ("paper", "H0STCNI9")):
        client.see(environment)  # type: ignore[arg-type]
        session, key = client.connect(), client.approval()
        client.register(session, key, "H0STCNT0", "000010")
        client.register(session, key, notice, "DEMO01")
        lines[environment] = session
    client.order("buy", "000010", 3, 10_010)
    client.exchange.advance(OPEN + 33)
    sent: dict[str, list[str]] = {"real": [], "paper": []}
    for session, text in client.exchange.take_outbox():
        if "PINGPONG" not in text:
            sent["real" if session is lines["real"] else "paper"].append(text)
    trades = {of: [text for text in texts if text.startswith("0|H0STCNT0|")] for of, texts in sent.items()}
    assert len(trades["real"]) == 3
    assert trades["real"] == trades["paper"]
    assert [text[:10] for text in sent["paper"] if text[0] == "1"] == ["1|H0STCNI9"] * 2
    assert not [text for text in sent["real"] if text[0] == "1"]
