"""The difference between what ought to be registered and what is, and the one request that may close some of it."""

from __future__ import annotations

from typing import Literal

from kquant.domain.slots.own import VALID_US, Own
from kquant.domain.slots.policy import EXTRA, Key, SlotPolicy, Wish, ranked
from kquant.domain.slots.seen import NOTHING, STUCK, Seen
from kquant.events.base import Event
from kquant.events.slots import DropWanted, RegisterWanted, SlotEvicted, SlotSuspected
from kquant.settings import SlotSettings
from kquant.values import MINUTE_US, SECOND_US, Epoch, Micros, Priority, Symbol

SlotState = Literal["desired", "sent", "acknowledged", "ticking", "dropping", "uncertain"]

RETRY_US = 30 * SECOND_US
"""Delay after the first refusal that may pass; it doubles up to RETRY_MAX_US."""

RETRY_MAX_US = 10 * MINUTE_US


def pending(own: Own, seen: Seen) -> Key | None:
    """Return the registration whose request has no outcome yet, None without. There is never more than one."""
    if seen.epoch is None or own.epoch != seen.epoch or own.last is None:
        return None
    asked = own.asked[own.last]
    return own.last if asked.count > seen.wire.get(own.last, NOTHING).answers else None


def state_of(own: Own, seen: Seen, key: Key) -> SlotState:
    """Return a registration's state as people read it. What was never asked for, or was dropped, is only desired."""
    if pending(own, seen) == key:
        return "sent" if own.asked[key].action == "register" else "dropping"
    wire = seen.wire.get(key, NOTHING)
    if wire.held == "maybe":
        return "uncertain"
    if wire.held == "yes":
        return "ticking" if wire.ticked else "acknowledged"
    return "desired"


class Table:
    """One look at the table, for one decision. `wakes`: instants at which what waits now may move."""

    def __init__(self, own: Own, seen: Seen, rules: SlotSettings, at: Micros, policy: SlotPolicy) -> None:
        self.own = own
        self.seen = seen
        self.rules = rules
        self.at = at
        self.policy = policy
        self.wakes: list[Micros] = []
        self.on = [key for key, wire in seen.wire.items() if wire.held != "no"]
        learned = own.learned[1] if own.learned[0] == seen.epoch else rules.capacity
        self.capacity = min(learned, rules.capacity)
        self._desired: tuple[Wish, ...] | None = None
        self._places: dict[Symbol, int] | None = None

    def desired(self) -> tuple[Wish, ...]:
        """Return what ought to be, cut by what the broker may hold and nobody can drop before the next epoch."""
        if self._desired is None:
            incumbents = {code: None for code, channel in self.on if channel == "trades"}
            # What the broker refuses for now keeps nobody else out.
            waiting = [key for key, wire in self.seen.wire.items() if not self._retry(wire.refusals, wire.refused_at)]
            barred = self.seen.unservable | dict.fromkeys(waiting) if waiting else self.seen.unservable
            stuck = [key for key in self.on if self.seen.wire[key].unanswered >= STUCK]
            room = self.capacity
            while True:
                wishes = self.policy(self.own.stocks, incumbents, barred, self.rules, room)
                wanted = {(wish.code, wish.channel) for wish in wishes}
                left = max(0, self.capacity - sum(1 for key in stuck if key not in wanted))
                if left >= room:
                    break
                room = left
            self._desired = wishes
        return self._desired

    def fits(self, code: Symbol) -> bool:
        """Tell whether the stock's trades are among what ought to be."""
        return any(wish.code == code and wish.channel == "trades" for wish in self.desired())

    def next_request(self) -> tuple[Event, ...]:
        """Return the next wire request with what is to be said about it, or nothing."""
        if self.seen.epoch is None or self.seen.fatal or pending(self.own, self.seen) is not None:
            return ()
        for wish in self.desired():
            key = (wish.code, wish.channel)
            wire = self.seen.wire.get(key, NOTHING)
            if wire.held == "yes" or wire.unanswered >= STUCK:
                continue
            if wire.held == "no" and self._full_for(wish):
                victims = [] if wish.priority == EXTRA else self._victims(wish)
                if victims:
                    if self._affordable(wish.priority) and self._rested(victims[0], wish.priority):
                        return self._make_room(wish, victims)
                    break
                if wish.priority == EXTRA or len(self.on) >= self.capacity:
                    break
            if self._affordable(wish.priority):
                return self._register(wish)
            break
        return self._release() or self._renew()

    def _register(self, wish: Wish) -> tuple[Event, ...]:
        wanted = RegisterWanted(
            code=wish.code,
            channel=wish.channel,
            priority=wish.priority,
            epoch=self._epoch(),
            valid_until=Micros(self.at + VALID_US),
        )
        return (wanted,)

    def _drop(self, key: Key, why: str) -> DropWanted:
        return DropWanted(
            code=key[0], channel=key[1], epoch=self._epoch(), valid_until=Micros(self.at + VALID_US), why=why
        )

    def _make_room(self, wish: Wish, victims: list[Key]) -> tuple[Event, ...]:
        key = victims[0]
        drop = self._drop(key, f"room for priority {wish.priority}")
        if key[0] not in self.own.stocks:
            return (drop,)
        following = victims[1][0] if len(victims) > 1 else None
        return (self._evicted(key, wish, self._rule(key, wish), following), drop)

    def _evicted(self, key: Key, wish: Wish, rule: str, following: Symbol | None) -> SlotEvicted:
        return SlotEvicted(
            code=key[0],
            channel=key[1],
            priority=self._priority(key),
            for_code=wish.code,
            for_channel=wish.channel,
            for_priority=wish.priority,
            rule=rule,
            next_code=following,
        )

    def _rule(self, key: Key, wish: Wish) -> str:
        priority = self._priority(key)
        if priority == EXTRA:
            return "extra channels go first"
        if priority == wish.priority:
            return "the oldest surge gives way" if priority == 3 else "beyond the cap"
        return f"priority {priority} gives way to {wish.priority}"

    def _priority(self, key: Key) -> Priority:
        return self.own.stocks[key[0]].priority if key[1] == "trades" else EXTRA

    def _full_for(self, wish: Wish) -> bool:
        """Tell whether the broker's count leaves no room for it: in all, in its priority, or below the headroom."""
        if wish.priority == EXTRA:
            return len(self.on) >= self.capacity - self.rules.extra_headroom
        if len(self.on) >= self.capacity:
            return True
        return wish.priority > 1 and self._class_count(wish.priority) >= self._cap(wish.priority)

    def _cap(self, priority: Priority) -> int:
        return {2: self.rules.picks_cap, 3: self.rules.surges_cap}.get(priority, self.capacity)

    def _class_count(self, priority: Priority) -> int:
        stocks = self.own.stocks
        return sum(1 for code, ch in self.on if ch == "trades" and code in stocks and stocks[code].priority == priority)

    def _victims(self, wish: Wish) -> list[Key]:
        """Return who could give way to the wish, first one first: no claim, then extras, then the worst ranked.

        Nobody gives way to a lower priority. With room in the table but none in its priority, only its like does.
        """
        wanted = {(each.code, each.channel) for each in self.desired()}
        free = [key for key in self.on if key not in wanted and self.seen.wire[key].unanswered < STUCK]
        if len(self.on) < self.capacity:
            free = [key for key in free if key[0] in self.own.stocks and self._priority(key) == wish.priority]
        else:
            free = [key for key in free if key[0] not in self.own.stocks or self._priority(key) >= wish.priority]
        return sorted(free, key=self._worst_first)

    def _worst_first(self, key: Key) -> tuple[int, int, Key]:
        if self._places is None:
            incumbents = {code: None for code, channel in self.on if channel == "trades"}
            self._places = {stock.code: place for place, stock in enumerate(ranked(self.own.stocks, incumbents))}
        if key[0] not in self.own.stocks:
            return (0, 0, key)
        return (1 if key[1] != "trades" else 2, -self._places[key[0]], key)

    def _release(self) -> tuple[Event, ...]:
        """Drop what nobody claims, what exceeds a cap, or an extra channel that stands in the headroom."""
        wishes = self.desired()
        wanted = {(wish.code, wish.channel) for wish in wishes}
        free = [key for key in self.on if key not in wanted and self.seen.wire[key].unanswered < STUCK]
        for key in sorted(free, key=self._worst_first):
            rule = self._why_released(key)
            if rule is None or not self._rested(key, EXTRA):
                continue
            if not self._affordable(EXTRA):
                return ()
            drop = self._drop(key, rule)
            taker = self._taker(key, wishes) if key[0] in self.own.stocks else None
            if taker is None:
                return (drop,)
            return (self._evicted(key, taker, rule, None), drop)
        return ()

    def _why_released(self, key: Key) -> str | None:
        stock = self.own.stocks.get(key[0])
        if stock is None:
            return "released"
        if key[1] != "trades":
            eligible = stock.priority <= 2 and key[1] in self.rules.extra_channels
            beyond = len(self.on) > self.capacity - self.rules.extra_headroom
            return "headroom" if beyond else None if eligible else "released"
        return "beyond the cap" if self._class_count(stock.priority) > self._cap(stock.priority) else None

    def _taker(self, key: Key, wishes: tuple[Wish, ...]) -> Wish | None:
        """Return for whom it gives way where nobody waits: the last of its priority that stays, or the last of all."""
        trades = [wish for wish in wishes if wish.channel == "trades"]
        if key[1] != "trades":
            return trades[-1] if trades else None
        alike = [wish for wish in trades if wish.priority == self._priority(key)]
        return alike[-1] if alike else None

    def _renew(self) -> tuple[Event, ...]:
        """Renew one registration that was acknowledged and stayed silent in an open session; once an epoch."""
        if not self.seen.session:
            return ()
        epoch = self._epoch()
        for wish in self.desired():
            key = (wish.code, wish.channel)
            wire = self.seen.wire.get(key, NOTHING)
            if wish.channel != "trades" or wire.held != "yes" or wire.ticked or self.own.suspected.get(key) == epoch:
                continue
            due = Micros(max(wire.at, self.seen.session_at) + self.rules.silent_seconds * SECOND_US)
            if due > self.at:
                self.wakes.append(due)
            elif self._affordable(wish.priority):
                suspected = SlotSuspected(code=wish.code, channel=wish.channel, epoch=epoch)
                return (suspected, self._drop(key, f"renewed, priority {wish.priority}"))
        return ()

    def _retry(self, refusals: int, refused_at: Micros) -> bool:
        """Tell whether a refused registration may be asked for again; the delay doubles with each refusal."""
        if refusals == 0:
            return True
        due = Micros(refused_at + min(RETRY_MAX_US, RETRY_US << (refusals - 1)))
        if due > self.at:
            self.wakes.append(due)
        return due <= self.at

    def _rested(self, key: Key, for_priority: Priority) -> bool:
        """Tell whether a registration has had its minimum dwell; holdings and picks need not wait for that."""
        if for_priority <= 2:
            return True
        due = Micros(self.seen.wire[key].at + self.rules.min_dwell_seconds * SECOND_US)
        if due > self.at:
            self.wakes.append(due)
        return due <= self.at

    def _affordable(self, priority: Priority) -> bool:
        """Tell whether the last minute leaves a wire change for that priority; a quarter is kept for priority 1."""
        ceiling = self.rules.changes_per_minute
        limit = ceiling if priority == 1 else ceiling - ceiling // 4
        recent = [change for change in self.own.changes if self.at - change[0] < MINUTE_US]
        waits = []
        if len(recent) >= limit:
            waits.append(recent[len(recent) - limit][0] if limit > 0 else self.at)
        if priority > 2:
            low = [at for at, is_low in recent if is_low]
            limit = self.rules.low_changes_per_minute
            if len(low) >= limit:
                waits.append(low[len(low) - limit] if limit > 0 else self.at)
        self.wakes += [Micros(at + MINUTE_US) for at in waits]
        return not waits

    def _epoch(self) -> Epoch:
        if self.seen.epoch is None:
            raise AssertionError("no request is made without a connection")
        return self.seen.epoch
