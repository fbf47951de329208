"""Named sets of faults: a profile and a seed stand for the same bad day each time.

A profile's faults are ordinary ones, each with a seed of its own drawn from the profile's; none hangs a client for ever.
"""

import random
from collections.abc import Callable
from typing import Final

from kquant.exchange.faults.fault import Fault, make_fault

_OPEN, _CLOSE = 9 * 3_600, 15 * 3_600 + 1_800
_READS: Final = "/quotations/"


def _time(rng: random.Random, start: int = _OPEN, end: int = _CLOSE) -> int:
    return rng.randrange(start, end)


def _feed(rng: random.Random) -> list[Fault]:
    """Return lost lines and troubled registrations."""

    def one(kind: str, **given: object) -> Fault:
        return make_fault(kind, given | {"seed": rng.randrange(1 << 31)})

    drops = [one("drop_connection", **{"from": _time(rng)}) for _ in range(3)]
    start = _time(rng, _OPEN, _CLOSE - 1_800)
    return [
        *drops,
        one("half_open", **{"from": _time(rng)}),
        one("drop_connection", on="register", after=rng.randrange(20), **{"from": _time(rng)}),
        one("lose_registration", count=2, chance=0.05),
        one("lose_ack", count=2, chance=0.05),
        one("duplicate_ack", count=3, chance=0.1),
        one("late_ack", count=3, chance=0.1, s=rng.randint(1, 8)),
        one("refuse_registration", count=2, chance=0.05, code=rng.choice(("OPSP0007", "OPSP0009", "OPSP8999"))),
        one("no_pingpong", **{"from": start, "until": start + 300}),
        one("no_pongs", **{"from": start + 300, "until": start + 600}),
    ]


def _rest(rng: random.Random) -> list[Fault]:
    """Return slow, lost, refused and broken answers to reads, limits and a void token."""

    def one(kind: str, **given: object) -> Fault:
        return make_fault(kind, given | {"seed": rng.randrange(1 << 31)})

    bursts = [one("throttle", count=rng.randint(2, 6), **{"from": _time(rng)}) for _ in range(3)]
    return [
        *bursts,
        one("revoke_token", **{"from": _time(rng)}),
        one("slow_rest", path=_READS, count=10, chance=0.02, ms=rng.randint(100, 800)),
        one("lost_request", path=_READS, count=3, chance=0.01),
        one("lost_answer", path=_READS, count=3, chance=0.01),
        one("rest_error", path=_READS, count=5, chance=0.01, code=rng.choice(("EGW00001", "EGW00202", "EGW00301"))),
        one("html_500", path=_READS, count=3, chance=0.01),
        one("wrong_content_type", path=_READS, count=3, chance=0.01),
        one("truncated_json", path=_READS, count=3, chance=0.01, percent=rng.randrange(100)),
        one("empty_body", path=_READS, count=2, chance=0.01),
        one("gzip_garbage", path=_READS, count=2, chance=0.01),
        one("null_field", path=_READS, count=3, chance=0.01),
        one("rename_field", path=_READS, count=3, chance=0.01),
        one("ghost_rows", count=5, chance=0.1),
    ]


def _ticks(rng: random.Random) -> list[Fault]:
    """Return data that is broken, forged, repeated, late or missing."""

    def one(kind: str, **given: object) -> Fault:
        return make_fault(kind, given | {"seed": rng.randrange(1 << 31)})

    return [
        one("lose_frames", count=0, chance=0.001),
        one("repeat_frames", count=0, chance=0.001),
        one("late_frames", count=0, chance=0.001, s=rng.randint(1, 5)),
        one("garble_frames", count=200, chance=0.002),
        one("forge_ticks", count=50, chance=0.001),
        one("zero_prices", on="feed", count=20, chance=0.001),
    ]


def _orders(rng: random.Random) -> list[Fault]:
    """Return lost order answers and notices that are lost, repeated, late, unreadable or in the wrong order."""

    def one(kind: str, **given: object) -> Fault:
        return make_fault(kind, given | {"seed": rng.randrange(1 << 31)})

    return [
        one("lost_answer", path="/trading/order-", count=2, chance=0.1),
        one("lost_request", path="/trading/order-", count=2, chance=0.1),
        one("rest_error", path="/trading/order-", code="EGW00302", effect="after", count=1, chance=0.1),
        one("notice_first", count=3, chance=0.2),
        one("reject_order", count=1, chance=0.1),
        one("lose_notice", count=2, chance=0.1),
        one("repeat_notice", count=5, chance=0.2),
        one("reorder_notices", count=5, chance=0.2),
        one("late_notice", count=5, chance=0.2, s=rng.randint(1, 10)),
        one("garble_notice", count=1, chance=0.1),
        one("list_lag", s=rng.randint(1, 6)),
    ]


def _rough(rng: random.Random) -> list[Fault]:
    """Return a bit of everything: the other profiles on one day."""
    return [*_feed(rng), *_rest(rng), *_ticks(rng), *_orders(rng)]


PROFILES: Final[dict[str, tuple[str, Callable[[random.Random], list[Fault]]]]] = {
    "rough": ("a bit of everything: all the other profiles on one day", _rough),
    "rough_feed": ("lost lines, a half-open socket, troubled registrations", _feed),
    "rough_rest": ("slow, lost, refused and broken answers, limits, a void token", _rest),
    "rough_ticks": ("frames broken, forged, repeated, late or missing", _ticks),
    "rough_orders": ("order answers and notices lost, repeated, late or in the wrong order", _orders),
}


def make_profile(name: str, seed: int) -> list[Fault]:
    """Return the faults of profile *name* under *seed*."""
    return PROFILES[name][1](random.Random(f"{name} {seed}"))  # noqa: S311 -- reproducible on purpose
