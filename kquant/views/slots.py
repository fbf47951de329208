"""The slot table as the log tells it: who wants a slot, who has one, in which state, since when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from kquant.events import feed, slots
from kquant.events.base import Recorded
from kquant.values import Channel, Micros, Priority, Symbol
from kquant.views.names import Names

PRIORITY: dict[slots.Reason, Priority] = {"held": 1, "picked": 2, "surging": 3}
PRIORITIES: tuple[Priority, ...] = (1, 2, 3, 4)
Key = tuple[Symbol, Channel]
Answer = (
    feed.Registered
    | feed.Dropped
    | feed.RegistrationRefused
    | feed.RegistrationUnanswered
    | feed.RegistrationExpired
    | feed.RegistrationVoid
    | feed.FirstTick
)


class SlotLine(Struct, frozen=True, kw_only=True):
    """One slot, or one claim that waits for one.

    state: sent, acknowledged, ticking, dropping, uncertain, suspect or waiting.   since: of that state, UTC microseconds.
    reasons: of the stock's claims, best first.
    """

    code: Symbol
    name: str
    channel: Channel
    priority: Priority
    state: str
    since: Micros
    reasons: tuple[str, ...]


class SlotsView(Struct, frozen=True, kw_only=True):
    """held: slots in use, by priority, then since when.   waiting: claims without a slot, likewise.   epoch: 0 if lost."""

    held: tuple[SlotLine, ...]
    waiting: tuple[SlotLine, ...]
    epoch: int

    def counts(self) -> dict[Priority, int]:
        """Return how many slots each priority uses."""
        return {p: sum(line.priority == p for line in self.held) for p in PRIORITIES}


class SlotFold:
    """The table, moved on fact by fact. Cheap: one dictionary operation an event."""

    def __init__(self) -> None:
        self.names = Names()
        self.epoch = 0
        self._claims: dict[Symbol, dict[slots.Reason, Micros]] = {}
        self._slots: dict[Key, tuple[str, Micros, Priority]] = {}
        self._before: dict[Key, tuple[str, Micros, Priority] | None] = {}

    def apply(self, fact: Recorded) -> bool:
        """Fold one fact; return whether the table may have changed."""
        match fact.event:
            case slots.SlotClaimed(code=code, reason=reason) | slots.SlotClaimRenewed(code=code, reason=reason):
                self.names.learn(fact.event)
                self._claims.setdefault(code, {}).setdefault(reason, fact.at)
            case slots.SlotClaimEnded(code=code, reason=reason):
                claims = self._claims.get(code, {})
                claims.pop(reason, None)
                if not claims:
                    self._claims.pop(code, None)
            case slots.RegisterWanted(code=code, channel=channel, priority=priority):
                self._before[code, channel] = self._slots.get((code, channel))
                self._slots[code, channel] = ("sent", fact.at, priority)
            case slots.DropWanted(code=code, channel=channel):
                self._before[code, channel] = self._slots.get((code, channel))
                self._become(code, channel, "dropping", fact.at)
            case slots.SlotSuspected(code=code, channel=channel):
                self._become(code, channel, "suspect", fact.at)
            case _:
                return self._feed(fact)
        return True

    def _feed(self, fact: Recorded) -> bool:
        match fact.event:
            case feed.FeedConnected(epoch=epoch):
                self.epoch = epoch
                self._slots.clear()
                self._before.clear()
            case feed.FeedLost(epoch=epoch) if epoch == self.epoch:
                self.epoch = 0
                self._slots.clear()
            case (
                feed.Registered(epoch=epoch)
                | feed.Dropped(epoch=epoch)
                | feed.RegistrationRefused(epoch=epoch)
                | feed.RegistrationUnanswered(epoch=epoch)
                | feed.RegistrationExpired(epoch=epoch)
                | feed.RegistrationVoid(epoch=epoch)
                | feed.FirstTick(epoch=epoch)
            ) if epoch == self.epoch:
                self._answer(fact.event, fact.at)
            case _:
                return False
        return True

    def _answer(self, event: Answer, at: Micros) -> None:
        """Take what the broker or the feed said in this epoch; ticks may come before their acknowledgement."""
        key = event.code, event.channel
        state = self._slots[key][0] if key in self._slots else ""
        match event:
            case feed.Registered():
                if not state:
                    self._slots[key] = ("acknowledged", at, 3 if event.channel == "trades" else 4)
                elif state != "ticking":
                    self._become(*key, "acknowledged", at)
            case feed.FirstTick():
                if state != "dropping":
                    self._become(*key, "ticking", at)
            case feed.Dropped() | feed.RegistrationVoid() | feed.RegistrationRefused(action="register"):
                self._slots.pop(key, None)
            case feed.RegistrationRefused():
                self._become(*key, "uncertain", at)
            case feed.RegistrationUnanswered():
                if state in ("sent", "dropping"):
                    self._become(*key, "uncertain", at)
            case feed.RegistrationExpired():
                before = self._before.get(key)
                if before is None:
                    self._slots.pop(key, None)
                else:
                    self._slots[key] = before

    def _become(self, code: Symbol, channel: Channel, state: str, at: Micros) -> None:
        known = self._slots.get((code, channel))
        if known is not None and known[0] != state:
            self._slots[code, channel] = (state, at, known[2])

    def priority_of(self, key: Key) -> Priority:
        """Return the priority a slot has now: the best of its stock's claims, or the one it was registered under."""
        code, channel = key
        registered = self._slots[key][2]
        if channel != "trades" or registered == 4:
            return registered
        claims = self._claims.get(code)
        return min(PRIORITY[reason] for reason in claims) if claims else registered

    def counts(self) -> dict[Priority, int]:
        """Return how many slots each priority uses now."""
        counts: dict[Priority, int] = dict.fromkeys(PRIORITIES, 0)
        for key in self._slots:
            counts[self.priority_of(key)] += 1
        return counts

    def view(self) -> SlotsView:
        """Return the table as it is."""
        held = [self._line(key, self.priority_of(key), state, since) for key, (state, since, _) in self._slots.items()]
        waiting = [
            self._line((code, "trades"), min(PRIORITY[r] for r in claims), "waiting", min(claims.values()))
            for code, claims in self._claims.items()
            if (code, "trades") not in self._slots
        ]
        return SlotsView(held=_sorted(held), waiting=_sorted(waiting), epoch=self.epoch)

    def _line(self, key: Key, priority: Priority, state: str, since: Micros) -> SlotLine:
        code, channel = key
        reasons = tuple(sorted(self._claims.get(code, {}), key=lambda reason: PRIORITY[reason]))
        name = self.names.get(code, "")
        return SlotLine(
            code=code, name=name, channel=channel, priority=priority, state=state, since=since, reasons=reasons
        )


class Occupied(Struct, frozen=True, kw_only=True):
    """Slots in use from `at` on. counts: of priorities 1 to 4, in that order."""

    at: Micros
    counts: tuple[int, int, int, int]


def slots_view(facts: Iterable[Recorded]) -> SlotsView:
    """Return the slot table after *facts*."""
    fold = SlotFold()
    for fact in facts:
        fold.names.learn(fact.event)
        fold.apply(fact)
    return fold.view()


def occupancy(facts: Iterable[Recorded]) -> list[Occupied]:
    """Return how many slots each priority used over time, one entry a change, oldest first."""
    fold = SlotFold()
    found: list[Occupied] = []
    for fact in facts:
        if not fold.apply(fact):
            continue
        one, two, three, four = (fold.counts()[p] for p in PRIORITIES)
        step = Occupied(at=fact.at, counts=(one, two, three, four))
        if found and found[-1].at == fact.at:
            found.pop()
        if not found or found[-1].counts != step.counts:
            found.append(step)
    return found


def _sorted(lines: Sequence[SlotLine]) -> tuple[SlotLine, ...]:
    return tuple(sorted(lines, key=lambda line: (line.priority, line.since, line.code, line.channel)))
