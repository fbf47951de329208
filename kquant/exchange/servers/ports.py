"""The exchange on five loopback ports: REST (aiohttp) and WebSocket of each service, and the admin WebSocket.

One event loop, no locks: each request or step runs the pure core to its end, then sends what it produced without
waiting for the peer. Every call, answer, text, handshake and move of time passes the book of faults on its way; what it
holds back is sent when market time reaches its due. The admin port is no part of the KIS surface.
"""

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Struct
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as Handshake
from websockets.http11 import Response as Refusal

from kquant.exchange.core.books import Environment
from kquant.exchange.core.exchange import US, Exchange
from kquant.exchange.core.ports import Market
from kquant.exchange.core.registrations import WsSession
from kquant.exchange.core.rest import Request, Response
from kquant.exchange.core.service import Service
from kquant.exchange.core.state import ENVIRONMENTS
from kquant.exchange.faults import Before, FaultBook, Now
from kquant.exchange.faults.verdicts import After, Drop, Lose
from kquant.exchange.servers.admin import Admin
from kquant.exchange.servers.lines import KisConnection

HOST: Final = "127.0.0.1"
SLOW_BYTES: Final = 32 * 1024 * 1024
"""A client this far behind is cut off, as a real feed does."""
DAY_S: Final = 86_400
ECHO_S: Final = 40.0
"""A client that leaves PINGPONG unanswered this many wall seconds is cut off. Source: kis-protocol.md 2.3, 7.6."""
_ORDERLY: Final = (1000, 1001, 1005)
"""How a client says goodbye; 1005 is a close frame without a code."""


class PortNumbers(Struct, frozen=True, kw_only=True):
    """The ports to listen on; 0 takes any free one."""

    rest: int = 0
    ws: int = 0
    paper_rest: int = 0
    paper_ws: int = 0
    admin: int = 0


class PortError(Exception):
    """A port cannot be opened; the one-line message names it."""


class Ports:
    """Serves one exchange.

    speed None: stepped through the admin port; else market seconds per wall second.   about: what the admin port says
    of a day's market.   wall: epoch seconds that tokens and limits count by; left out it is the machine's, or market time
    where that is stepped and a minute may pass in a blink.   shift_us: market time is the wall's plus this, whatever the
    wall does; None: it goes on from where it is.
    """

    def __init__(
        self,
        exchange: Exchange,
        speed: float | None,
        about: Callable[[Market], dict[str, Any]] = lambda _: {},
        *,
        wall: Callable[[], float] | None = None,
        shift_us: int | None = None,
        faults: FaultBook | None = None,
    ) -> None:
        self.exchange = exchange
        self.speed = speed
        self.about = about
        self.wall = wall or (time.time if speed is not None else lambda: exchange.now_us / US)
        self._patience = wall or time.time  # a client answers in its own time, however far a step reaches
        self._shift_us = shift_us
        self.faults = FaultBook() if faults is None else faults
        self.sockets: dict[WsSession, tuple[Service, KisConnection]] = {}
        for service in exchange.services.values():
            service.limit.second_s = 1.0 / max(speed or 1.0, 1.0)
        self.failed = asyncio.Event()
        """Set when the clock that runs by itself has ended: market time would stand still without a word."""
        self._asked: dict[WsSession, float] = {}
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
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

        async def handle(line: ServerConnection) -> None:
            if not isinstance(line, KisConnection):
                raise TypeError(f"a line is a KisConnection, not {type(line).__name__}")
            await self._kis(service, line)

        def welcome(line: ServerConnection, _: Handshake) -> Refusal | None:
            verdict = self.faults.connecting(environment, self._now())
            if isinstance(line, KisConnection):
                line.drop = verdict.drop
            return line.respond(verdict.status, "Service Unavailable\n") if verdict.status else None

        server = await serve(
            handle,
            HOST,
            port,
            ping_interval=None,
            compression=None,
            close_timeout=1,
            create_connection=KisConnection,
            process_request=welcome,
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
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                body = None
        if not isinstance(body, dict):
            failed = {"rt_cd": "2", "msg_cd": "OPSQ9997", "msg1": "JSON PARSING ERROR"}
            return web.json_response(failed, status=500)
        request = Request(
            method=http.method,
            path=_one_slash(http.path),
            headers={name.lower(): value for name, value in http.headers.items()},
            params={name.upper(): value for name, value in http.query.items()},
            body=body,
        )
        before = self.faults.before(service.environment, request, self._now())
        await self._delay(before)
        if before.lose:
            return await self._lose(http, before.lose)
        if before.reply is not None:
            return _response(before.reply)
        if before.reject_order:
            service.desk.reject_next = True
        answer = service.rest(before.request, self.wall())
        service.desk.reject_next = False  # an order refused over REST never reaches the exchange
        self.flush()
        after = self.faults.after(service.environment, request, answer, self._now())
        await self._delay(after)
        if after.lose:
            return await self._lose(http, after.lose)
        return _response(after.response)

    async def _delay(self, verdict: Before | After) -> None:
        """Wait as a fault says: on the wall, or until market time has moved on."""
        if verdict.wall_ms:
            await asyncio.sleep(verdict.wall_ms / 1_000)
        if verdict.market_ms:
            moved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((self.exchange.now_us + verdict.market_ms * 1_000, moved))
            await moved

    async def _lose(self, http: web.Request, how: Lose) -> web.StreamResponse:
        """Never answer: end the connection, or leave the client waiting until it or the exchange ends."""
        if how == "hang":
            await asyncio.get_running_loop().create_future()
        if http.transport is not None:
            http.transport.abort()
        return web.Response()

    # -- KIS: WebSocket -------------------------------------------------------------------------------------

    async def _kis(self, service: Service, line: KisConnection) -> None:
        path = line.request.path if line.request is not None else "/"
        if path != "/" and not path.startswith("/tryitout"):
            await line.close(1008, "unknown path")
            return
        session = service.ws_connect()
        environment = service.environment
        self.sockets[session] = (service, line)
        line.on_pong = lambda: service.hub.ponged(session)
        line.mutes_pong = lambda: self.faults.mutes_pong(environment, self._now())
        if line.drop:
            self.end(session, line.drop)
        try:
            async for message in line:
                if session not in self.sockets:
                    break  # what a dead line still had in its buffer was never received
                text = message if isinstance(message, str) else message.decode(errors="replace")
                self._receive(service, session, text)
        except ConnectionClosed:
            pass  # a lost line ends the session like any other close
        finally:
            self.sockets.pop(session, None)
            closed = line.protocol.close_rcvd
            self._forget(service, session, orderly=closed is not None and closed.code in _ORDERLY)

    def _receive(self, service: Service, session: WsSession, text: str) -> None:
        verdict = self.faults.incoming(service.environment, session, text, self._now())
        if verdict.answers is None:
            for answer in service.ws_receive(session, text, self.wall()):
                self._send(session, answer)
        else:
            for answer in verdict.answers:
                self.sockets[session][1].send_text(answer)
        if verdict.drop:
            self.end(session, verdict.drop)

    def _send(self, session: WsSession, text: str) -> None:
        """Send what the faults leave of one text of the core."""
        held = self.sockets.get(session)
        if held is None:
            return
        service, line = held
        if self.faults.quiet:
            line.send_text(text)
            return
        verdict = self.faults.outgoing(service.environment, session, text, self._now())
        for left in verdict.texts:
            line.send_text(left)
        if verdict.swallowed_ping:
            service.hub.ponged(session)
        if verdict.drop:
            self.end(session, verdict.drop)

    def cut(self, session: WsSession) -> None:
        """End a connection without a word; a frozen one stays open towards its client."""
        service, line = self.sockets.pop(session)
        self._forget(service, session)
        if not line.frozen:
            line.transport.abort()

    def end(self, session: WsSession, how: Drop) -> None:
        """End a connection as a fault says: without a word, or with a close frame."""
        if how == "close" and session in self.sockets:
            service, line = self.sockets.pop(session)
            self._forget(service, session)
            line.say_goodbye()
        elif session in self.sockets:
            self.cut(session)

    def _forget(self, service: Service, session: WsSession, *, orderly: bool = False) -> None:
        self._asked.pop(session, None)
        self.faults.disconnected(service.environment, session.number)
        service.ws_disconnect(session, orderly=orderly)

    def flush(self) -> None:
        """Send what the core produced and what has fallen due; cut off whoever is too slow, silent or due to be."""
        for session, text in self.exchange.take_outbox():
            self._send(session, text)
        for environment, number, text in self.faults.release(self._now()):
            for session, (service, line) in self.sockets.items():
                if (service.environment, session.number) == (environment, number):
                    line.send_text(text)
        now, wall = self.exchange.now_us // US, self._patience()
        for session, (_, line) in list(self.sockets.items()):
            if session.unanswered == 0:
                self._asked.pop(session, None)
            silent = session.unanswered > 0 and wall - self._asked.setdefault(session, wall) >= ECHO_S
            if silent or session.is_over(now) or line.transport.get_write_buffer_size() > SLOW_BYTES:
                self.cut(session)

    def let_faults_act(self) -> None:
        """Do what faults do by themselves now; called after each move of time and when one is set."""
        lines = {(service.environment, session.number): session for session, (service, _) in self.sockets.items()}
        for act, environment, number in self.faults.moments(tuple(lines), self._now()):
            if act in ("revoke", "expire"):
                service = self.exchange.services[environment]
                service.office.void(self.wall(), expired=act == "expire")
                service.commit()
                continue
            session = lines[environment, number]
            if act == "freeze" and session in self.sockets:
                self.sockets[session][1].frozen = True
            elif act in ("abort", "close"):
                self.end(session, "close" if act == "close" else "abort")

    def _now(self) -> Now:
        return Now(self.exchange.now_us, self.exchange.second % DAY_S, self.wall())

    # -- market time ----------------------------------------------------------------------------------------

    def step(self, until_us: int) -> int:
        """Let market time move towards *until_us* once, send its frames, and return the new time."""
        now = self.exchange.step(until_us)
        if self.speed is None:
            # Under a clock that runs, steps are as long as it happens: there the wall tells the seconds (1.8).
            for service in self.exchange.services.values():
                service.limit.step()
        self.flush()
        self.let_faults_act()
        due = [moved for due_us, moved in self._waiting if due_us <= now]
        self._waiting = [waiting for waiting in self._waiting if waiting[0] > now]
        for moved in due:
            if not moved.done():
                moved.set_result(None)
        self.exchange.persist_clock()
        return now

    async def _run(self, speed: float) -> None:
        loop = asyncio.get_running_loop()
        start_wall, start_us = loop.time(), self.exchange.now_us
        prepared: dt.date | None = None
        while True:
            following = self.exchange.next_day
            if self.exchange.is_over and following is not None and following != prepared:
                # Generating a market takes seconds; the evening has them, midnight has not.
                await asyncio.to_thread(self.exchange.days.market, following)
                prepared = following
            if self._shift_us is None:
                target = start_us + int((loop.time() - start_wall) * speed * US)
            else:
                target = int(self.wall() * US) + self._shift_us
            while self.exchange.now_us < target:
                self.step(target)
                await asyncio.sleep(0)
            await asyncio.sleep(min(0.05, 0.5 / speed))


def _one_slash(path: str) -> str:
    """Return *path* as it is routed: published clients put a host's and a path's slash one after the other."""
    return f"/{'/'.join(part for part in path.split('/') if part)}"


def _response(answer: Response) -> web.Response:
    response = web.Response(status=answer.status, body=answer.content)
    # The only header names in lower case are KIS's own: its official sample makes identifiers of all that are (7.6).
    response.headers["Content-Type"] = answer.content_type
    for name, value in answer.headers.items():
        response.headers[name] = value
    return response


async def _opened(port: int, open_port: Callable[[Environment, int], Any], environment: Environment) -> int:
    try:
        return int(await open_port(environment, port))
    except OSError as error:
        raise PortError(f"cannot open port {port} on {HOST}: {error.strerror or error}") from error
