"""How a day of a run ended, for whoever reports it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from kquant.events.base import Recorded

MARKET = "market.json"
"""Beside a simulated day: where its market comes from."""


@dataclass
class Outcome:
    """How a day ended. code: the exit code.   reason: why it stopped itself, "" if it did not."""

    code: int
    folder: Path
    reason: str = ""
    facts: list[Recorded] = field(default_factory=list)
    wall_seconds: float = 0.0
