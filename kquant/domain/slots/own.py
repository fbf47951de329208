"""What slots itself decided: claims, requests sent, polling, its alarm. A fold of its own stream."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from kquant.domain.owner import BrokenLog
from kquant.domain.slots.policy import PRIORITY, Claim, Key, Stock
from kquant.events.base import Event, name_of
from kquant.events.day import AlarmCancelled, AlarmSet, AlertRaised
from kquant.events.feed import Action
from kquant.events.slots import (
    CapacityLearned,
    DropWanted,
    PollingEnded,
    PollingStarted,
    Reason,
    RegisterWanted,
    SlotClaimed,
    SlotClaimEnded,
    SlotClaimRenewed,
    SlotEvicted,
    SlotSuspected,
)
from kquant.values import MINUTE_US, SECOND_US, Epoch, Micros, Symbol

VALID_US = 5 * SECOND_US
"""A request not sent by then is not sent at all. `valid_until` less this is when it was decided."""

FOR_HIGH = ("room for priority 1", "room for priority 2", "renewed, priority 1", "renewed, priority 2")
"""`why` of drops charged to priorities 1 and 2; every other drop is charged to the smaller budget."""


class Asked(Struct, frozen=True, gc=False):
    """Requests made for one registration in this epoch: how many, and what the last one asked."""

    count: int
    action: Action


class Own(Struct, frozen=True, kw_only=True):
    """Slots' own state. Mappings are replaced, never changed.

    asked: requests of `epoch`.   changes: (instant, low priority) of the last minute's requests.
    learned: (epoch, capacity) the broker taught.   suspected: registrations renewed, and in which epoch.
    polling: holdings asked over REST, and why.   alarm: when the last alarm set is due, 0 without.
    """

    stocks: dict[Symbol, Stock] = {}
    epoch: Epoch = Epoch(0)
    asked: dict[Key, Asked] = {}
    last: Key | None = None
    changes: tuple[tuple[Micros, bool], ...] = ()
    learned: tuple[Epoch, int] = (Epoch(0), 0)
    suspected: dict[Key, Epoch] = {}
    polling: dict[Symbol, str] = {}
    alarm: Micros = Micros(0)


def claim_of(own: Own, code: Symbol, reason: Reason) -> Claim | None:
    """Return the stock's claim for that reason, None without."""
    stock = own.stocks.get(code)
    if stock is not None:
        for claim in stock.claims:
            if claim.reason == reason:
                return claim
    return None


def evolve(own: Own, event: Event) -> Own:
    """Apply one fact of the stream `slots`. A fact that does not fit raises: the log is broken."""
    match event:
        case SlotClaimed(code=code, reason=reason):
            if claim_of(own, code, reason) is not None:
                raise BrokenLog(f"{code} is claimed twice as {reason}")
            return _with_claim(own, code, event.name, Claim(reason, event.rank, event.since))
        case SlotClaimRenewed(code=code, reason=reason):
            if claim_of(own, code, reason) is None:
                raise BrokenLog(f"{code} has no claim as {reason} to renew")
            return _with_claim(own, code, own.stocks[code].name, Claim(reason, event.rank, event.since))
        case SlotClaimEnded(code=code, reason=reason):
            return _without_claim(own, code, reason)
        case RegisterWanted():
            return _asked(
                own, (event.code, event.channel), "register", event.epoch, event.valid_until, event.priority > 2
            )
        case DropWanted():
            low = event.why not in FOR_HIGH
            return _asked(own, (event.code, event.channel), "drop", event.epoch, event.valid_until, low)
        case SlotSuspected():
            return replace(own, suspected=own.suspected | {(event.code, event.channel): event.epoch})
        case CapacityLearned():
            return replace(own, learned=(event.epoch, event.capacity))
        case PollingStarted():
            return replace(own, polling=own.polling | {event.code: event.why})
        case PollingEnded():
            return replace(own, polling={code: why for code, why in own.polling.items() if code != event.code})
        case AlarmSet():
            return replace(own, alarm=event.due)
        case AlarmCancelled():
            return replace(own, alarm=Micros(0))
        case SlotEvicted() | AlertRaised():
            return own
        case _:
            raise BrokenLog(f"{name_of(event)} is no fact of slots")


def _with_claim(own: Own, code: Symbol, name: str, claim: Claim) -> Own:
    before = own.stocks.get(code)
    others = () if before is None else tuple(each for each in before.claims if each.reason != claim.reason)
    claims = tuple(sorted((*others, claim), key=_best_first))
    return replace(own, stocks=own.stocks | {code: Stock(code, name, claims)})


def _without_claim(own: Own, code: Symbol, reason: Reason) -> Own:
    stock = own.stocks.get(code)
    left = () if stock is None else tuple(each for each in stock.claims if each.reason != reason)
    if stock is None or len(left) == len(stock.claims):
        raise BrokenLog(f"{code} has no claim as {reason} to end")
    stocks = {each: other for each, other in own.stocks.items() if each != code}
    if left:
        stocks[code] = Stock(code, stock.name, left)
    return replace(own, stocks=stocks)


def _best_first(claim: Claim) -> int:
    return PRIORITY[claim.reason]


def _asked(own: Own, key: Key, action: Action, epoch: Epoch, valid_until: Micros, low: bool) -> Own:
    at = Micros(valid_until - VALID_US)
    asked = own.asked if epoch == own.epoch else {}
    before = asked.get(key)
    count = 1 if before is None else before.count + 1
    recent = tuple(change for change in own.changes if at - change[0] < MINUTE_US)
    return replace(
        own,
        epoch=epoch,
        asked=asked | {key: Asked(count, action)},
        last=key,
        changes=(*recent, (at, low)),
    )
