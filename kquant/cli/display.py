"""The live progress display: KST clock, slots by priority, scans, scores, orders, P&L. Redrawn at most ten times a second."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kquant.values import Micros, Priority, kst_clock
from kquant.views.progress import Progress

REDRAW_SECONDS = 0.1
STYLES: dict[Priority, str] = {1: "bold red", 2: "yellow", 3: "cyan", 4: "dim"}


class Display:
    """Shows a run's progress. On anything but a terminal it prints a plain line each market half hour instead."""

    def __init__(self, console: Console, title: str, capacity: int) -> None:
        self._console = console
        self._title = title
        self._capacity = capacity
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._drawn = 0.0
        self._line = -1

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, now: Micros, progress: Progress) -> None:
        """Redraw if it is time to."""
        if self._live is None:
            self._plain(now, progress)
            return
        wall = time.monotonic()
        if wall - self._drawn < REDRAW_SECONDS:
            return
        self._drawn = wall
        self._live.update(self._panel(now, progress), refresh=True)

    def _plain(self, now: Micros, progress: Progress) -> None:
        half_hour = now // (1_800 * 1_000_000)
        if half_hour == self._line:
            return
        self._line = half_hour
        self._console.print(f"{kst_clock(now)} KST  {progress.line()}", highlight=False, soft_wrap=True)

    def _panel(self, now: Micros, progress: Progress) -> Panel:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", justify="right", min_width=10)
        grid.add_column(min_width=64)
        grid.add_row("KST", Text(kst_clock(now), style="bold"))
        grid.add_row("slots", self._slots(progress))
        for label, value in progress.rows():
            grid.add_row(label, value)
        return Panel(
            grid, title=self._title, title_align="left", border_style="green", width=min(self._console.width, 96)
        )

    def _slots(self, progress: Progress) -> Text:
        text = Text()
        used = 0
        for priority, style in STYLES.items():
            count = progress.slots.get(priority, 0)
            used += count
            text.append("█" * count, style=style)
        text.append("·" * max(self._capacity - used, 0), style="dim")
        text.append(f"  {used}/{self._capacity}")
        for priority, style in STYLES.items():
            text.append(f"  P{priority} {progress.slots.get(priority, 0)}", style=style)
        return text
