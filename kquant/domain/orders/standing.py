"""How a stock's trading stands: the word of the feed or of an answer over HTTPS, whichever came last.

The feed says when it ends, so its halt lasts until then. An answer is true when it is given: nobody tells when that
ends, so it is forgotten after the longest time a volatility interruption takes.
"""

from __future__ import annotations

from msgspec import Struct

from kquant.events.market import MarketStatusChanged
from kquant.events.orders import QuoteAnswered
from kquant.values import SECOND_US, Micros

VI_LONGEST_US = 150 * SECOND_US
"""Two minutes of call auction and a random end of up to 30 s (kis-protocol 5.4)."""
HALTED_STATUS = "58"
"""KIS symbol status of a stock whose trading is halted (kis-protocol 3.5); others as in `FLAG_STATUS`."""
FLAG_STATUS = {"51": "ADMINISTRATIVE", "52": "WARNING", "53": "WARNING", "59": "OVERHEATED"}
HALTING_OPERATIONS = frozenset({"164", "174"})
"""Market operations in which nothing trades: market halted, circuit breaker (kis-protocol 3.5)."""


class Standing(Struct, frozen=True, kw_only=True):
    """What was last said of a stock, and when. is_lasting: the feed said it, and says when it is over.

    is_locked: at the lower limit without a bid, None if that was not told.   status: KIS symbol status, "" for none.
    """

    at: Micros
    is_lasting: bool
    halted: bool
    vi: bool
    is_auction: bool = False
    is_locked: bool | None = None
    status: str = ""

    def is_halted(self, at: Micros) -> bool:
        """Tell whether trading stands still as far as known at *at*."""
        return self.halted and (self.is_lasting or self.is_fresh(at))

    def is_interrupted(self, at: Micros) -> bool:
        """Tell whether a volatility interruption is on: one that nobody ended is over after its longest time."""
        return self.vi and self.is_fresh(at)

    def is_fresh(self, at: Micros) -> bool:
        """Tell whether it was said so recently that it holds by itself."""
        return at - self.at < VI_LONGEST_US


def told(event: MarketStatusChanged, at: Micros) -> Standing:
    """Return the feed's word."""
    return Standing(
        at=at,
        is_lasting=True,
        halted=event.halted or event.stock_status == HALTED_STATUS or event.operation in HALTING_OPERATIONS,
        vi=event.vi,
        status=event.stock_status,
    )


def answered(event: QuoteAnswered, at: Micros) -> Standing:
    """Return what an answer over HTTPS says."""
    return Standing(
        at=at,
        is_lasting=False,
        halted=event.halted or event.status == HALTED_STATUS,
        vi=event.vi,
        is_auction=event.is_auction,
        is_locked=event.bid == 0 and 0 < event.last <= event.lower,
        status=event.status,
    )
