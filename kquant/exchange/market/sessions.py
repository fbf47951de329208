"""The sessions around a market day: what the clock alone says of phases, segments and codes.

Source: kis-protocol 5.1 and 3.1. All times are KST seconds of the day, counted from the regular open and close, so
that a day with other hours (exam day, late open) moves them along.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from .model import Phase, Segment, Status, Stock

OPENING_CALL_SECONDS = 1_800
CLOSING_CALL_SECONDS = 600
RANDOM_END_SECONDS = 30
"""A call auction ends up to this many seconds (exclusive) after its nominal end."""
VI_SECONDS = 120
_NINE, _TEN, _HALF_PAST_THREE, _HALF_PAST_FOUR = 9 * 3_600, 10 * 3_600, 55_800, 59_400
_SPECIAL = {
    dt.date(2024, 1, 2): (_TEN, _HALF_PAST_THREE),
    dt.date(2024, 11, 14): (_TEN, _HALF_PAST_FOUR),
    dt.date(2025, 1, 2): (_TEN, _HALF_PAST_THREE),
    dt.date(2025, 11, 13): (_TEN, _HALF_PAST_FOUR),
    dt.date(2026, 1, 2): (_TEN, _HALF_PAST_THREE),
    dt.date(2026, 11, 19): (_TEN, _HALF_PAST_FOUR),
    dt.date(2027, 1, 4): (_TEN, _HALF_PAST_THREE),
    dt.date(2027, 11, 18): (_TEN, _HALF_PAST_FOUR),
}
"""Days of other hours: the first trading day of a year opens late, the college entrance exam moves the session."""
AFTER_MARKET_SINCE = dt.date(2026, 9, 14)
EVENING = 20 * 3_600
"""Both venues' evening ends then on every day, whenever the regular session closed."""

REGULAR_BEFORE = Segment("regular", "2", "10")
REGULAR = Segment("regular", "2", "20")
REGULAR_OVER = Segment("regular", "2", "30")
POST_CLOSE = Segment("close", "5", "31")
AFTER = Segment("after", "3", "30")


def regular_hours(day: dt.date) -> tuple[int, int]:
    """Return the regular session of *day*: open and close as KST seconds of the day, 09:00 and 15:30 usually."""
    return _SPECIAL.get(day, (_NINE, _HALF_PAST_THREE))


class Hours(NamedTuple):
    """Nominal session times of one day in KST seconds of the day; after_from is 0 where there is no after-market.

    The last auctions end later than `close`: by the random end, or by an interruption of the closing auction.
    """

    open: int
    close: int
    after_from: int

    @property
    def opening_from(self) -> int:
        """Start of the opening call."""
        return self.open - OPENING_CALL_SECONDS

    @property
    def closing_from(self) -> int:
        """Start of the closing call."""
        return self.close - CLOSING_CALL_SECONDS

    @property
    def post_close_from(self) -> int:
        """Start of trading at the closing price: ten minutes after the close."""
        return self.close + 600

    @property
    def post_close_until(self) -> int:
        """End of trading at the closing price."""
        return self.close + 1_800

    @property
    def after_until(self) -> int:
        """End of the after-market: at 20:00, also on a day that closes late."""
        return EVENING if self.after_from else 0


def hours_of(day: dt.date, open_second: int, close_second: int) -> Hours:
    """Return the sessions around a regular session; the after-market exists since 2026-09-14."""
    return Hours(open_second, close_second, close_second + 1_800 if day >= AFTER_MARKET_SINCE else 0)


def segment_at(hours: Hours, second: int) -> Segment:
    """Return the segment prints of *second* belong to."""
    if second < hours.open:
        return REGULAR_BEFORE
    if second < hours.close:
        return REGULAR
    if hours.post_close_from <= second < hours.post_close_until:
        return POST_CLOSE
    if hours.after_from and hours.after_from <= second < hours.after_until:
        return AFTER
    # The closing match comes a little late and belongs to the session.
    return REGULAR if second < hours.post_close_from else REGULAR_OVER


def trades_after_hours(stock: Stock) -> bool:
    """Whether the after-market takes *stock*: no ETF or ETN, nothing that trades by call auctions only."""
    return not (stock.etp or stock.halted or stock.liquidation or stock.single_price)


def phase_at(hours: Hours, stock: Stock, second: int, opened: int, closed: int) -> Phase:
    """Return the phase by the clock; the stock's opening and closing auctions end at *opened* and *closed*."""
    if second < hours.opening_from:
        return "closed"
    if hours.after_from <= second < hours.after_until:
        phase: Phase = "after" if trades_after_hours(stock) or stock.halted else "closed"
    elif second >= hours.post_close_until or closed <= second < hours.post_close_from:
        phase = "closed"
    elif second >= hours.post_close_from:
        phase = "post_close"
    elif second < opened:
        phase = "opening"
    else:
        phase = "continuous" if second < hours.closing_from else "closing"
    return "halted" if stock.halted and phase != "closed" else phase


def hour_class(hours: Hours, status: Status, second: int) -> str:
    """Return HOUR_CLS_CODE: B expected price before the open, C after it or in an interruption, A at the close."""
    if status.phase == "opening":
        return "B" if second < hours.open else "C"
    if status.phase == "vi":
        return "C"
    return "A" if status.phase == "closing" else "0"
