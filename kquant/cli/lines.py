"""The process's lines to KIS over REST: the trading key's, and besides on paper that of a real key which only reads.

They outlive the days: token, budget and connections are a key's, not a day's. What belongs together is checked before
the first call, and what KIS itself says of the keys before the first day.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import date
from pathlib import Path
from typing import Any, Self, TypeVar

import structlog
from msgspec import Struct

from kquant.cli.keys import Keys, expiry_warning, issued_on
from kquant.gateways.clock import Clock, SteppedClock
from kquant.gateways.kis.rest.auth import Secrets
from kquant.gateways.kis.rest.calls import DataCalls, KisCalls
from kquant.gateways.kis.rest.client import DATA_ADVICE, ReadOnlyClient, RestClient, no_jitter, some_jitter
from kquant.gateways.kis.rest.endpoints import Environment
from kquant.gateways.kis.rest.environment import check_belonging, start_error
from kquant.gateways.kis.rest.errors import KisError
from kquant.gateways.kis.rest.limits import Limit, limit_for
from kquant.settings import BrokerSettings
from kquant.values import SECOND_US, Micros

log = structlog.get_logger("kquant.run")
T = TypeVar("T")

LACKING = (
    "the paper service has no rankings, news, holidays and program trading: no surging stocks are found, the calendar "
    "alone says which days are open"
)
"""What a paper run without a real key goes without (kis-protocol 4.1)."""


class Hosts(Struct, frozen=True, kw_only=True):
    """Addresses of one service."""

    rest_url: str
    ws_url: str


class Lines:
    """One account's lines, open inside `async with`. tokens: folder of the cached tokens.   reading: keys and hosts of the key that only reads."""

    def __init__(
        self,
        broker: BrokerSettings,
        environment: Environment,
        hosts: Hosts,
        keys: Keys,
        clock: Clock,
        *,
        tokens: Path,
        today: date,
        reading: tuple[Hosts, Keys] | None = None,
    ) -> None:
        self.environment: Environment = environment
        self.hosts = hosts
        self.keys = keys
        self.reading = reading
        self._clock = clock
        self._broker = broker
        # Loaded while the main thread still owns the loop: approvals are asked for from the feed's.
        self._loop = asyncio.get_running_loop()
        check_belonging(environment, urls=(hosts.rest_url, hosts.ws_url), key=environment, account=environment)
        self._trading = self._client(broker, environment, hosts, keys, tokens / "token.json", today)
        self._data: RestClient | None = None
        data: DataCalls | None = None
        if reading is not None:
            there, theirs = reading
            check_belonging("real", urls=(there.rest_url, there.ws_url), key="real", account=None)
            self._data = self._client(broker, "real", there, theirs, tokens / "token-data.json", today, reads_only=True)
            data = DataCalls(ReadOnlyClient(self._data.line), keys.hts_id)
        self.calls = KisCalls(self._trading, keys.account, data, hts_id=keys.hts_id)

    def _client(
        self,
        broker: BrokerSettings,
        environment: Environment,
        hosts: Hosts,
        keys: Keys,
        token_file: Path,
        today: date,
        *,
        reads_only: bool = False,
    ) -> RestClient:
        limit = _limit(broker, environment, keys, today, reads_only=reads_only)
        clock, stepped = self._clock, isinstance(self._clock, SteppedClock)
        return RestClient(
            hosts.rest_url,
            Secrets(keys.app_key, keys.app_secret),
            self._clock,
            per_second=limit.per_second,
            gap_us=limit.gap_us,
            reserved=limit.reserved,
            timeout_seconds=broker.rest_timeout_seconds,
            token_file=token_file,
            environment=environment,
            advice=DATA_ADVICE,
            jitter=no_jitter if stepped else some_jitter,
            # Tokens age by the clock the exchange counts by: where time is stepped, that is the market's.
            wall=(lambda: clock.now() / SECOND_US) if stepped else time.time,
        )

    def begin_day(self, day: date) -> tuple[str, ...]:
        """Go by the budgets in force on *day*; return what to tell a person of the keys. A run outlives dated tables."""
        self._trading.line.limiter.allow(_limit(self._broker, self.environment, self.keys, day))
        warnings = [expiry_warning(self.keys, day)]
        if self._data is not None and self.reading is not None:
            self._data.line.limiter.allow(_limit(self._broker, "real", self.reading[1], day, reads_only=True))
            warnings.append(expiry_warning(self.reading[1], day))
        return tuple(one for one in warnings if one is not None)

    async def __aenter__(self) -> Self:
        await self._trading.start()
        if self._data is not None:
            await self._data.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._trading.close()
        if self._data is not None:
            await self._data.close()

    async def check(self) -> None:
        """Have KIS confirm that keys, hosts and account belong together. Raises StartError in one line if they do not.

        A service that does not answer, as at night, says nothing against them.
        """
        await self._confirmed(f"the {self.environment} keys", self.calls.balance())
        if self._data is not None:
            # A token may be a cached one: only an answer proves the key.
            await self._confirmed("the data keys", self.calls.news())
        if self.environment == "paper" and self._data is None:
            log.warning("paper without a real key", lacking=LACKING, advice=DATA_ADVICE)

    async def _confirmed(self, who: str, asked: Coroutine[Any, Any, object]) -> None:
        try:
            await asked
        except KisError as error:
            against = start_error(error, who)
            if against is not None:
                raise against from None
            log.warning("KIS could not be asked about the keys", keys=who, reason=str(error))

    async def renew(self, until: Micros) -> None:
        """Renew tokens that would end before *until*, so that none ends while the market is open."""
        for client in (self._trading, self._data):
            if client is None:
                continue
            try:
                await client.line.auth.renew_if_due(until / SECOND_US)
            except KisError as error:
                log.warning("a token could not be renewed before the open", reason=str(error))

    def approval(self) -> Callable[[bool], Awaitable[str]]:
        """Return what gives the trading key's approval key on any thread's loop."""
        return self._approval_of(self._trading)

    def data_approval(self) -> Callable[[bool], Awaitable[str]] | None:
        """Return what gives the reading key's approval key, None without one."""
        return None if self._data is None else self._approval_of(self._data)

    def _approval_of(self, client: RestClient) -> Callable[[bool], Awaitable[str]]:
        async def approval(renew: bool) -> str:
            return await self.here(client.approval_key(renew=renew))

        return approval

    async def here(self, work: Coroutine[Any, Any, T]) -> T:
        """Run *work* on the loop the lines live on, and await it on the caller's."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))


def _limit(
    broker: BrokerSettings, environment: Environment, keys: Keys, day: date, *, reads_only: bool = False
) -> Limit:
    since = issued_on(keys) or (date.fromisoformat(broker.key_since) if broker.key_since else None)
    return limit_for(broker, environment, day, since, reads_only=reads_only)
