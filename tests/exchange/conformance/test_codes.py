"""Every error code of kis-protocol 1.9 over real sockets: provoked by what a client does, or called up as a fault."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.exchange.protocol_account import BALANCE
from tests.exchange.standing import Admin, Standing, started
from tests.strangers.habits import DOMESTIC, Caller, Heard

OPTIONS = ("--generate", "7", "--stocks", "300", "--holdings", "3", "--day", "2026-11-20", "--start", "10:00:00")
PRICE = f"{DOMESTIC}/quotations/inquire-price"
ORDER = f"{DOMESTIC}/trading/order-cash"
JSON = {"content-type": "application/json"}


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


EGW = (
    *words("EGW00001 EGW00002 EGW00003 EGW00004 EGW00101 EGW00102 EGW00103 EGW00104 EGW00105"),
    *(f"EGW00{number}" for number in range(106, 132)),
    *words("EGW00132 EGW00133 EGW00201 EGW00202 EGW00203 EGW00204 EGW00205 EGW00206 EGW00207 EGW00208 EGW00209"),
    *words("EGW00210 EGW00211 EGW00212 EGW00213 EGW00215 EGW00300 EGW00301 EGW00302 EGW00303 EGW00304 EGW00310"),
    *words("EGW02004 EGW02006 EGW02007"),
)
"""The gateway's codes, in the order of the document."""
OPSQ = words(
    "OPSQ0001 OPSQ0002 OPSQ0003 OPSQ0004 OPSQ0005 OPSQ0006 OPSQ0007 OPSQ0008 OPSQ0009 OPSQ0010 OPSQ0011 OPSQ1002 "
    "OPSQ2000 OPSQ2001 OPSQ2002 OPSQ2003 OPSQ3001 OPSQ3002 OPSQ3004 OPSQ9995 OPSQ9996 OPSQ9997 OPSQ9998 OPSQ9999"
)
BUSINESS = words(
    "APBK0400 APBK0656 APBK0918 APBK0919 APBK1234 APBK1664 MCA00124 MCA05918 IGW00002 40570000 40580000 40910000 "
    "90000000"
)


@pytest.fixture(scope="module")
def exchange() -> Iterator[Standing]:
    with started(*OPTIONS, "--clock", "step", "--limits", "real=10000,paper=10000") as one:
        yield one


@pytest.fixture(scope="module")
def admin(exchange: Standing) -> Iterator[Admin]:
    with Admin(exchange) as one:
        yield one


@pytest.fixture(scope="module")
def real(exchange: Standing) -> Caller:
    return Caller(exchange)


@pytest.fixture(scope="module")
def paper(exchange: Standing) -> Caller:
    return Caller(exchange, "paper_")


@pytest.fixture(scope="module")
def held(real: Caller) -> str:
    return str(real.get(f"{DOMESTIC}/trading/inquire-balance", "TTTC8434R", filled(real)).body["output1"][0]["pdno"])


def filled(caller: Caller, **changes: str) -> dict[str, str]:
    return BALANCE | caller.cano | changes


# -- the gateway ----------------------------------------------------------------------------------------------

Provoke = Callable[[Caller, Caller, str], Heard]


def token(caller: Caller, **body: str) -> Heard:
    return caller.send("POST", "/oauth2/tokenP", JSON, json.dumps(body))


def price(caller: Caller, code: str, **headers: str) -> Heard:
    params = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": code}
    return caller.get(PRICE, headers.pop("tr_id", "FHKST01010100"), params, **headers)


def priced(caller: Caller, code: str, *without: str, **headers: str) -> Heard:
    left = {name: value for name, value in caller.headers("FHKST01010100").items() if name not in without} | headers
    return caller.send("GET", f"{PRICE}?FID_COND_MRKT_DIV_CODE=J&FID_INPUT_ISCD={code}", left)


def ordered(caller: Caller, code: str, **headers: str) -> Heard:
    body = caller.cano | {"PDNO": code, "ORD_DVSN": "01", "ORD_QTY": "1", "ORD_UNPR": "0"}
    return caller.post(ORDER, caller.tr("TTTC0012U"), body, **headers)


GRANT = {"grant_type": "client_credentials"}
GATEWAY: dict[str, Provoke] = {
    "EGW00102": lambda real, _, code: priced(real, code, "appkey"),
    "EGW00103": lambda real, _, code: priced(real, code, appkey="x" * 36),
    "EGW00104": lambda real, _, code: priced(real, code, "appsecret"),
    "EGW00105": lambda real, _, code: priced(real, code, appsecret="x" * 180),
    "EGW00114": lambda real, _, __: token(real, **real.keys),
    "EGW00115": lambda real, _, __: token(real, grant_type="authorization_code", **real.keys),
    "EGW00121": lambda real, _, code: priced(real, code, authorization="Bearer eyJ0eXAi.none.such"),
    "EGW00122": lambda real, _, code: priced(real, code, "authorization"),
    "EGW00131": lambda real, _, code: ordered(real, code, hashkey="x"),
    "EGW00132": lambda real, _, code: ordered(real, code, **{"content-type": "application/x-www-form-urlencoded"}),
    "EGW00202": lambda real, _, __: real.get(f"{DOMESTIC}/quotations/no-such-thing", "FHKST01010100", {}),
    "EGW00205": lambda real, _, code: priced(real, code, authorization=f"Basic {real.token}"),
    "EGW00208": lambda real, _, code: priced(real, code, custtype="X"),
    "EGW00209": lambda real, _, code: priced(real, code, custtype="B", personalseckey="k"),
    "EGW00210": lambda _, paper, code: priced(paper, code, custtype="B"),
    "EGW00211": lambda real, _, code: priced(real, code, custtype="B"),
    "EGW00310": lambda real, _, code: price(real, code, tr_id="FHKST99999999"),
    "EGW02004": lambda real, paper, __: token(real, **GRANT, **paper.keys),
    "EGW02006": lambda _, paper, code: paper.get(f"{DOMESTIC}/quotations/volume-rank", "FHPST01710000", {}),
    "EGW02007": lambda real, paper, __: token(paper, **GRANT, **real.keys),
}


@pytest.mark.parametrize("code", GATEWAY)
def test_the_gateway_refuses_with_http_500_and_json(code: str, real: Caller, paper: Caller, held: str) -> None:
    """kis-protocol 1.7: gateway errors come with HTTP 500 and a JSON body."""
    heard = GATEWAY[code](real, paper, held)
    assert (heard.status, heard.body["msg_cd"]) == (500, code)
    assert heard.body["rt_cd"] == "1"
    assert heard.body["msg1"]


def test_a_token_asked_for_twice_in_a_minute_is_refused_with_http_403(exchange: Standing) -> None:
    """kis-protocol 1.2: the same token within six hours; once that is revoked, none for a minute."""
    with started(*OPTIONS, "--clock", "step") as other:
        caller = Caller(other)
        first = caller.token
        assert token(caller, **GRANT, **caller.keys).body["access_token"] == first
        revoked = caller.send("POST", "/oauth2/revokeP", JSON, json.dumps({**caller.keys, "token": first}))
        assert revoked.body["code"] == 200
        heard = token(caller, **GRANT, **caller.keys)
        assert (heard.status, heard.body["error_code"]) == (403, "EGW00133")
        assert heard.body["error_description"]


def test_an_expired_token_is_told_from_an_unknown_one() -> None:
    """kis-protocol 1.9: EGW00123 and EGW00121."""
    with started(*OPTIONS, "--clock", "step") as other, Admin(other) as admin:
        for prefix, how, code in (("", "expired", "EGW00123"), ("paper_", "revoked", "EGW00121")):
            caller = Caller(other, prefix)
            assert price(caller, "000000").status == 200
            admin.ask(op="fault", kind="revoke_token", how=how, service="paper" if prefix else "real")
            heard = price(caller, "000000")
            assert (heard.status, heard.body["msg_cd"]) == (500, code)


@pytest.mark.parametrize("prefix", ["", "paper_"], ids=["real", "paper"])
def test_calls_beyond_the_limit_of_a_second_are_refused_with_http_500(prefix: str) -> None:
    """kis-protocol 1.8: the gateway's EGW00201, the ledger's EGW00215; 18 a second real, 1 paper."""
    with started(*OPTIONS, "--clock", "step") as other, Admin(other) as admin:
        caller = Caller(other, prefix)
        limit = 1 if prefix else 18
        assert caller.token
        for _ in range(2):
            admin.step()  # a stepped clock counts by market time
            heard = [price(caller, "000000") for _ in range(limit + 2)]
            assert [one.status for one in heard] == [*[200] * limit, 500, 500]
            assert {one.body["msg_cd"] for one in heard[limit:]} == {"EGW00201"}
        admin.step()
        balance = f"{DOMESTIC}/trading/inquire-balance"
        heard = [caller.get(balance, caller.tr("TTTC8434R"), filled(caller)) for _ in range(limit + 1)]
        assert heard[-1].status == 500
        assert heard[-1].body["msg_cd"] in {"EGW00201", "EGW00215"}


# -- the server behind it -------------------------------------------------------------------------------------

SERVER: dict[str, Provoke] = {
    "OPSQ2000": lambda real, _, __: real.get(
        f"{DOMESTIC}/trading/inquire-balance", "TTTC8434R", filled(real, CANO="99999999")
    ),
    "OPSQ2001": lambda real, _, code: real.get(
        PRICE, "FHKST01010100", {"FID_COND_MRKT_DIV_CODE": "Z", "FID_INPUT_ISCD": code}
    ),
    "OPSQ2002": lambda real, _, __: real.get(
        f"{DOMESTIC}/trading/inquire-balance", "TTTC8434R", filled(real, INQR_DVSN="99")
    ),
    "OPSQ9995": lambda real, _, __: real.post(ORDER, "TTTC0012U", {}),
    "OPSQ9997": lambda real, _, __: real.send("POST", ORDER, real.headers("TTTC0012U", **JSON), "{"),
    "OPSQ9999": lambda real, _, code: priced(real, code, "tr_id"),
}


@pytest.mark.parametrize("code", SERVER)
def test_the_server_refuses_what_it_cannot_read(code: str, real: Caller, paper: Caller, held: str) -> None:
    """kis-protocol 1.6, 1.9: rt_cd 2 where the caller's input is at fault."""
    heard = SERVER[code](real, paper, held)
    assert heard.body["msg_cd"] == code
    assert heard.body["rt_cd"] == "2"


def test_a_missing_parameter_is_refused_by_name_while_a_blank_one_is_not(real: Caller) -> None:
    """kis-protocol 1.6."""
    path = f"{DOMESTIC}/trading/inquire-balance"
    for name in BALANCE:
        left = {key: value for key, value in filled(real).items() if key != name}
        heard = real.get(path, "TTTC8434R", left)
        assert (heard.body["rt_cd"], name in heard.body["msg1"]) == ("2", True)
    assert real.get(path, "TTTC8434R", filled(real, OFL_YN="")).body["rt_cd"] == "0"


def test_a_number_in_an_orders_body_is_refused_where_a_text_is_asked(real: Caller, held: str) -> None:
    """kis-protocol 1.6: POST keys in upper case, all values strings."""
    body: dict[str, Any] = real.cano | {"PDNO": held, "ORD_DVSN": "01", "ORD_QTY": 1, "ORD_UNPR": "0"}
    assert real.post(ORDER, "TTTC0012U", body).body["rt_cd"] == "2"
    lower = {name.lower(): str(value) for name, value in body.items()}
    assert real.post(ORDER, "TTTC0012U", lower).body["rt_cd"] == "2"


# -- business codes -------------------------------------------------------------------------------------------


def place(caller: Caller, tr_id: str, code: str, qty: int, at: int = 0, division: str = "") -> Any:
    body = caller.cano | {
        "PDNO": code, "ORD_DVSN": division or ("00" if at else "01"), "ORD_QTY": str(qty), "ORD_UNPR": str(at),
    }  # fmt: skip
    return caller.post(ORDER, caller.tr(tr_id), body).body


@pytest.mark.parametrize(
    ("what", "order", "on_real", "on_paper"),
    [
        ("a buy", ("TTTC0012U", "held", 1, 0), "APBK0013", "40600000"),
        ("a sell", ("TTTC0011U", "held", 1, 0), "APBK0013", "40590000"),
        ("more than is held", ("TTTC0011U", "held", 9_999_999, 0), "APBK0400", "40240000"),
        ("more than can be paid", ("TTTC0012U", "held", 99_999_999, 0), "APBK0919", "40250000"),
        ("no such stock", ("TTTC0012U", "999990", 1, 0), "APBK0656", "40070000"),
        ("an order type paper lacks", ("TTTC0012U", "held", 1, 0, "13"), "APBK0013", "90000000"),
    ],
)
def test_an_order_is_answered_in_its_services_codes(
    what: str, order: Any, on_real: str, on_paper: str, real: Caller, paper: Caller, held: str
) -> None:
    """kis-protocol 1.9, 4.6, 4.10: HTTP 200 and rt_cd, whatever the business says."""
    tr_id, code, *rest = order
    for caller, expected in ((real, on_real), (paper, on_paper)):
        body = place(caller, tr_id, held if code == "held" else code, *rest)
        assert body["msg_cd"] == expected, (what, body)
        assert (body["rt_cd"] == "0") == (expected in {"APBK0013", "40600000", "40590000"})


@pytest.mark.parametrize(("start", "on_paper"), [("08:00:00", "40570000"), ("15:32:00", "40580000")])
def test_an_order_out_of_hours_is_refused(start: str, on_paper: str) -> None:
    """kis-protocol 1.9: paper knows before the open and after the close."""
    with started(*OPTIONS[:-1], start, "--clock", "step", "--limits", "real=99,paper=99") as other:
        for prefix, expected in (("", "APBK0918"), ("paper_", on_paper)):
            caller = Caller(other, prefix)
            path = f"{DOMESTIC}/trading/inquire-balance"
            held = caller.get(path, caller.tr("TTTC8434R"), filled(caller)).body["output1"][0]["pdno"]
            assert place(caller, "TTTC0012U", held, 1)["msg_cd"] == expected


def test_a_stock_that_is_not_listed_is_mca05918_and_a_path_that_paper_lacks_mca00124(
    real: Caller, paper: Caller
) -> None:
    assert price(real, "999990").body["msg_cd"] == "MCA05918"
    assert paper.get(f"{DOMESTIC}/quotations/no-such-thing", "FHKST01010100", {}).body["msg_cd"] == "MCA00124"


# -- what no client can provoke -------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [*EGW, *OPSQ, *BUSINESS])
def test_every_documented_code_can_be_called_up_as_a_fault(code: str, real: Caller, admin: Admin, held: str) -> None:
    """kis-protocol 1.9: EGW as HTTP 500, the others as HTTP 200 with an rt_cd other than 0; one call only."""
    admin.ask(op="fault", kind="rest_error", code=code, path="inquire-price")
    heard = price(real, held)
    assert (heard.status, heard.body["msg_cd"]) == (500 if code.startswith("EGW") else 200, code)
    assert heard.body["rt_cd"] != "0"
    assert price(real, held).body["rt_cd"] == "0"
