"""Where days live, and what DAY means on the command line: a date, a day's folder, or `latest`.

`data/<account>/<day>/` holds one day of one account; a second demo run of a day is `<day>.2`, and so on.
"""

from __future__ import annotations

import errno
import re
from datetime import date
from pathlib import Path

from filelock import FileLock, Timeout

from kquant.cli import codes
from kquant.gateways.embedded import Credentials
from kquant.values import KquantError

JOURNAL = "journal.sqlite"
LOCK_SECONDS = 0.5
"""Commands that only look hold the lock for a moment; an instance holds it as long as it runs."""
ACCOUNT_NAME = re.compile(r"^[0-9]{8}-[0-9]{2}$")
DAY_NAME = re.compile(r"^(\d{4}-\d{2}-\d{2})(?:\.(\d+))?$")


class DayError(KquantError):
    """A day that is not there, not readable, or not a date."""


class AlreadyRunning(KquantError):
    """Another instance holds this account's data."""

    exit_code = codes.BUSY


def parse_day(text: str) -> date:
    """Return the date of YYYY-MM-DD. Raises DayError naming the text."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise DayError(f"{text!r} is not a date: write YYYY-MM-DD") from None


def account_name(account: str) -> str:
    """Return the folder name of an account: the account itself, letters, digits and dashes only."""
    name = re.sub(r"[^0-9A-Za-z-]", "-", account)
    if not name.strip("-"):
        raise DayError(f"account {account!r} has no usable characters")
    return name


def masked(account: str) -> str:
    """Return the account as screens and logs show it: 5000****-01."""
    number, dash, product = account.partition("-")
    return f"{number[:4]}{'*' * max(len(number) - 4, 0)}{dash}{product}"


def day_folders(account: Path) -> list[Path]:
    """Return an account's day folders, oldest first."""
    if not account.is_dir():
        return []
    found = [path for path in account.iterdir() if path.is_dir() and DAY_NAME.match(path.name)]
    return sorted(found, key=_order)


def _order(folder: Path) -> tuple[str, int]:
    match = DAY_NAME.match(folder.name)
    if match is None:
        raise DayError(f"{folder} is not a day's folder")
    return match[1], int(match[2] or 1)


def folder_for(account: Path, day: date, number: int) -> Path:
    """Return the folder of the *number*-th run of *day*, from 1."""
    return account / (day.isoformat() if number == 1 else f"{day.isoformat()}.{number}")


def find_day(data: Path, day: str) -> Path:
    """Return the folder DAY names: a path to one, a date (its newest run), or `latest` (written to most recently)."""
    direct = Path(day)
    if (direct / JOURNAL).is_file():
        return direct
    folders = [folder for account in _accounts(data) for folder in day_folders(account) if (folder / JOURNAL).is_file()]
    if not folders:
        raise DayError(f"no day in {data}: run `kquant run` first, or name another folder with --data")
    if day == "latest":
        return max(folders, key=lambda folder: ((folder / JOURNAL).stat().st_mtime_ns, _order(folder)))
    if DAY_NAME.match(day):
        exact = [folder for folder in folders if folder.name == day]
        runs = [folder for folder in folders if _order(folder)[0] == day]
        if "." in day and exact:
            return exact[-1]
        if runs and "." not in day:
            return max(runs, key=_order)
        known = ", ".join(sorted({folder.name for folder in folders})[-5:])
        raise DayError(f"no day {day} in {data}: there is {known}")
    if direct.exists():
        raise DayError(f"{day} holds no journal: name a day's folder, a date or `latest`")
    raise DayError(f"{day!r} is neither a date, a day's folder nor `latest`")


def _accounts(data: Path) -> list[Path]:
    if not data.is_dir():
        return []
    return sorted(path for path in data.iterdir() if path.is_dir())


def account_folders(data: Path, account: str | None) -> list[Path]:
    """Return the folders of the accounts that have any, or of the one named, which may be new. Raises DayError.

    Where there is none yet it is the embedded exchange's: it can be halted before its first day.
    """
    if account is not None:
        if ACCOUNT_NAME.match(account) is None:
            raise DayError(f"--account {account} is no account: write it as 12345678-01")
        return [data / account]
    found = [folder for folder in _accounts(data) if ACCOUNT_NAME.match(folder.name)]
    return found or [data / Credentials().account]


def one_account(data: Path, account: str | None, command: str, *, running: bool = False) -> Path:
    """Return the one account's folder a command is for. Raises DayError that lists them if there are several.

    running: an instance that runs decides between them.
    """
    found = account_folders(data, account)
    if running and len(found) > 1:
        found = [folder for folder in found if is_running(folder)] or found
    if len(found) > 1:
        names = ", ".join(folder.name for folder in found)
        raise DayError(f"{data} holds several accounts: say `kquant {command} --account` with one of {names}")
    return found[0]


def is_running(account: Path) -> bool:
    """Tell whether an instance holds the account's lock right now.

    Another user's lock cannot be tried: it counts as held, so that the instance is asked and the answer says whose it is.
    """
    lock = FileLock(account / "lock", timeout=0)
    if not (account / "lock").exists():
        return False
    try:
        with lock:
            return False
    except (Timeout, PermissionError):
        return True
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return False  # nobody trades in a folder that cannot be written


def take_lock(account: Path) -> FileLock:
    """Lock the account for this process. Raises AlreadyRunning, or DayError if the folder cannot be written."""
    lock = FileLock(account / "lock", timeout=LOCK_SECONDS)
    try:
        account.mkdir(parents=True, exist_ok=True)
        probe = account / ".writable"
        probe.touch()
        probe.unlink()
        lock.acquire()
    except Timeout:
        raise AlreadyRunning(f"another kquant runs on {account}: stop it, or use another --data folder") from None
    except OSError as error:
        raise DayError(f"cannot write to {account}: {error.strerror or error}") from None
    return lock
