"""The event base class, the envelope around a stored event, and the registry of stored names."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from kquant.values import KquantError, Micros, Seq


class UnknownEvent(KquantError):
    """A stored name that this version does not know, or a payload that does not fit it."""


class Event(Struct, frozen=True, kw_only=True, gc=False):
    """A fact. Its `tag` is the name it is stored under for ever: rename a class freely, never a tag.

    Events hold values only and never a cycle, so the garbage collector does not track them (`gc=False`).
    `VERSION` grows when the payload's shape changes, together with an upcaster in `codec.py`.
    `ANSWERED_BY`: stream of what it causes at once, and only that is urgent; so its appender hears of it before the disk
    has it, and the journal's writer waits a millisecond to commit both together. "" for all others.
    """

    VERSION: ClassVar[int] = 1
    ANSWERED_BY: ClassVar[str] = ""


class Recorded(Struct, frozen=True, kw_only=True, gc=False):
    """An event as the journal holds it.

    seq: place in the day's journal.   stream, version: whose fact, and its place there (from 1).
    at: UTC microseconds of the run's clock when it got its place, never going back.   by: who appended it.
    caused_by: seq of the event this one reacts to, None if the world caused it.   index: place in that reaction.
    digest: 32 bytes, chained over the row (`codec.chain`).
    """

    seq: Seq
    stream: str
    version: int
    name: str
    at: Micros
    by: str
    caused_by: Seq | None
    index: int
    event: Event
    digest: bytes


def name_of(event: Event | type[Event]) -> str:
    """Return the stored name of an event or an event class."""
    cls = event if isinstance(event, type) else type(event)
    tag = cls.__struct_config__.tag
    if not isinstance(tag, str):
        raise UnknownEvent(f"{cls.__name__} has no stored name: give it tag=")
    return tag
