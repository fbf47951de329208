"""What the journal's files share: names that survive a power loss, and writes that are complete."""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: a file's own sync does not cover its name."""
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
