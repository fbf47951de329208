"""Commands that read a day: replay rebuild and verify, events, portfolio, why. A running day is read over its instance's socket."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from kquant.cli import codes
from kquant.cli.days import find_day, is_running
from kquant.cli.shell import Data, Json, app, data_folder, print_json
from kquant.cli.summary import write_report
from kquant.domain import OWNERS
from kquant.events.base import Recorded
from kquant.gateways.kis.feed.wire import decode
from kquant.gateways.operator import INSTANCE, ask, ask_stream, decode_row
from kquant.journal import read_day
from kquant.replay import commands
from kquant.views.describe import line
from kquant.views.names import Names
from kquant.views.summary import day_summary

replay_app = App(name="replay", help="Tell a day again from its log.")
app.command(replay_app)

Day = Annotated[str, Parameter(help="A date (its newest run), a day's folder, or latest.")]
At = Annotated[str | None, Parameter(name="--at", help="HH:MM:SS KST.")]
SeqOption = Annotated[int | None, Parameter(name="--seq", help="Place in the day's journal.")]


def _show(answer: commands.Answer, *, json: bool) -> int:
    if json:
        print_json(answer.data)
    else:
        sys.stdout.write(answer.text + "\n")
    return answer.code


@replay_app.command
def rebuild(day: Day = "latest", *, at: At = None, seq: SeqOption = None, data: Data = None, json: Json = False) -> int:
    """Show slot table, portfolio, picks and scores as they were at a moment."""
    folder = find_day(data_folder(data), day)
    return _show(commands.rebuild(folder, OWNERS, at=at, seq=seq, facts=_running(folder)), json=json)


@replay_app.command
def verify(day: Day = "latest", *, data: Data = None, json: Json = False) -> int:
    """Decide everything again from the log, derive every trigger and bar again from the tape, and compare."""
    folder = find_day(data_folder(data), day)
    return _show(commands.verify(folder, OWNERS, decode, facts=_running(folder)), json=json)


@app.command
def events(
    day: Day = "latest",
    *,
    stream: str | None = None,
    follow: Annotated[bool, Parameter(negative="")] = False,
    data: Data = None,
    json: Json = False,
) -> int:
    """Print the log, one line an event; of one stream, or of a running day as it goes on.

    With --follow and --json every event is one line of JSON; without --follow they are one JSON list.
    """
    folder = find_day(data_folder(data), day)
    if follow and _is_live(folder):
        asyncio.run(_follow(folder, stream, json=json))
        return codes.OK
    if follow and json:
        for fact in commands.events(folder, stream=stream).data:
            sys.stdout.write(msgspec.json.encode(fact).decode() + "\n")
        return codes.OK
    return _show(commands.events(folder, stream=stream, facts=_running(folder)), json=json)


@app.command
def report(day: Day = "latest", *, data: Data = None, json: Json = False) -> int:
    """Write and print a finished or stopped day's report again."""
    folder = find_day(data_folder(data), day)
    facts = _running(folder) or read_day(folder)
    page, text = write_report(folder, facts)
    if json:
        print_json({"report": str(page), "summary": commands.plain(day_summary(facts))})
    else:
        sys.stdout.write(f"{text}\n\nreport: {page}\n")
    return codes.OK


@app.command
def portfolio(
    day: Day = "latest", *, at: At = None, seq: SeqOption = None, data: Data = None, json: Json = False
) -> int:
    """Show positions with average cost and gains, costs, and cash: today's, D+1, D+2, held back, orderable (잔고)."""
    folder = find_day(data_folder(data), day)
    return _show(commands.portfolio(folder, at=at, seq=seq, facts=_running(folder)), json=json)


@app.command
def why(day: Day, code: str, *, at: At = None, seq: SeqOption = None, data: Data = None, json: Json = False) -> int:
    """Tell why a stock got, kept, lost or never got a slot, and why it was bought or not."""
    folder = find_day(data_folder(data), day)
    return _show(commands.why(folder, code, at=at, seq=seq, facts=_running(folder)), json=json)


def _is_live(folder: Path) -> bool:
    account = folder.parent
    if not is_running(account):
        return False
    try:
        instance = msgspec.json.decode((account / INSTANCE).read_bytes(), type=dict[str, object])
    except (OSError, msgspec.DecodeError):
        return False
    return instance.get("day") == folder.name


def _running(folder: Path) -> list[Recorded] | None:
    """Return what the instance that runs this day tells of it, None for a day nobody runs."""
    if not _is_live(folder):
        return None
    return [decode_row(row) for row in asyncio.run(ask(folder.parent, "events", after=0, follow=False))]


async def _follow(folder: Path, stream: str | None, *, json: bool) -> None:
    names = Names()
    async for row in ask_stream(folder.parent, "events", after=0, follow=True):
        fact = decode_row(row)
        names.learn(fact.event)
        if stream not in {None, fact.stream}:
            continue
        if json:
            sys.stdout.write(msgspec.json.encode(commands.plain(fact)).decode() + "\n")
        else:
            sys.stdout.write(line(fact, names) + "\n")
        sys.stdout.flush()
