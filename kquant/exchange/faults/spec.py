"""Faults as text: the command line's `KIND:name=value,…` and `PROFILE:SEED`, a TOML file, a call of the admin port."""

import tomllib
from collections.abc import Mapping
from typing import Final

from kquant.exchange.faults.catalog import KINDS
from kquant.exchange.faults.fault import Fault, FaultError, make_fault
from kquant.exchange.faults.kinds import Kind, Param
from kquant.exchange.faults.profiles import PROFILES, make_profile

_COMMON: Final = """\
Every fault also takes
  service=real|paper|both    which service (default both)
  path=, tr_id=, stock=      where listed: part of the REST path, a TR id, a stock code (default any)
  from=, until=              market time HH:MM:SS, each day (default the whole day)
  after=N                    matches that pass first (default 0)
  count=N                    how often it acts, 0 without end (default in brackets)
  chance=P                   of acting on a match, above 0 and at most 1 (default 1)
  seed=N                     of that chance and of what is drawn (default 0)

  --faults late_ack:s=9,stock=005930 --faults rough:7 --faults faults.toml
"""


def faults_from_spec(spec: str) -> list[Fault]:
    """Return what `KIND`, `KIND:name=value,name=value` or `PROFILE:SEED` stands for; raises FaultError."""
    kind, _, rest = spec.strip().partition(":")
    if kind in PROFILES and rest and "=" not in rest:
        rest = f"seed={rest}"
    given: dict[str, object] = {}
    for part in rest.split(",") if rest else ():
        name, equals, value = part.partition("=")
        if not equals:
            raise FaultError(f"fault {spec!r}: {part!r} is not name=value")
        if name.strip() in given:
            raise FaultError(f"fault {spec!r}: {name.strip()} is given twice")
        given[name.strip()] = value.strip()
    return _make(kind, given)


def faults_from_toml(text: str) -> list[Fault]:
    """Return the faults of a file of `[[fault]]` tables, each with `kind` and its parameters; raises FaultError."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FaultError(f"not TOML: {error}") from error
    rows = tables.pop("fault", [])
    if tables or not isinstance(rows, list):
        raise FaultError(f"a fault file has [[fault]] tables only, not {', '.join(tables) or 'a single fault'}")
    found: list[Fault] = []
    for at, row in enumerate(rows, 1):
        try:
            found += faults_from_call(row)
        except FaultError as error:
            raise FaultError(f"[[fault]] number {at}: {error}") from error
    return found


def faults_from_call(call: Mapping[str, object]) -> list[Fault]:
    """Return the faults of one object with `kind` and parameters, as the admin port gets it; raises FaultError."""
    kind = call.get("kind")
    if not isinstance(kind, str):
        raise FaultError(f"a fault needs a kind, not {kind!r}; --faults list names them all")
    return _make(kind, {name: value for name, value in call.items() if name not in ("kind", "op")})


def describe() -> str:
    """Return every kind and profile with its meaning and parameters, for `--faults list`."""
    lines: list[str] = []
    group = ""
    for kind in KINDS.values():
        if kind.group != group:
            group = kind.group
            lines += [f"{group}:"]
        lines += _lines(kind)
    lines += ["profiles (NAME:SEED):", *(f"  {name:<20} {meaning}" for name, (meaning, _) in PROFILES.items()), ""]
    return "\n".join(lines) + "\n" + _COMMON


def _make(kind: str, given: Mapping[str, object]) -> list[Fault]:
    if kind not in PROFILES:
        return [make_fault(kind, given)]
    for name in given:
        if name != "seed":
            raise FaultError(f"profile {kind} has no parameter {name!r}; it takes seed")
    seed = str(given.get("seed", 0))
    if not seed.isascii() or not seed.isdigit() or len(seed) > 18:
        raise FaultError(f"profile {kind}: seed is a whole number, not {seed!r}")
    return make_profile(kind, int(seed))


def _lines(kind: Kind) -> list[str]:
    often = f"[{kind.count}x]" if kind.count else "[always]"
    narrowed = ", ".join(kind.filters)
    path = f"; path {kind.path}" if kind.path else ""
    return [
        f"  {kind.name:<20} {kind.meaning} {often}",
        *(f"  {'':<20}   {_usage(param)}" for param in kind.params),
        f"  {'':<20}   narrowed by {narrowed}{path}",
    ]


def _usage(param: Param) -> str:
    if param.choices:
        return f"{param.name}={'|'.join(param.choices)}: {param.meaning} (default {param.default})"
    shown = param.default if param.default != "" else "blank"
    return f"{param.name}=: {param.meaning} (default {shown})"
