"""`kquant arm` and `kquant disarm`: real orders leave only on a day on which a person said so at a terminal. 실전 주문 허용.

Nothing but typing arms: no option, no variable, no file of settings. What is typed is not on the screen as such, so that
it is read and thought of: two digits of the account that are masked, and today's date.
"""

from __future__ import annotations

import os
import re
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console

from kquant.cli import codes
from kquant.cli.days import account_folders, account_name, is_running, masked
from kquant.cli.instance import Refused, ask_now, me, order
from kquant.cli.keys import Keys, trading_keys
from kquant.cli.limits import real_money
from kquant.cli.shell import (
    Account,
    ConfigFile,
    Data,
    Json,
    Profile,
    Setting,
    app,
    data_folder,
    print_json,
    settings_for,
)
from kquant.gateways.kis.rest.environment import check_belonging, service_of
from kquant.gateways.lastgate import Arming, ArmingError, limits_digest, withdraw
from kquant.gateways.operator import NoInstance
from kquant.settings import BrokerSettings, Settings
from kquant.values import SECOND_US, KquantError, Micros, to_kst


class NotArmed(KquantError):
    """The account is not armed, and why."""


@app.command
def arm(
    *,
    profile: Profile = "live",
    data: Data = None,
    config: ConfigFile = None,
    set_: Setting = None,
    json: Json = False,
) -> int:
    """Let real orders leave today. A person reads the limits and types two digits of the account and the date. 실전 주문 허용.

    It holds for today, for this account, and for these limits: with the same --config and --set as `kquant run`.
    It works before the run is started and while it runs. Every day needs it anew.
    """
    loaded = settings_for(profile, config, set_, journal__data=None if data is None else str(data))
    settings = loaded.settings
    keys = real_keys(settings)
    folder = Path(settings.journal.data) / account_name(keys.account)
    arming = Arming(folder, keys.account, limits_digest(settings))
    today = today_of(settings.broker)
    _fits(folder, arming, today)
    _typed(Console(stderr=True), settings, keys, today, arming.why_not(today))
    arming.write(today, me())
    recorded = _recorded(folder)
    if json:
        print_json({"armed": True, "day": today.isoformat(), "recorded": recorded})
    else:
        where = "the running instance has recorded it" if recorded else "it counts once `kquant run` trades today"
        sys.stdout.write(f"armed {masked(keys.account)} for {today}: {where}. `kquant disarm` takes it back\n")
    return codes.OK


@app.command
def disarm(
    *,
    reason: str = "ordered by hand",
    account: Account = None,
    data: Data = None,
    config: ConfigFile = None,
    json: Json = False,
) -> int:
    """Let no real order leave any more, exits included. With or without a running program. 실전 주문 중지.

    Working buys are cancelled. For every account of the data folder, unless one is named.
    """
    folders = account_folders(data_folder(data, config), account)
    had, stuck = [], []
    for folder in folders:
        try:
            if withdraw(folder):
                had.append(folder)
        except ArmingError as error:
            stuck.append(str(error))
    told = [folder for folder in folders if is_running(folder) and _told(folder, reason)]
    if stuck:  # the running instance was told all the same: it needs no file to stop
        raise ArmingError("; ".join(stuck))
    if json:
        print_json({"armed": False, "recorded": bool(told)})
    elif not had:
        sys.stdout.write(f"nothing was armed in {', '.join(map(str, folders))}\n")
    else:
        rest = "What left before may still fill, working buys are cancelled; nothing more is sold either until `kquant arm`"
        sys.stdout.write(f"disarmed {', '.join(map(str, had))}: no real order leaves. {rest}\n")
    return codes.OK


def real_keys(settings: Settings) -> Keys:
    """Return the keys of the real account that the settings trade. Raises NotArmed, StartError, KeysError."""
    broker = settings.broker
    if broker.exchange != "live":
        raise NotArmed(f"profile {settings.profile} trades no real money: only profile live is armed")
    if not broker.orders:
        raise NotArmed("broker.orders is off: the run only watches, and there is nothing to arm")
    check_belonging("real", urls=(broker.rest_url, broker.ws_url), key="real", account="real")
    check_offset(broker)
    return trading_keys("live", broker, os.environ)


def check_offset(broker: BrokerSettings) -> None:
    """Refuse a clock that is set off at a service that keeps the real time. Raises NotArmed."""
    keys = ["rest_url", "ws_url"]
    if broker.exchange == "paper":  # a real account is asked for everything itself
        keys += ["data_rest_url", "data_ws_url"]
    real = [f"broker.{key} is {url}" for key in keys if service_of(url := getattr(broker, key)) != "loopback"]
    if broker.clock_offset_seconds and real:
        raise NotArmed(
            f"broker.clock_offset_seconds is for a look-alike on this machine, and {real[0]}: KIS keeps the real time"
        )


def today_of(broker: BrokerSettings) -> date:
    """Return today (KST), by the clock the run goes by."""
    return to_kst(Micros(int((time.time() + broker.clock_offset_seconds) * SECOND_US))).date()


def _fits(folder: Path, arming: Arming, today: date) -> None:
    """Refuse to arm for other limits or another day than the running instance's. Raises NotArmed."""
    if not is_running(folder):
        return
    try:
        live = ask_now(folder, "status").get("live")
    except NoInstance:
        return  # it rests between two days, and looks at the file when the next one begins
    if live is None:
        raise NotArmed(f"the instance that runs in {folder} trades no real account")
    if live["limits"] != arming.limits:
        raise NotArmed("the running instance goes by other limits: give the --config and --set it was started with")
    if live["today"] != today.isoformat():
        raise NotArmed(f"the running instance's day is {live['today']}, here it is {today}: look at the clock")


def _typed(console: Console, settings: Settings, keys: Keys, today: date, state: str) -> None:
    """Show what is at stake and have it typed. Raises NotArmed."""
    if not sys.stdin.isatty():
        raise NotArmed("a person arms, at a terminal: nobody is there to type, and no option stands in for it")
    console.print(real_money(settings, masked(keys.account), today.isoformat(), state or "armed already"))
    console.print(
        "오늘 실제 주문을 허용하려면 계좌번호 앞 8자리의 마지막 두 숫자와 오늘 날짜를 입력하십시오.\n"
        "To let real orders leave today, type the last two of the account's\n"
        "first eight digits, then today's date: NN YYYYMMDD",
        highlight=False,
    )
    try:
        typed = console.input("> ")
    except (EOFError, KeyboardInterrupt):
        raise NotArmed("stopped: not armed") from None
    if re.sub(r"[\s-]", "", typed) != f"{keys.account[6:8]}{today:%Y%m%d}":
        raise NotArmed("that is not the two digits and today's date: not armed")


def _recorded(folder: Path) -> bool:
    """Have the running instance look at the file; take it back if it refuses. Raises NotArmed."""
    if not is_running(folder):
        return False
    try:
        order(folder, "arm", reason="")
    except Refused as error:
        withdraw(folder)
        raise NotArmed(f"not armed: {error}") from None
    except NoInstance:
        return False
    return True


def _told(folder: Path, reason: str) -> dict[str, Any] | None:
    try:
        return order(folder, "disarm", reason=reason)
    except NoInstance:
        return None  # the file is gone, and that is what the last gate looks at
