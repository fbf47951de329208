"""Part 6: how many frames a second the whole feed path takes from a local sender, and whether its memory grows."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

from websockets.asyncio.client import connect

from bench import frames as synthetic
from bench.feed_rig import Rig, Sender
from bench.figures import Goal, NotMeasured, Options, Result, Row, interleaved, ratios
from bench.peer import Peer

TITLE = "6. Feed path"
GROWTH_MIB = 8
STATM = Path("/proc/self/statm")


def run(options: Options, work: Path) -> Result:
    """Send the same frames to the whole feed path, to a bare receive loop, and (fewer, narrower) to python-kis."""
    if not STATM.exists():
        raise NotMeasured(f"memory is read from {STATM}, which this system does not have")
    sent = _write(15_000 if options.quick else 90_000, work)
    mine, other = _cores()
    sender = Sender(other)
    try:
        for path in (sent.wide, sent.narrow):
            sender.order(path, 0, 0)
            sender.done()
        with _kept_on(mine), Peer("feed") as peer:
            rounds = _Rounds(sent, sender, work, peer, mine)
            name = peer.call("start", port=sender.port, core=mine)
            rounds.ours()
            rounds.forget()
            found = interleaved(
                options.count(5, 2), {"ours": rounds.ours, "bare": rounds.bare, "theirs": rounds.theirs}
            )
    finally:
        sender.close()
    return _result(sent, rounds, found, name, kept=mine is not None)


@dataclass(frozen=True)
class _Sent:
    """What the sender sends. wide: all *count* frames.   narrow: the first *few*, of *records* records, for python-kis."""

    codes: list[str]
    wide: Path
    count: int
    narrow: Path
    few: int
    records: int


def _write(count: int, work: Path) -> _Sent:
    """Put the frames together beforehand, in files."""
    codes = synthetic.codes(40)
    lines = synthetic.session(count, symbols=codes)
    few = lines[: count // 15]
    wide, narrow = work / "feed-frames.txt", work / "feed-narrow.txt"
    wide.write_text("\n".join(lines), encoding="utf-8")
    narrow.write_text("\n".join(map(synthetic.narrowed, few)), encoding="utf-8")
    records = sum(int(line.split("|", 3)[2]) for line in few)
    return _Sent(codes=codes, wide=wide, count=count, narrow=narrow, few=len(few), records=records)


class _Rounds:
    """The three receivers, each round of which returns frames a second; what else they cost is kept here.

    cpu: µs of processor time a frame.   memory: MiB after each third of our frames.
    """

    def __init__(self, sent: _Sent, sender: Sender, work: Path, peer: Peer, core: int | None) -> None:
        self._sent, self._sender, self._work, self._peer, self._core = sent, sender, work, peer, core
        self._days = 0
        self.cpu: dict[str, list[float]] = {"ours": [], "bare": [], "theirs": []}
        self.memory: list[list[float]] = [[], [], []]

    def forget(self) -> None:
        """Keep nothing of the rounds so far."""
        for each in (*self.memory, *self.cpu.values()):
            each.clear()

    def ours(self) -> float:
        """The whole feed path of kquant, in thirds; each round is a day of its own."""
        self._days += 1
        rig = Rig(self._work / f"feed-{self._days}", self._sender.port, self._sent.codes)
        try:
            rig.open()
            part = self._sent.count // 3
            seconds = spent = 0.0
            for place in range(3):
                before = process_time()
                seconds += rig.take(self._sender, self._sent.wide, place * part, part)
                spent += process_time() - before
                gc.collect()
                self.memory[place].append(_rss_mib())
            self.cpu["ours"].append(spent / (3 * part) * 1e6)
            return 3 * part / seconds
        finally:
            rig.close()

    def bare(self) -> float:
        """A loop that only receives."""
        before = process_time()
        seconds = asyncio.run(_bare(self._sender, self._sent.wide, self._sent.count))
        self.cpu["bare"].append((process_time() - before) / self._sent.count * 1e6)
        return self._sent.count / seconds

    def theirs(self) -> float:
        """python-kis; it is measured from its first record on, so that its frames are a share of those sent."""
        sent = self._sent
        self._peer.call("start", port=self._sender.port, core=self._core)
        self._peer.call("expect", count=sent.records)
        self._sender.order(sent.narrow, 0, sent.few)
        answer = self._peer.call("measured")
        self._sender.done()
        share = sent.few * answer["records"] / sent.records
        self.cpu["theirs"].append(answer["cpu"] / share * 1e6)
        return float(share / answer["seconds"])


async def _bare(sender: Sender, path: Path, count: int) -> float:
    taken = 0
    async with connect(
        f"ws://127.0.0.1:{sender.port}", compression=None, ping_interval=None, max_queue=1_024
    ) as socket:
        await asyncio.sleep(0.2)  # the sender learns of the newest connection
        sender.order(path, 0, count)
        begun = perf_counter()
        async for _ in socket:
            taken += 1
            if taken == count:
                break
        seconds = perf_counter() - begun
    sender.done()
    return seconds


def _result(sent: _Sent, rounds: _Rounds, found: dict[str, list[float]], name: str, *, kept: bool) -> Result:
    """Return the table. name: the peer's.   kept: the receiver was kept on one core."""
    cpu, (first, _, last) = rounds.cpu, rounds.memory
    growth = [after - before for before, after in zip(first, last, strict=True)]
    return Result(
        setup=f"{sent.count:,} frames of 40 stocks a round over a local WebSocket, 45 % trades of 1 to 5 records and 55 % "
        "order books, sent by another process as fast as they are taken; the receiver is kept on one core"
        f"{'' if kept else ' (not here: the system cannot say so)'}. kquant receives, decodes, judges by its "
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
            Row("memory after a third of the frames", first, "MiB"),
            Row("memory after all of them", last, "MiB"),
            Row("growth between the two", growth, "MiB", Goal("<=", GROWTH_MIB)),
        ],
        notes=[
            (
                "Beside rates stands the processor's time, since other work on the machine takes turns with the receiver; "
                "kquant's holds the journal's and the tape's threads too."
            )
        ],
        missing=["TLS", "owners at work in the same process", "real frames of a whole day"],
    )


def _cores() -> tuple[int | None, int | None]:
    """Return a core for the receiver and one for the sender, None where they cannot be chosen."""
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2:
        return None, None
    first, second, *_ = sorted(os.sched_getaffinity(0))
    return first, second


@contextmanager
def _kept_on(core: int | None) -> Iterator[None]:
    """Keep this process, and those it starts meanwhile, on one core; None leaves it where it is."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _rss_mib() -> float:
    pages = int(STATM.read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
