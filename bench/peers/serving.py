"""The peer's end of the pipe: a call a line in, an answer a line out."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any


def serve(calls: Mapping[str, Callable[..., Any]]) -> None:
    """Answer calls until the pipe ends. An exception ends the process: the caller sees it and stops."""
    for line in sys.stdin:
        name, arguments = json.loads(line)
        gc.collect()
        sys.stdout.write(json.dumps(calls[name](**arguments)) + "\n")
        sys.stdout.flush()
