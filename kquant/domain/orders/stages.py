"""Where an order stands when the gateway's facts are added, and which step of the table an event is."""

from __future__ import annotations

from typing import Final

from kquant.domain.orders import lifecycle as life
from kquant.domain.orders.lifecycle import Order, Stage
from kquant.domain.orders.seen import Seen
from kquant.events.base import Event
from kquant.events.orders import (
    CancelWanted,
    OrderAccepted,
    OrderBlocked,
    OrderBound,
    OrderExpired,
    OrderFilled,
    OrderFinished,
    OrderRefused,
    OrderResized,
    OrderSendStarted,
    OrderUnknown,
)
from kquant.values import IntentId, Shares

PLAIN: Final[dict[type[Event], str]] = {
    OrderSendStarted: life.SENT,
    OrderAccepted: life.ACCEPTED,
    OrderRefused: life.REFUSED,
    OrderUnknown: life.UNKNOWN,
    OrderExpired: life.EXPIRED,
    OrderBlocked: life.BLOCKED,
    OrderBound: life.BOUND,
    OrderResized: life.RESIZED,
    CancelWanted: life.CANCEL,
}
"""Events that are one step whatever they say."""


def stage_of(order: Order, seen: Seen) -> Stage:
    """Return an order's stage with what the gateway said: own events alone do not tell sent from intended."""
    if order.stage != "intended":
        return order.stage
    if order.intent in seen.doubts:
        return "unknown"
    return "sent" if order.intent in seen.sent_seq else "intended"


def intent_of(event: Event) -> IntentId | None:
    """Return which order's life the event is a step of, None if it is of none."""
    if type(event) in PLAIN or isinstance(event, OrderFilled | OrderFinished):
        return event.intent  # type: ignore[attr-defined, no-any-return]  # all of them have it
    return None


def step_of(event: Event, qty: Shares) -> str | None:
    """Return the step of the table that the event is, None if it is no step. qty: what the order is for (shares)."""
    match event:
        case OrderFilled(filled_qty=filled):
            return life.WHOLE if filled >= qty else life.PART
        case OrderFinished(outcome=outcome):
            return outcome
    return PLAIN.get(type(event))
