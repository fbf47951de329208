"""One reaction being written: the events so far, and the state they lead to, so that a later step sees an earlier one."""

from __future__ import annotations

from kquant.domain.orders.chain import heir
from kquant.domain.orders.grid import Bands, bands_of
from kquant.domain.orders.lifecycle import Order, Outcome
from kquant.domain.orders.seen import Held, Seen
from kquant.domain.orders.state import POLL, Own, evolve, quoting
from kquant.events.base import Event, Recorded
from kquant.events.day import AlarmCancelled, AlarmSet, AlertRaised
from kquant.events.orders import (
    CancelWanted,
    ExecutionsWanted,
    OrderFinished,
    OrderFrozen,
    ProofWanted,
    QuotePurpose,
    QuoteWanted,
)
from kquant.settings import Settings
from kquant.values import SECOND_US, Micros, Seq, Symbol

LISTING_VALID_US = 30 * SECOND_US
EXIT_FIRST_US = 5 * SECOND_US
EXIT_LONGEST_US = 300 * SECOND_US
"""A sell that did not fill is followed by the next one after 5, 10, 20 … at most 300 seconds."""
CANCEL_TRIES = 6
AGAIN_US = SECOND_US
NEVER_WORKED = frozenset({"refused", "expired", "blocked", "not_placed"})


class Draft:
    """Collects the events of one decision. `own` moves with each; `seen` does not."""

    def __init__(self, own: Own, seen: Seen, fact: Recorded, settings: Settings) -> None:
        self.own = own
        self.seen = seen
        self.fact = fact
        self.settings = settings
        self.events: list[Event] = []

    @property
    def at(self) -> Micros:
        """The instant of the input."""
        return self.fact.at

    def emit(self, event: Event) -> None:
        """Add an event and fold it."""
        self.events.append(event)
        self.own = evolve(self.own, event)

    def alert(self, text: str) -> None:
        """Tell a person."""
        self.emit(AlertRaised(level="critical", text=text))

    def is_pending(self, alarm: str) -> bool:
        """Tell whether that alarm is set and has not rung."""
        due = self.own.alarms.get(alarm)
        return due is not None and self.seen.rang.get(alarm) != due

    def wake(self, alarm: str, due: int) -> None:
        """Set an alarm unless it rings as early anyway."""
        if self.is_pending(alarm) and self.own.alarms[alarm] <= due:
            return
        self.emit(AlarmSet(alarm=alarm, due=Micros(due)))

    def forget(self, alarm: str) -> None:
        """Cancel an alarm if it is set."""
        if self.is_pending(alarm):
            self.emit(AlarmCancelled(alarm=alarm))

    def ask(self, why: str) -> None:
        """Ask for the day's orders unless a listing is under way: its answer asks again when that is needed."""
        if self.own.requests <= self.seen.outcomes:
            self.emit(ExecutionsWanted(why=why, valid_until=Micros(self.at + LISTING_VALID_US)))
            self.forget(POLL)

    def quote(self, code: Symbol, why: QuotePurpose, decision: Seq) -> None:
        """Ask for a stock's price over HTTPS unless that is under way for the same purpose."""
        if any(one.why == why for one in quoting(self.own, self.seen.heard, code)):
            return
        until = Micros(self.at + self.settings.risk.confirm_seconds * SECOND_US)
        request = self.own.last_quote + 1
        self.emit(QuoteWanted(request=request, code=code, why=why, decision=decision, valid_until=until))

    def freeze(self, code: Symbol, why: str) -> None:
        """Stop buys of a stock until an operator resumes or the day ends, once, and tell a person."""
        if code not in self.own.frozen:
            self.emit(OrderFrozen(code=code, why=why))
            self.alert(f"{code} is frozen: {why}")

    def cancel(self, order: Order) -> None:
        """Ask to cancel what is left of a working order, unless that is under way, or was in vain too often."""
        if heir(self.own, order) is not None:
            return  # its replacement has, or may have, taken its place: that one is to be cancelled
        asked = self.seen.cancel_outcomes.get(order.intent, 0)
        if order.state != "working" or order.cancels > asked or not self.is_session_open():
            return
        if order.cancels >= CANCEL_TRIES:
            self.alert(f"order {order.order_no} of {order.code} is still open after {order.cancels} cancels")
            return
        until = Micros(self.at + self.settings.risk.order_valid_seconds * SECOND_US)
        self.emit(
            CancelWanted(
                intent=order.intent, order_no=order.order_no, branch=order.branch, valid_until=until, kind=order.kind
            )
        )
        again = min(self.settings.risk.resting_seconds << order.cancels, 300)
        self.wake(f"rest.{order.intent}", self.at + again * SECOND_US)

    def cancel_buys(self, code: Symbol | None = None) -> None:
        """Ask to cancel every working buy of a stock, or of all of them (None)."""
        for order in self.own.live_orders():
            if order.side == "buy" and code in (None, order.code):
                self.cancel(order)

    def finish(self, order: Order, outcome: Outcome) -> None:
        """End an order; a sell that left shares behind is tried again later, never at once."""
        order = self.own.orders[order.intent]
        self.emit(
            OrderFinished(
                intent=order.intent,
                code=order.code,
                side=order.side,
                outcome=outcome,
                filled_qty=order.filled_qty,
            )
        )
        self.forget(f"rest.{order.intent}")
        if order.side == "sell" and outcome != "filled" and not self.seen.is_closed:
            self.wake_exit(order.code, self.at + exit_delay(self.own.exit_failures.get(order.code, 1) - 1))
        if order.side == "sell" and outcome == "not_placed":
            self.emit(ProofWanted(intent=order.intent, code=order.code, decision=self.fact.seq))
        if order.replaces is not None and outcome in NEVER_WORKED and self.own.orders[order.replaces].is_live:
            # The original rests on, or has filled: look at the list first, then it is cancelled.
            self.ask("replacement came to nothing")
            self.wake(f"rest.{order.replaces}", self.at + AGAIN_US)

    def wake_exit(self, code: Symbol, due: int) -> None:
        """Look at the stock's exit again at *due*, not before the session opens."""
        hours = self.seen.hours
        self.wake(f"exit.{code}", due if hours is None else max(due, hours.open_at))

    def is_session_open(self) -> bool:
        """Tell whether orders are taken: from the open to the end of the closing auction."""
        hours = self.seen.hours
        return hours is not None and not self.seen.is_closed and hours.open_at <= self.at < hours.close_at

    def held(self, code: Symbol) -> Held | None:
        """Return the position, None without one."""
        return self.seen.positions.get(code)

    def bands(self, code: Symbol) -> Bands:
        """Return the tick bands of a stock."""
        return bands_of(self.seen.stocks.get(code), self.settings.krx)

    def lags(self, code: Symbol) -> bool:
        """Tell whether portfolio has yet to book a fill of that stock: its quantity is then not to be sold on."""
        return fills_unbooked(self.own, self.seen, code) > 0


def exit_delay(failures: int) -> int:
    """Return how long to wait (microseconds) after that many failures of a stock's exit before."""
    return min(EXIT_FIRST_US << min(failures, 10), EXIT_LONGEST_US)


def fills_unbooked(own: Own, seen: Seen, code: Symbol | None) -> int:
    """Return how many fills of ours portfolio has yet to book, of one stock or of all (None)."""
    return sum(
        max(order.fills - seen.booked(order.order_no), 0)
        for order in own.orders.values()
        if order.fills and (code is None or order.code == code)
    )
