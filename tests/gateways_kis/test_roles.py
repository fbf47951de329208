"""Two roles over real sockets against the look-alike: who may ask what, and what a start says of a mix-up."""

from __future__ import annotations

import pytest

from kquant.gateways.kis.auth import Secrets
from kquant.gateways.kis.calls import DataCalls
from kquant.gateways.kis.endpoints import ACCOUNT, BALANCE, ORDER, ORDERS, PRICE
from kquant.gateways.kis.errors import KisNotSent, KisRefused, NotAllowed, NotOnPaper, StartError
from kquant.gateways.kis.rest import ReadOnlyClient, RestClient, TradingClient
from kquant.gateways.kis.roles import open_roles
from kquant.values import Krw, Shares
from tests.gateways_kis.look_alike import DAY, PAPER, REAL, look_alike, market, settings

CODE = "005930"


def some_code() -> str:
    return next(stock.code for stock in market().stocks if stock.kind == "common" and not stock.halted)


async def test_a_data_client_cannot_name_an_account_or_an_order(tmp_path):
    async with look_alike(tmp_path) as there:
        roles = await there.roles("real", there.key("live"))
        client = ReadOnlyClient(roles.trading_line)
        assert not hasattr(client, "post_once")
        for endpoint in (*ACCOUNT, *ORDERS):
            with pytest.raises(NotAllowed, match=endpoint.real):
                await client.get(endpoint, {}, lane=0)
        assert not hasattr(roles.calls.data._client, "post_once")


async def test_a_trading_client_reads_no_order_and_orders_no_read(tmp_path):
    async with look_alike(tmp_path) as there:
        client = TradingClient((await there.roles("real", there.key("live"))).trading_line)
        with pytest.raises(NotAllowed):
            await client.get(ORDER["buy"], {}, lane=0)
        with pytest.raises(NotAllowed):
            await client.post_once(BALANCE, {}, lane=0, timeout_seconds=5, gate=lambda: None)


async def test_a_real_key_does_everything_by_itself(tmp_path):
    async with look_alike(tmp_path) as there:
        there.at(9, 30)
        roles = await there.roles("real", there.key("live"))
        await roles.prove()
        assert roles.lacking == ()
        assert len(await roles.calls.gainers(20)) == 20
        assert len((await roles.calls.balance()).holdings) == 3


async def test_paper_with_a_data_key_has_rankings_from_the_data_key_and_the_balance_from_paper(tmp_path):
    """kis-protocol 0.4, 4.1"""
    async with look_alike(tmp_path) as there:
        there.at(9, 30)
        roles = await there.roles("paper", there.key("paper"), there.key("data"))
        await roles.prove()
        assert roles.lacking == ()
        assert len(await roles.calls.gainers(20)) == 20
        assert await roles.calls.is_open_day("20261120")
        assert len((await roles.calls.balance()).holdings) == 3
        assert {file.name for file in tmp_path.glob("*.json")} == {"token-paper.json", "token-data.json"}


async def test_paper_without_a_data_key_says_what_is_missing_and_goes_on(tmp_path):
    async with look_alike(tmp_path) as there:
        there.at(9, 30)
        roles = await there.roles("paper", there.key("paper"))
        assert roles.lacking
        for asked in (
            roles.calls.gainers(20), roles.calls.volumes(20), roles.calls.news(), roles.calls.is_open_day("20261120"),
            roles.calls.conditions(), roles.calls.watch_groups(),
        ):  # fmt: skip
            with pytest.raises(NotOnPaper, match="KIS_DATA_APP_KEY and KIS_DATA_APP_SECRET"):
                await asked
        assert (await roles.calls.price(some_code())).last_price > 0
        assert len(await roles.calls.prices([some_code(), market().stocks[3].code])) == 2
        assert len((await roles.calls.balance()).holdings) == 3


async def test_what_paper_refuses_is_missing_even_if_we_thought_it_was_there(tmp_path):
    """kis-protocol 4.1: unsupported TRs come as EGW02006 with HTTP 500."""
    async with look_alike(tmp_path) as there:
        roles = await there.roles("paper", there.key("paper"))
        offers = roles.calls.data._client.offers
        roles.calls.data._client.offers = lambda endpoint: True  # type: ignore[method-assign]
        roles.trading_line.environment = "paper"
        from kquant.gateways.kis import endpoints

        wrong = endpoints.Endpoint(path=endpoints.NEWS.path, real="FHKST01011800", paper="FHKST01011800", what="news")
        with pytest.raises(NotOnPaper, match="FHKST01011800"):
            await roles.calls.data._client.get(wrong, dict.fromkeys(("FID_NEWS_OFER_ENTP_CODE",), ""), lane=0)
        assert offers(endpoints.PRICE)


@pytest.mark.parametrize(
    ("environment", "secrets", "told"),
    [("real", PAPER, "EGW02004"), ("paper", REAL, "EGW02007"), ("paper", ("Q" * 36, "s" * 180), "EGW00103")],
)
async def test_a_key_on_the_wrong_host_is_told_apart_at_start(tmp_path, environment, secrets, told):
    """kis-protocol 1.1, 1.9"""
    async with look_alike(tmp_path) as there:
        purpose = "live" if environment == "real" else "paper"
        roles = await there.roles(environment, there.key(purpose, secrets=Secrets(*secrets)))
        with pytest.raises(StartError, match=told):
            await roles.prove()


async def test_a_wrong_account_is_told_at_start(tmp_path):
    """kis-protocol 1.9: OPSQ2000 is the usual sign of a wrong account number."""
    async with look_alike(tmp_path) as there:
        roles = await there.roles("real", there.key("live", account="50001235-01"))
        with pytest.raises(StartError, match="OPSQ2000"):
            await roles.prove()


@pytest.mark.parametrize(("purpose", "environment"), [("paper", "real"), ("live", "paper"), ("data", "paper")])
async def test_keys_of_the_other_service_refuse_to_start_before_anything_is_sent(tmp_path, purpose, environment):
    async with look_alike(tmp_path) as there:
        with pytest.raises(StartError, match="app key"):
            await there.roles(environment, there.key(purpose))


def test_a_paper_key_cannot_be_the_data_key(tmp_path):
    from tests.gateways_kis.look_alike import LookAlike

    there = LookAlike(tmp_path, 0, 10)
    with pytest.raises(StartError, match="paper app key"):
        open_roles(
            settings(), there.clock, DAY, environment="paper", key=there.key("paper"), data_key=there.key("paper"),
            rest_url="http://127.0.0.1:1", data_rest_url="http://127.0.0.1:1", tokens=tmp_path,
        )  # fmt: skip


async def test_one_key_has_one_budget_and_one_token_for_both_roles(tmp_path):
    async with look_alike(tmp_path) as there:
        roles = await there.roles("real", there.key("live"))
        data: DataCalls = roles.calls.data
        assert data._client.line is roles.trading._client.line
        await data.price(some_code())
        await roles.trading.balance()
        assert roles.trading_line.auth.issues == 1


async def test_paper_orders_carry_paper_ids(tmp_path):
    """kis-protocol 4.6: V ids, 40600000 for a buy."""
    async with look_alike(tmp_path) as there:
        there.at(9, 30)
        roles = await there.roles("paper", there.key("paper"))
        code = some_code()
        price = await roles.calls.price(code)
        answer = await roles.calls.place(
            code, "buy", "limit", Shares(1), Krw(price.last_price), timeout_seconds=5, gate=lambda: None
        )
        assert answer.body["msg_cd"] == "40600000"
        with pytest.raises(KisRefused):
            await roles.calls.cancel("99999", "00950", timeout_seconds=5, gate=lambda: None)
        day = await roles.calls.executions("20261120")
        assert [row.side for row in day] == ["buy"]


async def test_without_a_started_line_nothing_leaves(tmp_path):
    from kquant.gateways.clock import SteppedClock

    client = RestClient(
        "http://127.0.0.1:1", Secrets("k", "s"), SteppedClock(0), per_second=1, timeout_seconds=1,  # type: ignore[arg-type]
        token_file=tmp_path / "t.json",
    )  # fmt: skip
    with pytest.raises(KisNotSent, match="not started"):
        await client.post_once(ORDER["buy"], {}, lane=0, timeout_seconds=1, gate=lambda: None)
    assert PRICE.real
