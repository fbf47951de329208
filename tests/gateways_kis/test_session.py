import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kquant.events.base import Recorded
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
from kquant.gateways.kis.feed.session import NOTICE_PATIENCE, Broken, Data, FeedSession, Report, Told
from kquant.values import to_kst

GAP, PATIENCE = 200_000, 3_000_000
OUTPUT = {"iv": "0123456789abcdef", "key": "abcdefghijklmnopqrstuvwxyz012345"}
FILL = "1|H0STCNI0|001|SosbluvohYytGff1T28BYpLlfy666MDCv69cPjirmNbFCk1Sg68nVjq5wLaAXqkdsY0C5OqNoNdyHqLoLROeDacLlRpZKGzKe/jNoHSIzgI1UzYfvkIS4nAbS8I7/TN2SuIlf+woZn7M2YONfv4cjzNT0p7hS7/EtlLa7M4m2HhhR5cc3FPNLTq9yCYX5oPhAqTFMqY1miVKCmAgSRoXeg=="
PROGRAM = (
    "0|H0STPGM0|001|005930^092237^1413444^109159646900^1189408^91931710200^-224036^-17227936700^65033^15475^-49558"
)


def ack(tr_id, tr_key, code, rt_cd="0", output=None):
    body = {"rt_cd": rt_cd, "msg_cd": code, "msg1": "text"}
    if output is not None:
        body["output"] = output
    return json.dumps({"header": {"tr_id": tr_id, "tr_key": tr_key}, "body": body})


def fact(seq, event):
    return Recorded(
        seq=seq, stream="slots", version=seq, name="", at=0, by="", caused_by=None, index=0, event=event, digest=b""
    )


def register(seq, code="005930", channel="trades", epoch=1, valid_until=10**12):
    return fact(seq, RegisterWanted(code=code, channel=channel, priority=1, epoch=epoch, valid_until=valid_until))


def drop(seq, code="005930", channel="trades", epoch=1, valid_until=10**12):
    return fact(seq, DropWanted(code=code, channel=channel, epoch=epoch, valid_until=valid_until, why=""))


def unready(account="12345678-01"):
    session = FeedSession("TESTID01", account, "H0STCNI0", gap_us=GAP, ack_us=PATIENCE)
    session.opened(1, "approval", 0)
    return session


def ready(account="12345678-01"):
    session = unready(account)
    session.to_send(0)
    assert session.receive(ack("H0STCNI0", "TESTID01", "OPSP0000", output=OUTPUT)) == [Report(FeedConnected(epoch=1))]
    return session


def sent(session, at):
    return [json.loads(text)["body"]["input"] | json.loads(text)["header"] for text in session.to_send(at)]


def test_the_notice_is_registered_first_and_only_its_answer_connects():
    session = unready()
    (greeting,) = sent(session, 0)
    assert (greeting["tr_id"], greeting["tr_key"], greeting["tr_type"]) == ("H0STCNI0", "TESTID01", "1")
    assert session.receive(ack("H0STCNT0", "005930", "OPSP0000")) == []
    assert session.receive(ack("H0STCNI0", "TESTID01", "OPSP0000", output=OUTPUT)) == [Report(FeedConnected(epoch=1))]


def test_pingpong_goes_back_unchanged():
    session = ready()
    text = '{"header":{"tr_id":"PINGPONG","datetime":"20260914150742"}}'
    [told] = session.receive(text)
    assert isinstance(told, Told)
    assert to_kst(told.at).isoformat() == "2026-09-14T15:07:42+09:00"
    assert session.to_send(1) == [text]


@pytest.mark.parametrize(
    "time", ['"2026091415074"', '"20260914150760"', '"２０２６０９１４１５０７４２"', "20260914150742", "null"]
)
def test_a_pingpong_without_a_readable_time_is_echoed_all_the_same_kis_protocol_2_3(time):
    session = ready()
    text = f'{{"header":{{"tr_id":"PINGPONG","datetime":{time}}}}}'
    assert session.receive(text) == []
    assert session.to_send(1) == [text]


def test_at_most_one_request_is_unanswered_and_requests_keep_their_distance():
    session = ready()
    assert session.request(register(5)) + session.request(register(6, "000660")) == []
    assert sent(session, GAP - 1) == []
    assert [one["tr_key"] for one in sent(session, GAP)] == ["005930"]
    assert sent(session, 10 * GAP) == []
    outcome = Registered(epoch=1, code="005930", channel="trades", already=False)
    assert session.receive(ack("H0STCNT0", "005930", "OPSP0000")) == [Report(outcome, 5)]
    assert sent(session, 2 * GAP - 1) == []
    assert [one["tr_key"] for one in sent(session, 2 * GAP)] == ["000660"]


def test_no_answer_in_time_is_uncertain_and_reported_once():
    session = ready()
    session.request(register(5))
    session.to_send(GAP)
    assert session.wake_at() == GAP + PATIENCE
    assert session.late(GAP + PATIENCE - 1) == []
    outcome = RegistrationUnanswered(epoch=1, code="005930", channel="trades", action="register")
    assert session.late(GAP + PATIENCE) == [Report(outcome, 5)]
    assert session.late(GAP + PATIENCE) == []


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("OPSP0007", "resource"),
        ("OPSP0008", "over_capacity"),
        ("OPSP0009", "resource"),
        ("OPSP8992", "invalid_key"),
        ("OPSP8993", "invalid_key"),
        ("OPSP8999", "resource"),
        ("OPSP9995", "resource"),
        ("OPSP9997", "other"),
        ("OPSP7777", "other"),
    ],
)
def test_a_refusal_has_its_kind_and_leaves_the_connection(code, kind):
    session = ready()
    session.request(register(5))
    session.to_send(GAP)
    report, *alerts = session.receive(ack("H0STCNT0", "005930", code, "1"))
    assert isinstance(report.event, RegistrationRefused)
    assert len(alerts) == (kind == "other")
    assert (report.event.kind, report.event.message_code, report.caused_by) == (kind, code, 5)


@pytest.mark.parametrize("code", ["OPSP0010", "OPSP0011", "OPSP8994", "OPSP8996", "OPSP9994", "OPSP9996"])
def test_a_refusal_of_the_key_ends_the_connection(code):
    session = ready()
    session.request(register(5))
    session.to_send(GAP)
    report, broken = session.receive(ack("H0STCNT0", "005930", code, "1"))
    assert isinstance(report.event, RegistrationRefused)
    assert report.event.kind == "fatal"
    assert isinstance(broken, Broken)
    assert broken.renew_approval == (code == "OPSP0011")


def test_already_and_not_found_count_as_done():
    session = ready()
    session.request(register(5))
    session.to_send(GAP)
    (held,) = session.receive(ack("H0STCNT0", "005930", "OPSP0002", "1"))
    assert held == Report(Registered(epoch=1, code="005930", channel="trades", already=True), 5)
    session.request(drop(6))
    assert [one["tr_type"] for one in sent(session, 9 * GAP)] == ["2"]
    (gone,) = session.receive(ack("H0STCNT0", "005930", "OPSP0003", "1"))
    assert gone == Report(Dropped(epoch=1, code="005930", channel="trades", already=True), 6)


def test_a_request_of_another_epoch_is_void():
    session = ready()
    void = RegistrationVoid(epoch=7, code="005930", channel="trades", action="register")
    assert session.request(register(5, epoch=7)) == [Report(void, 5)]


def test_a_request_whose_time_has_passed_expires_unsent():
    session = ready()
    session.request(register(5, valid_until=GAP))
    expired = RegistrationExpired(epoch=1, code="005930", channel="trades", action="register")
    assert session.late(GAP + 1) == [Report(expired, 5)]
    assert sent(session, GAP + 1) == []


def test_a_lost_connection_voids_what_was_asked_and_what_waits():
    session = ready()
    session.request(register(5))
    session.request(drop(6, "000660"))
    session.to_send(GAP)
    assert [(type(one.event), one.caused_by) for one in session.closed()] == [
        (RegistrationVoid, 5),
        (RegistrationVoid, 6),
    ]
    assert session.closed() == []


def test_an_unanswered_notice_registration_ends_the_connection():
    session = unready()
    session.to_send(0)
    (broken,) = session.late(NOTICE_PATIENCE * PATIENCE)
    assert isinstance(broken, Broken)


def test_a_key_in_use_elsewhere_waits_a_minute():
    session = unready()
    session.to_send(0)
    (broken,) = session.receive(ack("(null)", "", "OPSP8996", "9"))
    assert isinstance(broken, Broken)
    assert broken.wait_seconds >= 60


def test_keys_of_a_plain_channel_leave_those_of_the_notices():
    session = ready()
    session.request(register(5))
    session.to_send(GAP)
    session.receive(ack("H0STCNT0", "005930", "OPSP0000", output={"iv": "x" * 16, "key": "y" * 32}))
    (report,) = session.receive(FILL)
    assert isinstance(report.event, NoticeReceived)
    assert (report.event.kind, report.event.qty, report.caused_by) == ("filled", 3, None)


def test_notices_of_another_account_are_left_out():
    assert ready("99999999-01").receive(FILL) == []


def test_an_unreadable_notice_asks_for_the_list():
    (report,) = ready().receive(FILL[:-8])
    assert isinstance(report.event, NoticeUnreadable)


def test_first_data_is_told_once_an_epoch():
    session = ready()
    session.request(register(5, channel="program"))
    session.to_send(GAP)
    session.receive(ack("H0STPGM0", "005930", "OPSP0000"))
    (first,), (second,) = session.receive(PROGRAM), session.receive(PROGRAM)
    assert isinstance(first, Data)
    assert isinstance(second, Data)
    assert (first.first, second.first) == ((("005930", "program"),), ())
    assert first.text == PROGRAM


ANSWERS = ("OPSP0000", "OPSP0001", "OPSP0002", "OPSP0003", "OPSP0007", "OPSP0008", "OPSP8992")
STEP = st.one_of(
    st.tuples(st.just("register"), st.sampled_from(["005930", "000660"]), st.integers(0, 40)),
    st.tuples(st.just("drop"), st.sampled_from(["005930", "000660"]), st.integers(0, 40)),
    st.tuples(st.just("ack"), st.sampled_from(["005930", "000660"]), st.sampled_from(ANSWERS)),
    st.tuples(st.just("wait"), st.integers(1, 20), st.none()),
    st.tuples(st.just("noise"), st.text(max_size=20), st.none()),
)


@given(st.lists(STEP, max_size=60))
def test_whatever_happens_every_request_ends_exactly_once(steps):
    session, now, seq, open_, outcomes, unanswered = ready(), GAP, 10, set(), [], 0

    def note(outputs):
        outcomes.extend(one.caused_by for one in outputs if isinstance(one, Report) and one.caused_by is not None)

    for what, first, second in steps:
        if what in {"register", "drop"}:
            seq += 1
            open_.add(seq)
            make = register if what == "register" else drop
            note(session.request(make(seq, first, valid_until=now + second * GAP)))
        elif what == "ack":
            note(session.receive(ack("H0STCNT0", first, second, "0" if second in {"OPSP0000", "OPSP0001"} else "1")))
        elif what == "wait":
            now += first * GAP
        else:
            note(session.receive(first))
        note(session.late(now))
        before = session.unanswered
        unanswered = len(session.to_send(now))
        assert unanswered <= (0 if before else 1)
    note(session.closed())
    assert sorted(outcomes) == sorted(open_)
