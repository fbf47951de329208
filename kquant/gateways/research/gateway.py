"""The research gateway: the table of what was known before the day, and batches scored from it. Stream `research`.

Reading and scoring run in one helper process, so the trading process stays free; it is started by the first request
and ends with the last batch. The table is an attachment: a restarted run scores from the very same bytes.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

from kquant.events.analyzer import (
    BatchFailed,
    BatchScored,
    BatchWanted,
    ListingAnswered,
    ResearchAnswered,
    ResearchWanted,
)
from kquant.events.base import Event, Recorded, name_of
from kquant.events.scanner import ReadExpired, ReadFailed
from kquant.gateways.clock import Clock
from kquant.gateways.follow import Answering, TooLate
from kquant.gateways.research import helper
from kquant.gateways.research.analyst import Analyst
from kquant.gateways.research.helper import Loaded
from kquant.gateways.research.heuristic import MODEL
from kquant.journal.port import Journal
from kquant.values import Krw, Micros, Seq, Symbol

T = TypeVar("T")


class Attachments(Protocol):
    """Content-addressed bytes, durable when `put` returns."""

    def put(self, content: bytes) -> str:
        """Store and return the SHA-256 in hex."""

    def get(self, name: str) -> bytes:
        """Return what was stored under that hash."""


class Builds(Protocol):
    """Makes the day's table when it is asked for."""

    async def for_day(self, day: str, deadline: Micros) -> Path:
        """Return where the table of *day* lies, with time to the deadline left for the scoring."""


class AnalysisGateway(Answering):
    """Answers research and batch requests of the analyzer.

    table: path of the Parquet file for the day, or who makes one; None without either.   analyst: scores the batches in
    place of the heuristic, None without one.
    """

    stream = by = "research"
    takes = (ResearchWanted, BatchWanted)

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        attachments: Attachments,
        table: Path | Builds | None,
        *,
        changed: Callable[[], None],
        on_fatal: Callable[[str], None],
        analyst: Analyst | None = None,
    ) -> None:
        super().__init__(journal, clock, changed=changed, on_fatal=on_fatal)
        self._attachments = attachments
        self._table = table
        self._analyst = analyst
        self._listed: dict[Symbol, str] = {}
        self._pool: ProcessPoolExecutor | None = None
        self._loaded: dict[str, asyncio.Task[Loaded]] = {}
        self._batches = 0

    async def close(self) -> None:
        """Stop following and end the helper process."""
        await super().close()
        await self._dismiss()

    def take(self, fact: Recorded) -> None:
        """Start answering a request; of the listing the names are kept for the analyst."""
        if isinstance(fact.event, ListingAnswered):
            self._listed = {stock.code: stock.name for stock in fact.event.stocks}
        super().take(fact)

    async def answer(self, fact: Recorded) -> Event:
        """Read the table, or score a batch; whatever comes of it is the outcome."""
        match fact.event:
            case ResearchWanted() as wanted:
                return await self._research(wanted)
            case BatchWanted() as batch:
                self._batches += 1
                try:
                    return await self._batch(batch, fact.seq)
                finally:
                    self._batches -= 1
                    if self._batches == 0:
                        await self._dismiss()
            case _:
                raise TypeError(f"{fact.name} at seq {fact.seq} is no request of the analyzer")

    async def _research(self, wanted: ResearchWanted) -> Event:
        what = name_of(ResearchWanted)
        if self._clock.now() > wanted.valid_until:
            return ReadExpired(what=what)
        if self._table is None:
            return ReadFailed(what=what, reason="no research source is joined to this profile yet")
        told = "the research table"
        try:
            path = await self._made(self._table, wanted)
            told = path.name
            content = await asyncio.to_thread(path.read_bytes)
            name = await asyncio.to_thread(self._attachments.put, content)
            loaded = await self.in_time(asyncio.shield(self._load(name, content)), wanted.valid_until)
        except TooLate:
            return ReadExpired(what=what)
        except OSError as error:
            return ReadFailed(what=what, reason=f"{told}: {error.strerror}")
        except Exception as error:  # noqa: BLE001  whatever the table does, the request gets its one outcome
            await self._forget(error)
            return ReadFailed(what=what, reason=f"{told}: {error}")
        return ResearchAnswered(
            table=name,
            stocks=loaded.stocks,
            coverage=loaded.coverage,
            figures=loaded.figures,
            sources=loaded.sources,
            notes=loaded.notes,
            known_until=loaded.known_until,
        )

    async def _made(self, table: Path | Builds, wanted: ResearchWanted) -> Path:
        """Return the day's file. One that is built is waited for until the deadline, where a part of it is left."""
        if isinstance(table, Path):
            return table
        made = table.for_day(wanted.day, wanted.valid_until)  # noqa: ASYNC240  no path, but who makes one
        return await self.in_time(made, wanted.valid_until)

    async def _batch(self, wanted: BatchWanted, cause: Seq) -> Event:
        if self._clock.now() > wanted.valid_until:
            return BatchFailed(batch=wanted.batch, why="expired before it was scored")
        work = self._rows(wanted) if self._analyst is None else self._judged(self._analyst, wanted, cause)
        try:
            return await self.in_time(work, wanted.valid_until)
        except TooLate:
            return BatchFailed(batch=wanted.batch, why="not scored in time")
        except Exception as error:  # noqa: BLE001  whatever the helper does, the request gets its one outcome
            await self._forget(error)
            return BatchFailed(batch=wanted.batch, why=f"{type(error).__name__}: {error}")

    async def _judged(self, analyst: Analyst, wanted: BatchWanted, cause: Seq) -> BatchScored | BatchFailed:
        await self._ready(wanted)
        subjects = await self._call(helper.subjects, wanted.table, wanted.codes)
        return await analyst.analyse(wanted, cause, subjects, self._listed)

    async def _rows(self, wanted: BatchWanted) -> BatchScored:
        await self._ready(wanted)
        rows = await self._call(helper.score, wanted.table, wanted.codes)
        return BatchScored(
            batch=wanted.batch,
            rows=rows,
            model=MODEL,
            prompt="",
            answer="",
            tokens=0,
            cost_krw=Krw(0),
            latency_ms=0,
        )

    async def _ready(self, wanted: BatchWanted) -> None:
        if wanted.table not in self._loaded:
            # A run that was started again: the helper is new and knows the table only by its hash.
            self._load(wanted.table, None)
        await asyncio.shield(self._loaded[wanted.table])

    def _load(self, name: str, content: bytes | None) -> asyncio.Task[Loaded]:
        async def load() -> Loaded:
            known = content if content is not None else await asyncio.to_thread(self._attachments.get, name)
            return await self._call(helper.load, name, known, self._clock.now())

        task = self._loaded[name] = asyncio.get_running_loop().create_task(load())
        return task

    async def _call(self, function: Callable[..., T], *args: Any) -> T:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                1, mp_context=multiprocessing.get_context("spawn"), initializer=helper.settle_in
            )
        return await asyncio.wrap_future(self._pool.submit(function, *args))

    async def _forget(self, error: Exception) -> None:
        """After a failure the table is loaded anew; a broken helper is replaced."""
        self._loaded.clear()
        if isinstance(error, BrokenExecutor):
            await self._dismiss()

    async def _dismiss(self) -> None:
        self._loaded.clear()
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)
