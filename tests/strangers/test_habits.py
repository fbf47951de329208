"""What public clients do on the wire and KIS lets pass, habit by habit. kis-protocol 1.6, 2.1-2.3, 7.6.

Seen in koreainvestment/open-trading-api (samples, kis_auth), sharebook-kr/mojito, Soju06/python-kis, unohee/kis-agent and
kgcrom/cluefin; none of their code is here.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.sync.client import ClientConnection

from tests.exchange.standing import SMALL, Standing, started
from tests.strangers.habits import DOMESTIC, Caller, control, register
from tests.strangers.look import busiest

PRICE = f"{DOMESTIC}/quotations/inquire-price"
BALANCE = f"{DOMESTIC}/trading/inquire-balance"
ORDER = f"{DOMESTIC}/trading/order-cash"
BALANCE_PARAMS = {
    "AFHR_FLPR_YN": "N", "OFL_YN": "", "INQR_DVSN": "02", "UNPR_DVSN": "01", "FUND_STTL_ICLD_YN": "N",
    "FNCG_AMT_AUTO_RDPT_YN": "N", "PRCS_DVSN": "00", "CTX_AREA_FK100": "", "CTX_AREA_NK100": "",
}  # fmt: skip


@pytest.fixture(scope="module")
def exchange() -> Iterator[Standing]:
    with started(*SMALL, "--clock", "wall", "--open-now", "--linger", "0", "--limits", "real=1000,paper=1000") as one:
        yield one


@pytest.fixture(scope="module")
def code(exchange: Standing) -> str:
    return busiest(exchange, 1)[0]


@pytest.fixture(params=["", "paper_"], ids=["real", "paper"])
def caller(exchange: Standing, request: pytest.FixtureRequest) -> Caller:
    return Caller(exchange, request.param)


def stock(code: str) -> dict[str, str]:
    return {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": code}


# -- REST -----------------------------------------------------------------------------------------------------


def test_the_only_header_names_in_lower_case_are_the_three_of_kis(caller: Caller, code: str) -> None:
    """The newest official sample makes Python identifiers of all header names that are lower case (7.6)."""
    for path, tr_id, params in ((PRICE, "FHKST01010100", stock(code)), (PRICE, "FHKST00000000", stock(code))):
        heard = caller.get(path, tr_id, params)
        assert {name for name in heard.headers if name.islower()} == {"tr_id", "tr_cont", "gt_uid"}
        assert heard.headers["tr_id"] == tr_id
        assert heard.headers["Content-Type"].startswith("application/json")


def test_the_fewest_headers_are_enough_and_their_case_does_not_matter(caller: Caller, code: str) -> None:
    assert caller.get(PRICE, "FHKST01010100", stock(code)).body["rt_cd"] == "0"
    headers = {name.title(): value for name, value in caller.headers("FHKST01010100").items()}
    headers["AppKey"] = headers.pop("Appkey")
    headers |= {"Accept": "text/plain", "charset": "UTF-8", "User-Agent": "Mozilla/5.0", "mac_address": "0"}
    path = f"{PRICE}?FID_COND_MRKT_DIV_CODE=J&FID_INPUT_ISCD={code}"
    assert caller.send("GET", path, headers).body["rt_cd"] == "0"


def test_query_names_are_taken_in_lower_case(caller: Caller) -> None:
    params = {name.lower(): value for name, value in (BALANCE_PARAMS | caller.cano).items()}
    assert caller.get(BALANCE, caller.tr("TTTC8434R"), params).body["rt_cd"] == "0"


@pytest.mark.parametrize("spelling", ["/{}", "{}/"])
def test_a_slash_too_many_is_no_other_path(caller: Caller, code: str, spelling: str) -> None:
    """mojito puts the host's and the path's slash one after the other."""
    assert caller.get(spelling.format(PRICE), "FHKST01010100", stock(code)).body["rt_cd"] == "0"


def test_an_order_with_an_old_id_a_hash_key_and_no_exchange_is_taken(caller: Caller, code: str) -> None:
    """python-kis: old ids, no EXCG_ID_DVSN_CD, no custtype; mojito: a hash key of the very body."""
    body = caller.cano | {"PDNO": code, "ORD_DVSN": "01", "ORD_QTY": "1", "ORD_UNPR": "0"}
    hashed = caller.send("POST", "/uapi/hashkey", {"content-type": "application/json", **caller.keys}, json.dumps(body))
    assert hashed.body["BODY"] == body
    for changes in ({"hashkey": hashed.body["HASH"]}, {"hashkey": ""}, {"content-type": "application/json"}):
        taken = caller.post(ORDER, caller.tr("TTTC0802U"), body, **changes)
        assert taken.body["rt_cd"] == "0"
        assert len(taken.body["output"]["ODNO"]) == 10
    refused = caller.post(ORDER, caller.tr("TTTC0802U"), body | {"ORD_QTY": "2"}, hashkey=hashed.body["HASH"])
    assert (refused.status, refused.body["msg_cd"]) == (500, "EGW00131")


def test_what_paper_lacks_is_refused_by_the_id_with_a_v_as_well(exchange: Standing, code: str) -> None:
    """The official sample puts a V before every T, J and C id on paper; operators measured EGW02006 (1.9)."""
    paper = Caller(exchange, "paper_")
    for path, tr_id in (
        (f"{DOMESTIC}/quotations/chk-holiday", "CTCA0903R"),
        (f"{DOMESTIC}/trading/inquire-psbl-rvsecncl", "TTTC0084R"),
        (f"{DOMESTIC}/trading/inquire-psbl-sell", "TTTC8408R"),
        (f"{DOMESTIC}/quotations/search-stock-info", "CTPF1002R"),
    ):
        for named in (tr_id, f"V{tr_id[1:]}"):
            heard = paper.get(path, named, paper.cano | {"PDNO": code})
            assert (heard.status, heard.body["msg_cd"]) == (500, "EGW02006"), named


def test_the_real_keys_approval_from_the_paper_host_serves_the_real_socket(exchange: Standing, code: str) -> None:
    """python-kis asks it there, anew before every registration; all of them hold."""
    paper, real = Caller(exchange, "paper_"), Caller(exchange)
    with real.line() as socket:
        for tr_id in ("H0STCNT0", "H0STASP0"):
            approval = paper.approval(appkey=real.keys["appkey"], secretkey=real.keys["appsecret"])
            socket.send(register(approval.body["approval_key"], tr_id, code))
            assert control(socket)["body"]["msg_cd"] == "OPSP0000"


# -- WebSocket ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/", "/tryitout", "/tryitout/H0STCNT0"])
def test_a_socket_opens_under_each_documented_path(caller: Caller, code: str, path: str) -> None:
    """Legacy samples name no path at all; portal pages a label behind it (1.1)."""
    with caller.line(path, origin="null", user_agent_header="strange/1.0") as socket:
        socket.send(register(caller.approval().body["approval_key"], "H0STCNT0", code))
        assert control(socket)["body"]["msg_cd"] == "OPSP0000"


def test_registrations_sent_in_one_breath_and_with_more_headers_are_answered_in_order(
    caller: Caller, exchange: Standing
) -> None:
    """mojito sends them without a pause, with a personalseckey of "1"."""
    approval = caller.approval().body["approval_key"]
    codes = busiest(exchange, 20)
    pairs = [(tr_id, one) for tr_id in ("H0STCNT0", "H0STASP0") for one in codes]
    with caller.line() as socket:
        for tr_id, tr_key in pairs:
            socket.send(register(approval, tr_id, tr_key, personalseckey="1"))
        answers = [control(socket) for _ in pairs]
        assert [(one["header"]["tr_id"], one["header"]["tr_key"]) for one in answers] == pairs
        assert {one["body"]["msg_cd"] for one in answers} == {"OPSP0000"}


def test_every_acknowledgement_carries_a_key_and_an_iv_of_its_channel(caller: Caller, code: str) -> None:
    """mojito takes its key from a book's acknowledgement: it must exist there, and be another than the notice's (2.2)."""
    approval = caller.approval().body["approval_key"]
    notice = "H0STCNI9" if caller.prefix else "H0STCNI0"
    with caller.line() as socket:
        found = {}
        for tr_id, tr_key, encrypt in (("H0STASP0", code, "N"), (notice, caller.hts_id, "Y")):
            socket.send(register(approval, tr_id, tr_key))
            answer = control(socket)
            assert answer["header"]["encrypt"] == encrypt
            found[tr_id] = (answer["body"]["output"]["key"], answer["body"]["output"]["iv"])
            assert tuple(map(len, found[tr_id])) == (32, 16)
    assert found["H0STASP0"] != found[notice]


def answers_as_text(socket: ClientConnection, text: str) -> None:
    socket.send(text)


def answers_with_spaces(socket: ClientConnection, text: str) -> None:
    socket.send(json.dumps(json.loads(text)))  # python-kis


def answers_in_bytes(socket: ClientConnection, text: str) -> None:
    socket.send(text.encode())


def answers_by_pong(socket: ClientConnection, text: str) -> None:
    socket.pong(text.encode())  # official samples


@pytest.mark.parametrize(
    "answer", [answers_as_text, answers_with_spaces, answers_in_bytes, answers_by_pong], ids=lambda one: one.__name__
)
def test_each_way_of_answering_a_pingpong_is_understood(exchange: Standing, code: str, answer: Any) -> None:
    real = Caller(exchange)
    with real.line() as socket:
        socket.send(register(real.approval().body["approval_key"], "H0STPGM0", code))
        assert control(socket)["body"]["msg_cd"] == "OPSP0000"
        answer(socket, '{"header":{"tr_id":"PINGPONG","datetime":"20261123090013"}}')
        socket.send(register("", "H0STPGM0", code))  # nothing came between: the answer to a PINGPONG has none
        assert control(socket)["body"]["msg_cd"] == "OPSP9996"


def test_protocol_pings_of_a_library_are_answered(caller: Caller) -> None:
    """The newest official sample leaves its library's keep-alive on (7.6)."""
    with caller.line() as socket:
        assert socket.ping().wait(timeout=30)
