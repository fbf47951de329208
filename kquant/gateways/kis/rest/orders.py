"""The order gateway: the last gate, one POST an intent, and one outcome (`reliability` C0, steps 1 to 3 and 7).

No retry of anything stands between the gate and the POST. What is not provably accepted or refused is unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Lock
from typing import Protocol

from kquant.events.base import Event, Recorded, name_of
from kquant.events.orders import (
    CancelAccepted,
    CancelRefused,
    CancelUnknown,
    CancelWanted,
    OrderAccepted,
    OrderBlocked,
    OrderBound,
    OrderExpired,
    OrderIntended,
    OrderRefused,
    OrderSendStarted,
    OrderUnknown,
)
from kquant.gateways.clock import Clock
from kquant.gateways.follow import FollowingGateway
from kquant.gateways.kis.rest.calls import KisCalls
from kquant.gateways.kis.rest.calls.trading import number_field
from kquant.gateways.kis.rest.client import Answer, KisNotSent, KisRefused, KisUnreachable, KisUnreadable, text_field
from kquant.hours import REGULAR, order_session
from kquant.journal.port import AlreadyAnswered, Journal
from kquant.krx import SessionHours
from kquant.settings import Follow
from kquant.values import SECOND_US, IntentId, Micros, OrderKind, Seq

PROVEN_REFUSALS = frozenset(
    {
        "EGW00121", "EGW00122", "EGW00123", "EGW00201", "EGW00215", "APBK0344", "APBK0400", "APBK0506", "APBK0507",
        "APBK0656", "APBK0918", "APBK0919", "APBK1234", "40570000", "40580000", "40910000",
        "90000000", "EGW02004", "EGW02006", "EGW02007",
        # The paper service's own: tick, price or quantity; not tradable; no shares; no cash.
        "40030000", "40070000", "40240000", "40250000",
    }
)  # fmt: skip
"""Refusals after which nothing was placed. Any other answer than acceptance leaves the order unknown."""
PROVEN_UNCHANGED = PROVEN_REFUSALS | {"40320000", "40330000"}
"""Those of a replacement; the paper service has two more: no such order, and nothing left of it to change."""

HTTP_OK = 200
OPEN_EARLY_US = 30 * 60 * 1_000_000
"""Orders for the opening auction are taken from half an hour before the open: for hours that name no sessions."""


class Gate(Protocol):
    """The halt flag of memory and file."""

    def is_halted(self) -> bool:
        """Tell whether entries are halted."""

    def is_armed(self) -> bool:
        """Tell whether orders may leave today: a real account's only after a person armed it for the day."""


class OrderGateway(FollowingGateway):
    """Sends what `orders` intends. allowed: the profile's setting; without it nothing ever leaves.

    follow: the sessions the run is up for; only then are orders let into the after-market.
    """

    stream = "broker"
    by = "order gateway"
    names = frozenset({name_of(OrderIntended), name_of(OrderBound), name_of(CancelWanted)})

    def __init__(
        self,
        journal: Journal,
        calls: KisCalls,
        clock: Clock,
        gate: Gate,
        hours: SessionHours,
        *,
        allowed: bool,
        timeout_seconds: int,
        changed: Callable[[], None],
        on_fatal: Callable[[str], None],
        follow: Follow = "regular",
    ) -> None:
        super().__init__(journal, clock, changed=changed, on_fatal=on_fatal)
        self._calls = calls
        self._gate = gate
        self._hours = hours
        self._allowed = allowed
        self._followed = follow
        self._timeout_seconds = timeout_seconds
        self._numbers: dict[IntentId, tuple[str, str]] = {}
        """Order number and branch by intent, as `orders` bound them: a replacement names the order it changes."""
        self._loop: asyncio.AbstractEventLoop
        self._marking = Lock()
        self._marked = Seq(0)

    async def start(self) -> None:
        """Fold the log and follow it; from now on an intent is marked as soon as it has its place."""
        await super().start()
        self._loop = asyncio.get_running_loop()
        self._marked = self._cursor
        self._undo.append(self._journal.subscribe_placed(self._mark_placed, self.stream))

    def _mark_placed(self) -> None:
        """Append the marks of intents that got their place just now, in the thread that placed them.

        So the intent and its mark are in one commit. Neither the order of things nor what is sent hangs on it: an intent
        passed over here is taken once it is durable, and one that was marked is refused a second mark.
        """
        with self._marking:
            while not self._closing and (facts := self._journal.read_placed(self._marked)):
                for fact in facts:
                    self._marked = fact.seq
                    match fact.event:
                        case OrderIntended():
                            self._mark(fact.seq, fact.event)
                        case OrderBound():
                            self._bound(fact.event)
                        case _:
                            pass

    def _mark(self, seq: Seq, intent: OrderIntended) -> None:
        mark = self._begin(intent)
        future = self._journal.append(self.stream, [mark], by=self.by, caused_by=seq)
        future.add_done_callback(
            lambda done: self._loop.call_soon_threadsafe(self._on_mark, seq, intent, mark, done.exception())
        )

    def _on_mark(self, seq: Seq, intent: OrderIntended, mark: Event, error: BaseException | None) -> None:
        """Send, now that intent and mark are durable."""
        if error is not None and not isinstance(error, AlreadyAnswered):
            self._on_fatal(f"{self.by}: {error!r}")
        elif error is None and isinstance(mark, OrderSendStarted) and not self._closing:
            self.spawn(self._conclude(seq, intent))

    def fold(self, facts: list[Recorded]) -> None:
        """End what the last process left open: never sent is expired, send begun is unknown. Nothing is sent again."""
        intents: dict[IntentId, Seq] = {}
        started: set[IntentId] = set()
        cancels: dict[Seq, CancelWanted] = {}
        for fact in facts:
            match fact.event:
                case OrderIntended(intent=intent):
                    intents[intent] = fact.seq
                case OrderSendStarted(intent=intent):
                    started.add(intent)
                case (
                    OrderAccepted(intent=intent)
                    | OrderRefused(intent=intent)
                    | OrderUnknown(intent=intent)
                    | OrderExpired(intent=intent)
                    | OrderBlocked(intent=intent)
                ):
                    intents.pop(intent, None)
                case CancelWanted():
                    cancels[fact.seq] = fact.event
                case CancelAccepted() | CancelRefused() | CancelUnknown():
                    cancels.pop(fact.caused_by or Seq(0), None)
                case OrderBound():
                    self._bound(fact.event)
                case _:
                    pass
        for intent, seq in intents.items():
            if intent in started:
                self.spawn(self.append(OrderUnknown(intent=intent, why="the process ended during the send"), seq, 1))
            else:
                self.spawn(self.append(OrderExpired(intent=intent), seq))
        for seq, wanted in cancels.items():
            self.spawn(self.append(CancelUnknown(intent=wanted.intent, why="the process ended"), seq))

    def take(self, fact: Recorded) -> None:
        """Start one order or cancel."""
        match fact.event:
            case OrderIntended():
                self.spawn(self._place(fact.seq, fact.event))
            case CancelWanted():
                self.spawn(self._cancel(fact.seq, fact.event))
            case OrderBound():
                self._bound(fact.event)
            case _:
                pass

    def _bound(self, event: OrderBound) -> None:
        self._numbers[event.intent] = (event.order_no, event.branch)

    async def _place(self, seq: Seq, intent: OrderIntended) -> None:
        mark = self._begin(intent)
        if not await self.append(mark, seq):
            return  # somebody began this send or ended this intent already: a second POST must never leave
        if isinstance(mark, OrderSendStarted):
            await self._conclude(seq, intent)

    def _begin(self, intent: OrderIntended) -> Event:
        """Return the mark that its send began, or what ends it at the gate. From any thread."""
        return self._last_gate(intent) or OrderSendStarted(intent=intent.intent)

    async def _conclude(self, seq: Seq, intent: OrderIntended) -> None:
        # Between mark and disk a person may have halted: who is stopped waits for no turn.
        await self.append(self._last_gate(intent) or await self._post(intent), seq, 1)

    def _last_gate(self, intent: OrderIntended) -> Event | None:
        now = self._clock.now()
        if not self._allowed:
            return OrderBlocked(intent=intent.intent, why="profile")
        if not self._gate.is_armed():
            return OrderBlocked(intent=intent.intent, why="not armed")
        if intent.side == "buy" and self._gate.is_halted():
            return OrderBlocked(intent=intent.intent, why="halted")
        if not self._takes_orders(now, intent.kind):
            return OrderBlocked(intent=intent.intent, why="session")
        if intent.replaces is not None and intent.replaces not in self._numbers:
            return OrderBlocked(intent=intent.intent, why="no order to replace")
        return OrderExpired(intent=intent.intent) if now > intent.valid_until else None

    def _takes_orders(self, now: Micros, kind: OrderKind) -> bool:
        if not self._hours.sessions:
            return self._hours.open_at - OPEN_EARLY_US <= now < self._hours.close_at
        session = order_session(self._hours, now, self._followed)
        if session is None or session.name in REGULAR:
            return session is not None
        # The after-market takes no market orders, and paper has none of it (kis-protocol 4.9, 5.1).
        return kind == "limit" and self._calls.has_after_market

    def _in_after_market(self) -> bool:
        session = order_session(self._hours, self._clock.now(), self._followed)
        return session is not None and session.name not in REGULAR

    async def _post(self, intent: OrderIntended) -> Event:
        number = intent.intent
        leaving = False
        after_market = self._in_after_market()

        def gate() -> None:
            nonlocal leaving
            stopped = self._last_gate(intent)
            if stopped is None and self._in_after_market() != after_market:
                stopped = OrderBlocked(intent=number, why="session")
            if stopped is not None:
                raise _Stopped(stopped)
            leaving = True

        try:
            async with asyncio.timeout(self._patience(intent)):
                answer = await self._send(intent, gate, after_market=after_market)
            order_no, branch, time = _placed(answer)
        except _Stopped as stopped:
            return stopped.outcome
        except KisNotSent as error:
            return OrderRefused(intent=number, message_code="NOT_SENT", message=str(error))
        except KisRefused as error:
            if error.code in (PROVEN_REFUSALS if intent.replaces is None else PROVEN_UNCHANGED):
                return OrderRefused(intent=number, message_code=error.code, message=error.message)
            return OrderUnknown(intent=number, why=f"HTTP {error.status} {error.code} {error.message}".strip())
        except (KisUnreachable, KisUnreadable, TimeoutError) as error:
            if not leaving:
                return OrderRefused(intent=number, message_code="NOT_SENT", message="no turn to send in time")
            return OrderUnknown(intent=number, why=str(error) or "no answer in time")
        return OrderAccepted(intent=number, order_no=order_no, branch=branch, time=time)

    def _patience(self, intent: OrderIntended) -> float:
        """Return the seconds after which turn and answer are no longer waited for: a sell's turn as long as it is valid."""
        seconds = self._timeout_seconds + 1
        if intent.side == "buy":
            return seconds
        return seconds + max(0, intent.valid_until - self._clock.now()) / SECOND_US

    async def _send(self, intent: OrderIntended, gate: Callable[[], None], *, after_market: bool) -> Answer:
        """Return the broker's answer to a new order, or to one that takes over all that is left of another."""
        seconds = self._timeout_seconds
        if intent.replaces is None:
            return await self._calls.place(
                intent.code, intent.side, intent.kind, intent.qty, intent.price,
                timeout_seconds=seconds, gate=gate, after_market=after_market,
            )  # fmt: skip
        order_no, branch = self._numbers[intent.replaces]
        return await self._calls.replace(
            order_no, branch, intent.kind, intent.price, timeout_seconds=seconds, gate=gate, after_market=after_market
        )

    async def _cancel(self, seq: Seq, wanted: CancelWanted) -> None:
        await self.append(await self._post_cancel(wanted), seq)

    async def _post_cancel(self, wanted: CancelWanted) -> Event:
        number = wanted.intent
        # Orders do not carry over from session to session (kis-protocol 5.1): it is of the one under way.
        after_market = self._in_after_market() and wanted.kind == "limit"

        def gate() -> None:
            if not self._allowed:
                raise _Stopped(CancelUnknown(intent=number, why="profile"))
            if self._clock.now() > wanted.valid_until:
                raise _Stopped(CancelUnknown(intent=number, why="expired before it was sent"))

        try:
            async with asyncio.timeout(self._timeout_seconds + 1):
                answer = await self._calls.cancel(
                    wanted.order_no,
                    wanted.branch,
                    wanted.kind,
                    timeout_seconds=self._timeout_seconds,
                    gate=gate,
                    after_market=after_market,
                )
            order_no, _, _ = _placed(answer)
        except _Stopped as stopped:
            return stopped.outcome
        except KisNotSent as error:
            return CancelUnknown(intent=number, why=str(error))
        except KisRefused as error:
            if error.status != HTTP_OK and error.code not in PROVEN_REFUSALS:
                return CancelUnknown(intent=number, why=f"HTTP {error.status} {error.code} {error.message}".strip())
            return CancelRefused(intent=number, message_code=error.code, message=error.message)
        except (KisUnreachable, KisUnreadable, TimeoutError) as error:
            return CancelUnknown(intent=number, why=str(error) or "no answer in time")
        return CancelAccepted(intent=number, order_no=order_no)


class _Stopped(Exception):
    """The gate stopped a call before its first byte."""

    def __init__(self, outcome: Event) -> None:
        super().__init__()
        self.outcome = outcome


def _placed(answer: Answer) -> tuple[str, str, str]:
    output = answer.body.get("output")
    if not isinstance(output, dict):
        raise KisUnreadable("an accepted order without output")
    return number_field(output, "ODNO"), text_field(output, "KRX_FWDG_ORD_ORGNO"), text_field(output, "ORD_TMD")
