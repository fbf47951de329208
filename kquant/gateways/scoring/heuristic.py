"""The deterministic scorer that needs no key: the scan's rubric computed from the facts of the request.

Each part is a weighted mean of signals worth 0 to 100; a signal whose fact is missing is left out of its mean.

| part        | most | signals (weight)                                                                             |
|-------------|------|----------------------------------------------------------------------------------------------|
| persistence | 30   | cycles seen in a row (2), rise kept (3): how much of the day's best rise is left; both in    |
|             |      | proportion below a rise of 4 %, since there is no surge to persist                           |
| volume      | 20   | the day's volume against yesterday's by this time (2), turnover (2), place by volume (1)     |
| momentum    | 30   | rise today (3), rise since the last cycle (3), price against the open (2)                    |
| risk        | 20   | rise kept (3), room below the limit (3), turnover (2), minutes since the open (1)            |

"Rise kept" makes faded rises score low: a stock at +5 % that was at +20 % keeps a quarter. A stock below its base
price has no rise and gets nothing there. "By this time" spreads yesterday's volume over the session as a day usually
runs: a fifth in the first half hour, a fifth in the last.
"""

from __future__ import annotations

from kquant.events.scanner import ScanFacts, ScanParts, ScoreWanted
from kquant.gateways.scoring.points import Curve, along, mean_of_known, out_of
from kquant.gateways.scoring.port import Abstained, Scored
from kquant.values import Seq

MODEL = "heuristic-1"

CYCLES: Curve = ((1, 10), (3, 50), (8, 85), (20, 100))
KEPT: Curve = ((30, 0), (60, 35), (80, 70), (100, 100))
VOLUME_RATIO: Curve = ((50, 0), (100, 30), (300, 75), (800, 100))
TURNOVER_MN: Curve = ((300, 0), (2_000, 30), (10_000, 65), (50_000, 100))
VOLUME_PLACE: Curve = ((1, 100), (10, 80), (20, 60), (50, 40))
RISE_BP: Curve = ((-500, 0), (0, 15), (500, 55), (1_000, 85), (1_800, 100), (2_600, 75))
STEP_BP: Curve = ((-100, 0), (-20, 35), (0, 50), (30, 75), (120, 100))
FROM_OPEN_BP: Curve = ((-500, 0), (0, 35), (500, 80), (1_200, 100))
ROOM_BP: Curve = ((0, 0), (400, 20), (1_200, 70), (2_000, 100))
AGE_MIN: Curve = ((0, 20), (10, 60), (30, 100))
LIMIT_BP = 3_000
SURGE_BP = 400
"""A rise from which it counts as a surge in full."""
DAY_SHARE: Curve = ((0, 20), (5, 60), (30, 200), (90, 380), (180, 560), (300, 740), (360, 850), (390, 1_000))
"""Minutes since the open to the thousandths of a day's volume usually traded by then."""


class HeuristicScorer:
    """A `Scorer` without chance, network or cost."""

    @property
    def model(self) -> str:
        """Name in the journal; it changes when the numbers here do."""
        return MODEL

    async def score(self, wanted: ScoreWanted, cause: Seq) -> Scored | Abstained:  # noqa: ARG002  the port's; nothing is recorded under it here
        """Return the rubric's parts, or abstain when the facts contradict each other."""
        return score_facts(wanted.facts)


def score_facts(facts: ScanFacts) -> Scored | Abstained:
    """Return the four parts with a reason each. Abstains on facts that cannot be: a price or a rise out of range."""
    if facts.price <= 0 or facts.change_bp <= -10_000 or facts.volume < 0 or facts.turnover < 0:
        return Abstained(why=f"impossible facts: price {facts.price}, change {facts.change_bp} bp")
    kept = rise_kept(facts)
    ratio = volume_ratio(facts)
    turnover_mn = facts.turnover // 1_000_000
    step = None if facts.change_bp_before is None else facts.change_bp - facts.change_bp_before
    from_open = None if facts.open is None or facts.open <= 0 else (facts.price - facts.open) * 10_000 // facts.open
    kept_points = None if kept is None else along(KEPT, kept)
    turnover_points = along(TURNOVER_MN, turnover_mn)
    place = facts.volume_rank
    steady = mean_of_known(((along(CYCLES, facts.cycles_seen), 2), (kept_points, 3)))
    persistence = None if steady is None else steady * max(0, min(SURGE_BP, facts.change_bp)) // SURGE_BP
    volume = mean_of_known(
        (
            (None if ratio is None else along(VOLUME_RATIO, ratio), 2),
            (turnover_points, 2),
            (None if place is None else along(VOLUME_PLACE, place), 1),
        )
    )
    momentum = mean_of_known(
        (
            (along(RISE_BP, facts.change_bp), 3),
            (None if step is None else along(STEP_BP, step), 3),
            (None if from_open is None else along(FROM_OPEN_BP, from_open), 2),
        )
    )
    risk = mean_of_known(
        (
            (kept_points, 3),
            (along(ROOM_BP, LIMIT_BP - facts.change_bp), 3),
            (turnover_points, 2),
            (along(AGE_MIN, facts.minutes_open), 1),
        )
    )
    if persistence is None or volume is None or momentum is None or risk is None:
        return Abstained(why="a part of the rubric has no fact to rest on")
    parts = ScanParts(
        persistence=out_of(persistence, 30),
        volume=out_of(volume, 20),
        momentum=out_of(momentum, 30),
        risk=out_of(risk, 20),
    )
    reasons = (
        f"seen {facts.cycles_seen} cycles in a row, {_percent(kept)} of the day's best rise kept",
        f"{_percent(ratio)} of yesterday's volume by this time, turnover {turnover_mn} million won",
        f"{facts.change_bp} bp today, {_bp(step)} since the last cycle, {_bp(from_open)} from the open",
        f"{LIMIT_BP - facts.change_bp} bp below the limit, {facts.minutes_open} minutes since the open",
    )
    return Scored(parts=parts, reasons=reasons)


def rise_kept(facts: ScanFacts) -> int | None:
    """Return how much of the day's best rise is left (percent, 0 to 100); 0 without a rise, None without a high."""
    if facts.change_bp <= 0:
        return 0
    if facts.high is None or facts.high < facts.price:
        return None
    base = facts.price * 10_000 // (10_000 + facts.change_bp)
    return 100 if facts.high <= base else max(0, min(100, (facts.price - base) * 100 // (facts.high - base)))


def volume_ratio(facts: ScanFacts) -> int | None:
    """Return the day's volume in percent of what yesterday's had usually reached by now; None without yesterday's."""
    if facts.prev_volume is None or facts.prev_volume <= 0:
        return None
    return facts.volume * 100 * 1_000 // (facts.prev_volume * along(DAY_SHARE, facts.minutes_open))


def _percent(value: int | None) -> str:
    return "an unknown share" if value is None else f"{value} %"


def _bp(value: int | None) -> str:
    return "unknown" if value is None else f"{value} bp"
