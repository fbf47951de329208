"""Rankings, conditions, watch lists, investors and interruptions (kis-protocol 4.2, 4.3)."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from kquant.exchange.market.model import Interruption, Print, Stock
from tests.exchange.fake_market import OPEN, FakeMarket, stock
from tests.exchange.helpers import Client
from tests.exchange.protocol_tables import FLUCTUATION, PRICES, RANKING, VOLUME_RANK
from tests.exchange.quotation_world import at, daily, imported, known, market, of, rows

VOLUME, RISE = ("/quotations/volume-rank", "FHPST01710000"), ("/ranking/fluctuation", "FHPST01700000")
INVESTOR = ("/quotations/inquire-investor", "FHKST01010900")
BY_DAY = ("/quotations/investor-trade-by-stock-daily", "FHPTJ04160001")
ESTIMATES = ("/quotations/foreign-institution-total", "FHPTJ04400000")


@pytest.fixture(scope="module")
def morning() -> Client:
    return at("1000")


def ranked(client: Client, where: tuple[str, str], params: dict[str, str]) -> list[dict[str, str]]:
    return rows(client.call(*where, params)[1], "output")


def codes(found: list[dict[str, str]]) -> list[str]:
    return [row.get("mksc_shrn_iscd") or row["stck_shrn_iscd"] for row in found]


TRAITS: list[tuple[int, Callable[[Stock], bool]]] = [
    (0, lambda one: one.warning > 0),
    (1, lambda one: one.administrative),
    (2, lambda one: one.liquidation),
    (4, lambda one: one.kind == "preferred"),
    (5, lambda one: one.halted),
    (6, lambda one: one.kind == "etf"),
    (7, lambda one: one.kind == "etn"),
    (9, lambda one: one.kind == "spac"),
]


def mixed() -> Client:
    """A market with one stock of every kind that the flags name, all traded (a halt may come after a trade)."""
    changes: list[dict[str, object]] = [
        {},
        {"warning": 2},
        {"administrative": True},
        {"liquidation": True},
        {"kind": "preferred"},
        {"halted": True},
        {"kind": "etf"},
        {"kind": "etn"},
        {"kind": "spac"},
    ]
    stocks = [stock(f"{n + 1:05d}0", **change) for n, change in enumerate(changes)]  # type: ignore[arg-type]
    prints = {one.code: [Print(OPEN + 1, 10_010 + n, 100 + n, 3)] for n, one in enumerate(stocks)}
    client = Client(FakeMarket(stocks, prints))
    client.exchange.advance(OPEN + 60)
    return client


@pytest.mark.parametrize("where", [VOLUME, RISE], ids=["volume-rank", "fluctuation"])
@pytest.mark.parametrize(("place", "trait"), TRAITS, ids=[str(place) for place, _ in TRAITS])
def test_each_exclusion_flag_drops_what_it_names_and_nothing_else(
    where: tuple[str, str], place: int, trait: Callable[[Stock], bool]
) -> None:
    client = mixed()
    params = VOLUME_RANK if where is VOLUME else FLUCTUATION
    flags = "".join("1" if at_ == place else "0" for at_ in range(10))
    everyone = codes(ranked(client, where, dict(params)))
    kept = codes(ranked(client, where, params | {"FID_TRGT_EXLS_CLS_CODE": flags}))
    by_code = client.exchange.market.by_code
    assert len(everyone) == 9
    assert kept == [code for code in everyone if not trait(by_code[code])]
    assert len(kept) == 8


def test_the_flags_of_a_careful_client_leave_ordinary_stocks_alone() -> None:
    kept = codes(ranked(mixed(), VOLUME, VOLUME_RANK | {"FID_TRGT_EXLS_CLS_CODE": "1111111101"}))
    assert kept == ["000010"]


def test_six_flags_are_taken_as_the_first_six() -> None:
    """kis-protocol 4.2: a comment in the official code says that six zeros were needed."""
    assert len(ranked(mixed(), VOLUME, VOLUME_RANK | {"FID_TRGT_EXLS_CLS_CODE": "000000"})) == 9
    assert len(ranked(mixed(), VOLUME, VOLUME_RANK | {"FID_TRGT_EXLS_CLS_CODE": "000001"})) == 8


@pytest.mark.parametrize(("belonging", "field"), [("0", "acml_vol"), ("1", "vol_inrt"), ("3", "acml_tr_pbmn")])
def test_volume_rank_sorts_the_whole_board_by_its_class(morning: Client, belonging: str, field: str) -> None:
    found = ranked(morning, VOLUME, VOLUME_RANK | {"FID_BLNG_CLS_CODE": belonging})
    values = [float(row[field]) for row in found]
    assert values == sorted(values, reverse=True)
    board = market().board(35_999)
    best = {
        "0": lambda row: row.volume,
        "1": lambda row: row.volume * 10_000 // max(row.prev_volume, 1),
        "3": lambda row: row.value,
    }[belonging]
    assert codes(found) == [row.code for row in sorted(board, key=lambda row: (-best(row), row.code))[:30]]


def test_fluctuation_by_fall_gives_those_that_fell_most(morning: Client) -> None:
    found = ranked(morning, RISE, FLUCTUATION | {"FID_RANK_SORT_CLS_CODE": "1"})
    rates = [float(row["prdy_ctrt"]) for row in found]
    assert rates == sorted(rates)
    worst = min(row.change_bp for row in market().board(35_999))
    assert round(rates[0], 1) == round(worst / 100, 1)
    assert rates[0] < 0


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ({"FID_INPUT_PRICE_1": "5000", "FID_INPUT_PRICE_2": "20000"}, lambda row: 5_000 <= int(row["stck_prpr"]) <= 20_000),
        ({"FID_VOL_CNT": "100000"}, lambda row: int(row["acml_vol"]) >= 100_000),
        ({"FID_RSFL_RATE1": "1.5", "FID_RSFL_RATE2": "8"}, lambda row: 1.5 <= float(row["prdy_ctrt"]) <= 8),
        ({"FID_INPUT_ISCD": "1001"}, lambda row: market().by_code[row["stck_shrn_iscd"]].market == "KOSDAQ"),
        ({"FID_INPUT_ISCD": "2001"}, lambda row: market().by_code[row["stck_shrn_iscd"]].kospi200),
        ({"FID_DIV_CLS_CODE": "2"}, lambda row: market().by_code[row["stck_shrn_iscd"]].kind == "preferred"),
    ],
)  # fmt: skip
def test_ranking_filters_are_kept_before_the_rows_are_cut(
    morning: Client, change: dict[str, str], holds: Callable[[dict[str, str]], bool]
) -> None:
    found = ranked(morning, RISE, FLUCTUATION | change)
    assert found
    assert all(holds(row) for row in found)
    wider = ranked(morning, RISE, dict(FLUCTUATION))
    assert codes(found) != codes(wider)


@pytest.mark.parametrize(
    "change",
    [
        {"FID_INPUT_ISCD": "4444"},
        {"FID_RANK_SORT_CLS_CODE": "9"},
        {"FID_COND_SCR_DIV_CODE": "20171"},
        {"FID_TRGT_EXLS_CLS_CODE": "x"},
        {"FID_VOL_CNT": "many"},
        {"FID_RSFL_RATE1": "high"},
    ],
)
def test_a_ranking_value_that_cannot_be_read_is_refused(morning: Client, change: dict[str, str]) -> None:
    body = morning.call(*RISE, FLUCTUATION | change)[1]
    assert (body["rt_cd"], body["msg_cd"]) == ("2", "OPSQ2002")


def test_consecutive_days_count_the_day_itself(morning: Client) -> None:
    for row in ranked(morning, RISE, dict(FLUCTUATION))[:10]:
        history = daily(morning, row["stck_shrn_iscd"])
        count = 0
        for now, before in pairwise(history):
            if int(now["stck_clpr"]) <= int(before["stck_clpr"]):
                break
            count += 1
        assert int(row["cnnt_ascn_dynu"]) == count


def test_trade_strength_is_bought_per_hundred_sold(morning: Client) -> None:
    found = ranked(
        morning, ("/ranking/volume-power", "FHPST01680000"), RANKING | PRICES | {"FID_COND_SCR_DIV_CODE": "20168"}
    )
    assert [float(row["tday_rltv"]) for row in found] == sorted(
        (float(row["tday_rltv"]) for row in found), reverse=True
    )
    for row in found:
        bought, sold = int(row["shnu_cnqn_smtn"]), int(row["seln_cnqn_smtn"])
        assert abs(float(row["tday_rltv"]) - bought * 100 / sold) < 0.006
        assert bought + sold <= int(market().stats(row["stck_shrn_iscd"], 35_999).volume)


# -- conditions and watch lists -----------------------------------------------------------------------------


def condition(client: Client, seq: str, user: str = "DEMO01") -> dict[str, object]:
    body: dict[str, object] = client.call("/quotations/psearch-result", "HHKST03900400", {"USER_ID": user, "SEQ": seq})[
        1
    ]
    return body


def test_a_condition_without_a_hit_is_mca05918(morning: Client) -> None:
    """kis-protocol 1.9, 4.2: zero hits = rt_cd 1, MCA05918; so are an unknown condition and another user's."""
    titles = rows(morning.call("/quotations/psearch-title", "HHKST03900300", {"USER_ID": "DEMO01"})[1])
    assert [row["seq"] for row in titles] == [str(n) for n in range(len(titles))]
    for body in (
        condition(morning, titles[-1]["seq"]),
        condition(morning, "99"),
        condition(morning, "2", user="SOMEBODY"),
        condition(at("0700"), "2"),
    ):
        assert (body["rt_cd"], body["msg_cd"]) == ("1", "MCA05918")


def test_a_condition_gives_a_hundred_rows_at_most_in_order() -> None:
    found = condition(at("1500", stocks=900), "2")["output2"]
    assert isinstance(found, list)
    assert len(found) == 100
    turnover = [int(row["trade_amt"]) for row in found]
    assert turnover == sorted(turnover, reverse=True)
    assert turnover[-1] >= 5_000_000_000


def test_another_user_has_no_watch_list_and_no_titles(morning: Client) -> None:
    ask = {"TYPE": "1", "FID_ETC_CLS_CODE": "00", "USER_ID": "SOMEBODY"}
    assert rows(morning.call("/quotations/intstock-grouplist", "HHKCM113004C7", ask)[1]) == []
    body = morning.call("/quotations/psearch-title", "HHKST03900300", {"USER_ID": "SOMEBODY"})[1]
    assert (body["rt_cd"], body["msg_cd"]) == ("1", "MCA05762")


def test_a_watch_list_leads_to_its_prices(morning: Client) -> None:
    """Groups, then a group's stocks, then all their prices in one call, as KIS's own notes say."""
    ask = {"TYPE": "1", "FID_ETC_CLS_CODE": "00", "USER_ID": "DEMO01"}
    groups = rows(morning.call("/quotations/intstock-grouplist", "HHKCM113004C7", ask)[1])
    names = dict.fromkeys(["DATA_RANK", "INTER_GRP_NAME", "HTS_KOR_ISNM", "CNTG_CLS_CODE"], "")
    for group in groups:
        params = ask | names | {"INTER_GRP_CODE": group["inter_grp_code"], "FID_ETC_CLS_CODE": "4"}
        body = morning.call("/quotations/intstock-stocklist-by-group", "HHKCM113004C6", params)[1]
        listed = rows(body)
        assert str(len(listed)) == group["ask_cnt"]
        assert body["output1"]["inter_grp_name"] == group["inter_grp_name"]
        several = {f"FID_COND_MRKT_DIV_CODE_{n}": "J" for n in range(1, len(listed) + 1)}
        several |= {f"FID_INPUT_ISCD_{n}": row["jong_code"] for n, row in enumerate(listed, 1)}
        prices = rows(morning.call("/quotations/intstock-multprice", "FHKST11300006", several)[1], "output")
        assert [row["inter_shrn_iscd"] for row in prices] == [row["jong_code"] for row in listed]
        assert [row["inter_kor_isnm"] for row in prices] == [row["hts_kor_isnm"] for row in listed]
        for row in prices:
            assert int(row["inter2_prpr"]) == market().stats(row["inter_shrn_iscd"], 35_999).last


def test_a_31st_code_is_not_looked_at(morning: Client) -> None:
    several = {f"FID_COND_MRKT_DIV_CODE_{n}": "J" for n in range(1, 33)}
    several |= {f"FID_INPUT_ISCD_{n}": one.code for n, one in enumerate(market().stocks[:32], 1)}
    assert len(rows(morning.call("/quotations/intstock-multprice", "FHKST11300006", several)[1], "output")) == 30


# -- investors ----------------------------------------------------------------------------------------------


def test_investor_flows_add_to_the_research_table_and_to_the_volume(morning: Client) -> None:
    checked = 0
    for one in market().stocks[:80]:
        row = market().known(one.code)
        assert row is not None
        days = ranked(morning, INVESTOR, of(one.code))
        assert len(days) == 30
        assert days[0]["frgn_ntby_qty"] == ""  # kis-protocol 4.3, 6 #21: today's row is filled after the close
        volumes = {bar["stck_bsop_date"]: int(bar["acml_vol"]) for bar in daily(morning, one.code)}
        if row.foreign_net_5d is None or not all(volumes[day["stck_bsop_date"]] for day in days[1:]):
            continue
        checked += 1
        assert sum(int(day["frgn_ntby_qty"]) for day in days[1:6]) == row.foreign_net_5d
        assert sum(int(day["orgn_ntby_qty"]) for day in days[1:21]) == row.institution_net_20d
        for day in days[1:]:
            bought = sum(int(day[f"{who}_shnu_vol"]) for who in ("prsn", "frgn", "orgn"))
            sold = sum(int(day[f"{who}_seln_vol"]) for who in ("prsn", "frgn", "orgn"))
            volume = volumes[day["stck_bsop_date"]]
            assert volume * 95 // 100 <= bought <= volume
            assert volume * 95 // 100 <= sold <= volume
            assert all(
                int(day[f"{who}_{side}_vol"]) >= 0 for who in ("prsn", "frgn", "orgn") for side in ("shnu", "seln")
            )
    assert checked > 40


def test_the_daily_table_of_all_kinds_adds_to_the_volume_and_to_nothing_net(morning: Client) -> None:
    one = next(row for row in market().rank_volume(50_000, "ALL", 50) if known_flows(row.code))
    params = of(one.code, FID_INPUT_DATE_1="20261117", FID_ORG_ADJ_PRC="", FID_ETC_CLS_CODE="")
    table = rows(morning.call(*BY_DAY, params)[1])
    assert table[0]["stck_bsop_date"] == "20261117"
    for day in table:
        nets = [int(day[name]) for name in ("prsn_ntby_qty", "frgn_ntby_qty", "orgn_ntby_qty", "etc_ntby_qty")]
        assert sum(nets) == 0
        sold = [int(day[f"{who}_seln_vol"]) for who in ("prsn", "frgn", "orgn", "etc")]
        assert sum(sold) == int(day["acml_vol"])
        parts = (
            "scrt_ntby_qty",
            "ivtr_ntby_qty",
            "pe_fund_ntby_vol",
            "bank_ntby_qty",
            "insu_ntby_qty",
            "mrbn_ntby_qty",
        )
        assert sum(int(day[name]) for name in (*parts, "fund_ntby_qty")) == int(day["orgn_ntby_qty"])
        assert int(day["frgn_reg_ntby_qty"]) + int(day["frgn_nreg_ntby_qty"]) == int(day["frgn_ntby_qty"])


def known_flows(code: str) -> bool:
    row = market().known(code)
    return row is not None and row.foreign_net_5d is not None


def test_the_days_own_flows_come_after_the_close_and_agree_with_the_last_estimate() -> None:
    code = next(row.code for row in market().rank_volume(50_000, "ALL", 50) if known_flows(row.code))
    open_, closed = (ranked(at(hour), INVESTOR, of(code))[0] for hour in ("1529", "1531"))
    assert open_["prsn_shnu_vol"] == ""
    assert int(closed["prsn_shnu_vol"]) > 0
    assert open_["stck_bsop_date"] == closed["stck_bsop_date"] == "20261120"
    ask = {
        "FID_COND_MRKT_DIV_CODE": "V", "FID_COND_SCR_DIV_CODE": "16449", "FID_INPUT_ISCD": "0000",
        "FID_DIV_CLS_CODE": "1", "FID_RANK_SORT_CLS_CODE": "0", "FID_ETC_CLS_CODE": "1",
    }  # fmt: skip
    assert ranked(at("0925"), ESTIMATES, ask) == []
    first = {row["mksc_shrn_iscd"]: row for row in ranked(at("0935"), ESTIMATES, ask)}
    assert all(row["orgn_ntby_qty"] == "0" for row in first.values())  # institutions are entered from 10:00 on
    later = ranked(at("1125"), ESTIMATES, ask)
    assert any(row["orgn_ntby_qty"] != "0" for row in later)
    amounts = [int(row["frgn_ntby_qty"]) * int(row["stck_prpr"]) for row in later]
    assert amounts == sorted(amounts, reverse=True)


def test_an_imported_day_does_not_say_who_traded() -> None:
    client = Client(imported(known(closes=(9_000, 10_000), foreign_net_5d=500, institution_net_5d=5)))
    client.exchange.advance(OPEN + 3_700)
    days = ranked(client, INVESTOR, of("000010"))
    assert len(days) == 3
    assert {day["frgn_ntby_qty"] for day in days} == {""}
    member = client.call("/quotations/inquire-member", "FHKST01010600", of("000010"))[1]["output"]
    assert (member["seln_mbcr_name1"], member["total_seln_qty1"], member["glob_ntby_qty"]) == ("", "0", "0")


def test_members_sold_and_bought_shares_stay_within_the_volume(morning: Client) -> None:
    one = market().rank_volume(50_000, "ALL", 1)[0]
    output = morning.call("/quotations/inquire-member", "FHKST01010600", of(one.code))[1]["output"]
    volume = market().stats(one.code, 35_999).volume
    for side in ("seln", "shnu"):
        quantities = [int(output[f"total_{side}_qty{n}"]) for n in range(1, 6)]
        assert quantities == sorted(quantities, reverse=True)
        assert 0 < sum(quantities) <= volume
    net = int(output["glob_total_shnu_qty"]) - int(output["glob_total_seln_qty"])
    assert int(output["glob_ntby_qty"]) == net


# -- trades and interruptions -------------------------------------------------------------------------------


def test_the_last_trades_are_the_prints_newest_first(morning: Client) -> None:
    one = market().rank_volume(50_000, "ALL", 1)[0]
    found = ranked(morning, ("/quotations/inquire-ccnl", "FHKST01010300"), of(one.code))
    prints = [trade for second in range(32_400, 36_000) for trade in market().prints(one.code, second)][-30:][::-1]
    assert [(int(row["stck_prpr"]), int(row["cntg_vol"])) for row in found] == [(p.price, p.qty) for p in prints]
    until = morning.call(
        "/quotations/inquire-time-itemconclusion", "FHPST01060000", of(one.code, FID_INPUT_HOUR_1="093000")
    )[1]["output2"]
    assert until[0]["stck_cntg_hour"] <= "093000"
    second = 9 * 3_600 + 30 * 60
    assert int(until[0]["acml_vol"]) == market().stats(one.code, second).volume
    assert int(until[0]["acml_vol"]) - int(until[1]["acml_vol"]) == int(until[0]["cnqn"])


def test_vi_status_lists_what_has_begun_newest_first() -> None:
    """kis-protocol 4.3: kinds and directions apart; nothing of what is to come."""
    first = Interruption("static", OPEN + 600, OPEN + 735, 11_000, 10_000, 1_000, 11_050, "")
    second = Interruption("dynamic", OPEN + 900, OPEN + 1_030, 10_400, 11_000, -545, 10_450, "")
    halt = Interruption("halt", OPEN + 300, OPEN + 400, 0, 0, 0, 0, "조회공시")
    later = Interruption("static", OPEN + 9_000, OPEN + 9_130, 9_000, 10_000, -1_000, 9_050, "")
    client = Client(FakeMarket([stock("000010")], {}, paused={"000010": [halt, first, second, later]}))
    client.exchange.advance(OPEN + 950)
    ask = {
        "FID_DIV_CLS_CODE": "0", "FID_COND_SCR_DIV_CODE": "20139", "FID_MRKT_CLS_CODE": "0", "FID_INPUT_ISCD": "",
        "FID_RANK_SORT_CLS_CODE": "0", "FID_INPUT_DATE_1": "20260115", "FID_TRGT_CLS_CODE": "",
        "FID_TRGT_EXLS_CLS_CODE": "",
    }  # fmt: skip
    where = ("/quotations/inquire-vi-status", "FHPST01390000")
    found = ranked(client, where, ask)
    assert [(row["cntg_vi_hour"], row["vi_cls_code"], row["vi_kind_code"]) for row in found] == [
        ("091500", "Y", "2"),
        ("091000", "N", "1"),
    ]
    assert (found[0]["vi_dmc_stnd_prc"], found[0]["vi_dmc_dprt"], found[0]["vi_count"]) == ("11000", "-5.45", "2")
    assert (found[1]["vi_stnd_prc"], found[1]["vi_dprt"], found[1]["vi_cncl_hour"]) == ("10000", "10.00", "091215")
    assert len(ranked(client, where, ask | {"FID_DIV_CLS_CODE": "1"})) == 1
    assert len(ranked(client, where, ask | {"FID_RANK_SORT_CLS_CODE": "2"})) == 1
    assert ranked(client, where, ask | {"FID_MRKT_CLS_CODE": "Q"}) == []
    assert ranked(client, where, ask | {"FID_INPUT_DATE_1": "20260114"}) == []
    output = client.call("/quotations/inquire-price", "FHKST01010100", of("000010"))[1]["output"]
    assert output["vi_cls_code"] == "Y"
