"""pykrx in a process of its own: `python -m kquant.gateways.research.sources.krx_child`, started by `krx.py` alone.

pykrx logs in when it is imported, prints the login's name, has no timeouts and turns errors into empty tables. So here
all it prints is thrown away, every request of its is bounded, and what the network really said is kept beside the table.

Standard input: a line of `Setup`, then one `Request` a line. Standard output: one `Reply` a line. It ends with its input.
"""

from __future__ import annotations

import contextlib
import io
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any, BinaryIO, Final, Literal

import msgspec
from msgspec import Struct

KRX: Final = "https://data.krx.co.kr"
What = Literal["prices", "foreign", "institutions", "valuation"]
Fault = Literal["", "refused", "down", "unreadable", "empty"]
INVESTORS: Final[dict[str, str]] = {"foreign": "외국인", "institutions": "기관합계"}


class Setup(Struct, frozen=True, kw_only=True):
    """How to ask. base_url: in place of KRX's own, for a server of the same pages."""

    base_url: str = KRX
    timeout_seconds: int = 30
    most_bytes: int = 64 << 20


class Request(Struct, frozen=True, kw_only=True):
    """session: YYYYMMDD."""

    what: What
    session: str


class Reply(Struct, frozen=True, kw_only=True):
    """What came of a request. fault: "" with rows.

    rows of prices: code, open, high, low, close, volume, base, shares (0 unknown); of nets: code, shares; of valuation:
    code, PER and PBR times 100 (0 none).
    """

    fault: Fault = ""
    why: str = ""
    rows: tuple[tuple[str | int, ...], ...] = ()


class Heard(Struct):
    """What the network said since the last request: the worst of it."""

    fault: Fault = ""
    why: str = ""

    def note(self, fault: Fault, why: str) -> None:
        """Keep the first fault."""
        if not self.fault:
            self.fault, self.why = fault, why


def guard(setup: Setup, heard: Heard) -> None:
    """Bound every request pykrx makes: address, time, size, no proxy of the environment."""
    import requests  # noqa: PLC0415  this process only

    send = requests.Session.send

    def bounded(session: requests.Session, request: Any, **named: Any) -> Any:
        session.trust_env = False
        if not request.url.startswith(KRX):
            raise requests.exceptions.InvalidURL("pykrx asked another address than KRX's")
        request.url = setup.base_url.rstrip("/") + request.url[len(KRX) :]
        try:
            response = send(
                session,
                request,
                **{**named, "timeout": setup.timeout_seconds, "stream": True, "proxies": {}, "allow_redirects": False},
            )
            body = bytearray()
            for chunk in response.iter_content(1 << 16):
                body += chunk
                if len(body) > setup.most_bytes:
                    heard.note("unreadable", f"an answer of more than {setup.most_bytes:,} bytes")
                    raise requests.exceptions.ContentDecodingError("too long")
        except requests.exceptions.RequestException as error:
            heard.note("down", type(error).__name__)
            raise
        response._content = bytes(body)  # noqa: SLF001  as requests itself keeps a body that was read
        _judge(response.status_code, bytes(body), heard, data=request.url.endswith("getJsonData.cmd"))
        return response

    requests.Session.send = bounded  # type: ignore[method-assign,assignment]


def _judge(status: int, body: bytes, heard: Heard, *, data: bool) -> None:
    """Note what an answer is that pykrx would take for an empty table."""
    if body.strip().startswith(b"LOGOUT"):
        heard.note("refused", "KRX logged us out, or never in")
    elif status == 429 or status >= 500:
        heard.note("down", f"HTTP {status}")
    elif status != 200:
        heard.note("refused", f"HTTP {status}, which KRX says to who is not logged in")
    elif data:
        try:
            msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            heard.note("unreadable", "an answer that is no JSON object")


def answer(request: Request, stock: Any, heard: Heard) -> Reply:
    """Return what KRX says, or why not. Never raises."""
    heard.fault, heard.why = "", ""
    readers: dict[What, Callable[[Any, Request], list[tuple[str | int, ...]]]] = {
        "prices": _prices,
        "foreign": _nets,
        "institutions": _nets,
        "valuation": _valuation,
    }
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            rows = readers[request.what](stock, request)
    except Exception as error:  # noqa: BLE001  whatever pykrx makes of an answer, the parent gets one reply
        if heard.fault:
            return Reply(fault=heard.fault, why=heard.why)
        # An empty table has no columns: pykrx stumbles over those it expects.
        fault: Fault = "empty" if isinstance(error, KeyError) else "unreadable"
        return Reply(fault=fault, why=type(error).__name__)
    if heard.fault:
        return Reply(fault=heard.fault, why=heard.why)
    return Reply(rows=tuple(rows)) if rows else Reply(fault="empty", why="no row")


def _prices(stock: Any, request: Request) -> list[tuple[str | int, ...]]:
    table = stock.get_market_ohlcv_by_ticker(request.session, market="ALL")
    names = ("시가", "고가", "저가", "종가", "거래량", "등락률", "시가총액")
    rows: list[tuple[str | int, ...]] = []
    for code, opened, high, low, close, volume, rate, cap in zip(
        table.index.tolist(), *(table[name].tolist() for name in names), strict=True
    ):
        if close > 0:
            base = round(close / (1 + rate / 100)) if rate > -100 else 0
            shares = cap // close if cap % close == 0 else 0
            rows.append((str(code), int(opened), int(high), int(low), int(close), int(volume), base, int(shares)))
    return rows


def _nets(stock: Any, request: Request) -> list[tuple[str | int, ...]]:
    table = stock.get_market_net_purchases_of_equities_by_ticker(
        request.session, request.session, "ALL", INVESTORS[request.what]
    )
    if table.empty:
        return []
    return [
        (str(code), int(net)) for code, net in zip(table.index.tolist(), table["순매수거래량"].tolist(), strict=True)
    ]


def _valuation(stock: Any, request: Request) -> list[tuple[str | int, ...]]:
    table = stock.get_market_fundamental_by_ticker(request.session, market="ALL")
    rows: list[tuple[str | int, ...]] = [
        (str(code), round(per * 100), round(pbr * 100))
        for code, per, pbr in zip(table.index.tolist(), table["PER"].tolist(), table["PBR"].tolist(), strict=True)
    ]
    # A day without a session is a table of zeros.
    return rows if any(per or pbr for _, per, pbr in rows) else []


def begin(setup: Setup, heard: Heard) -> tuple[Any, Reply]:
    """Import pykrx, which logs in; return its `stock` module, None without a login, and how it went."""
    try:
        guard(setup, heard)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            from pykrx import stock  # noqa: PLC0415
            from pykrx.website.comm import webio  # noqa: PLC0415
    except ImportError as error:
        return None, Reply(fault="refused", why=f"pykrx cannot be imported ({error.name}): install kquant[research]")
    except Exception as error:  # noqa: BLE001  its login happens at import, over the network
        return None, Reply(fault=heard.fault or "unreadable", why=heard.why or f"login: {type(error).__name__}")
    if webio._session is None:  # noqa: SLF001  where pykrx keeps its login
        return None, Reply(fault=heard.fault or "refused", why=heard.why or "KRX did not accept the login")
    return stock, Reply()


def main() -> None:
    """Answer until the input ends; then leave, whatever is under way."""
    out = _keep_output()
    lines: queue.Queue[bytes] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin.buffer:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    heard = Heard()
    stock, reply = begin(msgspec.json.decode(lines.get(), type=Setup), heard)
    _write(out, reply)
    while stock is not None:
        request = msgspec.json.decode(lines.get(), type=Request)
        _write(out, answer(request, stock, heard))


def _keep_output() -> BinaryIO:
    """Return the standard output for replies alone; whoever else prints, prints to nobody."""
    out = os.fdopen(os.dup(1), "wb")
    nobody = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nobody, 1)
    os.dup2(nobody, 2)
    return out


def _write(out: BinaryIO, reply: Reply) -> None:
    out.write(msgspec.json.encode(reply) + b"\n")
    out.flush()


if __name__ == "__main__":
    main()
