"""The embedded exchange as seen from the run: its process, its ports, its clock.

The exchange is a look-alike of KIS in a process of its own; only its admin port is spoken here, never the KIS surface.
Market time in the demo is its clock: stepped as fast as the run settles, or running at N times the wall's speed.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from kquant.settings import DemoSettings
from kquant.values import KquantError, Micros

READY_SECONDS = 60.0
ANSWER_SECONDS = 60.0


class ExchangeError(KquantError):
    """The embedded exchange did not start, or stopped answering."""


class Credentials(Struct, frozen=True, kw_only=True):
    """What the demo's account signs in with. They open nothing outside this machine."""

    account: str = "50001234-01"
    hts_id: str = "DEMO01"
    app_key: str = "PSdemo0000000000000000000000000000de"
    app_secret: str = "demo-secret-" + "0" * 168

    def __repr__(self) -> str:
        return f"Credentials({self.account}, keys hidden)"


class Ready(Struct, frozen=True, kw_only=True):
    """What the exchange prints when it is up. Ports are on loopback. research: the day's research table (Parquet)."""

    rest_port: int
    ws_port: int
    admin_port: int
    pid: int
    day: str
    research: str
    market: dict[str, Any]


class Stepped(Struct, frozen=True, kw_only=True):
    """Answer to a step: the market's clock, and how many text frames the feed's session has been sent."""

    now: Micros
    session: int
    frames: int


class Hello(Struct, frozen=True, kw_only=True):
    """The market's clock and the day that is played. mode: "step" or "run".

    research: the day's table (Parquet).   market: where the day comes from, for the report.
    """

    now: Micros
    day: str
    open: Micros
    close: Micros
    mode: str
    speed: float | None
    research: str
    market: dict[str, Any]


class EmbeddedExchange:
    """Starts the exchange's process and speaks to its admin port. It ends when our end of its stdin closes."""

    def __init__(
        self, state: Path, demo: DemoSettings, *, day: str, speed: str, market: Path | None, days: int = 1
    ) -> None:
        self._state = state
        self._demo = demo
        self._day = day
        self._speed = speed
        self._market = market
        self._days = days
        self._process: asyncio.subprocess.Process | None = None
        self._admin: ClientConnection | None = None

    async def start(self, credentials: Credentials) -> Ready:
        """Start the process and wait until it is ready. Raises ExchangeError with its own words if it is not."""
        self._state.mkdir(parents=True, exist_ok=True)
        source = ["--market", str(self._market)] if self._market else ["--generate", str(self._demo.seed)]
        command = [
            *(sys.executable, "-m", "kquant.exchange", "--state", str(self._state), *source, "--day", self._day),
            *("--speed", self._speed, "--start", f"{self._demo.start}:00", "--stocks", str(self._demo.stocks)),
            *("--cash", str(self._demo.cash_krw), "--holdings", str(self._demo.holdings)),
            *("--account", credentials.account, "--hts-id", credentials.hts_id),
            *(part for fault in self._demo.faults for part in ("--faults", fault)),
            *(("--days", str(self._days)) if self._days > 1 else ()),
            *("--linger", "0", "--list-lag", "0", "--end-with-stdin"),
        ]
        self._process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # Keys in the environment stand in no process list.
            env={
                **os.environ,
                "PYTHONUTF8": "1",
                "KQUANT_EXCHANGE_APPKEY": credentials.app_key,
                "KQUANT_EXCHANGE_APPSECRET": credentials.app_secret,
            },
            limit=1 << 20,
            # Ctrl-C reaches the whole group of a terminal: the exchange must outlive it until the run has ended in order.
            start_new_session=True,
        )
        assert self._process.stdout is not None  # noqa: S101  asked for above
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), READY_SECONDS)
        except TimeoutError:
            raise ExchangeError(f"the embedded exchange was not ready after {READY_SECONDS:.0f} s") from None
        try:
            ready = msgspec.json.decode(line, type=Ready)
        except msgspec.DecodeError:
            raise ExchangeError(await self._last_words()) from None
        self._admin = await connect(f"ws://127.0.0.1:{ready.admin_port}", ping_interval=None, max_size=None)
        return ready

    async def hello(self) -> Hello:
        """Return the market's clock and hours."""
        return msgspec.convert(await self._ask({"op": "hello"}), Hello)

    async def step(self, until: Micros) -> Stepped:
        """Play at most one second of market time, or jump towards *until* while the market sleeps."""
        return msgspec.convert(await self._ask({"op": "step", "until": until}), Stepped)

    async def now(self) -> Micros:
        """Return the market's clock in run mode."""
        return Micros(int((await self._ask({"op": "now"}))["now"]))

    async def ledger(self) -> dict[str, Any]:
        """Return the exchange's own ledger, for reconciliation by tests and the report."""
        return await self._ask({"op": "ledger"})

    async def close(self) -> None:
        """Let the exchange end in order: close its stdin and wait."""
        if self._admin is not None:
            await self._admin.close()
        if self._process is not None and self._process.returncode is None:
            assert self._process.stdin is not None  # noqa: S101
            self._process.stdin.close()
            try:
                await asyncio.wait_for(self._process.wait(), 10)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    async def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        if self._admin is None:
            raise ExchangeError("the embedded exchange is not started")
        try:
            await self._admin.send(msgspec.json.encode(question).decode())
            answer: dict[str, Any] = msgspec.json.decode(await asyncio.wait_for(self._admin.recv(), ANSWER_SECONDS))
        except (OSError, TimeoutError, EOFError, RuntimeError, WebSocketException) as error:
            raise ExchangeError(f"the embedded exchange does not answer: {await self._last_words()} {error}") from None
        if "error" in answer:
            raise ExchangeError(f"the embedded exchange refused {question['op']}: {answer['error']}")
        return answer

    async def _last_words(self) -> str:
        if self._process is None or self._process.stderr is None:
            return "the embedded exchange is gone"
        try:
            text = (await asyncio.wait_for(self._process.stderr.read(8_192), 5)).decode(errors="replace").strip()
        except TimeoutError:
            text = ""
        return text.splitlines()[-1] if text else "the embedded exchange ended without a word"
