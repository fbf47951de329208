"""The day's research table, gathered from whatever sources there are and written in time.

Each part has its sources in order: the first gives what it can, the next what is missing (news: all of them). Parts
are gathered at once, each source keeping its own pace; the deadline ends them all, and what is there is written.
Answers are kept for the day and sessions for good, so that a second build, or one after a crash, asks only for the
rest: a build in the evening leaves little for the morning.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import msgspec
from msgspec import Struct

from kquant.gateways.clock import Clock
from kquant.gateways.research import helper, history
from kquant.gateways.research.compose import Gathered, Made, compose, day_table
from kquant.gateways.research.sources.port import (
    PARTS,
    FinancialRow,
    FlowRow,
    Missing,
    Part,
    PriceRow,
    Row,
    Source,
    SourceError,
    Stock,
    TitleRow,
    ValuationRow,
    Wanted,
    session_known_at,
)
from kquant.settings import ResearchSettings
from kquant.values import KquantError, Micros, to_kst

T = TypeVar("T")
WHOLE_MARKET: Final = "krx"
"""The source that gives a session of the whole market at once."""
WRITE_SHARE: Final = 8
"""One part in so many of the time is kept for writing the table."""
ROWS_AT_ONCE: Final = 20_000
DAYS_KEPT: Final = 14
RECENT: Final = 20
"""A stock that lacks more sessions than this is asked for anew."""
BEGIN: Final[tuple[Part, ...]] = ("valuation", "flows", "prices", "financials", "news")
"""Parts in the order they are begun: KRX serves one at a time, and a year of prices takes longest."""
LISTING_TRIES: Final = 3
LISTING_PAUSE_US: Final = 5_000_000


class BuildError(KquantError):
    """No table could be made; the message says of what there was nothing."""


class Listing(Protocol):
    """Who knows what is listed."""

    async def __call__(self) -> tuple[str, tuple[Stock, ...]]:
        """Return the name of the source and every stock of KOSPI and KOSDAQ, most traded first. Raises SourceError."""


class Opened(Protocol):
    """Opens the sources for one build and closes them after it."""

    async def __call__(self, stack: AsyncExitStack, day_folder: Path) -> tuple[Mapping[str, Source], tuple[str, ...]]:
        """Return the sources by name, and a note for each that is left out, and why."""


class _Found(Struct):
    """What came of the parts so far."""

    rows: dict[Part, list[tuple[str, Row]]]
    notes: list[str]


class Assembler:
    """Builds tables under *folder*. sessions: those of the calendar before a day, newest first, at least as many as asked.

    run: where the work on columns is done; a process of its own unless told otherwise.
    """

    def __init__(
        self,
        settings: ResearchSettings,
        folder: Path,
        clock: Clock,
        listing: Listing,
        opened: Opened,
        sessions: Callable[[date, int], Sequence[date]],
        run: Callable[..., Any] | None = None,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._clock = clock
        self._listing = listing
        self._opened = opened
        self._sessions = sessions
        self._run = run
        self._pool: ProcessPoolExecutor | None = None

    async def for_day(self, day: str, deadline: Micros) -> Path:
        """Write the table of *day* (ISO date) within the settings' share of the time to *deadline*; return where it lies."""
        now = self._clock.now()
        until = Micros(now + max(0, deadline - now) * self._settings.time_share_percent // 100)
        return await self.build(date.fromisoformat(day), until)

    async def build(self, day: date, until: Micros, no_later: Micros | None = None) -> Path:
        """Write the table of *day* and return where it lies; `made` beside it says what is in it.

        until: when it must be there.   no_later: what was public after it is left out, as for a past day. Raises
        BuildError without a listing, LookAheadError for a source that lies about its times.
        """
        try:
            made = await self._build(day, until, no_later)
        finally:
            if self._pool is not None:
                pool, self._pool = self._pool, None
                await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)
        path = day_table(self._folder, day)
        path.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")
        return path

    async def _build(self, day: date, until: Micros, no_later: Micros | None) -> Made:
        begun = self._clock.now()
        stop = Micros(max(begun, until - max(0, until - begun) // WRITE_SHARE))
        # What is seen while gathering may be used: the table is decided on when it is written.
        decision = until if no_later is None else min(until, no_later)
        listed_from, stocks = await self._list(stop)
        listed_at = self._clock.now()
        wanted = Wanted(
            day=day,
            decision=decision,
            sessions=tuple(
                each
                for each in self._sessions(day, self._settings.history_sessions)
                if session_known_at(each) <= min(decision, begun)
            ),
            stocks=stocks,
        )
        found = _Found(rows={part: [] for part in PARTS}, notes=[])
        async with AsyncExitStack() as stack:
            sources, left_out = await self._opened(stack, self._folder / "days" / to_kst(begun).date().isoformat())
            found.notes += left_out
            gathering = [
                asyncio.create_task(self._part(part, wanted, sources, found), name=f"research {part}") for part in BEGIN
            ]
            await self._until(gathering, stop)
        now = self._clock.now()
        gathered = Gathered(
            wanted=msgspec.structs.replace(wanted, decision=min(decision, now)),
            listed_at=listed_at,
            listed_from=listed_from,
            valuation=tuple((name, row) for name, row in found.rows["valuation"] if isinstance(row, ValuationRow)),
            financials=tuple((name, row) for name, row in found.rows["financials"] if isinstance(row, FinancialRow)),
            news=tuple((name, row) for name, row in found.rows["news"] if isinstance(row, TitleRow)),
            notes=tuple(dict.fromkeys(found.notes)),
        )
        self._forget_old_days(to_kst(now).date())
        await self._call(history.prune, self._histories, day - timedelta(days=self._settings.history_sessions * 2))
        made: Made = await self._call(compose, self._histories, gathered, day_table(self._folder, day))
        return made

    @property
    def _histories(self) -> Path:
        return self._folder / "history"

    def _forget_old_days(self, today: date) -> None:
        """Remove the answers of days long gone; they were only kept so that nothing was asked twice that day."""
        for path in (self._folder / "days").glob("????-??-??"):
            if date.fromisoformat(path.name) < today - timedelta(days=DAYS_KEPT):
                shutil.rmtree(path, ignore_errors=True)

    async def _list(self, stop: Micros) -> tuple[str, tuple[Stock, ...]]:
        why = ""
        for _ in range(LISTING_TRIES):
            try:
                return await self._listing()
            except SourceError as error:
                why = str(error)
                if self._clock.now() + LISTING_PAUSE_US >= stop:
                    break
                await self._clock.sleep_until(Micros(self._clock.now() + LISTING_PAUSE_US))
        raise BuildError(f"no research table without a listing: {why}")

    async def _until(self, gathering: Sequence[asyncio.Task[None]], stop: Micros) -> None:
        """Wait for the parts, not longer than *stop*; what they hold by then is kept. Raises what a part raised."""
        bell = asyncio.create_task(self._clock.sleep_until(stop), name="research deadline")
        try:
            waiting = set(gathering)
            while waiting:
                ended, _ = await asyncio.wait({*waiting, bell}, return_when=asyncio.FIRST_COMPLETED)
                waiting -= ended
                if bell in ended:
                    break
        finally:
            for task in (*gathering, bell):
                task.cancel()
            outcomes = await asyncio.gather(*gathering, return_exceptions=True)
            await asyncio.gather(bell, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _part(self, part: Part, wanted: Wanted, sources: Mapping[str, Source], found: _Found) -> None:
        for name in getattr(self._settings, part):
            source = sources.get(name)
            if source is None or part not in source.parts:
                continue
            missing = await self._missing(part, wanted, found)
            if not (missing.sessions if name == WHOLE_MARKET and part != "valuation" else missing.codes):
                continue
            rows = 0
            try:
                async for batch in self._kept(part, name, source.gather(part, wanted, missing)):
                    rows += len(batch)
                    if part not in {"prices", "flows"}:
                        found.rows[part] += [(name, row) for row in batch]
            except SourceError as error:
                found.notes.append(f"{part}: {error}")
            except asyncio.CancelledError:
                found.notes.append(f"{part}: {name} was not done by the deadline")
                raise
            else:
                if not rows and part != "news":
                    found.notes.append(f"{part}: {name} gave nothing")

    async def _kept(self, part: Part, name: str, rows: AsyncIterator[Sequence[Row]]) -> AsyncIterator[Sequence[Row]]:
        """Pass rows on; those of a history go to disk on the way, also when the deadline cuts them off."""
        if part not in {"prices", "flows"}:
            async for batch in rows:
                yield batch
            return
        held: list[PriceRow | FlowRow] = []
        number = 0
        stamp = self._clock.now()

        def label() -> str:
            sessions = {row.session for row in held}
            if len(sessions) == 1 and name == WHOLE_MARKET:
                return f"{name}-{sessions.pop().isoformat()}"
            return f"{name}-{stamp}-{number}"

        try:
            async for batch in rows:
                held += [row for row in batch if isinstance(row, PriceRow | FlowRow)]
                if held and (name == WHOLE_MARKET or len(held) >= ROWS_AT_ONCE):
                    await self._call(history.keep, self._histories, part, label(), name, stamp, tuple(held))
                    held, number = [], number + 1
                yield batch
        finally:
            if held:
                # The deadline may be cancelling us: what was fetched is written all the same.
                await asyncio.shield(self._call(history.keep, self._histories, part, label(), name, stamp, tuple(held)))

    async def _missing(self, part: Part, wanted: Wanted, found: _Found) -> Missing:
        """Return what is not there yet. A history is on disk, the rest among the rows of this build."""
        codes = tuple(stock.code for stock in wanted.stocks)
        if part in {"prices", "flows"}:
            count = self._settings.history_sessions if part == "prices" else self._settings.flow_sessions
            sessions = wanted.sessions[:count]
            if not sessions:
                return Missing(sessions=(), codes=())
            whole = await self._call(history.whole_sessions, self._histories, part, WHOLE_MARKET)
            newest = await self._call(history.newest_by_code, self._histories, part, sessions[-1])
            recent = sessions[min(len(sessions), RECENT) - 1]
            return Missing(
                sessions=tuple(session for session in sessions if session not in whole),
                codes=tuple(code for code in codes if newest.get(code) != sessions[0]),
                newest={code: newest[code] for code in codes if recent <= newest.get(code, date.min) < sessions[0]},
            )
        have = set() if part == "news" else {row.code for _, row in found.rows[part]}
        # A fund files no statement and makes no news of its own.
        asked = [stock.code for stock in wanted.stocks if stock.listed.kind != "fund" and stock.code not in have]
        return Missing(sessions=wanted.sessions[:1], codes=tuple(asked))

    async def _call(self, function: Callable[..., T], *arguments: Any) -> T:
        if self._run is not None:
            result: T = self._run(function, *arguments)
            return result
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                1, mp_context=multiprocessing.get_context("spawn"), initializer=helper.settle_in
            )
        return await asyncio.wrap_future(self._pool.submit(function, *arguments))
