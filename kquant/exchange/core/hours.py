"""A day's sessions as the order desk knows them: what is taken when, when orders end.

Times are KST seconds of the day, windows include their first second and exclude their last.
Source: kis-protocol.md 5.1 (sessions from 2026-09-14), 5.3 (limits of the after-market).
"""

import datetime as dt
from typing import Final

from msgspec import Struct

from kquant.exchange.core.order_types import Session
from kquant.exchange.core.rules import RANDOM_END_S, tick_size
from kquant.exchange.market import sessions
from kquant.exchange.market.model import Phase

Window = tuple[int, int]

_HOUR: Final = 3_600
NXT_MAIN_AFTER_S: Final = 30
"""NXT's main market begins this long after KRX's open."""


class Hours(Struct, frozen=True, kw_only=True):
    """The sessions of one day: morning ones move with the open, evening ones with the close."""

    open: int
    close: int
    pre_open: Window
    """Trading at the previous close (type 05)."""
    opening_from: int
    closing_from: int
    post_close: Window
    """Trading at the closing price (type 06); its orders are taken from the close on."""
    after: Window | None
    """KRX's after-market (types 41-47), from 2026-09-14 on."""
    nxt: Window
    """NXT's day, from its pre-market to the end of its after-market."""

    def phase(self, second: int) -> Phase:
        """Return the phase of every stock without a halt or an interruption; the close may come 30 seconds late."""
        if second < self.opening_from:
            return "closed"
        if second < self.open:
            return "opening"
        if second < self.closing_from:
            return "continuous"
        if second <= self.close + RANDOM_END_S:
            return "closing"
        if self.post_close[0] <= second < self.post_close[1]:
            return "post_close"
        return "after" if self.after is not None and self.after[0] <= second < self.after[1] else "closed"

    def takes(self, session: Session, second: int) -> bool:
        """Return whether orders of *session* are taken at *second*."""
        window = {
            "pre_open": self.pre_open,
            "regular": (self.opening_from, self.close),
            "post_close": (self.close, self.post_close[1]),
            "after": self.after if self.after is not None else (0, 0),
        }[session]
        return window[0] <= second < window[1]

    def ends(self, session: Session) -> int:
        """Return the second after which unfilled orders of *session* have expired."""
        return {
            "pre_open": self.pre_open[1],
            "regular": self.close + RANDOM_END_S,
            "post_close": self.post_close[1],
            "after": self.after[1] if self.after is not None else self.close,
        }[session]


def hours_of(day: dt.date, open_second: int, close_second: int) -> Hours:
    """Return the sessions of a *day* whose regular session is given: the market's own, and what only orders know."""
    market = sessions.hours_of(day, open_second, close_second)
    return Hours(
        open=open_second,
        close=close_second,
        pre_open=(market.opening_from, market.opening_from + 600),
        opening_from=market.opening_from,
        closing_from=market.closing_from,
        post_close=(market.post_close_from, market.post_close_until),
        after=(market.after_from, market.after_until) if market.after_from else None,
        nxt=(open_second - _HOUR, sessions.EVENING),
    )


def limits_around(close: int, kind: str) -> Window:
    """Return the lowest and highest price of the after-market: 30 % around *close*, truncated to its tick."""
    tick = tick_size(close, kind)
    reach = close * 3 // 10 // tick * tick
    lower, upper = close - reach, close + reach
    # A bound in another price band may be off that band's grid: it is drawn inwards.
    return -(-lower // tick_size(lower, kind)) * tick_size(lower, kind), upper // tick_size(upper, kind) * tick_size(
        upper, kind
    )
