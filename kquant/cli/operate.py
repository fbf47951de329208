"""The operator's commands: halt, resume, flatten, status. 매수 중지, 매수 재개, 전량 청산, 상태."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from kquant.cli import codes
from kquant.cli.days import DayError, account_folders, is_running, one_account
from kquant.cli.instance import Refused, ask_now, order
from kquant.cli.limits import armed_words
from kquant.cli.shell import Account, ConfigFile, Data, Json, app, data_folder, print_json
from kquant.events.base import Recorded
from kquant.events.orders import ExitPostponed, OrderFinished, OrderIntended
from kquant.gateways.lastgate import HALT_FILE, HaltFlag
from kquant.gateways.operator import INSTANCE, NoInstance, ask, ask_stream, decode_row
from kquant.values import KquantError, Symbol, is_code, kst_clock
from kquant.views.portfolio import PositionLine, portfolio_view
from kquant.views.rules import phrase
from kquant.views.words import columns, won

ALL_WORDS = frozenset({"sell all", "전량청산", "전량 청산"})
FOLLOW_SECONDS = 3


class CannotSell(KquantError):
    """Nothing is sold, and why."""


@app.command
def halt(
    *,
    reason: str = "ordered by hand",
    account: Account = None,
    data: Data = None,
    config: ConfigFile = None,
    json: Json = False,
) -> int:
    """Stop new entries within a second, with or without a running program; exits keep working. 매수 중지.

    Every account of the data folder is halted, unless one is named.
    """
    folders = account_folders(data_folder(data, config), account)
    unwritten: dict[Path, str] = {}
    for folder in folders:
        try:
            HaltFlag(folder).write(reason)
        except OSError as error:
            unwritten[folder] = f"cannot write to {folder}: {error.strerror or error}"
    running = [folder for folder in folders if is_running(folder)]
    recorded = None
    for folder in running:
        try:
            recorded = int(order(folder, "halt", reason=reason)["seq"])
        except Refused:
            raise
        except NoInstance:
            continue  # the file is there, and the last gate looks at it
        unwritten.pop(folder, None)  # the log has it, which holds over restarts as well
    if unwritten:
        raise DayError(f"{'; '.join(unwritten.values())}: NOT halted there")
    what = "the running instance has recorded it"
    if recorded is None:
        what = "the running instance has not recorded it yet, its last gate sees the file"
    if not running:
        what = "by file, no instance is running there"
    return _said(f"halted {', '.join(map(str, folders))}: {what}", halted=True, recorded=recorded, json=json)


@app.command
def resume(
    *,
    reason: str = "ordered by hand",
    account: Account = None,
    data: Data = None,
    config: ConfigFile = None,
    json: Json = False,
) -> int:
    """Allow new entries again, for one account. 매수 재개."""
    folder = one_account(data_folder(data, config), account, "resume")
    recorded = _resumed(folder, reason) if is_running(folder) else None
    text = "resumed; the running instance has recorded it"
    if recorded is None:
        had = HaltFlag(folder).has_file()
        try:
            HaltFlag(folder).clear()
        except OSError as error:
            raise DayError(
                f"cannot remove {folder / HALT_FILE}: {error.strerror or error}: remove it by hand"
            ) from None
        where = "the run rests until its next day" if _rests(folder) else "no instance is running"
        text = (
            f"{'the halt file is removed' if had else f'there is no halt file in {folder}'}; {where}. "
            "A day that has the halt on record stays halted until `kquant resume` reaches the run that goes on with it"
        )
    return _said(text, halted=False, recorded=recorded, json=json)


def _resumed(folder: Path, reason: str) -> int | None:
    """Have the running instance resume; None if it rests between two days, when there is only the file."""
    try:
        return int(order(folder, "resume", reason=reason)["seq"])
    except NoInstance as error:
        if isinstance(error, Refused) or (folder / INSTANCE).exists():
            raise
        return None


def _said(text: str, *, halted: bool, recorded: int | None, json: bool) -> int:
    if json:
        print_json({"halted": halted, "recorded": recorded})
    else:
        sys.stdout.write(text + "\n")
    return codes.OK


@app.command
def status(*, account: Account = None, data: Data = None, config: ConfigFile = None, json: Json = False) -> int:
    """Show what the running instance is doing. 상태."""
    folder = one_account(data_folder(data, config), account, "status", running=True)
    answer = _told(folder)
    if json:
        print_json(answer)
        return codes.OK
    halted = f"  HALTED, no new buys ({answer['halted']}): kquant resume" if answer.get("halted") else ""
    sys.stdout.write(f"{answer['clock']} KST  {answer['line']}{halted}\n")
    if answer.get("live"):
        text = f"실전 · REAL MONEY  {answer['account']}  {armed_words(answer['live'])}"
        Console().print(text, style="bold red", highlight=False, soft_wrap=True)
    return codes.OK


@app.command
def flatten(
    code: str | None = None,
    /,
    *,
    reason: str = "ordered by hand",
    yes: Annotated[bool, Parameter(negative="")] = False,
    account: Account = None,
    data: Data = None,
    config: ConfigFile = None,
    json: Json = False,
) -> int:
    """Sell one holding, or everything, at the market, under the rules of every exit. 전량 청산.

    Everything also halts entries until `kquant resume`. What cannot trade now is sold as soon as it can.

    Parameters
    ----------
    code
        The stock; without it everything is sold.
    reason
        What the log shall say.
    yes
        Sell without asking; for scripts.
    account
        12345678-01.
    data
        Folder the days are kept in.
    config
        Your settings file (TOML).
    json
        Print what was ordered as JSON.

    """
    folder = one_account(data_folder(data, config), account, "flatten", running=True)
    if code is not None and not is_code(code):
        raise CannotSell(
            f"{code!r} is no stock code: write six or seven characters such as 005930 or Q500001, or none to sell everything"
        )
    shown = _told(folder)
    facts = _facts(folder)
    held = portfolio_view(facts).positions
    lines = [line for line in held if code in {None, line.code}]
    bought = _being_bought(facts, code)
    if lines or not bought:
        _sellable(shown, lines, held, code)
    _confirmed(lines, code, bought, yes=yes)
    fields = {} if code is None else {"code": code}
    seq = int(order(folder, "flatten", reason=reason, **fields)["seq"])
    wanted = {line.code for line in lines}
    follows = {code: text for code, text in _being_sold(facts).items() if code in wanted}
    if waited := wanted - follows.keys():
        follows |= asyncio.run(_what_follows(folder, seq, waited))
    if json:
        print_json(
            {"recorded": seq, "codes": [line.code for line in lines], "halted": code is None, "follows": follows}
        )
        return codes.OK
    also = "; entries are halted until `kquant resume`" if code is None else ""
    sys.stdout.write(f"ordered out at seq {seq}{also}\n")
    for line in lines:
        sys.stdout.write(f"  {line.code} {line.name}: {follows.get(line.code, 'not sold yet, see `kquant events`')}\n")
    return codes.OK


def _told(folder: Path) -> dict[str, Any]:
    """Return what the running instance says of itself. Raises NoInstance, which tells a run that rests from none."""
    try:
        return ask_now(folder, "status")
    except NoInstance as error:
        if not isinstance(error, Refused) and _rests(folder):
            raise NoInstance(f"the run in {folder} rests until its next day: nothing is traded now") from None
        raise


def _rests(folder: Path) -> bool:
    """Tell whether an instance is up that trades no day now: it holds the lock and answers nobody."""
    return is_running(folder) and not (folder / INSTANCE).exists()


def _facts(folder: Path) -> list[Recorded]:
    return [decode_row(row) for row in asyncio.run(ask(folder, "events", after=0, follow=False))]


def _being_sold(facts: Sequence[Recorded]) -> dict[Symbol, str]:
    """Return what is already under way: a second sell of a stock would offer what the first one offers."""
    found: dict[Symbol, str] = {}
    for fact in facts:
        match fact.event:
            case OrderIntended(code=code, side="sell", intent=intent):
                found[code] = f"is being sold already, intent {intent}"
            case OrderFinished(code=code, side="sell"):
                found.pop(code, None)
            case _:
                continue
    return found


def _being_bought(facts: Sequence[Recorded], wanted: str | None) -> dict[int, str]:
    """Return the buys under way, of one stock or all (None), by intent: they are cancelled, and what they bring is sold."""
    found: dict[int, str] = {}
    for fact in facts:
        match fact.event:
            case OrderIntended(side="buy", intent=intent, code=code, name=name) if wanted in {None, code}:
                found[intent] = f"{code} {name}"
            case OrderFinished(intent=intent):
                found.pop(intent, None)
            case _:
                continue
    return found


def _sellable(
    shown: dict[str, Any], lines: Sequence[PositionLine], held: Sequence[PositionLine], code: str | None
) -> None:
    """Refuse what would sell nothing now. Raises CannotSell."""
    if not lines:
        known = ", ".join(f"{line.code} {line.name}" for line in held)
        raise CannotSell(
            f"{code} is not held: there is {known}" if known else "nothing is held: there is nothing to sell"
        )
    if not shown["session_open"]:
        raise CannotSell(f"the session is closed ({shown['clock']} KST): nothing can be sold now")
    live = shown.get("live")
    if live is not None and not (live["armed"] and live["orders"]):
        raise CannotSell(f"nothing can be sold: {armed_words(live)}")


def _confirmed(lines: Sequence[PositionLine], code: str | None, bought: dict[int, str], *, yes: bool) -> None:
    """Show what would be sold and have it confirmed. Raises CannotSell."""
    console = Console(stderr=True)
    rows: list[tuple[str, ...]] = [
        (line.code, line.name, f"{line.qty:,}", _price(line), won(line.value_krw)) for line in lines
    ]
    total = won(sum(line.value_krw for line in lines))
    if len(rows) > 1:
        rows.append(("", "합계 · in all", "", "", total))
    head = ("code", "종목", "수량 · shares", "현재가 · last", "평가금액 · value")
    for text in columns(head, rows, right=(2, 3, 4)) if rows else []:
        console.print(text, highlight=False, soft_wrap=True)
    if bought:
        under_way = ", ".join(dict.fromkeys(bought.values()))
        console.print(f"매수 주문 취소 · buys to be cancelled: {under_way}", highlight=False, soft_wrap=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise CannotSell("nobody is there to confirm: give --yes")
    everything = "모두 시장가로 팔고 매수를 멈춥니다.  Everything is sold at the market, and entries are halted."
    one = f"{code} 전량을 시장가로 팝니다.  All of {code} is sold at the market."
    asked = "`sell all` 또는 `전량청산`을 입력  type `sell all`: " if code is None else f"type {code}: "
    console.print(everything if code is None else one, highlight=False, soft_wrap=True)
    try:
        typed = console.input(asked).strip()
    except (EOFError, KeyboardInterrupt):
        raise CannotSell("stopped: nothing is sold") from None
    if typed != code and not (code is None and typed.lower() in ALL_WORDS):
        raise CannotSell(f"{typed!r} was typed: nothing is sold")


def _price(line: PositionLine) -> str:
    return "unknown" if line.mark is None else won(line.mark)


async def _what_follows(folder: Path, seq: int, waited: set[Symbol]) -> dict[Symbol, str]:
    """Return what becomes of each stock in the first seconds: the order that leaves, or what it waits for."""
    found: dict[Symbol, str] = {}
    try:
        async with asyncio.timeout(FOLLOW_SECONDS):
            async for row in ask_stream(folder, "events", after=seq, follow=True):
                match decode_row(row).event:
                    case OrderIntended(code=code, side="sell", qty=qty, intent=intent) if code in waited:
                        found[code] = f"{qty:,} shares at the market, intent {intent}"
                    case ExitPostponed(code=code, rule=rule, until=until) if code in waited:
                        found[code] = f"waits: {phrase(rule)}, looked at again at {kst_clock(until)}"
                    case _:
                        continue
                if waited <= found.keys():
                    break
    except (TimeoutError, NoInstance, OSError):
        return found
    return found
