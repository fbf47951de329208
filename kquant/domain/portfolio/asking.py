"""When a balance is asked for, and when again: one at a time, each reason a bounded number of times."""

from __future__ import annotations

from kquant.domain.portfolio.seen import Seen
from kquant.domain.portfolio.state import Own
from kquant.domain.portfolio.verdict import verdict
from kquant.events.base import Event
from kquant.events.day import AlarmSet, AlertRaised
from kquant.events.portfolio import BalanceReason, BalanceWanted
from kquant.values import SECOND_US, Micros

BALANCE_VALID_US = 30 * SECOND_US
RETRY_US: dict[BalanceReason, int] = {
    "opening": 5 * SECOND_US,
    "pipeline": 2 * SECOND_US,
    "mismatch": 5 * SECOND_US,
    "closing": 5 * SECOND_US,
    "proof": 5 * SECOND_US,
}
TRIES: dict[BalanceReason, int] = {"opening": 30, "pipeline": 4, "mismatch": 4, "closing": 8, "proof": 12}
"""Reads of one kind before a person is told; the opening one is asked again by every pipeline run."""


def ask(own: Own, seen: Seen, reason: BalanceReason, at: Micros) -> list[Event]:
    """Ask for a balance unless one is under way: its answer asks for what is still missing."""
    if own.requests > seen.outcomes or own.reconciled:
        return []
    if reason == "pipeline":
        if seen.pipeline_deadline <= at or seen.is_closed:
            return []
        return [BalanceWanted(reason=reason, valid_until=seen.pipeline_deadline)]
    return [BalanceWanted(reason=reason, valid_until=Micros(at + BALANCE_VALID_US))]


def retry(own: Own, seen: Seen, at: Micros, why: str) -> list[Event]:
    """Ask again by alarm, a bounded number of times; then tell a person."""
    reason = own.reason
    if own.attempts.get(reason, 0) < TRIES[reason]:
        due = Micros(at + RETRY_US[reason])
        if reason == "pipeline" and due >= seen.pipeline_deadline:
            return waiting_run(own, seen, at)
        return [AlarmSet(alarm=reason, due=due), *waiting_run(own, seen, at)]
    text = f"the {reason} balance could not be read {own.attempts.get(reason, 0)} times: {why}"
    alert = AlertRaised(level="critical", text=text)
    if reason == "closing":
        return [alert, verdict(seen, own.differences, f"the closing balance could not be read: {why}")]
    return [alert, *waiting_run(own, seen, at)]


def waiting_run(own: Own, seen: Seen, at: Micros) -> list[Event]:
    """Ask for the pipeline run that started, or the proof that was called for, while another balance was under way."""
    if not own.is_open:
        return []
    asked: list[Event] = []
    if own.reason != "pipeline" and seen.pipeline_deadline > own.pipeline_until:
        asked = ask(own, seen, "pipeline", at)
    if not asked and own.reason != "proof" and seen.lacks_proof():
        asked = ask(own, seen, "proof", at)
    return asked
