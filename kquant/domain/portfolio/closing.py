"""The end of the day (M3): orders, fills, positions and cash equal the broker's, or the day is unreconciled."""

from __future__ import annotations

from kquant.domain.portfolio.asking import RETRY_US, TRIES, ask
from kquant.domain.portfolio.seen import Seen
from kquant.domain.portfolio.state import Own
from kquant.domain.portfolio.verdict import listed, verdict
from kquant.events.base import Event
from kquant.events.day import AlarmSet, AlertRaised
from kquant.events.portfolio import Difference
from kquant.values import SECOND_US, Micros

CLOSING_AFTER_US = 5 * SECOND_US
CLOSING_WAITS = 120
"""Alarms, five seconds apart, that the closing balance waits for open orders and for the broker's final list."""


def close(own: Own, seen: Seen, at: Micros) -> list[Event]:
    """Ask for the closing balance once orders and fills are settled and none can fill any more, or after a bounded wait."""
    if own.reconciled or not seen.is_closed:
        return []
    is_settled = seen.settled is not None and not seen.working
    if own.requests > seen.outcomes or not (is_settled or own.closing_alarms >= CLOSING_WAITS):
        return [AlarmSet(alarm="closing", due=Micros(at + CLOSING_AFTER_US))]
    if not own.is_open:
        why = "the day ends without a balance: the portfolio was never opened"
        return [AlertRaised(level="critical", text=why), verdict(seen, (), why)]
    return ask(own, seen, "closing", at)


def look_again(own: Own, seen: Seen, at: Micros) -> list[Event]:
    """Take a verdict back for what came after it: a fill that was listed late, or the orders settled after all."""
    if not own.reconciled or not seen.is_closed:
        return []
    return [AlarmSet(alarm="closing", due=Micros(at + CLOSING_AFTER_US))]


def reconcile(own: Own, seen: Seen, at: Micros, differences: tuple[Difference, ...]) -> list[Event]:
    """Say whether the day agrees; positions or cash that differ are looked at again a bounded number of times."""
    if differences and own.attempts.get("closing", 0) < TRIES["closing"]:
        return [AlarmSet(alarm="closing", due=Micros(at + RETRY_US["closing"]))]
    found = verdict(seen, differences, "")
    if found.agrees:
        return [found]
    said = "; ".join(part for part in (listed(differences), *found.orders) if part)
    text = f"the day does not reconcile: {found.why}{f' ({said})' if said else ''}"
    return [AlertRaised(level="critical", text=text), found]
