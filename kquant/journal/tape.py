"""The tape: the day's market input in the order applied.

The writer's caller only appends to a list and, at a flush, makes one write(); sealing a full block (zstd, CRC) happens
in a thread of its own. What was flushed survives a kill of the process, what was synced a loss of power.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import Queue
from threading import Lock, Thread
from typing import Protocol

from kquant.journal import tapefile
from kquant.journal._disk import OPEN_FLAGS, sync_data, sync_folder, write_all
from kquant.journal.tapefile import BLOCKS_MAGIC, RAW_MAGIC, Kind, TapeError, TapeRecord
from kquant.journal.tapeopen import open_tape
from kquant.values import Micros

__all__ = ["Kind", "MemoryTape", "Tape", "TapeError", "TapeReader", "TapeRecord", "TapeWriter"]

BLOCK_RECORDS = 2_000
BACKLOG = 32
"""Most blocks waiting to be sealed; beyond it the caller waits, since the disk does not keep up."""


class Tape(Protocol):
    """What the market's gateway writes to. One thread appends; `flush` and `sync` may come from others."""

    @property
    def place(self) -> int:
        """Place of the last record appended, 0 when empty."""

    def append(self, kind: Kind, at: Micros, data: bytes) -> int:
        """Take a record and return its place. It is buffered until a flush."""

    def flush(self) -> int:
        """Hand everything appended to the operating system; return the last place that holds for."""

    def sync(self) -> int:
        """Make everything appended survive a power loss; return the last place that holds for."""

    def close(self) -> None:
        """Flush, seal the open block and end. May be called again."""


class MemoryTape:
    """A tape without files, for tests and the simulator. Iterating it gives its records."""

    def __init__(self) -> None:
        self._records: list[TapeRecord] = []
        self._closed = False

    @property
    def place(self) -> int:
        """Place of the last record appended."""
        return len(self._records)

    def append(self, kind: Kind, at: Micros, data: bytes) -> int:
        """Take a record and return its place."""
        if self._closed:
            raise TapeError("the tape is closed, nothing may be appended")
        place = len(self._records) + 1
        tapefile.pack(place, at, kind, data)  # refuses what a file would refuse
        self._records.append(TapeRecord(place, at, kind, bytes(data)))
        return place

    def flush(self) -> int:
        """Return the last place."""
        return len(self._records)

    def sync(self) -> int:
        """Return the last place."""
        return len(self._records)

    def close(self) -> None:
        """Refuse further records."""
        self._closed = True

    def __iter__(self) -> Iterator[TapeRecord]:
        """Yield the records so far."""
        return iter(tuple(self._records))


class TapeWriter:
    """Writes a day's tape into its folder, going on where an earlier writer stopped.

    block_records: how many records a sealed block holds. Opening repairs what a crash left (`tapeopen`); a damaged
    tape raises TapeError. After any error of the disk every call raises TapeError: the tape must not have holes.
    """

    def __init__(self, folder: Path, block_records: int = BLOCK_RECORDS) -> None:
        if block_records < 1:
            raise TapeError(f"block_records {block_records}: a block holds at least one record")
        self._folder = folder
        self._block_records = block_records
        self._lock = Lock()
        self._handles = Lock()
        self._buffer: list[bytes] = []
        self._written: list[bytes] = []
        self._count = 0
        self._failure: Exception | None = None
        self._closed = False
        self._raw: int | None = None
        self._unsealed: dict[int, int] = {}
        self._sealing: Queue[tuple[int, int, bytes] | None] = Queue(BACKLOG)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            opened = open_tape(folder)
            self._blocks = os.open(
                tapefile.blocks_path(folder), os.O_RDWR | os.O_CREAT | os.O_APPEND | OPEN_FLAGS, 0o644
            )
            if opened.blocks_end == 0:
                os.ftruncate(self._blocks, 0)
                write_all(self._blocks, BLOCKS_MAGIC)
                sync_data(self._blocks)
                sync_folder(folder)
        except OSError as error:
            raise TapeError(f"{folder}: the tape cannot be opened: {error}") from error
        self._place = opened.last
        self._first = opened.last + 1
        self._worker = Thread(target=self._seal_blocks, name="tape-sealer", daemon=True)
        self._worker.start()
        # What the earlier writer had not sealed becomes a block of its own, however short.
        for raw in opened.raws:
            self._unsealed[raw.first] = os.open(raw.path, os.O_RDWR | OPEN_FLAGS)
            self._sealing.put((raw.first, raw.count, raw.data))

    @property
    def place(self) -> int:
        """Place of the last record appended, by this writer or one before it; 0 when empty."""
        return self._place

    def append(self, kind: Kind, at: Micros, data: bytes) -> int:
        """Take a record and return its place. It is buffered until a flush or until its block is full."""
        with self._lock:
            self._demand()
            packed = tapefile.pack(self._place + 1, at, kind, data)
            self._buffer.append(packed)
            self._place += 1
            self._count += 1
            if self._count >= self._block_records:
                self._flush()
                self._rotate()
            return self._place

    def flush(self) -> int:
        """Hand everything appended to the operating system with one write()."""
        with self._lock:
            self._demand()
            self._flush()
            return self._place

    def sync(self) -> int:
        """Flush, then fdatasync. Appending goes on meanwhile; call it from any thread."""
        with self._lock:
            self._demand()
            self._flush()
            place = self._place
            with self._handles:
                handles = [os.dup(handle) for handle in (*self._unsealed.values(), self._raw) if handle is not None]
        try:
            for handle in handles:
                sync_data(handle)
            sync_folder(self._folder)
        except OSError as error:
            # What the kernel could not write it may have dropped: asking again would say "done".
            self._failure = error
            raise TapeError(f"{self._folder}: the tape cannot be synced: {error}") from error
        finally:
            for handle in handles:
                os.close(handle)
        return place

    def close(self) -> None:
        """Flush, seal the open block and end. Raises TapeError if anything could not be written."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._failure is None:
                with suppress(TapeError):  # raised below, once everything is closed
                    self._flush()
                    self._rotate()
            self._sealing.put(None)
        self._worker.join()
        for handle in (*self._unsealed.values(), self._raw, self._blocks):
            if handle is not None:
                os.close(handle)
        if self._failure is not None:
            raise TapeError(f"{self._folder}: the tape is incomplete: {self._failure}") from self._failure

    def _demand(self) -> None:
        if self._closed:
            raise TapeError(f"{self._folder}: the tape is closed, nothing may be appended")
        if self._failure is not None:
            raise TapeError(f"{self._folder}: the tape has failed: {self._failure}") from self._failure

    def _flush(self) -> None:
        if not self._buffer:
            return
        chunk = b"".join(self._buffer)
        try:
            if self._raw is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | OPEN_FLAGS
                self._raw = os.open(tapefile.raw_path(self._folder, self._first), flags, 0o644)
                write_all(self._raw, RAW_MAGIC + chunk)
            else:
                write_all(self._raw, chunk)
        except OSError as error:
            self._failure = error
            raise TapeError(f"{self._folder}: the tape cannot be written: {error}") from error
        self._written.append(chunk)
        self._buffer.clear()

    def _rotate(self) -> None:
        if self._raw is None:
            return
        with self._handles:
            self._unsealed[self._first] = self._raw
        self._sealing.put((self._first, self._count, b"".join(self._written)))
        self._raw = None
        self._written.clear()
        self._first, self._count = self._place + 1, 0

    def _seal_blocks(self) -> None:
        while (job := self._sealing.get()) is not None:
            if self._failure is not None:
                continue
            first, count, data = job
            try:
                write_all(self._blocks, tapefile.seal(data, first, count))
                sync_data(self._blocks)
                # Not the caller's lock: it may be held by one who waits for room in the queue.
                with self._handles:
                    os.close(self._unsealed.pop(first))
                # Windows keeps the name while a sync holds the file; the next opening removes what is sealed.
                with suppress(PermissionError):
                    tapefile.raw_path(self._folder, first).unlink()
            except Exception as error:  # noqa: BLE001  # the caller hears of it at its next call
                self._failure = error


class TapeReader:
    """A tape's records in order, the open end included. Iterating again reads again.

    after: yield only places above it.   Reads without changing anything, also while a writer goes on; a torn end is left
    out. Raises TapeError naming the block or place that is damaged.
    """

    def __init__(self, folder: Path, after: int = 0) -> None:
        self._folder = folder
        self._after = after

    def __iter__(self) -> Iterator[TapeRecord]:
        """Yield the records."""
        path = tapefile.blocks_path(self._folder)
        if not path.exists():
            raise TapeError(f"{self._folder}: no tape here")
        # `sealed` follows the chain of blocks, `place` what was read; a writer may seal what was read from a raw file.
        place, sealed, number, offset = 0, 0, 0, len(BLOCKS_MAGIC)
        with path.open("rb") as file:
            magic = file.read(len(BLOCKS_MAGIC))
            if not BLOCKS_MAGIC.startswith(magic):
                raise TapeError(f"{path}: not a tape of this version")
            while True:
                size = path.stat().st_size
                while (block := tapefile.block_at(file, offset, number + 1, sealed + 1)) is not None:
                    sealed, number, offset = block.last, block.number, block.end
                    if sealed > place:
                        skipped = max(place, self._after)
                        place = sealed
                        if place > skipped:
                            yield from (r for r in tapefile.block_records(block, path) if r.place > skipped)
                records = self._open_end(place + 1)
                if records:
                    place = records[-1].place
                    yield from (record for record in records if record.place > self._after)
                elif path.stat().st_size == size:
                    # Nothing moved under us: whatever is left is not a block being written.
                    if records is None and offset < size and place == sealed:
                        raise TapeError(f"{path}: block {number + 1} (from place {sealed + 1}) is damaged")
                    return

    def _open_end(self, first: int) -> list[TapeRecord] | None:
        """Return the good records of the raw file that begins with a place, None if there is no such file."""
        path = tapefile.raw_path(self._folder, first)
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return None
        found, end = [], len(RAW_MAGIC)
        for record, after in tapefile.records_of(raw, end, first):
            found.append(record)
            end = after
        if end < len(raw) and tapefile.goes_on_after(raw, end, first + len(found)):
            raise TapeError(f"{path}: place {first + len(found)} is damaged, good records follow it")
        return found
