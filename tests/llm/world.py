"""What the tests of language models share: settings, facts, a journal, and a service that lives in memory."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from kquant.events.base import Recorded
from kquant.events.scanner import ScoreWanted
from kquant.gateways.llm.asked import Prompt
from kquant.gateways.llm.asking import Asker
from kquant.gateways.llm.meter import Meter
from kquant.gateways.llm.providers import Answer
from kquant.gateways.llm.reuse import Shelf
from kquant.gateways.llm.scan import LlmScorer
from kquant.journal.memory import MemoryJournal
from kquant.settings import LlmJobSettings, LlmSettings, Settings
from kquant.testing.facts import clock as instant
from kquant.testing.facts import demo_settings
from kquant.values import SECOND_US, Micros, Seq
from tests.llm.services import SCAN_TEXT, TOKENS
from tests.scoring.fakes import Shelf as Store
from tests.scoring.test_heuristic_scan import facts

KEY = "AIzaSyCANARY0123456789canary+/=key"
NOW = instant("09:30:00")


def llm_settings(base_url: str = "http://127.0.0.1:1", provider: str = "gemini", **changes: Any) -> LlmSettings:
    """Return the packaged settings with both jobs at one service. changes: of the scan and the analysis alike."""
    llm = demo_settings().llm
    model = "gemini-3.5-flash-lite" if provider == "gemini" else "deepseek-flash"
    service = replace(getattr(llm, provider), base_url=base_url, gap_ms=0)
    changed = {"provider": provider, "model": model, **changes}
    jobs = {name: replace(getattr(llm, name), **changed) for name in ("scan", "analysis")}
    return replace(llm, **{provider: service}, **jobs)


def kept_in(folder: Path) -> list[Path]:
    """Return the files of kept answers."""
    return sorted(folder.rglob("*.zst"))


def settings_with(llm: LlmSettings) -> Settings:
    return replace(demo_settings(), llm=llm)


def wanted(code: str = "005930", *, valid_until: int = NOW + 40 * SECOND_US, **changes: Any) -> ScoreWanted:
    named = {"name": "삼성전자", "titles": (), "facts": facts(), **changes}
    return ScoreWanted(cycle=1, code=code, valid_until=valid_until, **named)


class Inline(ThreadPoolExecutor):
    """Runs what is handed over at once, so that no thread is under way while the virtual clock moves on."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  it is the future's
            done.set_exception(error)
        return done


class VirtualClock:
    """Time that jumps to the next sleeper once everything else has had its turn; `run` drives it."""

    def __init__(self, now: int = NOW) -> None:
        self._now = now
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> Micros:
        return Micros(self._now)

    async def sleep_until(self, at: Micros) -> None:
        if at <= self._now:
            return
        self._count += 1
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (at, self._count, waiter))
        await waiter

    async def sleep(self, seconds: float) -> None:
        await self.sleep_until(Micros(self._now + int(seconds * SECOND_US)))

    async def run(self, work: Awaitable[Any]) -> Any:
        """Await *work*, moving on whenever nothing but this clock is waited for."""
        asyncio.get_running_loop().set_default_executor(Inline(1))
        task = asyncio.ensure_future(work)
        while not task.done():
            for _ in range(50):
                await asyncio.sleep(0)
            if task.done() or not self._sleepers:
                continue
            at, _, waiter = heapq.heappop(self._sleepers)
            if not waiter.done():
                self._now = at
                waiter.set_result(None)
        return task.result()


class InMemory:
    """A `Service` without a wire. answer: called with the job and the prompt; may wait on the virtual clock."""

    def __init__(self, answer: Callable[[LlmJobSettings, Prompt], Awaitable[Answer]]) -> None:
        self._answer = answer
        self.asked: list[Prompt] = []

    async def models(self) -> tuple[str, ...]:
        return ("gemini-3.5-flash-lite", "deepseek-flash")

    async def ask(self, job: LlmJobSettings, prompt: Prompt) -> Answer:
        self.asked.append(prompt)
        return await self._answer(job, prompt)

    async def close(self) -> None:
        return None


def said(text: str = SCAN_TEXT, finish: Any = "stop", tokens: tuple[int, int] = TOKENS) -> Answer:
    return Answer(text=text, finish=finish, tokens_in=tokens[0], tokens_out=tokens[1], model="some")


def always(answer: Answer) -> InMemory:
    async def give(_job: LlmJobSettings, _prompt: Prompt) -> Answer:
        return answer

    return InMemory(give)


def in_turn(*answers: Answer | Exception) -> InMemory:
    left = list(answers)

    async def give(_job: LlmJobSettings, _prompt: Prompt) -> Answer:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return InMemory(give)


class World:
    """A scorer over a service in memory, on a virtual clock. answers: the folder of kept answers."""

    def __init__(self, answers: Path, service: InMemory, llm: LlmSettings | None = None, journal: Any = None) -> None:
        self.clock = VirtualClock()
        self.llm = llm_settings() if llm is None else llm
        self.service = service
        self.journal = MemoryJournal(self.clock.now) if journal is None else journal
        self.store = Store()
        self.meter = Meter(self.journal, self.llm.day_budget_krw)
        self.asker = Asker(
            self.llm,
            {self.llm.scan.provider: service, self.llm.analysis.provider: service},
            clock=self.clock,
            wall=self.clock,
            meter=self.meter,
            store=self.store,
            shelf=Shelf(answers),
        )
        self.scorer = LlmScorer(self.llm, self.asker)

    def cause(self) -> Seq:
        """Return the seq of a request in the journal."""
        [fact] = self.journal.append("scanner", [wanted()], by="scanner").result()
        return Seq(fact.seq)

    async def score(self, request: ScoreWanted | None = None) -> Any:
        """Score one candidate, the clock running on."""
        return await self.clock.run(self.scorer.score(wanted() if request is None else request, self.cause()))

    def recorded(self) -> list[Recorded]:
        return [fact for fact in self.journal.read(Seq(0), 100_000) if fact.stream == "llm"]

    def events(self) -> list[Any]:
        return [fact.event for fact in self.recorded()]
