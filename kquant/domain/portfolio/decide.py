"""What `portfolio` does about each input."""

from __future__ import annotations

from collections.abc import Sequence

from kquant.domain.portfolio.asking import ask, retry
from kquant.domain.portfolio.booking import book
from kquant.domain.portfolio.closing import CLOSING_AFTER_US, close, look_again
from kquant.domain.portfolio.reconcile import compare
from kquant.domain.portfolio.seen import Seen
from kquant.domain.portfolio.state import Own
from kquant.events.base import Event, Recorded
from kquant.events.day import AlarmRang, AlarmSet, DayOpened, JobDue
from kquant.events.orders import OrderFilled, OrdersSettled, ProofWanted
from kquant.events.pipeline import PipelineStarted
from kquant.events.portfolio import BalanceAnswered
from kquant.events.scanner import ReadExpired, ReadFailed
from kquant.settings import Settings
from kquant.values import Micros


def decide(own: Own, seen: Seen, fact: Recorded, settings: Settings) -> Sequence[Event]:
    """Return what follows from one input."""
    at = fact.at
    match fact.event:
        case DayOpened():
            return ask(own, seen, "opening", at)
        case PipelineStarted():
            return ask(own, seen, "pipeline" if own.is_open else "opening", at)
        case ProofWanted() if own.is_open:
            return ask(own, seen, "proof", at)
        case OrderFilled():
            return [*book(own, seen, fact.event, settings, at), *look_again(own, seen, at)]
        case OrdersSettled():
            return look_again(own, seen, at) if own.reconciled else close(own, seen, at)
        case BalanceAnswered() if seen.outcome_at == fact.seq:
            return compare(own, seen, fact, fact.event)
        case ReadFailed(reason=reason) if seen.outcome_at == fact.seq:
            return retry(own, seen, at, reason)
        case ReadExpired() if seen.outcome_at == fact.seq:
            return retry(own, seen, at, "too late")
        case JobDue(job="session_closed"):
            return [AlarmSet(alarm="closing", due=Micros(at + CLOSING_AFTER_US))]
        case AlarmRang(alarm="closing"):
            return close(own, seen, at)
        case AlarmRang(alarm="opening") if not own.is_open:
            return ask(own, seen, "opening", at)
        case AlarmRang(alarm="pipeline") if own.is_open:
            return ask(own, seen, "pipeline", at)
        case AlarmRang(alarm="proof") if own.is_open and seen.lacks_proof():
            return ask(own, seen, "proof", at)
        case AlarmRang(alarm="mismatch") if own.is_open and not seen.is_closed:
            is_quiet = seen.is_quiet(at) or any(seen.is_quiet(at, one.what) for one in own.differences)
            return ask(own, seen, "mismatch", at) if is_quiet else []
    return []
