"""The demo day and the real day under the profile `rough`: reconciled to the won, one POST an intent, nothing to explain.

In CI the last hour of both, one seed each. With ROUGH_DAYS=n whole days, demo with every default, seeds from ROUGH_FROM
(`make rough`). A failing seed is played again by ROUGH_DAYS=1 ROUGH_FROM=<seed>.
"""

import json
import os

import pytest

from tests.faults.rough import rough_faults
from tests.soak.days import LAST_HOUR, Killed, settings
from tests.soak.door import Post

from .world import DAY, REAL_DAY

pytestmark = pytest.mark.timeout(1_800)

COUNT = int(os.environ.get("ROUGH_DAYS", "0"))
FIRST = int(os.environ.get("ROUGH_FROM", "1"))
SEEDS = range(FIRST, FIRST + COUNT) if COUNT else (1,)
PART = {} if COUNT else {name: value for name, value in LAST_HOUR.items() if name != "demo.stocks"}


def faults_of(seed):
    return {"demo.faults": json.dumps(rough_faults(seed, whole=bool(COUNT)))}


def check(rough: Killed) -> list[Post]:
    """Whatever the day was like: everything that must hold of a killed one holds of a rough one."""
    day = rough.check()
    assert day.wrong == []
    assert day.posts >= 5, "a day without orders shows nothing"
    return rough.posts


@pytest.mark.parametrize("seed", SEEDS)
def test_the_demo_day_under_random_faults_ends_reconciled_to_the_won_with_one_post_an_intent(tmp_path, seed):
    small = {} if COUNT else {"demo.stocks": "300"}
    options = settings({**PART, **small, "demo.seed": str(20_261_120 + seed), **faults_of(seed)})
    rough = Killed(tmp_path, seed, options, DAY)
    assert rough.start([]), rough.day
    check(rough)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_real_day_under_random_faults_ends_reconciled_to_the_won_with_one_post_an_intent(tmp_path, market, seed):
    options = ["--market", str(market[0]), "--day", REAL_DAY, *settings({**PART, **faults_of(seed)})]
    rough = Killed(tmp_path, seed, options, REAL_DAY)
    assert rough.start([]), rough.day
    check(rough)
