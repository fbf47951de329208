"""Rough days: a seed draws a bit of everything. A few seeds each time; `make rough` plays as many as it is told to.

ROUGH_DAYS: how many whole days to play, seeds counted from ROUGH_FROM (1). Without it the afternoon's seeds
below are played. A failing seed is played again by ROUGH_DAYS=1 ROUGH_FROM=<seed>.
"""

import os

import pytest

from .checks import check_day
from .rig import BUSY, play
from .rough import rough_faults

pytestmark = pytest.mark.timeout(1_800)

COUNT = int(os.environ.get("ROUGH_DAYS", "0"))
FIRST = int(os.environ.get("ROUGH_FROM", "1"))
SEEDS = range(FIRST, FIRST + COUNT) if COUNT else (1, 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_rough_day_ends_with_equal_tables_whole_books_and_nothing_sent_twice(tmp_path, seed):
    day = play(
        tmp_path,
        *rough_faults(seed, whole=bool(COUNT)),
        start="08:40" if COUNT else "14:33",
        seed=20_261_120 + seed,
        changes=BUSY,
    )
    hits = sum(row["hits"] for row in day.witness.faults[1:])
    assert hits >= 30, "a rough day is rough"
    check_day(day, unsure=2)
