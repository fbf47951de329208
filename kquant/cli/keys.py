"""An account's keys: from the environment, else from the owner-only file that `kquant init` writes.

The file is TOML with a section a purpose: `paper` and `live` trade, `data` reads what the paper service lacks. Keys are
never settings and never printed; an error names the variable or the section, not the value.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from kquant.settings import BrokerSettings
from kquant.values import KquantError

Purpose = Literal["paper", "live", "data"]
PURPOSES: tuple[Purpose, ...] = ("paper", "live", "data")
ACCOUNT = re.compile(r"[0-9]{8}-[0-9]{2}")
KEY_CHARACTERS = 36
SECRET_CHARACTERS = 180
KEY_LIFE = timedelta(days=365)
WARN_BEFORE = timedelta(days=30)


class KeysError(KquantError):
    """Keys are missing or malformed. The message names which, and what to do."""


class Keys(Struct, frozen=True, kw_only=True):
    """What one purpose signs in with. account: "12345678-01", "" for data.   issued: ISO date of the app key, "" unknown."""

    account: str = ""
    hts_id: str = ""
    app_key: str
    app_secret: str
    issued: str = ""

    def __repr__(self) -> str:
        return f"Keys({self.account[:4]}…, hidden)"


class KeysFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys file's sections."""

    paper: Keys | None = None
    live: Keys | None = None
    data: Keys | None = None


def keys_path(broker: BrokerSettings) -> Path:
    """Return where the keys file lies."""
    return Path(broker.keys_file).expanduser()


def read_keys(path: Path) -> KeysFile:
    """Return the keys file; an absent one has no sections. Raises KeysError, also when others may read it."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return KeysFile()
    except (OSError, UnicodeDecodeError) as error:
        raise KeysError(f"cannot read the keys file {path}: {getattr(error, 'strerror', None) or error}") from None
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeysError(f"the keys file {path} can be read by others: chmod 600 {path}")
    try:
        return msgspec.convert(tomllib.loads(text), KeysFile)
    except tomllib.TOMLDecodeError as error:
        raise KeysError(f"the keys file {path} is not valid TOML: line {_line(error)}") from None
    except msgspec.ValidationError as error:
        raise KeysError(f"the keys file {path} is not what it should be: {_without_values(str(error))}") from None


def write_keys(path: Path, keys: KeysFile) -> None:
    """Write the keys file, whole or not at all, for its owner's eyes only."""
    lines = ["# Keys for KIS, written by `kquant init`. Keep this file to yourself."]
    for purpose in PURPOSES:
        section: Keys | None = getattr(keys, purpose)
        if section is None:
            continue
        lines += ["", f"[{purpose}]"]
        lines += [f"{name} = {_quoted(getattr(section, name))}" for name in section.__struct_fields__]
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise KeysError(f"cannot write the keys file {path}: {error.strerror or error}") from None


def trading_keys(profile: Literal["paper", "live"], broker: BrokerSettings, environ: Mapping[str, str]) -> Keys:
    """Return the keys the profile trades with. Raises KeysError that names every one that is missing or malformed."""
    names = {
        "account": broker.account_env,
        "hts_id": broker.hts_id_env,
        "app_key": broker.app_key_env,
        "app_secret": broker.app_secret_env,
    }
    keys = _from_environment(names, environ) or getattr(read_keys(keys_path(broker)), profile)
    if keys is None:
        raise KeysError(
            f"no keys for profile {profile}: run `kquant init --profile {profile}`, or set {', '.join(names.values())}"
        )
    check_keys(keys, profile)
    return keys


def data_keys(broker: BrokerSettings, environ: Mapping[str, str]) -> Keys | None:
    """Return the real key that reads what the paper service lacks, None without one."""
    names = {"app_key": broker.data_app_key_env, "app_secret": broker.data_app_secret_env}
    keys = _from_environment(names, environ) or read_keys(keys_path(broker)).data
    if keys is not None:
        check_keys(keys, "data")
    return keys


def check_keys(keys: Keys, purpose: Purpose) -> None:
    """Refuse what KIS would refuse by its form alone (kis-protocol 1.1, 1.2). Raises KeysError."""
    if purpose != "data":
        if ACCOUNT.fullmatch(keys.account) is None:
            raise KeysError(f"the {purpose} account is not written 12345678-01 (eight digits, dash, two digits)")
        if not keys.hts_id or not keys.hts_id.isprintable() or any(sign in keys.hts_id for sign in "$@ "):
            raise KeysError(f"the {purpose} HTS id is missing or holds $, @ or a space, which KIS's feed cannot take")
    if len(keys.app_key) != KEY_CHARACTERS or not keys.app_key.isascii():
        raise KeysError(f"the {purpose} app key has {len(keys.app_key)} characters, KIS's have {KEY_CHARACTERS}")
    if len(keys.app_secret) != SECRET_CHARACTERS or not keys.app_secret.isascii():
        raise KeysError(
            f"the {purpose} app secret has {len(keys.app_secret)} characters, KIS's have {SECRET_CHARACTERS}"
        )
    if keys.issued:
        issued_on(keys)


def issued_on(keys: Keys) -> date | None:
    """Return the day the app key was issued, None if nobody wrote it down. Raises KeysError."""
    try:
        return date.fromisoformat(keys.issued) if keys.issued else None
    except ValueError:
        raise KeysError(f"issued = {keys.issued!r} is not a date: write YYYY-MM-DD") from None


def expiry_warning(keys: Keys, today: date) -> str | None:
    """Return a warning when the app key's year ends within 30 days, or has ended."""
    issued = issued_on(keys)
    if issued is None:
        return None
    ends = issued + KEY_LIFE
    if today < ends - WARN_BEFORE:
        return None
    return f"the app key ends on {ends}: renew it at KIS Developers, then run `kquant init` again"


def _from_environment(names: Mapping[str, str], environ: Mapping[str, str]) -> Keys | None:
    """Return the keys of the environment, None if it has none of them. Raises KeysError if it has some."""
    found = {field: environ[name].strip() for field, name in names.items() if environ.get(name, "").strip()}
    if not found:
        return None
    missing = [name for field, name in names.items() if field not in found]
    if missing:
        raise KeysError(f"the environment has some keys but not {', '.join(missing)}: set all of them, or none")
    return Keys(**found)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _line(error: tomllib.TOMLDecodeError) -> str:
    found = re.search(r"at line (\d+)", str(error))
    return found[1] if found else "unknown"


def _without_values(text: str) -> str:
    return re.sub(r"'[^']*'", "…", text)
