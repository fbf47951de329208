"""Whether the exchange opens today: the broker is asked first, our calendar and a library of holidays are heard too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date

from msgspec.structs import replace

from kquant.holiday_library import library_word
from kquant.hours import DayDecision, decide_day
from kquant.settings import KrxTables
from kquant.values import KquantError


async def check_open(
    day: date,
    tables: KrxTables,
    ask: Callable[[str], Awaitable[bool]],
    *,
    library: Callable[[date], bool | None] = library_word,
) -> DayDecision:
    """Ask the broker whether *day* (KST) is a trading day, and weigh its word with the others' (`hours.agree`).

    ask: the broker's holiday service, given YYYYMMDD (kis-protocol 4.7; KIS wants it asked once a day). One that refuses,
    does not answer, or does not exist, as on paper, leaves the decision to the others, with an alert.
    """
    try:
        broker: bool | None = await ask(day.strftime("%Y%m%d"))
        silent = ""
    except KquantError as error:
        broker, silent = None, str(error) or type(error).__name__
    decision = decide_day(day, tables, broker=broker, library=await asyncio.to_thread(library, day))
    if not silent:
        return decision
    alert = f"trading day {day}: the broker does not say whether the exchange opens ({silent}): the calendar decides"
    return replace(decision, alerts=(alert, *decision.alerts))
