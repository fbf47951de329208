"""`kquant arm`: a person types, on the day, what no option and no variable can; and no other profile is ever armed."""

from __future__ import annotations

import itertools
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from kquant.cli import arm, main
from kquant.cli.arm import today_of
from kquant.cli.days import take_lock
from kquant.cli.keys import Keys
from kquant.cli.limits import LABELS, limit_rows, real_money
from kquant.cli.lines import Hosts, Lines
from kquant.config import load
from kquant.gateways.kis.rest.errors import StartError
from kquant.gateways.lastgate import Arming, limits_digest
from kquant.settings import ExitSettings, RiskSettings
from kquant.values import KquantError
from tests.gateways_kis.look_alike import ACCOUNTS, DAY, PAPER, REAL, look_alike

ACCOUNT = "12345678-01"
TODAY = today_of(load("live", environ={}).settings.broker)
RIGHT = f"78 {TODAY:%Y%m%d}"


@pytest.fixture
def person(monkeypatch, tmp_path):
    """Somebody at a terminal who types what a test says; a word of None is nobody there."""
    for name, value in (
        ("KIS_ACCOUNT", ACCOUNT), ("KIS_HTS_ID", "me"), ("KIS_APP_KEY", "K" * 36), ("KIS_APP_SECRET", "S" * 180),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)

    def arm(typed: str | type[BaseException] | None, *options: str) -> int:
        def answer(*_: object, **__: object) -> str:
            if isinstance(typed, type):
                raise typed
            assert typed is not None, "nobody should have been asked"
            return typed

        monkeypatch.setattr(Console, "input", answer)
        monkeypatch.setattr(sys.stdin, "isatty", lambda: typed is not None, raising=False)
        return main(["arm", "--data", str(tmp_path), *options])

    return arm


def why_not(folder: Path, day: date = TODAY, **sets: object) -> str:
    settings = load("live", environ={}, overrides={"journal.data": str(folder)}, sets=dict(sets)).settings
    return Arming(folder / ACCOUNT, ACCOUNT, limits_digest(settings)).why_not(day)


def one_line(capsys) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("kquant: ")]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("typed", [RIGHT, f"78-{TODAY}", f"78{TODAY:%Y%m%d}"])
def test_typing_two_digits_and_the_date_arms_for_today(person, tmp_path, capsys, typed):
    assert person(typed) == 0
    shown = capsys.readouterr()
    assert "실전 주문 · REAL MONEY" in shown.err
    assert "1234****-01" in shown.err
    assert "openapi.koreainvestment.com:9443" in shown.err
    assert "20,000,000원" in shown.err
    assert TODAY.isoformat() in shown.err
    assert ACCOUNT not in shown.out + shown.err, "what is to be typed is not shown"
    assert why_not(tmp_path) == ""
    assert "armed for" in why_not(tmp_path, TODAY + timedelta(days=1))


@pytest.mark.parametrize(
    "typed", ["", "yes", "y", "78", f"{TODAY:%Y%m%d}", f"01 {TODAY:%Y%m%d}", f"78 {TODAY - timedelta(days=1):%Y%m%d}", f"12{RIGHT}"]
)  # fmt: skip
def test_anything_else_that_is_typed_arms_nothing(person, tmp_path, capsys, typed):
    assert person(typed) == 2
    assert "not armed" in one_line(capsys)
    assert why_not(tmp_path) == "not armed"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, EOFError])
def test_somebody_who_goes_away_arms_nothing(person, tmp_path, capsys, stop):
    assert person(stop) == 2
    assert "stopped: not armed" in one_line(capsys)
    assert why_not(tmp_path) == "not armed"


@pytest.mark.parametrize("options", [(), ("--yes",), ("--json",), ("--set", "broker.armed=true")])
def test_nothing_but_a_person_arms(person, tmp_path, capsys, monkeypatch, options):
    """`reliability` X4: no option, no variable and no script's input stands in for a second, deliberate step."""
    for name in ("KQUANT_ARMED", "KQUANT_BROKER__ARMED", "KQUANT_YES"):
        monkeypatch.setenv(name, "1")
    assert person(None, *options) == 2
    one_line(capsys)
    monkeypatch.undo()
    assert why_not(tmp_path) == "not armed"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--profile", "demo"), "profile demo trades no real money"),
        (("--profile", "paper"), "profile paper trades no real money"),
        (("--set", "broker.exchange=paper"), "trades no real money"),
        (("--set", "broker.exchange=embedded"), "trades no real money"),
        (("--profile", "paper", "--set", "broker.exchange=live"), "is the paper one"),
        (("--profile", "demo", "--set", "broker.exchange=live"), "is no address|is no host of KIS"),
        (("--set", "broker.rest_url=https://openapivts.koreainvestment.com:29443"), "is the paper one"),
        (("--set", "broker.ws_url=ws://ops.koreainvestment.com:31000"), "is the paper one"),
        (("--set", "broker.rest_url=https://example.com"), "is no host of KIS"),
        (("--set", "broker.orders=false"), "only watches"),
        (("--set", "broker.clock_offset_seconds=3600"), "KIS keeps the real time"),
    ],
)
def test_what_trades_no_real_money_is_never_armed(person, tmp_path, capsys, options, told):
    """`reliability` X4, D64"""
    assert person(None, *options) == 2
    said = one_line(capsys)
    assert any(words in said for words in told.split("|")), said
    assert not list(tmp_path.rglob("ARMED"))


def test_without_keys_of_a_real_account_there_is_nothing_to_arm(person, tmp_path, capsys, monkeypatch):
    for name in ("KIS_ACCOUNT", "KIS_HTS_ID", "KIS_APP_KEY", "KIS_APP_SECRET"):
        monkeypatch.delenv(name)
    assert person(None, "--set", f"broker.keys_file={tmp_path / 'none.toml'}") == 2
    assert "no keys for profile live" in one_line(capsys)


def test_other_limits_than_those_shown_are_not_armed(person, tmp_path):
    assert person(RIGHT, "--set", "risk.max_order_krw=500000") == 0
    assert why_not(tmp_path) == "the limits changed since it was armed"
    assert why_not(tmp_path, **{"risk.max_order_krw": 500_000}) == ""


def test_an_account_that_rests_between_two_days_is_armed_by_its_file(person, tmp_path, capsys):
    lock = take_lock(tmp_path / ACCOUNT)
    try:
        assert person(RIGHT) == 0
    finally:
        lock.release()
    assert "once `kquant run` trades today" in capsys.readouterr().out
    assert why_not(tmp_path) == ""


def test_disarming_works_without_a_running_program(person, tmp_path, capsys):
    assert person(RIGHT) == 0
    assert main(["disarm", "--data", str(tmp_path)]) == 0
    assert "no real order leaves" in capsys.readouterr().out
    assert why_not(tmp_path) == "not armed"
    assert main(["disarm", "--data", str(tmp_path)]) == 0
    assert "nothing was armed" in capsys.readouterr().out


def test_a_running_instance_is_disarmed_although_its_file_cannot_be_removed(tmp_path, capsys, monkeypatch):
    (tmp_path / ACCOUNT / "ARMED").mkdir(parents=True)
    told = []
    monkeypatch.setattr(arm, "order", lambda folder, command, **_: told.append((folder.name, command)) or {})
    lock = take_lock(tmp_path / ACCOUNT)
    try:
        assert main(["disarm", "--data", str(tmp_path)]) == 2
    finally:
        lock.release()
    assert told == [(ACCOUNT, "disarm")]
    assert "by hand" in one_line(capsys)


def test_a_clock_set_off_is_refused_by_the_address_that_is_no_look_alike():
    def check(exchange: str, **urls: str) -> None:
        given = {"broker.clock_offset_seconds": 60, "broker.exchange": exchange}
        given |= {f"broker.{name}": "http://127.0.0.1:1" for name in ("rest_url", "ws_url")}
        given |= {f"broker.{name}": url for name, url in urls.items()}
        arm.check_offset(load("live", environ={}, sets=given).settings.broker)

    check("live")  # a real account reads with its own key: the addresses of a data key are not asked
    with pytest.raises(arm.NotArmed, match=r"broker\.data_rest_url is https://openapi"):
        check("paper")
    with pytest.raises(arm.NotArmed, match=r"broker\.ws_url is ws://ops"):
        check("live", ws_url="ws://ops.koreainvestment.com:21000")


def test_a_folder_that_cannot_be_written_is_told_in_one_line(person, tmp_path, capsys):
    (tmp_path / "file").touch()
    (tmp_path / ACCOUNT).symlink_to(tmp_path / "file")
    assert person(RIGHT) == 2
    assert "cannot arm" in one_line(capsys)


def test_every_limit_is_shown_in_words_and_none_is_left_out():
    settings = load("live", environ={}).settings
    fields = [f"risk.{name}" for name in RiskSettings.__struct_fields__]
    fields += [f"exits.{name}" for name in ExitSettings.__struct_fields__]
    assert set(LABELS) == set(fields)
    assert len(limit_rows(settings)) == len(fields)
    shown = dict(limit_rows(load("live", environ={}, sets={"risk.limit_ticks_above_ask": 1}).settings))
    assert shown["하루 손실 한도 · loss a day"] == "5,000,000원"
    assert shown["손절 · stop loss"] == "3.00%"
    assert shown["지정가 · above the best ask"] == "1 tick"
    assert shown["보유 시간 · held no longer than"] == "off"


def test_the_banner_is_red_and_says_whether_a_look_alike_is_meant():
    console = Console(record=True, force_terminal=True, width=110, file=None, color_system="standard", quiet=False)
    settings = load("live", environ={}, sets={"broker.rest_url": "http://127.0.0.1:7"}).settings
    with console.capture() as captured:
        console.print(real_money(settings, "1234****-01", "2026-11-23", "not armed", brief=True))
    assert "\x1b[1;31m" in captured.get()
    assert "127.0.0.1:7 (a look-alike on this machine, no real money)" in captured.get()
    assert "한 주문 최대" in captured.get()
    assert "체결 조회" not in captured.get()


KINDS = ("real", "paper")


@pytest.mark.parametrize(("host", "trs", "key", "account"), list(itertools.product(KINDS, repeat=4)))
async def test_d64_of_sixteen_mix_ups_over_the_wire_only_the_two_pure_ones_start(tmp_path, host, trs, key, account):
    """`reliability` D64, X4, kis-protocol 1.9: host, TR ids, key and account, at a service that knows its own."""
    broker = load("live" if trs == "real" else "paper", environ={}).settings.broker
    secrets = REAL if key == "real" else PAPER
    keys = Keys(account="-".join(ACCOUNTS[account]), hts_id="DEMO01", app_key=secrets[0], app_secret=secrets[1])
    async with look_alike(tmp_path) as there:
        there.at(9)
        part = "" if host == "real" else "paper_"
        hosts = Hosts(
            rest_url=f"http://127.0.0.1:{there.numbers[f'{part}rest_port']}",
            ws_url=f"ws://127.0.0.1:{there.numbers[f'{part}ws_port']}",
        )
        async with Lines(broker, trs, hosts, keys, there.clock, tokens=tmp_path, today=DAY) as lines:
            if len({host, trs, key, account}) == 1:
                await lines.check()
                return
            with pytest.raises(KquantError) as refused:
                await lines.check()
    assert isinstance(refused.value, StartError)
    assert "\n" not in str(refused.value)
