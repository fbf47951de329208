"""`kquant init` at a terminal: paper account first, a data key if one likes, nothing written when somebody stops."""

import datetime as dt
import sys

import pytest
from rich.console import Console

from kquant.cli import main
from kquant.cli.keys import read_keys

KEY, SECRET = "PK" + "k" * 34, "s" * 180


@pytest.fixture
def terminal(monkeypatch, tmp_path):
    """A person who types what a test says; the keys file lies in a folder of its own."""
    for name in (
        "KIS_ACCOUNT",
        "KIS_HTS_ID",
        "KIS_APP_KEY",
        "KIS_APP_SECRET",
        "KIS_DATA_APP_KEY",
        "KIS_DATA_APP_SECRET",
    ):
        monkeypatch.delenv(name, raising=False)
    asked = []
    typed = []

    def answer(_, prompt="", *, password=False, **__):
        asked.append((prompt, password))
        text = typed.pop(0)
        if text is KeyboardInterrupt:
            raise KeyboardInterrupt
        return text

    monkeypatch.setattr(Console, "input", answer)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)

    def run(*answers, options=()):
        typed[:] = answers
        path = tmp_path / "keys.toml"
        code = main(["init", "--no-check", "--set", f"broker.keys_file={path}", *options])
        return code, path, asked

    return run


def test_a_person_is_asked_for_the_paper_account_first_and_secrets_are_not_shown(terminal, capsys):
    code, path, asked = terminal("50001234-01", "me", KEY, SECRET, "n")
    assert code == 0
    assert [hidden for _, hidden in asked] == [False, False, True, True, False]
    found = read_keys(path)
    assert (found.paper.account, found.paper.hts_id, found.paper.app_key) == ("50001234-01", "me", KEY)
    assert found.data is found.live is None
    shown = capsys.readouterr()
    assert SECRET not in shown.out + shown.err
    assert KEY not in shown.out + shown.err
    assert "모의투자" in shown.err
    assert "next: kquant run --profile paper" in shown.out


def test_a_day_of_issue_that_nobody_gave_is_told_to_be_a_guess(terminal, capsys):
    """kis-protocol 6 row 26: a key lives a year, and only its owner knows since when."""
    terminal("50001234-01", "me", KEY, SECRET, "n")
    assert "counts as issued today" in capsys.readouterr().out
    _, path, _ = terminal("50001234-01", "me", KEY, SECRET, "n", options=("--issued", "2026-01-15"))
    assert "counts as" not in capsys.readouterr().out
    assert read_keys(path).paper.issued == "2026-01-15"


def test_today_is_the_day_in_korea_wherever_the_machine_stands(terminal, monkeypatch):
    class Evening(dt.datetime):
        """Still 20 November in London, and on a machine that keeps UTC."""

        @classmethod
        def now(cls, tz=None):
            return dt.datetime(2026, 11, 20, 15, 30, tzinfo=dt.UTC).astimezone(tz)

    monkeypatch.setattr("kquant.cli.init.datetime", Evening)
    _, path, _ = terminal("50001234-01", "me", KEY, SECRET, "n")
    assert read_keys(path).paper.issued == "2026-11-21"


@pytest.mark.parametrize("yes", ["y", "예"])
def test_a_real_key_that_only_reads_is_added_on_request(terminal, yes):
    code, path, _ = terminal("50001234-01", "me", KEY, SECRET, yes, "PR" + KEY[2:], "d" * 180)
    assert code == 0
    found = read_keys(path)
    assert found.data.app_key == "PR" + KEY[2:]
    assert found.data.account == ""
    assert found.paper.app_secret == SECRET


def test_other_sections_stay_as_they_were(terminal):
    _, path, _ = terminal("50001234-01", "me", KEY, SECRET, "n")
    code, path, _ = terminal("87654321-01", "me", KEY, SECRET, options=("--profile", "live"))
    assert code == 0
    found = read_keys(path)
    assert (found.paper.account, found.live.account) == ("50001234-01", "87654321-01")


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (("5000-1234",), ""),
        (("50001234-01", KeyboardInterrupt), "nothing was written"),
        (("50001234-01", "me", KEY[:-1], SECRET), "35 characters"),
        (("50001234-01", "me", "", SECRET), "nothing was written"),
    ],
)
def test_a_slip_of_the_keyboard_is_one_line_and_writes_nothing(terminal, capsys, answers, said):
    code, path, _ = terminal(*answers, *["x"] * 4)
    assert code == 2
    assert not path.exists()
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("kquant: ")
    assert said in last


def test_a_script_without_a_terminal_is_told_what_to_give(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    monkeypatch.delenv("KIS_APP_KEY", raising=False)
    code = main(
        [
            "init",
            "--profile",
            "paper",
            "--account",
            "50001234-01",
            "--hts-id",
            "me",
            "--set",
            f"broker.keys_file={tmp_path}/k",
        ]
    )
    assert code == 2
    assert "nobody is there to type: give KIS_APP_KEY" in capsys.readouterr().err
