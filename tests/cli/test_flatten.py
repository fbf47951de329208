"""`kquant flatten`: what is shown, and what is ordered out where nothing is held or nothing is traded."""

import pytest

from kquant.cli import main, operate
from kquant.cli.days import take_lock
from kquant.events.orders import OrderFinished, OrderIntended
from kquant.testing.facts import FactLog
from kquant.values import IntentId, Krw, Micros, Seq, Shares, Symbol

DEMO = "50001234-01"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A running instance that holds nothing and has one buy at work; what it is told is kept."""
    log = FactLog()
    log.start()
    log.open_day()
    log.add(
        "orders",
        OrderIntended(
            intent=IntentId(1), code=Symbol("005930"), name="삼성전자", side="buy", qty=Shares(1), kind="limit",
            price=Krw(1), reason="signal", decision=Seq(1), reserved_krw=Krw(1), valid_until=Micros(1),
        ),
    )  # fmt: skip
    told = []

    def order(_folder, command, **fields):
        told.append((command, fields.get("code")))
        return {"seq": 9}

    monkeypatch.setattr(operate, "ask_now", lambda *_: {"session_open": True, "clock": "10:00:00"})
    monkeypatch.setattr(operate, "_facts", lambda _: log.facts)
    monkeypatch.setattr(operate, "order", order)
    return log, told


def test_a_buy_under_way_is_cancelled_though_nothing_is_held(run, tmp_path, capsys):
    assert main(["flatten", "--yes", "--data", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "buys to be cancelled: 005930 삼성전자" in said.err
    assert "entries are halted" in said.out
    assert run[1] == [("flatten", None)]


@pytest.mark.parametrize(("code", "exit_code"), [("005930", 0), ("Q500001", 2), ("Q5000011", 2)])
def test_a_code_may_be_of_six_or_seven_characters(run, tmp_path, capsys, code, exit_code):
    """An ETN's has seven: that one is not held here, the longer one is none at all."""
    assert main(["flatten", code, "--yes", "--data", str(tmp_path)]) == exit_code
    said = capsys.readouterr().err
    assert ("no stock code" in said) is (code == "Q5000011")


def test_nothing_held_and_no_buy_under_way_sells_nothing(run, tmp_path, capsys):
    run[0].add(
        "orders",
        OrderFinished(
            intent=IntentId(1), code=Symbol("005930"), side="buy", outcome="cancelled", filled_qty=Shares(0)
        ),
    )  # fmt: skip
    assert main(["flatten", "--yes", "--data", str(tmp_path)]) == 2
    assert "nothing is held" in capsys.readouterr().err
    assert run[1] == []


def test_a_run_that_rests_is_told_from_none(tmp_path, capsys):
    lock = take_lock(tmp_path / DEMO)
    try:
        for command in ("status", "flatten"):
            assert main([command, "--data", str(tmp_path)]) == 3
            assert "rests until its next day" in capsys.readouterr().err
        assert main(["resume", "--data", str(tmp_path)]) == 0
        assert "rests until its next day" in capsys.readouterr().out
    finally:
        lock.release()
    assert main(["status", "--data", str(tmp_path)]) == 3
    assert "start one with `kquant run`" in capsys.readouterr().err
