"""The exchange's own process with a clerk at its door: every order call that arrives is written down, then handled.

`python -m tests.soak.door SENTENCE -- <options of kquant exchange>`. The clerk sees a call before any fault does. Where
the sentence says so the caller, our parent, is killed while its call is in flight.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import msgspec
from msgspec import Struct

from kquant.exchange.core.rest import Request, Response
from kquant.exchange.core.service import Service
from kquant.exchange.faults import FaultBook
from kquant.exchange.servers.process import main as exchange

from .points import Death, Kill, Phase, Sentence

ORDER_PATH, CHANGE_PATH = "/trading/order-cash", "/trading/order-rvsecncl"
POINTS = {ORDER_PATH: "order in flight", CHANGE_PATH: "change in flight"}


class Post(Struct, frozen=True, kw_only=True):
    """An order call as it arrived. caller: its process.   origin: of a change, without leading zeros, "" for a new order."""

    caller: int
    what: Literal["buy", "sell", "replace", "cancel"]
    code: str
    qty: int
    price: int
    origin: str


def posts_of(file: Path) -> list[Post]:
    """Return the calls written down so far, in order; none where none ever came."""
    if not file.exists():
        return []
    return [msgspec.json.decode(line, type=Post) for line in file.read_bytes().splitlines()]


def read_post(request: Request) -> Post:
    """Return a request of one of the two order paths as a row."""
    body: dict[str, Any] = dict(request.body)
    if request.path.endswith(ORDER_PATH):
        # TTTC0012U and VTTC0012U buy, …0011U sell (kis-protocol 4.5).
        what = {"0012U": "buy", "0011U": "sell"}[request.headers["tr_id"][-5:]]
    else:
        what = {"01": "replace", "02": "cancel"}[body["RVSE_CNCL_DVSN_CD"]]
    return msgspec.convert(
        {
            "caller": os.getppid(),
            "what": what,
            "code": body.get("PDNO", ""),
            "qty": int(body["ORD_QTY"]),
            "price": int(body["ORD_UNPR"]),
            "origin": body.get("ORGN_ODNO", "").lstrip("0"),
        },
        Post,
    )


def write_line(file: str, row: Struct) -> None:
    """Append one row in one write; what the kernel has survives our end."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, msgspec.json.encode(row) + b"\n")
    finally:
        os.close(handle)


class Clerk:
    """Writes calls down, and kills the caller where it was told to."""

    def __init__(self, sentence: Sentence) -> None:
        self._sentence = sentence
        self._caller = os.getppid()
        self._seen: Counter[tuple[str, Phase]] = Counter()

    def arrived(self, request: Request) -> None:
        """Note a call that is at the door; nothing of it has happened."""
        if self._point(request):
            write_line(self._sentence.posts, read_post(request))
            self._reached(request, "arrived")

    def done(self, request: Request) -> None:
        """The call's effect is in the books; its answer is still here."""
        if self._point(request):
            self._reached(request, "done")

    def _point(self, request: Request) -> str:
        return next((point for path, point in POINTS.items() if request.path.endswith(path)), "")

    def _reached(self, request: Request, phase: Phase) -> None:
        point = self._point(request)
        self._seen[point, phase] += 1
        kill = Kill(point=point, phase=phase, nth=self._seen[point, phase])
        if kill in self._sentence.kills and self._caller > 1:
            write_line(self._sentence.note, Death(kill=kill, seq=0))
            os.kill(self._caller, signal.SIGKILL)
            raise ConnectionAbortedError("nobody is there to be answered")


@contextmanager
def clerk_at(sentence: Sentence) -> Iterator[None]:
    """Have the clerk at the door of the exchange of this process."""
    clerk = Clerk(sentence)
    faults, effect = FaultBook.before, Service.rest

    def before(self: FaultBook, service: Any, request: Request, now: Any) -> Any:
        clerk.arrived(request)
        return faults(self, service, request, now)

    def rest(self: Service, request: Request, wall: float) -> Response:
        answer = effect(self, request, wall)
        clerk.done(request)
        return answer

    with mock.patch.object(FaultBook, "before", before), mock.patch.object(Service, "rest", rest):
        yield


@contextmanager
def watched(sentence: Sentence) -> Iterator[None]:
    """Have an embedded exchange that is started meanwhile come with the clerk."""
    start = asyncio.create_subprocess_exec

    async def started(*command: str, **options: Any) -> asyncio.subprocess.Process:
        at = command.index("kquant.exchange")
        told = ("tests.soak.door", msgspec.json.encode(sentence).decode(), "--")
        return await start(*command[:at], *told, *command[at + 1 :], **options)

    with mock.patch.object(asyncio, "create_subprocess_exec", started):
        yield


def main(arguments: Sequence[str]) -> int:
    """Run the exchange as `kquant exchange` does."""
    with clerk_at(msgspec.json.decode(arguments[0], type=Sentence)):
        return exchange(arguments[2:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
