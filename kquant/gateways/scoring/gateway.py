"""The scorer's gateway: every `scanner.score_wanted` ends in one of score.given, score.abstained, score.failed."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from kquant.events.base import Event, Recorded
from kquant.events.scanner import ScoreAbstained, ScoreFailed, ScoreGiven, ScoreWanted
from kquant.gateways.clock import Clock
from kquant.gateways.follow import Answering, TooLate
from kquant.gateways.scoring.port import Abstained, Scored, Scorer
from kquant.journal.port import Journal


class ScorerGateway(Answering):
    """Asks one scorer about candidates, all requests of a cycle at once. Stream `scorer`."""

    stream = by = "scorer"
    takes = (ScoreWanted,)

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        scorer: Scorer,
        *,
        changed: Callable[[], None],
        on_fatal: Callable[[str], None],
    ) -> None:
        super().__init__(journal, clock, changed=changed, on_fatal=on_fatal)
        self._scorer = scorer

    async def answer(self, fact: Recorded) -> Event:
        """Ask the scorer; whatever comes of it is the outcome."""
        wanted = fact.event
        if not isinstance(wanted, ScoreWanted):
            raise TypeError(f"{fact.name} at seq {fact.seq} is no request to a scorer")
        if self._clock.now() > wanted.valid_until:
            return ScoreFailed(cycle=wanted.cycle, code=wanted.code, why="expired before it was asked", stale=True)
        try:
            answer = await self.in_time(self._scorer.score(wanted, fact.seq), wanted.valid_until)
        except TooLate:
            return _failed(wanted, "no answer in time")
        except Exception as error:  # noqa: BLE001  whatever a scorer does, its request gets its one outcome
            return _failed(wanted, f"{type(error).__name__}: {error}")
        return self._outcome(wanted, answer)

    def _outcome(self, wanted: ScoreWanted, answer: Scored | Abstained) -> Event:
        if isinstance(answer, Abstained):
            return ScoreAbstained(cycle=wanted.cycle, code=wanted.code, **structs.asdict(answer))
        fields = structs.asdict(answer)
        return ScoreGiven(
            cycle=wanted.cycle, code=wanted.code, **{**fields, "model": answer.model or self._scorer.model}
        )


def _failed(wanted: ScoreWanted, why: str) -> ScoreFailed:
    return ScoreFailed(cycle=wanted.cycle, code=wanted.code, why=why)
