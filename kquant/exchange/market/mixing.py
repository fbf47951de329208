"""Seeded noise by integer mixing (splitmix64), equal on every platform and in every process.

numpy's distributions and Python's ``hash`` may change between versions or processes; a market day
must not. Everything here is exact 64-bit integer arithmetic, or IEEE additions of exact values.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_M1 = 0xBF58476D1CE4E5B9
_M2 = 0x94D049BB133111EB


def mix(word: int) -> int:
    """One splitmix64 output for *word* (any int; taken modulo 2**64)."""
    z = (word + _GOLDEN) & _MASK
    z = ((z ^ (z >> 30)) * _M1) & _MASK
    z = ((z ^ (z >> 27)) * _M2) & _MASK
    return z ^ (z >> 31)


def key_of(seed: int, *parts: int | str) -> int:
    """A 64-bit key for a purpose: the seed folded with *parts* (ints, or text by its UTF-8 bytes)."""
    key = mix(seed)
    for part in parts:
        if isinstance(part, str):
            for byte in part.encode():
                key = mix(key ^ byte)
            key = mix(key ^ 0x1FF)
        else:
            key = mix(key ^ (part & _MASK))
    return key


def words(key: int, count: int) -> Words:
    """*count* independent 64-bit words of the stream *key*."""
    z = np.arange(1, count + 1, dtype=np.uint64)
    z *= np.uint64(_GOLDEN)
    z += np.uint64(key)
    z ^= z >> np.uint64(30)
    z *= np.uint64(_M1)
    z ^= z >> np.uint64(27)
    z *= np.uint64(_M2)
    z ^= z >> np.uint64(31)
    return z


def below(key: int, count: int, bound: int) -> Ints:
    """*count* integers in [0, bound)."""
    return (words(key, count) % np.uint64(bound)).astype(np.int64)


def uniforms(key: int, count: int) -> Floats:
    """*count* floats in [0, 1), multiples of 2**-32."""
    result: Floats = (words(key, count) >> np.uint64(32)).astype(np.float64) / 4294967296.0
    return result


def normals(key: int, count: int) -> Floats:
    """*count* floats of mean 0 and variance 1, nearly normal (four summed uniforms, at most 3.46)."""
    w = words(key, count)
    low = np.uint64(0xFFFF)
    total = (w & low).astype(np.float64)
    for shift in (16, 32, 48):
        total += ((w >> np.uint64(shift)) & low).astype(np.float64)
    total -= 2.0 * 65535.0
    total /= 65536.0 * 0.5773502691896258
    return total


class Stream:
    """A small scalar generator for choices made one at a time."""

    __slots__ = ("_state",)

    def __init__(self, key: int) -> None:
        self._state = key & _MASK

    def word(self) -> int:
        """The next 64-bit word."""
        self._state = (self._state + _GOLDEN) & _MASK
        return mix(self._state)

    def below(self, bound: int) -> int:
        """An int in [0, bound)."""
        return self.word() % bound

    def belows(self, bound: int, count: int) -> list[int]:
        """The next *count* of `below`, faster than one by one."""
        found: list[int] = (words((self._state + _GOLDEN) & _MASK, count) % np.uint64(bound)).tolist()
        self._state = (self._state + count * _GOLDEN) & _MASK
        return found

    def between(self, low: int, high: int) -> int:
        """An int in [low, high]."""
        return low + self.word() % (high - low + 1)

    def uniform(self) -> float:
        """A float in [0, 1)."""
        return (self.word() >> 32) / 4294967296.0

    def pick(self, items: Sequence[T]) -> T:
        """One of *items*."""
        return items[self.below(len(items))]


def quantile(table: tuple[tuple[float, float], ...], at: float) -> float:
    """The value at quantile *at* (0..1) of a piecewise-linear *table* of (quantile, value)."""
    for (q0, v0), (q1, v1) in pairwise(table):
        if at <= q1:
            return v0 + (v1 - v0) * ((at - q0) / (q1 - q0))
    return table[-1][1]
