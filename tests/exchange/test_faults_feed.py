"""Faults of the WebSocket over real sockets: what a plain client sees, and what the exchange's books hold."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.exchange.fake_market import OPEN
from tests.exchange.fault_world import CODES, World, covers, open_world

A, B = CODES[0], CODES[1]
SHORT = 0.2
"""Wall seconds in which a line that is dead shows that nothing comes."""


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world() as opened:
        yield opened


def trades(texts: list[str], code: str = A) -> list[str]:
    return [text for text in texts if text.startswith(f"0|H0STCNT0|001|{code}^")]


# -- lines (kis-protocol 2.3, 2.5, 6) -----------------------------------------------------------------------


@covers("drop_connection")
async def test_a_dropped_connection_ends_without_a_close_frame_and_loses_its_registrations(world: World) -> None:
    async with world.feed() as feed:
        assert await feed.register("H0STCNT0", A) == "OPSP0000"
        await world.fault("drop_connection")
        with pytest.raises(ConnectionClosed) as lost:
            await feed.read()
        assert lost.value.rcvd is None
    assert world.ports.exchange.real.hub.sessions == {}
    assert await world.hits() == {"drop_connection": 1}


@covers("drop_connection")
async def test_a_connection_dropped_in_order_has_a_close_frame(world: World) -> None:
    async with world.feed() as feed:
        await world.fault("drop_connection", how="close", **{"from": "09:00:20"})
        await feed.register("H0STCNT0", A)
        await world.step(OPEN + 20)
        with pytest.raises(ConnectionClosed) as lost:
            await feed.read_on([])
        assert lost.value.rcvd is not None
        assert lost.value.rcvd.code == 1001


@covers("drop_connection")
@pytest.mark.parametrize(("on", "registered"), [("connect", 0), ("register", 2)])
async def test_a_connection_drops_at_its_handshake_or_in_the_middle_of_registering(
    world: World, on: str, registered: int
) -> None:
    await world.fault("drop_connection", on=on, after=registered)
    async with world.feed() as feed:
        for code in CODES[:registered]:
            assert await feed.register("H0STCNT0", code) == "OPSP0000"
        with pytest.raises(ConnectionClosed):
            await feed.register("H0STCNT0", CODES[registered])
    async with world.feed() as again:
        assert await again.register("H0STCNT0", A) == "OPSP0000"


@covers("drop_connection")
async def test_a_connection_drops_after_so_many_texts(world: World) -> None:
    await world.fault("drop_connection", on="text", after=3)
    async with world.feed() as feed:
        await feed.register("H0STCNT0", A)
        await world.step(OPEN + 20)
        seen: list[str] = []
        with pytest.raises(ConnectionClosed):
            await feed.read_on(seen)
    assert len(seen) <= 3  # the acknowledgement was read before; ten trades would have come
    assert world.ports.exchange.real.hub.sessions == {}


@covers("half_open")
async def test_a_half_open_line_passes_no_byte_and_stays_open(world: World) -> None:
    async with world.feed() as feed:
        await feed.register("H0STCNT0", A)
        before = await world.step(OPEN + 12)
        await world.fault("half_open")
        await feed.ask("H0STCNT0", B)
        pong = await feed.socket.ping()
        after = await world.step(OPEN + 20)
        for _ in range(before["frames"] - 1):
            await feed.read()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(feed.read(), SHORT)
        assert not pong.done()
        assert feed.socket.close_code is None
        assert after["frames"] == before["frames"]
        (session,) = world.ports.exchange.real.hub.sessions.values()
        assert list(session.registered) == [("H0STCNT0", A)]
        async with world.feed() as again:
            assert await again.register("H0STCNT0", A) == "OPSP8996"


@covers("refuse_connection")
async def test_a_refused_handshake_is_an_http_error_and_the_other_service_is_not_touched(world: World) -> None:
    await world.fault("refuse_connection", service="real", status=502)
    with pytest.raises(InvalidStatus) as refused:
        async with world.line():
            pass
    assert refused.value.response.status_code == 502
    async with world.line("paper"):
        pass
    assert await world.hits() == {"refuse_connection": 1}


@covers("no_pongs")
async def test_protocol_pings_go_unanswered_and_texts_still_come(world: World) -> None:
    async with world.feed() as feed:
        await (await feed.socket.ping())
        number = await world.fault("no_pongs")
        pong = await feed.socket.ping()
        assert await feed.register("H0STCNT0", A) == "OPSP0000"
        assert not pong.done()
        assert await world.hits() == {"no_pongs": 1}
        await world.admin(op="clear_fault", id=number)
        await (await feed.socket.ping())


@covers("no_pingpong")
async def test_no_pingpong_comes_and_nobody_is_blamed_for_its_echo(world: World) -> None:
    async with world.feed() as feed:
        await feed.register("H0STCNI0", "DEMO01")
        await world.step(OPEN + 40)
        assert [feed.code(text) for text in await feed.all()] == ["PINGPONG"] * 2
        await feed.socket.send('{"header":{"tr_id":"PINGPONG"}}')
        await world.fault("no_pingpong")
        await world.step(OPEN + 70)
        world.wall.now += 41
        await world.step(OPEN + 80)
        world.wall.now += 41
        await world.step(OPEN + 90)
        assert await feed.all() == []


# -- registrations (kis-protocol 2.2, 2.5) ------------------------------------------------------------------


@covers("lose_registration")
async def test_a_lost_registration_is_neither_made_nor_answered(world: World) -> None:
    async with world.feed() as feed:
        await world.fault("lose_registration", stock=A)
        await feed.ask("H0STCNT0", A)
        assert await feed.register("H0STCNT0", B) == "OPSP0000"
        (session,) = world.ports.exchange.real.hub.sessions.values()
        assert list(session.registered) == [("H0STCNT0", B)]


@covers("lose_ack")
async def test_a_lost_acknowledgement_is_of_a_registration_that_was_made(world: World) -> None:
    async with world.feed() as feed:
        await world.fault("lose_ack")
        await feed.ask("H0STCNT0", A)
        assert await feed.all() == []
        assert await feed.register("H0STCNT0", A) == "OPSP0002"


@covers("duplicate_ack")
async def test_an_acknowledgement_comes_three_times_and_the_registration_is_made_once(world: World) -> None:
    async with world.feed() as feed:
        await world.fault("duplicate_ack", times=3)
        await feed.ask("H0STCNT0", A)
        assert [feed.code(text) for text in await feed.all()] == ["OPSP0000"] * 3
        await world.step(OPEN + 11)
        assert len(trades(await feed.all())) == 1


@covers("late_ack")
async def test_a_late_acknowledgement_comes_when_market_time_reaches_its_due_behind_data(world: World) -> None:
    async with world.feed() as feed:
        await world.fault("late_ack", s=3)
        await feed.ask("H0STCNT0", A)
        assert await feed.all() == []
        before = (await world.step(OPEN + 12))["frames"]
        assert [text[:10] for text in await feed.all()] == ["0|H0STCNT0"] * 2
        after = (await world.step(OPEN + 13))["frames"]
        late = await feed.all()
        assert [feed.code(text) for text in late if text.startswith("{")] == ["OPSP0000"]
        assert after - before == len(late) + 1  # the answer that ends `all` was sent between


async def test_under_a_clock_that_runs_by_itself_a_late_text_comes_by_itself() -> None:
    async with open_world(speed=100.0) as world, world.feed() as feed:
        before = (await world.admin(op="now"))["now"]
        await world.fault("late_ack", s=5)
        assert await feed.register("H0STCNI0", "DEMO01") == "OPSP0000"
        assert (await world.admin(op="now"))["now"] - before >= 5_000_000


async def test_a_window_of_market_time_holds_at_night_too(world: World) -> None:
    await world.fault("maintenance", **{"from": "02:00", "until": "03:00"})
    await world.login()
    await world.step(26 * 3_600 + 60)
    assert (await world.quote()).status == 503
    await world.step(27 * 3_600)
    assert (await world.quote()).status == 200


@covers("wrong_ack")
async def test_an_acknowledgement_names_another_key(world: World) -> None:
    async with world.feed() as feed:
        await world.fault("wrong_ack", key="000660")
        await feed.ask("H0STCNT0", A)
        assert json.loads(await feed.read())["header"]["tr_key"] == "000660"


@covers("refuse_registration")
@pytest.mark.parametrize(
    ("code", "rt_cd", "tr_id"),
    [
        ("OPSP0007", "1", "H0STCNT0"),
        ("OPSP0009", "1", "H0STCNT0"),
        ("OPSP0011", "1", "H0STCNT0"),
        ("OPSP8992", "1", "H0STCNT0"),
        ("OPSP8996", "9", "(null)"),
        ("OPSP9995", "1", "H0STCNT0"),
    ],
)
async def test_a_registration_is_refused_with_any_code(world: World, code: str, rt_cd: str, tr_id: str) -> None:
    async with world.feed() as feed:
        await world.fault("refuse_registration", code=code, stock=A)
        await feed.ask("H0STCNT0", A)
        frame = json.loads(await feed.read())
        assert (frame["body"]["msg_cd"], frame["body"]["rt_cd"], frame["header"]["tr_id"]) == (code, rt_cd, tr_id)
        assert await feed.register("H0STCNT0", A) == "OPSP0000"


@covers("capacity")
async def test_a_capacity_below_41_is_the_sessions_and_an_unregistration_makes_room(world: World) -> None:
    async with world.feed() as feed:
        await world.fault("capacity", limit=2)
        assert [await feed.register("H0STCNT0", code) for code in CODES[:3]] == ["OPSP0000", "OPSP0000", "OPSP0008"]
        await feed.ask("H0STCNT0", CODES[0], tr_type="2")
        assert feed.code(await feed.read()) == "OPSP0001"
        assert await feed.register("H0STCNT0", CODES[2]) == "OPSP0000"


@covers("appkey_in_use")
async def test_an_app_key_in_use_refuses_until_its_end(world: World) -> None:
    async with world.feed() as feed:
        await world.fault("appkey_in_use", until="09:00:30")
        assert await feed.register("H0STCNT0", A) == "OPSP8996"
        await world.step(OPEN + 30)
        assert await feed.register("H0STCNT0", A) == "OPSP0000"


# -- data frames (kis-protocol 2.4, 3) ----------------------------------------------------------------------


@covers("silent_symbol")
async def test_a_silent_symbol_is_acknowledged_and_never_has_data(world: World) -> None:
    async with world.feed() as feed:
        await world.fault("silent_symbol", stock=A)
        assert [await feed.register("H0STCNT0", code) for code in (A, B)] == ["OPSP0000"] * 2
        await world.step(OPEN + 15)
        texts = await feed.all()
        assert (trades(texts, A), len(trades(texts, B))) == ([], 5)


@covers("lose_frames", "repeat_frames", "late_frames", "garble_frames", "forge_ticks", "zero_prices")
@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("lose_frames", {}, [12, 13, 14]),
        ("repeat_frames", {}, [11, 11, 12, 13, 14]),
        ("late_frames", {"s": 2}, [12, 13, 11, 14]),
        ("forge_ticks", {"how": "stock"}, [12, 13, 14]),
        ("garble_frames", {"how": "channel"}, [12, 13, 14]),
        ("zero_prices", {"on": "feed"}, [11, 12, 13, 14]),
    ],
)
async def test_a_frame_is_lost_repeated_late_or_spoilt(
    world: World, kind: str, given: dict[str, object], expected: list[int]
) -> None:
    async with world.feed() as feed:
        await feed.register("H0STCNT0", A)
        await world.step(OPEN + 11)
        await feed.all()
        await world.fault(kind, **given)
        await world.step(OPEN + 15)
        texts = await feed.all()
        cells = [text.split("|", 3)[3].split("^") for text in trades(texts)]
        assert [int(row[1][-2:]) for row in cells] == expected
        prices = [row[2] for row in cells]
        assert (prices.count("0") == 1) is (kind == "zero_prices")
        assert await world.hits() == {kind: 1}


# -- execution notices (kis-protocol 3.4, 6) ----------------------------------------------------------------


async def notices_of_an_order(world: World, kind: str, **given: object) -> tuple[list[list[str]], list[list[str]]]:
    """Return what came of the two notices of an order at once, and what came within ten market seconds more."""
    async with world.feed() as feed:
        await feed.register("H0STCNI0", "DEMO01")
        await world.fault(kind, **given)
        assert (await world.order(3)).body["rt_cd"] == "0"
        at_once = [feed.notice(text) for text in await feed.all() if text.startswith("1|")]
        await world.step(OPEN + 20)
        later = [feed.notice(text) for text in await feed.all() if text.startswith("1|")]
    (order,) = await world.orders()
    assert order["filled"] == 3
    return at_once, later


def kinds(notices: list[list[str]]) -> list[str]:
    return [row[13] for row in notices]


@covers("lose_notice", "repeat_notice", "reorder_notices", "late_notice")
@pytest.mark.parametrize(
    ("kind", "given", "at_once", "later"),
    [
        ("lose_notice", {"which": "fill"}, ["1"], []),
        ("lose_notice", {"which": "ack"}, ["2"], []),
        ("repeat_notice", {"which": "fill", "times": 3}, ["1", "2", "2", "2"], []),
        ("reorder_notices", {}, ["2", "1"], []),
        ("reorder_notices", {"which": "fill"}, ["1"], ["2"]),
        ("late_notice", {"which": "fill", "s": 4}, ["1"], ["2"]),
    ],
)
async def test_notices_are_lost_repeated_reordered_or_late_and_the_books_hold_the_fill(
    world: World, kind: str, given: dict[str, object], at_once: list[str], later: list[str]
) -> None:
    first, rest = await notices_of_an_order(world, kind, **given)
    assert (kinds(first), kinds(rest)) == (at_once, later)
    assert await world.hits() == {kind: 1}


@covers("garble_notice")
async def test_a_garbled_notice_cannot_be_decrypted_and_the_next_one_can(world: World) -> None:
    async with world.feed() as feed:
        await feed.register("H0STCNI0", "DEMO01")
        await world.fault("garble_notice", which="ack")
        await world.order(3)
        broken, whole = [text for text in await feed.all() if text.startswith("1|")]
        assert feed.notice(whole)[13] == "2"
        with pytest.raises((UnicodeDecodeError, IndexError, AssertionError)):
            assert feed.notice(broken)[0] == "DEMO01"


@covers("notice_first")
async def test_a_notice_comes_before_the_answer_of_its_order(world: World) -> None:
    async with world.feed() as feed:
        await feed.register("H0STCNI0", "DEMO01")
        await world.headers("TTTC0012U")
        await world.fault("notice_first", ms=500)
        order = asyncio.create_task(world.order(3))
        fields = [feed.notice(await feed.read()) for _ in range(2)]
        assert not order.done()
        assert (await order).body["output"]["ODNO"] == fields[0][2] == fields[1][2]


@covers("reject_order")
async def test_an_order_is_accepted_over_rest_and_rejected_by_notice(world: World) -> None:
    async with world.feed() as feed:
        await feed.register("H0STCNI0", "DEMO01")
        await world.fault("reject_order")
        assert (await world.order(3)).body["rt_cd"] == "0"
        (notice,) = [feed.notice(text) for text in await feed.all() if text.startswith("1|")]
        assert (notice[12], notice[13]) == ("1", "1")
    (order,) = await world.orders()
    assert (order["rejected"], order["filled"]) == (3, 0)


async def test_the_order_that_is_to_be_rejected_is_rejected_and_no_other_that_is_on_its_way() -> None:
    async with open_world(latency_s=2) as world:
        await world.order(1)
        await world.fault("reject_order")
        assert (await world.order(10**9)).body["rt_cd"] != "0"
        await world.order(2)
        await world.fault("reject_order")
        await world.order(3)
        await world.step(OPEN + 15)
        assert [(row["filled"], row["rejected"]) for row in await world.orders()] == [(1, 0), (2, 0), (0, 3)]


@covers("clock_skew")
async def test_a_skewed_clock_shows_in_pingpong_frames_notices_and_answers(world: World) -> None:
    async with world.feed() as feed:
        await feed.register("H0STCNI0", "DEMO01")
        await feed.register("H0STCNT0", A)
        await world.fault("clock_skew", s=3_600)
        answer = await world.order(3)
        assert answer.body["output"]["ORD_TMD"] == "100010"
        assert "2027" in answer.headers["Date"]
        await world.step(OPEN + 30)
        texts = await feed.all()
        assert {feed.notice(text)[11][:2] for text in texts if text.startswith("1|")} == {"10"}
        assert {text.split("^")[1][:2] for text in texts if text.startswith("0|")} == {"10"}
        assert [json.loads(text)["header"]["datetime"][8:10] for text in texts if text.startswith("{")] == ["10"]
