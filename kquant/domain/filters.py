"""What is never scored, picked or bought, as data: a table of named tests, read in order, the first that holds drops.

Each name is the setting's name, so a person reading `left` finds the switch. A number that is not known is not
tested: a caller that needs it known says so itself ("turnover_unknown", "unlisted").
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from kquant.events.analyzer import Listed
from kquant.krx import TickBand, ticks_down
from kquant.settings import FilterSettings
from kquant.values import Krw

UNLISTED = "unlisted"
"""The stock is not in the day's listing, so nothing about it is known: neither its flags nor its limits."""

TURNOVER_UNKNOWN = "turnover_unknown"
WARNING_LEVEL = 2
"""KRX market warning from which a stock is left alone: 1 caution, 2 warning, 3 risk."""


class Candidate(Struct, frozen=True, kw_only=True):
    """A stock as a filter sees it. price: won.   turnover: won so far today.   None: not known, not tested."""

    stock: Listed
    price: Krw | None
    turnover: Krw | None


class Filter(Struct, frozen=True):
    """One test. name: of its setting.   drops: whether the candidate is left out."""

    name: str
    drops: Callable[[Candidate, FilterSettings, tuple[TickBand, ...]], bool]


def _near_upper_limit(candidate: Candidate, rules: FilterSettings, bands: tuple[TickBand, ...]) -> bool:
    """Within the set number of ticks of the upper limit, the limit itself included (0 ticks: only there)."""
    upper = candidate.stock.upper
    if upper is None or candidate.price is None:
        return False
    return candidate.price >= ticks_down(upper, rules.upper_limit_ticks, bands)


FILTERS: tuple[Filter, ...] = (
    Filter("liquidation", lambda c, rules, _: rules.liquidation and c.stock.liquidation),
    Filter("halted", lambda c, rules, _: rules.halted and c.stock.halted),
    Filter("administrative", lambda c, rules, _: rules.administrative and c.stock.administrative),
    Filter("warning", lambda c, rules, _: rules.warning and c.stock.warning >= WARNING_LEVEL),
    Filter("overheated", lambda c, rules, _: rules.overheated and c.stock.overheated),
    Filter("spac", lambda c, rules, _: rules.spac and c.stock.kind == "spac"),
    Filter("preferred", lambda c, rules, _: rules.preferred and c.stock.kind == "preferred"),
    Filter("fund", lambda c, rules, _: rules.fund and c.stock.kind == "fund"),
    Filter("min_price_krw", lambda c, rules, _: c.price is not None and c.price < rules.min_price_krw),
    Filter("min_turnover_krw", lambda c, rules, _: c.turnover is not None and c.turnover < rules.min_turnover_krw),
    Filter("upper_limit_ticks", _near_upper_limit),
)


def dropped_by(candidate: Candidate, rules: FilterSettings, bands: tuple[TickBand, ...]) -> str | None:
    """Return the name of the first filter that drops the candidate, None when it passes."""
    return next((each.name for each in FILTERS if each.drops(candidate, rules, bands)), None)
