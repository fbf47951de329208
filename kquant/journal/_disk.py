"""What the journal's files share: names and data that survive a power loss, writes that are complete.

Windows knows no sync of a folder and no fdatasync, and translates line ends unless told not to.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

OPEN_FLAGS: int = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""For every os.open: not inherited by child processes, and the bytes as they are."""

_sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


def sync_data(handle: int) -> None:
    """Make a file's content durable."""
    _sync(handle)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: a file's own sync does not cover its name (on Windows it does)."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_all(handle: int, data: bytes) -> None:
    """Write all of it; the system may take less at once, for one when the disk is nearly full."""
    left = memoryview(data)
    while left:
        left = left[os.write(handle, left) :]
