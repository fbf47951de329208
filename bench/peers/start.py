"""python-kis from nothing to a registration at a local broker: `python -m bench.peers.start REST WS CODE`. Ends with its input."""

from __future__ import annotations

import sys

from pykis import PyKis, kis
from pykis.client import websocket

rest, ws, code = sys.argv[1:]
kis.REAL_DOMAIN = f"http://127.0.0.1:{rest}"
websocket.WEBSOCKET_REAL_DOMAIN = f"ws://127.0.0.1:{ws}"
client = PyKis(id="bench", account="12345678-01", appkey="A" * 36, secretkey="S" * 180)
client.websocket.connect()
client.websocket.ensure_connected(10)  # what is registered while it connects may be lost
client.websocket.subscribe("H0STCNT0", code)
sys.stdin.read()
client.websocket.disconnect()
