"""Part 6: how many frames a second the whole feed path takes from a local sender, and whether its memory grows."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path
from time import perf_counter, process_time

from websockets.asyncio.client import connect

from bench import frames as synthetic
from bench.figures import Goal, NotMeasured, Options, Result, Row, interleaved, ratios
from bench.peer import Peer

TITLE = "6. Feed path"
GROWTH_MIB = 8
PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20 if hasattr(os, "sysconf") else 0.0


def run(options: Options, work: Path) -> Result:
    """Send the same frames to the whole feed path, to a bare receive loop, and (fewer, narrower) to python-kis."""
    try:
        from bench.feed_rig import Rig, Sender
    except ImportError as error:
        raise NotMeasured(f"the feed cannot be put together: {error}") from error
    count = 15_000 if options.quick else 90_000
    few = count // 15
    codes = synthetic.codes(40)
    lines = synthetic.session(count, symbols=codes)
    wide, narrow = work / "feed-frames.txt", work / "feed-narrow.txt"
    wide.write_text("\n".join(lines), encoding="utf-8")
    narrow.write_text("\n".join(map(synthetic.narrowed, lines[:few])), encoding="utf-8")
    records = sum(int(line.split("|", 3)[2]) for line in lines[:few])
    mine, other = _cores()
    begun = os.sched_getaffinity(0) if mine is not None else None
    sender = Sender(other)
    memory: list[list[float]] = [[], [], []]
    cpu: dict[str, list[float]] = {"ours": [], "bare": [], "theirs": []}
    number = [0]
    try:
        for path in (wide, narrow):
            sender.order(path, 0, 0)
            sender.done()
        if mine is not None:
            os.sched_setaffinity(0, {mine})

        def ours() -> float:
            number[0] += 1
            rig = Rig(work / f"feed-{number[0]}", sender.port, codes)
            try:
                rig.open()
                part = count // 3
                seconds = spent = 0.0
                for place in range(3):
                    before = process_time()
                    seconds += rig.take(sender, wide, place * part, part)
                    spent += process_time() - before
                    gc.collect()
                    memory[place].append(_rss_mib())
                cpu["ours"].append(spent / (3 * part) * 1e6)
                return 3 * part / seconds
            finally:
                rig.close()

        def bare() -> float:
            before = process_time()
            seconds = asyncio.run(_bare(sender, wide, count))
            cpu["bare"].append((process_time() - before) / count * 1e6)
            return count / seconds

        with Peer("feed") as peer:
            name = peer.call("start", port=sender.port, core=mine)

            def theirs() -> float:
                peer.call("start", port=sender.port, core=mine)
                peer.call("expect", count=records)
                sender.order(narrow, 0, few)
                answer = peer.call("measured")
                sender.done()
                share = few * answer["records"] / records
                cpu["theirs"].append(answer["cpu"] / share * 1e6)
                return share / answer["seconds"]

            ours()
            for each in (*memory, *cpu.values()):
                each.clear()
            found = interleaved(options.count(5, 2), {"ours": ours, "bare": bare, "theirs": theirs})
    finally:
        sender.close()
        if begun is not None:
            os.sched_setaffinity(0, begun)
    growth = [last - first for first, last in zip(memory[0], memory[2], strict=True)]
    return Result(
        setup=f"{count:,} frames of 40 stocks a round over a local WebSocket, 45 % trades of 1 to 5 records and 55 % order "
        "books, sent by another process as fast as they are taken; the receiver is kept on one core"
        f"{'' if mine is not None else ' (not here: the system cannot say so)'}. kquant receives, decodes, judges by its "
        "guards, writes the tape to disk, keeps board and bars, and tests a trigger of each stock.",
        rows=[
            Row("kquant, the whole feed path", found["ours"], "frames/s", Goal(">=", 20_000)),
            Row("websockets, a bare receive loop", found["bare"], "frames/s"),
            Row(f"{name}, its real-time client, older layout", found["theirs"], "frames/s"),
            Row("kquant / bare receive loop", ratios(found["ours"], found["bare"]), "×"),
            Row("kquant / python-kis", ratios(found["ours"], found["theirs"]), "×", Goal(">=", 6)),
            Row("processor time a frame: kquant", cpu["ours"], "µs"),
            Row("processor time a frame: bare receive loop", cpu["bare"], "µs"),
            Row("processor time a frame: python-kis", cpu["theirs"], "µs"),
            Row("memory after a third of the frames", memory[0], "MiB"),
            Row("memory after all of them", memory[2], "MiB"),
            Row("growth between the two", growth, "MiB", Goal("<=", GROWTH_MIB)),
        ],
        notes=(
            (
                "Beside rates stands the processor's time, since other work on the machine takes turns with the receiver; "
                "kquant's holds the journal's and the tape's threads too."
            ),
        ),
        missing=["TLS", "owners at work in the same process", "real frames of a whole day"],
    )


async def _bare(sender: object, path: Path, count: int) -> float:
    taken = 0
    async with connect(
        f"ws://127.0.0.1:{sender.port}",
        compression=None,
        ping_interval=None,
        max_queue=1_024,  # type: ignore[attr-defined]
    ) as socket:
        await asyncio.sleep(0.2)  # the sender learns of the newest connection
        sender.order(path, 0, count)  # type: ignore[attr-defined]
        begun = perf_counter()
        async for _ in socket:
            taken += 1
            if taken == count:
                break
        seconds = perf_counter() - begun
    sender.done()  # type: ignore[attr-defined]
    return seconds


def _cores() -> tuple[int | None, int | None]:
    """Return a core for the receiver and one for the sender, None where they cannot be chosen."""
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2:
        return None, None
    first, second, *_ = sorted(os.sched_getaffinity(0))
    return first, second


def _rss_mib() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * PAGE_MIB
