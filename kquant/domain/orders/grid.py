"""Which tick sizes a stock has, and what lies on its grid."""

from __future__ import annotations

from kquant.events.analyzer import Listed
from kquant.krx import TickBand, tick_size
from kquant.settings import KrxTables
from kquant.values import Krw

Bands = tuple[TickBand, ...]


def bands_of(stock: Listed | None, tables: KrxTables) -> Bands:
    """Return the tick bands of a stock: ETF and ETN have their own (kis-protocol 5.2)."""
    is_fund = stock is not None and stock.kind == "fund"
    return tables.fund_ticks if is_fund and tables.fund_ticks else tables.ticks


def is_on_grid(price: Krw, bands: Bands) -> bool:
    """Tell whether the venue takes that price (won)."""
    return price > 0 and price % tick_size(price, bands) == 0
