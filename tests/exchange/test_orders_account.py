"""The account's endpoints over REST. Expectations are those of kis-protocol 1.6, 1.7, 4.5, 4.6, 4.10."""

import datetime as dt
from typing import Any

import msgspec
import pytest

from kquant.exchange.core.state import Environment, ServiceOptions
from kquant.exchange.market.model import Print
from tests.exchange.fake_market import CLOSE, OPEN, FakeMarket, stock
from tests.exchange.helpers import BALANCE, DAILY, OPTIONS, PREFIX, Client

CODE = "000010"
OTHER = "000020"
OPEN_ORDERS = {"INQR_DVSN_1": "0", "INQR_DVSN_2": "0", "CTX_AREA_FK100": "", "CTX_AREA_NK100": ""}
BALANCE_FIELDS = (
    "pdno prdt_name trad_dvsn_name bfdy_buy_qty bfdy_sll_qty thdt_buyqty thdt_sll_qty hldg_qty ord_psbl_qty "
    "pchs_avg_pric pchs_amt prpr evlu_amt evlu_pfls_amt evlu_pfls_rt evlu_erng_rt loan_dt loan_amt stln_slng_chgs "
    "expd_dt fltt_rt bfdy_cprs_icdc item_mgna_rt_name grta_rt_name sbst_pric stck_loan_unpr"
)
SUM_FIELDS = (
    "dnca_tot_amt nxdy_excc_amt prvs_rcdl_excc_amt cma_evlu_amt bfdy_buy_amt thdt_buy_amt nxdy_auto_rdpt_amt "
    "bfdy_sll_amt thdt_sll_amt d2_auto_rdpt_amt bfdy_tlex_amt thdt_tlex_amt tot_loan_amt scts_evlu_amt tot_evlu_amt "
    "nass_amt fncg_gld_auto_rdpt_yn pchs_amt_smtl_amt evlu_amt_smtl_amt evlu_pfls_smtl_amt tot_stln_slng_chgs "
    "bfdy_tot_asst_evlu_amt asst_icdc_amt asst_icdc_erng_rt"
)
DAILY_FIELDS = (
    "ord_dt ord_gno_brno odno orgn_odno ord_dvsn_name sll_buy_dvsn_cd sll_buy_dvsn_cd_name pdno prdt_name ord_qty "
    "ord_unpr ord_tmd tot_ccld_qty avg_prvs cncl_yn tot_ccld_amt loan_dt ordr_empno ord_dvsn_cd cnc_cfrm_qty rmn_qty "
    "rjct_qty ccld_cndt_name inqr_ip_addr cpbc_ordp_ord_rcit_dvsn_cd cpbc_ordp_infm_mthd_dvsn_cd infm_tmd ctac_tlno "
    "prdt_type_cd excg_dvsn_cd cpbc_ordp_mtrl_dvsn_cd ord_orgno rsvn_ord_end_dt excg_id_dvsn_Cd stpm_cndt_pric "
    "stpm_efct_occr_dtmd"
)
OPEN_FIELDS = (
    "ord_gno_brno odno orgn_odno ord_dvsn_name pdno prdt_name rvse_cncl_dvsn_name ord_qty ord_unpr ord_tmd "
    "tot_ccld_qty tot_ccld_amt psbl_qty sll_buy_dvsn_cd ord_dvsn_cd mgco_aptm_odno excg_dvsn_cd excg_id_dvsn_cd "
    "excg_id_dvsn_name stpm_cndt_pric stpm_efct_occr_yn"
)
SELL_FIELDS = (
    "pdno buy_qty sll_qty cblc_qty nsvg_qty ord_psbl_qty pchs_avg_pric pchs_amt now_pric evlu_amt evlu_pfls_amt "
    "evlu_pfls_rt"
)


def trading(environment: Environment = "real", options: ServiceOptions = OPTIONS, *prints: Print) -> Client:
    day = [Print(OPEN + 5, 10_000, 1_000, 3), *prints]
    market = FakeMarket([stock(CODE), stock(OTHER, market="KOSDAQ")], {CODE: day, OTHER: day[:1]})
    client = Client(market, options, environment=environment)
    client.exchange.advance(OPEN + 60)
    return client


def send(client: Client, tr_id: str, **fields: str) -> Any:
    """Place an order (or change one, if an original is named); plain limit on KRX unless said otherwise."""
    client.wall += 1
    if "ORGN_ODNO" in fields:
        usual = {"KRX_FWDG_ORD_ORGNO": "", "ORD_DVSN": "00", "RVSE_CNCL_DVSN_CD": "02", "ORD_QTY": "0"}
        body = client.cano | usual | {"ORD_UNPR": "0", "QTY_ALL_ORD_YN": "Y"} | fields
        return client.post(f"{PREFIX}/trading/order-rvsecncl", body, client.headers(tr_id))[1]
    body = client.cano | {"PDNO": CODE, "ORD_DVSN": "00", "ORD_QTY": "10", "ORD_UNPR": "9000"} | fields
    return client.post(f"{PREFIX}/trading/order-cash", body, client.headers(tr_id))[1]


def daily(client: Client, tr_id: str = "TTTC0081R", **params: str) -> Any:
    return client.call("/trading/inquire-daily-ccld", client.tr(tr_id), DAILY | client.cano | params)[1]


def balance(client: Client, **params: str) -> Any:
    return client.call("/trading/inquire-balance", client.tr("TTTC8434R"), BALANCE | client.cano | params)[1]


def open_orders(client: Client, **params: str) -> Any:
    return client.call("/trading/inquire-psbl-rvsecncl", "TTTC0084R", OPEN_ORDERS | client.cano | params)[1]


def numbers(answer: Any, output: str = "output1") -> list[int]:
    return [int(row["odno"]) for row in answer[output]]


def test_every_documented_field_is_there_and_every_leaf_is_text() -> None:
    """kis-protocol 4.5, 4.6."""
    client = trading()
    client.order("buy", CODE, 10)
    send(client, "TTTC0012U")
    for answer, output, fields in (
        (balance(client), "output1", BALANCE_FIELDS),
        (balance(client), "output2", SUM_FIELDS),
        (daily(client), "output1", DAILY_FIELDS),
        (open_orders(client), "output", OPEN_FIELDS),
    ):
        assert set(fields.split()) <= set(answer[output][0])
        assert all(isinstance(value, str) for row in answer[output] for value in row.values())
    assert set(daily(client)["output2"]) == {
        "tot_ord_qty",
        "tot_ccld_qty",
        "tot_ccld_amt",
        "prsm_tlex_smtl",
        "pchs_avg_pric",
    }
    one = client.call("/trading/inquire-psbl-sell", "TTTC8408R", client.cano | {"PDNO": CODE})[1]["output"]
    assert set(one) == set(SELL_FIELDS.split())
    assert (one["buy_qty"], one["cblc_qty"], one["ord_psbl_qty"], one["now_pric"]) == ("10", "10", "10", "10000")


@pytest.mark.parametrize(
    ("environment", "prefix", "branch", "codes"),
    [
        ("real", "T", "06010", ["APBK0013"] * 4),
        ("paper", "V", "00950", ["40600000", "40590000", "40620000", "40630000"]),
    ],
)
@pytest.mark.parametrize("ids", [("0012U", "0011U", "0013U"), ("0802U", "0801U", "0803U")])
def test_old_and_new_ids_place_and_change_orders_in_both_dresses(
    environment: Environment, prefix: str, branch: str, codes: list[str], ids: tuple[str, str, str]
) -> None:
    """kis-protocol 4.6, 4.10."""
    client = trading(environment)
    buy_id, sell_id, change_id = (f"{prefix}TTC{one}" for one in ids)
    assert send(client, buy_id, ORD_DVSN="01", ORD_UNPR="0")["rt_cd"] == "0"
    buy = send(client, buy_id)
    sell = send(client, sell_id, ORD_UNPR="11000")
    number = buy["output"]["ODNO"]
    moved = send(
        client, change_id, ORGN_ODNO=number, RVSE_CNCL_DVSN_CD="01", ORD_UNPR="9010", KRX_FWDG_ORD_ORGNO=branch
    )
    gone = send(client, change_id, ORGN_ODNO=moved["output"]["ODNO"])
    assert [one["msg_cd"] for one in (buy, sell, moved, gone)] == codes
    assert {one["output"]["KRX_FWDG_ORD_ORGNO"] for one in (buy, sell, moved, gone)} == {branch}
    names = [(row["sll_buy_dvsn_cd_name"], row["orgn_odno"]) for row in daily(client)["output1"]]
    assert names == [
        ("매수취소", moved["output"]["ODNO"]),
        ("매수정정", number),
        ("현금매도", ""),
        ("현금매수", ""),
        ("현금매수", ""),
    ]


@pytest.mark.parametrize(("environment", "code"), [("real", "KIOK0510"), ("paper", "20310000")])
def test_inquiries_say_success_in_their_environments_words(environment: Environment, code: str) -> None:
    """kis-protocol 1.9."""
    client = trading(environment)
    assert {balance(client)["msg_cd"], daily(client)["msg_cd"]} == {code}
    assert daily(client)["msg1"].strip().startswith("모의투자") is (environment == "paper")


@pytest.mark.parametrize("path", ["inquire-psbl-rvsecncl", "inquire-psbl-sell"])
def test_paper_lacks_open_orders_and_sellable_quantity(path: str) -> None:
    """kis-protocol 4.1: HTTP 500, EGW02006."""
    client = trading("paper")
    tr_id = "TTTC0084R" if path.endswith("rvsecncl") else "TTTC8408R"
    assert client.call(f"/trading/{path}", tr_id, client.cano | OPEN_ORDERS | {"PDNO": CODE})[1]["msg_cd"] == "EGW02006"


@pytest.mark.parametrize(("environment", "size"), [("real", 100), ("paper", 15)])
def test_the_daily_list_pages_by_key_so_that_a_new_order_repeats_no_row(environment: Environment, size: int) -> None:
    """kis-protocol 4.6, 1.7: keys of 100 characters."""
    client = trading(environment)
    for _ in range(size + 3):
        client.order("buy", CODE, 1, 9_000)
    path, tr_id, params = "/trading/inquire-daily-ccld", client.tr("TTTC0081R"), DAILY | client.cano
    headers, first = client.call(path, tr_id, params)
    assert (headers["tr_cont"], len(first["output1"])) == ("F", size)
    assert {len(first["ctx_area_fk100"]), len(first["ctx_area_nk100"])} == {100}
    client.order("buy", CODE, 1, 9_000)
    keys = {"CTX_AREA_FK100": first["ctx_area_fk100"], "CTX_AREA_NK100": first["ctx_area_nk100"]}
    headers, rest = client.call(path, tr_id, params | keys, "N")
    assert headers["tr_cont"] == "E"
    assert numbers(rest) == [1_003, 1_002, 1_001]
    again = client.call(path, tr_id, params | keys | {"CTX_AREA_NK100": "nobody's key"}, "N")[1]
    assert (again["rt_cd"], again["msg_cd"]) == ("2", "OPSQ2002")


@pytest.mark.parametrize(("environment", "size"), [("real", 50), ("paper", 20)])
def test_the_balance_pages_by_the_environments_size(environment: Environment, size: int) -> None:
    """kis-protocol 4.5."""
    stocks = [stock(f"{n:06d}") for n in range(1, 121)]
    options = msgspec.structs.replace(OPTIONS, holdings=size + 1)
    client = Client(FakeMarket(stocks), options)
    service = client.exchange.services[environment]
    client.see(environment)
    if environment == "paper":
        service.ledger.positions.update(client.exchange.real.ledger.positions)
    headers, first = client.call("/trading/inquire-balance", client.tr("TTTC8434R"), BALANCE | client.cano)
    assert (headers["tr_cont"], len(first["output1"])) == ("F", size)


FILTERS: list[tuple[dict[str, str], list[int]]] = [
    ({}, [1_005, 1_004, 1_003, 1_002, 1_001]),
    ({"INQR_DVSN": "01"}, [1_001, 1_002, 1_003, 1_004, 1_005]),
    ({"SLL_BUY_DVSN_CD": "01"}, [1_003]),
    ({"SLL_BUY_DVSN_CD": "02"}, [1_005, 1_004, 1_002, 1_001]),
    ({"CCLD_DVSN": "01"}, [1_001]),
    ({"CCLD_DVSN": "02"}, [1_004, 1_003]),
    ({"PDNO": OTHER}, [1_004]),
    ({"PDNO": CODE, "CCLD_DVSN": "02"}, [1_003]),
    ({"ODNO": "1002"}, [1_002]),
    ({"ODNO": "0000001003"}, [1_003]),
    ({"ORD_GNO_BRNO": "06010"}, [1_005, 1_004, 1_003, 1_002, 1_001]),
    ({"ORD_GNO_BRNO": "99999"}, []),
    ({"INQR_DVSN_3": "01"}, [1_005, 1_004, 1_003, 1_002, 1_001]),
    ({"INQR_DVSN_3": "02"}, []),
    ({"INQR_DVSN_1": "1"}, []),
    ({"INQR_STRT_DT": "20260116", "INQR_END_DT": "20260116"}, []),
    ({"INQR_STRT_DT": "20260101", "INQR_END_DT": "20260131"}, [1_005, 1_004, 1_003, 1_002, 1_001]),
    ({"EXCG_ID_DVSN_CD": "SOR"}, [1_006]),
    ({"EXCG_ID_DVSN_CD": "ALL"}, [1_006, 1_005, 1_004, 1_003, 1_002, 1_001]),
]


@pytest.fixture(scope="module")
def filled() -> Client:
    """A filled buy, a cancelled buy, an open sell, an open buy of another stock, the cancel request, a SOR order."""
    client = trading()
    client.order("buy", CODE, 50)
    gone = client.order("buy", CODE, 10, 9_000)
    client.order("sell", CODE, 10, 11_000)
    client.order("buy", OTHER, 10, 9_000)
    send(client, "TTTC0013U", ORGN_ODNO=gone["output"]["ODNO"])
    send(client, "TTTC0012U", EXCG_ID_DVSN_CD="SOR")
    return client


@pytest.mark.parametrize(("params", "found"), FILTERS)
def test_the_daily_list_filters(filled: Client, params: dict[str, str], found: list[int]) -> None:
    """kis-protocol 4.6."""
    answer = daily(filled, **params)
    assert numbers(answer) == found
    assert int(answer["output2"]["tot_ord_qty"]) == sum(int(row["ord_qty"]) for row in answer["output1"])


@pytest.mark.parametrize(
    ("name", "value"),
    [("SLL_BUY_DVSN_CD", "03"), ("CCLD_DVSN", "9"), ("INQR_STRT_DT", "2026-1-1"), ("INQR_END_DT", "")],
)
def test_a_daily_parameter_without_meaning_is_refused(filled: Client, name: str, value: str) -> None:
    answer = daily(filled, **{name: value})
    assert answer["msg_cd"] == "OPSQ2002"
    assert name in answer["msg1"]


def test_rows_name_market_venue_type_and_state(filled: Client) -> None:
    """kis-protocol 4.6, 7.6 (excg_dvsn_cd is read by existing clients)."""
    rows = {int(row["odno"]): row for row in daily(filled, EXCG_ID_DVSN_CD="ALL")["output1"]}
    assert [(rows[no]["excg_dvsn_cd"], rows[no]["excg_id_dvsn_Cd"]) for no in (1_001, 1_004, 1_006)] == [
        ("02", "KRX"),
        ("03", "KRX"),
        ("02", "SOR"),
    ]
    assert (rows[1_001]["ord_dvsn_name"], rows[1_001]["avg_prvs"], rows[1_001]["rmn_qty"]) == ("시장가", "10010", "0")
    assert (rows[1_002]["cncl_yn"], rows[1_002]["cnc_cfrm_qty"], rows[1_005]["cncl_yn"]) == ("Y", "10", "N")


def test_open_orders_show_what_may_still_be_changed(filled: Client) -> None:
    """kis-protocol 4.6: inquire-psbl-rvsecncl, by order or by symbol, by side."""
    assert numbers(open_orders(filled), "output") == [1_006, 1_004, 1_003]
    assert numbers(open_orders(filled, INQR_DVSN_1="1"), "output") == [1_006, 1_003, 1_004]
    assert numbers(open_orders(filled, INQR_DVSN_2="1"), "output") == [1_003]
    assert [row["psbl_qty"] for row in open_orders(filled)["output"]] == ["10", "10", "10"]
    assert open_orders(filled, INQR_DVSN_2="7")["msg_cd"] == "OPSQ2002"


def test_an_order_is_missing_from_the_lists_until_their_lag_has_passed() -> None:
    """kis-protocol 4.6: absence is never proof of rejection."""
    client = trading("real", msgspec.structs.replace(OPTIONS, list_lag_s=2))
    assert client.order("buy", CODE, 10, 9_000)["rt_cd"] == "0"
    assert (numbers(daily(client)), numbers(open_orders(client), "output")) == ([], [])
    client.exchange.advance(OPEN + 61)
    assert numbers(daily(client)) == []
    client.exchange.advance(OPEN + 62)
    assert (numbers(daily(client)), numbers(open_orders(client), "output")) == ([1_001], [1_001])


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ({"CANO": "50001235"}, "OPSQ2000"),
        ({"ACNT_PRDT_CD": "02"}, "OPSQ2000"),
        ({"ORD_QTY": "-1"}, "OPSQ2002"),
        ({"ORD_QTY": "1.5"}, "OPSQ2002"),
        ({"ORD_UNPR": "abc"}, "OPSQ2002"),
        ({"EXCG_ID_DVSN_CD": "NYSE"}, "OPSQ2002"),
        ({"ORD_QTY": "0"}, "APBK0400"),
    ],
)
def test_a_malformed_order_is_refused(call: dict[str, str], code: str) -> None:
    """kis-protocol 1.9."""
    client = trading()
    assert send(client, "TTTC0012U", **call)["msg_cd"] == code
    assert client.exchange.ledger.orders == {}


def test_a_change_names_the_branch_of_its_order_or_none() -> None:
    client = trading()
    number = send(client, "TTTC0012U")["output"]["ODNO"]
    assert send(client, "TTTC0013U", ORGN_ODNO=number, KRX_FWDG_ORD_ORGNO="00950")["msg_cd"] == "APBK0344"
    assert send(client, "TTTC0013U", ORGN_ODNO=number, QTY_ALL_ORD_YN="X")["msg_cd"] == "OPSQ2002"
    assert send(client, "TTTC0013U", ORGN_ODNO=number)["rt_cd"] == "0"


@pytest.mark.parametrize(
    ("division", "price", "counted"),
    [
        ("00", "9000", "9000"),
        ("01", "0", "13000"),
        ("02", "9000", "13000"),
        ("03", "0", "13000"),
        ("22", "9000", "9000"),
    ],
)
def test_buying_power_counts_with_what_an_order_of_that_type_would_hold(
    division: str, price: str, counted: str
) -> None:
    """kis-protocol 4.5: a market order reserves cash at the upper limit price."""
    client = trading()
    params = client.cano | {"PDNO": CODE, "ORD_UNPR": price, "ORD_DVSN": division}
    params |= {"CMA_EVLU_AMT_ICLD_YN": "N", "OVRS_ICLD_YN": "N"}
    output = client.call("/trading/inquire-psbl-order", "TTTC8908R", params)[1]["output"]
    assert output["psbl_qty_calc_unpr"] == counted
    most = int(output["max_buy_qty"])
    fields = {"ORD_DVSN": division, "ORD_UNPR": price, "CNDT_PRIC": "10500"}
    assert send(client, "TTTC0012U", ORD_QTY=str(most + 1), **fields)["msg_cd"] == "APBK0919"
    assert send(client, "TTTC0012U", ORD_QTY=str(most), **fields)["rt_cd"] == "0"


def test_buying_power_of_a_type_paper_lacks_is_refused() -> None:
    client = trading("paper")
    params = client.cano | {"PDNO": CODE, "ORD_UNPR": "0", "ORD_DVSN": "15"}
    params |= {"CMA_EVLU_AMT_ICLD_YN": "N", "OVRS_ICLD_YN": "N"}
    assert client.call("/trading/inquire-psbl-order", "VTTC8908R", params)[1]["msg_cd"] == "OPSQ2002"


def next_day(client: Client, day: dt.date) -> None:
    """Let the night pass on the real service: the same tiny market again, dated *day*."""
    market = FakeMarket(client.exchange.market.stocks, {CODE: [Print(OPEN + 5, 10_000, 1_000, 3)]})
    market.day = day
    client.exchange.real.next_day(market)


def test_a_sale_stays_listed_for_two_days_and_cash_moves_on_with_them() -> None:
    """kis-protocol 4.5, 5.5: zero rows linger, T+2."""
    client = trading()
    client.order("buy", CODE, 100)
    client.order("sell", CODE, 100)
    cash = client.exchange.ledger.cash
    final, spent, earned = cash.d2, 100 * 10_010, 100 * 10_000
    sums = balance(client)["output2"][0]
    assert [sums[name] for name in ("dnca_tot_amt", "nxdy_excc_amt")] == ["100000000"] * 2
    assert (sums["thdt_buy_amt"], sums["thdt_sll_amt"], sums["prvs_rcdl_excc_amt"]) == (
        str(spent),
        str(earned),
        str(final),
    )
    assert [(row["hldg_qty"], row["thdt_sll_qty"]) for row in balance(client)["output1"]] == [("0", "100")]
    next_day(client, dt.date(2026, 1, 16))
    first = balance(client)
    assert [(row["hldg_qty"], row["bfdy_sll_qty"], row["thdt_sll_qty"]) for row in first["output1"]] == [
        ("0", "100", "0")
    ]
    sums = first["output2"][0]
    assert (sums["bfdy_buy_amt"], sums["bfdy_sll_amt"], sums["thdt_buy_amt"]) == (str(spent), str(earned), "0")
    assert (sums["dnca_tot_amt"], sums["nxdy_excc_amt"], sums["bfdy_tlex_amt"]) == (
        "100000000",
        str(final),
        str(100_000_000 - final - spent + earned),
    )
    assert balance(client, PRCS_DVSN="01")["output1"] == []
    next_day(client, dt.date(2026, 1, 19))
    second = balance(client)
    assert (len(second["output1"]), second["output2"][0]["dnca_tot_amt"]) == (1, str(final))
    next_day(client, dt.date(2026, 1, 20))
    assert balance(client)["output1"] == []


def test_numbers_start_anew_each_day_and_past_days_stay_in_the_list() -> None:
    """kis-protocol 4.6: two TRs split at three months."""
    client = trading()
    client.order("buy", CODE, 10, 9_000)
    next_day(client, dt.date(2026, 1, 16))
    assert client.order("buy", CODE, 20, 9_000)["msg_cd"] == "APBK0013"
    both = daily(client, INQR_STRT_DT="20260101", INQR_END_DT="20260131")
    assert [(row["ord_dt"], row["odno"], row["ord_qty"]) for row in both["output1"]] == [
        ("20260116", "0000001001", "20"),
        ("20260115", "0000001001", "10"),
    ]
    assert numbers(daily(client)) == [1_001]
    assert send(client, "TTTC0013U", ORGN_ODNO="1001")["rt_cd"] == "0"  # today's
    wide = {"INQR_STRT_DT": "20260101", "INQR_END_DT": "20261231"}
    next_day(client, dt.date(2026, 4, 16))
    assert [row["ord_dt"] for row in daily(client, **wide)["output1"]] == ["20260116", "20260116"]
    for tr_id in ("CTSC9215R", "CTSC9115R"):
        assert [row["ord_dt"] for row in daily(client, tr_id, **wide)["output1"]] == ["20260115"]


def test_after_the_close_an_unfilled_day_order_has_expired() -> None:
    client = trading()
    client.order("buy", CODE, 10, 9_000)
    client.exchange.advance(CLOSE + 60)
    assert open_orders(client)["output"] == []
    assert client.exchange.ledger.reserved() == 0
