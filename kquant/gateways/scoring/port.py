"""What a scorer is: a request's facts in, rubric parts with reasons out, or an abstention."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from kquant.events.scanner import ScanParts, ScoreWanted
from kquant.values import Krw, Seq


class Scored(Struct, frozen=True, kw_only=True):
    """A usable answer. Fields as in `score.given`; 0 and "" where nothing was paid, measured or kept.

    model: who scored, "" for the scorer's own name: another one where the heuristic stood in.
    """

    parts: ScanParts
    reasons: tuple[str, ...]
    prompt: str = ""
    answer: str = ""
    tokens: int = 0
    cost_krw: Krw = Krw(0)
    latency_ms: int = 0
    model: str = ""
    prompt_version: str = ""
    measured: ScanParts | None = None
    said: ScanParts | None = None
    reused: bool = False
    fallback: str = ""


class Abstained(Struct, frozen=True, kw_only=True):
    """No usable score, and why: neither 0 nor 50. Other fields as in `score.abstained`."""

    why: str
    model: str = ""
    prompt: str = ""
    answer: str = ""
    tokens: int = 0
    cost_krw: Krw = Krw(0)
    latency_ms: int = 0
    prompt_version: str = ""
    reused: bool = False


class Scorer(Protocol):
    """Scores one candidate of a scan. Raising means that it could not be asked."""

    @property
    def model(self) -> str:
        """Name of what scores, as it goes into the journal."""

    async def score(self, wanted: ScoreWanted, cause: Seq) -> Scored | Abstained:
        """Return the parts of the rubric, or abstain. cause: the request's seq.

        The gateway holds the deadline and cancels what is too late.
        """
