"""What language models cost today, folded from the log: a restarted run knows what was spent, to the millionth of a won.

Every request is recorded before it leaves, with the most it can cost; that counts as spent until its answer tells the
real cost. So the day's budget holds across crashes, hanging calls and calls that were given up.
"""

from __future__ import annotations

import asyncio
from datetime import date

from kquant.events.base import Event, Recorded
from kquant.events.day import AlertRaised
from kquant.events.scanner import ModelAnswered, ModelAsked
from kquant.journal.port import Journal
from kquant.settings import LlmPrice
from kquant.values import Krw, Seq

STREAM = "llm"
PAGE = 10_000
MILLION = 1_000_000


def price_of(prices: tuple[LlmPrice, ...], model: str, day: date) -> LlmPrice | None:
    """Return the price in force on *day*, None for a model without one."""
    known = [price for price in prices if price.model == model and price.since <= day.isoformat()]
    return max(known, key=lambda price: price.since) if known else None


def cost_of(price: LlmPrice, tokens_in: int, tokens_out: int) -> int:
    """Return millionths of a won: exact, since prices are won per million tokens."""
    return tokens_in * price.input_krw + tokens_out * price.output_krw


def whole_won(cost: int) -> Krw:
    """Return millionths of a won as won, half up."""
    return Krw((2 * cost + MILLION) // (2 * MILLION))


class Meter:
    """Records requests and answers in the stream `llm`, and knows what they cost. budget_krw: of the day."""

    def __init__(self, journal: Journal, budget_krw: int) -> None:
        self._journal = journal
        self._budget = budget_krw * MILLION
        self._spent = 0
        self._open: dict[Seq, int] = {}
        self._asked: dict[Seq, int] = {}
        self._alerts: set[str] = set()
        self._folded = False

    @property
    def spent(self) -> int:
        """Return what was spent or is reserved today, in millionths of a won."""
        self._fold()
        return self._spent

    def affordable(self, reserve: int) -> bool:
        """Tell whether the budget has room for a request."""
        self._fold()
        return self._spent + reserve <= self._budget

    async def asked(self, cause: Seq, event: ModelAsked) -> Seq:
        """Record that a request leaves; it is durable, and its reserve spent, when this returns its seq."""
        self._fold()
        index = self._asked.get(cause, 0)
        self._asked[cause] = index + 1
        self._spent += event.reserve
        [fact] = await asyncio.wrap_future(
            self._journal.append(STREAM, [event], by=STREAM, caused_by=cause, first_index=index)
        )
        self._open[fact.seq] = event.reserve
        return fact.seq

    async def answered(self, call: Seq, event: ModelAnswered) -> None:
        """Record what came of a call."""
        self._settle(call, event)
        await asyncio.wrap_future(self._journal.append(STREAM, [event], by=STREAM, caused_by=call))

    def given_up(self, call: Seq, latency_ms: int) -> None:
        """Record, without waiting, that a call is no longer waited for; it may still be billed, so its reserve is spent."""
        if call not in self._open:
            return
        event = ModelAnswered(
            outcome="late",
            why="no longer waited for",
            finish="",
            answer="",
            tokens_in=0,
            tokens_out=0,
            cost=self._open[call],
            latency_ms=latency_ms,
        )
        self._settle(call, event)
        self._journal.append(STREAM, [event], by=STREAM, caused_by=call)

    async def alert(self, text: str) -> None:
        """Tell a person, once a day."""
        self._fold()
        if text not in self._alerts:
            self._alerts.add(text)
            event = AlertRaised(level="warning", text=text)
            await asyncio.wrap_future(self._journal.append(STREAM, [event], by=STREAM))

    def _settle(self, call: Seq, event: ModelAnswered) -> None:
        self._spent += event.cost - self._open.pop(call, 0)

    def _fold(self) -> None:
        """Take up what earlier processes of the day recorded, once."""
        if self._folded:
            return
        self._folded = True
        cursor = Seq(0)
        while page := self._journal.read(cursor, PAGE):
            for fact in page:
                if fact.stream == STREAM:
                    self._take(fact)
            cursor = page[-1].seq

    def _take(self, fact: Recorded) -> None:
        event: Event = fact.event
        match event:
            case ModelAsked() if fact.caused_by is not None:
                self._asked[fact.caused_by] = max(self._asked.get(fact.caused_by, 0), fact.index + 1)
                self._spent += event.reserve
                self._open[fact.seq] = event.reserve
            case ModelAnswered() if fact.caused_by is not None:
                self._settle(fact.caused_by, event)
            case AlertRaised(text=text):
                self._alerts.add(text)
            case _:
                pass
