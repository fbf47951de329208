"""Orders and portfolio in one thread, the client's own gateways, and the look-alike's ledger: one world, step by step.

Nothing happens by itself but what owners decide. Requests wait in `outgoing` (orders, cancels) and `reads`, answers in
`flights`, notices at the broker, alarms in the runtime; every step of a test moves one of them, well or badly. A crash
drops the client's memory and keeps journal and broker. `checks.Checker` looks after every step.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from datetime import time
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from kquant.actors.single import SingleRuntime, VirtualClock
from kquant.config import load
from kquant.domain.orders import ORDERS
from kquant.domain.owner import Mind, recover
from kquant.domain.portfolio import PORTFOLIO
from kquant.events.analyzer import Listed, ListingAnswered
from kquant.events.base import Event, Recorded
from kquant.events.day import DayOpened, HaltOrdered, JobDue, ResumeOrdered, RunStarted
from kquant.events.feed import FeedConnected, NoticeReceived
from kquant.events.market import Quoted, SnapshotTaken, TriggerFired
from kquant.events.orders import CancelWanted, ExecutionsWanted, OrderBound, OrderIntended, QuoteWanted, TriggerArmed
from kquant.events.pipeline import BuySignalled, PipelineStarted
from kquant.events.portfolio import BalanceWanted
from kquant.exchange.core.rest import Request
from kquant.gateways.kis.feed.executions import Keys, decode_notices
from kquant.journal.memory import MemoryJournal
from kquant.krx import SessionHours
from kquant.settings import Settings
from kquant.values import SECOND_US, Epoch, Micros, Score, Seq, Symbol, from_kst, kst_clock, kst_second
from tests.money.broker import DAY, DEEP, Broker
from tests.money.checks import Checker
from tests.money.client import (
    LOST,
    CrankedOrders,
    CrankedReads,
    Flight,
    Gate,
    PinnedClock,
    Reply,
    Suspended,
    calls_of,
    reply_of,
)
from tests.money.forks import fork_journal, fork_runtime

OWNERS = (ORDERS, PORTFOLIO)
SENDS = (OrderIntended, CancelWanted)
READS = (ExecutionsWanted, BalanceWanted, QuoteWanted)
BASE = 10_000
LATEST_US = 12 * SECOND_US
"""A request that is so late does not arrive any more: its connection is closed at the deadline (C0.2, C0.4)."""
E = TypeVar("E", bound=Event)


def kst(clock: str) -> Micros:
    """Return an instant of the day."""
    return from_kst(DAY, time.fromisoformat(clock))


HOURS = SessionHours(
    open_at=kst("09:00"), closing_auction_at=kst("15:20"), close_at=kst("15:30"), shift_minutes=0, note=""
)


@cache
def _base() -> Settings:
    return load("demo", environ={}).settings


def rules(**risk: Any) -> Settings:
    """Return the demo's settings with short waits, so that a small scope holds a whole life."""
    short: dict[str, Any] = {
        "unknown_listings": 3, "unknown_seconds": 9, "resting_seconds": 10, "executions_every_seconds": 3,
        "cooldown_seconds": 1, "repeat_seconds": 0, "max_buys_per_stock": 50, "volume_share_bp": 10_000,
    }  # fmt: skip
    base = _base()
    return msgspec.structs.replace(base, risk=msgspec.structs.replace(base.risk, **(short | risk)))


class Read(Struct, frozen=True):
    """A read that waits for its answer. then: the broker as it stood when the answer was written, None for now."""

    fact: Recorded
    then: Any = None


class Delayed(Struct, frozen=True):
    """An order's request that is still on its way when nobody waits for it any more."""

    intent: int
    request: Request
    at: Micros


class World:
    """The client and its broker. Times are KST clock texts, prices won."""

    def __init__(self, broker: Broker, *, settings: Settings | None = None, at: str = "09:05:00") -> None:
        self.settings = settings or rules()
        self.broker = broker
        self.clock = VirtualClock(kst("08:55:00"))
        self.journal = MemoryJournal(self.clock.now)
        self.halted = False
        self.epoch = 1
        self.crashes = 0
        self.runs = 0
        self.flights: tuple[Flight, ...] = ()
        self.outgoing: tuple[Recorded, ...] = ()
        self.reads: tuple[Read, ...] = ()
        self.delayed: tuple[Delayed, ...] = ()
        self.truth: dict[int, int] = {}
        """The broker's order number to the intent whose POST made it."""
        self.down: Reply | None = None
        """What every call is answered with while the broker is down."""
        self.checks = Checker()
        self._looked = Seq(0)
        self._wires: tuple[CrankedOrders, CrankedReads, PinnedClock, Gate] | None = None
        self._fate: str | Reply | Callable[[Reply], Reply] = "deliver"
        self._serving: Recorded | None = None
        self._from: Broker | None = None
        self.runtime = SingleRuntime(OWNERS, self.journal, self.clock)
        self._begin(at)

    def _begin(self, at: str) -> None:
        started = RunStarted(settings=self.settings, profile="demo", code_hash="", seed=1, versions={})
        self.journal.append("run", [started], by="run").result()
        self.runtime.start()
        self.say("rest", ListingAnswered(stocks=tuple(_listed(one) for one in self.broker.market.stocks), source=""))
        self.say(
            "run",
            DayOpened(
                day=DAY.isoformat(), account="***", hours=HOURS, positions=None, cash_krw=None,
                day_before="", digest_before="", reconciled_before=True,
            ),
        )  # fmt: skip
        self.serve_reads()
        self.pass_to(kst(at))
        for code in sorted(self.broker.market.by_code):
            self.broker.trade(code, BASE, DEEP)
        self.broker.at(self.broker.second + 1)
        self.pass_to(Micros(self.clock.now() + SECOND_US))
        self.serve_reads()

    def fork(self) -> World:
        """Return a copy that goes its own way."""
        other = copy.copy(self)
        other.broker = self.broker.fork()
        other.clock = VirtualClock(self.clock.now())
        other.journal = fork_journal(self.journal, other.clock)
        other.runtime = fork_runtime(self.runtime, other.journal, other.clock)
        other.truth = dict(self.truth)
        other.checks = self.checks.fork()
        other._wires = None
        return other

    # -- what happens outside -------------------------------------------------------------------------------

    def say(self, stream: str, event: Event, caused_by: Seq | None = None) -> None:
        """Record a foreign event and let the owners react."""
        self.journal.append(stream, [event], by=stream, caused_by=caused_by).result()
        self.settle()

    def settle(self) -> None:
        """Let owners react; what they ask for waits. Everything new is checked."""
        self.runtime.settle()
        while facts := self.journal.read(self._looked):
            for fact in facts:
                if isinstance(fact.event, SENDS):
                    self.outgoing = (*self.outgoing, fact)
                elif isinstance(fact.event, READS):
                    self.reads = (*self.reads, Read(fact))
                elif isinstance(fact.event, OrderBound) and self._wires is not None:
                    self._wires[0].take(fact)
            self._looked = facts[-1].seq
        self.checks.look(self)

    def signal(self, code: str, *, last: int | None = None) -> None:
        """The pipeline wants a stock, from a market snapshot of now."""
        quote = self.broker.market.quote(code, self.broker.second)
        price = last if last is not None else self.broker.market.stats(code, self.broker.second).last
        self.runs += 1
        quoted = Quoted(
            code=Symbol(code), last=price, last_age_ms=0, bid=quote.bid, ask=quote.ask, quote_age_ms=0, open=price,
            high=price, low=price, volume=DEEP, value=price * DEEP, change_bp=0, program_net=None,
            program_age_ms=None, book_bid_qty=None, book_ask_qty=None, book_age_ms=None, source="feed",
        )  # fmt: skip
        [taken] = self.journal.append(
            "market", [SnapshotTaken(run=self.runs, quotes=(quoted,), place=1)], by="market"
        ).result()
        self.say(
            "pipeline",
            BuySignalled(
                run=self.runs, code=Symbol(code), name=f"종목{code}", score=Score(80), last=price, bid=quote.bid,
                ask=quote.ask, snapshot=taken.seq,
            ),
        )  # fmt: skip

    def armed(self) -> list[tuple[str, Any]]:
        """Return the armed triggers as (code, trigger), in order."""
        return [(code, one) for code, those in sorted(self.orders.armed.items()) for one in those]

    def fire(self, code: str, trigger: int, price: int) -> None:
        """The market fold says that a trigger's condition held."""
        cause = next(
            fact.seq for fact in self.facts() if isinstance(fact.event, TriggerArmed) and fact.event.trigger == trigger
        )
        clock = kst_clock(self.clock.now()).replace(":", "")
        fired = TriggerFired(
            trigger=trigger,
            code=Symbol(code),
            price=price,
            bid=price,
            ask=price,
            exchange_time=clock,
            volume=1,
            place=1,
        )  # type: ignore[arg-type]
        self.say("market", fired, cause)

    def halt(self) -> None:
        """The operator halts entries."""
        self.halted = True
        self.say("operator", HaltOrdered(who="test", reason="test"))

    def resume(self) -> None:
        """The operator lets entries go on."""
        self.halted = False
        self.say("operator", ResumeOrdered(who="test", reason="test"))

    def job(self, job: Any) -> None:
        """The scheduler says that a job is due."""
        self.say("scheduler", JobDue(job=job, due=self.clock.now()))

    def pipeline(self) -> None:
        """A pipeline run begins: portfolio synchronises."""
        self.runs += 1
        now = self.clock.now()
        self.say("pipeline", PipelineStarted(run=self.runs, due=now, sync_deadline=Micros(now + 20 * SECOND_US)))

    # -- orders and cancels ---------------------------------------------------------------------------------

    def send(self, fact: Recorded, fate: str | Reply | Callable[[Reply], Reply] = "deliver") -> None:
        """Let the order gateway take one request.

        fate: deliver; pending (the answer waits in `flights`); lost (the request never arrives); answer lost; delayed
        (it arrives when nobody waits any more); a Reply instead of the broker's, which is not asked; or a function that
        changes the broker's reply.
        """
        self.outgoing = tuple(other for other in self.outgoing if other.seq != fact.seq)
        gateway, _, _, gate = self._connected()
        gate.halted = self.halted
        self._fate, self._serving = fate, fact
        try:
            gateway.take(fact)
        except Suspended:
            pass
        finally:
            self._serving = None
        self.settle()

    def deliver(self, flight: Flight) -> None:
        """The answer of a call that was begun before arrives; the gateway classifies it."""
        self.flights = tuple(other for other in self.flights if other is not flight)
        gateway, _, clock, gate = self._connected()
        gate.halted, clock.pinned, gateway.resumed = flight.halted, flight.at, True
        self._fate, self._serving = flight.reply, flight.fact
        try:
            gateway.take(flight.fact)
        finally:
            self._serving, clock.pinned, gateway.resumed = None, None, False
        self.settle()

    def drop(self, flight: Flight) -> None:
        """The answer never comes: the client's deadline passes."""
        self.deliver(msgspec.structs.replace(flight, reply=LOST))

    def arrive(self, delayed: Delayed) -> None:
        """A request that nobody waits for any more reaches the broker."""
        self.delayed = tuple(other for other in self.delayed if other is not delayed)
        if self.clock.now() - delayed.at < LATEST_US:
            self._reach(delayed.intent, delayed.request)
        self.settle()

    def _wire(self, request: Request) -> Reply:
        """Take one call of the client to the broker, or wherever its fate says."""
        broker = self._from or self.broker
        if self.down is not None and self._from is None:
            self._fate = self.down
        if request.method == "GET":
            if isinstance(self._fate, Reply):
                return self._fate
            reply = reply_of(broker.rest(request))
            return self._fate(reply) if callable(self._fate) else reply
        fact, fate = self._serving, self._fate
        assert fact is not None
        gateway = self._connected()[0]
        if gateway.resumed:
            assert isinstance(fate, Reply)
            return fate
        intent = fact.event.intent  # type: ignore[attr-defined]
        self.checks.posted(self, fact, request)
        if isinstance(fate, Reply):
            return fate
        if fate == "lost":
            return LOST
        if fate == "delayed":
            self.delayed = (*self.delayed, Delayed(intent, request, self.clock.now()))
            return LOST
        reply = self._reach(intent, request)
        if fate == "answer lost":
            return LOST
        if fate == "pending":
            self.flights = (*self.flights, Flight(fact, self.clock.now(), self.halted, reply))
            raise Suspended
        return fate(reply) if callable(fate) else reply

    def _reach(self, intent: int, request: Request) -> Reply:
        before = set(self.broker.ledger.orders)
        reply = reply_of(self.broker.rest(request))
        for no in self.broker.ledger.orders.keys() - before:
            if self.broker.ledger.orders[no].request != "cancel":
                self.truth[no] = intent
        return reply

    # -- reads ----------------------------------------------------------------------------------------------

    def read(self, read: Read, fate: str | Reply | Callable[[Reply], Reply] = "answer") -> None:
        """Let the read gateway answer one request.

        fate: answer, fail, stale (written now, read later), a Reply for every call, or a function that changes each.
        """
        self.reads = tuple(other for other in self.reads if other.fact.seq != read.fact.seq)
        if fate == "stale":
            self.reads = (*self.reads, Read(read.fact, self.broker.fork()))
            return
        gateway = self._connected()[1]
        self._fate = LOST if fate == "fail" else fate
        self._from = read.then
        try:
            gateway.take(read.fact)
        finally:
            self._from = None
        self.settle()

    def serve_reads(self) -> None:
        """Answer every read honestly, until none waits."""
        while self.reads:
            self.read(self.reads[0])

    def serve_lists(self) -> None:
        """Answer every listing honestly, and nothing else."""
        while found := [read for read in self.reads if isinstance(read.fact.event, ExecutionsWanted)]:
            self.read(found[0])

    def serve(self) -> None:
        """Let everything that waits go well: answers, requests, reads, notices."""
        head = self.journal.head
        while self.flights or self.outgoing or self.reads or self.broker.notices or self.delayed:
            assert self.journal.head < head + 2_000, "V3: requests without end while no time passes"
            if self.delayed:
                self.arrive(self.delayed[0])
            elif self.flights:
                self.deliver(self.flights[0])
            elif self.outgoing:
                self.send(self.outgoing[0])
            elif self.broker.notices:
                self.notice(0)
            else:
                self.read(self.reads[0])

    def notice(self, place: int = 0, *, keep: bool = False) -> None:
        """Bring one waiting execution notice to the client; keep: it will come once more."""
        text = self.broker.notices[place] if keep else self.broker.notices.pop(place)
        for one in decode_notices(f"0|H0STCNI0|001|{text}", Keys("", "")):
            self.say(
                "feed",
                NoticeReceived(
                    epoch=Epoch(self.epoch), kind=one.kind, request=one.request, order_no=one.order_no,
                    original_order_no=one.original_order_no, code=one.code, side=one.side, qty=one.qty,
                    price=one.price, order_qty=one.order_qty, time=one.time,
                ),
            )  # fmt: skip

    def notice_again(self) -> None:
        """The feed comes back after a loss: what it missed must be asked for."""
        self.epoch += 1
        self.say("feed", FeedConnected(epoch=Epoch(self.epoch)))

    # -- time and crashes -----------------------------------------------------------------------------------

    def next_alarm(self) -> Micros | None:
        """Return when the next alarm is due."""
        return self.runtime._next_due()

    def pass_to(self, at: Micros, *, serving: bool = False) -> None:
        """Let time pass to *at*, ringing what is due; serving: everything that is asked for meanwhile goes well."""
        while (due := self.next_alarm()) is not None and due <= at:
            self._tick(Micros(max(due, self.clock.now())))
            self.runtime.run_until(self.clock.now())
            self.settle()
            if serving:
                self.serve()
        self._tick(at)
        self.settle()

    def ring(self) -> None:
        """Let time pass to the next alarm, and ring it."""
        due = self.next_alarm()
        assert due is not None
        self.pass_to(Micros(max(due, self.clock.now())))

    def wait(self, seconds: int, *, serving: bool = False) -> None:
        """Let some seconds pass."""
        self.pass_to(Micros(self.clock.now() + seconds * SECOND_US), serving=serving)

    def _tick(self, at: Micros) -> None:
        if at > self.clock.now():
            self.clock.set(at)
        self.broker.at(kst_second(self.clock.now()))

    def crash(self) -> None:
        """Drop the client's memory; journal and broker stay. Then start again, which is to recover."""
        before = {stream: host.own for stream, host in self.runtime.hosts.items()}
        for owner in OWNERS:
            mind: Mind[Any, Any] = Mind(owner)
            recover(mind, self.facts())
            assert mind.own == before[owner.stream], f"L3: {owner.stream} recovers to something else"
        self.crashes += 1
        self.epoch += 1
        self.flights, self.outgoing, self.reads, self.broker.notices[:] = (), (), (), []
        self._wires = None
        self.runtime = SingleRuntime(OWNERS, self.journal, self.clock)
        self.runtime.start()
        orders, reads, _, _ = self._connected()
        facts = self.facts()
        waiting: list[Read] = []
        reads.take = lambda fact: waiting.append(Read(fact))  # type: ignore[method-assign]
        reads.fold(facts)
        del reads.take  # type: ignore[method-assign]
        self.reads = tuple(waiting)
        orders.fold(facts)
        self.settle()
        self.say("feed", FeedConnected(epoch=Epoch(self.epoch)))

    # -- what is known --------------------------------------------------------------------------------------

    @property
    def orders(self) -> Any:
        """The orders owner's state."""
        return self.runtime.hosts["orders"].own

    @property
    def seen(self) -> Any:
        """What the orders owner has seen of others."""
        return self.runtime.hosts["orders"]._mind.seen

    @property
    def portfolio(self) -> Any:
        """The portfolio owner's state."""
        return self.runtime.hosts["portfolio"].own

    def facts(self) -> list[Recorded]:
        """Return the whole log."""
        return list(self.journal.read(Seq(0), 1_000_000))

    def all(self, kind: type[E]) -> list[E]:
        """Return the events of one type, in order."""
        return [fact.event for fact in self.facts() if isinstance(fact.event, kind)]

    def last(self, kind: type[E]) -> E:
        """Return the last event of one type."""
        return self.all(kind)[-1]

    def _connected(self) -> tuple[CrankedOrders, CrankedReads, PinnedClock, Gate]:
        if self._wires is None:
            clock, gate = PinnedClock(self.clock), Gate()
            calls = calls_of(self.broker, clock, self._wire)
            self._wires = (
                CrankedOrders(self.journal, calls, clock, gate, HOURS),
                CrankedReads(self.journal, calls, clock, self.settings),
                clock,
                gate,
            )
            for fact in self.journal.read(Seq(0), self._looked):
                if isinstance(fact.event, OrderBound):
                    self._wires[0].take(fact)
        return self._wires


def _listed(one: Any) -> Listed:
    kind: Any = "fund" if one.etp else "common"
    return Listed(
        code=Symbol(one.code), name=one.name, market="KOSPI", kind=kind, base=one.base, upper=one.upper,
        lower=one.lower, halted=False, administrative=False, liquidation=False, overheated=False, warning=0,
        prev_volume=one.prev_volume,
    )  # fmt: skip


def fresh(codes: Sequence[str] = ("000100",), **more: Any) -> World:
    """Return a world in continuous trading: plain stocks, cash, and whatever *more* says of the broker and the world."""
    from tests.money.broker import stocks

    mine = {name: more.pop(name) for name in ("settings", "at") if name in more}
    funds = more.pop("funds", ())
    broker = Broker(stocks(*codes, funds=funds), cash=more.pop("cash", 100_000_000), **more)
    return World(broker, **mine)
