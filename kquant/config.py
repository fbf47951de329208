"""Settings from files, the environment and the command line, each with where it came from.

Order, later wins: `config/default.toml` with the dated tables, the profile, the user's file, `KQUANT_*` variables,
command-line overrides. An unknown or mistyped key is refused by name.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from kquant.hours import table_faults
from kquant.settings import Settings
from kquant.values import KquantError

Tree = dict[str, Any]
NOT_SETTINGS = frozenset({"KQUANT_SHARED_DATA", "KQUANT_REQUIRE_SHARED_DATA"})
"""Variables of the tests, which say where real market data lies."""
TABLES = ("ticks.toml", "fees.toml", "calendar.toml", "sessions.toml", "limits.toml", "models.toml")


class ConfigError(KquantError):
    """A setting that is unknown, of the wrong type or out of range. The message names it."""


@dataclass(frozen=True)
class Loaded:
    """Settings, and for each dotted key the file, variable or option that set it."""

    settings: Settings
    origins: Mapping[str, str]


def config_folder() -> Path:
    """Return the folder with the packaged settings: beside the package in a wheel, at the root of a checkout."""
    packaged = Path(__file__).parent / "_config"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "config"


def load(
    profile: str = "demo",
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    sets: Mapping[str, Any] | None = None,
) -> Loaded:
    """Return the settings of *profile*. overrides, sets: dotted key to value, from options of their own and from --set.

    Raises ConfigError naming the key, the value and where it came from.
    """
    folder = config_folder()
    tree: Tree = {}
    origins: dict[str, str] = {}
    _merge(tree, origins, _read(folder / "default.toml"), "default.toml")
    for name in TABLES:
        _merge(tree, origins, _read(folder / name), name)
    known = dict(origins)
    profiles = sorted(path.stem for path in folder.glob("*.toml") if path.name not in {*TABLES, "default.toml"})
    if profile not in profiles:
        raise ConfigError(f"unknown profile {profile!r}: choose one of {', '.join(profiles)}")
    layers = [(f"{profile}.toml", _read(folder / f"{profile}.toml"))]
    if file is not None:
        layers.append((str(file), _read(file)))
    layers.extend(_from_environment(os.environ if environ is None else environ))
    layers.extend((f"--{key.rsplit('.', 1)[-1]}", _nested(key, value)) for key, value in (overrides or {}).items())
    layers.extend(("--set", _nested(key, value)) for key, value in (sets or {}).items())
    for origin, layer in layers:
        _refuse_unknown(layer, known, origin)
        _merge(tree, origins, layer, origin)
    return Loaded(_convert(tree, origins), origins)


def _convert(tree: Tree, origins: Mapping[str, str]) -> Settings:
    try:
        settings = msgspec.convert(tree, Settings)
    except msgspec.ValidationError as error:
        where = str(error).rpartition("`$.")[2].rstrip("`")
        origin = origins.get(where, "")
        raise ConfigError(f"{error}{f' (set in {origin})' if origin else ''}") from None
    for name, bands in (("ticks", settings.krx.ticks), ("fund_ticks", settings.krx.fund_ticks)):
        prices = [band.from_price for band in bands]
        if prices != sorted(set(prices)):
            raise ConfigError(f"krx.{name} must ascend by from_price")
    dates = [table.since for table in settings.krx.costs]
    if dates != sorted(set(dates)):
        raise ConfigError("krx.costs must ascend by since")
    for environment in ("real", "paper"):
        begin = [table.since for table in settings.broker.limits if table.environment == environment]
        if not begin or begin != sorted(set(begin)):
            raise ConfigError(f"broker.limits of the {environment} service must be there and ascend by since")
    faults = table_faults(settings.krx)
    if faults:
        raise ConfigError(faults[0])
    return settings


def _read(path: Path) -> Tree:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read settings file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"settings file {path} is not valid TOML: {error}") from None


def _merge(tree: Tree, origins: dict[str, str], layer: Tree, origin: str, prefix: str = "") -> None:
    for key, value in layer.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            below = tree.setdefault(key, {})
            if not isinstance(below, dict):
                raise ConfigError(f"{name} is a single value, not a section (set in {origin})")
            _merge(below, origins, value, origin, f"{name}.")
        else:
            tree[key] = value
            origins[name] = origin


def _refuse_unknown(layer: Tree, known: Mapping[str, str], origin: str, prefix: str = "") -> None:
    sections = {name.rpartition(".")[0] for name in known}
    sections |= {section.rpartition(".")[0] for section in set(sections)}
    for key, value in layer.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and name in sections:
            _refuse_unknown(value, known, origin, f"{name}.")
        elif name not in known:
            near = difflib.get_close_matches(name, [*known, *sections], n=1)
            hint = f": did you mean {near[0]}?" if near and near[0] else ""
            raise ConfigError(f"unknown setting {name} in {origin}{hint}")


def _from_environment(environ: Mapping[str, str]) -> list[tuple[str, Tree]]:
    """Read KQUANT_SECTION__KEY=value; the value is TOML, a bare word is text."""
    layers: list[tuple[str, Tree]] = []
    for name in sorted(environ):
        if not name.startswith("KQUANT_") or name in NOT_SETTINGS:
            continue
        if "__" not in name:
            raise ConfigError(f"variable {name} names no setting: write KQUANT_SECTION__KEY, with two underscores")
        key = name.removeprefix("KQUANT_").lower().replace("__", ".")
        layers.append((name, _nested(key, parse_value(environ[name]))))
    return layers


def parse_value(text: str) -> Any:
    """Return a setting written as text: TOML where it is TOML (5, true, "x"), else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _nested(key: str, value: Any) -> Tree:
    tree: Tree = value
    for part in reversed(key.split(".")):
        tree = {part: tree}
    return tree
