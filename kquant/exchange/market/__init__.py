"""The market the simulated exchange plays: a day generated from a seed, or imported from bars and ticks.

A market day is a folder: `meta.json` (format, day, day before, seed, source, open and close as KST seconds of the day),
`stocks.parquet` (one row a listed symbol, fields of `Stock`), `bars.parquet` (minute bars: code, slot from the open,
open, high, low, close, volume, value or -1, auction: its first print is a single-price match; the last slot is the
closing auction), `news.parquet` (optional; id, date, time, title, codes, source), `research.parquet` (see `research`),
`interruptions.json` (optional; the day's volatility interruptions and halts, code and fields of `Interruption`; the
bars are as traded around them).
Prices and values are won, volumes shares. Prints inside a bar are drawn from the seed when they are asked for. The
path of a stock known only by its daily row is drawn at import and stored as bars; `stocks.parquet` marks it `drawn`.
"""

from __future__ import annotations

from .chain import markets
from .day import MarketDay
from .files import load, save
from .generate import generate
from .importer import import_bars
from .importer_krx import import_krx_day
from .importer_parts import ImportReport
from .model import (
    Book,
    DayStats,
    Indicative,
    Interruption,
    Level,
    MarketFileError,
    Midpoint,
    NewsTitle,
    Phase,
    Print,
    Program,
    Quote,
    RankRow,
    Segment,
    Status,
    Stock,
)
from .rankings import MarketFilter
from .scripts import ScriptedHalt, ScriptedVi, scripted

__all__ = [
    "Book",
    "DayStats",
    "ImportReport",
    "Indicative",
    "Interruption",
    "Level",
    "MarketDay",
    "MarketFileError",
    "MarketFilter",
    "Midpoint",
    "NewsTitle",
    "Phase",
    "Print",
    "Program",
    "Quote",
    "RankRow",
    "ScriptedHalt",
    "ScriptedVi",
    "Segment",
    "Status",
    "Stock",
    "generate",
    "import_bars",
    "import_krx_day",
    "load",
    "markets",
    "save",
    "scripted",
]
