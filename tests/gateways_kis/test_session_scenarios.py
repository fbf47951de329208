"""One feed connection after another, without a socket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kquant.events.base import Event, Recorded, name_of
from kquant.events.feed import (
    Dropped,
    FeedConnected,
    NoticeReceived,
    NoticeUnreadable,
    Registered,
    RegistrationExpired,
    RegistrationRefused,
    RegistrationUnanswered,
    RegistrationVoid,
)
from kquant.events.slots import DropWanted, RegisterWanted
from kquant.exchange.core import wire as exchange
from kquant.gateways.kis.feed.session import NOTICE_PATIENCE, Broken, Data, FeedSession, Rejected, Report
from kquant.values import Epoch, Micros, Seq, Symbol
from tests.gateways_kis.test_wire import BOOK, TRADE_47

GAP, ACK = 100, 1_000
KEY, IV = "abcdefghijklmnopqrstuvwxyz012345", "0123456789abcdef"


def recorded(seq: int, event: Event) -> Recorded:
    return Recorded(
        seq=Seq(seq), stream="slots", version=seq, name=name_of(event), at=Micros(0), by="slots", caused_by=None, index=0,
        event=event, digest=b"",
    )  # fmt: skip


def register(seq: int, code: str, *, epoch: int = 1, valid: int = 10_000, channel: Any = "trades") -> Recorded:
    event = RegisterWanted(
        code=Symbol(code), channel=channel, priority=1, epoch=Epoch(epoch), valid_until=Micros(valid)
    )
    return recorded(seq, event)


def drop(seq: int, code: str, *, epoch: int = 1, channel: Any = "trades") -> Recorded:
    event = DropWanted(code=Symbol(code), channel=channel, epoch=Epoch(epoch), valid_until=Micros(10_000), why="")
    return recorded(seq, event)


def ack(tr_id: str, key: str, code: str, *, rt_cd: str | None = None, keys: tuple[str, str] | None = None) -> str:
    ok = code in {"OPSP0000", "OPSP0001"}
    body: dict[str, Any] = {"rt_cd": rt_cd or ("0" if ok else "1"), "msg_cd": code, "msg1": "text"}
    if keys:
        body["output"] = {"key": keys[0], "iv": keys[1]}
    return json.dumps({"header": {"tr_id": tr_id, "tr_key": key, "encrypt": "N"}, "body": body})


def fresh() -> FeedSession:
    return FeedSession("DEMO01", "50001234-01", "H0STCNI0", gap_us=GAP, ack_us=ACK)


def ready(at: int = 0, epoch: int = 1) -> FeedSession:
    session = fresh()
    session.opened(Epoch(epoch), "approval", Micros(at))
    session.to_send(Micros(at))
    session.receive(ack("H0STCNI0", "DEMO01", "OPSP0000", keys=(KEY, IV)))
    return session


def events(outputs: list[Any]) -> list[Event]:
    return [output.event for output in outputs if isinstance(output, Report)]


def sent(session: FeedSession, at: int) -> list[tuple[str, str, str]]:
    found = []
    for text in session.to_send(Micros(at)):
        frame = json.loads(text)
        found.append((frame["header"]["tr_type"], frame["body"]["input"]["tr_id"], frame["body"]["input"]["tr_key"]))
    return found


def test_the_execution_notice_is_registered_first_and_makes_the_connection():
    session = fresh()
    session.opened(Epoch(1), "approval", Micros(0))
    assert sent(session, 0) == [("1", "H0STCNI0", "DEMO01")]
    assert events(session.request(register(5, "005930"))) == [
        RegistrationVoid(epoch=Epoch(1), code=Symbol("005930"), channel="trades", action="register")
    ]
    outputs = session.receive(ack("H0STCNI0", "DEMO01", "OPSP0000", keys=(KEY, IV)))
    assert events(outputs) == [FeedConnected(epoch=Epoch(1))]


def test_one_request_is_unanswered_at_most_and_requests_keep_their_gap():
    session = ready()
    session.request(register(1, "005930"))
    session.request(register(2, "000660"))
    assert sent(session, GAP - 1) == []
    assert sent(session, GAP) == [("1", "H0STCNT0", "005930")]
    assert sent(session, 5 * GAP) == []
    outputs = session.receive(ack("H0STCNT0", "005930", "OPSP0000"))
    assert events(outputs) == [Registered(epoch=Epoch(1), code=Symbol("005930"), channel="trades", already=False)]
    assert outputs[0].caused_by == 1
    assert session.wake_at() == 2 * GAP
    assert sent(session, 5 * GAP) == [("1", "H0STCNT0", "000660")]


def test_a_pingpong_goes_back_unchanged():
    session = ready()
    text = '{"header": {"tr_id":"PINGPONG","datetime":"20260914150742"} }'
    session.receive(text)
    assert session.to_send(Micros(0)) == [text]


REFUSED = {
    "OPSP0007": "resource", "OPSP0008": "over_capacity", "OPSP0009": "resource", "OPSP0010": "fatal",
    "OPSP0011": "fatal", "OPSP8991": "invalid_key", "OPSP8992": "invalid_key", "OPSP8993": "invalid_key",
    "OPSP8994": "fatal", "OPSP8995": "fatal", "OPSP8996": "fatal", "OPSP8997": "other", "OPSP8998": "other",
    "OPSP8999": "resource", "OPSP9990": "other", "OPSP9991": "other", "OPSP9992": "other", "OPSP9993": "resource",
    "OPSP9994": "fatal", "OPSP9995": "resource", "OPSP9996": "fatal", "OPSP9997": "other", "OPSP9998": "other",
    "OPSP9999": "other",
}  # fmt: skip


@pytest.mark.parametrize(("code", "kind"), REFUSED.items())
def test_every_refusal_code_has_its_kind_and_only_fatal_ones_end_the_connection(code, kind):
    session = ready()
    session.request(register(1, "005930"))
    session.to_send(Micros(GAP))
    tr_id = "(null)" if code == "OPSP8996" else "H0STCNT0"
    outputs = session.receive(ack(tr_id, "005930", code))
    refused, *alerts = events(outputs)
    assert isinstance(refused, RegistrationRefused)
    assert len(alerts) == (kind == "other"), "a request that the broker calls malformed is worth a word"
    assert (refused.kind, refused.message_code) == (kind, code)
    broken = [output for output in outputs if isinstance(output, Broken)]
    assert len(broken) == (kind == "fatal")
    assert all(one.renew_approval == (code == "OPSP0011") for one in broken)


def test_already_and_not_found_are_successes():
    session = ready()
    session.request(register(1, "005930"))
    session.to_send(Micros(GAP))
    (known,) = events(session.receive(ack("H0STCNT0", "005930", "OPSP0002")))
    assert known == Registered(epoch=Epoch(1), code=Symbol("005930"), channel="trades", already=True)
    session.request(drop(2, "005930"))
    session.to_send(Micros(2 * GAP))
    (gone,) = events(session.receive(ack("H0STCNT0", "005930", "OPSP0003")))
    assert gone == Dropped(epoch=Epoch(1), code=Symbol("005930"), channel="trades", already=True)


def test_an_answer_for_another_key_answers_nothing():
    session = ready()
    session.request(register(1, "005930"))
    session.to_send(Micros(GAP))
    assert session.receive(ack("H0STCNT0", "000660", "OPSP0000")) == []
    assert session.receive(ack("H0STASP0", "005930", "OPSP0000")) == []
    assert session.unanswered


def test_a_late_registration_answer_is_not_taken_for_the_drop_that_followed():
    session = ready()
    session.request(register(1, "005930"))
    session.to_send(Micros(GAP))
    (lost,) = events(session.late(Micros(GAP + ACK)))
    assert isinstance(lost, RegistrationUnanswered)
    session.request(drop(2, "005930"))
    session.to_send(Micros(GAP + ACK))
    assert session.receive(ack("H0STCNT0", "005930", "OPSP0000")) == []
    (gone,) = events(session.receive(ack("H0STCNT0", "005930", "OPSP0001")))
    assert isinstance(gone, Dropped)


def test_keys_come_from_the_notice_acknowledgement_only():
    session = ready()
    session.request(register(1, "005930"))
    session.to_send(Micros(GAP))
    session.receive(ack("H0STCNT0", "005930", "OPSP0000", keys=("x" * 32, "y" * 16)))
    (notice,) = events(session.receive(notice_frame("5000123401")))
    assert isinstance(notice, NoticeReceived)
    assert (notice.order_no, notice.qty, notice.price) == ("41", 7, 123_400)


def test_another_account_of_the_same_id_is_not_reported():
    assert ready().receive(notice_frame("5000999901")) == []


def test_a_notice_that_cannot_be_decrypted_is_reported_without_its_content():
    session = ready()
    (unreadable,) = events(session.receive("1|H0STCNI0|001|" + "A" * 64))
    assert isinstance(unreadable, NoticeUnreadable)
    assert "AAAA" not in unreadable.reason
    assert session.rejected == 1


def test_keys_of_one_connection_do_not_open_notices_of_the_next():
    session = ready()
    session.closed()
    session.opened(Epoch(2), "approval", Micros(0))
    (unreadable,) = events(session.receive(notice_frame("5000123401")))
    assert isinstance(unreadable, NoticeUnreadable)


def test_a_request_too_old_to_send_expires_and_one_of_another_epoch_is_void():
    session = ready()
    session.request(register(1, "005930"))
    session.request(register(2, "000660", valid=150))
    session.to_send(Micros(GAP))
    (expired,) = events(session.late(Micros(151)))
    assert isinstance(expired, RegistrationExpired)
    (void,) = events(session.request(register(3, "000660", epoch=2)))
    assert isinstance(void, RegistrationVoid)


def test_a_lost_connection_voids_what_was_asked_and_what_waited():
    session = ready()
    for seq, code in enumerate(("005930", "000660", "035420"), start=1):
        session.request(register(seq, code))
    session.to_send(Micros(GAP))
    outputs = session.closed()
    assert [(type(output.event), output.caused_by) for output in outputs if isinstance(output, Report)] == [
        (RegistrationVoid, 1), (RegistrationVoid, 2), (RegistrationVoid, 3),
    ]  # fmt: skip
    assert session.wake_at() is None


def test_a_notice_registration_without_an_answer_breaks_the_connection():
    session = fresh()
    session.opened(Epoch(1), "approval", Micros(0))
    session.to_send(Micros(0))
    assert session.late(Micros(NOTICE_PATIENCE * ACK - 1)) == [], "a slow answer is cheaper than another connection"
    (broken,) = session.late(Micros(NOTICE_PATIENCE * ACK))
    assert isinstance(broken, Broken)


@pytest.mark.parametrize(
    ("code", "wait", "renew"), [("OPSP8996", 60, False), ("OPSP0011", 5, True), ("OPSP9993", 5, False)]
)
def test_a_refused_notice_registration_breaks_the_connection(code, wait, renew):
    session = fresh()
    session.opened(Epoch(1), "approval", Micros(0))
    session.to_send(Micros(0))
    tr_id = "(null)" if code == "OPSP8996" else "H0STCNI0"
    (broken,) = session.receive(ack(tr_id, "DEMO01", code))
    assert isinstance(broken, Broken)
    assert (broken.wait_seconds, broken.renew_approval) == (wait, renew)


def firsts(outputs: list[Any]) -> list[tuple[str, str]]:
    return [key for output in outputs if isinstance(output, Data) for key in output.first]


def test_first_data_is_told_once_a_registration_and_only_for_what_was_asked():
    session = ready()
    assert firsts(session.receive(TRADE_47)) == []
    session.request(register(1, "005930"))
    session.to_send(Micros(GAP))
    assert firsts(session.receive(TRADE_47)) == [("005930", "trades")]
    assert firsts(session.receive(TRADE_47)) == []
    assert firsts(session.receive(BOOK)) == []
    session.receive(ack("H0STCNT0", "005930", "OPSP0000"))
    session.request(drop(2, "005930"))
    session.to_send(Micros(3 * GAP))
    session.receive(ack("H0STCNT0", "005930", "OPSP0001"))
    assert firsts(session.receive(TRADE_47)) == []


def test_what_cannot_be_read_is_counted_and_nothing_else():
    session = ready()
    for text in ("", "0|H0STCNT0|001|x", "hello"):
        assert session.receive(text) == [Rejected(text, "format")]
    for text in ("{", '{"header":1}', ' {"body":{"output":{"key":"k"}}}', '\ufeff{"header":{}}'):
        assert session.receive(text) == [Rejected("", "control")], "it may hold keys, and is written nowhere"
    assert session.rejected == 7


def notice_frame(account: str) -> str:
    plain = exchange.notice_record(
        hts_id="DEMO01", account=account, order_no=41, origin=0, is_sell=False, request="0", division="00",
        code="000660", qty=7, price=123_400, second=36_000, rejected=False, is_fill=True, accepted="2", branch="06010",
        order_qty=19, holder="holder", name="name", order_price=123_500,
    )  # fmt: skip
    return exchange.data_frame("H0STCNI0", [exchange.encrypt(plain, KEY, IV)], encrypted=True)
