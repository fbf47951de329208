"""Orders the user places in the broker's own program, over real sockets. kis-protocol 3.4, 6 row 19."""

import pytest

from tests.exchange.fault_world import open_world


async def test_an_order_by_hand_is_pushed_to_the_hts_id_and_listed() -> None:
    async with open_world() as world, world.feed() as feed:
        await feed.register("H0STCNI0", "DEMO01")
        order = {"side": "buy", "code": "000001", "qty": 10, "price": 9_000}
        placed = await world.admin(op="hand", order=order)
        assert (placed["ok"], placed["channel"], placed["filled"]) == (True, "hand", 0)
        cancelled = await world.admin(op="hand", cancel={"no": placed["no"]})
        notices = [feed.notice(text) for text in await feed.all()]
        assert [(row[2], row[5], row[14]) for row in notices] == [
            (f"{placed['no']:010d}", "0", "1"),
            (f"{cancelled['no']:010d}", "2", "1"),
            (f"{cancelled['no']:010d}", "2", "2"),
        ]
        assert [row["no"] for row in (await world.admin(op="ledger"))["orders"]] == [placed["no"], cancelled["no"]]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"order": {"side": "buy", "code": "000001", "qty": 10, "price": 9_005}}, "호가단위"),
        ({"order": {"side": "hold", "code": "000001", "qty": 10}}, "side"),
        ({"order": {"side": "buy", "code": "000001"}}, "qty"),
        ({"cancel": {"no": 77}}, "APBK0344"),
        ({}, "hand takes an order or a cancel"),
    ],
)
async def test_what_cannot_be_done_by_hand_is_said(call: dict[str, object], words: str) -> None:
    async with open_world() as world:
        assert words in (await world.admin(op="hand", **call))["error"]
