"""Orders with their fills, costs and end."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from kquant.domain.orders.lifecycle import TABLE, Stage
from kquant.domain.orders.stages import intent_of, step_of
from kquant.events import orders as events
from kquant.events.base import Event, Recorded
from kquant.events.portfolio import CashMoved
from kquant.values import IntentId, Krw, Micros, OrderKind, Seq, Shares, Side, Symbol


class FillLine(Struct, frozen=True, kw_only=True):
    """One execution report of ours. price: average of its shares, rounded down to the won."""

    at: Micros
    intent: IntentId | None
    code: Symbol
    name: str
    side: Side
    qty: Shares
    amount_krw: Krw
    leaves_qty: Shares

    @property
    def price(self) -> Krw:
        """Return the average price in whole won."""
        return Krw(self.amount_krw // self.qty)


class OrderLine(Struct, frozen=True, kw_only=True):
    """An intent and what became of it. state: its stage in the table of an order's life (`domain.orders.lifecycle`).

    fee_krw, tax_krw: of its fills.   decision: seq of the signal, trigger or job.   done: None while open.
    replaces: the intent whose place it takes (정정).   quote: seq of the price confirmed before it.
    """

    intent: IntentId
    seq: Seq
    at: Micros
    code: Symbol
    name: str
    side: Side
    kind: OrderKind
    qty: Shares
    price: Krw
    reason: str
    decision: Seq
    state: Stage
    order_no: str
    filled_qty: Shares
    filled_krw: Krw
    fee_krw: Krw
    tax_krw: Krw
    fills: int
    done: Micros | None
    replaces: IntentId | None = None
    quote: Seq | None = None


class DeniedLine(Struct, frozen=True, kw_only=True):
    """A signal that a limit stopped. decision: seq of the signal."""

    at: Micros
    code: Symbol
    side: Side
    rule: str
    value: int
    limit: int
    decision: Seq


class WaitingLine(Struct, frozen=True, kw_only=True):
    """A sell that was due and waits. until: when it is looked at again."""

    at: Micros
    code: Symbol
    reason: str
    rule: str
    value: int
    limit: int
    until: Micros


class OrdersView(Struct, frozen=True, kw_only=True):
    """orders: by intent.   fills, denied, waiting: in order of the log.

    settled: the day's orders agree with the broker's final list, None before it is known.
    """

    orders: tuple[OrderLine, ...]
    fills: tuple[FillLine, ...]
    denied: tuple[DeniedLine, ...]
    waiting: tuple[WaitingLine, ...] = ()
    settled: bool | None = None

    def chains(self) -> tuple[tuple[OrderLine, ...], ...]:
        """Return the orders with those that took their place, each chain from its first; by first intent."""
        chains: dict[IntentId, list[OrderLine]] = {}
        roots: dict[IntentId, IntentId] = {}
        for line in self.orders:
            root = roots.get(line.replaces, line.intent) if line.replaces is not None else line.intent
            roots[line.intent] = root
            chains.setdefault(root, []).append(line)
        return tuple(tuple(chain) for chain in chains.values())


class _Order(Struct):
    line: OrderLine

    def set(self, **fields: object) -> None:
        """Replace fields of the line."""
        values = {name: getattr(self.line, name) for name in OrderLine.__struct_fields__} | fields
        self.line = OrderLine(**values)


class OrdersFold:
    """Orders, moved on fact by fact."""

    def __init__(self) -> None:
        self.fills: list[FillLine] = []
        self.denied: list[DeniedLine] = []
        self.waiting: list[WaitingLine] = []
        self.settled: bool | None = None
        self._orders: dict[IntentId, _Order] = {}

    def apply(self, fact: Recorded) -> None:
        """Fold one fact; others than orders and their cash change nothing."""
        event = fact.event
        match event:
            case events.OrderIntended():
                self._orders[event.intent] = _Order(_intended(fact, event))
            case (
                events.OrderBound(intent=intent, order_no=number) | events.OrderAccepted(intent=intent, order_no=number)
            ):
                self._step(event)
                self._set(intent, order_no=number)
            case events.OrderFinished(intent=intent):
                self._step(event)
                self._set(intent, done=fact.at)
            case events.OrderResized(intent=intent, qty=qty):
                self._set(intent, qty=qty)
                self._step(event)
            case events.OrderFilled():
                self._step(event)
                self._fill(fact.at, event)
            case CashMoved(intent=intent, fee_krw=fee, tax_krw=tax) if intent is not None:
                self._cost(intent, fee, tax)
            case events.OrderDenied():
                self.denied.append(
                    DeniedLine(
                        at=fact.at,
                        code=event.code,
                        side=event.side,
                        rule=event.rule,
                        value=event.value,
                        limit=event.limit,
                        decision=event.decision,
                    )
                )
            case _:
                self._rest(fact)

    def _rest(self, fact: Recorded) -> None:
        event = fact.event
        match event:
            case events.ExitPostponed():
                self.waiting.append(
                    WaitingLine(
                        at=fact.at, code=event.code, reason=event.reason, rule=event.rule, value=event.value,
                        limit=event.limit, until=event.until,
                    )
                )  # fmt: skip
            case events.OrdersSettled(agrees=agrees):
                self.settled = agrees
            case _:
                self._step(event)

    def _step(self, event: Event) -> None:
        """Move an order on by the table. A step it does not hold is the owner's to refuse: it moves nothing here."""
        intent = intent_of(event)
        known = None if intent is None else self._orders.get(intent)
        if known is None:
            return
        step = step_of(event, known.line.qty)
        known.set(state=TABLE.get((known.line.state, step), known.line.state) if step is not None else known.line.state)

    def _set(self, intent: IntentId, **fields: object) -> None:
        known = self._orders.get(intent)
        if known is not None:
            known.set(**fields)

    def _cost(self, intent: IntentId, fee: Krw, tax: Krw) -> None:
        known = self._orders.get(intent)
        if known is not None:
            known.set(fee_krw=Krw(known.line.fee_krw + fee), tax_krw=Krw(known.line.tax_krw + tax))

    def _fill(self, at: Micros, event: events.OrderFilled) -> None:
        self.fills.append(
            FillLine(
                at=at,
                intent=event.intent,
                code=event.code,
                name=event.name,
                side=event.side,
                qty=event.qty,
                amount_krw=event.amount_krw,
                leaves_qty=event.leaves_qty,
            )
        )
        if event.intent is None:
            return
        known = self._orders.get(event.intent)
        if known is not None:
            known.set(filled_qty=event.filled_qty, filled_krw=event.filled_amount_krw, fills=known.line.fills + 1)

    def view(self) -> OrdersView:
        """Return everything as it is."""
        lines = tuple(self._orders[intent].line for intent in sorted(self._orders))
        return OrdersView(
            orders=lines,
            fills=tuple(self.fills),
            denied=tuple(self.denied),
            waiting=tuple(self.waiting),
            settled=self.settled,
        )


def orders_view(facts: Iterable[Recorded]) -> OrdersView:
    """Return orders, fills and denials after *facts*."""
    fold = OrdersFold()
    for fact in facts:
        fold.apply(fact)
    return fold.view()


def _intended(fact: Recorded, event: events.OrderIntended) -> OrderLine:
    return OrderLine(
        intent=event.intent,
        seq=fact.seq,
        at=fact.at,
        code=event.code,
        name=event.name,
        side=event.side,
        kind=event.kind,
        qty=event.qty,
        price=event.price,
        reason=event.reason,
        decision=event.decision,
        state="intended",
        order_no="",
        filled_qty=Shares(0),
        filled_krw=Krw(0),
        fee_krw=Krw(0),
        tax_krw=Krw(0),
        fills=0,
        done=None,
        replaces=event.replaces,
        quote=event.quote,
    )
