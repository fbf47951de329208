import io
import json
import stat
import time
import zipfile

import pytest
from aiohttp import web

from kquant.gateways.clock import SteppedClock, WallClock
from kquant.gateways.kis.rest import master
from kquant.gateways.kis.rest.calls import KisCalls
from kquant.gateways.kis.rest.client import (
    KisRefused,
    KisUnreachable,
    KisUnreadable,
    NotOnPaper,
    RestClient,
    Secrets,
    no_jitter,
)
from kquant.krx import TickBand
from kquant.values import Micros

SPENT = {"rt_cd": "1", "msg_cd": "EGW00201", "msg1": "초당 거래건수를 초과하였습니다."}
EXPIRED = {"rt_cd": "1", "msg_cd": "EGW00123", "msg1": "기간이 만료된 token 입니다."}
PRICE = {
    "stck_prpr": "71000",
    "stck_oprc": "70500",
    "stck_hgpr": "71200",
    "stck_lwpr": "70400",
    "acml_vol": "123456",
    "acml_tr_pbmn": "8765432100",
    "prdy_ctrt": "-0.70",
}
HOLDING = {"pdno": "005930", "prdt_name": "삼성전자", "hldg_qty": "10", "ord_psbl_qty": "7", "pchs_amt": "708500"}
CASH = {"dnca_tot_amt": "10000000", "nxdy_excc_amt": "9291400", "prvs_rcdl_excc_amt": "9291400"}
ORDER = {
    "ord_gno_brno": "00950",
    "odno": "0000117057",
    "orgn_odno": "",
    "sll_buy_dvsn_cd": "02",
    "pdno": "005930",
    "prdt_name": "삼성전자",
    "ord_qty": "10",
    "ord_unpr": "71000",
    "ord_tmd": "100512",
    "tot_ccld_qty": "3",
    "tot_ccld_amt": "212700",
    "ord_dvsn_cd": "00",
    "cnc_cfrm_qty": "0",
    "rmn_qty": "7",
    "rjct_qty": "0",
}
BANDS = tuple(
    TickBand(from_price=start, tick=tick)
    for start, tick in ((1, 1), (2000, 5), (5000, 10), (20000, 50), (50000, 100), (200000, 500), (500000, 1000))
)


class ImpatientClock(WallClock):
    """A clock whose sleepers never wait."""

    async def sleep_until(self, at):
        return


class Kis:
    """Answers each call with the next scripted one: (status, body, tr_cont). Tokens are always to be had."""

    def __init__(self):
        self.script = []
        self.asked = []
        self.tokens = 0

    async def token(self, request):
        self.tokens += 1
        return web.json_response({"access_token": f"token-{self.tokens}", "token_type": "Bearer", "expires_in": 86400})

    async def approval(self, request):
        self.asked.append(await request.json())
        return web.json_response({"approval_key": f"approval-{len(self.asked)}"})

    async def call(self, request):
        self.asked.append(
            {"headers": dict(request.headers), "query": dict(request.query), "body": await request.text()}
        )
        status, body, tr_cont = self.script.pop(0)
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, headers={"tr_cont": tr_cont}, content_type="application/json")

    def answers(self, *bodies, status=200):
        self.script += [(status, body, "D") for body in bodies]


@pytest.fixture
async def kis():
    fake = Kis()
    app = web.Application()
    app.router.add_post("/oauth2/tokenP", fake.token)
    app.router.add_post("/oauth2/Approval", fake.approval)
    app.router.add_route("*", "/uapi/{rest:.*}", fake.call)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await runner.cleanup()


def make_client(url, folder, wall=time.time, clock=None, jitter=no_jitter, environment="real"):
    return RestClient(
        url,
        Secrets("app-key", "app-secret"),
        clock or ImpatientClock(),
        per_second=15,
        timeout_seconds=5,
        token_file=folder / "token.json",
        wall=wall,
        jitter=jitter,
        environment=environment,
    )


@pytest.fixture
async def client(kis, tmp_path):
    made = make_client(kis.url, tmp_path)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
def calls(client):
    return KisCalls(client, "12345678-01")


def ok(**output):
    return {"rt_cd": "0", "msg_cd": "MCA00000", "msg1": "ok", **output}


async def test_a_price_is_read_and_the_headers_are_the_documented_ones(kis, calls):
    kis.answers(ok(output=PRICE))
    price = await calls.price("005930")
    assert (price.last_price, price.volume, price.value, price.change_bp) == (71000, 123456, 8765432100, -70)
    headers = {name.lower(): value for name, value in kis.asked[0]["headers"].items()}
    assert (headers["authorization"], headers["tr_id"], headers["custtype"]) == ("Bearer token-1", "FHKST01010100", "P")


@pytest.mark.parametrize("field", sorted(PRICE))
@pytest.mark.parametrize("value", [None, "", "many", "1.5.0"])
async def test_a_missing_or_malformed_field_is_named_never_zero(kis, calls, field, value):
    row = {name: text for name, text in PRICE.items() if name != field}
    if value is not None:
        row[field] = value
    kis.answers(ok(output=row))
    with pytest.raises(KisUnreadable, match=field):
        await calls.price("005930")


async def test_a_refusal_keeps_code_and_text_whatever_the_status(kis, calls):
    kis.answers({"rt_cd": "7", "msg_cd": "APBK0919", "msg1": "장종료       "})
    kis.answers({"rt_cd": "1", "msg_cd": "EGW02006", "msg1": "모의투자 TR 이 아닙니다."}, status=500)
    for code, message, status in (("APBK0919", "장종료", 200), ("EGW02006", "모의투자 TR 이 아닙니다.", 500)):
        with pytest.raises(KisRefused) as refused:
            await calls.price("005930")
        assert (refused.value.code, refused.value.message, refused.value.status) == (code, message, status)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "<html>busy</html>"),
        (502, ""),
        (200, "[]"),
        (200, "{}"),
        (500, {"rt_cd": "0"}),
        (200, "{" + " " * (1 << 20)),
    ],
)
async def test_an_answer_that_is_no_envelope_is_unreadable(kis, calls, status, body):
    kis.answers(body, status=status)
    with pytest.raises(KisUnreadable):
        await calls.price("005930")


async def test_a_limit_refusal_is_asked_again_once(kis, calls):
    kis.answers(SPENT, status=500)
    kis.answers(ok(output=PRICE))
    assert (await calls.price("005930")).last_price == 71000
    kis.answers(SPENT, SPENT, status=500)
    with pytest.raises(KisRefused, match="EGW00201"):
        await calls.price("005930")
    assert (len(kis.asked), kis.script) == (4, [])


class PatientClock(SteppedClock):
    """Remembers until when it was slept, and is there at once."""

    def __init__(self):
        super().__init__(Micros(0))
        self.slept = []

    async def sleep_until(self, at):
        self.slept.append(at)
        self.set(at)


@pytest.mark.parametrize(
    ("code", "slept"),
    [
        ("EGW00201", [1_123_456]),
        ("EGW00215", [1_123_456]),
        ("EGW00202", [1_123_456]),
        ("EGW00123", []),
        ("EGW00301", None),
    ],
)
async def test_a_read_is_tried_again_once_after_a_second_and_jitter_or_at_once_or_not_at_all(
    kis, tmp_path, code, slept
):
    """kis-protocol 1.8, 1.9: limits and passing troubles once more, a lost token at once, an unknown end never."""
    clock = PatientClock()
    client = make_client(kis.url, tmp_path, clock=clock, jitter=lambda: 123_456)
    await client.start()
    kis.answers({"rt_cd": "1", "msg_cd": code, "msg1": "no"}, status=500)
    kis.answers(ok(output=PRICE))
    if slept is None:
        with pytest.raises(KisRefused, match=code):
            await KisCalls(client, "12345678-01").price("005930")
    else:
        assert (await KisCalls(client, "12345678-01").price("005930")).last_price == 71000
        assert clock.slept == slept
    await client.close()
    assert len(kis.asked) == (1 if slept is None else 2)
    assert client.line.limiter.refusals == (code in {"EGW00201", "EGW00215"})


async def test_a_routing_error_on_paper_means_unsupported_only_when_it_comes_twice(kis, tmp_path):
    """kis-protocol 1.9: EGW00203"""
    client = make_client(kis.url, tmp_path, environment="paper")
    await client.start()
    calls = KisCalls(client, "12345678-01")
    routing = {"rt_cd": "1", "msg_cd": "EGW00203", "msg1": "OPS routing"}
    kis.answers(routing, status=500)
    kis.answers(ok(output=PRICE))
    assert (await calls.price("005930")).last_price == 71000
    kis.answers(routing, routing, status=500)
    with pytest.raises(NotOnPaper, match="FHKST01010100"):
        await calls.price("005930")
    await client.close()


async def test_an_order_is_posted_once_even_if_the_limit_refuses_it(kis, calls):
    kis.answers(SPENT, ok(), status=500)
    with pytest.raises(KisRefused, match="EGW00201"):
        await calls.place("005930", "buy", "limit", 10, 71000, timeout_seconds=5, gate=lambda: None)
    assert len(kis.asked) == 1
    body = json.loads(kis.asked[0]["body"])
    assert (body["CANO"], body["ACNT_PRDT_CD"], body["PDNO"]) == ("12345678", "01", "005930")
    assert (body["ORD_DVSN"], body["ORD_QTY"], body["ORD_UNPR"]) == ("00", "10", "71000")


async def test_the_gate_stops_an_order_before_its_first_byte(kis, calls):
    class Shut(Exception):
        pass

    def gate():
        raise Shut

    with pytest.raises(Shut):
        await calls.place("005930", "buy", "market", 10, 0, timeout_seconds=5, gate=gate)
    assert kis.asked == []


async def test_the_token_is_kept_for_its_owner_only_and_shared_by_the_next_process(kis, client, tmp_path):
    kis.answers(ok(output=PRICE), ok(output=PRICE))
    await KisCalls(client, "12345678-01").price("005930")
    assert stat.S_IMODE((tmp_path / "token.json").stat().st_mode) == 0o600
    second = make_client(kis.url, tmp_path)
    await second.start()
    await KisCalls(second, "12345678-01").price("005930")
    await second.close()
    assert kis.tokens == 1


async def test_a_new_token_is_issued_at_most_once_a_minute(kis, calls):
    kis.answers(EXPIRED, EXPIRED, status=500)
    with pytest.raises(KisRefused, match="EGW00123"):
        await calls.price("005930")
    assert kis.tokens == 1


async def test_the_approval_key_is_kept_until_it_is_renewed_and_issued_once_a_second(kis, tmp_path):
    """kis-protocol 1.4"""
    wall = [1_000_000.0]
    client = make_client(kis.url, tmp_path, wall=lambda: wall[0])
    await client.start()
    keys = [await client.approval_key(), await client.approval_key(), await client.approval_key(renew=True)]
    wall[0] += 2
    keys += [await client.approval_key(), await client.approval_key(renew=True)]
    wall[0] += 24 * 3600
    keys += [await client.approval_key()]
    await client.close()
    assert keys == ["approval-1", "approval-1", "approval-1", "approval-1", "approval-2", "approval-3"]
    assert kis.asked[0] == {"grant_type": "client_credentials", "appkey": "app-key", "secretkey": "app-secret"}


async def test_nobody_there_is_unreachable_and_no_secret_is_told(tmp_path):
    client = make_client("http://127.0.0.1:1", tmp_path)
    await client.start()
    with pytest.raises(KisUnreachable) as error:
        await KisCalls(client, "12345678-01").price("005930")
    await client.close()
    assert "app-secret" not in str(error.value)
    assert "app-secret" not in repr(Secrets("app-key", "app-secret"))


async def test_all_pages_of_a_balance_are_read_and_sold_rows_left_out(kis, calls):
    other, sold = HOLDING | {"pdno": "000660"}, HOLDING | {"pdno": "035420", "hldg_qty": "0"}
    keys = {"ctx_area_fk100": "fk   ", "ctx_area_nk100": "nk   "}
    kis.script.append((200, ok(output1=[HOLDING, sold], output2=[CASH], **keys), "M"))
    kis.script.append((200, ok(output1=[other], output2=[CASH]), "D"))
    balance = await calls.balance()
    assert [(one.code, one.qty, one.sellable, one.cost_krw) for one in balance.holdings] == [
        ("000660", 10, 7, 708500),
        ("005930", 10, 7, 708500),
    ]
    assert (balance.cash_krw, balance.cash_today_krw) == (9291400, 10000000)
    assert (kis.asked[1]["query"]["CTX_AREA_NK100"], kis.asked[1]["headers"]["tr_cont"]) == ("nk", "N")


async def test_a_page_key_that_repeats_is_an_error_not_the_end(kis, calls):
    page = ok(output1=[ORDER], ctx_area_fk100="fk", ctx_area_nk100="nk")
    kis.script += [(200, page, "M")] * 5
    with pytest.raises(KisUnreadable, match="repeats"):
        await calls.executions("20261123")


async def test_an_execution_is_read_with_its_cumulative_figures(kis, calls):
    cancel = ORDER | {"odno": "0000117060", "orgn_odno": "0000117057", "sll_buy_dvsn_cd_name": "매수취소"}
    kis.answers(ok(output1=[ORDER, cancel], output2={}))
    first, second = await calls.executions("20261123")
    assert (first.order_no, first.side, first.kind, first.filled_qty, first.filled_amount) == (
        "117057",
        "buy",
        "limit",
        3,
        212700,
    )
    assert (first.leaves_qty, first.is_cancel) == (7, False)
    assert (second.original_order_no, second.is_cancel) == ("117057", True)


async def test_rankings_above_thirty_ask_each_market_and_rank_anew(kis, calls):
    def row(code, volume):
        return {
            "mksc_shrn_iscd": code,
            "hts_kor_isnm": code,
            "stck_prpr": "1000",
            "prdy_ctrt": "1.00",
            "acml_vol": str(volume),
            "acml_tr_pbmn": "1",
            "prdy_vol": "1",
        }

    kis.answers(ok(output=[row("000001", 5), row("000002", 3)]), ok(output=[row("000003", 4)]))
    rows = await calls.volumes(40)
    assert [(one.code, one.rank) for one in rows] == [("000001", 1), ("000003", 2), ("000002", 3)]
    assert [asked["query"]["FID_INPUT_ISCD"] for asked in kis.asked] == ["0001", "1001"]


def master_row(code, name, width, fields):
    tail = bytearray(b" " * width)
    for offset, text in fields.items():
        tail[offset : offset + len(text)] = text.encode()
    return code.ljust(9).encode() + b"KR7005930003" + name.ljust(40).encode("cp949") + bytes(tail)


def zipped(*rows):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("kospi_code.mst", b"\n".join(rows) + b"\n")
    return file.getvalue()


KOSPI_FIELDS = {
    0: "ST", 22: "0", 29: "N", 32: "0", 41: "000071000", 60: "N", 61: "N", 62: "N", 63: "00", 81: "000012345678", 158: "0",
}  # fmt: skip


def test_a_master_row_is_read_by_bytes():
    (stock,) = master.parse(zipped(master_row("005930", "삼성전자", 227, KOSPI_FIELDS)), "KOSPI", BANDS)
    assert (stock.code, stock.name, stock.kind, stock.base) == ("005930", "삼성전자", "common", 71000)
    assert (stock.upper, stock.lower, stock.prev_volume, stock.warning) == (92300, 49700, 12345678, 0)
    flags = (stock.halted, stock.administrative, stock.liquidation, stock.overheated)
    assert flags == (False, False, False, False)


@pytest.mark.parametrize(
    ("change", "kind"), [({0: "EF"}, "fund"), ({29: "Y"}, "spac"), ({158: "1"}, "preferred"), ({0: "RT"}, "reit")]
)
def test_the_kind_of_a_stock_comes_from_its_classes(change, kind):
    (stock,) = master.parse(zipped(master_row("005935", "x", 227, KOSPI_FIELDS | change)), "KOSPI", BANDS)
    assert stock.kind == kind


def test_flags_are_read_and_liquidation_has_no_limits():
    fields = KOSPI_FIELDS | {32: "2", 60: "Y", 61: "Y", 62: "Y", 63: "02"}
    (stock,) = master.parse(zipped(master_row("005930", "x", 227, fields)), "KOSPI", BANDS)
    assert stock.halted
    assert stock.liquidation
    assert stock.administrative
    assert stock.overheated
    assert (stock.warning, stock.upper, stock.lower) == (2, None, None)


KONEX_FIELDS = {0: "ST", 2: "000003500", 21: "N", 22: "N", 23: "Y", 24: "01", 42: "000000001234", 119: "0"}


def test_a_konex_row_is_read_by_its_own_offsets_and_its_limits_are_not_guessed():
    """kis-protocol 4.8: KONEX tails have 184 bytes."""
    (stock,) = master.parse(zipped(master_row("076340", "관악산업", 184, KONEX_FIELDS)), "KONEX", BANDS)
    assert (stock.code, stock.name, stock.market, stock.kind, stock.base) == (
        "076340",
        "관악산업",
        "KONEX",
        "common",
        3500,
    )
    assert (stock.administrative, stock.halted, stock.warning, stock.prev_volume) == (True, False, 1, 1234)
    assert (stock.upper, stock.lower) == (None, None)


@pytest.mark.parametrize("content", [b"no zip", zipped(b"short"), zipped(master_row("1", "x", 227, {0: "ST"}))])
def test_a_damaged_master_file_is_unreadable(content):
    with pytest.raises(KisUnreadable):
        master.parse(content, "KOSPI", BANDS)


def holidays(*rows):
    return ok(
        output=[
            {"bass_dt": day, "bzdy_yn": "Y", "tr_day_yn": "Y", "opnd_yn": opened, "sttl_day_yn": "Y"}
            for day, opened in rows
        ]
    )


@pytest.mark.parametrize(("said", "opens"), [("Y", True), ("N", False)])
async def test_the_broker_says_whether_the_exchange_opens(kis, calls, said, opens):
    kis.answers(holidays(("20261120", said), ("20261121", "N")))
    assert await calls.is_open_day("20261120") is opens
    assert kis.asked[0]["query"]["BASS_DT"] == "20261120"


@pytest.mark.parametrize("rows", [[("20261121", "Y")], [("20261120", "?")], []])
async def test_a_day_the_broker_does_not_speak_of_is_not_taken_for_open(kis, calls, rows):
    kis.answers(holidays(*rows))
    with pytest.raises(KisUnreadable):
        await calls.is_open_day("20261120")
