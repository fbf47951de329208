"""What slots saw of others: the connection, what the broker holds, positions, open orders. A fold of foreign events."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from kquant.domain.slots.policy import Key
from kquant.events.base import Recorded
from kquant.events.day import AlarmRang, DayOpened, JobDue
from kquant.events.feed import (
    Dropped,
    FeedConnected,
    FeedLost,
    FirstTick,
    Registered,
    RegistrationExpired,
    RegistrationRefused,
    RegistrationUnanswered,
    RegistrationVoid,
)
from kquant.events.orders import OrderFinished, OrderIntended
from kquant.events.portfolio import PortfolioOpened, PositionClosed, PositionOpened
from kquant.values import Epoch, IntentId, Micros, Seq, Symbol

Outcome = Registered | Dropped | RegistrationRefused | RegistrationUnanswered | RegistrationExpired | RegistrationVoid
OUTCOMES = (Registered, Dropped, RegistrationRefused, RegistrationUnanswered, RegistrationExpired, RegistrationVoid)

STUCK = 2
"""So many requests without an answer in a row: the registration is left alone until the next epoch."""


class Wire(Struct, frozen=True, kw_only=True, gc=False):
    """What one registration's answers in this epoch say.

    answers: how many requests were answered.   held: whether the broker holds it; "maybe" counts as held.
    at: when `held` last became "yes".   gone: when it last ceased to be.   unanswered: requests in a row without an answer.
    refusals, refused_at: refusals in a row, and the last one's instant.
    """

    answers: int = 0
    held: Literal["no", "yes", "maybe"] = "no"
    ticked: bool = False
    at: Micros = Micros(0)
    gone: Micros = Micros(0)
    unanswered: int = 0
    refusals: int = 0
    refused_at: Micros = Micros(0)


class Seen(Struct, frozen=True, kw_only=True):
    """Foreign facts. Mappings are replaced, never changed.

    epoch: of the connection, None while down; `turned` is when that last changed.   fatal: the broker said stop.
    wire: of this epoch.   unservable: keys the broker called invalid today.   held: positions and open orders.
    opened: the cause of `portfolio.opened` while the positions that come with it are still being told.
    rang: due instant of the last alarm that rang.
    """

    epoch: Epoch | None = None
    turned: Micros = Micros(0)
    fatal: bool = False
    wire: dict[Key, Wire] = {}
    unservable: dict[Key, None] = {}
    session: bool = False
    session_at: Micros = Micros(0)
    positions: dict[Symbol, str] = {}
    carried: dict[Symbol, str] = {}
    opened: Seq | None = None
    orders: dict[IntentId, tuple[Symbol, str]] = {}
    held: dict[Symbol, str] = {}
    rang: Micros = Micros(0)


NOTHING = Wire()


def observe(seen: Seen, fact: Recorded) -> Seen:
    """Fold one foreign fact."""
    # The positions the broker's first balance confirms come in one transaction with portfolio.opened: the next fact
    # of another cause ends it, and what was carried over but not confirmed is held no more.
    if seen.opened is not None and fact.caused_by != seen.opened:
        seen = _holding(replace(seen, opened=None, carried={}))
    event = fact.event
    match event:
        case Registered() | Dropped() | RegistrationRefused() | RegistrationUnanswered():
            return _answered(seen, event, fact) if event.epoch == seen.epoch else seen
        case RegistrationExpired() | RegistrationVoid():
            return _answered(seen, event, fact) if event.epoch == seen.epoch else seen
        case FirstTick():
            return _ticked(seen, event, fact.at) if event.epoch == seen.epoch else seen
        case FeedConnected():
            return replace(seen, epoch=event.epoch, turned=fact.at, wire={}, fatal=False)
        case FeedLost():
            return replace(seen, epoch=None, turned=fact.at, wire={}) if event.epoch == seen.epoch else seen
        case PositionOpened():
            return _holding(replace(seen, positions=seen.positions | {event.code: event.name}))
        case PositionClosed():
            return _holding(
                replace(seen, positions=_less(seen.positions, event.code), carried=_less(seen.carried, event.code))
            )
        case OrderIntended():
            return _holding(replace(seen, orders=seen.orders | {event.intent: (event.code, event.name)}))
        case OrderFinished():
            orders = {intent: order for intent, order in seen.orders.items() if intent != event.intent}
            return _holding(replace(seen, orders=orders))
        case DayOpened(positions=positions):
            carried = {} if positions is None else {each.code: each.name for each in positions}
            return _holding(replace(seen, carried=carried))
        case PortfolioOpened():
            return replace(seen, opened=fact.caused_by if fact.caused_by is not None else Seq(0))
        case JobDue(job="session_opened"):
            return replace(seen, session=True, session_at=fact.at)
        case JobDue(job="session_closed"):
            return replace(seen, session=False, session_at=fact.at)
        case AlarmRang():
            return replace(seen, rang=max(seen.rang, event.due))
        case _:
            return seen


def _less(names: dict[Symbol, str], code: Symbol) -> dict[Symbol, str]:
    return {each: name for each, name in names.items() if each != code}


def _holding(seen: Seen) -> Seen:
    held = seen.carried | seen.positions
    for code, name in seen.orders.values():
        held.setdefault(code, name)
    return replace(seen, held=held)


def _ticked(seen: Seen, event: FirstTick, at: Micros) -> Seen:
    key = (event.code, event.channel)
    wire = seen.wire.get(key, NOTHING)
    if wire.held == "maybe":
        # A tick is an acknowledgement.
        wire = replace(wire, held="yes", at=at, unanswered=0)
    return replace(seen, wire=seen.wire | {key: replace(wire, ticked=True)})


def _answered(seen: Seen, event: Outcome, fact: Recorded) -> Seen:
    key = (event.code, event.channel)
    wire = seen.wire.get(key, NOTHING)
    # Only what answers a request counts as an answer; a late acknowledgement without a cause still tells the truth.
    if fact.caused_by is not None:
        wire = replace(wire, answers=wire.answers + 1)
    match event:
        case Registered():
            at = wire.at if wire.held == "yes" else fact.at
            wire = replace(wire, held="yes", at=at, unanswered=0, refusals=0)
        case Dropped() | RegistrationVoid():
            wire = replace(wire, held="no", ticked=False, unanswered=0)
        case RegistrationUnanswered():
            if not (event.action == "register" and wire.held == "yes"):
                wire = replace(wire, held="maybe", unanswered=wire.unanswered + 1)
        case RegistrationRefused(action="drop"):
            # Not "not found", which is an acknowledgement: nothing is known, and asking again would not help.
            wire = replace(wire, held="maybe", unanswered=STUCK)
        case RegistrationRefused():
            count = wire.refusals + (event.kind != "over_capacity")
            wire = replace(wire, held="no", ticked=False, unanswered=0, refusals=count, refused_at=fact.at)
        case RegistrationExpired():
            pass
    if wire.held != "yes" and key in seen.wire and seen.wire[key].held == "yes":
        wire = replace(wire, gone=fact.at)
    seen = replace(seen, wire=seen.wire | {key: wire})
    if isinstance(event, RegistrationRefused) and event.action == "register":
        if event.kind == "invalid_key":
            return replace(seen, unservable=seen.unservable | {key: None})
        if event.kind == "fatal":
            return replace(seen, fatal=True)
    return seen
