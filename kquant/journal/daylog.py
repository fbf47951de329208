"""What every journal keeps in memory: the day's events, the place of each stream, the answers given, the digest.

Both journals decide here whether an append is accepted and what its rows are; they differ only in what makes the rows
durable. One thread at a time may stage and publish; reading needs no lock.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from threading import Lock

from msgspec import Struct

from kquant.events import codec
from kquant.events.base import Event, Recorded, UnknownEvent, name_of
from kquant.journal.port import AlreadyAnswered, JournalError, VersionConflict
from kquant.journal.recorder import Row
from kquant.values import Micros, Seq

SEAL = "day.closed"
"""Name of the event after which a journal takes no more."""

_logger = logging.getLogger(__name__)


class Item(Struct, frozen=True):
    """An event ready to be stored. event: what the stored bytes decode to, so that live and replay see the same."""

    name: str
    payload_version: int
    payload: bytes
    event: Event


class Append(Struct, frozen=True):
    """One call of `Journal.append` or `Journal.place`, ready to be placed."""

    stream: str
    items: tuple[Item, ...]
    by: str
    caused_by: Seq | None
    first_index: int
    expected_version: int | None


class Placed(Struct, frozen=True):
    """What an append became. future: resolved once the rows are durable, None if nobody waits.

    answered_by: streams whose answer to it is what is urgent.
    """

    records: tuple[Recorded, ...]
    rows: list[Row]
    answered_by: frozenset[str]
    future: Future[tuple[Recorded, ...]] | None


def prepare(
    stream: str,
    events: Sequence[Event],
    by: str,
    caused_by: Seq | None,
    first_index: int,
    expected_version: int | None,
) -> Append:
    """Encode the events in the caller's thread. Raises JournalError for one that could not be read back."""
    if not stream or not by or first_index < 0:
        raise JournalError(f"append needs a stream, an appender and an index from 0: {stream!r}, {by!r}, {first_index}")
    items = tuple(_item(event) for event in events)
    return Append(stream, items, by, caused_by, first_index, expected_version)


def pending() -> Future[tuple[Recorded, ...]]:
    """Return an append's future. It runs from the start: what was handed over cannot be cancelled, only awaited."""
    future: Future[tuple[Recorded, ...]] = Future()
    future.set_running_or_notify_cancel()
    return future


def _item(event: Event) -> Item:
    name, version = name_of(event), type(event).VERSION
    try:
        payload = codec.encode(event)
        return Item(name, version, payload, codec.decode(name, version, payload))
    except (UnknownEvent, TypeError, ValueError, OverflowError) as error:
        raise JournalError(f"{name} cannot be stored, since it could not be read back: {error}") from error


class DayLog:
    """The day in memory: its events in order, how many are durable, and the state that the next row depends on."""

    def __init__(self) -> None:
        self._events: list[Recorded] = []
        self._durable = 0
        self._versions: dict[str, int] = {}
        self._answered: set[tuple[str, Seq, int]] = set()
        self._seq = 0
        self._at = 0
        self._digest = codec.GENESIS
        self._sealed = False

    @property
    def head(self) -> Seq:
        """Seq of the last durable event."""
        return Seq(self._durable)

    @property
    def placed(self) -> Seq:
        """Seq of the last event that has its place."""
        return Seq(len(self._events))

    @property
    def digest(self) -> bytes:
        """Digest of the last durable event; GENESIS when empty."""
        return self._events[self._durable - 1].digest if self._durable else codec.GENESIS

    @property
    def sealed(self) -> bool:
        """Tell whether the day is closed."""
        return self._sealed

    def read(self, after: Seq, limit: int) -> Sequence[Recorded]:
        """Return a copy of a slice of what is durable. A list grows at its end only, so no lock is needed."""
        _check_place(after, limit)
        return self._events[after : min(after + limit, self._durable)]

    def read_placed(self, after: Seq, limit: int) -> Sequence[Recorded]:
        """Return a copy of a slice of all that has its place."""
        _check_place(after, limit)
        return self._events[after : after + limit]

    def place(self, append: Append, now: Micros, future: Future[tuple[Recorded, ...]] | None) -> Placed:
        """Give the append its place, or raise and change nothing.

        What has its place must become durable, or nothing may ever be placed again.
        """
        self._admit(append)
        at = max(self._at, now)
        records: list[Recorded] = []
        rows: list[Row] = []
        version = self._versions.get(append.stream, 0)
        for index, item in enumerate(append.items, append.first_index):
            self._seq += 1
            version += 1
            self._digest = codec.chain(
                self._digest,
                Seq(self._seq),
                append.stream,
                version,
                item.name,
                item.payload_version,
                Micros(at),
                append.by,
                append.caused_by,
                index,
                item.payload,
            )
            records.append(
                Recorded(
                    seq=Seq(self._seq),
                    stream=append.stream,
                    version=version,
                    name=item.name,
                    at=Micros(at),
                    by=append.by,
                    caused_by=append.caused_by,
                    index=index,
                    event=item.event,
                    digest=self._digest,
                )
            )
            rows.append(_row(records[-1], item))
            self._note(records[-1])
        self._events.extend(records)
        answered_by = frozenset(record.event.ANSWERED_BY for record in records if record.event.ANSWERED_BY)
        return Placed(tuple(records), rows, answered_by, future)

    def publish(self, head: int) -> None:
        """Everything up to *head* is durable now."""
        self._durable = head

    def load(self, records: Sequence[Recorded]) -> None:
        """Take over the events of an earlier process."""
        for record in records:
            self._note(record)
            self._seq = record.seq
            self._digest = record.digest
        self._events.extend(records)
        self.publish(self._seq)

    def _admit(self, append: Append) -> None:
        if self._sealed:
            raise JournalError(
                f"the day is closed after seq {self._seq}: {append.stream} cannot append, open a new day"
            )
        version = self._versions.get(append.stream, 0)
        if append.expected_version is not None and append.expected_version != version:
            raise VersionConflict(
                f"{append.stream} is at version {version}, {append.by} expected {append.expected_version}"
            )
        seals = [place for place, item in enumerate(append.items) if item.name == SEAL]
        if seals and seals != [len(append.items) - 1]:
            raise JournalError(f"{SEAL} seals the journal: it must be the last event appended")
        if append.caused_by is None:
            return
        if not 1 <= append.caused_by <= self._seq:
            raise JournalError(f"{append.stream} names cause {append.caused_by}, the journal ends at {self._seq}")
        for index in range(append.first_index, append.first_index + len(append.items)):
            if (append.stream, append.caused_by, index) in self._answered:
                raise AlreadyAnswered(f"{append.stream} has answered seq {append.caused_by} at index {index} already")

    def _note(self, record: Recorded) -> None:
        self._versions[record.stream] = record.version
        self._at = record.at
        if record.caused_by is not None:
            self._answered.add((record.stream, record.caused_by, record.index))
        self._sealed = record.name == SEAL


def _check_place(after: Seq, limit: int) -> None:
    if after < 0 or limit < 0:
        raise JournalError(f"read(after={after}, limit={limit}): both count from 0")


def _row(record: Recorded, item: Item) -> Row:
    return Row(
        record.seq,
        record.stream,
        record.version,
        record.name,
        item.payload_version,
        item.payload,
        record.at,
        record.by,
        record.caused_by,
        record.index,
        record.digest,
    )


class _Nudge:
    """One subscription; two of the same function are two."""

    def __init__(self, call: Callable[[], None], topics: frozenset[str] | None) -> None:
        self.call = call
        self.topics = topics


class Nudges:
    """Those who want to hear of new events. A lost nudge costs nothing: readers keep their own cursor.

    A nudge that raises is dropped and logged: its subscriber is dead, and the journal must not die with it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._nudges: tuple[_Nudge, ...] = ()

    def add(self, nudge: Callable[[], None], topics: frozenset[str] | None) -> Callable[[], None]:
        """Subscribe to *topics*, None for all; the function returned undoes it, and may be called again."""
        entry = _Nudge(nudge, topics)

        def undo() -> None:
            self._drop(entry)

        with self._lock:
            self._nudges = (*self._nudges, entry)
        return undo

    def call(self, topics: Iterable[str]) -> None:
        """Nudge everyone who subscribed to one of the topics, in order of subscription."""
        for entry in self._nudges:
            if entry.topics is not None and entry.topics.isdisjoint(topics):
                continue
            try:
                entry.call()
            except Exception:
                self._drop(entry)
                _logger.exception("a subscriber of the journal raised when nudged and was dropped")

    def _drop(self, entry: _Nudge) -> None:
        with self._lock:
            self._nudges = tuple(known for known in self._nudges if known is not entry)
