"""The broker's balance against ours: how the day opens, and what a difference becomes."""

from __future__ import annotations

from msgspec import structs

from kquant.domain.portfolio.asking import RETRY_US, TRIES, waiting_run
from kquant.domain.portfolio.closing import reconcile
from kquant.domain.portfolio.seen import CASH, QUIET_US, Seen
from kquant.domain.portfolio.state import Own
from kquant.domain.portfolio.verdict import listed
from kquant.events.base import Event, Recorded
from kquant.events.day import AlarmSet, AlertRaised
from kquant.events.portfolio import (
    BalanceAnswered,
    BalanceWanted,
    Difference,
    Holding,
    PortfolioAdjusted,
    PortfolioOpened,
    PortfolioSynchronised,
    PositionChanged,
    PositionClosed,
    PositionOpened,
)
from kquant.values import SECOND_US, Krw, Micros, Shares, Symbol

MISMATCH_TRIES = 6
"""Reads asked for because of differences that no order explains, before a person is told."""
AGREEING = 2
AGREEING_IF_GONE = 5
"""Agreeing reads before a difference is believed, and before one that would end every position is (C1: an empty list)."""
GONE_AGAIN_US = 15 * SECOND_US


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
        found.append(Difference(what=CASH, ours=cash, theirs=their_cash))
    return tuple(found)


def compare(own: Own, seen: Seen, fact: Recorded, balance: BalanceAnswered) -> list[Event]:
    """Compare a balance that arrived with ours, and say what follows from it."""
    if not own.is_open:
        return _first(own, seen, fact, balance)
    differences = differences_between(own, balance)
    said = PortfolioSynchronised(reason=own.reason, balance=fact.seq, differences=differences)
    if own.reason == "closing":
        return [said, *reconcile(own, seen, fact.at, differences)]
    counted = tuple(one for one in differences if _is_after_all_fills(seen, fact, one.what))
    if not counted or seen.is_closed:
        return [said, *waiting_run(own, seen, fact.at)]
    said = structs.replace(said, counted=counted if counted != differences else ())
    return [*_doubt(own, seen, fact, balance, said), *waiting_run(own, seen, fact.at)]


def _is_after_all_fills(seen: Seen, fact: Recorded, what: str) -> bool:
    """Tell whether no order of ours explains a difference: none works, none filled just before or since it was asked."""
    return seen.is_quiet(fact.at, what) and fact.caused_by is not None and seen.filled_seq(what) < fact.caused_by


def _doubt(own: Own, seen: Seen, fact: Recorded, balance: BalanceAnswered, said: PortfolioSynchronised) -> list[Event]:
    """Believe differences that enough reads agree on, and that a list of orders asked for meanwhile does not explain."""
    differences = said.counted or said.differences
    # What is no longer quiet is left out of the comparison; what is quiet only now begins the count anew.
    before = tuple(one for one in own.suspicion if seen.is_quiet(fact.at, one.what))
    is_again = differences == before and all(seen.filled_seq(one.what) < own.suspected_at for one in differences)
    is_early = is_again and fact.at < own.again_at
    agreeing = 0 if is_early else own.agreeing + 1 if is_again else 1
    said = structs.replace(said, agreeing=agreeing)
    if is_early:
        return [said]
    gone = _is_all_gone(own, seen, balance)
    # A list lags too: one asked for right after the first read may not show yet what that balance holds already, and
    # would have it booked a second time after it was taken over.
    is_listed = is_again and seen.listed_for > own.suspected_at and seen.listed_at >= own.explained_from
    if agreeing >= (AGREEING_IF_GONE if gone else AGREEING) and is_listed:
        return [said, *_adjust(own, seen, balance, differences, agreeing)]
    if own.doubts >= MISMATCH_TRIES:
        why = "cannot be explained: no list of orders was read since" if is_again else "keeps changing"
        text = f"the broker's balance differs and {why}: {listed(differences)}"
        return [said, AlertRaised(level="critical", text=text)]
    wait = GONE_AGAIN_US if gone else QUIET_US
    events: list[Event] = [said, AlarmSet(alarm="mismatch", due=Micros(fact.at + wait))]
    if gone and agreeing == 1:
        text = f"the balance holds none of our {len(own.positions)} positions, and no order of ours sold them: not believed yet"
        events.append(AlertRaised(level="critical", text=text))
    return events


def _is_all_gone(own: Own, seen: Seen, balance: BalanceAnswered) -> bool:
    """Tell whether a balance would end every position, though nothing says that they were sold.

    An order given up as not placed may have sold after all; every other sell, of whomever, is a fill and booked.
    """
    given_up = set(seen.given_up.values())
    held = {holding.code for holding in balance.holdings}
    return bool(own.positions) and not any(code in held or code in given_up for code in own.positions)


def _first(own: Own, seen: Seen, fact: Recorded, balance: BalanceAnswered) -> list[Event]:
    """Open the day with a balance: the first one, or enough agreeing ones if it is not what the day before ended with."""
    differences: tuple[Difference, ...] = ()
    gone = False
    if seen.carried is not None:
        ours: dict[str, int] = {held.code: held.qty for held in seen.carried}
        theirs: dict[str, int] = {held.code: held.qty for held in balance.holdings}
        differences = _differences(ours, seen.carried_cash_krw, theirs, balance.cash_krw)
        gone = bool(ours) and not any(code in theirs for code in ours)
    is_again = bool(differences) and differences == own.suspicion
    is_early = is_again and fact.at < own.again_at
    agreeing = 0 if is_early or not differences else own.agreeing + 1 if is_again else 1
    said = PortfolioSynchronised(reason="opening", balance=fact.seq, differences=differences, agreeing=agreeing)
    if is_early:
        return [said]
    if not differences or agreeing >= (AGREEING_IF_GONE if gone else AGREEING):
        return _open(seen, fact, balance, said)
    if own.attempts.get("opening", 0) >= TRIES["opening"]:
        text = f"the opening balance is not what the day before ended with, and keeps changing: {listed(differences)}"
        return [said, AlertRaised(level="critical", text=text)]
    wait = GONE_AGAIN_US if gone else RETRY_US["opening"]
    events: list[Event] = [said, AlarmSet(alarm="opening", due=Micros(fact.at + wait))]
    if gone and agreeing == 1:
        text = (
            f"the opening balance holds none of the {len(seen.carried or ())} positions carried over: not believed yet"
        )
        events.append(AlertRaised(level="critical", text=text))
    return events


def _open(seen: Seen, fact: Recorded, balance: BalanceAnswered, said: PortfolioSynchronised) -> list[Event]:
    """Take the opening balance over; tell a person if it is not what the day before ended with."""
    events: list[Event] = [PortfolioOpened(cash_krw=balance.cash_krw)]
    events.extend(
        PositionOpened(code=held.code, name=held.name, qty=held.qty, cost_krw=held.cost_krw, carried=True)
        for held in balance.holdings
    )
    events.append(said)
    if said.differences:
        why = f"{said.agreeing} agreeing reads before the day was opened"
        adjusted = PortfolioAdjusted(
            holdings=balance.holdings, cash_krw=balance.cash_krw, differences=said.differences, why=why
        )
        text = f"the opening balance is not what the day before ended with: {listed(said.differences)}"
        events.extend((adjusted, AlertRaised(level="warning", text=text)))
    if seen.pipeline_deadline > fact.at:
        events.append(BalanceWanted(reason="pipeline", valid_until=seen.pipeline_deadline))
    return events


def _adjust(
    own: Own, seen: Seen, balance: BalanceAnswered, differences: tuple[Difference, ...], agreeing: int
) -> list[Event]:
    """Take the broker's figures over, position by position so that everybody who watches positions follows.

    Only what is believed: of the rest ours stay, and so does our cash.
    """
    presumed = tuple(sorted(set(seen.given_up.values())))
    believed = {one.what for one in differences}
    cash = balance.cash_krw if CASH in believed or own.cash_krw is None else own.cash_krw
    events: list[Event] = [
        PortfolioAdjusted(
            holdings=_held_after(own, balance, believed),
            cash_krw=cash,
            differences=differences,
            presumed=presumed,
            why=f"{agreeing} agreeing reads in quiet, and no order listed since the first explains them",
        )
    ]
    theirs = {held.code: held for held in balance.holdings}
    for code in sorted(map(Symbol, believed - {CASH})):
        held, known = theirs.get(code), own.positions.get(code)
        if held is None:
            events.append(PositionClosed(code=code, realised_krw=Krw(0)))
        elif known is None:
            events.append(_opened(held))
        elif held.qty != known.qty:
            events.append(PositionChanged(code=code, qty=held.qty, cost_krw=held.cost_krw, realised_krw=Krw(0)))
    text = f"positions or cash were taken over from the broker: {listed(differences)}"
    events.append(AlertRaised(level="warning", text=text))
    return events


def _held_after(own: Own, balance: BalanceAnswered, believed: set[str]) -> tuple[Holding, ...]:
    """Return what is held once *believed* is taken over; where the rest differs, ours."""
    differing = {one.what for one in differences_between(own, balance)} - believed - {CASH}
    if not differing:
        return balance.holdings
    held = {row.code: row for row in balance.holdings}
    for code in sorted(map(Symbol, differing)):
        ours, row = own.positions.get(code), held.pop(code, None)
        if ours is not None:
            free = min(row.sellable, ours.qty) if row is not None else Shares(0)
            held[code] = Holding(code=code, name=ours.name, qty=ours.qty, sellable=free, cost_krw=ours.cost_krw)
    return tuple(held.values())


def _opened(held: Holding) -> PositionOpened:
    return PositionOpened(code=held.code, name=held.name, qty=held.qty, cost_krw=held.cost_krw, carried=False)
