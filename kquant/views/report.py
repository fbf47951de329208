"""The day's report as plain text, about 100 columns wide. The page with pictures is `views.page`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from textwrap import wrap

from kquant.events.base import Recorded
from kquant.events.slots import SlotEvicted
from kquant.values import kst_clock
from kquant.views.describe import differences, score
from kquant.views.holdings import cash_lines
from kquant.views.names import Names, names_of
from kquant.views.orders import OrderLine, OrdersView, orders_view
from kquant.views.page import html_report
from kquant.views.portfolio import PortfolioView, portfolio_view
from kquant.views.rules import phrase
from kquant.views.scores import lacking, picks_view, scores_view
from kquant.views.summary import NEXT_DAY, DaySummary, day_summary
from kquant.views.words import columns, named, percent, rate_bp, signed_won, width, won

WIDTH = 100
MOST_ROWS = 15
"""Rows of a long table in the text; the page has them all."""

__all__ = ["html_report", "text_report"]


def text_report(facts: Sequence[Recorded], *, replay_command: str, provenance: Sequence[str] = ()) -> str:
    """Return the report. provenance: lines on where the market data came from."""
    names = names_of(facts)
    summary, money, traded = day_summary(facts), portfolio_view(facts), orders_view(facts)
    lines = [*_title(summary), *_money(summary), *_counts(summary)]
    lines += _kept_back(traded)
    lines += _trades(traded.orders, names)
    lines += _positions(money)
    lines += _evictions(facts, names)
    lines += _scores(facts)
    lines += [*_heading("Reconciliation"), *reconciliation(summary)]
    if provenance:
        lines += [*_heading("Market data"), *provenance]
    if summary.alerts:
        lines += [*_heading("Alerts"), *summary.alerts]
    return "\n".join([*lines, "", f"Replay: {replay_command}", ""])


def reconciliation(summary: DaySummary) -> list[str]:
    """Say whether orders and closing balance agree; if not, what differs, and what it means for the next day."""
    found = summary.verdict
    if found is None:
        return ["The closing balance was never compared: the day is not finished."]
    if found.agrees:
        return ["Orders, fills, positions and cash: the day agrees with the broker to the won."]
    lines = [f"NOT reconciled (미대사): {found.why or 'the closing balance differs'}."]
    if found.differences:
        lines.append(f"The closing balance {differences(found.differences)}.")
    return [*lines, *(f"Order {line}" for line in found.orders), NEXT_DAY]


def _heading(text: str) -> list[str]:
    return ["", f"── {text} {'─' * (WIDTH - width(text) - 4)}"]


def _title(summary: DaySummary) -> list[str]:
    state = "closed" if summary.closed else "NOT CLOSED"
    if summary.reconciled is False:
        state += " · NOT RECONCILED (미대사)"
    head = f"kquant · {summary.day} · profile {summary.profile} · {state}"
    span = (
        ""
        if summary.first is None or summary.last is None
        else f"{kst_clock(summary.first)}–{kst_clock(summary.last)} KST"
    )
    return ["═" * WIDTH, head, f"{span}  {summary.facts:,} events", "═" * WIDTH]


def _money(summary: DaySummary) -> list[str]:
    if summary.equity_krw is None or summary.opening_krw is None:
        return ["No balance was ever read: there is no equity to report."]
    return [
        f"P&L      {signed_won(summary.pnl_krw)}  {percent(rate_bp(summary.pnl_krw, summary.opening_krw))}",
        f"Equity   {won(summary.opening_krw)} → {won(summary.equity_krw)}",
        (
            f"Costs    fees {won(summary.fees_krw)}, tax {won(summary.taxes_krw)}; realised before costs "
            f"{signed_won(summary.realised_krw)}; traded {won(summary.traded_krw)}"
        ),
    ]


def _counts(summary: DaySummary) -> list[str]:
    sells = ", ".join(f"{count} {reason}" for reason, count in summary.sells.items()) or "none"
    runs = ", ".join(
        f"{w.window} {w.completed}{f' (+{w.aborted} aborted)' if w.aborted else ''}{f' (+{w.skipped} skipped)' if w.skipped else ''}"
        for w in summary.runs
    )
    failed = f", {summary.scans_failed} without a result" if summary.scans_failed else ""
    return [
        *_heading("The day in numbers"),
        (
            f"Analysis {summary.analysed:,} stocks, {summary.unscored:,} without a score; {summary.picks} picks, "
            f"{summary.subscribed} subscribed"
        ),
        (
            f"Scans    {summary.scans}{failed}; {summary.scored:,} scored (at most {summary.scored_most} a scan), "
            f"{summary.qualified:,} qualified"
        ),
        f"Slots    at most {summary.slots_most} used; {summary.evictions} evictions; feed lost {summary.reconnects} times",
        f"Pipeline {runs}; {summary.signals} buy signals, {summary.denied} denied",
        f"Orders   {summary.buys} buys; sells by reason: {sells}; {summary.fills} fills, {summary.partial_fills} of them partial",
    ]


def _kept_back(traded: OrdersView) -> list[str]:
    """Say what denied buys and what made sells wait, and how often."""
    out: list[str] = []
    for head, lines in (("Denied", traded.denied), ("Waiting", traded.waiting)):
        times = Counter(line.rule for line in lines)
        said = [f"{phrase(rule)} × {count:,}" for rule, count in times.most_common()]
        out += [f"{head if place == 0 else '':9}{text}" for place, text in enumerate(said)]
    return out


def _trades(orders: Sequence[OrderLine], names: Names) -> list[str]:
    rows = [
        [
            kst_clock(o.at),
            "▲ buy" if o.side == "buy" else "▼ sell",
            named(o.code, names),
            f"{o.filled_qty:,}/{o.qty:,}주",
            won(o.filled_krw // o.filled_qty) if o.filled_qty else "–",
            won(o.filled_krw),
            won(o.fee_krw + o.tax_krw),
            o.reason,
            o.state,
        ]
        for o in orders
    ]
    if not rows:
        return [*_heading("Orders"), "No order was placed."]
    head = ["KST", "side", "stock", "filled", "average", "amount", "costs", "reason", "end"]
    return [*_heading("Orders"), *columns(head, rows, right=(3, 4, 5, 6), most=26)]


def _positions(money: PortfolioView) -> list[str]:
    rows = [
        [
            f"{p.name}({p.code})",
            f"{p.qty:,}주",
            won(p.average_krw),
            "–" if p.mark is None else won(p.mark),
            won(p.value_krw),
            "unknown" if p.unrealised_krw is None else signed_won(p.unrealised_krw),
            "" if p.unrealised_krw is None else percent(rate_bp(p.unrealised_krw, p.cost_krw)),
            "carried" if p.carried else kst_clock(p.since),
        ]
        for p in money.positions
    ]
    cash = ["", f"Unrealised {signed_won(money.unrealised_krw)} at the last prices", "", *cash_lines(money.cash)]
    if not rows:
        return [*_heading("Positions at the end"), "None.", *cash]
    head = ["stock", "shares", "cost", "last", "value", "P&L", "", "since"]
    return [*_heading("Positions at the end"), *columns(head, rows, right=(1, 2, 3, 4, 5, 6)), *cash]


def _evictions(facts: Sequence[Recorded], names: Names) -> list[str]:
    found = [(fact.at, fact.event) for fact in facts if isinstance(fact.event, SlotEvicted)]
    if not found:
        return [*_heading("Evictions"), "Nobody had to give way."]
    rows = [
        [
            kst_clock(at),
            f"{named(e.code, names)} {e.channel}",
            f"P{e.priority}",
            f"{named(e.for_code, names)} {e.for_channel}",
            f"P{e.for_priority}",
            e.rule,
        ]
        for at, e in found[-MOST_ROWS:]
    ]
    more = [f"… and {len(found) - MOST_ROWS} earlier ones"] if len(found) > MOST_ROWS else []
    return [*_heading("Evictions"), *columns(["KST", "gave way", "", "for", "", "rule"], rows), *more]


def _scores(facts: Sequence[Recorded]) -> list[str]:
    picks, scores = picks_view(facts), scores_view(facts)
    out: list[str] = []
    if picks.picks:
        rows = [
            [str(p.rank), f"{p.name}({p.code})", str(p.score), f"{p.points}/100", ", ".join(p.missing)]
            for p in picks.picks[:10]
        ]
        out += [*_heading(f"Daily picks, first {len(rows)} of {len(picks.picks)}")]
        out += columns(["rank", "stock", "score", "known", "missing (scaled)"], rows, right=(0, 2, 3))
        out += [part for line in lacking(picks.research) for part in wrap(line, WIDTH, subsequent_indent="  ")]
    if scores.scans:
        rows = [
            [f"{s.name}({s.code})", score(s.best), score(s.last), str(s.scans), str(s.qualified)]
            for s in scores.scans[:MOST_ROWS]
        ]
        out += [*_heading(f"Scan scores, best {len(rows)} of {len(scores.scans)} stocks")]
        out += columns(["stock", "best", "last", "scans", "qualified"], rows, right=(1, 2, 3, 4))
    if scores.finals:
        rows = [
            [f"{f.name}({f.code})", score(f.total), f"run {f.run}", kst_clock(f.at), f.why]
            for f in scores.finals[:MOST_ROWS]
        ]
        out += [*_heading("Final scores, newest run of each candidate")]
        out += columns(["stock", "score", "run", "KST", "why not"], rows, right=(1,))
    return out
