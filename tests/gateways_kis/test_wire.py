import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kquant.gateways.kis.feed import control, executions, wire
from kquant.gateways.kis.feed.control import Control
from kquant.gateways.kis.feed.executions import Keys
from kquant.gateways.kis.feed.wire import FeedFormatError
from kquant.market.records import Book, MarketStatus, ProgramTrade, Trade
from tests.gateways_kis import accepted

TRADE_46 = "0|H0STCNT0|001|005930^112616^62700^2^400^0.64^62700.41^62700^63000^62300^62700^62600^125^9694968^607878273600^25807^15918^-9889^93.01^4614191^4291558^1^0.45^63.03^090013^3^0^090646^5^-300^100741^2^400^20230324^20^N^71292^244009^2795345^2044512^0.16^5367918^180.61^0^^62700"
TRADE_47 = "0|H0STCNT0|001|005930^150746^249250^5^-10250^-3.95^250742.47^249500^254500^248500^249500^249000^1^14871538^3728926343750^206240^176545^-29695^81.34^7912656^6435830^5^0.44^106.69^090011^5^-250^113225^5^-5250^145726^2^750^20260914^20^N^85729^141952^343655^1371668^0.25^12052370^123.39^0^^249500^2"
BOOK = "0|H0STASP0|001|005930^140013^0^66000^66100^66200^66300^66400^66500^66600^66700^66800^66900^65900^65800^65700^65600^65500^65400^65300^65200^65100^65000^28408^123373^53451^107830^76471^84039^45688^52373^61717^49894^74727^111951^100474^132318^158455^81601^117285^105583^122745^208814^683244^1213953^0^0^0^0^211181^-66000^5^-100.00^5531414^-30000^0^0^0^0^65950^4927^2"
PROGRAM_2 = "0|H0STPGM0|002|005930^092237^1413444^109159646900^1189408^91931710200^-224036^-17227936700^65033^15475^-49558^000660^092237^100^8000000^300^24000000^200^16000000^10^30^20"
STATUS = "0|H0STMKO0|001|396300^N^(null)^^311^^^55^N^N"
UNIFIED_STATUS = "0|H0UNMKO0|001|100840^N^(null)^AB1^112^^^55^N^"
KEYS = Keys("abcdefghijklmnopqrstuvwxyz012345", "0123456789abcdef")
ACCEPTED = "1|H0STCNI0|001|SosbluvohYytGff1T28BYpLlfy666MDCv69cPjirmNbFCk1Sg68nVjq5wLaAXqkdf3aqy9xQwXItXe/NX/U/E7t7FEfFXZ4fOmzIFo9Cybh9PwTc9MJ9M6xGgUWn6abpN/bWRdBjkxdLNBnFJbYGKm+Fz9AXb/l80pygUFrUVVgC/rGZDfIhab/9CQFj4+dgpTuZhYHpHbyzcCZvpYtrAA=="
FILL = "1|H0STCNI0|001|SosbluvohYytGff1T28BYpLlfy666MDCv69cPjirmNbFCk1Sg68nVjq5wLaAXqkdsY0C5OqNoNdyHqLoLROeDacLlRpZKGzKe/jNoHSIzgI1UzYfvkIS4nAbS8I7/TN2SuIlf+woZn7M2YONfv4cjzNT0p7hS7/EtlLa7M4m2HhhR5cc3FPNLTq9yCYX5oPhAqTFMqY1miVKCmAgSRoXeg=="
ACKNOWLEDGED = json.dumps(
    {
        "header": {"tr_id": "H0STCNI0", "tr_key": "TESTID01", "encrypt": "Y"},
        "body": {
            "rt_cd": "0",
            "msg_cd": "OPSP0000",
            "msg1": "SUBSCRIBE SUCCESS ",
            "output": {"iv": "0123456789abcdef", "key": "abcdefghijklmnopqrstuvwxyz012345"},
        },
    }
)
PINGPONG = '{"header":{"tr_id":"PINGPONG","datetime":"20260914150742"}}'
OLD_FILL = "TESTID01^1234567801^0000002891^^02^0^00^0^136480^0000000001^000003190^094941^0^2^2^06010^000000001^김한투^하림^10^^하림^000000000"


def test_a_trade_of_46_fields_is_read_field_by_field():
    (trade,) = wire.decode(TRADE_46)
    assert trade == Trade(
        "005930",
        "112616",
        62700,
        125,
        1,
        62600,
        62700,
        62700,
        63000,
        62300,
        9694968,
        607878273600,
        64,
        "20",
        "0",
        False,
    )


def test_a_trade_of_47_fields_keeps_its_price_between_two_ticks():
    (trade,) = wire.decode(TRADE_47)
    assert isinstance(trade, Trade)
    assert (trade.last_price, trade.change_bp, trade.side, trade.volume) == (249250, -395, 5, 14871538)


def test_every_record_of_a_frame_is_read():
    payload = TRADE_47.split("|", 3)[3]
    frame = "0|H0STCNT0|003|" + "^".join(
        [payload, payload.replace("249250", "249300"), payload.replace("005930", "000660")]
    )
    trades = wire.decode(frame)
    assert [(t.code, t.last_price) for t in trades] == [("005930", 249250), ("005930", 249300), ("000660", 249250)]


def test_a_book_gives_best_level_and_totals():
    assert wire.decode(BOOK) == (Book("005930", "140013", 65900, 66000, 74727, 28408, 1213953, 683244, "0"),)


def test_a_program_frame_of_two_records_keeps_the_sign_of_the_net():
    assert wire.decode(PROGRAM_2) == (
        ProgramTrade("005930", "092237", 1413444, 1189408, -224036),
        ProgramTrade("000660", "092237", 100, 300, 200),
    )


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "0|H0STCNT0|001",
        "0|H0STCNT0|000|" + TRADE_47.split("|", 3)[3],
        TRADE_47.replace("|001|", "|002|"),
        TRADE_46.rsplit("^", 1)[0],
        TRADE_47.replace("249250", "2492_0"),
        TRADE_47.replace("249250", ""),
        TRADE_47.replace("249250", "-5"),
        TRADE_47.replace("249250", "9" * 30),
        TRADE_47.replace("-3.95", "-3.951"),
        TRADE_47.replace("150746", "1507"),
        TRADE_47.replace("^N^", "^^"),
        TRADE_47.replace("H0STCNT0", "H0STANC0"),
        TRADE_47.replace("0|H0", "1|H0", 1),
    ],
)
def test_a_frame_that_does_not_fit_is_refused(frame):
    with pytest.raises(FeedFormatError):
        wire.decode(frame)


@given(st.integers(-9_999_999, 9_999_999))
def test_a_rate_survives_the_text_exactly(bp):
    text = f"{'-' if bp < 0 else ''}{abs(bp) // 100}.{abs(bp) % 100:02d}"
    assert wire.basis_points(text) == bp


def test_an_unsigned_rate_takes_the_sign_of_its_direction():
    (trade,) = wire.decode(TRADE_47.replace("-3.95", "3.95"))
    assert trade.change_bp == -395


def test_padded_numbers_are_numbers():
    (trade,) = wire.decode(TRADE_47.replace("^249250^", "^ 000249250.00 ^"))
    assert trade.last_price == 249250


def test_a_fill_notice_is_decrypted_and_counts_this_fill_only():
    (notice,) = executions.decode_notices(FILL, KEYS)
    assert (notice.kind, notice.request, notice.order_no, notice.side) == ("filled", "new", "117057", "buy")
    assert (notice.qty, notice.price, notice.order_qty, notice.account) == (3, 70900, 10, "1234567801")


def test_an_acceptance_notice_is_no_fill():
    (notice,) = executions.decode_notices(ACCEPTED, KEYS)
    assert (notice.kind, notice.qty, notice.price, notice.time) == ("accepted", 10, 71000, "100512")


def test_a_notice_of_the_older_layout_is_read_and_a_shorter_one_refused():
    (notice,) = executions.decode_notices("0|H0STCNI9|001|" + OLD_FILL, KEYS)
    assert (notice.code, notice.qty, notice.price) == ("136480", 1, 3190)
    with pytest.raises(FeedFormatError):
        executions.decode_notices("0|H0STCNI9|001|" + OLD_FILL.rsplit("^", 1)[0], KEYS)


@pytest.mark.parametrize(
    ("cells", "kind", "request_"),
    [
        ({12: "1", 13: "1"}, "rejected", "new"),
        ({13: "1", 14: "3"}, "cancelled", "new"),
        ({5: "2", 13: "1", 14: "2"}, "accepted", "cancel"),
        ({5: "1", 12: "1", 13: "1"}, "rejected", "revise"),
    ],
)
def test_the_codes_of_a_notice_give_its_kind(cells, kind, request_):
    fields = OLD_FILL.split("^")
    for index, value in cells.items():
        fields[index] = value
    (notice,) = executions.decode_notices("0|H0STCNI0|001|" + "^".join(fields), KEYS)
    assert (notice.kind, notice.request) == (kind, request_)


def test_a_notice_under_another_key_is_refused():
    with pytest.raises(FeedFormatError):
        executions.decode_notices(FILL, Keys("x" * 32, "y" * 16))


def test_an_acknowledgement_carries_keys_and_hides_them_in_print():
    ack = control.decode_control(ACKNOWLEDGED)
    assert ack == Control(
        tr_id="H0STCNI0", tr_key="TESTID01", rt_cd="0", msg_cd="OPSP0000", message="SUBSCRIBE SUCCESS", keys=KEYS
    )
    assert "abcdef" not in repr(ack)


def test_a_refusal_without_output_is_read():
    ack = control.decode_control(
        '{"header":{"tr_id":"(null)"},"body":{"rt_cd":"9","msg_cd":"OPSP8996","msg1":"ALREADY IN USE"}}'
    )
    assert (ack.rt_cd, ack.msg_cd, ack.message, ack.keys) == ("9", "OPSP8996", "ALREADY IN USE", None)


def test_pingpong_is_recognised():
    assert control.decode_control(PINGPONG).tr_id == "PINGPONG"


@given(
    st.text() | st.builds(lambda a, b, c, d: f"{a}|{b}|{c}|{d}", *[st.text(alphabet="01|^H0STCNIA09", max_size=12)] * 4)
)
def test_any_text_is_refused_by_name_or_holds_what_it_says(text):
    accepted.frame(text)
    accepted.notices(text, KEYS)
    accepted.control_frame(text)


FRAMES = [TRADE_46, TRADE_47, BOOK, PROGRAM_2, STATUS, UNIFIED_STATUS]


@given(
    st.sampled_from([*FRAMES, FILL, "0|H0STCNI0|001|" + OLD_FILL, ACKNOWLEDGED, PINGPONG]),
    st.lists(st.tuples(st.integers(0, 400), st.characters()), min_size=1, max_size=4),
)
def test_a_damaged_frame_is_refused_by_name_or_holds_what_it_says(frame, damage):
    text = list(frame)
    for place, character in damage:
        text[place % len(text)] = character
    accepted.frame("".join(text))
    accepted.notices("".join(text), KEYS)
    accepted.control_frame("".join(text))


def test_what_holds_of_accepted_texts_is_asked_of_some():
    assert [len(accepted.frame(frame)) for frame in FRAMES] == [1, 1, 1, 2, 1, 1]
    assert [len(accepted.notices(text, KEYS)) for text in (FILL, "0|H0STCNI0|001|" + OLD_FILL)] == [1, 1]
    assert None not in map(accepted.control_frame, (ACKNOWLEDGED, PINGPONG))


def test_deep_nesting_is_refused_by_name():
    with pytest.raises(FeedFormatError):
        control.decode_control('{"header":' + "[" * 100_000)


def test_a_registration_frame_has_the_documented_shape():
    assert json.loads(control.encode_request("key", "2", "H0STCNT0", "005930")) == {
        "header": {"approval_key": "key", "custtype": "P", "tr_type": "2", "content-type": "utf-8"},
        "body": {"input": {"tr_id": "H0STCNT0", "tr_key": "005930"}},
    }


def test_a_market_status_of_ten_fields_is_read_kis_protocol_3_5():
    assert wire.decode(STATUS) == (MarketStatus("396300", False, "", "", "311", "", "55", False, False, ""),)


def test_a_market_status_of_eleven_fields_names_its_venue_and_a_halts_reason_is_free_text_kis_protocol_3_5():
    frame = "0|H0STMKO0|001|396300^Y^조회공시_요구^164^^3^^58^Y^N^1"
    assert wire.decode(frame) == (
        MarketStatus("396300", True, "조회공시_요구", "164", "", "3", "58", True, False, "1"),
    )


def test_the_unified_status_is_told_by_its_shape_kis_protocol_3_5():
    assert wire.decode(UNIFIED_STATUS) == (MarketStatus("100840", False, "", "AB1", "112", "", "55", False, False, ""),)
    (nameless,) = wire.decode("0|H0UNMKO0|001|N^(null)^AB1^112^^^55^Y^N^2")
    assert nameless == MarketStatus("", False, "", "AB1", "112", "", "55", True, False, "2")


def test_two_statuses_in_a_frame_are_two_records():
    two = "0|H0STMKO0|002|" + STATUS.split("|", 3)[3] + "^" + UNIFIED_STATUS.split("|", 3)[3]
    assert [one.code for one in wire.decode(two)] == ["396300", "100840"]


@pytest.mark.parametrize("frame", ["0|H0STMKO0|001|396300^X^^^^^^55^N^N", "0|H0STMKO0|001|3963^N^^^^^^55^N^N"])
def test_a_status_that_says_neither_yes_nor_no_or_names_half_a_stock_is_refused(frame):
    with pytest.raises(FeedFormatError):
        wire.decode(frame)


@pytest.mark.parametrize("frame", [TRADE_47, TRADE_46, PROGRAM_2])
@pytest.mark.parametrize("prefix", ["H0UN", "H0NX"])
def test_unified_and_nxt_frames_read_as_their_krx_likes_kis_protocol_3_7(frame, prefix):
    assert wire.decode(frame.replace("H0ST", prefix, 1)) == wire.decode(frame)


def test_books_of_65_and_66_fields_read_as_those_of_62_kis_protocol_3_7():
    payload = BOOK.split("|", 3)[3]
    for tr_id, more in (("H0UNASP0", "^65950^1^0"), ("H0UNASP0", "^65950^1^0^1"), ("H0NXASP0", "")):
        assert wire.decode(f"0|{tr_id}|001|{payload}{more}") == wire.decode(BOOK)


def test_the_47th_field_is_the_market_segment_kis_protocol_3_1():
    assert [one.segment for one in (*wire.decode(TRADE_46), *wire.decode(TRADE_47))] == ["", "2"]
    assert wire.read(TRADE_47)[1] == 47
