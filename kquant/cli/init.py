"""`kquant init`: guides to the keys, paper account first, writes the keys file, and asks KIS whether they work. 처음 설정.

Nothing is sent but a token request, one balance and, for a data key, one question about the calendar; no order ever.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from datetime import datetime
from typing import Annotated

from cyclopts import Parameter
from msgspec import structs
from rich.console import Console

from kquant.cli import codes
from kquant.cli.keys import Keys, KeysError, Purpose, check_keys, keys_path, read_keys, write_keys
from kquant.cli.shell import ConfigFile, Json, Setting, app, print_json, settings_for
from kquant.settings import BrokerSettings
from kquant.values import KST, KquantError

STEPS: dict[Purpose, tuple[str, ...]] = {
    "paper": (
        "1. 한국투자증권 계좌를 만들고 모의투자에 참가합니다.  Open an account at Korea Investment & Securities and join",
        "   its paper trading (모의투자): the paper account has a number of its own.",
        "2. KIS Developers에서 모의투자 앱키를 신청합니다.  At KIS Developers, apply for an app key for the paper account.",
        "3. 계좌번호, HTS ID, 앱키, 시크릿을 아래에 입력합니다.  Enter account, HTS id, app key and secret below.",
    ),
    "data": (
        "모의투자 서버에는 순위, 뉴스, 휴장일 조회가 없습니다.  The paper service has no rankings, news or holidays.",
        "실전 앱키를 조회 전용으로 쓰면 됩니다.  A real app key reads them; with it kquant cannot name an order at all.",
    ),
    "live": (
        "실전 계좌의 키입니다. 실제 돈이 움직입니다.  Keys of a real account: real money.",
        "주문은 그날 `kquant arm`을 실행해야만 나갑니다.  No order leaves before `kquant arm` on the day itself.",
    ),
}
TITLES: dict[Purpose, str] = {
    "paper": "모의투자 · paper account",
    "data": "조회 전용 · data key",
    "live": "실전 · live account",
}


class InitError(KquantError):
    """The keys cannot be had or do not work."""


@app.command
def init(
    *,
    profile: Annotated[Purpose | None, Parameter(name=("--profile", "-p"))] = None,
    account: str | None = None,
    hts_id: str | None = None,
    issued: str | None = None,
    check: bool = True,
    config: ConfigFile = None,
    set_: Setting = None,
    json: Json = False,
) -> int:
    """Set up the keys for KIS step by step, paper account first. 키 설정: 모의투자부터.

    App key and secret are asked for without being shown; a script gives them as KIS_APP_KEY and KIS_APP_SECRET.
    They are kept in an owner-only file and nowhere else.

    Parameters
    ----------
    profile
        paper, live, or data (a real key that only reads). Without it: paper, then data if you like.
    account
        12345678-01.
    hts_id
        Your HTS id, for execution notices.
    issued
        Day the app key was issued, YYYY-MM-DD: you are warned before its year ends.
    check
        Ask KIS whether the keys work; --no-check only writes them.
    config
        Your settings file (TOML).
    set_
        One setting, section.key=value; may be given again.
    json
        Print what was done as JSON.

    """
    from kquant.cli.probe import probe  # noqa: PLC0415  other commands need not load the network rooms

    console = Console(stderr=True)
    purposes: list[Purpose] = [profile] if profile is not None else ["paper"]
    given = {"account": account, "hts_id": hts_id, "issued": issued}
    written: list[str] = []
    said: list[str] = []
    for purpose in purposes:
        settings = settings_for("live" if purpose != "paper" else "paper", config, set_).settings
        keys = ask(console, purpose, settings.broker, given)
        if check:
            said += asyncio.run(probe(purpose, keys, settings))
        path = keys_path(settings.broker)
        write_keys(path, structs.replace(read_keys(path), **{purpose: keys}))
        written.append(purpose)
        if issued is None:
            said.append(
                f"the {purpose} app key counts as issued today, {keys.issued}: if it is older, say so with --issued, "
                "or nobody warns you before its year ends"
            )
        if profile is None and purpose == "paper" and _wants_data(console):
            purposes.append("data")
    if json:
        print_json({"written": written, "file": str(path), "checked": said})
        return codes.OK
    for line in said:
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"keys for {', '.join(written)} written to {path}\n")
    if "paper" in written:
        given_too = [
            *(["--config", str(config)] if config else []),
            *(part for one in set_ or [] for part in ("--set", one)),
        ]
        sys.stdout.write(f"next: {shlex.join(['kquant', 'run', '--profile', 'paper', *given_too])}\n")
    return codes.OK


def ask(console: Console, purpose: Purpose, broker: BrokerSettings, given: dict[str, str | None]) -> Keys:
    """Return the keys from options, the environment and, for what is missing, the person. Raises KeysError, InitError."""
    console.print(f"\n{TITLES[purpose]}", style="bold")
    for line in STEPS[purpose]:
        console.print(line, highlight=False, soft_wrap=True)
    names = {"app_key": broker.app_key_env, "app_secret": broker.app_secret_env}
    if purpose == "data":
        names = {"app_key": broker.data_app_key_env, "app_secret": broker.data_app_secret_env}

    def value(field: str, prompt: str, *, hidden: bool) -> str:
        found = given.get(field) or os.environ.get(names.get(field, ""), "")
        return found.strip() or _typed(
            console, prompt, hidden=hidden, name=names.get(field, f"--{field}".replace("_", "-"))
        )

    account = hts_id = ""
    if purpose != "data":
        account = value("account", "계좌번호 account (12345678-01): ", hidden=False)
        hts_id = value("hts_id", "HTS ID: ", hidden=False)
    keys = Keys(
        account=account,
        hts_id=hts_id,
        app_key=value("app_key", "앱키 app key: ", hidden=True),
        app_secret=value("app_secret", "시크릿 app secret: ", hidden=True),
        issued=given.get("issued") or datetime.now(KST).date().isoformat(),
    )
    check_keys(keys, purpose)
    return keys


def _typed(console: Console, prompt: str, *, hidden: bool, name: str) -> str:
    if not sys.stdin.isatty():
        raise KeysError(f"nobody is there to type: give {name}")
    try:
        text = console.input(prompt, password=hidden).strip()
    except (EOFError, KeyboardInterrupt):
        raise InitError("stopped: nothing was written") from None
    if not text:
        raise KeysError(f"{prompt.strip(': ')} is empty: nothing was written")
    return text


def _wants_data(console: Console) -> bool:
    if not sys.stdin.isatty():
        return False
    answer = console.input("조회 전용 실전 키를 추가할까요? Add a real key that only reads? [y/N] ")
    return answer.strip().lower() in {"y", "yes", "예", "ㅇ"}
