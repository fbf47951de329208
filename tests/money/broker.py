"""The look-alike's books, desk, account and quotations in memory, with a market in which only the test trades.

It is the oracle: its ledger says what was placed, filled and paid. `fork` gives an independent copy, so that one state
can be gone on from in many ways.
"""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Iterable
from typing import Any

import msgspec

from kquant.exchange.core.auth import CallLimit, Credentials, TokenOffice
from kquant.exchange.core.books import Cash, Environment, LedgerState, Order, Position
from kquant.exchange.core.desk import Desk
from kquant.exchange.core.gateway import Gateway
from kquant.exchange.core.ledger import Ledger
from kquant.exchange.core.matching import Matcher
from kquant.exchange.core.quotations import Quotations
from kquant.exchange.core.rest import Request, Response
from kquant.exchange.core.rest_account import Account
from kquant.exchange.core.rules import cost_rates
from kquant.exchange.core.wire import fold_print
from kquant.exchange.market.model import Book, DayStats, Level, Print, Status, Stock
from kquant.exchange.market.sessions import hours_of, phase_at
from tests.exchange.fake_market import CLOSE, EMPTY, OPEN, FakeMarket, stock

DAY = dt.date(2026, 11, 20)
ACCOUNT = ("50001234", "01")
KEY, SECRET = "K" * 36, "S" * 180
MIDNIGHT = int(dt.datetime.combine(DAY, dt.time(), dt.timezone(dt.timedelta(hours=9))).timestamp())
DEEP = 1_000_000
NO_BOOK = Book((Level(0, 0),) * 10, (Level(0, 0),) * 10, 0, 0)


class StagedMarket(FakeMarket):
    """Trades when it is told to, and stands where it is told to. crossing: whether orders meet the book that is shown."""

    def __init__(self, stocks: Iterable[Stock]) -> None:
        super().__init__(tuple(stocks), depth=DEEP)
        self.day, self.prev_day = DAY, DAY - dt.timedelta(days=1)
        self.hours = hours_of(DAY, OPEN, CLOSE)
        self.crossing = False
        self.printing: tuple[str, Print] | None = None
        self.figures: dict[str, DayStats] = {}
        self.paused: dict[str, str] = {}
        """Code to "halted" or "vi" while it lasts."""

    def trade(self, code: str, second: int, price: int, qty: int) -> None:
        """Let one trade happen in the second that is played next."""
        self.printing = (code, Print(second, price, qty, 1))
        self.figures[code] = fold_print(self.figures.get(code, EMPTY), self.printing[1])

    def prints(self, code: str, second: int) -> tuple[Print, ...]:
        if self.printing is None or self.printing[0] != code or self.printing[1].second != second:
            return ()
        return (self.printing[1],)

    def stats(self, code: str, second: int) -> DayStats:
        return self.figures.get(code, EMPTY)

    def status(self, code: str, second: int) -> Status:
        phase: Any = self.paused.get(code) or phase_at(self.hours, self.by_code[code], second, OPEN, CLOSE)
        return Status(phase, "static" if phase == "vi" else "", self.by_code[code].base)


class _Unseen:
    """The market to the matcher: nothing stands in its book, so that orders wait for trades."""

    def __init__(self, market: StagedMarket) -> None:
        self._market = market

    def __getattr__(self, name: str) -> Any:
        return getattr(self._market, name)

    def book(self, code: str, second: int) -> Book:
        return self._market.book(code, second) if self._market.crossing else NO_BOOK


class Broker:
    """One account at the look-alike. second: KST second of the day. notices: plain texts nobody has carried away yet.

    list_lag_s: after so many seconds an order appears in the list.   latency_s: until a request reaches the exchange.
    """

    def __init__(
        self,
        stocks: Iterable[Stock],
        *,
        cash: int,
        shares: dict[str, tuple[int, int]] | None = None,
        environment: Environment = "real",
        list_lag_s: int = 0,
        latency_s: int = 0,
        calls_per_second: int = 1_000_000,
    ) -> None:
        self.environment: Environment = environment
        self.second = OPEN - 600
        self.list_lag_s, self.latency_s = list_lag_s, latency_s
        self.market = StagedMarket(stocks)
        held = [
            Position(code=code, name=self.market.by_code[code].name, qty=qty, cost=cost, opening_qty=qty)
            for code, (qty, cost) in sorted((shares or {}).items())
        ]
        state = LedgerState(cash=Cash(settled=cash), positions=held)
        self.office = TokenOffice(Credentials(), app_key=KEY, app_secret=SECRET, salt=b"money")
        self.limit = CallLimit(calls_per_second)
        self.notices: list[str] = []
        self._open(state, {}, {})

    def _open(self, state: LedgerState, credit: dict[Any, Any], taken: dict[Any, Any]) -> None:
        self.ledger = Ledger(state, cost_rates(DAY), DAY)
        self.matcher = Matcher(_Unseen(self.market), self.ledger, 10_000)  # type: ignore[arg-type]
        self.matcher._credit, self.matcher._taken = credit, taken
        self.desk = Desk(
            self.market, self.ledger, self.matcher, self.notices.append, hts_id="DEMO01", account="".join(ACCOUNT),
            holder="김모의", environment=self.environment, latency_s=self.latency_s, list_lag_s=self.list_lag_s,
        )  # fmt: skip
        self.gateway = Gateway(self.environment, self.office, self.limit, master=lambda _: b"", commit=lambda: None)
        account = Account(
            self.market, self.ledger, self.desk, account=ACCOUNT, now=lambda: self.second, environment=self.environment
        )
        self.gateway.routes = account.routes()
        self._quotes = False

    def fork(self) -> Broker:
        """Return a copy that goes its own way; keys and limits stay shared."""
        other = copy.copy(self)
        other.market = copy.copy(self.market)
        other.market.figures, other.market.paused = dict(self.market.figures), dict(self.market.paused)
        other.notices = list(self.notices)
        state = self.ledger.state
        copied = LedgerState(
            cash=copy.copy(state.cash),
            orders=[copy.copy(order) for order in state.orders],
            fills=list(state.fills),
            positions=[copy.copy(position) for position in state.positions],
            past=[],
        )
        other._open(copied, dict(self.matcher._credit), dict(self.matcher._taken))
        other.desk.reject_next, other.desk._doomed = self.desk.reject_next, set(self.desk._doomed)
        return other

    # -- what the account's owner and the market do ---------------------------------------------------------

    def rest(self, request: Request) -> Response:
        """Answer one call."""
        if not self._quotes and "/quotations/" in request.path:
            self.gateway.routes |= Quotations(self.market, lambda: self.second - 1).routes()
            self._quotes = True
        return self.gateway.rest(request, float(MIDNIGHT + self.second))

    def token(self) -> str:
        """Return a token that is good today."""
        issued = self.office.issue(float(MIDNIGHT + self.second))
        assert issued is not None
        return issued[0]

    def at(self, second: int) -> None:
        """Let time pass up to *second*: requests arrive, orders expire."""
        if second <= self.second:
            return
        for moment in (self.second, second):
            self.desk.play(moment)
        self.second = second

    def trade(self, code: str, price: int, qty: int) -> int:
        """Let the market trade *qty* shares at *price*; return how many of ours were among them."""
        before = len(self.ledger.fills)
        self.market.trade(code, self.second, price, qty)
        self.desk.play(self.second)
        self.market.printing = None
        return sum(fill.qty for fill in self.ledger.fills[before:])

    def fill(self, no: int, qty: int, price: int | None = None) -> int:
        """Execute *qty* shares of order *no*, at its own price or the last one; return what was executed."""
        order = self.ledger.orders[no]
        at = price if price is not None else (order.price or self.market.stats(order.code, self.second).last)
        return self.trade(order.code, at, qty)

    # -- what is true ---------------------------------------------------------------------------------------

    def orders(self) -> list[Order]:
        """Return everything placed or revised, no cancels: each may fill."""
        return [order for order in self.ledger.orders.values() if order.request != "cancel"]

    def open_orders(self, channel: str = "api") -> list[Order]:
        """Return the orders with shares open."""
        return [order for order in self.orders() if order.leaves > 0 and order.channel == channel]

    def holdings(self) -> dict[str, int]:
        """Return shares by code."""
        return {code: held.qty for code, held in sorted(self.ledger.positions.items()) if held.qty}

    def key(self) -> bytes:
        """Return what tells this state from another, as bytes."""
        return msgspec.msgpack.encode(
            (self.second, self.ledger.state, sorted(self.market.paused.items()), self.notices, self.market.crossing)
        )


def stocks(*codes: str, funds: tuple[str, ...] = ()) -> tuple[Stock, ...]:
    """Return plain stocks, and funds among them."""
    return tuple(stock(code, kind="etf" if code in funds else "common") for code in codes)
