"""A local broker in a process of its own that acknowledges registrations and sends frames as fast as they are taken.

Prints its port. Then reads a JSON line an order, {"path": file of frames, "first": index, "count": frames}, sends that
part to the newest connection and prints "sent". Ends with its input. Frames are put together beforehand, so that the
sender costs next to nothing while the receiver is measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

CHUNK = 200
AHEAD = 1 << 20
"""Bytes that may wait in the socket's buffer."""


class Sender:
    """Holds the newest connection, and the frames of each file as bytes of the wire."""

    def __init__(self) -> None:
        self.newest: ServerConnection | None = None
        self.files: dict[str, list[bytes]] = {}

    async def handle(self, connection: ServerConnection) -> None:
        """Serve one connection until it ends."""
        self.newest = connection
        with suppress(ConnectionClosed):
            await self.acknowledge(connection)

    async def acknowledge(self, connection: ServerConnection) -> None:
        """Say yes to every registration."""
        async for text in connection:
            asked = json.loads(text)
            given = asked["body"]["input"]
            code = "OPSP0000" if asked["header"]["tr_type"] == "1" else "OPSP0001"
            body = {"rt_cd": "0", "msg_cd": code, "msg1": "SUCCESS"}
            await connection.send(json.dumps({"header": {**given, "encrypt": "N"}, "body": body}))

    def load(self, path: str) -> list[bytes]:
        """Return a file's frames."""
        if path not in self.files:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
            wire = [Frame(Opcode.TEXT, line.encode()).serialize(mask=False) for line in lines]
            self.files[path] = wire
        return self.files[path]

    async def send(self, path: str, first: int, count: int) -> None:
        """Send a part of a file."""
        frames = self.load(path)[first : first + count]
        if self.newest is None:
            raise RuntimeError("nobody is connected")
        transport = self.newest.transport
        for start in range(0, len(frames), CHUNK):
            while transport.get_write_buffer_size() > AHEAD:  # noqa: ASYNC110  the transport tells nobody
                await asyncio.sleep(0.001)
            transport.write(b"".join(frames[start : start + CHUNK]))
        while transport.get_write_buffer_size():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def main() -> None:
    """Serve until the input ends."""
    sender = Sender()
    loop = asyncio.get_running_loop()
    async with serve(sender.handle, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            order = json.loads(line)
            if order["count"] == 0:
                sender.load(order["path"])
            else:
                await sender.send(order["path"], order["first"], order["count"])
            print("sent", flush=True)


asyncio.run(main())
