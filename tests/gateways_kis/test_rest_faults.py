"""What the REST client makes of the look-alike's faults, over real sockets: `reliability` D15 to D19, issue's list."""

from __future__ import annotations

import asyncio

import pytest

from kquant.exchange.faults import faults_from_spec
from kquant.gateways.kis.rest.errors import KisError, KisRefused, KisUnreachable, KisUnreadable
from kquant.values import Krw, Shares
from tests.gateways_kis.look_alike import LookAlike, look_alike, market

CODE = next(stock.code for stock in market().stocks if stock.kind == "common" and not stock.halted)
LOWER = next(stock.lower for stock in market().stocks if stock.code == CODE)


@pytest.fixture
async def there(tmp_path):
    async with look_alike(tmp_path, holdings=55) as made:
        made.at(10, 30)
        yield made


def break_it(there: LookAlike, spec: str) -> None:
    for fault in faults_from_spec(spec):
        there.ports.faults.add(fault)
    there.ports.let_faults_act()


def limited(spec: str, path: str) -> str:
    """Return *spec* for one path, and once if it does not say how often."""
    kind, _, given = spec.partition(":")
    return f"{kind}:{given or 'count=1'}{'' if 'count' in (given or 'count') else ',count=1'},path={path}"


ONCE = [
    ("html_500", KisUnreadable, "body that is no JSON"),
    ("html_500:status=200", KisUnreadable, "body that is no JSON"),
    ("truncated_json", KisUnreadable, "body that is no JSON"),
    ("empty_body", KisUnreadable, "body that is no JSON"),
    ("huge_body:mb=3", KisUnreadable, "longer than"),
    ("gzip_garbage", KisUnreachable, "FHKST01010100"),
    # aiohttp repeats a lost GET once by itself, on a new connection.
    ("lost_request:count=2", KisUnreachable, "FHKST01010100"),
    ("lost_answer:count=2", KisUnreachable, "FHKST01010100"),
    ("rename_field:field=stck_prpr,to=price", KisUnreadable, "stck_prpr is None"),
    ("null_field:field=stck_prpr", KisUnreadable, "stck_prpr is None"),
    ("drop_field:field=acml_vol", KisUnreadable, "acml_vol is None"),
    ("set_field:field=stck_prpr,value=NaN", KisUnreadable, "stck_prpr is 'NaN'"),
    ("set_field:field=stck_prpr,value=-71000", KisUnreadable, "not a price"),
    ("zero_prices:on=rest", KisUnreadable, "stck_prpr is 0"),
    ("rest_error:code=OPSQ0003", KisRefused, "OPSQ0003"),
    ("rest_error:code=EGW00301", KisRefused, "EGW00301"),
]


@pytest.mark.parametrize(("spec", "error", "told"), ONCE, ids=[spec for spec, _, _ in ONCE])
async def test_a_fault_of_one_answer_is_one_named_error_and_the_next_call_works(there, spec, error, told):
    calls = await there.calls("real")
    await calls.price(CODE)
    break_it(there, limited(spec, "inquire-price"))
    with pytest.raises(error, match=told):
        await calls.price(CODE)
    assert (await calls.price(CODE)).last_price > 0


@pytest.mark.parametrize(
    "spec", ["wrong_content_type:type=text/plain", "throttle:count=1", "throttle:code=EGW00215,count=1"]
)
async def test_what_only_looks_like_a_fault_or_passes_costs_nothing(there, spec):
    """kis-protocol 1.7, 1.8: the body decides; a limit refusal is an HTTP 500 with JSON and is asked again."""
    calls = await there.calls("real")
    await calls.price(CODE)
    break_it(there, spec)
    assert (await calls.price(CODE)).last_price > 0
    assert calls.data._client.line.limiter.refusals == ("throttle" in spec)


async def test_a_burst_of_limit_refusals_slows_everybody_down(there):
    calls = await there.calls("real")
    await calls.price(CODE)
    limiter = calls.data._client.line.limiter
    break_it(there, "throttle:count=6")
    results = await asyncio.gather(*[calls.price(CODE) for _ in range(6)], return_exceptions=True)
    assert all(not isinstance(each, BaseException) or isinstance(each, KisRefused) for each in results)
    assert limiter.refusals == 6
    assert limiter.pace() < 1_000


@pytest.mark.parametrize("how", ["revoked", "expired"])
async def test_a_void_token_is_replaced_and_the_read_goes_on(there, how):
    """kis-protocol 1.2, 1.9: EGW00121 and EGW00123, one new token at once."""
    wall = 1_900_000_000.0
    there.ports.wall = lambda: wall
    calls = await there.calls("real")
    auth = calls.data._client.line.auth
    auth._wall = lambda: wall
    await calls.price(CODE)
    wall += 3_600
    break_it(there, f"revoke_token:how={how}")
    assert (await calls.price(CODE)).last_price > 0
    assert auth.issues == 2


@pytest.mark.parametrize("how", ["cut", "empty", "blank_next", "endless"])
async def test_a_part_of_a_balance_is_never_taken_for_the_whole(there, how):
    """`reliability` D19"""
    calls = await there.calls("paper")
    break_it(there, f"partial_pages:how={how},path=inquire-balance")
    with pytest.raises(KisUnreadable):
        await calls.balance()
    there.ports.faults.clear_all()
    assert len((await calls.balance()).holdings) == 55


@pytest.mark.parametrize("how", ["zero", "repeat"])
async def test_ghost_rows_of_a_balance_are_left_out(there, how):
    """kis-protocol 4.5, 6 row 13"""
    calls = await there.calls("paper")
    clean = await calls.balance()
    break_it(there, f"ghost_rows:how={how}")
    assert await calls.balance() == clean


@pytest.mark.parametrize(
    ("spec", "orders"),
    [
        ("lost_request", 0),
        ("lost_answer", 1),
        ("html_500:effect=after", 1),
        ("html_500:effect=before", 0),
        ("truncated_json", 1),
    ],
)
async def test_an_order_whose_answer_is_unusable_was_posted_once(there, spec, orders):
    """`reliability` C0, D1, D2, D17: the books hold at most that one, and no code here sends it again."""
    calls = await there.calls("real")
    await calls.balance()
    break_it(there, limited(spec, "order-cash"))
    with pytest.raises((KisUnreachable, KisUnreadable)):
        await calls.place(CODE, "buy", "limit", Shares(3), Krw(LOWER), timeout_seconds=5, gate=lambda: None)
    assert len(await calls.executions("20261120")) == orders


async def test_in_maintenance_every_call_is_an_error_and_afterwards_none(there):
    calls = await there.calls("real")
    await calls.price(CODE)
    break_it(there, "maintenance:until=10:40:00")
    for asked in (calls.price(CODE), calls.balance(), calls.gainers(20), calls.master("kospi")):
        with pytest.raises(KisError):
            await asked
    there.at(10, 40, 1)
    assert (await calls.price(CODE)).last_price > 0
