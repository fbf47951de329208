"""The exchange as its own process: ready line, ports, restart on the same ledger, ends with its parent."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.sync.client import ClientConnection, connect

from kquant.exchange.servers.ports import PortNumbers, Ports
from tests.exchange.fake_market import OPEN, FakeMarket, stock
from tests.exchange.helpers import CANO, DAILY, OPTIONS, PREFIX, Client

MAIN = Path(__file__).with_name("process_main.py")
Start = Callable[..., subprocess.Popen[str]]
KEYS = {"appkey": "PSDEMO" + "0" * 30, "appsecret": "demo" + "0" * 176}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[subprocess.Popen[str]] = []

    def run(*extra: str, state: str = "state") -> subprocess.Popen[str]:
        command = [sys.executable, str(MAIN), "--state", str(tmp_path / state), "--generate", "1"]
        command += ["--day", "2026-01-15", "--speed", "max", "--list-lag", "0", "--end-with-stdin", *extra]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.stderr.read() if process.stderr else ""
    found: dict[str, Any] = json.loads(line)
    return found


def ask(socket: ClientConnection, **call: object) -> dict[str, Any]:
    socket.send(json.dumps(call))
    answer: dict[str, Any] = json.loads(socket.recv())
    return answer


def admin(info: dict[str, Any]) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{info['admin_port']}", compression=None)


def step_to(socket: ClientConnection, second: int) -> dict[str, Any]:
    hello = ask(socket, op="hello")
    until = hello["open"] + (second - OPEN) * 1_000_000
    answer = ask(socket, op="now")
    while answer["now"] < until:
        answer = ask(socket, op="step", until=until)
    return answer


async def login(session: aiohttp.ClientSession, base: str) -> dict[str, str]:
    body = {"grant_type": "client_credentials", **KEYS}
    async with session.post(f"{base}/oauth2/tokenP", json=body) as answer:
        token = (await answer.json())["access_token"]
    return {"authorization": f"Bearer {token}", "custtype": "P", **KEYS}


async def order(session: aiohttp.ClientSession, base: str, headers: dict[str, str], qty: int) -> Any:
    body = CANO | {"PDNO": "000001", "ORD_DVSN": "01", "ORD_QTY": str(qty), "ORD_UNPR": "0"}
    url = base + PREFIX + "/trading/order-cash"
    async with session.post(url, json=body, headers=headers | {"tr_id": "TTTC0012U"}) as answer:
        assert answer.headers["tr_id"] == "TTTC0012U"
        assert b"tr_cont" in [name for name, _ in answer.raw_headers]
        return await answer.json()


async def test_a_killed_exchange_goes_on_with_its_ledger_its_time_and_its_token(start: Start) -> None:
    process = start("--holdings", "2")
    info = ready(process)
    base = f"http://127.0.0.1:{info['rest_port']}"
    async with aiohttp.ClientSession() as session:
        headers = await login(session, base)
        with admin(info) as socket:
            step_to(socket, OPEN + 30)
            assert (await order(session, base, headers, 150))["rt_cd"] == "0"
            before = ask(socket, op="ledger")
        process.kill()
        process.wait()
        again = start("--holdings", "2")
        info = ready(again)
        base = f"http://127.0.0.1:{info['rest_port']}"
        with admin(info) as socket:
            assert ask(socket, op="ledger") == before
            step_to(socket, OPEN + 31)
            assert ask(socket, op="ledger")["fills"] == before["fills"]
            assert (await order(session, base, headers, 1))["output"]["ODNO"] == "0000001002"
    assert before["orders"][0]["filled"] == 150
    assert len(before["positions"]) == 3


async def test_frames_are_sent_before_the_step_is_answered_and_a_drop_ends_the_session(start: Start) -> None:
    info = ready(start())
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{info['rest_port']}/oauth2/Approval"
        body = {"grant_type": "client_credentials", "appkey": KEYS["appkey"], "secretkey": KEYS["appsecret"]}
        async with session.post(url, json=body) as answer:
            key = (await answer.json())["approval_key"]
    frame = {
        "header": {"approval_key": key, "custtype": "P", "tr_type": "1", "content-type": "utf-8"},
        "body": {"input": {"tr_id": "H0STCNT0", "tr_key": "000001"}},
    }
    address = f"ws://127.0.0.1:{info['ws_port']}/tryitout"
    with admin(info) as control, connect(address, compression=None) as feed:
        feed.send(json.dumps(frame))
        assert json.loads(feed.recv())["body"]["msg_cd"] == "OPSP0000"
        sent = step_to(control, OPEN + 5)
        texts = [feed.recv() for _ in range(sent["frames"] - 1)]
        assert sum(str(text).startswith("0|H0STCNT0|001|") for text in texts) == 4
        assert ask(control, op="fault", kind="drop_connection")["ok"]
        assert ask(control, op="frames")["session"] == 0


async def test_a_lost_order_answer_leaves_an_accepted_order(start: Start) -> None:
    info = ready(start())
    base = f"http://127.0.0.1:{info['rest_port']}"
    async with aiohttp.ClientSession() as session:
        headers = await login(session, base)
        with admin(info) as control:
            step_to(control, OPEN + 10)
            ask(control, op="fault", kind="lost_answer", path="/trading/order-")
            with pytest.raises(aiohttp.ClientError):
                await order(session, base, headers, 3)
        url = base + PREFIX + "/trading/inquire-daily-ccld"
        async with session.get(url, params=DAILY, headers=headers | {"tr_id": "TTTC0081R"}) as answer:
            rows = (await answer.json())["output1"]
    assert [(row["ord_qty"], row["tot_ccld_qty"]) for row in rows] == [("3", "3")]


def test_it_ends_when_its_parent_closes_stdin(start: Start) -> None:
    process = start()
    ready(process)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=10) == 0


def test_it_ends_on_sigterm(start: Start) -> None:
    process = start()
    os.kill(ready(process)["pid"], signal.SIGTERM)
    assert process.wait(timeout=10) == 0


def test_a_second_exchange_on_the_same_state_is_refused_with_one_line(start: Start) -> None:
    ready(start())
    second = start("--lock-wait", "0")
    _, errors = second.communicate()
    assert second.returncode == 2
    assert errors.count("\n") == 1
    assert "another exchange runs" in errors


def test_an_exchange_waits_for_one_that_a_killed_parent_left_behind(start: Start) -> None:
    first = start()
    ready(first)
    second = start()
    assert first.stdin is not None
    first.stdin.close()
    assert ready(second)["pid"] == second.pid
    assert first.wait(timeout=10) == 0


def test_a_busy_port_is_refused_with_one_line(start: Start) -> None:
    info = ready(start())
    for name in ("rest", "ws", "paper_rest", "paper_ws", "admin"):
        second = start(f"--{name.replace('_', '-')}-port", str(info[f"{name}_port"]), state=name)
        _, errors = second.communicate()
        assert second.returncode == 2
        assert errors.count("\n") == 1
        assert f"cannot open port {info[f'{name}_port']} on 127.0.0.1" in errors


def test_the_ready_line_is_also_a_file_and_names_the_research_table(start: Start, tmp_path: Path) -> None:
    info = ready(start())
    assert json.loads((tmp_path / "state" / "exchange.json").read_text(encoding="utf-8")) == info
    assert Path(info["research"]).read_bytes() == b"research"


def test_more_holdings_than_liquid_stocks_are_refused_with_one_line(start: Start) -> None:
    process = start("--holdings", "9")
    _, errors = process.communicate()
    assert process.returncode == 2
    assert "fewer than 9 holdings" in errors


async def test_a_clock_that_runs_by_itself_and_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(until_us: int) -> int:
        raise OSError("no space left")

    exchange = Client(FakeMarket([stock("000010")], {}), OPTIONS).exchange
    ports = Ports(exchange, 1_000.0)
    monkeypatch.setattr(exchange, "step", full)
    await ports.start(PortNumbers())
    await asyncio.wait_for(ports.failed.wait(), 10)
    with pytest.raises(OSError, match="no space left"):
        await ports.stop()
