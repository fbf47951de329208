"""Pictures as inline SVG: no scripts, no outside resources, colours from the page's CSS variables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from msgspec import Struct

from kquant.values import MINUTE_US, Krw, Micros, kst_clock
from kquant.views.orders import FillLine
from kquant.views.portfolio import EquityPoint
from kquant.views.slots import Occupied
from kquant.views.words import won

HOUR_US = 60 * MINUTE_US
GAP_US = 10 * MINUTE_US
"""A price line is broken where this long nothing was seen of a stock: it had no slot, or did not trade."""
KST_US = 9 * HOUR_US


class Span(Struct, frozen=True, kw_only=True):
    """The time axis: instants that are the left and the right edge."""

    start: Micros
    end: Micros


class Box(Struct, frozen=True, kw_only=True):
    """A plot's area inside its picture, in SVG units."""

    wide: int
    high: int
    left: int = 64
    right: int = 16
    top: int = 14
    bottom: int = 26

    def x(self, at: int, span: Span) -> str:
        """Return the x coordinate of an instant."""
        share = (at - span.start) / max(span.end - span.start, 1)
        return f"{self.left + share * (self.wide - self.left - self.right):.1f}"

    def y(self, value: int, low: int, high: int) -> str:
        """Return the y coordinate of a value."""
        share = (value - low) / max(high - low, 1)
        return f"{self.high - self.bottom - share * (self.high - self.top - self.bottom):.1f}"


def equity_chart(points: Sequence[EquityPoint], opening: Krw, span: Span) -> str:
    """Draw equity over the day, red above the opening equity and blue below it."""
    box = Box(wide=1080, high=270, left=112)
    values = [*(p.equity_krw for p in points), opening]
    low, high = _room(min(values), max(values))
    base = box.y(opening, low, high)
    line = " ".join(f"{box.x(p.at, span)},{box.y(p.equity_krw, low, high)}" for p in points)
    first, last = box.x(points[0].at, span), box.x(points[-1].at, span)
    area = f'<polygon class="A" points="{first},{base} {line} {last},{base}"/>'
    clips = (
        f'<clipPath id="over"><rect x="0" y="0" width="{box.wide}" height="{base}"/></clipPath>'
        f'<clipPath id="under"><rect x="0" y="{base}" width="{box.wide}" height="{box.high}"/></clipPath>'
    )
    halves = "".join(
        f'<g class="{kind}" clip-path="url(#{clip})">{area}<polyline class="L" points="{line}"/></g>'
        for kind, clip in (("up", "over"), ("down", "under"))
    )
    mark = (
        f'<line class="base" x1="{box.left}" x2="{box.wide - box.right}" y1="{base}" y2="{base}"/>'
        f'<circle class="dot {"up" if points[-1].equity_krw >= opening else "down"}" r="4" cx="{last}" '
        f'cy="{box.y(points[-1].equity_krw, low, high)}"/>'
    )
    body = clips + _grid(box, low, high, won) + _hours(box, span) + halves + mark
    return _svg(box, "Equity in won over the day, against the opening equity", body)


def slots_chart(steps: Sequence[Occupied], capacity: int, span: Span) -> str:
    """Draw slots in use stacked by priority, 1 at the bottom, below the line of the capacity."""
    box = Box(wide=1080, high=230, left=112)
    high = max(capacity + 2, max((sum(step.counts) for step in steps), default=0))
    minutes = _by_minute(steps, span)
    parts: list[str] = []
    for priority in (4, 3, 2, 1):
        tops = [(at, sum(counts[:priority])) for at, counts in minutes]
        outline: list[str] = []
        for place, (at, top) in enumerate(tops):
            until = tops[place + 1][0] if place + 1 < len(tops) else span.end
            y = box.y(top, 0, high)
            outline.append(f"{box.x(at, span)},{y} {box.x(until, span)},{y}")
        floor = box.y(0, 0, high)
        if outline:
            left, right = box.x(tops[0][0], span), box.x(span.end, span)
            parts.append(f'<polygon class="P{priority}" points="{left},{floor} {" ".join(outline)} {right},{floor}"/>')
    y = box.y(capacity, 0, high)
    limit = (
        f'<line class="limit" x1="{box.left}" x2="{box.wide - box.right}" y1="{y}" y2="{y}"/>'
        f'<text class="tick" x="{box.left - 8}" y="{y}" dy="4" text-anchor="end">{capacity} slots</text>'
    )
    lines = _grid(box, 0, high, str, at=range(0, capacity - 4, 10))
    return _svg(
        box, "Slots in use over the day, stacked by priority", lines + _hours(box, span) + "".join(parts) + limit
    )


def price_chart(closes: Sequence[tuple[Micros, Krw]], fills: Sequence[FillLine], span: Span) -> str:
    """Draw one stock's closes with our fills on them: ▲ below a buy, ▼ above a sell."""
    box = Box(wide=520, high=190, left=70)
    values = [*(price for _, price in closes), *(fill.price for fill in fills)]
    low, high = _room(min(values), max(values))
    lines = "".join(
        '<polyline class="price" points="'
        + " ".join(f"{box.x(at, span)},{box.y(price, low, high)}" for at, price in piece)
        + '"/>'
        for piece in _pieces(closes)
    )
    marks: list[str] = []
    for fill in fills:
        x, y = float(box.x(fill.at, span)), float(box.y(fill.price, low, high))
        tip = f"{kst_clock(fill.at)} KST {fill.side} {fill.qty:,}주 at {won(fill.price)}"
        sign = 1 if fill.side == "buy" else -1
        shape = f"{x:.1f},{y + sign * 3:.1f} {x - 6:.1f},{y + sign * 14:.1f} {x + 6:.1f},{y + sign * 14:.1f}"
        marks.append(f'<polygon class="mark {fill.side}" points="{shape}"><title>{escape(tip)}</title></polygon>')
    body = _grid(box, low, high, lambda value: f"{value:,}", lines=3) + _hours(box, span, every=2)
    return _svg(box, "Price over the day with fills", f"{body}{lines}{''.join(marks)}")


def _pieces(closes: Sequence[tuple[Micros, Krw]]) -> list[list[tuple[Micros, Krw]]]:
    """Part closes where nothing was seen for a while."""
    pieces: list[list[tuple[Micros, Krw]]] = []
    for at, price in closes:
        if not pieces or at - pieces[-1][-1][0] > GAP_US:
            pieces.append([])
        pieces[-1].append((at, price))
    return pieces


def _svg(box: Box, title: str, body: str) -> str:
    return (
        f'<svg viewBox="0 0 {box.wide} {box.high}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )


def _room(low: int, high: int) -> tuple[int, int]:
    """Leave some air above and below; a flat line gets some too."""
    air = max((high - low) * 8 // 100, high // 1_000, 1)
    return low - air, high + air


def _grid(
    box: Box, low: int, high: int, say: Callable[[int], str], *, lines: int = 5, at: Sequence[int] | None = None
) -> str:
    parts: list[str] = []
    for value in _steps(low, high, lines) if at is None else at:
        y = box.y(value, low, high)
        parts.append(f'<line class="grid" x1="{box.left}" x2="{box.wide - box.right}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{box.left - 8}" y="{y}" dy="4" text-anchor="end">{say(value)}</text>')
    return "".join(parts)


def _steps(low: int, high: int, lines: int) -> list[int]:
    """Return round values between low and high, about *lines* of them."""
    size, place = 1, 0
    while (high - low) // size > lines:
        size = (2, 5, 10)[place % 3] * 10 ** (place // 3)
        place += 1
    first = -(-low // size) * size
    return list(range(first, high + 1, size))


def _hours(box: Box, span: Span, every: int = 1) -> str:
    parts: list[str] = []
    hour = span.start + (-(span.start + KST_US)) % HOUR_US
    y = box.high - box.bottom
    while hour <= span.end:
        clock = kst_clock(Micros(hour))
        if int(clock[:2]) % every == 0 and hour > span.start - 1:
            x = box.x(hour, span)
            parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{box.top}" y2="{y}"/>')
            parts.append(f'<text class="tick" x="{x}" y="{y + 17}" text-anchor="middle">{clock[:5]}</text>')
        hour += HOUR_US
    return "".join(parts)


def _by_minute(steps: Sequence[Occupied], span: Span) -> list[tuple[int, tuple[int, int, int, int]]]:
    """Keep each minute's last state, so that a picture of a busy day stays small."""
    found: dict[int, tuple[int, int, int, int]] = {}
    for step in steps:
        if step.at <= span.end:
            found[max(step.at - step.at % MINUTE_US, span.start)] = step.counts
    return sorted(found.items())
