"""A small owner over made-up events, for measuring a rebuild where no day can be recorded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import time_ns

from msgspec import Struct
from msgspec.structs import replace

from bench import events
from kquant.domain.owner import Owner
from kquant.events.base import Event, Recorded
from kquant.events.scanner import ScoreGiven
from kquant.events.slots import SlotClaimed, SlotClaimRenewed
from kquant.journal import open_day
from kquant.settings import Settings
from kquant.values import Micros, Symbol


class Claims(Struct, frozen=True):
    """Each stock's claim, newest last."""

    since: tuple[tuple[Symbol, Micros], ...] = ()


def _evolve(own: Claims, event: Event) -> Claims:
    match event:
        case SlotClaimed(code=code, since=since) | SlotClaimRenewed(code=code, since=since):
            return replace(own, since=(*(claim for claim in own.since if claim[0] != code), (code, since)))
        case _:
            return own


def _decide(_own: Claims, _seen: int, _fact: Recorded, _settings: Settings) -> Sequence[Event]:
    return ()


def _observe(seen: int, _fact: Recorded) -> int:
    return seen + 1


CLAIMS: Owner[Claims, int] = Owner(
    stream="slots",
    reacts=(ScoreGiven,),
    observes=(),
    own=Claims(),
    seen=0,
    decide=_decide,
    evolve=_evolve,
    observe=_observe,
)


def write(folder: Path, count: int) -> Path:
    """Write a journal of *count* made-up events and return its folder."""
    journal = open_day(folder, lambda: Micros(time_ns() // 1_000))
    for future in [journal.append(stream, [event], by="bench") for stream, event in events.sample(count)]:
        future.result()
    journal.close()
    return folder
