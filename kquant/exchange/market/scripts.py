"""Interruptions and halts somebody asks for: "interrupt this stock at 10:15" on a day that does not have it.

An imported day plays as it was recorded; what is asked for here changes it on purpose, and only the stocks named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Struct

from .bars import Bars
from .day import MarketDay
from .grid import floor_price
from .interrupt import DYNAMIC_BP, DYNAMIC_LARGE_BP, STATIC_BP, RowOfBars, Trip
from .model import Interruption, MarketFileError
from .sessions import Hours

S = TypeVar("S", "ScriptedVi", "ScriptedHalt")


class ScriptedVi(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A volatility interruption of *code* from *at* on (KST second of the day, or HH:MM:SS)."""

    code: str
    at: int | str
    kind: Literal["static", "dynamic"] = "static"


class ScriptedHalt(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A halt of *code* in [start, end) (KST seconds of the day, or HH:MM:SS) and its reason.

    Without an end it lasts for the rest of the day. What the stock would have traded meanwhile is not traded.
    """

    code: str
    start: int | str
    end: int | str | None = None
    reason: str = "주요내용 공시"


def scripted(
    day: MarketDay,
    vi: Sequence[ScriptedVi | Mapping[str, object]] = (),
    halts: Sequence[ScriptedHalt | Mapping[str, object]] = (),
) -> MarketDay:
    """Return *day* with the interruptions and halts asked for; mappings have the fields of the structs.

    Raises MarketFileError for what cannot be read, a code that is not listed or does not trade, a time outside
    continuous trading, and an overlap with another interruption.
    """
    wanted: list[tuple[int, ScriptedVi | ScriptedHalt]] = []
    wanted += [(_second(one.at), one) for one in (_struct(given, ScriptedVi) for given in vi)]
    wanted += [(_second(one.start), one) for one in (_struct(given, ScriptedHalt) for given in halts)]
    if not wanted:
        return day
    bars = Bars(*(getattr(day.bars, name).copy() for name in Bars.__dataclass_fields__))
    found = {code: day.interruptions(code) for code in day.interrupted()}
    rows = {stock.code: row for row, stock in enumerate(day.stocks)}
    for start, one in sorted(wanted, key=lambda pair: (pair[0], pair[1].code)):
        if one.code not in rows:
            raise MarketFileError(f"cannot interrupt {one.code}: it is not listed on {day.day}")
        row = rows[one.code]
        edit = RowOfBars(bars, row, day.stocks[row], day.seed, day.hours)
        own = found.get(one.code, ())
        if isinstance(one, ScriptedVi):
            made = _interrupt(edit, day, start, one.kind)
        else:
            made = _halt(edit, day.hours, start, day.hours.close if one.end is None else _second(one.end), one)
        for other in own:
            if made.start <= other.end and other.start <= made.end:
                raise MarketFileError(f"cannot interrupt {one.code} at {start}: it is interrupted at {other.start}")
        found[one.code] = tuple(sorted((*own, made), key=lambda each: each.start))
    return day.altered(bars, found)


def _struct(given: S | Mapping[str, object], kind: type[S]) -> S:
    try:
        return given if isinstance(given, kind) else msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise MarketFileError(f"cannot read the interruption {given!r}: {error}") from None


def _second(at: int | str) -> int:
    """Return a KST second of the day given as such or as HH:MM:SS."""
    if isinstance(at, int):
        return at
    parts = at.split(":")
    if len(parts) not in {2, 3} or not all(part.isdecimal() for part in parts):
        raise MarketFileError(f"{at!r} is no time of the day: write HH:MM:SS")
    hour, minute, second = (int(part) for part in (*parts, "0")[:3])
    return hour * 3_600 + minute * 60 + second


def _interrupt(edit: RowOfBars, day: MarketDay, at: int, kind: Literal["static", "dynamic"]) -> Interruption:
    stock, hours = edit.stock, day.hours
    opened = day.phases.auction_ends(stock.code)[0]
    if stock.halted or stock.liquidation or stock.single_price:
        raise MarketFileError(f"cannot interrupt {stock.code}: it is halted or trades by call auctions only")
    if not opened < at < hours.closing_from:
        raise MarketFileError(
            f"cannot interrupt {stock.code} at {at}: it trades continuously from {opened} to {hours.closing_from}"
        )
    slot, moment = divmod(at - hours.open, 60)
    turns = _turns_until(edit, slot, moment)
    last = turns[-1] if turns else day.stats(stock.code, at - 1).last
    if not last:
        raise MarketFileError(f"cannot interrupt {stock.code} at {at}: it has not traded by then")
    limit_bp = STATIC_BP if kind == "static" else DYNAMIC_LARGE_BP if stock.kospi200 else DYNAMIC_BP
    reference = day.status(stock.code, at - 1).reference if kind == "static" else last
    soon = edit.close[slot : slot + 4]
    rising = not soon.any() or int(soon[np.flatnonzero(soon)[-1]]) >= last
    trigger = edit.away(reference, limit_bp if rising else -limit_bp)
    trigger = min(max(trigger, stock.lower, 1), stock.upper)
    return edit.hold(Trip(kind, trigger, reference, turns), slot, moment, edit.offset(slot))


def _halt(edit: RowOfBars, hours: Hours, start: int, end: int, wanted: ScriptedHalt) -> Interruption:
    if not hours.opening_from <= start < end - 60 or start >= hours.closing_from:
        raise MarketFileError(
            f"cannot halt {wanted.code} from {start} to {end}: a halt begins between {hours.opening_from} and "
            f"{hours.closing_from} and lasts more than a minute"
        )
    slot, moment = divmod(max(start - hours.open, 0), 60)
    if moment <= edit.offset(slot):
        edit.clear(slot, slot + 1)
    else:
        edit.cut(slot, _turns_until(edit, slot, moment), int(edit.volume[slot]) * moment // 60)
    whole = end >= hours.close
    until = len(edit.volume) if whole else min((end - hours.open) // 60, edit.minutes)
    edit.clear(slot + 1, until)
    result = 0
    if until < edit.minutes and edit.volume[until]:
        shares = int(edit.volume[until])
        dropped = shares * ((end - hours.open) % 60) // 60
        result = edit.resume(until, -min(dropped, max(shares - 4, 0)), 0)
    if whole:
        end = max(hours.post_close_until, hours.after_until)
    return Interruption("halt", start, end, 0, 0, 0, result, wanted.reason)


def _turns_until(edit: RowOfBars, slot: int, moment: int) -> tuple[int, ...]:
    """Return the first price of a minute and about where it is at *moment*; nothing where the minute has no trade."""
    if edit.volume[slot] < 2 or moment <= edit.offset(slot):
        return ()
    opened = int(edit.open[slot])
    there = opened + (int(edit.close[slot]) - opened) * moment // 60
    there = min(max(floor_price(there, etp=edit.stock.etp), int(edit.low[slot])), int(edit.high[slot]))
    return (opened,) if there == opened else (opened, there)
