"""A language model as the scorer of the minute scan: one candidate a request, its parts bounded by the numbers."""

from __future__ import annotations

from msgspec import structs

from kquant.events.scanner import ScanParts, ScoreWanted
from kquant.gateways.llm.answers import BadAnswer, ScanAnswer, reason_of, scan_answer
from kquant.gateways.llm.asked import SCAN_PARTS, Prompt, scan_prompt
from kquant.gateways.llm.asking import Asker, Said, Unavailable
from kquant.gateways.llm.bound import drawn_back
from kquant.gateways.llm.meter import whole_won
from kquant.gateways.scoring.heuristic import MODEL as HEURISTIC
from kquant.gateways.scoring.heuristic import score_facts
from kquant.gateways.scoring.port import Abstained, Scored
from kquant.settings import LlmSettings
from kquant.values import Seq

ATTEMPTS = 2
"""An empty, cut or malformed answer is asked for once more; a refusal is not."""


class LlmScorer:
    """A `Scorer` that asks a model, and lets the heuristic stand in when no model can be asked."""

    def __init__(self, settings: LlmSettings, asker: Asker) -> None:
        self._settings = settings
        self._asker = asker

    @property
    def model(self) -> str:
        """Name of the model that is set."""
        return self._settings.scan.model

    async def score(self, wanted: ScoreWanted, cause: Seq) -> Scored | Abstained:
        """Return parts within the bound, or abstain. Raises Unavailable when nobody is to stand in."""
        measured = score_facts(wanted.facts)
        if isinstance(measured, Abstained):
            return measured
        prompt = scan_prompt(self._settings.scan.prompt, wanted)
        try:
            first = await self._asker.ask("scan", cause, prompt, wanted.valid_until, 1)
        except Unavailable as error:
            if self._settings.fallback == "none":
                raise
            return structs.replace(measured, model=HEURISTIC, measured=measured.parts, fallback=str(error))
        said = [first]
        try:
            answer = usable(first)
        except BadAnswer as error:
            again = None if first.answer.finish == "blocked" else await self._again(wanted, cause, prompt)
            if again is None:
                return self._abstained(str(error), prompt, said)
            said.append(again)
            try:
                answer = usable(again)
            except BadAnswer as second:
                return self._abstained(str(second), prompt, said)
        return self._scored(answer, measured.parts, prompt, said)

    async def _again(self, wanted: ScoreWanted, cause: Seq, prompt: Prompt) -> Said | None:
        try:
            return await self._asker.ask("scan", cause, prompt, wanted.valid_until, ATTEMPTS)
        except Unavailable:
            # There was an answer, and it was no good: that is an abstention, whatever the second try met.
            return None

    def _abstained(self, why: str, prompt: Prompt, said: list[Said]) -> Abstained:
        last = said[-1]
        return Abstained(
            why=why,
            model=self.model,
            prompt=last.prompt,
            answer=last.kept,
            tokens=tokens_of(said),
            cost_krw=whole_won(sum(each.cost for each in said)),
            latency_ms=sum(each.latency_ms for each in said),
            prompt_version=prompt.version,
            reused=all(each.reused for each in said),
        )

    def _scored(self, answer: ScanAnswer, measured: ScanParts, prompt: Prompt, said: list[Said]) -> Scored:
        asked = ScanParts(**{name: getattr(answer, name).score for name in SCAN_PARTS})
        parts = bounded(asked, measured, self._settings.text_points)
        last = said[-1]
        return Scored(
            parts=parts,
            reasons=tuple(reason_of(getattr(answer, name).reason) for name in SCAN_PARTS),
            prompt=last.prompt,
            answer=last.kept,
            tokens=tokens_of(said),
            cost_krw=whole_won(sum(each.cost for each in said)),
            latency_ms=sum(each.latency_ms for each in said),
            model=self.model,
            prompt_version=prompt.version,
            measured=measured,
            said=asked if asked != parts else None,
            reused=all(each.reused for each in said),
        )


def bounded(said: ScanParts, measured: ScanParts, text_points: int) -> ScanParts:
    """Return the parts within the bound around the measured ones."""
    values = drawn_back(structs.astuple(said), structs.astuple(measured), sum(SCAN_PARTS.values()), text_points)
    return ScanParts(**dict(zip(ScanParts.__struct_fields__, values, strict=True)))


def usable(said: Said) -> ScanAnswer:
    """Return a whole answer's parts. Raises BadAnswer."""
    if said.answer.finish == "blocked":
        raise BadAnswer("the provider's safety filter withheld the answer")
    if said.answer.finish == "cut":
        raise BadAnswer("the answer was cut off: it is longer than max_output_tokens")
    if said.answer.finish != "stop" and said.answer.text:
        raise BadAnswer("the answer did not end as it should")
    return scan_answer(said.answer.text)


def tokens_of(said: list[Said]) -> int:
    """Return the tokens that were paid for, in and out."""
    return sum(each.answer.tokens_in + each.answer.tokens_out for each in said if not each.reused)
