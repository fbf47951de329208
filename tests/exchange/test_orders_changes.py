"""Cancel and revise, and their races with fills. Expectations are those of kis-protocol 3.4 and 4.6."""

import msgspec
import pytest

from kquant.exchange.core.books import Environment, LedgerState, Order, Refusal
from kquant.exchange.market.model import Interruption, Print
from tests.exchange.desk_room import Room
from tests.exchange.fake_market import CLOSE, OPEN

RECEIVED, CONFIRMED, REFUSED = ("2", "1", "0", "1"), ("2", "1", "0", "2"), ("2", "1", "1", "1")
REVISE_RECEIVED, REVISE_CONFIRMED, REVISE_REFUSED = ("1", "1", "0", "1"), ("1", "1", "0", "2"), ("1", "1", "1", "1")
FILLED = ("0", "2", "0", "2")
HIT = Print(OPEN + 65, 9_000, 1_000, 5)
"""A print that gives up to 100 shares to a buy at 9,000."""


def done(answer: Order | Refusal) -> Order:
    assert isinstance(answer, Order), answer
    return answer


def test_a_cancel_is_received_then_confirmed_and_frees_what_was_held() -> None:
    room = Room()
    order = room.placed("00", 9_000, 10)
    room.notices.clear()
    request = done(room.desk.cancel(order.no, None, room.second))
    assert [row["OODER_NO"] for row in room.notices] == [f"{order.no:010d}"] * 2
    assert room.said() == [RECEIVED, CONFIRMED]
    assert (request.no != order.no, request.cancelled, order.cancelled, room.ledger.reserved()) == (True, 10, 10, 0)


def test_a_part_may_be_cancelled_and_the_rest_lives_on() -> None:
    room = Room(HIT)
    order = room.placed("00", 9_000, 10)
    done(room.desk.cancel(order.no, 4, room.second))
    assert (order.leaves, order.cancelled) == (6, 4)
    room.play(OPEN + 70)
    assert (order.filled, order.leaves) == (6, 0)


@pytest.mark.parametrize(("environment", "code"), [("real", "APBK0400"), ("paper", "40330000")])
def test_what_is_not_open_cannot_be_changed(environment: Environment, code: str) -> None:
    """kis-protocol 4.6: filled orders cannot be touched, no more than the remainder may be."""
    room = Room(environment=environment)
    open_order, filled = room.placed("00", 9_000, 10), room.placed("00", 10_010, 10)
    gone = room.placed("00", 9_000, 10)
    cancel = done(room.desk.cancel(gone.no, None, room.second))
    for answer in (
        room.desk.cancel(open_order.no, 11, room.second),
        room.desk.cancel(filled.no, None, room.second),
        room.desk.revise(filled.no, None, 9_010, "00", room.second),
        room.desk.cancel(gone.no, None, room.second),
        room.desk.cancel(cancel.no, None, room.second),
    ):
        assert isinstance(answer, Refusal)
        assert answer.msg_cd == code
    assert open_order.leaves == 10


def test_a_fill_a_cancellation_and_a_rest_too_small_are_told_apart() -> None:
    room = Room()
    small, filled, gone = room.placed("00", 9_000, 10), room.placed("00", 10_010, 10), room.placed("00", 9_000, 10)
    room.desk.cancel(gone.no, None, room.second)
    texts = [room.desk.cancel(one.no, 11, room.second) for one in (small, filled, gone)]
    assert [text.msg1 for text in texts if isinstance(text, Refusal)] == [
        "정정/취소 가능수량을 초과했습니다. (가능수량 10)",
        "이미 체결되어 정정/취소 가능한 수량이 없습니다.",
        "이미 취소되어 정정/취소 가능한 수량이 없습니다.",
    ]


@pytest.mark.parametrize(("environment", "code"), [("real", "APBK0344"), ("paper", "40320000")])
def test_an_unknown_order_or_one_of_another_venue_is_refused(environment: Environment, code: str) -> None:
    room = Room(environment=environment)
    order = room.placed("00", 9_000)
    unknown = room.desk.cancel(order.no + 77, None, room.second)
    elsewhere = room.desk.cancel(order.no, None, room.second, venue="SOR")
    assert isinstance(unknown, Refusal)
    assert isinstance(elsewhere, Refusal)
    assert (unknown.msg_cd, elsewhere.msg_cd) == (code, code)


def test_a_change_out_of_hours_is_refused() -> None:
    room = Room(environment="paper")
    order = room.placed("00", 9_000)
    answer = room.desk.cancel(order.no, None, CLOSE)
    assert isinstance(answer, Refusal)
    assert answer.msg_cd == "40580000"


def test_revising_keeps_the_chain_by_original_numbers() -> None:
    """kis-protocol 4.6: the remaining life is under the new number."""
    room = Room()
    first = room.placed("00", 9_000, 10)
    second = done(room.desk.revise(first.no, None, 9_010, "00", room.second))
    third = done(room.desk.revise(second.no, 4, 9_020, "00", room.second))
    assert [(one.origin, one.qty, one.leaves, one.price) for one in (first, second, third)] == [
        (0, 10, 0, 9_000),
        (first.no, 10, 6, 9_010),
        (second.no, 4, 4, 9_020),
    ]
    refusal = room.desk.cancel(first.no, None, room.second)
    assert isinstance(refusal, Refusal)
    assert room.ledger.reserved() == 6 * 9_010 + 4 * 9_020 + 7 + 5  # 0.014 % each, floored


def test_a_revision_to_a_marketable_price_is_confirmed_before_it_fills() -> None:
    room = Room()
    order = room.placed("00", 9_000, 10)
    room.notices.clear()
    moved = done(room.desk.revise(order.no, None, 10_010, "00", room.second))
    assert room.said() == [REVISE_RECEIVED, REVISE_CONFIRMED, ("1", "2", "0", "2")]
    assert moved.filled == 10


@pytest.mark.parametrize(
    ("price", "division", "text"),
    [
        (9_005, "00", "호가단위"),
        (13_010, "00", "상하한가"),
        (0, "41", "주문할 수 없는"),
        (0, "99", "주문구분"),
        (12_000, "00", "주문가능금액"),
    ],
)
def test_a_bad_revision_is_refused_and_the_order_lives_on(price: int, division: str, text: str) -> None:
    room = Room(cash=9_100 * 100)
    order = room.placed("00", 9_000, 100)
    answer = room.desk.revise(order.no, None, price, division, room.second)
    assert isinstance(answer, Refusal)
    assert text in answer.msg1
    assert (order.leaves, len(room.ledger.orders)) == (100, 1)


def test_a_fill_may_come_between_a_cancels_receipt_and_its_effect() -> None:
    """kis-protocol 3.4: received, then confirmed; what was filled meanwhile stays filled."""
    room = Room(HIT, latency_s=3)
    order = room.placed("00", 9_000, 150)
    assert room.said() == []  # on its way: the answer came, the exchange has not spoken
    room.play(OPEN + 64)
    assert room.said() == [("0", "1", "0", "1")]
    request = done(room.desk.cancel(order.no, None, room.second))
    room.play(OPEN + 66)
    assert room.said() == [RECEIVED, FILLED]
    room.play(OPEN + 68)
    assert room.said() == [CONFIRMED]
    assert (order.filled, order.cancelled, request.qty, request.cancelled) == (100, 50, 50, 50)


@pytest.mark.parametrize("kind", ["cancel", "revise"])
def test_a_change_that_comes_after_the_whole_fill_is_refused_by_notice(kind: str) -> None:
    """kis-protocol 3.4: RFUS_YN 1, the original order lives on (here: has been filled)."""
    room = Room(HIT, latency_s=2)
    order = room.placed("00", 9_000, 50)
    room.play(OPEN + 64)
    if kind == "cancel":
        request = done(room.desk.cancel(order.no, None, room.second))
    else:
        request = done(room.desk.revise(order.no, None, 9_010, "00", room.second))
    room.notices.clear()
    room.play(OPEN + 70)
    assert room.said() == [FILLED, REFUSED if kind == "cancel" else REVISE_REFUSED]
    assert (order.filled, request.rejected, request.leaves) == (50, 50, 0)


def test_a_partial_cancel_takes_no_more_than_the_fill_left() -> None:
    room = Room(HIT, latency_s=2)
    order = room.placed("00", 9_000, 120)
    room.play(OPEN + 64)
    request = done(room.desk.cancel(order.no, 50, room.second))
    room.play(OPEN + 70)
    assert (order.filled, order.cancelled, order.leaves, request.qty) == (100, 20, 0, 20)


def test_shares_asked_for_by_one_request_are_not_there_for_the_next() -> None:
    room = Room(latency_s=5)
    order = room.placed("00", 9_000, 10)
    room.play(OPEN + 70)
    done(room.desk.cancel(order.no, 6, room.second))
    answer = room.desk.cancel(order.no, 5, room.second)
    assert isinstance(answer, Refusal)
    assert "가능수량 4" in answer.msg1
    done(room.desk.cancel(order.no, 4, room.second))
    room.play(OPEN + 80)
    assert (order.cancelled, order.leaves) == (10, 0)


def test_cash_spent_between_a_revisions_receipt_and_its_effect_refuses_it() -> None:
    room = Room(cash=1_000_000, latency_s=2)
    order = room.placed("00", 9_000, 100)
    room.play(OPEN + 64)
    request = done(room.desk.revise(order.no, None, 9_900, "00", room.second))
    room.placed("00", 9_000, 10)
    room.play(OPEN + 70)
    assert (request.rejected, order.leaves) == (100, 100)
    assert room.ledger.available_cash() >= 0


def test_a_halt_lets_orders_be_cancelled_but_not_revised() -> None:
    halt = Interruption("halt", OPEN + 80, OPEN + 200, 0, 0, 0, 0, "공시")
    room = Room(paused=(halt,))
    order = room.placed("00", 9_000, 10)
    room.play(OPEN + 90)
    answer = room.desk.revise(order.no, None, 9_010, "00", room.second)
    assert isinstance(answer, Refusal)
    assert "거래정지" in answer.msg1
    assert done(room.desk.cancel(order.no, None, room.second)).cancelled == 10


def test_an_order_by_hand_is_told_like_any_other() -> None:
    """kis-protocol 3.4: the push covers all channels of the HTS id."""
    room = Room()
    order = room.placed("00", 10_010, channel="hand")
    assert (order.channel, room.said()) == ("hand", [("0", "1", "0", "1"), FILLED])


def test_requests_on_their_way_survive_a_restart() -> None:
    room = Room(latency_s=5)
    order = room.placed("00", 9_000, 10)
    room.play(OPEN + 70)
    request = done(room.desk.cancel(order.no, None, room.second))
    new = room.placed("00", 9_000, 10)
    stored = msgspec.json.encode(room.ledger.state)
    again = Room(latency_s=5)
    again.ledger.__init__(msgspec.json.decode(stored, type=LedgerState), room.ledger.rates, room.ledger.day)  # type: ignore[misc]
    again.second = room.second
    assert again.ledger.reserved() == room.ledger.reserved()
    again.play(OPEN + 80)
    orders = again.ledger.orders
    assert (orders[order.no].cancelled, orders[request.no].cancelled, orders[new.no].due) == (10, 10, 0)
    assert again.ledger.reserved() == room.ledger.reserved() // 2
