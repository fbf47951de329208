"""`kquant run` at an exchange that is up already, watched from inside: `python -m bench.started READY OPTION…`.

READY is what the exchange printed. Ends with the first registration that the exchange acknowledged and that is on disk, after
one JSON line: {"at": ns of the machine's monotonic clock, "modules": every module that is loaded by then}.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import Future
from typing import Any

import msgspec
from websockets.asyncio.client import connect

from kquant.cli import main
from kquant.events.feed import Registered
from kquant.gateways.embedded import Credentials, EmbeddedExchange, Ready
from kquant.journal.sqlite import SqliteJournal

READY = msgspec.json.decode(sys.argv[1], type=Ready)
append = SqliteJournal.append


async def meet(exchange: EmbeddedExchange, _credentials: Credentials) -> Ready:
    """Take the exchange that is up in place of starting one."""
    exchange._admin = await connect(f"ws://127.0.0.1:{READY.admin_port}", ping_interval=None, max_size=None)
    return READY


def told(_durable: Future[Any]) -> None:
    """Say when, and end: what the day would go on with is not looked at."""
    print(json.dumps({"at": time.monotonic_ns(), "modules": sorted(sys.modules)}), flush=True)
    os._exit(0)


def watched(journal: SqliteJournal, stream: str, events: Any, **more: Any) -> Any:
    """Append, and watch for the first registration."""
    future = append(journal, stream, events, **more)
    if any(isinstance(event, Registered) for event in events):
        future.add_done_callback(told)
    return future


EmbeddedExchange.start = meet  # type: ignore[method-assign]
SqliteJournal.append = watched  # type: ignore[method-assign]
sys.exit(main(["run", "--profile", "demo", "--speed", "max", *sys.argv[2:]]))
