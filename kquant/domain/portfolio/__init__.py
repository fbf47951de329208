"""The owner of positions, cash and cost basis: the day opens and ends at the broker's balance, fills move it between.

Money is exact (M1): cash = start + sells - buys - fees - taxes, in whole won. Costs are charged on an order's
cumulative amount, so it does not matter in how many fills its executions arrive. A balance that differs from ours is
believed only after two agreeing reads in quiet, when no order of ours works and no fill is younger than ten seconds: of a
stock for its shares, of any for cash.
"""

from __future__ import annotations

from kquant.domain.owner import Owner
from kquant.domain.portfolio.booking import NotCovered, is_covered
from kquant.domain.portfolio.decide import decide
from kquant.domain.portfolio.reconcile import differences_between
from kquant.domain.portfolio.seen import QUIET_US, Seen, observe
from kquant.domain.portfolio.state import Own, Position, evolve
from kquant.events.analyzer import ListingAnswered
from kquant.events.day import AlarmRang, DayOpened, JobDue
from kquant.events.orders import (
    ExecutionsListed,
    ExecutionsWanted,
    OrderFilled,
    OrderFinished,
    OrderIntended,
    OrdersSettled,
    ProofWanted,
)
from kquant.events.pipeline import PipelineStarted
from kquant.events.portfolio import BalanceAnswered
from kquant.events.scanner import ReadExpired, ReadFailed

__all__ = [
    "PORTFOLIO",
    "QUIET_US",
    "STREAM",
    "NotCovered",
    "Own",
    "Position",
    "Seen",
    "differences_between",
    "is_covered",
]

STREAM = "portfolio"

PORTFOLIO: Owner[Own, Seen] = Owner(
    stream=STREAM,
    reacts=(
        DayOpened,
        PipelineStarted,
        OrderFilled,
        OrdersSettled,
        ProofWanted,
        BalanceAnswered,
        ReadFailed,
        ReadExpired,
        JobDue,
        AlarmRang,
    ),
    observes=(ListingAnswered, OrderIntended, OrderFinished, ExecutionsWanted, ExecutionsListed),
    own=Own(),
    seen=Seen(),
    decide=decide,
    evolve=evolve,
    observe=observe,
)
