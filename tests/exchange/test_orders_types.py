"""Order types, sessions, interruptions. Expectations are those of kis-protocol 3.4, 4.9, 5.1, 5.4."""

import datetime as dt

import pytest

from kquant.exchange.core.books import Order, Refusal
from kquant.exchange.core.hours import hours_of, limits_around
from kquant.exchange.core.order_types import TYPES
from kquant.exchange.market.model import Interruption, Midpoint, Print
from kquant.exchange.market.sessions import regular_hours
from tests.exchange.desk_room import AFTER_MARKET_DAY, CODE, Room
from tests.exchange.fake_market import CLOSE, OPEN, stock

TAKEN, FILLED, DROPPED, REFUSED = (
    ("0", "1", "0", "1"),
    ("0", "2", "0", "2"),
    ("0", "1", "0", "3"),
    ("0", "1", "1", "1"),
)
AFTER = CLOSE + 1_800


@pytest.mark.parametrize(
    ("division", "price", "qty", "fills", "notices"),
    [
        ("00", 10_010, 150, [(100, 10_010)], [TAKEN, FILLED]),
        ("01", 0, 150, [(100, 10_010), (50, 10_020)], [TAKEN, FILLED, FILLED]),
        ("02", 10_010, 150, [(100, 10_010)], [TAKEN, FILLED]),
        ("03", 0, 150, [(100, 10_010)], [TAKEN, FILLED]),
        ("04", 0, 150, [], [TAKEN]),
        ("11", 10_010, 150, [(100, 10_010)], [TAKEN, FILLED, DROPPED]),
        ("11", 9_990, 150, [], [TAKEN, DROPPED]),
        ("12", 10_010, 150, [], [TAKEN, DROPPED]),
        ("12", 10_020, 150, [(100, 10_010), (50, 10_020)], [TAKEN, FILLED, FILLED]),
        ("13", 0, 1_100, [(100, 10_010 + 10 * n) for n in range(10)], [TAKEN, *[FILLED] * 10, DROPPED]),
        ("14", 0, 1_100, [], [TAKEN, DROPPED]),
        ("15", 0, 150, [(100, 10_010)], [TAKEN, FILLED, DROPPED]),
        ("16", 0, 150, [], [TAKEN, DROPPED]),
        ("16", 0, 100, [(100, 10_010)], [TAKEN, FILLED]),
        ("21", 0, 150, [], [TAKEN]),
        ("23", 0, 150, [], [TAKEN, DROPPED]),
        ("24", 0, 150, [], [TAKEN, DROPPED]),
    ],
)
def test_each_type_meets_the_book_of_continuous_trading_in_its_way(
    division: str, price: int, qty: int, fills: list[tuple[int, int]], notices: list[tuple[str, ...]]
) -> None:
    """kis-protocol 4.9, 3.4: asks of 100 shares stand at 10,010, 10,020 …, the best bid at 10,000."""
    room = Room()
    order = room.placed(division, price, qty)
    assert room.fills() == fills
    assert room.said() == notices
    assert order.qty == order.filled + order.cancelled + order.leaves
    assert (order.leaves == 0) == (DROPPED in notices or order.filled == qty)


def test_a_notice_of_an_ioc_order_names_its_condition_and_what_was_cancelled() -> None:
    """kis-protocol 3.4 [7] 1 IOC, 2 FOK; ACPT_YN 3."""
    room = Room()
    room.placed("11", 10_010, 150)
    assert [row["ODER_COND"] for row in room.notices] == ["1", "1", "1"]
    assert int(room.notices[-1]["CNTG_QTY"]) == 50
    room.notices.clear()
    room.placed("16", 0, 5_000)
    assert [row["ODER_COND"] for row in room.notices] == ["2", "2"]


def test_a_best_limit_takes_the_opposite_price_and_a_priority_limit_its_own_sides() -> None:
    """kis-protocol 4.9: 03 opposite best, 04 same-side best; both rest as limit orders."""
    room = Room()
    assert [room.placed(division, qty=500, side=side).price for division, side in
            [("03", "buy"), ("04", "buy"), ("03", "sell"), ("04", "sell")]] == [10_010, 10_000, 10_000, 10_010]  # fmt: skip


def test_a_best_order_without_a_quote_is_refused_by_the_exchange() -> None:
    """kis-protocol 3.4: RFUS_YN 1; the REST answer had said no more than sent."""
    room = Room()
    room.second = OPEN + 2  # nothing has traded: there is no book
    order = room.placed("03")
    assert (order.rejected, room.said()) == (10, [REFUSED])
    assert room.ledger.reserved() == 0


def test_a_conditional_order_becomes_a_market_order_in_the_closing_auction() -> None:
    """kis-protocol 4.9 [02]."""
    room = Room(Print(CLOSE + 7, 10_300, 2_000, 3))
    below = room.placed("02", 9_000, 50)
    limit = room.placed("00", 9_000, 50)
    held = room.ledger.reserved()
    assert held > 50 * 13_000  # it may pay up to the upper limit
    room.play(CLOSE + 60)
    assert (below.filled, below.amount) == (50, 50 * 10_300)
    assert (limit.filled, limit.expired) == (0, 50)


def test_a_stop_limit_waits_for_its_price_and_then_is_a_limit_order() -> None:
    """kis-protocol 4.9 [22], 3.4 [18]."""
    room = Room(Print(OPEN + 70, 10_030, 10, 1), Print(OPEN + 80, 10_050, 10, 1), Print(OPEN + 90, 10_050, 500, 5))
    order = room.placed("22", 10_060, 30, stop_price=10_050)
    assert room.notices[0]["ORD_COND_PRC"] == "000010050"
    room.play(OPEN + 81)
    assert (order.stopped_at, order.filled) == (OPEN + 80, 0)
    room.play(OPEN + 90)
    assert room.fills() == [(30, 10_060)]  # it met the book a second later


@pytest.mark.parametrize(("side", "stop"), [("buy", 10_000), ("buy", 9_000), ("sell", 10_000), ("sell", 10_500)])
def test_a_stop_whose_condition_is_met_already_is_refused_by_the_exchange(side: str, stop: int) -> None:
    room = Room()
    room.placed("22", 10_000, side=side, stop_price=stop)
    assert room.said() == [REFUSED]


def test_a_midpoint_order_takes_what_rests_between_bid_and_ask() -> None:
    """kis-protocol 4.9 [21]; midpoint prices may be off the tick."""
    room = Room()
    room.market.midpoint = lambda code, second: Midpoint(10_005, 40 if second >= OPEN + 70 else 0, 1)  # type: ignore[method-assign]
    order = room.placed("21", 0, 30)
    room.play(OPEN + 70)
    assert order.filled == 0
    room.play(OPEN + 75)
    assert room.fills() == [(30, 10_005)]


def accepts(room: Room, division: str, second: int, venue: str = "KRX") -> bool:
    room.second = second
    price = 10_000 if TYPES[division].priced else 0
    return isinstance(room.place(division, price, 1, venue=venue, stop_price=10_100), Order)


@pytest.mark.parametrize(
    ("second", "taken"),
    [
        (OPEN - 1_801, ""),
        (OPEN - 1_800, "00 01 02 05"),
        (OPEN - 1_200, "00 01 02"),
        (OPEN + 60, "00 01 02 03 04 11 12 13 14 15 16 21 22 23 24"),
        (CLOSE - 600, "00 01"),
        (CLOSE, "06"),
        (CLOSE + 600, "06"),
        (CLOSE + 1_799, "06"),
        (AFTER, "41 42 43 44 45 46 47"),
        (AFTER + 4 * 3_600 - 1, "41 42 43 44 45 46 47"),
        (AFTER + 4 * 3_600, ""),
    ],
)
def test_each_session_takes_its_own_order_types(second: int, taken: str) -> None:
    """kis-protocol 4.9, 5.1."""
    room = Room(day=AFTER_MARKET_DAY)
    assert " ".join(division for division in TYPES if accepts(room, division, second)) == taken


def test_before_the_after_market_began_its_types_are_not_taken() -> None:
    """kis-protocol 0.2: since 2026-09-14."""
    assert not accepts(Room(day=dt.date(2026, 9, 11)), "41", AFTER + 60)
    assert accepts(Room(day=dt.date(2026, 9, 14)), "41", AFTER + 60)


@pytest.mark.parametrize(
    ("venue", "refused"),
    [
        ("SOR", "02 05 06 21 22 23 24 41 42 43 44 45 46 47"),
        ("NXT", "01 02 05 06 13 14 41 42 43 44 45 46 47"),
    ],
)
def test_each_venue_refuses_the_types_it_does_not_know(venue: str, refused: str) -> None:
    """kis-protocol 4.9: SOR refuses 02 05 06 07 21-24, NXT 01."""
    room = Room(day=AFTER_MARKET_DAY)
    assert " ".join(code for code in TYPES if not accepts(room, code, OPEN + 60, venue)) == refused


@pytest.mark.parametrize("division", ["07", "27", "28", "29", "99", ""])
def test_types_that_ended_or_belong_elsewhere_are_refused(division: str) -> None:
    refusal = Room(day=AFTER_MARKET_DAY).place(division, 10_000)
    assert isinstance(refusal, Refusal)
    assert "주문구분" in refusal.msg1


@pytest.mark.parametrize(("venue", "code"), [("KRX", "1"), ("NXT", "2"), ("SOR", "3")])
def test_a_notice_names_the_venue(venue: str, code: str) -> None:
    """kis-protocol 3.4 [19]."""
    room = Room()
    room.placed("00", 10_010, venue=venue)
    assert {row["ORD_EXG_GB"] for row in room.notices} == {code}
    assert room.fills() == [(10, 10_010)]


def test_an_nxt_order_pauses_with_its_market_and_lives_to_its_end() -> None:
    """kis-protocol 5.1: NXT's main market ends with KRX's closing call, its day at 20:00."""
    room = Room(Print(CLOSE - 500, 9_000, 5_000, 5), Print(CLOSE + 3, 9_000, 5_000, 3))
    order = room.placed("00", 9_500, 10, venue="NXT")
    room.play(CLOSE + 60)
    assert (order.filled, order.leaves) == (0, 10)
    room.play(AFTER + 4 * 3_600 + 1)
    assert order.expired == 10


def vi(start: int, end: int) -> Interruption:
    return Interruption("static", start, end, 11_000, 10_000, 1_000, 11_000, "")


def test_orders_rest_during_an_interruption_and_match_at_its_single_price() -> None:
    """kis-protocol 5.4."""
    start, end = OPEN + 100, OPEN + 230
    room = Room(Print(end, 10_800, 3_000, 3), paused=(vi(start, end),))
    room.play(start + 10)
    market, above, below = room.placed("01", qty=20), room.placed("00", 11_000, 20), room.placed("00", 10_700, 20)
    assert room.said() == [TAKEN] * 3
    room.play(end)
    assert room.fills() == []
    room.play(end + 1)
    assert [(order.filled, order.amount) for order in (market, above, below)] == [
        (20, 20 * 10_800),
        (20, 20 * 10_800),
        (0, 0),
    ]


def test_what_the_single_match_leaves_of_a_better_order_takes_the_book_that_follows() -> None:
    """An order that crosses the book cannot rest in it: it matches as soon as trading runs again."""
    end = OPEN + 230
    room = Room(Print(end, 10_800, 100, 3), paused=(vi(OPEN + 100, end),))
    room.play(OPEN + 110)
    order = room.placed("00", 11_000, 50)
    room.play(end + 1)
    assert order.filled == 10
    room.play(end + 3)
    assert room.fills() == [(10, 10_800), (40, 10_810)]


@pytest.mark.parametrize("division", ["03", "04", "11", "12", "13", "14", "15", "16", "21", "22"])
def test_an_interruption_refuses_what_needs_a_running_book_by_notice(division: str) -> None:
    room = Room(paused=(vi(OPEN + 50, OPEN + 200),))
    order = room.placed(division, 10_000 if TYPES[division].priced else 0, stop_price=10_100)
    assert (room.said(), order.rejected, room.ledger.reserved()) == ([REFUSED], 10, 0)


def test_a_regular_order_outlives_an_interruption_of_the_closing_auction() -> None:
    """kis-protocol 5.4: an interruption of the closing auction delays its match."""
    room = Room(Print(CLOSE + 140, 10_000, 1_000, 3), paused=(vi(CLOSE - 10, CLOSE + 140),))
    order = room.placed("00", 9_990, 10)
    late = room.placed("00", 10_000, 10)
    room.play(CLOSE + 100)
    assert (order.leaves, late.leaves) == (10, 10)
    room.play(CLOSE + 200)
    assert (late.filled, order.expired) == (10, 10)


def test_a_post_close_order_executes_at_the_closing_price_only_in_its_session() -> None:
    """kis-protocol 5.1: type 06, orders from 15:30, trades 15:40-16:00."""
    room = Room(Print(CLOSE + 5, 10_200, 1_000, 3), Print(CLOSE + 700, 10_200, 300, 1))
    room.play(CLOSE + 1)
    early = room.placed("06", qty=10)
    room.play(CLOSE + 650)
    known = room.placed("06", qty=100)
    assert (early.filled, known.price) == (0, 10_200)
    room.play(CLOSE + 1_801)
    assert (early.filled, early.amount, known.filled, known.expired) == (10, 102_000, 20, 80)


def test_an_after_market_order_meets_the_after_markets_book_and_ends_with_it() -> None:
    """kis-protocol 5.1: own book, no carry-over."""
    room = Room(Print(AFTER + 30, 10_500, 100, 1), day=AFTER_MARKET_DAY)
    resting = room.placed("00", 9_000, 10)
    room.play(AFTER + 60)
    assert resting.expired == 10
    order = room.placed("41", 10_510, 150)
    assert room.fills() == [(100, 10_510)]
    room.play(AFTER + 4 * 3_600 + 1)
    assert order.expired == 50


@pytest.mark.parametrize(("price", "taken"), [(13_000, True), (13_010, False), (7_000, True), (6_990, False)])
def test_the_after_market_limits_lie_30_percent_around_the_close(price: int, taken: bool) -> None:
    """kis-protocol 5.3."""
    room = Room(day=AFTER_MARKET_DAY)
    room.second = AFTER
    assert isinstance(room.place("41", price), Order) is taken


@pytest.mark.parametrize(
    ("close", "kind", "limits"),
    [
        (10_000, "common", (7_000, 13_000)),
        (71_300, "common", (50_000, 92_600)),
        (1_999, "common", (1_400, 2_595)),
        (12_345, "etf", (8_645, 16_045)),
    ],
)
def test_a_limit_off_the_grid_of_its_own_price_band_is_drawn_inwards(
    close: int, kind: str, limits: tuple[int, int]
) -> None:
    assert limits_around(close, kind) == limits


@pytest.mark.parametrize("changes", [{"kind": "etf"}, {"kind": "etn"}, {"liquidation": True}, {"single_price": True}])
def test_the_after_market_takes_no_etf_and_nothing_that_trades_by_auctions(changes: dict[str, object]) -> None:
    """kis-protocol 5.1."""
    room = Room(day=AFTER_MARKET_DAY, stocks=(stock(CODE, **changes),))
    room.second = AFTER
    refusal = room.place("41", 10_000)
    assert isinstance(refusal, Refusal)
    assert "애프터마켓" in refusal.msg1


@pytest.mark.parametrize("division", ["03", "04", "11", "15", "21", "22"])
def test_a_stock_of_30_minute_auctions_takes_only_what_an_auction_takes(division: str) -> None:
    room = Room(stocks=(stock(CODE, single_price=True),))
    price = 10_000 if TYPES[division].priced else 0
    assert isinstance(room.place(division, price, stop_price=10_100), Refusal)
    assert isinstance(room.place("00", 10_000), Order)


@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        (dt.date(2026, 1, 2), "10:00", "15:30"),
        (dt.date(2025, 11, 13), "10:00", "16:30"),
        (dt.date(2026, 11, 19), "10:00", "16:30"),
        (dt.date(2026, 11, 20), "09:00", "15:30"),
    ],
)
def test_sessions_move_with_the_open_and_the_close(day: dt.date, opens: str, closes: str) -> None:
    """kis-protocol 5.1: exam day and first trading day of the year."""
    opened, closed = regular_hours(day)
    hours = hours_of(day, opened, closed)
    assert (f"{opened // 3600:02d}:{opened // 60 % 60:02d}", f"{closed // 3600:02d}:{closed // 60 % 60:02d}") == (
        opens,
        closes,
    )
    assert (hours.opening_from, hours.closing_from) == (opened - 1_800, closed - 600)
    assert hours.post_close == (closed + 600, closed + 1_800)
    assert (hours.after is None) == (day < dt.date(2026, 9, 14))
    assert [hours.phase(second) for second in (opened - 1, opened, closed - 600, closed + 31, closed + 600)] == [
        "opening",
        "continuous",
        "closing",
        "closed",
        "post_close",
    ]
