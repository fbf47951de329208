"""The exchange on five loopback ports: REST (aiohttp) and WebSocket of each service, and the admin WebSocket.

One event loop, no locks: each request or step runs the pure core to its end, then sends what it produced without
waiting for the peer. The admin port is no part of the KIS surface.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Struct
from websockets.asyncio.connection import broadcast
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from kquant.exchange.core.exchange import US, Exchange
from kquant.exchange.core.registrations import WsSession
from kquant.exchange.core.rest import Request
from kquant.exchange.core.service import Service
from kquant.exchange.core.state import ENVIRONMENTS, Environment
from kquant.exchange.servers.admin import Admin

HOST: Final = "127.0.0.1"
SLOW_BYTES: Final = 32 * 1024 * 1024
"""A client this far behind is cut off, as a real feed does."""
ECHO_S: Final = 40.0
"""A client that leaves PINGPONG unanswered this many wall seconds is cut off. Source: kis-protocol.md 2.3, 7.6."""
_ORDER_PATHS: Final = ("/trading/order-cash", "/trading/order-rvsecncl")
_ORDERLY: Final = (1000, 1001)


class PortNumbers(Struct, frozen=True, kw_only=True):
    """The ports to listen on; 0 takes any free one."""

    rest: int = 0
    ws: int = 0
    paper_rest: int = 0
    paper_ws: int = 0
    admin: int = 0


class PortError(Exception):
    """A port cannot be opened; the one-line message names it."""


class KisConnection(ServerConnection):
    """A connection that tells of pongs: some clients answer PINGPONG with one instead of the text (2.3)."""

    on_pong: Callable[[], None] | None = None

    def process_event(self, event: Any) -> None:
        """Hand the event on, after telling of a pong."""
        if self.on_pong is not None and isinstance(event, Frame) and event.opcode is Opcode.PONG:
            self.on_pong()
        super().process_event(event)


class Ports:
    """Serves one exchange. speed None: stepped through the admin port; else market seconds per wall second."""

    def __init__(
        self,
        exchange: Exchange,
        speed: float | None,
        info: dict[str, Any],
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.exchange = exchange
        self.speed = speed
        self.info = info
        self.wall = wall
        self.sockets: dict[WsSession, tuple[Service, ServerConnection]] = {}
        self.lose_answers = 0
        self.delay_s = 0.0
        self.fail_next: str | None = None
        self.failed = asyncio.Event()
        """Set when the clock that runs by itself has ended: market time would stand still without a word."""
        self._asked: dict[WsSession, float] = {}
        self._runners: list[web.AppRunner] = []
        self._servers: list[Server] = []
        self._clock: asyncio.Task[None] | None = None

    async def start(self, wanted: PortNumbers) -> dict[str, int]:
        """Bind the ports and return their numbers by name; raises PortError when one is busy."""
        bound = {}
        for environment in ENVIRONMENTS:
            prefix = "" if environment == "real" else "paper_"
            for kind in ("rest", "ws"):
                name = f"{prefix}{kind}"
                open_port = self._start_rest if kind == "rest" else self._start_ws
                bound[f"{name}_port"] = await _opened(getattr(wanted, name), open_port, environment)
        bound["admin_port"] = await _opened(wanted.admin, self._start_admin, "real")
        if self.speed is not None:
            self._clock = asyncio.create_task(self._run(self.speed))
            self._clock.add_done_callback(lambda _: self.failed.set())
        return bound

    async def stop(self) -> None:
        """Close every port and connection. Raises what ended a clock that ran by itself."""
        if self._clock is not None:
            self._clock.cancel()
        for server in self._servers:
            server.close()
        for _, socket in self.sockets.values():
            socket.transport.abort()
        for runner in self._runners:
            await runner.cleanup()
        if self._clock is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._clock

    async def _start_rest(self, environment: Environment, port: int) -> int:
        service = self.exchange.services[environment]

        async def handle(http: web.Request) -> web.StreamResponse:
            return await self._rest(service, http)

        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.2)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, HOST, port, reuse_address=True).start()
        return int(runner.addresses[0][1])

    async def _start_ws(self, environment: Environment, port: int) -> int:
        service = self.exchange.services[environment]

        async def handle(socket: ServerConnection) -> None:
            await self._kis(service, socket)

        server = await serve(
            handle, HOST, port, ping_interval=None, compression=None, close_timeout=1, create_connection=KisConnection
        )
        self._servers.append(server)
        return int(next(iter(server.sockets)).getsockname()[1])

    async def _start_admin(self, _: Environment, port: int) -> int:
        server = await serve(Admin(self).serve, HOST, port, ping_interval=None, compression=None, close_timeout=1)
        self._servers.append(server)
        return int(next(iter(server.sockets)).getsockname()[1])

    # -- KIS: REST ------------------------------------------------------------------------------------------

    async def _rest(self, service: Service, http: web.Request) -> web.StreamResponse:
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
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.fail_next is not None and http.path.startswith("/uapi/"):
            code, self.fail_next = self.fail_next, None
            return web.json_response({"rt_cd": "1", "msg_cd": code, "msg1": "오류"}, status=500)
        request = Request(
            method=http.method,
            path=http.path,
            headers={name.lower(): value for name, value in http.headers.items()},
            params={name.upper(): value for name, value in http.query.items()},
            body=body,
        )
        answer = service.rest(request, self.wall())
        self.flush()
        if self.lose_answers and http.path.endswith(_ORDER_PATHS) and answer.status == 200:
            self.lose_answers -= 1
            if http.transport is not None:
                http.transport.abort()
        response = web.Response(status=answer.status, body=answer.content)
        response.headers["content-type"] = answer.content_type
        for name, value in answer.headers.items():
            response.headers[name] = value
        return response

    # -- KIS: WebSocket -------------------------------------------------------------------------------------

    async def _kis(self, service: Service, socket: ServerConnection) -> None:
        path = socket.request.path if socket.request is not None else "/"
        if path != "/" and not path.startswith("/tryitout"):
            await socket.close(1008, "unknown path")
            return
        session = service.ws_connect()
        self.sockets[session] = (service, socket)
        if isinstance(socket, KisConnection):
            socket.on_pong = lambda: service.hub.ponged(session)
        try:
            async for message in socket:
                text = message if isinstance(message, str) else message.decode(errors="replace")
                for answer in service.ws_receive(session, text, self.wall()):
                    broadcast((socket,), answer)
        except ConnectionClosed:
            pass  # a lost line ends the session like any other close
        finally:
            self.sockets.pop(session, None)
            self._asked.pop(session, None)
            closed = socket.protocol.close_rcvd
            service.ws_disconnect(session, orderly=closed is not None and closed.code in _ORDERLY)

    def cut(self, session: WsSession) -> None:
        """End a connection without a word."""
        service, socket = self.sockets.pop(session)
        service.ws_disconnect(session)
        socket.transport.abort()

    def flush(self) -> None:
        """Send what the core produced; cut off whoever is too slow, silent or due to be."""
        for session, text in self.exchange.take_outbox():
            held = self.sockets.get(session)
            if held is not None:
                broadcast((held[1],), text)
        now, wall = self.exchange.now_us // US, self.wall()
        for session, (_, socket) in list(self.sockets.items()):
            if session.unanswered == 0:
                self._asked.pop(session, None)
            silent = session.unanswered > 0 and wall - self._asked.setdefault(session, wall) >= ECHO_S
            due = session.ends_at is not None and now >= session.ends_at
            if silent or due or socket.transport.get_write_buffer_size() > SLOW_BYTES:
                self.cut(session)

    # -- market time ----------------------------------------------------------------------------------------

    def step(self, until_us: int) -> int:
        """Let market time move towards *until_us* once, send its frames, and return the new time."""
        now = self.exchange.step(until_us)
        self.flush()
        self.exchange.persist_clock()
        return now

    async def _run(self, speed: float) -> None:
        loop = asyncio.get_running_loop()
        start_wall, start_us = loop.time(), self.exchange.now_us
        while True:
            target = start_us + int((loop.time() - start_wall) * speed * US)
            while self.exchange.now_us < target:
                self.step(target)
                await asyncio.sleep(0)
            await asyncio.sleep(min(0.05, 0.5 / speed))


async def _opened(port: int, open_port: Callable[[Environment, int], Any], environment: Environment) -> int:
    try:
        return int(await open_port(environment, port))
    except OSError as error:
        raise PortError(f"cannot open port {port} on {HOST}: {error.strerror or error}") from error
