import pytest

from kquant.exchange.core.layouts import LAYOUTS
from kquant.exchange.core.wire import (
    FIELDS,
    Moment,
    book_record,
    data_frame,
    encrypt,
    fold_print,
    notice_record,
    program_record,
    status_record,
    trade_record,
    unified_book_record,
)
from kquant.exchange.market.model import Book, Level, Midpoint, Print, Program, Quote, Segment, Status
from tests.exchange.fake_market import EMPTY, stock

KEY, IV = "abcdefghijklmnopqrstuvwxyz012345", "0123456789abcdef"


REGULAR = Segment("regular", "2", "20")
TRADING = Status("continuous", "", 10_000)
NOW = Moment("20260115", TRADING, REGULAR, "0", 0)

WIDTHS = {
    # tr_id: at 2025, 2025-wide, 2026-09, 2026-09-wide (kis-protocol 0, 3.1-3.7, 7.6)
    "H0STCNT0": (46, 46, 47, 47),
    "H0UNCNT0": (46, 46, 47, 47),
    "H0NXCNT0": (46, 46, 47, 47),
    "H0STASP0": (59, 59, 62, 63),
    "H0UNASP0": (65, 65, 66, 66),
    "H0NXASP0": (62, 62, 62, 62),
    "H0STPGM0": (11, 11, 11, 11),
    "H0UNPGM0": (11, 11, 11, 11),
    "H0NXPGM0": (11, 11, 11, 11),
    "H0STMKO0": (10, 10, 11, 11),
    "H0UNMKO0": (10, 10, 11, 11),
    "H0NXMKO0": (10, 10, 11, 11),
    "H0STANC0": (45, 45, 45, 45),
    "H0UNANC0": (46, 46, 46, 46),
    "H0NXANC0": (46, 46, 46, 46),
    "H0STCNI0": (23, 26, 26, 26),
    "H0STCNI9": (23, 26, 26, 26),
}


def test_every_table_has_the_width_of_its_date_and_no_name_twice() -> None:
    assert WIDTHS.keys() == FIELDS.keys()
    for tr_id, widths in WIDTHS.items():
        for name, width in zip(LAYOUTS, widths, strict=True):
            fields = LAYOUTS[name].fields(tr_id)
            assert (tr_id, name, len(fields)) == (tr_id, name, width)
            assert len(set(fields)) == width


@pytest.mark.parametrize("tr_id", sorted(WIDTHS))
@pytest.mark.parametrize("name", list(LAYOUTS))
def test_a_layout_keeps_each_field_where_its_table_says(tr_id: str, name: str) -> None:
    layout = LAYOUTS[name]
    widest = FIELDS[tr_id]
    fitted = layout.fit(tr_id, "^".join(widest)).split("^")
    expected = ["CNTG_ISNM40" if field == "CNTG_ISNM" else field for field in layout.fields(tr_id)]
    assert fitted == expected


def test_the_old_notice_is_the_portals_sample() -> None:
    """kis-protocol 3.4, the fill of the 23-field layout."""
    record = _notice(
        account="1234567801", order_no=2_891, code="136480", qty=1, price=3_190, second=35_381, is_fill=True,
        accepted="2", order_qty=1, holder="김한투", name="하림", order_price=0, hts_id="ID",
    )  # fmt: skip
    assert LAYOUTS["2025"].fit("H0STCNI0", record) == (
        "ID^1234567801^0000002891^^02^0^00^0^136480^0000000001^000003190^094941^0^2^2^06010^000000001^김한투^하림^10^^하림"
        "^000000000"
    )


def test_a_trade_record_is_the_golden_text() -> None:
    stats = fold_print(fold_print(EMPTY, Print(32_411, 10_000, 5, 3)), Print(32_500, 10_050, 10, 1))
    record = trade_record(
        stock("005930"), Print(32_500, 10_050, 10, 1), stats, Quote(10_040, 10_050, 7, 9), (90, 70), NOW
    )
    assert record == (
        "005930^090140^10050^2^50^0.50^10033.33^10000^10050^10000^10050^10040^10^15^150500^0^1^1^0.00^0^10^1^1.00"
        "^0.00^090011^2^50^090140^3^0^090011^2^50^20260115^20^N^9^7^90^70^0.00^0^0.00^0^^10000^2"
    )
    assert record.count("^") == 46


def test_the_trade_strength_is_buy_over_sell_volume_in_percent() -> None:
    stats = EMPTY._replace(
        volume=14_871_538, value=1, buy_volume=6_435_830, sell_volume=7_912_656, high=1, low=1, open=1
    )
    record = trade_record(stock("005930"), Print(1, 1, 1, 5), stats, Quote(0, 0, 0, 0), (0, 0), NOW)
    assert record.split("^")[18] == "81.34"  # the live frame of 2026-09-14


def test_a_price_at_the_upper_limit_has_sign_1_and_at_the_lower_limit_4() -> None:
    for price, sign in ((13_000, "1"), (12_990, "2"), (10_000, "3"), (7_010, "5"), (7_000, "4")):
        trade = Print(32_500, price, 1, 1)
        record = trade_record(stock("1"), trade, fold_print(EMPTY, trade), Quote(0, 0, 0, 0), (0, 0), NOW)
        assert record.split("^")[3] == sign


def test_a_book_record_places_levels_sizes_totals_and_their_changes() -> None:
    asks = tuple(Level(101 + n, n + 1) for n in range(10))
    bids = tuple(Level(100 - n, n + 2) for n in range(10))
    before = Book(asks, bids, 50, 70)
    record = book_record(
        stock("000660", base=100),
        50_413,
        Book(asks, bids, 55, 65),
        before,
        999,
        (0, 0),
        "0",
        Midpoint(100, 7, 2),
        REGULAR,
    )
    cells = record.split("^")
    named = dict(zip(FIELDS["H0STASP0"], cells, strict=True))
    assert (named["ASKP1"], named["ASKP10"], named["BIDP1"], named["BIDP10"]) == ("101", "110", "100", "91")
    assert [named[name] for name in FIELDS["H0STASP0"][-4:]] == ["100", "7", "2", "2"]
    unified = dict(zip(FIELDS["H0UNASP0"], unified_book_record(record).split("^"), strict=True))
    assert (unified["KMID_TOTAL_RSQN"], unified["NMID_TOTAL_RSQN"], unified["ANTC_EXCH_CLS_CODE"]) == ("7", "0", "1")
    assert (named["ASKP_RSQN10"], named["BIDP_RSQN1"]) == ("10", "2")
    assert (named["TOTAL_ASKP_RSQN"], named["TOTAL_ASKP_RSQN_ICDC"], named["TOTAL_BIDP_RSQN_ICDC"]) == ("55", "5", "-5")
    assert (named["ANTC_CNTG_VRSS"], named["ANTC_CNTG_VRSS_SIGN"], named["ANTC_CNTG_PRDY_CTRT"]) == (
        "-100",
        "5",
        "-100.00",
    )


def test_a_trade_says_its_segment_its_status_and_yesterdays_volume_by_now() -> None:
    """kis-protocol 3.1 [34], [35], [41]-[46]."""
    trade = Print(57_700, 10_000, 10, 1)
    after = Moment("20260115", Status("after", "", 9_900), Segment("after", "3", "30"), "0", 40)
    record = trade_record(stock("1"), trade, fold_print(EMPTY, trade), Quote(0, 0, 0, 0), (0, 0), after)
    named = dict(zip(FIELDS["H0STCNT0"], record.split("^"), strict=True))
    names = ("NEW_MKOP_CLS_CODE", "TRHT_YN", "PRDY_SMNS_HOUR_ACML_VOL", "PRDY_SMNS_HOUR_ACML_VOL_RATE", "VI_STND_PRC")
    assert [named[name] for name in names] == ["30", "N", "40", "25.00", "9900"]
    assert (named["MARKET_CLS_CODE"], named["HOUR_CLS_CODE"]) == ("3", "0")
    doomed = trade_record(stock("1", liquidation=True), trade, fold_print(EMPTY, trade), Quote(0, 0, 0, 0), (0, 0), NOW)
    assert doomed.split("^")[34] == "27"


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (("closed", ""), ("opening", ""), "1^N^(null)^110^112^^^55^N^N^1"),
        (("opening", ""), ("continuous", ""), "1^N^(null)^112^^^^55^N^N^1"),
        (("continuous", ""), ("vi", "static"), "1^N^(null)^^311^^^55^Y^N^1"),
        (("vi", "static"), ("continuous", ""), "1^N^(null)^^^^^55^N^N^1"),
        (("continuous", ""), ("halted", ""), "1^Y^공시^^^^^58^N^N^1"),
        (("continuous", ""), ("closing", ""), "1^N^(null)^121^121^^^55^N^N^1"),
        (("closing", ""), ("closed", ""), "1^N^(null)^129^^^^55^N^N^1"),
        (("closed", ""), ("post_close", ""), "1^N^(null)^140^^^^55^N^N^1"),
    ],
)
def test_a_change_of_status_is_told_in_the_portals_codes(
    before: tuple[str, str], now: tuple[str, str], expected: str
) -> None:
    """kis-protocol 3.5; the portal's sample 396300 has 311 and no interruption of trading by VI in its tenth field."""
    reason = "공시" if now[0] == "halted" else ""
    record = status_record(stock("1"), Status(*before, 1), Status(*now, 1), reason)  # type: ignore[arg-type]
    assert record == expected


def test_a_program_record_equals_the_portal_sample() -> None:
    program = Program(1_413_444, 109_159_646_900, 1_189_408, 91_931_710_200, 65_033, 15_475)
    assert data_frame("H0STPGM0", (program_record("005930", 33_757, program),)) == (
        "0|H0STPGM0|001|005930^092237^1413444^109159646900^1189408^91931710200^-224036^-17227936700^65033^15475^-49558"
    )


def _notice(**changes: object) -> str:
    values: dict[str, object] = {
        "hts_id": "TESTID01",
        "account": "1234567801",
        "order_no": 117_057,
        "origin": 0,
        "is_sell": False,
        "request": "0",
        "division": "00",
        "code": "005930",
        "qty": 10,
        "price": 71_000,
        "second": 36_312,
        "rejected": False,
        "is_fill": False,
        "accepted": "1",
        "branch": "06010",
        "order_qty": 10,
        "holder": "홍길동",
        "name": "삼성전자",
        "order_price": 71_000,
    }
    return notice_record(**(values | changes))  # type: ignore[arg-type]


def test_the_documented_notices_encrypt_to_the_documented_wire_text() -> None:
    acknowledged = encrypt(_notice(), KEY, IV)
    assert acknowledged == (
        "SosbluvohYytGff1T28BYpLlfy666MDCv69cPjirmNbFCk1Sg68nVjq5wLaAXqkdf3aqy9xQwXItXe/NX/U/E7t7FEfFXZ4fOmzIFo9Cyb"
        "h9PwTc9MJ9M6xGgUWn6abpN/bWRdBjkxdLNBnFJbYGKm+Fz9AXb/l80pygUFrUVVgC/rGZDfIhab/9CQFj4+dgpTuZhYHpHbyzcCZvpYtr"
        "AA=="
    )
    filled = _notice(qty=3, price=70_900, second=36_313, is_fill=True, accepted="2")
    assert encrypt(filled, KEY, IV) == (
        "SosbluvohYytGff1T28BYpLlfy666MDCv69cPjirmNbFCk1Sg68nVjq5wLaAXqkdsY0C5OqNoNdyHqLoLROeDacLlRpZKGzKe/jNoHSIzgI"
        "1UzYfvkIS4nAbS8I7/TN2SuIlf+woZn7M2YONfv4cjzNT0p7hS7/EtlLa7M4m2HhhR5cc3FPNLTq9yCYX5oPhAqTFMqY1miVKCmAgSRoXeg=="
    )
