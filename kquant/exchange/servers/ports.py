"""The exchange on three loopback ports: REST (aiohttp), the KIS WebSocket and the admin WebSocket.

One event loop, no locks: each request or step runs the pure core to its end, then sends what it produced without
waiting for the peer. The admin port is no part of the KIS surface.
"""

import asyncio
import contextlib
import json
import time
from typing import Any, Final

import msgspec
from aiohttp import web
from websockets.asyncio.connection import broadcast
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from kquant.exchange.core.exchange import US, Exchange
from kquant.exchange.core.registrations import MESSAGES, WsSession
from kquant.exchange.core.rest import Request

HOST: Final = "127.0.0.1"
SLOW_BYTES: Final = 32 * 1024 * 1024
"""A client this far behind is cut off, as a real feed does."""
_ORDER_PATHS: Final = ("/trading/order-cash", "/trading/order-rvsecncl")


class Ports:
    """Serves one exchange. speed None: stepped through the admin port; else market seconds per wall second."""

    def __init__(self, exchange: Exchange, speed: float | None, info: dict[str, Any]) -> None:
        self.exchange = exchange
        self.speed = speed
        self.info = info
        self._sockets: dict[int, tuple[WsSession, ServerConnection]] = {}
        self._admin: ServerConnection | None = None
        self._lose_answers = 0
        self._delay_s = 0.0
        self._fail_next: str | None = None
        self._runner: web.AppRunner | None = None
        self._servers: list[Server] = []
        self._clock: asyncio.Task[None] | None = None
        self.failed = asyncio.Event()
        """Set when the clock that runs by itself has ended: market time would stand still without a word."""

    async def start(self, rest_port: int, ws_port: int, admin_port: int) -> dict[str, int]:
        """Bind the ports (0: any free one) and return them by name; raises OSError when one is busy."""
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{path:.*}", self._rest)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, rest_port, reuse_address=True)
        await site.start()
        quiet: dict[str, Any] = {"ping_interval": None, "compression": None, "close_timeout": 1}
        kis = await serve(self._kis, HOST, ws_port, **quiet)
        self._servers.append(kis)
        admin = await serve(self._serve_admin, HOST, admin_port, **quiet)
        self._servers.append(admin)
        if self.speed is not None:
            self._clock = asyncio.create_task(self._run(self.speed))
            self._clock.add_done_callback(lambda _: self.failed.set())
        return {
            "rest_port": int(self._runner.addresses[0][1]),
            "ws_port": int(next(iter(kis.sockets)).getsockname()[1]),
            "admin_port": int(next(iter(admin.sockets)).getsockname()[1]),
        }

    async def stop(self) -> None:
        """Close every port and connection. Raises what ended a clock that ran by itself."""
        if self._clock is not None:
            self._clock.cancel()
        for server in self._servers:
            server.close()
        for _, socket in self._sockets.values():
            socket.transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._clock is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._clock

    # -- KIS: REST ------------------------------------------------------------------------------------------

    async def _rest(self, http: web.Request) -> web.StreamResponse:
        raw = await http.read()
        body: object = {}
        if raw:
            try:
                body = msgspec.json.decode(raw)
            except msgspec.DecodeError:
                body = None
        if not isinstance(body, dict):
            failed = {"rt_cd": "2", "msg_cd": "OPSQ9997", "msg1": "JSON PARSING ERROR"}
            return web.json_response(failed, status=500)
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        if self._fail_next is not None and http.path.startswith("/uapi/"):
            code, self._fail_next = self._fail_next, None
            return web.json_response({"rt_cd": "1", "msg_cd": code, "msg1": "오류"}, status=500)
        request = Request(
            method=http.method,
            path=http.path,
            headers={name.lower(): value for name, value in http.headers.items()},
            params={name.upper(): value for name, value in http.query.items()},
            body=body,
        )
        answer = self.exchange.rest(request, time.time())
        self._flush()
        if self._lose_answers and http.path.endswith(_ORDER_PATHS) and answer.status == 200:
            self._lose_answers -= 1
            if http.transport is not None:
                http.transport.abort()
        response = web.Response(status=answer.status, body=answer.content)
        response.headers["content-type"] = answer.content_type
        for name, value in answer.headers.items():
            response.headers[name] = value
        return response

    # -- KIS: WebSocket -------------------------------------------------------------------------------------

    async def _kis(self, socket: ServerConnection) -> None:
        path = socket.request.path if socket.request is not None else "/"
        if path != "/" and not path.startswith("/tryitout"):
            await socket.close(1008, "unknown path")
            return
        session = self.exchange.ws_connect()
        self._sockets[session.number] = (session, socket)
        try:
            async for message in socket:
                text = message if isinstance(message, str) else message.decode(errors="replace")
                for answer in self.exchange.ws_receive(session, text):
                    broadcast((socket,), answer)
        except ConnectionClosed:
            pass  # a lost line ends the session like any other close
        finally:
            self._sockets.pop(session.number, None)
            self.exchange.ws_disconnect(session)

    def _flush(self) -> None:
        for session, text in self.exchange.take_outbox():
            held = self._sockets.get(session.number)
            if held is not None:
                broadcast((held[1],), text)
        for session, socket in list(self._sockets.values()):
            if socket.transport.get_write_buffer_size() > SLOW_BYTES:
                self.exchange.ws_disconnect(session)
                socket.transport.abort()

    # -- market time ----------------------------------------------------------------------------------------

    def _step(self, until_us: int) -> int:
        now = self.exchange.step(until_us)
        self._flush()
        self.exchange.persist_clock()
        return now

    async def _run(self, speed: float) -> None:
        loop = asyncio.get_running_loop()
        start_wall, start_us = loop.time(), self.exchange.now_us
        while True:
            target = start_us + int((loop.time() - start_wall) * speed * US)
            while self.exchange.now_us < target:
                self._step(target)
                await asyncio.sleep(0)
            await asyncio.sleep(min(0.05, 0.5 / speed))

    # -- admin ----------------------------------------------------------------------------------------------

    async def _serve_admin(self, socket: ServerConnection) -> None:
        if self._admin is not None:
            await socket.send('{"error":"another client holds the admin port"}')
            await socket.close(1013, "busy")
            return
        self._admin = socket
        try:
            async for message in socket:
                broadcast((socket,), json.dumps(self._admin_answer(message), ensure_ascii=False))
        except ConnectionClosed:
            pass  # the client may come back at any time
        finally:
            self._admin = None

    def _admin_answer(self, message: str | bytes) -> dict[str, Any]:
        try:
            call = msgspec.json.decode(message)
            operation = call["op"]
        except (msgspec.DecodeError, TypeError, KeyError):
            return {"error": "expected a JSON object with op"}
        match operation:
            case "hello":
                return self._hello()
            case "step":
                if self.speed is not None:
                    return {"error": "the clock runs by itself; step needs --speed max"}
                until = call.get("until")
                if not isinstance(until, int):
                    return {"error": f"until is UTC microseconds as a whole number, not {until!r}"}
                return {"now": self._step(until), **self._frames()}
            case "now":
                return {"now": self.exchange.now_us, "speed": self.speed}
            case "frames":
                return {"now": self.exchange.now_us, **self._frames()}
            case "ledger":
                return self._ledger()
            case "fault":
                return self._fault(call)
            case _:
                return {"error": f"unknown op {operation!r}"}

    def _hello(self) -> dict[str, Any]:
        exchange = self.exchange
        return {
            "now": exchange.now_us,
            "day": exchange.market.day.isoformat(),
            "open": exchange.midnight_us + exchange.market.open_second * US,
            "close": exchange.midnight_us + exchange.market.close_second * US,
            "mode": "step" if self.speed is None else "run",
            "speed": self.speed,
            "source": exchange.market.source,
            **self.info,
        }

    def _frames(self) -> dict[str, int]:
        if not self._sockets:
            return {"session": 0, "frames": 0}
        session = self._sockets[max(self._sockets)][0]
        return {"session": session.number, "frames": session.frames}

    def _ledger(self) -> dict[str, Any]:
        ledger = self.exchange.ledger
        cash: dict[str, Any] = msgspec.to_builtins(ledger.cash)
        return {
            "now": self.exchange.now_us,
            "cash": {**cash, "d0": ledger.cash.settled, "d2": ledger.cash.d2},
            "reserved": ledger.reserved(),
            "fees": ledger.cash.fees,
            "taxes": ledger.cash.taxes,
            "positions": [msgspec.to_builtins(row) for _, row in sorted(ledger.positions.items())],
            "orders": [{**msgspec.to_builtins(row), "leaves": row.leaves} for row in ledger.orders.values()],
            "fills": [msgspec.to_builtins(row) for row in ledger.fills],
        }

    def _fault(self, call: dict[str, Any]) -> dict[str, Any]:
        kind = call.get("kind")
        match kind:
            case "drop_ws":
                for session, socket in list(self._sockets.values()):
                    self._sockets.pop(session.number, None)
                    self.exchange.ws_disconnect(session)
                    socket.transport.abort()
            case "lose_order_answer":
                self._lose_answers += 1
            case "reject_order":
                self.exchange.desk.reject_next = True
            case "delay":
                self._delay_s = int(call.get("ms", 0)) / 1000
            case "rest_error":
                self._fail_next = str(call.get("code", "EGW00002"))
            case "ws_refuse" if call.get("code") in MESSAGES:
                self.exchange.hub.refuse_next = str(call["code"])
            case "ws_limit":
                self.exchange.hub.limit = int(call.get("limit", 41))
            case _:
                return {"error": f"unknown fault {kind!r}"}
        return {"ok": True}
