"""A company's statements, year by year and quarter by quarter, as far as a market day knows them.

Generated days: drawn so that the newest year's growth, margin, ROE and debt are those of the research table. Imported
days know ratios of one year and no amounts. Amounts are won, rates basis points (hundredths of a percent).
"""

import datetime as dt
from typing import Final

from msgspec import Struct

from kquant.exchange.core.quotations.figures import FigureBook
from kquant.exchange.core.quotations.source import Source
from kquant.exchange.market.mixing import Stream, key_of
from kquant.exchange.market.model import Stock
from kquant.exchange.market.research import ResearchRow

YEARS: Final = 6
QUARTERS: Final = 12
ANNUAL_LAG: Final = dt.timedelta(days=90)
QUARTER_LAG: Final = dt.timedelta(days=45)
_QUARTER_ENDS: Final = ((3, 31), (6, 30), (9, 30), (12, 31))


class Statement(Struct, frozen=True, kw_only=True):
    """One period. Flows (sales to net) are those since the year's first day: quarters are cumulative."""

    month: str
    sales: int
    cost: int
    operating: int
    ordinary: int
    net: int
    assets: int
    current_assets: int
    debt: int
    current_debt: int
    equity: int
    capital: int
    surplus: int
    depreciation: int
    dividend: int

    @property
    def gross(self) -> int:
        """Sales less their cost."""
        return self.sales - self.cost


class Statements:
    """Statements by stock, newest first."""

    def __init__(self, source: Source, figures: FigureBook) -> None:
        self._source = source
        self._figures = figures
        self._made: dict[str, tuple[tuple[Statement, ...], tuple[Statement, ...]]] = {}

    def known(self, stock: Stock) -> ResearchRow | None:
        """Return what the research table says, None when no statement was filed."""
        row = self._source.market.known(stock.code)
        return row if row is not None and row.statement_filed is not None else None

    def years(self, stock: Stock) -> tuple[Statement, ...]:
        """Return the published years, newest first; empty when amounts are not known."""
        return self._of(stock)[0]

    def quarters(self, stock: Stock) -> tuple[Statement, ...]:
        """Return the published quarters, newest first; the year's last one is the year."""
        return self._of(stock)[1]

    def newest_year(self) -> int:
        """Return the last year whose statement is published by the day."""
        day = self._source.market.day
        return day.year - (1 if dt.date(day.year - 1, 12, 31) + ANNUAL_LAG <= day else 2)

    def _of(self, stock: Stock) -> tuple[tuple[Statement, ...], tuple[Statement, ...]]:
        found = self._made.get(stock.code)
        if found is None:
            row = self.known(stock)
            found = ((), ()) if row is None or not self._source.generated else self._make(stock, row)
            self._made[stock.code] = found
        return found

    def _make(self, stock: Stock, row: ResearchRow) -> tuple[tuple[Statement, ...], tuple[Statement, ...]]:
        stream = Stream(key_of(self._source.market.seed, "statements", stock.code))
        newest = self.newest_year()
        figures = self._figures.of(stock)
        equity = figures.bps_x100 * stock.listed_shares // 100 or stock.base * stock.listed_shares
        sales = stock.base * stock.listed_shares * stream.between(40, 200) // 100
        by_year: dict[int, Statement] = {}
        growth, operating_growth = row.sales_growth_bp or 0, row.op_growth_bp or 0
        operating = sales * (row.op_margin_bp or 0) // 10_000
        net = equity * (row.roe_bp or 0) // 10_000
        debt_rate = row.debt_ratio_bp or 9_000
        # The year after the newest is the one running: its first quarters are out, its amounts are a forecast.
        ahead = 10_000 + stream.between(-800, 1_800)
        running = (sales * ahead // 10_000, operating * ahead // 10_000, net * ahead // 10_000, equity + net)
        by_year[newest + 1] = _statement(stream, newest + 1, running, debt_rate, figures.capital)
        for back in range(YEARS + 1):
            amounts = (sales, operating, net, equity)
            by_year[newest - back] = _statement(stream, newest - back, amounts, debt_rate, figures.capital)
            sales = sales * 10_000 // max(10_000 + growth, 1_000)
            operating = operating * 10_000 // max(10_000 + operating_growth, 1_000)
            equity = max(equity - net * 8 // 10, equity // 2)
            net = net * 10_000 // max(10_000 + stream.between(-2_500, 4_000), 1_000)
            growth, operating_growth = stream.between(-1_200, 2_200), stream.between(-2_500, 4_000)
        years = tuple(by_year[newest - back] for back in range(YEARS))
        return years, self._quarters(stream, by_year)

    def _quarters(self, stream: Stream, by_year: dict[int, Statement]) -> tuple[Statement, ...]:
        day = self._source.market.day
        shares = (stream.between(220, 260), stream.between(470, 510), stream.between(725, 765), 1_000)
        found: list[Statement] = []
        for year in sorted(by_year, reverse=True):
            for number in reversed(range(4)):
                month, last = _QUARTER_ENDS[number]
                lag = ANNUAL_LAG if month == 12 else QUARTER_LAG
                if dt.date(year, month, last) + lag <= day and len(found) < QUARTERS + 4:
                    found.append(_part(by_year[year], f"{year}{month:02d}", shares[number]))
        return tuple(found)


def _statement(
    stream: Stream, year: int, amounts: tuple[int, int, int, int], debt_rate: int, capital: int
) -> Statement:
    sales, operating, net, equity = amounts
    debt = equity * debt_rate // 10_000
    assets = equity + debt
    cost = sales * stream.between(55, 82) // 100
    capital = min(capital, equity // 2)
    return Statement(
        month=f"{year}12",
        sales=sales,
        cost=min(cost, sales - operating),
        operating=operating,
        ordinary=operating + sales * stream.between(-15, 20) // 1_000,
        net=net,
        assets=assets,
        current_assets=assets * stream.between(30, 60) // 100,
        debt=debt,
        current_debt=debt * stream.between(45, 75) // 100,
        equity=equity,
        capital=capital,
        surplus=(equity - capital) * stream.between(10, 40) // 100,
        depreciation=sales * stream.between(15, 60) // 1_000,
        dividend=max(net, 0) * stream.between(0, 35) // 100,
    )


def _part(year: Statement, month: str, share: int) -> Statement:
    """Return the year so far: flows in thousandths of the year's, balances as they stand."""
    flows = ("sales", "cost", "operating", "ordinary", "net", "depreciation", "dividend")
    values = {name: getattr(year, name) for name in Statement.__struct_fields__}
    values |= {name: values[name] * share // 1_000 for name in flows}
    return Statement(**{**values, "month": month})
