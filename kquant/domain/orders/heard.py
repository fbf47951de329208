"""What `orders` heard for later: signals whose price is being confirmed, outcomes of quotes, what may be sold.

A part of `seen`: foreign facts only, folded in log order.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, structs

from kquant.events.base import Event, Recorded
from kquant.events.orders import Execution, ExecutionsListed, QuoteAnswered, QuoteFailed
from kquant.events.pipeline import BuySignalled
from kquant.events.portfolio import BalanceAnswered
from kquant.values import Micros, Seq, Shares, Symbol

TOLD: Final[tuple[type[Event], ...]] = (BuySignalled, QuoteAnswered, QuoteFailed, ExecutionsListed, BalanceAnswered)


class Spent(Struct, frozen=True, kw_only=True):
    """An order of which nothing is left by the list, though its shares do not add up.

    figures: filled, cancelled and rejected shares.   since, listings: when a list first said so, and how many in a row.
    """

    figures: tuple[Shares, Shares, Shares]
    since: Micros
    listings: int


class Heard(Struct, frozen=True, kw_only=True):
    """signals: by seq.   quoted: seq of the first outcome of each quote request.

    sell_leaves: shares still on offer by order number, of every sell in the last list.   balance_of: seq of the request
    that the last balance answers, 0 before one.   sellable: what it said may be sold, by code.
    listed_for: seq of the request of the last list.   spent: by order number.
    """

    signals: dict[Seq, BuySignalled] = {}
    quoted: dict[int, Seq] = {}
    sell_leaves: dict[str, Shares] = {}
    balance_of: Seq = Seq(0)
    sellable: dict[Symbol, Shares] = {}
    listed_for: Seq = Seq(0)
    spent: dict[str, Spent] = {}


def hear(heard: Heard, fact: Recorded) -> Heard:
    """Fold a foreign fact, one of `TOLD`."""
    match fact.event:
        case BuySignalled():
            return structs.replace(heard, signals={**heard.signals, fact.seq: fact.event})
        case QuoteAnswered(request=request) | QuoteFailed(request=request) if request not in heard.quoted:
            return structs.replace(heard, quoted={**heard.quoted, request: fact.seq})
        case ExecutionsListed(rows=rows):
            leaves = {row.order_no: row.leaves_qty for row in rows if row.side == "sell" and not row.is_cancel}
            heard = structs.replace(heard, sell_leaves={number: qty for number, qty in leaves.items() if qty})
            if fact.caused_by is None or fact.caused_by <= heard.listed_for:
                return heard
            return structs.replace(heard, listed_for=fact.caused_by, spent=_spent(heard, rows, fact.at))
        case BalanceAnswered(holdings=holdings) if fact.caused_by is not None and fact.caused_by > heard.balance_of:
            sellable = {held.code: held.sellable for held in holdings}
            return structs.replace(heard, balance_of=fact.caused_by, sellable=sellable)
    return heard


def _spent(heard: Heard, rows: tuple[Execution, ...], at: Micros) -> dict[str, Spent]:
    found: dict[str, Spent] = {}
    for row in rows:
        figures = (row.filled_qty, row.cancelled_qty, row.rejected_qty)
        if row.is_cancel or row.leaves_qty or sum(figures) >= row.order_qty:
            continue
        known = heard.spent.get(row.order_no)
        if known is None or known.figures != figures:
            known = Spent(figures=figures, since=at, listings=0)
        found[row.order_no] = structs.replace(known, listings=known.listings + 1)
    return found
