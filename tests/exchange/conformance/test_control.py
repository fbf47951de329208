"""Every control message of kis-protocol 2 over real sockets: OPSP codes, the 41 rule, PINGPONG, encrypted notices."""

import base64
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from websockets.sync.client import ClientConnection

from tests.exchange.protocol_account import BALANCE
from tests.exchange.standing import Admin, Standing, started
from tests.strangers.habits import DOMESTIC, Caller, control, register

OPTIONS = (
    *("--generate", "7", "--stocks", "300", "--holdings", "45", "--day", "2026-11-20", "--start", "10:00:00"),
    *("--clock", "step", "--limits", "real=10000,paper=10000", "--linger", "30", "--list-lag", "0"),
)
PREFIXES = pytest.mark.parametrize("prefix", ["", "paper_"], ids=["real", "paper"])
MESSAGES = {
    "OPSP0000": ("0", "SUBSCRIBE SUCCESS"),
    "OPSP0001": ("0", "UNSUBSCRIBE SUCCESS"),
    "OPSP0002": ("1", "ALREADY IN SUBSCRIBE"),
    "OPSP0003": ("1", "UNSUBSCRIBE ERROR"),
    "OPSP0007": ("1", "SUBSCRIBE INTERNAL ERROR"),
    "OPSP0008": ("1", "MAX SUBSCRIBE OVER"),
    "OPSP0009": ("1", "SUBSCRIBE ERROR"),
    "OPSP0010": ("1", "SUBSCRIBE WARNING"),
    "OPSP0011": ("1", "invalid approval"),
    "OPSP8991": ("1", "invalid tr_id"),
    "OPSP8992": ("1", "invalid tr_key"),
    "OPSP8993": ("1", ""),
    "OPSP8994": ("1", "personalseckey"),
    "OPSP8995": ("1", "appsecret"),
    "OPSP8996": ("9", "ALREADY IN USE appkey"),
    "OPSP8997": ("1", "invalid tr_type"),
    "OPSP8998": ("1", "custtype"),
    "OPSP8999": ("1", "resource not available"),
    "OPSP9990": ("1", "tr_key"),
    "OPSP9991": ("1", "input"),
    "OPSP9992": ("1", "body"),
    "OPSP9993": ("1", "internal error"),
    "OPSP9994": ("1", ""),
    "OPSP9995": ("1", "resource not available"),
    "OPSP9996": ("1", ""),
    "OPSP9997": ("1", "custtype"),
    "OPSP9998": ("1", "header"),
    "OPSP9999": ("1", "JSON"),
}
"""msg_cd -> rt_cd and what msg1 says, in the order of kis-protocol 2.2."""


@pytest.fixture(scope="module")
def exchange() -> Iterator[Standing]:
    with started(*OPTIONS) as one:
        yield one


@pytest.fixture(scope="module")
def admin(exchange: Standing) -> Iterator[Admin]:
    with Admin(exchange) as one:
        yield one


@pytest.fixture(scope="module")
def codes(exchange: Standing) -> list[str]:
    """Stocks that the real account holds."""
    caller = Caller(exchange)
    rows = caller.get(f"{DOMESTIC}/trading/inquire-balance", "TTTC8434R", BALANCE | caller.cano).body["output1"]
    return [row["pdno"] for row in rows]


def heard(socket: ClientConnection, text: str) -> Any:
    socket.send(text)
    return control(socket)


def said(answer: Any, code: str) -> bool:
    rt_cd, words = MESSAGES[code]
    body = answer["body"]
    return (body["msg_cd"], body["rt_cd"]) == (code, rt_cd) and words in body["msg1"]


# -- what a frame provokes ------------------------------------------------------------------------------------

HEADER = {"approval_key": "{approval}", "custtype": "P", "tr_type": "1", "content-type": "utf-8"}
INPUT = {"tr_id": "H0STCNT0", "tr_key": "{code}"}


def frame(header: dict[str, Any] | None = None, body: Any = None, **changes: Any) -> str:
    made = {name: value for name, value in ((header or HEADER) | changes).items() if value is not None}
    return json.dumps({"header": made, "body": {"input": INPUT} if body is None else body})


BAD = {
    "OPSP0011": frame(approval_key="00000000-0000-4000-a000-000000000000"),
    "OPSP0010": frame(approval_key="{foreign}"),
    "OPSP8991": frame(body={"input": INPUT | {"tr_id": "H0STXXX0"}}),
    "OPSP8992": frame(body={"input": INPUT | {"tr_key": "999999"}}),
    "OPSP8993": frame(body={"input": INPUT | {"tr_key": 5930}}),
    "OPSP8994": frame(approval_key=None, appkey="{appkey}", appsecret="{appsecret}", custtype="B"),
    "OPSP8995": frame(approval_key=None, appkey="{appkey}"),
    "OPSP8997": frame(tr_type="0"),
    "OPSP8998": frame(custtype="Z"),
    "OPSP9990": frame(body={"input": {"tr_id": "H0STCNT0"}}),
    "OPSP9991": frame(body={"other": 1}),
    "OPSP9992": json.dumps({"header": HEADER}),
    "OPSP9994": frame(approval_key=None, appkey="x"),
    "OPSP9996": frame(approval_key=None),
    "OPSP9997": frame(custtype=None),
    "OPSP9998": json.dumps({"body": {"input": INPUT}}),
    "OPSP9999": "{",
}


@PREFIXES
@pytest.mark.parametrize("code", BAD)
def test_a_bad_frame_is_refused_by_its_code_and_the_line_stays(
    code: str, prefix: str, exchange: Standing, codes: list[str]
) -> None:
    caller, other = Caller(exchange, prefix), Caller(exchange, "" if prefix else "paper_")
    fills = {
        "{approval}": caller.approval().body["approval_key"],
        "{foreign}": other.approval().body["approval_key"],
        "{code}": codes[0],
        "{appkey}": caller.keys["appkey"],
        "{appsecret}": caller.keys["appsecret"],
    }
    text = BAD[code]
    for place, value in fills.items():
        text = text.replace(place, value)
    with caller.line() as socket:
        assert said(heard(socket, text), code)
        assert said(heard(socket, register(fills["{approval}"], "H0STCNT0", codes[0])), "OPSP0000")


@PREFIXES
def test_registering_and_unregistering_are_acknowledged_with_the_pair(
    prefix: str, exchange: Standing, codes: list[str]
) -> None:
    """kis-protocol 2.1, 2.2: tr_type 1 and 2; every successful acknowledgement carries key and iv."""
    caller = Caller(exchange, prefix)
    approval = caller.approval().body["approval_key"]
    with caller.line() as socket:
        for tr_type, code in (("1", "OPSP0000"), ("1", "OPSP0002"), ("2", "OPSP0001"), ("2", "OPSP0003")):
            answer = heard(socket, register(approval, "H0STASP0", codes[0], tr_type))
            assert said(answer, code)
            assert answer["header"] == {"tr_id": "H0STASP0", "tr_key": codes[0], "encrypt": "N"}
            if answer["body"]["rt_cd"] == "0":
                output = answer["body"]["output"]
                assert (len(output["key"]), len(output["iv"])) == (32, 16)


@PREFIXES
def test_the_42nd_registration_is_refused_whatever_the_channels(
    prefix: str, exchange: Standing, codes: list[str]
) -> None:
    """kis-protocol 2.5: 41 over all tr_id x tr_key pairs, the notice included."""
    caller = Caller(exchange, prefix)
    approval = caller.approval().body["approval_key"]
    notice = ("H0STCNI9" if prefix else "H0STCNI0", caller.hts_id)
    pairs = [notice, *((tr_id, code) for code in codes[:20] for tr_id in ("H0STCNT0", "H0STASP0"))]
    assert len(pairs) == 41
    with caller.line() as socket:
        for pair in pairs:
            assert said(heard(socket, register(approval, *pair)), "OPSP0000")
        assert said(heard(socket, register(approval, "H0STCNT0", codes[20])), "OPSP0008")
        assert said(heard(socket, register(approval, *pairs[1], "2")), "OPSP0001")
        assert said(heard(socket, register(approval, "H0STCNT0", codes[20])), "OPSP0000")


@PREFIXES
def test_a_second_line_of_the_key_is_refused_and_a_lost_one_keeps_it_for_a_while(
    prefix: str, exchange: Standing, codes: list[str], admin: Admin
) -> None:
    """kis-protocol 2.2, 2.5: rt_cd 9, header (null); taken for some tens of seconds after a loss."""
    caller = Caller(exchange, prefix)
    text = register(caller.approval().body["approval_key"], "H0STCNT0", codes[0])
    with caller.line() as first, caller.line() as second:
        assert said(heard(first, text), "OPSP0000")
        answer = heard(second, text)
        assert said(answer, "OPSP8996")
        assert answer["header"]["tr_id"] == "(null)"
        assert "output" not in answer["body"]
        first.socket.shutdown(2)
        while admin.ask(op="registrations", service="paper" if prefix else "real")["sessions"][0]["registered"]:
            pass
        assert said(heard(second, text), "OPSP8996")
        admin.step(31)
        assert said(heard(second, text), "OPSP0000")


@PREFIXES
def test_a_line_that_its_client_closes_frees_the_key_at_once(
    prefix: str, exchange: Standing, codes: list[str], admin: Admin
) -> None:
    """kis-protocol 2.5, 6 row 3: close properly; some clients send a close frame without a code."""
    caller = Caller(exchange, prefix)
    text = register(caller.approval().body["approval_key"], "H0STCNT0", codes[0])
    for code in (None, 1000, None):
        with caller.line() as socket:
            assert said(heard(socket, text), "OPSP0000")
            socket.protocol.send_close(code)
            for data in socket.protocol.data_to_send():
                socket.socket.sendall(data)
            while admin.ask(op="registrations", service="paper" if prefix else "real")["sessions"]:
                pass


@pytest.mark.parametrize(
    "tr_id",
    [*(f"H0{venue}{kind}" for venue in ("ST", "NX", "UN") for kind in ("CNT0", "ASP0", "PGM0", "MKO0", "ANC0"))],
)
def test_paper_offers_trades_books_and_its_notice_alone(tr_id: str, exchange: Standing, codes: list[str]) -> None:
    """kis-protocol 2.5, 3.7, 4.1: everything else is OPSP8991 there and open to a real key."""
    for prefix in ("", "paper_"):
        caller = Caller(exchange, prefix)
        with caller.line() as socket:
            answer = heard(socket, register(caller.approval().body["approval_key"], tr_id, codes[0]))
        offered = not prefix or tr_id in {"H0STCNT0", "H0STASP0"}
        assert said(answer, "OPSP0000" if offered else "OPSP8991"), (prefix, tr_id)


@pytest.mark.parametrize("code", [code for code in MESSAGES if code not in {"OPSP0000", "OPSP0001"}])
def test_every_refusal_of_the_document_can_be_called_up(
    code: str, exchange: Standing, codes: list[str], admin: Admin
) -> None:
    """kis-protocol 2.2; those that no frame provokes as well."""
    caller = Caller(exchange)
    text = register(caller.approval().body["approval_key"], "H0STCNT0", codes[0])
    with caller.line() as socket:
        admin.ask(op="fault", kind="refuse_registration", code=code, service="real")
        assert said(heard(socket, text), code)
        assert said(heard(socket, text), "OPSP0000")


# -- PINGPONG and data ----------------------------------------------------------------------------------------


@PREFIXES
def test_pingpong_comes_every_twelve_seconds_with_the_markets_time(
    prefix: str, exchange: Standing, codes: list[str], admin: Admin
) -> None:
    """kis-protocol 2.3: about 11-14 s; no body, date and time in KST; an echo is not answered."""
    caller = Caller(exchange, prefix)
    with caller.line() as socket:
        text = register(caller.approval().body["approval_key"], "H0STASP0", codes[0])
        assert said(heard(socket, text), "OPSP0000")
        times = []
        for _ in range(3):
            admin.step(14)
            ping = control(socket)
            assert list(ping) == ["header"]
            assert ping["header"]["tr_id"] == "PINGPONG"
            times.append(ping["header"]["datetime"])
            socket.send(json.dumps(ping))
        assert all(len(one) == 14 and one.startswith("2026112010") for one in times)
        seconds = [int(one[8:10]) * 3_600 + int(one[10:12]) * 60 + int(one[12:]) for one in times]
        assert all(11 <= later - earlier <= 14 for earlier, later in pairwise(seconds))


def opened(payload: str, key: str, iv: str) -> str:
    """Decrypt as kis-protocol 2.4 says: base64, AES-256-CBC, PKCS7, UTF-8."""
    decryptor = Cipher(algorithms.AES(key.encode("ascii")), modes.CBC(iv.encode("ascii"))).decryptor()
    padded = decryptor.update(base64.b64decode(payload, validate=True)) + decryptor.finalize()
    unpadder = padding.PKCS7(128).unpadder()
    return (unpadder.update(padded) + unpadder.finalize()).decode()


def sent_so_far(socket: ClientConnection, admin: Admin, prefix: str, count: int) -> list[str]:
    """Return the texts that were sent to the newest line beyond the *count* that it has read."""
    frames = admin.ask(op="frames", service="paper" if prefix else "real")["frames"]
    return [str(socket.recv(timeout=30)) for _ in range(frames - count)]


@PREFIXES
def test_an_order_is_told_by_encrypted_notices_of_its_account(
    prefix: str, exchange: Standing, codes: list[str], admin: Admin
) -> None:
    """kis-protocol 2.4, 3.4: accepted, then filled in parts that add up; keys of the session alone."""
    caller = Caller(exchange, prefix)
    tr_id = "H0STCNI9" if prefix else "H0STCNI0"
    approval = caller.approval().body["approval_key"]
    with caller.line() as socket:
        answer = heard(socket, register(approval, tr_id, caller.hts_id))
        assert answer["header"]["encrypt"] == "Y"
        keys = (answer["body"]["output"]["key"], answer["body"]["output"]["iv"])
        body = caller.cano | {"PDNO": codes[0], "ORD_DVSN": "01", "ORD_QTY": "3", "ORD_UNPR": "0"}
        sent = caller.post(f"{DOMESTIC}/trading/order-cash", caller.tr("TTTC0012U"), body).body["output"]
        notices: list[list[str]] = []
        count = 1
        while sum(int(one[9]) for one in notices if one[13] == "2") < 3:
            admin.step()
            texts = sent_so_far(socket, admin, prefix, count)
            count += len(texts)
            for flag, channel, count, payload in (text.split("|", 3) for text in texts if text[0] != "{"):
                assert (flag, channel, count) == ("1", tr_id, "001")
                notices.append(opened(payload, *keys).split("^"))
    assert {len(one) for one in notices} == {26}
    assert {(one[0], one[1]) for one in notices} == {(caller.hts_id, "".join(caller.cano.values()))}
    assert {one[2] for one in notices} == {sent["ODNO"]}
    accepted, *fills = notices
    assert (accepted[5], accepted[12], accepted[13], accepted[14], accepted[9]) == ("0", "0", "1", "1", "0000000003")
    assert accepted[15] == sent["KRX_FWDG_ORD_ORGNO"]
    assert {(one[13], one[14], one[12], one[16]) for one in fills} == {("2", "2", "0", "000000003")}
    assert all(int(one[10]) > 0 for one in fills)


@PREFIXES
def test_frames_have_the_widths_of_the_layout_and_cumulative_volume_grows_by_each_trade(
    prefix: str, exchange: Standing, codes: list[str], admin: Admin
) -> None:
    """kis-protocol 2.4, 3.1, 3.2: three-digit counts, records back to back, [13] grows by [12]."""
    caller = Caller(exchange, prefix)
    approval = caller.approval().body["approval_key"]
    widths = {"H0STCNT0": 47, "H0STASP0": 62}
    with caller.line() as socket:
        for code in codes[:10]:
            for tr_id in widths:
                assert said(heard(socket, register(approval, tr_id, code)), "OPSP0000")
        admin.step(60)
        texts = [text for text in sent_so_far(socket, admin, prefix, 20) if not text.startswith("{")]
    volumes: dict[str, int] = {}
    seen = set()
    for flag, tr_id, count, payload in (text.split("|", 3) for text in texts):
        assert (flag, len(count)) == ("0", 3)
        cells = payload.split("^")
        assert len(cells) == int(count) * widths[tr_id]
        seen.add(tr_id)
        for start in range(0, len(cells), widths[tr_id]):
            one = cells[start : start + widths[tr_id]]
            assert one[0] in codes[:10]
            if tr_id == "H0STCNT0":
                volume = int(one[13])
                assert volumes.get(one[0], volume - int(one[12])) + int(one[12]) == volume
                volumes[one[0]] = volume
    assert seen == set(widths)
