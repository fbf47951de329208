"""What `orders` heard for later: signals whose price is being confirmed, outcomes of quotes, what may be sold.

A part of `seen`: foreign facts only, folded in log order.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, structs

from kquant.events.base import Event, Recorded
from kquant.events.orders import ExecutionsListed, QuoteAnswered, QuoteFailed
from kquant.events.pipeline import BuySignalled
from kquant.events.portfolio import BalanceAnswered
from kquant.values import Seq, Shares, Symbol

TOLD: Final[tuple[type[Event], ...]] = (BuySignalled, QuoteAnswered, QuoteFailed, ExecutionsListed, BalanceAnswered)


class Heard(Struct, frozen=True, kw_only=True):
    """signals: by seq.   quoted: seq of the first outcome of each quote request.

    sell_leaves: shares still on offer by order number, of every sell in the last list.   balance_of: seq of the request
    that the last balance answers, 0 before one.   sellable: what it said may be sold, by code.
    """

    signals: dict[Seq, BuySignalled] = {}
    quoted: dict[int, Seq] = {}
    sell_leaves: dict[str, Shares] = {}
    balance_of: Seq = Seq(0)
    sellable: dict[Symbol, Shares] = {}


def hear(heard: Heard, fact: Recorded) -> Heard:
    """Fold a foreign fact, one of `TOLD`."""
    match fact.event:
        case BuySignalled():
            return structs.replace(heard, signals={**heard.signals, fact.seq: fact.event})
        case QuoteAnswered(request=request) | QuoteFailed(request=request) if request not in heard.quoted:
            return structs.replace(heard, quoted={**heard.quoted, request: fact.seq})
        case ExecutionsListed(rows=rows):
            leaves = {row.order_no: row.leaves_qty for row in rows if row.side == "sell" and not row.is_cancel}
            return structs.replace(heard, sell_leaves={number: qty for number, qty in leaves.items() if qty})
        case BalanceAnswered(holdings=holdings) if fact.caused_by is not None and fact.caused_by > heard.balance_of:
            sellable = {held.code: held.sellable for held in holdings}
            return structs.replace(heard, balance_of=fact.caused_by, sellable=sellable)
    return heard
