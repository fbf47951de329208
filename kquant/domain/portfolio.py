"""The owner of positions, cash and cost basis: the day opens and ends at the broker's balance, fills move it between.

Money is exact (M1): cash = start + sells - buys - fees - taxes, in whole won. Costs are charged on an order's
cumulative amount, so it does not matter in how many fills its executions arrive. A balance that differs from ours is
believed only after two agreeing reads in quiet, when no order of ours works and no fill is younger than ten seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, structs

from kquant.domain.owner import Owner
from kquant.events.analyzer import ListingAnswered
from kquant.events.base import Event, Recorded, name_of
from kquant.events.day import AlarmRang, AlarmSet, AlertRaised, Carried, DayOpened, JobDue
from kquant.events.orders import OrderFilled, OrderFinished, OrderIntended
from kquant.events.pipeline import PipelineStarted
from kquant.events.portfolio import (
    BalanceAnswered,
    BalanceReason,
    BalanceWanted,
    CashMoved,
    DayReconciled,
    Difference,
    Holding,
    PortfolioAdjusted,
    PortfolioOpened,
    PortfolioSynchronised,
    PositionChanged,
    PositionClosed,
    PositionOpened,
)
from kquant.events.scanner import ReadExpired, ReadFailed
from kquant.krx import commission, costs_on, sell_tax
from kquant.settings import Settings
from kquant.values import SECOND_US, IntentId, KquantError, Krw, Micros, Shares, Symbol

STREAM = "portfolio"
BALANCE_VALID_US = 30 * SECOND_US
RETRY_US: dict[BalanceReason, int] = {
    "opening": 5 * SECOND_US,
    "pipeline": 2 * SECOND_US,
    "mismatch": 5 * SECOND_US,
    "closing": 5 * SECOND_US,
}
TRIES: dict[BalanceReason, int] = {"opening": 30, "pipeline": 4, "mismatch": 4, "closing": 8}
"""Reads of one kind before a person is told; the opening one is asked again by every pipeline run."""
QUIET_US = 10 * SECOND_US
"""A fill younger than this explains a difference: the broker's balance and its list of orders lag each other."""
MISMATCH_TRIES = 6
CLOSING_AFTER_US = 5 * SECOND_US
CLOSING_WAITS = 20
"""Alarms, five seconds apart, that the closing balance waits for open orders."""


class NotCovered(KquantError):
    """A fill cannot be booked: the day or the portfolio was not opened before it."""


class Position(Struct, frozen=True, kw_only=True):
    """What we hold of one stock. cost_krw: what the shares cost in all, without fees."""

    code: Symbol
    name: str
    qty: Shares
    cost_krw: Krw


class Own(Struct, frozen=True, kw_only=True):
    """Positions, cash and their totals of the day, and how far the day is. Sums are won since the opening.

    requests: balances asked for; reason, pipeline_until: of the last one.   suspicion: differences of the first of two
    reads.   closing_alarms: how often the closing balance was put off.   taken: shares (signed) taken over from the
    broker's balance of stocks with an order given up as not placed, by code: fills of it, listed late, are in there.
    """

    cash_krw: Krw | None = None
    start_krw: Krw = Krw(0)
    positions: dict[Symbol, Position] = {}
    bought_krw: Krw = Krw(0)
    sold_krw: Krw = Krw(0)
    fees_krw: Krw = Krw(0)
    taxes_krw: Krw = Krw(0)
    adjusted_krw: Krw = Krw(0)
    realised_krw: Krw = Krw(0)
    requests: int = 0
    reason: BalanceReason = "opening"
    pipeline_until: Micros = Micros(0)
    attempts: dict[str, int] = {}
    differences: tuple[Difference, ...] = ()
    suspicion: tuple[Difference, ...] = ()
    doubts: int = 0
    closing_alarms: int = 0
    reconciled: bool = False
    taken: dict[Symbol, int] = {}

    @property
    def is_open(self) -> bool:
        """Tell whether the broker's first balance was taken over."""
        return self.cash_krw is not None

    def equity_krw(self) -> Krw | None:
        """Return cash plus the cost of all positions (won), None before the opening."""
        if self.cash_krw is None:
            return None
        return Krw(self.cash_krw + sum(position.cost_krw for position in self.positions.values()))

    def holdings(self) -> tuple[Carried, ...]:
        """Return the positions ordered by code, as the next day carries them over."""
        return tuple(
            Carried(code=code, name=held.name, qty=held.qty, cost_krw=held.cost_krw)
            for code, held in sorted(self.positions.items())
        )


class Seen(Struct, frozen=True, kw_only=True):
    """What others said. outcomes, outcome_of, outcome_at: balance outcomes, each request counted once, and the last one.

    working: intents that may still fill.   filled_at: of the last fill.   funds: codes without sell tax.
    given_up: orders finished as not placed, and their stock.
    """

    day: str = ""
    carried: tuple[Carried, ...] | None = None
    carried_cash_krw: Krw | None = None
    funds: frozenset[Symbol] = frozenset()
    working: tuple[IntentId, ...] = ()
    given_up: dict[IntentId, Symbol] = {}
    filled_at: Micros | None = None
    pipeline_deadline: Micros = Micros(0)
    is_closed: bool = False
    outcomes: int = 0
    outcome_of: int = 0
    outcome_at: int = 0

    def is_quiet(self, at: Micros) -> bool:
        """Tell whether a difference at *at* cannot be explained by orders of ours."""
        return not self.working and (self.filled_at is None or at - self.filled_at > QUIET_US)


def observe(seen: Seen, fact: Recorded) -> Seen:
    """Fold a foreign fact."""
    match fact.event:
        case DayOpened(day=day, positions=positions, cash_krw=cash):
            return structs.replace(seen, day=day, carried=positions, carried_cash_krw=cash)
        case ListingAnswered(stocks=stocks):
            return structs.replace(seen, funds=frozenset(stock.code for stock in stocks if stock.kind == "fund"))
        case OrderIntended(intent=intent):
            return structs.replace(seen, working=(*seen.working, intent))
        case OrderFinished(intent=intent, code=code, outcome=outcome):
            given_up = {**seen.given_up, intent: code} if outcome == "not_placed" else seen.given_up
            working = tuple(other for other in seen.working if other != intent)
            return structs.replace(seen, working=working, given_up=given_up)
        case OrderFilled():
            return structs.replace(seen, filled_at=fact.at)
        case PipelineStarted(sync_deadline=deadline):
            return structs.replace(seen, pipeline_deadline=deadline)
        case JobDue(job="session_closed"):
            return structs.replace(seen, is_closed=True)
        case BalanceAnswered():
            return _outcome(seen, fact)
        case ReadFailed(what=what) | ReadExpired(what=what) if what == name_of(BalanceWanted):
            return _outcome(seen, fact)
    return seen


def _outcome(seen: Seen, fact: Recorded) -> Seen:
    if fact.caused_by is None or fact.caused_by <= seen.outcome_of:
        return seen
    return structs.replace(seen, outcomes=seen.outcomes + 1, outcome_of=fact.caused_by, outcome_at=fact.seq)


def evolve(own: Own, event: Event) -> Own:
    """Fold one event of the own stream."""
    match event:
        case BalanceWanted(reason=reason, valid_until=until):
            is_new_run = reason == "pipeline" and until != own.pipeline_until
            tries = 1 if is_new_run else own.attempts.get(reason, 0) + 1
            return structs.replace(
                own,
                requests=own.requests + 1,
                reason=reason,
                pipeline_until=until if reason == "pipeline" else own.pipeline_until,
                attempts={**own.attempts, reason: tries},
            )
        case PortfolioOpened(cash_krw=cash):
            return structs.replace(own, cash_krw=cash, start_krw=cash)
        case PositionOpened(code=code, name=name, qty=qty, cost_krw=cost):
            return _hold(own, Position(code=code, name=name, qty=qty, cost_krw=cost), 0)
        case PositionChanged(code=code, qty=qty, cost_krw=cost, realised_krw=realised):
            return _hold(own, structs.replace(own.positions[code], qty=qty, cost_krw=cost), realised)
        case PositionClosed(code=code, realised_krw=realised):
            rest = {other: held for other, held in own.positions.items() if other != code}
            return structs.replace(own, positions=rest, realised_krw=own.realised_krw + realised)
        case CashMoved():
            return structs.replace(
                own,
                cash_krw=event.cash_krw,
                bought_krw=own.bought_krw + max(-event.amount_krw, 0),
                sold_krw=own.sold_krw + max(event.amount_krw, 0),
                fees_krw=own.fees_krw + event.fee_krw,
                taxes_krw=own.taxes_krw + event.tax_krw,
                taken=_taken_less(own.taken, event),
            )
        case PortfolioSynchronised(differences=differences):
            attempts = {**own.attempts, "mismatch": 0}
            if differences:
                return structs.replace(own, differences=differences, attempts=attempts)
            return structs.replace(own, differences=(), suspicion=(), doubts=0, attempts=attempts)
        case PortfolioAdjusted(cash_krw=cash, differences=differences, presumed=presumed):
            moves = {one.what: one.theirs - one.ours for one in differences}
            taken = {code: own.taken.get(code, 0) + moves[code] for code in presumed if code in moves}
            own = structs.replace(own, taken={**own.taken, **taken})
            assumed = own.cash_krw if own.cash_krw is not None else cash
            moved = own.adjusted_krw + cash - assumed
            return structs.replace(own, cash_krw=cash, adjusted_krw=moved, differences=(), suspicion=(), doubts=0)
        case AlarmSet(alarm="mismatch"):
            return structs.replace(own, suspicion=own.differences, doubts=own.doubts + 1)
        case AlarmSet(alarm="closing"):
            return structs.replace(own, closing_alarms=own.closing_alarms + 1)
        case DayReconciled():
            return structs.replace(own, reconciled=True)
    return own


def _taken_less(taken: dict[Symbol, int], event: CashMoved) -> dict[Symbol, int]:
    """Take a covered fill off what was taken over; more than that is not left to cover the next one."""
    code = event.covered_code
    if code is None:
        return taken
    left = taken[code]
    used = min(event.covered_qty, abs(left))
    return {**taken, code: left - used if left > 0 else left + used}


def _hold(own: Own, position: Position, realised: int) -> Own:
    return structs.replace(
        own, positions={**own.positions, position.code: position}, realised_krw=own.realised_krw + realised
    )


def decide(own: Own, seen: Seen, fact: Recorded, settings: Settings) -> Sequence[Event]:
    """Return what follows from one input."""
    at = fact.at
    match fact.event:
        case DayOpened():
            return _ask(own, seen, "opening", at)
        case PipelineStarted():
            return _ask(own, seen, "pipeline" if own.is_open else "opening", at)
        case OrderFilled():
            return _book(own, seen, fact.event, settings, at)
        case BalanceAnswered() if seen.outcome_at == fact.seq:
            return _compare(own, seen, fact, fact.event)
        case ReadFailed(reason=reason) if seen.outcome_at == fact.seq:
            return _retry(own, seen, at, reason)
        case ReadExpired() if seen.outcome_at == fact.seq:
            return _retry(own, seen, at, "too late")
        case JobDue(job="session_closed"):
            return [AlarmSet(alarm="closing", due=Micros(at + CLOSING_AFTER_US))]
        case AlarmRang(alarm="closing"):
            return _close(own, seen, at)
        case AlarmRang(alarm="opening") if not own.is_open:
            return _ask(own, seen, "opening", at)
        case AlarmRang(alarm="pipeline") if own.is_open:
            return _ask(own, seen, "pipeline", at)
        case AlarmRang(alarm="mismatch") if own.is_open and seen.is_quiet(at) and not seen.is_closed:
            return _ask(own, seen, "mismatch", at)
    return []


def _ask(own: Own, seen: Seen, reason: BalanceReason, at: Micros) -> list[Event]:
    """Ask for a balance unless one is under way: its answer asks for what is still missing."""
    if own.requests > seen.outcomes or own.reconciled:
        return []
    if reason == "pipeline":
        if seen.pipeline_deadline <= at or seen.is_closed:
            return []
        return [BalanceWanted(reason=reason, valid_until=seen.pipeline_deadline)]
    return [BalanceWanted(reason=reason, valid_until=Micros(at + BALANCE_VALID_US))]


def _retry(own: Own, seen: Seen, at: Micros, why: str) -> list[Event]:
    """Ask again by alarm, a bounded number of times; then tell a person."""
    reason = own.reason
    if own.attempts.get(reason, 0) < TRIES[reason]:
        due = Micros(at + RETRY_US[reason])
        if reason == "pipeline" and due >= seen.pipeline_deadline:
            return []
        return [AlarmSet(alarm=reason, due=due), *_waiting_run(own, seen, at)]
    text = f"the {reason} balance could not be read {own.attempts.get(reason, 0)} times: {why}"
    alert = AlertRaised(level="critical", text=text)
    if reason == "closing":
        return [alert, DayReconciled(agrees=False, differences=own.differences)]
    return [alert, *_waiting_run(own, seen, at)]


def _waiting_run(own: Own, seen: Seen, at: Micros) -> list[Event]:
    """Ask for the pipeline run that started while another balance was under way."""
    if not own.is_open or own.reason == "pipeline" or seen.pipeline_deadline <= own.pipeline_until:
        return []
    return _ask(own, seen, "pipeline", at)


def differences_between(own: Own, balance: BalanceAnswered) -> tuple[Difference, ...]:
    """Return where shares (by code) and cash (last) of a balance differ from ours. Costs are the broker's to round."""
    ours: dict[str, int] = {code: held.qty for code, held in own.positions.items()}
    theirs: dict[str, int] = {held.code: held.qty for held in balance.holdings}
    return _differences(ours, own.cash_krw, theirs, balance.cash_krw)


def _differences(
    ours: dict[str, int], cash: Krw | None, theirs: dict[str, int], their_cash: Krw
) -> tuple[Difference, ...]:
    found = [
        Difference(what=code, ours=ours.get(code, 0), theirs=theirs.get(code, 0))
        for code in sorted({*ours, *theirs})
        if ours.get(code, 0) != theirs.get(code, 0)
    ]
    if cash is not None and cash != their_cash:
        found.append(Difference(what="cash", ours=cash, theirs=their_cash))
    return tuple(found)


def _compare(own: Own, seen: Seen, fact: Recorded, balance: BalanceAnswered) -> list[Event]:
    if not own.is_open:
        return _open(seen, fact, balance)
    differences = differences_between(own, balance)
    said = PortfolioSynchronised(reason=own.reason, balance=fact.seq, differences=differences)
    if own.reason == "closing":
        return [said, *_reconcile(own, fact.at, differences)]
    if not differences or not seen.is_quiet(fact.at) or seen.is_closed:
        return [said, *_waiting_run(own, seen, fact.at)]
    if differences == own.suspicion:
        return [said, *_adjust(own, seen, balance, differences), *_waiting_run(own, seen, fact.at)]
    if own.doubts >= MISMATCH_TRIES:
        text = f"the broker's balance differs and keeps changing: {_listed(differences)}"
        return [said, AlertRaised(level="critical", text=text)]
    alarm = AlarmSet(alarm="mismatch", due=Micros(fact.at + RETRY_US["mismatch"]))
    return [said, alarm, *_waiting_run(own, seen, fact.at)]


def _open(seen: Seen, fact: Recorded, balance: BalanceAnswered) -> list[Event]:
    """Take the first balance over; tell a person if it is not what the day before ended with."""
    events: list[Event] = [PortfolioOpened(cash_krw=balance.cash_krw)]
    events.extend(
        PositionOpened(code=held.code, name=held.name, qty=held.qty, cost_krw=held.cost_krw, carried=True)
        for held in balance.holdings
    )
    differences: tuple[Difference, ...] = ()
    if seen.carried is not None:
        ours: dict[str, int] = {held.code: held.qty for held in seen.carried}
        theirs: dict[str, int] = {held.code: held.qty for held in balance.holdings}
        differences = _differences(ours, seen.carried_cash_krw, theirs, balance.cash_krw)
    events.append(PortfolioSynchronised(reason="opening", balance=fact.seq, differences=differences))
    if differences:
        adjusted = PortfolioAdjusted(holdings=balance.holdings, cash_krw=balance.cash_krw, differences=differences)
        text = f"the opening balance is not what the day before ended with: {_listed(differences)}"
        events.extend((adjusted, AlertRaised(level="warning", text=text)))
    if seen.pipeline_deadline > fact.at:
        events.append(BalanceWanted(reason="pipeline", valid_until=seen.pipeline_deadline))
    return events


def _adjust(own: Own, seen: Seen, balance: BalanceAnswered, differences: tuple[Difference, ...]) -> list[Event]:
    """Take the broker's figures over, position by position so that everybody who watches positions follows."""
    presumed = tuple(sorted(set(seen.given_up.values())))
    events: list[Event] = [
        PortfolioAdjusted(
            holdings=balance.holdings, cash_krw=balance.cash_krw, differences=differences, presumed=presumed
        )
    ]
    theirs = {held.code: held for held in balance.holdings}
    for code in sorted({*own.positions, *theirs}):
        held, known = theirs.get(code), own.positions.get(code)
        if held is None:
            events.append(PositionClosed(code=code, realised_krw=Krw(0)))
        elif known is None:
            events.append(_opened(held))
        elif held.qty != known.qty:
            events.append(PositionChanged(code=code, qty=held.qty, cost_krw=held.cost_krw, realised_krw=Krw(0)))
    text = f"positions or cash were taken over from the broker: {_listed(differences)}"
    events.append(AlertRaised(level="warning", text=text))
    return events


def _opened(held: Holding) -> PositionOpened:
    return PositionOpened(code=held.code, name=held.name, qty=held.qty, cost_krw=held.cost_krw, carried=False)


def _listed(differences: tuple[Difference, ...]) -> str:
    return ", ".join(f"{one.what} ours {one.ours} theirs {one.theirs}" for one in differences)


def _close(own: Own, seen: Seen, at: Micros) -> list[Event]:
    """Ask for the closing balance once no order can fill any more, or after a bounded wait."""
    if own.reconciled:
        return []
    if own.requests > seen.outcomes or (seen.working and own.closing_alarms < CLOSING_WAITS):
        return [AlarmSet(alarm="closing", due=Micros(at + CLOSING_AFTER_US))]
    if not own.is_open:
        text = "the day ends without a balance: the portfolio was never opened"
        return [AlertRaised(level="critical", text=text), DayReconciled(agrees=False, differences=())]
    return _ask(own, seen, "closing", at)


def _reconcile(own: Own, at: Micros, differences: tuple[Difference, ...]) -> list[Event]:
    if not differences:
        return [DayReconciled(agrees=True, differences=())]
    if own.attempts.get("closing", 0) < TRIES["closing"]:
        return [AlarmSet(alarm="closing", due=Micros(at + RETRY_US["closing"]))]
    text = f"the day does not reconcile: {_listed(differences)}"
    return [AlertRaised(level="critical", text=text), DayReconciled(agrees=False, differences=differences)]


def is_covered(own: Own, seen: Seen, fill: OrderFilled) -> bool:
    """Tell whether a balance taken over holds the fill: its order was given up as not placed, and is listed late."""
    taken = own.taken.get(fill.code, 0)
    return fill.intent in seen.given_up and (taken > 0 if fill.side == "buy" else taken < 0)


def _book(own: Own, seen: Seen, fill: OrderFilled, settings: Settings, at: Micros) -> list[Event]:
    """Book one fill: cash with its costs, then the position."""
    if own.cash_krw is None:
        # The opening balance is still to come and holds this fill already: booking it would count it twice.
        return []
    if not seen.day:
        raise NotCovered(f"order {fill.order_no} filled before the day was opened")
    table = costs_on(seen.day, settings.krx.costs)
    now, before = fill.filled_amount_krw, Krw(fill.filled_amount_krw - fill.amount_krw)
    fee = commission(now, table) - commission(before, table)
    tax, signed = 0, -fill.amount_krw
    if fill.side == "sell":
        is_fund = fill.code in seen.funds
        tax = sell_tax(now, table, fund=is_fund) - sell_tax(before, table, fund=is_fund)
        signed = fill.amount_krw
    covered = is_covered(own, seen, fill)
    if covered:
        signed = fee = tax = 0
    moved = CashMoved(
        intent=fill.intent,
        order_no=fill.order_no,
        amount_krw=Krw(signed),
        fee_krw=Krw(fee),
        tax_krw=Krw(tax),
        cash_krw=Krw(own.cash_krw + signed - fee - tax),
        covered_code=fill.code if covered else None,
        covered_qty=fill.qty if covered else Shares(0),
    )
    if covered:
        # If the balance held only a part of it, the next balances tell the rest.
        is_whole = fill.qty <= abs(own.taken[fill.code])
        return [moved] if is_whole else [moved, AlarmSet(alarm="mismatch", due=Micros(at + QUIET_US + SECOND_US))]
    held = own.positions.get(fill.code)
    return [moved, *(_bought(held, fill) if fill.side == "buy" else _sold(held, fill))]


def _bought(held: Position | None, fill: OrderFilled) -> list[Event]:
    if held is None:
        return [PositionOpened(code=fill.code, name=fill.name, qty=fill.qty, cost_krw=fill.amount_krw, carried=False)]
    qty, cost = Shares(held.qty + fill.qty), Krw(held.cost_krw + fill.amount_krw)
    return [PositionChanged(code=fill.code, qty=qty, cost_krw=cost, realised_krw=Krw(0))]


def _sold(held: Position | None, fill: OrderFilled) -> list[Event]:
    """Take cost off in proportion, all of it with the last share."""
    owned = held.qty if held is not None else 0
    if held is None or fill.qty > owned:
        text = f"order {fill.order_no} sold {fill.qty} of {fill.code}, of which we knew {owned}: the balance will tell"
        alert = AlertRaised(level="critical", text=text)
        if held is None:
            return [alert]
        return [PositionClosed(code=fill.code, realised_krw=Krw(fill.amount_krw - held.cost_krw)), alert]
    if fill.qty == owned:
        return [PositionClosed(code=fill.code, realised_krw=Krw(fill.amount_krw - held.cost_krw))]
    removed = held.cost_krw * fill.qty // owned
    return [
        PositionChanged(
            code=fill.code,
            qty=Shares(owned - fill.qty),
            cost_krw=Krw(held.cost_krw - removed),
            realised_krw=Krw(fill.amount_krw - removed),
        )
    ]


PORTFOLIO: Owner[Own, Seen] = Owner(
    stream=STREAM,
    reacts=(DayOpened, PipelineStarted, OrderFilled, BalanceAnswered, ReadFailed, ReadExpired, JobDue, AlarmRang),
    observes=(ListingAnswered, OrderIntended, OrderFinished),
    own=Own(),
    seen=Seen(),
    decide=decide,
    evolve=evolve,
    observe=observe,
)
