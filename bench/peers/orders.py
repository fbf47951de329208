"""python-kis: its real-time client and its order call, both against a local broker. It sells what falls, and stores nothing."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from pykis import KisAccessToken, PyKis, kis, logging
from pykis.api.account import order
from pykis.client import websocket

from bench.peers.serving import serve

logging.logger.disabled = True  # it writes to the pipe that answers go through
ACCOUNT = "12345678-01"
held: list[PyKis] = []
sold: set[str] = set()


def start(rest: int, ws: int, codes: list[str], below: int, qty: int) -> str:
    """Register the stocks; a price at or below *below* won sells *qty* shares at the market, once a stock."""
    kis.REAL_DOMAIN = f"http://127.0.0.1:{rest}"
    websocket.WEBSOCKET_REAL_DOMAIN = f"ws://127.0.0.1:{ws}"
    client = PyKis(id="bench", account=ACCOUNT, appkey="A" * 36, secretkey="S" * 180)
    held[:] = [client]
    sold.clear()
    token: KisAccessToken = client.token  # asked for before the market opens, as kquant does
    assert token.token

    def told(_sender: object, args: Any) -> None:
        price = args.response
        if price.price <= below and price.symbol not in sold:
            sold.add(price.symbol)
            order.domestic_order(client, ACCOUNT, price.symbol, order="sell", price=None, qty=qty)

    client.websocket.event += told
    client.websocket.connect()
    client.websocket.ensure_connected(10)  # what is registered while it connects may be lost
    for code in codes:
        client.websocket.subscribe("H0STCNT0", code)
    return f"python-kis {version('python-kis')}"


def stop() -> int:
    """Hang up; return how many stocks were sold."""
    held[0].websocket.disconnect()
    return len(sold)


serve({"start": start, "stop": stop})
