"""Statements, products, calendar, news and master files (kis-protocol 4.7, 4.8)."""

import datetime as dt
import gzip
import io
import os
import re
import zipfile
from pathlib import Path

import pytest

from kquant.exchange.core.quotations.figures import FigureBook
from kquant.exchange.core.quotations.source import Source
from kquant.exchange.core.reference.master import LAYOUTS, TAILS, MasterName, isin, master_zip, row_of
from kquant.exchange.market.model import NewsTitle
from tests.exchange.fake_market import FakeMarket, stock
from tests.exchange.helpers import Client
from tests.exchange.quotation_world import at, imported, known, market, of, rows

SHARED = Path(os.environ.get("KQUANT_SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
REAL = {"KOSPI": SHARED / "master/kospi_code_20260206.mst.gz", "KOSDAQ": SHARED / "master/kosdaq_code_20260206.mst.gz"}
NEWS = dict.fromkeys(
    [
        *("FID_NEWS_OFER_ENTP_CODE", "FID_COND_MRKT_CLS_CODE", "FID_INPUT_ISCD", "FID_TITL_CNTT"),
        *("FID_INPUT_DATE_1", "FID_INPUT_HOUR_1", "FID_RANK_SORT_CLS_CODE", "FID_INPUT_SRNO"),
    ],
    "",
)
FINANCE = {
    "balance-sheet": "FHKST66430100",
    "income-statement": "FHKST66430200",
    "financial-ratio": "FHKST66430300",
    "profit-ratio": "FHKST66430400",
    "other-major-ratios": "FHKST66430500",
    "stability-ratio": "FHKST66430600",
    "growth-ratio": "FHKST66430800",
}


def finance(client: Client, path: str, code: str, division: str = "0") -> list[dict[str, str]]:
    return rows(client.call(f"/finance/{path}", FINANCE[path], of(code, FID_DIV_CLS_CODE=division))[1], "output")


def filed() -> list[str]:
    found = []
    for one in market().stocks:
        row = market().known(one.code)
        if row is not None and row.statement_filed and one.kind == "common":
            found.append(one.code)
    return found[:25]


# -- statements ---------------------------------------------------------------------------------------------


def test_the_newest_year_is_the_research_tables() -> None:
    client = at("1000")
    for code in filed():
        row = market().known(code)
        assert row is not None
        ratio = finance(client, "financial-ratio", code)[0]
        assert ratio["stac_yymm"] == "202512"
        for name, value in (
            ("grs", row.sales_growth_bp),
            ("bsop_prfi_inrt", row.op_growth_bp),
            ("roe_val", row.roe_bp),
            ("lblt_rate", row.debt_ratio_bp),
        ):
            assert value is not None
            assert round(float(ratio[name]) * 100) == value, name
        price = client.call("/quotations/inquire-price", "FHKST01010100", of(code))[1]["output"]
        assert ratio["eps"] == price["eps"]


@pytest.mark.parametrize("path", FINANCE)
def test_statements_come_newest_first_by_year_and_by_quarter(path: str) -> None:
    client, code = at("1000"), filed()[0]
    years = [row["stac_yymm"] for row in finance(client, path, code)]
    assert years == ["202512", "202412", "202312", "202212", "202112", "202012"]
    quarters = [row["stac_yymm"] for row in finance(client, path, code, "1")]
    assert quarters[:5] == ["202609", "202606", "202603", "202512", "202509"]
    assert len(quarters) == 12


def test_quarter_rows_are_cumulative_within_the_year() -> None:
    """kis-protocol 4.7."""
    client = at("1000")
    for code in filed():
        quarters = finance(client, "income-statement", code, "1")
        years = {row["stac_yymm"]: row for row in finance(client, "income-statement", code)}
        sales = {row["stac_yymm"]: float(row["sale_account"]) for row in quarters}
        assert 0 < sales["202503"] < sales["202506"] < sales["202509"] < sales["202512"]
        assert sales["202512"] == float(years["202512"]["sale_account"])
        assert sales["202603"] < sales["202606"] < sales["202609"]


def test_a_balance_sheet_balances_and_gross_profit_is_sales_less_cost() -> None:
    client = at("1000")
    for code in filed():
        for row in finance(client, "balance-sheet", code) + finance(client, "balance-sheet", code, "1"):
            amount = {name: float(text) for name, text in row.items() if name != "stac_yymm"}
            assert abs(amount["cras"] + amount["fxas"] - amount["total_aset"]) <= 1
            assert abs(amount["total_lblt"] + amount["total_cptl"] - amount["total_aset"]) <= 1
            assert abs(amount["flow_lblt"] + amount["fix_lblt"] - amount["total_lblt"]) <= 1
        for row in finance(client, "income-statement", code):
            gross = float(row["sale_account"]) - float(row["sale_cost"])
            assert abs(gross - int(row["sale_totl_prfi"])) <= 1
            assert row["depr_cost"] == row["sell_mang"] == "99.99"


def test_a_stock_without_a_statement_has_none() -> None:
    fund = next(one.code for one in market().stocks if one.kind == "etf")
    assert finance(at("1000"), "balance-sheet", fund) == []
    assert finance(at("1000"), "financial-ratio", fund) == []


def test_an_imported_day_knows_ratios_of_one_year_and_no_amounts() -> None:
    row = known(statement_filed="2025-03-20", roe_bp=812, debt_ratio_bp=4_510, sales_growth_bp=-230)
    client = Client(imported(row))
    assert finance(client, "income-statement", "000010") == []
    assert finance(client, "financial-ratio", "000010", "1") == []
    (ratio,) = finance(client, "financial-ratio", "000010")
    assert (ratio["stac_yymm"], ratio["roe_val"], ratio["lblt_rate"], ratio["grs"]) == (
        "202412",
        "8.12",
        "45.10",
        "-2.30",
    )
    assert (ratio["bsop_prfi_inrt"], ratio["sps"]) == ("0.00", "0.00")


# -- products -----------------------------------------------------------------------------------------------


def test_a_product_is_found_by_type_and_code_and_refused_with_rt_cd_7_otherwise() -> None:
    """kis-protocol 7.6: python-kis tries one type after the other until one is not refused with 7."""
    client, one = at("1000"), market().stocks[0]
    for wrong in ({"PRDT_TYPE_CD": "512"}, {"PDNO": "AAPL"}):
        body = client.call("/quotations/search-info", "CTPF1604R", {"PDNO": one.code, "PRDT_TYPE_CD": "300"} | wrong)[1]
        assert body["rt_cd"] == "7"
    found = client.call("/quotations/search-info", "CTPF1604R", {"PDNO": one.code, "PRDT_TYPE_CD": "300"})[1]["output"]
    assert (found["shtn_pdno"], found["std_pdno"], found["prdt_abrv_name"]) == (one.code, isin(one.code), one.name)


def test_search_stock_info_names_the_market_and_the_close_once_it_is_made() -> None:
    for hour, closed in (("1000", False), ("1600", True)):
        client = at(hour)
        for one in market().stocks[:40]:
            ask = {"PRDT_TYPE_CD": "300", "PDNO": one.code}
            info = client.call("/quotations/search-stock-info", "CTPF1002R", ask)[1]["output"]
            assert info["mket_id_cd"] == {"KOSPI": "STK", "KOSDAQ": "KSQ"}[one.market]
            assert info["lstg_stqt"] == str(one.listed_shares)
            assert info["tr_stop_yn"] == ("Y" if one.halted else "N")
            assert info["bfdy_clpr"] == str(one.prev_close)
            last = market().stats(one.code, 57_000).last or one.base
            assert info["thdt_clpr"] == (str(last) if closed else "0")


# -- calendar and news --------------------------------------------------------------------------------------


def test_the_calendar_goes_on_page_by_page_until_it_ends() -> None:
    """kis-protocol 1.7, 4.7: ctx_area_fk / ctx_area_nk, header F and M for more, D and E for the last page."""
    client = at("0700")
    params = {"BASS_DT": "20261101", "CTX_AREA_FK": "", "CTX_AREA_NK": ""}
    days: list[str] = []
    headers, body = client.call("/quotations/chk-holiday", "CTCA0903R", params)
    assert headers["tr_cont"] == "F"
    for _ in range(30):
        days += [row["bass_dt"] for row in body["output"]]
        if headers["tr_cont"] in {"D", "E"}:
            break
        params |= {"CTX_AREA_FK": body["ctx_area_fk"], "CTX_AREA_NK": body["ctx_area_nk"]}
        headers, body = client.call("/quotations/chk-holiday", "CTCA0903R", params, "N")
    first = dt.date(2026, 11, 1)
    assert days == [f"{first + dt.timedelta(days=n):%Y%m%d}" for n in range((dt.date(2027, 12, 31) - first).days + 1)]
    assert headers["tr_cont"] == "E"
    assert body["ctx_area_nk"].strip() == ""
    wrong = params | {"CTX_AREA_FK": "20260101", "CTX_AREA_NK": "20261126"}
    assert client.call("/quotations/chk-holiday", "CTCA0903R", wrong, "N")[1]["rt_cd"] == "2"


def test_the_exam_day_and_the_last_day_of_the_year_are_told_apart() -> None:
    client = at("0700")
    params = {"BASS_DT": "20261119", "CTX_AREA_FK": "", "CTX_AREA_NK": ""}
    first = client.call("/quotations/chk-holiday", "CTCA0903R", params)[1]["output"][0]
    assert (first["opnd_yn"], first["wday_dvsn_cd"]) == ("Y", "05")
    params |= {"BASS_DT": "20261231"}
    last = client.call("/quotations/chk-holiday", "CTCA0903R", params)[1]["output"][0]
    assert (last["bzdy_yn"], last["opnd_yn"], last["sttl_day_yn"]) == ("Y", "N", "N")


def test_news_is_filtered_by_stock_words_time_and_serial() -> None:
    client = at("1200")
    where = ("/quotations/news-title", "FHKST01011800")
    headers, body = client.call(*where, NEWS)
    every = rows(body, "output")
    assert len(every) == 40
    assert headers["tr_cont"] == "F"
    stamps = [row["data_dt"] + row["data_tm"] for row in every]
    assert stamps == sorted(stamps, reverse=True)
    assert stamps[0] <= "20261120120000"
    following = rows(client.call(*where, NEWS | {"FID_INPUT_SRNO": every[-1]["cntt_usiq_srno"]})[1], "output")
    assert following[0]["cntt_usiq_srno"] < every[-1]["cntt_usiq_srno"]
    early = NEWS | {"FID_INPUT_DATE_1": "0020261120", "FID_INPUT_HOUR_1": "0000090000"}
    assert all(row["data_tm"] <= "090000" for row in rows(client.call(*where, early)[1], "output"))
    code = every[0]["iscd1"]
    assert {row["iscd1"] for row in rows(client.call(*where, NEWS | {"FID_INPUT_ISCD": code})[1], "output")} == {code}
    word = every[3]["hts_pbnt_titl_cntt"].split()[0]
    assert all(
        word in row["hts_pbnt_titl_cntt"]
        for row in rows(client.call(*where, NEWS | {"FID_TITL_CNTT": word})[1], "output")
    )
    assert rows(client.call(*where, NEWS | {"FID_INPUT_DATE_1": "20261119"})[1], "output") == []


def test_a_title_of_many_stocks_names_five() -> None:
    class Busy(FakeMarket):
        def news(self, second: int, code: str | None = None) -> list[NewsTitle]:
            names = tuple(f"00001{n}" for n in range(7))
            return [NewsTitle("2026011508000001", self.day, dt.time(8), "업종 강세", names, "연합")]

    row = rows(Client(Busy([stock("000010")])).call("/quotations/news-title", "FHKST01011800", NEWS)[1], "output")[0]
    assert [row[f"iscd{n}"] for n in range(1, 6)] == [f"00001{n}" for n in range(5)]


# -- master files -------------------------------------------------------------------------------------------


def lines(which: MasterName) -> list[bytes]:
    archive = zipfile.ZipFile(io.BytesIO(master_zip(market(), which)))
    text = archive.read(f"{which.lower()}_code.mst")
    assert not text or text.endswith(b"\n")
    return text.splitlines()


def cells(row: bytes, which: MasterName) -> dict[str, str]:
    """Cut a row from its end, as the document says a reader must."""
    tail = row[-TAILS[which] :]
    found, place = {}, 0
    for name, width in LAYOUTS[which]:
        found[name] = tail[place : place + width].decode("ascii")
        place += width
    return found


@pytest.mark.parametrize(("which", "fields"), [("KOSPI", 70), ("KOSDAQ", 64), ("KONEX", 38)])
def test_layouts_have_the_documented_fields_and_widths(which: MasterName, fields: int) -> None:
    assert len(LAYOUTS[which]) == fields
    assert sum(width for _, width in LAYOUTS[which]) == TAILS[which]


@pytest.mark.parametrize(
    ("field", "kospi", "kosdaq"),
    [
        ("security group", 0, 0), ("size", 2, 2), ("large", 3, 3), ("low liquidity", 16, 16), ("ETP", 22, 18),
        ("SPAC", 29, 24), ("overheated", 32, 27), ("base", 41, 36), ("lot", 50, 45), ("after-hours lot", 55, 50),
        ("halted", 60, 55), ("liquidation", 61, 56), ("administrative", 62, 57), ("warning", 63, 58),
        ("warning notice", 65, 60), ("unfaithful disclosure", 66, 61), ("ex-rights", 68, 63), ("face change", 70, 65),
        ("capital increase", 72, 67), ("margin", 74, 69), ("credit", 77, 72), ("previous volume", 81, 76),
        ("face", 93, 88), ("listed on", 105, 100), ("listed thousands", 113, 108), ("capital", 128, 123),
        ("fiscal month", 149, 144), ("preferred", 158, 153), ("short-sale overheated", 159, 154), ("KRX300", 161, 156),
        ("sales", 163, 157), ("operating", 172, 166), ("ordinary", 181, 175), ("net", 190, 184), ("ROE", 195, 189),
        ("reference month", 204, 198), ("market cap", 212, 206), ("group code", 221, 215),
    ],
)  # fmt: skip
def test_a_fields_offset_is_the_documents(field: str, kospi: int, kosdaq: int) -> None:
    for which, offset in (("KOSPI", kospi), ("KOSDAQ", kosdaq)):
        layout = LAYOUTS["KOSPI" if which == "KOSPI" else "KOSDAQ"]
        place = [name for name, _ in layout].index(field)
        assert sum(width for _, width in layout[:place]) == offset


@pytest.mark.parametrize("which", ["KOSPI", "KOSDAQ"])
def test_a_master_row_says_what_the_market_day_says(which: MasterName) -> None:
    listed = [one for one in market().stocks if one.market == which]
    for one, row in zip(listed, lines(which), strict=True):
        cell = cells(row, which)
        assert len(row) == 61 + TAILS[which]
        assert (row[:9].decode().strip(), row[21:61].decode("cp949").strip()) == (one.code, one.name)
        assert int(cell["base"]) == one.base
        assert (cell["halted"], cell["administrative"]) == (
            "Y" if one.halted else "N",
            "Y" if one.administrative else "N",
        )
        assert int(cell["previous volume"]) == one.prev_volume
        assert int(cell["listed thousands"]) == one.listed_shares // 1_000
        assert int(cell["warning"]) == one.warning


@pytest.mark.parametrize("which", ["KOSPI", "KOSDAQ"])
def test_every_cell_has_a_shape_that_real_files_have(which: MasterName) -> None:
    if not REAL[which].exists():
        pytest.skip(f"no real master file {REAL[which]}")

    def shape(text: str) -> str:
        return re.sub(r"\d", "9", text)

    shapes: dict[str, set[str]] = {}
    for row in gzip.decompress(REAL[which].read_bytes()).splitlines():
        for name, text in cells(row, which).items():
            shapes.setdefault(name, set()).add(shape(text) if len(text) > 1 or text.isdigit() else text)
    for row in lines(which):
        for name, text in cells(row, which).items():
            if name == "security group":
                assert text in {"ST", "RT", "EF", "EN"}  # generated days list REITs on KOSDAQ too
                continue
            mine = shape(text) if len(text) > 1 or text.isdigit() else text
            flags = shapes[name] | ({"Y", "N"} if shapes[name] & {"Y", "N"} else set())
            assert mine in flags, (name, text, shapes[name])


def test_the_konex_file_is_there_and_empty_and_its_rows_would_be_184_bytes() -> None:
    assert lines("KONEX") == []
    one = market().stocks[0]
    row = row_of(one, "KONEX", FigureBook(Source(market(), lambda: -1)).of(one), None)
    assert len(row) == 61 + 184
    assert int(cells(row, "KONEX")["base"]) == one.base
