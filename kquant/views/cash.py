"""Cash as a trader reads it: of each settlement day, held for buys under way, and what may still be ordered."""

from __future__ import annotations

from msgspec import Struct

from kquant.events import orders, portfolio
from kquant.events.base import Recorded
from kquant.events.day import DayOpened
from kquant.values import IntentId, Krw, Micros, Shares


class CashView(Struct, frozen=True, kw_only=True):
    """Won; None where nobody has said it. settled_krw: D+2, after all of today's trades (D+2 예수금), by our own books.

    today_krw, next_krw: in the account today, and on D+1 (예수금, D+1 예수금): today's trades do not move them.
    reserved_krw: held back for our buys under way, their costs included.   free_krw: settled less reserved.
    orderable_krw: what the broker takes orders for without credit (미수 없는 매수금액).   read_at: of the balance that
    today, next and orderable are from.
    """

    settled_krw: Krw | None
    today_krw: Krw | None
    next_krw: Krw | None
    orderable_krw: Krw | None
    reserved_krw: Krw
    free_krw: Krw | None
    read_at: Micros | None


class _Buy(Struct):
    qty: Shares
    reserved: int
    replaces: IntentId | None
    spent: int = 0


class CashFold:
    """Cash, moved on fact by fact. cash: D+2 by our own books, None before any balance."""

    def __init__(self) -> None:
        self.cash: Krw | None = None
        self._balance: portfolio.BalanceAnswered | None = None
        self._read_at: Micros | None = None
        self._buys: dict[IntentId, _Buy] = {}

    def apply(self, fact: Recorded) -> None:
        """Fold one fact; others than balances, fills and our buys change nothing."""
        match fact.event:
            case DayOpened(cash_krw=cash):
                self.cash = cash
            case portfolio.PortfolioOpened(cash_krw=cash) | portfolio.PortfolioAdjusted(cash_krw=cash):
                self.cash = cash
            case portfolio.BalanceAnswered():
                self._balance, self._read_at = fact.event, fact.at
            case portfolio.CashMoved():
                self._moved(fact.event)
            case orders.OrderIntended() if fact.event.side == "buy":
                intended = fact.event
                self._buys[intended.intent] = _Buy(intended.qty, intended.reserved_krw, intended.replaces)
            case orders.OrderResized(intent=intent, qty=qty) if (buy := self._buys.get(intent)) is not None:
                buy.reserved, buy.qty = -(-buy.reserved * qty // buy.qty), qty
            case orders.OrderFinished(intent=intent):
                self._buys.pop(intent, None)
            case _:
                return

    def _moved(self, event: portfolio.CashMoved) -> None:
        self.cash = event.cash_krw
        buy = None if event.intent is None else self._buys.get(event.intent)
        if buy is not None:
            buy.spent += event.fee_krw + event.tax_krw - event.amount_krw

    def reserved(self) -> Krw:
        """Return what our buys under way hold back. An order and the one that takes its place hold back the larger."""
        total = 0
        replaced = {buy.replaces: intent for intent, buy in self._buys.items() if buy.replaces is not None}
        for intent, buy in self._buys.items():
            if buy.replaces in self._buys:
                continue
            most, last = max(buy.reserved - buy.spent, 0), intent
            while (last := replaced.get(last, IntentId(0))) in self._buys:
                after = self._buys[last]
                most = max(most, after.reserved - after.spent)
            total += most
        return Krw(total)

    def view(self) -> CashView:
        """Return the figures as they are."""
        balance, reserved = self._balance, self.reserved()
        return CashView(
            settled_krw=self.cash,
            today_krw=None if balance is None else balance.cash_today_krw,
            next_krw=None if balance is None else balance.cash_next_krw,
            orderable_krw=None if balance is None else balance.orderable_krw,
            reserved_krw=reserved,
            free_krw=None if self.cash is None else Krw(self.cash - reserved),
            read_at=self._read_at,
        )
