"""How much to buy, and at which limit: integers, won and shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kquant.domain.orders.chain import set_aside
from kquant.domain.orders.draft import fills_unbooked
from kquant.domain.orders.lifecycle import Order
from kquant.domain.orders.seen import Moved, Seen
from kquant.domain.orders.state import Own
from kquant.krx import CostTable, TickBand, commission, round_to_tick, ticks_up
from kquant.settings import RiskSettings
from kquant.values import Krw, Shares

PPM = 1_000_000
BP = 10_000

Sizing = Callable[[int, RiskSettings], int]
"""(equity in won, the settings) -> how much one buy is for before any limit (won)."""


def price_cap(last: Krw, upper: Krw | None, risk: RiskSettings, bands: tuple[TickBand, ...]) -> Krw:
    """Return the highest limit a buy may carry: the collar above the last price, inside the day's upper limit."""
    cap = Krw(last * (BP + risk.collar_bp) // BP)
    if upper is not None:
        cap = min(cap, upper)
    return round_to_tick(cap, "buy", bands) if cap > 0 else Krw(0)


def limit_price(ask: Krw, cap: Krw, risk: RiskSettings, bands: tuple[TickBand, ...]) -> Krw:
    """Return a buy's limit (won): some ticks above the best ask, at most *cap*. 0 if there is no ask."""
    if ask <= 0:
        return Krw(0)
    return min(ticks_up(round_to_tick(ask, "buy", bands), risk.limit_ticks_above_ask, bands), cap)


def with_costs(qty: Shares, price: Krw, table: CostTable) -> Krw:
    """Return what buying *qty* at *price* takes from cash at most (won), commission included."""
    amount = Krw(qty * price)
    return Krw(amount + commission(amount, table))


def affordable(cash: int, price: Krw, table: CostTable) -> Shares:
    """Return how many shares *cash* (won) pays for, commission included."""
    return Shares(max(cash, 0) * PPM // (price * (PPM + table.commission_ppm)))


def reservation(own: Own, order: Order, seen: Seen) -> Krw:
    """Return the cash (won, never below zero) still set aside for an order; of a chain of replacements each its part.

    A buy keeps its reservation until it is over and portfolio has booked all of it; what is booked is taken off.
    """
    if order.side == "sell":
        return Krw(0)
    moved = seen.moved.get(order.order_no, Moved()) if order.order_no else Moved()
    if not order.is_live and order.fills <= moved.fills:
        return Krw(0)
    return Krw(max(set_aside(own, order) - moved.spent_krw, 0))


def reserved_krw(own: Own, seen: Seen) -> Krw:
    """Return all cash set aside for buys (won)."""
    if not own.live and not seen.unbookable and not fills_unbooked(own, seen, None):
        return Krw(0)
    return Krw(sum(reservation(own, order, seen) for order in own.orders.values()))


def equity_krw(seen: Seen) -> Krw:
    """Return cash plus positions at cost (won). Raises nothing: before the portfolio opened it is 0."""
    if seen.cash_krw is None:
        return Krw(0)
    return Krw(seen.cash_krw + sum(held.cost_krw for held in seen.positions.values()))


def bought_krw(own: Own) -> Krw:
    """Return what today's buys took or may still take (won), those placed elsewhere included."""
    ours = sum(
        order.filled_amount if not order.is_live else max(set_aside(own, order), order.filled_amount)
        for order in own.orders.values()
        if order.side == "buy"
    )
    others = sum(external.filled_amount for external in own.externals.values() if external.side == "buy")
    return Krw(ours + others)


def equal_share(equity: int, risk: RiskSettings) -> int:
    """The same part of equity for every position (won)."""
    return equity * risk.position_share_bp // BP


def fixed_amount(_: int, risk: RiskSettings) -> int:
    """The same amount for every position (won), whatever the equity."""
    return risk.fixed_amount_krw


SIZINGS: Mapping[str, Sizing] = {"equal_share": equal_share, "fixed_amount": fixed_amount}
"""How much a buy is for, by the name in `risk.sizing`. A new way of sizing is one function and one line here."""
