"""What a kind of fault is: its name, its meaning, where it acts and which parameters it takes."""

from typing import Final, Literal

from msgspec import Struct

Hook = Literal["moment", "connect", "incoming", "outgoing", "pong", "before", "after"]
"""moment: market time moved.   connect: a WebSocket handshake.   incoming/outgoing: a WebSocket text.   pong: the
library would answer a protocol ping.   before/after: a REST call before its effect, its answer after it."""
Filter = Literal["service", "path", "tr_id", "stock"]
Value = int | str

REST: Final[tuple[Filter, ...]] = ("service", "path", "tr_id", "stock")
TEXTS: Final[tuple[Filter, ...]] = ("service", "tr_id", "stock")
LINE: Final[tuple[Filter, ...]] = ("service",)


class Param(Struct, frozen=True, kw_only=True):
    """One parameter of a kind: a whole number within low and high, one of `choices`, or text."""

    name: str
    meaning: str
    default: Value
    low: int = 0
    high: int = 0
    choices: tuple[str, ...] = ()


class Kind(Struct, frozen=True, kw_only=True):
    """One kind of fault.

    filters: which calls, texts or connections it can be narrowed to.   count: how often it acts unless told otherwise,
    0 without end.   path: part of the REST path it looks at unless told otherwise.
    """

    name: str
    group: str
    meaning: str
    hooks: tuple[Hook, ...]
    filters: tuple[Filter, ...]
    params: tuple[Param, ...] = ()
    count: int = 0
    path: str = ""


def number(name: str, default: int, meaning: str, *, low: int = 0, high: int = 86_400) -> Param:
    """Return a parameter that is a whole number."""
    return Param(name=name, meaning=meaning, default=default, low=low, high=high)


def choice(name: str, meaning: str, *choices: str) -> Param:
    """Return a parameter that is one of *choices*; the first is the default."""
    return Param(name=name, meaning=meaning, default=choices[0], choices=choices)


def words(name: str, default: str, meaning: str) -> Param:
    """Return a parameter that is text."""
    return Param(name=name, meaning=meaning, default=default)
