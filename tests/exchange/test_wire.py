from kquant.exchange.core.wire import (
    FIELDS,
    book_record,
    data_frame,
    encrypt,
    fold_print,
    notice_record,
    program_record,
    trade_record,
)
from kquant.exchange.market.model import Book, Level, Print, Program, Quote
from tests.exchange.fake_market import EMPTY, stock

KEY, IV = "abcdefghijklmnopqrstuvwxyz012345", "0123456789abcdef"


def test_every_table_has_the_documented_width_and_no_name_twice() -> None:
    assert {tr_id: len(names) for tr_id, names in FIELDS.items()} == {
        "H0STCNT0": 47,
        "H0STASP0": 62,
        "H0STPGM0": 11,
        "H0STCNI0": 26,
    }
    assert all(len(set(names)) == len(names) for names in FIELDS.values())


def test_a_trade_record_is_the_golden_text() -> None:
    stats = fold_print(fold_print(EMPTY, Print(32_411, 10_000, 5, 3)), Print(32_500, 10_050, 10, 1))
    record = trade_record(
        stock("005930"), Print(32_500, 10_050, 10, 1), stats, Quote(10_040, 10_050, 7, 9), (90, 70), "20260115"
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
    record = trade_record(stock("005930"), Print(1, 1, 1, 5), stats, Quote(0, 0, 0, 0), (0, 0), "20260914")
    assert record.split("^")[18] == "81.34"  # the live frame of 2026-09-14


def test_a_price_at_the_upper_limit_has_sign_1_and_at_the_lower_limit_4() -> None:
    for price, sign in ((13_000, "1"), (12_990, "2"), (10_000, "3"), (7_010, "5"), (7_000, "4")):
        trade = Print(32_500, price, 1, 1)
        record = trade_record(stock("1"), trade, fold_print(EMPTY, trade), Quote(0, 0, 0, 0), (0, 0), "20260115")
        assert record.split("^")[3] == sign


def test_a_book_record_places_levels_sizes_totals_and_their_changes() -> None:
    asks = tuple(Level(101 + n, n + 1) for n in range(10))
    bids = tuple(Level(100 - n, n + 2) for n in range(10))
    before = Book(asks, bids, 50, 70)
    record = book_record(stock("000660", base=100), 50_413, Book(asks, bids, 55, 65), before, 999, (0, 0), "0")
    cells = record.split("^")
    named = dict(zip(FIELDS["H0STASP0"], cells, strict=True))
    assert (named["ASKP1"], named["ASKP10"], named["BIDP1"], named["BIDP10"]) == ("101", "110", "100", "91")
    assert (named["ASKP_RSQN10"], named["BIDP_RSQN1"]) == ("10", "2")
    assert (named["TOTAL_ASKP_RSQN"], named["TOTAL_ASKP_RSQN_ICDC"], named["TOTAL_BIDP_RSQN_ICDC"]) == ("55", "5", "-5")
    assert (named["ANTC_CNTG_VRSS"], named["ANTC_CNTG_VRSS_SIGN"], named["ANTC_CNTG_PRDY_CTRT"]) == (
        "-100",
        "5",
        "-100.00",
    )


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
