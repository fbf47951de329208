"""The profile `rough` as options of a day whose clock is stepped."""

import random

from kquant.exchange.faults.fault import Fault
from kquant.exchange.faults.profiles import make_profile

WALL = {"half_open"}
"""Kinds that only the wall's clock finds out: a stepped one waits for a dead line for ever (`test_wall`)."""
AFTERNOON, CLOSE = 14 * 3_600 + 34 * 60, 15 * 3_600 + 18 * 60


def rough_faults(seed: int, *, whole: bool) -> list[str]:
    """Return what the seed draws, as text. Without *whole*, what would come earlier comes at some time of the last hour."""
    rng = random.Random(seed)
    return [spec_of(fault, rng, whole=whole) for fault in make_profile("rough", seed) if fault.kind not in WALL]


def spec_of(fault: Fault, rng: random.Random, *, whole: bool) -> str:
    """Return a fault of a profile as text."""
    where, when = fault.where, fault.when
    given: dict[str, object] = {**fault.params, "after": when.after, "count": when.count, "seed": when.seed}
    given |= {name: value for name in ("service", "path", "tr_id", "stock") if (value := getattr(where, name))}
    start, end = when.start, when.end
    if start and not whole:
        start = rng.randrange(AFTERNOON, CLOSE)
        end = start + 300 if end < 86_400 else end
    given |= {"from": clock(start)} if start else {}
    given |= {"until": clock(end)} if end < 86_400 else {}
    given |= {"chance": when.chance} if when.chance < 1 else {}
    return f"{fault.kind}:{','.join(f'{name}={value}' for name, value in given.items())}"


def clock(second: int) -> str:
    """Return HH:MM:SS."""
    return f"{second // 3_600:02d}:{second % 3_600 // 60:02d}:{second % 60:02d}"
