"""Where a run can be killed: at each event between a decision and its fill, and at the exchange's door.

A kill is exact. `before` an event: it is decided and handed to the journal, and never becomes durable. `after` it: it is
durable, and nobody has heard of it yet. At the door a call has `arrived` and done nothing, or is `done` in the exchange's
books while its answer has not left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from kquant.events.base import Event
from kquant.events.day import DayClosed
from kquant.events.market import TriggerFired
from kquant.events.orders import (
    CancelWanted,
    OrderAccepted,
    OrderBound,
    OrderFilled,
    OrderIntended,
    OrderSendStarted,
    OrdersSettled,
    OrderUnknown,
    QuoteAnswered,
    QuoteWanted,
)
from kquant.events.pipeline import BuySignalled
from kquant.events.portfolio import BalanceWanted, CashMoved, DayReconciled

Phase = Literal["before", "after", "arrived", "done"]


class Kill(Struct, frozen=True, kw_only=True):
    """One place to die: at the *nth* time (from 1, counted from the process's start) that *point* comes."""

    point: str
    phase: Phase
    nth: int = 1


class Sentence(Struct, frozen=True, kw_only=True):
    """What a process is told before it starts: it dies at whichever place comes first.

    note: the file that says which one it was.   posts: the file of every order call that reached the exchange's door.
    """

    kills: tuple[Kill, ...]
    note: str
    posts: str


class Death(Struct, frozen=True, kw_only=True):
    """The note of a process killed at a point. seq: of the event, 0 at the door."""

    kill: Kill
    seq: int


@dataclass(frozen=True)
class LogPoint:
    """An event by its type and content. spread: kills are drawn among its first so many of a process."""

    name: str
    kind: type[Event]
    holds: Callable[..., bool] = lambda _: True
    spread: int = 1

    def matches(self, event: Event) -> bool:
        """Tell whether *event* is one of it."""
        return isinstance(event, self.kind) and self.holds(event)


LOG_POINTS = (
    LogPoint("signal", BuySignalled, spread=6),
    LogPoint("quote wanted", QuoteWanted, spread=6),
    LogPoint("quote answered", QuoteAnswered, spread=6),
    LogPoint("buy intended", OrderIntended, lambda event: event.side == "buy" and event.replaces is None, spread=6),
    LogPoint("replace intended", OrderIntended, lambda event: event.replaces is not None),
    LogPoint("sell intended", OrderIntended, lambda event: event.side == "sell", spread=3),
    LogPoint("send started", OrderSendStarted, spread=8),
    LogPoint("accepted", OrderAccepted, spread=8),
    LogPoint("unknown", OrderUnknown),
    LogPoint("bound", OrderBound, spread=8),
    LogPoint("partly filled", OrderFilled, lambda event: event.leaves_qty > 0, spread=2),
    LogPoint("filled", OrderFilled, lambda event: event.leaves_qty == 0, spread=6),
    LogPoint("fill booked", CashMoved, spread=6),
    LogPoint("cancel wanted", CancelWanted),
    LogPoint("trigger fired", TriggerFired, spread=4),
    LogPoint("closing balance", BalanceWanted, lambda event: event.reason == "closing"),
    LogPoint("settled", OrdersSettled),
    LogPoint("reconciled", DayReconciled),
    LogPoint("closed", DayClosed),
)
DOOR_POINTS = ("order in flight", "change in flight")
"""A new order; a cancel or a replacement."""
ANYWHERE = "anywhere"
"""Any event at all, after some hundred others."""
WALL = "by the wall's clock"
"""Some time after the start, by another process."""

BY_NAME = {point.name: point for point in LOG_POINTS}
REQUIRED = (*BY_NAME, *DOOR_POINTS)
"""What a long soak must have met."""
