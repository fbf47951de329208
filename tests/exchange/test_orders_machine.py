"""Any history of orders, changes, fills and nights keeps the books straight, to the won and to the share."""

import datetime as dt

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kquant.exchange.core.books import Cash, Fill, LedgerState, Order, Position
from kquant.exchange.core.desk import Desk
from kquant.exchange.core.ledger import Ledger
from kquant.exchange.core.matching import Matcher
from kquant.exchange.core.order_types import TYPES
from kquant.exchange.core.rules import cost_rates
from kquant.exchange.market.model import Interruption, Midpoint, Print
from kquant.exchange.market.sessions import hours_of
from tests.exchange.desk_room import CODE
from tests.exchange.fake_market import CLOSE, OPEN, FakeMarket, stock

DAYS = (dt.date(2026, 9, 11), dt.date(2026, 9, 14), dt.date(2026, 9, 15), dt.date(2026, 9, 16))
CASH, SHARES = 5_000_000, 300
REGULAR = ["00", "01", "02", "03", "04", "11", "12", "13", "14", "15", "16", "21", "22", "23", "24"]
PRICES = st.integers(-8, 8).map(lambda step: 10_000 + 10 * step)
TAPE = st.lists(st.tuples(st.integers(0, 90), st.integers(-6, 6), st.integers(1, 3_000)), max_size=30)
VI = Interruption("static", OPEN + 100, OPEN + 130, 10_500, 10_000, 500, 10_200, "")


class Market(FakeMarket):
    """The tiny market with something at the midpoint."""

    def midpoint(self, code: str, second: int) -> Midpoint:
        return Midpoint(10_005, 30 * (second % 3), 1 + second % 2)


class Books(RuleBasedStateMachine):
    """Drives one desk; the model is the plain sum of everything its ledger says it filled."""

    @initialize(tape=TAPE, latency=st.sampled_from([0, 0, 2]))
    def begin(self, tape: list[tuple[int, int, int]], latency: int) -> None:
        self.tape, self.latency, self.place_in_days = tape, latency, 0
        self.all_fills: list[Fill] = []
        self.settled = [CASH, 0, 0]
        held = Position(code=CODE, name="종목", qty=SHARES, cost=SHARES * 10_000, opening_qty=SHARES)
        state = LedgerState(cash=Cash(settled=CASH), positions=[held])
        self.ledger = Ledger(state, cost_rates(DAYS[0]), DAYS[0])
        self.open_day()

    def open_day(self) -> None:
        rows = [Print(OPEN + 5, 10_000, 1_000, 3)]
        rows += [
            Print(OPEN + 60 + at, 10_000 + 10 * step, qty, 5 if step < 0 else 1) for at, step, qty in sorted(self.tape)
        ]
        rows += [Print(VI.end, 10_050, 900, 3), Print(CLOSE + 3, 9_990, 700, 3), Print(CLOSE + 650, 9_990, 400, 1)]
        rows = [row for row in rows if not VI.start <= row.second < VI.end]
        self.market = Market((stock(CODE),), {CODE: rows}, paused={CODE: (VI,)})
        self.market.day = DAYS[self.place_in_days]
        self.market.hours = hours_of(self.market.day, OPEN, CLOSE)
        self.second = OPEN + 60
        self.notices = 0
        self.desk = Desk(
            self.market,
            self.ledger,
            Matcher(self.market, self.ledger),
            self.count,
            hts_id="DEMO01",
            account="5000123401",
            holder="김모의",
            latency_s=self.latency,
        )

    def count(self, _: str) -> None:
        self.notices += 1

    def numbers(self) -> list[int]:
        return sorted(self.ledger.orders)

    @rule(
        side=st.sampled_from(["buy", "sell"]),
        division=st.sampled_from([*REGULAR, *TYPES]),
        qty=st.integers(1, 700),
        price=PRICES,
        venue=st.sampled_from(["KRX", "KRX", "SOR", "NXT"]),
    )
    def place(self, side: str, division: str, qty: int, price: int, venue: str) -> None:
        stop = price + 30 if side == "buy" else price - 30
        self.desk.place(side, CODE, qty, price, division, self.second, venue=venue, stop_price=stop)  # type: ignore[arg-type]

    @rule(division=st.sampled_from(["00", "01", "02", "03", "13"]), price=PRICES, counted=st.sampled_from([0, 10_000]))
    def buy_with_everything(self, division: str, price: int, counted: int) -> None:
        """Ask for what the cash seems to buy: commission, and for unpriced orders the upper limit, may not fit."""
        qty = max(self.ledger.available_cash() // (counted or price), 1)
        self.desk.place("buy", CODE, qty, price, division, self.second)

    @rule(division=st.sampled_from(["00", "00", "01"]), price=PRICES)
    def sell_everything(self, division: str, price: int) -> None:
        position = self.ledger.positions.get(CODE)
        if position is not None and position.qty:
            self.desk.place("sell", CODE, position.qty, price, division, self.second)

    @precondition(lambda self: self.ledger.orders)
    @rule(pick=st.integers(0, 1_000), qty=st.none() | st.integers(1, 300))
    def cancel(self, pick: int, qty: int | None) -> None:
        numbers = self.numbers()
        self.desk.cancel(numbers[pick % len(numbers)], qty, self.second)

    @precondition(lambda self: self.ledger.orders)
    @rule(
        pick=st.integers(0, 1_000),
        qty=st.none() | st.integers(1, 300),
        price=PRICES,
        division=st.sampled_from(["00", "01", "02", "03", "11", "22", "41"]),
    )
    def revise(self, pick: int, qty: int | None, price: int, division: str) -> None:
        numbers = self.numbers()
        self.desk.revise(numbers[pick % len(numbers)], qty, price, division, self.second, stop_price=price + 20)

    @rule(seconds=st.integers(1, 15))
    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.desk.play(self.second)
            self.second += 1

    @precondition(lambda self: len(self.ledger.orders) > 3)
    @rule(to=st.sampled_from([OPEN - 3, OPEN + 95, CLOSE - 605, CLOSE - 3, CLOSE + 640, CLOSE + 1_805]))
    def leap(self, to: int) -> None:
        if self.second < to:
            self.desk.play(self.second)
            self.second = to

    @precondition(lambda self: self.place_in_days < len(DAYS) - 1 and self.second > CLOSE - 700)
    @rule(begins=st.sampled_from([OPEN - 1_800, OPEN + 60]))
    def sleep(self, begins: int) -> None:
        self.all_fills += self.ledger.fills
        flow = self.flow(self.ledger.fills)
        self.settled = [self.settled[0] + self.settled[1], flow, 0]
        self.place_in_days += 1
        self.ledger.next_day(DAYS[self.place_in_days])
        assert not self.ledger.open
        assert not self.ledger.underway
        assert (self.ledger.reserved(), self.ledger.fills) == (0, [])
        self.open_day()
        self.second = begins

    @rule()
    def restart(self) -> None:
        """What a store keeps is all there is."""
        stored = msgspec.json.decode(msgspec.json.encode(self.ledger.state), type=LedgerState)
        self.ledger = Ledger(stored, self.ledger.rates, self.ledger.day)
        second = self.second
        self.open_day()
        self.second = second

    @staticmethod
    def flow(fills: list[Fill]) -> int:
        gross = sum(fill.qty * fill.price * (1 if fill.side == "sell" else -1) for fill in fills)
        return gross - sum(fill.commission + fill.tax for fill in fills)

    @invariant()
    def cash_and_shares_are_what_the_fills_say(self) -> None:
        cash = self.ledger.cash
        assert (cash.settled, cash.unsettled) == (self.settled[0], self.settled[1])
        assert cash.d2 == cash.settled + cash.unsettled + self.flow(self.ledger.fills)
        assert cash.d2 == CASH + self.flow(self.all_fills) + self.flow(self.ledger.fills)
        moved = sum(fill.qty * (1 if fill.side == "buy" else -1) for fill in [*self.all_fills, *self.ledger.fills])
        position = self.ledger.positions.get(CODE)
        assert SHARES + moved == (position.qty if position else 0)

    @invariant()
    def nothing_is_promised_twice(self) -> None:
        assert self.ledger.available_cash() >= 0
        assert self.ledger.sellable(CODE) >= 0
        assert self.ledger.reserved() >= 0

    @invariant()
    def every_order_adds_up(self) -> None:
        for order in [*self.ledger.orders.values(), *self.ledger.past]:
            self.adds_up(order)
        for orders in self.ledger.open.values():
            assert all(order.leaves > 0 for order in orders.values())
        for order in self.ledger.orders.values():
            mine = [fill for fill in self.ledger.fills if fill.order_no == order.no]
            assert (order.filled, order.amount) == (
                sum(fill.qty for fill in mine),
                sum(fill.qty * fill.price for fill in mine),
            )
            assert 0 <= self.ledger.changeable(order) <= order.leaves

    @staticmethod
    def adds_up(order: Order) -> None:
        parts = (order.filled, order.cancelled, order.rejected, order.expired, order.leaves)
        assert min(parts) >= 0
        assert sum(parts) == order.qty


Books.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestBooks = Books.TestCase
