"""KRX price grid of the simulated exchange: tick sizes and daily limits.

Source: kis-protocol 5.2 (tick sizes since 2023-01-25) and 5.3 (limits of 30 %, the width truncated to
the base price's tick, the limit then truncated to its own tick); checked against 17 real limit-ups.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from .mixing import Ints

BOUNDS = (2_000, 5_000, 20_000, 50_000, 200_000, 500_000)
SIZES = (1, 5, 10, 50, 100, 500, 1_000)
NO_UPPER_LIMIT = 1_000_000_000
_BOUNDS = np.array(BOUNDS, dtype=np.int64)
_SIZES = np.array(SIZES, dtype=np.int64)


def tick_size(price: int, *, etp: bool = False) -> int:
    """Tick size in won at *price* (won); *etp* is true for ETF and ETN (5 won from 2,000 up)."""
    if etp:
        return 1 if price < BOUNDS[0] else 5
    return SIZES[bisect_right(BOUNDS, price)]


def tick_sizes(prices: Ints, *, etp: bool = False) -> Ints:
    """`tick_size` of an array."""
    if etp:
        return np.where(prices < BOUNDS[0], 1, 5).astype(np.int64)
    return _SIZES[np.searchsorted(_BOUNDS, prices, side="right")]


def floor_price(price: int, *, etp: bool = False) -> int:
    """The highest price on the grid that is not above *price*."""
    tick = tick_size(price, etp=etp)
    return price // tick * tick


def step_price(price: int, steps: int, *, etp: bool = False) -> int:
    """The grid price *steps* ticks above (below when negative) *price*; never below 0."""
    result = floor_price(price, etp=etp)
    if steps < 0 and result != price:
        steps += 1  # the floor of an off-grid price is already one step down
    for _ in range(steps):
        result += tick_size(result, etp=etp)
    for _ in range(-steps):
        if result <= 1:
            return 0
        result -= tick_size(result - 1, etp=etp)
    return result


def daily_limits(base: int, *, etp: bool = False) -> tuple[int, int]:
    """(upper, lower) limit in won for base price *base*, both on the grid."""
    tick = tick_size(base, etp=etp)
    width = base * 3 // 10 // tick * tick
    upper = floor_price(base + width, etp=etp)
    lower = base - width
    on_grid = floor_price(lower, etp=etp)
    if on_grid != lower:
        on_grid += tick_size(on_grid, etp=etp)
    return upper, max(on_grid, 1)
