"""Part 8: from the start of the process to the first acknowledged registration, the exchange being up already."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from bench.figures import Goal, NotMeasured, Options, Result, Row, interleaved, ratios
from bench.latency_rig import BrokerProcess
from bench.peer import ROOT, interpreter
from bench.start_rig import environment, started

TITLE = "8. Process start to first registration"
CODE = "005930"
NEVER_BEFORE_NEEDED = frozenset({"pandas", "pykrx", "google.genai", "openai", "matplotlib"})


def run(options: Options, work: Path) -> Result:
    """Start kquant, the peer and a bare interpreter in turn; before the rounds each once, so that byte code is there."""
    bytecode, count = work / "bytecode", iter(range(10_000))
    loaded: list[int] = []

    def ours() -> float:
        try:
            found = started(work / f"start-{next(count)}", bytecode)
        except RuntimeError as error:
            raise NotMeasured(str(error)) from error
        if early := NEVER_BEFORE_NEEDED & found.modules:
            raise NotMeasured(f"loaded before it is needed: {', '.join(sorted(early))}")
        loaded.append(len(found.modules))
        return found.seconds

    def theirs() -> float:
        return asyncio.run(_peer(bytecode))

    def bare() -> float:
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True, env=environment(bytecode))
        return time.perf_counter() - begun

    variants: dict[str, Callable[[], float]] = {"kquant": ours, "peer": theirs, "bare": bare}
    for variant in variants.values():
        variant()
    values = interleaved(options.count(9, 2), variants)
    peer = f"python-kis {version('python-kis')}"
    return Result(
        setup="From before the process is started to the first registration that the exchange acknowledged and that is on disk: "
        "`kquant run --profile demo` with a new data folder at a demo exchange of 2,700 stocks that is up, six holdings. The peer "
        "registers one stock at a local broker, and stores nothing.",
        rows=[
            Row("kquant, first registration acknowledged", values["kquant"], "s", Goal("<=", 2)),
            Row(f"{peer}, first registration", values["peer"], "s"),
            Row("kquant / python-kis", ratios(values["kquant"], values["peer"]), "×"),
            Row("a bare interpreter", values["bare"], "s"),
            Row("modules loaded by kquant", loaded[1:], "modules"),
        ],
        notes=(
            (
                "In between kquant reads its settings, issues a token, opens the journal, takes the balance, arms its exits and "
                f"connects the feed. {', '.join(sorted(NEVER_BEFORE_NEEDED))} are not loaded by then, which every round checks."
            ),
        ),
        missing=["the very first start, which compiles", "TLS and the distance to KIS"],
    )


async def _peer(bytecode: Path) -> float:
    broker = await BrokerProcess.start()
    try:
        begun = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            interpreter(), "-m", "bench.peers.start", str(broker.rest), str(broker.ws), CODE,
            cwd=ROOT, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, env=environment(bytecode),
        )  # fmt: skip
        await broker.registered(1)
        seconds = time.perf_counter() - begun
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
    finally:
        await broker.close()
    return seconds
