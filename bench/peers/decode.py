"""python-kis: its own parser of trade frames."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

from pykis.api.websocket.price import KisDomesticRealtimePrice
from pykis.responses.websocket import KisWebsocketResponse

from bench.peers.serving import serve

frames: list[str] = []


def load(path: str) -> str:
    """Read the frames, a line each; return the peer's version."""
    frames[:] = Path(path).read_text(encoding="utf-8").splitlines()
    return f"python-kis {version('python-kis')}"


def decode() -> dict[str, Any]:
    """Parse every frame as its client does: cut the head off, then parse; every record is kept."""
    count = 0
    prices = 0
    begun = perf_counter()
    for frame in frames:
        _, _, records, body = frame.split("|", 3)
        found = list(KisWebsocketResponse.parse(body, int(records), response_type=KisDomesticRealtimePrice))
        count += len(found)
        prices += int(found[-1].price)
    return {"seconds": perf_counter() - begun, "records": count, "prices": prices}


serve({"load": load, "decode": decode})
