"""The port of research sources: what is asked for, the rows that come back, and how a source can fail.

Every row says when it was public (`known_at`). A session's figures count as public at 18:00 KST of the session
(kis-protocol 7.5), a filing on the day after it was received unless it was seen earlier (7.1), a title when it was
first seen here (7.2), anything without a date of its own when it was fetched (4.7).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, time, timedelta
from typing import Final, Literal, Protocol

from msgspec import Struct

from kquant.events.analyzer import Listed
from kquant.values import KquantError, Micros, Shares, Symbol, from_kst

Part = Literal["prices", "flows", "valuation", "financials", "news"]
PARTS: Final[tuple[Part, ...]] = ("prices", "flows", "valuation", "financials", "news")
FINAL_AT: Final = time(18)
"""KST: from then on a session's figures are taken as final and public."""


class SourceError(KquantError):
    """A source cannot be used any further today. The message says why, and never holds a key, a query or an answer."""


class SourceDown(SourceError):
    """It did not answer, or is under maintenance, after the tries it has: a later run may find it well."""


class SourceRefused(SourceError):
    """It will not serve us: no login, a key that is wrong or suspended, the day's requests used up."""


class SourceUnreadable(SourceError):
    """It answered with something that is not its documented form."""


class Empty(SourceError):
    """It answered well, with nothing, where there must be something."""


class PriceRow(Struct, frozen=True, kw_only=True, gc=False):
    """One stock's session. open, high, low, volume: 0 without a trade, None unknown.   shares: listed, None unknown.

    base: the session's base price, None where the prices are already adjusted.
    """

    code: str
    session: date
    close: int
    open: int | None = None
    high: int | None = None
    low: int | None = None
    volume: int | None = None
    base: int | None = None
    shares: int | None = None


class FlowRow(Struct, frozen=True, kw_only=True, gc=False):
    """Net shares bought in one session."""

    code: str
    session: date
    foreign_net: int | None
    institution_net: int | None


class ValuationRow(Struct, frozen=True, kw_only=True, gc=False):
    """Ratios at the close of a session, times 100; None where there are none (a loss, no equity)."""

    code: str
    session: date
    per_x100: int | None
    pbr_x100: int | None


class FinancialRow(Struct, frozen=True, kw_only=True, gc=False):
    """A company's newest annual figures. filed: ISO date of receipt, "" where the source does not say.

    net_krw, equity_krw: of the year, for the ratios to a price; eps_krw, bps_krw: the same for one share. None unknown.
    """

    code: str
    known_at: Micros
    filed: str = ""
    roe_bp: int | None = None
    sales_growth_bp: int | None = None
    op_margin_bp: int | None = None
    op_growth_bp: int | None = None
    debt_ratio_bp: int | None = None
    net_krw: int | None = None
    equity_krw: int | None = None
    eps_krw: int | None = None
    bps_krw: int | None = None


class TitleRow(Struct, frozen=True, kw_only=True, gc=False):
    """A headline or the name of a disclosure: text that nobody here vouches for. key: tells it from others."""

    code: str
    known_at: Micros
    published_at: Micros
    title: str
    key: str


Row = PriceRow | FlowRow | ValuationRow | FinancialRow | TitleRow


class Stock(Struct, frozen=True, kw_only=True, gc=False):
    """A listed stock as sources ask for it. shares: listed, None unknown."""

    listed: Listed
    shares: Shares | None = None

    @property
    def code(self) -> Symbol:
        """Its short code."""
        return self.listed.code


class Wanted(Struct, frozen=True, kw_only=True):
    """What a table needs. day: traded with it.   decision: nothing public later may be in it.

    sessions: before the day and final by the decision, newest first.   stocks: most traded first.
    """

    day: date
    decision: Micros
    sessions: tuple[date, ...]
    stocks: tuple[Stock, ...]


class Missing(Struct, frozen=True, kw_only=True):
    """What no earlier source gave of a part. sessions: not kept of the whole market, newest first.

    codes: without the newest session, or without the part.   newest: the newest session kept of those among them that
    lack a few sessions only.
    """

    sessions: tuple[date, ...]
    codes: tuple[Symbol, ...]
    newest: Mapping[Symbol, date] = {}


class Source(Protocol):
    """One service. `gather` yields rows as they come, so that what is there by the deadline is kept.

    It raises SourceError when it can do no more; the rows yielded before stay. One stock that fails is left out.
    """

    @property
    def name(self) -> str:
        """As in the settings and in the table's columns."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """What it can give."""

    def gather(self, part: Part, wanted: Wanted, missing: Missing) -> AsyncIterator[Sequence[Row]]:
        """Yield the part's rows."""


def session_known_at(session: date) -> Micros:
    """Return when a session's figures are public."""
    return from_kst(session, FINAL_AT)


def filing_known_at(received: date, first_seen: Micros | None) -> Micros:
    """Return when a filing is public: the day after it was received, or when it was first seen here if that is earlier.

    DART gives no time of day (kis-protocol 7.1).
    """
    after = from_kst(received + timedelta(days=1), time(0))
    return after if first_seen is None else min(after, first_seen)
