"""What is said of a day at its end, and why."""

from __future__ import annotations

from kquant.domain.portfolio.seen import Seen
from kquant.events.portfolio import DayReconciled, Difference

NOT_SETTLED = "orders and fills were never compared with the broker's final list"


def verdict(seen: Seen, differences: tuple[Difference, ...], why: str) -> DayReconciled:
    """Return whether the day agrees. why: what speaks against it besides orders and the closing balance, "" if nothing."""
    settled = seen.settled
    reasons = [why] if why else []
    if differences:
        reasons.append("positions or cash differ from the closing balance")
    if settled is None:
        reasons.append(NOT_SETTLED)
    elif not settled.agrees:
        reasons.append("orders or fills differ from the broker's final list")
    lines = () if settled is None else settled.differences
    return DayReconciled(agrees=not reasons, differences=differences, orders=lines, why="; ".join(reasons))


def listed(differences: tuple[Difference, ...]) -> str:
    """Return differences in one line."""
    return ", ".join(f"{one.what} ours {one.ours} theirs {one.theirs}" for one in differences)
