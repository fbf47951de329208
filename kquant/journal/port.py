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

    `by` names the appender. Events of one call are one transaction and get `index` from `first_index` on.
    """

    @property
    def head(self) -> Seq:
        """Seq of the last durable event, 0 when empty."""

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
        """Queue the events for the next group commit.

        The future raises AlreadyAnswered, VersionConflict (when `expected_version` is not the stream's last version)
        or JournalError.
        """

    def read(self, after: Seq, limit: int = 1_000) -> Sequence[Recorded]:
        """Return up to *limit* durable events with seq above *after*, in order. Never blocks on the writer."""

    def subscribe(self, nudge: Callable[[], None]) -> Callable[[], None]:
        """Have *nudge* called (from the writer's thread, coalescing as it likes) after each commit; returns an undo."""

    def close(self) -> None:
        """Commit what is queued and close. Further appends raise JournalError."""
