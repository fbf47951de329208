"""Large raw inputs beside the journal: files named by the SHA-256 of their content, compressed with zstd.

An attachment is durable before `put` returns, so the event that names its hash may be appended then.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from uuid import uuid4

import zstandard

from kquant.journal._disk import sync_folder
from kquant.values import KquantError

LEVEL = 6
_HASH = re.compile(r"[0-9a-f]{64}")


class AttachmentError(KquantError):
    """An attachment is missing, damaged or cannot be written; the message names its hash."""


class Attachments:
    """The attachments of a day's folder. Safe to use from several threads: equal content goes to one name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "attachments"

    def put(self, content: bytes) -> str:
        """Store the content unless it is there already; return its SHA-256 in hex. Durable on return."""
        name = hashlib.sha256(content).hexdigest()
        path = self._path(name)
        if path.exists() and self._is_good(name):
            return name
        temporary = path.with_name(f".{name}.{uuid4().hex}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as file:
                file.write(zstandard.ZstdCompressor(level=LEVEL).compress(content))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            for folder in (path.parent, self._folder, self._folder.parent):
                sync_folder(folder)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise AttachmentError(f"attachment {name} cannot be written: {error}") from error
        return name

    def get(self, name: str) -> bytes:
        """Return the content of a hash. Raises AttachmentError if it is missing or is not what the hash says."""
        path = self._path(name)
        try:
            packed = path.read_bytes()
        except OSError as error:
            raise AttachmentError(f"attachment {name} cannot be read: {error}") from error
        try:
            content = zstandard.ZstdDecompressor().decompress(packed)
        except (zstandard.ZstdError, MemoryError) as error:
            raise AttachmentError(f"attachment {name} is damaged: {error}") from error
        if hashlib.sha256(content).hexdigest() != name:
            raise AttachmentError(f"attachment {name} is damaged: its content has another hash")
        return content

    def __contains__(self, name: str) -> bool:
        """Tell whether a hash is stored, without looking inside."""
        return self._path(name).exists()

    def _path(self, name: str) -> Path:
        if not _HASH.fullmatch(name):
            raise AttachmentError(f"attachment {name!r}: a name is a SHA-256 in 64 small hex digits")
        return self._folder / name[:2] / f"{name}.zst"

    def _is_good(self, name: str) -> bool:
        try:
            self.get(name)
        except AttachmentError:
            return False
        return True
