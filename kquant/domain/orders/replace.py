"""A buy that did not fill in time: cancelled, or given the price of now (정정), a bounded number of times.

The order goes on resting until the broker's list says that the replacement took its place. Shares that fill meanwhile
make the replacement smaller; a refusal leaves the original as it is, and it is cancelled then; while the outcome is
unknown neither is touched. So a chain never holds more than its first order was for.
"""

from __future__ import annotations

from typing import Final

from kquant.domain.orders import chain, exits, risk
from kquant.domain.orders.draft import Draft
from kquant.domain.orders.entry import case_now
from kquant.domain.orders.lifecycle import Order
from kquant.domain.orders.risk import Case
from kquant.domain.orders.sizing import with_costs
from kquant.domain.orders.state import Asked, without
from kquant.events.orders import OrderIntended, QuoteAnswered
from kquant.values import SECOND_US, IntentId, Micros, Shares

ENTRY_ONLY: Final = frozenset(
    {"OPEN_ORDER", "ALREADY_HELD", "MAX_POSITIONS", "COOLDOWN", "REPEAT", "MAX_BUYS_STOCK", "STALE", "QTY_ZERO", "ORDER_SMALL"}
)  # fmt: skip
"""Rules about beginning: the stock is being bought, its signal is as old as the order, and what is left may be little."""


def rest(draft: Draft, order: Order) -> None:
    """Act on a buy that rested for as long as it may."""
    if order.state != "working" or chain.heir(draft.own, order) is not None:
        return
    risk_settings = draft.settings.risk
    may_ask = (
        risk_settings.unfilled == "replace"
        and order.kind == "limit"
        and order.cancels == 0
        # One that could not be replaced once, or appeared after it was given up, only has to go.
        and order.intent not in draft.own.replaced_by
        and not order.is_late
        and draft.own.looks.get(order.decision, 0) < risk_settings.max_replaces
        and not exits.is_leaving(draft, order)
    )
    if may_ask:
        draft.quote(order.code, "replace", order.decision)
    else:
        draft.cancel(order)


def quoted(draft: Draft, asked: Asked, quote: QuoteAnswered | None) -> None:
    """Go on with a resting buy whose price was asked for. quote: None where there was no answer in time."""
    order = _resting(draft, asked)
    if order is None:
        return
    if quote is None or exits.is_leaving(draft, order):
        draft.cancel(order)
        return
    left = Shares(order.qty - order.filled_qty)
    case = _case(draft, order, quote)
    if not _may_go(draft, case, order, left):
        draft.cancel(order)
        return
    if case.price == order.price:
        draft.wake(f"rest.{order.intent}", draft.at + draft.settings.risk.resting_seconds * SECOND_US)
        return
    draft.emit(
        OrderIntended(
            intent=IntentId(draft.own.last_intent + 1),
            code=order.code,
            name=order.name,
            side="buy",
            qty=left,
            kind="limit",
            price=case.price,
            reason="replace",
            decision=order.decision,
            reserved_krw=with_costs(left, case.price, case.costs),
            valid_until=Micros(draft.at + draft.settings.risk.order_valid_seconds * SECOND_US),
            replaces=order.intent,
            quote=draft.fact.seq,
        )
    )


def _resting(draft: Draft, asked: Asked) -> Order | None:
    """Return the order whose price was asked for, if it still only rests."""
    for order in draft.own.live_orders():
        if (order.code, order.side, order.decision) == (asked.code, "buy", asked.decision):
            is_plain = order.state == "working" and order.cancels == 0 and not order.is_late
            if is_plain and chain.heir(draft.own, order) is None:
                return order
    return None


def _case(draft: Draft, order: Order, quote: QuoteAnswered) -> Case:
    """Return the case as if what is left of the order were not there: it makes room for its replacement."""
    signal = draft.seen.heard.signals[order.decision]
    return case_now(draft, signal, quote, without(draft.own, order), kind="limit")


def _may_go(draft: Draft, case: Case, order: Order, left: Shares) -> bool:
    """Tell whether all that is left may be bought at the new price: every rule but those about beginning, and the sums."""
    if any(broken(case) is not None for rule, broken in risk.RULES if rule not in ENTRY_ONLY):
        return False
    chained = sum(one.filled_amount for one in draft.own.orders.values() if one.decision == order.decision)
    needed = with_costs(left, case.price, case.costs)
    return chained + needed <= draft.settings.risk.max_order_krw and needed <= case.room_krw()
