"""Which trading days are played, one after the other: generated from a seed, or read from folders."""

import datetime as dt
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from kquant.exchange.core.ports import Market
from kquant.exchange.core.rules import is_open_day
from kquant.exchange.market.model import MarketFileError, NewsTitle


class DayError(Exception):
    """A day cannot be played; the message is one clear line."""


def next_open_day(day: dt.date) -> dt.date:
    """Return the first trading day on or after *day*."""
    while not is_open_day(day):
        day += dt.timedelta(days=1)
    return day


def nth_day(first: dt.date, count: int) -> dt.date:
    """Return the trading day on which *count* days have been played since *first*, which counts whatever it is."""
    day = first
    for _ in range(count - 1):
        day = next_open_day(day + dt.timedelta(days=1))
    return day


class GeneratedDays:
    """Every trading day up to *last* (None: without end), generated from one seed: each opens where the last closed.

    first: the day the chain begins with; the first one asked for when it is left out.
    """

    def __init__(self, seed: int, stocks: int, last: dt.date | None, first: dt.date | None = None) -> None:
        self._seed = seed
        self._stocks = stocks
        self._last = last
        self._first = first
        self._chain: Callable[[dt.date], Market] | None = None

    def after(self, day: dt.date) -> dt.date | None:
        """Return the trading day after *day*."""
        following = next_open_day(day + dt.timedelta(days=1))
        return None if self._last is not None and following > self._last else following

    def market(self, day: dt.date) -> Market:
        """Return the market of *day*."""
        if self._chain is None:
            from kquant.exchange import market as days  # noqa: PLC0415 -- numpy loads only once the options are good

            self._chain = days.markets(self._seed, stocks=self._stocks, first=self._first)
        try:
            return self._chain(day)
        except MarketFileError as error:
            raise DayError(str(error)) from error


class RecordedDays:
    """Market days read from folders, each played at its own date or, from *first* on, at consecutive trading days."""

    def __init__(self, folders: Sequence[Path], first: dt.date | None = None) -> None:
        if not folders:
            raise ValueError("at least one folder is played")
        self._folders: dict[dt.date, Path] = {}
        self._load = lru_cache(maxsize=1)(_load)
        self._dated = first is not None
        day = first
        for folder in folders:
            if day is None:
                own = self._load(folder).day
                if self._folders and own <= max(self._folders):
                    raise DayError(f"the market day {folder} is of {own}, not after {max(self._folders)}")
                self._folders[own] = folder
            else:
                self._folders[day] = folder
                day = next_open_day(day + dt.timedelta(days=1))
        self._market = lru_cache(maxsize=1)(self._read)

    @property
    def first(self) -> dt.date:
        """The first day."""
        return min(self._folders)

    def after(self, day: dt.date) -> dt.date | None:
        """Return the next day there is a folder for."""
        return min((other for other in self._folders if other > day), default=None)

    def market(self, day: dt.date) -> Market:
        """Return the market played on *day*; raises DayError when no folder is."""
        return self._market(day)

    def _read(self, day: dt.date) -> Market:
        if day not in self._folders:
            raise DayError(f"no --market folder is played on {day}, but on {', '.join(map(str, self._folders))}")
        found = self._load(self._folders[day])
        return cast("Market", Dated(found, day)) if self._dated else found


class Dated:
    """A market day played on another date: everything is the recorded day's but the dates."""

    def __init__(self, market: Market, day: dt.date) -> None:
        self._market = market
        self.day = day
        self.prev_day = day - dt.timedelta(days=1)
        while not is_open_day(self.prev_day):
            self.prev_day -= dt.timedelta(days=1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._market, name)

    def news(self, second: int, code: str | None = None) -> list[NewsTitle]:
        """Return the titles as the recorded day has them, as many days later as the market is played."""
        later = self.day - self._market.day
        return [title._replace(date=title.date + later) for title in self._market.news(second, code)]


def _load(folder: Path) -> Market:
    from kquant.exchange import market as days  # noqa: PLC0415 -- numpy loads only once the options are good

    try:
        return days.load(folder)
    except (MarketFileError, OSError) as error:
        raise DayError(f"cannot read the market day {folder}: {error}") from error
