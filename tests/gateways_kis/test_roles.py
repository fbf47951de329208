"""Two roles over real sockets against the look-alike: who may ask what, and what a start says of a mix-up."""

from __future__ import annotations

import pytest

from kquant.gateways.clock import SteppedClock
from kquant.gateways.kis.rest.auth import Secrets
from kquant.gateways.kis.rest.calls import KisCalls
from kquant.gateways.kis.rest.client import ReadOnlyClient, RestClient
from kquant.gateways.kis.rest.endpoints import ACCOUNT, BALANCE, NEWS, ORDER, ORDERS, Endpoint
from kquant.gateways.kis.rest.environment import start_error
from kquant.gateways.kis.rest.errors import KisError, KisNotSent, KisRefused, NotAllowed, NotOnPaper, StartError
from kquant.values import Krw, Micros, Shares
from tests.gateways_kis.look_alike import PAPER, REAL, look_alike, market


def some_code(place: int = 0) -> str:
    return [stock.code for stock in market().stocks if stock.kind == "common" and not stock.halted][place]


async def prove(calls: KisCalls) -> None:
    """Begin as a run does: with the balance."""
    try:
        await calls.balance()
    except KisError as error:
        raise start_error(error, "the keys") or error from None


async def test_a_data_client_cannot_name_an_account_or_an_order_and_cannot_post(tmp_path):
    async with look_alike(tmp_path) as there:
        for environment in ("real", "paper"):
            client = (await there.calls(environment)).data._client
            assert type(client) is ReadOnlyClient
            assert not hasattr(client, "post_once")
            for endpoint in (*ACCOUNT, *ORDERS):
                with pytest.raises(NotAllowed, match=endpoint.real):
                    await client.get(endpoint, {}, lane=0)


async def test_a_trading_client_reads_no_order_and_orders_no_read(tmp_path):
    async with look_alike(tmp_path) as there:
        client = there.client("real")
        with pytest.raises(NotAllowed):
            await client.get(ORDER["buy"], {}, lane=0)
        with pytest.raises(NotAllowed):
            await client.post_once(BALANCE, {}, lane=0, timeout_seconds=5, gate=lambda: None)


async def test_a_real_key_does_everything_by_itself_with_one_budget_and_one_token(tmp_path):
    async with look_alike(tmp_path) as there:
        there.at(9, 30)
        calls = await there.calls("real")
        await prove(calls)
        assert len(await calls.gainers(20)) == 20
        assert calls.data._client.line is calls.trading._client.line
        assert calls.data._client.line.auth.issues == 1


async def test_paper_with_a_data_key_has_rankings_from_the_data_key_and_the_balance_from_paper(tmp_path):
    """kis-protocol 0.4, 4.1"""
    async with look_alike(tmp_path) as there:
        there.at(9, 30)
        calls = await there.calls("paper", data=True)
        await prove(calls)
        assert len(await calls.gainers(20)) == 20
        assert await calls.is_open_day("20261120")
        assert calls.prices_at_once()
        assert {file.name for file in tmp_path.glob("*.json")} == {"token-paper.json", "token-data.json"}


async def test_paper_without_a_data_key_says_what_is_missing_and_goes_on(tmp_path):
    async with look_alike(tmp_path) as there:
        there.at(9, 30)
        calls = await there.calls("paper")
        for asked in (
            calls.gainers(20), calls.volumes(20), calls.news(), calls.is_open_day("20261120"), calls.conditions(),
            calls.watch_groups(),
        ):  # fmt: skip
            with pytest.raises(NotOnPaper, match="KIS_DATA_APP_KEY and KIS_DATA_APP_SECRET"):
                await asked
        assert not calls.prices_at_once()
        assert [price.code for price in await calls.prices([some_code(), some_code(1)])] == [some_code(), some_code(1)]
        assert len((await calls.balance()).holdings) == 3


async def test_what_paper_refuses_is_missing_even_where_our_table_thinks_it_is_there(tmp_path):
    """kis-protocol 4.1: unsupported TRs come as EGW02006 with HTTP 500."""
    async with look_alike(tmp_path) as there:
        client = (await there.calls("paper")).data._client
        wrong = Endpoint(path=NEWS.path, real=NEWS.real, paper=NEWS.real, what="news titles")
        with pytest.raises(NotOnPaper, match="FHKST01011800"):
            await client.get(wrong, {}, lane=0)


@pytest.mark.parametrize(
    ("environment", "secrets", "told"),
    [("real", PAPER, "EGW02004"), ("paper", REAL, "EGW02007"), ("paper", ("Q" * 36, "s" * 180), "EGW00103")],
)
async def test_a_key_on_the_wrong_host_is_told_apart_at_start(tmp_path, environment, secrets, told):
    """kis-protocol 1.1, 1.9"""
    async with look_alike(tmp_path) as there:
        with pytest.raises(StartError, match=told):
            await prove(await there.calls(environment, secrets=Secrets(*secrets)))


async def test_a_wrong_account_is_told_at_start(tmp_path):
    """kis-protocol 1.9: OPSQ2000 is the usual sign of a wrong account number."""
    async with look_alike(tmp_path) as there:
        with pytest.raises(StartError, match="OPSQ2000"):
            await prove(await there.calls("real", account="50001235-01"))


async def test_paper_orders_carry_paper_ids(tmp_path):
    """kis-protocol 4.6: V ids, 40600000 for a buy."""
    async with look_alike(tmp_path) as there:
        there.at(9, 30)
        calls = await there.calls("paper")
        price = await calls.price(some_code())
        answer = await calls.place(
            price.code, "buy", "limit", Shares(1), Krw(price.last_price), timeout_seconds=5, gate=lambda: None
        )
        assert answer.body["msg_cd"] == "40600000"
        with pytest.raises(KisRefused):
            await calls.cancel("99999", "00950", "limit", timeout_seconds=5, gate=lambda: None)
        assert [row.side for row in await calls.executions("20261120")] == ["buy"]


async def test_without_a_started_line_nothing_leaves(tmp_path):
    client = RestClient(
        "http://127.0.0.1:1", Secrets("k", "s"), SteppedClock(Micros(0)), per_second=1, timeout_seconds=1,
        token_file=tmp_path / "t.json",
    )  # fmt: skip
    with pytest.raises(KisNotSent, match="not started"):
        await client.post_once(ORDER["buy"], {}, lane=0, timeout_seconds=1, gate=lambda: None)
