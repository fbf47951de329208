"""Positions, cash and what they are worth, in whole won."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from kquant.events import portfolio as events
from kquant.events.analyzer import ListingAnswered
from kquant.events.base import Recorded
from kquant.events.day import Carried, DayOpened
from kquant.events.market import BarsClosed
from kquant.events.orders import QuoteAnswered
from kquant.values import MINUTE_US, Krw, Micros, Shares, Symbol
from kquant.views.cash import CashFold, CashView
from kquant.views.names import Names


class PositionLine(Struct, frozen=True, kw_only=True):
    """A position. mark: the last price known, else the day's base price, else None.   value_krw: at the mark, else at cost.

    mark_at: when that price was seen; None for the base price, which is from before the day.
    """

    code: Symbol
    name: str
    qty: Shares
    cost_krw: Krw
    mark: Krw | None
    value_krw: Krw
    carried: bool
    since: Micros
    mark_at: Micros | None = None

    @property
    def average_krw(self) -> Krw:
        """Return what a share cost on average (won, rounded down), without fees."""
        return Krw(self.cost_krw // self.qty)

    @property
    def unrealised_krw(self) -> Krw | None:
        """Return what the shares would gain at the mark, before costs; None where no price is known."""
        return None if self.mark is None else Krw(self.mark * self.qty - self.cost_krw)


class PortfolioView(Struct, frozen=True, kw_only=True):
    """cash_krw: None before any balance.   realised_krw: before costs.   pnl_krw: equity against the day's beginning.

    equity_krw, opening_krw: None before any balance.   fees_krw and taxes_krw: of the day's fills.
    cash: the same cash and more of it.   reconciled: what the closing balance said, None before it.
    """

    cash_krw: Krw | None
    positions: tuple[PositionLine, ...]
    realised_krw: Krw
    fees_krw: Krw
    taxes_krw: Krw
    equity_krw: Krw | None
    opening_krw: Krw | None
    cash: CashView
    reconciled: bool | None = None

    @property
    def unrealised_krw(self) -> Krw:
        """Return what all positions with a known price would gain at it, before costs."""
        return Krw(sum(p.unrealised_krw for p in self.positions if p.unrealised_krw is not None))

    @property
    def unpriced(self) -> int:
        """Return how many positions have no known price: they count at cost, and their gain is unknown."""
        return sum(p.mark is None for p in self.positions)

    @property
    def pnl_krw(self) -> Krw:
        """Return what the day won or lost so far, costs included; 0 before any balance."""
        if self.equity_krw is None or self.opening_krw is None:
            return Krw(0)
        return Krw(self.equity_krw - self.opening_krw)

    def carried(self) -> tuple[Carried, ...]:
        """Return the positions as the next day takes them over, ordered by code."""
        return tuple(Carried(code=p.code, name=p.name, qty=p.qty, cost_krw=p.cost_krw) for p in self.positions)


class _Held(Struct):
    qty: Shares
    cost_krw: Krw
    carried: bool
    since: Micros


class PortfolioFold:
    """Positions, cash and marks, moved on fact by fact.

    The opening equity is taken just before the first bar or fill: opening cash, and carried positions at base prices.
    """

    def __init__(self) -> None:
        self.names = Names()
        self.reconciled: bool | None = None
        self._cash = CashFold()
        self.realised = self.fees = self.taxes = 0
        self.opening: Krw | None = None
        self._held: dict[Symbol, _Held] = {}
        self._marks: dict[Symbol, Krw] = {}
        self._marked_at: dict[Symbol, Micros] = {}

    @property
    def cash(self) -> Krw | None:
        """Return D+2 cash by our own books, None before any balance."""
        return self._cash.cash

    def apply(self, fact: Recorded) -> None:
        """Fold one fact; others than balances, positions and prices change nothing."""
        event = fact.event
        if isinstance(event, events.CashMoved):
            self._begin()
        self._cash.apply(fact)
        match event:
            case BarsClosed(bars=bars, start=start):
                self._begin()
                for bar in bars:
                    self._mark(bar.code, bar.close, Micros(start + MINUTE_US))
            case QuoteAnswered(code=code, last=last) if last > 0:
                self._mark(code, last, fact.at)
            case ListingAnswered(stocks=stocks):
                self.names.learn(event)
                for stock in stocks:
                    self._marks.setdefault(stock.code, stock.base)
            case DayOpened():
                self.names.learn(event)
            case events.CashMoved():
                self.fees += event.fee_krw
                self.taxes += event.tax_krw
            case events.DayReconciled(agrees=agrees):
                self.reconciled = agrees
            case events.PortfolioAdjusted():
                self._adjust(event, fact.at)
            case _:
                self._position(fact)

    def _position(self, fact: Recorded) -> None:
        event = fact.event
        match event:
            case events.PositionOpened(code=code, qty=qty, cost_krw=cost, carried=carried):
                self.names.learn(event)
                self._held[code] = _Held(qty, cost, carried, fact.at)
            case events.PositionChanged(code=code, qty=qty, cost_krw=cost, realised_krw=realised):
                known = self._held.get(code)
                self._held[code] = _Held(
                    qty, cost, known.carried if known else False, known.since if known else fact.at
                )
                self.realised += realised
            case events.PositionClosed(code=code, realised_krw=realised):
                self._held.pop(code, None)
                self.realised += realised
            case _:
                return

    def _adjust(self, event: events.PortfolioAdjusted, at: Micros) -> None:
        before, self._held = self._held, {}
        for holding in event.holdings:
            if holding.name:
                self.names[holding.code] = holding.name
            known = before.get(holding.code)
            carried, since = (known.carried, known.since) if known else (False, at)
            self._held[holding.code] = _Held(holding.qty, holding.cost_krw, carried, since)

    def _mark(self, code: Symbol, price: Krw, at: Micros) -> None:
        self._marks[code], self._marked_at[code] = price, at

    def _begin(self) -> None:
        if self.opening is None:
            self.opening = self.equity()

    def value(self, code: Symbol) -> Krw:
        """Return what a held stock is worth at its mark, else what it cost."""
        held, mark = self._held[code], self._marks.get(code)
        return held.cost_krw if mark is None else Krw(mark * held.qty)

    def equity(self) -> Krw | None:
        """Return cash plus all positions at their marks, None before any balance."""
        if self.cash is None:
            return None
        return Krw(self.cash + sum(self.value(code) for code in self._held))

    def pnl(self) -> Krw:
        """Return equity against the day's beginning; 0 before there is one."""
        equity = self.equity()
        return Krw(0) if equity is None or self.opening is None else Krw(equity - self.opening)

    def view(self) -> PortfolioView:
        """Return everything as it is, positions by code."""
        lines = tuple(
            PositionLine(
                code=code,
                name=self.names.get(code, ""),
                qty=held.qty,
                cost_krw=held.cost_krw,
                mark=self._marks.get(code),
                value_krw=self.value(code),
                carried=held.carried,
                since=held.since,
                mark_at=self._marked_at.get(code),
            )
            for code, held in sorted(self._held.items())
        )
        equity = self.equity()
        return PortfolioView(
            cash_krw=self.cash,
            positions=lines,
            realised_krw=Krw(self.realised),
            fees_krw=Krw(self.fees),
            taxes_krw=Krw(self.taxes),
            equity_krw=equity,
            opening_krw=equity if self.opening is None else self.opening,
            cash=self._cash.view(),
            reconciled=self.reconciled,
        )


class EquityPoint(Struct, frozen=True, kw_only=True):
    """Equity at the end of a minute."""

    at: Micros
    equity_krw: Krw
    cash_krw: Krw


def portfolio_view(facts: Iterable[Recorded]) -> PortfolioView:
    """Return positions and cash after *facts*."""
    fold = PortfolioFold()
    for fact in facts:
        fold.apply(fact)
    return fold.view()


def equity(facts: Iterable[Recorded]) -> list[EquityPoint]:
    """Return equity minute by minute: cash, and positions at their last bar's close. First comes the opening equity."""
    fold = PortfolioFold()
    points: list[EquityPoint] = []
    for fact in facts:
        fold.apply(fact)
        if not isinstance(fact.event, BarsClosed) or fold.cash is None:
            continue
        if not points and fold.opening is not None:
            points.append(EquityPoint(at=fact.event.start, equity_krw=fold.opening, cash_krw=fold.cash))
        worth = fold.equity()
        if worth is not None:
            end = Micros(fact.event.start + MINUTE_US)
            points.append(EquityPoint(at=end, equity_krw=worth, cash_krw=fold.cash))
    return points
