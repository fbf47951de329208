"""A fault that is set, with what it has seen and done, and its own seeded generator."""

import random
from typing import Any

from kquant.exchange.faults.catalog import KINDS
from kquant.exchange.faults.fault import DAY_END, Fault
from kquant.exchange.faults.verdicts import Now, Service


class Active:
    """One fault at work. `seen` counts what matched it in its window, `hits` how often it acted."""

    def __init__(self, number: int, fault: Fault) -> None:
        self.number = number
        self.fault = fault
        self.kind = KINDS[fault.kind]
        self.rng = random.Random(f"{fault.kind} {fault.when.seed}")  # noqa: S311 -- reproducible on purpose
        self.seen = 0
        self.hits = 0
        self.next_us = 0
        """A fault of moments acts again from this market time on."""
        self.frozen: set[tuple[Service, int]] = set()
        """Lines this fault has frozen; asked only for membership."""

    @property
    def spent(self) -> bool:
        """Whether it has acted as often as it was told to."""
        return 0 < self.fault.when.count <= self.hits

    def open_at(self, now: Now) -> bool:
        """Tell whether it may act now at all."""
        when = self.fault.when
        return not self.spent and when.start <= now.second < when.end

    def serves(self, service: Service) -> bool:
        """Tell whether it is about *service*."""
        return self.fault.where.service in ("", service)

    def draw(self, now: Now) -> bool:
        """Count one match and tell whether the fault acts on it; the caller counts the hit once it has acted."""
        if not self.open_at(now):
            return False
        self.seen += 1
        when = self.fault.when
        return self.seen > when.after and (when.chance >= 1 or self.rng.random() < when.chance)

    def row(self) -> dict[str, Any]:
        """Return it as the admin port lists it."""
        where, when = self.fault.where, self.fault.when
        found: dict[str, Any] = {"id": self.number, "kind": self.fault.kind, **self.fault.params}
        found |= {name: getattr(where, name) for name in where.__struct_fields__ if getattr(where, name)}
        if (when.start, when.end) != (0, DAY_END):
            found |= {"from": _clock(when.start), "until": _clock(when.end)}
        if when.chance < 1:
            found |= {"chance": when.chance}
        found |= {"after": when.after, "count": when.count, "seed": when.seed}
        return {**found, "seen": self.seen, "hits": self.hits, "spent": self.spent}


def _clock(second: int) -> str:
    return f"{second // 3_600:02d}:{second % 3_600 // 60:02d}:{second % 60:02d}"
