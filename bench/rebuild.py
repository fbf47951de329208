"""Part 3: every owner's state from a day's journal, beside eventsourcing's own repository on the same events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from bench import claims, events, recorded
from bench.figures import Goal, NotMeasured, Options, Result, Row, interleaved, ratios
from bench.peer import Peer
from kquant.domain.owner import Mind, Owner, recover
from kquant.journal import read_day
from kquant.replay.rebuild import own_at

TITLE = "3. Rebuild of a day"
SYNTHETIC = 20_000


def run(options: Options, work: Path) -> Result:
    """Read and fold the whole day; the peer gets one aggregate a stream, all of them."""
    folder, owners, about = _source(options, work)
    facts = read_day(folder)
    file = work / "day.jsonl"
    streams = {owner.stream for owner in owners}
    mine = [fact for fact in facts if fact.stream in streams]
    events.export(((fact.stream, fact.event) for fact in mine), file)

    def own() -> float:
        begun = perf_counter()
        own_at(folder, owners)
        return len(mine) / (perf_counter() - begun)

    def ours(*, check: bool) -> Callable[[], float]:
        def measure() -> float:
            begun = perf_counter()
            found = read_day(folder, check=check)
            for owner in owners:
                recover(Mind(owner), found)
            seconds = perf_counter() - begun
            return _rate(len(found), len(facts), seconds)

        return measure

    with Peer("store") as peer:
        name = peer.call("load", path=str(file))
        if peer.call("store", path=str(work / "aggregates.sqlite")) != len(mine):
            raise RuntimeError("the peer did not store every event")

        def theirs() -> float:
            answer = peer.call("rebuild")
            return _rate(answer["events"], len(mine), answer["seconds"])

        found = interleaved(
            options.count(7, 2),
            {"own": own, "read": ours(check=False), "check": ours(check=True), "theirs": theirs},
        )
    return Result(
        setup=f"{about}: {len(facts):,} events, of which {len(mine):,} in the streams of {len(owners)} owners. kquant opens "
        "the file and folds each owner's own stream (`own_at`), which is what a rebuild is; the peer gets the same streams "
        "as aggregates from an application already open, and only keeps the newest event of each name. Beside it the whole "
        "day: all events read, own and seen state of every owner recovered, per event read.",
        rows=[
            Row("kquant `own_at`", found["own"], "events/s"),
            Row(f"{name} `repository.get`, the same events", found["theirs"], "events/s"),
            Row("kquant / repository", ratios(found["own"], found["theirs"]), "×", Goal(">=", 5)),
            Row("kquant, whole day read and recovered", found["read"], "events/s"),
            Row("kquant, digests and file checked first", found["check"], "events/s"),
            Row("whole day / repository", ratios(found["read"], found["theirs"]), "×"),
            Row("whole day checked / repository", ratios(found["check"], found["theirs"]), "×"),
        ],
        notes=("The peer checks nothing; `own_at` does not check either, `read_day` does by default.",),
        missing=() if not options.synthetic else ["a recorded day"],
    )


def _source(options: Options, work: Path) -> tuple[Path, Sequence[Owner[Any, Any]], str]:
    if options.synthetic:
        count = 2_000 if options.quick else SYNTHETIC
        return (
            claims.write(work / "synthetic", count),
            (claims.CLAIMS,),
            "Made-up events and one small owner, not a day",
        )
    try:
        from kquant.domain import OWNERS
    except ImportError as error:
        raise NotMeasured(f"the owners cannot be imported: {error}; `--synthetic` measures made-up events") from error
    if options.day is not None:
        return options.day, OWNERS, "A recorded day given with `--day`"
    return recorded.any_run(work).folder, OWNERS, "The demo day"


def _rate(count: int, expected: int, seconds: float) -> float:
    if count != expected:
        raise RuntimeError(f"{count} events rebuilt, {expected} are stored")
    return count / seconds
