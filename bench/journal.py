"""Part 2: durable appends, one by one and grouped, beside the plain library on the same events."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter, time_ns

from bench import events as synthetic
from bench.figures import Goal, Options, Result, Row, interleaved, ratios
from bench.peer import Peer
from kquant.journal import SqliteJournal, open_day
from kquant.values import Micros

TITLE = "2. Journal append"
GROUP = 100


class _Folders:
    """A new folder for every measurement: a file's growth must not differ between variants."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._count = 0

    def next(self) -> Path:
        self._count += 1
        folder = self._work / f"journal-{self._count}"
        folder.mkdir()
        return folder


def run(options: Options, work: Path) -> Result:
    """Append the same events with both, each commit synced to disk (SQLite WAL, synchronous=FULL on both sides)."""
    singles, many = (200, 2_000) if options.quick else (1_000, 20_000)
    sample = synthetic.sample(many)
    folders = _Folders(work)
    file = work / "events.jsonl"
    synthetic.export(sample, file)

    def journal(action: Callable[[SqliteJournal, list[synthetic.Streamed]], None], count: int) -> Callable[[], float]:
        def measure() -> float:
            opened = open_day(folders.next(), _now)
            begun = perf_counter()
            action(opened, sample[:count])
            seconds = perf_counter() - begun
            if opened.head != count:
                raise RuntimeError(f"{opened.head} events are durable, {count} were appended")
            opened.close()
            return count / seconds

        return measure

    with Peer("store") as peer:
        name = peer.call("load", path=str(file))

        def plain(call: str, count: int, group: int) -> Callable[[], float]:
            return lambda: peer.call(call, path=str(folders.next() / "plain.sqlite"), count=count, group=group)

        found = interleaved(
            options.count(7, 2),
            {
                "one": journal(_one_by_one, singles),
                "one, application": plain("application", singles, 1),
                "one, recorder": plain("recorder", singles, 1),
                "hundred": journal(_by_hundred, many),
                "hundred, application": plain("application", many, GROUP),
                "hundred, recorder": plain("recorder", many, GROUP),
                "queued": journal(_queued, many),
            },
        )
    return Result(
        setup=f"Durable events a second; {singles:,} events one by one, {many:,} grouped; nine kinds of event, "
        f"{synthetic.payload_bytes(sample):.0f} B a payload in the mean. kquant's figures include encoding, reading "
        "back what was encoded, and the digest chain.",
        rows=_rows(found, name),
        notes=(
            (
                "Queued: appends of one event from one thread without waiting; the journal's writer commits up to 512 of "
                "them at a time. The plain library has no counterpart, so its one-by-one figure stands beside it."
            ),
            (
                "Application: one aggregate a stream, the event's fields as a dictionary, its JSON transcoder. Recorder: the "
                "payload bytes that kquant stores, handed over ready made, no mapping and no digest."
            ),
        ),
        missing=["loss of power", "PostgreSQL"],
    )


def _rows(found: dict[str, list[float]], name: str) -> list[Row]:
    each = "events/s"
    return [
        Row("kquant, one by one", found["one"], each),
        Row(f"{name} application, one by one", found["one, application"], each),
        Row(f"{name} recorder, one by one", found["one, recorder"], each),
        Row("kquant / application, one by one", ratios(found["one"], found["one, application"]), "×", Goal(">=", 1.2)),
        Row("kquant / recorder, one by one", ratios(found["one"], found["one, recorder"]), "×"),
        Row(f"kquant, {GROUP} an append", found["hundred"], each),
        Row(f"{name} application, {GROUP} a save", found["hundred, application"], each),
        Row(f"{name} recorder, {GROUP} an insert", found["hundred, recorder"], each),
        Row(
            f"kquant / application, by {GROUP}", ratios(found["hundred"], found["hundred, application"]), "×",
            Goal(">=", 2),
        ),
        Row(f"kquant / recorder, by {GROUP}", ratios(found["hundred"], found["hundred, recorder"]), "×"),
        Row("kquant, queued", found["queued"], each),
        Row(
            "kquant queued / application one by one", ratios(found["queued"], found["one, application"]), "×",
            Goal(">=", 10),
        ),
    ]  # fmt: skip


def _one_by_one(journal: SqliteJournal, events: list[synthetic.Streamed]) -> None:
    for stream, event in events:
        journal.append(stream, [event], by="bench").result()


def _by_hundred(journal: SqliteJournal, events: list[synthetic.Streamed]) -> None:
    for start in range(0, len(events), GROUP):
        journal.append("market", [event for _, event in events[start : start + GROUP]], by="bench").result()


def _queued(journal: SqliteJournal, events: list[synthetic.Streamed]) -> None:
    futures = [journal.append(stream, [event], by="bench") for stream, event in events]
    for future in futures:
        future.result()


def _now() -> Micros:
    return Micros(time_ns() // 1_000)
