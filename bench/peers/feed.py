"""python-kis: its own real-time client on a local socket; every message is parsed and told to a handler."""

from __future__ import annotations

import os
import threading
from importlib.metadata import version
from time import perf_counter, process_time, sleep
from typing import Any

from pykis import logging
from pykis.client import websocket
from pykis.client.websocket import KisWebsocketClient

from bench.peers.serving import serve

logging.logger.disabled = True  # it writes to the pipe that answers go through
clients: list[KisWebsocketClient] = []
records: list[int] = [0]


def start(port: int, core: int | None) -> str:
    """Connect, and count what the client tells."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    websocket.WEBSOCKET_REAL_DOMAIN = f"ws://127.0.0.1:{port}"
    client = KisWebsocketClient(None)  # type: ignore[arg-type]
    client.event += lambda _sender, _args: _count()
    client.thread = threading.Thread(target=client._run_forever, daemon=True)
    client.thread.start()
    clients.append(client)
    client._connected_event.wait(10)
    return f"python-kis {version('python-kis')}"


def _count() -> None:
    records[0] += 1


def expect(count: int) -> None:
    """From now on wait for *count* records."""
    records[0] = 0
    records[1:] = [count]


def measured() -> dict[str, Any]:
    """Return the seconds from the first record to the last, once all have come."""
    while not records[0]:
        sleep(0.001)
    begun, spent, first = perf_counter(), process_time(), records[0]
    while records[0] < records[1]:
        sleep(0.001)
    return {"seconds": perf_counter() - begun, "cpu": process_time() - spent, "records": records[1] - first}


serve({"start": start, "expect": expect, "measured": measured})
