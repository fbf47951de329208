"""KIS as a source: what it knows of one stock a call, and its news titles. The listing and the shares are from its masters.

Slow beside the others, so it fills what they leave: most traded stocks first, until the deadline. Its finance figures
carry no date of publication (kis-protocol 4.7): they count from when they were fetched, and say nothing of a past day.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, Protocol, TypeVar

from kquant.events.analyzer import Listed
from kquant.events.pipeline import NewsItem
from kquant.gateways.clock import Clock
from kquant.gateways.kis.rest.answers import DailyBar, FinanceRow, FinanceTable, InvestorFlow
from kquant.gateways.kis.rest.calls.reference import MasterFile
from kquant.gateways.kis.rest.errors import KisError, KisUnreadable, NotOnPaper
from kquant.gateways.kis.rest.master import KOSDAQ, KOSPI, UNZIPPED_LIMIT, parse
from kquant.gateways.research.sources.cache import Book
from kquant.gateways.research.sources.port import (
    Empty,
    FinancialRow,
    FlowRow,
    Missing,
    Part,
    PriceRow,
    Row,
    SourceDown,
    SourceRefused,
    Stock,
    TitleRow,
    Wanted,
    session_known_at,
)
from kquant.krx import TickBand
from kquant.values import KST, SECOND_US, Micros, Shares, Symbol, to_kst

T = TypeVar("T")

FAILURES_MOST: Final = 10
"""So many stocks in a row that could not be asked: KIS is left."""
EMPTY_MOST: Final = 50
"""So many of the most traded stocks without a row: KIS answers with nothing."""
YEAR_DAYS: Final = 400
NO_ADJUSTMENT: Final = frozenset({"", "00", "02"})
"""flng_cls_code of a session whose base was not moved: nothing, or a cash dividend."""
SHARES_AT: Final = {"KOSPI": (KOSPI.width, 113), "KOSDAQ": (KOSDAQ.width, 108)}
"""Width of a master's tail, and where the listed shares stand in it, 15 digits in thousands (kis-protocol 4.8)."""


class Calls(Protocol):
    """What is used of KIS's data calls."""

    async def daily(self, code: Symbol, first: date, last: date, *, adjusted: bool) -> tuple[DailyBar, ...]:
        """Return daily bars, oldest first."""

    async def recent_days(self, code: Symbol, *, adjusted: bool) -> tuple[DailyBar, ...]:
        """Return the last thirty bars, oldest first."""

    async def investors(self, code: Symbol) -> tuple[InvestorFlow, ...]:
        """Return about thirty sessions of net buying, newest first."""

    async def finance(self, table: FinanceTable, code: Symbol, *, quarterly: bool) -> tuple[FinanceRow, ...]:
        """Return a finance table, newest period first."""

    async def news(self) -> tuple[NewsItem, ...]:
        """Return the newest titles."""

    async def master(self, market: MasterFile) -> bytes:
        """Return a market's zipped master file."""


class Kis:
    """The source. calls: of the run's own lines, so that one budget covers everything."""

    name = "kis"
    parts: tuple[Part, ...] = ("prices", "flows", "financials", "news")

    def __init__(self, calls: Calls, clock: Clock, folder: Path, day_folder: Path) -> None:
        self._calls = calls
        self._clock = clock
        year, week, _ = to_kst(clock.now()).date().isocalendar()
        self._flows: Book[tuple[FlowRow, ...]] = Book(day_folder / "kis-flows.jsonl", tuple[FlowRow, ...])
        self._finance: Book[tuple[FinancialRow, ...]] = Book(
            folder / f"kis-finance-{year}-{week:02}.jsonl", tuple[FinancialRow, ...]
        )

    async def gather(self, part: Part, wanted: Wanted, missing: Missing) -> AsyncIterator[Sequence[Row]]:
        """Yield one stock's rows after the other's."""
        match part:
            case "prices":
                # No book: a year of the whole market is kept as columns, and who lacks the newest session is missing.
                rows = self._each(wanted, missing, None, lambda code: self._bars(code, wanted, missing))
            case "flows":
                rows = self._each(wanted, missing, self._flows, lambda code: self._nets(code, missing))
            case "financials":
                rows = self._each(wanted, missing, self._finance, self._ratios)
            case "news":
                rows = self._titles(wanted)
            case "valuation":
                return
        async for batch in rows:
            yield batch

    async def _each(
        self,
        wanted: Wanted,
        missing: Missing,
        book: Book[tuple[T, ...]] | None,
        ask: Callable[[Symbol], Awaitable[tuple[T, ...]]],
    ) -> AsyncIterator[Sequence[Row]]:
        codes = set(missing.codes)
        failures = asked = rows = 0
        for code in (stock.code for stock in wanted.stocks if stock.code in codes):
            kept = book.get(code) if book is not None else None
            if kept is not None:
                found = kept.value
            else:
                try:
                    found = await ask(code)
                except NotOnPaper:
                    raise SourceRefused("kis: the paper service lacks it; a data key would answer") from None
                except KisError as error:
                    failures += 1
                    if failures >= FAILURES_MOST:
                        raise SourceDown(
                            f"kis: {FAILURES_MOST} stocks in a row failed: {type(error).__name__}"
                        ) from None
                    continue
                if book is not None:
                    book.put(code, self._clock.now(), found)
            failures = 0
            asked, rows = asked + 1, rows + len(found)
            if asked == EMPTY_MOST and rows == 0:
                raise Empty(f"kis: nothing about any of {EMPTY_MOST} stocks")
            yield [row for row in found if _known_at(row) <= wanted.decision]  # type: ignore[arg-type, misc]

    async def _bars(self, code: Symbol, wanted: Wanted, missing: Missing) -> tuple[PriceRow, ...]:
        """Return the sessions that are missing, or the whole year when nothing is kept or the scale moved."""
        newest = missing.newest.get(code)
        if newest is not None:
            recent = await self._calls.recent_days(code, adjusted=True)
            if all(bar.ex_rights in NO_ADJUSTMENT for bar in recent):
                return tuple(row for row in _prices(code, recent) if row.session > newest)
        first = wanted.day - timedelta(days=YEAR_DAYS)
        return _prices(code, await self._calls.daily(code, first, wanted.sessions[0], adjusted=True))

    async def _nets(self, code: Symbol, missing: Missing) -> tuple[FlowRow, ...]:
        newest = missing.newest.get(code, date.min)
        return tuple(
            row
            for flow in await self._calls.investors(code)
            if flow.is_settled
            and (
                row := FlowRow(
                    code=code, session=_day(flow.day), foreign_net=flow.foreigners, institution_net=flow.institutions
                )
            ).session
            > newest
        )

    async def _ratios(self, code: Symbol) -> tuple[FinancialRow, ...]:
        rows = await self._calls.finance("ratios", code, quarterly=False)
        if not rows:
            return ()
        figures = rows[0].figures
        row = FinancialRow(
            code=code,
            known_at=self._clock.now(),
            roe_bp=_bp(figures["roe_val"]),
            sales_growth_bp=_bp(figures["grs"]),
            op_growth_bp=_bp(figures["bsop_prfi_inrt"]),
            debt_ratio_bp=_bp(figures["lblt_rate"]),
            eps_krw=_whole(figures["eps"]),
            bps_krw=_whole(figures["bps"]),
        )
        return (row,)

    async def _titles(self, wanted: Wanted) -> AsyncIterator[Sequence[Row]]:
        try:
            items = await self._calls.news()
        except NotOnPaper:
            raise SourceRefused("kis: the paper service has no news; a data key would answer") from None
        except KisError as error:
            raise SourceDown(f"kis: no news titles: {type(error).__name__}") from None
        now = self._clock.now()
        listed = {stock.code for stock in wanted.stocks}
        yield [
            TitleRow(
                code=code,
                known_at=now,
                published_at=min(now, _moment(item.published)),
                title=item.title,
                key=f"kis {item.id}",
            )
            for item in items
            for code in item.codes
            if code in listed and now <= wanted.decision
        ]

    async def listing(self, bands: tuple[TickBand, ...]) -> tuple[Stock, ...]:
        """Return every stock of KOSPI and KOSDAQ from the masters, most traded the day before first.

        Raises SourceDown, also for a master without a stock.
        """
        stocks: list[Stock] = []
        for market, file in (("KOSPI", "kospi"), ("KOSDAQ", "kosdaq")):
            try:
                zipped = await self._calls.master(file)  # type: ignore[arg-type]
                listed = parse(zipped, market, bands)  # type: ignore[arg-type]
            except KisError as error:
                raise SourceDown(f"kis: the {market} master file: {error}") from None
            if not listed:
                raise Empty(f"kis: the {market} master file lists no stock")
            shares = shares_of(zipped, market)
            stocks += [Stock(listed=each, shares=shares.get(each.code)) for each in listed]
        return by_turnover(stocks)


def by_turnover(stocks: Sequence[Stock]) -> tuple[Stock, ...]:
    """Return them most traded first, by the volume of the session before at the base price; funds last; ties by code."""

    def place(listed: Listed) -> tuple[bool, int, str]:
        return listed.kind == "fund", -listed.base * listed.prev_volume, listed.code

    return tuple(sorted(stocks, key=lambda stock: place(stock.listed)))


def shares_of(zipped: bytes, market: str) -> dict[str, Shares]:
    """Return the listed shares by code from a master file. Raises SourceDown for a file that is none."""
    width, start = SHARES_AT[market]
    try:
        with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
            member = archive.infolist()[0]
            text = archive.read(member) if member.file_size <= UNZIPPED_LIMIT else b""
    except (zipfile.BadZipFile, zlib.error, IndexError, OSError, ValueError, RuntimeError, EOFError):
        raise SourceDown(f"kis: the {market} master file is no zip file") from None
    found = {}
    for line in text.split(b"\n"):
        tail = line.rstrip(b"\r")[-width:]
        digits = tail[start : start + 15].decode("ascii", "replace").strip()
        if len(tail) == width and digits.isascii() and digits.isdigit() and int(digits):
            found[line[:9].decode("ascii", "replace").strip()] = Shares(int(digits) * 1_000)
    return found


def _known_at(row: PriceRow | FlowRow | FinancialRow) -> Micros:
    return row.known_at if isinstance(row, FinancialRow) else session_known_at(row.session)


def _prices(code: Symbol, bars: Sequence[DailyBar]) -> tuple[PriceRow, ...]:
    return tuple(
        PriceRow(
            code=code,
            session=_day(bar.day),
            open=bar.open,
            high=bar.high,
            low=bar.low,
            close=bar.close,
            volume=bar.volume,
        )
        for bar in bars
    )


def _day(text: str) -> date:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        raise KisUnreadable(f"{text!r} is not a day") from None


def _moment(text: str) -> Micros:
    try:
        moment = datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=KST)
    except ValueError:
        raise SourceDown("kis: a title's time is not YYYYMMDDHHMMSS") from None
    return Micros(int(moment.timestamp()) * SECOND_US)


def _bp(percent: Decimal | None) -> int | None:
    return None if percent is None or not percent.is_finite() else round(percent * 100)


def _whole(amount: Decimal | None) -> int | None:
    """Return whole won; 0 is KIS's filler for an amount that is missing."""
    return None if amount is None or not amount.is_finite() or not amount else round(amount)
