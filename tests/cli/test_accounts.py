"""halt, resume and status find their account: the one there is, the one that runs, or the one that is named."""

import socket
import threading
from pathlib import Path

import pytest

from kquant.cli import days, main, operate
from kquant.cli.days import DayError, account_folders, one_account, take_lock
from kquant.gateways.lastgate import HaltFlag

DEMO, PAPER = "50001234-01", "50009876-01"


def test_without_any_day_the_demo_account_is_meant(tmp_path):
    assert [folder.name for folder in account_folders(tmp_path, None)] == [DEMO]
    assert [folder.name for folder in account_folders(tmp_path, PAPER)] == [PAPER]


def test_halt_without_an_account_halts_all_of_them(tmp_path, capsys):
    for name in (DEMO, PAPER, "exchange"):
        (tmp_path / name).mkdir()
    assert main(["halt", "--data", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert str(tmp_path / DEMO) in said
    assert str(tmp_path / PAPER) in said
    assert HaltFlag(tmp_path / DEMO).is_halted()
    assert HaltFlag(tmp_path / PAPER).is_halted()
    assert not (tmp_path / "exchange" / "HALT").exists()
    assert main(["resume", "--data", str(tmp_path)]) == 2
    assert "holds several accounts: say `kquant resume --account`" in capsys.readouterr().err
    assert main(["resume", "--data", str(tmp_path), "--account", PAPER]) == 0
    assert not HaltFlag(tmp_path / PAPER).is_halted()
    assert HaltFlag(tmp_path / DEMO).is_halted()


def test_an_account_that_cannot_be_halted_is_named_and_spares_no_other(tmp_path, capsys, monkeypatch):
    for name in (DEMO, PAPER):
        (tmp_path / name).mkdir()
    write = HaltFlag.write

    def refuse(flag, reason):
        if flag._file.parent.name == DEMO:
            raise PermissionError(13, "Permission denied")
        write(flag, reason)

    monkeypatch.setattr(HaltFlag, "write", refuse)
    assert main(["halt", "--data", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path / DEMO}: Permission denied: NOT halted" in said
    assert PAPER not in said
    assert HaltFlag(tmp_path / PAPER).is_halted()


def test_a_running_instance_is_halted_without_a_file_where_none_can_be_written(tmp_path, capsys, monkeypatch):
    """A full disk or a folder of another user must not keep the word from the run."""

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(HaltFlag, "write", refuse)
    monkeypatch.setattr(operate, "order", lambda *_, **__: {"seq": 7})
    lock = take_lock(tmp_path / DEMO)
    try:
        assert main(["halt", "--data", str(tmp_path)]) == 0
    finally:
        lock.release()
    assert "the running instance has recorded it" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["status", "halt", "resume", "flatten", "disarm"])
def test_an_instance_of_another_user_is_told_from_none(tmp_path, capsys, monkeypatch, command):
    """Said to run nothing, somebody would start a second one, or believe that it is halted."""
    folder = tmp_path / DEMO
    folder.mkdir()
    for name in ("lock", "instance.json", "HALT", "ARMED"):
        (folder / name).touch()

    def denied(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    for method in ("read_bytes", "write_text", "unlink"):
        monkeypatch.setattr(Path, method, denied)
    monkeypatch.setattr(days.FileLock, "acquire", denied)
    code = main([command, "--data", str(tmp_path)])
    said = capsys.readouterr()
    if command == "halt":  # it was halted before, which holds
        assert (code, "has not recorded it yet" in said.out) == (0, True)
        return
    assert code in {2, 3}
    [line] = said.err.splitlines()
    assert ("user alone who started" in line) or (command == "disarm" and "by hand (Permission denied)" in line)


@pytest.mark.parametrize(
    "damage", ["{", "[]", "{}", '{"port": "x", "token": "t"}', '{"port": 99999999, "token": "t"}', '{"port": null, "token": 1}']
)  # fmt: skip
def test_a_damaged_instance_file_is_no_instance(tmp_path, capsys, damage):
    (tmp_path / DEMO).mkdir()
    (tmp_path / DEMO / "instance.json").write_text(damage)
    assert main(["status", "--data", str(tmp_path)]) == 3
    [line] = capsys.readouterr().err.splitlines()
    assert "is damaged" in line


def test_another_program_on_a_killed_instances_port_is_no_kquant(tmp_path, capsys):
    (tmp_path / DEMO).mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (tmp_path / DEMO / "instance.json").write_text(f'{{"port": {port}, "token": "t"}}')

        def answer():
            one, _ = server.accept()
            one.recv(4096)
            one.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            one.close()

        other = threading.Thread(target=answer)
        other.start()
        assert main(["status", "--data", str(tmp_path)]) == 3
        other.join()
    [line] = capsys.readouterr().err.splitlines()
    assert "is no kquant" in line


def test_resuming_what_is_not_halted_says_so(tmp_path, capsys):
    assert main(["resume", "--data", str(tmp_path)]) == 0
    assert f"there is no halt file in {tmp_path / DEMO}" in capsys.readouterr().out


def test_status_asks_the_account_that_runs(tmp_path):
    for name in (DEMO, PAPER):
        (tmp_path / name).mkdir()
    with pytest.raises(DayError, match="several accounts"):
        one_account(tmp_path, None, "status", running=True)
    lock = take_lock(tmp_path / PAPER)
    try:
        assert one_account(tmp_path, None, "status", running=True).name == PAPER
    finally:
        lock.release()


def test_a_run_that_rests_between_two_days_is_resumed_by_its_file(tmp_path, capsys):
    lock = take_lock(tmp_path / PAPER)
    try:
        assert main(["halt", "--data", str(tmp_path)]) == 0
        assert "its last gate sees the file" in capsys.readouterr().out
        assert main(["resume", "--data", str(tmp_path)]) == 0
    finally:
        lock.release()
    assert not HaltFlag(tmp_path / PAPER).is_halted()
