"""The admin port: the clock, the books and the faults of the exchange, one JSON object a question.

No part of the KIS surface. One client at a time holds it: the one that owns the clock.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec
from websockets.asyncio.connection import broadcast
from websockets.exceptions import ConnectionClosed

from kquant.exchange.core.exchange import US
from kquant.exchange.faults import FaultError, faults_from_call
from kquant.exchange.servers.by_hand import act_by_hand

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

    from kquant.exchange.core.service import Service
    from kquant.exchange.servers.ports import Ports

LAST_US: Final = 253_370_764_800 * US
"""The year 9999: later times have no date."""


class Admin:
    """Answers the admin port of one exchange."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._client: ServerConnection | None = None

    async def serve(self, socket: ServerConnection) -> None:
        """Answer one client until it leaves; a second one is refused meanwhile."""
        if self._client is not None:
            await socket.send('{"error":"another client holds the admin port"}')
            await socket.close(1013, "busy")
            return
        self._client = socket
        try:
            async for message in socket:
                broadcast((socket,), json.dumps(self.answer(message), ensure_ascii=False))
        except ConnectionClosed:
            pass  # the client may come back at any time
        finally:
            self._client = None

    def answer(self, message: str | bytes) -> dict[str, Any]:
        """Return the answer to one question; an `error` names what is wrong with it."""
        try:
            call = msgspec.json.decode(message)
            operation = call["op"]
            if operation in ("fault", "faults", "clear_fault"):
                return self._faults(operation, call)
            service = self._ports.exchange.services[call.get("service", "real")]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError, KeyError, AttributeError):
            return {"error": "expected a JSON object with op, and service real or paper where it matters"}
        exchange = self._ports.exchange
        match operation:
            case "hello":
                return self._hello()
            case "step":
                if self._ports.speed is not None:
                    return {"error": "the clock runs by itself; step needs --speed max"}
                until = call.get("until")
                if not isinstance(until, int) or until > LAST_US:
                    return {
                        "error": f"until is UTC microseconds as a whole number, before the year 9999, not {until!r}"
                    }
                return {"now": self._ports.step(until), **self._frames(service)}
            case "now":
                return {"now": exchange.now_us, "speed": self._ports.speed}
            case "frames":
                return {"now": exchange.now_us, **self._frames(service)}
            case "ledger":
                return self._ledger(service)
            case "registrations":
                return self._registrations(service)
            case "hand":
                answer = act_by_hand(service, call)
                self._ports.flush()
                return answer
            case _:
                return {"error": f"unknown op {operation!r}"}

    def _hello(self) -> dict[str, Any]:
        exchange = self._ports.exchange
        return {
            "now": exchange.now_us,
            "day": exchange.market.day.isoformat(),
            "open": exchange.midnight_us + exchange.market.open_second * US,
            "close": exchange.midnight_us + exchange.market.close_second * US,
            "mode": "step" if self._ports.speed is None else "run",
            "speed": self._ports.speed,
            "source": exchange.market.source,
            **self._ports.about(exchange.market),
        }

    def _frames(self, service: Service) -> dict[str, int]:
        """Return the newest connected session of *service* and how many texts it was sent."""
        lines = {session.number: line for session, (of, line) in self._ports.sockets.items() if of is service}
        newest = max(lines, default=0)
        return {"session": newest, "frames": lines[newest].frames if newest else 0}

    def _registrations(self, service: Service) -> dict[str, Any]:
        """Return what each connected session holds, the most that one ever held, and the refusals by code."""
        hub = service.hub
        return {
            "now": self._ports.exchange.now_us,
            "limit": hub.limit,
            "peak": hub.peak,
            "refusals": dict(sorted(hub.refusals.items())),
            "sessions": [
                {"session": one.number, "registered": [list(pair) for pair in one.registered]}
                for one in hub.sessions.values()
            ],
        }

    def _ledger(self, service: Service) -> dict[str, Any]:
        ledger = service.ledger
        cash: dict[str, Any] = msgspec.to_builtins(ledger.cash)
        return {
            "now": self._ports.exchange.now_us,
            "cash": {**cash, "d0": ledger.cash.settled, "d2": ledger.cash.d2},
            "reserved": ledger.reserved(),
            "fees": ledger.cash.fees,
            "taxes": ledger.cash.taxes,
            "positions": [msgspec.to_builtins(row) for _, row in sorted(ledger.positions.items())],
            "orders": [{**msgspec.to_builtins(row), "leaves": row.leaves} for row in ledger.orders.values()],
            "fills": [msgspec.to_builtins(row) for row in ledger.fills],
        }

    def _faults(self, operation: str, call: dict[str, Any]) -> dict[str, Any]:
        """Set faults (by kind or profile), list them, or take one (by id) or all of them back."""
        book = self._ports.faults
        try:
            match operation:
                case "fault":
                    ids = [book.add(fault) for fault in faults_from_call(call)]
                    self._ports.let_faults_act()
                    return {"ok": True, "id": ids[0], "ids": ids}
                case "clear_fault" if call.get("id") == "all":
                    book.clear_all()
                case "clear_fault":
                    number = call.get("id")
                    if not isinstance(number, int):
                        return {"error": f"id is a fault's number or all, not {number!r}"}
                    book.clear(number)
        except FaultError as error:
            return {"error": str(error)}
        return {"ok": True, "faults": book.rows()}
