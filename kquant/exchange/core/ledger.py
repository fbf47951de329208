"""The broker's books: cash, positions, orders and fills of one account on one trading day.

Pure: no clock, no I/O. Every change is remembered in `Changes` until `take_changes` hands it to a store, which
must be durable before anybody is told. Amounts are won, quantities shares, times KST seconds of the day.
Source: kis-protocol.md 4.5, 4.6, 5.5.
"""

from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from kquant.exchange.core.rules import CostRates

Side = Literal["buy", "sell"]
Request = Literal["new", "revise", "cancel"]


class Order(Struct, kw_only=True):
    """One order or one revise/cancel request; `qty = filled + cancelled + rejected + expired + leaves`."""

    no: int
    origin: int = 0
    """The order number this request revises or cancels, 0 for a new order."""
    request: Request = "new"
    side: Side
    code: str
    name: str
    kind: str
    """The security kind (`etf` …), which decides the sell tax."""
    division: Literal["00", "01"]
    """ORD_DVSN: 00 limit, 01 market."""
    qty: int
    price: int
    """Limit price; 0 for a market order."""
    reserve_price: int
    """Won a share held back while a buy is open: the limit price, or the upper limit for a market order."""
    second: int
    filled: int = 0
    amount: int = 0
    cancelled: int = 0
    rejected: int = 0
    expired: int = 0
    commission: int = 0
    tax: int = 0

    @property
    def leaves(self) -> int:
        """Shares still open."""
        return self.qty - self.filled - self.cancelled - self.rejected - self.expired


class Fill(Struct, frozen=True, kw_only=True):
    """One execution of one order; `commission` and `tax` are what this fill added to the order's costs."""

    no: int
    order_no: int
    second: int
    side: Side
    code: str
    qty: int
    price: int
    commission: int
    tax: int


class Position(Struct, kw_only=True):
    """Shares held of one stock and what they cost (won, without fees)."""

    code: str
    name: str
    qty: int
    cost: int
    opening_qty: int = 0
    bought: int = 0
    sold: int = 0
    realised: int = 0
    """Proceeds minus average cost of what was sold today, before fees and tax."""


class Cash(Struct, kw_only=True):
    """Cash in won: `settled` is D+0; what today's fills add and take settles on D+2."""

    settled: int
    bought: int = 0
    sold: int = 0
    fees: int = 0
    taxes: int = 0

    @property
    def d2(self) -> int:
        """Cash after today's trades settle; sale proceeds may be used for buying at once."""
        return self.settled - self.bought + self.sold - self.fees - self.taxes


class Refusal(NamedTuple):
    """Why the ledger refuses: KIS's rt_cd, msg_cd and msg1."""

    rt_cd: str
    msg_cd: str
    msg1: str


class Changes(NamedTuple):
    """What changed since the last take, each row whole and in its newest state."""

    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    positions: tuple[Position, ...]
    cash: Cash | None

    def __bool__(self) -> bool:
        return bool(self.orders or self.fills or self.positions or self.cash)


class LedgerState(Struct, kw_only=True):
    """The whole ledger, as a store loads it."""

    cash: Cash
    orders: list[Order] = msgspec.field(default_factory=list)
    fills: list[Fill] = msgspec.field(default_factory=list)
    positions: list[Position] = msgspec.field(default_factory=list)


class Ledger:
    """The account's books. Callers check prices and hours; the ledger checks cash and shares."""

    def __init__(self, state: LedgerState, rates: CostRates) -> None:
        self.cash = state.cash
        self.rates = rates
        self.orders: dict[int, Order] = {order.no: order for order in state.orders}
        self.fills: list[Fill] = list(state.fills)
        self.positions: dict[str, Position] = {position.code: position for position in state.positions}
        self.open: dict[str, dict[int, Order]] = {}
        for order in self.orders.values():
            if order.leaves > 0 and order.request != "cancel":
                self.open.setdefault(order.code, {})[order.no] = order
        self._last_no = max(self.orders, default=1_000)
        self._orders: dict[int, Order] = {}
        self._positions: dict[str, Position] = {}
        self._fills: list[Fill] = []
        self._cash_changed = False

    # -- questions ------------------------------------------------------------------------------------------

    def reserved(self) -> int:
        """Won held back for open buys, their commission included."""
        return sum(
            order.leaves * order.reserve_price
            + self.rates.commission_on(order.amount + order.leaves * order.reserve_price)
            - order.commission
            for orders in self.open.values()
            for order in orders.values()
            if order.side == "buy"
        )

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

    # -- requests -------------------------------------------------------------------------------------------

    def check(self, side: Side, code: str, qty: int, reserve_price: int) -> Refusal | None:
        """Return why cash or shares do not allow the order, or None."""
        if side == "sell":
            sellable = self.sellable(code)
            if qty > sellable:
                return Refusal("7", "APBK0400", f"주문 가능한 수량을 초과했습니다. (가능수량 {sellable})")
            return None
        needed = qty * reserve_price
        needed += self.rates.commission_on(needed)
        available = self.available_cash()
        if needed > available:
            return Refusal("7", "APBK0919", f"주문가능금액을 초과했습니다. (주문가능금액 {available})")
        return None

    def place(self, order: Order) -> Order:
        """Enter *order* (its number is given here) and return it."""
        order.no = self._next_no()
        self.orders[order.no] = order
        if order.leaves > 0 and order.request != "cancel":
            self.open.setdefault(order.code, {})[order.no] = order
        self._orders[order.no] = order
        return order

    def cancel(self, order: Order, qty: int, second: int) -> Order:
        """Cancel *qty* shares of an open *order* and return the cancel request's own row."""
        self._take_off(order, qty)
        return self.place(
            Order(
                no=0,
                origin=order.no,
                request="cancel",
                side=order.side,
                code=order.code,
                name=order.name,
                kind=order.kind,
                division=order.division,
                qty=qty,
                price=order.price,
                reserve_price=0,
                second=second,
                cancelled=qty,
            )
        )

    def revise(
        self, order: Order, qty: int, price: int, division: Literal["00", "01"], reserve_price: int, second: int
    ) -> Order:
        """Move *qty* open shares of *order* to a new order at *price* and return that one."""
        self._take_off(order, qty)
        return self.place(
            Order(
                no=0,
                origin=order.no,
                request="revise",
                side=order.side,
                code=order.code,
                name=order.name,
                kind=order.kind,
                division=division,
                qty=qty,
                price=price,
                reserve_price=reserve_price,
                second=second,
            )
        )

    def reject(self, order: Order) -> None:
        """The exchange refuses all that is open of *order*."""
        order.rejected += order.leaves
        self._close(order)

    def expire_all(self) -> list[Order]:
        """End every open day order (after the close) and return those that ended."""
        ended = [order for orders in self.open.values() for order in orders.values()]
        for order in ended:
            order.expired += order.leaves
            self._orders[order.no] = order
        self.open.clear()
        return ended

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
        self._close(order)
        return done

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

    def _next_no(self) -> int:
        self._last_no += 1
        return self._last_no

    def _take_off(self, order: Order, qty: int) -> None:
        if not 0 < qty <= order.leaves:
            raise ValueError(f"order {order.no} has {order.leaves} open shares, not {qty}")
        order.cancelled += qty
        self._close(order)

    def _close(self, order: Order) -> None:
        self._orders[order.no] = order
        if order.leaves == 0:
            orders = self.open.get(order.code, {})
            orders.pop(order.no, None)
            if not orders:
                self.open.pop(order.code, None)

    def _book(self, order: Order, qty: int, price: int) -> None:
        position = self.positions.get(order.code)
        if position is None:
            position = Position(code=order.code, name=order.name, qty=0, cost=0)
            self.positions[order.code] = position
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
