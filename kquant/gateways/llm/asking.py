"""From a prompt to an answer: reused, or asked for within pace, budget and deadline, and recorded either way.

| what the service says      | what follows                                                                       |
|----------------------------|------------------------------------------------------------------------------------|
| 429 with or without a delay | nothing more is begun until then, then again, if the deadline allows               |
| 5xx, no connection, silence | again after 1, 2, 4 … s, if the deadline allows; after `down_after` in a row a pause |
| 404, 401, 402, 403          | it is not asked again by this process; a person is told once, with the setting      |
| anything else it refuses    | this request is given up                                                           |
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol, TypeVar

from msgspec import Struct

from kquant.events.scanner import ModelAnswered, ModelAsked
from kquant.gateways.clock import Clock
from kquant.gateways.follow import waiting_outside
from kquant.gateways.llm.asked import Prompt
from kquant.gateways.llm.meter import Meter, cost_of, price_of
from kquant.gateways.llm.pace import Pace
from kquant.gateways.llm.providers import Answer, Service, ServiceError
from kquant.gateways.llm.reuse import Shelf
from kquant.settings import LlmJobSettings, LlmPrice, LlmServiceSettings, LlmSettings
from kquant.values import SECOND_US, KquantError, Micros, Seq, to_kst

Job = Literal["scan", "analysis"]
T = TypeVar("T")
TRIES = 6
BACK_OFF_SECONDS = (1, 2, 4, 8, 16, 30)
BYTES_PER_TOKEN = 3
"""About what Korean and JSON come to; for the pace only. The reserve takes a token a byte, the most there can be."""


class Unavailable(KquantError):
    """There is no answer, and why. passing: asking again later may help."""

    def __init__(self, why: str, *, passing: bool) -> None:
        super().__init__(why)
        self.passing = passing


class Store(Protocol):
    """Content-addressed bytes, durable when `put` returns."""

    def put(self, content: bytes) -> str:
        """Store and return the SHA-256 in hex."""


class Said(Struct, frozen=True, kw_only=True):
    """An answer with what is recorded of it. prompt, kept: attachments.   cost: millionths of a won."""

    answer: Answer
    prompt: str
    kept: str
    cost: int
    latency_ms: int
    reused: bool


class _Call(Struct, frozen=True, kw_only=True):
    name: Job
    job: LlmJobSettings
    cause: Seq
    prompt: Prompt
    attached: str
    attempt: int
    reserve: int
    price: LlmPrice


class _Door:
    """One service as this process knows it: its pace, and whether it is worth asking."""

    def __init__(
        self, name: str, service: Service, settings: LlmServiceSettings, llm: LlmSettings, wall: Clock
    ) -> None:
        self.service = service
        self.pace = Pace(settings, wall)
        self._name = name
        self._llm = llm
        self._wall = wall
        self._closed: dict[str, str] = {}
        self._failures = 0
        self._down_until = Micros(0)

    def close(self, model: str, why: str) -> None:
        """Never ask for this model again; the first reason stands."""
        self._closed.setdefault(model, why)

    def refusal(self, model: str) -> str | None:
        """Return why a model is not asked for any more."""
        return self._closed.get(model)

    def down_for(self) -> float:
        """Return for how many seconds it is left alone, 0 if it may be asked."""
        if self._failures < self._llm.down_after:
            return 0
        return max(0, self._down_until - self._wall.now()) / SECOND_US

    def probe(self) -> None:
        """One request goes out; while it was down, that one alone."""
        if self._failures >= self._llm.down_after:
            self._pause()

    def answered(self) -> None:
        """It works."""
        self._failures = 0

    def failed(self) -> bool:
        """Count a failure; tell whether this one makes it down."""
        self._failures += 1
        self._pause()
        return self._failures == self._llm.down_after

    def _pause(self) -> None:
        self._down_until = Micros(self._wall.now() + self._llm.down_pause_seconds * SECOND_US)


class Asker:
    """Asks for both jobs. clock: the run's, for deadlines.   wall: the services', for pace and latency."""

    def __init__(
        self,
        settings: LlmSettings,
        services: dict[str, Service],
        *,
        clock: Clock,
        wall: Clock,
        meter: Meter,
        store: Store,
        shelf: Shelf,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._wall = wall
        self._meter = meter
        self._store = store
        self._shelf = shelf
        self._doors = {
            name: _Door(name, service, getattr(settings, name), settings, wall) for name, service in services.items()
        }

    def give_up(self, name: Job, why: str) -> None:
        """Never ask for this job's model: its list at the start did not have it."""
        job: LlmJobSettings = getattr(self._settings, name)
        self._doors[job.provider].close(job.model, why)

    async def ask(self, name: Job, cause: Seq, prompt: Prompt, valid_until: Micros, attempt: int) -> Said:
        """Return the answer. Raises Unavailable. attempt: from 1; another number asks for another answer."""
        job: LlmJobSettings = getattr(self._settings, name)
        content = prompt.content()
        attached = await asyncio.to_thread(self._store.put, content)
        key = self._shelf.key(job, prompt, attempt)
        kept = await asyncio.to_thread(self._shelf.get, key)
        if kept is not None:
            said = await self._attach(kept)
            return Said(answer=kept, prompt=attached, kept=said, cost=0, latency_ms=0, reused=True)
        price = price_of(self._settings.prices, job.model, to_kst(self._clock.now()).date())
        if price is None:
            raise Unavailable(f"{job.model} has no price in llm.prices, so no budget could hold", passing=False)
        call = _Call(
            name=name,
            job=job,
            cause=cause,
            prompt=prompt,
            attached=attached,
            attempt=attempt,
            reserve=cost_of(price, len(content), job.max_output_tokens),
            price=price,
        )
        deadline = Micros(valid_until - self._settings.reserve_seconds * SECOND_US)
        with waiting_outside():
            said_now = await self._before(self._persist(call, len(content) // BYTES_PER_TOKEN, deadline), deadline)
        await self._keep(key, said_now.answer)
        return said_now

    async def _persist(self, call: _Call, tokens: int, deadline: Micros) -> Said:
        """Try until there is an answer, or no try would still help."""
        door = self._doors[call.job.provider]
        why = ""
        for wait in BACK_OFF_SECONDS:
            if (closed := door.refusal(call.job.model)) is not None:
                raise Unavailable(closed, passing=False)
            if pause := door.down_for():
                await self._wait(pause, deadline, why or f"{call.job.provider} is down")
                continue
            if held := door.pace.held_for():
                await self._wait(held, deadline, why or f"{call.job.provider} limits the requests")
            try:
                return await self._once(door, call, tokens)
            except ServiceError as error:
                why = str(error)
                delay = error.retry_after if error.retry_after is not None else wait
                await self._after(door, call, error, delay, deadline)
                await self._wait(delay, deadline, why)
        raise Unavailable(f"{TRIES} tries: {why or f'{call.job.provider} is down'}", passing=True)

    async def _after(self, door: _Door, call: _Call, error: ServiceError, delay: float, deadline: Micros) -> None:
        """Draw the consequences of an error for others. Raises Unavailable when trying again is no use."""
        if error.outcome == "limited":
            door.pace.hold(delay)
            if self._clock.now() + delay * SECOND_US >= deadline:
                await self._meter.alert(f"{call.job.provider} limits the requests (429); meanwhile {self._instead()}")
            return
        if error.outcome in {"gone", "refused"}:
            why = str(error)
            if error.lasting:
                why = f"{call.job.provider} does not serve {call.job.model}: {error} ({self._what_to_set(call)})"
                door.close(call.job.model, why)
                await self._meter.alert(f"{why}; {self._instead()}")
            raise Unavailable(why, passing=False)
        if door.failed():
            await self._meter.alert(f"{call.job.provider} is down: {error}; meanwhile {self._instead()}")

    def _what_to_set(self, call: _Call) -> str:
        [known, *_] = [*(each for each in self._settings.retired if each.model == call.job.model), None]
        if known is None:
            return f"see llm.{call.name}.model and the key"
        return f"set llm.{call.name}.model to {' or '.join(known.successors)}"

    def _instead(self) -> str:
        return "the heuristic scores" if self._settings.fallback == "heuristic" else "nothing is scored"

    async def _once(self, door: _Door, call: _Call, tokens: int) -> Said:
        async with door.pace.place(tokens) as entry:
            if (closed := door.refusal(call.job.model)) is not None:
                raise Unavailable(closed, passing=False)
            if door.down_for():
                raise ServiceError("overloaded", f"{call.job.provider} went down while this one waited")
            if not self._meter.affordable(call.reserve):
                why = f"the day's budget of {self._settings.day_budget_krw:,} won is spent"
                await self._meter.alert(f"{why}: {self._instead()}")
                raise Unavailable(why, passing=False)
            door.probe()
            said = await self._sent(door, call)
            entry[1] = said.answer.tokens_in + said.answer.tokens_out
            door.answered()
            return said

    async def _sent(self, door: _Door, call: _Call) -> Said:
        """Send one request, recorded before and after. Raises ServiceError."""
        asked = ModelAsked(
            job=call.name,
            provider=call.job.provider,
            model=call.job.model,
            prompt_version=call.prompt.version,
            prompt=call.attached,
            attempt=call.attempt,
            reserve=call.reserve,
        )
        seq = await self._meter.asked(call.cause, asked)
        begun = self._wall.now()
        try:
            try:
                async with asyncio.timeout(call.job.timeout_seconds):
                    answer = await door.service.ask(call.job, call.prompt)
            except TimeoutError:
                raise ServiceError("late", f"no answer within {call.job.timeout_seconds} s", billed=True) from None
            kept = await self._attach(answer)
            # A service that counts nothing is charged all it could have cost.
            cost = cost_of(call.price, answer.tokens_in, answer.tokens_out) if answer.tokens_in else call.reserve
            latency_ms = (self._wall.now() - begun) // 1_000
            await self._meter.answered(
                seq,
                ModelAnswered(
                    outcome="answered",
                    why="",
                    finish=answer.finish,
                    answer=kept,
                    tokens_in=answer.tokens_in,
                    tokens_out=answer.tokens_out,
                    cost=cost,
                    latency_ms=latency_ms,
                ),
            )
        except ServiceError as error:
            await self._meter.answered(seq, _no_answer(error, call.reserve, (self._wall.now() - begun) // 1_000))
            raise
        except asyncio.CancelledError:
            self._meter.given_up(seq, (self._wall.now() - begun) // 1_000)
            raise
        return Said(answer=answer, prompt=call.attached, kept=kept, cost=cost, latency_ms=latency_ms, reused=False)

    async def _attach(self, answer: Answer) -> str:
        return await asyncio.to_thread(self._store.put, answer.text.encode("utf-8", "surrogatepass"))

    async def _keep(self, key: str, answer: Answer) -> None:
        try:
            await asyncio.to_thread(self._shelf.put, key, answer)
        except OSError as error:
            await self._meter.alert(
                f"answers cannot be kept for another time: {error.strerror or type(error).__name__}"
            )

    async def _wait(self, seconds: float, deadline: Micros, why: str) -> None:
        """Wait before another try, unless the deadline comes first."""
        if self._clock.now() + seconds * SECOND_US >= deadline:
            raise Unavailable(f"no time for another try: {why}", passing=True)
        await self._wall.sleep_until(Micros(self._wall.now() + int(seconds * SECOND_US)))

    async def _before(self, work: Awaitable[T], deadline: Micros) -> T:
        return await before(self._clock, work, deadline, lambda: Unavailable("no answer in time", passing=True))


def _no_answer(error: ServiceError, reserve: int, latency_ms: int) -> ModelAnswered:
    return ModelAnswered(
        outcome=error.outcome,
        why=str(error),
        finish="",
        answer="",
        tokens_in=0,
        tokens_out=0,
        cost=reserve if error.billed else 0,
        latency_ms=latency_ms,
    )


async def before(clock: Clock, work: Awaitable[T], deadline: Micros, late: Callable[[], Exception]) -> T:
    """Return what *work* gives, or raise late() once the clock reaches *deadline*; *work* is cancelled then."""
    task = asyncio.ensure_future(work)
    alarm = asyncio.ensure_future(clock.sleep_until(deadline))
    try:
        await asyncio.wait({task, alarm}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise late()
        return task.result()
    finally:
        for each in (task, alarm):
            if not each.done():
                each.cancel()
