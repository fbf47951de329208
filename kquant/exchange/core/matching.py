"""Matching our account's orders against the market that is played.

The market does not know our orders: an order that crosses the spread takes what the book shows (and does not find
it a second time until the level changes), a resting limit order gets at most a fixed share of what prints at its
price or through it, auctions execute at their single price. Pure; times are KST seconds of the day.
"""

from typing import Final

from kquant.exchange.core.checks import runs_on_nxt
from kquant.exchange.core.hours import hours_of
from kquant.exchange.core.ledger import Fill, Ledger, Order
from kquant.exchange.core.order_types import TYPES
from kquant.exchange.core.ports import Market
from kquant.exchange.market.model import AUCTION, Level, Print, Stock

SHARE_BP: Final = 1_000
"""Part of each print's volume that resting orders may get: 10 %."""
MID_ASK, MID_BID = 1, 2
_SEGMENTS: Final = {"pre_open": "none", "regular": "regular", "post_close": "close", "after": "after"}


class Matcher:
    """Executes open orders of a ledger against a market day."""

    def __init__(self, market: Market, ledger: Ledger, share_bp: int = SHARE_BP) -> None:
        if not 0 < share_bp <= 10_000:
            raise ValueError(f"the share of print volume is 1 to 10000 basis points, not {share_bp}")
        self._market = market
        self._ledger = ledger
        self._share_bp = share_bp
        self._hours = hours_of(market.day, market.open_second, market.close_second)
        self._credit: dict[int, int] = {}
        """Order number -> parts of a share (1/10,000) that prints have earned it so far."""
        self._taken: dict[tuple[str, str, int], tuple[int, int]] = {}
        """(code, side, price) -> the size shown there and how much of it our orders took."""

    def take(self, order: Order, second: int) -> list[Fill]:
        """Execute *order* at once against the book as it stood before *second*, as far as its price allows.

        Nothing happens where the market does not run. FOK orders execute whole or not at all.
        """
        if not self._runs(order, second):
            return []
        order.crossed = True
        self._ledger.settle(order)
        levels = self._levels(order, second)
        offered = sum(self._free(order, level) for level in levels)
        if TYPES[order.division].condition == "FOK" and offered < order.leaves:
            return []
        fills = []
        for level in levels:
            qty = min(order.leaves, self._free(order, level))
            if qty > 0:
                key = (order.code, order.side, level.price)
                self._taken[key] = (level.qty, level.qty - self._free(order, level) + qty)
                fills.append(self._ledger.fill(order, qty, level.price, second))
        return fills

    def play(self, second: int) -> list[Fill]:
        """Execute open orders against what is printed in [second, second + 1)."""
        fills: list[Fill] = []
        for code in sorted(self._ledger.open):
            stock = self._market.by_code.get(code)
            if stock is None:
                continue
            for order in list(self._ledger.open[code].values()):
                if self._is_live(order, second) and (not order.crossed or self._crosses(order)):
                    fills += self.take(order, second)
            for trade in self._market.prints(code, second):
                if code not in self._ledger.open:
                    break
                fills += self._on_print(stock, trade)
                self._trigger(code, trade)
        return fills

    def forget(self, order: Order) -> None:
        """Drop what is remembered of a finished order."""
        self._credit.pop(order.no, None)

    # -- helpers --------------------------------------------------------------------------------------------

    def _is_live(self, order: Order, second: int) -> bool:
        """Whether *order* stands in the book that trades at *second*."""
        if order.waits or order.due > second:
            return False
        if order.venue == "NXT" and not runs_on_nxt(self._hours, second):
            return False
        return self._market.segment(second).name == _SEGMENTS[TYPES[order.division].session]

    def _runs(self, order: Order, second: int) -> bool:
        """Whether the order's market trades continuously, and did a second ago, when its book was shown.

        In the second in which a call auction matches, its prints come before anything else.
        """
        if not self._is_live(order, second) or self._market.by_code[order.code].single_price:
            return False
        wanted = "after" if TYPES[order.division].session == "after" else "continuous"
        if any(self._market.status(order.code, at).phase != wanted for at in (second - 1, second)):
            return False
        return wanted == "after" or self._market.stats(order.code, second - 1).volume > 0

    def _levels(self, order: Order, second: int) -> list[Level]:
        """Return the levels of the other side that the order's price reaches, best first."""
        if TYPES[order.division].pricing == "midpoint":
            middle = self._market.midpoint(order.code, second - 1)
            opposite = MID_ASK if order.side == "buy" else MID_BID
            return [Level(middle.price, middle.qty)] if middle.side == opposite and middle.price > 0 else []
        book = self._market.book(order.code, second - 1)
        return [
            level for level in (book.asks if order.side == "buy" else book.bids) if self._reaches(order, level.price)
        ]

    def _free(self, order: Order, level: Level) -> int:
        shown, taken = self._taken.get((order.code, order.side, level.price), (level.qty, 0))
        return level.qty - taken if shown == level.qty else level.qty

    def _on_print(self, stock: Stock, trade: Print) -> list[Fill]:
        fills: list[Fill] = []
        for side in ("buy", "sell"):
            orders = [
                order
                for order in self._ledger.open.get(stock.code, {}).values()
                if order.side == side
                and self._reaches(order, trade.price, trade)
                and self._is_live(order, trade.second)
            ]
            # Whoever takes any price comes first, in the order of arrival; then the better price.
            orders.sort(key=lambda order: (0, 0, order.no) if self._unpriced(order, trade) else _rank(order))
            earned = trade.qty * self._share_bp
            for order in orders:
                credit = self._credit.get(order.no, 0) + earned
                qty = min(order.leaves, credit // 10_000)
                # What the first in line cannot use goes to the next: together they never exceed the share.
                if qty == order.leaves:
                    kept, earned = 0, min(earned, credit - qty * 10_000)
                else:
                    kept, earned = credit - qty * 10_000, 0
                if qty > 0:
                    at_print = trade.side == AUCTION or self._unpriced(order, trade)
                    price = trade.price if at_print else order.price
                    fills.append(self._ledger.fill(order, qty, price, trade.second))
                self._credit[order.no] = kept
                if order.leaves == 0:
                    self.forget(order)
                if earned == 0:
                    break
        return fills

    def _trigger(self, code: str, trade: Print) -> None:
        """Let stop orders whose condition the print meets go into the book, from the next second on."""
        for order in self._ledger.open.get(code, {}).values():
            if not order.waits or order.due > trade.second:
                continue
            if trade.price >= order.stop_price if order.side == "buy" else trade.price <= order.stop_price:
                order.stopped_at = trade.second
                self._ledger.settle(order)

    def _crosses(self, order: Order) -> bool:
        """Whether the order goes on taking what the book shows, second by second."""
        return TYPES[order.division].pricing in ("market", "midpoint")

    def _unpriced(self, order: Order, trade: Print | None) -> bool:
        """Whether the order takes any price: market orders, conditional ones in the closing auction, fixed closes."""
        pricing = TYPES[order.division].pricing
        if pricing == "conditional":
            return trade is not None and trade.second >= self._hours.closing_from
        return pricing in ("market", "closing")

    def _reaches(self, order: Order, price: int, trade: Print | None = None) -> bool:
        if price <= 0:
            return False
        if self._unpriced(order, trade):
            return True
        if TYPES[order.division].pricing == "midpoint":
            return False  # it meets the midpoint book, not the prints
        return order.price >= price if order.side == "buy" else order.price <= price


def _rank(order: Order) -> tuple[int, int, int]:
    return 1, -order.price if order.side == "buy" else order.price, order.no
