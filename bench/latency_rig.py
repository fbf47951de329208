"""A trading day of kquant behind a local broker: the whole run as `kquant run` wires it, on a disk, at the wall's pace."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import time
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from msgspec import Struct, structs
from rich.console import Console

from bench.peer import ROOT
from kquant.cli.day import DayRun
from kquant.cli.doors import KisDoor
from kquant.cli.keys import Keys
from kquant.cli.lines import Hosts, Lines
from kquant.cli.live import SWITCH_SECONDS
from kquant.cli.outcome import Outcome
from kquant.cli.plan import DayBefore, Planned
from kquant.config import load
from kquant.events.day import Carried
from kquant.hours import day_hours, up_until
from kquant.settings import Settings
from kquant.values import MINUTE_US, SECOND_US, Krw, Shares, Symbol

BEGIN_US = 65 * MINUTE_US + 5 * SECOND_US
"""After the open: between two minutes' scans, with the morning's jobs behind."""
BURN = "while True: pass"


class Played(Struct, frozen=True):
    """What a broker saw, ns of the machine's monotonic clock. late: behind its timetable at worst."""

    sent: dict[str, int]
    arrived: dict[str, list[int]]
    late: int

    def latencies(self) -> list[int]:
        """Return ns from each firing frame to its order. Raises RuntimeError unless each had exactly one."""
        wrong = {code: len(self.arrived.get(code, ())) for code in self.sent if len(self.arrived.get(code, ())) != 1}
        if wrong or len(self.arrived) != len(self.sent):
            raise RuntimeError(f"{len(self.sent)} firings, orders of {len(self.arrived)} stocks, not one each: {wrong}")
        return [self.arrived[code][0] - at for code, at in self.sent.items()]


class Market(Struct, frozen=True):
    """What a broker plays. frames: file, one a line.   firing: index of a frame to the stock whose stop it reaches."""

    frames: Path
    firing: dict[int, str]
    rate: int


class BrokerProcess:
    """The broker's process, from the caller's side; calls are awaited."""

    def __init__(self, process: asyncio.subprocess.Process, rest: int, ws: int) -> None:
        self._process = process
        self.rest = rest
        self.ws = ws

    @classmethod
    async def start(cls) -> BrokerProcess:
        """Start it and wait for its ports."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.broker", cwd=ROOT, stdin=PIPE, stdout=PIPE, limit=1 << 22
        )
        return cls(process, **await _line(process))

    async def registered(self, count: int) -> None:
        """Return once so many stocks are registered."""
        await self._call({"do": "registered", "count": count})

    async def play(self, market: Market) -> Played:
        """Have it play; return what it saw."""
        firing = {str(index): code for index, code in market.firing.items()}
        order = {"do": "play", "frames": str(market.frames), "rate": market.rate, "firing": firing}
        return Played(**await self._call(order))

    async def close(self) -> None:
        """End it by closing its pipe."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def _call(self, order: dict[str, object]) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        return await _line(self._process)


async def _line(process: asyncio.subprocess.Process) -> Any:
    assert process.stdout is not None
    text = await process.stdout.readline()
    if not text:
        raise RuntimeError(f"the broker ended with {await process.wait()}: see its error above")
    return json.loads(text)


@contextmanager
def neighbour(wanted: bool) -> Iterator[None]:
    """Inside, another process burns a core, if wanted."""
    if not wanted:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", BURN]) as process:
        try:
            yield
        finally:
            process.kill()


def kquant_day(folder: Path, codes: list[str], cost_krw: int, qty: int, market: Market) -> tuple[Played, Outcome]:
    """Trade one new day in *folder* with *qty* shares held of each stock; return what the broker saw and the day's facts."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        return asyncio.run(_day(folder, codes, cost_krw, qty, market))
    finally:
        sys.setswitchinterval(before)


async def _day(folder: Path, codes: list[str], cost_krw: int, qty: int, market: Market) -> tuple[Played, Outcome]:
    settings = _settings()
    day = date.fromisoformat(settings.demo.day)
    hours = day_hours(day, settings.krx)
    carried = tuple(
        Carried(code=Symbol(code), name=code, qty=Shares(qty), cost_krw=Krw(qty * cost_krw)) for code in codes
    )
    before = DayBefore(folder="", digest="", positions=carried, cash_krw=Krw(10_000_000), reconciled=True)
    planned = Planned(day=day, hours=hours, folder=folder / day.isoformat(), before=before)
    door = KisDoor(lambda _: None, offset_seconds=(hours.open_at + BEGIN_US) // SECOND_US - int(time.time()))
    broker = await BrokerProcess.start()
    hosts = Hosts(rest_url=f"http://127.0.0.1:{broker.rest}", ws_url=f"ws://127.0.0.1:{broker.ws}")
    keys = Keys(account="12345678-01", hts_id="bench", app_key="A" * 36, app_secret="S" * 180)
    over = False
    try:
        async with Lines(settings.broker, "real", hosts, keys, door.clock, tokens=folder, today=day) as lines:
            await lines.renew(up_until(hours, settings))
            run = DayRun(
                settings, planned, door, lines, folder, Console(file=io.StringIO()), alerts=(),
                until=up_until(hours, settings), interrupted=lambda: over,
            )  # fmt: skip
            running = asyncio.create_task(run.run())

            async def conduct() -> Played:
                await broker.registered(len(codes))
                return await broker.play(market)

            conducting = asyncio.create_task(conduct())
            await asyncio.wait({running, conducting}, return_when=asyncio.FIRST_COMPLETED)
            over = True
            outcome = await running
            if not conducting.done():
                conducting.cancel()
                raise RuntimeError(f"the day ended before the market did: {outcome.reason}")
            return conducting.result(), outcome
    finally:
        await broker.close()


def _settings() -> Settings:
    """Return the defaults, with every slot for trades, taken as fast as the broker says yes."""
    settings = load(environ={}).settings
    return structs.replace(
        settings,
        broker=structs.replace(settings.broker, register_gap_ms=0),
        slots=structs.replace(settings.slots, extra_channels=(), changes_per_minute=1_000),
    )


def names(outcome: Outcome) -> Counter[str]:
    """Return how often each event stands in the day's log."""
    return Counter(fact.name for fact in outcome.facts)
