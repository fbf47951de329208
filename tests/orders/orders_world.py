"""A small world for orders and portfolio: both owners in one thread, a virtual clock, and a naive broker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, time
from typing import Any, TypeVar

from kquant.actors.single import SingleRuntime, VirtualClock
from kquant.config import load
from kquant.domain.orders import ORDERS
from kquant.domain.owner import Mind, Owner, recover
from kquant.domain.portfolio import PORTFOLIO
from kquant.events.analyzer import Listed, ListingAnswered
from kquant.events.base import Event, Recorded
from kquant.events.day import Carried, DayOpened, JobDue, RunStarted
from kquant.events.feed import NoticeReceived
from kquant.events.market import Quoted, SnapshotTaken, TriggerFired
from kquant.events.orders import (
    CancelAccepted,
    CancelRefused,
    CancelUnknown,
    CancelWanted,
    Execution,
    ExecutionsListed,
    ExecutionsWanted,
    OrderAccepted,
    OrderExpired,
    OrderIntended,
    OrderRefused,
    OrderSendStarted,
    OrderUnknown,
    QuoteAnswered,
    QuoteFailed,
    QuoteWanted,
    TriggerArmed,
)
from kquant.events.pipeline import BuySignalled, PipelineStarted
from kquant.events.portfolio import BalanceAnswered, BalanceWanted, Holding
from kquant.events.scanner import ReadFailed
from kquant.journal.memory import MemoryJournal
from kquant.krx import SessionHours
from kquant.settings import Settings
from kquant.values import SECOND_US, Epoch, Micros, Score, Seq, Symbol, from_kst, kst_clock

DAY = date(2026, 11, 20)
CODES = ("000100", "000200", "000300", "069500")
FUND = "069500"
E = TypeVar("E", bound=Event)


def kst(clock: str) -> Micros:
    return from_kst(DAY, time.fromisoformat(clock))


HOURS = SessionHours(
    open_at=kst("09:00"), closing_auction_at=kst("15:20"), close_at=kst("15:30"), shift_minutes=0, note=""
)


def listed(code: str) -> Listed:
    return Listed(
        code=Symbol(code), name=f"stock {code}", market="KOSPI", kind="fund" if code == FUND else "common", base=10_000,
        upper=13_000, lower=7_000, halted=False, administrative=False, liquidation=False, overheated=False, warning=0,
        prev_volume=100_000,
    )  # fmt: skip


@dataclass
class Ticket:
    """One order as the broker keeps it."""

    no: str
    code: str
    side: str
    kind: str
    qty: int
    price: int
    time: str
    filled: int = 0
    amount: int = 0
    cancelled: int = 0
    rejected: int = 0
    origin: str = ""

    @property
    def leaves(self) -> int:
        return self.qty - self.filled - self.cancelled - self.rejected

    def row(self) -> Execution:
        return Execution(
            order_no=self.no, original_order_no=self.origin, branch="06010", code=self.code, name=f"stock {self.code}",
            side=self.side, kind=self.kind, order_qty=self.qty, price=self.price, filled_qty=self.filled,
            filled_amount=self.amount, leaves_qty=self.leaves, cancelled_qty=self.cancelled,
            rejected_qty=self.rejected, is_cancel=False, time=self.time,
        )  # fmt: skip


@dataclass
class Broker:
    """The naive truth: cash, shares, tickets. `outcomes` says how the next orders are answered."""

    cash: int = 100_000_000
    shares: dict[str, tuple[int, int]] = field(default_factory=dict)
    tickets: list[Ticket] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    cancels: list[str] = field(default_factory=list)
    reads_fail: bool = False
    lists_fail: bool = False
    balance_fails: bool = False
    hidden: set[str] = field(default_factory=set)
    sells_forgotten: set[str] = field(default_factory=set)
    quotes: str = "answer"
    """answer, fail or hold."""
    race: int = 0
    """Shares that fill of an order just before the next change of it takes effect."""
    prices: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Last price and best ask by code."""
    quote_flags: dict[str, Any] = field(default_factory=dict)

    def place(self, code: str, side: str, kind: str, qty: int, price: int, at: Micros) -> Ticket:
        ticket = Ticket(f"{len(self.tickets) + 1}", code, side, kind, qty, price, kst_clock(at).replace(":", ""))
        self.tickets.append(ticket)
        return ticket

    def ticket(self, no: str) -> Ticket:
        return next(one for one in self.tickets if one.no == no)

    def change(self, old: Ticket, price: int, at: Micros) -> Ticket:
        """Move all that is left of an order to a new one (정정)."""
        new = self.place(old.code, old.side, old.kind, old.leaves, price, at)
        new.origin, old.cancelled = old.no, old.cancelled + old.leaves
        return new

    def sellable(self, code: str) -> int:
        tied = sum(ticket.leaves for ticket in self.tickets if ticket.code == code and ticket.side == "sell")
        return self.shares.get(code, (0, 0))[0] - tied

    def fill(self, ticket: Ticket, qty: int, price: int) -> None:
        qty = min(qty, ticket.leaves)
        before = self.costs(ticket)
        ticket.filled += qty
        ticket.amount += qty * price
        sign = -1 if ticket.side == "buy" else 1
        self.cash += sign * qty * price - (self.costs(ticket) - before)
        held, cost = self.shares.get(ticket.code, (0, 0))
        if ticket.side == "buy":
            self.shares[ticket.code] = (held + qty, cost + qty * price)
        elif qty:
            self.shares[ticket.code] = (held - qty, cost - cost * qty // held)

    def costs(self, ticket: Ticket) -> int:
        tax = 2_000 if ticket.side == "sell" and ticket.code != FUND else 0
        return ticket.amount * 140 // 1_000_000 + ticket.amount * tax // 1_000_000

    def balance(self) -> BalanceAnswered:
        rows = [
            Holding(code=Symbol(code), name=f"stock {code}", qty=qty, sellable=self.sellable(code), cost_krw=cost)
            for code, (qty, cost) in sorted(self.shares.items())
            if qty
        ]
        return BalanceAnswered(holdings=tuple(rows), cash_krw=self.cash, cash_today_krw=self.cash)


class World:
    """Drives the owners; `say` appends a foreign event, `pass_time` lets alarms ring."""

    def __init__(
        self,
        broker: Broker | None = None,
        *,
        at: str = "08:55",
        settings: Settings | None = None,
        carried: tuple[Carried, ...] | None = None,
        carried_cash: int | None = None,
        reconciled: bool = True,
        day_before: str = "",
        owners: Sequence[Owner[Any, Any]] = (ORDERS, PORTFOLIO),
    ) -> None:
        self.settings = settings or load("demo", environ={}).settings
        self.clock = VirtualClock(kst(at))
        self.journal = MemoryJournal(self.clock.now)
        self.broker = broker or Broker()
        self._cursor = Seq(0)
        started = RunStarted(settings=self.settings, profile="demo", code_hash="", seed=1, versions={})
        self.journal.append("run", [started], by="run").result()
        self.owners = owners
        self.runtime = SingleRuntime(owners, self.journal, self.clock, [self._serve])
        self.runtime.start()
        self.say("rest", ListingAnswered(stocks=tuple(listed(code) for code in CODES), source=""))
        self.say(
            "run",
            DayOpened(
                day=DAY.isoformat(), account="***", hours=HOURS, positions=carried, cash_krw=carried_cash,
                day_before=day_before, digest_before="", reconciled_before=reconciled,
            ),
        )  # fmt: skip

    def restart(self) -> None:
        """A new process: every owner is recovered from the log."""
        self.runtime = SingleRuntime(self.owners, self.journal, self.clock, [self._serve])
        self.runtime.start()
        self.runtime.settle()

    # -- what happens ---------------------------------------------------------------------------------------

    def say(self, stream: str, event: Event, caused_by: Seq | None = None) -> None:
        self.journal.append(stream, [event], by=stream, caused_by=caused_by).result()
        self.runtime.settle()

    def pass_time(self, seconds: int) -> None:
        self.runtime.run_until(Micros(self.clock.now() + seconds * SECOND_US))

    def until(self, clock: str) -> None:
        self.runtime.run_until(kst(clock))

    def signal(self, code: str = CODES[0], *, last: int = 10_000, ask: int = 10_010, moved: bool = False) -> None:
        """A signal at these prices; unless they *moved* since, the broker's quote says the same."""
        if not moved:
            self.broker.prices[code] = (last, ask)
        snapshot = self.snapshot(code, last=last, ask=ask)
        self.say(
            "pipeline",
            BuySignalled(
                run=1, code=Symbol(code), name=f"stock {code}", score=Score(80), last=last, bid=last, ask=ask,
                snapshot=snapshot,
            ),
        )  # fmt: skip

    def snapshot(
        self, code: str, *, last: int = 10_000, ask: int = 10_010, age_ms: int = 0, volume: int = 10_000_000
    ) -> Seq:
        """What the board holds of a stock, as a signal is made from it; returns its seq."""
        quoted = Quoted(
            code=Symbol(code), last=last, last_age_ms=age_ms, bid=last, ask=ask, quote_age_ms=age_ms, open=last,
            high=last, low=last, volume=volume, value=last * volume, change_bp=0, program_net=None,
            program_age_ms=None, book_bid_qty=None, book_ask_qty=None, book_age_ms=None, source="feed",
        )  # fmt: skip
        self.say("market", SnapshotTaken(run=1, quotes=(quoted,), place=1))
        return Seq(self.facts()[-1].seq)

    def fire(self, trigger: TriggerArmed, price: int) -> None:
        self.say(
            "market",
            TriggerFired(
                trigger=trigger.trigger, code=trigger.code, price=price, bid=price, ask=price,
                exchange_time=kst_clock(self.clock.now()).replace(":", ""), volume=1, place=1,
            ),
        )  # fmt: skip

    def notice(self, no: str = "1") -> None:
        self.say(
            "feed",
            NoticeReceived(
                epoch=Epoch(1), kind="filled", request="new", order_no=no, original_order_no="", code=Symbol(CODES[0]),
                side="buy", qty=1, price=1, order_qty=1, time="090000",
            ),
        )  # fmt: skip

    def job(self, job: Any) -> None:
        self.say("scheduler", JobDue(job=job, due=self.clock.now()))

    def pipeline(self, run: int = 1) -> None:
        now = self.clock.now()
        self.say("pipeline", PipelineStarted(run=run, due=now, sync_deadline=Micros(now + 20 * SECOND_US)))

    # -- what is known --------------------------------------------------------------------------------------

    @property
    def own(self) -> Any:
        return self.runtime.hosts["orders"].own

    @property
    def seen(self) -> Any:
        return self.runtime.hosts["orders"]._mind.seen

    @property
    def portfolio(self) -> Any:
        return self.runtime.hosts["portfolio"].own

    def facts(self) -> list[Recorded]:
        return list(self.journal.read(Seq(0), 1_000_000))

    def all(self, kind: type[E]) -> list[E]:
        return [fact.event for fact in self.facts() if isinstance(fact.event, kind)]

    def last(self, kind: type[E]) -> E:
        return self.all(kind)[-1]

    def assert_recovers(self) -> None:
        """recover() from the log equals the live state, of both owners."""
        for owner in (ORDERS, PORTFOLIO):
            mind: Mind[Any, Any] = Mind(owner)
            recover(mind, self.facts())
            assert mind.own == self.runtime.hosts[owner.stream].own

    # -- the broker's side ----------------------------------------------------------------------------------

    def _serve(self) -> bool:
        facts = self.journal.read(self._cursor)
        for fact in facts:
            self._cursor = fact.seq
            self._answer(fact)
        return bool(facts)

    def _answer(self, fact: Recorded) -> None:
        match fact.event:
            case BalanceWanted():
                is_down = self.broker.reads_fail or self.broker.balance_fails
                failed = ReadFailed(what="portfolio.balance_wanted", reason="no answer")
                self._reply(fact, "rest", [failed if is_down else self.broker.balance()])
            case ExecutionsWanted():
                rows = tuple(ticket.row() for ticket in self.broker.tickets if ticket.no not in self.broker.hidden)
                failed = ReadFailed(what="orders.executions_wanted", reason="no answer")
                fails = self.broker.reads_fail or self.broker.lists_fail
                self._reply(fact, "rest", [failed if fails else ExecutionsListed(rows=rows)])
            case QuoteWanted() if self.broker.quotes != "hold":
                self._reply(fact, "rest", [self._quote(fact.event)])
            case OrderIntended():
                self._reply(fact, "broker", self._order(fact.event))
            case CancelWanted():
                self._reply(fact, "broker", [self._cancel(fact.event)])

    def _reply(self, fact: Recorded, stream: str, events: list[Event]) -> None:
        self.journal.append(stream, events, by="broker", caused_by=fact.seq).result()

    def _quote(self, wanted: QuoteWanted) -> Event:
        """The prices of the last signal, or those that the test put there."""
        if self.broker.quotes == "fail":
            return QuoteFailed(request=wanted.request, code=wanted.code, reason="no answer in time")
        last, ask = self.broker.prices.get(wanted.code, (10_000, 10_010))
        plain: dict[str, Any] = {
            "last": last, "ask": ask, "bid": last, "ask_qty": 1_000, "bid_qty": 1_000, "upper": 13_000, "lower": 7_000,
            "volume": 10_000_000, "value": 100_000_000_000, "status": "55", "warning": 0, "halted": False,
            "liquidation": False, "overheated": False, "administrative": False, "vi": False, "is_auction": False,
        }  # fmt: skip
        return QuoteAnswered(request=wanted.request, code=wanted.code, **(plain | self.broker.quote_flags))

    def _order(self, intent: OrderIntended) -> list[Event]:
        broker = self.broker
        outcome = broker.outcomes.pop(0) if broker.outcomes else "accept"
        if outcome == "expire":
            return [OrderExpired(intent=intent.intent)]
        started = OrderSendStarted(intent=intent.intent)
        short = intent.side == "sell" and broker.sellable(intent.code) < intent.qty
        if outcome == "refuse" or short:
            return [started, OrderRefused(intent=intent.intent, message_code="APBK0919", message="no")]
        if outcome == "lost":
            return [started, OrderUnknown(intent=intent.intent, why="timeout")]
        if intent.replaces is not None:
            old = broker.ticket(self.own.orders[intent.replaces].order_no)
            broker.race, qty = 0, broker.race
            broker.fill(old, qty, old.price)
            if old.leaves == 0:
                return [started, OrderRefused(intent=intent.intent, message_code="APBK0400", message="nothing left")]
            ticket = broker.change(old, intent.price, self.clock.now())
        else:
            ticket = broker.place(
                intent.code, intent.side, intent.kind, intent.qty, intent.price, self.clock.now()
            )  # fmt: skip
        if outcome in ("unknown", "late"):
            if outcome == "late":
                broker.hidden.add(ticket.no)
            return [started, OrderUnknown(intent=intent.intent, why="timeout")]
        return [started, OrderAccepted(intent=intent.intent, order_no=ticket.no, branch="06010", time=ticket.time)]

    def _cancel(self, wanted: CancelWanted) -> Event:
        ticket = next(one for one in self.broker.tickets if one.no == wanted.order_no)
        outcome = self.broker.cancels.pop(0) if self.broker.cancels else "accept"
        if outcome == "lost":
            return CancelUnknown(intent=wanted.intent, why="timeout")
        if ticket.leaves == 0 or outcome == "refuse":
            return CancelRefused(intent=wanted.intent, message_code="APBK1001", message="nothing open")
        ticket.cancelled += ticket.leaves
        return (
            CancelUnknown(intent=wanted.intent, why="timeout")
            if outcome == "unknown"
            else CancelAccepted(intent=wanted.intent, order_no=wanted.order_no)
        )


def opened(broker: Broker | None = None, **rest: Any) -> World:
    world = World(broker, **rest)
    world.until("09:05:00")
    return world


def holding(qty: int = 100, cost: int = 1_000_000, **rest: Any) -> World:
    return opened(Broker(shares={CODES[0]: (qty, cost)}), **rest)


def by_kind(world: World, code: str = CODES[0]) -> dict[str, TriggerArmed]:
    alive = {one.trigger for one in world.own.armed.get(code, ())}
    return {one.kind: one for one in world.all(TriggerArmed) if one.trigger in alive}


def with_settings(change: Callable[[Settings], dict[str, Any]]) -> Settings:
    import msgspec

    base = load("demo", environ={}).settings
    return msgspec.structs.replace(base, **change(base))


__all__ = [
    "CODES",
    "FUND",
    "HOURS",
    "Broker",
    "Ticket",
    "World",
    "by_kind",
    "holding",
    "kst",
    "listed",
    "opened",
    "replace",
    "with_settings",
]
