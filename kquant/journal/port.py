"""The journal as its users see it, whatever it is stored in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol

from kquant.events.base import Event, Recorded
from kquant.values import KquantError, Seq


class JournalError(KquantError):
    """The journal cannot be opened, read or written; nothing further may act."""


class AlreadyAnswered(JournalError):
    """This stream has already reacted to that cause at that index: the answer stands, this one is dropped."""


class VersionConflict(JournalError):
    """Somebody else wrote to the stream: a second instance or a bug. Stop, never retry blindly."""


class Journal(Protocol):
    """One account's one trading day. Appending is thread-safe; a future resolves once the rows are durable.

    An event gets its place in the one order at once, and with it seq, time and digest: then it is *placed*. It becomes
    durable a moment later, together with everything before it and never without. What is placed may be decided on, since
    the decision gets its place behind it; only what is durable may be acted on. A commit that fails ends the process.

    `by` names the appender. Events of one call are one transaction and get `index` from `first_index` on.
    """

    @property
    def head(self) -> Seq:
        """Seq of the last durable event, 0 when empty."""

    @property
    def placed(self) -> Seq:
        """Seq of the last event that has its place, durable or not."""

    def append(
        self,
        stream: str,
        events: Sequence[Event],
        *,
        by: str,
        caused_by: Seq | None = None,
        first_index: int = 0,
        expected_version: int | None = None,
    ) -> Future[tuple[Recorded, ...]]:
        """Give the events their place, and queue them for the next group commit.

        The future raises AlreadyAnswered, VersionConflict (when `expected_version` is not the stream's last version)
        or JournalError.
        """

    def place(
        self,
        stream: str,
        events: Sequence[Event],
        *,
        by: str,
        caused_by: Seq | None = None,
        first_index: int = 0,
        expected_version: int | None = None,
    ) -> tuple[Recorded, ...]:
        """Append for who only decides on what it said: return the events placed, or raise what the future would."""

    def read(self, after: Seq, limit: int = 1_000) -> Sequence[Recorded]:
        """Return up to *limit* durable events with seq above *after*, in order. Never blocks on the writer."""

    def read_placed(self, after: Seq, limit: int = 1_000) -> Sequence[Recorded]:
        """Return the same of the events that have their place, durable or not."""

    def subscribe(self, nudge: Callable[[], None], names: frozenset[str] | None = None) -> Callable[[], None]:
        """Have *nudge* called (from the writer's thread, coalescing as it likes) after each commit; returns an undo.

        names: stored names of the events it is for, None for all.
        """

    def subscribe_placed(self, nudge: Callable[[], None], stream: str) -> Callable[[], None]:
        """Have *nudge* called, from the appender's thread, once an event that *stream* answers has its place.

        See `Event.ANSWERED_BY`; returns an undo.
        """

    def close(self) -> None:
        """Commit what is queued and close. Further appends raise JournalError."""
