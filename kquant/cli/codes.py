"""Exit codes, the same for every command and stable: scripts rely on them."""

from __future__ import annotations

OK = 0
DIFFERS = 1
"""The command worked and the answer is no: verify found a difference, or the day did not reconcile."""
BAD_INPUT = 2
"""A bad option, setting, file or day. Nothing was changed."""
BUSY = 3
"""Another instance holds the data, or no instance answers."""
FAILED = 4
"""The run stopped itself: a broken log, a full disk, a lost exchange. Start it again to recover."""
INTERRUPTED = 130
"""Stopped by Ctrl-C or SIGTERM, in order. Start it again to go on."""
