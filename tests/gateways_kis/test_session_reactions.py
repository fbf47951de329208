"""What a session does about each control code, an unusable acknowledgement, and a layout that changes."""

from __future__ import annotations

import json

import pytest

from kquant.events.day import AlertRaised
from kquant.events.feed import (
    FeedConnected,
    NoticeReceived,
    NoticeUnreadable,
    Registered,
    RegistrationExpired,
    RegistrationRefused,
    RegistrationVoid,
)
from kquant.exchange.core import wire as exchange
from kquant.gateways.kis.feed.channels import KNOWN_WIDTHS, ON_PAPER, TR_IDS
from kquant.gateways.kis.feed.control import OPSP
from kquant.gateways.kis.feed.session import Broken, Data, FeedSession, Report
from kquant.values import Epoch, Micros, Symbol
from tests.gateways_kis.test_session_scenarios import (
    ACK,
    GAP,
    IV,
    KEY,
    ack,
    drop,
    events,
    fresh,
    notice_frame,
    ready,
    register,
    sent,
)
from tests.gateways_kis.test_wire import TRADE_46, TRADE_47

# kis-protocol 2.2, the table of message codes, in the words of its column "reaction".
DOCUMENTED = {
    "active": ["OPSP0000"],
    "free": ["OPSP0001"],
    "already": ["OPSP0002"],
    "not_found": ["OPSP0003"],
    "retry": ["OPSP0007", "OPSP0009", "OPSP8999", "OPSP9993", "OPSP9995"],
    "learn": ["OPSP0008"],
    "stop": ["OPSP0010", "OPSP8994", "OPSP8995", "OPSP9994", "OPSP9996"],
    "renew": ["OPSP0011"],
    "wait": ["OPSP8996"],
    "fix": [
        "OPSP8991", "OPSP8992", "OPSP8993", "OPSP8997", "OPSP8998", "OPSP9990", "OPSP9991", "OPSP9992", "OPSP9997",
        "OPSP9998", "OPSP9999",
    ],
}  # fmt: skip


def test_every_documented_code_has_the_documented_reaction_kis_protocol_2_2() -> None:
    assert {code: react.does for code, react in OPSP.items()} == {
        code: does for does, codes in DOCUMENTED.items() for code in codes
    }


@pytest.mark.parametrize("code", sorted(code for code, react in OPSP.items() if react.kind is not None))
@pytest.mark.parametrize(("tr_id", "key"), [("(null)", "(null)"), ("(null)", ""), ("", "")])
def test_a_refusal_whose_header_names_nothing_answers_what_was_asked_kis_protocol_2_2(code, tr_id, key) -> None:
    session = ready()
    session.request(register(1, "005930"))
    session.to_send(Micros(GAP))
    outputs = session.receive(ack(tr_id, key, code, rt_cd="9"))
    refused = events(outputs)[0]
    assert isinstance(refused, RegistrationRefused)
    assert refused.message_code == code
    assert not session.unanswered


def test_a_header_with_null_for_its_tr_id_is_read_like_one_that_says_so() -> None:
    session = ready()
    session.request(register(1, "005930"))
    session.to_send(Micros(GAP))
    text = '{"header":{"tr_id":null,"tr_key":null},"body":{"rt_cd":"9","msg_cd":"OPSP8996","msg1":"ALREADY IN USE"}}'
    assert any(isinstance(one, Broken) for one in session.receive(text))


@pytest.mark.parametrize("code", [code for code, react in OPSP.items() if react.does == "stop"])
def test_a_code_that_says_stop_is_fatal_and_alerts_kis_protocol_2_2(code) -> None:
    session = fresh()
    session.opened(Epoch(1), "approval", Micros(0))
    (broken,) = session.receive(ack("H0STCNI0", "DEMO01", code))
    assert isinstance(broken, Broken)
    assert broken.fatal
    assert code in broken.alert


def test_a_session_that_takes_the_key_over_ends_ours_even_when_nothing_was_asked() -> None:
    (broken,) = ready().receive(ack("(null)", "", "OPSP8996", rt_cd="9"))
    assert isinstance(broken, Broken)
    assert (broken.wait_seconds, broken.fatal) == (60, False)
    assert "OPSP8996" in broken.alert


@pytest.mark.parametrize("keys", [None, ("short", "short"), ("k" * 32, "i" * 15), ("k" * 31, "i" * 16)])
@pytest.mark.parametrize("code", ["OPSP0000", "OPSP0002"])
def test_a_notice_acknowledged_without_usable_keys_is_not_ready(keys, code) -> None:
    session = fresh()
    session.opened(Epoch(1), "approval", Micros(0))
    session.to_send(Micros(0))
    (broken,) = session.receive(ack("H0STCNI0", "DEMO01", code, keys=keys))
    assert isinstance(broken, Broken)
    assert "keys" in broken.reason
    (void,) = events(session.request(register(1, "005930")))
    assert isinstance(void, RegistrationVoid)


def test_keys_of_a_refusal_are_not_taken() -> None:
    session = ready()
    session.receive(ack("H0STCNI0", "DEMO01", "OPSP9993", keys=("x" * 32, "y" * 16)))
    (notice,) = events(session.receive(notice_frame("5000123401")))
    assert notice.order_no == "41"


def test_a_quotes_only_session_is_ready_once_it_is_open_and_registers_no_notice() -> None:
    session = FeedSession("", "", None, gap_us=GAP, ack_us=ACK)
    assert session.opened(Epoch(3), "approval", Micros(0)) == [Report(FeedConnected(epoch=Epoch(3)))]
    assert session.to_send(Micros(0)) == []
    session.request(register(1, "005930", epoch=3))
    assert sent(session, GAP) == [("1", "H0STCNT0", "005930")]


def test_what_the_service_lacks_is_refused_here_and_never_sent_kis_protocol_2_5() -> None:
    session = FeedSession("DEMO01", "50001234-01", "H0STCNI9", gap_us=GAP, ack_us=ACK, offered=ON_PAPER)
    session.opened(Epoch(1), "approval", Micros(0))
    session.to_send(Micros(0))
    session.receive(ack("H0STCNI9", "DEMO01", "OPSP0000", keys=(KEY, IV)))
    (refused,) = events(session.request(register(1, "005930", channel="program")))
    assert (refused.kind, refused.message_code) == ("invalid_key", "")
    assert "H0STPGM0" in refused.message
    assert session.request(register(2, "005930", channel="book")) == []
    assert sent(session, GAP) == [("1", "H0STASP0", "005930")]


@pytest.mark.parametrize("market", sorted(TR_IDS))
def test_one_setting_chooses_whose_market_is_registered_kis_protocol_3_7(market) -> None:
    session = FeedSession("DEMO01", "50001234-01", None, gap_us=0, ack_us=ACK, market=market)
    session.opened(Epoch(1), "approval", Micros(0))
    for seq, channel in enumerate(("trades", "book", "program", "status"), 1):
        session.request(register(seq, "005930", channel=channel))
        assert sent(session, seq) == [("1", TR_IDS[market][channel], "005930")]
        (answered,) = events(session.receive(ack(TR_IDS[market][channel], "005930", "OPSP0000")))
        assert isinstance(answered, Registered)


def test_what_is_active_is_not_registered_again_kis_protocol_2_5() -> None:
    session = ready()
    session.request(register(1, "005930"))
    session.to_send(Micros(GAP))
    session.receive(ack("H0STCNT0", "005930", "OPSP0000"))
    session.request(register(2, "005930"))
    assert session.wake_at() is not None
    assert sent(session, 9 * GAP) == []
    (held,) = session.late(Micros(9 * GAP))
    assert held == Report(Registered(epoch=Epoch(1), code=Symbol("005930"), channel="trades", already=True), 2)
    session.request(drop(3, "005930"))
    session.request(register(4, "005930"))
    assert sent(session, 10 * GAP) == [("2", "H0STCNT0", "005930")]
    session.receive(ack("H0STCNT0", "005930", "OPSP0001"))
    assert sent(session, 20 * GAP) == [("1", "H0STCNT0", "005930")]


def test_a_late_acknowledgement_still_tells_the_truth_and_spares_the_second_request() -> None:
    session = ready()
    session.request(register(1, "005930"))
    session.to_send(Micros(GAP))
    session.late(Micros(GAP + ACK))
    (late,) = session.receive(ack("H0STCNT0", "005930", "OPSP0000"))
    assert late == Report(Registered(epoch=Epoch(1), code=Symbol("005930"), channel="trades", already=False), None)
    session.request(register(2, "005930"))
    assert sent(session, 9 * GAP + ACK) == []
    (held,) = session.late(Micros(9 * GAP + ACK))
    assert held.caused_by == 2


def test_the_first_data_of_an_unanswered_registration_is_its_acknowledgement() -> None:
    session = ready()
    session.request(register(1, "005930"))
    session.to_send(Micros(GAP))
    session.late(Micros(GAP + ACK))
    (data,) = session.receive(TRADE_47)
    assert data.first == (("005930", "trades"),)
    session.request(register(2, "005930"))
    assert sent(session, 9 * GAP + ACK) == []


def test_data_that_is_not_believed_is_no_first_data() -> None:
    session = ready()
    session.request(register(1, "005930"))
    session.to_send(Micros(GAP))
    session.receive(ack("H0STCNT0", "005930", "OPSP0000"))
    (data,) = session.receive(TRADE_47)
    session.doubted(data.first)
    (again,) = session.receive(TRADE_47)
    assert (data.first, again.first) == ((("005930", "trades"),),) * 2


def widened(frame: str, fields: int) -> str:
    return frame + "^x" * fields


def test_a_width_nobody_knows_is_told_once_a_channel_kis_protocol_6_row_6() -> None:
    session = ready()
    outputs = [session.receive(widened(TRADE_47, 2)) for _ in range(3)]
    alerts = [one.event for each in outputs for one in each if isinstance(one, Report)]
    assert [type(one) for one in alerts] == [AlertRaised]
    assert "49 fields" in alerts[0].text
    assert all(isinstance(each[-1], Data) for each in outputs), "and the frame is taken all the same"


def test_a_width_that_changes_is_told_once_although_both_are_known() -> None:
    session = ready()
    outputs = [session.receive(frame) for frame in (TRADE_46, TRADE_47, TRADE_46, TRADE_47)]
    assert [len(each) for each in outputs] == [1, 2, 1, 1]
    assert "47 fields, 46 before" in outputs[1][0].event.text


@pytest.mark.parametrize("frame", [TRADE_46, TRADE_47])
def test_a_documented_width_is_no_news(frame) -> None:
    assert len(frame.split("|")[3].split("^")) in KNOWN_WIDTHS["H0STCNT0"]
    assert len(ready().receive(frame)) == 1


def test_the_keys_are_gone_with_the_connection() -> None:
    session = ready()
    session.closed()
    assert KEY not in json.dumps(repr(vars(session)))
    session.opened(Epoch(2), "approval", Micros(0))
    (unreadable,) = events(session.receive(notice_frame("5000123401")))
    assert "before its keys" in unreadable.reason


def test_an_answer_never_lets_a_request_out_that_came_too_late() -> None:
    session = ready()
    session.request(register(1, "005930"))
    session.to_send(Micros(GAP))
    session.request(register(2, "000660", valid=GAP + 50))
    session.receive(ack("H0STCNT0", "005930", "OPSP0000"))
    assert session.to_send(Micros(3 * GAP)) == []
    assert [type(event) for event in events(session.late(Micros(3 * GAP)))] == [RegistrationExpired]
    assert session.wake_at() is None


def test_an_hts_id_that_the_broker_does_not_take_is_told_at_once_kis_protocol_6_row_1() -> None:
    session = fresh()
    session.opened(Epoch(1), "approval", Micros(0))
    session.to_send(Micros(0))
    told, broken = session.receive(ack("H0STCNI0", "DEMO01", "OPSP8992"))
    assert isinstance(told, Report)
    assert isinstance(told.event, AlertRaised)
    assert "HTS id" in told.event.text
    assert isinstance(broken, Broken)
    session.opened(Epoch(2), "approval", Micros(10))
    session.to_send(Micros(10))
    assert [type(one) for one in session.receive(ack("H0STCNI0", "DEMO01", "OPSP8992"))] == [Broken]  # once is enough


def test_the_approval_key_stands_in_nothing_that_is_logged_or_recorded_kis_protocol_6_row_25() -> None:
    session = fresh()
    session.opened(Epoch(1), "approval-key", Micros(0))
    session.to_send(Micros(0))
    refused = ack("H0STCNI0", "DEMO01", "OPSP0011").replace('"text"', '"invalid approval : approval-key"')
    (broken,) = session.receive(refused)
    assert broken == Broken("OPSP0011 invalid approval : (hidden)", 5, renew_approval=True)


def padded(change: dict[int, str]) -> str:
    fields = "TESTID01^5000123401^0000117057^^02^0^00^0^005930^0000000003^000070900^100513^0^2^2^06010^000000010^x"
    cells = [*fields.split("^"), "", "1", "Y", "", "10", "", "name", "000071000"]
    for place, text in change.items():
        cells[place] = text
    return exchange.data_frame("H0STCNI0", [exchange.encrypt("^".join(cells), KEY, IV)], encrypted=True)


def test_a_notice_whose_fields_are_padded_is_read_kis_protocol_2_4() -> None:
    blanks = {1: "5000123401  ", 2: " 117057", 3: "          ", 8: "005930   ", 9: "         3", 16: "10  "}
    (event,) = events(ready().receive(padded(blanks)))
    assert isinstance(event, NoticeReceived)
    assert (event.order_no, event.original_order_no, event.code, event.qty) == ("117057", "", "005930", 3)


@pytest.mark.parametrize(
    "change",
    [{2: "0000000000"}, {2: ""}, {2: "11705x"}, {3: "12-4"}, {8: ""}, {8: "0059"}, {8: "005 30"}, {8: "삼성전자전자"}],
)
def test_a_notice_of_no_order_or_no_stock_is_unreadable_kis_protocol_3_4(change) -> None:
    (event,) = events(ready().receive(padded(change)))
    assert isinstance(event, NoticeUnreadable)
