"""What a run needs to score with language models, joined: one desk for both jobs, with one budget.

Making a desk is cheap and touches no network and no SDK; the SDKs are imported by the first request or by `check`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

from kquant.gateways.clock import Clock, WallClock
from kquant.gateways.llm.asked import template
from kquant.gateways.llm.asking import Asker, Job, Store
from kquant.gateways.llm.batch import LlmAnalyst
from kquant.gateways.llm.gemini import Gemini
from kquant.gateways.llm.meter import Meter, price_of
from kquant.gateways.llm.openai_compatible import OpenAiCompatible
from kquant.gateways.llm.providers import Service, ServiceError
from kquant.gateways.llm.reuse import Shelf
from kquant.gateways.llm.scan import LlmScorer
from kquant.gateways.research.analyst import Analyst
from kquant.gateways.scoring.heuristic import HeuristicScorer
from kquant.gateways.scoring.port import Scorer
from kquant.journal.port import Journal
from kquant.settings import LlmJobSettings, LlmServiceSettings, LlmSettings, Settings
from kquant.values import KquantError, to_kst

JOBS: tuple[Job, ...] = ("scan", "analysis")
SOON = timedelta(days=30)


class LlmError(KquantError):
    """A language model cannot be used as it is set; the one line names the setting and what to do."""


class Desk:
    """The language models of one run. Raises LlmError when a job is set to a service without key, address or price."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        journal: Journal,
        clock: Clock,
        store: Store,
        answers: Path,
        wall: Clock | None = None,
    ) -> None:
        """Join the parts.

        journal: the day's, for the stream `llm`.   store: the day's attachments.   answers: a folder that outlives the
        day, for answers to be used again.   wall: tests only; the services' time is the wall's.
        """
        llm = self._llm = settings.llm
        self._attempts = settings.analyzer.batch_attempts
        self._clock = clock
        self._jobs = [name for name in JOBS if _job(llm, name).provider != "heuristic"]
        self._services: dict[str, Service] = {}
        for name in self._jobs:
            job = _job(llm, name)
            template(job.prompt)
            if job.provider not in self._services:
                self._services[job.provider] = _service(llm, name, environ)
            retired = any(each.model == job.model for each in llm.retired)  # `check` names its successor
            if not retired and price_of(llm.prices, job.model, to_kst(clock.now()).date()) is None:
                raise LlmError(
                    f"llm.{name}.model is {job.model!r}, which has no price: add it to llm.prices (0 for a server of your own)"
                )
        self._asker = Asker(
            llm,
            self._services,
            clock=clock,
            wall=wall if wall is not None else WallClock(),
            meter=Meter(journal, llm.day_budget_krw),
            store=store,
            shelf=Shelf(answers),
        )

    def scorer(self) -> Scorer:
        """Return the scan's scorer: the model that is set, or the heuristic."""
        return LlmScorer(self._llm, self._asker) if "scan" in self._jobs else HeuristicScorer()

    def analyst(self) -> Analyst | None:
        """Return the analyst of the daily analysis; None: the heuristic does it."""
        return LlmAnalyst(self._llm, self._attempts, self._asker) if "analysis" in self._jobs else None

    async def check(self) -> tuple[str, ...]:
        """Compare the models that are set with what their services list; return what a person should know.

        Raises LlmError for a model that is gone, naming the setting and the successors; a run that goes on all the same
        never asks for that model. A service that cannot be reached now is no error: the day may outlast it.
        """
        said: list[str] = []
        gone: list[str] = []
        for name in self._jobs:
            job = _job(self._llm, name)
            fault, note = self._dated(name, job)
            if not fault:
                try:
                    listed = await self._services[job.provider].models()
                except ServiceError as error:
                    if error.lasting and error.outcome == "refused":
                        fault = (
                            f"{job.provider} refuses the key in {_service_settings(self._llm, name).key_env}: {error}"
                        )
                    else:
                        note = note or f"{job.provider} could not be asked for its models: {error}"
                else:
                    if job.model not in listed:
                        fault = self._unlisted(name, job, listed)
            if fault:
                self._asker.give_up(name, fault)
                gone.append(fault)
            elif note:
                said.append(note)
        if gone:
            raise LlmError("; ".join(gone))
        return tuple(said)

    async def close(self) -> None:
        """Close the connections."""
        for service in self._services.values():
            await service.close()

    def _dated(self, name: Job, job: LlmJobSettings) -> tuple[str, str]:
        """Return what the dated table says of a model: that it is gone, and that it will be."""
        today = to_kst(self._clock.now()).date()
        for each in self._llm.retired:
            if each.model == job.model:
                instead = f"set llm.{name}.model to {' or '.join(each.successors)}"
                if each.since <= today.isoformat():
                    return f"model {job.model} was retired on {each.since}: {instead}", ""
                if date.fromisoformat(each.since) <= today + SOON:
                    return "", f"model {job.model} will be retired on {each.since}: {instead}"
        return "", ""

    def _unlisted(self, name: Job, job: LlmJobSettings, listed: tuple[str, ...]) -> str:
        near = [model for model in sorted(listed) if model.split("-")[0] == job.model.split("-")[0]]
        some = ", ".join((near or sorted(listed))[:8]) or "nothing"
        return f"{job.provider} does not list model {job.model}: set llm.{name}.model to one it does ({some})"


def _job(llm: LlmSettings, name: Job) -> LlmJobSettings:
    job: LlmJobSettings = getattr(llm, name)
    return job


def _service_settings(llm: LlmSettings, name: Job) -> LlmServiceSettings:
    service: LlmServiceSettings = getattr(llm, _job(llm, name).provider)
    return service


def _service(llm: LlmSettings, name: Job, environ: Mapping[str, str]) -> Service:
    provider = _job(llm, name).provider
    settings = _service_settings(llm, name)
    if not settings.base_url:
        raise LlmError(
            f"llm.{name}.provider is {provider}, but llm.{provider}.base_url is empty: set the server's address"
        )
    key = environ.get(settings.key_env, "").strip() if settings.key_env else ""
    if settings.key_env and not key:
        raise LlmError(
            f"llm.{name}.provider is {provider}, but {settings.key_env} is not set: set the key, "
            f"or llm.{name}.provider to heuristic"
        )
    if not key.isascii() or not key.isprintable():
        raise LlmError(f"the key in {settings.key_env} has characters that no key has: copy it again")
    return Gemini(settings, key) if provider == "gemini" else OpenAiCompatible(settings, key)
