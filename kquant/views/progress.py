"""The run so far, one cheap step an event: what the live display shows."""

from __future__ import annotations

from kquant.events import analyzer, day, orders, pipeline, scanner, slots
from kquant.events.base import Recorded
from kquant.events.feed import FeedLost
from kquant.values import Micros, Priority, kst_clock
from kquant.views.portfolio import PortfolioFold
from kquant.views.slots import SlotFold
from kquant.views.words import counted, eok, percent, rate_bp, signed_won


class Progress:
    """Counts of a run in progress. capacity: slots there are.

    slots: in use by priority, now.   at: of the last fact, UTC microseconds, None before any.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.at: Micros | None = None
        self.slots: dict[Priority, int] = {}
        self.analysed = self.judged = self.picks = 0
        self.scans = self.scored = self.qualified = self.evictions = 0
        self.runs = self.signals = self.denied = 0
        self.orders = self.buys = self.sells = self.fills = self.partial = 0
        self.lost = 0
        self.halted = ""
        """Why nothing new is bought, "" while it is."""
        self.alert = ""
        self._slots = SlotFold()
        self._portfolio = PortfolioFold()

    def apply(self, fact: Recorded) -> None:
        """Count one fact."""
        self.at = fact.at
        if self._slots.apply(fact):
            self.slots = self._slots.counts()
        self._portfolio.apply(fact)
        match fact.event:
            case scanner.ScanCompleted(scored=scored, qualified=qualified):
                self.scans += 1
                self.scored += len(scored)
                self.qualified += len(qualified)
            case analyzer.AnalysisStarted(stocks=stocks):
                self.analysed = stocks
            case analyzer.BatchJudged(scores=scores):
                self.judged += len(scores)
            case analyzer.PicksChosen(picks=picks):
                self.picks = len(picks)
            case slots.SlotEvicted():
                self.evictions += 1
            case FeedLost():
                self.lost += 1
            case pipeline.PipelineCompleted(signals=signals):
                self.runs += 1
                self.signals += signals
            case day.AlertRaised(level=level, text=text) if level != "info":
                self.alert = text
            case _:
                self._order(fact)

    def _order(self, fact: Recorded) -> None:
        match fact.event:
            case orders.OrderIntended(side=side):
                self.orders += 1
                self.buys += side == "buy"
                self.sells += side == "sell"
            case orders.OrderDenied():
                self.denied += 1
            case orders.OrderFilled(leaves_qty=leaves):
                self.fills += 1
                self.partial += leaves > 0
            case orders.EntriesHalted(reason=reason):
                self.halted = reason
            case orders.EntriesResumed():
                self.halted = ""
            case _:
                return

    def pnl(self) -> int:
        """Return the day's profit or loss so far in won."""
        return self._portfolio.pnl()

    def rows(self) -> list[tuple[str, str]]:
        """Return label and text of each line of the display below the slots."""
        money = self._portfolio
        equity, positions = money.equity(), len(money.view().positions)
        worth = "no balance yet" if equity is None else f"{eok(equity)} in {positions} positions and cash"
        rows = [
            ("analysis", f"{self.judged:,} of {self.analysed:,} stocks · {self.picks} picks"),
            (
                "scans",
                f"{self.scans} · {self.scored:,} scored · {self.qualified} qualified · {self.evictions} evictions",
            ),
            ("pipeline", f"{counted(self.runs, 'run')} · {counted(self.signals, 'signal')} · {self.denied} denied"),
            ("orders", f"{self.buys} buys · {self.sells} sells · {self.fills} fills, {self.partial} of them partial"),
            ("equity", worth),
            ("P&L", f"{signed_won(self.pnl())} {percent(rate_bp(self.pnl(), money.opening or 0))}"),
        ]
        if self.halted:
            rows.append(("halted", f"nothing new is bought until `kquant resume`: {self.halted}"))
        if self.alert:
            rows.append(("alert", self.alert))
        return rows

    def line(self) -> str:
        """Return the same as one plain line, without the clock."""
        used = sum(self.slots.values())
        by = "+".join(str(count) for count in self.slots.values())
        return (
            f"slots {used}/{self.capacity}{f' ({by})' if used else ''}  scans {self.scans}  scored {self.scored}"
            f"  runs {self.runs}  orders {self.orders}  fills {self.fills}  P&L {signed_won(self.pnl())}"
        )

    def clock(self) -> str:
        """Return HH:MM:SS KST of the last fact, dashes before any."""
        return "--:--:--" if self.at is None else kst_clock(self.at)
