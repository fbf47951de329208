"""The fault book by itself: when a fault acts, what it makes of texts and answers, what it counts."""

import json
import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kquant.exchange.core.registrations import WsSession
from kquant.exchange.core.rest import Request, Response, json_bytes
from kquant.exchange.core.wire import data_frame, encrypt
from kquant.exchange.faults import Fault, FaultBook, FaultError, Moment, Now, faults_from_spec, texts
from kquant.exchange.faults.profiles import PROFILES

OPEN = 32_400
SESSION = WsSession(number=1, secret=b"s")
TRADE = "^".join(["005930", "100000", "70000", *["1"] * 7, "70100", "69900", "5", "500", *["0"] * 33])
ACK = '{"header":{"tr_id":"H0STCNT0","tr_key":"005930","encrypt":"N"},"body":{"rt_cd":"0","msg_cd":"OPSP0000","msg1":"ok"}}'
PING = '{"header":{"tr_id":"PINGPONG","datetime":"20260115235950"}}'
RESPONSE = Response(headers={"tr_cont": "D"}, content=json_bytes({"output": {"stck_prpr": "70000"}, "rt_cd": "0"}))


def book(*specs: str) -> FaultBook:
    return FaultBook(fault for spec in specs for fault in faults_from_spec(spec))


def at(second: float = OPEN) -> Now:
    return Now(us=int(second * 1_000_000), second=int(second), wall=1_800_000_000.0)


def call(
    path: str = "/uapi/x/inquire-price", tr_id: str = "FHKST01010100", method: str = "GET", **fields: str
) -> Request:
    params: Mapping[str, str] = fields if method == "GET" else {}
    return Request(
        method=method, path=path, headers={"tr_id": tr_id}, params=params, body=fields if method == "POST" else {}
    )


def registration(tr_key: str, tr_type: str = "1", tr_id: str = "H0STCNT0") -> str:
    header = {"approval_key": "a", "custtype": "P", "tr_type": tr_type}
    return json.dumps({"header": header, "body": {"input": {"tr_id": tr_id, "tr_key": tr_key}}})


def notice(kind: str, hour: str = "100000", qty: int = 1) -> str:
    cells = ["ID", "5000123401", "1001", "", "02", "0", "00", "0", "005930", str(qty), "70000", hour, "0", kind, "2"]
    return data_frame("H0STCNI0", (encrypt("^".join(cells), *SESSION.cipher("H0STCNI0")),), encrypted=True)


def sent(faults: FaultBook, text: str, now: Now | None = None) -> tuple[str, ...]:
    return faults.outgoing("real", SESSION, text, now or at()).texts


def hits(faults: FaultBook) -> list[int]:
    return [row["hits"] for row in faults.rows()]


# -- when and where -----------------------------------------------------------------------------------------


def test_an_empty_book_changes_nothing() -> None:
    faults = book()
    assert sent(faults, TRADE) == (TRADE,)
    assert faults.before("real", call(), at()).reply is None
    assert faults.after("real", call(), RESPONSE, at()).response == RESPONSE
    assert faults.incoming("real", SESSION, registration("005930"), at()) == (None, "")


def test_a_fault_lets_matches_pass_acts_so_often_and_is_spent() -> None:
    faults = book("throttle:after=2,count=3")
    acted = [faults.before("real", call(), at()).reply is not None for _ in range(7)]
    assert acted == [False, False, True, True, True, False, False]
    (row,) = faults.rows()
    assert (row["seen"], row["hits"], row["spent"]) == (5, 3, True)


def test_a_fault_acts_in_its_window_of_market_time_each_day() -> None:
    faults = book("throttle:from=09:30,until=09:31,count=0")
    found = [faults.before("real", call(), at(second)).reply is not None for second in (34_199, 34_200, 34_259, 34_260)]
    assert found == [False, True, True, False]


@pytest.mark.parametrize(
    ("spec", "matching", "other"),
    [
        ("throttle:path=inquire-price", call(), call(path="/uapi/x/inquire-balance")),
        ("throttle:tr_id=FHKST01010100", call(), call(tr_id="FHKST03010200")),
        ("throttle:stock=005930", call(FID_INPUT_ISCD="005930"), call(FID_INPUT_ISCD="000660")),
        ("throttle:stock=005930", call(method="POST", PDNO="005930"), call(method="POST", PDNO="000660")),
    ],
)
def test_a_fault_of_calls_is_narrowed(spec: str, matching: Request, other: Request) -> None:
    faults = book(spec)
    assert faults.before("real", other, at()).reply is None
    assert faults.before("real", matching, at()).reply is not None


def test_a_fault_of_one_service_leaves_the_other_alone() -> None:
    faults = book("throttle:service=paper", "no_pongs:service=real")
    assert faults.before("real", call(), at()).reply is None
    assert faults.before("paper", call(), at()).reply is not None
    assert (faults.mutes_pong("real", at()), faults.mutes_pong("paper", at())) == (True, False)


def test_chance_is_the_seeds_and_repeats_itself() -> None:
    def pattern(seed: int) -> list[bool]:
        faults = book(f"throttle:chance=0.3,count=0,seed={seed}")
        return [faults.before("real", call(), at()).reply is not None for _ in range(400)]

    assert pattern(1) == pattern(1) != pattern(2)
    assert 60 < sum(pattern(1)) < 180


def test_a_cleared_fault_is_gone_and_an_unknown_id_is_told() -> None:
    faults = book("no_pongs", "half_open")
    faults.clear(1)
    assert not faults.mutes_pong("real", at())
    assert [row["id"] for row in faults.rows()] == [2]
    with pytest.raises(FaultError, match="no fault has the id 1; set are 2"):
        faults.clear(1)
    faults.clear_all()
    assert faults.rows() == []


# -- texts --------------------------------------------------------------------------------------------------


def test_a_late_text_is_released_when_market_time_reaches_its_due() -> None:
    faults = book("late_ack:s=5")
    assert sent(faults, ACK) == ()
    assert faults.release(at(OPEN + 4.9)) == []
    assert faults.release(at(OPEN + 5)) == [("real", 1, ACK)]
    assert faults.release(at(OPEN + 9)) == []


def test_a_late_text_of_a_line_that_is_gone_is_never_released() -> None:
    faults = book("late_frames:s=5")
    assert sent(faults, data_frame("H0STCNT0", (TRADE,))) == ()
    faults.disconnected("real", 1)
    assert faults.release(at(OPEN + 60)) == []


@pytest.mark.parametrize("kind", ["lose_ack", "late_ack", "duplicate_ack", "wrong_ack"])
def test_a_fault_of_acknowledgements_of_unregistering_leaves_the_others_alone(kind: str) -> None:
    faults = book(f"{kind}:of=unregister")
    assert sent(faults, ACK) == (ACK,)
    assert sent(faults, ACK.replace("OPSP0000", "OPSP0001")) != (ACK.replace("OPSP0000", "OPSP0001"),)


def test_a_silent_symbol_is_acknowledged_and_has_no_data() -> None:
    faults = book("silent_symbol:stock=005930")
    frame, other = data_frame("H0STCNT0", (TRADE,)), data_frame("H0STCNT0", (TRADE.replace("005930", "000660"),))
    assert [sent(faults, text) for text in (ACK, frame, other, PING)] == [(ACK,), (), (other,), (PING,)]


def test_reordered_notices_change_places_and_the_last_one_is_not_kept_for_ever() -> None:
    faults = book("reorder_notices:s=5,count=0")
    first, second, third = (notice("2", qty=qty) for qty in (1, 2, 3))
    assert sent(faults, first) == ()
    assert sent(faults, second) == (second, first)
    assert sent(faults, third) == ()
    assert faults.release(at(OPEN + 5)) == [("real", 1, third)]


@pytest.mark.parametrize("which", ["ack", "fill"])
def test_a_fault_of_notices_tells_acknowledgements_from_fills(which: str) -> None:
    faults = book(f"lose_notice:which={which},count=0")
    lost = {"ack": sent(faults, notice("1")) == (), "fill": sent(faults, notice("2")) == ()}
    assert lost == {"ack": which == "ack", "fill": which == "fill"}


def test_a_swallowed_pingpong_is_told_so_that_nobody_waits_for_its_echo() -> None:
    verdict = book("no_pingpong").outgoing("real", SESSION, PING, at())
    assert (verdict.texts, verdict.swallowed_ping) == ((), True)


def test_the_skewed_clock_shifts_every_time_of_the_feed() -> None:
    faults = book("clock_skew:s=-30")
    assert json.loads(sent(faults, PING.replace("235950", "000010"))[0])["header"]["datetime"] == "20260114235940"
    assert sent(faults, data_frame("H0STCNT0", (TRADE, TRADE)))[0].count("^095930^") == 2
    found = texts.read(sent(faults, notice("2"))[0], SESSION)
    assert found.plain.split("^")[11] == "095930"


def test_forged_ticks_are_well_formed_and_cannot_be() -> None:
    frame = data_frame("H0STCNT0", (TRADE,))
    rng = random.Random(1)
    assert texts.forge(frame, "price", rng) == frame.replace("^70000^", "^140000^")
    assert texts.forge(frame, "volume", rng) == frame.replace("^500^", "^250^")
    assert texts.forge(frame, "stock", rng) == frame.replace("005930", "999999")
    assert texts.forge("0|H0STPGM0|001|005930^100000", "price", rng) is None


def test_zero_prices_reach_every_record_of_a_frame() -> None:
    (text,) = sent(book("zero_prices:on=feed"), data_frame("H0STCNT0", (TRADE, TRADE)))
    assert text == data_frame(
        "H0STCNT0", ("^".join("0" if n in (2, 10, 11) else c for n, c in enumerate(TRADE.split("^"))),) * 2
    )


@given(st.integers(0, 10_000))
def test_a_garbled_frame_is_broken_the_same_way_each_time(seed: int) -> None:
    frame = data_frame("H0STCNT0", (TRADE,))
    (one,), (two,) = (sent(book(f"garble_frames:seed={seed}"), frame) for _ in range(2))
    assert one == two


def test_a_garbled_notice_is_as_long_and_cannot_be_read() -> None:
    (text,) = sent(book("garble_notice"), notice("2"))
    assert len(text) == len(notice("2"))
    assert texts.read(text, SESSION).plain == ""


DATA_KINDS = [
    "repeat_frames",
    "garble_frames",
    "forge_ticks",
    "zero_prices",
    "clock_skew",
    "garble_notice",
    "wrong_ack",
]


@given(
    st.lists(st.tuples(st.sampled_from(DATA_KINDS), st.integers(0, 1_000_000)), min_size=1, max_size=5),
    st.sampled_from(["H0STCNT0", "H0STASP0", "H0STPGM0", "H0STMKO0"]),
)
def test_faults_that_meet_on_one_text_never_break_the_exchange(chosen: list[tuple[str, int]], tr_id: str) -> None:
    faults = book(*(f"{kind}:count=0,seed={seed}" for kind, seed in chosen))
    for text in (data_frame(tr_id, (TRADE, TRADE)), notice("2"), ACK, PING):
        assert all(isinstance(left, str) and left for left in sent(faults, text))


# -- what the client sends, and lines -----------------------------------------------------------------------


def test_a_capacity_below_41_refuses_one_more_and_not_one_that_is_held() -> None:
    faults = book("capacity:limit=1")
    session = WsSession(number=1, secret=b"s", registered={("H0STCNT0", "000001"): None})
    refused = faults.incoming("real", session, registration("000002"), at()).answers
    assert refused is not None
    assert json.loads(refused[0])["body"]["msg_cd"] == "OPSP0008"
    assert faults.incoming("real", session, registration("000001"), at()).answers is None
    assert faults.incoming("real", session, registration("000001", tr_type="2"), at()).answers is None


@pytest.mark.parametrize("text", ["{", "[]", '{"header":{"tr_type":"1"}}', PING, '"x"'])
def test_a_text_that_registers_nothing_goes_to_the_exchange(text: str) -> None:
    assert book("lose_registration:count=0").incoming("real", SESSION, text, at()).answers is None


def test_a_drop_at_a_time_waits_for_its_time_and_a_line_and_comes_again_after_its_pause() -> None:
    faults = book("drop_connection:from=09:30,count=2,every=60")
    lines = [("real", 4), ("paper", 1)]
    assert faults.moments(lines, at(34_199)) == []  # type: ignore[arg-type]
    assert faults.moments([], at(34_200)) == []
    both = [Moment("abort", "real", 4), Moment("abort", "paper", 1)]
    found = [faults.moments(lines, at(34_201 + n)) for n in (0, 1, 60, 120)]  # type: ignore[arg-type]
    assert found == [both, [], both, []]


def test_a_half_open_line_is_frozen_once() -> None:
    faults = book("half_open:count=2")
    found = [faults.moments([("real", n)], at()) for n in (1, 1, 2, 3)]
    assert found == [[Moment("freeze", "real", 1)], [], [Moment("freeze", "real", 2)], []]


def test_maintenance_refuses_calls_and_handshakes_and_drops_lines_until_its_end() -> None:
    faults = book("maintenance:from=09:00,until=10:00,how=json")
    reply = faults.before("real", call(), at()).reply
    assert reply is not None
    assert (reply.status, json.loads(reply.content)["msg_cd"]) == (500, "EGW00002")
    assert faults.connecting("paper", at()).status == 503
    assert faults.moments([("real", 1)], at()) == [Moment("abort", "real", 1)]
    later = at(36_000)
    assert faults.before("real", call(), later).reply is None
    assert (faults.connecting("paper", later).status, faults.moments([("real", 1)], later)) == (0, [])


def test_tokens_are_revoked_or_expire_for_the_services_named() -> None:
    assert book("revoke_token:service=paper").moments([], at()) == [Moment("revoke", "paper", 0)]
    both = [Moment("expire", "real", 0), Moment("expire", "paper", 0)]
    assert book("revoke_token:how=expired").moments([], at()) == both


# -- answers ------------------------------------------------------------------------------------------------


def changed(spec: str, body: dict[str, Any], request: Request | None = None, now: Now | None = None) -> Any:
    response = Response(headers={"tr_cont": "D"}, content=json_bytes(body))
    return json.loads(book(spec).after("real", request or call(), response, now or at()).response.content)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("null_field:field=b", {"a": "1", "output": [{"b": None}, {"b": None}]}),
        ("drop_field:field=b", {"a": "1", "output": [{}, {}]}),
        ("rename_field:field=b,to=c", {"a": "1", "output": [{"c": "2"}, {"c": "3"}]}),
        ("rename_field:field=a", {"a_x": "1", "output": [{"b": "2"}, {"b": "3"}]}),
        ("set_field:field=a,value=1e9", {"a": "1e9", "output": [{"b": "2"}, {"b": "3"}]}),
    ],
)
def test_a_named_field_is_changed_wherever_it_is(spec: str, expected: dict[str, Any]) -> None:
    assert changed(spec, {"a": "1", "output": [{"b": "2"}, {"b": "3"}]}) == expected


def test_a_field_that_an_answer_lacks_is_no_hit() -> None:
    faults = book("null_field:field=nothing")
    assert faults.after("real", call(), RESPONSE, at()).response == RESPONSE
    assert hits(faults) == [0]


def test_an_unnamed_field_is_drawn_from_the_outputs_not_from_the_envelope() -> None:
    body = {"rt_cd": "0", "msg_cd": "M", "msg1": "t", "output": {"a": "1", "b": "2"}}
    drawn = {json.dumps(changed(f"null_field:seed={seed}", body)["output"]) for seed in range(20)}
    assert drawn == {'{"a": null, "b": "2"}', '{"a": "1", "b": null}'}


def balance(rows: list[dict[str, str]]) -> dict[str, Any]:
    return {"ctx_area_fk100": " " * 100, "ctx_area_nk100": " " * 100, "output1": rows, "output2": [], "rt_cd": "0"}


def test_ghost_rows_are_sold_out_repeated_or_never_held() -> None:
    request, held = call(path="/uapi/x/trading/inquire-balance"), {"pdno": "005930", "hldg_qty": "3"}
    rows = {
        how: changed(f"ghost_rows:how={how}", balance([held]), request)["output1"]
        for how in ("zero", "repeat", "foreign")
    }
    assert [(row["pdno"], row["hldg_qty"]) for row in rows["zero"]] == [("005930", "3"), ("000020", "0")]
    assert rows["repeat"] == [held, held]
    assert [(row["pdno"], row["hldg_qty"]) for row in rows["foreign"]] == [("005930", "3"), ("000020", "7")]


@pytest.mark.parametrize(
    ("how", "tr_cont", "rows", "following", "key"),
    [
        ("cut", "", 2, "D", ""),
        ("empty", "", 0, "D", ""),
        ("endless", "", 4, "F", "0"),
        ("endless", "N", 4, "M", "0"),
        ("blank_next", "", 4, "F", "0"),
        ("blank_next", "N", 0, "E", ""),
    ],
)
def test_a_list_ends_early_or_never(how: str, tr_cont: str, rows: int, following: str, key: str) -> None:
    request = Request(method="GET", path="/trading/inquire-balance", headers={"tr_cont": tr_cont}, params={}, body={})
    response = Response(headers={"tr_cont": "D"}, content=json_bytes(balance([{"pdno": str(n)} for n in range(4)])))
    found = book(f"partial_pages:how={how}").after("real", request, response, at()).response
    body = json.loads(found.content)
    assert (len(body["output1"]), found.headers["tr_cont"], body["ctx_area_nk100"].strip()) == (
        rows,
        following,
        key and "0" * 10,
    )


def test_a_new_order_is_missing_from_the_daily_list_for_some_seconds() -> None:
    row = {"ord_tmd": "090000", "ord_qty": "3", "tot_ccld_qty": "1", "tot_ccld_amt": "100"}
    body = {"output1": [row, row | {"ord_tmd": "085955"}], "output2": {"tot_ord_qty": "6", "tot_ccld_amt": "200"}}
    request = call(path="/trading/inquire-daily-ccld")
    lagging = changed("list_lag:s=5", body, request, at(OPEN + 4))
    assert [found["ord_tmd"] for found in lagging["output1"]] == ["085955"]
    assert lagging["output2"] == {"tot_ord_qty": "3", "tot_ccld_amt": "100"}
    assert changed("list_lag:s=5", body, request, at(OPEN + 5)) == body


def test_an_answer_that_is_no_json_is_left_alone_by_faults_of_fields() -> None:
    page = Response(headers={}, content=b"PK", content_type="application/zip")
    faults = book("null_field", "zero_prices", "ghost_rows:path=")
    assert faults.after("real", call(), page, at()).response == page
    assert hits(faults) == [0, 0, 0]


def test_a_code_of_the_gateway_is_http_500_and_one_of_the_business_http_200() -> None:
    found = [book(f"rest_error:code={code}").before("real", call(), at()).reply for code in ("EGW00301", "APBK0919")]
    assert [(reply.status, json.loads(reply.content)["msg_cd"]) for reply in found if reply] == [
        (500, "EGW00301"),
        (200, "APBK0919"),
    ]


@pytest.mark.parametrize("name", list(PROFILES))
def test_no_profile_leaves_a_client_hanging(name: str) -> None:
    faults: list[Fault] = [fault for seed in range(20) for fault in faults_from_spec(f"{name}:{seed}")]
    assert all(fault.params.get("how") != "hang" for fault in faults)
    assert all(fault.params.get("ms", 0) <= 1_000 for fault in faults)  # type: ignore[operator]


READING = [
    "list_lag",
    "ghost_rows",
    "partial_pages",
    "zero_prices",
    "clock_skew",
    "truncated_json",
    "set_field:field=x",
]
BREAKING = ["null_field", "drop_field", "rename_field", "set_field"]
BODIES: list[tuple[str, dict[str, Any]]] = [
    (
        "/oauth2/tokenP",
        {"access_token": "t", "access_token_token_expired": "2026-01-16 07:00:00", "expires_in": 86_400},
    ),
    ("/uapi/x/trading/inquire-balance", balance([{"pdno": "005930", "hldg_qty": "3", "prpr": "1"}])),
    (
        "/uapi/x/trading/inquire-daily-ccld",
        balance([{"ord_tmd": "090000", "ord_qty": "3", "tot_ccld_qty": "1", "tot_ccld_amt": "100"}])
        | {"output2": {"tot_ord_qty": "3", "tot_ccld_qty": "1", "tot_ccld_amt": "100"}},
    ),
    ("/uapi/x/trading/order-cash", {"rt_cd": "0", "output": {"ODNO": "0000001001", "ORD_TMD": "090000"}}),
]


FIELDS = [
    "access_token_token_expired",
    "ord_tmd",
    "ord_qty",
    "tot_ord_qty",
    "prpr",
    "ctx_area_nk100",
    "ORD_TMD",
    "rt_cd",
]


@given(
    st.permutations(READING),
    st.lists(st.tuples(st.sampled_from(BREAKING), st.sampled_from(FIELDS)), min_size=1, max_size=4),
    st.sampled_from(BODIES),
)
def test_faults_that_meet_on_one_answer_never_break_the_exchange(
    reading: list[str], breaking: list[tuple[str, str]], answered: tuple[str, dict[str, Any]]
) -> None:
    path, body = answered
    faults = book(*(f"{kind}:count=0,field={field}" for kind, field in breaking), *reading)
    verdict = faults.after("real", call(path=path), Response(headers={}, content=json_bytes(body)), at())
    assert isinstance(verdict.response.content, bytes)
