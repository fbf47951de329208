"""What faults do by themselves when market time moves: lose or freeze lines, void tokens."""

from collections.abc import Sequence
from typing import Final

from kquant.exchange.faults.active import Active
from kquant.exchange.faults.verdicts import Moment, Now, Service

US: Final = 1_000_000
SERVICES: Final[tuple[Service, ...]] = ("real", "paper")
Line = tuple[Service, int]


def happen(active: Active, lines: Sequence[Line], now: Now) -> list[Moment]:
    """Return what *active* does now; *lines* are the open connections, by service and session number."""
    if active.next_us > now.us or not active.open_at(now):
        return []
    own = [line for line in lines if active.serves(line[0])]
    match active.fault.kind:
        case "drop_connection":
            return _drop(active, own, now)
        case "half_open":
            return _freeze(active, own, now)
        case "revoke_token":
            return _revoke(active, now)
        case "maintenance":
            active.hits += len(own)
            return [Moment("abort", *line) for line in own]
        case other:
            raise ValueError(f"{other} does nothing by itself")


def _drop(active: Active, lines: Sequence[Line], now: Now) -> list[Moment]:
    if active.fault.text("on") != "time" or not lines:
        return []
    active.next_us = now.us + active.fault.number("every") * US
    if not active.draw(now):
        return []
    active.hits += 1
    if active.fault.text("how") == "close":
        return [Moment("close", *line) for line in lines]
    return [Moment("abort", *line) for line in lines]


def _freeze(active: Active, lines: Sequence[Line], now: Now) -> list[Moment]:
    happened = []
    for line in lines:
        if line in active.frozen or not active.draw(now):
            continue
        active.hits += 1
        active.frozen.add(line)
        happened.append(Moment("freeze", *line))
    return happened


def _revoke(active: Active, now: Now) -> list[Moment]:
    active.next_us = now.us + active.fault.number("every") * US
    if not active.draw(now):
        return []
    active.hits += 1
    services = [name for name in SERVICES if active.serves(name)]
    if active.fault.text("how") == "expired":
        return [Moment("expire", name, 0) for name in services]
    return [Moment("revoke", name, 0) for name in services]
