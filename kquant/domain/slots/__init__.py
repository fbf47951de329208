"""The slot table's owner: who claims a slot, who ought to have one, and the one request at a time that gets there.

policy.py   who ought to have a slot: a pure function that can be replaced
own.py      what slots decided, a fold of its own stream
seen.py     what it saw of others, a fold of foreign events
wire.py     the difference, and the next request
decide.py   one decision: claims, request, polling, alarm
"""

from __future__ import annotations

from kquant.domain.owner import Owner
from kquant.domain.slots.decide import ALARM, decider
from kquant.domain.slots.own import Own, evolve
from kquant.domain.slots.policy import Claim, Key, SlotPolicy, Stock, Wish, best_that_fit
from kquant.domain.slots.seen import OUTCOMES, Seen, Wire, observe
from kquant.domain.slots.wire import SlotState, pending, state_of
from kquant.events.analyzer import PicksChosen
from kquant.events.day import AlarmRang, DayOpened, JobDue
from kquant.events.feed import FeedConnected, FeedLost, FirstTick
from kquant.events.orders import OrderFinished, OrderIntended
from kquant.events.portfolio import PortfolioOpened, PositionClosed, PositionOpened
from kquant.events.scanner import ScanCompleted


def slots_owner(policy: SlotPolicy = best_that_fit) -> Owner[Own, Seen]:
    """Return the owner under another policy."""
    return Owner(
        stream="slots",
        reacts=(
            DayOpened,
            PortfolioOpened,
            PositionOpened,
            PositionClosed,
            OrderIntended,
            OrderFinished,
            PicksChosen,
            ScanCompleted,
            JobDue,
            AlarmRang,
            FeedConnected,
            FeedLost,
            FirstTick,
            *OUTCOMES,
        ),
        observes=(),
        own=Own(),
        seen=Seen(),
        decide=decider(policy),
        evolve=evolve,
        observe=observe,
    )


SLOTS = slots_owner()
"""The owner under the default policy."""

__all__ = [
    "ALARM",
    "SLOTS",
    "Claim",
    "Key",
    "Own",
    "Seen",
    "SlotPolicy",
    "SlotState",
    "Stock",
    "Wire",
    "Wish",
    "best_that_fit",
    "decider",
    "evolve",
    "observe",
    "pending",
    "slots_owner",
    "state_of",
]
