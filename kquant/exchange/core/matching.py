"""Matching our account's orders against the market that is played.

The market does not know our orders: an order that crosses the spread takes what the book shows (and does not find
it a second time until the level changes), a resting limit order gets at most a fixed share of what prints at its
price or through it, auctions execute at their single price. Pure; times are KST seconds of the day.
"""

from typing import Final

from kquant.exchange.core.ledger import Fill, Ledger, Order
from kquant.exchange.core.ports import Market
from kquant.exchange.core.rules import phase_at
from kquant.exchange.market.model import AUCTION, Level, Print, Stock

SHARE_BP: Final = 1_000
"""Part of each print's volume that resting orders may get: 10 %."""


class Matcher:
    """Executes open orders of a ledger against a market day."""

    def __init__(self, market: Market, ledger: Ledger, share_bp: int = SHARE_BP) -> None:
        if not 0 < share_bp <= 10_000:
            raise ValueError(f"the share of print volume is 1 to 10000 basis points, not {share_bp}")
        self._market = market
        self._ledger = ledger
        self._share_bp = share_bp
        self._credit: dict[int, int] = {}
        """Order number -> parts of a share (1/10,000) that prints have earned it so far."""
        self._taken: dict[tuple[str, str, int], tuple[int, int]] = {}
        """(code, side, price) -> the size shown there and how much of it our orders took."""

    def take(self, order: Order, second: int) -> list[Fill]:
        """Execute *order* at once against the book as it stood before *second*, as far as its price allows."""
        stock = self._market.by_code[order.code]
        phase = phase_at(second, self._market.open_second, self._market.close_second)
        if phase != "continuous" or stock.single_price or stock.halted:
            return []
        if self._market.stats(order.code, second - 1).volume == 0:
            return []
        book = self._market.book(order.code, second - 1)
        levels = book.asks if order.side == "buy" else book.bids
        fills = []
        for level in levels:
            if order.leaves == 0 or not _reaches(order, level.price):
                break
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
            stock = self._market.by_code[code]
            orders = self._ledger.open[code]
            for order in [order for order in orders.values() if order.division == "01"]:
                fills += self.take(order, second)
            for trade in self._market.prints(code, second):
                if code not in self._ledger.open:
                    break
                fills += self._on_print(stock, trade)
        return fills

    def forget(self, order: Order) -> None:
        """Drop what is remembered of a finished order."""
        self._credit.pop(order.no, None)

    # -- helpers --------------------------------------------------------------------------------------------

    def _free(self, order: Order, level: Level) -> int:
        shown, taken = self._taken.get((order.code, order.side, level.price), (level.qty, 0))
        return level.qty - taken if shown == level.qty else level.qty

    def _on_print(self, stock: Stock, trade: Print) -> list[Fill]:
        fills: list[Fill] = []
        for side in ("buy", "sell"):
            orders = [
                order
                for order in self._ledger.open.get(stock.code, {}).values()
                if order.side == side and _reaches(order, trade.price)
            ]
            orders.sort(key=lambda order: (order.division == "00", _eagerness(order), order.no))
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
                    at_print = trade.side == AUCTION or order.division == "01"
                    price = trade.price if at_print else order.price
                    fills.append(self._ledger.fill(order, qty, price, trade.second))
                self._credit[order.no] = kept
                if order.leaves == 0:
                    self.forget(order)
                if earned == 0:
                    break
        return fills


def _reaches(order: Order, price: int) -> bool:
    if price <= 0:
        return False
    if order.division == "01":
        return True
    return order.price >= price if order.side == "buy" else order.price <= price


def _eagerness(order: Order) -> int:
    return -order.price if order.side == "buy" else order.price
