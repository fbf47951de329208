"""What sources answered today, so that nothing is asked twice and a stopped run goes on where it was.

A book is a file of JSON lines: key, instant, value. A line that a crash cut is as if it had never been written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from kquant.values import Micros

T = TypeVar("T")


class Kept(Struct, Generic[T], frozen=True, array_like=True):
    """One line. at: when it was fetched."""

    key: str
    at: Micros
    value: T


class Book(Generic[T]):
    """Values by key, appended to one file; the last of a key counts."""

    def __init__(self, path: Path, kind: Any) -> None:
        self._path = path
        self._encoder = msgspec.json.Encoder()
        self._kept: dict[str, Kept[T]] = {}
        self._whole = True
        if path.exists():
            self._read(msgspec.json.Decoder(Kept[kind]))

    def _read(self, decoder: msgspec.json.Decoder[Kept[T]]) -> None:
        content = self._path.read_bytes()
        self._whole = content.endswith(b"\n") or not content
        for line in content.split(b"\n"):
            try:
                kept = decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # cut by a crash, or of an older form: it is asked for again
            self._kept[kept.key] = kept

    def get(self, key: str) -> Kept[T] | None:
        """Return what is kept under the key."""
        return self._kept.get(key)

    def put(self, key: str, at: Micros, value: T) -> Kept[T]:
        """Keep a value; the line is with the system when this returns."""
        kept = Kept(key, at, value)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write((b"" if self._whole else b"\n") + self._encoder.encode(kept) + b"\n")
        self._whole = True
        self._kept[key] = kept
        return kept

    def __len__(self) -> int:
        return len(self._kept)


class FirstSeen:
    """When a title or filing was first seen here: a book for each month, of which the last two count."""

    def __init__(self, folder: Path, month: str, month_before: str) -> None:
        self._book: Book[None] = Book(folder / f"{month}.jsonl", type(None))
        self._before: Book[None] = Book(folder / f"{month_before}.jsonl", type(None))

    def at(self, key: str) -> Micros | None:
        """Return when it was first seen, None if never."""
        kept = self._before.get(key) or self._book.get(key)
        return None if kept is None else kept.at

    def see(self, key: str, now: Micros) -> Micros:
        """Return when it was first seen: now, if never before."""
        known = self.at(key)
        return self._book.put(key, now, None).at if known is None else known
