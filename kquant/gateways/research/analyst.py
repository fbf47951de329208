"""What an analyst is: a batch of stocks with their measured numbers in, rubric parts out. The port of language models.

`Subject` is made in the helper process, where the research table lies.
"""

from __future__ import annotations

from typing import Protocol

import msgspec
from msgspec import Struct

from kquant.events.analyzer import AnalysisParts, BatchFailed, BatchScored, BatchWanted
from kquant.gateways.research.heuristic import net_bp, score_row, trend
from kquant.gateways.research.table import ResearchRow
from kquant.values import Seq, Symbol

FIGURES = (
    "per_x100", "pbr_x100", "roe_bp", "sales_growth_bp", "op_margin_bp", "op_growth_bp", "debt_ratio_bp", "news_count",
    "news_tone",
)  # fmt: skip
"""Columns of the table that are told as they are."""

TECHNICALS = ("ret_5d_bp", "ret_60d_bp", "rsi14_x100", "atr14_bp", "above_52w_low_bp")
"""Told where the table has them: one that brings no technicals is told of as before."""


class Subject(Struct, frozen=True, kw_only=True):
    """One stock of a batch. numbers: name and value, None unknown.   measured: the rubric's parts from them alone.

    titles: of news, as published: text that nobody here vouches for.
    """

    code: Symbol
    numbers: tuple[tuple[str, int | None], ...]
    measured: AnalysisParts
    titles: tuple[str, ...] = ()


class Analyst(Protocol):
    """Scores batches. Raising means that it could not be asked; the gateway holds the deadline."""

    async def analyse(
        self, wanted: BatchWanted, cause: Seq, subjects: tuple[Subject, ...], names: dict[Symbol, str]
    ) -> BatchScored | BatchFailed:
        """Return the request's outcome. cause: its seq.   names: of the listed stocks, as listed."""


def subject_of(row: ResearchRow) -> Subject:
    """Return what an analyst is told of a stock."""
    numbers: list[tuple[str, int | None]] = [(name, getattr(row, name)) for name in FIGURES]
    numbers += [
        (f"{who}_net_{days}d_bp_of_volume", net_bp(row, days, getattr(row, f"{who}_net_{days}d"), None))
        for days in (5, 20)
        for who in ("foreign", "institution")
    ]
    way = trend(row)
    if way is not None:
        numbers += [(f"trend_{name}", value) for name, value in msgspec.structs.asdict(way).items()]
    numbers += [(name, value) for name in TECHNICALS if (value := getattr(row, name)) is not None]
    return Subject(code=Symbol(row.code), numbers=tuple(numbers), measured=score_row(row), titles=row.titles or ())
