"""The look-alike on loopback in this process, both services, at a second of a generated day."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from kquant.config import load
from kquant.exchange.core.exchange import Exchange, ExchangeOptions
from kquant.exchange.core.state import ServiceOptions
from kquant.exchange.market import MarketDay, generate
from kquant.exchange.servers.ports import PortNumbers, Ports
from kquant.gateways.clock import SteppedClock
from kquant.gateways.kis.rest.auth import Secrets
from kquant.gateways.kis.rest.calls import DataCalls, KisCalls, TradingCalls
from kquant.gateways.kis.rest.client import ReadOnlyClient, RestClient
from kquant.gateways.kis.rest.endpoints import Environment
from kquant.gateways.kis.rest.limits import limit_for
from kquant.settings import BrokerSettings
from kquant.values import SECOND_US, Micros

DAY = dt.date(2026, 11, 20)
REAL, PAPER = ("K" * 36, "S" * 180), ("P" * 36, "s" * 180)
ACCOUNTS: dict[Environment, tuple[str, str]] = {"real": ("50001234", "01"), "paper": ("50009876", "01")}


@cache
def market() -> MarketDay:
    return generate(DAY, 7, 150)


def settings(**change: object) -> BrokerSettings:
    sets = {f"broker.{name}": value for name, value in change.items()}
    return load("demo", environ={}, sets=sets).settings.broker


class EagerClock(SteppedClock):
    """Jumps to whatever anybody waits for."""

    async def sleep_until(self, at: Micros) -> None:
        self.set(max(at, self.now()))


class LookAlike:
    """The exchange, its ports, and a clock that is set to its own."""

    def __init__(self, folder: Path, holdings: int, calls: int) -> None:
        self.folder = folder
        real = ServiceOptions(
            app_key=REAL[0], app_secret=REAL[1], account=ACCOUNTS["real"], holdings=holdings, calls_per_second=calls
        )
        paper = ServiceOptions(
            app_key=PAPER[0], app_secret=PAPER[1], account=ACCOUNTS["paper"], holdings=holdings, calls_per_second=calls
        )
        self.exchange = Exchange(market(), ExchangeOptions(real=real, paper=paper, start_second=8 * 3600))
        self.ports = Ports(self.exchange, None)
        self.numbers: dict[str, int] = {}
        self.clock = EagerClock(Micros(self.exchange.now_us))
        self.opened: list[RestClient] = []

    def at(self, hour: int, minute: int = 0, second: int = 0) -> None:
        """Play up to a time of the day (KST)."""
        until = self.exchange.midnight_us + (hour * 3600 + minute * 60 + second) * SECOND_US
        while self.exchange.now_us < until:
            self.exchange.step(until)
        self.clock.set(max(self.clock.now(), Micros(self.exchange.now_us)))

    def client(self, environment: Environment, secrets: Secrets | None = None, *, purpose: str = "") -> RestClient:
        """Return a started client of one key on that service, with its own token file."""
        keys = PAPER if environment == "paper" else REAL
        limit = limit_for(settings(), environment, DAY)
        made = RestClient(
            f"http://127.0.0.1:{self.numbers['rest_port' if environment == 'real' else 'paper_rest_port']}",
            secrets or Secrets(*keys), self.clock, per_second=limit.per_second, gap_us=limit.gap_us,
            reserved=limit.reserved, timeout_seconds=5, token_file=self.folder / f"token-{purpose or environment}.json",
            environment=environment,
        )  # fmt: skip
        self.opened.append(made)
        return made

    async def calls(
        self,
        environment: Environment,
        *,
        secrets: Secrets | None = None,
        account: str = "",
        data: bool = False,
    ) -> KisCalls:
        """Return one account's calls; data: with a real key beside that only reads."""
        client = self.client(environment, secrets)
        await client.start()
        reading = None
        if data:
            reader = self.client("real", purpose="data")
            await reader.start()
            reading = DataCalls(ReadOnlyClient(reader.line), "DEMO01")
        return KisCalls(client, account or "-".join(ACCOUNTS[environment]), reading, hts_id="DEMO01")

    async def trading(self, environment: Environment) -> TradingCalls:
        return (await self.calls(environment)).trading


@asynccontextmanager
async def look_alike(folder: Path, *, holdings: int = 3, calls: int = 10_000) -> AsyncIterator[LookAlike]:
    made = LookAlike(folder, holdings, calls)
    made.numbers = await made.ports.start(PortNumbers())
    try:
        yield made
    finally:
        for client in made.opened:
            await client.close()
        await made.ports.stop()
