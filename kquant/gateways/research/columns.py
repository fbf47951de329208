"""The columns of the day's research table: their types, and the part whose time of publication covers each.

The first block is what every research table has (also those a market day brings); `titles`, the technicals and the
provenance are the assembler's. Units: won, shares, `_bp` basis points, `_x100` hundredths; NULL is unknown, never 0.

Provenance, for each part: `<part>_source`, `<part>_known_at` (microseconds UTC: when the latest of it was public), and
for a part made of sessions `<part>_session`, the newest session in it. Statements have `statement_filed`, titles
`news_published_at`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

TablePart = Literal["listing", "prices", "flows", "valuation", "financials", "news"]
TABLE_PARTS: Final[tuple[TablePart, ...]] = ("listing", "prices", "flows", "valuation", "financials", "news")


class Column(NamedTuple):
    """A column. part: None for what is no finding: the code, and the provenance itself."""

    kind: str
    part: TablePart | None


def _of(part: TablePart, **kinds: str) -> dict[str, Column]:
    return {name: Column(kind, part) for name, kind in kinds.items()}


TECHNICALS: Final = (
    "ret_1d_bp", "ret_5d_bp", "ret_20d_bp", "ret_60d_bp", "ma5", "ma20", "ma60", "ma120", "rsi14_x100", "atr14",
    "atr14_bp", "volume_ratio_percent", "above_52w_low_bp", "below_52w_high_bp",
)  # fmt: skip

COLUMNS: Final[Mapping[str, Column]] = {
    "code": Column("VARCHAR", None),
    **_of(
        "listing", name="VARCHAR", market="VARCHAR", sector="VARCHAR", kind="VARCHAR", halted="BOOLEAN",
        administrative="BOOLEAN", liquidation="BOOLEAN", warning="INTEGER", overheated="BOOLEAN", base="BIGINT",
        market_cap="BIGINT",
    ),
    **_of("valuation", per_x100="BIGINT", pbr_x100="BIGINT"),
    **_of(
        "financials", roe_bp="BIGINT", sales_growth_bp="BIGINT", op_margin_bp="BIGINT", op_growth_bp="BIGINT",
        debt_ratio_bp="BIGINT", statement_filed="VARCHAR",
    ),
    **_of(
        "flows", foreign_net_5d="BIGINT", institution_net_5d="BIGINT", foreign_net_20d="BIGINT",
        institution_net_20d="BIGINT",
    ),
    **_of("news", news_count="BIGINT", news_tone="BIGINT", titles="VARCHAR[]"),
    **_of(
        "prices", closes="BIGINT[]", volumes="BIGINT[]", highs="BIGINT[]", lows="BIGINT[]", w52_high="BIGINT",
        w52_low="BIGINT", **dict.fromkeys(TECHNICALS, "BIGINT"),
    ),
    **{f"{part}_source": Column("VARCHAR", None) for part in TABLE_PARTS},
    **{f"{part}_known_at": Column("BIGINT", None) for part in TABLE_PARTS},
    **{f"{part}_session": Column("VARCHAR", None) for part in ("prices", "flows", "valuation")},
    "news_published_at": Column("BIGINT", None),
}  # fmt: skip
