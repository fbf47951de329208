import base64

import pytest
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from kquant.exchange.core.rules import cost_rates, tick_size
from kquant.exchange.market.model import Print
from tests.exchange.fake_market import CLOSE, OPEN, FakeMarket, stock
from tests.exchange.helpers import BALANCE, OPTIONS, Client

CODE = "000010"


def market(*prints: Print, depth: int = 100, **changes: object) -> FakeMarket:
    return FakeMarket([stock(CODE, **changes)], {CODE: [Print(OPEN + 5, 10_000, 1_000, 3), *prints]}, depth)  # type: ignore[arg-type]


def trading(*prints: Print, depth: int = 100, **changes: object) -> Client:
    client = Client(market(*prints, depth=depth, **changes))
    client.exchange.advance(OPEN + 60)
    return client


def test_a_market_order_walks_the_book_and_pays_each_level() -> None:
    client = trading()
    assert client.order("buy", CODE, 150)["msg_cd"] == "APBK0013"
    assert [(fill.qty, fill.price) for fill in client.exchange.ledger.fills] == [(100, 10_010), (50, 10_020)]


def test_what_an_order_took_from_the_book_is_not_there_for_the_next() -> None:
    client = trading()
    client.order("buy", CODE, 80, 10_010)
    client.order("buy", CODE, 80, 10_010)
    assert [fill.qty for fill in client.exchange.ledger.fills] == [80, 20]


def test_a_resting_order_gets_a_tenth_of_what_prints_at_its_price_or_through_it() -> None:
    client = trading(
        Print(OPEN + 70, 9_990, 55, 5), Print(OPEN + 71, 10_000, 500, 5), Print(OPEN + 72, 9_980, 1_000, 5)
    )
    client.order("buy", CODE, 60, 9_990)
    client.exchange.advance(OPEN + 71)
    assert client.daily()[0]["tot_ccld_qty"] == "5"
    client.exchange.advance(OPEN + 72)
    assert client.daily()[0]["tot_ccld_qty"] == "5"  # 10,000 is above the buy limit
    client.exchange.advance(OPEN + 73)
    row = client.daily()[0]
    assert (row["tot_ccld_qty"], row["rmn_qty"], row["avg_prvs"]) == ("60", "0", "9990")


def test_the_opening_auction_executes_at_its_single_price() -> None:
    client = Client(market())
    client.exchange.advance(OPEN - 600)
    client.order("buy", CODE, 40, 10_500)
    client.exchange.advance(OPEN + 10)
    assert [(fill.qty, fill.price) for fill in client.exchange.ledger.fills] == [(40, 10_000)]


def test_a_day_order_ends_after_the_close_and_frees_its_cash() -> None:
    client = trading()
    client.order("buy", CODE, 10, 9_000)
    assert client.exchange.ledger.reserved() > 0
    client.exchange.advance(CLOSE + 60)
    assert client.exchange.ledger.reserved() == 0
    assert client.daily()[0]["tot_ccld_qty"] == "0"


def test_costs_are_floored_on_an_orders_cumulative_amount() -> None:
    client = trading(Print(OPEN + 70, 10_010, 150, 1), Print(OPEN + 71, 10_010, 150, 1))
    client.order("buy", CODE, 60)
    client.order("sell", CODE, 30, 10_010)
    client.exchange.advance(OPEN + 80)
    sell = client.exchange.ledger.orders[1_002]
    assert (sell.filled, sell.amount) == (30, 300_300)
    assert (sell.commission, sell.tax) == (42, 600)
    assert len([fill for fill in client.exchange.ledger.fills if fill.side == "sell"]) == 2


def test_the_sell_tax_is_dated_and_spares_etfs() -> None:
    import datetime as dt

    this_year, last_year = cost_rates(dt.date(2026, 1, 2)), cost_rates(dt.date(2025, 12, 30))
    assert this_year.tax_on(1_000_000, is_sell=True, kind="common") == 2_000
    assert last_year.tax_on(1_000_000, is_sell=True, kind="common") == 1_500
    assert this_year.tax_on(1_000_000, is_sell=True, kind="etf") == 0
    assert this_year.tax_on(1_000_000, is_sell=False, kind="common") == 0


@pytest.mark.parametrize(
    ("price", "tick"),
    [(1_999, 1), (2_000, 5), (5_000, 10), (20_000, 50), (50_000, 100), (200_000, 500), (500_000, 1_000)],
)
def test_the_tick_size_follows_the_price_band(price: int, tick: int) -> None:
    assert tick_size(price) == tick


@pytest.mark.parametrize(
    ("side", "qty", "price", "text"),
    [
        ("buy", 1, 10_005, "호가단위"),
        ("buy", 1, 13_010, "상하한가"),
        ("buy", 1, 6_990, "상하한가"),
        ("buy", 20_000, 10_000, "주문가능금액"),
        ("buy", 7_700, 0, "주문가능금액"),  # a market order reserves at the upper limit
        ("sell", 1, 10_000, "가능한 수량"),
        ("buy", 0, 10_000, "주문수량"),
    ],
)
def test_a_bad_order_is_refused_and_leaves_no_trace(side: str, qty: int, price: int, text: str) -> None:
    client = trading()
    answer = client.order(side, CODE, qty, price)
    assert answer["rt_cd"] == "7"
    assert text in answer["msg1"]
    assert client.exchange.ledger.orders == {}


def test_a_market_order_within_cash_at_the_upper_limit_is_taken() -> None:
    assert trading(depth=100_000).order("buy", CODE, 7_600)["rt_cd"] == "0"


def test_halted_closed_and_unknown_are_refused() -> None:
    assert "거래정지" in trading(halted=True).order("buy", CODE, 1, 10_000)["msg1"]
    client = trading()
    assert "종목" in client.order("buy", "999999", 1, 10_000)["msg1"]
    client.exchange.advance(CLOSE)
    assert client.order("buy", CODE, 1, 10_000)["msg_cd"] == "APBK0918"


def test_a_cancel_has_its_own_number_and_the_original_says_cancelled() -> None:
    client = trading()
    odno = client.order("buy", CODE, 10, 9_000)["output"]["ODNO"]
    number = client.change(odno, "02")["output"]["ODNO"]
    rows = {row["odno"]: row for row in client.daily()}
    assert rows[number]["orgn_odno"] == odno
    assert (rows[odno]["cncl_yn"], rows[odno]["cnc_cfrm_qty"], rows[odno]["rmn_qty"]) == ("Y", "10", "0")
    assert client.change(odno, "02")["rt_cd"] == "7"
    assert client.exchange.ledger.reserved() == 0


def test_a_revision_lives_on_under_its_new_number() -> None:
    client = trading()
    odno = client.order("buy", CODE, 10, 9_000)["output"]["ODNO"]
    revised = client.change(odno, "01", price=10_010)["output"]["ODNO"]
    rows = {row["odno"]: row for row in client.daily()}
    assert (rows[revised]["tot_ccld_qty"], rows[revised]["orgn_odno"], rows[odno]["rmn_qty"]) == ("10", odno, "0")


def decrypt(frame: str, key: str, iv: str) -> list[str]:
    flag, tr_id, count, payload = frame.split("|", 3)
    assert (flag, tr_id, count) == ("1", "H0STCNI0", "001")
    decryptor = Cipher(algorithms.AES(key.encode()), modes.CBC(iv.encode())).decryptor()
    padded = decryptor.update(base64.b64decode(payload)) + decryptor.finalize()
    unpadder = padding.PKCS7(128).unpadder()
    return (unpadder.update(padded) + unpadder.finalize()).decode().split("^")


def test_notices_decrypt_with_the_sessions_key_to_an_acknowledgement_and_fills() -> None:
    client = trading()
    session = client.connect()
    output = client.register(session, client.approval(), "H0STCNI0", "DEMO01")["body"]["output"]
    client.exchange.take_outbox()
    odno = client.order("buy", CODE, 150)["output"]["ODNO"]
    records = [decrypt(text, output["key"], output["iv"]) for _, text in client.exchange.take_outbox()]
    assert [(row[13], row[14], int(row[9]), int(row[10])) for row in records] == [
        ("1", "1", 150, 0),
        ("2", "2", 100, 10_010),
        ("2", "2", 50, 10_020),
    ]
    assert {row[2] for row in records} == {odno}
    assert {len(row) for row in records} == {26}


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell", "cancel", "revise", "wait"]),
        st.integers(1, 400),
        st.integers(-6, 6),
        st.booleans(),
    ),
    max_size=25,
)
PRINTS = st.lists(st.tuples(st.integers(0, 120), st.integers(-5, 5), st.integers(1, 3_000)), max_size=40)


@settings(max_examples=60, deadline=None)
@given(ACTIONS, PRINTS)
def test_cash_shares_and_costs_add_up_and_no_fill_is_above_the_volume_share(
    actions: list[tuple[str, int, int, bool]], prints: list[tuple[int, int, int]]
) -> None:
    rows = [Print(OPEN + 60 + at, 10_000 + 10 * step, qty, 5 if step < 0 else 1) for at, step, qty in sorted(prints)]
    client = Client(market(*rows))
    exchange = client.exchange
    ledger = exchange.ledger
    exchange.advance(OPEN + 60)
    for kind, qty, step, priced in actions:
        price = 10_000 + 10 * step if priced else 0
        if kind in ("buy", "sell"):
            client.order(kind, CODE, qty, price)
        elif kind == "wait":
            exchange.advance(exchange.second + qty % 10 + 1)
        elif ledger.orders:
            odno = str(sorted(ledger.orders)[qty % len(ledger.orders)])
            client.change(odno, "02" if kind == "cancel" else "01", price=10_000 + 10 * step)
        held = ledger.positions[CODE].qty if CODE in ledger.positions else 0
        assert held >= 0
        assert ledger.available_cash() >= 0
        assert ledger.sellable(CODE) >= 0
    exchange.advance(CLOSE + 60)
    fills = ledger.fills
    flow = sum(fill.qty * fill.price * (1 if fill.side == "sell" else -1) for fill in fills)
    costs = sum(fill.commission + fill.tax for fill in fills)
    assert ledger.cash.d2 == OPTIONS.cash + flow - costs
    assert costs == ledger.cash.fees + ledger.cash.taxes
    shares = sum(fill.qty * (1 if fill.side == "buy" else -1) for fill in fills)
    assert shares == (ledger.positions[CODE].qty if CODE in ledger.positions else 0)
    for order in ledger.orders.values():
        mine = [fill for fill in fills if fill.order_no == order.no]
        assert order.filled == sum(fill.qty for fill in mine)
        assert order.commission == ledger.rates.commission_on(order.amount)
        assert order.leaves == 0
        if order.division == "00":
            assert all(fill.price <= order.price if order.side == "buy" else fill.price >= order.price for fill in mine)
    taken_at_once = {
        (fill.order_no, fill.second) for fill in fills if fill.second == ledger.orders[fill.order_no].second
    }
    passive = sum(
        fill.qty
        for fill in fills
        if (fill.order_no, fill.second) not in taken_at_once and ledger.orders[fill.order_no].division == "00"
    )
    assert passive * 10 <= 2 * sum(row.qty for row in rows)  # a tenth for each side
    sums = client.call("/trading/inquire-balance", "TTTC8434R", BALANCE)[1]["output2"][0]
    assert int(sums["prvs_rcdl_excc_amt"]) == ledger.cash.d2
