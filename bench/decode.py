"""Part 1: trade frames to records, beside python-kis."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

from bench import frames as synthetic
from bench.figures import Goal, NotMeasured, Options, Result, Row, interleaved, ratios
from bench.peer import Peer

TITLE = "1. Trade-frame decode"


def run(options: Options, work: Path) -> Result:
    """Decode the same records with both; the peer gets them without the 47th field, which it refuses."""
    try:
        from kquant.gateways.kis.feed.wire import decode
    except ImportError as error:
        raise NotMeasured(f"the decoder of data frames cannot be imported: {error}") from error
    frames = synthetic.mixed(4_000 if options.quick else 20_000)
    expected = sum(int(frame.split("|", 3)[2]) for frame in frames)
    file = work / "frames.txt"
    file.write_text("\n".join(map(synthetic.narrowed, frames)), encoding="utf-8")
    answers: list[int] = []

    def ours() -> float:
        count = prices = 0
        begun = perf_counter()
        for frame in frames:
            found = decode(frame)
            count += len(found)
            prices += found[-1].last_price  # type: ignore[union-attr]
        seconds = perf_counter() - begun
        answers.append(prices)
        return _rate(count, expected, seconds)

    with Peer("decode") as peer:
        name = peer.call("load", path=str(file))

        def theirs() -> float:
            answer = peer.call("decode")
            answers.append(answer["prices"])
            return _rate(answer["records"], expected, answer["seconds"])

        ours()
        theirs()
        found = interleaved(options.count(9, 3), {"ours": ours, "theirs": theirs})
    if len(set(answers)) != 1:
        raise RuntimeError(f"the two parsers read different prices: {sorted(set(answers))}")
    return Result(
        setup=f"{expected:,} records in {len(frames):,} frames of 1 to 5, 40 symbols; both keep every record, and their "
        "prices are compared.",
        rows=[
            Row("kquant `decode`, 47 fields", found["ours"], "records/s", Goal(">=", 300_000)),
            Row(f"{name} `KisWebsocketResponse.parse`, 46 fields", found["theirs"], "records/s"),
            Row("kquant / python-kis", ratios(found["ours"], found["theirs"]), "×", Goal(">=", 10)),
        ],
        missing=["real frames of a whole day", "order-book and program-trading frames"],
    )


def _rate(count: int, expected: int, seconds: float) -> float:
    if count != expected:
        raise RuntimeError(f"{count} records decoded, {expected} were sent")
    return count / seconds
