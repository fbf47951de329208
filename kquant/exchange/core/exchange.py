"""The whole exchange in memory: one market, one clock, and the real and the paper service that see them.

Servers are thin shells around `Exchange`; a test or a simulation drives it directly. It owns no clock: market time
moves only by `step`, wall times (for tokens and call limits) are handed in.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Final, Literal

from msgspec import Struct

from kquant.exchange.core.feed import Feed
from kquant.exchange.core.layouts import NEWEST, Layout
from kquant.exchange.core.ports import Market
from kquant.exchange.core.registrations import WsSession
from kquant.exchange.core.rest_reference import master_zip
from kquant.exchange.core.service import Service
from kquant.exchange.core.state import ENVIRONMENTS, Environment, MemoryStore, Restored, ServiceOptions, Store

KST: Final = dt.timezone(dt.timedelta(hours=9))
US: Final = 1_000_000


class ExchangeOptions(Struct, frozen=True, kw_only=True):
    """Both services' settings and the exchange's own. start_second: where the first day's clock begins, KST."""

    real: ServiceOptions
    paper: ServiceOptions
    start_second: int = 7 * 3600
    layout: Layout = NEWEST


class Exchange:
    """A simulated KIS: both services over one trading day.

    stores, restored: by service; a missing store keeps nothing.   now_us: the market time to go on from.
    save_clock: writes the market time.
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
    ) -> None:
        self.options = options
        self.outbox: list[tuple[WsSession, str]] = []
        self._save_clock = save_clock
        self._open_day(market)
        self.now_us = self.midnight_us + options.start_second * US if now_us is None else now_us
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
        """Whether time is stepped second by second: from ten seconds before the open to a minute after the close."""
        return self.market.open_second - 10 <= self.second < self.market.close_second + 60

    def step(self, until_us: int) -> int:
        """Move market time towards *until_us*: one second while active, else up to the next market event.

        Frames are in `outbox` and the ledger is durable when the new time (UTC us) is returned.
        """
        if until_us <= self.now_us:
            return self.now_us
        before = self.second
        if self.active:
            target = min(until_us, self.midnight_us + (before + 1) * US)
        else:
            starts = self.midnight_us + (self.market.open_second - 10) * US
            target = min(until_us, starts) if self.now_us < starts else until_us
        if self.active and target >= self.midnight_us + (before + 1) * US:
            self._play(before)
        for service in self.services.values():
            for session, text in service.hub.pings(target // US):
                self._send(session, text)
            service.limit.step()
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
        self.midnight_us = int(dt.datetime.combine(market.day, dt.time(), KST).timestamp()) * US
        self._feed = Feed(market, self.options.layout)
        self._masters: dict[str, bytes] = {}

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
        session.frames += 1
        self.outbox.append((session, text))

    def _master(self, which: Literal["KOSPI", "KOSDAQ"]) -> bytes:
        if which not in self._masters:
            self._masters[which] = master_zip(self.market, which)
        return self._masters[which]
