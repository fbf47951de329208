"""Part 5: from a trade's frame to the durable intent it causes, with the feed idle and with 5,000 frames a second."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

from bench import events, frames
from bench.figures import NotMeasured, Options, Result, Row, interleaved, percentile, ratios
from bench.peer import Peer

TITLE = "5. Trigger to durable intent"
RATE = 5_000
GAP_SECONDS = 0.02
LEAD_SECONDS = 0.5
SWITCH_SECONDS = 0.0005
"""What a live run sets: an owner must not wait 5 ms behind the feed's thread."""
FALLEN = 60_000
"""Won: far below every stop of a position that cost 70,000 a share."""


def run(options: Options, work: Path) -> Result:
    """Play phases with and without background frames in turn; a phase is a new journal and a new feed process."""
    try:
        from bench.trigger_rig import Rig
    except ImportError as error:
        raise NotMeasured(f"the path cannot be put together: {error}") from error
    samples = 50 if options.quick else 200
    held, others = frames.codes(samples, first=300_000), frames.codes(40)
    files = _write(work, held, others)
    found: dict[str, list[list[float]]] = {"idle": [], "busy": [], "floor": []}
    rates: list[float] = []

    def phase(name: str, rate: int) -> Callable[[], float]:
        def measure() -> float:
            folder = work / f"{name}-{len(found[name])}"
            rig = Rig(folder, held, others)
            rig.play({**files, "rate": rate, "gap": GAP_SECONDS, "lead": LEAD_SECONDS})
            found[name].append([latency / 1e3 for latency in rig.latencies])
            if rate:
                rates.append((rig.frames - samples) / rig.seconds)
            return 0.0

        return measure

    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        with Peer("store") as peer:
            plain = work / "trigger-events.jsonl"
            events.export(events.sample(9), plain)
            name = peer.call("load", path=str(plain))

            def floor() -> float:
                path = work / f"floor-{len(found['floor'])}.sqlite"
                found["floor"].append(peer.call("pairs", path=str(path), count=samples, gap=GAP_SECONDS))
                return 0.0

            rounds = options.count(7, 2)
            interleaved(rounds, {"idle": phase("idle", 0), "busy": phase("busy", RATE), "floor": floor})
    finally:
        sys.setswitchinterval(before)
    return Result(
        setup=f"From the receipt of a firing frame by the feed's thread to `orders.intended` on disk: decode, tape, fold, "
        f"`market.trigger_fired` committed, the orders owner in its Pykka thread, its answer committed. {samples} "
        f"firings a round, {GAP_SECONDS * 1e3:.0f} ms apart, over a local WebSocket from another process; default exits, so "
        "a firing frame fires the stop and the trailing stop.",
        rows=_rows(found, rates, name),
        notes=(
            (
                f"Beside it: two single commits of {name}'s recorder one after the other in a process that does nothing else. "
                "No goal is set: the tail is the disk's."
            ),
        ),
        missing=["TLS", "the other owners at work in the same process", "the order's own way to the broker"],
    )


def _rows(found: dict[str, list[list[float]]], rates: list[float], name: str) -> list[Row]:
    def part(which: str, at: float) -> list[float]:
        return [percentile(latencies, at) for latencies in found[which]]

    rows = []
    for which, label in (("idle", "idle"), ("busy", f"{RATE:,} frames/s"), ("floor", f"two commits of {name}")):
        rows.append(Row(f"{label}: p50", part(which, 0.5), "µs"))
        rows.append(Row(f"{label}: p99", part(which, 0.99), "µs"))
    rows.append(Row("idle p50 / two plain commits", ratios(part("idle", 0.5), part("floor", 0.5)), "×"))
    rows.append(Row("busy p50 / idle p50", ratios(part("busy", 0.5), part("idle", 0.5)), "×"))
    rows.append(Row("background frames received", rates, "frames/s"))
    return rows


def _write(work: Path, held: list[str], others: list[str]) -> dict[str, str]:
    chance = random.Random(11)
    firing = [f"0|H0STCNT0|001|{frames.record(code, FALLEN, 1_000, chance)}" for code in held]
    background = frames.mixed(60_000, symbols=others)
    files = {"background": background, "firing": firing}
    for name, lines in files.items():
        (work / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
    return {name: str(work / f"{name}.txt") for name in files}
