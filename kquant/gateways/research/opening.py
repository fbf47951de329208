"""Which sources a run has, from its settings and the environment; opened for one build and closed after it.

Keys are taken from the environment here and nowhere else; a source without them is left out, and the note names the
variables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

import msgspec

from kquant.gateways.clock import Clock
from kquant.gateways.research.assemble import Assembler
from kquant.gateways.research.sources.cache import Book
from kquant.gateways.research.sources.dart import Dart
from kquant.gateways.research.sources.kis import Calls, Kis
from kquant.gateways.research.sources.krx import Krx
from kquant.gateways.research.sources.naver import HOSTS, Naver
from kquant.gateways.research.sources.port import Source, Stock
from kquant.gateways.research.sources.web import Web
from kquant.hours import listed
from kquant.krx import TickBand
from kquant.settings import KrxTables, ResearchServiceSettings, ResearchSettings
from kquant.values import MINUTE_US, Micros, to_kst

DAYS_BACK = 3_660


class Opening:
    """Opens sources. calls: KIS's data calls of this run, None without a line to KIS."""

    def __init__(
        self,
        settings: ResearchSettings,
        folder: Path,
        clock: Clock,
        environ: Mapping[str, str],
        calls: Calls | None,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._clock = clock
        self._environ = environ
        self._calls = calls

    async def __call__(self, stack: AsyncExitStack, day_folder: Path) -> tuple[Mapping[str, Source], tuple[str, ...]]:
        """Return the sources by name, and a note for each that is left out."""
        settings = self._settings
        wanted = {*settings.prices, *settings.flows, *settings.valuation, *settings.financials, *settings.news}
        counts: Book[int] = Book(day_folder / "requests.jsonl", int)
        sources: dict[str, Source] = {}
        notes: list[str] = []
        if "kis" in wanted and self._calls is not None:
            sources["kis"] = Kis(self._calls, self._clock, self._folder, day_folder)
        elif "kis" in wanted:
            notes.append("kis: left out, this run has no line to KIS")
        if "krx" in wanted and (login := self._keys("krx", settings.krx, notes)) is not None:
            if find_spec("pykrx") is None:
                notes.append('krx: left out, pykrx is not installed: pip install "kquant[research]"')
            else:
                sources["krx"] = Krx(settings.krx, login, self._clock, counts, self._environ)
        if "dart" in wanted and (key := self._keys("dart", settings.dart, notes)) is not None:
            web = await stack.enter_async_context(Web(self._clock, settings.dart, "dart", counts))
            sources["dart"] = Dart(web, key[1], self._clock, self._folder, day_folder, settings.news_days)
        if "naver" in wanted and (keys := self._keys("naver", settings.naver, notes)) is not None:
            host = HOSTS[settings.naver_host]
            service = settings.naver
            if not service.base_url:
                service = msgspec.structs.replace(service, base_url=host.base_url)
            web = await stack.enter_async_context(Web(self._clock, service, "naver", counts))
            sources["naver"] = Naver(web, host, keys, self._clock, self._folder, day_folder, settings.news_days)
        return sources, tuple(notes)

    def _keys(self, name: str, service: ResearchServiceSettings, notes: list[str]) -> tuple[str, str] | None:
        """Return id and secret as the environment has them; an id that is not asked for is "". None notes what to set."""
        names = [each for each in (service.id_env, service.secret_env) if each]
        missing = [each for each in names if not self._environ.get(each, "").strip()]
        if missing:
            notes.append(f"{name}: left out, set {' and '.join(missing)}")
            return None
        told = [self._environ[each].strip() if each else "" for each in (service.id_env, service.secret_env)]
        return told[0], told[1]


def sessions_before(tables: KrxTables) -> Callable[[date, int], Sequence[date]]:
    """Return the function that gives the calendar's sessions before a day, newest first, at most so many."""

    def before(day: date, count: int) -> Sequence[date]:
        found: list[date] = []
        first = date.fromisoformat(tables.calendar.first_day)
        each = day - timedelta(days=1)
        while len(found) < count and each >= first and (day - each).days < DAYS_BACK:
            if listed(each, tables.calendar):
                found.append(each)
            each -= timedelta(days=1)
        return found

    return before


def assembler(
    settings: ResearchSettings,
    tables: KrxTables,
    folder: Path,
    clock: Clock,
    environ: Mapping[str, str],
    calls: Calls,
) -> Assembler:
    """Return what builds a run's research tables under *folder*. calls: `KisCalls.data` of the run's own lines."""
    kis = Kis(calls, clock, folder, folder / "listing")
    bands: tuple[TickBand, ...] = tables.ticks

    async def listing() -> tuple[str, tuple[Stock, ...]]:
        return "kis", await kis.listing(bands)

    return Assembler(
        settings, folder, clock, listing, Opening(settings, folder, clock, environ, calls), sessions_before(tables)
    )


async def build_day(made: Assembler, clock: Clock, day: date, analysis_at: Micros, minutes: int) -> Path:
    """Build the table of *day* within so many minutes and return where it lies: an evening's work, or a look at a past day.

    analysis_at: when that day's analysis is due. A day that is over is seen as it was then; one to come, or of today, as
    it is now. What a source keeps of a past day is used; it is not asked to remember what it never dated.
    """
    now = clock.now()
    past = to_kst(now).date() > day
    return await made.build(day, Micros(now + minutes * MINUTE_US), analysis_at if past else None)
