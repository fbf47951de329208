"""Faults of REST and of the account over real sockets: what a plain client sees, and what the exchange's books hold."""

import asyncio
import importlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.exceptions import InvalidStatus

from kquant.exchange.faults import KINDS, FaultBook, faults_from_spec
from kquant.exchange.servers.process import parse
from tests.exchange.fake_market import OPEN
from tests.exchange.fault_world import COVERED, World, covers, open_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world() as opened:
        yield opened


# -- the admin port -----------------------------------------------------------------------------------------


async def test_faults_are_set_listed_with_their_hits_and_cleared(world: World) -> None:
    set_ = await world.admin(op="fault", kind="rest_error", code="EGW00201", path="inquire-price", count=2)
    assert (set_["ok"], set_["id"], set_["ids"]) == (True, 1, [1])
    assert [(await world.quote()).status for _ in range(3)] == [500, 500, 200]
    (row,) = (await world.admin(op="faults"))["faults"]
    assert {
        "id": 1,
        "kind": "rest_error",
        "code": "EGW00201",
        "path": "inquire-price",
        "hits": 2,
        "spent": True,
    }.items() <= row.items()
    assert (await world.admin(op="clear_fault", id=1))["faults"] == []
    assert "no fault has the id 1" in (await world.admin(op="clear_fault", id=1))["error"]


async def test_a_profile_sets_many_faults_and_all_are_cleared_at_once(world: World) -> None:
    answer = await world.admin(op="fault", kind="rough", seed=7)
    assert answer["ids"] == list(range(1, len(faults_from_spec("rough:7")) + 1))
    assert (await world.admin(op="clear_fault", id="all"))["faults"] == []
    assert (await world.quote()).body["rt_cd"] == "0"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"kind": "earthquake"}, "unknown fault 'earthquake'"),
        ({"kind": "late_ack", "minutes": 3}, "late_ack has no parameter 'minutes'"),
        ({"kind": "late_ack", "s": None}, "s is a whole number from 1 to 86400, not None"),
        ({"kind": "half_open", "service": "demo"}, "service is real, paper or both, not 'demo'"),
        ({}, "a fault needs a kind, not None"),
    ],
)
async def test_an_unknown_kind_or_parameter_is_one_clear_error(world: World, call: dict[str, Any], words: str) -> None:
    assert words in (await world.admin(op="fault", **call))["error"]
    assert (await world.admin(op="faults"))["faults"] == []


# -- lost and slow (kis-protocol 6, rows 10 to 12) ----------------------------------------------------------


@covers("lost_request", "lost_answer")
@pytest.mark.parametrize(("kind", "orders"), [("lost_request", 0), ("lost_answer", 1)])
async def test_an_order_whose_call_or_answer_is_lost_is_not_or_is_in_the_books(
    world: World, kind: str, orders: int
) -> None:
    await world.headers("TTTC0012U")
    await world.fault(kind, path="/trading/order-")
    with pytest.raises(aiohttp.ClientError):
        await world.order(3)
    assert [order["filled"] for order in await world.orders()] == [3] * orders
    assert len((await world.daily()).body["output1"]) == orders
    assert await world.hits() == {kind: 1}


@covers("lost_request", "lost_answer")
@pytest.mark.parametrize(("kind", "orders"), [("lost_request", 0), ("lost_answer", 1)])
async def test_a_call_that_hangs_ends_by_its_clients_patience(world: World, kind: str, orders: int) -> None:
    await world.headers("TTTC0012U")
    await world.fault(kind, path="/trading/order-", how="hang")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(world.order(3), 0.2)
    assert len(await world.orders()) == orders


@covers("slow_rest")
@pytest.mark.parametrize(("effect", "orders"), [("before", 0), ("after", 1)])
async def test_a_slow_answer_waits_for_market_time_before_or_after_the_effect(
    world: World, effect: str, orders: int
) -> None:
    await world.headers("TTTC0012U")
    await world.fault("slow_rest", path="order-cash", ms=3_000, effect=effect, clock="market")
    order = asyncio.create_task(world.order(3))
    while not (await world.hits())["slow_rest"]:  # noqa: ASYNC110 -- the admin port is asked, nothing is waited for
        await asyncio.sleep(0)
    await world.step(OPEN + 12)
    assert len(await world.orders()) == orders
    assert not order.done()
    await world.step(OPEN + 13)
    assert (await order).body["rt_cd"] == "0"
    assert len(await world.orders()) == 1


@covers("slow_rest")
async def test_a_slow_answer_waits_on_the_wall_while_market_time_stands_still(world: World) -> None:
    await world.headers("x")
    await world.fault("slow_rest", ms=500)
    quote = asyncio.create_task(world.quote())
    while not (await world.hits())["slow_rest"]:  # noqa: ASYNC110 -- the admin port is asked, nothing is waited for
        await asyncio.sleep(0)
    assert not quote.done()
    assert (await quote).body["rt_cd"] == "0"
    assert (await world.admin(op="now"))["now"] == world.ports.exchange.midnight_us + (OPEN + 10) * 1_000_000


# -- refusals (kis-protocol 1.8, 1.9) -----------------------------------------------------------------------


@covers("rest_error")
@pytest.mark.parametrize(
    ("code", "status"),
    [("EGW00001", 500), ("EGW00123", 500), ("EGW00301", 500), ("APBK0919", 200), ("40580000", 200), ("OPSQ2000", 200)],
)
@pytest.mark.parametrize(("effect", "orders"), [("before", 0), ("after", 1)])
async def test_any_code_is_answered_before_or_after_the_effect(
    world: World, code: str, status: int, effect: str, orders: int
) -> None:
    await world.fault("rest_error", path="order-cash", code=code, effect=effect, message="사유")
    answer = await world.order(3)
    assert (answer.status, answer.body["msg_cd"], answer.body["msg1"].strip()) == (status, code, "사유")
    assert answer.body["rt_cd"] != "0"
    assert len(await world.orders()) == orders
    assert (await world.order(3)).body["rt_cd"] == "0"


@covers("rest_error")
async def test_a_refused_token_has_the_form_of_a_refused_token(world: World) -> None:
    await world.fault("rest_error", path="tokenP", code="EGW00133")
    answer = await world.login()
    assert (answer.status, answer.body["error_code"]) == (403, "EGW00133")


@covers("throttle")
@pytest.mark.parametrize("code", ["EGW00201", "EGW00215"])
async def test_a_burst_of_limit_refusals_is_http_500_with_json_and_ends(world: World, code: str) -> None:
    await world.fault("throttle", code=code, count=3)
    found = [await world.order(1) for _ in range(4)]
    assert [answer.status for answer in found] == [500, 500, 500, 200]
    assert [answer.body["msg_cd"] for answer in found[:3]] == [code] * 3
    assert len(await world.orders()) == 1


@covers("revoke_token")
@pytest.mark.parametrize(("how", "code"), [("revoked", "EGW00121"), ("expired", "EGW00123")])
async def test_a_void_token_is_refused_and_a_new_one_is_given_a_minute_after_the_old(
    world: World, how: str, code: str
) -> None:
    assert (await world.quote()).status == 200
    await world.fault("revoke_token", how=how)
    answer = await world.quote()
    assert (answer.status, answer.body["msg_cd"]) == (500, code)
    assert (await world.login()).body["error_code"] == "EGW00133"
    world.wall.now += 61
    await world.login()
    assert (await world.quote()).status == 200


@covers("maintenance")
async def test_in_maintenance_everything_refuses_and_afterwards_everything_works(world: World) -> None:
    await world.login()
    async with world.feed() as feed:
        await feed.register("H0STCNT0", "000001")
        await world.fault("maintenance", until="09:10:00")
        assert world.ports.sockets == {}
    for answer in (await world.quote(), await world.login(), await world.login("paper")):
        assert (answer.status, answer.headers["content-type"].split(";")[0]) == (503, "text/html")
    with pytest.raises(InvalidStatus):
        async with world.line():
            pass
    await world.step(OPEN + 600)
    assert (await world.login()).status == 200
    assert (await world.quote()).body["rt_cd"] == "0"
    async with world.feed() as again:
        assert await again.register("H0STCNT0", "000001") == "OPSP0000"


# -- answers (kis-protocol 1.7, 6) --------------------------------------------------------------------------


@covers("html_500")
@pytest.mark.parametrize(("effect", "orders"), [("before", 0), ("after", 1)])
async def test_a_page_comes_instead_of_json(world: World, effect: str, orders: int) -> None:
    await world.fault("html_500", path="order-cash", effect=effect)
    answer = await world.order(3)
    assert (answer.status, answer.raw[:6]) == (500, b"<html>")
    assert len(await world.orders()) == orders


@covers("html_500")
async def test_a_page_may_come_as_http_200(world: World) -> None:
    await world.fault("html_500", path="inquire-price", status=200)
    answer = await world.quote()
    assert (answer.status, answer.raw[:6]) == (200, b"<html>")


@covers("wrong_content_type")
async def test_the_right_json_comes_under_a_wrong_content_type(world: World) -> None:
    await world.headers("x")
    await world.fault("wrong_content_type", type="text/plain")
    answer = await world.quote()
    assert (answer.headers["content-type"], answer.body["rt_cd"]) == ("text/plain", "0")


@covers("truncated_json", "empty_body")
@pytest.mark.parametrize(("kind", "share"), [("truncated_json", 50), ("empty_body", 0)])
async def test_a_body_ends_early_and_its_length_agrees(world: World, kind: str, share: int) -> None:
    whole = (await world.quote()).raw
    await world.fault(kind)
    answer = await world.quote()
    assert (answer.status, answer.raw) == (200, whole[: len(whole) * share // 100])
    with pytest.raises(json.JSONDecodeError):
        answer.body  # noqa: B018 -- decoding is the point


@covers("huge_body")
async def test_an_answer_of_many_megabytes_comes_whole(world: World) -> None:
    await world.headers("x")
    await world.fault("huge_body", mb=3)
    answer = await world.quote()
    assert (len(answer.raw), answer.body["rt_cd"]) == (3_000_000, "0")


@covers("gzip_garbage")
async def test_a_body_that_says_gzip_cannot_be_unpacked(world: World) -> None:
    await world.headers("x")
    await world.fault("gzip_garbage")
    with pytest.raises(aiohttp.ClientPayloadError):
        await world.quote()


@covers("rename_field", "null_field", "drop_field", "set_field")
@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("rename_field", {"to": "price"}, {"price": "10010"}),
        ("null_field", {}, {"stck_prpr": None}),
        ("drop_field", {}, {}),
        ("set_field", {"value": "NaN"}, {"stck_prpr": "NaN"}),
        ("set_field", {"value": "１２３"}, {"stck_prpr": "１２３"}),
    ],
)
async def test_a_field_is_renamed_null_missing_or_strange(
    world: World, kind: str, given: dict[str, str], expected: dict[str, object]
) -> None:
    await world.step(OPEN + 11)
    whole = (await world.quote()).body["output"]
    await world.fault(kind, field="stck_prpr", **given)
    found = (await world.quote()).body["output"]
    price = whole.pop("stck_prpr")
    assert found == whole | {name: price if name == "price" else value for name, value in expected.items()}
    assert await world.hits() == {kind: 1}


@covers("set_field")
async def test_an_accepted_order_has_a_blank_number(world: World) -> None:
    await world.fault("set_field", field="ODNO", value="")
    answer = await world.order(3)
    assert (answer.body["rt_cd"], answer.body["output"]["ODNO"]) == ("0", "")
    assert len(await world.orders()) == 1


@covers("zero_prices")
async def test_prices_of_a_query_are_zero(world: World) -> None:
    await world.step(OPEN + 12)
    await world.fault("zero_prices", on="rest", path="/quotations/")
    output = (await world.quote()).body["output"]
    assert (output["stck_prpr"], output["stck_hgpr"]) == ("0", "0")
    assert output["acml_vol"] != "0"


# -- the account (kis-protocol 4.5, 4.6, 6 row 13) ----------------------------------------------------------


@covers("ghost_rows")
@pytest.mark.parametrize(
    ("how", "rows"),
    [
        ("zero", [("000001", "3"), ("000020", "0")]),
        ("repeat", [("000001", "3"), ("000001", "3")]),
        ("foreign", [("000001", "3"), ("000020", "7")]),
    ],
)
async def test_a_balance_has_ghost_rows_and_the_books_do_not(
    world: World, how: str, rows: list[tuple[str, str]]
) -> None:
    await world.order(3)
    await world.fault("ghost_rows", how=how)
    found = (await world.balance()).body["output1"]
    assert [(row["pdno"], row["hldg_qty"]) for row in found] == rows
    assert len({tuple(sorted(row)) for row in found}) == 1
    assert [row["pdno"] for row in (await world.balance()).body["output1"]] == ["000001"]


@covers("partial_pages")
@pytest.mark.parametrize(
    ("how", "pages"),
    [
        ("cut", [(1, "D")]),
        ("empty", [(0, "D")]),
        ("blank_next", [(2, "F"), (0, "E")]),
        ("endless", [(2, "F"), (2, "M"), (2, "M")]),
    ],
)
async def test_a_list_ends_early_or_never(world: World, how: str, pages: list[tuple[int, str]]) -> None:
    for code in ("000001", "000002"):
        await world.order(3, code)
    await world.fault("partial_pages", how=how)
    found, keys, tr_cont = [], [""], ""
    while len(found) < 3 and (not found or found[-1][1] in "FM"):
        answer = await world.balance(tr_cont, keys[-1])
        found.append((len(answer.body["output1"]), answer.headers["tr_cont"]))
        keys.append(answer.body["ctx_area_nk100"])
        tr_cont = "N"
    assert found == pages
    assert how != "endless" or keys[1] == keys[2] == keys[3]


@covers("list_lag")
async def test_a_new_order_is_missing_from_the_list_for_some_seconds(world: World) -> None:
    await world.fault("list_lag", s=3)
    number = (await world.order(3)).body["output"]["ODNO"]
    assert (await world.daily()).body["output1"] == []
    await world.step(OPEN + 13)
    assert [row["odno"] for row in (await world.daily()).body["output1"]] == [number]


# -- the command line ---------------------------------------------------------------------------------------

START = ["--state", "x", "--generate", "1", "--day", "2026-01-15"]


async def test_faults_of_the_command_line_are_at_work_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text('[[fault]]\nkind = "throttle"\ncount = 1\n', encoding="utf-8")
    options = parse([*START, "--faults", "rest_error:path=inquire-price,code=EGW00002,after=1", "--faults", str(path)])
    async with open_world(FaultBook(options.faults)) as world:
        codes = [(await world.quote()).body["msg_cd"] for _ in range(3)]
    assert codes == ["EGW00201", "EGW00002", "MCA00000"]


@pytest.mark.parametrize(
    ("value", "words"),
    [("earthquake", "unknown fault 'earthquake'"), ("no/such.toml", "cannot read the fault file no/such.toml")],
)
def test_a_faulty_option_ends_with_code_2_and_its_reason(
    capsys: pytest.CaptureFixture[str], value: str, words: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([*START, "--faults", value])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_the_list_of_faults_needs_no_other_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--faults", "list"])
    assert ended.value.code == 0
    assert all(f"  {name} " in capsys_text for capsys_text in [capsys.readouterr().out] for name in KINDS)


def test_every_kind_of_fault_is_driven_over_sockets_by_some_test() -> None:
    importlib.import_module("tests.exchange.test_faults_feed")
    assert set(KINDS) == COVERED
