"""The caller's end of the pipe to peer code, and the environment peers live in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / ".venv-bench"
LOCK = ROOT / "requirements" / "bench.txt"


def interpreter() -> Path:
    """Return the peers' interpreter; on first use, or after the lock file changed, install the lock file there."""
    python = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    installed = ENVIRONMENT / ".installed"
    wanted = sha256(LOCK.read_bytes()).hexdigest()
    if installed.exists() and installed.read_text(encoding="utf-8") == wanted:
        return python
    print(f"installing the peers into {ENVIRONMENT.name} (once)", file=sys.stderr)
    venv.create(ENVIRONMENT, with_pip=True, clear=True)
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes", "-r", LOCK],
        check=True,
    )
    installed.write_text(wanted, encoding="utf-8")
    return python


class Peer:
    """A process in the peers' environment that waits for calls. It does nothing between them."""

    def __init__(self, module: str) -> None:
        self._process = subprocess.Popen(
            [interpreter(), "-m", f"bench.peers.{module}"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def call(self, name: str, **arguments: Any) -> Any:
        """Call a function of the peer by name and return its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, arguments]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"peer ended with {self._process.wait()} on {name}: see its error above")
        return json.loads(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process by closing its pipe."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
