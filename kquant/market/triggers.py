"""Armed triggers: one shot each, integer arithmetic, mutable only in the trailing high."""

from __future__ import annotations

from msgspec import Struct

from kquant.events.orders import TriggerArmed, TriggerKind
from kquant.values import BasisPoints, Krw, Seq, TriggerId


class Armed(Struct, kw_only=True, gc=False):
    """One arming. armed_by: seq of its `orders.trigger_armed`.   high: highest trade since, from the arming's own."""

    trigger: TriggerId
    kind: TriggerKind
    price: Krw
    trail_bp: BasisPoints
    high: Krw
    armed_by: Seq


def arm(event: TriggerArmed, seq: Seq) -> Armed:
    """Return the arming that an `orders.trigger_armed` at *seq* asks for."""
    return Armed(
        trigger=event.trigger,
        kind=event.kind,
        price=event.price,
        trail_bp=event.trail_bp,
        high=event.high,
        armed_by=seq,
    )


def holds(armed: Armed, price: Krw) -> bool:
    """Tell whether a trade at *price* (won) fires it; a trailing one first takes the price as its high if higher.

    stop: at or below.   target: at or above.   trailing: at or below high x (1 - trail_bp), compared without division.
    """
    if armed.kind == "stop":
        return price <= armed.price
    if armed.kind == "target":
        return price >= armed.price
    armed.high = max(armed.high, price)
    return price * 10_000 <= armed.high * (10_000 - armed.trail_bp)


def trailing_high(armed: list[Armed]) -> Krw | None:
    """Return the highest trade since a trailing trigger of the stock was armed, None without one."""
    highs = [each.high for each in armed if each.kind == "trailing"]
    return max(highs) if highs else None
