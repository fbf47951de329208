"""The durable log of a day: events, tape, attachments."""

from kquant.journal.attachments import AttachmentError, Attachments
from kquant.journal.dayfile import JOURNAL_FILE, read_day, read_streams
from kquant.journal.memory import MemoryJournal
from kquant.journal.port import AlreadyAnswered, Journal, JournalError, VersionConflict
from kquant.journal.sqlite import SqliteJournal, open_day
from kquant.journal.tape import Kind, MemoryTape, Tape, TapeError, TapeReader, TapeRecord, TapeWriter

__all__ = [
    "JOURNAL_FILE",
    "AlreadyAnswered",
    "AttachmentError",
    "Attachments",
    "Journal",
    "JournalError",
    "Kind",
    "MemoryJournal",
    "MemoryTape",
    "SqliteJournal",
    "Tape",
    "TapeError",
    "TapeReader",
    "TapeRecord",
    "TapeWriter",
    "VersionConflict",
    "open_day",
    "read_day",
    "read_streams",
]
