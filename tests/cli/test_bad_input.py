"""Bad input: one clear line on standard error, the documented exit code, nothing damaged."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from kquant.cli import codes, main

ROOT = Path(__file__).parents[2]


def kquant(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kquant", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONUTF8": "1", **environ},
    )


def here(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command that starts nothing in this process: the same answers, sooner."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, (done.stdout, done.stderr)
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("kquant: ")
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--market", "{tmp}/nowhere"), ("nowhere", "market import")),
        (("--market", "{tmp}/file"), ("file", "market import")),
        (("--market", "{tmp}/unreadable"), ("cannot read the market day", "unreadable")),
        (("--day", "2026-11-21"), ("closed on 2026-11-21",)),
        (("--day", "2026-12-25"), ("closed on 2026-12-25",)),
        (("--day", "2031-01-06"), ("2031-01-06", "calendar")),
        (("--day", "tomorrow"), ("--day",)),
        (("--day", "2026-02-30"), ("2026-02-30", "YYYY-MM-DD")),
        (("--speed", "fast"), ("--speed fast", "max")),
        (("--speed", "0"), ("--speed 0",)),
        (("--speed", "nan"), ("--speed nan",)),
        (("--set", "demo.stock=3"), ("demo.stock", "--set", "demo.stocks")),
        (("--set", "demo.stocks=many"), ("demo.stocks", "--set")),
        (("--set", "slots.capacity=42"), ("slots.capacity", "41")),
        (("--set", "demo"), ("section.key=value",)),
        (("--profile", "paper"), ("paper", "kquant init --profile paper")),
        (("--profile", "live"), ("live", "kquant init --profile live")),
        (("--profile", "dem"), ("dem", "demo, live, paper")),
        (("--config", "{tmp}/none.toml"), ("none.toml",)),
        (("--config", "{tmp}/file"), ("file",)),
        (("--unknown",), ("--unknown",)),
        (("--data", "{tmp}/file/below"), ("cannot write to", "below")),
    ],
)
def test_run_refuses_bad_input_by_name_and_begins_no_day(tmp_path, arguments, words):
    (tmp_path / "file").write_text("neither a market nor settings")
    (tmp_path / "unreadable").mkdir()
    (tmp_path / "unreadable" / "meta.json").write_text("{")
    data = tmp_path / "data"
    given = [text.format(tmp=tmp_path) for text in arguments]
    refused(kquant("run", "--data", data, *given) if "--data" not in given else kquant("run", *given), 2, *words)
    assert not list(tmp_path.rglob("journal.sqlite"))
    assert (tmp_path / "file").read_text() == "neither a market nor settings"


def test_an_unknown_setting_in_the_environment_is_refused_by_name():
    refused(kquant("config", "check", KQUANT_RISK__NOPE="3"), 2, "risk.nope", "KQUANT_RISK__NOPE")


def test_an_unknown_setting_in_a_file_is_refused_by_name(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text("[slots]\ncapcity = 40\n")
    refused(here("config", "check", "--config", mine), 2, "slots.capcity", "mine.toml", "slots.capacity")


@pytest.mark.parametrize(
    "command",
    [
        ("replay", "rebuild", "{day}"),
        ("replay", "verify", "{day}"),
        ("events", "{day}"),
        ("why", "{day}", "005930"),
    ],
)
@pytest.mark.parametrize("day", ["latest", "2026-11-20", "2026-13-40", "yesterday"])
def test_commands_that_read_a_day_refuse_one_that_is_not_there(tmp_path, command, day):
    done = here(*(text.format(day=day) for text in command), "--data", tmp_path)
    refused(done, 2, str(tmp_path), "kquant run")


def test_a_journal_that_is_no_database_is_refused(tmp_path):
    day = tmp_path / "50001234-01" / "2026-11-20"
    day.mkdir(parents=True)
    (day / "journal.sqlite").write_bytes(b"not a database at all, but long enough to have a header" * 20)
    before = (day / "journal.sqlite").read_bytes()
    refused(here("events", "2026-11-20", "--data", tmp_path), 2, "journal.sqlite")
    refused(kquant("run", "--data", tmp_path), 2, "journal.sqlite")
    assert (day / "journal.sqlite").read_bytes() == before


def test_a_folder_without_a_journal_is_no_day(tmp_path):
    (tmp_path / "50001234-01" / "2026-11-20").mkdir(parents=True)
    refused(here("replay", "verify", tmp_path, "--data", tmp_path), 2, "no day")


def test_status_without_a_running_instance_is_code_3(tmp_path):
    refused(here("status", "--data", tmp_path), codes.BUSY, "no running instance")


@pytest.mark.parametrize(
    ("command", "words"), [("halt", ("cannot write to", "NOT halted")), ("resume", ("cannot remove", "HALT"))]
)
def test_halt_and_resume_refuse_a_folder_they_cannot_write(tmp_path, command, words):
    (tmp_path / "file").touch()
    refused(here(command, "--data", tmp_path / "file" / "below"), 2, *words)


@pytest.mark.parametrize("command", ["halt", "resume", "flatten", "disarm", "status"])
@pytest.mark.parametrize("account", ["5000", "50001234", "../../x", "", "50001234-1"])
def test_a_mistyped_account_is_refused_and_leaves_no_folder(tmp_path, command, account):
    """A halt of an account that is not there would look like one that holds."""
    refused(here(command, "--data", tmp_path, "--account", account), 2, f"--account {account}", "12345678-01")
    assert list(tmp_path.iterdir()) == []


def test_a_second_instance_on_the_same_data_is_refused_with_code_3(tmp_path):
    from kquant.cli.days import take_lock

    lock = take_lock(tmp_path / "50001234-01")
    try:
        refused(kquant("run", "--data", tmp_path), codes.BUSY, "another kquant runs on", str(tmp_path))
    finally:
        lock.release()
    assert not list(tmp_path.rglob("journal.sqlite"))


@pytest.mark.parametrize("arguments", [("halt", "now"), ("flatten", "005930", "now"), ("status", "now")])
def test_a_word_too_many_is_named_and_nothing_is_done(tmp_path, arguments):
    refused(here(*arguments, "--data", tmp_path), 2, "'now'", "--help")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_command_is_refused_with_the_known_ones():
    refused(here("trade"), 2, "trade", "run")


@pytest.mark.parametrize(
    "command",
    [
        *((), ("run",), ("halt",), ("resume",), ("status",), ("events",), ("why",)),
        *(("replay",), ("replay", "rebuild"), ("replay", "verify"), ("config", "check"), ("config", "show")),
        *(("market",), ("market", "import")),
    ],
)
def test_every_command_explains_itself(command):
    done = here(*command, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout
    assert done.stderr == ""
    if command and command[-1] not in {"replay", "market"}:
        assert "--json" in done.stdout


def test_json_answers_are_json_documents(tmp_path):
    halted = msgspec.json.decode(here("halt", "--data", tmp_path, "--json").stdout)
    assert halted == {"halted": True, "recorded": None}
    assert list(tmp_path.glob("*/HALT"))
    resumed = msgspec.json.decode(here("resume", "--data", tmp_path, "--json").stdout)
    assert resumed == {"halted": False, "recorded": None}
    assert not list(tmp_path.glob("*/HALT"))
    checked = msgspec.json.decode(here("config", "check", "--json").stdout)
    assert checked["ok"] is True
    rows = msgspec.json.decode(here("config", "show", "--set", "demo.seed=7", "--json").stdout)
    assert {"key": "demo.seed", "value": 7, "origin": "--set"} in rows


def test_the_exit_codes_are_what_scripts_rely_on():
    assert (codes.OK, codes.DIFFERS, codes.BAD_INPUT, codes.BUSY, codes.FAILED, codes.INTERRUPTED) == (
        0,
        1,
        2,
        3,
        4,
        130,
    )


def test_run_py_is_the_same_program():
    done = subprocess.run(
        [sys.executable, "run.py", "config", "check"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert done.stdout == kquant("config", "check").stdout


def test_a_research_table_is_gathered_for_paper_and_live_on_a_trading_day_only(tmp_path, monkeypatch):
    for name, value in (("ACCOUNT", "12345678-01"), ("HTS_ID", "me"), ("APP_KEY", "k" * 36), ("APP_SECRET", "s" * 180)):
        monkeypatch.setenv(f"KIS_{name}", value)
    build = ("research", "build", "--data", tmp_path / "data")
    refused(here(*build, "--profile", "demo"), codes.BAD_INPUT, "demo", "--profile paper or live")
    refused(here(*build, "--day", "tomorrow"), codes.BAD_INPUT, "--day tomorrow", "2026-11-20")
    refused(here(*build, "--day", "2026-12-25"), codes.BAD_INPUT, "closed on 2026-12-25", "--day")
    assert not (tmp_path / "data" / "research").exists()
