"""Answers in several pages (kis-protocol 1.7): all of them, or an error. A part is never taken for the whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from kquant.gateways.kis.rest.endpoints import Endpoint
from kquant.gateways.kis.rest.envelope import Answer
from kquant.gateways.kis.rest.errors import KisUnreadable

PAGES_MAX = 50


class Asking(Protocol):
    """A client that can be asked."""

    async def get(self, endpoint: Endpoint, params: Mapping[str, str], *, lane: int, following: bool = False) -> Answer:
        """Return one answer."""


async def all_pages(
    client: Asking, endpoint: Endpoint, params: Mapping[str, str], *, lane: int, key: str = "100"
) -> list[Answer]:
    """Return all pages. key: how the TR names its paging keys, "100", "200" or "".

    Raises KisUnreadable if a page does not say where the next begins, if pages repeat, or if they do not end.
    """
    names = (f"ctx_area_fk{key}", f"ctx_area_nk{key}")
    pages: list[Answer] = []
    at = ("", "")
    seen = {at}
    while True:
        asked = {**params, names[0].upper(): at[0], names[1].upper(): at[1]}
        page = await client.get(endpoint, asked, lane=lane, following=bool(pages))
        pages.append(page)
        if not page.more:
            return pages
        at = (_key(page, names[0]), _key(page, names[1]))
        if at in seen or len(pages) >= PAGES_MAX:
            raise KisUnreadable(f"{endpoint.real}: page {len(pages) + 1} repeats, or there is no end of pages")
        seen.add(at)


def _key(page: Answer, name: str) -> str:
    for each in (name, name.upper()):
        value = page.body.get(each)
        if isinstance(value, str):
            return value.strip()
    raise KisUnreadable(f"field {name} is missing though another page follows")
