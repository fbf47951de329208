"""OpenDART: companies' annual statements and the names of what they filed (kis-protocol 7.1).

Statements come from `fnlttMultiAcnt.json`, up to a hundred companies a request, consolidated where there are any. A
statement belongs to the filing it names: `rcept_no` begins with the date it was received, and a corrected one to the
correction. HTTP is 200 even for errors; `status` decides.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Final, NamedTuple, TypeVar
from xml.etree import ElementTree as ET

import msgspec
from msgspec import Struct

from kquant.gateways.clock import Clock
from kquant.gateways.research.sources.cache import Book, FirstSeen
from kquant.gateways.research.sources.port import (
    Empty,
    FinancialRow,
    Missing,
    Part,
    Row,
    SourceDown,
    SourceRefused,
    SourceUnreadable,
    TitleRow,
    Wanted,
    filing_known_at,
)
from kquant.gateways.research.sources.web import Web
from kquant.values import Micros, to_kst

ANNUAL: Final = "11011"
COMPANIES: Final = 100
"""Most companies of one request; status 021 beyond."""
PAGE: Final = 100
PAGES_MAX: Final = 60
UNZIPPED_LIMIT: Final = 1 << 27
NO_DATA: Final = frozenset({"013", "014"})
STOP: Final = frozenset({"010", "011", "012", "020", "901"})
LATER: Final = frozenset({"800", "900"})
REASONS: Final[Mapping[str, str]] = {
    "010": "the key is not registered",
    "011": "the key is suspended",
    "012": "this address may not use the key",
    "020": "the day's requests are used up",
    "901": "the key needs the owner's consent again",
    "800": "under maintenance",
    "900": "undefined error",
}
SALES: Final = ("매출액", "수익(매출액)", "영업수익", "매출")
OPERATING: Final = ("영업이익", "영업이익(손실)", "영업손실")
NET: Final = ("당기순이익", "당기순이익(손실)", "당기순손실")
EQUITY: Final = ("자본총계",)
DEBT: Final = ("부채총계",)


class Account(Struct, frozen=True, kw_only=True):
    """One line of a statement; amounts are text in won, blank where there is none."""

    rcept_no: str
    corp_code: str
    sj_div: str
    account_nm: str
    fs_div: str = "OFS"
    thstrm_amount: str = ""
    frmtrm_amount: str = ""
    stock_code: str = ""


class Filing(Struct, frozen=True, kw_only=True):
    """One line of the filings list. rcept_no: 14 digits, of which the first eight are the date."""

    rcept_no: str
    report_nm: str
    rcept_dt: str
    stock_code: str = ""
    rm: str = ""


class Statements(Struct, frozen=True, kw_only=True):
    """An answer of fnlttMultiAcnt.json."""

    status: str
    list: tuple[Account, ...] = ()


class Filings(Struct, frozen=True, kw_only=True):
    """An answer of list.json."""

    status: str
    total_page: int = 1
    list: tuple[Filing, ...] = ()


T = TypeVar("T", Statements, Filings)


class _Amounts(NamedTuple):
    now: int | None
    before: int | None


class Dart:
    """The source. key: the user's, 40 characters.   folder: for the list of companies and what was seen first."""

    name = "dart"
    parts: tuple[Part, ...] = ("financials", "news")

    def __init__(self, web: Web, key: str, clock: Clock, folder: Path, day_folder: Path, news_days: int) -> None:
        self._web = web
        self._key = key
        self._clock = clock
        self._folder = folder
        self._answers: Book[tuple[Account, ...]] = Book(day_folder / "dart-statements.jsonl", tuple[Account, ...])
        self._news_days = news_days

    async def gather(self, part: Part, wanted: Wanted, missing: Missing) -> AsyncIterator[Sequence[Row]]:
        """Yield statements by a hundred companies, or filings by page."""
        rows = self._financials(wanted, missing) if part == "financials" else self._filings(wanted)
        async for batch in rows:
            yield batch

    async def _financials(self, wanted: Wanted, missing: Missing) -> AsyncIterator[Sequence[Row]]:
        companies = await self._companies()
        left = [(companies[code], code) for code in missing.codes if code in companies]
        found = 0
        # In spring some have filed last year's statement and some have not: what is missing is asked of the year before.
        for year in (wanted.day.year - 1, wanted.day.year - 2):
            still = []
            for start in range(0, len(left), COMPANIES):
                group = left[start : start + COMPANIES]
                accounts = await self._accounts(year, [corp for corp, _ in group])
                rows = [row for row in rows_of(accounts, dict(group)) if row.known_at <= wanted.decision]
                have = {row.code for row in rows}
                still += [pair for pair in group if pair[1] not in have]
                found += len(rows)
                yield rows
            left = still
        if not found and missing.codes:
            raise Empty(f"dart: no statement of {len(missing.codes):,} companies")

    async def _accounts(self, year: int, companies: list[str]) -> tuple[Account, ...]:
        key = f"{year} {companies[0]} {companies[-1]} {len(companies)}"
        if (kept := self._answers.get(key)) is not None:
            return kept.value
        params = {"corp_code": ",".join(companies), "bsns_year": str(year), "reprt_code": ANNUAL}
        answer = await self._ask("/fnlttMultiAcnt.json", params, Statements)
        return self._answers.put(key, self._clock.now(), answer.list).value

    async def _filings(self, wanted: Wanted) -> AsyncIterator[Sequence[Row]]:
        today = to_kst(self._clock.now()).date()
        last = min(wanted.day, today)
        seen = FirstSeen(
            self._folder / "dart-seen", f"{today:%Y-%m}", f"{today.replace(day=1) - timedelta(days=1):%Y-%m}"
        )
        listed = {stock.code for stock in wanted.stocks}
        for page in range(1, PAGES_MAX + 1):
            params = {
                "bgn_de": f"{last - timedelta(days=self._news_days):%Y%m%d}",
                "end_de": f"{last:%Y%m%d}",
                "page_no": str(page),
                "page_count": str(PAGE),
            }
            answer = await self._ask("/list.json", params, Filings)
            now = self._clock.now()
            rows = [
                row
                for filing in answer.list
                if filing.stock_code.strip() in listed
                for row in _title(filing, seen, now)
            ]
            yield [row for row in rows if row.known_at <= wanted.decision]
            if page >= answer.total_page:
                return
        raise SourceUnreadable(f"dart: more than {PAGES_MAX} pages of filings")

    async def _companies(self) -> dict[str, str]:
        """Return DART's own code by stock code; fetched once a week."""
        today = to_kst(self._clock.now()).date()
        year, week, _ = today.isocalendar()
        kept: Book[dict[str, str]] = Book(self._folder / f"dart-companies-{year}-{week:02}.jsonl", dict[str, str])
        if (found := kept.get("all")) is not None:
            return found.value
        answer = await self._web.get("/corpCode.xml", {"crtfc_key": self._key})
        companies = companies_of(answer.body)
        if not companies:
            raise Empty("dart: the list of companies names no listed one")
        return kept.put("all", self._clock.now(), companies).value

    async def _ask(self, path: str, params: Mapping[str, str], kind: type[T]) -> T:
        answer = await self._web.get(path, {"crtfc_key": self._key, **params})
        try:
            told = msgspec.json.decode(answer.body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise SourceUnreadable(f"dart: {path} is not the documented form (HTTP {answer.status})") from None
        check_status(told.status)
        return told


def check_status(status: str) -> None:
    """Return when there is an answer, an empty one too. Raises SourceError for every other status (7.1)."""
    if status == "000" or status in NO_DATA:
        return
    why = f"dart: status {status[:3]}, {REASONS.get(status, 'not documented')}"
    if status in STOP:
        raise SourceRefused(why)
    if status in LATER:
        raise SourceDown(why)
    raise SourceUnreadable(why)


def companies_of(body: bytes) -> dict[str, str]:
    """Return DART's code by stock code from the zip of corpCode.xml. Raises SourceError."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            member = archive.infolist()[0]
            if member.file_size > UNZIPPED_LIMIT:
                raise SourceUnreadable(f"dart: the list of companies would unpack to {member.file_size:,} bytes")
            text = archive.read(member)
    except (zipfile.BadZipFile, zlib.error, IndexError, OSError, ValueError, RuntimeError, EOFError):
        _refused_in_xml(body)
        raise SourceUnreadable("dart: the list of companies is no zip file") from None
    return {
        stock: corp
        for corp, stock in _pairs(text)
        if len(corp) == 8 and corp.isascii() and corp.isdigit() and len(stock) == 6
    }


def _pairs(text: bytes) -> Iterator[tuple[str, str]]:
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise SourceUnreadable("dart: the list of companies declares entities")
    try:
        for _, element in ET.iterparse(io.BytesIO(text)):  # noqa: S314  entities are refused above
            if element.tag == "list":
                yield (element.findtext("corp_code") or "").strip(), (element.findtext("stock_code") or "").strip()
                element.clear()
    except ET.ParseError:
        raise SourceUnreadable("dart: the list of companies is no XML") from None


def _refused_in_xml(body: bytes) -> None:
    """Raise what an XML answer with status and message means: in place of a zip it is an error."""
    start, end = body.find(b"<status>"), body.find(b"</status>")
    if 0 <= start < end:
        check_status(body[start + 8 : end].decode("ascii", "replace").strip())


def rows_of(accounts: Sequence[Account], codes: Mapping[str, str]) -> list[FinancialRow]:
    """Return a row a company that stated anything usable. codes: stock code by DART's code.

    Consolidated statements (CFS) come before separate ones (OFS). Raises SourceUnreadable for a number without a date.
    """
    by_company: dict[str, dict[str, list[Account]]] = {}
    for each in accounts:
        if each.corp_code in codes:
            by_company.setdefault(each.corp_code, {}).setdefault(each.fs_div, []).append(each)
    rows = []
    for company, kinds in by_company.items():
        lines = kinds.get("CFS") or kinds.get("OFS") or []
        row = _row(codes[company], lines) if lines else None
        if row is not None:
            rows.append(row)
    return rows


def _row(code: str, lines: Sequence[Account]) -> FinancialRow | None:
    income = [each for each in lines if each.sj_div in {"IS", "CIS"}]
    balance = [each for each in lines if each.sj_div == "BS"]
    sales, operating, net = (_amounts(income, names) for names in (SALES, OPERATING, NET))
    equity, debt = _amounts(balance, EQUITY).now, _amounts(balance, DEBT).now
    if (sales.now, operating.now, net.now, equity, debt) == (None,) * 5:
        return None
    received = received_on(max(each.rcept_no for each in lines))
    return FinancialRow(
        code=code,
        known_at=filing_known_at(received, None),
        filed=received.isoformat(),
        roe_bp=_ratio(net.now, equity),
        sales_growth_bp=_growth(sales),
        op_margin_bp=_ratio(operating.now, sales.now),
        op_growth_bp=_growth(operating),
        debt_ratio_bp=_ratio(debt, equity),
        net_krw=net.now,
        equity_krw=equity,
    )


def _amounts(lines: Sequence[Account], names: Sequence[str]) -> _Amounts:
    """Return an account's amounts of the year and the one before. A name earlier in the list counts more."""
    for name in names:
        for each in lines:
            if each.account_nm.replace(" ", "") == name:
                return _Amounts(won(each.thstrm_amount), won(each.frmtrm_amount))
    return _Amounts(None, None)


def won(text: str) -> int | None:
    """Return an amount as DART writes it: digits with or without commas and a sign; None for a blank or a dash."""
    plain = text.strip().replace(",", "")
    if plain in {"", "-"}:
        return None
    sign, digits = (-1, plain[1:]) if plain.startswith("-") else (1, plain)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise SourceUnreadable("dart: an amount is no number of won")
    return sign * int(digits)


def _ratio(part: int | None, whole: int | None) -> int | None:
    """Return a ratio in basis points; None where the whole is not above zero."""
    return None if part is None or whole is None or whole <= 0 else part * 10_000 // whole


def _growth(amounts: _Amounts) -> int | None:
    """Return the change in basis points; from a loss or nothing there is no rate."""
    now, before = amounts
    return None if now is None or before is None or before <= 0 else (now - before) * 10_000 // before


def received_on(receipt: str) -> date:
    """Return the date a filing was received, from its number. Raises SourceUnreadable."""
    digits = receipt if len(receipt) == 14 and receipt.isascii() and receipt.isdigit() else "0" * 14
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        raise SourceUnreadable("dart: a receipt number is not 14 digits that begin with a date") from None


def _title(filing: Filing, seen: FirstSeen, now: Micros) -> list[TitleRow]:
    """Return a filing as a title; one that was withdrawn (철) is none."""
    if "철" in filing.rm or not filing.report_nm.strip():
        return []
    received = received_on(filing.rcept_no)
    known_at = filing_known_at(received, seen.see(filing.rcept_no, now))
    return [
        TitleRow(
            code=filing.stock_code.strip(),
            known_at=known_at,
            published_at=min(known_at, filing_known_at(received, None)),
            title=" ".join(filing.report_nm.split()),
            key=f"dart {filing.rcept_no}",
        )
    ]
