"""A local feed in a process of its own: sends background frames at a rate and single firing frames at a distance.

Reads one JSON line: {"background": file, "firing": file, "rate": frames/s, "gap": seconds, "lead": seconds}. Prints its
port, serves one connection, and ends with it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

TICK_SECONDS = 0.001


async def main(order: dict[str, Any]) -> None:
    """Serve one connection."""
    background, firing = _lines(order["background"]), _lines(order["firing"])
    over = asyncio.Event()

    async def handle(connection: ServerConnection) -> None:
        await _send(connection, background, firing, order)
        await connection.close()
        over.set()

    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await over.wait()


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()


async def _send(connection: ServerConnection, background: list[str], firing: list[str], order: dict[str, Any]) -> None:
    """Send every firing frame, and as many background frames as the rate asks for meanwhile.

    A firing frame goes first in its millisecond, so that the frames after it compete with what it sets off.
    """
    rate, gap, lead = order["rate"], order["gap"], order["lead"]
    loop = asyncio.get_running_loop()
    begun = loop.time()
    sent = fired = 0
    while fired < len(firing):
        await asyncio.sleep(TICK_SECONDS)
        passed = loop.time() - begun
        if passed >= lead + fired * gap:
            await connection.send(firing[fired])
            fired += 1
        while sent < passed * rate:
            await connection.send(background[sent % len(background)])
            sent += 1
    await asyncio.sleep(gap)


asyncio.run(main(json.loads(sys.stdin.readline())))
