"""Every sequence of steps of a `World` to a depth, equal states once. After each step the checker looks, after each leaf
faults end and both sides must come to rest on the same orders, shares and won.

Two states are equal if nothing that is decided later can tell them apart: owners' states, ledger, what is on the way,
clock and alarms. Places in the log only ever are compared with each other, so their order stands for them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from kquant.events.orders import CancelWanted, ExecutionsWanted
from kquant.values import SECOND_US
from tests.money.world import BASE, World

Step = tuple[Any, ...]

PLACES = frozenset(
    {"decision", "quote", "outcome_of", "outcome_at", "notice_seq", "final_seq", "sent_seq", "signal", "snapshot",
     "spent_seq", "balance_seq", "opened_seq", "asked", "answered", "cause", "listing"}
)  # fmt: skip
"""Fields that hold places in the log."""
CONSTANT = frozenset({"stocks", "hours", "funds", "name", "branch"})


@dataclass
class Scope:
    """What may happen. signals: how many buys may be wanted; fires, crashes, halts, stales: how often at most."""

    start: Callable[[], World]
    codes: tuple[str, ...] = ("000100",)
    signals: int = 1
    fires: int = 1
    crashes: int = 1
    halts: int = 0
    stales: int = 1
    faults: tuple[str, ...] = ("lost", "answer lost", "pending")
    rests: int = 1
    """Every so many-th leaf is played to the end of the day."""


@dataclass
class Found:
    """What was explored."""

    states: int = 0
    steps: int = 0
    leaves: int = 0
    merged: int = 0
    days: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    spoken: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.kinds.items()))
        return (
            f"{self.states} states, {self.steps} steps ({self.merged} into a known state), {self.leaves} ends brought "
            f"to rest, {self.days} of them to the evening; {kinds}"
        )


def steps_of(world: World, scope: Scope, used: Counter[str]) -> Iterator[Step]:
    """Return what may happen next."""
    for fact in world.outgoing:
        yield ("send", fact.seq, "deliver")
        for fault in scope.faults:
            yield ("send", fact.seq, fault)
    for place in range(len(world.flights)):
        yield ("answer", place)
        yield ("lose answer", place)
    for place in range(len(world.delayed)):
        yield ("arrive", place)
    for place, read in enumerate(world.reads):
        yield ("read", place, "answer")
        yield ("read", place, "fail")
        if read.then is None and isinstance(read.fact.event, ExecutionsWanted) and used["stale"] < scope.stales:
            yield ("read", place, "stale")
    for order in world.broker.open_orders():
        yield ("fill", order.no, "all")
        if order.leaves > 1:
            yield ("fill", order.no, "part")
    if world.broker.notices:
        yield ("notice", "deliver")
        yield ("notice", "lose")
    if used["signal"] < scope.signals:
        for code in scope.codes:
            yield ("signal", code)
    if used["fire"] < scope.fires:
        for code, one in world.armed():
            if one.kind == "stop":
                yield ("fire", code, one.trigger, one.price)
    if used["crash"] < scope.crashes:
        yield ("crash",)
    if used["halt"] < scope.halts:
        yield ("halt",)
    if world.next_alarm() is not None:
        yield ("ring",)


def take(world: World, step: Step) -> None:
    """Let one thing happen."""
    match step:
        case ("send", seq, fate):
            world.send(next(fact for fact in world.outgoing if fact.seq == seq), fate)
        case ("answer", place):
            world.deliver(world.flights[place])
        case ("lose answer", place):
            world.drop(world.flights[place])
        case ("arrive", place):
            world.arrive(world.delayed[place])
        case ("read", place, fate):
            world.read(world.reads[place], fate)
        case ("fill", no, how):
            leaves = world.broker.ledger.orders[no].leaves
            world.broker.fill(no, leaves if how == "all" else max(leaves // 2, 1))
            world.settle()
        case ("notice", "deliver"):
            world.notice()
        case ("notice", "lose"):
            world.broker.notices.pop(0)
        case ("signal", code):
            world.signal(code)
        case ("fire", code, trigger, price):
            world.fire(code, trigger, price)
        case ("crash",):
            world.crash()
        case ("halt",):
            world.halt()
        case ("ring",):
            world.ring()
        case _:
            raise AssertionError(f"no such step: {step}")


def explore(scope: Scope, depth: int) -> Found:
    """Take every sequence of *depth* steps. A violated invariant ends it, with the steps that led there."""
    found = Found()
    known: dict[bytes, int] = {}
    ended: set[bytes] = set()

    def go(world: World, path: tuple[Step, ...], used: Counter[str]) -> None:
        left = depth - len(path)
        if left == 0:
            found.leaves += 1
            _rest(world, path, found, scope)
            return
        if not path:
            known[key_of(world, used)] = left
            found.states += 1
        for step in steps_of(world, scope, used):
            other, then, trail = world.fork(), used.copy(), (*path, step)
            name = "stale" if step[-1] == "stale" else step[0]
            then[name] += 1
            found.kinds[name] += 1
            found.steps += 1
            with _Told(trail):
                take(other, step)
            key = key_of(other, then)
            if left == 1:
                if key in ended or key in known:
                    found.merged += 1
                    continue
                ended.add(key)
                found.states += 1
            elif known.get(key, -1) >= left - 1:
                found.merged += 1
                continue
            else:
                found.states += key not in known
                known[key] = left - 1
            go(other, trail, then)

    go(scope.start(), (), Counter())
    return found


def _rest(world: World, path: tuple[Step, ...], found: Found, scope: Scope) -> None:
    with _Told((*path, ("faults off",))):
        settle_down(world)
        world.checks.at_rest(world)
        if found.leaves % scope.rests == 0:
            found.days += 1
            close_day(world)
    found.spoken |= world.checks.spoken


def settle_down(world: World) -> None:
    """Faults off: everything on the way arrives, and so much time passes that every doubt ends (V1)."""
    world.serve()
    risk = world.settings.risk
    # A notice of any kind makes the list be read once more: what only moved at the broker is seen by then.
    world.wait(max(risk.unknown_seconds, risk.resting_seconds) * 3 + 30, serving=True)


def close_day(world: World) -> None:
    """The session ends: the day must be reconciled (M3)."""
    from kquant.events.orders import OrderFilled
    from kquant.events.portfolio import DayReconciled
    from tests.money.world import kst

    world.clock.set(max(world.clock.now(), kst("15:29:50")))
    world.pass_to(kst("15:30:00"), serving=True)
    world.job("session_closed")
    world.serve()
    world.wait(600, serving=True)
    checks = world.checks
    checks.at_rest(world)
    checks.ask(world.orders.live == (), "M3", f"orders live after the day: {world.orders.live}")
    told = world.all(DayReconciled)
    checks.ask(bool(told), "M3", "the day has no word of reconciliation")
    checks.ask(told[-1].agrees, "M3", f"the day is not reconciled: {told[-1]}")
    ours = sum(event.amount_krw for event in world.all(OrderFilled))
    checks.ask(ours == sum(order.amount for order in world.broker.orders()), "M3", "the day's fills differ")


class _Told:
    """Adds the steps that led there to a violated invariant."""

    def __init__(self, path: tuple[Step, ...]) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, AssertionError):
            raise AssertionError(  # noqa: TRY004  it stays what it was
                f"{error}\nafter: {' -> '.join(' '.join(map(str, step)) for step in self._path)}"
            ) from error


# -- equal states -------------------------------------------------------------------------------------------


def key_of(world: World, used: Counter[str]) -> bytes:
    """Return a digest of all that can matter later."""
    minds = [world.runtime.hosts[stream]._mind for stream in ("orders", "portfolio")]
    parts = [_plain(part) for mind in minds for part in (mind.own, mind.seen)]
    places: set[int] = set()
    for part in parts:
        _collect(part, places)
    rank = {place: number for number, place in enumerate(sorted(places))}
    state = (
        [_ranked(part, rank) for part in parts],
        [(type(fact.event).__name__, fact.event.intent) for fact in world.outgoing],
        [(type(one.fact.event).__name__, one.fact.event.intent, one.at, one.reply.body) for one in world.flights],
        [(type(one.fact.event).__name__, None if one.then is None else one.then.key()) for one in world.reads],
        [(one.intent, one.at) for one in world.delayed],
        world.broker.key(),
        world.clock.now() // SECOND_US,
        sorted((owner, alarm, due) for (owner, alarm), (due, _) in world.runtime._alarms._pending.items()),
        sorted(world.truth.items()),
        [
            (intent, life.started, type(life.outcome).__name__, life.number, life.filled, life.finished, life.posts)
            for intent, life in sorted(world.checks.lives.items())
        ],
        sorted(used.items()),
        world.halted,
    )
    return hashlib.blake2b(msgspec.msgpack.encode(state), digest_size=16).digest()


def _plain(state: Any) -> Any:
    return msgspec.to_builtins(state, str_keys=True)


def _collect(value: Any, places: set[int], *, is_place: bool = False) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in CONSTANT:
                _collect(inner, places, is_place=is_place or name in PLACES)
    elif isinstance(value, list | tuple):
        for inner in value:
            _collect(inner, places, is_place=is_place)
    elif is_place and isinstance(value, int) and not isinstance(value, bool):
        places.add(value)


def _ranked(value: Any, rank: dict[int, int], *, is_place: bool = False) -> Any:
    if isinstance(value, dict):
        return {
            name: _ranked(inner, rank, is_place=is_place or name in PLACES)
            for name, inner in value.items()
            if name not in CONSTANT
        }
    if isinstance(value, list | tuple):
        return [_ranked(inner, rank, is_place=is_place) for inner in value]
    if is_place and isinstance(value, int) and not isinstance(value, bool):
        return rank[value]
    return value


__all__ = [
    "BASE",
    "CancelWanted",
    "Found",
    "Scope",
    "close_day",
    "explore",
    "key_of",
    "settle_down",
    "steps_of",
    "take",
]
