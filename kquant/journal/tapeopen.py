"""Opening a tape after a crash: cut the torn end, refuse a damaged middle, lose nothing without a trace."""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path

from msgspec import Struct

from kquant.journal import tapefile
from kquant.journal.tapefile import BLOCKS_MAGIC, RAW_MAGIC, TapeError


class Raw(Struct, frozen=True):
    """A raw file with only good records in it. data: the record bytes without the magic."""

    path: Path
    first: int
    count: int
    data: bytes


class Opened(Struct, frozen=True):
    """What a folder holds. blocks_end: bytes of tape.blocks that are good.   last: the last place there is."""

    blocks_end: int
    last: int
    raws: tuple[Raw, ...]


def open_tape(folder: Path) -> Opened:
    """Bring the folder's tape into order for a writer.

    A block that a crash left half-written is cut, since its records still lie in their raw file; a raw file whose block
    is sealed is removed; a torn raw end is moved to a .torn file. Raises TapeError for anything damaged elsewhere.
    """
    raws = tapefile.raw_files(folder)
    last, end = _scan_blocks(folder, {first for first, _ in raws})
    path = tapefile.blocks_path(folder)
    if path.exists() and path.stat().st_size > end:
        _cut(path, end)
    kept: list[Raw] = []
    sealed, torn = last, False
    for first, raw in raws:
        if first <= sealed:
            raw.unlink()
        elif torn:
            _aside(raw, raw.read_bytes())
            raw.unlink()
        elif first != last + 1:
            # Nothing was torn off before it, so what lies between is gone for another reason than a crash.
            raise TapeError(f"{folder}: the tape ends at place {last}, {raw.name} goes on elsewhere: a file is missing")
        else:
            found, torn = _repaired(raw, first)
            kept += [found] if found.count else []
            last += found.count
    return Opened(end, last, tuple(kept))


def _scan_blocks(folder: Path, raws: Container[int]) -> tuple[int, int]:
    """Return the last sealed place and where the blocks end. A bad block is left out if its raw file is still there.

    Raises TapeError naming the block otherwise.
    """
    path = tapefile.blocks_path(folder)
    if not path.exists():
        return 0, 0
    with path.open("rb") as file:
        magic = file.read(len(BLOCKS_MAGIC))
        if magic != BLOCKS_MAGIC:
            if BLOCKS_MAGIC.startswith(magic):
                return 0, 0
            raise TapeError(f"{path}: not a tape of this version")
        last, number, end = 0, 0, len(BLOCKS_MAGIC)
        while (block := tapefile.block_at(file, end, number + 1, last + 1)) is not None:
            last, number, end = block.last, block.number, block.end
        if end < path.stat().st_size and last + 1 not in raws:
            raise TapeError(f"{path}: block {number + 1} (from place {last + 1}) is damaged: restore it from a copy")
    return last, end


def _repaired(path: Path, first: int) -> tuple[Raw, bool]:
    """Return the raw file's good part, and whether something was cut off. Without a good part the file goes."""
    content = path.read_bytes()
    count, end = 0, len(RAW_MAGIC)
    for _, after in tapefile.records_of(content, end, first):
        count, end = count + 1, after
    if not content.startswith(RAW_MAGIC) and count:
        raise TapeError(f"{path}: its beginning is damaged, good records follow: restore it from a copy")
    if end < len(content) and tapefile.goes_on_after(content, end, first + count):
        raise TapeError(f"{path}: place {first + count} is damaged, good records follow it: restore it from a copy")
    rest = content[end:] if count else content.removeprefix(RAW_MAGIC)
    if rest:
        _aside(path, rest)
    if not count:
        path.unlink()
    elif rest:
        _cut(path, end)
    return Raw(path, first, count, content[len(RAW_MAGIC) : end]), bool(rest)


def _aside(path: Path, content: bytes) -> None:
    number = 0
    while (torn := path.with_name(f"{path.name}{f'.{number}' if number else ''}.torn")).exists():
        number += 1
    with torn.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _cut(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)
        os.fsync(file.fileno())
