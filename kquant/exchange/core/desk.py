"""The broker's order desk: takes, changes and executes the orders of one account, and writes their notices.

A request is checked and answered at once; it takes effect at the exchange `latency_s` later, so that a fill may come
in between, and the exchange may still refuse it by notice. Source: kis-protocol.md 3.4, 4.6, 4.9, 5.
"""

from collections.abc import Callable
from typing import Literal

from kquant.exchange.core.books import Channel, Environment, Fill, Order, Refusal, Shortage, Side, Venue
from kquant.exchange.core.checks import Checks, Terms
from kquant.exchange.core.ledger import Ledger
from kquant.exchange.core.matching import Matcher
from kquant.exchange.core.notices import Notices
from kquant.exchange.core.order_types import TYPES
from kquant.exchange.core.ports import Market
from kquant.exchange.core.refusals import Reason, refusal_of


class Desk:
    """Takes, changes and executes orders of the one account. `notify` gets each notice in plain text.

    latency_s: market seconds a request needs to the exchange.   list_lag_s: market seconds after which an order
    appears in the daily list (kis-protocol.md 4.6: absence is not an error).
    """

    def __init__(
        self,
        market: Market,
        ledger: Ledger,
        matcher: Matcher,
        notify: Callable[[str], None],
        *,
        hts_id: str,
        account: str,
        holder: str,
        environment: Environment = "real",
        latency_s: int = 0,
        list_lag_s: int = 0,
    ) -> None:
        self.environment: Environment = environment
        self.checks = Checks(market, environment)
        self.notices = Notices(environment, notify, hts_id=hts_id, account=account, holder=holder)
        self.latency_s = latency_s
        self.list_lag_s = list_lag_s
        self.reject_next = False
        """A fault: the exchange will reject the next order the desk takes, by notice only."""
        self._doomed: set[int] = set()
        self._market = market
        self._ledger = ledger
        self._matcher = matcher

    # -- requests -------------------------------------------------------------------------------------------

    def place(
        self,
        side: Side,
        code: str,
        qty: int,
        price: int,
        division: str,
        second: int,
        *,
        venue: Venue = "KRX",
        stop_price: int = 0,
        channel: Channel = "api",
    ) -> Order | Refusal:
        """Take a new order at *second* and execute what can be executed at once.

        channel `hand`: the user placed it in the broker's own program; the list and the notices show it all the same.
        """
        terms = Terms(side, code, qty, price, division, venue, stop_price if division == "22" else 0)
        reason = self.checks.refuse(terms, second)
        if reason is not None:
            return self._refusal(reason)
        stock = self._market.by_code[code]
        limit = self.checks.price_of(terms, second)
        reserve = self.checks.reserve(stock, division, limit, second)
        shortage = self._ledger.check(side, code, qty, reserve)
        if shortage is not None:
            return self._short(shortage)
        order = self._ledger.place(
            Order(
                no=0,
                side=side,
                code=code,
                name=stock.name,
                kind=stock.kind,
                division=division,
                qty=qty,
                price=limit,
                reserve_price=reserve if side == "buy" else 0,
                second=second,
                venue=venue,
                channel=channel,
                stop_price=terms.stop_price,
                due=second + self.latency_s if self.latency_s else 0,
            )
        )
        if self.reject_next:
            self.reject_next = False
            self._doomed.add(order.no)
        if not self.latency_s:
            self._arrive(order, second)
        return order

    def cancel(self, no: int, qty: int | None, second: int, *, venue: Venue | None = None) -> Order | Refusal:
        """Cancel *qty* open shares of order *no*, or all of them (None); return the request's own order row.

        venue: where the caller says the order is; another one than the order's is an unknown order.
        """
        order = self._find(no, qty, second, venue)
        if isinstance(order, Refusal):
            return order
        return self._ask(order, "cancel", qty, second)

    def revise(
        self,
        no: int,
        qty: int | None,
        price: int,
        division: str,
        second: int,
        *,
        venue: Venue | None = None,
        stop_price: int = 0,
    ) -> Order | Refusal:
        """Move open shares of order *no* to a new order at *price*; return the new order."""
        order = self._find(no, qty, second, venue)
        if isinstance(order, Refusal):
            return order
        moved = self._ledger.changeable(order) if qty is None else qty
        stop = stop_price if division == "22" else 0
        terms = Terms(order.side, order.code, moved, price, division, order.venue, stop)
        reason = self.checks.refuse(terms, second)
        if reason is None and TYPES[division].session != TYPES[order.division].session:
            reason = "other_session"
        if reason is not None:
            return self._refusal(reason)
        limit = self.checks.price_of(terms, second)
        reserve = self.checks.reserve(self._market.by_code[order.code], division, limit, second)
        shortage = self._ledger.check_revision(order, moved, reserve)
        if shortage is not None:
            return self._short(shortage)
        return self._ask(order, "revise", qty, second, division=division, price=limit, stop_price=stop)

    def play(self, second: int) -> int:
        """Let [second, second + 1) take its effects: requests, prints, ends of sessions. Return how many changes."""
        ledger = self._ledger
        if not ledger.open and not ledger.underway:
            return 0
        changed = self._arrivals(second)
        fills = self._matcher.play(second)
        self._report(fills)
        return changed + len(fills) + len(self._expire(second))

    @property
    def is_busy(self) -> bool:
        """Whether seconds that pass may change an order: market time must not leap over them."""
        return bool(self._ledger.open or self._ledger.underway)

    # -- what happens at the exchange -----------------------------------------------------------------------

    def _arrivals(self, second: int) -> int:
        ledger = self._ledger
        new = [order for orders in ledger.open.values() for order in orders.values() if 0 < order.due <= second]
        changes = [request for request in ledger.underway.values() if request.due <= second]
        arrived = sorted([*new, *changes], key=lambda order: (order.due, order.no))
        for order in arrived:
            if order.request == "new":
                order.due = 0
                ledger.settle(order)
                self._arrive(order, second)
            else:
                self._take_effect(order, second)
        return len(arrived)

    def _arrive(self, order: Order, second: int) -> None:
        """A new order reaches the exchange."""
        if order.no in self._doomed or not self.checks.arrive(order, second):
            self._doomed.discard(order.no)
            self._ledger.reject(order)
            self.notices.refused(order, second)
            return
        self.notices.taken(order)
        self._execute(order, second)

    def _ask(
        self,
        order: Order,
        request: Literal["revise", "cancel"],
        qty: int | None,
        second: int,
        *,
        division: str | None = None,
        price: int | None = None,
        stop_price: int = 0,
    ) -> Order:
        """Send a request to revise or cancel to the exchange: the broker's notice comes first."""
        asked = self._ledger.ask(
            order,
            request,
            self._ledger.changeable(order) if qty is None else qty,
            second,
            due=second + self.latency_s,
            everything=qty is None,
            division=division,
            price=price,
            stop_price=stop_price,
        )
        self.notices.taken(asked)
        if not self.latency_s:
            self._take_effect(asked, second)
        return asked

    def _take_effect(self, request: Order, second: int) -> None:
        """A revise or cancel reaches the exchange: it touches what is still open there, or is refused."""
        order = self._ledger.orders[request.origin]
        if not self._is_granted(request, order, second):
            self.notices.refused(request, second)
            return
        if order.leaves == 0:
            self._matcher.forget(order)
        self.notices.confirmed(request, second)
        if request.request == "revise":
            self._execute(request, second)

    def _is_granted(self, request: Order, order: Order, second: int) -> bool:
        ledger = self._ledger
        if request.request == "cancel":
            return ledger.confirm(request)
        qty = order.leaves if request.everything else min(request.qty, order.leaves)
        if qty > 0 and self.checks.arrive(request, second):
            stock = self._market.by_code[order.code]
            reserve = self.checks.reserve(stock, request.division, request.price, second)
            if ledger.check_revision(order, qty, reserve) is None:
                return ledger.confirm(request, reserve)
        ledger.refuse(request)
        return False

    def _execute(self, order: Order, second: int) -> None:
        """Meet the book at once; what an IOC or FOK order cannot fill is cancelled."""
        self._report(self._matcher.take(order, second))
        if TYPES[order.division].condition and order.leaves > 0:
            self.notices.dropped(order, self._ledger.drop(order), second)

    def _expire(self, second: int) -> list[Order]:
        """End the orders whose session is over, once its last auction has matched."""
        over = [
            order
            for orders in self._ledger.open.values()
            for order in orders.values()
            if second >= self.checks.ends(order)
            and (
                TYPES[order.division].session != "regular"
                or self._market.status(order.code, second).phase not in ("closing", "vi")
            )
        ]
        return self._ledger.expire(over)

    # -- helpers --------------------------------------------------------------------------------------------

    def _find(self, no: int, qty: int | None, second: int, venue: Venue | None) -> Order | Refusal:
        order = self._ledger.orders.get(no)
        if order is None or (venue is not None and venue != order.venue):
            return self._refusal("unknown_order")
        reason = self.checks.closed(order, second)
        if reason is not None:
            return self._refusal(reason)
        available = self._ledger.changeable(order)
        if available == 0:
            return self._refusal(_why_nothing(order))
        if qty is not None and qty <= 0:
            return self._refusal("bad_qty")
        if qty is not None and qty > available:
            return refusal_of("too_many", self.environment, available=available)
        return order

    def _refusal(self, reason: Reason) -> Refusal:
        return refusal_of(reason, self.environment)

    def _short(self, shortage: Shortage) -> Refusal:
        return refusal_of(shortage.of, self.environment, available=shortage.available)

    def _report(self, fills: list[Fill]) -> None:
        for fill in fills:
            self.notices.filled(self._ledger.orders[fill.order_no], fill)


def _why_nothing(order: Order) -> Reason:
    if order.request == "cancel" or order.leaves > 0:
        return "nothing_open"
    if order.filled == order.qty:
        return "filled_already"
    return "cancelled_already" if order.cancelled else "nothing_open"
