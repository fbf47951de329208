"""Which registrations a log leaves open: asked for, and without an outcome."""

from __future__ import annotations

from kquant.events.base import Recorded
from kquant.events.feed import (
    Dropped,
    Registered,
    RegistrationExpired,
    RegistrationRefused,
    RegistrationUnanswered,
    RegistrationVoid,
)
from kquant.events.slots import DropWanted, RegisterWanted
from kquant.values import Seq

OUTCOMES = Registered | Dropped | RegistrationRefused | RegistrationUnanswered | RegistrationExpired | RegistrationVoid


class OpenRequests:
    """A fold of the log."""

    def __init__(self) -> None:
        self._asked: dict[Seq, Recorded] = {}

    def fold(self, fact: Recorded) -> None:
        """Take one fact."""
        if isinstance(fact.event, RegisterWanted | DropWanted):
            self._asked[fact.seq] = fact
        elif fact.caused_by is not None and isinstance(fact.event, OUTCOMES):
            self._asked.pop(fact.caused_by, None)

    def open(self) -> tuple[Recorded, ...]:
        """Return the requests without an outcome, in order."""
        return tuple(self._asked.values())
