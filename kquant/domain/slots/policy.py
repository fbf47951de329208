"""Who ought to have a slot: a small pure function that can be replaced.

It ranks the claims and cuts them to what fits. What the wire may do, and when, is not its business (`decide.py`).
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Protocol

from msgspec import Struct

from kquant.events.slots import Reason
from kquant.settings import SlotSettings
from kquant.values import Channel, Micros, Priority, Symbol

Key = tuple[Symbol, Channel]
"""One registration: what KIS counts."""

PRIORITY: Mapping[Reason, Priority] = {"held": 1, "picked": 2, "surging": 3}
EXTRA: Priority = 4


class Claim(Struct, frozen=True, gc=False):
    """One reason to watch a stock. rank: pick rank from 1, 0 otherwise. since: when claimed or last qualified."""

    reason: Reason
    rank: int
    since: Micros


class Stock(Struct, frozen=True):
    """A stock with its claims, best first, at least one; its priority is that of the best."""

    code: Symbol
    name: str
    claims: tuple[Claim, ...]

    @property
    def priority(self) -> Priority:
        """The best claim's priority."""
        return PRIORITY[self.claims[0].reason]


class Wish(Struct, frozen=True, gc=False):
    """A registration that ought to be."""

    code: Symbol
    channel: Channel
    priority: Priority


class SlotPolicy(Protocol):
    """Returns the registrations that ought to be, best first and never more than *capacity*, each at most once.

    incumbents: stocks whose trades the broker holds or may hold.   unservable: registrations it refuses, today or for now.
    """

    def __call__(
        self,
        stocks: Mapping[Symbol, Stock],
        incumbents: Container[Symbol],
        unservable: Container[Key],
        rules: SlotSettings,
        capacity: int,
    ) -> tuple[Wish, ...]:
        """Decide."""


def ranked(stocks: Mapping[Symbol, Stock], incumbents: Container[Symbol]) -> list[Stock]:
    """Return the stocks, best first.

    Priority first. Within 1 and 2 the incumbent, since neither gives way to its like; then within 1 the earlier
    claim, within 2 the pick's rank. Within 3 the most recently qualified. Ties by code.
    """
    order: list[tuple[int, int, int, Symbol]] = []
    for code, stock in stocks.items():
        best = stock.claims[0]
        if best.reason == "surging":
            order.append((3, 0, -best.since, code))
        elif best.reason == "held":
            order.append((1, code not in incumbents, best.since, code))
        else:
            order.append((2, code not in incumbents, best.rank, code))
    order.sort()
    return [stocks[entry[3]] for entry in order]


def best_that_fit(
    stocks: Mapping[Symbol, Stock],
    incumbents: Container[Symbol],
    unservable: Container[Key],
    rules: SlotSettings,
    capacity: int,
) -> tuple[Wish, ...]:
    """The default policy: the best claims under the caps, then extra channels below the headroom."""
    caps = {1: capacity, 2: rules.picks_cap, 3: rules.surges_cap}
    wishes: list[Wish] = []
    for stock in ranked(stocks, incumbents):
        if len(wishes) >= capacity:
            break
        priority = stock.priority
        if caps[priority] > 0 and (stock.code, "trades") not in unservable:
            caps[priority] -= 1
            wishes.append(Wish(stock.code, "trades", priority))
    room = capacity - rules.extra_headroom - len(wishes)
    for wish in tuple(wishes):
        for channel in rules.extra_channels:
            if room <= 0 or wish.priority > PRIORITY["picked"]:
                return tuple(wishes)
            if (wish.code, channel) not in unservable:
                wishes.append(Wish(wish.code, channel, EXTRA))
                room -= 1
    return tuple(wishes)
