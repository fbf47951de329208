"""A local broker in a process of its own: sends a market's frames at a rate, takes orders, and says when they came.

Prints {"rest": port, "ws": port}. Then answers a JSON line an order, each in its turn:
{"do": "registered", "count": n} once n stocks are registered; {"do": "play", "frames": file, "rate": a second,
"firing": {index of a frame: stock}} once every firing frame had its order, or PATIENCE_SECONDS after the last frame, with
{"sent": {stock: ns}, "arrived": {stock: [ns, ...]}, "late": ns}, all of the machine's monotonic clock: when the firing
frame was handed to the kernel, and when the last byte of each order's request was here; late: how far the sender was
behind its own timetable at worst. Ends with its input.

It holds ten shares of every stock registered, and lists its orders as open: nothing fills.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

ORDER_PATH = "/uapi/domestic-stock/v1/trading/order-cash"
PATIENCE_SECONDS = 5.0
START_SECONDS = 30.0
QTY, COST = 10, 70_000
KEYS = {"iv": "0123456789abcdef", "key": "0123456789abcdef0123456789abcdef"}
LISTED = {
    "ord_gno_brno": "06010", "orgn_odno": "", "sll_buy_dvsn_cd": "01", "sll_buy_dvsn_cd_name": "매도", "ord_dvsn_cd": "01",
    "ord_qty": str(QTY), "ord_unpr": "0", "tot_ccld_qty": "0", "tot_ccld_amt": "0", "rmn_qty": str(QTY),
    "cnc_cfrm_qty": "0", "rjct_qty": "0", "ord_tmd": "100000", "excg_id_dvsn_cd": "KRX",
}  # fmt: skip


class Broker:
    """What is registered and ordered, and when."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.registered: set[str] = set()
        self.connection: ServerConnection | None = None
        self.arrived: dict[str, list[int]] = {}
        self.numbers: dict[str, str] = {}

    async def feed(self, connection: ServerConnection) -> None:
        """Serve one feed connection: say yes to every registration."""
        self.connection = connection
        with suppress(ConnectionClosed):
            async for text in connection:
                asked = json.loads(text)
                if asked["header"].get("tr_id") == "PINGPONG":
                    continue
                given = asked["body"]["input"]
                notice = given["tr_id"].startswith("H0STCNI")
                if not notice:
                    self.registered.add(given["tr_key"])
                body = {"rt_cd": "0", "msg_cd": "OPSP0000", "msg1": "SUBSCRIBE SUCCESS", "output": KEYS}
                await connection.send(
                    json.dumps({"header": {**given, "encrypt": "Y" if notice else "N"}, "body": body})
                )
                self.changed.set()

    def answer(self, path: str, body: bytes, at: int) -> dict[str, Any]:
        """Return the answer to a call whose last byte came at *at*."""
        match path:
            case "/oauth2/tokenP":
                return {
                    "access_token": "local-token", "token_type": "Bearer", "expires_in": 86_400,
                    "access_token_token_expired": "2099-12-31 00:00:00",
                }  # fmt: skip
            case "/oauth2/Approval":
                return {"approval_key": "local-approval"}
            case _ if path == ORDER_PATH:
                return self._order(json.loads(body)["PDNO"], at)
            case _ if path.endswith("/inquire-balance"):
                return self._balance()
            case _ if path.endswith("/inquire-daily-ccld"):
                rows = [
                    {**LISTED, "odno": number, "pdno": code, "prdt_name": code} for code, number in self.numbers.items()
                ]
                return {
                    "rt_cd": "0",
                    "msg_cd": "KIOK0510",
                    "msg1": "",
                    "output1": rows,
                    "output2": {"tot_ccld_qty": "0"},
                }
            case _:
                return {"rt_cd": "1", "msg_cd": "OPSQ0002", "msg1": "not served here"}

    def _order(self, code: str, at: int) -> dict[str, Any]:
        self.arrived.setdefault(code, []).append(at)
        number = self.numbers[code] = f"{len(self.numbers) + 1:010d}"
        self.changed.set()
        output = {"KRX_FWDG_ORD_ORGNO": "06010", "ODNO": number, "ORD_TMD": "100000"}
        return {"rt_cd": "0", "msg_cd": "APBK0013", "msg1": "주문 전송 완료 되었습니다.", "output": output}

    def _balance(self) -> dict[str, Any]:
        cost = str(QTY * COST)
        rows = [
            {"pdno": code, "prdt_name": code, "hldg_qty": str(QTY), "ord_psbl_qty": str(QTY), "pchs_amt": cost}
            for code in holdings()
        ]
        total = str(QTY * COST * len(rows))
        sums = {
            "scts_evlu_amt": total, "pchs_amt_smtl_amt": total, "prvs_rcdl_excc_amt": "10000000",
            "dnca_tot_amt": "10000000", "nxdy_excc_amt": "10000000",
        }  # fmt: skip
        return {"rt_cd": "0", "msg_cd": "KIOK0510", "msg1": "", "output1": rows, "output2": [sums]}

    async def play(self, frames: str, rate: int, firing: dict[str, str]) -> dict[str, Any]:
        """Send every frame in its time and wait for the orders."""
        wire = _wire(Path(frames))
        at = {int(index): code for index, code in firing.items()}
        if self.connection is None:
            raise RuntimeError("nobody is connected")
        write, clock, sent, late = self.connection.transport.write, time.monotonic_ns, {}, 0
        begun, gap = clock(), 1_000_000_000 // rate
        for index, frame in enumerate(wire):
            left = begun + index * gap - clock()
            if left > 0:
                await asyncio.sleep(left / 1e9)
            else:
                late = max(late, -left)
            if index in at:
                sent[at[index]] = clock()
            write(frame)
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.reached(lambda: all(code in self.arrived for code in sent))
        return {"sent": sent, "arrived": self.arrived, "late": late}

    async def reached(self, condition: Any) -> None:
        """Return once a condition holds."""
        while not condition():
            self.changed.clear()
            await self.changed.wait()


def _wire(path: Path) -> list[bytes]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Frame(Opcode.TEXT, line.encode()).serialize(mask=False) for line in lines]


class Rest(asyncio.Protocol):
    """One keep-alive HTTP connection. Requests carry a Content-Length or nothing."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        at = time.monotonic_ns()
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            lines = self._buffer[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            whole = end + 4 + int(headers.get("content-length", "0"))
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            path = lines[0].split(" ")[1].partition("?")[0]
            answer = json.dumps(self._broker.answer(path, body, at)).encode()
            head = "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\ntr_cont: \r\n"
            self._transport.write(f"{head}Content-Length: {len(answer)}\r\n\r\n".encode() + answer)


def holdings() -> list[str]:
    """Return the stocks held: as many as KIS has slots for."""
    return [f"{300_000 + 10 * place:06d}" for place in range(40)]


async def main() -> None:
    """Serve until the input ends."""
    broker, loop = Broker(), asyncio.get_running_loop()
    rest = await loop.create_server(lambda: Rest(broker), "127.0.0.1", 0)
    async with serve(broker.feed, "127.0.0.1", 0, compression=None, ping_interval=None) as feed:
        ports = {"rest": rest.sockets[0].getsockname()[1], "ws": next(iter(feed.sockets)).getsockname()[1]}
        print(json.dumps(ports), flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            match json.loads(line):
                case {"do": "registered", "count": int(count)}:
                    async with asyncio.timeout(START_SECONDS):
                        await broker.reached(lambda: len(broker.registered) >= count)
                    print("{}", flush=True)
                case {"do": "play", "frames": str(frames), "rate": int(rate), "firing": dict(firing)}:
                    print(json.dumps(await broker.play(frames, rate, firing)), flush=True)
                case other:
                    raise ValueError(f"no such order: {other}")


if __name__ == "__main__":
    asyncio.run(main())
