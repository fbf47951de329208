"""How a run ends: the day's report on the terminal and as one HTML page, and the line to replay it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from kquant.cli import codes
from kquant.cli.outcome import MARKET, Outcome
from kquant.cli.shell import print_json
from kquant.events.base import Recorded
from kquant.replay.commands import plain
from kquant.views.page import html_report
from kquant.views.report import text_report
from kquant.views.summary import day_summary

REPORT = "report.html"


def finish(outcome: Outcome, *, as_json: bool) -> None:
    """Write the report beside the day and print it."""
    page, text = write_report(outcome.folder, outcome.facts)
    if as_json:
        summary = plain(day_summary(outcome.facts))
        document = {
            "code": outcome.code,
            "reason": outcome.reason,
            "folder": str(outcome.folder),
            "report": str(page),
            "wall_seconds": round(outcome.wall_seconds, 1),
            "summary": summary,
        }
        print_json(document)
        _complain(outcome)
        return
    sys.stdout.write(f"{text}\n\nreport: {page}   wall time: {outcome.wall_seconds:.1f} s\n")
    sys.stdout.flush()
    _complain(outcome)


def write_report(folder: Path, facts: Sequence[Recorded]) -> tuple[Path, str]:
    """Write `report.html` into the day's folder; return its path and the report as text."""
    replay = f"kquant replay verify {folder}"
    lines, drawn = provenance(folder)
    page = folder / REPORT
    page.write_text(html_report(facts, replay_command=replay, provenance=lines, drawn=drawn), encoding="utf-8")
    return page, text_report(facts, replay_command=replay, provenance=lines)


def provenance(folder: Path) -> tuple[tuple[str, ...], frozenset[str] | None]:
    """Say what market was played, and which stocks' paths were drawn; nothing of a day without an embedded exchange."""
    about = folder / MARKET
    if not about.is_file():
        return (), None
    market = msgspec.json.decode(about.read_bytes(), type=dict[str, Any])
    stocks, drawn = int(market["stocks"]), frozenset(market.get("drawn", ()))
    if market["source"] == "generated":
        return (f"market: generated from seed {market['seed']}, {stocks:,} stocks",), None
    bars = int(market["bars"])
    line = (
        f"market: imported, {stocks:,} stocks: {bars:,} follow recorded bars, {len(drawn):,} have an intraday path drawn "
        f"to fit their official daily row, {stocks - bars - len(drawn):,} did not trade"
    )
    return (line,), drawn


def _complain(outcome: Outcome) -> None:
    if outcome.code != codes.OK:
        sys.stderr.write(f"kquant: {' '.join(_why(outcome).split())}\n")


def _why(outcome: Outcome) -> str:
    if outcome.code == codes.INTERRUPTED:
        return "interrupted: the same command goes on with this day"
    if outcome.code == codes.DIFFERS:
        return "the closing balance does not agree with the broker's: see the report"
    return f"the run stopped itself: {outcome.reason}. The same command recovers and goes on"
