"""The exchange run by a user: its command line, its ports, its clocks, and clients of both services at once."""

import asyncio
import contextlib
import datetime as dt
import json
import os
import socket as sockets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from kquant.exchange.core.exchange import Exchange, ExchangeOptions
from kquant.exchange.market.model import Print
from kquant.exchange.servers.options import SECRETS, parse
from kquant.exchange.servers.ports import ECHO_S, PortNumbers, Ports
from tests.exchange.fake_market import OPEN, FakeMarket, stock
from tests.exchange.helpers import BALANCE, OPTIONS, PAPER, PREFIX, WALL

MAIN = Path(__file__).with_name("process_main.py")
Start = Callable[..., subprocess.Popen[str]]
KST = dt.timezone(dt.timedelta(hours=9))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[subprocess.Popen[str]] = []

    def run(*extra: str, stdin: int = subprocess.PIPE, **environ: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(MAIN), "--generate", "1", "--holdings", "1", *extra]
        environment = os.environ | {"TMPDIR": str(tmp_path)} | environ
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=stdin, stdout=pipe, stderr=pipe, text=True, env=environment)
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.stderr.read() if process.stderr else ""
    found: dict[str, Any] = json.loads(line)
    return found


def refused(process: subprocess.Popen[str]) -> str:
    _, errors = process.communicate()
    assert process.returncode == 2
    return errors


def ask(info: dict[str, Any], **call: object) -> dict[str, Any]:
    with connect(f"ws://127.0.0.1:{info['admin_port']}", compression=None) as socket:
        socket.send(json.dumps(call))
        found: dict[str, Any] = json.loads(socket.recv())
        return found


async def balance(info: dict[str, Any], prefix: str, appkey: str, appsecret: str) -> tuple[int, Any]:
    base = f"http://127.0.0.1:{info[f'{prefix}rest_port']}"
    keys = {"appkey": appkey, "appsecret": appsecret}
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{base}/oauth2/tokenP", json={"grant_type": "client_credentials", **keys}) as answer:
            token = (await answer.json())["access_token"]
        number, _, product = info[f"{prefix}account"].partition("-")
        params = BALANCE | {"CANO": number, "ACNT_PRDT_CD": product}
        headers = {"authorization": f"Bearer {token}", **keys, "tr_id": "VTTC8434R" if prefix else "TTTC8434R"}
        url = base + PREFIX + "/trading/inquire-balance"
        # Query names are taken in lower case as well (kis-protocol 1.6), and custtype may be left out (7.6).
        lower = {name.lower(): value for name, value in params.items()}
        async with http.get(url, params=lower, headers=headers) as answer:
            assert {b"tr_id", b"tr_cont", b"gt_uid"} <= {name for name, _ in answer.raw_headers}
            return answer.status, await answer.json()


async def test_both_services_answer_with_the_keys_that_the_ready_line_names(start: Start) -> None:
    info = ready(start("--day", "2026-01-15", "--speed", "max"))
    for prefix in ("", "paper_"):
        status, body = await balance(info, prefix, info[f"{prefix}appkey"], info[f"{prefix}appsecret"])
        assert (status, body["rt_cd"]) == (200, "0")
        assert len(body["output1"]) == 1
    assert len({info[f"{name}_port"] for name in ("rest", "ws", "paper_rest", "paper_ws", "admin")}) == 5
    assert (len(info["appkey"]), len(info["appsecret"]), len(info["paper_appkey"])) == (36, 180, 36)


async def test_keys_from_the_environment_are_used_and_their_secrets_not_repeated(start: Start) -> None:
    given = {"KQUANT_EXCHANGE_APPSECRET": "mine", "KQUANT_EXCHANGE_PAPER_APPKEY": "PSmine"}
    info = ready(start("--day", "2026-01-15", "--speed", "max", **given))
    assert "appsecret" not in info
    assert info["paper_appkey"] == "PSmine"
    assert (await balance(info, "", info["appkey"], "mine"))[0] == 200
    assert (await balance(info, "paper_", "PSmine", SECRETS["paper_appsecret"]))[0] == 200


def test_one_number_gives_five_ports_in_a_row_and_a_busy_one_is_named(start: Start) -> None:
    with contextlib.closing(sockets.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = taken.getsockname()[1]
        errors = refused(start("--day", "2026-01-15", "--speed", "max", "--port", str(busy - 2)))
    assert errors.count("\n") == 1
    assert f"cannot open port {busy} on 127.0.0.1" in errors or f"cannot open port {busy - 1} " in errors


def test_it_lives_without_a_parent_and_takes_its_books_along_when_told_to_end(start: Start, tmp_path: Path) -> None:
    process = start("--day", "2026-01-15", "--speed", "max", stdin=subprocess.DEVNULL)
    info = ready(process)
    assert ask(info, op="now")["speed"] is None
    (folder,) = tmp_path.glob("kquant-exchange-*")
    assert Path(info["research"]).parent == folder.resolve()
    process.terminate()
    assert process.wait(timeout=10) == 0
    assert list(tmp_path.glob("kquant-exchange-*")) == []


def test_an_open_now_market_is_of_today_and_opens_now(start: Start) -> None:
    before = dt.datetime.now(KST)
    info = ready(start("--clock", "wall", "--open-now", "--verbose"))
    hello = ask(info, op="hello")
    after = dt.datetime.now(KST)
    assert before.date() <= dt.date.fromisoformat(hello["day"]) <= after.date()
    assert 0 <= hello["now"] - hello["open"] <= (after - before).total_seconds() * 1e6
    market_now = (dt.datetime.now(KST) + dt.timedelta(seconds=info["shift_seconds"])).timestamp() * 1e6
    assert abs(market_now - hello["now"]) <= (after - before).total_seconds() * 1e6 + 2e6
    assert hello["mode"] == "run"


def test_a_running_clock_begins_a_minute_before_the_open_and_a_stepped_one_at_seven(start: Start) -> None:
    running = ask(ready(start("--day", "2026-01-15", "--clock", "run", "--speed", "0.001")), op="hello")
    assert (running["open"] - running["now"]) // 1_000_000 in (59, 60)
    stepped = ask(ready(start("--day", "2026-01-15", "--clock", "step")), op="hello")
    assert stepped["open"] - stepped["now"] == 2 * 3_600_000_000


def test_days_follow_days_and_a_restart_goes_on_where_it_stopped(start: Start, tmp_path: Path) -> None:
    state = (
        "--state",
        str(tmp_path / "state"),
        "--day",
        "2026-01-16",
        "--clock",
        "step",
        "--days",
        "2",
        "--start",
        "15:30:50",
    )
    process = start(*state)
    info = ready(process)
    midnight = ask(info, op="hello")["open"] + (3 * 86_400 - OPEN) * 1_000_000
    with connect(f"ws://127.0.0.1:{info['admin_port']}", compression=None) as socket:
        now = 0
        while now < midnight + 7 * 3_600_000_000:
            socket.send(json.dumps({"op": "step", "until": midnight + 7 * 3_600_000_000}))
            now = json.loads(socket.recv())["now"]
        socket.send('{"op":"hello"}')
        monday = json.loads(socket.recv())
    assert (monday["day"], Path(monday["research"]).name) == ("2026-01-19", "research-2026-01-19.parquet")
    process.terminate()
    process.wait()
    second = start(*state)
    again = ask(ready(second), op="hello")
    assert (again["day"], again["now"]) == ("2026-01-19", now)
    second.terminate()
    second.wait()
    assert "holds day" in refused(start("--state", str(tmp_path / "state"), "--day", "2026-01-20", "--lock-wait", "0"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--open-now"], "--open-now needs --clock wall"),
        (["--clock", "wall", "--open-now", "--day", "2026-01-15"], "leave --day out"),
        (["--clock", "step", "--speed", "5"], "leave --speed out"),
        (["--clock", "wall", "--speed", "2"], "does not go with this --speed"),
        (["--limits", "demo=3"], "limits are written real=18,paper=1"),
        (["--port", "65535"], "--port is 1 to 65531"),
        (["--days", "0"], "--days is 1 or more"),
        (["--layout", "2024"], "invalid choice"),
        (["--account", "5000"], "an account is written 12345678-01"),
        (["--appkey", "x", "--paper-appkey", "x"], "KIS gives two"),
    ],
)
def test_a_bad_option_is_refused_by_name(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(["--generate", "1", *arguments])
    assert end.value.code == 2
    assert words in capsys.readouterr().err


def test_the_limits_of_the_layouts_days_hold_unless_told_otherwise(start: Start) -> None:
    options = parse(["--generate", "1", "--limits", "paper=5"])
    assert (options.limits, options.clock, options.speed, options.whole_day) == ({"paper": 5}, "run", 1.0, True)


# -- lines --------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def line(wall: list[float]) -> Any:
    """Open an exchange in memory behind real ports; *wall* is its wall clock, moved by hand."""
    prints = {"000001": [Print(OPEN + at, 10_000, 100, 1) for at in range(1, 300)]}
    options = ExchangeOptions(real=OPTIONS, paper=PAPER, start_second=OPEN)
    ports = Ports(Exchange(FakeMarket([stock("000001")], prints), options), None, wall=lambda: wall[0])
    bound = await ports.start(PortNumbers())
    try:
        async with connect_async(
            f"ws://127.0.0.1:{bound['ws_port']}/tryitout", compression=None, ping_interval=None
        ) as socket:
            await register(ports, socket, "H0STCNT0")
            yield ports, socket
    finally:
        await ports.stop()


async def register(ports: Ports, socket: ClientConnection, tr_id: str, tr_key: str = "000001") -> str:
    key = ports.exchange.real.office.approval(WALL)
    frame = {
        "header": {"approval_key": key, "custtype": "P", "tr_type": "1", "content-type": "utf-8"},
        "body": {"input": {"tr_id": tr_id, "tr_key": tr_key}},
    }
    await socket.send(json.dumps(frame))
    code: str = json.loads(await control(socket))["body"]["msg_cd"]
    return code


async def pinged(ports: Ports, socket: ClientConnection) -> str:
    """Move market time past the next PINGPONG and return it."""
    for _ in range(13):
        ports.step(ports.exchange.now_us + 1_000_000)
    return await control(socket)


async def control(socket: ClientConnection) -> str:
    """Return the next control text."""
    while True:
        text = str(await asyncio.wait_for(socket.recv(), 10))
        if text.startswith("{"):
            return text


async def drained(socket: ClientConnection) -> None:
    while True:
        await asyncio.wait_for(socket.recv(), 10)


async def test_a_client_that_answers_no_pingpong_is_dropped_after_forty_seconds() -> None:
    """kis-protocol 2.3, 7.6; market time is stepped, silence is counted on the wall."""
    wall = [WALL]
    async with line(wall) as (ports, socket):
        await pinged(ports, socket)
        wall[0] += ECHO_S - 1
        ports.step(ports.exchange.now_us + 1_000_000)
        assert len(ports.sockets) == 1
        wall[0] += 1
        ports.step(ports.exchange.now_us + 1_000_000)
        assert ports.sockets == {}
        with pytest.raises(ConnectionClosed):
            await drained(socket)


@pytest.mark.parametrize("by_pong", [True, False])
async def test_an_echo_as_text_or_as_a_protocol_pong_keeps_the_line(by_pong: bool) -> None:
    """kis-protocol 2.3: both stay connected."""
    wall = [WALL]
    async with line(wall) as (ports, socket):
        text = await pinged(ports, socket)
        await (socket.pong(text.encode()) if by_pong else socket.send(text))
        assert await register(ports, socket, "H0STPGM0") == "OPSP0000"  # by now the echo has been read
        wall[0] += ECHO_S * 2
        ports.step(ports.exchange.now_us + 1_000_000)
        assert len(ports.sockets) == 1


async def test_protocol_pings_are_answered() -> None:
    async with line([WALL]) as (_, socket):
        await asyncio.wait_for(await socket.ping(), 5)


async def test_a_notice_under_a_foreign_hts_id_costs_the_line() -> None:
    """kis-protocol 6, row 1: no close frame."""
    async with line([WALL]) as (ports, socket):
        assert await register(ports, socket, "H0STCNI0", "OTHER") == "OPSP0000"
        for _ in range(3):
            ports.step(ports.exchange.now_us + 1_000_000)
        with pytest.raises(ConnectionClosed) as end:
            await drained(socket)
        assert end.value.rcvd is None
