"""Bugs of the slot table: who has one of the forty slots, who gives way, and what is asked of the broker."""

from __future__ import annotations

from functools import partial

from bench.mutants.mutant import Mutant

ROOM = "kquant/domain/slots"
_policy = partial(Mutant, file=f"{ROOM}/policy.py", near=("tests/slots",))
_wire = partial(Mutant, file=f"{ROOM}/wire.py", near=("tests/slots",))
_seen = partial(Mutant, file=f"{ROOM}/seen.py", near=("tests/slots",))
_decide = partial(Mutant, file=f"{ROOM}/decide.py", near=("tests/slots",))

MUTANTS = (
    _wire(
        name="the table has 41 slots",
        breaks="S1 capacity",
        old="self.capacity = min(learned, rules.capacity)",
        new="self.capacity = min(learned, rules.capacity) + 1",
    ),
    _wire(
        name="a full table takes one more",
        breaks="S1 capacity",
        old="if len(self.on) >= self.capacity:\n            return True",
        new="if len(self.on) > self.capacity:\n            return True",
    ),
    _wire(
        name="an uncertain registration counts as free",
        breaks="S1 capacity, pending counts",
        old='self.on = [key for key, wire in seen.wire.items() if wire.held != "no"]',
        new='self.on = [key for key, wire in seen.wire.items() if wire.held == "yes"]',
    ),
    _wire(
        name="a lower capacity the broker taught is forgotten",
        breaks="S1 capacity",
        old="self.capacity = min(learned, rules.capacity)",
        new="self.capacity = rules.capacity",
    ),
    _wire(
        name="a lower capacity is kept for every later connection",
        breaks="S5 restored after a reconnect",
        old="learned = own.learned[1] if own.learned[0] == seen.epoch else rules.capacity",
        new="learned = own.learned[1] if own.learned[0] else rules.capacity",
    ),
    _wire(
        name="who has a right to its slot gives way",
        breaks="S3 no eviction for a lower priority",
        old="wanted = {(each.code, each.channel) for each in self.desired()}",
        new="wanted = {(each.code, each.channel) for each in self.desired() if each.priority > 1}",
    ),
    _wire(
        name="the best gives way first",
        breaks="S3 the worst gives way",
        old='return (1 if key[1] != "trades" else 2, -self._places[key[0]], key)',
        new='return (1 if key[1] != "trades" else 2, self._places[key[0]], key)',
    ),
    _wire(
        name="requests do not wait for the answer of the one before",
        breaks="S6 one unanswered request",
        old="self.seen.fatal or pending(self.own, self.seen) is not None:",
        new="self.seen.fatal:",
    ),
    _wire(
        name="requests go on after the broker said stop",
        breaks="S6 fatal refusals",
        old="self.seen.fatal or pending(self.own, self.seen) is not None:",
        new="pending(self.own, self.seen) is not None:",
    ),
    _wire(
        name="one change a minute too many",
        breaks="S7 changes a minute",
        old="if len(recent) >= limit:",
        new="if len(recent) > limit:",
    ),
    _wire(
        name="no changes are kept back for holdings",
        breaks="S7 a quarter for priority 1",
        old="limit = ceiling if priority == 1 else ceiling - ceiling // 4",
        new="limit = ceiling",
    ),
    _policy(
        name="the newest surge gives way instead of the oldest",
        breaks="S4 the oldest surge goes first",
        old="order.append((3, 0, -best.since, code))",
        new="order.append((3, 0, best.since, code))",
    ),
    _policy(
        name="a holding ranks behind the picks",
        breaks="S3 holdings first",
        old='PRIORITY: Mapping[Reason, Priority] = {"held": 1, "picked": 2, "surging": 3}',
        new='PRIORITY: Mapping[Reason, Priority] = {"held": 2, "picked": 1, "surging": 3}',
    ),
    _policy(
        name="a 21st pick has a slot",
        breaks="cap of priority 2",
        old="2: rules.picks_cap, 3: rules.surges_cap}",
        new="2: rules.picks_cap + 1, 3: rules.surges_cap}",
    ),
    _policy(
        name="surges have no cap",
        breaks="cap of priority 3",
        old="2: rules.picks_cap, 3: rules.surges_cap}",
        new="2: rules.picks_cap, 3: capacity}",
    ),
    _policy(
        name="extra channels fill the headroom",
        breaks="headroom of extra channels",
        old="room = capacity - rules.extra_headroom - len(wishes)",
        new="room = capacity - len(wishes)",
    ),
    _seen(
        name="a new connection is thought to hold the old registrations",
        breaks="S5 restored after a reconnect",
        old="return replace(seen, epoch=event.epoch, turned=fact.at, wire={}, fatal=False)",
        new="return replace(seen, epoch=event.epoch, turned=fact.at, fatal=False)",
    ),
    _seen(
        name="answers of an earlier connection count",
        breaks="S6 answers are of their epoch",
        old="RegistrationUnanswered():\n            return _answered(seen, event, fact) if event.epoch == seen.epoch else seen",
        new="RegistrationUnanswered():\n            return _answered(seen, event, fact)",
    ),
    _seen(
        name="a stock with an open order may lose its slot",
        breaks="S2 held or being ordered is watched",
        old="held.setdefault(code, name)",
        new="held.get(code, name)",
    ),
    _seen(
        name="what was carried over is not watched before the first balance",
        breaks="S2 held is watched",
        old="carried = {} if positions is None else",
        new="carried = {} if positions is not None else",
    ),
    _decide(
        name="a holding without a slot is not polled",
        breaks="S2 held is watched",
        old='if due <= turn.at:\n        return "not live"',
        new="if due <= turn.at:\n        return None",
    ),
    _decide(
        name="a surge outlives its half hour",
        breaks="S4 claims end",
        old="ttl = turn.rules.surge_ttl_seconds * SECOND_US",
        new="ttl = 2 * turn.rules.surge_ttl_seconds * SECOND_US",
    ),
    _decide(
        name="what was sold keeps its slot",
        breaks="S3 losing the last claim releases",
        old='if stock.claims[0].reason == "held" and code not in held:',
        new='if stock.claims[0].reason == "held" and code in held:',
    ),
)
