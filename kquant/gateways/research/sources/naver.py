"""Naver news search on either of its two hosts (kis-protocol 7.2): the newest titles about a company.

`pubDate` is the publisher's time and an article may appear minutes later, so a title counts from when it was first
seen here. A title must name the company: the search also finds its namesakes' neighbours.
"""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import Struct

from kquant.gateways.clock import Clock
from kquant.gateways.research.sources.cache import Book, FirstSeen
from kquant.gateways.research.sources.port import (
    Empty,
    Missing,
    Part,
    Row,
    SourceError,
    SourceRefused,
    SourceUnreadable,
    Stock,
    TitleRow,
    Wanted,
)
from kquant.gateways.research.sources.web import Answer, Web
from kquant.values import SECOND_US, Micros, to_kst

DISPLAY: Final = 20
TITLE_MOST: Final = 200
TITLES_KEPT: Final = 20
SILENT_MOST: Final = 50
"""So many of the most traded companies without a single title: the service answers with nothing."""
FAILURES_MOST: Final = 5
"""So many companies in a row that could not be asked: the service is left."""
MIN_YEAR: Final = 1990
AHEAD_US: Final = 3_600 * SECOND_US
"""A publisher's clock may be so far ahead of ours; what is dated later is not out yet."""
DAY_US: Final = 86_400 * SECOND_US
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,100}>")


class Host(NamedTuple):
    """One of the two services: address, path, and the headers its key goes into."""

    base_url: str
    path: str
    id_header: str
    secret_header: str


HOSTS: Final[Mapping[Literal["hub", "legacy"], Host]] = {
    "hub": Host(
        "https://naverapihub.apigw.ntruss.com", "/search/v1/news", "X-NCP-APIGW-API-KEY-ID", "X-NCP-APIGW-API-KEY"
    ),
    "legacy": Host("https://openapi.naver.com", "/v1/search/news.json", "X-Naver-Client-Id", "X-Naver-Client-Secret"),
}


class Item(Struct, frozen=True, kw_only=True):
    """One article."""

    title: str
    pubDate: str  # noqa: N815  Naver's name
    originallink: str = ""
    link: str = ""


class Found(Struct, frozen=True, kw_only=True):
    """An answer; total 0 with no items is a company without news."""

    items: tuple[Item, ...]
    total: int = 0


class Naver:
    """The source. One request a company, most traded first."""

    name = "naver"
    parts: tuple[Part, ...] = ("news",)

    def __init__(
        self,
        web: Web,
        host: Host,
        keys: tuple[str, str],
        clock: Clock,
        folder: Path,
        day_folder: Path,
        news_days: int,
    ) -> None:
        self._web = web
        self._host = host
        self._headers = {host.id_header: keys[0], host.secret_header: keys[1]}
        self._clock = clock
        self._folder = folder
        self._kept: Book[tuple[TitleRow, ...]] = Book(day_folder / "naver.jsonl", tuple[TitleRow, ...])
        self._news_us = news_days * DAY_US

    async def gather(self, part: Part, wanted: Wanted, missing: Missing) -> AsyncIterator[Sequence[Row]]:
        """Yield each company's titles of the last days."""
        if part not in self.parts:
            return
        today = to_kst(self._clock.now()).date()
        seen = FirstSeen(
            self._folder / "naver-seen", f"{today:%Y-%m}", f"{today.replace(day=1) - timedelta(days=1):%Y-%m}"
        )
        asked = titles = failures = 0
        codes = set(missing.codes)
        for stock in (each for each in wanted.stocks if each.code in codes):
            kept = self._kept.get(stock.code)
            if kept is None:
                try:
                    rows = await self._ask(stock, seen)
                except SourceRefused:
                    raise
                except SourceError:
                    failures += 1
                    if failures >= FAILURES_MOST:
                        raise
                    continue
                kept = self._kept.put(stock.code, self._clock.now(), rows)
            failures = 0
            fresh = [row for row in kept.value if row.known_at <= wanted.decision]
            asked, titles = asked + 1, titles + len(kept.value)
            if asked == SILENT_MOST and titles == 0:
                raise Empty(f"naver: no title about any of the {SILENT_MOST} most traded companies")
            yield fresh

    async def _ask(self, stock: Stock, seen: FirstSeen) -> tuple[TitleRow, ...]:
        params = {"query": stock.listed.name, "display": str(DISPLAY), "start": "1", "sort": "date"}
        answer = await self._web.get(self._host.path, params, self._headers, most_bytes=1 << 20)
        check(answer)
        now = self._clock.now()
        rows = titles_of(answer, stock, now, self._news_us)
        return tuple(msgspec.structs.replace(row, known_at=seen.see(row.key, now)) for row in rows)


def check(answer: Answer) -> None:
    """Return for an answer with news. Raises SourceError: 401 and 403 are our keys, the rest our request (7.2)."""
    if answer.status == 200:
        return
    if answer.status in {401, 403}:
        raise SourceRefused(f"naver: HTTP {answer.status}, the keys are not those of this host or may not search")
    raise SourceUnreadable(f"naver: HTTP {answer.status}")


def titles_of(answer: Answer, stock: Stock, now: Micros, within_us: int) -> list[TitleRow]:
    """Return the titles that name the company and are not older than *within_us*, without doubles. Raises SourceUnreadable."""
    try:
        found = msgspec.json.decode(answer.body, type=Found)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise SourceUnreadable("naver: an answer is not the documented form") from None
    rows: dict[str, TitleRow] = {}
    told: set[str] = set()
    for item in found.items:
        title = plain(item.title)
        published = published_at(item.pubDate)
        if not title or stock.listed.name not in title or not now - within_us <= published <= now + AHEAD_US:
            continue
        link = item.originallink.strip() or item.link.strip()
        key = hashlib.sha256((link or title).encode()).hexdigest()[:24]
        if key in rows or title in told:
            continue
        told.add(title)
        rows[key] = TitleRow(code=stock.code, known_at=now, published_at=min(published, now), title=title, key=key)
        if len(rows) == TITLES_KEPT:
            break
    return list(rows.values())


def plain(title: str) -> str:
    """Return a title without tags, entities, control and invisible characters, and not longer than a title is."""
    text = html.unescape(_TAG.sub("", title))
    text = "".join(sign for sign in text if sign.isspace() or unicodedata.category(sign)[0] != "C")
    return " ".join(text.split())[:TITLE_MOST]


def published_at(text: str) -> Micros:
    """Return the instant of an RFC 822 date with its offset. Raises SourceUnreadable."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        moment = None
    if moment is None or moment.tzinfo is None or moment.year < MIN_YEAR:
        raise SourceUnreadable("naver: a date is not as RFC 822 writes it, with its offset")
    return Micros(int(moment.timestamp()) * SECOND_US)
