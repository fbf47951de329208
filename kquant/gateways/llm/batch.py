"""A language model as the analyst: batches of stocks, good rows kept, the rest asked for once more.

A stock the research table knows nothing of is not asked about; text alone never gives a stock a score.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from kquant.events.analyzer import AnalysisParts, BatchFailed, BatchRow, BatchScored, BatchWanted, RowLeft
from kquant.gateways.llm.answers import BadAnswer, RowAnswer, batch_answer, reason_of
from kquant.gateways.llm.asked import ANALYSIS_PARTS, analysis_prompt, parts_measured
from kquant.gateways.llm.asking import Asker, Said, Unavailable
from kquant.gateways.llm.bound import drawn_back
from kquant.gateways.llm.meter import whole_won
from kquant.gateways.llm.scan import tokens_of
from kquant.gateways.research.analyst import Subject
from kquant.gateways.research.heuristic import MODEL as HEURISTIC
from kquant.settings import LlmSettings
from kquant.values import Krw, Seq, Symbol

ASKED_TWICE = 2
"""A batch's first answer, and one more for the rows that it did not give."""


class _Heard(Struct):
    """What a batch's answers gave so far."""

    rows: dict[Symbol, RowAnswer]
    left: dict[Symbol, str]
    said: list[Said]
    version: str = ""
    why: str = ""


class LlmAnalyst:
    """An `Analyst` that asks a model, and lets the heuristic stand in when no model can be asked.

    attempts: of the analyzer; while one is left, a service that may come back makes the batch fail instead.
    """

    def __init__(self, settings: LlmSettings, attempts: int, asker: Asker) -> None:
        self._settings = settings
        self._attempts = attempts
        self._asker = asker

    async def analyse(
        self, wanted: BatchWanted, cause: Seq, subjects: tuple[Subject, ...], names: dict[Symbol, str]
    ) -> BatchScored | BatchFailed:
        """Return rows within the bound; a stock without a usable row is left out and named."""
        known = {each.code: each for each in subjects if parts_measured(each)}
        heard = _Heard(rows={}, left=dict.fromkeys(known, "no row"), said=[])
        try:
            for turn in range(1, ASKED_TWICE + 1):
                rest = [known[code] for code in heard.left]
                if rest:
                    await self._hear(heard, wanted, cause, rest, names, turn)
        except Unavailable as error:
            if not heard.said:
                return self._without(wanted, known, error)
            # What was heard stands; the rest stays without a row.
        if known and not heard.rows:
            return BatchFailed(batch=wanted.batch, why=heard.why or "no usable row")
        return self._scored(wanted, known, heard)

    async def _hear(
        self,
        heard: _Heard,
        wanted: BatchWanted,
        cause: Seq,
        rest: Sequence[Subject],
        names: dict[Symbol, str],
        turn: int,
    ) -> None:
        """Ask about the rest and take the good rows."""
        prompt = analysis_prompt(self._settings.analysis.prompt, rest, names)
        heard.version = prompt.version
        number = (wanted.attempt - 1) * ASKED_TWICE + turn
        said = await self._asker.ask("analysis", cause, prompt, wanted.valid_until, number)
        heard.said.append(said)
        if said.answer.finish == "blocked":
            heard.why = "the provider's safety filter withheld the answer"
            return
        cut = said.answer.finish != "stop"
        try:
            rows, left = batch_answer(said.answer.text, {each.code: parts_measured(each) for each in rest}, cut=cut)
        except BadAnswer as error:
            heard.why = f"cut off: {error}" if cut else str(error)
            return
        heard.rows |= rows
        heard.left = left

    def _without(
        self, wanted: BatchWanted, known: dict[Symbol, Subject], error: Unavailable
    ) -> BatchScored | BatchFailed:
        """Return what becomes of a batch nobody could be asked about."""
        if self._settings.fallback == "none" or (error.passing and wanted.attempt < self._attempts):
            return BatchFailed(batch=wanted.batch, why=str(error))
        return BatchScored(
            batch=wanted.batch,
            rows=tuple(
                BatchRow(code=code, parts=each.measured, measured=each.measured) for code, each in known.items()
            ),
            model=HEURISTIC,
            prompt="",
            answer="",
            tokens=0,
            cost_krw=Krw(0),
            latency_ms=0,
            fallback=str(error),
            left=_unknown(wanted, known),
        )

    def _scored(self, wanted: BatchWanted, known: dict[Symbol, Subject], heard: _Heard) -> BatchScored:
        rows = tuple(
            _row(heard.rows[code], each, self._settings.text_points)
            for code, each in known.items()
            if code in heard.rows
        )
        left = (RowLeft(code=code, why=why) for code, why in heard.left.items())
        first = heard.said[0] if heard.said else None
        return BatchScored(
            batch=wanted.batch,
            rows=rows,
            model=self._settings.analysis.model,
            prompt=first.prompt if first else "",
            answer=first.kept if first else "",
            tokens=tokens_of(heard.said),
            cost_krw=whole_won(sum(each.cost for each in heard.said)),
            latency_ms=sum(each.latency_ms for each in heard.said),
            prompt_version=heard.version,
            reused=bool(heard.said) and all(each.reused for each in heard.said),
            left=(*left, *_unknown(wanted, known)),
        )


def _unknown(wanted: BatchWanted, known: dict[Symbol, Subject]) -> tuple[RowLeft, ...]:
    return tuple(RowLeft(code=code, why="nothing was measured") for code in wanted.codes if code not in known)


def _row(answer: RowAnswer, subject: Subject, text_points: int) -> BatchRow:
    names = parts_measured(subject)
    said = tuple(getattr(answer, name).score for name in names)
    measured = tuple(getattr(subject.measured, name) for name in names)
    kept = drawn_back(said, measured, sum(ANALYSIS_PARTS[name] for name in names), text_points)
    return BatchRow(
        code=subject.code,
        parts=_parts(names, kept),
        reasons=tuple(f"{name}: {reason_of(getattr(answer, name).reason)}" for name in names),
        measured=subject.measured,
        said=_parts(names, said) if said != kept else None,
    )


def _parts(names: Sequence[str], values: Sequence[int]) -> AnalysisParts:
    given = dict(zip(names, values, strict=True))
    return AnalysisParts(**{name: given.get(name) for name in ANALYSIS_PARTS})
