"""A day with the published python-kis, in a process of its own: `python python_kis.py READY CODES SERVICE`.

READY is the look-alike's ready line; nothing of the package is changed but its hosts (kis-protocol 7.6). What it saw is
printed as one line of JSON.
"""

import datetime as dt
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import pykis.client.websocket as pykis_websocket
import pykis.kis as pykis_rest
from pykis import KisAuth, PyKis
from pykis.utils.rate_limit import RateLimiter

PATIENCE_S = 40.0
KST = dt.timezone(dt.timedelta(hours=9))


def until(what: str, true: Callable[[], bool]) -> None:
    """Wait for what the package's threads do."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"never came: {what}")
        time.sleep(0.02)


def host(info: dict[str, Any]) -> None:
    pykis_rest.REAL_DOMAIN = f"http://127.0.0.1:{info['rest_port']}"
    pykis_rest.VIRTUAL_DOMAIN = f"http://127.0.0.1:{info['paper_rest_port']}"
    pykis_websocket.WEBSOCKET_REAL_DOMAIN = f"ws://127.0.0.1:{info['ws_port']}"
    pykis_websocket.WEBSOCKET_VIRTUAL_DOMAIN = f"ws://127.0.0.1:{info['paper_ws_port']}"


def auth(info: dict[str, Any], *, virtual: bool) -> KisAuth:
    prefix = "paper_" if virtual else ""
    return KisAuth(
        id=info[f"{prefix}hts_id"],
        account=info[f"{prefix}account"],
        appkey=info[f"{prefix}appkey"],
        secretkey=info[f"{prefix}appsecret"],
        virtual=virtual,
    )


def notice(one: Any) -> dict[str, Any]:
    return {
        "number": int(one.order_number.number),
        "branch": one.order_number.branch,
        "symbol": one.symbol,
        "side": one.type,
        "price": int(one.price),
        "qty": int(one.quantity),
        "executed": int(one.executed_quantity),
        "receipt": one.receipt,
        "rejected": one.rejected,
    }


def main(info: dict[str, Any], codes: list[str], service: str) -> None:
    host(info)
    paper = service == "paper"
    kis = PyKis(auth(info, virtual=False), auth(info, virtual=True)) if paper else PyKis(auth(info, virtual=False))
    account, today = kis.account(), dt.datetime.now(KST).date()
    balance = account.balance()
    orders_before = account.daily_orders(today)
    stock = kis.stock(codes[0])
    quote, book = stock.quote(), stock.orderbook()
    bars = stock.chart("30d").bars

    client = kis.websocket
    # What is subscribed while the package restores its subscriptions is forgotten by it: be connected first.
    client.connect()
    until("a connection", lambda: client.connected)
    trades: list[Any] = []
    books: list[Any] = []
    mine: list[Any] = []
    of_order: list[Any] = []
    tickets = [kis.stock(code).on("price", lambda _, event: trades.append(event.response)) for code in codes]
    tickets.append(stock.on("orderbook", lambda _, event: books.append(event.response)))
    tickets.append(account.on("execution", lambda _, event: mine.append(event.response)))
    notices = "H0STCNI9" if paper else "H0STCNI0"
    wanted = {f"H0STCNT0.{code}" for code in codes} | {f"H0STASP0.{codes[0]}", f"{notices}.{info['hts_id']}"}

    def registered() -> set[str]:
        every = client._registered_subscriptions | getattr(client._primary_client, "_registered_subscriptions", set())
        return {str(tr) for tr in every}

    until("every acknowledgement", lambda: wanted <= registered())
    until("trades and books", lambda: len(trades) >= 3 and bool(books))

    # Orders go to the liveliest stock, where they fill within seconds.
    symbols = [one.symbol for one in trades]
    traded = kis.stock(max(codes, key=symbols.count))
    book, low = traded.orderbook(), int(traded.quote().low_limit)
    bought = []
    while not of_order:  # an order that fills before its filter stands is not told to it: place another
        bought.append(traded.buy(qty=2))
        tickets.append(bought[-1].on("execution", lambda _, event: of_order.append(event.response)))
        until("the fills", lambda: sum(int(one.executed_quantity) for one in mine) >= 2 * len(bought))
    resting = traded.buy(price=low, qty=1)
    until("the receipt", lambda: any(int(one.order_number.number) == int(resting.number) for one in mine))
    if not paper:
        until("the open order in the list", lambda: resting.pending)
        resting = resting.modify(price=int(book.bids[-1].price), qty=1)
    cancelled = resting.cancel()
    until(
        "the cancellation",
        lambda: any(int(one.order_number.number) == int(cancelled.number) and not one.receipt for one in mine),
    )

    def listed() -> list[Any]:
        found: list[Any] = account.daily_orders(today, country="KR").orders
        return found

    until(
        "both orders in the daily list",
        lambda: {int(cancelled.number), int(bought[-1].number)} <= {int(one.number) for one in listed()},
    )
    after = account.balance(country="KR")

    # Its own limiter aside, it must survive what KIS says to a caller that is too fast (EGW00201 as HTTP 500).
    for limiter in kis._rate_limiters:
        kis._rate_limiters[limiter] = RateLimiter(10_000, 1.0)
    prices = [int(stock.quote().price) for _ in range(50)]

    client.disconnect()
    until("the end of its lines", lambda: not client.connected)
    seen = {
        "stocks": {one.symbol: int(one.qty) for one in balance.stocks},
        "cash": int(balance.deposits["KRW"].amount),
        "orders_before": len(orders_before.orders),
        "quote": {"symbol": quote.symbol, "price": int(quote.price), "low_limit": int(quote.low_limit)},
        "traded": traded.symbol,
        "asks": len(book.asks),
        "bars": len(bars),
        "registered": sorted(registered()),
        "wanted": sorted(wanted),
        "trades": [[one.symbol, int(one.price), int(one.volume), one.time_kst.isoformat()] for one in trades],
        "books": [[one.symbol, len(one.asks), len(one.bids)] for one in books],
        "bought": [int(one.number) for one in bought],
        "branch": bought[-1].branch,
        "resting": int(resting.number),
        "cancelled": int(cancelled.number),
        "notices": [notice(one) for one in mine],
        "of_order": [notice(one) for one in of_order],
        "listed": {int(one.number): int(one.executed_quantity) for one in listed()},
        "after": {one.symbol: int(one.qty) for one in after.stocks},
        "prices": prices,
    }
    print(json.dumps(seen), flush=True)
    os._exit(0)  # its tickets complain of the lost connection when they are let go


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2].split(","), sys.argv[3])
