"""A client whose answers are given beforehand, read as those of a socket are."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from kquant.gateways.clock import SteppedClock
from kquant.gateways.kis.rest.calls import DataCalls, TradingCalls
from kquant.gateways.kis.rest.endpoints import Endpoint, Environment
from kquant.gateways.kis.rest.envelope import Answer, read_answer
from kquant.values import from_kst

DAY = dt.date(2026, 11, 20)


def ok(**output: Any) -> dict[str, Any]:
    return {"rt_cd": "0", "msg_cd": "MCA00000", "msg1": "ok", **output}


class Scripted:
    """Gives one scripted answer a call: (status, body, tr_cont). `asked` holds (endpoint, params, following)."""

    def __init__(self, *bodies: Any, environment: Environment = "real", at: str = "10:30:20") -> None:
        self.environment: Environment = environment
        self.clock = SteppedClock(from_kst(DAY, dt.time.fromisoformat(at)))
        self.script: list[tuple[int, bytes, str]] = []
        self.asked: list[tuple[Endpoint, dict[str, str], bool]] = []
        for body in bodies:
            self.say(body)

    def say(self, body: Any, tr_cont: str = "D", status: int = 200) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        self.script.append((status, raw, tr_cont))

    def offers(self, endpoint: Endpoint) -> bool:
        return bool(endpoint.tr_id(self.environment))

    async def get(self, endpoint: Endpoint, params: Mapping[str, str], *, lane: int, following: bool = False) -> Answer:
        self.asked.append((endpoint, dict(params), following))
        status, raw, tr_cont = self.script.pop(0)
        return read_answer(raw, endpoint.real, status, tr_cont)

    @property
    def data(self) -> DataCalls:
        return DataCalls(self, "DEMO01")  # type: ignore[arg-type]

    @property
    def trading(self) -> TradingCalls:
        return TradingCalls(self, "50001234-01")  # type: ignore[arg-type]
