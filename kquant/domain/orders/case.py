"""A buy asked for, with everything its rules look at, and what a rule finds."""

from __future__ import annotations

from msgspec import Struct

from kquant.domain.orders.chain import set_aside
from kquant.domain.orders.grid import Bands
from kquant.domain.orders.lifecycle import Order
from kquant.domain.orders.seen import Seen
from kquant.domain.orders.sizing import bought_krw, reservation, reserved_krw, with_costs
from kquant.domain.orders.state import Own
from kquant.events.analyzer import Listed
from kquant.events.orders import QuoteAnswered
from kquant.events.pipeline import BuySignalled
from kquant.krx import CostTable
from kquant.settings import RiskSettings, Settings
from kquant.values import SECOND_US, Krw, Micros, Shares, Side


class Breach(Struct, frozen=True, kw_only=True):
    """A limit that was met: its code, the value found, the limit."""

    rule: str
    value: int
    limit: int


def valid_us(settings: Settings, side: Side) -> int:
    """Return how long after it was intended an order may still be sent (microseconds): a sell waits for its turn."""
    exits = settings.exits.valid_seconds
    return (exits if side == "sell" and exits else settings.risk.order_valid_seconds) * SECOND_US


Finding = tuple[int, int] | None
"""(value, limit) if the rule is broken."""


class Case(Struct, frozen=True, kw_only=True):
    """A buy asked for, and what is known (won).

    quote: the price confirmed over HTTPS; the rules then go by it, without one by the signal's.   upper, lower: None
    where the day's limits are not known.   cap: the highest limit price it may carry.   limit: the one it would carry,
    0 without an ask.   price: what a share may cost at most: the limit, or for a market order the day's upper limit (the
    broker sets aside that much; kis-protocol 4.5).   volume: the day's shares so far, None if not known.
    age_us: how old the signal's trade or quote is by now, the older of them (microseconds), None if nobody knows.
    """

    own: Own
    seen: Seen
    settings: Settings
    costs: CostTable
    signal: BuySignalled
    at: Micros
    quote: QuoteAnswered | None
    stock: Listed | None
    bands: Bands
    last: Krw
    ask: Krw
    upper: Krw | None
    lower: Krw | None
    cap: Krw
    limit: Krw
    price: Krw
    volume: Shares | None
    age_us: int | None

    @property
    def risk(self) -> RiskSettings:
        """The limits in force."""
        return self.settings.risk

    def one_share_krw(self) -> Krw:
        """What one share takes at most, costs included (won)."""
        return with_costs(Shares(1), self.price, self.costs)

    def free_krw(self) -> int:
        """Cash that is not set aside (won)."""
        return (self.seen.cash_krw if self.seen.cash_krw is not None else 0) - reserved_krw(self.own, self.seen)

    def left_today_krw(self) -> int:
        """What the day's buys may still amount to (won)."""
        return self.risk.max_day_buy_krw - bought_krw(self.own)

    def stock_krw(self) -> int:
        """What this stock takes already: held at cost, and its buys under way (won)."""
        held = self.seen.positions.get(self.signal.code)
        buying = sum(
            reservation(self.own, order, self.seen)
            for order in self.own.orders.values()
            if order.code == self.signal.code
        )
        return (held.cost_krw if held is not None else 0) + buying

    def exposure_krw(self) -> int:
        """What is in the market or on its way there: all positions at cost, and all buys under way (won)."""
        return sum(held.cost_krw for held in self.seen.positions.values()) + reserved_krw(self.own, self.seen)

    def orderable_krw(self) -> int | None:
        """What the broker still takes orders for without credit (won), None if it never said.

        Its figure is of the moment it was asked: what our buys since then take comes off.
        """
        said = self.seen.orderable
        if said is None:
            return None
        since = sum(
            set_aside(self.own, order) if order.is_live else with_costs(Shares(1), order.filled_amount, self.costs)
            for order in self.own.orders.values()
            if order.side == "buy" and self.seen.sent_seq.get(order.intent, said.asked) >= said.asked
        )
        return said.krw - since

    def room_krw(self) -> int:
        """What one more buy may take in all (won): inside every limit on amounts, and cash of ours and the broker's."""
        risk, orderable = self.risk, self.orderable_krw()
        rooms = (
            risk.max_order_krw,
            self.left_today_krw(),
            risk.max_stock_krw - self.stock_krw(),
            risk.max_exposure_krw - self.exposure_krw(),
            self.free_krw(),
        )
        return min(rooms) if orderable is None else min(*rooms, orderable)

    def volume_shares(self) -> int | None:
        """The part of the day's volume a buy may take (shares), None if the volume is not known."""
        return None if self.volume is None else self.volume * self.risk.volume_share_bp // 10_000

    def intended_at(self, order: Order) -> int:
        """Return when an order was intended (microseconds): its send tells under whatever settings it was valid."""
        return self.seen.sent_at.get(order.intent, order.valid_until - valid_us(self.settings, order.side))

    def since_last_buy(self) -> int | None:
        """Seconds since a buy of the stock was last intended today, None without one."""
        bought = [
            self.intended_at(order)
            for order in self.own.orders.values()
            if order.side == "buy" and order.code == self.signal.code
        ]
        return (self.at - max(bought)) // SECOND_US if bought else None
