"""O1 to O12 and M1 to M3 (reliability.md E), asked after every step of a `World`. Each message begins with its name.

The checker folds the log by itself, knows what really reached the broker, and compares both with the look-alike's
ledger; it shares no code with the domain but the words of the events. Rates and tick sizes are the exchange's own.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from kquant.domain.orders.sizing import reserved_krw
from kquant.events.base import Recorded
from kquant.events.day import AlertRaised
from kquant.events.market import TriggerFired
from kquant.events.orders import (
    EntriesHalted,
    EntriesResumed,
    ExternalOrderSeen,
    OrderAccepted,
    OrderBlocked,
    OrderBound,
    OrderExpired,
    OrderFilled,
    OrderFinished,
    OrderFrozen,
    OrderIntended,
    OrderRefused,
    OrderSendStarted,
    OrderUnfrozen,
    OrderUnknown,
)
from kquant.events.pipeline import BuySignalled
from kquant.events.portfolio import (
    PortfolioAdjusted,
    PortfolioOpened,
    PositionChanged,
    PositionClosed,
    PositionOpened,
)
from kquant.exchange.core.rest import Request
from kquant.exchange.core.rules import tick_size

if TYPE_CHECKING:
    from tests.money.world import World

COMMISSION, TAX = Fraction(14, 100_000), Fraction(200, 100_000)
OUTCOMES = OrderAccepted | OrderRefused | OrderUnknown | OrderExpired | OrderBlocked
NEVER_SENT = ("refused", "blocked", "not_placed")


@dataclass
class Life:
    """One intent as the log tells it."""

    fact: Recorded
    started: int = 0
    outcome: Any = None
    number: str = ""
    filled: int = 0
    finished: str = ""
    was_given_up: bool = False
    posts: int = 0

    @property
    def intent(self) -> Any:
        return self.fact.event

    @property
    def is_live(self) -> bool:
        return not self.finished


@dataclass
class Checker:
    """What the log and the wire have said so far."""

    seq: int = 0
    lives: dict[int, Life] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    fills: dict[str, tuple[str, str, int, int]] = field(default_factory=dict)
    """By order number: side, code, cumulative shares and amount."""
    positions: dict[str, int] = field(default_factory=dict)
    externals: dict[str, Any] = field(default_factory=dict)
    start: tuple[int, dict[str, int]] | None = None
    moved: tuple[int, dict[str, int]] = (0, {})
    """What adjustments added to cash and shares."""
    frozen: set[str] = field(default_factory=set)
    doubted: set[str] = field(default_factory=set)
    """Stocks that were frozen at some time; a person may have let them go on."""
    halted: bool = False
    alerts: int = 0
    adjusted: int = 0
    spoken: set[str] = field(default_factory=set)
    """Every invariant that was asked of something."""

    def fork(self) -> Checker:
        """Return a copy that goes its own way."""
        other = copy.copy(self)
        other.lives = {intent: copy.copy(life) for intent, life in self.lives.items()}
        for name in ("numbers", "fills", "positions", "externals"):
            setattr(other, name, dict(getattr(self, name)))
        other.frozen, other.doubted = set(self.frozen), set(self.doubted)
        return other

    def ask(self, holds: bool, name: str, what: object = "") -> None:
        """Demand an invariant."""
        self.spoken.add(name)
        if not holds:
            raise AssertionError(f"{name}: {what}")

    # -- the wire -------------------------------------------------------------------------------------------

    def posted(self, world: World, fact: Recorded, request: Request) -> None:
        """A POST leaves the client: it must be allowed to, and be written down before."""
        if not isinstance(fact.event, OrderIntended):
            return
        intent, body = fact.event, request.body
        self._fold(world)  # what is durable by now
        life = self.lives.get(intent.intent)
        self.ask(life is not None and life.started == 1, "O1", f"intent {intent.intent} is sent before it is durable")
        assert life is not None
        life.posts += 1
        self.ask(life.posts == 1, "O2", f"intent {intent.intent} is posted {life.posts} times")
        self.ask(life.outcome is None, "O2", f"intent {intent.intent} is posted though it ended")
        self.ask(str(body.get("ORD_QTY")) in (str(intent.qty), "0"), "O1", f"{body} is not what was intended")
        if intent.side == "buy":
            self.ask(not world.halted, "O8", "a buy leaves while entries are halted")
            hours = world.clock.now()
            self.ask(hours < intent.valid_until + 1, "O8", "a buy leaves after it was valid")

    # -- the log --------------------------------------------------------------------------------------------

    def look(self, world: World) -> None:
        """Take what is new in the log, and compare everything with the ledger."""
        self._fold(world)
        self._exchange(world)
        self._money(world)

    def _fold(self, world: World) -> None:
        while facts := world.journal.read(self.seq):  # type: ignore[arg-type]
            for fact in facts:
                self._learn(world, fact)
            self.seq = facts[-1].seq

    def _learn(self, world: World, fact: Recorded) -> None:
        match fact.event:
            case OrderIntended():
                self._intended(world, fact, fact.event)
            case OrderSendStarted(intent=intent):
                life = self.lives[intent]
                life.started += 1
                self.ask(life.started == 1 and life.outcome is None, "O2", f"intent {intent} is begun twice")
            case OrderAccepted() | OrderRefused() | OrderUnknown() | OrderExpired() | OrderBlocked():
                self._outcome(world, fact.event)
            case OrderBound(intent=intent, order_no=number):
                self._bound(world, intent, number)
            case OrderFilled():
                self._filled(world, fact.event)
            case OrderFinished():
                self._finished(world, fact.event)
            case ExternalOrderSeen(order_no=number):
                self.ask(number not in self.numbers, "O7", f"order {number} is ours and called another's")
                self.ask(int(number) not in world.truth, "O7", f"order {number} is ours and called another's")
                self.externals[number] = fact.event
                if fact.event.filled_qty:
                    self.fills[number] = ("before", "", 0, 0)
            case _:
                self._rest(fact)

    def _rest(self, fact: Recorded) -> None:
        match fact.event:
            case PortfolioOpened(cash_krw=cash):
                self.start = (cash, {})
            case PositionOpened(code=code, qty=qty, carried=carried):
                self.positions[code] = qty
                if self.start is not None and carried:
                    self.start[1][code] = qty
            case PositionChanged(code=code, qty=qty):
                self.positions[code] = qty
            case PositionClosed(code=code):
                self.positions.pop(code, None)
            case PortfolioAdjusted(differences=differences):
                self.adjusted += 1
                shares = dict(self.moved[1])
                cash = self.moved[0]
                for one in differences:
                    if one.what == "cash":
                        cash += one.theirs - one.ours
                    else:
                        shares[one.what] = shares.get(one.what, 0) + one.theirs - one.ours
                self.moved = (cash, shares)
            case EntriesHalted():
                self.halted = True
            case EntriesResumed():
                self.halted = False
            case OrderFrozen(code=code):
                self.frozen.add(code)
                self.doubted.add(code)
            case OrderUnfrozen(code=code):
                self.frozen.discard(code)
            case AlertRaised():
                self.alerts += 1
            case _:
                pass

    def _intended(self, world: World, fact: Recorded, event: OrderIntended) -> None:
        self.ask(event.intent == len(self.lives) + 1, "O2", f"intent {event.intent} is not the next number")
        same = [
            life for life in self.lives.values()
            if life.is_live and (life.intent.code, life.intent.side) == (event.code, event.side)
        ]  # fmt: skip
        chain, replaced = set(), event.replaces
        while replaced is not None:
            chain.add(replaced)
            replaced = self.lives[replaced].intent.replaces
        others = [life for life in same if life.intent.intent not in chain]
        self.ask(not others, "O3", f"{event.side} {event.code}: another order of it lives or may live")
        self.ask(event.qty > 0, "O10", f"{event.qty} shares")
        self._traced(world, fact, event)
        self.lives[event.intent] = Life(fact)
        if event.side == "sell":
            self._sell(world, event)
        else:
            self._buy(world, event)

    def _traced(self, world: World, fact: Recorded, event: OrderIntended) -> None:
        self.ask(fact.caused_by is not None and 0 < event.decision <= fact.caused_by, "O12", "no decision before it")
        [decision] = world.journal.read(event.decision - 1, 1)  # type: ignore[arg-type]
        if event.reason == "signal":
            fits = isinstance(decision.event, BuySignalled) and decision.event.code == event.code
            self.ask(fits, "O12", f"a buy rests on {decision.name}")
        elif event.reason in ("stop", "target", "trailing") and isinstance(decision.event, TriggerFired):
            self.ask(decision.event.code == event.code, "O12", f"a sell rests on {decision.event.code}'s trigger")
        self.ask(decision.stream != "orders" or event.reason != "signal", "O12", "an order rests on itself")

    def _sell(self, world: World, event: OrderIntended) -> None:
        tied = sum(
            order.leaves for order in world.broker.open_orders("hand")
            if order.side == "sell" and order.code == event.code and str(order.no) in self.externals
        )  # fmt: skip
        held = self.positions.get(event.code, 0)
        # What outside orders did since the last listing nobody can know: the broker bounds that.
        self.ask(0 < event.qty <= held, "O9", f"{event.qty} of {event.code} offered, {held} held")
        if not world.broker.open_orders("hand"):
            self.ask(event.qty + tied <= held, "O9", f"{event.qty} offered and {tied} tied of {held}")

    def _buy(self, world: World, event: OrderIntended) -> None:
        self.ask(not self.halted, "O8", "a buy is intended while entries are halted")
        self.ask(event.code not in self.frozen, "O8", f"a buy of {event.code}, which is frozen")
        unsure = [
            life for life in self.lives.values()
            if life.is_live and isinstance(life.outcome, OrderUnknown) and not life.number
            and life.intent.code == event.code
        ]  # fmt: skip
        self.ask(not unsure, "O8", f"a buy of {event.code}, of which an order may have been placed")
        hours = world.clock.now()
        self.ask(world.seen.hours.open_at <= hours < world.seen.hours.closing_auction_at, "O8", "out of hours")
        risk, stock = world.settings.risk, world.broker.market.by_code[event.code]
        if event.kind == "limit":
            self.ask(event.price % tick_size(event.price, stock.kind) == 0, "O10", f"{event.price} is off the grid")
            self.ask(stock.lower <= event.price <= stock.upper, "O10", f"{event.price} is out of the day's limits")
        price = event.price or stock.upper
        self.ask(event.qty * price <= risk.max_order_krw * (1 if event.price else 2), "O10", "the order is too large")
        buys = [life for life in self.lives.values() if life.intent.side == "buy"]
        self.ask(len(self.lives) <= risk.max_orders_per_day, "O11", f"{len(self.lives)} orders today")
        spent = sum(life.intent.qty * life.intent.price for life in buys if life.is_live or life.filled)
        self.ask(spent <= risk.max_day_buy_krw + risk.max_order_krw, "O11", f"buys of {spent} won today")
        cash = world.portfolio.cash_krw
        self.ask(event.reserved_krw <= cash, "M1", f"{event.reserved_krw} set aside of {cash}")
        least = event.qty * event.price + _floor(event.qty * event.price * COMMISSION)
        self.ask(event.reserved_krw >= least, "M1", f"{event.reserved_krw} does not cover {least}")

    def _outcome(self, world: World, event: OUTCOMES) -> None:
        life = self.lives[event.intent]
        self.ask(life.outcome is None, "O2", f"intent {event.intent} has two outcomes")
        life.outcome = event
        placed = [no for no, intent in world.truth.items() if intent == event.intent]
        if isinstance(event, OrderRefused | OrderExpired | OrderBlocked):
            self.ask(not placed, "O4", f"intent {event.intent} is said not to be placed, and is order {placed}")
        if isinstance(event, OrderExpired | OrderBlocked):
            self.ask(life.posts == 0, "O2", f"intent {event.intent} was posted and is said never to have been sent")

    def _bound(self, world: World, intent: int, number: str) -> None:
        life = self.lives[intent]
        self.ask(self.numbers.get(number, intent) == intent, "O7", f"order {number} is bound twice")
        self.ask(not life.number, "O7", f"intent {intent} is bound to {life.number} and to {number}")
        self.ask(
            world.truth.get(int(number)) == intent, "O7", f"intent {intent} is bound to order {number}, not its own"
        )
        if life.finished:
            self.ask(life.finished == "not_placed", "O4", f"intent {intent} is {life.finished} and comes back")
            life.finished, life.was_given_up = "", True
        self.numbers[number], life.number = intent, number

    def _filled(self, world: World, event: OrderFilled) -> None:
        _side, _code, before, amount = self.fills.get(event.order_no, (event.side, event.code, 0, 0))
        if event.intent is None and event.order_no not in self.fills:
            known = self.externals[event.order_no]
            before, amount = known.filled_qty, known.filled_amount_krw
        self.ask(event.qty > 0 and event.filled_qty == before + event.qty, "O6", f"order {event.order_no} goes back")
        self.ask(event.filled_amount_krw == amount + event.amount_krw, "O6", f"order {event.order_no}'s amount jumps")
        theirs = world.broker.ledger.orders[int(event.order_no)]
        self.ask(event.filled_qty <= theirs.filled, "O6", f"order {event.order_no} has more than the broker filled")
        if event.intent is not None:
            life = self.lives[event.intent]
            self.ask(event.order_no == life.number, "O7", f"a fill of order {event.order_no} for {life.number}")
            self.ask(event.filled_qty <= life.intent.qty, "O5", f"intent {event.intent} is filled beyond its quantity")
            self.ask(life.is_live or life.was_given_up, "O4", f"intent {event.intent} is {life.finished} and fills")
            life.filled = event.filled_qty
        self.fills[event.order_no] = (event.side, event.code, event.filled_qty, event.filled_amount_krw)

    def _finished(self, world: World, event: OrderFinished) -> None:
        life = self.lives[event.intent]
        self.ask(life.is_live, "O4", f"intent {event.intent} ends twice")
        life.finished = event.outcome
        self.ask(event.filled_qty == life.filled, "O5", f"intent {event.intent} ends with other fills than it had")
        if event.outcome in NEVER_SENT and not life.number:
            self.ask(life.filled == 0, "O5", f"intent {event.intent} is {event.outcome} and filled")
        if event.outcome in ("cancelled", "filled", "replaced"):
            self.ask(bool(life.number), "O4", f"intent {event.intent} is {event.outcome} and was never bound")
            theirs = world.broker.ledger.orders[int(life.number)]
            self.ask(theirs.leaves == 0, "O4", f"intent {event.intent} is {event.outcome}, the broker has it open")
            self.ask(theirs.filled == life.filled, "O5", f"intent {event.intent} ends before all its fills")

    # -- the ledger -----------------------------------------------------------------------------------------

    def _exchange(self, world: World) -> None:
        """What stands at the broker, whatever the log says."""
        counted: dict[tuple[str, str], int] = {}
        for order in world.broker.open_orders():
            key = (order.code, order.side)
            counted[key] = counted.get(key, 0) + (order.due == 0 or order.request == "new")
            self.ask(order.no in world.truth, "O7", f"order {order.no} at the broker comes from nowhere")
        given_up = any(life.was_given_up or life.finished == "not_placed" for life in self.lives.values())
        self.ask(given_up or all(count <= 1 for count in counted.values()), "O3", f"open at the broker: {counted}")
        intents = list(world.truth.values())
        self.ask(len(intents) == len(set(intents)), "O2", f"one intent became two orders: {world.truth}")
        self.ask(world.broker.ledger.available_cash() >= 0, "M1", "the broker has less cash than is set aside")

    def _money(self, world: World) -> None:
        """Cash and shares by the log's fills, in fractions floored to the won an order, against portfolio's."""
        if self.start is None or not world.portfolio.is_open:
            return
        cash, shares = self.start[0] + self.moved[0], {**self.start[1]}
        for code, qty in self.moved[1].items():
            shares[code] = shares.get(code, 0) + qty
        if self.adjusted:
            # Only what the list did not show for too long, or what others did, may ever be taken over from a balance.
            cause = self.externals or any(
                life.was_given_up or life.finished == "not_placed" for life in self.lives.values()
            )
            self.ask(bool(cause), "M2", "a balance was taken over though every fill was ours and listed")
        for side, code, qty, amount in self.fills.values():
            if side == "before":
                continue
            fund = world.broker.market.by_code[code].etp
            tax = TAX if side == "sell" and not fund else Fraction(0)
            sign = 1 if side == "sell" else -1
            cash += sign * amount - _floor(amount * COMMISSION) - _floor(amount * tax)
            shares[code] = shares.get(code, 0) - sign * qty
        if not self.adjusted:
            self.ask(
                world.portfolio.cash_krw == cash, "M1", f"cash is {world.portfolio.cash_krw}, the fills make {cash}"
            )
            held = {code: one.qty for code, one in world.portfolio.positions.items()}
            made = {code: qty for code, qty in shares.items() if qty}
            self.ask(held == made, "M2", f"positions are {held}, the fills make {made}")
        self.ask(all(one.qty > 0 for one in world.portfolio.positions.values()), "M2", "a position below one share")
        reserved = reserved_krw(world.orders, world.seen)
        self.ask(reserved >= 0, "M1", f"{reserved} won are set aside")
        self.ask(world.portfolio.cash_krw >= 0, "M1", f"cash is {world.portfolio.cash_krw}")

    # -- quiescence -----------------------------------------------------------------------------------------

    def at_rest(self, world: World) -> None:
        """Faults are off and everything was answered: both sides must hold the same."""
        ledger = world.broker.ledger
        for order in world.broker.orders():
            number = str(order.no)
            if order.channel == "hand":
                self.ask(number in self.externals, "O7", f"order {number}, placed by hand, is not known")
            else:
                self.ask(self.numbers.get(number) == world.truth[order.no], "O7", f"order {number} is nobody's")
                life = self.lives[world.truth[order.no]]
                self.ask(life.filled == order.filled, "O6", f"order {number}: {life.filled} of {order.filled} known")
                self.ask(
                    life.is_live == (order.leaves > 0), "O5", f"order {number} is {life.finished}, open {order.leaves}"
                )
        for intent, life in self.lives.items():
            unsure = life.is_live and not life.number
            self.ask(not unsure, "V1", f"intent {intent} is still unresolved")
            if life.finished == "not_placed" and not self._was_too_late(life):
                self.ask(
                    life.intent.code in self.doubted, "O8", f"intent {intent} was given up, its stock is not frozen"
                )
                self.ask(self.alerts > 0, "V1", f"intent {intent} was given up and nobody was told")
        self.ask(
            world.portfolio.cash_krw == ledger.cash.d2, "M1", f"{world.portfolio.cash_krw}, ledger {ledger.cash.d2}"
        )
        held = {code: one.qty for code, one in world.portfolio.positions.items()}
        self.ask(held == world.broker.holdings(), "M2", f"{held}, ledger {world.broker.holdings()}")

    def _was_too_late(self, life: Life) -> bool:
        """Whether it was to replace an order that had filled whole: then it provably took nothing over."""
        before = self.lives.get(life.intent.replaces)
        return before is not None and before.finished == "filled"


def _floor(value: Fraction) -> int:
    return value.numerator // value.denominator
