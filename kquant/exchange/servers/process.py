"""The exchange as a process of its own: options, state folder, ports, and an end when its parent dies."""

import argparse
import asyncio
import contextlib
import datetime as dt
import hashlib
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout
from msgspec import Struct

from kquant.exchange.core.exchange import Exchange, ExchangeOptions
from kquant.exchange.core.ports import Market
from kquant.exchange.core.state import (
    CALLS_PER_SECOND,
    ENVIRONMENTS,
    Environment,
    Restored,
    ServiceOptions,
    market_identity,
    opening_account,
)
from kquant.exchange.faults import FaultBook
from kquant.exchange.servers.fault_options import HELP, FaultsAction
from kquant.exchange.servers.ports import PortError, PortNumbers, Ports
from kquant.exchange.servers.store import ClockFile, SqliteStore, StoreError

USAGE_ERROR: Final = 2


class StartError(Exception):
    """The exchange cannot start; the message is one clear line."""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options; argparse ends the process with code 2 on a bad one."""
    parser = argparse.ArgumentParser(prog="python -m kquant.exchange", description="A simulated KIS on loopback.")
    parser.add_argument("--state", type=Path, required=True, help="folder of the ledger, the clock, exchange.json")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--market", type=Path, help="folder of a market day")
    source.add_argument("--generate", type=int, metavar="SEED", help="generate the day from a seed")
    parser.add_argument("--day", type=dt.date.fromisoformat, required=True, help="YYYY-MM-DD")
    parser.add_argument("--stocks", type=int, default=2_700, help="how many stocks a generated day has")
    parser.add_argument("--speed", type=_speed, default=None, help="max (stepped) or market seconds a wall second")
    for name in ("rest", "ws", "paper-rest", "paper-ws", "admin"):
        parser.add_argument(f"--{name}-port", type=int, default=0)
    parser.add_argument("--account", type=_account, default=("50001234", "01"), help="CANO-PRODUCT")
    parser.add_argument("--hts-id", default="DEMO01")
    parser.add_argument("--appkey", default="PSDEMO" + "0" * 30)
    parser.add_argument("--appsecret", default="demo" + "0" * 176)
    parser.add_argument("--paper-account", type=_account, default=("50009876", "01"), help="CANO-PRODUCT")
    parser.add_argument("--paper-hts-id", default=None, help="default: the real one's")
    parser.add_argument("--paper-appkey", default="PSPAPER" + "0" * 29)
    parser.add_argument("--paper-appsecret", default="paper" + "0" * 175)
    parser.add_argument("--start", type=_time, default=7 * 3600, help="market time of the first start, HH:MM:SS")
    parser.add_argument("--cash", type=int, default=100_000_000, help="won")
    parser.add_argument("--holdings", type=int, default=6)
    parser.add_argument("--lock-wait", type=float, default=15.0, help="wall seconds to wait for an exchange that ends")
    parser.add_argument("--linger", type=int, default=0, help="market seconds an app key stays taken after a loss")
    parser.add_argument("--faults", action=FaultsAction, default=[], metavar="SPEC", help=HELP)
    return parser.parse_args(arguments)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    value = float(text)
    if not 0 < value <= 100_000:
        raise argparse.ArgumentTypeError(f"speed is max or a number up to 100000, not {text}")
    return value


def _account(text: str) -> tuple[str, str]:
    number, _, product = text.partition("-")
    if len(number) != 8 or len(product) != 2 or not (number + product).isdigit():
        raise argparse.ArgumentTypeError(f"an account is written 12345678-01, not {text}")
    return number, product


def _time(text: str) -> int:
    at = dt.time.fromisoformat(text)
    return at.hour * 3600 + at.minute * 60 + at.second


def _open_market(options: argparse.Namespace) -> Market:
    from kquant.exchange import market as days  # noqa: PLC0415 -- numpy loads only once the options are good

    if options.market is None:
        return days.generate(options.day, options.generate, options.stocks)
    try:
        loaded = days.load(options.market)
    except (days.MarketFileError, OSError) as error:
        raise StartError(f"cannot read the market day {options.market}: {error}") from error
    if loaded.day != options.day:
        raise StartError(f"the market day {options.market} is of {loaded.day}, not {options.day}")
    return loaded


def _write_atomically(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(path)


class State(Struct, frozen=True):
    """The open files of a state folder."""

    stores: dict[Environment, SqliteStore]
    clock: ClockFile

    def close(self) -> None:
        """Close them all."""
        for store in self.stores.values():
            store.close()
        self.clock.close()


def _service_options(options: argparse.Namespace, environment: Environment) -> ServiceOptions:
    prefix = "" if environment == "real" else "paper_"
    secret = getattr(options, f"{prefix}appsecret")
    return ServiceOptions(
        account=getattr(options, f"{prefix}account"),
        hts_id=getattr(options, f"{prefix}hts_id") or options.hts_id,
        app_key=getattr(options, f"{prefix}appkey"),
        app_secret=secret,
        salt=hashlib.sha256(secret.encode()).digest() + os.urandom(16),
        cash=options.cash,
        holdings=options.holdings,
        calls_per_second=CALLS_PER_SECOND[environment],
        linger_s=options.linger,
    )


def _open_exchange(options: argparse.Namespace) -> tuple[Exchange, State]:
    market = _open_market(options)
    settings = ExchangeOptions(
        real=_service_options(options, "real"),
        paper=_service_options(options, "paper"),
        start_second=options.start,
    )
    stores: dict[Environment, SqliteStore] = {}
    restored: dict[Environment, Restored] = {}
    try:
        clock = ClockFile(options.state)
        for environment in ENVIRONMENTS:
            store = SqliteStore(options.state, market.day, market_identity(market), environment)
            stores[environment] = store
            found = store.load()
            if found is None:
                service = settings.real if environment == "real" else settings.paper
                store.save_opening(opening_account(market, service))
                found = store.load()
            if found is not None:
                restored[environment] = found
    except (StoreError, ValueError) as error:
        raise StartError(str(error)) from error
    exchange = Exchange(
        market,
        settings,
        stores=stores,
        restored=restored,
        now_us=clock.load(),
        save_clock=clock.save,
    )
    return exchange, State(stores, clock)


def _about(market: Market) -> dict[str, Any]:
    """Say what is played: which stocks have a path drawn to fit their daily row, and how many follow recorded bars."""
    drawn = [stock.code for stock in market.stocks if stock.drawn]
    about = {"source": market.source, "seed": market.seed, "stocks": len(market.stocks), "drawn": drawn}
    return {**about, "bars": len(market.traded_codes().difference(drawn))}


async def _serve(options: argparse.Namespace) -> None:
    exchange, state = _open_exchange(options)
    research = options.state / "research.parquet"
    market = exchange.market
    if not research.exists():
        partial = options.state / "research.partial.parquet"
        market.write_research(partial)
        partial.replace(research)
    about = _about(market)
    ports = Ports(exchange, options.speed, {"market": about}, faults=FaultBook(options.faults))
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):  # Windows has none: there the end of stdin is the sign
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
    try:
        try:
            names = ("rest", "ws", "paper_rest", "paper_ws", "admin")
            bound = await ports.start(PortNumbers(**{name: getattr(options, f"{name}_port") for name in names}))
        except PortError as error:
            raise StartError(str(error)) from error
        ready: dict[str, Any] = {
            **bound,
            "pid": os.getpid(),
            "day": market.day.isoformat(),
            "research": str(research.resolve()),
            "account": "-".join(options.account),
            "hts_id": options.hts_id,
            "paper_account": "-".join(options.paper_account),
            "paper_hts_id": options.paper_hts_id or options.hts_id,
            "market": about,
        }
        line = json.dumps(ready, ensure_ascii=False)
        _write_atomically(options.state / "exchange.json", line)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        _watch_parent(loop, stopped)
        ends = [asyncio.create_task(stopped.wait()), asyncio.create_task(ports.failed.wait())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
    finally:
        await ports.stop()
        state.close()


def _watch_parent(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    """Set *stopped* when stdin ends: the parent holds its other end and is gone."""

    def wait() -> None:
        with contextlib.suppress(OSError):  # a closed stdin is an end as well
            while os.read(0, 4096):
                pass
        with contextlib.suppress(RuntimeError):  # the loop has already ended
            loop.call_soon_threadsafe(stopped.set)

    threading.Thread(target=wait, name="parent-watch", daemon=True).start()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the exchange until SIGTERM or the end of stdin; return the exit code (2: it could not start)."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    lock: FileLock | None = None
    try:
        try:
            options.state.mkdir(parents=True, exist_ok=True)
            lock = FileLock(options.state / "exchange.lock", timeout=options.lock_wait)
            lock.acquire()
        except Timeout:
            raise StartError(f"another exchange runs on the state folder {options.state}") from None
        except OSError as error:
            raise StartError(f"cannot use the state folder {options.state}: {error.strerror or error}") from error
        asyncio.run(_serve(options))
    except StartError as error:
        sys.stderr.write(f"exchange: {error}\n")
        return USAGE_ERROR
    finally:
        if lock is not None and lock.is_locked:
            lock.release()
    return 0
