"""The operator: commands and questions from other processes, over a loopback socket with a token.

No other process opens a running day's files: `kquant events --follow`, `why` and the like read here; `halt`, `resume`,
`flatten`, `arm` and `disarm` are recorded here. `halt` and `disarm` work without us as well: the last gate looks at files
beside the days, and twice a second so do we, so that the log tells what the files say.
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
from kquant.events.base import Event, Recorded
from kquant.events.day import ArmOrdered, DisarmOrdered, FlattenOrdered, HaltOrdered, ResumeOrdered
from kquant.gateways.lastgate import HALT_FILE, ArmingError, LastGate, plain
from kquant.journal.port import Journal, JournalError
from kquant.values import KquantError, Seq, Symbol, is_code

INSTANCE = "instance.json"
STREAM = "operator"
PAGE = 500
QUESTION_SECONDS = 10
LINE_LIMIT = 1 << 24
LOOK_SECONDS = 0.5


class NoInstance(KquantError):
    """No running instance answers for this account."""


class OperatorGateway:
    """Serves one running day. status: returns what `kquant status` shows.   on_fatal: called when it cannot go on."""

    def __init__(
        self,
        journal: Journal,
        account_folder: Path,
        day_folder: Path,
        gate: LastGate,
        status: Callable[[], dict[str, Any]],
        on_fatal: Callable[[str], None],
    ) -> None:
        self._journal = journal
        self._account = account_folder
        self._day = day_folder
        self._gate = gate
        self._halt = gate.halt
        self._status = status
        self._on_fatal = on_fatal
        self._halts = 0
        self._armed: str | None = None
        self._watching: asyncio.Task[None] | None = None
        self._token = secrets.token_urlsafe(32)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    async def start(self) -> None:
        """Take up what was ordered before, open the port, leave its number and token for these files' owner."""
        self._fold()
        await self._look()
        self._watching = asyncio.create_task(self._watch(), name="operator's files")
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
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._tasks:  # followers hear the day's last events
            await asyncio.wait(self._tasks, timeout=1)
        for task in list(self._tasks):
            task.cancel()
        (self._account / INSTANCE).unlink(missing_ok=True)

    def _fold(self) -> None:
        for fact in self._journal.read(Seq(0), 10_000_000):
            match fact.event:
                case HaltOrdered() | ResumeOrdered():
                    self._halt.set(halted=isinstance(fact.event, HaltOrdered))
                case ArmOrdered(limits=limits):
                    self._armed = limits
                case DisarmOrdered():
                    self._armed = None
                case _:
                    pass

    async def _watch(self) -> None:
        """Record what the files say, for as long as the day runs."""
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                await self._look()
        except JournalError:
            return  # the journal stops the run by itself; the last gate goes on looking at the files
        except Exception as error:  # noqa: BLE001  a watch that ends unseen would leave the log behind the files
            self._on_fatal(f"operator: {error!r}")

    async def _look(self) -> None:
        """Record a halt and an arming that came by file."""
        if self._halt.has_file() and not self._halt.is_remembered():
            self._halts += 1
            self._halt.set(halted=True)
            await self._append("file", HaltOrdered(who="file", reason=self._halt.reason() or "no reason given"))
        await self._look_at_arming("file", "")

    async def _look_at_arming(self, who: str, reason: str) -> str:
        """Bring the log in line with the arming file; return "" if orders may leave, else why not."""
        arming = self._gate.arming
        if arming is None:
            return ""
        why = self._gate.why_not_armed()
        armed = arming.limits if why == "" else None
        if armed == self._armed:
            return why
        self._armed = armed
        if armed is None:
            await self._append(who, DisarmOrdered(who=who, reason=reason or why))
        else:
            try:
                who = arming.who()
            except OSError:
                return "not armed"  # it went away meanwhile: the next look records that
            await self._append(who, ArmOrdered(who=who, day=self._gate.today().isoformat(), limits=armed))
        return why

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
            except (JournalError, ArmingError, OSError) as error:
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
            case "halt" | "resume" | "flatten" | "arm" | "disarm" as command:
                return await self._order(command, question, plain(str(question["who"])), plain(str(question["reason"])))
            case "events":
                await self._stream(Seq(int(question.get("after", 0))), bool(question.get("follow")), writer)
                return None
            case other:
                return {"error": f"unknown command {other}"}

    async def _order(self, command: str, question: dict[str, Any], who: str, reason: str) -> dict[str, Any]:
        match command:
            case "halt":
                return {"seq": await self._halted(who, reason)}
            case "resume":
                return {"seq": await self._resumed(who, reason)}
            case "flatten":
                return {"seq": await self._flattened(who, reason, question.get("code"))}
            case "arm" if self._gate.arming is None:
                return {"error": "it trades no real account: there is nothing to arm"}
            case "arm":
                why = await self._look_at_arming(who, reason)
                return {"error": why} if why else {"day": self._gate.today().isoformat()}
            case _:
                if self._gate.arming is not None:
                    self._gate.arming.withdraw()
                await self._look_at_arming(who, reason)
                return {"armed": False}

    async def _halted(self, who: str, reason: str) -> Seq:
        """Halt at once in memory; the record may take as long as the disk takes."""
        self._halts += 1
        self._halt.set(halted=True)
        return await self._append(who, HaltOrdered(who=who, reason=reason))

    async def _resumed(self, who: str, reason: str) -> Seq:
        """Resume once it is on record, unless somebody has halted again meanwhile.

        The file goes first: one that cannot be removed goes on halting, and a log that says otherwise would be wrong.
        """
        halts = self._halts
        try:
            self._halt.clear()
        except OSError as error:
            raise OSError(
                f"{self._account / HALT_FILE} cannot be removed ({error.strerror or error}): remove it by hand"
            ) from None
        seq = await self._append(who, ResumeOrdered(who=who, reason=reason))
        if self._halts == halts:
            self._halt.set(halted=False)
        return seq

    async def _flattened(self, who: str, reason: str, code: object) -> Seq:
        """Have one holding sold, or everything: then entries are halted as well, until resumed, also on later days."""
        if code is None:
            self._halts += 1
            self._halt.set(halted=True)
            self._halt.write(f"everything is sold: {reason}")
            return await self._append(who, HaltOrdered(who=who, reason=reason), FlattenOrdered(who=who, reason=reason))
        if not isinstance(code, str) or not is_code(code):
            raise ValueError(f"{code!r} is no stock code")
        return await self._append(who, FlattenOrdered(who=who, reason=reason, code=Symbol(code)))

    async def _append(self, who: str, *events: Event) -> Seq:
        """Record what was ordered; return the seq of the last of it."""
        recorded = await asyncio.wrap_future(self._journal.append(STREAM, list(events), by=who))
        return recorded[-1].seq

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
        token, port = instance["token"], int(instance["port"])
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=LINE_LIMIT)
    except PermissionError as error:
        raise NoInstance(
            f"{error.filename} is for the user alone who started `kquant run`: do this as that user"
        ) from None
    except (OSError, OverflowError, ValueError, TypeError, KeyError) as error:
        known = f" ({INSTANCE} is damaged)" if not isinstance(error, OSError) else ""
        raise NoInstance(f"no running instance in {account_folder}{known}: start one with `kquant run`") from None
    writer.write(msgspec.json.encode({"token": token, "command": command, **fields}) + b"\n")
    try:
        while line := await reader.readline():
            yield line
    finally:
        writer.close()
