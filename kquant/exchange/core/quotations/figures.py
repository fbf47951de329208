"""What is known of a company besides its price: face value, capital, ratios, ownership, credit, members' names.

Derived from seed and research table on a generated day; on an imported one only what its research table says.
Won, shares, hundredths (of a percent or of a ratio).
"""

import datetime as dt
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from kquant.exchange.core.quotations.forms import rounded
from kquant.exchange.core.quotations.source import Source
from kquant.exchange.market.mixing import Stream, key_of
from kquant.exchange.market.model import Stock

_FACES: Final = (100, 200, 500, 500, 500, 500, 500, 1_000, 2_500, 5_000, 5_000)
_MARGINS: Final = (20, 30, 40, 40, 60, 60, 100, 100)


class Figures(Struct, frozen=True, kw_only=True):
    """One company. 0 where nothing is known or nothing applies (an ETF has no face value).

    face: won a share.   capital, substitute: won.   foreign_shares: held by foreigners.   margin: percent.
    eps_x100, bps_x100: won a share in hundredths, eps negative for a loss.   loan_bp: margin loans in hundredths of a
    percent of the shares.   shorted: shares sold short the session before.   listed_on: None when not known.
    """

    face: int
    capital: int
    substitute: int
    foreign_shares: int
    margin: int
    credit: bool
    eps_x100: int
    bps_x100: int
    loan_bp: int
    shorted: int
    warrants: bool
    listed_on: dt.date | None
    venture: bool


class FigureBook:
    """The figures of each stock, made when first asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._made: dict[str, Figures] = {}

    def of(self, stock: Stock) -> Figures:
        """Return the stock's figures."""
        found = self._made.get(stock.code)
        if found is None:
            found = self._made[stock.code] = self._make(stock)
        return found

    def _make(self, stock: Stock) -> Figures:
        market = self._source.market
        generated = self._source.generated
        stream = Stream(key_of(market.seed, "figures", stock.code))
        fund = stock.etp
        faces = [face for face in _FACES if 2 * face <= stock.base] or [100]
        face = 0 if fund or not generated else 100 if stock.kind == "spac" else stream.pick(faces)
        margin = stream.pick(_MARGINS) if generated else 40
        if fund or stock.kind == "spac" or troubled(stock):
            margin = 100
        elif stock.kospi200 and generated:
            margin = min(margin, 40)
        eps, bps = self._per_share(stock, stream)
        foreign = stream.below(1_500) + (stream.below(3_500) if stock.kospi200 else 0)
        day = market.day - dt.timedelta(days=400 + stream.below(9_000))
        return Figures(
            face=face,
            capital=face * stock.listed_shares,
            substitute=stock.base * stream.between(60, 78) // 1_000 * 10 if generated else 0,
            foreign_shares=stock.listed_shares * foreign // 10_000 if generated else 0,
            margin=margin,
            credit=margin < 100,
            eps_x100=eps,
            bps_x100=bps,
            loan_bp=stream.below(500) if generated and margin < 100 else 0,
            shorted=stock.prev_volume * stream.below(60) // 1_000 if generated and not fund else 0,
            warrants=generated and stock.kospi200 and stream.below(5) == 0,
            listed_on=day if generated else None,
            venture=generated and stock.market == "KOSDAQ" and stream.below(3) == 0,
        )

    def _per_share(self, stock: Stock, stream: Stream) -> tuple[int, int]:
        """Return eps and bps in hundredths of a won, such that they give the research table's PER and PBR."""
        row = self._source.market.known(stock.code)
        loss = stream.between(2, 15)
        if row is None:
            return 0, 0
        base = stock.base * 10_000
        bps = rounded(base, row.pbr_x100) // 100 * 100 if row.pbr_x100 else 0
        if row.per_x100:
            return rounded(base, row.per_x100) // 100 * 100, bps
        # A company that filed a statement and has no PER made a loss.
        made_loss = self._source.generated and row.statement_filed is not None
        return (-max(stock.base * loss // 100, 1) * 100 if made_loss else 0), bps


def troubled(stock: Stock) -> bool:
    """Return whether brokers give no credit for the stock."""
    return bool(stock.warning or stock.administrative or stock.liquidation)


def status_code(stock: Stock, figures: Figures) -> str:
    """Return iscd_stat_cls_code (kis-protocol 4.3); 57 is a margin of 100 %, 55 credit allowed."""
    if stock.halted:
        return "58"
    if stock.administrative:
        return "51"
    if stock.warning:
        return ("54", "53", "52")[stock.warning - 1]
    if stock.overheated:
        return "59"
    return "55" if figures.credit else "57"


def market_name(stock: Stock) -> str:
    """Return rprs_mrkt_kor_name: an index for its members, else the market."""
    if stock.kind == "etf":
        return "ETF"
    if stock.kind == "etn":
        return "ETN"
    return "KOSPI200" if stock.kospi200 else stock.market


MEMBERS: Final[Sequence[tuple[str, str, bool]]] = (
    ("00050", "키움증권", False),
    ("00005", "미래에셋증권", False),
    ("00003", "한국투자증권", False),
    ("00012", "NH투자증권", False),
    ("00030", "삼성증권", False),
    ("00017", "KB증권", False),
    ("00002", "신한투자증권", False),
    ("00046", "대신증권", False),
    ("00033", "JP모간", True),
    ("00036", "모간스탠리", True),
    ("00043", "UBS", True),
    ("00045", "골드만삭스", True),
    ("00044", "메릴린치", True),
    ("00054", "노무라증권", True),
)
"""Members of the exchange: number, name, foreign."""
