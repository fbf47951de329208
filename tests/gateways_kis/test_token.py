"""The token's life, and calls that must not happen: against a small server on loopback."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import msgspec
import pytest
from aiohttp import web

from kquant.gateways.clock import SteppedClock
from kquant.gateways.kis.rest import client as rest
from kquant.gateways.kis.rest.calls import KisCalls
from kquant.gateways.kis.rest.client import KisNotSent, KisRefused, KisUnreachable, KisUnreadable, RestClient, Secrets
from kquant.gateways.kis.rest.endpoints import ORDER, PRICE
from kquant.gateways.kis.rest.errors import TokenTooSoon
from kquant.values import Micros

OK = {"rt_cd": "0", "msg_cd": "MCA00000", "msg1": "ok"}
SECRET = "app-secret-that-nobody-may-see"  # noqa: S105


class Server:
    """Each path answered by what `on` holds; every call is counted. Tokens are numbered."""

    def __init__(self) -> None:
        self.url = ""
        self.calls: list[tuple[str, str, str]] = []
        self.tokens = 0
        self.token_answer: Any = None
        self.on: Any = None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.calls.append((request.method, request.path, request.headers.get("authorization", "")))
        if request.path == "/oauth2/tokenP":
            self.tokens += 1
            if self.token_answer is not None:
                return self.token_answer()
            return web.json_response({"access_token": f"token-{self.tokens}", "expires_in": 86_400})
        return self.on(request)

    def count(self, path: str) -> int:
        return sum(1 for _, called, _ in self.calls if called.startswith(path))


@pytest.fixture
async def server():
    made = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def client(server, tmp_path):
    made = RestClient(
        server.url, Secrets("app-key", SECRET), SteppedClock(Micros(0)), per_second=1_000, timeout_seconds=5,
        token_file=tmp_path / "token.json",
    )  # fmt: skip
    await made.start()
    yield made
    await made.close()


def expired_unless(token: str):
    def answer(request: web.Request) -> web.Response:
        if request.headers["authorization"] == f"Bearer {token}":
            return web.json_response(OK)
        return web.json_response({"rt_cd": "1", "msg_cd": "EGW00123", "msg1": "expired"}, status=500)

    return answer


async def ask(client: RestClient) -> None:
    await client.get(PRICE, {}, lane=0)


async def order(client: RestClient) -> None:
    await client.post_once(ORDER["buy"], {}, lane=0, timeout_seconds=5, gate=lambda: None)


def leave_token(tmp_path, client: RestClient, **change: Any) -> None:
    owner = client.line.auth._owner
    saved = {"owner": owner, "token": "token-old", "until": 4e9, "issued": 0.0, "asked": 0.0, **change}
    (tmp_path / "token.json").write_bytes(msgspec.json.encode(saved))


async def test_many_calls_at_once_fetch_one_token(server, client):
    server.on = lambda _: web.json_response(OK)
    await asyncio.gather(*[ask(client) for _ in range(20)])
    assert server.tokens == 1


async def test_a_token_that_expired_is_renewed_once_for_all_who_saw_it(server, client, tmp_path):
    leave_token(tmp_path, client)
    server.on = expired_unless("token-1")
    await asyncio.gather(*[ask(client) for _ in range(8)])
    assert server.tokens == 1
    assert server.count("/uapi") <= 16


async def test_a_token_that_stays_refused_is_not_issued_again_and_again(server, client, tmp_path):
    leave_token(tmp_path, client)
    server.on = expired_unless("never")
    for _ in range(3):
        with pytest.raises(KisRefused, match="EGW00123"):
            await ask(client)
    assert server.tokens == 1


async def test_a_refused_issue_is_not_repeated_within_the_minute(server, client):
    server.token_answer = lambda: web.json_response(
        {"error_code": "EGW00133", "error_description": "once a minute"}, status=403
    )
    with pytest.raises(KisRefused, match="EGW00133"):
        await ask(client)
    for _ in range(3):
        with pytest.raises(TokenTooSoon, match="one token a minute"):
            await ask(client)
    assert server.tokens == 1


async def test_an_order_refused_for_its_token_is_not_repeated_but_the_next_call_has_a_new_one(server, client, tmp_path):
    leave_token(tmp_path, client)
    server.on = expired_unless("token-1")
    with pytest.raises(KisRefused, match="EGW00123"):
        await order(client)
    assert server.count(ORDER["buy"].path) == 1
    await order(client)
    assert server.tokens == 1


@pytest.mark.parametrize("change", [{"token": 7}, {"until": "soon"}, {"issued": None}, {"until": []}])
async def test_a_damaged_token_file_is_replaced(server, client, tmp_path, change):
    leave_token(tmp_path, client, **change)
    server.on = expired_unless("token-1")
    await ask(client)
    assert json.loads((tmp_path / "token.json").read_bytes())["token"] == "token-1"  # noqa: S105


async def test_an_order_without_a_token_never_leaves(server, client):
    server.token_answer = lambda: web.Response(status=500, text="<html>")
    with pytest.raises(KisNotSent):
        await order(client)
    assert server.count("/uapi") == 0


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(server, client, status):
    server.on = lambda _: web.Response(status=status, headers={"location": f"{server.url}/elsewhere"})
    with pytest.raises(KisUnreadable):
        await order(client)
    assert server.count(ORDER["buy"].path) == 1
    assert server.count("/elsewhere") == 0


BODIES = [
    b"", b"null", b"[]", b"7", b'"text"', b"<html>", b"\xff\xfe", b"{", b'{"a":' * 50_000, b"x" * (rest.BODY_LIMIT + 1),
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize("status", [200, 500])
async def test_a_body_that_is_no_answer_is_a_typed_error(server, client, body, status):
    server.on = lambda _: web.Response(status=status, body=body)
    with pytest.raises(KisUnreadable):
        await ask(client)


async def test_a_compressed_body_cannot_grow_beyond_the_limit(server, client):
    packed = gzip.compress(b" " * (30 << 20))
    server.on = lambda _: web.Response(body=packed, headers={"content-encoding": "gzip"})
    with pytest.raises((KisUnreadable, KisUnreachable)):
        await ask(client)
    server.on = lambda _: web.Response(body=b"no gzip at all", headers={"content-encoding": "gzip"})
    with pytest.raises(KisUnreachable):
        await ask(client)


async def test_no_secret_stands_in_any_error_or_repr(server, client, tmp_path):
    seen = [repr(client), repr(Secrets("app-key", SECRET)), str(vars(client))]
    for answer in (
        lambda: web.Response(status=500, text="<html>"),
        lambda: web.json_response({"access_token": ["token-1"], "expires_in": 1}),
        lambda: web.json_response({"access_token": "token-1", "expires_in": "soon"}),
    ):
        server.token_answer = answer
        with pytest.raises(rest.KisError) as caught:
            await ask(client)
        seen.append(f"{caught.value!r} {caught.value.__context__!r}")
    assert all(SECRET not in text and "token-1" not in text for text in seen)


async def test_cookies_are_neither_kept_nor_sent(server, client):
    seen: list[Any] = []

    def bake(request: web.Request) -> web.Response:
        seen.append(request.headers.get("cookie"))
        answer = web.json_response(OK)
        answer.set_cookie("route", "node-7")
        return answer

    server.on = bake
    server.url = server.url.replace("127.0.0.1", "localhost")  # aiohttp keeps no cookies of plain addresses anyway
    client.line._base = server.url
    await ask(client)
    await ask(client)
    assert seen == [None, None]


async def test_a_broker_that_repeats_our_secrets_has_them_struck_out_reliability_x1(server, client):
    def echo(request: web.Request) -> web.Response:
        said = f"no: {request.headers['appsecret']} {request.headers['authorization']}"
        return web.json_response({"rt_cd": "1", "msg_cd": "EGW00105", "msg1": said}, status=500)

    server.on = echo
    with pytest.raises(KisRefused, match="EGW00105") as caught:
        await ask(client)
    server.token_answer = lambda: web.json_response({"error_code": "EGW00105", "error_description": SECRET}, status=403)
    client.line.auth.refused("token-1")
    client.line.auth._kept = msgspec.structs.replace(client.line.auth._kept, asked=0.0)
    with pytest.raises(KisRefused, match="EGW00105") as at_token:
        await ask(client)
    for error in (caught.value, at_token.value):
        assert "(hidden)" in str(error)
        assert not any(one in f"{error!r} {error.__cause__!r}" for one in (SECRET, "token-1"))


@pytest.mark.parametrize("text", ["", "1e9", "NaN", "-+5", "1_0", "\uff11\uff12", "1.5", "9" * 30, "0x1f", "--1"])
def test_a_malformed_number_is_named(text):
    with pytest.raises(KisUnreadable, match="stck_prpr"):
        rest.int_field({"stck_prpr": text}, "stck_prpr")


@pytest.mark.parametrize(("text", "value"), [("70850.0000", 70_850), (" 007 ", 7), ("-0", 0), ("+12", 12), ("-3", -3)])
def test_a_whole_number_is_read_in_every_way_kis_writes_it(text, value):
    assert rest.int_field({"x": text}, "x") == value


RISER = {
    "hts_kor_isnm": "a", "stck_prpr": "1100", "acml_vol": "10", "stck_hgpr": "1200", "stck_lwpr": "900",
    "oprc_vrss_prpr": "100",
}  # fmt: skip
MOVER = {"hts_kor_isnm": "a", "stck_prpr": "1100", "acml_tr_pbmn": "11000", "prdy_ctrt": "1.00", "prdy_vol": "5"}


def rankings(request: web.Request) -> web.Response:
    query = {name.lower(): value for name, value in request.query.items()}
    start = {"0000": 0, "0001": 0, "1001": 100}[query["fid_input_iscd"]]
    if request.path.endswith("/ranking/fluctuation"):
        rows = [
            {**RISER, "stck_shrn_iscd": f"{start + n:06d}", "prdy_ctrt": f"{29 - n}.{start // 100}0"} for n in range(30)
        ]
    else:
        rows = [{**MOVER, "mksc_shrn_iscd": f"{start + n:06d}", "acml_vol": str(9_000 - n + start)} for n in range(30)]
    return web.json_response({**OK, "output": rows})


async def test_top_gainers_are_ranked_by_rise(server, client):
    server.on = rankings
    rows = await KisCalls(client, "50001234-01").gainers(20)
    assert [row.rank for row in rows] == list(range(1, 21))
    assert [row.change_bp for row in rows] == [100 * (29 - n) for n in range(20)]
    assert (rows[0].code, rows[0].price, rows[0].open, rows[0].high, rows[0].low) == ("000000", 1100, 1000, 1200, 900)


async def test_top_volume_is_ranked_by_shares_traded(server, client):
    server.on = rankings
    rows = await KisCalls(client, "50001234-01").volumes(20)
    assert [row.volume for row in rows] == [9_000 - n for n in range(20)]
    assert (rows[0].turnover, rows[0].prev_volume, rows[0].high) == (11_000, 5, None)


async def test_fifty_of_each_ranking_are_merged_from_both_markets_without_duplicates(server, client):
    server.on = rankings
    calls = KisCalls(client, "50001234-01")
    gainers, volumes = await calls.gainers(50), await calls.volumes(50)
    for rows in (gainers, volumes):
        assert len(rows) == len({row.code for row in rows}) == 50
        assert [row.rank for row in rows] == list(range(1, 51))
    assert [row.change_bp for row in gainers] == sorted((row.change_bp for row in gainers), reverse=True)
    assert [row.volume for row in volumes] == sorted((row.volume for row in volumes), reverse=True)
    assert server.count("/uapi") == 4
