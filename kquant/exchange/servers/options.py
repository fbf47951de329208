"""The exchange's command line: what is played, when, on which ports, for whom."""

import argparse
import datetime as dt
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from kquant.exchange.core.books import Environment
from kquant.exchange.core.layouts import LAYOUTS
from kquant.exchange.servers.fault_options import HELP, FaultsAction

PORT_NAMES: Final = ("rest", "ws", "paper_rest", "paper_ws", "admin")
DEFAULT_SEED: Final = 1
SECRETS: Final = {
    "appkey": "PSDEMO" + "0" * 30,
    "appsecret": "demo" + "0" * 176,
    "paper_appkey": "PSPAPER" + "0" * 29,
    "paper_appsecret": "paper" + "0" * 175,
}
"""The keys clients sign in with, unless told otherwise. They open nothing but this look-alike."""
_EPILOG: Final = (
    "Keys may also come from the environment, where no process list shows them: "
    + ", ".join(f"KQUANT_EXCHANGE_{name.upper()}" for name in SECRETS)
    + ". Everything listens on 127.0.0.1. Without --state books live in a folder of the system's temporary files, "
    "for as long as the exchange runs."
)


def parse(arguments: Sequence[str], prog: str = "python -m kquant.exchange") -> argparse.Namespace:
    """Return the options; argparse ends the process with code 2 on a bad one."""
    parser = argparse.ArgumentParser(
        prog=prog, description="A look-alike of KIS on loopback, in real and paper dress at once.", epilog=_EPILOG
    )
    _add_market(parser)
    _add_clock(parser)
    _add_ports(parser)
    _add_accounts(parser)
    parser.add_argument("--state", type=Path, default=None, help="folder of the books, the clock, exchange.json")
    parser.add_argument("--lock-wait", type=float, default=15.0, help="wall seconds to wait for an exchange that ends")
    parser.add_argument("--layout", choices=sorted(LAYOUTS), default="2026-09", help="the width of frames, by date")
    parser.add_argument("--faults", action=FaultsAction, default=[], metavar="SPEC", help=HELP)
    parser.add_argument("--verbose", action="store_true", help="print ports and keys for people, on standard error")
    parser.add_argument(
        "--end-with-stdin", action="store_true", help="end when standard input does: for a parent that may be killed"
    )
    options = parser.parse_args(arguments)
    _settle(parser, options)
    return options


def _add_market(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--market", type=Path, action="append", help="folder of a market day; given again for the days after it"
    )
    source.add_argument(
        "--generate",
        type=int,
        default=None,
        metavar="SEED",
        help=f"generate the days from a seed; default without --market: {DEFAULT_SEED}",
    )
    parser.add_argument(
        "--day",
        type=_day,
        default=None,
        help="YYYY-MM-DD; default: the folder's day, or the next trading day from today on",
    )
    parser.add_argument(
        "--days", type=int, default=None, help="trading days to play; default: 1 stepped, else without end"
    )
    parser.add_argument("--stocks", type=int, default=2_700, help="how many stocks a generated day has")


def _add_clock(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--clock",
        choices=("step", "run", "wall"),
        default=None,
        help="step: moved through the admin port; run: by itself from --start on; wall: Korea's real time",
    )
    parser.add_argument("--speed", type=_speed, default=None, help="max (stepped), or market seconds a wall second")
    parser.add_argument(
        "--open-now", action="store_true", help="with --clock wall: the day plays as today and the market opens now"
    )
    parser.add_argument(
        "--start",
        type=_time,
        default=None,
        help="market time of the first start, HH:MM:SS; default: 07:00 stepped, else a minute before the open",
    )
    parser.add_argument(
        "--whole-day",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="play the opening auction and what follows the close second by second; default: unless stepped",
    )


def _add_ports(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port",
        type=int,
        default=None,
        metavar="N",
        help="real REST N, real WebSocket N+1, paper REST N+2, paper WebSocket N+3, admin N+4; default: any free ones",
    )
    for name in PORT_NAMES:
        parser.add_argument(f"--{name.replace('_', '-')}-port", type=int, default=None, help="this port alone")


def _add_accounts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--account", type=_account, default=("50001234", "01"), help="CANO-PRODUCT")
    parser.add_argument("--paper-account", type=_account, default=("50009876", "01"), help="CANO-PRODUCT")
    parser.add_argument("--hts-id", default="DEMO01")
    parser.add_argument("--paper-hts-id", default=None, help="default: the real one's")
    for name in SECRETS:
        parser.add_argument(f"--{name.replace('_', '-')}", default=None)
    parser.add_argument("--cash", type=int, default=100_000_000, help="won in each account")
    parser.add_argument("--holdings", type=int, default=6, help="stocks each account holds at first")
    parser.add_argument(
        "--limits",
        type=_limits,
        default={},
        metavar="real=N,paper=N",
        help="REST calls a second; default: the layout's",
    )
    parser.add_argument(
        "--ledger-limits",
        type=_limits,
        default={},
        metavar="real=N,paper=N",
        help="of them, calls of accounts and orders, refused as EGW00215 above; default: no limit of their own",
    )
    parser.add_argument("--linger", type=int, default=30, help="market seconds an app key stays taken after a loss")
    parser.add_argument("--list-lag", type=int, default=2, help="market seconds until an order is in the daily list")
    parser.add_argument("--latency", type=int, default=0, help="market seconds an order needs to the exchange")


def _settle(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Fill in what follows from other options and from the environment."""
    if options.clock is None:
        options.clock = "step" if options.speed == 0 else "run"
    if options.clock == "step":
        if options.speed:
            parser.error("--clock step is moved through the admin port: leave --speed out")
        options.speed = None
    elif options.speed == 0 or (options.clock == "wall" and options.speed is not None):
        parser.error(f"--clock {options.clock} does not go with this --speed")
    else:
        options.speed = options.speed or 1.0
    if options.open_now and options.clock != "wall":
        parser.error("--open-now needs --clock wall")
    if options.open_now and options.day is not None:
        parser.error("--open-now plays as today: leave --day out")
    if options.market is None and options.generate is None:
        options.generate = DEFAULT_SEED
    if options.market is None and options.stocks < 1:
        parser.error(f"--stocks is 1 or more, not {options.stocks}")
    if options.days is not None and options.days < 1:
        parser.error(f"--days is 1 or more, not {options.days}")
    if options.days is None and options.clock == "step":
        options.days = 1
    if options.whole_day is None:
        options.whole_day = options.clock != "step"
    first = options.port
    if first is not None and not 0 < first <= 65_531:
        parser.error(f"--port is 1 to 65531, not {first}")
    for place, name in enumerate(PORT_NAMES):
        if getattr(options, f"{name}_port") is None:
            setattr(options, f"{name}_port", 0 if first is None else first + place)
    for name, known in SECRETS.items():
        given = getattr(options, name)
        setattr(options, name, os.environ.get(f"KQUANT_EXCHANGE_{name.upper()}", known) if given is None else given)
    if options.appkey == options.paper_appkey:
        parser.error("the real and the paper app key are the same: KIS gives two")


def _speed(text: str) -> float:
    """Return market seconds a wall second, 0 for the stepped clock."""
    if text == "max":
        return 0.0
    value = float(text)
    if not 0 < value <= 100_000:
        raise argparse.ArgumentTypeError(f"speed is max or a number up to 100000, not {text}")
    return value


def _day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def _account(text: str) -> tuple[str, str]:
    number, _, product = text.partition("-")
    if len(number) != 8 or len(product) != 2 or not (number + product).isdigit():
        raise argparse.ArgumentTypeError(f"an account is written 12345678-01, not {text}")
    return number, product


def _time(text: str) -> int:
    at = dt.time.fromisoformat(text)
    return at.hour * 3600 + at.minute * 60 + at.second


def _limits(text: str) -> dict[Environment, int]:
    found: dict[Any, int] = {}
    for part in text.split(","):
        name, _, count = part.partition("=")
        if name not in ("real", "paper") or not count.isdigit() or int(count) < 1:
            raise argparse.ArgumentTypeError(f"limits are written real=18,paper=1, not {text}")
        found[name] = int(count)
    return found
