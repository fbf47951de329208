"""Days that follow days: the market of every trading day from one source.

Generated days chain: the first is `generate`'s, and every later one has the same stocks, the day before's closes as base
prices, its volumes as the previous volumes, and its figures appended to the history that the research table and the
charts show. What a company reported stays; flows, news and the day's path are drawn anew. Flags and halts of the first
day stay as well. A day is a function of the seed, the first day and its date, so asking for a late one first makes all
those before it (about half a second each).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from kquant.exchange.core.rules import is_open_day

from .day import MarketDay
from .files import load, read_meta
from .generate import Listing, first_listing, lean_of, play, research_of
from .grid import NO_UPPER_LIMIT, daily_limits
from .history import DAYS
from .mixing import Floats
from .model import MarketFileError, Stock
from .research import ResearchRow

Markets = Callable[[dt.date], MarketDay]
_TURNOVER_DAYS = 60
"""A generated stock is expected to trade its listed shares once in so many days."""


def markets(source: int | Path | Sequence[Path], *, stocks: int = 2_700, first: dt.date | None = None) -> Markets:
    """Return what gives the market of a day: generated days of a seed that chain, or the market-day folders given.

    first: the first day of the chain; the first one asked for when it is left out. stocks: how many are listed.
    The last day asked for is kept. Raises MarketFileError for a day before the first, one on which the exchange is
    closed, or one that no folder has.
    """
    if isinstance(source, int):
        return GeneratedChain(source, stocks, first)
    folders = {read_meta(path).day: path for path in ([source] if isinstance(source, Path) else source)}
    return partial(_recorded, folders)


def _recorded(folders: dict[dt.date, Path], day: dt.date) -> MarketDay:
    if day not in folders:
        raise MarketFileError(f"no market day of {day}: there are {', '.join(str(one) for one in sorted(folders))}")
    return load(folders[day])


class _Figures(NamedTuple):
    """One day's close, high, low (won) and volume of every stock."""

    close: list[int]
    high: list[int]
    low: list[int]
    volume: list[int]


class GeneratedChain:
    """The days of one seed, each opening where the one before it closed."""

    def __init__(self, seed: int, stocks: int, first: dt.date | None = None) -> None:
        self._seed = seed
        self._stocks = stocks
        self._first = first
        self._day: MarketDay | None = None
        self._history: tuple[_Figures, ...] = ()
        self._begin: Callable[[], list[ResearchRow]] = list

    def __call__(self, day: dt.date) -> MarketDay:
        """Return the market of *day*."""
        if self._first is None:
            self._first = day
        if day < self._first:
            raise MarketFileError(f"no market day of {day}: the days of seed {self._seed} begin on {self._first}")
        if day != self._first and not is_open_day(day):
            raise MarketFileError(f"no market day of {day}: the exchange is closed")
        made = self._day
        if made is None or made.day > day:
            made = self._start(self._first)
        while made.day < day:
            made = self._follow(made)
        self._day = made
        return made

    def _start(self, day: dt.date) -> MarketDay:
        listing = first_listing(day, self._seed, self._stocks)
        self._begin, self._history = cache(partial(research_of, day, self._seed, listing)), ()
        return play(day, self._seed, listing, self._begin)

    def _follow(self, before: MarketDay) -> MarketDay:
        day = before.day + dt.timedelta(days=1)
        while not is_open_day(day):
            day += dt.timedelta(days=1)
        figures = _figures_of(before)
        self._history = (*self._history, figures)[-DAYS:]
        stocks = tuple(
            _next_day(stock, close, volume)
            for stock, close, volume in zip(before.stocks, figures.close, figures.volume, strict=True)
        )
        turnover: Floats = np.array([float(s.listed_shares * s.base) / _TURNOVER_DAYS for s in stocks])
        listing = Listing(stocks, turnover, lean_of(day, self._seed, len(stocks)))
        research = cache(partial(_research, day, self._seed, listing, self._begin, self._history))
        return play(day, self._seed, listing, research)


def _figures_of(day: MarketDay) -> _Figures:
    """Return the day's figures; a stock that did not trade stays where it was."""
    ranked = {row.code: row for row in day.board(86_399)}
    close, high, low, volume = [], [], [], []
    for stock in day.stocks:
        row = ranked.get(stock.code)
        prices = (stock.base,) * 3 if row is None else (row.last, row.high, row.low)
        close.append(prices[0])
        high.append(prices[1])
        low.append(prices[2])
        volume.append(0 if row is None else row.volume)
    return _Figures(close, high, low, volume)


def _next_day(stock: Stock, close: int, volume: int) -> Stock:
    upper, lower = (NO_UPPER_LIMIT, 0) if stock.liquidation else daily_limits(close, etp=stock.etp)
    return msgspec.structs.replace(stock, base=close, prev_close=close, prev_volume=volume, upper=upper, lower=lower)


def _research(
    day: dt.date,
    seed: int,
    listing: Listing,
    begin: Callable[[], list[ResearchRow]],
    history: tuple[_Figures, ...],
) -> list[ResearchRow]:
    """Return what was known before a later day: flows and news of its own, reports of the first, the days between."""
    rows = []
    for place, (first, fresh) in enumerate(zip(begin(), research_of(day, seed, listing), strict=True)):
        closes, highs, lows, volumes = (
            ((*(known or ()), *(getattr(past, name)[place] for past in history))[-DAYS:])
            for known, name in (
                (first.closes, "close"), (first.highs, "high"), (first.lows, "low"), (first.volumes, "volume")
            )
        )  # fmt: skip
        rows.append(
            msgspec.structs.replace(
                fresh,
                per_x100=_scaled(first.per_x100, fresh.base, first.base),
                pbr_x100=_scaled(first.pbr_x100, fresh.base, first.base),
                roe_bp=first.roe_bp,
                sales_growth_bp=first.sales_growth_bp,
                op_margin_bp=first.op_margin_bp,
                op_growth_bp=first.op_growth_bp,
                debt_ratio_bp=first.debt_ratio_bp,
                statement_filed=first.statement_filed,
                closes=closes,
                volumes=volumes,
                highs=highs,
                lows=lows,
                w52_high=max(first.w52_high or 0, *highs),
                w52_low=min(first.w52_low or lows[0], *lows),
            )
        )
    return rows


def _scaled(ratio: int | None, price: int, before: int) -> int | None:
    return None if ratio is None else ratio * price // before
