"""The day's report as one HTML file that needs nothing else: inline SVG, inline CSS, light and dark, no scripts.

Rises are red and falls are blue, as Korean screens have it; a switch turns to green and red. Colour never stands
alone: ▲ and ▼ say the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from html import escape

from kquant.events.base import Recorded
from kquant.events.day import DayOpened, RunStarted
from kquant.events.market import BarsClosed
from kquant.events.slots import SlotEvicted
from kquant.values import MINUTE_US, Krw, Micros, Symbol, kst_clock
from kquant.views.charts import Span, equity_chart, price_chart, slots_chart
from kquant.views.describe import score, verdict
from kquant.views.holdings import amount
from kquant.views.names import Names, names_of
from kquant.views.orders import OrdersView, orders_view
from kquant.views.page_style import STYLE
from kquant.views.portfolio import PortfolioView, equity, portfolio_view
from kquant.views.rules import figures, phrase
from kquant.views.scores import lacking, picks_view, scores_view
from kquant.views.slots import occupancy
from kquant.views.summary import NEXT_DAY, DaySummary, day_summary
from kquant.views.words import arrow, counted, named, percent, rate_bp, signed_won, won

MOST_CHARTS = 12
DEFAULT_CAPACITY = 40
Cell = str
"""HTML of one table cell."""


def html_report(
    facts: Sequence[Recorded],
    *,
    replay_command: str,
    provenance: Sequence[str] = (),
    drawn: Collection[str] | None = None,
) -> str:
    """Return the page. provenance: lines on where the market data came from.

    drawn: codes whose intraday path was drawn by a model rather than recorded; None if that is not known.
    """
    names = names_of(facts)
    summary, money, traded = day_summary(facts), portfolio_view(facts), orders_view(facts)
    body = "".join(
        (
            _header(summary),
            _tiles(summary),
            _section("Equity", _equity(facts, summary), "자산 추이"),
            _section("Slots by priority", _slots(facts), "슬롯 점유"),
            _section("Trades on price", _prices(facts, traded, names, drawn), "매매 시점"),
            _section("Orders", _orders(traded, names), "주문·체결"),
            _section("Positions at the end", _positions(money), "잔고"),
            _section("Daily picks, scans and final scores", _scores(facts), "종목 선정·점수"),
            _section("Evictions", _evictions(facts, names), "슬롯 교체"),
            _section("Reconciliation and data", _close(summary, provenance, drawn, traded), "대사·데이터"),
            _section("Replay", f"<pre>{escape(replay_command)}</pre>", "재현"),
        )
    )
    title = f"kquant {summary.day}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def _section(title: str, inner: str, korean: str) -> str:
    return f'<section><h2>{escape(title)} <span lang="ko">{korean}</span></h2>{inner}</section>'


def _header(summary: DaySummary) -> str:
    span = (
        ""
        if summary.first is None or summary.last is None
        else f"{kst_clock(summary.first)}–{kst_clock(summary.last)} KST"
    )
    state = "closed" if summary.closed else "not closed"
    live = ' class="live"' if summary.profile == "live" else ""
    return (
        f"<header><div><h1>{escape(summary.day)} <b{live}>{escape(summary.profile)}</b></h1>"
        f"<p>{span} · {summary.facts:,} events · day {state}</p>{_unreconciled(summary)}</div>"
        '<div class="legend"><span class="up">▲ up, buy</span><span class="down">▼ down, sell</span>'
        '<label><input type="checkbox" id="west"> Western colours</label></div></header>'
    )


def _unreconciled(summary: DaySummary) -> str:
    """Return the one thing a reader must not have to look for."""
    if summary.verdict is None or summary.verdict.agrees:
        return ""
    return f'<p class="bad">✗ 미대사 · {escape(verdict(summary.verdict))}. {escape(NEXT_DAY)}</p>'


def _tiles(summary: DaySummary) -> str:
    opening = summary.opening_krw or 0
    sells = " · ".join(f"{count} {reason}" for reason, count in summary.sells.items()) or "no sells"
    runs = " + ".join(str(window.completed) for window in summary.runs) or "0"
    rate = percent(rate_bp(summary.pnl_krw, opening))
    tiles = [
        ("P&L", signed_won(summary.pnl_krw), rate, _tone(summary.pnl_krw)),
        ("Equity", "–" if summary.equity_krw is None else won(summary.equity_krw), f"from {won(opening)}", ""),
        (
            "Realised",
            signed_won(summary.realised_krw),
            f"fees {won(summary.fees_krw)} · tax {won(summary.taxes_krw)}",
            _tone(summary.realised_krw),
        ),
        ("Orders", f"{summary.buys} buys", f"{sells} · {summary.partial_fills} partial fills", ""),
        ("Analysis", f"{summary.analysed:,} stocks", f"{summary.picks} picks · {summary.subscribed} subscribed", ""),
        ("Scans", f"{summary.scans:,}", f"{summary.scored:,} scored · {summary.qualified:,} qualified", ""),
        ("Pipeline runs", runs, f"{summary.signals} signals · {summary.denied} denied", ""),
        ("Slots", f"≤ {summary.slots_most}", f"{summary.evictions} evictions · feed lost {summary.reconnects}×", ""),
    ]
    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="tile"><h3>{escape(label)}</h3><strong class="{tone}">{escape(value)}</strong><p>{escape(note)}</p></div>'
            for label, value, note, tone in tiles
        )
        + "</div>"
    )


def _equity(facts: Sequence[Recorded], summary: DaySummary) -> str:
    points = equity(facts)
    if not points or summary.opening_krw is None:
        return _nothing("No minute of the session was priced.")
    span = Span(start=points[0].at, end=max(points[-1].at, Micros(points[0].at + MINUTE_US)))
    note = f"Cash and positions at their last minute's close; dashed: the opening equity, {won(summary.opening_krw)}."
    return f"{equity_chart(points, summary.opening_krw, span)}<p class=note>{note}</p>"


def _slots(facts: Sequence[Recorded]) -> str:
    steps = occupancy(facts)
    if not steps:
        return _nothing("No slot was ever used.")
    started = [fact.event for fact in facts if isinstance(fact.event, RunStarted)]
    capacity = started[-1].settings.slots.capacity if started else DEFAULT_CAPACITY
    span = Span(start=steps[0].at, end=max(facts[-1].at, Micros(steps[0].at + MINUTE_US)))
    keys = (("1", "holdings"), ("2", "daily picks"), ("3", "surging"), ("4", "order book, program trading"))
    legend = "".join(f'<span><i class="P{p}"></i>{p} {what}</span>' for p, what in keys)
    return f'{slots_chart(steps, capacity, span)}<p class="keys">{legend}</p>'


def _prices(facts: Sequence[Recorded], traded: OrdersView, names: Names, drawn: Collection[str] | None) -> str:
    codes = list(dict.fromkeys(fill.code for fill in traded.fills))
    if not codes:
        return _nothing("Nothing was traded.")
    closes: dict[Symbol, list[tuple[Micros, Krw]]] = {code: [] for code in codes}
    for fact in facts:
        if isinstance(fact.event, BarsClosed):
            end = Micros(fact.event.start + MINUTE_US)
            for bar in fact.event.bars:
                if bar.code in closes:
                    closes[bar.code].append((end, bar.close))
    span = _session(facts)
    cards: list[str] = []
    for code in codes[:MOST_CHARTS]:
        mine = [fill for fill in traded.fills if fill.code == code]
        path = "" if drawn is None else ' <em class="drawn">drawn</em>' if code in drawn else " <em>bars</em>"
        picture = price_chart(closes[code], mine, span)
        done = " · ".join(_said(side, [f.qty for f in mine if f.side == side]) for side in ("buy", "sell"))
        cards.append(
            f"<figure><figcaption>{_stock(code, names)}{path} <small>{done}</small></figcaption>{picture}</figure>"
        )
    more = f"<p class=note>and {len(codes) - MOST_CHARTS} more traded stocks</p>" if len(codes) > MOST_CHARTS else ""
    return f'<div class="charts">{"".join(cards)}</div>{more}'


def _said(side: str, qty: Sequence[int]) -> str:
    mark = "▲" if side == "buy" else "▼"
    tone = "up" if side == "buy" else "down"
    return f'<span class="{tone}">{mark} {sum(qty):,}주 in {counted(len(qty), "fill")}</span>' if qty else f"no {side}"


def _session(facts: Sequence[Recorded]) -> Span:
    for fact in facts:
        if isinstance(fact.event, DayOpened):
            hours = fact.event.hours
            return Span(start=hours.open_at, end=hours.close_at)
    return Span(start=facts[0].at, end=Micros(facts[-1].at + MINUTE_US))


def _orders(traded: OrdersView, names: Names) -> str:
    if not traded.orders and not traded.denied:
        return _nothing("No order was placed and none was denied.")
    rows = [
        [
            kst_clock(o.at),
            f'<span class="{"up" if o.side == "buy" else "down"}">{"▲" if o.side == "buy" else "▼"} {o.side}</span>',
            _stock(o.code, names),
            "market" if o.kind == "market" else won(o.price),
            f"{o.filled_qty:,}/{o.qty:,}주",
            won(o.filled_krw // o.filled_qty) if o.filled_qty else "–",
            won(o.filled_krw),
            won(o.fee_krw),
            won(o.tax_krw),
            str(o.fills),
            escape(o.reason),
            escape(o.state),
        ]
        for o in traded.orders
    ]
    head = ("KST", "side", "stock", "at", ">filled", ">average", ">amount", ">fee", ">tax", ">fills", "reason", "end")
    denied = [
        [kst_clock(d.at), _stock(d.code, names), d.side, escape(phrase(d.rule)), figures(d.rule, d.value, d.limit)]
        for d in traded.denied
    ]
    more = _folded(f"{len(denied)} denied", _table(("KST", "stock", "side", "rule", "found"), denied))
    return (_table(head, rows) if rows else "") + (more if denied else "")


def _positions(money: PortfolioView) -> str:
    cash = (
        f"Cash D+2 {amount(money.cash_krw)}, D+1 {amount(money.cash.next_krw)}, today {amount(money.cash.today_krw)}; held "
        f"back for buys {won(money.cash.reserved_krw)}; orderable without credit {amount(money.cash.orderable_krw)}."
    )
    rows = [
        [
            _stock(p.code, {p.code: p.name}),
            f"{p.qty:,}주",
            won(p.average_krw),
            "–" if p.mark is None else won(p.mark),
            won(p.value_krw),
            "unknown" if p.unrealised_krw is None else _gain(p.unrealised_krw),
            "" if p.unrealised_krw is None else _rate(rate_bp(p.unrealised_krw, p.cost_krw)),
            "carried over" if p.carried else kst_clock(p.since),
        ]
        for p in money.positions
    ]
    head = ("stock", ">shares", ">cost a share", ">last", ">value", ">P&L", ">", "since")
    return (_table(head, rows) if rows else _nothing("No position is left.")) + f"<p class=note>{cash}</p>"


def _scores(facts: Sequence[Recorded]) -> str:
    picks, scores = picks_view(facts), scores_view(facts)
    chosen = [
        [
            str(p.rank),
            _stock(p.code, {p.code: p.name}),
            _bar(p.score),
            f"{p.points}/100",
            escape(", ".join(p.missing)),
            "slot" if p.subscribed else "",
        ]
        for p in picks.picks
    ]
    scans = [
        [
            _stock(s.code, {s.code: s.name}),
            _bar(s.best),
            score(s.last),
            str(s.scans),
            str(s.qualified),
            "" if s.parts is None else f"{s.parts.persistence}+{s.parts.volume}+{s.parts.momentum}+{s.parts.risk}",
        ]
        for s in scores.scans
    ]
    finals = [
        [_stock(f.code, {f.code: f.name}), _bar(f.total), f"run {f.run}", kst_clock(f.at), escape(f.why)]
        for f in scores.finals
    ]
    parts = [
        _folded(
            f"{len(chosen)} daily picks",
            _table((">rank", "stock", "score", ">known", "missing", ""), chosen)
            + "".join(f"<p class=note>{escape(line)}</p>" for line in lacking(picks.research)),
            opened=False,
        ),
        _folded(
            f"{len(scans)} stocks scored in scans",
            _table(("stock", "best", ">last", ">scans", ">qualified", "persistence+volume+momentum+risk"), scans),
        ),
        _folded(
            f"{len(finals)} final scores", _table(("stock", "score", "run", "KST", "why not"), finals), opened=True
        ),
    ]
    return "".join(part for part, rows in zip(parts, (chosen, scans, finals), strict=True) if rows) or _nothing(
        "No scores."
    )


def _evictions(facts: Sequence[Recorded], names: Names) -> str:
    rows: list[list[Cell]] = []
    for fact in facts:
        e = fact.event
        if isinstance(e, SlotEvicted):
            following = "" if e.next_code is None else _stock(e.next_code, names)
            gave = f'<i class="P{e.priority}"></i>{_stock(e.code, names)} {e.channel}'
            won_by = f'<i class="P{e.for_priority}"></i>{_stock(e.for_code, names)} {e.for_channel}'
            rows.append([kst_clock(fact.at), gave, won_by, escape(e.rule), following])
    if not rows:
        return _nothing("Nobody had to give way.")
    table = _table(("KST", "gave way", "for", "rule", "next would have been"), rows)
    return _folded(counted(len(rows), "eviction"), table, opened=len(rows) <= 20)


def _close(summary: DaySummary, provenance: Sequence[str], drawn: Collection[str] | None, traded: OrdersView) -> str:
    if summary.verdict is None:
        line = '<p class="bad">The closing balance was never compared: the day is not finished.</p>'
    else:
        sign, tone = ("✓", "good") if summary.verdict.agrees else ("✗", "bad")
        line = f'<p class="{tone}">{sign} {escape(verdict(summary.verdict))}.</p>'
    said = "".join(f"<li>{escape(text)}</li>" for text in provenance)
    if drawn is not None:
        codes = {fill.code for fill in traded.fills}
        made = sum(code in drawn for code in codes)
        said += (
            f"<li>Of {len(codes)} traded stocks, {len(codes) - made} had recorded bars and {made} a drawn path.</li>"
        )
    alerts = "".join(f"<li>{escape(text)}</li>" for text in summary.alerts)
    return line + (f"<ul>{said}</ul>" if said else "") + (f"<h3>Alerts</h3><ul>{alerts}</ul>" if alerts else "")


def _stock(code: Symbol, names: Names | dict[Symbol, str]) -> str:
    name = names.get(code)
    return f'<span class="stock">{escape(name)}<small>{code}</small></span>' if name else escape(named(code, names))


def _table(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return a table; a heading that starts with > has its column aligned to the right."""
    sides = [' class="n"' if text.startswith(">") else "" for text in head]
    top = "".join(f"<th{side}>{escape(text.removeprefix('>'))}</th>" for side, text in zip(sides, head, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{side}>{cell}</td>" for side, cell in zip(sides, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _folded(title: str, inner: str, *, opened: bool = False) -> str:
    return f"<details{' open' if opened else ''}><summary>{escape(title)}</summary>{inner}</details>"


def _bar(value: int | None) -> str:
    if value is None:
        return score(None)
    return f'<span class="bar"><i style="width:{value}%"></i></span>{value}'


def _gain(amount: int) -> str:
    return f'<span class="{_tone(amount)}">{signed_won(amount)}</span>'


def _rate(bp: int) -> str:
    return f'<span class="{_tone(bp)}">{arrow(bp)}{percent(abs(bp)).removeprefix("+")}</span>'


def _tone(amount: int) -> str:
    return "up" if amount > 0 else "down" if amount < 0 else ""


def _nothing(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'
