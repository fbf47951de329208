"""Calibration as a picture: for each scorer and line a bar a decile, its height the mean excess return. One SVG file."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from msgspec import Struct

from kquant.views.calibration import Line
from kquant.views.charts import Box
from kquant.views.words import percent

COLUMNS = 3
WIDE, HIGH, GAP, TOP = 380, 250, 20, 56
STYLE = (
    "svg{background:#f6f7f9;color:#1b1f27;font-family:system-ui,-apple-system,'Apple SD Gothic Neo','Malgun Gothic',"
    "'Noto Sans KR','Noto Sans CJK KR',sans-serif}"
    ".card{fill:#fff;stroke:#e4e7ec}.up{fill:#d24f45}.down{fill:#2f6fd0}.zero{stroke:#687182}"
    "text{fill:#1b1f27;font-size:12px}.head{font-size:17px;font-weight:600}.name{font-size:13px;font-weight:600}"
    ".dim{fill:#687182;font-size:11px}.value{font-size:10px;text-anchor:middle}.under{text-anchor:middle}"
    "@media (prefers-color-scheme:dark){svg{background:#12151b}.card{fill:#1a1e26;stroke:#2b313c}.up{fill:#f0746a}"
    ".down{fill:#6aa2f5}text{fill:#e8ebf0}.dim{fill:#939cad}}"
)


class Panel(Struct, frozen=True, kw_only=True):
    """One line of one scorer. said: below the bars (its correlation), or in their place if there are too few samples."""

    title: str
    said: str
    line: Line


def calibration_chart(title: str, panels: Sequence[Panel]) -> str:
    """Return all panels in one picture that stands alone, light or dark as the reader's screen is."""
    rows = max(1, -(-len(panels) // COLUMNS))
    wide, high = COLUMNS * (WIDE + GAP) + GAP, TOP + rows * (HIGH + GAP)
    parts = [
        f'<g transform="translate({GAP + place % COLUMNS * (WIDE + GAP)},{TOP + place // COLUMNS * (HIGH + GAP)})">'
        f"{_panel(panel)}</g>"
        for place, panel in enumerate(panels)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title><style>{STYLE}</style>'
        f'<text class="head" x="{GAP}" y="34">{escape(title)}</text>{"".join(parts)}</svg>\n'
    )


def _panel(panel: Panel) -> str:
    card = f'<rect class="card" width="{WIDE}" height="{HIGH}" rx="12"/>'
    name = f'<text class="name" x="16" y="26">{escape(panel.title)}</text>'
    if not panel.line.sufficient:
        words = panel.said.partition(": ")
        return (
            f'{card}{name}<text class="dim" x="16" y="{HIGH // 2}">{escape(words[0])}</text>'
            f'<text class="dim" x="16" y="{HIGH // 2 + 18}">{escape(words[2])}</text>'
        )
    words = panel.said.partition("; ")
    said = f'<text class="dim" x="16" y="44">{escape(words[0])}</text>'
    said += f'<text class="dim" x="16" y="59">{escape(words[2])}</text>' if words[2] else ""
    return f"{card}{name}{said}{_bars(panel.line)}"


def _bars(line: Line) -> str:
    """Draw the tenths from the lowest scores at the left; a tenth that ties left empty stays empty."""
    box = Box(wide=WIDE, high=HIGH, left=16, right=16, top=82, bottom=44)
    values = [decile.came.excess_bp for decile in line.deciles]
    low, high = min(0, *values), max(0, *values)
    zero, step = float(box.y(0, low, high)), (box.wide - box.left - box.right) / 10
    parts = [f'<line class="zero" x1="{box.left}" x2="{box.wide - box.right}" y1="{zero:.1f}" y2="{zero:.1f}"/>']
    for decile in line.deciles:
        value = decile.came.excess_bp
        left, y = box.left + (decile.decile - 1) * step, float(box.y(value, low, high))
        middle = left + step / 2
        scores = f"{decile.low}-{decile.high}" if decile.low < decile.high else str(decile.low)
        tip = f"decile {decile.decile}, scores {scores}, n {decile.came.samples:,}: excess {percent(value)}"
        parts.append(
            f'<rect class="{"up" if value > 0 else "down"}" x="{left + 4:.1f}" width="{step - 8:.1f}" '
            f'y="{min(y, zero):.1f}" height="{abs(y - zero):.1f}"><title>{escape(tip)}</title></rect>'
            f'<text class="value" x="{middle:.1f}" y="{y - 4 if value >= 0 else y + 12:.1f}">{_tenths(value)}</text>'
            f'<text class="dim under" x="{middle:.1f}" y="{HIGH - 16}">{scores}</text>'
        )
    return "".join(parts)


def _tenths(bp: int) -> str:
    """Return basis points as a signed percentage with one digit; what rounds to nothing has no sign."""
    text = f"{bp / 100:+.1f}"
    return "0.0" if text in {"+0.0", "-0.0"} else text
