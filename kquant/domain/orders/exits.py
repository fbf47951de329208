"""Exits: what is armed or due for every position, and what becomes of it: a sell, or a wait (`exit_rules`)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from kquant.domain.orders.draft import Draft
from kquant.domain.orders.exit_rules import ASKABLE, has_waited_enough, obstacle
from kquant.domain.orders.lifecycle import Order
from kquant.domain.orders.seen import Held
from kquant.domain.orders.sellable import SELL_UNPROVEN, TIED_OUTSIDE, prove_again
from kquant.domain.orders.selling import can_be_due, disarm, offer, postpone, sell
from kquant.domain.orders.sizing import BP
from kquant.domain.orders.state import quoting
from kquant.events.market import TriggerFired
from kquant.events.orders import IntentReason, TriggerArmed, TriggerDisarmed, TriggerKind
from kquant.krx import TickBand, round_to_tick
from kquant.settings import ExitSettings
from kquant.values import MINUTE_US, SECOND_US, BasisPoints, Krw, Micros, Symbol, TriggerId


class Level(Struct, frozen=True, kw_only=True):
    """A trigger as it should be armed; fields as in `orders.trigger_armed`."""

    kind: TriggerKind
    price: Krw
    trail_bp: BasisPoints
    high: Krw


def levels_of(held: Held, exits: ExitSettings, bands: tuple[TickBand, ...]) -> tuple[Level, ...]:
    """Return the triggers of a position: from its average cost, on the tick grid (stop down, target up).

    A trailing stop starts at the higher of the average and the highest trade known. A rate of 0 leaves one out.
    """
    found: list[Level] = []
    cost, qty = held.cost_krw, held.qty
    stop = Krw(cost * (BP - exits.stop_loss_bp) // (qty * BP))
    if exits.stop_loss_bp and stop > 0:
        found.append(_level("stop", round_to_tick(stop, "buy", bands)))
    target = Krw(-(-cost * (BP + exits.take_profit_bp) // (qty * BP)))
    if exits.take_profit_bp and target > 0:
        found.append(_level("target", round_to_tick(target, "sell", bands)))
    high = Krw(max(-(-cost // qty), held.high))
    start = Krw(high * (BP - exits.trailing_bp) // BP)
    if exits.trailing_bp and start > 0:
        price = round_to_tick(start, "buy", bands)
        found.append(Level(kind="trailing", price=price, trail_bp=BasisPoints(exits.trailing_bp), high=high))
    return tuple(found)


def _level(kind: TriggerKind, price: Krw) -> Level:
    return Level(kind=kind, price=price, trail_bp=BasisPoints(0), high=Krw(0))


def tend(draft: Draft, code: Symbol) -> None:
    """Bring a stock's exits in line with its position: sell what is due, else arm, arm anew where a level moved, disarm."""
    held = draft.held(code)
    if held is None:
        disarm(draft, code, None)
        draft.forget(f"exit.{code}")
        draft.forget(f"hold.{code}")
        return
    if not can_be_due(draft, code) or draft.is_pending(f"exit.{code}") or draft.lags(code):
        return
    _watch_the_clock(draft, code, held)
    reason = due(draft, code)
    if reason is not None:
        sell(draft, code, reason)
        return
    _arm(draft, code, levels_of(held, draft.settings.exits, draft.bands(code)))


def _arm(draft: Draft, code: Symbol, wanted: tuple[Level, ...]) -> None:
    armed = {one.kind: one for one in draft.own.armed.get(code, ())}
    for level in wanted:
        known = armed.pop(level.kind, None)
        # A trailing stop follows the market by itself: arming it anew would only forget its high.
        if known is not None and known.trail_bp == level.trail_bp and (level.trail_bp or known.price == level.price):
            continue
        if known is not None:
            draft.emit(TriggerDisarmed(trigger=known.trigger, code=code))
        draft.emit(
            TriggerArmed(
                trigger=TriggerId(draft.own.last_trigger + 1),
                code=code,
                kind=level.kind,
                price=level.price,
                trail_bp=level.trail_bp,
                high=level.high,
            )
        )
    for left in armed.values():
        draft.emit(TriggerDisarmed(trigger=left.trigger, code=code))


# -- what is due without a price -------------------------------------------------------------------------------


def due(draft: Draft, code: Symbol) -> IntentReason | None:
    """Return why the holding is to be sold whatever its price, None if it may stay."""
    if draft.seen.is_flattening and draft.settings.exits.flat_at_close:
        return "flatten"
    if is_ordered_out(draft, code):
        return "operator"
    held = draft.held(code)
    until = None if held is None else _held_until(draft, held)
    return "time" if until is not None and draft.at >= until else None


def _held_until(draft: Draft, held: Held) -> Micros | None:
    """Return when a position bought today has been held for as long as it may, None without such a limit.

    What is sold of it in part, or waits to be sold, does not begin it anew.
    """
    minutes = draft.settings.exits.hold_minutes
    return Micros(held.since + minutes * MINUTE_US) if minutes and not held.is_carried else None


def _watch_the_clock(draft: Draft, code: Symbol, held: Held) -> None:
    until = _held_until(draft, held)
    if until is not None and draft.at < until:
        draft.wake(f"hold.{code}", until)


def flatten(draft: Draft, codes: Sequence[Symbol], reason: IntentReason) -> None:
    """Sell these holdings and cancel the buys of them. What cannot be sold now stays ordered out and is sold later."""
    for code in codes:
        draft.cancel_buys(code)
        sell(draft, code, reason)


def is_ordered_out(draft: Draft, code: Symbol) -> bool:
    """Tell whether a person wants the holding sold: it was there when that was said, or a buy brought it that was in flight."""
    out = draft.seen.out_of(code)
    if code in draft.seen.ordered_out or out is None:
        return code in draft.seen.ordered_out
    return any(
        order.code == code and was_in_flight(draft, order) and order.fills > out.booked.get(order.order_no, 0)
        for order in draft.own.orders.values()
    )


def was_in_flight(draft: Draft, order: Order) -> bool:
    """Tell whether an order to sell its stock came after a buy was decided: whatever it still brings goes as well."""
    out = draft.seen.out_of(order.code)
    return out is not None and order.side == "buy" and order.decision < out.at


def is_leaving(draft: Draft, buy: Order) -> bool:
    """Tell whether the stock is being sold, was sold since that buy, or a person wants it sold: no more of it is bought."""
    is_sold_since = any(
        one.side == "sell" and one.code == buy.code and (one.is_live or one.intent > buy.intent)
        for one in draft.own.orders.values()
    )
    return is_sold_since or was_in_flight(draft, buy) or is_ordered_out(draft, buy.code)


# -- a trigger fired; a wait is over ---------------------------------------------------------------------------


def fired(draft: Draft, event: TriggerFired) -> None:
    """Sell on an armed trigger; a firing of one no longer armed is answered with nothing."""
    for one in draft.own.armed.get(event.code, ()):
        if one.trigger == event.trigger:
            if can_be_due(draft, event.code):
                sell(draft, event.code, one.kind, event)
            else:
                disarm(draft, event.code, None)
            return


def look(draft: Draft, code: Symbol) -> None:
    """Look at an exit whose time has come. Where a sell did not go through, the price is asked over HTTPS first."""
    if not can_be_due(draft, code):
        tend(draft, code)
    elif _may_ask(draft, code):
        draft.quote(code, "exit", draft.fact.seq)
        # Should no outcome ever come, as when the gateway is down, this look is made again and goes on without.
        draft.wake_exit(code, draft.at + (draft.settings.risk.confirm_seconds + 1) * SECOND_US)
    else:
        _go_on(draft, code)


def quoted(draft: Draft, code: Symbol) -> None:
    """Go on with an exit whose price was asked for; `seen` knows the answer.

    Without one it goes on all the same: what is known is then as old as the back-off, but a market order that waits in a
    queue protects a holding better than none, and the broker refuses what cannot be.
    """
    if can_be_due(draft, code):
        draft.forget(f"exit.{code}")
        _go_on(draft, code)


def stirred(draft: Draft, code: Symbol) -> None:
    """Look at once at an exit that waits for a stock of which the feed has just spoken."""
    waits = draft.own.postponed.get(code)
    if waits is not None and waits.rule in ASKABLE and can_be_due(draft, code):
        draft.forget(f"exit.{code}")
        _go_on(draft, code)


def _may_ask(draft: Draft, code: Symbol) -> bool:
    if not draft.settings.risk.confirm_price or not draft.is_session_open():
        return False
    if any(one.why == "exit" for one in quoting(draft.own, draft.seen.heard, code)):
        return False
    waits = draft.own.postponed.get(code)
    return draft.own.exit_failures.get(code, 0) > 0 or (waits is not None and waits.rule in ASKABLE)


def _go_on(draft: Draft, code: Symbol) -> None:
    """Let an exit wait on, arm it again, or sell: an armed trigger looks at the price of now by itself."""
    reason = due(draft, code) or _last_reason(draft, code)
    breach = obstacle(draft, code, reason)
    if breach is None:
        tend(draft, code)
    elif has_waited_enough(draft, code, breach):
        disarm(draft, code, None)
        offer(draft, code, reason)
    else:
        if breach.rule == SELL_UNPROVEN:
            prove_again(draft, code)
        elif breach.rule == TIED_OUTSIDE:
            draft.ask("shares tied outside")
        postpone(draft, code, reason, breach)


def _last_reason(draft: Draft, code: Symbol) -> IntentReason:
    """Return why the stock was last to be sold."""
    waits = draft.own.postponed.get(code)
    if waits is not None:
        return waits.reason
    sells = [order.reason for order in draft.own.orders.values() if order.code == code and order.side == "sell"]
    return sells[-1] if sells else "stop"
