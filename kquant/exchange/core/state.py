"""What a service of the exchange keeps: its settings, its first day's account, and the port of its durable store."""

import datetime as dt
from typing import Final, Protocol

from msgspec import Struct

from kquant.exchange.core.auth import Credentials
from kquant.exchange.core.books import Cash, Changes, Environment, LedgerState, Position
from kquant.exchange.core.matching import SHARE_BP
from kquant.exchange.core.ports import Market

ENVIRONMENTS: Final[tuple[Environment, Environment]] = ("real", "paper")
CALLS_PER_SECOND: Final[dict[Environment, int]] = {"real": 18, "paper": 1}
"""REST calls a second and app key since 2026-04-20. Source: kis-protocol.md 1.8."""


class ServiceOptions(Struct, frozen=True, kw_only=True):
    """One service's account, keys and settings. cash and holding_value in won."""

    account: tuple[str, str] = ("50001234", "01")
    hts_id: str = "DEMO01"
    holder: str = "김모의"
    app_key: str
    app_secret: str
    salt: bytes = b"kquant exchange"
    cash: int = 100_000_000
    holdings: int = 6
    holding_value: int = 5_000_000
    share_bp: int = SHARE_BP
    calls_per_second: int = CALLS_PER_SECOND["real"]
    ledger_calls_per_second: int | None = None
    """Of them, calls of account, order and balance TRs; KIS does not say how many its ledger takes."""
    linger_s: int = 0
    """Seconds of market time for which an app key stays taken after its session was lost."""
    latency_s: int = 0
    """Seconds of market time an order, revise or cancel needs to the exchange."""
    list_lag_s: int = 0
    """Seconds of market time after which an order appears in the lists."""


class Store(Protocol):
    """Where a service keeps what must survive it. `save` and `open_day` are durable when they return."""

    def save(self, changes: Changes, matched_through: int, credentials: Credentials) -> None:
        """Commit what changed."""

    def open_day(self, day: dt.date, market_id: str, state: LedgerState, credentials: Credentials) -> None:
        """Replace the day that is over by the next one's books."""


class MemoryStore:
    """Keeps nothing: for tests and simulations."""

    def save(self, changes: Changes, matched_through: int, credentials: Credentials) -> None:
        """Keep nothing."""

    def open_day(self, day: dt.date, market_id: str, state: LedgerState, credentials: Credentials) -> None:
        """Keep nothing."""


class Restored(Struct, frozen=True, kw_only=True):
    """What a store gives back after a restart."""

    ledger: LedgerState
    matched_through: int
    """The last second of the day whose fills are in the ledger; -1 before the first."""
    credentials: Credentials
    day: dt.date
    """The trading day the books are of."""


class Days(Protocol):
    """The trading days an exchange plays one after another."""

    def after(self, day: dt.date) -> dt.date | None:
        """Return the day that follows *day*, None after the last."""

    def market(self, day: dt.date) -> Market:
        """Return the market of *day*; the same one when asked again. May take seconds."""


class OneDay:
    """A single day: nothing follows it."""

    def after(self, day: dt.date) -> dt.date | None:
        """Return None."""

    def market(self, day: dt.date) -> Market:
        """Raise LookupError: no day is ever asked for."""
        raise LookupError(f"no market follows: {day} was not announced")


def market_identity(market: Market) -> str:
    """Return what tells one played market from another, whatever the day."""
    return f"{market.source} {market.seed} {len(market.stocks)}"


def opening_account(market: Market, options: ServiceOptions) -> LedgerState:
    """Return the first day's account: cash and holdings of liquid common stocks at their base price."""
    liquid = [
        stock
        for stock in market.stocks
        if stock.kind == "common"
        and stock.prev_volume > 0
        and not (stock.halted or stock.administrative or stock.liquidation or stock.warning or stock.single_price)
    ]
    liquid.sort(key=lambda stock: (-stock.prev_volume * stock.base, stock.code))
    liquid = liquid[:150]
    if len(liquid) < options.holdings:
        raise ValueError(f"the market has {len(liquid)} liquid common stocks, fewer than {options.holdings} holdings")
    stride = len(liquid) // options.holdings if options.holdings else 1
    positions = []
    for stock in liquid[market.seed % stride :: stride][: options.holdings]:
        qty = max(1, options.holding_value // stock.base)
        positions.append(Position(code=stock.code, name=stock.name, qty=qty, cost=qty * stock.base, opening_qty=qty))
    return LedgerState(cash=Cash(settled=options.cash), positions=positions)
