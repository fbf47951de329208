"""Orders and portfolio against a naive broker: any interleaving of fills, lost answers, notices, races and faults."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import structs

from kquant.domain.orders.chain import heir
from kquant.domain.orders.seen import Seen, observe
from kquant.domain.orders.sizing import reserved_krw
from kquant.events.day import HaltOrdered, ResumeOrdered
from kquant.events.orders import (
    EntriesHalted,
    EntriesResumed,
    Execution,
    ExecutionsListed,
    ExternalOrderSeen,
    OrderBound,
    OrderFilled,
    OrderFinished,
    OrderIntended,
    OrderResized,
    OrderSendStarted,
)
from kquant.events.portfolio import (
    CashMoved,
    DayReconciled,
    PortfolioAdjusted,
    PortfolioOpened,
    PositionChanged,
    PositionClosed,
    PositionOpened,
)
from kquant.krx import tick_size
from tests.orders.lives import lives
from tests.orders.orders_world import CODES, FUND, Broker, World, kst, with_settings

START_CASH = 30_000_000
codes = st.sampled_from(CODES)
prices = st.integers(950, 1_050).map(lambda ten: ten * 10)


class OrdersAgainstABroker(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.checked = 0
        self.positions: dict[str, int] = {}
        self.sent: dict[int, int] = {}
        self.filled: dict[int, int] = {}
        self.intents: dict[int, OrderIntended] = {}
        self.bound: set[int] = set()
        self.sizes: dict[int, int] = {}
        self.rows: tuple[Execution, ...] = ()
        self.outside: set[str] = set()
        self.is_halted = False
        self.cash: int | None = None
        self.has_adjusted = False

    @initialize(holding=st.booleans(), unfilled=st.sampled_from(["cancel", "replace"]), confirm=st.booleans())
    def open_the_day(self, holding: bool, unfilled: str, confirm: bool) -> None:
        shares = {CODES[0]: (50, 500_000)} if holding else {}
        settings = with_settings(
            lambda s: {"risk": structs.replace(s.risk, unfilled=unfilled, confirm_price=confirm, repeat_seconds=0)}
        )
        self.world = World(Broker(cash=START_CASH, shares=shares), settings=settings)
        self.world.until("09:00:30")

    # -- what may happen ----------------------------------------------------------------------------------------

    @rule(
        code=codes,
        ask=prices,
        outcome=st.sampled_from(["accept", "accept", "refuse", "expire", "unknown", "lost", "late"]),
    )
    def signal(self, code: str, ask: int, outcome: str) -> None:
        self.world.broker.outcomes = [outcome]
        self.world.signal(code, last=ask, ask=ask)

    @precondition(lambda self: any(ticket.leaves and ticket.side == "buy" for ticket in self.world.broker.tickets))
    @rule(
        ticks=st.integers(-8, 8),
        outcome=st.sampled_from(["accept", "accept", "refuse", "expire", "unknown", "lost", "late"]),
        race=st.sampled_from([0, 0, 3, 10**6]),
    )
    def a_buy_rests_too_long(self, ticks: int, outcome: str, race: int) -> None:
        """The price has moved; where the buy is replaced, so many shares fill first."""
        broker = self.world.broker
        for ticket in broker.tickets:
            if ticket.leaves and ticket.side == "buy":
                ask = ticket.price + ticks * 10
                broker.prices[ticket.code] = (ask, ask)
        broker.outcomes, broker.race = [outcome], race
        self.world.pass_time(31)
        broker.race = 0

    @rule(pick=st.integers(0, 50), qty=st.integers(1, 2_000), price=prices, tells=st.integers(0, 2))
    def fill(self, pick: int, qty: int, price: int, tells: int) -> None:
        """The broker fills part of an order; its notice comes once, twice or never."""
        alive = [ticket for ticket in self.world.broker.tickets if ticket.leaves]
        if alive:
            ticket = alive[pick % len(alive)]
            self.world.broker.fill(ticket, qty, min(price, ticket.price or price))
            for _ in range(tells):
                self.world.notice(ticket.no)

    @rule(
        pick=st.integers(0, 50),
        price=prices,
        outcome=st.sampled_from(["accept", "accept", "refuse", "unknown", "lost"]),
    )
    def trigger(self, pick: int, price: int, outcome: str) -> None:
        armed = [(code, one) for code, those in sorted(self.world.own.armed.items()) for one in those]
        if armed:
            code, one = armed[pick % len(armed)]
            self.world.broker.outcomes = [outcome]
            self.world.fire(_with_code(one, code), price)

    @rule(seconds=st.sampled_from([1, 3, 10, 31, 70]))
    def time_passes(self, seconds: int) -> None:
        self.world.pass_time(seconds)

    @rule(outcomes=st.lists(st.sampled_from(["accept", "refuse", "lost", "unknown"]), max_size=2))
    def cancels_will_be(self, outcomes: list[str]) -> None:
        self.world.broker.cancels = outcomes

    @rule(fails=st.booleans())
    def reads_fail(self, fails: bool) -> None:
        self.world.broker.reads_fail = fails

    @rule()
    def the_list_catches_up(self) -> None:
        self.world.broker.hidden.clear()

    @rule(code=codes, qty=st.integers(1, 20), side=st.sampled_from(["buy", "sell"]))
    def somebody_else_trades(self, code: str, qty: int, side: str) -> None:
        broker = self.world.broker
        if side == "sell" and broker.sellable(code) < qty:
            return
        ticket = broker.place(code, side, "limit", qty, 10_000, self.world.clock.now())
        broker.fill(ticket, qty // 2, 10_000)
        self.world.notice(ticket.no)

    @rule()
    def a_run_starts(self) -> None:
        self.world.pipeline()

    @rule(halted=st.booleans())
    def the_operator_speaks(self, halted: bool) -> None:
        said = HaltOrdered if halted else ResumeOrdered
        self.world.say("operator", said(who="kim", reason="drill"))

    # -- what must hold -----------------------------------------------------------------------------------------

    @precondition(lambda self: hasattr(self, "world"))
    @invariant()
    def every_new_fact_keeps_the_rules(self) -> None:
        for fact in self.world.journal.read(self.checked, 1_000_000):
            self.checked = fact.seq
            self._check(fact.event)
        own, portfolio = self.world.own, self.world.portfolio
        live = [
            (order.code, order.side) for order in own.live_orders() if not order.is_late and heir(own, order) is None
        ]
        assert len(live) == len(set(live)), "O3: one live or unknown order of a stock and side, replacements a chain"
        assert len(set(own.by_number.values())) == len(own.by_number), "O7: an order number is one intent"
        assert not set(own.by_number) & set(own.externals), "O7: ours or external, never both"
        assert all(held.qty > 0 for held in portfolio.positions.values()), "M2"
        if portfolio.cash_krw is not None:
            costs = portfolio.fees_krw + portfolio.taxes_krw
            flow = portfolio.sold_krw - portfolio.bought_krw - costs + portfolio.adjusted_krw
            assert portfolio.cash_krw == portfolio.start_krw + flow, "M1"

    def _check(self, event: object) -> None:
        match event:
            case OrderIntended():
                self._check_intent(event)
            case OrderSendStarted(intent=intent):
                assert intent in self.intents, "O1: written down before it is sent"
                self.sent[intent] = self.sent.get(intent, 0) + 1
                assert self.sent[intent] == 1, "O2: sent at most once"
            case ExecutionsListed(rows=rows):
                self.rows = rows
            case ExternalOrderSeen(order_no=number):
                self.outside.add(number)
            case OrderBound(intent=intent):
                self.bound.add(intent)
            case OrderFilled(intent=int() as intent, qty=qty, filled_qty=cumulative):
                self.filled[intent] = self.filled.get(intent, 0) + qty
                assert qty > 0, "O6: fills only grow"
                assert self.filled[intent] == cumulative <= self.sizes[intent], "O5"
                self._check_chain(intent)
            case OrderResized(intent=intent, qty=qty):
                assert self.filled.get(intent, 0) <= qty < self.sizes[intent], "O5"
                self.sizes[intent] = qty
            case OrderFinished(intent=intent, outcome=outcome, filled_qty=done):
                assert done == self.filled.get(intent, 0)
                assert (outcome == "filled") == (done == self.sizes[intent]), "O4"
                assert outcome not in ("refused", "blocked", "not_placed") or done == 0, "O4"
                assert outcome != "replaced" or intent in {one.replaces for one in self.intents.values()}, "O4"
                # A working order that filled in part expires with the session; one that was never bound cannot.
                assert outcome != "expired" or done == 0 or intent in self.bound, "O4"
            case PositionOpened(code=code, qty=qty) | PositionChanged(code=code, qty=qty):
                self.positions[code] = qty
            case PositionClosed(code=code):
                del self.positions[code]
            case PortfolioOpened(cash_krw=cash) | CashMoved(cash_krw=cash):
                self.cash = cash
            case PortfolioAdjusted(cash_krw=cash):
                self.cash, self.has_adjusted = cash, True
            case EntriesHalted():
                self.is_halted = True
            case EntriesResumed():
                self.is_halted = False

    def _check_chain(self, intent: int) -> None:
        """O5 over the chain: all its orders together never fill more than the first was for."""
        chain = {number for number, one in self.intents.items() if one.decision == self.intents[intent].decision}
        assert sum(self.filled.get(number, 0) for number in chain) <= self.intents[min(chain)].qty, "O5"

    def _check_intent(self, intent: OrderIntended) -> None:
        assert intent.intent == len(self.intents) + 1
        self.intents[intent.intent] = intent
        self.sizes[intent.intent] = intent.qty
        assert intent.qty > 0, "O10"
        if intent.side == "sell":
            tied = sum(
                row.leaves_qty
                for row in self.rows
                if row.order_no in self.outside and (row.code, row.side) == (intent.code, "sell")
            )
            assert intent.qty == self.positions[intent.code] - tied, "O9: all that outside sells leave, no more"
            return
        risk, krx = self.world.settings.risk, self.world.settings.krx
        ticks = krx.fund_ticks if intent.code == FUND else krx.ticks
        assert not self.is_halted, "O8"
        assert intent.code not in self.positions or intent.replaces is not None
        if intent.replaces is not None:
            left = self.sizes[intent.replaces] - self.filled.get(intent.replaces, 0)
            assert intent.qty == left, "O5: what is left, no more"
        assert intent.code not in self.world.own.frozen or intent.intent in self.world.own.live
        assert intent.price % tick_size(intent.price, ticks) == 0, "O10: on the tick grid"
        assert intent.price <= 13_000, "O10: inside the day's limit"
        assert intent.qty * intent.price <= risk.max_order_krw, "O11"
        assert self.cash is not None
        assert intent.reserved_krw <= self.cash, "M1: never on margin"
        assert len(self.intents) <= risk.max_orders_per_day or intent.side == "sell", "O11"

    @precondition(lambda self: hasattr(self, "world"))
    @invariant()
    def reservations_never_fall_below_zero(self) -> None:
        seen = Seen()
        for fact in self.world.facts():
            if fact.stream != "orders":
                seen = observe(seen, fact)
        assert reserved_krw(self.world.own, seen) >= 0

    def teardown(self) -> None:
        """Faults off: everything is resolved, books and broker agree to the won, and recovery equals live."""
        if not hasattr(self, "world"):
            return
        world, broker = self.world, self.world.broker
        broker.reads_fail, broker.outcomes, broker.cancels = False, [], []
        broker.hidden.clear()
        world.notice()
        for run in range(3):
            world.pass_time(400)
            world.pipeline(run + 2)
        world.pass_time(60)
        assert not [order for order in world.own.live_orders() if order.state == "intended"], "V1"
        assert not [order for order in world.own.live_orders() if order.side == "buy"], "V1"
        for ticket in broker.tickets:
            known = world.own.by_number.get(ticket.no)
            if known is not None:
                assert world.own.orders[known].filled_qty == ticket.filled
        world.clock.set(max(world.clock.now(), kst("15:29:00")))  # the afternoon passes unwatched
        world.until("15:30:00")
        world.job("session_closed")
        world.pass_time(180)
        self.every_new_fact_keeps_the_rules()
        assert world.own.live == ()
        assert world.portfolio.cash_krw == broker.cash
        theirs = {code: qty for code, (qty, _) in broker.shares.items() if qty}
        assert {code: held.qty for code, held in world.portfolio.positions.items()} == theirs
        assert world.last(DayReconciled).agrees, "M3"
        world.assert_recovers()
        lives(world.facts())  # O4: every step is one of the table's


def _with_code(armed: object, code: str) -> object:
    class Named:
        trigger = armed.trigger  # type: ignore[attr-defined]

    Named.code = code  # type: ignore[attr-defined]
    return Named


OrdersAgainstABroker.TestCase.settings = settings(
    max_examples=80, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestOrdersAgainstABroker = OrdersAgainstABroker.TestCase
