import io
import json
import zipfile

import msgspec
import pytest

from kquant.exchange.core.rest import Request
from kquant.exchange.market.model import Print
from tests.exchange.fake_market import OPEN, FakeMarket, stock
from tests.exchange.helpers import BALANCE, CANO, DAILY, OPTIONS, PREFIX, WALL, Client

PRICE = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": "000010"}
VOLUME = {
    "FID_COND_MRKT_DIV_CODE": "J",
    "FID_COND_SCR_DIV_CODE": "20171",
    "FID_INPUT_ISCD": "0000",
    "FID_DIV_CLS_CODE": "0",
    "FID_BLNG_CLS_CODE": "0",
    "FID_TRGT_CLS_CODE": "111111111",
    "FID_TRGT_EXLS_CLS_CODE": "0000000000",
    "FID_INPUT_PRICE_1": "",
    "FID_INPUT_PRICE_2": "",
    "FID_VOL_CNT": "",
    "FID_INPUT_DATE_1": "",
}
RISE = {
    "fid_cond_mrkt_div_code": "J",
    "fid_cond_scr_div_code": "20170",
    "fid_input_iscd": "0000",
    "fid_rank_sort_cls_code": "0",
    "fid_input_cnt_1": "0",
    "fid_prc_cls_code": "0",
    "fid_input_price_1": "",
    "fid_input_price_2": "",
    "fid_vol_cnt": "",
    "fid_trgt_cls_code": "0",
    "fid_trgt_exls_cls_code": "0",
    "fid_div_cls_code": "0",
    "fid_rsfl_rate1": "",
    "fid_rsfl_rate2": "",
}


@pytest.fixture
def client() -> Client:
    stocks = [stock("000010", "하나전자"), stock("000020", "두리바이오", market="KOSDAQ"), stock("000035", kind="etf")]
    stocks += [stock(f"1{n:05d}") for n in range(40)]
    prints = {
        row.code: [Print(OPEN + 1, row.base, 100 + n, 3), Print(OPEN + 2, row.base + 10 * n, 5, 1)]
        for n, row in enumerate(stocks)
    }
    client = Client(FakeMarket(stocks, prints))
    client.exchange.advance(OPEN + 30)
    return client


def raw(client: Client, headers: dict[str, str], params: dict[str, str] = PRICE) -> tuple[int, dict[str, str]]:
    path = PREFIX + "/quotations/inquire-price"
    request = Request(method="GET", path=path, headers=headers, params=params, body={})
    answer = client.exchange.rest(request, client.wall)
    return answer.status, json.loads(answer.content)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"authorization": ""}, "EGW00122"),
        ({"authorization": "Basic x"}, "EGW00205"),
        ({"authorization": "Bearer x"}, "EGW00121"),
        ({"appkey": ""}, "EGW00102"),
        ({"appkey": "x"}, "EGW00103"),
        ({"appsecret": ""}, "EGW00104"),
        ({"appsecret": "x"}, "EGW00105"),
        ({"custtype": "X"}, "EGW00208"),
        ({"tr_id": "FHPST01710000"}, "EGW00310"),
    ],
)
def test_the_gateway_refuses_a_wrong_header_with_http_500(client: Client, change: dict[str, str], code: str) -> None:
    status, body = raw(client, client.headers("FHKST01010100") | change)
    assert (status, body["msg_cd"]) == (500, code)
    assert body["rt_cd"] != "0"


def test_a_token_lives_a_day_is_reused_for_six_hours_and_issued_once_a_minute(client: Client) -> None:
    token = client.login()
    client.wall = WALL + 5 * 3_600
    assert client.login() == token
    client.wall = WALL + 6 * 3_600
    assert client.login() != token
    client.token, client.wall = token, WALL + 86_400
    assert raw(client, client.headers("FHKST01010100"))[1]["msg_cd"] == "EGW00123"
    keys = {"grant_type": "client_credentials", "appkey": OPTIONS.app_key, "appsecret": OPTIONS.app_secret}
    fresh = client.post("/oauth2/tokenP", keys)[1]["access_token"]
    client.post("/oauth2/revokeP", {"appkey": OPTIONS.app_key, "appsecret": OPTIONS.app_secret, "token": fresh})
    client.wall += 59
    status, body = client.post("/oauth2/tokenP", keys)
    assert (status, body["error_code"]) == (403, "EGW00133")


def test_the_19th_call_of_a_second_is_refused_until_the_next_second_of_the_wall(client: Client) -> None:
    headers = client.headers("FHKST01010100")
    answers = [raw(client, headers)[1]["msg_cd"] for _ in range(19)]
    assert answers[17:] == ["MCA00000", "EGW00201"]
    client.exchange.step(client.exchange.now_us + 1_000_000)
    assert raw(client, headers)[1]["msg_cd"] == "EGW00201"
    client.wall += 1
    assert raw(client, headers)[0] == 200


def test_a_missing_required_parameter_is_refused_while_a_blank_one_is_not(client: Client) -> None:
    minutes = PRICE | {"FID_INPUT_HOUR_1": "090000", "FID_PW_DATA_INCU_YN": "Y"}
    path = "/quotations/inquire-time-itemchartprice"
    assert client.call(path, "FHKST03010200", minutes)[1]["rt_cd"] == "2"
    assert client.call(path, "FHKST03010200", minutes | {"FID_ETC_CLS_CODE": ""})[1]["rt_cd"] == "0"


def test_order_values_must_be_text_and_keys_upper_case(client: Client) -> None:
    body = CANO | {"PDNO": "000010", "ORD_DVSN": "00", "ORD_QTY": 1, "ORD_UNPR": "10000"}
    path, headers = PREFIX + "/trading/order-cash", client.headers("TTTC0012U")
    assert client.post(path, body, headers)[1]["rt_cd"] == "2"
    lower = {name.lower(): "1" for name in body}
    assert client.post(path, lower, headers)[1]["rt_cd"] == "2"


def test_a_foreign_account_is_refused(client: Client) -> None:
    answer = client.call("/trading/inquire-balance", "TTTC8434R", BALANCE | {"CANO": "99999999"})[1]
    assert answer["msg_cd"] == "OPSQ2000"


def test_rankings_are_cut_at_30_sorted_and_filtered(client: Client) -> None:
    rows = client.call("/quotations/volume-rank", "FHPST01710000", VOLUME)[1]["output"]
    volumes = [int(row["acml_vol"]) for row in rows]
    assert len(rows) == 30
    assert volumes == sorted(volumes, reverse=True)
    assert [row["data_rank"] for row in rows] == [str(n) for n in range(1, 31)]
    kosdaq = client.call("/quotations/volume-rank", "FHPST01710000", VOLUME | {"FID_INPUT_ISCD": "1001"})[1]["output"]
    assert [row["mksc_shrn_iscd"] for row in kosdaq] == ["000020"]
    rising = {name.upper(): value for name, value in RISE.items()}
    rows = client.call("/ranking/fluctuation", "FHPST01700000", rising)[1]["output"]
    rates = [float(row["prdy_ctrt"]) for row in rows]
    assert len(rows) == 30
    assert rates == sorted(rates, reverse=True)
    few = client.call("/ranking/fluctuation", "FHPST01700000", rising | {"FID_INPUT_CNT_1": "50"})[1]["output"]
    assert len(few) == 30


def test_exclusion_flags_leave_out_what_they_name(client: Client) -> None:
    every = VOLUME | {"FID_VOL_CNT": "100"}
    codes = {
        row["mksc_shrn_iscd"] for row in client.call("/quotations/volume-rank", "FHPST01710000", every)[1]["output"]
    }
    assert "000035" not in codes  # lowest volume: cut by rank
    few = VOLUME | {"FID_INPUT_ISCD": "0001", "FID_INPUT_PRICE_1": "1"}
    kept = client.exchange.market.rank_volume(OPEN + 30, "KOSPI", 100)
    assert any(row.code == "000035" for row in kept)
    answer = client.call("/quotations/volume-rank", "FHPST01710000", few | {"FID_TRGT_EXLS_CLS_CODE": "0000001000"})
    assert all(row["mksc_shrn_iscd"] != "000035" for row in answer[1]["output"])


def test_balance_pages_hold_50_rows_and_repeat_the_sums() -> None:
    stocks = [stock(f"{n:06d}") for n in range(1, 61)]
    client = Client(FakeMarket(stocks), msgspec.structs.replace(OPTIONS, holdings=60))
    headers, first = client.call("/trading/inquire-balance", "TTTC8434R", BALANCE)
    assert (headers["tr_cont"], len(first["output1"])) == ("F", 50)
    following = BALANCE | {"CTX_AREA_FK100": first["ctx_area_fk100"], "CTX_AREA_NK100": first["ctx_area_nk100"]}
    headers, second = client.call("/trading/inquire-balance", "TTTC8434R", following, "N")
    assert (headers["tr_cont"], len(second["output1"])) == ("E", 10)
    assert first["output2"] == second["output2"]
    assert len({row["pdno"] for row in first["output1"] + second["output1"]}) == 60


def test_daily_executions_page_by_100_rows(client: Client) -> None:
    for _ in range(103):
        client.order("buy", "000010", 1, 9_000)
    headers, first = client.call("/trading/inquire-daily-ccld", "TTTC0081R", DAILY)
    assert (headers["tr_cont"], len(first["output1"])) == ("F", 100)
    following = DAILY | {"CTX_AREA_FK100": first["ctx_area_fk100"], "CTX_AREA_NK100": first["ctx_area_nk100"]}
    headers, rest = client.call("/trading/inquire-daily-ccld", "TTTC0081R", following, "N")
    assert (headers["tr_cont"], [row["odno"] for row in rest["output1"]]) == (
        "E",
        ["0000001003", "0000001002", "0000001001"],
    )


def test_buying_power_for_a_market_order_counts_the_upper_limit(client: Client) -> None:
    params = CANO | {
        "PDNO": "000010",
        "ORD_UNPR": "0",
        "ORD_DVSN": "01",
        "CMA_EVLU_AMT_ICLD_YN": "N",
        "OVRS_ICLD_YN": "N",
    }
    output = client.call("/trading/inquire-psbl-order", "TTTC8908R", params)[1]["output"]
    assert (output["psbl_qty_calc_unpr"], output["nrcvb_buy_qty"]) == ("13000", "7691")
    assert client.order("buy", "000010", 7_692)["rt_cd"] == "7"


def test_the_newest_minute_shows_the_volume_before_it_until_its_first_trade(client: Client) -> None:
    """kis-protocol 4.4: a minute without a trade has no bar, the unfinished one copies the bar before."""
    client.exchange.advance(OPEN + 150)
    minutes = PRICE | {"FID_INPUT_HOUR_1": "090200", "FID_PW_DATA_INCU_YN": "Y", "FID_ETC_CLS_CODE": ""}
    rows = client.call("/quotations/inquire-time-itemchartprice", "FHKST03010200", minutes)[1]["output2"]
    assert [(row["stck_cntg_hour"], row["cntg_vol"]) for row in rows] == [("090200", "105"), ("090000", "105")]
    assert (rows[-1]["stck_oprc"], rows[0]["stck_prpr"]) == ("10000", rows[-1]["stck_prpr"])


def test_a_future_hour_is_answered_with_copies_of_the_current_price(client: Client) -> None:
    """kis-protocol 4.4, 6 #22: what a client must clamp."""
    client.exchange.advance(OPEN + 150)
    minutes = PRICE | {"FID_INPUT_HOUR_1": "113000", "FID_PW_DATA_INCU_YN": "Y", "FID_ETC_CLS_CODE": ""}
    rows = client.call("/quotations/inquire-time-itemchartprice", "FHKST03010200", minutes)[1]["output2"]
    assert [row["stck_cntg_hour"] for row in rows] == [f"11{30 - n:02d}00" for n in range(30)]
    assert {(row["stck_oprc"], row["stck_hgpr"], row["stck_prpr"], row["cntg_vol"]) for row in rows} == {
        ("10000", "10000", "10000", "0")
    }


def test_the_calendar_knows_weekends_and_holidays(client: Client) -> None:
    params = {"BASS_DT": "20260213", "CTX_AREA_FK": "", "CTX_AREA_NK": ""}
    rows = client.call("/quotations/chk-holiday", "CTCA0903R", params)[1]["output"]
    assert [(row["bass_dt"], row["opnd_yn"]) for row in rows[:7]] == [
        ("20260213", "Y"),
        ("20260214", "N"),
        ("20260215", "N"),
        ("20260216", "N"),
        ("20260217", "N"),
        ("20260218", "N"),
        ("20260219", "Y"),
    ]
    assert rows[0]["wday_dvsn_cd"] == "06"


def test_master_files_are_fixed_width_cp949(client: Client) -> None:
    for which, width, base_at in (("kospi", 227, 41), ("kosdaq", 221, 36)):
        path = f"/common/master/{which}_code.mst.zip"
        request = Request(method="GET", path=path, headers={}, params={}, body={})
        answer = client.exchange.rest(request, WALL)
        rows = zipfile.ZipFile(io.BytesIO(answer.content)).read(f"{which}_code.mst").split(b"\n")
        assert rows.pop() == b""
        assert {len(row) for row in rows} == {61 + width}
        text = rows[0].decode("cp949")
        tail = text[-width:]
        assert text[:9].strip() in ("000010", "000020")
        assert text[21:-width].strip() in ("하나전자", "두리바이오")
        assert int(tail[base_at : base_at + 9]) == 10_000


def test_a_prepared_exchange_makes_nobody_wait_for_a_master_file(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.exchange.prepare()
    monkeypatch.setattr("kquant.exchange.core.exchange.master_zip", lambda *_: pytest.fail("made while a client waits"))
    for which in ("kospi", "kosdaq", "konex"):
        request = Request(method="GET", path=f"/common/master/{which}_code.mst.zip", headers={}, params={}, body={})
        assert client.exchange.rest(request, WALL).status == 200


def test_the_konex_master_file_is_served_without_a_key(client: Client) -> None:
    """kis-protocol 4.8: a market day lists no KONEX stock, its file is there and empty."""
    request = Request(method="GET", path="/common/master/konex_code.mst.zip", headers={}, params={}, body={})
    answer = client.exchange.rest(request, WALL)
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert (answer.status, archive.namelist(), archive.read("konex_code.mst")) == (200, ["konex_code.mst"], b"")


def test_the_price_answer_names_limits_tick_and_no_symbol_name(client: Client) -> None:
    output = client.call("/quotations/inquire-price", "FHKST01010100", PRICE)[1]["output"]
    assert (output["stck_mxpr"], output["stck_llam"], output["stck_sdpr"], output["aspr_unit"]) == (
        "13000",
        "7000",
        "10000",
        "10",
    )
    assert "hts_kor_isnm" not in output
    assert all(isinstance(value, str) for value in output.values())
