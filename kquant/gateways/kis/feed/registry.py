"""Registration requests: their outcomes, and which of them a log leaves open."""

from __future__ import annotations

from msgspec import Struct

from kquant.events.base import Recorded
from kquant.events.feed import (
    Action,
    Dropped,
    Registered,
    RegistrationExpired,
    RegistrationRefused,
    RegistrationUnanswered,
    RegistrationVoid,
)
from kquant.events.slots import DropWanted, RegisterWanted
from kquant.gateways.kis.feed.control import Kind
from kquant.values import Channel, Epoch, Micros, Seq, Symbol

OUTCOMES = Registered | Dropped | RegistrationRefused | RegistrationUnanswered | RegistrationExpired | RegistrationVoid


Key = tuple[Symbol, Channel]


class Request(Struct, frozen=True):
    """One request as recorded, and the outcomes it can have."""

    action: Action
    code: Symbol
    channel: Channel
    epoch: Epoch
    seq: Seq
    valid_until: Micros

    @classmethod
    def of(cls, event: RegisterWanted | DropWanted, seq: Seq) -> Request:
        """Return the request that an event at *seq* makes."""
        action: Action = "register" if isinstance(event, RegisterWanted) else "drop"
        return cls(action, event.code, event.channel, event.epoch, seq, event.valid_until)

    @property
    def key(self) -> Key:
        """What KIS counts."""
        return self.code, self.channel

    def registered(self, *, already: bool) -> Registered:
        """The broker holds it."""
        return Registered(epoch=self.epoch, code=self.code, channel=self.channel, already=already)

    def dropped(self, *, already: bool) -> Dropped:
        """The broker no longer holds it."""
        return Dropped(epoch=self.epoch, code=self.code, channel=self.channel, already=already)

    def refused(self, kind: Kind, message_code: str, message: str) -> RegistrationRefused:
        """The broker refused, or this side knew that it would."""
        return RegistrationRefused(
            epoch=self.epoch,
            code=self.code,
            channel=self.channel,
            action=self.action,
            kind=kind,
            message_code=message_code,
            message=message,
        )

    def outcome(
        self, event: type[RegistrationUnanswered | RegistrationExpired | RegistrationVoid]
    ) -> RegistrationUnanswered | RegistrationExpired | RegistrationVoid:
        """It ended without an answer."""
        return event(epoch=self.epoch, code=self.code, channel=self.channel, action=self.action)


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
