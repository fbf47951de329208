"""The exchange as a process of its own: options, state folder, ports, and an end in order."""

import argparse
import asyncio
import contextlib
import datetime as dt
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from kquant.exchange.core.exchange import US, Exchange
from kquant.exchange.core.ports import Market
from kquant.exchange.faults import FaultBook
from kquant.exchange.servers.opening import StartError, open_exchange
from kquant.exchange.servers.options import PORT_NAMES, SECRETS, parse
from kquant.exchange.servers.ports import HOST, PortError, PortNumbers, Ports

USAGE_ERROR: Final = 2


def _write_atomically(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(path)


class About:
    """Says what is played on a day, and keeps its research table in the state folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[dt.date, dict[str, Any]] = {}

    def __call__(self, market: Market) -> dict[str, Any]:
        """Return the day's `market` (what is drawn, how many stocks follow recorded bars) and `research` table."""
        if market.day not in self._known:
            drawn = [stock.code for stock in market.stocks if stock.drawn]
            about = {"source": market.source, "seed": market.seed, "stocks": len(market.stocks), "drawn": drawn}
            about["bars"] = len(market.traded_codes().difference(drawn))
            self._known = {market.day: {"market": about, "research": str(self._research(market))}}
        return self._known[market.day]

    def _research(self, market: Market) -> Path:
        path = (self._folder / f"research-{market.day}.parquet").resolve()
        if not path.exists():
            partial = path.with_suffix(".partial.parquet")
            market.write_research(partial)
            partial.replace(path)
        return path


def _ready(
    options: argparse.Namespace, exchange: Exchange, bound: dict[str, int], about: About, shift_us: int | None
) -> dict[str, Any]:
    """Return what a client needs to know: ports, accounts, keys (secrets only where nobody chose them), the day."""
    secrets = {name: known for name, known in SECRETS.items() if getattr(options, name) == known}
    return {
        **bound,
        "pid": os.getpid(),
        "day": exchange.market.day.isoformat(),
        "account": "-".join(options.account),
        "hts_id": options.hts_id,
        "appkey": options.appkey,
        "paper_account": "-".join(options.paper_account),
        "paper_hts_id": options.paper_hts_id or options.hts_id,
        "paper_appkey": options.paper_appkey,
        **secrets,
        "clock": options.clock,
        "speed": options.speed,
        "shift_seconds": None if shift_us is None else shift_us // US,
        "layout": options.layout,
        **about(exchange.market),
    }


def _for_people(ready: dict[str, Any]) -> str:
    lines = []
    for dress, prefix in (("real", ""), ("paper", "paper_")):
        rest, ws = ready[f"{prefix}rest_port"], ready[f"{prefix}ws_port"]
        lines.append(f"{dress:5}  REST http://{HOST}:{rest}   WebSocket ws://{HOST}:{ws}/tryitout")
        lines.append(f"       account {ready[f'{prefix}account']}   HTS id {ready[f'{prefix}hts_id']}")
        secret = ready.get(f"{prefix}appsecret", "(as you gave it)")
        lines.append(f"       appkey {ready[f'{prefix}appkey']}   appsecret {secret}")
    clock = {"step": "moved through the admin port", "run": "by itself", "wall": "as on the wall"}[ready["clock"]]
    lines.append(f"admin  ws://{HOST}:{ready['admin_port']}   market of {ready['day']}, time passes {clock}")
    if ready["shift_seconds"]:
        lines.append(f"       market time is the wall's (KST) {ready['shift_seconds']:+d} seconds")
    return "\n".join(lines) + "\n"


async def _serve(options: argparse.Namespace) -> None:
    exchange, state = open_exchange(options)
    exchange.prepare()
    about = About(options.state)
    shift_us = exchange.now_us - int(time.time() * US) if options.open_now else 0
    ports = Ports(
        exchange,
        options.speed,
        about,
        shift_us=shift_us if options.clock == "wall" else None,
        faults=FaultBook(options.faults),
    )
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):  # Windows has none: there the end of stdin is the sign
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
    try:
        try:
            bound = await ports.start(PortNumbers(**{name: getattr(options, f"{name}_port") for name in PORT_NAMES}))
        except PortError as error:
            raise StartError(str(error)) from error
        ready = _ready(options, exchange, bound, about, shift_us if options.clock == "wall" else None)
        line = json.dumps(ready, ensure_ascii=False)
        _write_atomically(options.state / "exchange.json", line)
        sys.stdout.write(_for_people(ready) if sys.stdout.isatty() else line + "\n")
        sys.stdout.flush()
        if options.verbose:
            sys.stderr.write(_for_people(ready))
        if options.end_with_stdin:
            _watch_stdin(loop, stopped)
        ends = [asyncio.create_task(stopped.wait()), asyncio.create_task(ports.failed.wait())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
    finally:
        await ports.stop()
        state.close()


def _watch_stdin(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    """Set *stopped* when stdin ends: the parent held its other end and is gone."""

    def wait() -> None:
        with contextlib.suppress(OSError):  # a closed stdin is an end as well
            while os.read(0, 4096):
                pass
        with contextlib.suppress(RuntimeError):  # the loop has already ended
            loop.call_soon_threadsafe(stopped.set)

    threading.Thread(target=wait, name="parent-watch", daemon=True).start()


def main(arguments: Sequence[str] | None = None, prog: str = "python -m kquant.exchange") -> int:
    """Run the exchange until SIGTERM or SIGINT, or the end of stdin if asked to; return the exit code (2: no start)."""
    options = parse(sys.argv[1:] if arguments is None else arguments, prog)
    # Before its loop runs a day is generated, which takes seconds: a signal is an end in order there, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as held:
        if options.state is None:
            folder = tempfile.TemporaryDirectory(prefix="kquant-exchange-", ignore_cleanup_errors=True)
            options.state = Path(held.enter_context(folder))
        try:
            held.enter_context(_locked(options))
            asyncio.run(_serve(options))
        except StartError as error:
            sys.stderr.write(f"exchange: {error}\n")
            return USAGE_ERROR
    return 0


@contextlib.contextmanager
def _locked(options: argparse.Namespace) -> Iterator[None]:
    try:
        options.state.mkdir(parents=True, exist_ok=True)
        lock = FileLock(options.state / "exchange.lock", timeout=options.lock_wait)
        lock.acquire()
    except Timeout:
        raise StartError(f"another exchange runs on the state folder {options.state}") from None
    except OSError as error:
        raise StartError(f"cannot use the state folder {options.state}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()
