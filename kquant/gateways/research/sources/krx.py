"""KRX through pykrx with the user's own login: prices, flows and ratios of the whole market, a session a request.

pykrx runs in a child process (`krx_child.py`) that gets the login by its environment and nothing else of ours.
Source: kis-protocol 7.5.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Final

import msgspec

import kquant
from kquant.gateways.clock import Clock
from kquant.gateways.research.sources.cache import Book
from kquant.gateways.research.sources.krx_child import Fault, Reply, Request, Setup, What
from kquant.gateways.research.sources.port import (
    Empty,
    FlowRow,
    Missing,
    Part,
    PriceRow,
    Row,
    SourceDown,
    SourceError,
    SourceRefused,
    SourceUnreadable,
    ValuationRow,
    Wanted,
)
from kquant.gateways.research.sources.web import Pace
from kquant.settings import ResearchServiceSettings

START_SECONDS: Final = 90
"""Importing pykrx loads pandas and matplotlib and logs in."""
LINE_MOST: Final = 1 << 25
HANDED_ON: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TEMP", "SYSTEMROOT", "USERPROFILE")
ERRORS: Final[Mapping[Fault, type[SourceError]]] = {
    "refused": SourceRefused,
    "down": SourceDown,
    "unreadable": SourceUnreadable,
    "empty": Empty,
}
EMPTY_MOST: Final = 3
"""So many sessions in a row without a row: KRX answers with nothing."""


class Child:
    """The child process, one request at a time."""

    def __init__(self, process: asyncio.subprocess.Process, timeout_seconds: int) -> None:
        self._process = process
        self._timeout = timeout_seconds

    async def ask(self, what: What, session: date) -> Reply:
        """Return the rows of a session. Raises SourceError."""
        return await self.exchange(Request(what=what, session=f"{session:%Y%m%d}"), self._timeout)

    async def exchange(self, line: Setup | Request, seconds: int) -> Reply:
        """Send a line, return the reply to it. Raises SourceError, also when the child is gone or silent."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the child was started without pipes")
        try:
            stdin.write(msgspec.json.encode(line) + b"\n")
            async with asyncio.timeout(seconds):
                await stdin.drain()
                text = await stdout.readline()
            reply = msgspec.json.decode(text, type=Reply) if text else None
        except TimeoutError:
            raise SourceDown(f"krx: no answer within {seconds} s") from None
        except (OSError, ValueError, msgspec.MsgspecError):
            reply = None
        if reply is None:
            raise SourceDown("krx: the helper process ended")
        if reply.fault:
            raise ERRORS[reply.fault](f"krx: {reply.why}")
        return reply


class Krx:
    """The source. login: id and password, for the child's environment alone."""

    name = "krx"
    parts: tuple[Part, ...] = ("prices", "flows", "valuation")

    def __init__(
        self,
        settings: ResearchServiceSettings,
        login: tuple[str, str],
        clock: Clock,
        counts: Book[int],
        environ: Mapping[str, str],
    ) -> None:
        self._settings = settings
        self._login = login
        self._pace = Pace(clock, settings, self.name, counts)
        self._environ = {name: environ[name] for name in HANDED_ON if name in environ}
        self._lock = asyncio.Lock()

    async def gather(self, part: Part, wanted: Wanted, missing: Missing) -> AsyncIterator[Sequence[Row]]:
        """Yield a session's rows at a time, newest first. One child at a time: KRX ends an older login for a newer one."""
        sessions = missing.sessions if part != "valuation" else wanted.sessions[:1]
        if not sessions:
            return
        async with self._lock, self._child() as child, aclosing(self._sessions(child, part, sessions)) as batches:
            async for batch in batches:
                yield batch

    async def _sessions(
        self, child: Child, part: Part, sessions: Sequence[date]
    ) -> AsyncGenerator[Sequence[Row], None]:
        empty = found = 0
        for session in sessions:
            try:
                yield await self._session(child, part, session)
                found, empty = found + 1, 0
            except Empty as error:
                empty += 1
                if empty >= EMPTY_MOST:
                    raise Empty(f"krx: {part} of {session} and {EMPTY_MOST - 1} sessions after it are empty") from error
        if not found:
            raise Empty(f"krx: {part} of {sessions[0]} is empty")

    async def _session(self, child: Child, part: Part, session: date) -> Sequence[Row]:
        if part == "prices":
            return [_price(session, row) for row in await self._rows(child, "prices", session)]
        if part == "flows":
            foreign = _nets(await self._rows(child, "foreign", session))
            institutions = _nets(await self._rows(child, "institutions", session))
            # Each list has everybody who traded: who is in one alone did nothing in the other.
            return [
                FlowRow(
                    code=code,
                    session=session,
                    foreign_net=foreign.get(code, 0),
                    institution_net=institutions.get(code, 0),
                )
                for code in sorted({*foreign, *institutions})
            ]
        return [
            ValuationRow(code=str(code), session=session, per_x100=int(per) or None, pbr_x100=int(pbr) or None)
            for code, per, pbr in await self._rows(child, "valuation", session)
        ]

    async def _rows(self, child: Child, what: What, session: date) -> tuple[tuple[str | int, ...], ...]:
        await self._pace.turn()
        return (await child.ask(what, session)).rows

    @asynccontextmanager
    async def _child(self) -> AsyncIterator[Child]:
        await self._pace.turn()
        here = str(Path(kquant.__file__).parents[1])
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "kquant.gateways.research.sources.krx_child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=LINE_MOST,
            env={
                **self._environ,
                "KRX_ID": self._login[0],
                "KRX_PW": self._login[1],
                "MPLBACKEND": "Agg",
                "PYTHONPATH": here,
                "PYTHONUTF8": "1",
            },
        )
        try:
            # The child's own limit ends a request first; ours is for a child that hangs.
            child = Child(process, self._settings.timeout_seconds * 2)
            await child.exchange(
                Setup(base_url=self._settings.base_url, timeout_seconds=self._settings.timeout_seconds),
                START_SECONDS + self._settings.timeout_seconds,
            )
            yield child
        finally:
            self._pace.note()
            if os.name == "posix" and process.returncode is None:
                process.kill()
            elif process.returncode is None:
                process.terminate()
            await process.wait()


def _nets(rows: Sequence[tuple[str | int, ...]]) -> dict[str, int]:
    return {str(code): int(net) for code, net in rows}


def _price(session: date, row: tuple[str | int, ...]) -> PriceRow:
    code, (opened, high, low, close, volume, base, shares) = str(row[0]), (int(value) for value in row[1:])
    return PriceRow(
        code=code,
        session=session,
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=volume,
        base=base or None,
        shares=shares or None,
    )
