"""The durable log of a day: events, tape, attachments."""

from kquant.journal.dayfile import JOURNAL_FILE, read_day
from kquant.journal.memory import MemoryJournal
from kquant.journal.port import AlreadyAnswered, Journal, JournalError, VersionConflict
from kquant.journal.sqlite import SqliteJournal, open_day

__all__ = [
    "JOURNAL_FILE",
    "AlreadyAnswered",
    "Journal",
    "JournalError",
    "MemoryJournal",
    "SqliteJournal",
    "VersionConflict",
    "open_day",
    "read_day",
]
