"""What callers may not do: call too often under any clock, or send texts that are no JSON, over real sockets."""

import json

import pytest

from tests.exchange.fault_world import BALANCE, DAILY, open_world

REGISTRATION = {
    "header": {"approval_key": "none", "custtype": "P", "tr_type": "1", "content-type": "utf-8"},
    "body": {"input": {"tr_id": "H0STCNT0", "tr_key": "000001"}},
}


@pytest.mark.parametrize("speed", [1.0, 50.0])
async def test_a_clock_that_runs_lets_18_calls_through_a_second_however_often_it_moves(speed: float) -> None:
    """kis-protocol 1.8; a second of a market that is played faster than the wall is as much shorter."""
    async with open_world(speed=speed) as world:
        codes = [(await world.quote()).body["msg_cd"] for _ in range(18)]
        moved = (await world.admin(op="now"))["now"]
        while (await world.admin(op="now"))["now"] == moved:
            pass
        refused = await world.quote()
        world.wall.now += 1 / speed + 0.001
        again = await world.quote()
    assert (codes[0], len(set(codes))) == ("MCA00000", 1)
    assert (refused.status, refused.body["msg_cd"]) == (500, "EGW00201")
    assert again.status == 200


async def test_a_step_begins_a_new_second_where_the_clock_is_stepped() -> None:
    """kis-protocol 1.8; docs/exchange.md: limits begin anew at each step."""
    async with open_world() as world:
        codes = [(await world.quote()).body["msg_cd"] for _ in range(19)]
        now = (await world.admin(op="now"))["now"]
        await world.admin(op="step", until=now + 1_000_000)
        again = await world.quote()
    assert codes[17:] == ["MCA00000", "EGW00201"]
    assert again.status == 200


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b'{"CANO":"\xff"}', b"[1]", b"{"])
async def test_a_body_that_is_no_object_is_refused_in_json(body: bytes) -> None:
    """kis-protocol 1.9, OPSQ9997."""
    async with open_world() as world:
        headers = await world.headers("TTTC0012U")
        path = "/uapi/domestic-stock/v1/trading/order-cash"
        answer = await world.send("POST", path, data=body, headers=headers | {"content-type": "application/json"})
    assert (answer.status, answer.body["msg_cd"]) == (500, "OPSQ9997")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[" * 100_000, "OPSP9999"),
        ('{"header":' * 100_000, "OPSP9999"),
        (json.dumps(REGISTRATION).replace("000001", "\\ud800"), "OPSP9999"),
        (json.dumps(REGISTRATION).replace('"H0STCNT0"', '["H0STCNT0"]'), "OPSP8991"),
        (json.dumps(REGISTRATION).replace('"H0STCNT0"', '{"a":1}'), "OPSP8991"),
    ],
)
async def test_a_frame_that_is_no_registration_is_answered_and_the_line_stays(text: str, code: str) -> None:
    """kis-protocol 2.2."""
    async with open_world() as world, world.line() as line:
        for sent, expected in ((text, code), (json.dumps(REGISTRATION), "OPSP0011")):
            await line.send(sent)
            assert json.loads(await line.recv())["body"]["msg_cd"] == expected


@pytest.mark.parametrize("text", ["[" * 100_000, b"\xff", "null", '{"op":"step","until":18446744073709551615}'])
async def test_the_admin_port_names_what_is_wrong_and_stays(text: str | bytes) -> None:
    async with open_world() as world:
        assert "error" in await world.admin_text(text)
        assert "now" in await world.admin(op="now")


@pytest.mark.parametrize(
    "name", ["AFHR_FLPR_YN", "INQR_DVSN", "FUND_STTL_ICLD_YN", "FNCG_AMT_AUTO_RDPT_YN", "PRCS_DVSN"]
)
async def test_a_choice_of_the_balance_that_is_none_is_refused_by_name(name: str) -> None:
    """kis-protocol 4.5."""
    async with open_world() as world:
        wrong = (await world.get("/trading/inquire-balance", "TTTC8434R", BALANCE | {name: "Z"})).body
        right = (await world.balance()).body
    assert (wrong["msg_cd"], name in wrong["msg1"]) == ("OPSQ2002", True)
    assert right["rt_cd"] == "0"


@pytest.mark.parametrize("name", ["SLL_BUY_DVSN_CD", "CCLD_DVSN", "INQR_DVSN", "EXCG_ID_DVSN_CD"])
async def test_a_choice_of_the_daily_list_that_is_none_is_refused_by_name(name: str) -> None:
    """kis-protocol 4.6."""
    async with open_world() as world:
        wrong = (await world.get("/trading/inquire-daily-ccld", "TTTC0081R", DAILY | {name: "77"})).body
        right = (await world.daily()).body
    assert (wrong["msg_cd"], name in wrong["msg1"]) == ("OPSQ2002", True)
    assert right["rt_cd"] == "0"
