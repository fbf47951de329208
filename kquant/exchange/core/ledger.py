"""The broker's books: cash, positions, orders and fills of one account on one trading day.

Pure: no clock, no I/O. Every change is remembered in `Changes` until `take_changes` hands it to a store, which
must be durable before anybody is told. Amounts are won, quantities shares, times KST seconds of the day.
Source: kis-protocol.md 4.5, 4.6, 5.5.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Final

from kquant.exchange.core.books import (
    Cash,
    Changes,
    Fill,
    LedgerState,
    Order,
    OrderRequest,
    Position,
    Refusal,
    Shortage,
    Side,
)
from kquant.exchange.core.rules import CostRates, cost_rates

__all__ = ["Cash", "Changes", "Fill", "Ledger", "LedgerState", "Order", "Position", "Refusal", "Shortage", "Side"]

FIRST_NO: Final = 1_001
"""The first order number of a day."""
DAYS_LISTED_EMPTY: Final = 2
"""A position stays listed for this many days after its last share was sold."""


class Ledger:
    """The account's books. Callers check prices and hours; the ledger checks cash and shares."""

    def __init__(self, state: LedgerState, rates: CostRates, day: dt.date | None = None) -> None:
        self.cash = state.cash
        self.rates = rates
        self.day = day
        self.orders: dict[int, Order] = {order.no: order for order in state.orders}
        self.fills: list[Fill] = list(state.fills)
        self.positions: dict[str, Position] = {
            position.code: position for position in state.positions if position.days_empty <= DAYS_LISTED_EMPTY
        }
        self.past: list[Order] = list(state.past)
        self.open: dict[str, dict[int, Order]] = {}
        """By code: new and revised orders with shares open, those on their way to the exchange included."""
        self.underway: dict[int, Order] = {}
        """Revise and cancel requests that have not taken effect yet."""
        for order in self.orders.values():
            if order.due and order.request != "new":
                self.underway[order.no] = order
            elif order.leaves > 0:
                self.open.setdefault(order.code, {})[order.no] = order
        self._last_no = max(self.orders, default=FIRST_NO - 1)
        self._orders: dict[int, Order] = {}
        self._positions: dict[str, Position] = {}
        self._fills: list[Fill] = []
        self._cash_changed = False

    # -- questions ------------------------------------------------------------------------------------------

    @property
    def state(self) -> LedgerState:
        """The whole ledger as a store keeps it."""
        return LedgerState(
            cash=self.cash,
            orders=list(self.orders.values()),
            fills=list(self.fills),
            positions=list(self.positions.values()),
            past=list(self.past),
        )

    def reserved(self) -> int:
        """Won held back for open buys, their commission included."""
        return sum(self._held(order) for orders in self.open.values() for order in orders.values())

    def available_cash(self) -> int:
        """Won that a new buy may use."""
        return self.cash.d2 - self.reserved()

    def sellable(self, code: str) -> int:
        """Shares of *code* that a new sell may offer."""
        position = self.positions.get(code)
        if position is None:
            return 0
        offered = sum(order.leaves for order in self.open.get(code, {}).values() if order.side == "sell")
        return position.qty - offered

    def buyable(self, price: int) -> int:
        """Shares that the available cash buys at *price*, commission included."""
        available = self.available_cash()
        if price <= 0 or available <= 0:
            return 0
        qty = available // price
        while qty > 0 and qty * price + self.rates.commission_on(qty * price) > available:
            qty -= 1
        return qty

    def changeable(self, order: Order) -> int:
        """Shares of *order* that a revise or cancel may still touch: what is open and not asked for already."""
        asked = sum(
            order.leaves if request.everything else request.qty
            for request in self.underway.values()
            if request.origin == order.no
        )
        return max(order.leaves - asked, 0) if order.request != "cancel" and not self._is_request(order) else 0

    # -- requests -------------------------------------------------------------------------------------------

    def check(self, side: Side, code: str, qty: int, reserve_price: int) -> Shortage | None:
        """Return which cash or shares the order lacks, or None."""
        if side == "sell":
            sellable = self.sellable(code)
            return Shortage("shares", sellable) if qty > sellable else None
        needed = qty * reserve_price
        needed += self.rates.commission_on(needed)
        available = self.available_cash()
        return Shortage("cash", available) if needed > available else None

    def check_revision(self, order: Order, qty: int, reserve_price: int) -> Shortage | None:
        """Return which cash is missing for moving *qty* open shares of *order* to another price, or None."""
        if order.side == "sell":
            return None
        rest = order.leaves - qty
        kept = rest * order.reserve_price
        kept += self.rates.commission_on(order.amount + kept) - order.commission
        moved = qty * reserve_price
        moved += self.rates.commission_on(moved)
        available = self.available_cash()
        return Shortage("cash", available) if kept + moved - self._held(order) > available else None

    def place(self, order: Order) -> Order:
        """Enter *order* (its number is given here) and return it."""
        self._last_no += 1
        order.no = self._last_no
        order.day = f"{self.day:%Y%m%d}" if self.day is not None else ""
        self.orders[order.no] = order
        if self._is_request(order):
            self.underway[order.no] = order
        elif order.leaves > 0:
            self.open.setdefault(order.code, {})[order.no] = order
        self._orders[order.no] = order
        return order

    def ask(
        self,
        order: Order,
        request: OrderRequest,
        qty: int,
        second: int,
        *,
        due: int,
        everything: bool,
        division: str | None = None,
        price: int | None = None,
        stop_price: int = 0,
    ) -> Order:
        """Enter a request to revise or cancel *qty* shares of *order*; `confirm` or `refuse` settles it."""
        return self.place(
            Order(
                no=0,
                origin=order.no,
                request=request,
                side=order.side,
                code=order.code,
                name=order.name,
                kind=order.kind,
                division=order.division if division is None else division,
                qty=qty,
                price=order.price if price is None else price,
                reserve_price=0,
                second=second,
                venue=order.venue,
                channel=order.channel,
                stop_price=stop_price,
                due=max(due, 1),
                everything=everything,
            )
        )

    def confirm(self, request: Order, reserve_price: int = 0) -> bool:
        """Let a revise or cancel take effect on what is still open; False (and refused) when nothing is.

        A revise goes on as an order of its own at its price, holding *reserve_price* a share if it buys.
        """
        order = self.orders[request.origin]
        qty = order.leaves if request.everything else min(request.qty, order.leaves)
        if qty == 0:
            self.refuse(request)
            return False
        order.cancelled += qty
        self.settle(order)
        del self.underway[request.no]
        request.qty, request.due = qty, 0
        if request.request == "cancel":
            request.cancelled = qty
        else:
            request.reserve_price = reserve_price if request.side == "buy" else 0
            self.open.setdefault(request.code, {})[request.no] = request
        self._orders[request.no] = request
        return True

    def refuse(self, request: Order) -> None:
        """The exchange refuses a request to revise or cancel: the order it meant lives on."""
        del self.underway[request.no]
        request.due, request.rejected = 0, request.qty
        self._orders[request.no] = request

    def reject(self, order: Order) -> None:
        """The exchange refuses all that is open of *order*."""
        order.rejected += order.leaves
        self.settle(order)

    def drop(self, order: Order) -> int:
        """Cancel all that is open of *order* by its own terms (IOC, FOK) and return how much that was."""
        dropped = order.leaves
        order.cancelled += dropped
        self.settle(order)
        return dropped

    def expire(self, orders: Iterable[Order]) -> list[Order]:
        """End open day orders and return those that ended."""
        ended = [order for order in orders if order.leaves > 0]
        for order in ended:
            order.expired += order.leaves
            self.settle(order)
        return ended

    def expire_all(self) -> list[Order]:
        """End every open day order and refuse what is underway; return the orders that ended."""
        for request in list(self.underway.values()):
            self.refuse(request)
        return self.expire([order for orders in self.open.values() for order in orders.values()])

    def settle(self, order: Order) -> None:
        """Remember that *order* changed; one with nothing open leaves the open orders."""
        self._orders[order.no] = order
        if order.leaves == 0:
            orders = self.open.get(order.code, {})
            orders.pop(order.no, None)
            if not orders:
                self.open.pop(order.code, None)

    def fill(self, order: Order, qty: int, price: int, second: int) -> Fill:
        """Execute *qty* shares of *order* at *price*; costs are charged on the order's cumulative amount."""
        if not 0 < qty <= order.leaves:
            raise ValueError(f"order {order.no} cannot fill {qty} of {order.leaves} open shares")
        order.filled += qty
        order.amount += qty * price
        commission = self.rates.commission_on(order.amount) - order.commission
        tax = self.rates.tax_on(order.amount, is_sell=order.side == "sell", kind=order.kind) - order.tax
        order.commission += commission
        order.tax += tax
        self._book(order, qty, price)
        self.cash.fees += commission
        self.cash.taxes += tax
        self._cash_changed = True
        done = Fill(
            no=len(self.fills) + 1,
            order_no=order.no,
            second=second,
            side=order.side,
            code=order.code,
            qty=qty,
            price=price,
            commission=commission,
            tax=tax,
        )
        self.fills.append(done)
        self._fills.append(done)
        self.settle(order)
        return done

    # -- days -----------------------------------------------------------------------------------------------

    def next_day(self, day: dt.date) -> None:
        """End the day and begin *day*: orders expire, figures become yesterday's, cash moves on, numbers restart.

        The whole `state` changes: a store writes it anew instead of `take_changes`.
        """
        if self.day is not None and day <= self.day:
            raise ValueError(f"{day} does not follow {self.day}: name a later trading day")
        self.expire_all()
        for order in self.orders.values():
            order.day = order.day or (f"{self.day:%Y%m%d}" if self.day is not None else "")
        self.past += self.orders.values()
        self.orders, self.fills = {}, []
        self._last_no = FIRST_NO - 1
        for position in list(self.positions.values()):
            position.bought_before, position.sold_before = position.bought, position.sold
            position.opening_qty, position.bought, position.sold, position.realised = position.qty, 0, 0, 0
            position.days_empty = 0 if position.qty else position.days_empty + 1
            if position.days_empty > DAYS_LISTED_EMPTY:
                del self.positions[position.code]
        cash = self.cash
        self.cash = Cash(
            settled=cash.settled + cash.unsettled,
            unsettled=cash.today,
            bought_before=cash.bought,
            sold_before=cash.sold,
            costs_before=cash.fees + cash.taxes,
        )
        self.day, self.rates = day, cost_rates(day)
        self._orders, self._fills = {}, []
        self._positions, self._cash_changed = dict(self.positions), True

    def take_changes(self) -> Changes:
        """Return what changed since the last call; the caller makes it durable before telling anybody."""
        changes = Changes(
            tuple(self._orders.values()),
            tuple(self._fills),
            tuple(self._positions.values()),
            self.cash if self._cash_changed else None,
        )
        self._orders, self._positions, self._fills, self._cash_changed = {}, {}, [], False
        return changes

    # -- helpers --------------------------------------------------------------------------------------------

    @staticmethod
    def _is_request(order: Order) -> bool:
        return order.request != "new" and order.due > 0

    def _held(self, order: Order) -> int:
        if order.side == "sell" or order.leaves == 0:
            return 0
        rest = order.leaves * order.reserve_price
        return rest + self.rates.commission_on(order.amount + rest) - order.commission

    def _book(self, order: Order, qty: int, price: int) -> None:
        position = self.positions.get(order.code)
        if position is None:
            position = Position(code=order.code, name=order.name, qty=0, cost=0)
            self.positions[order.code] = position
        position.days_empty = 0
        if order.side == "buy":
            position.qty += qty
            position.cost += qty * price
            position.bought += qty
            self.cash.bought += qty * price
        else:
            part = position.cost * qty // position.qty
            position.qty -= qty
            position.cost -= part
            position.sold += qty
            position.realised += qty * price - part
            self.cash.sold += qty * price
        self._positions[order.code] = position
