"""The last gate's two files: `HALT` stops entries, and only a valid `ARMED` lets a real account's orders leave."""

from __future__ import annotations

import os
from datetime import date, time
from pathlib import Path

import msgspec
import pytest

from kquant.config import load
from kquant.gateways.clock import SteppedClock
from kquant.gateways.lastgate import Arming, ArmingError, HaltFlag, LastGate, limits_digest, withdraw
from kquant.values import from_kst

TODAY, TOMORROW = date(2026, 11, 23), date(2026, 11, 24)
ACCOUNT, OTHER = "12345678-01", "87654321-01"
OWNED_BY_SOMEBODY = pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")


def arming(folder: Path, account: str = ACCOUNT, limits: str = "limits") -> Arming:
    return Arming(folder, account, limits)


def armed(folder: Path) -> Arming:
    made = arming(folder)
    made.write(TODAY, "me")
    return made


def test_nothing_is_armed_by_itself(tmp_path):
    assert arming(tmp_path).why_not(TODAY) == "not armed"
    assert arming(tmp_path / "not" / "there").why_not(TODAY) == "not armed"


def test_an_arming_holds_for_that_day_alone(tmp_path):
    armed(tmp_path)
    assert arming(tmp_path).why_not(TODAY) == ""
    assert arming(tmp_path).why_not(TOMORROW) == "armed for 2026-11-23, not for 2026-11-24"


def test_an_arming_holds_for_that_account_alone(tmp_path):
    armed(tmp_path)
    assert arming(tmp_path, account=OTHER).why_not(TODAY) == "armed for another account"
    assert ACCOUNT not in (tmp_path / "ARMED").read_text()


def test_an_arming_holds_for_the_limits_that_were_shown(tmp_path):
    armed(tmp_path)
    assert arming(tmp_path, limits="other").why_not(TODAY) == "the limits changed since it was armed"


@pytest.mark.parametrize(
    "change", ["risk.max_order_krw=1000000", "exits.stop_loss_bp=1", "broker.rest_url=http://127.0.0.1:1", "risk.confirm_price=false"]
)  # fmt: skip
def test_every_limit_and_the_broker_count_among_what_was_shown(change):
    key, _, text = change.partition("=")
    value: object = text if text.startswith("http") else msgspec.json.decode(text.encode())
    before, after = (load("live", environ={}, sets=sets).settings for sets in ({}, {key: value}))
    assert limits_digest(before) != limits_digest(after)
    assert limits_digest(before) == limits_digest(load("live", environ={}, sets={"slots.capacity": 20}).settings)


@OWNED_BY_SOMEBODY
def test_the_arming_is_its_owners_alone(tmp_path):
    made = armed(tmp_path)
    file = tmp_path / "ARMED"
    assert file.stat().st_mode & 0o777 == 0o600
    for mode in (0o644, 0o620, 0o602):
        file.chmod(mode)
        assert "not its owner's alone" in made.why_not(TODAY)
    file.chmod(0o600)
    assert made.why_not(TODAY) == ""


def test_a_link_is_no_arming(tmp_path):
    made = armed(tmp_path)
    (tmp_path / "ARMED").rename(tmp_path / "elsewhere")
    (tmp_path / "ARMED").symlink_to(tmp_path / "elsewhere")
    assert made.why_not(TODAY) == "ARMED is not a plain file"


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\xff", b'{"day":"2026-11-23"}', b'{"day":1,"account":"","limits":"","who":""}']
)
def test_a_file_that_is_no_arming_arms_nothing(tmp_path, content):
    made = armed(tmp_path)
    (tmp_path / "ARMED").write_bytes(content)
    assert made.why_not(TODAY) == "ARMED cannot be read: arm again"


def test_a_file_copied_from_another_day_by_hand_arms_nothing(tmp_path):
    made = armed(tmp_path)
    kept = (tmp_path / "ARMED").read_bytes()
    made.withdraw()
    (tmp_path / "ARMED").write_bytes(kept)
    (tmp_path / "ARMED").chmod(0o600)
    assert made.why_not(TOMORROW) == "armed for 2026-11-23, not for 2026-11-24"


def test_disarming_needs_no_running_program_and_counts_at_once(tmp_path):
    made = armed(tmp_path)
    assert withdraw(tmp_path)
    assert made.why_not(TODAY) == "not armed"
    assert not withdraw(tmp_path)


def test_a_file_that_cannot_be_removed_counts_no_longer_in_this_process(tmp_path, monkeypatch):
    made = armed(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        with pytest.raises(ArmingError, match=r"remove .*ARMED by hand"):
            made.withdraw()
    assert made.why_not(TODAY) == "disarmed"
    made.write(TODAY, "me")
    assert made.why_not(TODAY) == ""


def test_the_gate_asks_for_the_day_of_the_runs_clock(tmp_path):
    clock = SteppedClock(from_kst(TODAY, time(23, 59, 59)))
    gate = LastGate(HaltFlag(tmp_path), armed(tmp_path), clock)
    assert gate.is_armed()
    clock.set(from_kst(TOMORROW, time(0, 0)))
    assert not gate.is_armed()
    assert LastGate(HaltFlag(tmp_path), None, clock).is_armed(), "there is no real money to guard"


def test_a_folder_that_cannot_be_looked_into_halts(tmp_path, monkeypatch):
    flag = HaltFlag(tmp_path)
    assert not flag.is_halted()

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "lstat", refuse)
    assert flag.is_halted()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"two\nlines\n", "two lines"),
        (b"a\x1b[31mred\x00\x07 b", "a [31mred b"),
        ("급락\u202e".encode(), "급락"),
        (b"x" * 3_000_000, "x" * 200),
    ],
)
def test_a_reason_is_one_printable_line_of_bounded_length(tmp_path, said, shown):
    """It goes to the log, the alerts and a terminal."""
    (tmp_path / "HALT").write_bytes(said)
    assert HaltFlag(tmp_path).reason() == shown
    HaltFlag(tmp_path).write(said.decode())
    assert (tmp_path / "HALT").read_text(encoding="utf-8") == shown + "\n"


@OWNED_BY_SOMEBODY
def test_what_lies_there_already_halts_as_it_is_and_is_never_waited_for(tmp_path):
    """A pipe without a writer would stop whoever opens it; a link would be written through."""
    flag = HaltFlag(tmp_path)
    for make in (os.mkfifo, Path.mkdir, lambda path: path.symlink_to(tmp_path / "precious")):
        (tmp_path / "precious").write_text("kept")
        make(tmp_path / "HALT")
        flag.write("by hand")
        assert flag.is_halted()
        assert flag.reason() == ""
        assert (tmp_path / "precious").read_text() == "kept"
        (tmp_path / "HALT").rmdir() if (tmp_path / "HALT").is_dir() else (tmp_path / "HALT").unlink()


def test_a_file_that_a_full_disk_leaves_empty_halts_and_is_no_error(tmp_path, monkeypatch):
    def full(path: Path, *_: object, **__: object) -> None:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    HaltFlag(tmp_path).write("by hand")
    assert HaltFlag(tmp_path).is_halted()


def test_a_file_halts_whatever_is_in_it(tmp_path):
    flag = HaltFlag(tmp_path)
    (tmp_path / "HALT").write_bytes(b"\xff\xfe")
    assert flag.is_halted()
    assert isinstance(flag.reason(), str)
    flag.clear()
    (tmp_path / "HALT").mkdir()
    assert flag.is_halted()
    assert flag.reason() == ""
