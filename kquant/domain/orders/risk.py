"""The limits on a buy as pure rules in a fixed order: the first breach denies it, with a code and its numbers."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from kquant.domain.orders.draft import fills_unbooked
from kquant.domain.orders.seen import Seen, is_armed
from kquant.domain.orders.sizing import (
    BP,
    affordable,
    bought_krw,
    equity_krw,
    limit_price,
    price_cap,
    reserved_krw,
    with_costs,
)
from kquant.domain.orders.state import Own, quoting
from kquant.events.orders import QuoteAnswered
from kquant.events.pipeline import BuySignalled
from kquant.krx import CostTable
from kquant.settings import Settings
from kquant.values import MINUTE_US, SECOND_US, Krw, Micros, Shares


class Case(Struct, frozen=True, kw_only=True):
    """A buy asked for: what is known, and what it would cost a share.

    quote: the price confirmed over HTTPS; None before the answer, and where none is asked for.   last, ask: the newest
    known, the quote's if there is one.   cap: the highest limit the collar allows.   price: the limit; of a market order
    the day's upper limit, at which the broker sets cash aside (kis-protocol 4.5). 0 where there is no price in the band.
    """

    own: Own
    seen: Seen
    settings: Settings
    costs: CostTable
    signal: BuySignalled
    at: Micros
    last: Krw
    ask: Krw
    cap: Krw
    price: Krw
    quote: QuoteAnswered | None = None

    def share_krw(self) -> int:
        """The part of equity one new position may take (won)."""
        return equity_krw(self.seen) * self.settings.risk.position_share_bp // BP

    def free_krw(self) -> int:
        """Cash that is not set aside (won)."""
        return (self.seen.cash_krw if self.seen.cash_krw is not None else 0) - reserved_krw(self.own, self.seen)

    def left_today_krw(self) -> int:
        """What the day's buys may still amount to (won)."""
        return self.settings.risk.max_day_buy_krw - bought_krw(self.own)

    def one_share_krw(self) -> Krw:
        """What one share takes, costs included (won)."""
        return with_costs(Shares(1), self.price, self.costs)


class Breach(Struct, frozen=True, kw_only=True):
    """A limit that was met: its code, the value found, the limit."""

    rule: str
    value: int
    limit: int


Finding = tuple[int, int] | None
"""(value, limit) if the rule is broken."""


def _halted(case: Case) -> Finding:
    return (1, 0) if case.own.halted is not None else None


def _not_armed(case: Case) -> Finding:
    """A real account trades only on days on which a person said so."""
    return None if is_armed(case.seen, case.settings, case.at) else (0, 1)


def _clock_skew(case: Case) -> Finding:
    """Hours and the times of orders are the broker's: while clocks differ neither can be told (O8)."""
    return (case.seen.skew, case.settings.feed.skew_seconds) if case.seen.skew else None


def _session_closed(case: Case) -> Finding:
    """Buys only in continuous trading: in an auction the best ask says nothing about the price."""
    hours = case.seen.hours
    if hours is None or case.seen.is_closed:
        return (0, 1)
    return None if hours.open_at <= case.at < hours.closing_auction_at else (0, 1)


def _flattening(case: Case) -> Finding:
    return (1, 0) if case.seen.is_flattening and case.settings.exits.flat_at_close else None


def _not_ready(case: Case) -> Finding:
    """The portfolio is open, every fill is booked, and no order's fate is unknown (C0.7)."""
    if case.seen.cash_krw is None:
        return (0, 1)
    open_doubts = unresolved(case.own, case.seen) + fills_unbooked(case.own, case.seen, None)
    return (open_doubts, 0) if open_doubts else None


def _frozen(case: Case) -> Finding:
    return (1, 0) if case.signal.code in case.own.frozen else None


def _already_held(case: Case) -> Finding:
    held = case.seen.positions.get(case.signal.code)
    return (held.qty, 0) if held is not None else None


def _open_order(case: Case) -> Finding:
    """One order of a stock at a time; one whose price is being asked for is as good as there."""
    orders = sum(order.code == case.signal.code for order in case.own.live_orders())
    open_now = orders + len(quoting(case.own, case.seen.heard, case.signal.code))
    return (open_now, 0) if open_now else None


def _cooldown(case: Case) -> Finding:
    closed_at, limit = case.seen.closed_at.get(case.signal.code), case.settings.risk.cooldown_seconds
    if closed_at is None or case.at - closed_at >= limit * SECOND_US:
        return None
    return ((case.at - closed_at) // SECOND_US, limit)


def _max_positions(case: Case) -> Finding:
    codes = {*case.seen.positions, *(order.code for order in case.own.live_orders() if order.side == "buy")}
    limit = case.settings.risk.max_positions
    return (len(codes), limit) if len(codes) >= limit else None


def _orders_per_minute(case: Case) -> Finding:
    valid = case.settings.risk.order_valid_seconds * SECOND_US
    recent = sum(order.valid_until - valid > case.at - MINUTE_US for order in case.own.orders.values())
    limit = case.settings.risk.max_orders_per_minute
    return (recent, limit) if recent >= limit else None


def _orders_per_day(case: Case) -> Finding:
    count, limit = len(case.own.orders), case.settings.risk.max_orders_per_day
    return (count, limit) if count >= limit else None


def _day_loss(case: Case) -> Finding:
    loss, limit = case.seen.costs_krw - case.seen.realised_krw, case.settings.risk.max_day_loss_krw
    return (loss, limit) if loss >= limit else None


def _price_band(case: Case) -> Finding:
    """There is an ask, and the collar and the day's upper limit reach it."""
    return (case.ask, case.cap) if case.price <= 0 or case.price < case.ask else None


def _order_amount(case: Case) -> Finding:
    limit = case.settings.risk.max_order_krw
    return (case.one_share_krw(), limit) if case.one_share_krw() > limit else None


def _day_buy_amount(case: Case) -> Finding:
    left = case.left_today_krw()
    if case.one_share_krw() <= left:
        return None
    limit = case.settings.risk.max_day_buy_krw
    return (limit - left + case.one_share_krw(), limit)


def _cash(case: Case) -> Finding:
    free = case.free_krw()
    return (case.one_share_krw(), free) if case.one_share_krw() > free else None


def _qty_zero(case: Case) -> Finding:
    return (0, 1) if size(case) <= 0 else None


def _order_small(case: Case) -> Finding:
    """What the limits leave is too little, as when the day's amount is nearly used up."""
    amount, limit = size(case) * case.price, case.settings.risk.min_order_krw
    return (amount, limit) if amount < limit else None


RULES: tuple[tuple[str, Callable[[Case], Finding]], ...] = (
    ("HALTED", _halted),
    ("NOT_ARMED", _not_armed),
    ("CLOCK_SKEW", _clock_skew),
    ("SESSION_CLOSED", _session_closed),
    ("FLATTENING", _flattening),
    ("NOT_READY", _not_ready),
    ("FROZEN", _frozen),
    ("ALREADY_HELD", _already_held),
    ("OPEN_ORDER", _open_order),
    ("COOLDOWN", _cooldown),
    ("MAX_POSITIONS", _max_positions),
    ("ORDERS_PER_MINUTE", _orders_per_minute),
    ("ORDERS_PER_DAY", _orders_per_day),
    ("DAY_LOSS", _day_loss),
    ("PRICE_BAND", _price_band),
    ("ORDER_AMOUNT", _order_amount),
    ("DAY_BUY_AMOUNT", _day_buy_amount),
    ("CASH", _cash),
    ("QTY_ZERO", _qty_zero),
    ("ORDER_SMALL", _order_small),
)
"""Rules in the order they are asked. Those after PRICE_BAND may rely on a price."""


def unresolved(own: Own, seen: Seen) -> int:
    """Return how many orders may or may not have been placed, frozen stocks left out: a person knows of those."""
    return sum(
        order.state == "intended" and order.intent in seen.doubts and order.code not in own.frozen
        for order in own.live_orders()
    )


def case_of(
    own: Own,
    seen: Seen,
    settings: Settings,
    costs: CostTable,
    signal: BuySignalled,
    at: Micros,
    quote: QuoteAnswered | None = None,
) -> Case:
    """Return the case of a signal, its price worked out: from *quote* if there is one, else from the signal."""
    stock = seen.stocks.get(signal.code)
    upper = stock.upper if stock is not None else None
    last, ask = signal.last, signal.ask
    if quote is not None:
        last, ask = quote.last, quote.ask
        # 0 is no limit at all (liquidation trading): then the listing's stands.
        upper = quote.upper if quote.upper > 0 else upper
    bands, risk = settings.krx.ticks, settings.risk
    cap = price_cap(last, upper, risk, bands)
    price = limit_price(ask, cap, risk, bands)
    if risk.entry_kind == "market":
        price = upper if upper is not None and 0 < ask <= cap else Krw(0)
    return Case(
        own=own, seen=seen, settings=settings, costs=costs, signal=signal, at=at, last=last, ask=ask, cap=cap, price=price,
        quote=quote,
    )  # fmt: skip


def breach_of(case: Case) -> Breach | None:
    """Return the first limit the buy meets, None if it may go."""
    for rule, broken in RULES:
        found = broken(case)
        if found is not None:
            return Breach(rule=rule, value=int(found[0]), limit=int(found[1]))
    return None


def size(case: Case) -> Shares:
    """Return how many shares to buy: the equity share, inside the order's, the day's and the cash limit."""
    risk = case.settings.risk
    budget = min(case.share_krw(), risk.max_order_krw, case.left_today_krw(), case.free_krw())
    return affordable(budget, case.price, case.costs)
