import json

import msgspec
import pytest

from kquant.exchange.core.registrations import WsSession
from kquant.exchange.market.model import Print
from tests.exchange.fake_market import FakeMarket, stock
from tests.exchange.helpers import OPTIONS, WALL, Client

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


def test_the_most_ever_held_and_every_refusal_are_counted(client: Client) -> None:
    session, key = client.connect(), client.approval()
    for code in CODES[:43]:
        client.register(session, key, "H0STCNT0", code)
    for code in CODES[:9]:
        client.register(session, key, "H0STCNT0", code, "2")
    client.register(session, key, "H0STCNT0", CODES[0], "2")
    hub = client.exchange.real.hub
    assert (hub.peak, hub.refusals) == (41, {"OPSP0003": 1, "OPSP0008": 2})


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


def header(**changes: str) -> str:
    """Return a registration without an approval key, its header changed."""
    plain = {"custtype": "P", "tr_type": "1", "content-type": "utf-8"}
    return json.dumps({"header": plain | changes, "body": FRAME["body"]})


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (header(), "OPSP9996"),
        (header(approval_key=""), "OPSP9996"),
        (header(appkey="x"), "OPSP9994"),
        (header(appkey=OPTIONS.app_key), "OPSP8995"),
        (header(appkey=OPTIONS.app_key, appsecret=OPTIONS.app_secret), "OPSP0011"),
        (header(appkey=OPTIONS.app_key, appsecret=OPTIONS.app_secret, custtype="B"), "OPSP8994"),
    ],
)
def test_a_caller_without_an_approval_key_is_refused_by_what_it_lacks(client: Client, text: str, code: str) -> None:
    """kis-protocol 2.2."""
    session = client.connect()
    (answer,) = client.exchange.ws_receive(session, text)
    assert json.loads(answer)["body"]["msg_cd"] == code
    assert session.registered == {}


def test_an_approval_key_opens_for_a_day_and_an_open_session_needs_no_new_one(client: Client) -> None:
    """kis-protocol 1.4: checked only when a subscribe frame arrives."""
    session, key = client.connect(), client.approval()
    client.register(session, key, "H0STCNT0", "000001")
    later = json.dumps({"header": FRAME["header"] | {"approval_key": key}, "body": FRAME["body"]})
    (answer,) = client.exchange.ws_receive(session, later, WALL + 86_399)
    assert json.loads(answer)["body"]["msg_cd"] == "OPSP0002"
    (answer,) = client.exchange.ws_receive(session, later, WALL + 86_400)
    assert json.loads(answer)["body"]["msg_cd"] == "OPSP0011"
    client.exchange.advance(32_420)
    assert [text for _, text in client.exchange.take_outbox() if text.startswith("0|H0STCNT0")]


def test_the_app_key_stays_taken_after_a_loss_and_is_free_at_once_after_an_orderly_close() -> None:
    """kis-protocol 2.5."""
    linger = msgspec.structs.replace(OPTIONS, linger_s=30)
    client = Client(FakeMarket([stock("000001")]), linger)
    client.exchange.advance(32_400)
    key = client.approval()

    def registered() -> tuple[WsSession, str]:
        session = client.connect()
        return session, client.register(session, key, "H0STCNT0", "000001")["body"]["msg_cd"]

    first, code = registered()
    assert code == "OPSP0000"
    client.exchange.ws_disconnect(first, orderly=True)
    second, code = registered()
    assert code == "OPSP0000"
    client.exchange.ws_disconnect(second)
    client.exchange.advance(32_429)
    assert registered()[1] == "OPSP8996"
    client.exchange.advance(32_430)
    assert registered()[1] == "OPSP0000"


def test_every_channel_of_the_real_service_is_counted_by_itself(client: Client) -> None:
    """kis-protocol 3.7, 7.6: NXT, unified and overseas-notice channels count like any other."""
    session, key = client.connect(), client.approval()
    channels = [f"H0{venue}{kind}" for venue in ("ST", "NX", "UN") for kind in ("CNT0", "ASP0", "PGM0", "MKO0", "ANC0")]
    for tr_id in channels:
        assert client.register(session, key, tr_id, "000001")["body"]["msg_cd"] == "OPSP0000"
    for tr_id in ("H0STCNI0", "H0GSCNI0"):
        assert client.register(session, key, tr_id, "DEMO01")["body"]["msg_cd"] == "OPSP0000"
    assert client.register(session, key, "H0STCNI9", "DEMO01")["body"]["msg_cd"] == "OPSP8991"
    assert len(session.registered) == 17


def test_each_channel_has_a_cipher_of_its_own(client: Client) -> None:
    """kis-protocol 2.2: a client that overwrites the notice's key by another ack's cannot read its fills."""
    session, key = client.connect(), client.approval()
    outputs = [
        client.register(session, key, tr_id, tr_key)["body"]["output"]
        for tr_id, tr_key in (("H0STCNI0", "DEMO01"), ("H0STCNT0", "000001"), ("H0STASP0", "000001"))
    ]
    assert len({output["key"] for output in outputs}) == len({output["iv"] for output in outputs}) == 3
    again = client.register(session, key, "H0STCNT0", "000002")["body"]["output"]
    assert again == outputs[1]
    client.exchange.ws_disconnect(session)
    other = client.register(client.connect(), key, "H0STCNT0", "000001")["body"]["output"]
    assert other != outputs[1]


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
    assert not session.is_over(now + 2)
    assert session.is_over(now + 3)


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
