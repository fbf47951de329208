"""Which stock has which name: whatever the log says, the newest word last."""

from __future__ import annotations

from collections.abc import Iterable

from kquant.events.analyzer import ListingAnswered, PicksChosen
from kquant.events.base import Event, Recorded
from kquant.events.day import DayOpened
from kquant.events.orders import OrderFilled, OrderIntended
from kquant.events.pipeline import BuySignalled
from kquant.events.portfolio import BalanceAnswered, PositionOpened
from kquant.events.scanner import RankingsAnswered, ScoreWanted
from kquant.events.slots import SlotClaimed
from kquant.values import Symbol


class Names(dict[Symbol, str]):
    """Code to name, told fact by fact. An empty name teaches nothing."""

    def learn(self, event: Event) -> None:
        """Take the names an event carries."""
        match event:
            case ListingAnswered(stocks=rows) | PicksChosen(picks=rows) | BalanceAnswered(holdings=rows):
                for row in rows:
                    self._take(row.code, row.name)
            case RankingsAnswered(gainers=gainers, volumes=volumes):
                for ranked in (*gainers, *volumes):
                    self._take(ranked.code, ranked.name)
            case DayOpened(positions=carried):
                for position in carried or ():
                    self._take(position.code, position.name)
            case SlotClaimed() | PositionOpened() | OrderIntended() | OrderFilled() | ScoreWanted() | BuySignalled():
                self._take(event.code, event.name)
            case _:
                return

    def _take(self, code: Symbol, name: str) -> None:
        if name:
            self[code] = name


def names_of(facts: Iterable[Recorded]) -> Names:
    """Return every name the facts tell."""
    names = Names()
    for fact in facts:
        names.learn(fact.event)
    return names
