"""A demo exchange that is up, and a run that starts at it: from the process's start to its first acknowledged registration."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.peer import ROOT
from kquant.config import load
from kquant.gateways.embedded import Credentials, EmbeddedExchange

GIVE_UP_SECONDS = 120


class Started(Struct, frozen=True):
    """seconds: of the wall, from before the process was started.   modules: that it had loaded by then."""

    seconds: float
    modules: frozenset[str]


def environment(bytecode: Path) -> dict[str, str]:
    """Return an environment whose byte code is kept in *bytecode*: an installed program compiles once, a checkout may not."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(bytecode)}


def started(folder: Path, bytecode: Path, settings: Sequence[str] = ()) -> Started:
    """Have an exchange come up, then start a run of a new day in *folder*. settings: section.key=value, over the demo's.

    Raises RuntimeError with its last words if it ends before anything is registered.
    """
    return asyncio.run(_started(folder, bytecode, settings))


async def _started(folder: Path, bytecode: Path, settings: Sequence[str]) -> Started:
    single = dict(text.split("=", 1) for text in settings)
    demo = load("demo", environ={}, sets={key: int(value) for key, value in single.items()}).settings.demo
    exchange = EmbeddedExchange(folder / "exchange", demo, day=demo.day, speed="max", market=None)
    try:
        ready = await exchange.start(Credentials())
        await exchange.hello()
        assert exchange._admin is not None
        await exchange._admin.close()  # one client holds the admin port: the run
        command = [
            *(
                sys.executable,
                "-m",
                "bench.started",
                msgspec.json.encode(ready).decode(),
                "--data",
                str(folder / "data"),
            ),
            *(part for text in settings for part in ("--set", text)),
        ]
        return await asyncio.to_thread(_measured, command, bytecode)
    finally:
        await exchange.close()


def _measured(command: list[str], bytecode: Path) -> Started:
    begun = time.monotonic_ns()
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=GIVE_UP_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
        env=environment(bytecode),
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"at"')]
    if done.returncode != 0 or not lines:
        raise RuntimeError(f"the run ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}")
    said = json.loads(lines[-1])
    return Started(seconds=(said["at"] - begun) / 1e9, modules=frozenset(said["modules"]))
