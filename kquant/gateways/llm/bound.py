"""How far a judgement may leave what the numbers alone give. Integers only, no clock, no chance.

The total of the drawn-back parts stays within half of `text_points` of the measured total, to either side: whatever
two texts say about the same numbers, their scores differ by no more than `text_points`.
"""

from __future__ import annotations

from collections.abc import Sequence


def total_of(parts: Sequence[int], most: int) -> int:
    """Return the total that the parts scale to when they could give *most* points: 0 to 100, a half going up."""
    return (2 * sum(parts) * 100 + most) // (2 * most)


def drawn_back(said: Sequence[int], measured: Sequence[int], most: int, text_points: int) -> tuple[int, ...]:
    """Return *said*, moved towards *measured* until its total is near enough. most: what all parts can give, above 0.

    Each part ends between what was said and what was measured, so it stays in its own range. The parts keep their
    shares of the difference, whole points going to the largest remainders, the earlier part first.
    """
    near = text_points // 2
    base = total_of(measured, most)
    gap = sum(said) - sum(measured)
    if abs(total_of(said, most) - base) <= near:
        return tuple(said)
    sign = 1 if gap > 0 else -1
    room = abs(gap)
    while room and abs(total_of((sum(measured) + sign * room,), most) - base) > near:
        room -= 1
    steps = [each - own for each, own in zip(said, measured, strict=True)]
    shares = [divmod(abs(step) * room, abs(gap)) for step in steps]
    return _exact(steps, [whole for whole, _ in shares], [rest for _, rest in shares], measured, sign * room)


def _exact(
    steps: Sequence[int], wholes: list[int], rests: Sequence[int], measured: Sequence[int], wanted: int
) -> tuple[int, ...]:
    """Give whole points to parts until the sum of signed steps is *wanted*."""
    moved = [whole if step >= 0 else -whole for whole, step in zip(wholes, steps, strict=True)]
    order = sorted(range(len(steps)), key=lambda place: (-rests[place], place))
    missing = wanted - sum(moved)
    towards = 1 if missing > 0 else -1
    for place in order:
        if missing and steps[place] * towards > 0 and abs(moved[place]) < abs(steps[place]):
            moved[place] += towards
            missing -= towards
    return tuple(own + step for own, step in zip(measured, moved, strict=True))
