"""The operator: commands and questions from other processes, over a loopback socket with a token.

No other process opens a running day's files: `kquant events --follow`, `why` and the like read here, `halt` and
`resume` are recorded here. `halt` works without us as well: a file beside the days stops entries at the last gate.
Protocol: one JSON object a line; the first must carry the token of `instance.json` (owner-only permissions).
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from kquant.events import codec
from kquant.events.base import Recorded
from kquant.events.day import HaltOrdered, ResumeOrdered
from kquant.gateways.lastgate import HaltFlag
from kquant.journal.port import Journal, JournalError
from kquant.values import KquantError, Seq

INSTANCE = "instance.json"
STREAM = "operator"
PAGE = 500
QUESTION_SECONDS = 10
LINE_LIMIT = 1 << 24


class NoInstance(KquantError):
    """No running instance answers for this account."""


class OperatorGateway:
    """Serves one running day. status: returns what `kquant status` shows."""

    def __init__(
        self,
        journal: Journal,
        account_folder: Path,
        day_folder: Path,
        halt: HaltFlag,
        status: Callable[[], dict[str, Any]],
    ) -> None:
        self._journal = journal
        self._account = account_folder
        self._day = day_folder
        self._halt = halt
        self._status = status
        self._token = secrets.token_urlsafe(32)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    async def start(self) -> None:
        """Take up a halt that was ordered before, open the port, leave its number and token for these files' owner."""
        self._fold()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=LINE_LIMIT)
        port = self._server.sockets[0].getsockname()[1]
        path = self._account / INSTANCE
        data = msgspec.json.encode({"port": port, "token": self._token, "pid": os.getpid(), "day": str(self._day.name)})
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)  # whoever left it may have left it readable for others
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        part.replace(path)

    async def close(self) -> None:
        """Close the port and remove the instance file."""
        if self._server is not None:
            self._server.close()
        self._closing.set()
        if self._tasks:  # followers hear the day's last events
            await asyncio.wait(self._tasks, timeout=1)
        for task in list(self._tasks):
            task.cancel()
        (self._account / INSTANCE).unlink(missing_ok=True)

    def _fold(self) -> None:
        for fact in self._journal.read(Seq(0), 10_000_000):
            if isinstance(fact.event, HaltOrdered | ResumeOrdered):
                self._halt.set(halted=isinstance(fact.event, HaltOrdered))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                line = await asyncio.wait_for(reader.readline(), QUESTION_SECONDS)
                answer = await self._answer(line, writer)
            except TimeoutError:
                answer = {"error": f"no command within {QUESTION_SECONDS} s"}
            except (ValueError, TypeError, KeyError) as error:
                answer = {"error": f"a command that does not fit: {type(error).__name__} {error}"}
            except JournalError as error:
                answer = {"error": str(error)}
            if answer is not None:
                writer.write(msgspec.json.encode(answer) + b"\n")
                await writer.drain()
        writer.close()

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> dict[str, Any] | None:
        try:
            question = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError:
            return {"error": "not a JSON object"}
        if not hmac.compare_digest(str(question.get("token", "")).encode(errors="replace"), self._token.encode()):
            return {"error": "wrong token"}
        match question.get("command"):
            case "status":
                return self._status()
            case "halt":
                return await self._command(HaltOrdered(who=str(question["who"]), reason=str(question["reason"])))
            case "resume":
                return await self._command(ResumeOrdered(who=str(question["who"]), reason=str(question["reason"])))
            case "events":
                await self._stream(Seq(int(question.get("after", 0))), bool(question.get("follow")), writer)
                return None
            case other:
                return {"error": f"unknown command {other}"}

    async def _command(self, event: HaltOrdered | ResumeOrdered) -> dict[str, Any]:
        halted = isinstance(event, HaltOrdered)
        if halted:
            self._halt.set(halted=True)
        recorded = await asyncio.wrap_future(self._journal.append(STREAM, [event], by=event.who))
        if not halted:
            self._halt.clear()
            self._halt.set(halted=False)
        return {"seq": recorded[0].seq}

    async def _stream(self, after: Seq, follow: bool, writer: asyncio.StreamWriter) -> None:
        while True:
            facts = self._journal.read(after, PAGE)
            writer.write(b"".join(encode_row(fact) for fact in facts))
            after = facts[-1].seq if facts else after
            await writer.drain()
            if not facts:
                if not follow or self._closing.is_set():
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), 0.1)


def encode_row(fact: Recorded) -> bytes:
    """Return one recorded event as a line other processes can read back with `decode_row`."""
    row = msgspec.structs.asdict(fact)
    row["event"] = codec.encode(fact.event)
    row["payload_version"] = fact.event.VERSION
    return msgspec.json.encode(row) + b"\n"


def decode_row(line: bytes) -> Recorded:
    """Return the recorded event of a line of `encode_row`."""
    row = msgspec.json.decode(line, type=_Row)
    fields = msgspec.structs.asdict(row)
    version = fields.pop("payload_version")
    fields["event"] = codec.decode(row.name, version, row.event)
    return Recorded(**fields)


class _Row(msgspec.Struct):
    seq: int
    stream: str
    version: int
    name: str
    at: int
    by: str
    caused_by: int | None
    index: int
    event: bytes
    payload_version: int
    digest: bytes


async def ask(account_folder: Path, command: str, **fields: Any) -> list[bytes]:
    """Send one command to the running instance and return its answer's lines. Raises NoInstance without one."""
    lines: list[bytes] = []
    async for line in ask_stream(account_folder, command, **fields):
        lines.append(line)  # noqa: PERF401
    return lines


async def ask_stream(account_folder: Path, command: str, **fields: Any) -> Any:
    """Yield the answer's lines as they come."""
    try:
        instance = msgspec.json.decode((account_folder / INSTANCE).read_bytes(), type=dict[str, Any])
        reader, writer = await asyncio.open_connection("127.0.0.1", int(instance["port"]), limit=LINE_LIMIT)
    except (OSError, msgspec.DecodeError, KeyError) as error:
        known = f": {error}" if not isinstance(error, OSError) else ""
        raise NoInstance(f"no running instance in {account_folder}{known}: start one with `kquant run`") from None
    writer.write(msgspec.json.encode({"token": instance["token"], "command": command, **fields}) + b"\n")
    try:
        while line := await reader.readline():
            yield line
    finally:
        writer.close()
