"""Who bought and sold: foreigners, institutions, others, individuals, by session.

A generated day's sessions add to the research table's five and twenty sessions to the share. The day's own figures
exist after the close; before it there are only estimates, entered at fixed times. Shares; amounts in million won.
"""

from typing import Final, NamedTuple

from kquant.exchange.core.quotations.past import DailyBar, Past
from kquant.exchange.core.quotations.source import Source
from kquant.exchange.market.mixing import Stream, key_of, mix
from kquant.exchange.market.model import Stock

SESSIONS: Final = 30
FOREIGN_ENTRIES: Final = (34_200, 40_800, 48_000, 52_200)
"""Seconds of the day at which the estimates of foreigners are entered: 09:30, 11:20, 13:20, 14:30 (kis-protocol 4.2)."""
INSTITUTION_ENTRIES: Final = (36_000, 40_800, 48_000, 52_200)
"""The same for institutions: 10:00, 11:20, 13:20, 14:30."""
INSTITUTIONS: Final = (("scrt", 22), ("ivtr", 24), ("pe_fund", 12), ("bank", 4), ("insu", 9), ("mrbn", 2), ("fund", 27))
"""Kinds of institutions and the percent of the whole each has."""


class Side(NamedTuple):
    """One kind of investor in one session: shares bought and sold."""

    bought: int
    sold: int

    @property
    def net(self) -> int:
        """Shares bought less shares sold."""
        return self.bought - self.sold


class DayFlow(NamedTuple):
    """One session: what all bought is what all sold is its volume."""

    persons: Side
    foreigners: Side
    institutions: Side
    others: Side


class FlowBook:
    """Flows by stock. None: not known (an imported day, or a stock whose research table has none)."""

    def __init__(self, source: Source, past: Past) -> None:
        self._source = source
        self._past = past
        self._made: dict[str, tuple[DayFlow, ...]] = {}
        self._entered: dict[int, dict[str, int]] = {}

    def past(self, stock: Stock) -> tuple[DayFlow, ...]:
        """Return the flows of the last sessions before the day, newest first; empty when not known."""
        found = self._made.get(stock.code)
        if found is None:
            found = self._made[stock.code] = self._make(stock)
        return found

    def today(self, stock: Stock) -> DayFlow | None:
        """Return the day's flows, None before its close."""
        if not self._source.after_close or not self._source.generated:
            return None
        volume = self._source.stats(stock).volume
        foreign, institution = (volume * rate // 1_000 for rate in self._rates(stock))
        return _flow(key_of(self._source.market.seed, "today", stock.code), volume, foreign, institution)

    def estimate(self, stock: Stock) -> tuple[int, int] | None:
        """Return what is entered by now of the day's net shares of (foreigners, institutions); None when nothing is."""
        if not self._source.generated:
            return None
        last = self._source.last()
        rates = self._rates(stock)
        nets = []
        for rate, entries in zip(rates, (FOREIGN_ENTRIES, INSTITUTION_ENTRIES), strict=True):
            entered = [second for second in entries if second <= last]
            nets.append(self._volumes_at(entered[-1]).get(stock.code, 0) * rate // 1_000 if entered else 0)
        return (nets[0], nets[1]) if last >= FOREIGN_ENTRIES[0] else None

    def _volumes_at(self, second: int) -> dict[str, int]:
        """Return every traded stock's volume when an estimate was entered."""
        found = self._entered.get(second)
        if found is None:
            found = self._entered[second] = {row.code: row.volume for row in self._source.market.board(second)}
        return found

    def _rates(self, stock: Stock) -> tuple[int, int]:
        """Return the day's net shares of foreigners and institutions in thousandths of the volume."""
        word = mix(key_of(self._source.market.seed, "rates", stock.code))
        return word % 241 - 120, (word >> 20) % 201 - 100

    def _make(self, stock: Stock) -> tuple[DayFlow, ...]:
        row = self._source.market.known(stock.code)
        if row is None or not self._source.generated or None in (row.foreign_net_5d, row.institution_net_5d):
            return ()
        bars = self._past.bars(stock)[-SESSIONS:][::-1]
        stream = Stream(key_of(self._source.market.seed, "flows", stock.code))
        foreign = _series(stream, bars, row.foreign_net_5d, row.foreign_net_20d)
        institution = _series(stream, bars, row.institution_net_5d, row.institution_net_20d)
        return tuple(
            _flow(key_of(stream.word(), at), bar.volume or 0, foreign[at], institution[at])
            for at, bar in enumerate(bars)
        )


def _series(stream: Stream, bars: tuple[DailyBar, ...], five: int | None, twenty: int | None) -> list[int]:
    """Return net shares a session, newest first: the first five add to *five*, the first twenty to *twenty*."""
    nets = []
    for bar in bars:
        reach = (bar.volume or 0) // 100
        nets.append(stream.between(-reach, reach))
    if five is None or twenty is None:
        return nets
    _add_to(nets, 0, 5, five)
    _add_to(nets, 5, 20, twenty - five)
    return nets


def _add_to(nets: list[int], start: int, stop: int, total: int) -> None:
    """Shift the values so that they add to *total*."""
    count = min(stop, len(nets)) - start
    if count <= 0:
        return
    missing = total - sum(nets[start:stop])
    for at in range(start, start + count):
        share = missing // (start + count - at)
        nets[at] += share
        missing -= share


def _flow(key: int, volume: int, foreign: int, institution: int) -> DayFlow:
    """Return a session's flows with the given net shares; a session without a trade has none."""
    if not volume:
        nobody = Side(0, 0)
        return DayFlow(nobody, nobody, nobody, nobody)
    word = mix(key)
    sides = []
    room = volume
    shares = (50 + word % 250, 40 + (word >> 12) % 200, 5 + (word >> 24) % 20)
    for wanted, share in zip((foreign, institution, 0), shares, strict=True):
        net = max(-room, min(room, wanted))
        gross = max(volume * share // 1_000, abs(net))
        gross = min(gross, room)
        bought = gross if net >= 0 else gross + net
        sold = bought - net
        room -= max(bought, sold)
        sides.append(Side(bought, sold))
    bought, sold = sum(side.bought for side in sides), sum(side.sold for side in sides)
    return DayFlow(Side(volume - bought, volume - sold), *sides)


def divided(total: int) -> dict[str, int]:
    """Return an amount of all institutions as one of each kind; they add to it."""
    parts = {}
    left = total
    for name, percent in INSTITUTIONS[:-1]:
        parts[name] = abs(total) * percent // 100 * (1 if total >= 0 else -1)
        left -= parts[name]
    parts[INSTITUTIONS[-1][0]] = left
    return parts


def million_won(shares: int, price: int) -> int:
    """Return shares at a price in million won, towards zero."""
    return abs(shares) * price // 1_000_000 * (1 if shares >= 0 else -1)
