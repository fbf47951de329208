"""Where the scanner's candidates come from: rankings, and condition searches and watch lists of the user's HTS.

The rankings answer or the read fails; a further source that fails is told in the answer and costs nobody else's rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from kquant.events.scanner import RankingsAnswered, RankRow, SourceRows
from kquant.gateways.kis.rest.calls import KisCalls
from kquant.gateways.kis.rest.errors import KisError, KisRefused
from kquant.market.records import RestPrice

GAINERS, VOLUMES = "gainers", "volumes"
CONDITION, WATCHLIST = "condition", "watchlist"
BOTH_RANKINGS = (GAINERS, VOLUMES)


class UnknownSource(KisError):
    """The user's HTS has no condition search or watch list of that name."""


class Candidates:
    """Asks every source of the settings once a cycle. sources: `scanner.sources`."""

    def __init__(self, calls: KisCalls, sources: Sequence[str]) -> None:
        self._calls = calls
        self._sources = tuple(dict.fromkeys(sources))
        self._numbers: dict[str, str] = {}
        """Source -> the number its list has in the HTS."""

    async def fetch(self, cycle: int, limit: int) -> RankingsAnswered:
        """Return the candidates of a cycle. Raises KisError if a ranking fails, or if nothing else answered either."""
        gainers = await self._calls.gainers(limit) if GAINERS in self._sources else ()
        volumes = await self._calls.volumes(limit) if VOLUMES in self._sources else ()
        further: list[SourceRows] = []
        missing: list[str] = []
        failed: KisError | None = None
        for source in self._sources:
            if source in BOTH_RANKINGS:
                continue
            try:
                further.append(SourceRows(source=source, rows=await self._rows(source)))
            except KisError as error:
                failed = error
                missing.append(f"{source}: {error}")
        if failed is not None and not further and not set(BOTH_RANKINGS) & set(self._sources):
            raise failed
        return RankingsAnswered(
            cycle=cycle, gainers=gainers, volumes=volumes, further=tuple(further), missing=tuple(missing)
        )

    async def _rows(self, source: str) -> tuple[RankRow, ...]:
        kind, _, name = source.partition(":")
        if source not in self._numbers:
            self._numbers[source] = await self._look_up(kind, name)
        number = self._numbers[source]
        try:
            return await self._calls.condition_hits(number) if kind == CONDITION else await self._watched(number)
        except KisRefused:
            # Saving a condition anew in the HTS may give it another number.
            del self._numbers[source]
            raise

    async def _look_up(self, kind: str, name: str) -> str:
        if kind == CONDITION:
            known = {each.name: each.seq for each in await self._calls.conditions()}
        else:
            known = {each.name: each.code for each in await self._calls.watch_groups()}
        number = known.get(name.strip())
        if number is None:
            listed = ", ".join(known) or "none"
            raise UnknownSource(f"the HTS has no {kind} {name.strip()!r}; it has: {listed}")
        return number

    async def _watched(self, group: str) -> tuple[RankRow, ...]:
        """Return the stocks of a watch list with their prices; one without a price is left out."""
        watched = await self._calls.watch_list(group)
        prices = {price.code: price for price in await self._calls.prices([each.code for each in watched])}
        priced = [(each.name, prices[each.code]) for each in watched if each.code in prices]
        return tuple(_row(name, price, rank) for rank, (name, price) in enumerate(priced, start=1))


def _row(name: str, price: RestPrice, rank: int) -> RankRow:
    """Make a ranking row of a polled price. A high, low or open of 0 says that nothing was traded yet."""
    return RankRow(
        code=price.code,
        name=name,
        rank=rank,
        price=price.last_price,
        change_bp=price.change_bp,
        volume=price.volume,
        turnover=price.value,
        high=price.high if price.high > 0 else None,
        low=price.low if price.low > 0 else None,
        open=price.open if price.open > 0 else None,
        prev_volume=None,
    )
