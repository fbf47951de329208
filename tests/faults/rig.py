"""A day of our whole client against the look-alike in a process of its own, with faults, watched from both sides.

The client is the command's own `LiveRun`: owners in threads, feed, REST and orders over real sockets. All that is added
is a watcher at the admin port: before each step of market time, when the client has settled, it notes what the exchange
holds registered and where the journal stands, so that both sides can be compared second by second afterwards.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

from rich.console import Console

from kquant.cli import day, live
from kquant.cli.outcome import Outcome
from kquant.cli.shell import settings_for
from kquant.domain import OWNERS
from kquant.events.base import Recorded
from kquant.gateways.embedded import EmbeddedExchange
from kquant.gateways.kis.feed.wire import decode
from kquant.journal import open_day
from kquant.replay import commands
from kquant.values import kst_clock

CHANNELS = {"H0STCNT0": "trades", "H0STASP0": "book", "H0STPGM0": "program", "H0STMKO0": "status"}
NOTICE = "H0STCNI0"
COUNTER = "slow_rest:path=/trading/order-,ms=1,count=0"
"""Counts every order call that reaches the exchange's door, before any other fault sees it, and delays it by nothing."""

BUSY = ("pipeline.threshold=50", "exits.take_profit_bp=60", "exits.stop_loss_bp=60")
"""Settings under which the small afternoon places some forty orders."""

Pair = tuple[str, str]


@dataclass(frozen=True)
class Moment:
    """What the exchange held when the client had settled: `seq` is the journal's head then."""

    now: int
    seq: int
    session: int
    held: frozenset[Pair]
    notice: bool

    @property
    def clock(self) -> str:
        return kst_clock(self.now)


@dataclass
class Witness:
    """What was seen at the admin port over a day, and at its end."""

    moments: list[Moment] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    ledger: dict[str, Any] = field(default_factory=dict)
    hub: dict[str, Any] = field(default_factory=dict)
    journal: Any = None


@dataclass(repr=False)
class Played:
    """A day that was traded to its end under faults."""

    outcome: Outcome
    witness: Witness
    printed: str

    @property
    def facts(self) -> list[Recorded]:
        return self.outcome.facts

    def of(self, kind: type) -> list[Any]:
        """Return the events of one type, in order."""
        return [fact.event for fact in self.facts if isinstance(fact.event, kind)]

    def fault(self, kind: str, **params: object) -> dict[str, Any]:
        """Return the exchange's row of one fault."""
        [row] = [
            row
            for row in self.witness.faults
            if row["kind"] == kind and all(row.get(name) == value for name, value in params.items())
        ]
        return row

    def hits(self, kind: str) -> int:
        """Return how often the faults of one kind acted, all together."""
        return sum(row["hits"] for row in self.witness.faults if row["kind"] == kind)

    @property
    def orders(self) -> dict[str, dict[str, Any]]:
        """Return the exchange's new orders by number; cancels and revisions are left out."""
        return {str(row["no"]): row for row in self.witness.ledger["orders"] if row["request"] == "new"}

    @property
    def posts(self) -> int:
        """Return how many order calls reached the exchange."""
        return int(self.fault("slow_rest", ms=1)["seen"])

    @cached_property
    def verified(self) -> commands.Answer:
        return commands.verify(self.outcome.folder, OWNERS, decode)


def play(
    folder: Path,
    *faults: str,
    start: str = "14:33",
    stocks: int = 150,
    speed: str = "max",
    seed: int | None = None,
    changes: Sequence[str] = BUSY,
) -> Played:
    """Trade the rest of a small generated day from *start* on under *faults*; *changes* are settings (section.key=value)."""
    hour, minute = int(start[:2]), int(start[3:])
    at = [f"{hour + (minute + more) // 60:02d}:{(minute + more) % 60:02d}" for more in (1, 12)]
    sets = [
        f"demo.stocks={stocks}",
        f"demo.start={start}",
        f"schedule.analysis={at[0]}",
        f"analyzer.late_until={at[1]}",
        f"analyzer.deadline={at[1]}",
        f"demo.faults={json.dumps([COUNTER, *faults])}",
        *changes,
    ]
    if seed is not None:
        sets.append(f"demo.seed={seed}")
    loaded = settings_for("demo", None, sets, journal__data=str(folder))
    options = live.RunOptions(loaded=loaded, data=folder, day=None, speed=speed, market=None, days=1)
    witness, outcomes, printed = Witness(), [], io.StringIO()

    class Watched(EmbeddedExchange):
        """The embedded exchange, looked at before each step and before its end."""

        async def step(self, until: Any) -> Any:
            await self._look()
            return await super().step(until)

        async def now(self) -> Any:
            await self._look()
            return await super().now()

        async def close(self) -> None:
            if self._admin is not None and not witness.faults:
                witness.faults = (await self._ask({"op": "faults"}))["faults"]
                witness.ledger = await self.ledger()
                witness.hub = await self._ask({"op": "registrations"})
            await super().close()

        async def _look(self) -> None:
            if witness.journal is None:
                return
            head = witness.journal.head
            hub = await self._ask({"op": "registrations"})
            if witness.journal.head != head:
                return  # a clock that runs does not wait for us: both sides were not looked at in the same moment
            newest = max(hub["sessions"], key=lambda one: one["session"], default=None)
            pairs = [] if newest is None else newest["registered"]
            witness.moments.append(
                Moment(
                    now=hub["now"],
                    seq=head,
                    session=0 if newest is None else newest["session"],
                    held=frozenset((key, CHANNELS[tr_id]) for tr_id, key in pairs if tr_id != NOTICE),
                    notice=any(tr_id == NOTICE for tr_id, _ in pairs),
                )
            )

    def noted(*args: Any, **kwargs: Any) -> Any:
        witness.journal = open_day(*args, **kwargs)
        return witness.journal

    with mock.patch.object(live, "EmbeddedExchange", Watched), mock.patch.object(day, "open_day", noted):
        run = live.LiveRun(options, Console(file=printed, width=120), outcomes.append)
        asyncio.run(run.run())
    [outcome] = outcomes
    return Played(outcome, witness, printed.getvalue())


def counted(played: Played, kind: type, name: str) -> Counter[Any]:
    """Return how often each value of a field occurs in the events of one type."""
    return Counter(getattr(event, name) for event in played.of(kind))
