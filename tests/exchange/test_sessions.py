import json

import pytest

from kquant.exchange.market.model import Print
from tests.exchange.fake_market import FakeMarket, stock
from tests.exchange.helpers import Client

CODES = [f"{n:06d}" for n in range(1, 46)]


@pytest.fixture
def client() -> Client:
    prints = {"000001": [Print(32_410, 10_000, 5, 3), Print(32_410, 10_010, 6, 1), Print(32_412, 10_000, 7, 5)]}
    return Client(FakeMarket([stock(code) for code in CODES], prints))


def test_the_42nd_registration_is_refused_and_an_unregistration_makes_room(client: Client) -> None:
    session, key = client.connect(), client.approval()
    assert client.register(session, key, "H0STCNI0", "DEMO01")["body"]["msg_cd"] == "OPSP0000"
    for code in CODES[:40]:
        assert client.register(session, key, "H0STCNT0", code)["body"]["msg_cd"] == "OPSP0000"
    refused = client.register(session, key, "H0STCNT0", CODES[40])
    assert (refused["body"]["rt_cd"], refused["body"]["msg_cd"]) == ("1", "OPSP0008")
    assert client.register(session, key, "H0STCNT0", CODES[0], "2")["body"]["msg_cd"] == "OPSP0001"
    assert client.register(session, key, "H0STCNT0", CODES[40])["body"]["msg_cd"] == "OPSP0000"


def test_each_channel_of_a_stock_counts_by_itself_and_twice_is_refused(client: Client) -> None:
    session, key = client.connect(), client.approval()
    client.register(session, key, "H0STCNT0", CODES[0])
    client.register(session, key, "H0STASP0", CODES[0])
    assert len(session.registered) == 2
    assert client.register(session, key, "H0STCNT0", CODES[0])["body"]["msg_cd"] == "OPSP0002"
    assert client.register(session, key, "H0STCNT0", CODES[1], "2")["body"]["msg_cd"] == "OPSP0003"


def test_an_acknowledgement_carries_key_and_iv_and_marks_notices_encrypted(client: Client) -> None:
    session, key = client.connect(), client.approval()
    plain = client.register(session, key, "H0STCNT0", CODES[0])
    notice = client.register(session, key, "H0STCNI0", "DEMO01")
    assert (plain["header"]["encrypt"], notice["header"]["encrypt"]) == ("N", "Y")
    assert (len(notice["body"]["output"]["iv"]), len(notice["body"]["output"]["key"])) == (16, 32)


def test_a_second_session_of_the_app_key_is_refused_until_the_first_is_gone(client: Client) -> None:
    first, second, key = client.connect(), client.connect(), client.approval()
    client.register(first, key, "H0STCNT0", CODES[0])
    refused = client.register(second, key, "H0STCNT0", CODES[0])
    assert (refused["body"]["rt_cd"], refused["body"]["msg_cd"]) == ("9", "OPSP8996")
    assert refused["header"]["tr_id"] == "(null)"
    client.exchange.ws_disconnect(first)
    assert client.register(second, key, "H0STCNT0", CODES[0])["body"]["msg_cd"] == "OPSP0000"


def test_a_lost_session_loses_every_registration(client: Client) -> None:
    session, key = client.connect(), client.approval()
    client.register(session, key, "H0STCNT0", CODES[0])
    client.exchange.ws_disconnect(session)
    client.exchange.advance(32_420)
    assert client.exchange.take_outbox() == []


FRAME = {
    "header": {"approval_key": "none", "custtype": "P", "tr_type": "1", "content-type": "utf-8"},
    "body": {"input": {"tr_id": "H0STCNT0", "tr_key": "000001"}},
}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "OPSP9999"),
        ("[]", "OPSP9999"),
        (json.dumps({"body": FRAME["body"]}), "OPSP9998"),
        (json.dumps({"header": {"tr_type": "1"}, "body": FRAME["body"]}), "OPSP9997"),
        (json.dumps({"header": FRAME["header"] | {"custtype": "X"}, "body": FRAME["body"]}), "OPSP8998"),
        (json.dumps({"header": FRAME["header"] | {"tr_type": "0"}, "body": FRAME["body"]}), "OPSP8997"),
        (json.dumps({"header": FRAME["header"]}), "OPSP9992"),
        (json.dumps({"header": FRAME["header"], "body": {}}), "OPSP9991"),
        (json.dumps({"header": FRAME["header"], "body": {"input": {"tr_id": "H0XX"}}}), "OPSP8991"),
        (json.dumps({"header": FRAME["header"], "body": {"input": {"tr_id": "H0STCNT0"}}}), "OPSP9990"),
        (json.dumps({"header": FRAME["header"], "body": {"input": {"tr_id": "H0STCNT0", "tr_key": 5}}}), "OPSP8993"),
        (json.dumps(FRAME), "OPSP0011"),
    ],
)
def test_a_faulty_frame_is_refused_with_its_code(client: Client, text: str, code: str) -> None:
    (answer,) = client.exchange.ws_receive(client.connect(), text)
    assert json.loads(answer)["body"]["msg_cd"] == code


def test_an_unknown_symbol_is_an_invalid_key(client: Client) -> None:
    session, key = client.connect(), client.approval()
    assert client.register(session, key, "H0STCNT0", "999999")["body"]["msg_cd"] == "OPSP8992"
    assert client.register(session, key, "H0STCNT0", "")["body"]["msg_cd"] == "OPSP8992"


def test_a_notice_under_a_foreign_hts_id_is_acknowledged_and_its_line_is_soon_cut(client: Client) -> None:
    """kis-protocol 6, row 1."""
    session, key = client.connect(), client.approval()
    hub, now = client.exchange.real.hub, client.exchange.now_us // 1_000_000
    assert client.register(session, key, "H0STCNI0", "OTHER")["body"]["msg_cd"] == "OPSP0000"
    assert list(hub.listeners()) == []
    assert hub.ended(now + 2) == []
    assert hub.ended(now + 3) == [session]


def test_prints_of_one_second_come_in_one_frame_with_cumulative_figures(client: Client) -> None:
    session, key = client.connect(), client.approval()
    client.register(session, key, "H0STCNT0", "000001")
    client.exchange.advance(32_420)
    frames = [text for _, text in client.exchange.take_outbox() if text.startswith("0|H0STCNT0")]
    assert [frame.split("|")[2] for frame in frames] == ["002", "001"]
    cells = "^".join(frame.split("|", 3)[3] for frame in frames).split("^")
    records = [cells[at : at + 47] for at in range(0, len(cells), 47)]
    assert [(row[2], row[12], row[13]) for row in records] == [
        ("10000", "5", "5"),
        ("10010", "6", "11"),
        ("10000", "7", "18"),
    ]


def test_a_session_is_pinged_about_every_12_seconds_of_market_time_and_its_echo_is_not_answered(
    client: Client,
) -> None:
    session, key = client.connect(), client.approval()
    client.register(session, key, "H0STCNI0", "DEMO01")
    client.exchange.advance(32_400)
    client.exchange.take_outbox()
    client.exchange.advance(32_460)
    pings = [text for _, text in client.exchange.take_outbox() if "PINGPONG" in text]
    assert len(pings) == 5
    assert client.exchange.ws_receive(session, pings[0]) == []
    assert session.pongs == 1
