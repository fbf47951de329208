"""The market the simulated exchange plays: a day generated from a seed, or imported from bars and ticks.

A market day is a folder: `meta.json` (format, day, day before, seed, source, open and close as KST seconds of the day),
`stocks.parquet` (one row a listed symbol, fields of `Stock`), `bars.parquet` (minute bars: code, slot from the open,
open, high, low, close, volume, value or -1, auction), `news.parquet`, `research.parquet` (see `research`).
"""

from __future__ import annotations

from .day import MarketDay, MarketFilter
from .generate import generate
from .model import (
    Book,
    DayStats,
    Indicative,
    Level,
    MarketFileError,
    NewsTitle,
    Print,
    Program,
    Quote,
    RankRow,
    Stock,
)

__all__ = [
    "Book",
    "DayStats",
    "Indicative",
    "Level",
    "MarketDay",
    "MarketFileError",
    "MarketFilter",
    "NewsTitle",
    "Print",
    "Program",
    "Quote",
    "RankRow",
    "Stock",
    "generate",
]
