"""An exchange on real sockets with faults, and plain aiohttp and websockets clients written from the protocol document."""

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from msgspec import structs
from websockets.asyncio.client import ClientConnection, connect

from kquant.exchange.core.exchange import Exchange, ExchangeOptions
from kquant.exchange.faults import FaultBook
from kquant.exchange.market.model import Print
from kquant.exchange.servers.ports import PortNumbers, Ports
from tests.exchange.fake_market import OPEN, FakeMarket, stock
from tests.exchange.helpers import BALANCE, CANO, DAILY, OPTIONS, PAPER, PREFIX, WALL

CODES = [f"{n:06d}" for n in range(1, 46)]
PRINTS = [Print(OPEN + at, 10_000 + 10 * (at % 3), 1_000, 1) for at in range(1, 180)]
QUOTE = ("/quotations/inquire-price", "FHKST01010100", {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": "000001"})
COVERED: set[str] = set()
"""Kinds of faults that some test drives over sockets."""


def covers(*kinds: str) -> Callable[[Any], Any]:
    """Note that a test drives *kinds* over real sockets."""

    def note(test: Any) -> Any:
        COVERED.update(kinds)
        return test

    return note


class Answer:
    """One REST answer as the client sees it."""

    def __init__(self, status: int, headers: Any, raw: bytes) -> None:
        self.status = status
        self.headers = headers
        self.raw = raw

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


class Feed:
    """One WebSocket line of a client."""

    def __init__(self, socket: ClientConnection, approval: str) -> None:
        self.socket = socket
        self.approval = approval
        self.keys: dict[str, tuple[str, str]] = {}

    async def ask(self, tr_id: str, tr_key: str, tr_type: str = "1") -> None:
        header = {"approval_key": self.approval, "custtype": "P", "tr_type": tr_type, "content-type": "utf-8"}
        await self.socket.send(json.dumps({"header": header, "body": {"input": {"tr_id": tr_id, "tr_key": tr_key}}}))

    async def register(self, tr_id: str, tr_key: str) -> str:
        """Register and return the code of the answer."""
        await self.ask(tr_id, tr_key)
        return self.code(await self.read())

    async def read(self) -> str:
        return str(await self.socket.recv())

    async def read_on(self, seen: list[str]) -> None:
        """Add what comes to *seen* until the line ends, which raises."""
        while True:
            seen.append(await self.read())

    async def all(self) -> list[str]:
        """Return everything sent so far: what arrives before the answer to a request that changes nothing."""
        await self.ask("H0STCNT0", CODES[-1], tr_type="2")
        found = []
        while True:
            text = await self.read()
            if text.startswith("{") and self.code(text) == "OPSP0003":
                return found
            found.append(text)

    def code(self, text: str) -> str:
        frame = json.loads(text)
        output = frame.get("body", {}).get("output")
        if output is not None:
            self.keys[frame["header"]["tr_id"]] = (output["key"], output["iv"])
        return str(frame.get("body", {}).get("msg_cd", frame["header"]["tr_id"]))

    def notice(self, text: str) -> list[str]:
        """Return the fields of an execution notice."""
        flag, tr_id, _, payload = text.split("|", 3)
        assert flag == "1"
        key, iv = self.keys[tr_id]
        decryptor = Cipher(algorithms.AES(key.encode()), modes.CBC(iv.encode())).decryptor()
        plain = decryptor.update(base64.b64decode(payload)) + decryptor.finalize()
        return plain[: -plain[-1]].decode().split("^")


class Wall:
    """The wall's clock, moved by hand."""

    def __init__(self) -> None:
        self.now = WALL

    def __call__(self) -> float:
        return self.now


class World:
    """The exchange, its ports, and what a client needs to call them."""

    def __init__(
        self, ports: Ports, wall: Wall, bound: dict[str, int], http: aiohttp.ClientSession, admin: ClientConnection
    ) -> None:
        self.ports = ports
        self.wall = wall
        self.bound = bound
        self.http = http
        self._admin = admin
        self._tokens: dict[str, str] = {}

    # -- admin ----------------------------------------------------------------------------------------------

    async def admin(self, **call: object) -> Any:
        return await self.admin_text(json.dumps(call))

    async def admin_text(self, text: str | bytes) -> Any:
        await self._admin.send(text)
        return json.loads(await self._admin.recv())

    async def fault(self, kind: str, **given: object) -> int:
        answer = await self.admin(op="fault", kind=kind, **given)
        assert "error" not in answer, answer
        return int(answer["id"])

    async def hits(self) -> dict[str, int]:
        return {row["kind"]: row["hits"] for row in (await self.admin(op="faults"))["faults"]}

    async def step(self, second: int) -> Any:
        """Play market time until KST *second* is next; return the last answer."""
        until = self.ports.exchange.midnight_us + second * 1_000_000
        answer = await self.admin(op="now")
        while answer["now"] < until:
            answer = await self.admin(op="step", until=until)
        return answer

    async def orders(self) -> list[dict[str, Any]]:
        """Return the orders of the exchange's own books."""
        found: list[dict[str, Any]] = (await self.admin(op="ledger"))["orders"]
        return found

    # -- REST -----------------------------------------------------------------------------------------------

    def url(self, path: str, service: str = "real") -> str:
        port = self.bound["rest_port" if service == "real" else "paper_rest_port"]
        return f"http://127.0.0.1:{port}{path}"

    def keys(self, service: str = "real") -> dict[str, str]:
        options = OPTIONS if service == "real" else PAPER
        return {"appkey": options.app_key, "appsecret": options.app_secret}

    async def login(self, service: str = "real") -> Answer:
        body = {"grant_type": "client_credentials", **self.keys(service)}
        answer = await self.send("POST", "/oauth2/tokenP", service, json=body)
        if answer.status == 200:
            self._tokens[service] = answer.body["access_token"]
        return answer

    async def send(self, method: str, path: str, service: str = "real", **given: Any) -> Answer:
        async with self.http.request(method, self.url(path, service), **given) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def headers(self, tr_id: str, service: str = "real") -> dict[str, str]:
        if service not in self._tokens:
            await self.login(service)
        token = self._tokens[service]
        return {"authorization": f"Bearer {token}", "tr_id": tr_id, "custtype": "P", **self.keys(service)}

    async def get(
        self, path: str, tr_id: str, params: dict[str, str], tr_cont: str = "", service: str = "real"
    ) -> Answer:
        headers = await self.headers(tr_id, service) | {"tr_cont": tr_cont}
        return await self.send("GET", PREFIX + path, service, params=params, headers=headers)

    async def quote(self, code: str = "000001") -> Answer:
        path, tr_id, params = QUOTE
        return await self.get(path, tr_id, params | {"FID_INPUT_ISCD": code})

    async def balance(self, tr_cont: str = "", key: str = "") -> Answer:
        params = BALANCE | {"CTX_AREA_NK100": key}
        return await self.get("/trading/inquire-balance", "TTTC8434R", params, tr_cont)

    async def daily(self) -> Answer:
        return await self.get("/trading/inquire-daily-ccld", "TTTC0081R", DAILY)

    async def order(self, qty: int, code: str = "000001", price: int = 0) -> Answer:
        division = "00" if price else "01"
        body = CANO | {"PDNO": code, "ORD_DVSN": division, "ORD_QTY": str(qty), "ORD_UNPR": str(price)}
        headers = await self.headers("TTTC0012U")
        return await self.send("POST", f"{PREFIX}/trading/order-cash", json=body, headers=headers)

    # -- WebSocket ------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def feed(self) -> AsyncIterator[Feed]:
        """Open a line of the real service."""
        body = {"grant_type": "client_credentials", "appkey": OPTIONS.app_key, "secretkey": OPTIONS.app_secret}
        approval = (await self.send("POST", "/oauth2/Approval", json=body)).body["approval_key"]
        async with self.line() as socket:
            yield Feed(socket, approval)

    @contextlib.asynccontextmanager
    async def line(self, service: str = "real") -> AsyncIterator[ClientConnection]:
        """Open a bare connection."""
        port = self.bound["ws_port" if service == "real" else "paper_ws_port"]
        url = f"ws://127.0.0.1:{port}/tryitout"
        socket = await connect(url, ping_interval=None, compression=None, close_timeout=0.2)
        try:
            yield socket
        finally:
            await socket.close()


@contextlib.asynccontextmanager
async def open_world(
    faults: FaultBook | None = None, speed: float | None = None, latency_s: int = 0
) -> AsyncIterator[World]:
    """Open an exchange over a tiny market at 09:00:10 on free ports."""
    rows = [stock(code) for code in CODES]
    market = FakeMarket(rows, {"000001": PRINTS, "000002": PRINTS})
    real = structs.replace(OPTIONS, latency_s=latency_s)
    options = ExchangeOptions(real=real, paper=PAPER, start_second=OPEN + 10)
    wall = Wall()
    ports = Ports(Exchange(market, options), speed, wall=wall, faults=faults)
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        stack.push_async_callback(ports.stop)
        bound = await ports.start(PortNumbers())
        admin = await stack.enter_async_context(
            connect(f"ws://127.0.0.1:{bound['admin_port']}", ping_interval=None, compression=None)
        )
        yield World(ports, wall, bound, http, admin)
