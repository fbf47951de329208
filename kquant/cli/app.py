"""The commands. Each prints for people, or one JSON document with --json, and returns a stable exit code."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import structlog
from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError, validators
from rich.console import Console
from structlog.typing import EventDict

from kquant.cli import codes, sense
from kquant.cli.days import DayError
from kquant.cli.shell import (
    ConfigFile,
    Data,
    Json,
    Profile,
    Setting,
    app,
    print_json,
    settings_for,
)
from kquant.config import ConfigError
from kquant.gateways.operator import NoInstance
from kquant.hours import table_warnings
from kquant.values import KST, KquantError

log = structlog.get_logger("kquant.run")
config_app = App(name="config", help="Look at the settings.")
app.command(config_app)


@app.command
def run(
    *,
    profile: Profile = "demo",
    market: Path | None = None,
    day: str | None = None,
    speed: str = "max",
    days: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
    data: Data = None,
    config: ConfigFile = None,
    set_: Setting = None,
    json: Json = False,
) -> int:
    """Trade live against the exchange named by the profile, and end each day with its report.

    A run that was interrupted or killed goes on with the same command on the same data.

    Parameters
    ----------
    profile
        demo (the embedded exchange, no account needed), paper or live.
    market
        Folder of a market day made by `kquant market import`; without it the demo generates one from its seed.
    day
        Trading day, YYYY-MM-DD.
    speed
        max: as fast as everything settles; N: market seconds a wall second.
    days
        Trading days, one after another: one in the demo, without end on paper and live unless you say so.
    data
        Folder the days are kept in.
    config
        Your settings file (TOML).
    set_
        One setting, section.key=value; may be given again.
    json
        Print the day's summary as JSON.

    """
    from kquant.cli.live import LiveRun, RunOptions  # noqa: PLC0415  other commands need not load the trading rooms
    from kquant.cli.summary import finish  # noqa: PLC0415

    _check_speed(speed)
    loaded = settings_for(profile, config, set_, demo__day=day, journal__data=None if data is None else str(data))
    if market is not None and not market.is_dir():
        raise DayError(f"--market {market} is not a market day's folder: make one with `kquant market import`")
    for text in sense.warnings(loaded.settings):
        log.warning(text)
    console = Console(stderr=json)
    if days is None and loaded.settings.broker.exchange == "embedded":
        days = 1
    options = RunOptions(
        loaded=loaded, data=Path(loaded.settings.journal.data), day=day, speed=speed, market=market, days=days
    )
    return asyncio.run(LiveRun(options, console, lambda outcome: finish(outcome, as_json=json)).run())


def _check_speed(speed: str) -> None:
    if speed == "max":
        return
    try:
        value = float(speed)
    except ValueError:
        value = 0.0
    if not 0 < value <= 10_000:
        raise ConfigError(f"--speed {speed}: write max, or a number up to 10000")


@config_app.command
def check(*, profile: Profile = "demo", config: ConfigFile = None, set_: Setting = None, json: Json = False) -> int:
    """Check the settings; an unknown or mistyped key is refused by name.

    Warned of are a calendar that ends soon, and settings that trade nothing.
    """
    loaded = settings_for(profile, config, set_)
    warnings = (
        *table_warnings(datetime.now(KST).date(), loaded.settings.krx.calendar),
        *sense.warnings(loaded.settings),
    )
    if json:
        print_json(
            {
                "ok": True,
                "profile": loaded.settings.profile,
                "settings": len(loaded.origins),
                "warnings": list(warnings),
            }
        )
    else:
        sys.stdout.write(f"{len(loaded.origins)} settings are good for profile {loaded.settings.profile}\n")
        for warning in warnings:
            sys.stdout.write(f"warning: {warning}\n")
    return codes.OK


@config_app.command
def show(*, profile: Profile = "demo", config: ConfigFile = None, set_: Setting = None, json: Json = False) -> int:
    """Show every setting with where it came from."""
    loaded = settings_for(profile, config, set_)
    tree = msgspec.to_builtins(loaded.settings)
    rows = []
    for key in sorted(loaded.origins):
        value: Any = tree
        for part in key.split("."):
            value = value[part]
        rows.append({"key": key, "value": value, "origin": loaded.origins[key]})
    if json:
        print_json(rows)
        return codes.OK
    width = max(len(row["key"]) for row in rows)
    for row in rows:
        text = msgspec.json.encode(row["value"]).decode()
        shown = text if len(text) <= 60 else f"{text[:57]}..."
        sys.stdout.write(f"{row['key']:{width}}  {shown:60}  {row['origin']}\n")
    return codes.OK


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code. Bad input is one line on standard error."""
    _configure_logs()
    _load_commands()
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except UnusedCliTokensError as error:
        words = " ".join(error.unused_tokens or [])
        return _complain(f"{words!r} is more than the command takes: see its --help", codes.BAD_INPUT)
    except CycloptsError as error:
        return _complain(" ".join(str(error).split()), codes.BAD_INPUT)
    except NoInstance as error:
        return _complain(str(error), codes.BUSY)
    except KquantError as error:
        return _complain(str(error), getattr(error, "exit_code", codes.BAD_INPUT))
    except KeyboardInterrupt:
        return codes.INTERRUPTED
    except BrokenPipeError:  # whoever read us has read enough; the interpreter's own flush must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return codes.OK
    except OSError as error:
        return _complain(f"{error.filename or 'input or output'}: {error.strerror or error}", codes.FAILED)
    return code if isinstance(code, int) else codes.OK


def _complain(text: str, code: int) -> int:
    sys.stderr.write(f"kquant: {text}\n")
    return code


def _load_commands() -> None:
    from kquant.cli import arm, exchange, init, market, operate, past, research, scores  # noqa: F401, PLC0415  they register themselves


def _stamp(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Say when on the wall, as every screen does: 09:00:00 KST, wherever the machine stands."""
    event["timestamp"] = f"{datetime.now(KST):%H:%M:%S} KST"
    return event


def _configure_logs() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _stamp,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # whatever it is when the line is written
        wrapper_class=structlog.make_filtering_bound_logger(30),
        cache_logger_on_first_use=False,
    )
