"""The day's orders and fills against the broker's final list (M3, O7): every row known, every order of ours listed.

A list asked for after the closing auction is final, and still may lag: while it differs it is asked for again, a bounded
number of times. A fill that is listed later still is booked, and the comparison said anew.
"""

from __future__ import annotations

from typing import Final

from kquant.domain.orders.draft import Draft
from kquant.domain.orders.state import SETTLE, Own
from kquant.events.orders import Execution, OrderFilled, OrdersSettled
from kquant.values import SECOND_US, Krw, Shares

TRIES: Final = 6
AGAIN_US: Final = 10 * SECOND_US


def settle(draft: Draft, rows: tuple[Execution, ...]) -> None:
    """Say how a final list compares, look again where it differs, and say it anew where something changed."""
    found = differences(draft.own, rows)
    if found and draft.own.settle_tries < TRIES:
        draft.wake(SETTLE, draft.at + AGAIN_US)
        return
    if draft.own.settled == found and not any(isinstance(event, OrderFilled) for event in draft.events):
        return
    draft.emit(OrdersSettled(listing=draft.fact.seq, agrees=not found, differences=found))
    if found:
        draft.alert(f"the day's orders are not those of the broker: {'; '.join(found)}")


def differences(own: Own, rows: tuple[Execution, ...]) -> tuple[str, ...]:
    """Return where our orders and fills differ from a list of the day's, one line each, none where they agree."""
    listed = {row.order_no: row for row in rows if not row.is_cancel}
    found = [line for row in listed.values() for line in _row(own, row)]
    found += [
        f"order {order.order_no} ({order.code}) of intent {order.intent} is not in the list"
        for order in own.orders.values()
        if order.order_no and order.order_no not in listed
    ]
    found += [
        f"order {number} ({one.code}) placed elsewhere is not in the list any more"
        for number, one in own.externals.items()
        if number not in listed
    ]
    found += [
        f"intent {order.intent} ({order.code}) may or may not have been placed"
        for order in own.live_orders()
        if order.state == "intended"
    ]
    return tuple(found)


def _row(own: Own, row: Execution) -> list[str]:
    intent = own.by_number.get(row.order_no)
    if intent is not None:
        order = own.orders[intent]
        return _figures(row, order.filled_qty, order.filled_amount)
    external = own.externals.get(row.order_no)
    if external is not None:
        return _figures(row, external.filled_qty, external.filled_amount)
    return [f"order {row.order_no} ({row.code}) is neither ours nor known as placed elsewhere"]


def _figures(row: Execution, qty: Shares, amount: Krw) -> list[str]:
    if (qty, amount) == (row.filled_qty, row.filled_amount):
        return []
    return [
        f"order {row.order_no} ({row.code}): filled {qty} for {amount} here, {row.filled_qty} for {row.filled_amount} there"
    ]
