"""Charts: they agree with the research table, the day's prints and each other (kis-protocol 4.4, 6)."""

import datetime as dt

import pytest

from kquant.exchange.core.quotations.past import Past, Split, merged, raw, sessions_before
from kquant.exchange.core.quotations.source import Source
from kquant.exchange.core.rules import is_open_day
from kquant.exchange.market.model import Stock
from tests.exchange.helpers import Client
from tests.exchange.quotation_world import DAY, at, daily, imported, known, market, of, rows

MINUTES = "/quotations/inquire-time-itemchartprice"
PAST_MINUTES = "/quotations/inquire-time-dailychartprice"


def past() -> Past:
    return Past(Source(market(), lambda: 60_000))


def liquid(count: int) -> list[Stock]:
    best = market().rank_volume(50_000, "ALL", count * 3)
    found = [market().by_code[row.code] for row in best]
    return [stock for stock in found if stock.kind == "common"][:count]


def split_stock() -> tuple[Stock, Split]:
    past_ = past()
    for stock in market().stocks:
        split = past_.split(stock)
        if split is not None:
            return stock, split
    raise AssertionError("no stock of the generated day was split")


def minutes(client: Client, code: str, hour: str) -> list[dict[str, str]]:
    params = of(code, FID_INPUT_HOUR_1=hour, FID_PW_DATA_INCU_YN="Y", FID_ETC_CLS_CODE="")
    return rows(client.call(MINUTES, "FHKST03010200", params)[1])


def test_yesterday_closed_at_the_base_price_and_older_closes_are_the_research_tables() -> None:
    client = at("1000")
    for stock in market().stocks[:60]:
        row = market().known(stock.code)
        assert row is not None
        assert row.closes is not None
        bars = daily(client, stock.code)
        assert bars[0]["stck_bsop_date"] == "20261120"
        assert (bars[1]["stck_clpr"], bars[1]["acml_vol"]) == (str(stock.base), str(stock.prev_volume))
        assert [int(bar["stck_clpr"]) for bar in bars[1:]] == list(row.closes[::-1][:99])
        for bar in bars[1:]:
            if bar["acml_vol"] == "0":
                assert {bar["stck_oprc"], bar["stck_hgpr"], bar["stck_lwpr"]} == {"0"}
                continue
            low, high = int(bar["stck_lwpr"]), int(bar["stck_hgpr"])
            assert 0 < low <= min(int(bar["stck_oprc"]), int(bar["stck_clpr"]))
            assert max(int(bar["stck_oprc"]), int(bar["stck_clpr"])) <= high


def test_a_daily_chart_gives_100_bars_newest_first_and_goes_on_by_date() -> None:
    client, code = at("1000"), liquid(1)[0].code
    first = daily(client, code)
    assert len(first) == 100
    dates = [bar["stck_bsop_date"] for bar in first]
    assert dates == sorted(dates, reverse=True)
    older = dt.date.fromisoformat(dates[-1]) - dt.timedelta(days=1)
    second = daily(client, code, until=f"{older:%Y%m%d}")
    third = daily(
        client, code, until=f"{dt.date.fromisoformat(second[-1]['stck_bsop_date']) - dt.timedelta(days=1):%Y%m%d}"
    )
    together = dates + [bar["stck_bsop_date"] for bar in second + third]
    assert len(together) == len(set(together)) == 250
    assert all(is_open_day(dt.date.fromisoformat(day)) for day in together)
    assert daily(client, code, first="20261118", until="20261119")[0]["stck_bsop_date"] == "20261119"


def test_an_empty_row_pads_the_chart_of_a_stock_whose_history_ends_inside_the_range() -> None:
    """kis-protocol 4.4: drop rows without a date."""
    client = Client(imported(known(closes=(9_000, 10_000))))
    dates = {"FID_INPUT_DATE_1": "20251201", "FID_INPUT_DATE_2": "20260114"}
    ask = of("000010", FID_PERIOD_DIV_CODE="D", FID_ORG_ADJ_PRC="0", **dates)
    found = rows(client.call("/quotations/inquire-daily-itemchartprice", "FHKST03010100", ask)[1])
    assert [bar.get("stck_bsop_date") for bar in found] == ["20260114", "20260113", None]
    ask |= {"FID_INPUT_DATE_1": "20260114"}
    assert len(rows(client.call("/quotations/inquire-daily-itemchartprice", "FHKST03010100", ask)[1])) == 1


def test_the_year_high_and_low_of_the_table_are_in_the_chart_on_the_day_inquire_price_names() -> None:
    client = at("1000")
    for stock in liquid(10):
        row = market().known(stock.code)
        assert row is not None
        price = client.call("/quotations/inquire-price", "FHKST01010100", of(stock.code))[1]["output"]
        stats = market().stats(stock.code, 35_999)
        assert int(price["w52_hgpr"]) == max(row.w52_high or 0, stats.high)
        assert int(price["w52_lwpr"]) == min(row.w52_low or 0, stats.low)
        day = daily(client, stock.code, first=price["w52_hgpr_date"], until=price["w52_hgpr_date"])
        assert day[0]["stck_hgpr"] == price["w52_hgpr"]
        day = daily(client, stock.code, first=price["w52_lwpr_date"], until=price["w52_lwpr_date"])
        assert day[0]["stck_lwpr"] == price["w52_lwpr"]


def test_fid_org_adj_prc_means_the_opposite_in_the_two_daily_charts() -> None:
    """kis-protocol 4.4, 6 #20: itemchartprice 0 adjusted, 1 raw; daily-price 0 raw, 1 adjusted."""
    stock, split = split_stock()
    client = at("1000")
    adjusted = {bar["stck_bsop_date"]: bar for bar in daily(client, stock.code, adjusted="0")}
    as_traded = {bar["stck_bsop_date"]: bar for bar in daily(client, stock.code, adjusted="1")}
    before = [day for day in adjusted if day < f"{split.day:%Y%m%d}"]
    after = [day for day in adjusted if day >= f"{split.day:%Y%m%d}"]
    ratio = split.up // split.down
    assert ratio >= 2
    for day in before:
        assert int(as_traded[day]["stck_clpr"]) == ratio * int(adjusted[day]["stck_clpr"])
        assert (adjusted[day]["mod_yn"], as_traded[day]["mod_yn"]) == ("Y", "N")
    assert all(as_traded[day] == adjusted[day] for day in after if day != f"{split.day:%Y%m%d}")
    assert adjusted[f"{split.day:%Y%m%d}"]["prtt_rate"] == f"{ratio}.00"
    recent = {}
    for flag in ("0", "1"):
        params = of(stock.code, FID_PERIOD_DIV_CODE="D", FID_ORG_ADJ_PRC=flag)
        body = client.call("/quotations/inquire-daily-price", "FHKST01010400", params)[1]
        recent[flag] = {bar["stck_bsop_date"]: bar["stck_clpr"] for bar in rows(body, "output")}
        assert len(recent[flag]) == 30
    assert recent["1"] == {day: adjusted[day]["stck_clpr"] for day in recent["1"]}
    assert recent["0"] == {day: as_traded[day]["stck_clpr"] for day in recent["0"]}


def test_a_base_price_that_is_not_the_previous_close_is_a_split_of_the_day() -> None:
    """A recorded day whose stock was split five to one this morning."""
    row = known(closes=(9_000, 9_500, 10_000), volumes=(500, 600, 700))
    client = Client(imported(row, prev_close=50_000))
    adjusted = daily(client, "000010", adjusted="0", until="20260116")
    as_traded = daily(client, "000010", adjusted="1", until="20260116")
    assert [bar["stck_clpr"] for bar in adjusted] == ["10000", "9500", "9000"]
    assert [bar["stck_clpr"] for bar in as_traded] == ["50000", "47500", "45000"]
    assert [bar["acml_vol"] for bar in as_traded[1:]] == ["120", "100"]


def test_an_imported_day_invents_no_prices_of_other_days() -> None:
    row = known(closes=(9_000, 9_500, 10_000), volumes=(500, 600, 700), highs=(9_700, 10_100), lows=(9_300, 9_900))
    client = Client(imported(row))
    bars = daily(client, "000010", until="20260116")
    assert [(bar["stck_oprc"], bar["stck_hgpr"], bar["stck_lwpr"]) for bar in bars] == [
        ("0", "10100", "9900"),
        ("0", "9700", "9300"),
        ("0", "0", "0"),
    ]
    params = of("000010", FID_INPUT_HOUR_1="153000", FID_INPUT_DATE_1="20260114")
    params |= {"FID_PW_DATA_INCU_YN": "Y", "FID_FAKE_TICK_INCU_YN": ""}
    assert rows(client.call(PAST_MINUTES, "FHKST03010230", params)[1]) == []
    price = client.call("/quotations/inquire-price", "FHKST01010100", of("000010"))[1]["output"]
    unknown = (
        "w52_hgpr",
        "d250_lwpr",
        "stck_dryy_hgpr",
        "pvt_pont_val",
        "dmrs_val",
        "frgn_hldn_qty",
        "cpfn",
        "stck_sspr",
    )
    assert {price[name] for name in unknown} == {"0"}
    assert (price["w52_hgpr_date"], price["per"], price["eps"]) == ("20260114", "0.00", "0.00")


def test_an_imported_days_year_high_is_the_tables_until_the_day_passes_it() -> None:
    client = Client(imported(known(closes=(9_000, 10_000), w52_high=12_000, w52_low=8_000)))
    price = client.call("/quotations/inquire-price", "FHKST01010100", of("000010"))[1]["output"]
    assert (price["w52_hgpr"], price["w52_hgpr_date"], price["w52_hgpr_vrss_prpr_ctrt"]) == (
        "12000",
        "20260114",
        "-16.67",
    )
    assert price["stck_dryy_hgpr"] == "0"


def test_the_days_minute_bars_fold_to_its_prints_when_paged_back_from_the_close() -> None:
    client = at("1600")
    for stock in liquid(3):
        bars: list[dict[str, str]] = []
        hour = "153000"
        for _ in range(20):
            page = minutes(client, stock.code, hour)
            if not page:
                break
            assert len(page) <= 30
            bars += page
            oldest = int(page[-1]["stck_cntg_hour"][:2]) * 60 + int(page[-1]["stck_cntg_hour"][2:4]) - 1
            hour = f"{oldest // 60:02d}{oldest % 60:02d}00"
        hours = [bar["stck_cntg_hour"] for bar in bars]
        stats = market().stats(stock.code, 60_000)
        assert len(hours) == len(set(hours)) > 300
        assert sum(int(bar["cntg_vol"]) for bar in bars) == stats.volume
        assert max(int(bar["stck_hgpr"]) for bar in bars) == stats.high
        assert min(int(bar["stck_lwpr"]) for bar in bars) == stats.low
        assert (int(bars[-1]["stck_oprc"]), int(bars[0]["stck_prpr"])) == (stats.open, stats.last)
        assert int(bars[0]["acml_tr_pbmn"]) == stats.value
        assert hours[0] == "153000"
        assert not [hour for hour in hours if "152000" <= hour < "153000"]


def test_midnight_asks_for_the_newest_bars() -> None:
    """kis-protocol 7.6: how python-kis begins."""
    client, code = at("1000"), liquid(1)[0].code
    assert minutes(client, code, "000000")[0]["stck_cntg_hour"] == "095900"
    assert minutes(client, code, "085900") == []


def test_a_past_sessions_minutes_fold_to_its_daily_bar_and_go_on_into_the_session_before() -> None:
    client, stock = at("1000"), liquid(1)[0]
    raw_days = {bar["stck_bsop_date"]: bar for bar in daily(client, stock.code, adjusted="1")}
    collected: dict[str, list[dict[str, str]]] = {}
    day, hour = "20261119", "153000"
    for _ in range(8):
        params = of(stock.code, FID_INPUT_HOUR_1=hour, FID_INPUT_DATE_1=day)
        params |= {"FID_PW_DATA_INCU_YN": "Y", "FID_FAKE_TICK_INCU_YN": ""}
        page = rows(client.call(PAST_MINUTES, "FHKST03010230", params)[1])
        assert len(page) == 120
        for bar in page:
            collected.setdefault(bar["stck_bsop_date"], []).append(bar)
        day, last = page[-1]["stck_bsop_date"], page[-1]["stck_cntg_hour"]
        minute = int(last[:2]) * 60 + int(last[2:4]) - 1
        hour = f"{minute // 60:02d}{minute % 60:02d}00"
    for date in ("20261119", "20261118"):
        bars = collected[date]
        assert sum(int(bar["cntg_vol"]) for bar in bars) == int(raw_days[date]["acml_vol"])
        assert max(int(bar["stck_hgpr"]) for bar in bars) == int(raw_days[date]["stck_hgpr"])
        assert bars[0]["stck_prpr"] == raw_days[date]["stck_clpr"]
        assert bars[-1]["stck_oprc"] == raw_days[date]["stck_oprc"]


@pytest.mark.parametrize(("period", "length"), [("W", 5), ("M", 23), ("Y", 250)])
def test_longer_bars_are_their_sessions_put_together(period: str, length: int) -> None:
    stock = liquid(1)[0]
    bars = past().with_today(stock)
    longer = merged(bars, "W" if period == "W" else "M" if period == "M" else "Y")
    assert sum(bar.volume or 0 for bar in longer) == sum(bar.volume or 0 for bar in bars)
    assert max(bar.high for bar in longer) == max(bar.high for bar in bars)
    closes = {bar.day: bar.close for bar in bars}
    assert all(bar.close == closes[bar.day] for bar in longer)
    assert len(bars) / len(longer) <= length
    served = daily(at("1600"), stock.code, period)
    assert [bar["stck_bsop_date"] for bar in served] == [f"{bar.day:%Y%m%d}" for bar in longer[::-1]]


def test_a_raw_bar_of_a_split_keeps_the_value_of_the_company() -> None:
    stock, split = split_stock()
    bar = past().bars(stock)[0]
    assert bar.day < split.day
    old = raw(bar, split)
    assert old.close == bar.close * split.up
    assert (old.volume or 0) * split.up <= (bar.volume or 0)
    assert raw(old._replace(day=split.day), split).close == old.close


def test_sessions_skip_weekends_and_holidays() -> None:
    days = sessions_before(dt.date(2026, 10, 12), 8)
    assert [f"{day:%m%d}" for day in days] == ["0929", "0930", "1001", "1002", "1006", "1007", "1008", "1012"]


def test_an_index_moves_as_its_members_do_and_counts_them() -> None:
    client = at("1130")
    ask = {"FID_COND_MRKT_DIV_CODE": "U", "FID_INPUT_ISCD": "0001"}
    now = client.call("/quotations/inquire-index-price", "FHPUP02100000", ask)[1]["output"]
    board = [row for row in market().board(41_399) if market().by_code[row.code].market == "KOSPI"]
    board = [row for row in board if market().by_code[row.code].kind in {"common", "preferred", "reit"}]
    counts = [int(now[f"{name}_issu_cnt"]) for name in ("ascn", "down", "stnr")]
    assert counts[0] == sum(row.change > 0 for row in board)
    assert sum(counts) == len(board)
    gained = sum(row.change * market().by_code[row.code].listed_shares for row in board)
    assert (float(now["bstp_nmix_prdy_vrss"]) > 0) == (gained > 0)
    level, low, high = (float(now[f"bstp_nmix_{name}"]) for name in ("prpr", "lwpr", "hgpr"))
    assert low <= level <= high
    params = ask | {"FID_INPUT_DATE_1": "20200101", "FID_INPUT_DATE_2": f"{DAY:%Y%m%d}", "FID_PERIOD_DIV_CODE": "D"}
    bars = rows(client.call("/quotations/inquire-daily-indexchartprice", "FHKUP03500100", params)[1])
    assert len(bars) == 50
    assert bars[0]["bstp_nmix_prpr"] == now["bstp_nmix_prpr"]
    assert round(float(bars[0]["bstp_nmix_prpr"]) - float(bars[1]["bstp_nmix_prpr"]), 2) == float(
        now["bstp_nmix_prdy_vrss"]
    )
