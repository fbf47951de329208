"""One fault that is set: its kind, where and when it acts, and its parameters, checked against the kind's table."""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

from kquant.exchange.faults.catalog import KINDS
from kquant.exchange.faults.kinds import Kind, Param, Value

DAY_END: Final = 86_400
_TIME: Final = re.compile(r"(\d\d):(\d\d)(?::(\d\d))?")
_WHEN: Final = ("from", "until", "after", "count", "chance", "seed")


class FaultError(ValueError):
    """A fault that cannot be set; the message names what is wrong and what is known."""


class Where(Struct, frozen=True, kw_only=True):
    """Which calls and texts: the service, a part of the REST path, a TR id, a stock. Blank: any."""

    service: Literal["", "real", "paper"] = ""
    path: str = ""
    tr_id: str = ""
    stock: str = ""


class When(Struct, frozen=True, kw_only=True):
    """From KST second `start` to before `end` of each day; past the first `after` matches; `count` times (0: always)."""

    start: int = 0
    end: int = DAY_END
    after: int = 0
    count: int = 0
    chance: float = 1.0
    seed: int = 0


class Fault(Struct, frozen=True, kw_only=True):
    """A fault as it is set."""

    kind: str
    where: Where
    when: When
    params: Mapping[str, Value]

    def number(self, name: str) -> int:
        """Return a parameter that is a whole number."""
        value = self.params[name]
        if not isinstance(value, int):
            raise TypeError(f"{self.kind}.{name} is {value!r}, not a whole number")
        return value

    def text(self, name: str) -> str:
        """Return a parameter that is text."""
        return str(self.params[name])


def make_fault(kind_name: str, given: Mapping[str, object]) -> Fault:
    """Return the fault *kind_name* with the parameters *given*; raises FaultError that names what is unknown."""
    kind = KINDS.get(kind_name)
    if kind is None:
        raise FaultError(f"unknown fault {kind_name!r}; --faults list names them all")
    own = {param.name: param for param in kind.params}
    known = (*own, *kind.filters, *_WHEN)
    for name in given:
        if name not in known:
            raise FaultError(f"fault {kind_name} has no parameter {name!r}; it takes {', '.join(known)}")
    return Fault(
        kind=kind_name,
        where=_where(kind, given),
        when=_when(kind, given),
        params={name: _value(kind, param, given.get(name, param.default)) for name, param in own.items()},
    )


def _where(kind: Kind, given: Mapping[str, object]) -> Where:
    service = str(given.get("service", "both"))
    if service not in ("real", "paper", "both"):
        raise FaultError(f"fault {kind.name}: service is real, paper or both, not {service!r}")
    only: Literal["", "real", "paper"] = "real" if service == "real" else "paper" if service == "paper" else ""
    texts = {name: str(given.get(name, "")) for name in ("tr_id", "stock")}
    return Where(service=only, path=str(given.get("path", kind.path)), **texts)


def _when(kind: Kind, given: Mapping[str, object]) -> When:
    start = _second(kind, "from", given.get("from", 0))
    end = _second(kind, "until", given.get("until", DAY_END))
    if start >= end:
        raise FaultError(f"fault {kind.name}: from {given.get('from')} is not before until {given.get('until')}")
    return When(
        start=start,
        end=end,
        after=_whole(kind, "after", given.get("after", 0), 0, 1_000_000_000),
        count=_whole(kind, "count", given.get("count", kind.count), 0, 1_000_000_000),
        chance=_chance(kind, given.get("chance", 1.0)),
        seed=_whole(kind, "seed", given.get("seed", 0), 0, (1 << 63) - 1),
    )


def _value(kind: Kind, param: Param, value: object) -> Value:
    if param.choices:
        if str(value) not in param.choices:
            raise FaultError(f"fault {kind.name}: {param.name} is one of {', '.join(param.choices)}, not {value!r}")
        return str(value)
    if isinstance(param.default, int):
        return _whole(kind, param.name, value, param.low, param.high)
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise FaultError(f"fault {kind.name}: {param.name} is text, not {value!r}")
    return str(value)


def _whole(kind: Kind, name: str, value: object, low: int, high: int) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,19}", value, re.ASCII):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise FaultError(f"fault {kind.name}: {name} is a whole number from {low} to {high}, not {value!r}")
    return value


def _chance(kind: Kind, value: object) -> float:
    try:
        chance = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else -1.0
    except ValueError:
        chance = -1.0
    if not 0 < chance <= 1:
        raise FaultError(f"fault {kind.name}: chance is above 0 and at most 1, not {value!r}")
    return chance


def _second(kind: Kind, name: str, value: object) -> int:
    if isinstance(value, dt.time):
        return value.hour * 3_600 + value.minute * 60 + value.second
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= DAY_END:
        return value
    found = _TIME.fullmatch(str(value))
    if found is None:
        raise FaultError(f"fault {kind.name}: {name} is a market time HH:MM:SS, not {value!r}")
    hour, minute, second = (int(part or 0) for part in found.groups())
    if hour > 24 or minute > 59 or second > 59 or (hour == 24 and minute + second):
        raise FaultError(f"fault {kind.name}: {name} is a market time HH:MM:SS, not {value!r}")
    return hour * 3_600 + minute * 60 + second
