"""The life of one intended order, as a table: which own event may follow in which state (O4).

    intended --orders.bound--> working --orders.finished--> finished
    intended --orders.finished (refused, expired, blocked, not_placed)--> finished
    finished as not_placed --orders.bound--> working             only the broker's list can do that

Whether an intended order was sent, and whether its outcome is unknown, are facts of the gateway and live in `seen`.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from kquant.values import IntentId, KquantError, Krw, Micros, OrderKind, Seq, Shares, Side, Symbol

State = Literal["intended", "working", "finished"]
Outcome = Literal["filled", "cancelled", "refused", "expired", "blocked", "not_placed"]

BOUND = "bound"
LEGAL: dict[tuple[State, str], State] = {
    ("intended", BOUND): "working",
    ("intended", "refused"): "finished",
    ("intended", "expired"): "finished",
    ("intended", "blocked"): "finished",
    ("intended", "not_placed"): "finished",
    ("working", "filled"): "finished",
    ("working", "cancelled"): "finished",
    ("working", "refused"): "finished",
    ("working", "expired"): "finished",
}


class IllegalTransition(KquantError):
    """An event that the order's state does not allow."""


class Order(Struct, frozen=True, kw_only=True):
    """One intent and what became of it. Quantities in shares, amounts in won, both cumulative.

    fills: how many `orders.filled` were said.   cancels: how many cancels were asked for.   is_late: it was given up
    as not placed and appeared afterwards.
    """

    intent: IntentId
    code: Symbol
    name: str
    side: Side
    qty: Shares
    kind: OrderKind
    price: Krw
    reason: str
    decision: Seq
    reserved_krw: Krw
    valid_until: Micros
    state: State = "intended"
    order_no: str = ""
    branch: str = ""
    filled_qty: Shares = Shares(0)
    filled_amount: Krw = Krw(0)
    fills: int = 0
    cancels: int = 0
    outcome: Outcome | None = None
    is_late: bool = False

    @property
    def is_live(self) -> bool:
        """Tell whether it works, may work, or may still reach the broker."""
        return self.state != "finished"


def next_state(order: Order, step: str) -> State:
    """Return the state after *step* ("bound" or an outcome). Raises IllegalTransition."""
    if order.state == "finished" and order.outcome == "not_placed" and step == BOUND:
        return "working"
    found = LEGAL.get((order.state, step))
    if found is None:
        raise IllegalTransition(f"intent {order.intent} is {order.state} ({order.outcome}): {step} cannot follow")
    return found
