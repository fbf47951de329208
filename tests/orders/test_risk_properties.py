"""Whatever is known and asked: rules never raise, a tighter limit never lets more through, costs and ticks are exact."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from kquant.config import load
from kquant.domain.orders import Own, Seen, exits, risk
from kquant.domain.orders.grid import bands_of, is_on_grid
from kquant.domain.orders.lifecycle import Order
from kquant.domain.orders.seen import Carried, Held, Moved, Orderable, Snapshot
from kquant.domain.orders.sizing import SIZINGS, affordable, with_costs
from kquant.domain.orders.standing import Standing
from kquant.events.market import Quoted
from kquant.events.orders import QuoteAnswered
from kquant.events.pipeline import BuySignalled
from kquant.events.portfolio import CashMoved
from kquant.krx import commission, costs_on, round_to_tick, sell_tax, ticks_down, ticks_up
from kquant.settings import Settings
from kquant.values import Krw, Micros, Score, Seq, Shares, Symbol
from tests.orders.orders_world import CODES, FUND, HOURS, by_kind, kst, listed, opened, with_settings

BASE = load("demo", environ={}).settings
COSTS = costs_on("2026-11-20", BASE.krx.costs)
AT = kst("10:00")
A = CODES[0]

wild = st.one_of(st.integers(-5, 30_000), st.sampled_from([0, 1, 2_000, 10**9, 10**15, -(10**15)]))
near = st.integers(7_000, 13_000)
like = st.integers(990, 1_010).map(lambda tens: tens * 10)
amounts = st.sampled_from([10**9, 10**9, 10**12, 30_000_000, 500_000, 0])


@st.composite
def settings_of(draw: st.DrawFn) -> Settings:
    """The demo's settings with limits of any size."""
    limits = st.sampled_from([10**12] * 5 + [50_000_000, 3_000_000, 100_000, 0])
    names = (
        "max_order_krw",
        "max_day_buy_krw",
        "max_stock_krw",
        "max_exposure_krw",
        "min_order_krw",
        "fixed_amount_krw",
    )
    changes: dict[str, Any] = {name: draw(limits) for name in names}
    changes["min_order_krw"] = draw(st.sampled_from([0, 100_000]))
    changes |= {
        "sizing": draw(st.sampled_from(sorted(SIZINGS))),
        "entry_kind": draw(st.sampled_from(["limit", "market"])),
        "position_share_bp": draw(st.sampled_from([10_000, 800, 800, 0])),
        "volume_share_bp": draw(st.sampled_from([10_000, 10_000, 100, 1, 0])),
        "collar_bp": draw(st.sampled_from([10_000, 1_000, 1_000, 100, 0])),
        "moved_bp": draw(st.sampled_from([10_000, 150])),
        "upper_limit_ticks": draw(st.sampled_from([0, 0, 3, 400])),
        "limit_ticks_above_ask": draw(st.integers(0, 50)),
        "stale_seconds": draw(st.sampled_from([0, 0, 60])),
        "confirm_price": draw(st.booleans()),
    }
    return structs.replace(BASE, risk=structs.replace(BASE.risk, **changes))


@st.composite
def owns(draw: st.DrawFn) -> Own:
    """Orders of other stocks, some live, some filled and not booked."""
    orders = {}
    for intent in range(1, draw(st.integers(0, 4)) + 1):
        qty, price = draw(st.integers(1, 500)), draw(near)
        finished = draw(st.booleans())
        filled = draw(st.integers(0, qty))
        orders[intent] = Order(
            intent=intent, code=Symbol(draw(st.sampled_from(CODES[1:]))), name="x", side=draw(st.sampled_from(["buy", "sell"])),
            qty=qty, kind="limit", price=price, reason="signal", decision=Seq(1), reserved_krw=Krw(qty * price),
            valid_until=Micros(AT - draw(st.sampled_from([0, 10**9]))), filled_qty=filled, filled_amount=Krw(filled * price),
            order_no=str(intent), is_finished=finished,
        )  # fmt: skip
    live = tuple(intent for intent, order in orders.items() if order.is_live)
    return Own(orders=orders, live=live, last_intent=len(orders))


@st.composite
def cases(draw: st.DrawFn, prices: st.SearchStrategy[int] = wild) -> risk.Case:
    """A buy of one stock with anything known about account, stock and price."""
    last, ask, at = draw(prices), draw(prices), AT
    qty = draw(st.integers(1, 500))
    quoted = Quoted(
        code=A, last=last, last_age_ms=draw(st.sampled_from([0, 0, 0, None, 90_000])), bid=last, ask=ask, quote_age_ms=0, open=1,
        high=1, low=1, volume=draw(st.none() | st.integers(0, 10**7)), value=0, change_bp=0, program_net=None,
        program_age_ms=None, book_bid_qty=None, book_ask_qty=None, book_age_ms=None, source="feed",
    )  # fmt: skip
    held = {Symbol(B): Held(name="b", qty=qty, cost_krw=qty * draw(near), is_carried=True) for B in CODES[1:2]}
    standing = Standing(at=at, is_lasting=True, halted=draw(st.booleans()), vi=draw(st.booleans()))
    seen = Seen(
        hours=HOURS, cash_krw=Krw(draw(amounts)), stocks={Symbol(code): listed(code) for code in CODES},
        positions=draw(st.sampled_from([{}, held])), carried={Symbol(CODES[1]): Carried(qty=qty, cost_krw=qty * 9_000)},
        prices={Symbol(CODES[1]): Krw(draw(near))}, snapshots=(Snapshot(seq=5, at=at, quotes={A: quoted}),),
        orderable=draw(st.sampled_from([None, Orderable(asked=0, krw=Krw(draw(amounts)))])),
        standings=draw(st.sampled_from([{}] * 9 + [{A: standing}])), moved={"1": Moved(fills=1, spent_krw=Krw(5))},
    )  # fmt: skip
    signal = BuySignalled(
        run=1, code=A, name="a", score=Score(80), last=Krw(last), bid=Krw(last), ask=Krw(ask), snapshot=Seq(5)
    )  # fmt: skip
    quote = QuoteAnswered(
        request=1, code=A, last=draw(prices), ask=draw(prices), bid=1, ask_qty=1, bid_qty=1,
        upper=draw(st.sampled_from([0, 13_000, 13_000, 10**9])), lower=draw(st.sampled_from([0, 1, 7_000])),
        volume=draw(st.integers(0, 10**7)), value=0, status="00", warning=0, halted=False, liquidation=False,
        overheated=False, administrative=False, vi=False, is_auction=False,
    )  # fmt: skip
    return risk.case_of(
        draw(owns()), seen, draw(settings_of()), COSTS, signal, at, draw(st.sampled_from([None, quote]))
    )  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_any_case_has_one_first_breach_or_goes_inside_every_limit(case: risk.Case) -> None:
    """O10, O11, M1. Overflowing prices, quantity 0 and prices off the grid never pass."""
    found = [(rule, broken(case)) for rule, broken in risk.RULES]
    breaches = [rule for rule, numbers in found if numbers is not None]
    breach = risk.breach_of(case)
    assert breach == risk.breach_of(case)
    if breach is not None:
        assert breach.rule == breaches[0]
        numbers = dict(found)[breach.rule]
        assert numbers is not None
        most = risk.STORED_MAX
        assert (breach.value, breach.limit) == tuple(max(-most, min(number, most)) for number in numbers)
        return
    check_goes_inside(case)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(like))
def test_a_believable_price_goes_inside_every_limit_as_well(case: risk.Case) -> None:
    if risk.breach_of(case) is None:
        check_goes_inside(case)


def check_goes_inside(case: risk.Case) -> None:
    """Ask anew, by sums written out here, whether the buy that would follow is inside the limits."""
    qty, limits = risk.size(case), case.settings.risk
    takes = with_costs(qty, case.price, COSTS)
    assert qty >= 1
    assert case.ask <= case.limit <= case.cap
    assert is_on_grid(case.limit, case.bands)
    assert case.upper is None or case.limit <= case.upper
    assert case.limit * 10_000 <= case.last * (10_000 + limits.collar_bp)
    assert limits.min_order_krw <= qty * case.limit
    assert takes <= limits.max_order_krw
    assert takes <= limits.max_stock_krw
    held = sum(one.cost_krw for one in case.seen.positions.values())
    assert held + takes <= limits.max_exposure_krw
    assert case.seen.cash_krw is not None
    live = [one for one in case.own.orders.values() if one.side == "buy" and one.is_live]
    tied = sum(max(one.reserved_krw - case.seen.moved.get(one.order_no, Moved()).spent_krw, 0) for one in live)
    assert tied + takes <= case.seen.cash_krw
    assert case.seen.orderable is None or takes <= case.seen.orderable.krw
    if case.volume is not None:
        assert qty * 10_000 <= case.volume * limits.volume_share_bp
    budget = case.settings.risk.fixed_amount_krw
    if limits.sizing == "equal_share":
        budget = (case.seen.cash_krw + held) * limits.position_share_bp // 10_000
    assert takes <= budget


TIGHTER = ["max_order_krw", "max_day_buy_krw", "max_stock_krw", "max_exposure_krw", "volume_share_bp", "moved_bp"]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(like), st.sampled_from(TIGHTER), st.integers(0, 100))
def test_a_tighter_limit_never_lets_more_through(case: risk.Case, name: str, percent: int) -> None:
    limits = case.settings.risk
    tight = structs.replace(limits, **{name: getattr(limits, name) * percent // 100})
    other = structs.replace(case, settings=structs.replace(case.settings, risk=tight))
    if risk.breach_of(case) is not None:
        assert risk.breach_of(other) is not None
    elif risk.breach_of(other) is None:
        assert risk.size(other) <= risk.size(case)


@given(st.integers(-(10**9), 10**13), st.integers(1, 10**6))
def test_what_is_affordable_is_paid_for_with_its_commission_and_one_share_more_is_not(cash: int, price: int) -> None:
    qty = affordable(cash, Krw(price), COSTS)
    assert qty >= 0
    assert with_costs(qty, Krw(price), COSTS) <= max(cash, 0)
    exact = Fraction((qty + 1) * price) * (1 + Fraction(COSTS.commission_ppm, 1_000_000))
    assert exact > max(cash, 0)


# -- costs, to the won (D14, M1) -------------------------------------------------------------------------------


@given(st.integers(0, 10**13), st.booleans(), st.sampled_from(BASE.krx.costs))
def test_fee_and_tax_are_the_floor_of_the_exact_rate(amount: int, fund: bool, table: Any) -> None:
    tax = table.fund_sell_tax_ppm if fund else table.sell_tax_ppm
    fee = commission(Krw(amount), table)
    assert 0 <= Fraction(amount) * table.commission_ppm / 1_000_000 - fee < 1
    assert 0 <= Fraction(amount) * tax / 1_000_000 - sell_tax(Krw(amount), table, fund=fund) < 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 400), st.integers(995, 1_001)), min_size=1, max_size=6))
@pytest.mark.parametrize("code", [A, FUND])
def test_costs_of_a_round_trip_do_not_depend_on_how_fills_are_split(code: str, parts: list[tuple[int, int]]) -> None:
    """The oracle floors exact fractions of each order's whole amount, once."""
    world = opened()
    world.signal(code)
    for qty, price in [*parts, (10**6, 1_000)]:
        world.broker.fill(world.broker.tickets[0], qty, price * 10)
        world.notice("1")
    world.fire(by_kind(world, code)["stop"], 9_000)
    for qty, price in [*parts, (10**6, 1_000)]:
        world.broker.fill(world.broker.tickets[1], qty, price * 10 - 500)
        world.notice("2")
    for ticket in world.broker.tickets:
        moved = [one for one in world.all(CashMoved) if one.order_no == ticket.no]
        tax = 0 if ticket.side == "buy" or code == FUND else COSTS.sell_tax_ppm
        assert sum(one.fee_krw for one in moved) == int(Fraction(ticket.amount * COSTS.commission_ppm, 1_000_000))
        assert sum(one.tax_krw for one in moved) == int(Fraction(ticket.amount * tax, 1_000_000))
        assert all(one.fee_krw >= 0 and one.tax_krw >= 0 for one in moved)
    assert world.portfolio.cash_krw == world.broker.cash


# -- the grid (O10, kis-protocol 5.2) --------------------------------------------------------------------------

STOCK = [(1, 1), (2_000, 5), (5_000, 10), (20_000, 50), (50_000, 100), (200_000, 500), (500_000, 1_000)]
FUNDS = [(1, 1), (2_000, 5)]


def every_price(steps: list[tuple[int, int]], up_to: int) -> list[int]:
    """Write the grid out, a price at a time."""
    found, price = [], 1
    while price <= up_to:
        found.append(price)
        price += next(tick for start, tick in reversed(steps) if price >= start)
    return found


@pytest.mark.parametrize(("code", "steps"), [(A, STOCK), (FUND, FUNDS)])
def test_every_band_edge_rounds_to_the_grid_and_steps_along_it_kis_protocol_5_2(
    code: str, steps: list[tuple[int, int]]
) -> None:
    bands = bands_of(listed(code), BASE.krx)
    grid = every_price(steps, 520_000)
    places = set(grid)
    index = {price: place for place, price in enumerate(grid)}
    for edge, _ in STOCK:
        for price in range(max(edge - 1_100, 1), edge + 1_100):
            down, up = round_to_tick(Krw(price), "buy", bands), round_to_tick(Krw(price), "sell", bands)
            assert {down, up} <= places
            assert down <= price <= up
            assert index[up] - index[down] == (price not in places)
            assert is_on_grid(Krw(price), bands) is (price in places)
            if price in places:
                assert ticks_up(Krw(price), 3, bands) == grid[index[price] + 3]
                assert ticks_down(Krw(price), 3, bands) == grid[max(index[price] - 3, 0)]


@given(
    st.sampled_from([A, FUND]),
    st.integers(1, 10_000),
    st.integers(1, 900_000),
    st.tuples(*[st.integers(0, 10_000)] * 3),
)
def test_every_trigger_of_every_position_lies_on_the_grid(
    code: str, qty: int, average: int, rates: tuple[int, int, int]
) -> None:
    held = Held(name="x", qty=Shares(qty), cost_krw=Krw(qty * average))
    stop, target, trailing = rates
    limits = structs.replace(BASE.exits, stop_loss_bp=stop, take_profit_bp=target, trailing_bp=trailing)
    bands = bands_of(listed(code), BASE.krx)
    for level in exits.levels_of(held, limits, bands):
        assert is_on_grid(level.price, bands)
        assert level.price >= average if level.kind == "target" else level.price <= average


def test_a_new_way_of_sizing_is_a_line_in_the_table() -> None:
    changed = with_settings(
        lambda s: {"risk": structs.replace(s.risk, sizing="fixed_amount", fixed_amount_krw=700_000)}
    )
    world = opened(settings=changed)
    world.signal(A)
    intent = next(iter(world.own.orders.values()))
    assert intent.reserved_krw <= 700_000 < intent.reserved_krw + 10_021
    assert SIZINGS["equal_share"](1_000_000, BASE.risk) == 80_000
