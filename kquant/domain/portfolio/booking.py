"""Fills become cash and shares. Money is exact (M1), costs are charged on an order's cumulative amount."""

from __future__ import annotations

from kquant.domain.portfolio.seen import QUIET_US, Seen
from kquant.domain.portfolio.state import Own, Position
from kquant.events.base import Event
from kquant.events.day import AlarmSet, AlertRaised
from kquant.events.orders import OrderFilled
from kquant.events.portfolio import CashMoved, PositionChanged, PositionClosed, PositionOpened
from kquant.krx import commission, costs_on, sell_tax
from kquant.settings import Settings
from kquant.values import SECOND_US, KquantError, Krw, Micros, Shares


class NotCovered(KquantError):
    """A fill cannot be booked: the day or the portfolio was not opened before it."""


def is_covered(own: Own, seen: Seen, fill: OrderFilled) -> bool:
    """Tell whether a balance taken over holds the fill: its order was given up as not placed, and is listed late."""
    taken = own.taken.get(fill.code, 0)
    return fill.intent in seen.given_up and (taken > 0 if fill.side == "buy" else taken < 0)


def book(own: Own, seen: Seen, fill: OrderFilled, settings: Settings, at: Micros) -> list[Event]:
    """Book one fill: cash with its costs, then the position."""
    if own.cash_krw is None:
        # The opening balance is still to come and holds this fill already: booking it would count it twice.
        return []
    if not seen.day:
        raise NotCovered(f"order {fill.order_no} filled before the day was opened")
    table = costs_on(seen.day, settings.krx.costs)
    now, before = fill.filled_amount_krw, Krw(fill.filled_amount_krw - fill.amount_krw)
    fee = commission(now, table) - commission(before, table)
    tax, signed = 0, -fill.amount_krw
    if fill.side == "sell":
        is_fund = fill.code in seen.funds
        tax = sell_tax(now, table, fund=is_fund) - sell_tax(before, table, fund=is_fund)
        signed = fill.amount_krw
    covered = is_covered(own, seen, fill)
    if covered:
        signed = fee = tax = 0
    moved = CashMoved(
        intent=fill.intent,
        order_no=fill.order_no,
        amount_krw=Krw(signed),
        fee_krw=Krw(fee),
        tax_krw=Krw(tax),
        cash_krw=Krw(own.cash_krw + signed - fee - tax),
        covered_code=fill.code if covered else None,
        covered_qty=fill.qty if covered else Shares(0),
    )
    if covered:
        # If the balance held only a part of it, the next balances tell the rest.
        is_whole = fill.qty <= abs(own.taken[fill.code])
        return [moved] if is_whole else [moved, AlarmSet(alarm="mismatch", due=Micros(at + QUIET_US + SECOND_US))]
    held = own.positions.get(fill.code)
    return [moved, *(_bought(held, fill) if fill.side == "buy" else _sold(held, fill))]


def _bought(held: Position | None, fill: OrderFilled) -> list[Event]:
    if held is None:
        return [PositionOpened(code=fill.code, name=fill.name, qty=fill.qty, cost_krw=fill.amount_krw, carried=False)]
    qty, cost = Shares(held.qty + fill.qty), Krw(held.cost_krw + fill.amount_krw)
    return [PositionChanged(code=fill.code, qty=qty, cost_krw=cost, realised_krw=Krw(0))]


def _sold(held: Position | None, fill: OrderFilled) -> list[Event]:
    """Take cost off in proportion, all of it with the last share."""
    owned = held.qty if held is not None else 0
    if held is None or fill.qty > owned:
        text = f"order {fill.order_no} sold {fill.qty} of {fill.code}, of which we knew {owned}: the balance will tell"
        alert = AlertRaised(level="critical", text=text)
        if held is None:
            return [alert]
        return [PositionClosed(code=fill.code, realised_krw=Krw(fill.amount_krw - held.cost_krw)), alert]
    if fill.qty == owned:
        return [PositionClosed(code=fill.code, realised_krw=Krw(fill.amount_krw - held.cost_krw))]
    removed = held.cost_krw * fill.qty // owned
    return [
        PositionChanged(
            code=fill.code,
            qty=Shares(owned - fill.qty),
            cost_krw=Krw(held.cost_krw - removed),
            realised_krw=Krw(fill.amount_krw - removed),
        )
    ]
