"""The tape's files: how records and blocks lie on disk. No state, no threads.

    tape.blocks        magic, then sealed blocks: header, zstd of the block's record bytes. One file a day.
    tape.<place>.raw   magic, then the records from <place> on that are not sealed yet; usually one file.
    *.torn             what was cut off a raw file when it was opened after a crash; never read again.

A record is length, CRC-32, and body: kind (1 byte), receive time (8), data. Its place is not stored: it follows from
the file's first place, and the CRC starts from it, so that a record that is missing or in the wrong file shows.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, get_args

import zstandard
from msgspec import Struct

from kquant.values import KquantError, Micros

Kind = Literal["frame", "rest", "second", "epoch_begin", "epoch_end", "control", "rejected", "refloor"]
"""What a record is: a raw frame's text, a price asked over REST, the mark of a second, a connection's begin or end, a
journal event applied to the market fold, a frame that was not believed, a stock whose day's volume starts anew. What
`data` holds is the market desk's affair. New kinds go at the end: a kind's place is its number on disk."""

KINDS: tuple[Kind, ...] = get_args(Kind)
_CODES = {kind: code for code, kind in enumerate(KINDS, 1)}

BLOCKS_MAGIC = b"kquant tape 1\n"
RAW_MAGIC = b"kquant raw 1\n"
LEVEL = 3

_RECORD = struct.Struct("<II")
_BODY = struct.Struct("<Bq")
_BLOCK = struct.Struct("<4sIQQIII")
_BLOCK_MARK = b"KQB1"
_CRC_AT = _BLOCK.size - 4

MAX_DATA = 1 << 24
"""Longest data of a record in bytes; far above any frame, so that a damaged length is seen as one."""


class TapeError(KquantError):
    """The tape cannot be read or written; the message names the file and the block or place."""


class TapeRecord(Struct, frozen=True, gc=False):
    """One input of the market. place: counter from 1 over the day.   at: receive time, UTC microseconds."""

    place: int
    at: Micros
    kind: Kind
    data: bytes


class Block(Struct, frozen=True):
    """A sealed block. number: from 1.   packed: the compressed record bytes.   end: where the next one begins."""

    number: int
    count: int
    first: int
    last: int
    raw_size: int
    packed: bytes
    end: int


def pack(place: int, at: Micros, kind: Kind, data: bytes) -> bytes:
    """Return a record's bytes. Raises TapeError for a kind there is not, or data that is too long."""
    code = _CODES.get(kind)
    if code is None or len(data) > MAX_DATA:
        raise TapeError(f"a record of kind {kind!r} with {len(data)} bytes does not fit the tape")
    body = _BODY.pack(code, at) + data
    return _RECORD.pack(len(body), zlib.crc32(body, place & 0xFFFFFFFF)) + body


def unpack(raw: bytes, offset: int, place: int) -> tuple[TapeRecord, int] | None:
    """Return the record at an offset and where the next begins; None if the bytes are not that record."""
    start = offset + _RECORD.size
    if start > len(raw):
        return None
    size, crc = _RECORD.unpack_from(raw, offset)
    end = start + size
    if not _BODY.size <= size <= MAX_DATA + _BODY.size or end > len(raw):
        return None
    if zlib.crc32(raw[start:end], place & 0xFFFFFFFF) != crc:
        return None
    code, at = _BODY.unpack_from(raw, start)
    if not 1 <= code <= len(KINDS):
        return None
    return TapeRecord(place, Micros(at), KINDS[code - 1], raw[start + _BODY.size : end]), end


def records_of(raw: bytes, offset: int, first: int) -> Iterator[tuple[TapeRecord, int]]:
    """Yield the good records from an offset on, each with where it ends, up to the first that is not good."""
    place = first
    while (found := unpack(raw, offset, place)) is not None:
        yield found
        offset = found[1]
        place += 1


def goes_on_after(raw: bytes, offset: int, place: int) -> bool:
    """Tell whether the next place's record lies anywhere behind a bad one: then that was damaged, not torn off."""
    return any(unpack(raw, start, place + 1) for start in range(offset + 1, len(raw) - _RECORD.size))


def seal(raw: bytes, first: int, count: int) -> bytes:
    """Return the block that holds these record bytes."""
    packed = zstandard.ZstdCompressor(level=LEVEL).compress(raw)
    head = _BLOCK.pack(_BLOCK_MARK, count, first, first + count - 1, len(raw), len(packed), 0)[:_CRC_AT]
    return head + struct.pack("<I", zlib.crc32(packed, zlib.crc32(head))) + packed


def block_at(file: BinaryIO, offset: int, number: int, first: int) -> Block | None:
    """Return the block at an offset of tape.blocks; None if what is there is not the whole, good block of that place."""
    file.seek(offset)
    head = file.read(_BLOCK.size)
    if len(head) < _BLOCK.size:
        return None
    mark, count, begins, last, raw_size, size, crc = _BLOCK.unpack(head)
    if mark != _BLOCK_MARK or begins != first or last != first + count - 1:
        return None
    packed = file.read(size)
    if len(packed) < size or zlib.crc32(packed, zlib.crc32(head[:_CRC_AT])) != crc:
        return None
    return Block(number, count, first, last, raw_size, packed, offset + _BLOCK.size + size)


def block_records(block: Block, path: Path) -> list[TapeRecord]:
    """Return a block's records. Raises TapeError naming the block."""
    name = f"block {block.number} (places {block.first} to {block.last})"
    try:
        raw = zstandard.ZstdDecompressor().decompress(block.packed, max_output_size=max(block.raw_size, 1))
    except zstandard.ZstdError as error:
        raise TapeError(f"{path}: {name} cannot be unpacked: {error}") from error
    found = [record for record, _ in records_of(raw, 0, block.first)]
    if len(found) != block.count:
        raise TapeError(f"{path}: {name} holds {len(found)} good records of {block.count}")
    return found


def raw_path(folder: Path, first: int) -> Path:
    """Return the raw file that begins with a place; names sort as places do."""
    return folder / f"tape.{first:010d}.raw"


def raw_files(folder: Path) -> list[tuple[int, Path]]:
    """Return the raw files with their first places, in order."""
    return sorted((int(path.name.split(".")[1]), path) for path in folder.glob("tape.*.raw"))


def blocks_path(folder: Path) -> Path:
    """Return the file of sealed blocks."""
    return folder / "tape.blocks"
