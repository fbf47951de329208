"""What KIS is known to answer wrongly or oddly, and what becomes of it. No sockets."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import json
import os
from pathlib import Path

import pytest

from kquant.gateways.kis.rest.endpoints import ORDERABLE
from kquant.gateways.kis.rest.errors import KisRefused, KisUnreadable
from kquant.values import SECOND_US, Micros, Symbol
from tests.gateways_kis.scripted import Scripted, ok

CODE = Symbol("005930")
HOLDING = {"pdno": "005930", "prdt_name": "삼성전자", "hldg_qty": "10", "ord_psbl_qty": "7", "pchs_amt": "708500"}
SUMS = {
    "dnca_tot_amt": "10000000", "nxdy_excc_amt": "9500000", "prvs_rcdl_excc_amt": "9291400", "scts_evlu_amt": "710000",
}  # fmt: skip
POWER = {
    "ord_psbl_cash": "9291400", "nrcvb_buy_amt": "9000000", "nrcvb_buy_qty": "0", "psbl_qty_calc_unpr": "0",
    "max_buy_amt": "20000000", "max_buy_qty": "0",
}  # fmt: skip
PRICE = {
    "stck_prpr": "71000", "stck_oprc": "70500", "stck_hgpr": "71200", "stck_lwpr": "70400", "acml_vol": "123456",
    "acml_tr_pbmn": "8765432100", "prdy_ctrt": "-0.70",
}  # fmt: skip


def bar(time: str, price: int = 100, volume: int = 5, day: str = "20261120") -> dict[str, str]:
    prices = dict.fromkeys(("stck_prpr", "stck_oprc", "stck_hgpr", "stck_lwpr"), str(price))
    return {
        "stck_bsop_date": day, "stck_cntg_hour": time, **prices, "cntg_vol": str(volume), "acml_tr_pbmn": "1000",
    }  # fmt: skip


async def test_a_ghost_row_and_a_repeated_row_of_a_balance_are_left_out():
    """kis-protocol 4.5, 6 row 13; ecosystem row 12."""
    ghost = HOLDING | {"pdno": "035420", "hldg_qty": "0", "pchs_amt": ""}
    balance = await Scripted(ok(output1=[HOLDING, ghost, HOLDING], output2=[SUMS])).trading.balance()
    assert [(each.code, each.qty) for each in balance.holdings] == [("005930", 10)]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (ok(output1=[HOLDING, HOLDING | {"hldg_qty": "11"}], output2=[SUMS]), "twice with different figures"),
        (ok(output1=[], output2=[SUMS]), "lists no stock, but scts_evlu_amt is 710000"),
        (ok(output1=[], output2=[]), "output2 of the balance holds 0 rows"),
        (ok(output2=[SUMS]), "no output1"),
        (ok(output1=[HOLDING | {"hldg_qty": "-1"}], output2=[SUMS]), "hldg_qty is -1"),
        (ok(output1=[HOLDING | {"pdno": "삼성전자"}], output2=[SUMS]), "pdno"),
        (ok(output1=None, output2=[SUMS]), "no output1"),
        (ok(output1=[None], output2=[SUMS]), "no output1"),
    ],
)
async def test_a_balance_that_cannot_be_whole_is_an_error_not_a_zero(body, told):
    with pytest.raises(KisUnreadable, match=told):
        await Scripted(body).trading.balance()


async def test_an_account_that_holds_nothing_is_no_error():
    balance = await Scripted(ok(output1=[], output2=[SUMS | {"scts_evlu_amt": "0"}])).trading.balance()
    assert (balance.holdings, balance.cash_krw) == ((), 9_291_400)


async def test_a_balance_tells_the_cash_of_each_settlement_day_and_what_buys_without_credit_kis_protocol_4_5():
    client = Scripted(ok(output1=[HOLDING], output2=[SUMS]), ok(output=POWER))
    balance = await client.trading.balance(orderable_until=Micros(client.clock.now() + SECOND_US))
    assert (balance.cash_today_krw, balance.cash_next_krw, balance.cash_krw) == (10_000_000, 9_500_000, 9_291_400)
    assert balance.orderable_krw == 9_000_000  # nrcvb_buy_amt, not max_buy_amt: that one buys on credit
    asked = client.asked[-1][1]
    assert (asked["PDNO"], asked["ORD_UNPR"], asked["ORD_DVSN"]) == ("", "", "01")


@pytest.mark.parametrize(
    "answer",
    [
        {"rt_cd": "1", "msg_cd": "EGW00201", "msg1": "초당 거래건수를 초과하였습니다."},
        ok(output={**POWER, "nrcvb_buy_amt": "NaN"}),
        ok(output={**POWER, "nrcvb_buy_amt": "-1"}),
        ok(),
        b"<html>",
    ],
)
async def test_a_balance_does_not_fail_with_what_may_be_ordered_for(answer):
    client = Scripted(ok(output1=[HOLDING], output2=[SUMS]), answer)
    balance = await client.trading.balance(orderable_until=Micros(client.clock.now() + SECOND_US))
    assert (balance.orderable_krw, len(balance.holdings)) == (None, 1)


async def test_a_balance_does_not_wait_for_what_may_be_ordered_for_into_its_deadline():
    client = Scripted(ok(output1=[HOLDING], output2=[SUMS]))
    get, asked = client.get, asyncio.Event()

    async def silent(endpoint, params, **rest):
        if endpoint is not ORDERABLE:
            return await get(endpoint, params, **rest)
        asked.set()
        return await asyncio.Event().wait()

    client.get = silent  # type: ignore[method-assign]
    until = Micros(client.clock.now() + SECOND_US)
    reading = asyncio.create_task(client.trading.balance(orderable_until=until))
    await asked.wait()
    assert not reading.done()
    client.clock.set(until)
    assert (await reading).orderable_krw is None
    client.say(ok(output1=[HOLDING], output2=[SUMS]))
    asked.clear()
    assert (await client.trading.balance(orderable_until=until)).orderable_krw is None
    assert not asked.is_set()


@pytest.mark.parametrize("field", ["dnca_tot_amt", "nxdy_excc_amt", "prvs_rcdl_excc_amt", "scts_evlu_amt"])
async def test_a_balance_without_one_of_its_sums_is_an_error(field):
    """`reliability` D18: a field that is gone or renamed is no zero."""
    sums = {name: value for name, value in (SUMS | {"scts_evlu_amt": "0"}).items() if name != field}
    with pytest.raises(KisUnreadable, match=field):
        await Scripted(ok(output1=[], output2=[sums])).trading.balance()


async def test_a_page_without_the_next_ones_key_is_an_error():
    """kis-protocol 1.7"""
    client = Scripted()
    client.say(ok(output1=[HOLDING], output2=[SUMS]), "M")
    with pytest.raises(KisUnreadable, match="ctx_area_fk100 is missing"):
        await client.trading.balance()
    client.say(ok(output1=[HOLDING], output2=[SUMS], ctx_area_fk100=" ", ctx_area_nk100=""), "F")
    with pytest.raises(KisUnreadable, match="repeats"):
        await client.trading.balance()


async def test_an_execution_list_that_moved_between_its_pages_is_an_error():
    order = {
        "ord_gno_brno": "06010", "odno": "0000000001", "orgn_odno": "", "sll_buy_dvsn_cd": "02", "pdno": "005930",
        "prdt_name": "x", "ord_qty": "10", "ord_unpr": "71000", "ord_tmd": "100512", "tot_ccld_qty": "3",
        "tot_ccld_amt": "212700", "ord_dvsn_cd": "00", "cnc_cfrm_qty": "0", "rmn_qty": "7", "rjct_qty": "0",
    }  # fmt: skip
    client = Scripted()
    client.say(ok(output1=[order], ctx_area_fk100="a", ctx_area_nk100="b"), "F")
    client.say(ok(output1=[order | {"tot_ccld_qty": "4"}]), "E")
    with pytest.raises(KisUnreadable, match="moved between its pages"):
        await client.trading.executions("20261120")
    client.say(ok(output1=[order], ctx_area_fk100="a", ctx_area_nk100="b"), "F")
    client.say(ok(output1=[order]), "E")
    assert len(await client.trading.executions("20261120")) == 1


@pytest.mark.parametrize(("cost", "whole"), [("708500", True), ("708501", True), ("1500000", False)])
async def test_rows_that_add_to_less_than_the_brokers_sum_are_a_part(cost, whole):
    """`reliability` D19. A won of rounding a row is let pass."""
    client = Scripted(ok(output1=[HOLDING], output2=[SUMS | {"pchs_amt_smtl_amt": cost}]))
    if whole:
        assert len((await client.trading.balance()).holdings) == 1
    else:
        with pytest.raises(KisUnreadable, match="add to 708500, but pchs_amt_smtl_amt is 1500000"):
            await client.trading.balance()


async def test_a_balance_row_of_a_stock_that_is_not_held_is_a_ghost_kis_protocol_6_row_13():
    """`reliability` D19: what contradicts itself is no balance; the last one is kept and it is asked again."""
    ghost = HOLDING | {"pdno": "000020", "hldg_qty": "7", "ord_psbl_qty": "7", "pchs_amt": "45500"}
    client = Scripted(ok(output1=[HOLDING, ghost], output2=[SUMS | {"pchs_amt_smtl_amt": "708500"}]))
    with pytest.raises(KisUnreadable, match="add to 754000, but pchs_amt_smtl_amt is 708500"):
        await client.trading.balance()


async def test_executions_that_fill_less_than_the_brokers_sum_are_a_part():
    with pytest.raises(KisUnreadable, match="some are missing"):
        await Scripted(ok(output1=[], output2={"tot_ccld_qty": "3"})).trading.executions("20261120")
    assert await Scripted(ok(output1=[], output2={"tot_ccld_qty": "0"})).trading.executions("20261120") == ()


@pytest.mark.parametrize(("environment", "venue"), [("real", "ALL"), ("paper", "KRX")])
async def test_the_days_orders_are_asked_of_all_venues_where_there_are_several(environment, venue):
    """kis-protocol 4.6"""
    client = Scripted(ok(output1=[]), environment=environment)
    await client.trading.executions("20261120")
    assert client.asked[0][1]["EXCG_ID_DVSN_CD"] == venue


async def test_bars_of_the_future_and_of_the_running_minute_are_dropped():
    """kis-protocol 4.4, 6 row 22"""
    client = Scripted(
        ok(output2=[bar("110000"), bar("103000"), bar("102900", 101), bar("102800", 102)]),
        ok(output2=[bar("102800", 102)]),
    )
    bars = await client.data.minutes(CODE)
    assert [(each.time, each.close) for each in bars] == [("102800", 102), ("102900", 101)]
    assert [params["FID_INPUT_HOUR_1"] for _, params, _ in client.asked] == ["103020", "102700"]


async def test_minutes_of_another_day_and_blank_rows_are_no_bars_of_today():
    client = Scripted(ok(output2=[bar("102900"), {}, bar("102800", day="20261119")]), ok(output2=[]))
    assert [each.time for each in await client.data.minutes(CODE)] == ["102900"]


async def test_a_bar_whose_prices_contradict_each_other_is_refused():
    broken = bar("102900") | {"stck_hgpr": "99"}
    with pytest.raises(KisUnreadable, match="do not hold its price"):
        await Scripted(ok(output2=[broken])).data.minutes(CODE)


@pytest.mark.parametrize("blank", ["", "0"])
async def test_todays_blank_or_zero_flows_are_unknown_and_a_past_days_blank_ones_are_an_error(blank):
    """kis-protocol 4.3, 6 row 21"""
    row = {"stck_bsop_date": "20261120", "stck_clpr": "71000"} | dict.fromkeys(
        ("prsn_ntby_qty", "frgn_ntby_qty", "orgn_ntby_qty"), blank
    )
    (flow,) = await Scripted(ok(output=[row])).data.investors(CODE)
    assert not flow.is_settled
    past = row | {"stck_bsop_date": "20261119"}
    if blank:
        (flow,) = await Scripted(ok(output=[past])).data.investors(CODE)
        assert flow.foreigners == 0
    else:
        with pytest.raises(KisUnreadable, match="20261119"):
            await Scripted(ok(output=[past])).data.investors(CODE)


async def test_a_price_of_zero_is_no_price():
    """ecosystem row 12: a price of zero starved others of their exits."""
    with pytest.raises(KisUnreadable, match="stck_prpr is 0"):
        await Scripted(ok(output=PRICE | {"stck_prpr": "0"})).data.price(CODE)


async def test_blank_rows_pad_a_multiple_quote_and_a_stranger_is_refused():
    row = {
        "inter_shrn_iscd": "005930", "inter2_prpr": "71000", "inter2_oprc": "1", "inter2_hgpr": "1", "inter2_lwpr": "1",
        "acml_vol": "1", "acml_tr_pbmn": "1", "prdy_ctrt": "0.10",
    }  # fmt: skip
    blank = dict.fromkeys(row, "") | {"acml_vol": "0"}
    client = Scripted(ok(output=[row, blank]))
    assert [each.code for each in await client.data.prices([CODE, Symbol("000660")])] == ["005930"]
    with pytest.raises(KisUnreadable, match="not asked for"):
        await Scripted(ok(output=[row])).data.prices([Symbol("000660"), Symbol("000661")])


BALANCE_SAMPLE = r"""{"ctx_area_fk100":"<padded>","ctx_area_nk100":"<padded>","output1":[{"pdno":"005930","prdt_name":"삼성전자","hldg_qty":"10","ord_psbl_qty":"10","pchs_avg_pric":"70850.0000","pchs_amt":"708500","prpr":"71000","evlu_amt":"710000","evlu_pfls_amt":"1500","evlu_pfls_rt":"0.21"}],"output2":[{"dnca_tot_amt":"10000000","nxdy_excc_amt":"9291400","prvs_rcdl_excc_amt":"9291400","scts_evlu_amt":"710000","tot_evlu_amt":"10001400","nass_amt":"10001400"}],"rt_cd":"0","msg_cd":"20310000","msg1":"모의투자 조회가 완료되었습니다.      "}"""
ORDERS_SAMPLE = r"""{"output1":[{"ord_dt":"20261123","ord_gno_brno":"00950","odno":"0000117057","orgn_odno":"","sll_buy_dvsn_cd":"02","pdno":"005930","ord_qty":"10","ord_unpr":"71000","ord_tmd":"100512","tot_ccld_qty":"3","avg_prvs":"70900","cncl_yn":"N","tot_ccld_amt":"212700","ord_dvsn_cd":"00","cnc_cfrm_qty":"0","rmn_qty":"7","rjct_qty":"0"}],"output2":{"tot_ord_qty":"10","tot_ccld_qty":"3","tot_ccld_amt":"212700","prsm_tlex_smtl":"0","pchs_avg_pric":"70900.0000"},"rt_cd":"0"}"""


async def test_the_sample_answers_of_the_document_are_read_as_they_stand_kis_protocol_4_10():
    balance = await Scripted(json.loads(BALANCE_SAMPLE)).trading.balance()
    assert [(one.qty, one.cost_krw) for one in balance.holdings] == [(10, 708_500)]
    assert (balance.cash_krw, balance.cash_today_krw) == (9_291_400, 10_000_000)
    (order,) = await Scripted(json.loads(ORDERS_SAMPLE)).trading.executions("20261123")
    assert (order.order_no, order.name, order.filled_qty, order.leaves_qty) == ("117057", "005930", 3, 7)
    assert (order.filled_amount, order.kind, order.side) == (212_700, "limit", "buy")


@pytest.mark.parametrize("day", ["20260231", "20261301", "2026112", "20261120x", "00000000"])
async def test_a_day_that_no_calendar_has_is_named(day):
    row = {"bass_dt": day, "bzdy_yn": "Y", "opnd_yn": "Y", "sttl_day_yn": "Y"}
    with pytest.raises(KisUnreadable, match="bass_dt"):
        await Scripted(ok(output=[row])).data.holidays("20261120")


@pytest.mark.parametrize("name", [None, 5, "   "])
async def test_a_damaged_name_of_an_order_is_named(name):
    sample = json.loads(ORDERS_SAMPLE)
    sample["output1"][0]["prdt_name"] = name
    with pytest.raises(KisUnreadable, match="prdt_name"):
        await Scripted(sample).trading.executions("20261123")


@pytest.mark.parametrize(("sign", "rate", "change"), [
    ("5", "0.70", -70), ("4", "29.93", -2993), ("5", "-0.70", -70), ("2", "0.70", 70), ("3", "0.00", 0), (None, "0.70", 70),
])  # fmt: skip
async def test_a_rate_without_a_sign_takes_that_of_its_direction_kis_protocol_4(sign, rate, change):
    row = PRICE | {"prdy_ctrt": rate} | ({} if sign is None else {"prdy_vrss_sign": sign})
    assert (await Scripted(ok(output=row)).data.price(CODE)).change_bp == change


@pytest.mark.parametrize("container", ["output", "output1"])
async def test_either_container_is_taken_where_portal_and_samples_disagree(container):
    """kis-protocol 4.10"""
    row = {"bass_dt": "20261120", "bzdy_yn": "Y", "opnd_yn": "Y", "sttl_day_yn": "Y"}
    assert await Scripted(ok(**{container: [row]})).data.is_open_day("20261120")
    news = {"cntt_usiq_srno": "1", "data_dt": "20261120", "data_tm": "100000", "hts_pbnt_titl_cntt": "t"}
    assert len(await Scripted(ok(**{container: [news]})).data.news()) == 1


async def test_another_refusal_of_a_condition_search_is_an_error():
    client = Scripted()
    client.say({"rt_cd": "1", "msg_cd": "OPSQ0003", "msg1": "no"})
    with pytest.raises(KisRefused, match="OPSQ0003"):
        await client.data.condition_hits("0")


async def test_a_filler_amount_is_none_and_a_ratio_of_the_same_figure_stays():
    """kis-protocol 4.7"""
    from kquant.gateways.kis.rest.calls.reference import FIGURES

    income = {"stac_yymm": "202512"} | dict.fromkeys(FIGURES["income"], "99.99")
    ratio = {"stac_yymm": "202512"} | dict.fromkeys(FIGURES["ratios"], "99.99")
    (row,) = await Scripted(ok(output=[income])).data.finance("income", CODE, quarterly=False)
    assert set(row.figures.values()) == {None}
    (row,) = await Scripted(ok(output=[ratio])).data.finance("ratios", CODE, quarterly=False)
    assert None not in row.figures.values()


async def test_daily_bars_stop_at_today_and_drop_rows_without_a_date():
    day = {
        "stck_bsop_date": "20261119", "stck_clpr": "100", "stck_oprc": "0", "stck_hgpr": "0", "stck_lwpr": "0",
        "acml_vol": "0", "acml_tr_pbmn": "0", "flng_cls_code": "00",
    }  # fmt: skip
    client = Scripted(ok(output2=[day, {}, {"stck_bsop_date": ""}]))
    (one,) = await client.data.daily(CODE, dt.date(2026, 11, 1), dt.date(2027, 1, 1), adjusted=False)
    assert (one.close, one.open, one.volume) == (100, 0, 0)
    params = client.asked[0][1]
    assert (params["FID_INPUT_DATE_2"], params["FID_ORG_ADJ_PRC"]) == ("20261120", "1")


def recorded() -> Path | None:
    folder = Path(os.environ.get("KQUANT_SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
    file = folder / "frames" / "kis_inquire_price_FHKST01010100_20250915.jsonl.gz"
    return file if file.exists() else None


@pytest.mark.skipif(recorded() is None, reason="no recorded answers: set KQUANT_SHARED_DATA")
async def test_every_recorded_price_answer_is_read():
    file = recorded()
    assert file is not None
    count = 0
    for line in gzip.decompress(file.read_bytes()).splitlines():
        output = json.loads(line)["output"]
        code = Symbol(output["stck_shrn_iscd"])
        price = await Scripted(ok(output=output)).data.price(code)
        detail = await Scripted(ok(output=output)).data.quote(code)
        assert price.last_price == detail.last_price == int(output["stck_prpr"])
        assert detail.lower <= detail.last_price <= detail.upper
        count += 1
    assert count == 292
