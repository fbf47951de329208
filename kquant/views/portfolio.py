"""Positions, cash and what they are worth, in whole won."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from kquant.events import portfolio as events
from kquant.events.analyzer import ListingAnswered
from kquant.events.base import Recorded
from kquant.events.day import Carried, DayOpened
from kquant.events.market import BarsClosed
from kquant.values import MINUTE_US, Krw, Micros, Shares, Symbol
from kquant.views.names import Names


class PositionLine(Struct, frozen=True, kw_only=True):
    """A position. mark: last bar's close, else the day's base price, else None.   value_krw: at the mark, else at cost."""

    code: Symbol
    name: str
    qty: Shares
    cost_krw: Krw
    mark: Krw | None
    value_krw: Krw
    carried: bool
    since: Micros


class PortfolioView(Struct, frozen=True, kw_only=True):
    """cash_krw: None before any balance.   realised_krw: before costs.   pnl_krw: equity against the day's beginning.

    equity_krw, opening_krw: None before any balance.   fees_krw and taxes_krw: of the day's fills.
    """

    cash_krw: Krw | None
    positions: tuple[PositionLine, ...]
    realised_krw: Krw
    fees_krw: Krw
    taxes_krw: Krw
    equity_krw: Krw | None
    opening_krw: Krw | None

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
        self.cash: Krw | None = None
        self.realised = self.fees = self.taxes = 0
        self.opening: Krw | None = None
        self._held: dict[Symbol, _Held] = {}
        self._marks: dict[Symbol, Krw] = {}

    def apply(self, fact: Recorded) -> None:
        """Fold one fact; others than balances, positions and prices change nothing."""
        event = fact.event
        match event:
            case BarsClosed(bars=bars):
                self._begin()
                for bar in bars:
                    self._marks[bar.code] = bar.close
            case ListingAnswered(stocks=stocks):
                self.names.learn(event)
                for stock in stocks:
                    self._marks.setdefault(stock.code, stock.base)
            case DayOpened(cash_krw=cash):
                self.names.learn(event)
                self.cash = cash
            case events.CashMoved():
                self._begin()
                self.cash = event.cash_krw
                self.fees += event.fee_krw
                self.taxes += event.tax_krw
            case events.PortfolioOpened(cash_krw=cash):
                self.cash = cash
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
        self.cash = event.cash_krw
        before, self._held = self._held, {}
        for holding in event.holdings:
            if holding.name:
                self.names[holding.code] = holding.name
            known = before.get(holding.code)
            carried, since = (known.carried, known.since) if known else (False, at)
            self._held[holding.code] = _Held(holding.qty, holding.cost_krw, carried, since)

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
