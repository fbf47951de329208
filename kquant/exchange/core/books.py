"""The rows of an account's books: orders, fills, positions, cash, and the state a store loads and saves.

Amounts are won, quantities shares, times KST seconds of the day. Fields with a default came later than the first
stored books, so that older state folders still load. Source: kis-protocol.md 4.5, 4.6, 4.9.
"""

from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

Side = Literal["buy", "sell"]
OrderRequest = Literal["new", "revise", "cancel"]
Venue = Literal["KRX", "NXT", "SOR"]
Channel = Literal["api", "hand"]
Environment = Literal["real", "paper"]


class Order(Struct, kw_only=True):
    """One order or one revise/cancel request; `qty = filled + cancelled + rejected + expired + leaves`."""

    no: int
    origin: int = 0
    """The order number this request revises or cancels, 0 for a new order."""
    request: OrderRequest = "new"
    side: Side
    code: str
    name: str
    kind: str
    """The security kind (`etf` …), which decides the sell tax."""
    division: str
    """ORD_DVSN, one of `order_types.TYPES`."""
    qty: int
    price: int
    """Limit price; 0 while there is none (market orders, best limit before it reached the exchange)."""
    reserve_price: int
    """Won a share held back while a buy is open: the limit price, or the upper limit where there is none."""
    second: int
    filled: int = 0
    amount: int = 0
    cancelled: int = 0
    rejected: int = 0
    expired: int = 0
    commission: int = 0
    tax: int = 0
    day: str = ""
    """The trading day, YYYYMMDD."""
    venue: Venue = "KRX"
    channel: Channel = "api"
    """`hand`: placed in the broker's own program, not over the API."""
    stop_price: int = 0
    stopped_at: int = -1
    """The second in which a stop order's condition was met, -1 before."""
    due: int = 0
    """The second in which the request takes effect at the exchange, 0 once it has."""
    everything: bool = False
    """A revise or cancel of whatever is open when it takes effect."""
    crossed: bool = False
    """It met the book of a running market once; from then on a limit order waits for prints."""

    @property
    def leaves(self) -> int:
        """Shares still open."""
        return self.qty - self.filled - self.cancelled - self.rejected - self.expired

    @property
    def waits(self) -> bool:
        """Whether a stop order's condition has not been met yet."""
        return self.stop_price > 0 and self.stopped_at < 0


class Fill(Struct, frozen=True, kw_only=True):
    """One execution of one order; `commission` and `tax` are what this fill added to the order's costs."""

    no: int
    order_no: int
    second: int
    side: Side
    code: str
    qty: int
    price: int
    commission: int
    tax: int


class Position(Struct, kw_only=True):
    """Shares held of one stock and what they cost (won, without fees)."""

    code: str
    name: str
    qty: int
    cost: int
    opening_qty: int = 0
    bought: int = 0
    sold: int = 0
    realised: int = 0
    """Proceeds minus average cost of what was sold today, before fees and tax."""
    bought_before: int = 0
    """Shares bought on the trading day before."""
    sold_before: int = 0
    days_empty: int = 0
    """Trading days begun since the last share was sold."""


class Cash(Struct, kw_only=True):
    """Cash in won: `settled` is D+0; yesterday's trades settle on D+1, today's on D+2."""

    settled: int
    bought: int = 0
    sold: int = 0
    fees: int = 0
    taxes: int = 0
    unsettled: int = 0
    """What yesterday's trades will add or take tomorrow."""
    bought_before: int = 0
    sold_before: int = 0
    costs_before: int = 0
    """Yesterday's purchases, sales and costs (fees and taxes)."""

    @property
    def today(self) -> int:
        """What today's trades add or take, costs included."""
        return self.sold - self.bought - self.fees - self.taxes

    @property
    def d1(self) -> int:
        """Cash on D+1."""
        return self.settled + self.unsettled

    @property
    def d2(self) -> int:
        """Cash after today's trades settle; sale proceeds may be used for buying at once."""
        return self.settled + self.unsettled + self.today


class Refusal(NamedTuple):
    """Why a request is refused: KIS's rt_cd, msg_cd and msg1."""

    rt_cd: str
    msg_cd: str
    msg1: str


class Shortage(NamedTuple):
    """What an order lacks: won (`cash`) or shares (`shares`), and how much is there."""

    of: Literal["cash", "shares"]
    available: int


class Changes(NamedTuple):
    """What changed since the last take, each row whole and in its newest state."""

    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    positions: tuple[Position, ...]
    cash: Cash | None

    def __bool__(self) -> bool:
        return bool(self.orders or self.fills or self.positions or self.cash)


class LedgerState(Struct, kw_only=True):
    """The whole ledger, as a store loads it."""

    cash: Cash
    orders: list[Order] = msgspec.field(default_factory=list)
    fills: list[Fill] = msgspec.field(default_factory=list)
    positions: list[Position] = msgspec.field(default_factory=list)
    past: list[Order] = msgspec.field(default_factory=list)
    """Orders of earlier days, oldest first; they change only when a day ends."""
