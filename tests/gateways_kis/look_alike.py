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
from kquant.gateways.kis.auth import Secrets
from kquant.gateways.kis.rest import no_jitter
from kquant.gateways.kis.roles import Key, Roles, open_roles
from kquant.settings import BrokerSettings
from kquant.values import SECOND_US, Micros

DAY = dt.date(2026, 11, 20)
REAL, PAPER = ("K" * 36, "S" * 180), ("P" * 36, "s" * 180)
ACCOUNTS = {"real": ("50001234", "01"), "paper": ("50009876", "01")}


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
            app_key=REAL[0], app_secret=REAL[1], account=("50001234", "01"), holdings=holdings, calls_per_second=calls
        )
        paper = ServiceOptions(
            app_key=PAPER[0], app_secret=PAPER[1], account=("50009876", "01"), holdings=holdings, calls_per_second=calls
        )
        self.exchange = Exchange(market(), ExchangeOptions(real=real, paper=paper, start_second=8 * 3600))
        self.ports = Ports(self.exchange, None)
        self.numbers: dict[str, int] = {}
        self.clock = EagerClock(Micros(self.exchange.now_us))
        self.opened: list[Roles] = []

    def at(self, hour: int, minute: int = 0, second: int = 0) -> None:
        """Play up to a time of the day (KST)."""
        until = self.exchange.midnight_us + (hour * 3600 + minute * 60 + second) * SECOND_US
        while self.exchange.now_us < until:
            self.exchange.step(until)
        self.clock.set(max(self.clock.now(), Micros(self.exchange.now_us)))

    def key(self, purpose: str, **change: object) -> Key:
        secrets = PAPER if purpose == "paper" else REAL
        account = {"paper": "50009876-01", "live": "50001234-01"}.get(purpose, "")
        made = {"purpose": purpose, "secrets": Secrets(*secrets), "account": account, "hts_id": "DEMO01"}
        return Key(**{**made, **change})  # type: ignore[arg-type]

    async def roles(self, environment: str, key: Key, data_key: Key | None = None, **broker: object) -> Roles:
        port = self.numbers["rest_port" if environment == "real" else "paper_rest_port"]
        roles = open_roles(
            settings(**broker), self.clock, DAY, environment=environment,  # type: ignore[arg-type]
            key=key, data_key=data_key, rest_url=f"http://127.0.0.1:{port}", tokens=self.folder,
            data_rest_url=f"http://127.0.0.1:{self.numbers['rest_port']}", jitter=no_jitter,
        )  # fmt: skip
        await roles.start()
        self.opened.append(roles)
        return roles


@asynccontextmanager
async def look_alike(folder: Path, *, holdings: int = 3, calls: int = 10_000) -> AsyncIterator[LookAlike]:
    made = LookAlike(folder, holdings, calls)
    made.numbers = await made.ports.start(PortNumbers())
    try:
        yield made
    finally:
        for roles in made.opened:
            await roles.close()
        await made.ports.stop()
