"""What keeps a holding from being sold now. An exit that meets one of these waits and is looked at again; it never lapses.

No limit on entries is among them: not the halt, not the day's loss, not the orders of a minute or a day (O8). Nor is a
frozen stock: what is in doubt about it (a live order, a lost sell, fills not booked) has a rule of its own here, and the
broker takes no order for more than may be sold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from kquant.domain.orders.case import Breach, Finding
from kquant.domain.orders.draft import Draft, exit_delay, fills_unbooked
from kquant.domain.orders.seen import is_armed
from kquant.domain.orders.sellable import SELL_UNPROVEN, TIED_OUTSIDE, withheld
from kquant.domain.orders.standing import VI_LONGEST_US, Standing
from kquant.domain.orders.state import PASSING
from kquant.events.market import TriggerFired
from kquant.events.orders import IntentReason
from kquant.values import MINUTE_US, SECOND_US, Micros, Symbol

OUT_TODAY: frozenset[IntentReason] = frozenset({"flatten", "operator"})
"""Sells that mean today: they take part in the closing auction, where a market order is matched at the single price."""
LOOK_US: Mapping[str, int] = {
    "NOT_ARMED": 5 * MINUTE_US,  # only a person changes that, and arming looks at once
    SELL_UNPROVEN: MINUTE_US,  # a balance that proves it is acted on at once
    TIED_OUTSIDE: 10 * SECOND_US,
    "STOCK_HALTED": 30 * SECOND_US,
    "VI": 20 * SECOND_US,
    "AUCTION": 20 * SECOND_US,
    "LOWER_LOCKED": 10 * SECOND_US,
}
"""How long until the next look (microseconds); each but the first three asks the price over HTTPS."""
ASKABLE = frozenset({"STOCK_HALTED", "VI", "AUCTION", "LOWER_LOCKED"})
"""What an answer over HTTPS can tell to be over."""
LOCKED_LONGEST_US = MINUTE_US
"""A stock locked at the lower limit may stay so all day: it is looked at after as long as it has waited, at most this."""


class Exit(Struct, frozen=True, kw_only=True):
    """A sell that is due. fired: the firing that called for it, None for any other reason."""

    draft: Draft
    code: Symbol
    reason: IntentReason
    fired: TriggerFired | None

    @property
    def at(self) -> Micros:
        """The instant of the input."""
        return self.draft.at

    @property
    def standing(self) -> Standing | None:
        """How the stock's trading stands, None if nobody said."""
        return self.draft.seen.standings.get(self.code)


def _not_armed(one: Exit) -> Finding:
    """A real account trades only on days on which a person said so."""
    return None if is_armed(one.draft.seen, one.draft.settings, one.at) else (0, 1)


def _session_closed(one: Exit) -> Finding:
    """The session has not begun."""
    return None if one.draft.is_session_open() else (0, 1)


def _unbooked(one: Exit) -> Finding:
    """Fills are not booked yet: the quantity would be wrong (O9)."""
    count = fills_unbooked(one.draft.own, one.draft.seen, one.code)
    return (count, 0) if count else None


def _halted(one: Exit) -> Finding:
    """Its trading stands still (거래정지), as far as the feed or the last answer says."""
    return (1, 0) if one.standing is not None and one.standing.is_halted(one.at) else None


def _interrupted(one: Exit) -> Finding:
    """A volatility interruption is on: a market order would be matched blindly at its single price (D37)."""
    return (1, 0) if one.standing is not None and one.standing.is_interrupted(one.at) else None


def _auction(one: Exit) -> Finding:
    """Orders are being gathered for a single price. What means today takes part in the closing auction."""
    hours = one.draft.seen.hours
    if hours is not None and one.at >= hours.closing_auction_at:
        return None if one.reason in OUT_TODAY else (1, 0)
    standing = one.standing
    return (1, 0) if standing is not None and standing.is_auction and standing.is_fresh(one.at) else None


def _lower_locked(one: Exit) -> Finding:
    """It is locked at the lower limit (하한가): nobody bids. The last answer knows better than a firing without a bid."""
    standing, stock = one.standing, one.draft.seen.stocks.get(one.code)
    if standing is not None and standing.is_locked is not None and standing.is_fresh(one.at):
        return (0, 1) if standing.is_locked else None
    if one.fired is None or one.fired.bid > 0 or stock is None or stock.lower is None:
        return None
    return (0, 1) if one.fired.price <= stock.lower else None


RULES: tuple[tuple[str, Callable[[Exit], Finding]], ...] = (
    ("NOT_ARMED", _not_armed),
    ("SESSION_CLOSED", _session_closed),
    ("UNBOOKED", _unbooked),
    ("STOCK_HALTED", _halted),
    ("VI", _interrupted),
    ("AUCTION", _auction),
    ("LOWER_LOCKED", _lower_locked),
)
"""Rules in the order they are asked, after what the broker lets go of (`sellable.withheld`)."""


def obstacle(draft: Draft, code: Symbol, reason: IntentReason, fired: TriggerFired | None = None) -> Breach | None:
    """Return what keeps the holding from being sold now, None if it may go."""
    due = Exit(draft=draft, code=code, reason=reason, fired=fired)
    for rule, broken in RULES:
        found = broken(due)
        if found is not None:
            return Breach(rule=rule, value=int(found[0]), limit=int(found[1]))
        if rule == "UNBOOKED" and (waits := withheld(draft.own, draft.seen, code)) is not None:
            return Breach(rule=waits.rule, value=waits.value, limit=waits.limit)
    return None


def look_again_at(draft: Draft, code: Symbol, breach: Breach) -> Micros:
    """Return when to look again: at an instant that is known, else after a while."""
    hours = draft.seen.hours
    if hours is not None and breach.rule == "SESSION_CLOSED":
        return Micros(max(hours.open_at, draft.at))
    if hours is not None and breach.rule == "AUCTION" and draft.at >= hours.closing_auction_at:
        return hours.close_at
    waits = draft.own.postponed.get(code)
    if waits is not None and breach.rule == waits.rule == "LOWER_LOCKED":
        waited = draft.at - (waits.first_until - LOOK_US[breach.rule])
        return Micros(draft.at + min(max(waited, LOOK_US[breach.rule]), LOCKED_LONGEST_US))
    return Micros(draft.at + LOOK_US.get(breach.rule, exit_delay(draft.own.exit_failures.get(code, 0))))


def has_waited_enough(draft: Draft, code: Symbol, breach: Breach) -> bool:
    """Tell whether it has gathered orders for longer than an interruption takes: then the auction is the way out.

    It trades by single price only then (단일가매매).
    """
    waits = draft.own.postponed.get(code)
    if waits is None or breach.rule not in PASSING or waits.rule not in PASSING:
        return False
    hours = draft.seen.hours
    if hours is not None and draft.at >= hours.closing_auction_at:
        return False
    return draft.at - (waits.first_until - LOOK_US[waits.rule]) >= VI_LONGEST_US
