"""Every refusal of an order, in real and in paper words. Codes are those of kis-protocol 1.9 and 4.10."""

import pytest

from kquant.exchange.core.books import Environment, Refusal
from kquant.exchange.core.refusals import sent_as
from kquant.exchange.market.model import Interruption
from tests.exchange.desk_room import CODE, Room
from tests.exchange.fake_market import CLOSE, OPEN, stock


def refused(room: Room, *order: object, **more: object) -> tuple[str, str, str]:
    """Return rt_cd, msg_cd and msg1; nothing may be left of a refused order."""
    before = (dict(room.ledger.orders), room.ledger.available_cash(), room.ledger.sellable(CODE))
    answer = room.desk.place(*order, room.second, **more)  # type: ignore[arg-type]
    assert isinstance(answer, Refusal), answer
    assert before == (dict(room.ledger.orders), room.ledger.available_cash(), room.ledger.sellable(CODE))
    assert room.notices == []
    return answer.rt_cd, answer.msg_cd, answer.msg1


CASES = [
    ("unknown code", ("buy", "999999", 1, 10_000, "00"), "APBK0656", "종목정보", "40070000", "매매불가"),
    ("off the tick", ("buy", CODE, 1, 10_005, "00"), "APBK0506", "호가단위", "40030000", "호가단위"),
    ("above the band", ("buy", CODE, 1, 13_010, "00"), "APBK0507", "상하한가", "40030000", "상하한가"),
    ("below the band", ("sell", CODE, 1, 6_990, "00"), "APBK0507", "상하한가", "40030000", "상하한가"),
    ("no price", ("buy", CODE, 1, 0, "00"), "APBK0506", "호가단위", "40030000", "호가단위"),
    ("no quantity", ("buy", CODE, 0, 10_000, "00"), "APBK0400", "주문수량", "40030000", "주문수량"),
    ("too large a quantity", ("buy", CODE, 10**9, 10_000, "00"), "APBK0400", "주문수량", "40030000", "주문수량"),
    ("no cash", ("buy", CODE, 10_000, 10_000, "00"), "APBK0919", "주문가능금액", "40250000", "주문가능금액"),
    ("no cash at the upper limit", ("buy", CODE, 7_700, 0, "01"), "APBK0919", "주문가능금액", "40250000", "부족"),
    ("no shares", ("sell", CODE, 1_001, 10_000, "00"), "APBK0400", "가능수량 1000", "40240000", "잔고내역"),
]


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
@pytest.mark.parametrize("environment", ["real", "paper"])
def test_a_bad_order_is_refused_in_the_environments_words(
    case: tuple[str, tuple[object, ...], str, str, str, str], environment: Environment
) -> None:
    """kis-protocol 1.9."""
    _, order, real_code, real_text, paper_code, paper_text = case
    rt_cd, msg_cd, msg1 = refused(Room(environment=environment), *order)
    if environment == "real":
        assert (rt_cd, msg_cd) == ("7", real_code)
        assert real_text in msg1
    else:
        assert (rt_cd, msg_cd) == ("1", paper_code)
        assert msg1.startswith("모의투자")
        assert paper_text in msg1


@pytest.mark.parametrize(
    ("environment", "second", "code", "text"),
    [
        ("real", OPEN - 1_801, "APBK0918", "장운영시간이 아닙니다."),
        ("real", CLOSE, "APBK0918", "장운영시간이 아닙니다."),
        ("paper", OPEN - 60, "40570000", "모의투자 장시작전 입니다."),
        ("paper", CLOSE, "40580000", "모의투자 장종료 입니다."),
    ],
)
def test_an_order_out_of_hours_is_refused(environment: Environment, second: int, code: str, text: str) -> None:
    """kis-protocol 1.9, 4.10, 5.6: paper took an order in the closing auction and refused one at 15:32."""
    room = Room(environment=environment)
    room.second = second
    assert refused(room, "buy", CODE, 1, 10_000, "00")[1:] == (code, text)
    room.second = CLOSE - 240
    room.placed("00", 10_000)


@pytest.mark.parametrize("environment", ["real", "paper"])
def test_a_halted_stock_is_refused_in_words_of_its_own(environment: Environment) -> None:
    listed = Room(environment=environment, stocks=(stock(CODE, halted=True),))
    assert "거래정지" in refused(listed, "buy", CODE, 1, 10_000, "00")[2]
    halt = Interruption("halt", OPEN + 50, OPEN + 100, 0, 0, 0, 0, "공시")
    stopped = Room(environment=environment, paused=(halt,))
    assert "거래정지" in refused(stopped, "buy", CODE, 1, 10_000, "00")[2]
    stopped.play(OPEN + 100)
    stopped.placed("00", 10_000)


def test_a_stock_without_limits_takes_no_order_without_a_price() -> None:
    """kis-protocol 1.9: 시장가매매불가; 5.3: liquidation trading has no limit."""
    room = Room(stocks=(stock(CODE, upper=2**31, lower=0),))
    assert "시장가매매불가" in refused(room, "buy", CODE, 1, 0, "01")[2]
    room.placed("00", 99_900)


@pytest.mark.parametrize("division", ["05", "06", "11", "12", "13", "14", "15", "16", "21", "22", "23", "24", "41"])
def test_paper_takes_no_more_than_five_order_types(division: str) -> None:
    """kis-protocol 4.9: paper takes 00-04."""
    rt_cd, msg_cd, _ = refused(Room(environment="paper"), "buy", CODE, 1, 10_000, division)
    assert (rt_cd, msg_cd) == ("1", "90000000")


@pytest.mark.parametrize("division", ["00", "01", "02", "03", "04"])
def test_paper_takes_the_five_order_types_it_knows(division: str) -> None:
    Room(environment="paper").placed(division, 10_000 if division in ("00", "02") else 0)


@pytest.mark.parametrize("venue", ["NXT", "SOR"])
def test_paper_knows_krx_alone(venue: str) -> None:
    """kis-protocol 4.6."""
    assert refused(Room(environment="paper"), "buy", CODE, 1, 10_000, "00", venue=venue)[1] == "90000000"


@pytest.mark.parametrize(
    ("price", "kind", "taken"), [(10_005, "etf", True), (10_005, "common", False), (10_003, "etf", False)]
)
def test_etfs_have_a_price_grid_of_their_own(price: int, kind: str, taken: bool) -> None:
    """kis-protocol 5.2."""
    room = Room(stocks=(stock(CODE, kind=kind),))
    assert isinstance(room.place("00", price), Refusal) is not taken


@pytest.mark.parametrize("stop", [0, 10_005])
def test_a_stop_order_needs_a_stop_price_on_the_grid(stop: int) -> None:
    assert "스톱가격" in refused(Room(), "buy", CODE, 1, 10_000, "22", stop_price=stop)[2]


def test_the_exchange_may_reject_by_notice_what_the_broker_took() -> None:
    """kis-protocol 3.4, 4.6: rt_cd 0 means sent, not accepted."""
    room = Room()
    room.desk.reject_next = True
    order = room.placed("00", 10_010)
    assert (room.said(), order.rejected, room.fills()) == ([("0", "1", "1", "1")], 10, [])
    assert room.placed("00", 10_010).filled == 10


def test_success_has_a_code_for_each_request_on_paper_and_one_on_the_real_service() -> None:
    """kis-protocol 1.9, 4.10."""
    assert {sent_as("real", what)[0] for what in ("buy", "sell", "revise", "cancel")} == {"APBK0013"}
    assert sent_as("paper", "buy") == ("40600000", "모의투자 매수주문이 완료 되었습니다.")
    assert sent_as("paper", "sell") == ("40590000", "모의투자 매도주문이 완료 되었습니다.")
