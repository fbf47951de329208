"""The exchange in a newcomer's hands: no option needed, an end in order, one clear line for what cannot be."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from websockets.sync.client import ClientConnection, connect

from kquant.exchange.servers.options import DEFAULT_SEED, parse
from tests.exchange.standing import SMALL, started

COMMAND = [sys.executable, "-m", "kquant.exchange"]


def asked(admin: ClientConnection) -> int:
    admin.send('{"op":"now"}')
    return int(json.loads(admin.recv())["now"])


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )


def test_without_a_market_one_is_generated_from_the_same_seed_each_time() -> None:
    options = parse([])
    assert (options.market, options.generate, options.clock) == (None, DEFAULT_SEED, "run")
    assert parse(["--generate", "0"]).generate == 0
    assert parse(["--market", "somewhere"]).generate is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_outlives_the_end_of_its_stdin_and_ends_in_order_on_a_signal(number: int) -> None:
    with started(*SMALL, "--clock", "wall", "--open-now", stdin=subprocess.PIPE) as exchange:
        assert exchange.process.stdin is not None
        exchange.process.stdin.close()
        with connect(f"ws://127.0.0.1:{exchange.info['admin_port']}", compression=None) as admin:
            first = now = asked(admin)
            while now < first + 500_000:  # market time goes on with the wall's
                now = asked(admin)
        os.kill(exchange.info["pid"], number)
        assert exchange.process.wait(timeout=30) == 0


def test_it_ends_with_its_stdin_when_asked_to() -> None:
    with started(*SMALL, "--end-with-stdin", stdin=subprocess.PIPE) as exchange:
        assert exchange.process.stdin is not None
        exchange.process.stdin.close()
        assert exchange.process.wait(timeout=30) == 0


def test_help_and_the_list_of_faults_are_answered_at_once() -> None:
    done = run("--help")
    assert done.returncode == 0
    for option in ("--market", "--generate", "--clock", "--open-now", "--layout", "--faults", "--port", "--verbose"):
        assert option in done.stdout
    done = run("--faults", "list")
    assert done.returncode == 0
    assert "drop_connection" in done.stdout


def test_verbose_says_hosts_keys_and_the_shift_of_the_clock_to_people() -> None:
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [*COMMAND, *SMALL, "--clock", "wall", "--open-now", "--verbose"],
        stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0
    for words in (
        "real   REST http://127.0.0.1:",
        "paper  REST http://",
        "/tryitout",
        "admin  ws://",
        "appsecret demo",
    ):
        assert words in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--stocks", "3"), "fewer than 6 holdings"),
        (("--market", "/nowhere"), "is not a folder"),
        (("--faults", "rain"), "rain"),
    ],
)
def test_what_cannot_be_is_said_in_a_line_with_code_2(options: tuple[str, ...], words: str) -> None:
    done = run(*options)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_busy_port_is_said_in_a_line_with_code_2() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(*SMALL, "--rest-port", str(port))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"cannot open port {port}" in done.stderr
