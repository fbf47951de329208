"""Orders and portfolio under everything at once, by Hypothesis: O1 to O12 and M1 to M3 against the look-alike's ledger.

Three stocks, a fund among them, buys with and without confirmed prices, replacements, partial fills, exits, orders placed
by hand, lagging lists, a slow exchange, halts, and crashes. Every step is checked (`checks.Checker`); after the last one
faults end, both sides must hold the same, and the day must end reconciled to the won.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from kquant.events.orders import QuoteWanted
from kquant.exchange.core.books import Order
from tests.money.client import Reply, refusal
from tests.money.explore import close_day, settle_down
from tests.money.world import BASE, World, fresh, rules

CODES = ("000100", "000200", "069500")
FUND = "069500"
HTML = Reply(500, b"<html>Internal Server Error</html>")
codes = st.sampled_from(CODES)
fates = st.sampled_from(
    ["deliver"] * 5
    + [
        "pending",
        "pending",
        "lost",
        "answer lost",
        "delayed",
        HTML,
        refusal("EGW00201", status=500),
        refusal("APBK0919"),
    ]
)
answers = st.sampled_from(["answer"] * 6 + ["fail", "stale", HTML])
places = st.integers(0, 3)


class Money(RuleBasedStateMachine):
    """Drives one world. What waits there is moved on by rules, well or badly."""

    world: World

    @initialize(
        shares=st.integers(0, 40),
        unfilled=st.sampled_from(["cancel", "replace"]),
        confirm=st.booleans(),
        kind=st.sampled_from(["limit", "limit", "market"]),
        lag=st.sampled_from([0, 0, 0, 2, 5]),
        latency=st.sampled_from([0, 0, 0, 2]),
        cash=st.sampled_from([3_000_000, 100_000_000]),
    )
    def begin(self, shares: int, unfilled: Any, confirm: bool, kind: Any, lag: int, latency: int, cash: int) -> None:
        self.by_hand: list[Order] = []
        self.world = fresh(
            CODES,
            funds=(FUND,),
            cash=cash,
            shares={"000100": (shares, shares * BASE)} if shares else {},
            settings=rules(
                unfilled=unfilled, max_replaces=2, confirm_price=confirm, entry_kind=kind, unknown_listings=4,
                unknown_seconds=20, min_order_krw=10_000,
            ),
            list_lag_s=lag,
            latency_s=latency,
        )  # fmt: skip

    # -- what is decided on ---------------------------------------------------------------------------------

    @rule(code=codes, ticks=st.integers(-3, 3))
    def a_stock_is_wanted(self, code: str, ticks: int) -> None:
        self.world.signal(code, last=self.world.broker.market.stats(code, 0).last + 5 * ticks)

    @rule(code=codes, ticks=st.integers(-30, 30), qty=st.integers(1, 40))
    def the_market_trades(self, code: str, ticks: int, qty: int) -> None:
        last = self.world.broker.market.stats(code, 0).last
        self.world.broker.trade(code, min(max(last + 10 * ticks, 9_000), 11_500), qty)
        self.world.settle()

    @precondition(lambda self: self.world.armed())
    @rule(place=places)
    def a_trigger_fires(self, place: int) -> None:
        armed = self.world.armed()
        code, one = armed[place % len(armed)]
        self.world.fire(code, one.trigger, one.price)

    @rule()
    def portfolio_is_synchronised(self) -> None:
        self.world.pipeline()

    @rule(code=codes, fate=fates)
    def a_stock_is_bought(self, code: str, fate: Any) -> None:
        """It is wanted, its price confirmed where it is to be, and the order leaves."""
        world = self.world
        before = len(world.outgoing)
        world.signal(code)
        for read in world.reads:
            if isinstance(read.fact.event, QuoteWanted):
                world.read(read)
        if len(world.outgoing) > before:
            world.send(world.outgoing[-1], fate)

    @rule(fate=fates)
    def a_buy_has_rested_long_enough(self, fate: Any) -> None:
        """Its cancel leaves, or its replacement at another price."""
        world = self.world
        for code in CODES:
            world.broker.trade(code, world.broker.market.stats(code, 0).last + 10, 1)
        for _ in range(4):
            if world.outgoing or not world.orders.live:
                break
            world.wait(4)
            world.serve_reads()
        if world.outgoing:
            world.send(world.outgoing[-1], fate)

    @precondition(lambda self: not self.world.halted)
    @rule(chance=st.integers(0, 4))
    def entries_are_halted(self, chance: int) -> None:
        if chance == 0:
            self.world.halt()

    @precondition(lambda self: self.world.halted)
    @rule()
    def entries_go_on(self) -> None:
        self.world.resume()

    # -- what happens on the way ----------------------------------------------------------------------------

    @precondition(lambda self: self.world.outgoing)
    @rule(place=places, fate=fates)
    def a_request_leaves(self, place: int, fate: Any) -> None:
        self.world.send(self.world.outgoing[place % len(self.world.outgoing)], fate)

    @precondition(lambda self: self.world.flights)
    @rule(place=places, lost=st.booleans())
    def an_answer_comes_or_never_does(self, place: int, lost: bool) -> None:
        flight = self.world.flights[place % len(self.world.flights)]
        (self.world.drop if lost else self.world.deliver)(flight)

    @precondition(lambda self: self.world.delayed)
    @rule()
    def a_late_request_arrives(self) -> None:
        self.world.arrive(self.world.delayed[0])

    @precondition(lambda self: self.world.reads)
    @rule(place=places, fate=answers)
    def a_read_is_answered(self, place: int, fate: Any) -> None:
        read = self.world.reads[place % len(self.world.reads)]
        self.world.read(read, "answer" if fate == "stale" and read.then is not None else fate)

    @precondition(lambda self: self.world.broker.notices)
    @rule(place=places, how=st.sampled_from(["come", "come", "come again", "lost"]))
    def a_notice(self, place: int, how: str) -> None:
        notices = self.world.broker.notices
        if how == "lost":
            del notices[place % len(notices)]
        else:
            self.world.notice(place % len(notices), keep=how == "come again")

    # -- what the market and others do ----------------------------------------------------------------------

    @precondition(lambda self: self.world.broker.open_orders())
    @rule(place=places, part=st.integers(1, 4))
    def an_order_fills(self, place: int, part: int) -> None:
        orders = self.world.broker.open_orders()
        order = orders[place % len(orders)]
        self.world.broker.fill(order.no, max(order.leaves // part, 1))
        self.world.settle()

    @rule(code=codes, side=st.sampled_from(["buy", "sell"]), price=st.sampled_from([9_000, 9_980, 10_150, 11_900]))
    def somebody_places_an_order_by_hand(self, code: str, side: Any, price: int) -> None:
        broker = self.world.broker
        placed = broker.desk.place(side, code, 7, price, "00", broker.second, channel="hand")
        if isinstance(placed, Order):
            self.by_hand.append(placed)

    @precondition(lambda self: self.by_hand)
    @rule(place=places, how=st.sampled_from(["part", "all", "cancelled"]))
    def an_order_placed_by_hand_moves(self, place: int, how: str) -> None:
        broker = self.world.broker
        order = broker.ledger.orders[self.by_hand[place % len(self.by_hand)].no]
        if how == "cancelled":
            broker.desk.cancel(order.no, None, broker.second)
        elif order.leaves:
            broker.fill(order.no, 3 if how == "part" else order.leaves)
        self.world.settle()

    # -- time -----------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 2, 3, 5, 10, 20]))
    def time_passes(self, seconds: int) -> None:
        self.world.wait(seconds)

    @precondition(lambda self: self.world.next_alarm() is not None)
    @rule()
    def an_alarm_rings(self) -> None:
        self.world.ring()

    @rule()
    def all_goes_well_for_a_while(self) -> None:
        self.world.serve()
        self.world.wait(4, serving=True)

    @rule()
    def the_client_crashes(self) -> None:
        self.world.crash()

    def teardown(self) -> None:
        """Faults off: everything is resolved, both sides agree to the won, and the day is reconciled."""
        if not hasattr(self, "world"):
            return
        settle_down(self.world)
        self.world.notice_again()
        settle_down(self.world)
        self.world.checks.at_rest(self.world)
        close_day(self.world)
        self.world.crash()


Money.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestMoney = Money.TestCase
