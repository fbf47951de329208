# ruff: noqa: S608 -- the queries are built from names of this package
"""The day's research table put together from what the sources gave, and written as Parquet. Runs in the helper process.

Nothing unknown is filled in. Ratios to a price are at the day's base where the listing is of the day, else at the last
close; without KRX's own they are reckoned from the statements: market value over the year's net income and equity.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec
from msgspec import Struct

from kquant.events.analyzer import SourceUsed
from kquant.gateways.research.columns import COLUMNS, TECHNICALS
from kquant.gateways.research.history import Nets, PriceHistory, flows, prices
from kquant.gateways.research.lookahead import check_known
from kquant.gateways.research.provenance import read_sources
from kquant.gateways.research.sources.port import (
    FinancialRow,
    Stock,
    TitleRow,
    ValuationRow,
    Wanted,
    session_known_at,
)
from kquant.gateways.research.tone import tone_of
from kquant.values import Micros, to_kst

STALE_MOST: Final = 3
"""Prices whose newest session is not among so many last ones are not used."""
TITLES_MOST: Final = 10
PER_MOST: Final = 10_000_00
"""A PER beyond says only that there is next to no profit: it is left out."""


class Gathered(Struct, frozen=True, kw_only=True):
    """What was gathered besides the histories on disk; each row with the name of its source.

    listed_at: when the listing was fetched.   notes: what could not be had, and why.
    """

    wanted: Wanted
    listed_at: Micros
    listed_from: str
    valuation: tuple[tuple[str, ValuationRow], ...] = ()
    financials: tuple[tuple[str, FinancialRow], ...] = ()
    news: tuple[tuple[str, TitleRow], ...] = ()
    notes: tuple[str, ...] = ()


class Made(Struct, frozen=True, kw_only=True):
    """What is in the table. known_until: when the latest of it was public."""

    stocks: int
    sources: tuple[SourceUsed, ...]
    notes: tuple[str, ...]
    known_until: Micros | None


def compose(folder: Path, gathered: Gathered, out: Path) -> Made:
    """Write the table as *out*, whole or not at all, after it passed the look-ahead check.

    folder: of the histories. Raises LookAheadError when a source stamped something wrongly: then there is no table.
    """
    wanted = gathered.wanted
    known = prices(folder, wanted.sessions)
    fresh = set(wanted.sessions[:STALE_MOST])
    nets = flows(folder, wanted.sessions)
    valuation = {row.code: (source, row) for source, row in reversed(gathered.valuation)}
    financials = {row.code: (source, row) for source, row in reversed(gathered.financials)}
    titles: dict[str, list[tuple[str, TitleRow]]] = {}
    for source, title in gathered.news:
        titles.setdefault(title.code, []).append((source, title))
    rows = []
    for stock in sorted(wanted.stocks, key=lambda each: each.code):
        code = stock.code
        history = known.get(code)
        row = _listing(stock, gathered, history)
        row |= _prices(history if history is not None and history.session in fresh else None)
        row |= _flows(nets.get(code))
        row |= _financials(financials.get(code))
        row |= _valuation(row, valuation.get(code), financials.get(code), history)
        row |= _news(titles.get(code, ()))
        rows.append({name: row.get(name) for name in COLUMNS})
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.part")
    try:
        write_table(rows, gathered.notes, part)
        known_until = check_known(part, wanted.decision)
        sources = read_sources(part)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return Made(stocks=len(rows), sources=sources, notes=gathered.notes, known_until=known_until)


def _listing(stock: Stock, gathered: Gathered, history: PriceHistory | None) -> dict[str, Any]:
    listed = stock.listed
    if gathered.listed_at > gathered.wanted.decision:
        return _listed_then(stock, history)
    of_the_day = to_kst(gathered.listed_at).date() == gathered.wanted.day
    base: int = listed.base if of_the_day or history is None else history.close
    shares = stock.shares if stock.shares is not None or history is None else history.shares
    return {
        "code": listed.code,
        "name": listed.name,
        "market": listed.market,
        "kind": listed.kind,
        "halted": listed.halted,
        "administrative": listed.administrative,
        "liquidation": listed.liquidation,
        "warning": listed.warning,
        "overheated": listed.overheated,
        "base": base,
        "market_cap": base * shares if shares and base > 0 else None,
        "listing_source": gathered.listed_from,
        "listing_known_at": gathered.listed_at,
    }


def _listed_then(stock: Stock, history: PriceHistory | None) -> dict[str, Any]:
    """Return what a listing of later tells of a past day: nothing but names of stocks that had a price by then.

    Its flags, base and shares are those of later.
    """
    listed = stock.listed
    if history is None:
        return {"code": listed.code}
    return {
        "code": listed.code,
        "name": listed.name,
        "market": listed.market,
        "kind": listed.kind,
        "base": history.close,
        "market_cap": history.close * history.shares if history.shares else None,
        "listing_source": history.source,
        "listing_known_at": session_known_at(history.session),
    }


def _prices(history: PriceHistory | None) -> dict[str, Any]:
    if history is None:
        return {}
    return {
        "closes": history.closes,
        "volumes": history.volumes,
        "highs": history.highs,
        "lows": history.lows,
        "w52_high": history.figures["w52_high"],
        "w52_low": history.figures["w52_low"],
        **{name: history.figures[name] for name in TECHNICALS},
        "prices_source": history.source,
        "prices_known_at": session_known_at(history.session),
        "prices_session": history.session.isoformat(),
    }


def _flows(nets: Nets | None) -> dict[str, Any]:
    sums = nets and (nets.foreign_5d, nets.institution_5d, nets.foreign_20d, nets.institution_20d)
    if nets is None or sums == (None,) * 4:
        return {}
    return {
        "foreign_net_5d": nets.foreign_5d,
        "institution_net_5d": nets.institution_5d,
        "foreign_net_20d": nets.foreign_20d,
        "institution_net_20d": nets.institution_20d,
        "flows_source": nets.source,
        "flows_known_at": session_known_at(nets.session),
        "flows_session": nets.session.isoformat(),
    }


def _financials(found: tuple[str, FinancialRow] | None) -> dict[str, Any]:
    if found is None:
        return {}
    source, row = found
    return {
        "roe_bp": row.roe_bp,
        "sales_growth_bp": row.sales_growth_bp,
        "op_margin_bp": row.op_margin_bp,
        "op_growth_bp": row.op_growth_bp,
        "debt_ratio_bp": row.debt_ratio_bp,
        "statement_filed": row.filed or None,
        "financials_source": source,
        "financials_known_at": row.known_at,
    }


def _valuation(
    row: Mapping[str, Any],
    found: tuple[str, ValuationRow] | None,
    stated: tuple[str, FinancialRow] | None,
    history: PriceHistory | None,
) -> dict[str, Any]:
    """Return PER and PBR: KRX's moved from its close to the base, else reckoned from the statements."""
    base, listed_at = row.get("base"), row.get("listing_known_at")
    if base is None or listed_at is None:
        return {}
    if found is not None and history is not None and found[1].session == history.session:
        source, ratios = found
        return {
            "per_x100": _moved(ratios.per_x100, base, history.close),
            "pbr_x100": _moved(ratios.pbr_x100, base, history.close),
            "valuation_source": source,
            "valuation_known_at": max(session_known_at(ratios.session), listed_at),
            "valuation_session": ratios.session.isoformat(),
        }
    if stated is None:
        return {}
    source, figures = stated
    worth = row.get("market_cap")
    per = _ratio(worth, figures.net_krw) if figures.net_krw is not None else _ratio(base, figures.eps_krw)
    pbr = _ratio(worth, figures.equity_krw) if figures.equity_krw is not None else _ratio(base, figures.bps_krw)
    if per is None and pbr is None:
        return {}
    return {
        "per_x100": per,
        "pbr_x100": pbr,
        "valuation_source": source,
        "valuation_known_at": max(figures.known_at, listed_at),
    }


def _moved(ratio_x100: int | None, base: int, close: int) -> int | None:
    return None if ratio_x100 is None or base <= 0 else (2 * ratio_x100 * base + close) // (2 * close)


def _ratio(price: int | None, earned: int | None) -> int | None:
    """Return price over earnings times 100, negative with a loss; None where it says nothing."""
    if price is None or price <= 0 or not earned:
        return None
    ratio = price * 100 // earned if earned > 0 else -(price * 100 // -earned)
    return ratio if abs(ratio) <= PER_MOST else None


def _news(titles: Sequence[tuple[str, TitleRow]]) -> dict[str, Any]:
    if not titles:
        return {"news_count": 0}
    ordered = sorted(titles, key=lambda pair: (-pair[1].published_at, pair[1].key))
    return {
        "news_count": len(titles),
        "news_tone": tone_of(title.title for _, title in titles),
        "titles": [title.title for _, title in ordered[:TITLES_MOST]],
        "news_source": "+".join(sorted({source for source, _ in titles})),
        "news_known_at": max(title.known_at for _, title in titles),
        "news_published_at": max(title.published_at for _, title in titles),
    }


def write_table(rows: Sequence[Mapping[str, Any]], notes: Sequence[str], path: Path) -> None:
    """Write rows of `COLUMNS` as Parquet; the notes lie in the file itself, so that they are where the table is."""
    columns = ", ".join(f"{name}: '{column.kind}'" for name, column in COLUMNS.items())
    told = msgspec.json.encode(list(notes)).decode()
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "rows.jsonl"
        lines.write_bytes(msgspec.json.Encoder().encode_lines(rows))
        with duckdb.connect() as connection:
            connection.execute(
                f"COPY (SELECT * FROM read_json({_text(str(lines))}, format='newline_delimited', columns={{{columns}}})) "
                f"TO {_text(str(path))} (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{notes: {_text(told)}}})"
            )


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def day_table(folder: Path, day: date) -> Path:
    """Return where a day's table lies."""
    return folder / "tables" / f"{day.isoformat()}.parquet"
