"""The look-alike as a process of its own, as anybody would start it: `python -m kquant.exchange OPTIONS`."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import IO, Any, Self

from msgspec import Struct
from websockets.sync.client import connect

SMALL = ("--generate", "3", "--stocks", "400", "--holdings", "3")
"""A market that is drawn within a second."""
READY_S = 60


class Standing(Struct, frozen=True, kw_only=True):
    """A running exchange: what its ready line says. prefix: "" for the real service, "paper_" for paper."""

    info: dict[str, Any]
    process: subprocess.Popen[str]

    def rest(self, prefix: str = "") -> str:
        return f"http://127.0.0.1:{self.info[f'{prefix}rest_port']}"

    def ws(self, prefix: str = "") -> str:
        return f"ws://127.0.0.1:{self.info[f'{prefix}ws_port']}"

    def keys(self, prefix: str = "") -> dict[str, str]:
        return {"appkey": self.info[f"{prefix}appkey"], "appsecret": self.info[f"{prefix}appsecret"]}

    def cano(self, prefix: str = "") -> dict[str, str]:
        number, _, product = self.info[f"{prefix}account"].partition("-")
        return {"CANO": number, "ACNT_PRDT_CD": product}


class Admin:
    """The admin port of a running exchange: its clock, its faults, its books. One client at a time."""

    def __init__(self, exchange: Standing) -> None:
        self._line = connect(f"ws://127.0.0.1:{exchange.info['admin_port']}", compression=None, max_size=None)

    def __enter__(self) -> Self:
        self._socket = self._line.__enter__()
        return self

    def __exit__(self, *reason: object) -> None:
        self._socket.close()

    def ask(self, **call: object) -> dict[str, Any]:
        self._socket.send(json.dumps(call))
        answer: dict[str, Any] = json.loads(self._socket.recv(timeout=READY_S))
        assert "error" not in answer, answer
        return answer

    def step(self, seconds: int = 1) -> None:
        """Play so many seconds of market time."""
        until = self.ask(op="now")["now"] + seconds * 1_000_000
        while self.ask(op="step", until=until)["now"] < until:
            pass


@contextlib.contextmanager
def started(*options: str, stdin: int | IO[Any] = subprocess.DEVNULL) -> Iterator[Standing]:
    """Start an exchange with *options* and wait until it is ready; end it by SIGTERM, which must be an end in order."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "kquant.exchange", *options]
    process = subprocess.Popen(command, stdin=stdin, stdout=pipe, stderr=pipe, text=True, env=os.environ.copy())
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        yield Standing(info=json.loads(line), process=process)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=READY_S)
            assert process.stderr is not None
            assert (process.returncode, process.stderr.read()) == (0, "")
    finally:
        process.kill()
        process.wait()
        for one in (process.stdin, process.stdout, process.stderr):
            if one is not None:
                one.close()
