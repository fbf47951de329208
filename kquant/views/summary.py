"""The day in numbers."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from kquant.events import analyzer, day, feed, pipeline, portfolio, scanner, slots
from kquant.events.base import Recorded
from kquant.settings import PipelineWindow
from kquant.values import Krw, Micros, kst_clock
from kquant.views.orders import orders_view
from kquant.views.portfolio import portfolio_view
from kquant.views.slots import occupancy

NEXT_DAY = "The next day of this account buys nothing until `kquant resume`; exits keep working."
"""What a day that did not reconcile means."""


class WindowRuns(Struct, frozen=True, kw_only=True):
    """Pipeline runs by the timetable's window, "09:00–10:00" KST as planned."""

    window: str
    completed: int
    aborted: int
    skipped: int


class DaySummary(Struct, frozen=True, kw_only=True):
    """Counts of a day, and its money in won. pnl_krw: equity against the day's beginning, costs included.

    sells: filled or part-filled sell orders by reason.   reconciled: None if the closing balance was never compared.
    """

    day: str
    profile: str
    facts: int
    first: Micros | None
    last: Micros | None
    closed: bool
    analysed: int
    unscored: int
    picks: int
    subscribed: int
    scans: int
    scans_failed: int
    scored: int
    scored_most: int
    qualified: int
    evictions: int
    slots_most: int
    reconnects: int
    runs: tuple[WindowRuns, ...]
    signals: int
    denied: int
    buys: int
    sells: dict[str, int]
    fills: int
    partial_fills: int
    traded_krw: Krw
    realised_krw: Krw
    fees_krw: Krw
    taxes_krw: Krw
    opening_krw: Krw | None
    equity_krw: Krw | None
    cash_krw: Krw | None
    pnl_krw: Krw
    reconciled: bool | None
    differences: tuple[portfolio.Difference, ...]
    verdict: portfolio.DayReconciled | None
    alerts: tuple[str, ...]


def day_summary(facts: Sequence[Recorded]) -> DaySummary:
    """Count a day."""
    events = [fact.event for fact in facts]
    started = [event for event in events if isinstance(event, day.RunStarted)]
    opened = [event for event in events if isinstance(event, day.DayOpened)]
    scans = [event for event in events if isinstance(event, scanner.ScanCompleted)]
    picks = [event for event in events if isinstance(event, analyzer.PicksChosen)]
    agreed = [event for event in events if isinstance(event, portfolio.DayReconciled)]
    money, traded = portfolio_view(facts), orders_view(facts)
    sells: dict[str, int] = {}
    for order in traded.orders:
        if order.side == "sell" and order.filled_qty:
            sells[order.reason] = sells.get(order.reason, 0) + 1
    return DaySummary(
        day=opened[-1].day if opened else "",
        profile=started[-1].profile if started else "",
        facts=len(facts),
        first=facts[0].at if facts else None,
        last=facts[-1].at if facts else None,
        closed=bool(facts) and isinstance(facts[-1].event, day.DayClosed),
        analysed=picks[-1].analysed if picks else 0,
        unscored=picks[-1].unscored if picks else 0,
        picks=len(picks[-1].picks) if picks else 0,
        subscribed=min(picks[-1].subscribed, len(picks[-1].picks)) if picks else 0,
        scans=len(scans),
        scans_failed=_count(events, scanner.ScanFailed),
        scored=sum(len(scan.scored) for scan in scans),
        scored_most=max((len(scan.scored) for scan in scans), default=0),
        qualified=sum(len(scan.qualified) for scan in scans),
        evictions=_count(events, slots.SlotEvicted),
        slots_most=max((sum(step.counts) for step in occupancy(facts)), default=0),
        reconnects=max(_count(events, feed.FeedConnected) - 1, 0),
        runs=_runs(facts, started[-1].settings.schedule.pipeline if started else (), _shift(opened)),
        signals=_count(events, pipeline.BuySignalled),
        denied=len(traded.denied),
        buys=sum(order.side == "buy" and order.filled_qty > 0 for order in traded.orders),
        sells=dict(sorted(sells.items())),
        fills=len(traded.fills),
        partial_fills=sum(fill.leaves_qty > 0 for fill in traded.fills),
        traded_krw=Krw(sum(fill.amount_krw for fill in traded.fills)),
        realised_krw=money.realised_krw,
        fees_krw=money.fees_krw,
        taxes_krw=money.taxes_krw,
        opening_krw=money.opening_krw,
        equity_krw=money.equity_krw,
        cash_krw=money.cash_krw,
        pnl_krw=money.pnl_krw,
        reconciled=agreed[-1].agrees if agreed else None,
        differences=agreed[-1].differences if agreed else (),
        verdict=agreed[-1] if agreed else None,
        alerts=tuple(event.text for event in events if isinstance(event, day.AlertRaised) and event.level != "info"),
    )


def _count(events: Sequence[object], kind: type) -> int:
    return sum(isinstance(event, kind) for event in events)


def _shift(opened: Sequence[day.DayOpened]) -> int:
    return opened[-1].hours.shift_minutes if opened else 0


def _runs(facts: Sequence[Recorded], windows: Sequence[PipelineWindow], shift: int) -> tuple[WindowRuns, ...]:
    """Sort runs into the timetable's windows by their planned instant. shift: minutes the timetable moved that day."""
    due: dict[int, Micros] = {}
    tally: dict[str, list[int]] = {f"{window.start}–{window.end}": [0, 0, 0] for window in windows}

    def add(at: Micros | None, place: int) -> None:
        if at is None:
            return
        planned = kst_clock(Micros(at - shift * 60_000_000))[:5]
        for window in windows:
            if window.start <= planned < window.end:
                tally[f"{window.start}–{window.end}"][place] += 1

    for fact in facts:
        match fact.event:
            case pipeline.PipelineStarted(run=run, due=at):
                due[run] = at
            case pipeline.PipelineCompleted(run=run):
                add(due.get(run), 0)
            case pipeline.PipelineAborted(run=run):
                add(due.get(run), 1)
            case pipeline.PipelineSkipped(due=at):
                add(at, 2)
            case day.JobSkipped(job="pipeline", due=at):
                add(at, 2)
            case _:
                continue
    return tuple(WindowRuns(window=w, completed=n[0], aborted=n[1], skipped=n[2]) for w, n in tally.items())
