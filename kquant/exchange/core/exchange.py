"""The whole exchange in memory: one market, one clock, and the real and the paper service that see them.

Servers are thin shells around `Exchange`; a test or a simulation drives it directly. It owns no clock: market time
moves only by `step`, wall times (for tokens and call limits) are handed in.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from kquant.exchange.core.books import Environment
from kquant.exchange.core.feed import Feed
from kquant.exchange.core.gateway import MASTERS
from kquant.exchange.core.hours import hours_of
from kquant.exchange.core.layouts import NEWEST, Layout
from kquant.exchange.core.ports import Market
from kquant.exchange.core.registrations import WsSession
from kquant.exchange.core.rest_reference import MasterName, master_zip
from kquant.exchange.core.service import Service
from kquant.exchange.core.state import (
    ENVIRONMENTS,
    Days,
    MemoryStore,
    OneDay,
    Restored,
    ServiceOptions,
    Store,
)

KST: Final = dt.timezone(dt.timedelta(hours=9))
US: Final = 1_000_000


class ExchangeOptions(Struct, frozen=True, kw_only=True):
    """Both services' settings and the exchange's own. start_second: where the first day's clock begins, KST."""

    real: ServiceOptions
    paper: ServiceOptions
    start_second: int = 7 * 3600
    layout: Layout = NEWEST
    whole_day: bool = False
    """Whether auctions before the open and trading after the close are stepped through even if nobody has an order."""


class Exchange:
    """A simulated KIS: both services over one trading day after the other.

    stores, restored: by service; a missing store keeps nothing.   now_us: the market time to go on from.
    save_clock: writes the market time.   days: what follows *market*; a day begins at its midnight.
    """

    def __init__(
        self,
        market: Market,
        options: ExchangeOptions,
        *,
        stores: Mapping[Environment, Store] | None = None,
        restored: Mapping[Environment, Restored] | None = None,
        now_us: int | None = None,
        save_clock: Callable[[int], None] = lambda _: None,
        days: Days | None = None,
    ) -> None:
        self.options = options
        self.days: Days = OneDay() if days is None else days
        self.outbox: list[tuple[WsSession, str]] = []
        self._save_clock = save_clock
        self._open_day(market)
        # A crash between a midnight and its clock leaves a time of the day before.
        starts_us = self.midnight_us + options.start_second * US
        self.now_us = starts_us if now_us is None else max(now_us, self.midnight_us)
        self.services: dict[Environment, Service] = {
            environment: Service(
                environment,
                market,
                options.real if environment == "real" else options.paper,
                second=lambda: self.second,
                now=lambda: self.now_us // US,
                send=self._send,
                layout=options.layout,
                master=self._master,
                store=(stores or {}).get(environment, MemoryStore()),
                restored=(restored or {}).get(environment),
            )
            for environment in ENVIRONMENTS
        }
        self.real.meet(self.paper)
        self.paper.meet(self.real)
        self.persist_clock()

    @property
    def real(self) -> Service:
        """The service in real dress."""
        return self.services["real"]

    @property
    def paper(self) -> Service:
        """The service in paper dress."""
        return self.services["paper"]

    # -- market time ----------------------------------------------------------------------------------------

    @property
    def second(self) -> int:
        """The KST second of the day that is played next; every earlier one is finished."""
        return (self.now_us - self.midnight_us) // US

    @property
    def active(self) -> bool:
        """Whether time is stepped second by second: in the market's hours, and while an order is open."""
        first, end = self._window
        return first <= self.second < end or any(service.desk.is_busy for service in self.services.values())

    @property
    def next_day(self) -> dt.date | None:
        """The day that follows this one, None after the last."""
        return None if self._next is None else self._next[0]

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens this day."""
        return self.second >= self._window[1] and not self.active

    def step(self, until_us: int) -> int:
        """Move market time towards *until_us*: one second while active, else up to the next market event.

        Frames are in `outbox` and the ledger is durable when the new time (UTC us) is returned.
        """
        if until_us <= self.now_us:
            return self.now_us
        if self.active:
            second = self.second
            target = min(until_us, self._at(second + 1))
            if target == self._at(second + 1):
                self._play(second)
        else:
            target = min([until_us, *(at for at in self._events() if at > self.now_us)])
        if self._next is not None and target >= self._next[1]:
            self._open_day(self.days.market(self._next[0]))
            for service in self.services.values():
                service.next_day(self.market)
        for service in self.services.values():
            for session, text in service.hub.pings(target // US):
                self._send(session, text)
        self.now_us = target
        return target

    def advance(self, second: int) -> None:
        """Play market time until *second* (KST second of the day) is next."""
        until = self.midnight_us + second * US
        while self.now_us < until:
            self.step(until)

    def persist_clock(self) -> None:
        """Save the clock; call it after the frames went out and before the step is reported."""
        self._save_clock(self.now_us)

    def take_outbox(self) -> list[tuple[WsSession, str]]:
        """Return the frames to send since the last call, in order."""
        out, self.outbox = self.outbox, []
        return out

    # -- helpers --------------------------------------------------------------------------------------------

    def _open_day(self, market: Market) -> None:
        self.market = market
        self.midnight_us = _midnight_us(market.day)
        self._feed = Feed(market, self.options.layout)
        self._masters: dict[str, bytes] = {}
        following = self.days.after(market.day)
        self._next = None if following is None else (following, _midnight_us(following))
        hours = hours_of(market.day, market.open_second, market.close_second)
        self._window = (market.open_second - 10, market.close_second + 60)
        if self.options.whole_day:
            # The last trades and the first and last changes of status are told as well.
            last = hours.post_close[1] if hours.after is None else hours.after[1]
            self._window = (hours.opening_from - 10, last + 60)

    def _at(self, second: int) -> int:
        return self.midnight_us + second * US

    def _events(self) -> list[int]:
        """Return the times at which something happens by itself: trading begins, a new day begins."""
        return [self._at(self._window[0]), *(() if self._next is None else (self._next[1],))]

    def _play(self, second: int) -> None:
        for service in self.services.values():
            service.play(second)
        for tr_id in self._feed.channels:
            for service in self.services.values():
                for code, sessions in service.hub.holders_of(tr_id).items():
                    for text in self._feed.frames(tr_id, code, second):
                        for session in sessions.values():
                            self._send(session, text)

    def _send(self, session: WsSession, text: str) -> None:
        self.outbox.append((session, text))

    def prepare(self) -> None:
        """Make the day's master files before anybody asks: the real service has them lying there, and waits for nothing."""
        for which in MASTERS.values():
            self._master(which)

    def _master(self, which: MasterName) -> bytes:
        if which not in self._masters:
            self._masters[which] = master_zip(self.market, which)
        return self._masters[which]


def _midnight_us(day: dt.date) -> int:
    return int(dt.datetime.combine(day, dt.time(), KST).timestamp()) * US
