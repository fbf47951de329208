"""Orders that take each other's place (정정): one exposure under several numbers, never two.

A replacement is an intent of its own. While it may still fail, what is left of the original counts once, at the dearer of
both prices; the original's own part is what it has filled. Which of both is alive the broker's list decides, nobody else.
"""

from __future__ import annotations

from kquant.domain.orders.lifecycle import Order
from kquant.domain.orders.state import Own
from kquant.values import Krw


def original(own: Own, order: Order) -> Order | None:
    """Return the order whose place this one takes, None for one that stands for itself."""
    return None if order.replaces is None else own.orders[order.replaces]


def heir(own: Own, order: Order) -> Order | None:
    """Return the replacement that took an order's place, or still may; None without one, or after it came to nothing."""
    intent = own.replaced_by.get(order.intent)
    if intent is None:
        return None
    found = own.orders[intent]
    took_over = found.is_live or (found.order_no != "" and found.outcome != "refused")
    return found if took_over else None


def set_aside(own: Own, order: Order) -> Krw:
    """Return the cash (won) that a buy takes or may take in all, what it has filled included. Nothing for a sell."""
    if order.side == "sell":
        return Krw(0)
    if heir(own, order) is not None:
        return _part(order, order.filled_qty)
    before = original(own, order)
    if before is None or not before.is_live or not order.is_live:
        return order.reserved_krw
    return max(order.reserved_krw, _part(before, before.qty - before.filled_qty))


def _part(order: Order, qty: int) -> Krw:
    """Return what so many of an order's shares were to cost, rounded up."""
    return Krw(-(-order.reserved_krw * qty // order.qty))
