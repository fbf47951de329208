"""M1 to M3 (`reliability` E): owner, view and a ledger written apart from both agree to the won, whatever happens."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from kquant.domain.owner import Mind, recover
from kquant.domain.portfolio import PORTFOLIO, Own
from kquant.views.portfolio import portfolio_view
from tests.portfolio.desk import FUND, A, B, Desk, fill

START, SHARES, COST = 10**10, 5_000, 77_777_777
FEE_PPM, TAX_PPM = 140, 2_000


@dataclass
class Ledger:
    """A broker's books in the plainest way: every order's costs on its own sum, every position at average cost."""

    cash: int = START
    shares: dict[str, int] = field(default_factory=lambda: {A: SHARES})
    costs: dict[str, int] = field(default_factory=lambda: {A: COST})
    paid: dict[str, int] = field(default_factory=dict)
    bought: int = 0
    sold: int = 0
    charged: int = 0
    adjusted: int = 0

    def fill(self, no: str, side: str, code: str, qty: int, price: int) -> tuple[int, int]:
        """Book it; return the order's sums of shares and won before it is asked for them."""
        amount, before = qty * price, self.paid.get(no, 0)
        self.paid[no] = before + amount
        fee = (before + amount) * FEE_PPM // 10**6 - before * FEE_PPM // 10**6
        held = self.shares.get(code, 0)
        if side == "buy":
            self.cash -= amount + fee
            self.bought += amount
            self.shares[code], self.costs[code] = held + qty, self.costs.get(code, 0) + amount
            self.charged += fee
            return before, amount
        rate = 0 if code == FUND else TAX_PPM
        tax = (before + amount) * rate // 10**6 - before * rate // 10**6
        self.cash += amount - fee - tax
        self.sold += amount
        self.charged += fee + tax
        self.shares[code] = held - qty
        self.costs[code] -= self.costs[code] * qty // held
        return before, amount

    def holdings(self) -> list[tuple[str, int, int]]:
        return [(code, qty, self.costs[code]) for code, qty in sorted(self.shares.items()) if qty]


@dataclass
class Day:
    """A desk and the ledger beside it."""

    desk: Desk = field(default_factory=Desk)
    ledger: Ledger = field(default_factory=Ledger)
    sums: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.desk.balance(START, (A, SHARES, COST))

    def fills(self, no: str, side: str, code: str, qty: int, price: int) -> None:
        """Fill an order further: one more execution of it."""
        wanted = qty if side == "buy" else min(qty, self.ledger.shares.get(code, 0))
        if wanted == 0:
            return
        self.ledger.fill(no, side, code, wanted, price)
        shares, won = self.sums.get(no, (0, 0))
        self.sums[no] = (shares + wanted, won + wanted * price)
        self.desk.tell(fill(side, wanted, wanted * price, code=code, no=no, cum=self.sums[no]))

    def moves(self, code: str, shares: int, won: int) -> None:
        """The broker's books move by themselves (a dividend, an inflow, stock received): two reads in quiet tell."""
        ledger = self.ledger
        held = ledger.shares.get(code, 0)
        ledger.cash += won
        ledger.adjusted += won
        ledger.shares[code], ledger.costs[code] = held + shares, ledger.costs.get(code, 0) + shares * 100
        self.desk.wait(11)
        self.desk.prove()
        for _ in range(2):
            events = self.desk.balance(ledger.cash, *ledger.holdings())
            if any(event.__class__.__name__ == "PortfolioAdjusted" for event in events) or not self.desk.own.agreeing:
                return
            self.desk.ring("mismatch")
            self.desk.listed()

    def check(self) -> None:
        """Owner, view and ledger say the same; the equation of M1 holds; nothing is below zero."""
        own, ledger, view = self.desk.own, self.ledger, portfolio_view(self.desk.facts)
        assert own.cash_krw == view.cash_krw == view.cash.settled_krw == ledger.cash
        assert own.cash_krw == START + own.sold_krw - own.bought_krw - own.fees_krw - own.taxes_krw + own.adjusted_krw
        assert (own.bought_krw, own.sold_krw, own.adjusted_krw) == (ledger.bought, ledger.sold, ledger.adjusted)
        assert own.fees_krw + own.taxes_krw == view.fees_krw + view.taxes_krw == ledger.charged
        theirs = {code: (qty, cost) for code, qty, cost in ledger.holdings()}
        assert {code: (held.qty, held.cost_krw) for code, held in own.positions.items()} == theirs
        assert {line.code: (line.qty, line.cost_krw) for line in view.positions} == theirs
        assert own.realised_krw == view.realised_krw
        assert all(held.qty > 0 and held.cost_krw >= 0 for held in own.positions.values())
        again: Mind[Own, object] = Mind(PORTFOLIO)
        recover(again, self.desk.facts)
        assert again.own == own


codes = st.sampled_from([A, B, FUND])
executions = st.tuples(
    st.sampled_from(["1", "2", "3", "4"]), st.integers(1, 900), st.one_of(st.integers(1, 900), st.integers(1, 10**6))
)
steps = st.lists(st.one_of(executions, st.tuples(codes, st.integers(0, 50), st.integers(-(10**6), 10**6))), max_size=25)
kinds = st.fixed_dictionaries({no: st.tuples(st.sampled_from(["buy", "sell"]), codes) for no in ("1", "2", "3", "4")})


def play(day: Day, orders: dict[str, tuple[str, str]], history: list[tuple[str, int, int]]) -> None:
    for first, second, third in history:
        if first in orders:
            side, code = orders[first]
            day.fills(first, side, code, second, third)
        else:
            day.moves(first, second, third)
        day.check()


@settings(deadline=None)
@given(kinds, steps)
def test_m1_m2_owner_view_and_ledger_agree_over_any_fills_and_adjustments(
    orders: dict[str, tuple[str, str]], history: list[tuple[str, int, int]]
) -> None:
    play(Day(), orders, history)


@settings(deadline=None)
@given(st.data())
def test_m1_costs_do_not_depend_on_how_fills_are_split_or_ordered(data: st.DataObject) -> None:
    orders = {
        no: (data.draw(st.sampled_from(["buy", "sell"])), code)
        for no, code in zip("12345", (A, A, B, FUND, A), strict=True)
    }
    parts = data.draw(
        st.lists(
            st.tuples(st.sampled_from("12345"), st.integers(1, 90), st.integers(1, 10**6)), min_size=1, max_size=14
        )
    )
    stock = [("9", "buy", code, 2_000, 1_000) for code in (A, B, FUND)]

    def day_of(fills: list[tuple[str, int, int]]) -> Day:
        day = Day()
        for number, (_, side, code, qty, price) in enumerate(stock):
            day.fills(f"9{number}", side, code, qty, price)
        for no, qty, price in fills:
            side, code = orders[no]
            day.fills(no, side, code, qty, price)
        day.check()
        return day

    one, other = day_of(parts), day_of(data.draw(st.permutations(parts)))
    split = day_of([(no, 1, price) for no, qty, price in parts for _ in range(qty)] if len(parts) < 4 else parts)
    for day in (other, split):
        mine, theirs = one.desk.own, day.desk.own
        assert (mine.cash_krw, mine.fees_krw, mine.taxes_krw) == (theirs.cash_krw, theirs.fees_krw, theirs.taxes_krw)
        assert {c: p.qty for c, p in mine.positions.items()} == {c: p.qty for c, p in theirs.positions.items()}
