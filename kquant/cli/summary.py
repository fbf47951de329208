"""How a run ends: the day's report on the terminal and as one HTML page, and the line to replay it."""

from __future__ import annotations

import sys
from pathlib import Path

from kquant.cli import codes
from kquant.cli.app import _print_json
from kquant.cli.live import Outcome
from kquant.replay.commands import plain
from kquant.views.page import html_report
from kquant.views.report import text_report
from kquant.views.summary import day_summary

REPORT = "report.html"


def finish(outcome: Outcome, *, as_json: bool) -> int:
    """Write the report beside the day, print it, and return the run's exit code."""
    replay = f"kquant replay verify {_shown(outcome.folder)}"
    page = outcome.folder / REPORT
    page.write_text(html_report(outcome.facts, replay_command=replay, provenance=outcome.provenance), encoding="utf-8")
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
        _print_json(document)
        _complain(outcome)
        return outcome.code
    report = text_report(outcome.facts, replay_command=replay, provenance=outcome.provenance)
    sys.stdout.write(f"{report}\n\nreport: {_shown(page)}   wall time: {outcome.wall_seconds:.1f} s\n")
    sys.stdout.flush()
    _complain(outcome)
    return outcome.code


def _complain(outcome: Outcome) -> None:
    if outcome.code != codes.OK:
        sys.stderr.write(f"kquant: {' '.join(_why(outcome).split())}\n")


def _why(outcome: Outcome) -> str:
    if outcome.code == codes.INTERRUPTED:
        return "interrupted: the same command goes on with this day"
    if outcome.code == codes.DIFFERS:
        return "the closing balance does not agree with the broker's: see the report"
    return f"the run stopped itself: {outcome.reason}. The same command recovers and goes on"


def _shown(path: Path) -> str:
    return str(path)
