"""What the last gate before the broker asks: whether entries are halted, and whether the account is armed for today.

Both answers lie in files beside the days, so that a person can give them with or without a running program: `HALT` stops
entries, and without a valid `ARMED` no order leaves a real account (`reliability` C1 Knight, D65, X4).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from datetime import date
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from kquant.settings import Settings
from kquant.values import KquantError, Micros, to_kst

HALT_FILE = "HALT"
ARMED_FILE = "ARMED"
REASON_LENGTH = 200


class ArmingError(KquantError):
    """The arming cannot be written or taken back."""


def plain(text: str) -> str:
    """Return what a person or a file says as one printable line of bounded length: it goes to screens and the log."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[: 10 * REASON_LENGTH]).split())[:REASON_LENGTH]


class HaltFlag:
    """May a new entry leave? Set in memory by the operator, or by a file by anyone."""

    def __init__(self, account_folder: Path) -> None:
        self._file = account_folder / HALT_FILE
        self._memory = False

    def is_halted(self) -> bool:
        """Tell, from memory and file, whether entries are halted. A file that cannot be looked for halts too."""
        return self._memory or self.has_file()

    def is_remembered(self) -> bool:
        """Tell whether memory alone halts, which follows the journal."""
        return self._memory

    def has_file(self) -> bool:
        """Tell whether the file lies there, or may lie there: a folder that cannot be read answers nothing."""
        try:
            self._file.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return True

    def set(self, *, halted: bool) -> None:
        """Follow what the journal says."""
        self._memory = halted

    def write(self, reason: str) -> None:
        """Halt by file; needs no running program. Raises OSError where no file lies there afterwards.

        Whatever lies there already halts as it is: it may be another user's, a folder or a pipe. So does a file that a
        full disk leaves empty.
        """
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            if self._is_file() or not os.path.lexists(self._file):
                self._file.write_text(plain(reason) + "\n", encoding="utf-8")
        except OSError:
            if not os.path.lexists(self._file):
                raise

    def clear(self) -> None:
        """Remove the file."""
        self._file.unlink(missing_ok=True)

    def reason(self) -> str:
        """Return the file's reason in one line, empty without a file or where it cannot be read."""
        try:
            if not self._is_file():
                return ""  # opening a pipe would wait for whoever writes to it
            with self._file.open("rb") as file:
                return plain(file.read(10 * REASON_LENGTH).decode(errors="replace"))
        except OSError:
            return ""

    def _is_file(self) -> bool:
        try:
            return stat.S_ISREG(self._file.lstat().st_mode)
        except OSError:
            return False


class Armed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The arming file. day: ISO date.   account: its fingerprint.   limits: digest of what the person was shown."""

    day: str
    account: str
    limits: str
    who: str


def fingerprint(account: str) -> str:
    """Return what stands for an account ("12345678-01") in its arming file."""
    return hashlib.sha256(f"kquant account {account}".encode()).hexdigest()[:32]


def limits_digest(settings: Settings) -> str:
    """Return the digest of every setting that bounds what orders may do: risk, exits, and the broker they go to."""
    bounds = [settings.risk, settings.exits, settings.broker]
    return hashlib.sha256(msgspec.json.encode(bounds, order="sorted")).hexdigest()[:32]


class Arming:
    """A real account's permission for one day. limits: digest of the settings this process goes by."""

    def __init__(self, account_folder: Path, account: str, limits: str) -> None:
        self._file = account_folder / ARMED_FILE
        self._account = fingerprint(account)
        self.limits = limits
        self._withdrawn: tuple[int, int] | None = None

    def why_not(self, day: date) -> str:
        """Return "" if orders may leave on *day* (KST), else why not. The file is looked at anew each time."""
        try:
            found = os.lstat(self._file)
            if self._withdrawn == _identity(found):
                return "disarmed"
            if not stat.S_ISREG(found.st_mode):
                return f"{ARMED_FILE} is not a plain file"
            if os.name == "posix" and (found.st_uid != os.getuid() or found.st_mode & 0o077):
                return f"{ARMED_FILE} is not its owner's alone: arm again"
            armed = msgspec.json.decode(self._file.read_bytes(), type=Armed)
        except FileNotFoundError:
            return "not armed"
        except (OSError, msgspec.DecodeError):
            return f"{ARMED_FILE} cannot be read: arm again"
        if armed.day != day.isoformat():
            return f"armed for {armed.day}, not for {day.isoformat()}"
        if armed.account != self._account:
            return "armed for another account"
        return "" if armed.limits == self.limits else "the limits changed since it was armed"

    def who(self) -> str:
        """Return who armed it, for the record of an arming that `why_not` found good."""
        return msgspec.json.decode(self._file.read_bytes(), type=Armed).who

    def write(self, day: date, who: str) -> None:
        """Arm the account for *day*, whole or not at all, in a file for its owner alone. Raises ArmingError."""
        armed = Armed(day=day.isoformat(), account=self._account, limits=self.limits, who=who)
        part = self._file.with_name(self._file.name + ".part")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(armed))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._file)
        except OSError as error:
            raise ArmingError(f"cannot arm: {self._file}: {error.strerror or error}") from None

    def withdraw(self) -> None:
        """Disarm: from here on in this process, even if the file cannot be removed. Raises ArmingError then."""
        with contextlib.suppress(OSError):
            self._withdrawn = _identity(os.lstat(self._file))
        withdraw(self._file.parent)


def withdraw(account_folder: Path) -> bool:
    """Remove an account's arming; return whether there was one. Needs no running program. Raises ArmingError."""
    file = account_folder / ARMED_FILE
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ArmingError(f"cannot disarm: remove {file} by hand ({error.strerror or error})") from None
    return True


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_ino, found.st_mtime_ns


class Now(Protocol):
    """The run's clock."""

    def now(self) -> Micros:
        """Return the instant."""


class LastGate:
    """Asked synchronously before each POST. arming: None where there is no real money to guard."""

    def __init__(self, halt: HaltFlag, arming: Arming | None, clock: Now) -> None:
        self.halt = halt
        self.arming = arming
        self._clock = clock

    def is_halted(self) -> bool:
        """Tell whether entries are halted."""
        return self.halt.is_halted()

    def is_armed(self) -> bool:
        """Tell whether orders may leave."""
        return self.why_not_armed() == ""

    def why_not_armed(self) -> str:
        """Return "" if orders may leave today, else why not."""
        return "" if self.arming is None else self.arming.why_not(self.today())

    def today(self) -> date:
        """Return the day (KST) by the run's clock."""
        return to_kst(self._clock.now()).date()
