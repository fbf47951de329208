"""What a scorer is: a request's facts in, rubric parts with reasons out, or an abstention."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from kquant.events.scanner import ScanParts, ScoreWanted
from kquant.values import Krw


class Scored(Struct, frozen=True, kw_only=True):
    """A usable answer. Fields as in `score.given`; 0 and "" where nothing was paid, measured or kept."""

    parts: ScanParts
    reasons: tuple[str, ...]
    prompt: str = ""
    answer: str = ""
    tokens: int = 0
    cost_krw: Krw = Krw(0)
    latency_ms: int = 0


class Abstained(Struct, frozen=True, kw_only=True):
    """No usable score, and why: neither 0 nor 50."""

    why: str


class Scorer(Protocol):
    """Scores one candidate of a scan. Raising means that it could not be asked."""

    @property
    def model(self) -> str:
        """Name of what scores, as it goes into the journal."""

    async def score(self, wanted: ScoreWanted) -> Scored | Abstained:
        """Return the parts of the rubric, or abstain. The gateway holds the deadline and cancels what is too late."""
