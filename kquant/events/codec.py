"""Events to bytes and back: MessagePack under short stable names, one registry, upcasters for old shapes.

An old payload is upcast when it is read, one step a version, and never rewritten on disk. A name this version does
not know is an error, never skipped: a fold that loses history without a sound is worse than one that stops.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from kquant.events import analyzer, day, feed, market, orders, pipeline, portfolio, scanner, slots
from kquant.events.base import Event, UnknownEvent, name_of
from kquant.values import Micros, Seq

FORMAT = 1
"""Version of the stored form (envelope, digest chain, payload codec)."""

Payload = dict[str, Any]
Upcaster = Callable[[Payload], Payload]

UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}
"""(stored name, version of the payload) to the function that gives the next version's payload."""


def _registry() -> dict[str, type[Event]]:
    found: dict[str, type[Event]] = {}
    for module in (day, slots, feed, market, scanner, analyzer, pipeline, portfolio, orders):
        for cls in vars(module).values():
            if isinstance(cls, type) and issubclass(cls, Event) and cls is not Event:
                name = name_of(cls)
                if found.setdefault(name, cls) is not cls:
                    raise UnknownEvent(f"two events are stored as {name}")
    return found


EVENTS: Mapping[str, type[Event]] = _registry()
"""Stored name to event class, for every event there is."""

_encoder = msgspec.msgpack.Encoder()
_decoders = {name: msgspec.msgpack.Decoder(cls) for name, cls in EVENTS.items()}


def encode(event: Event) -> bytes:
    """Return the payload as MessagePack."""
    return _encoder.encode(event)


def decode(name: str, version: int, payload: bytes) -> Event:
    """Return the event stored as *name* with a payload of *version*.

    Raises UnknownEvent for a name or a version this code does not know, or a payload that does not fit.
    """
    cls = EVENTS.get(name)
    if cls is None:
        raise UnknownEvent(f"event {name} is unknown to this version: read the day with the version that wrote it")
    if version > cls.VERSION:
        raise UnknownEvent(f"event {name} has version {version}, newer than {cls.VERSION} known here")
    try:
        if version == cls.VERSION:
            return _decoders[name].decode(payload)
        fields = msgspec.msgpack.decode(payload, type=Payload)
        for step in range(version, cls.VERSION):
            fields = UPCASTERS[name, step](fields)
        return msgspec.convert(fields, cls)
    except (msgspec.MsgspecError, KeyError) as error:
        raise UnknownEvent(f"payload of {name} version {version} does not fit: {error}") from error


def chain(
    before: bytes,
    seq: Seq,
    stream: str,
    version: int,
    name: str,
    payload_version: int,
    at: Micros,
    by: str,
    caused_by: Seq | None,
    index: int,
    payload: bytes,
) -> bytes:
    """Return the digest of a row: SHA-256 over the digest before it and every column, as one MessagePack array."""
    row = (seq, stream, version, name, payload_version, at, by, caused_by, index, payload)
    return hashlib.sha256(before + _encoder.encode(row)).digest()


GENESIS = hashlib.sha256(b"kquant journal 1").digest()
"""The digest before the first row."""
