"""What `portfolio` knows of itself: positions, cash, totals of the day, and how far its comparisons are."""

from __future__ import annotations

from msgspec import Struct, structs

from kquant.events.base import Event
from kquant.events.day import AlarmSet, Carried
from kquant.events.portfolio import (
    BalanceReason,
    BalanceWanted,
    CashMoved,
    DayReconciled,
    Difference,
    PortfolioAdjusted,
    PortfolioOpened,
    PortfolioSynchronised,
    PositionChanged,
    PositionClosed,
    PositionOpened,
)
from kquant.values import Krw, Micros, Shares, Symbol


class Position(Struct, frozen=True, kw_only=True):
    """What we hold of one stock. cost_krw: what the shares cost in all, without fees."""

    code: Symbol
    name: str
    qty: Shares
    cost_krw: Krw


class Own(Struct, frozen=True, kw_only=True):
    """Positions, cash and their totals of the day, and how far the day is. Sums are won since the opening.

    requests: balances asked for; reason, pipeline_until: of the last one.   suspicion, suspected_at, agreeing: the
    differences that so many reads in a row found in quiet, the first of them balance `suspected_at`.   doubts: reads
    asked for because of differences.   again_at: from when a further one counts.   explained_from: a list asked for from then on must leave the difference unexplained.   closing_alarms: how often the closing balance was put off.   reconciled: whether a verdict stands.   taken: shares (signed) taken over from the
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
    suspected_at: int = 0
    agreeing: int = 0
    doubts: int = 0
    again_at: Micros = Micros(0)
    explained_from: Micros = Micros(0)
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
        case PortfolioSynchronised():
            return _compared(own, event)
        case PortfolioAdjusted(cash_krw=cash, differences=differences, presumed=presumed):
            moves = {one.what: one.theirs - one.ours for one in differences}
            taken = {code: own.taken.get(code, 0) + moves[code] for code in presumed if code in moves}
            own = structs.replace(own, taken={**own.taken, **taken})
            assumed = own.cash_krw if own.cash_krw is not None else cash
            moved = own.adjusted_krw + cash - assumed
            own = structs.replace(own, cash_krw=cash, adjusted_krw=moved, differences=(), suspicion=())
            return structs.replace(own, agreeing=0, doubts=0)
        case AlarmSet(alarm="mismatch", due=due):
            since = due if own.agreeing <= 1 else own.explained_from
            return structs.replace(own, doubts=own.doubts + 1, again_at=due, explained_from=since)
        case AlarmSet(alarm="opening", due=due):
            return structs.replace(own, again_at=due)
        case AlarmSet(alarm="closing") if own.reconciled:
            # What came after the verdict takes it back: the closing balance is asked for anew.
            return structs.replace(own, reconciled=False, closing_alarms=1, attempts={**own.attempts, "closing": 0})
        case AlarmSet(alarm="closing"):
            return structs.replace(own, closing_alarms=own.closing_alarms + 1)
        case DayReconciled():
            return structs.replace(own, reconciled=True)
    return own


def _compared(own: Own, event: PortfolioSynchronised) -> Own:
    """Note what a balance was found to differ in, and for how many reads in a row."""
    attempts = {**own.attempts, "mismatch": 0, "proof": 0}
    if not event.differences:
        own = structs.replace(own, differences=(), suspicion=(), agreeing=0, doubts=0)
        return structs.replace(own, attempts=attempts)
    own = structs.replace(own, differences=event.differences, attempts=attempts)
    if event.agreeing == 0:
        return own
    first = event.balance if event.agreeing == 1 else own.suspected_at
    return structs.replace(
        own, suspicion=event.counted or event.differences, suspected_at=first, agreeing=event.agreeing
    )


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
