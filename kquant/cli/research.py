"""`kquant research build`: gather a day's research table beforehand. 리서치 표 만들기."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter, validators

from kquant.cli import codes
from kquant.cli.days import DayError, account_name
from kquant.cli.keys import data_keys, trading_keys
from kquant.cli.lines import Hosts, Lines
from kquant.cli.rooms import RESEARCH
from kquant.cli.shell import ConfigFile, Data, Json, Profile, Setting, app, print_json, settings_for
from kquant.gateways.clock import WallClock
from kquant.gateways.kis.rest.errors import KisError
from kquant.gateways.research.opening import assembler, build_day
from kquant.gateways.research.sources.port import SourceDown
from kquant.holiday_library import library_word
from kquant.hours import hours_to_plan
from kquant.settings import Settings
from kquant.values import KST, MINUTE_US, KquantError, Micros, from_kst

research_app = App(name="research", help="What is known before the open. 리서치.")
app.command(research_app)


class ResearchError(KquantError):
    """A table that cannot be built."""


@research_app.command
def build(
    *,
    profile: Profile = "paper",
    day: str | None = None,
    minutes: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=600))] = 90,
    data: Data = None,
    config: ConfigFile = None,
    set_: Setting = None,
    json: Json = False,
) -> int:
    """Gather the table of a day, so that its analysis finds it: the evening before, after 18:00. 리서치 표 만들기.

    What was gathered before is not asked for again; a build that was interrupted goes on with the same command.

    Parameters
    ----------
    profile
        paper or live: whose KIS keys are used. The demo's market brings its own table.
    day
        Trading day, YYYY-MM-DD; without it the next one.
    minutes
        Gather at most so long; what is there then is written.
    data
        Folder the days are kept in.
    config
        Your settings file (TOML).
    set_
        One setting, section.key=value; may be given again.
    json
        Print where the table lies as JSON.

    """
    loaded = settings_for(profile, config, set_, journal__data=None if data is None else str(data))
    settings = loaded.settings
    if settings.broker.exchange == "embedded":
        raise ResearchError("the demo's market day brings its own research table: name --profile paper or live")
    wanted = _day_of(day, settings)
    path = asyncio.run(_build(settings, wanted, minutes))
    if json:
        print_json({"day": wanted.isoformat(), "table": str(path)})
    else:
        sys.stdout.write(f"the research table of {wanted} lies in {path}\n")
    return codes.OK


def _day_of(text: str | None, settings: Settings) -> date:
    """Return the day asked for, or the next one the exchange opens on after now. Raises DayError."""
    if text is not None:
        try:
            return date.fromisoformat(text)
        except ValueError:
            raise DayError(f"--day {text} is not a date: write it as 2026-11-20") from None
    now = datetime.now(KST)
    ahead = now.date() if now.hour < BEFORE_HOUR else date.fromordinal(now.date().toordinal() + 1)
    for ordinal in range(ahead.toordinal(), ahead.toordinal() + DAYS_AHEAD):
        each = date.fromordinal(ordinal)
        if hours_to_plan(each, settings.krx, library=library_word(each)) is not None:
            return each
    raise DayError(f"the calendar names no trading day within {DAYS_AHEAD} days from {ahead}: name one with --day")


BEFORE_HOUR = 9
"""From the open on, the next day's table is meant."""
DAYS_AHEAD = 14


async def _build(settings: Settings, day: date, minutes: int) -> Path:
    broker, profile = settings.broker, settings.broker.exchange
    keys = trading_keys("paper" if profile == "paper" else "live", broker, os.environ)
    reading = data_keys(broker, os.environ) if profile == "paper" else None
    clock, root = WallClock(), Path(settings.journal.data)
    account = root / account_name(keys.account)
    account.mkdir(parents=True, exist_ok=True)
    hours = hours_to_plan(day, settings.krx, library=library_word(day))
    if hours is None:
        raise DayError(f"the exchange is closed on {day}: name a trading day with --day")
    hour, minute = map(int, settings.schedule.analysis.split(":"))
    at = from_kst(day, datetime.min.time().replace(hour=hour, minute=minute))
    analysis_at = Micros(at + hours.shift_minutes * MINUTE_US)
    try:
        async with Lines(
            broker,
            "paper" if profile == "paper" else "real",
            Hosts(rest_url=broker.rest_url, ws_url=broker.ws_url),
            keys,
            clock,
            tokens=account,
            today=datetime.now(KST).date(),
            reading=(Hosts(rest_url=broker.data_rest_url, ws_url=broker.data_ws_url), reading) if reading else None,
        ) as lines:
            made = assembler(settings.research, settings.krx, root / RESEARCH, clock, os.environ, lines.calls.data)
            return await build_day(made, clock, day, analysis_at, minutes)
    except (KisError, SourceDown) as error:
        raise ResearchError(f"the table of {day} could not be built: {error}") from None
