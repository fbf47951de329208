"""A stock's price, best quote and flags over HTTPS, before an order: the feed is not encrypted (`reliability` finding 6).

One answer of two calls, inquire-price and inquire-asking-price (kis-protocol 4.3). A part that is missing is no answer.
"""

from __future__ import annotations

from kquant.events.orders import QuoteAnswered, QuoteFailed, QuoteWanted
from kquant.gateways.clock import Clock
from kquant.gateways.kis.rest.answers import OrderBook, QuoteDetail
from kquant.gateways.kis.rest.calls import KisCalls
from kquant.gateways.kis.rest.calls.deadline import in_time
from kquant.gateways.kis.rest.calls.quotes import UNFLAGGED
from kquant.gateways.kis.rest.errors import KisError
from kquant.gateways.kis.rest.limits import as_one


async def confirm(calls: KisCalls, clock: Clock, request: QuoteWanted) -> QuoteAnswered | QuoteFailed:
    """Return the one outcome of a request: the quote if it is here by `valid_until`, else why not."""
    if clock.now() > request.valid_until:
        return _failed(request, "it was no longer valid when it was to be asked")
    try:
        both = await in_time(clock, _both(calls, request), request.valid_until)
    except KisError as error:
        return _failed(request, str(error))
    if both is None or clock.now() > request.valid_until:
        return _failed(request, "no answer in time")
    return answered(request, *both)


async def _both(calls: KisCalls, request: QuoteWanted) -> tuple[QuoteDetail, OrderBook]:
    # One stock's two answers before the next stock's: with few calls a second all of them would be late together.
    with as_one():
        return await calls.quote(request.code), await calls.book(request.code)


def _failed(request: QuoteWanted, reason: str) -> QuoteFailed:
    return QuoteFailed(request=request.request, code=request.code, reason=reason)


def answered(request: QuoteWanted, quote: QuoteDetail, book: OrderBook) -> QuoteAnswered:
    """Return the answer that price and order book make. An expected price is there in auctions alone."""
    ask, bid = book.asks[0], book.bids[0]
    return QuoteAnswered(
        request=request.request,
        code=request.code,
        last=quote.last_price,
        ask=ask.price,
        bid=bid.price,
        ask_qty=ask.qty,
        bid_qty=bid.qty,
        upper=quote.upper,
        lower=quote.lower,
        volume=quote.volume,
        value=quote.value,
        status=quote.status,
        warning=quote.warning,
        halted=quote.halted,
        liquidation=quote.liquidation,
        overheated=quote.overheated,
        administrative=quote.administrative,
        vi=quote.vi not in UNFLAGGED,
        is_auction=book.expected_price is not None,
    )
