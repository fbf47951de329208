"""What an order must satisfy: type, venue, hours, price grid and limits, by KRX's and KIS's rules.

The broker checks what it can know when a request arrives (`refuse`); what depends on the state of the book the
exchange decides when the order reaches it (`arrive`), and refuses by notice. Pure; won, shares, KST seconds.
Source: kis-protocol.md 4.9, 5.1-5.4.
"""

from typing import Final, NamedTuple

from kquant.exchange.core.books import Environment, Order, Side, Venue
from kquant.exchange.core.hours import NXT_MAIN_AFTER_S, Hours, hours_of, limits_around
from kquant.exchange.core.order_types import TYPES, OrderType, type_of
from kquant.exchange.core.ports import Market
from kquant.exchange.core.refusals import Reason
from kquant.exchange.core.rules import tick_size
from kquant.exchange.market.model import Stock

NO_LIMIT: Final = 100_000_000
"""An upper limit this high or higher means that none applies (liquidation trading)."""
QTY_MAX: Final = 999_999_999


class Terms(NamedTuple):
    """What a request asks: price and stop price in won (0: none), *qty* shares."""

    side: Side
    code: str
    qty: int
    price: int
    division: str
    venue: Venue = "KRX"
    stop_price: int = 0


class Checks:
    """The rules of one market day in one environment."""

    def __init__(self, market: Market, environment: Environment) -> None:
        self._market = market
        self._environment: Environment = environment
        self.hours: Hours = hours_of(market.day, market.open_second, market.close_second)

    def kind(self, division: str, venue: Venue) -> OrderType | None:
        """Return the order type if this environment and *venue* take it."""
        return type_of(division, venue, self._environment)

    def refuse(self, terms: Terms, second: int) -> Reason | None:
        """Return why the broker refuses an order at *second*, or None."""
        stock = self._market.by_code.get(terms.code)
        if stock is None:
            return "unknown_code"
        if self._environment == "paper" and terms.venue != "KRX":
            return "venue"
        if self._environment == "real" and terms.division in TYPES and terms.venue not in TYPES[terms.division].venues:
            return "venue"
        kind = self.kind(terms.division, terms.venue)
        if kind is None:
            return "order_type"
        reason = self._out_of_hours(kind, terms.venue, second)
        if reason is not None:
            return reason
        if stock.halted or self._market.status(terms.code, second).phase == "halted":
            return "halted"
        if not 0 < terms.qty <= QTY_MAX:
            return "bad_qty"
        return self._bad_type(kind, stock, second) or self._bad_price(kind, stock, terms, second)

    def closed(self, order: Order, second: int) -> Reason | None:
        """Return why a revise or cancel of *order* is out of hours, or None."""
        return self._out_of_hours(TYPES[order.division], order.venue, second)

    def arrive(self, order: Order, second: int) -> bool:
        """Whether the exchange takes *order* in the state its book is in; gives it the price it follows.

        Orders that need a running book are refused in call auctions and interruptions; best and priority orders are
        refused where no quote gives them a price, stop orders whose condition is met already.
        """
        kind = TYPES[order.division]
        phase = self._market.status(order.code, second).phase
        if phase == "halted":
            return False
        running = phase == ("after" if kind.session == "after" else "continuous")
        if kind.session in ("regular", "after") and not running and not kind.in_auction:
            return False
        if kind.pricing in ("best", "priority"):
            return self._follow(order, opposite=kind.pricing == "best", second=second)
        if kind.pricing == "stop":
            last = self.last(order.code, second)
            return order.stop_price > last if order.side == "buy" else order.stop_price < last
        return True

    def price_of(self, terms: Terms, second: int) -> int:
        """Return the limit price an order of *terms* carries when it is sent; 0 where it has none (yet)."""
        kind = TYPES[terms.division]
        if kind.priced:
            return terms.price
        if kind.pricing != "closing":
            return 0
        if kind.session == "pre_open":
            return self._market.by_code[terms.code].prev_close
        # The closing auction may still be running: then nobody knows the closing price.
        running = self._market.status(terms.code, second).phase in ("closing", "vi")
        return 0 if running else self.close_price(terms.code, second)

    def reserve(self, stock: Stock, division: str, price: int, second: int) -> int:
        """Return the won a share that a buy holds back; without a price of its own, the upper limit (0: none).

        A conditional order may become a market order, so the upper limit is held for it too.
        """
        kind = TYPES[division]
        if kind.pricing != "conditional" and price > 0:
            return price
        upper = self.limits(stock, kind, second)[1]
        return upper if upper < NO_LIMIT else 0

    def limits(self, stock: Stock, kind: OrderType, second: int) -> tuple[int, int]:
        """Return the lowest and highest price of an order of *kind*."""
        if kind.session == "after":
            return limits_around(self.close_price(stock.code, second), stock.kind)
        return stock.lower, stock.upper

    def close_price(self, code: str, second: int) -> int:
        """Return the regular session's closing price, the base price of a stock that did not trade."""
        until = min(second - 1, self.hours.post_close[0] - 1)
        return self._market.stats(code, until).last or self._market.by_code[code].base

    def last(self, code: str, second: int) -> int:
        """Return the last price before *second*, the base price of a stock that did not trade."""
        return self._market.stats(code, second - 1).last or self._market.by_code[code].base

    def ends(self, order: Order) -> int:
        """Return the second from which what is open of *order* has expired."""
        return self.hours.nxt[1] if order.venue == "NXT" else self.hours.ends(TYPES[order.division].session)

    # -- helpers --------------------------------------------------------------------------------------------

    def _out_of_hours(self, kind: OrderType, venue: Venue, second: int) -> Reason | None:
        hours = self.hours
        if self._environment == "paper":
            # Paper has the regular session only; whether it takes the opening auction's orders is not known.
            if second < hours.open:
                return "not_open_yet"
            return "closed" if second >= hours.close else None
        if venue == "NXT":
            return None if hours.nxt[0] <= second < hours.nxt[1] else "closed"
        if hours.takes(kind.session, second):
            return None
        if kind.session == "regular":
            return "not_open_yet" if second < hours.opening_from else "closed"
        return "order_type_now"

    def _bad_type(self, kind: OrderType, stock: Stock, second: int) -> Reason | None:
        if kind.session == "after" and (stock.etp or stock.single_price or stock.liquidation):
            return "after_market_code"
        if kind.session == "regular":
            phase = self.hours.phase(second)
            auction = phase in ("opening", "closing") or stock.single_price
            # A conditional order has become a market order by then: KRX takes no new one.
            if (auction and not kind.in_auction) or (phase == "closing" and kind.pricing == "conditional"):
                return "order_type_now"
        # Without an upper limit no cash could be held for an order that has no price.
        return (
            "no_market_order" if kind.pricing not in ("limit", "stop", "closing") and stock.upper >= NO_LIMIT else None
        )

    def _bad_price(self, kind: OrderType, stock: Stock, terms: Terms, second: int) -> Reason | None:
        if kind.pricing == "stop" and (
            terms.stop_price <= 0 or terms.stop_price % tick_size(terms.stop_price, stock.kind)
        ):
            return "stop_price"
        if not kind.priced:
            return None
        price = terms.price
        if price <= 0 or price % tick_size(price, stock.kind):
            return "off_tick"
        lower, upper = self.limits(stock, kind, second)
        return None if lower <= price <= upper else "out_of_limits"

    def _follow(self, order: Order, *, opposite: bool, second: int) -> bool:
        quote = self._market.quote(order.code, second - 1)
        price = quote.ask if (order.side == "buy") == opposite else quote.bid
        if price <= 0:
            return False
        order.price = price
        if order.side == "buy":
            order.reserve_price = price
        return True


def runs_on_nxt(hours: Hours, second: int) -> bool:
    """Whether NXT's main market trades: it begins half a minute after KRX's open and pauses with its closing call."""
    return hours.open + NXT_MAIN_AFTER_S <= second < hours.closing_from
