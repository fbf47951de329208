"""Every refusal of the gateway that a call can provoke, by code. kis-protocol 1.2-1.9, 7.6."""

import datetime as dt
import json
from typing import Any

import pytest

from kquant.exchange.core.auth import CallLimit
from kquant.exchange.core.rest import Request
from kquant.exchange.market.model import Print
from tests.exchange.fake_market import OPEN, FakeMarket, stock
from tests.exchange.helpers import CANO, OPTIONS, PAPER, PREFIX, WALL, Client

KST = dt.timezone(dt.timedelta(hours=9))
GRANT = {"grant_type": "client_credentials"}
KEYS = {"appkey": OPTIONS.app_key, "appsecret": OPTIONS.app_secret}
ORDER = CANO | {"PDNO": "000010", "ORD_DVSN": "00", "ORD_QTY": "1", "ORD_UNPR": "10000"}
ORDER_PATH = PREFIX + "/trading/order-cash"


@pytest.fixture
def client() -> Client:
    client = Client(FakeMarket([stock("000010")], {"000010": [Print(OPEN + 1, 10_000, 1, 3)]}))
    client.exchange.advance(OPEN + 30)
    return client


def send(client: Client, method: str, path: str, headers: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
    client.wall += 1
    request = Request(method=method, path=path, headers=headers, params={}, body=body)
    answer = client.exchange.rest(request, client.wall)
    return answer.status, json.loads(answer.content)


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/oauth2/tokenP", KEYS, "EGW00114"),
        ("/oauth2/tokenP", KEYS | {"grant_type": "password"}, "EGW00115"),
        ("/oauth2/tokenP", GRANT | {"appsecret": "x"}, "EGW00102"),
        ("/oauth2/tokenP", GRANT | {"appkey": "x", "appsecret": "x"}, "EGW00103"),
        ("/oauth2/tokenP", GRANT | {"appkey": OPTIONS.app_key}, "EGW00104"),
        ("/oauth2/tokenP", GRANT | KEYS | {"appsecret": "x"}, "EGW00105"),
        ("/oauth2/tokenP", GRANT | {"appkey": PAPER.app_key, "appsecret": PAPER.app_secret}, "EGW02004"),
        ("/oauth2/Approval", KEYS, "EGW00114"),
        # The secret of an approval goes by another name (1.4).
        ("/oauth2/Approval", GRANT | KEYS, "EGW00104"),
        ("/oauth2/Approval", GRANT | {"appkey": OPTIONS.app_key, "secretkey": "x"}, "EGW00105"),
        ("/oauth2/revokeP", KEYS | {"token": "x"}, "EGW00121"),
        ("/oauth2/revokeP", {"token": "x"}, "EGW00102"),
        ("/uapi/hashkey", ORDER, "EGW00102"),
    ],
)
def test_a_path_without_token_refuses_with_its_code(client: Client, path: str, body: dict[str, str], code: str) -> None:
    status, answer = client.post(path, body)
    assert (status, answer["msg_cd"], answer["rt_cd"]) == (500, code, "1")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"content-type": "text/plain"}, 500, "EGW00132"),
        ({"content-type": ""}, 500, "EGW00132"),
        ({"hashkey": "x"}, 500, "EGW00131"),
        ({"custtype": "B"}, 500, "EGW00211"),
        ({"custtype": "B", "personalseckey": "k"}, 500, "EGW00209"),
        ({"custtype": "B", "personalseckey": "k", "seq_no": "x"}, 500, "EGW00209"),
        ({"custtype": "B", "personalseckey": "k", "seq_no": "01"}, 200, "APBK0013"),
        ({"custtype": "Z"}, 500, "EGW00208"),
        ({"tr_id": ""}, 200, "OPSQ9999"),
        ({"tr_id": "TTTC0013U"}, 500, "EGW00310"),
        ({"tr_id": "VTTC0012U"}, 500, "EGW00310"),
        ({"authorization": "bearer x"}, 500, "EGW00205"),
    ],
)
def test_a_header_that_is_missing_or_wrong_is_named(
    client: Client, change: dict[str, str], status: int, code: str
) -> None:
    headers = client.headers("TTTC0012U") | {"content-type": "application/json; charset=utf-8"} | change
    found, body = send(client, "POST", ORDER_PATH, headers, ORDER)
    assert (found, body["msg_cd"]) == (status, code)


def test_custtype_may_be_left_out(client: Client) -> None:
    """kis-protocol 7.6: a published client never sends it."""
    headers = client.headers("TTTC0012U") | {"content-type": "application/json"}
    del headers["custtype"]
    assert send(client, "POST", ORDER_PATH, headers, ORDER)[1]["rt_cd"] == "0"


def test_a_corporation_has_no_paper_account(client: Client) -> None:
    client.see("paper")
    headers = client.headers("VTTC0012U") | {"content-type": "application/json", "custtype": "B"}
    status, body = send(client, "POST", ORDER_PATH, headers, ORDER | client.cano)
    assert (status, body["msg_cd"]) == (500, "EGW00210")


def test_an_order_without_a_body_and_a_path_or_method_that_is_not_there_are_refused(client: Client) -> None:
    headers = client.headers("TTTC0012U") | {"content-type": "application/json"}
    assert send(client, "POST", ORDER_PATH, headers, {})[1]["msg_cd"] == "OPSQ9995"
    assert send(client, "GET", ORDER_PATH, headers, {})[1]["msg_cd"] == "EGW00202"
    assert send(client, "POST", PREFIX + "/none", headers, ORDER)[1]["msg_cd"] == "EGW00202"
    assert send(client, "GET", "/none", {}, {})[0] == 404


def test_a_hash_key_of_the_body_is_taken_with_the_order(client: Client) -> None:
    """kis-protocol 1.5: the answer has BODY and HASH; the order of the keys does not matter."""
    keys = {"appkey": OPTIONS.app_key, "appsecret": OPTIONS.app_secret}
    status, answer = client.post("/uapi/hashkey", dict(reversed(ORDER.items())), keys)
    assert (status, answer["BODY"]) == (200, ORDER)
    headers = client.headers("TTTC0012U") | {"content-type": "application/json", "hashkey": answer["HASH"]}
    assert send(client, "POST", ORDER_PATH, headers, ORDER)[1]["rt_cd"] == "0"
    assert send(client, "POST", ORDER_PATH, headers, ORDER | {"ORD_QTY": "2"})[1]["msg_cd"] == "EGW00131"


def test_a_token_says_when_it_ends_in_korean_time_and_a_revoked_one_is_refused(client: Client) -> None:
    """kis-protocol 1.2, 1.3."""
    client.wall = WALL
    _, body = client.post("/oauth2/tokenP", GRANT | KEYS)
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 86_400)
    ends = dt.datetime.strptime(body["access_token_token_expired"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=KST)
    assert ends.timestamp() == WALL + 86_400
    client.token = body["access_token"]
    status, answer = client.post("/oauth2/revokeP", KEYS | {"token": client.token})
    assert (status, answer["code"]) == (200, 200)
    _, refused = send(client, "GET", PREFIX + "/quotations/inquire-price", client.headers("FHKST01010100"), {})
    assert refused["msg_cd"] == "EGW00121"


def test_each_service_issues_its_own_tokens(client: Client) -> None:
    token = client.login()
    client.see("paper")
    assert client.login() != token
    client.token = token
    headers = client.headers("FHKST01010100")
    assert send(client, "GET", PREFIX + "/quotations/inquire-price", headers, {})[1]["msg_cd"] == "EGW00121"


def test_a_limit_counts_whole_seconds_of_the_wall() -> None:
    limit = CallLimit(2)
    over = "EGW00201"
    assert [limit.refuse(at, ledger=False) for at in (10.0, 10.4, 10.9, 11.0, 11.5, 11.9, 12.5)] == [
        None, None, over, None, None, over, None,
    ]  # fmt: skip


def test_the_ledger_has_a_limit_of_its_own_below_the_gateways() -> None:
    """kis-protocol 1.8: EGW00201 at the gateway, EGW00215 at the ledger."""
    limit = CallLimit(4, 1)
    asked = [True, False, True, False, True]
    assert [limit.refuse(10.0, ledger=ledger) for ledger in asked] == [None, None, "EGW00215", None, "EGW00201"]
    limit.step()
    assert limit.refuse(10.1, ledger=True) is None
    assert limit.refuse(10.2, ledger=True) == "EGW00215"
