"""Rough days: a seed draws a bit of everything. A few seeds each time; `make rough` plays as many as it is told to.

ROUGH_DAYS: how many whole days to play, seeds counted from ROUGH_FROM (1). Without it the afternoon's seeds
below are played. A failing seed is played again by ROUGH_DAYS=1 ROUGH_FROM=<seed>.
"""

import os
import random

import pytest

from kquant.exchange.faults.fault import Fault
from kquant.exchange.faults.profiles import make_profile

from .checks import check_day
from .rig import BUSY, play

pytestmark = pytest.mark.timeout(1_800)

COUNT = int(os.environ.get("ROUGH_DAYS", "0"))
FIRST = int(os.environ.get("ROUGH_FROM", "1"))
SEEDS = range(FIRST, FIRST + COUNT) if COUNT else (1, 2)
WALL = {"half_open"}
"""Kinds that only the wall's clock finds out: a stepped one waits for a dead line for ever (`test_wall`)."""
MORNING, AFTERNOON, CLOSE = 9 * 3_600, 14 * 3_600 + 34 * 60, 15 * 3_600 + 18 * 60


def spec_of(fault: Fault, rng: random.Random) -> str:
    """Return a fault of a profile as text; in a short day what would have come earlier comes at some time of it."""
    where, when = fault.where, fault.when
    given: dict[str, object] = {**fault.params, "after": when.after, "count": when.count, "seed": when.seed}
    given |= {name: value for name in ("service", "path", "tr_id", "stock") if (value := getattr(where, name))}
    start, end = when.start, when.end
    if start and not COUNT:
        start = rng.randrange(AFTERNOON, CLOSE)
        end = start + 300 if end < 86_400 else end
    given |= {"from": clock(start)} if start else {}
    given |= {"until": clock(end)} if end < 86_400 else {}
    given |= {"chance": when.chance} if when.chance < 1 else {}
    return f"{fault.kind}:{','.join(f'{name}={value}' for name, value in given.items())}"


def clock(second: int) -> str:
    return f"{second // 3_600:02d}:{second % 3_600 // 60:02d}:{second % 60:02d}"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_rough_day_ends_with_equal_tables_whole_books_and_nothing_sent_twice(tmp_path, seed):
    rng = random.Random(seed)
    faults = [spec_of(fault, rng) for fault in make_profile("rough", seed) if fault.kind not in WALL]
    day = play(tmp_path, *faults, start="08:40" if COUNT else "14:33", seed=20_261_120 + seed, changes=BUSY)
    hits = sum(row["hits"] for row in day.witness.faults[1:])
    assert hits >= 30, "a rough day is rough"
    check_day(day, unsure=2)
