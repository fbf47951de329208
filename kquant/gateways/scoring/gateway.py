"""The scorer's gateway: every `scanner.score_wanted` ends in one of score.given, score.abstained, score.failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kquant.events.base import Event, Recorded
from kquant.events.scanner import ScoreAbstained, ScoreFailed, ScoreGiven, ScoreWanted
from kquant.gateways.scoring.follow import Follower, TooLate
from kquant.gateways.scoring.port import Abstained, Clock, Scorer
from kquant.journal.port import Journal


class ScorerGateway(Follower):
    """Asks one scorer about candidates, all requests of a cycle at once. Stream `scorer`."""

    stream = "scorer"
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

    async def _answer(self, fact: Recorded) -> Sequence[Event]:
        wanted = fact.event
        if not isinstance(wanted, ScoreWanted):
            return ()
        if self._clock.now() > wanted.valid_until:
            return [_failed(wanted, "expired before it was asked")]
        try:
            answer = await self._in_time(self._scorer.score(wanted), wanted.valid_until)
        except TooLate:
            return [_failed(wanted, "no answer in time")]
        except Exception as error:  # noqa: BLE001  whatever a scorer does, its request gets its one outcome
            return [_failed(wanted, f"{type(error).__name__}: {error}")]
        if isinstance(answer, Abstained):
            return [ScoreAbstained(cycle=wanted.cycle, code=wanted.code, why=answer.why)]
        return [
            ScoreGiven(
                cycle=wanted.cycle,
                code=wanted.code,
                parts=answer.parts,
                reasons=answer.reasons,
                model=self._scorer.model,
                prompt=answer.prompt,
                answer=answer.answer,
                tokens=answer.tokens,
                cost_krw=answer.cost_krw,
                latency_ms=answer.latency_ms,
            )
        ]


def _failed(wanted: ScoreWanted, why: str) -> ScoreFailed:
    return ScoreFailed(cycle=wanted.cycle, code=wanted.code, why=why)
