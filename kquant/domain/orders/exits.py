"""Exits: stop, target and trailing triggers for every position, and the sell that follows one of them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from kquant.domain.orders.draft import EXIT_LONGEST_US, Draft, exit_delay
from kquant.domain.orders.seen import Held, is_armed
from kquant.domain.orders.sellable import on_offer, withheld
from kquant.domain.orders.sizing import BP
from kquant.events.market import TriggerFired
from kquant.events.orders import ExitPostponed, IntentReason, OrderIntended, TriggerArmed, TriggerDisarmed, TriggerKind
from kquant.krx import TickBand, round_to_tick
from kquant.settings import ExitSettings
from kquant.values import SECOND_US, BasisPoints, IntentId, Krw, Micros, Symbol, TriggerId


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
    """Bring a stock's exits in line with its position: arm, arm anew where a level moved, disarm, or flatten."""
    held = draft.held(code)
    if held is None:
        disarm(draft, code, None)
        draft.forget(f"exit.{code}")
        return
    waits = draft.is_pending(f"exit.{code}") or draft.own.live_order(code, "sell") is not None
    if waits or draft.seen.is_closed or draft.lags(code):
        return
    if draft.seen.is_flattening and draft.settings.exits.flat_at_close:
        sell(draft, code, "flatten")
        return
    if is_ordered_out(draft, code):
        sell(draft, code, "operator")
        return
    wanted = levels_of(held, draft.settings.exits, draft.bands(code))
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


def flatten(draft: Draft, codes: Sequence[Symbol], reason: IntentReason) -> None:
    """Sell these holdings and cancel the buys of them. What cannot be sold now stays ordered out and is sold later."""
    for code in codes:
        draft.cancel_buys(code)
        if draft.held(code) is not None and draft.own.live_order(code, "sell") is None:
            sell(draft, code, reason)


def is_ordered_out(draft: Draft, code: Symbol) -> bool:
    """Tell whether a person wants the holding sold: named, or there or on its way when everything was."""
    seen = draft.seen
    return code in seen.ordered_out or any(
        order.code == code and order.side == "buy" and order.decision < seen.all_out
        for order in draft.own.orders.values()
    )


def disarm(draft: Draft, code: Symbol, spared: TriggerId | None) -> None:
    """Disarm the stock's triggers, all but the one that fired."""
    for one in draft.own.armed.get(code, ()):
        if one.trigger != spared:
            draft.emit(TriggerDisarmed(trigger=one.trigger, code=code))


def fired(draft: Draft, event: TriggerFired) -> None:
    """Sell on an armed trigger; a firing of one no longer armed is answered with nothing."""
    for one in draft.own.armed.get(event.code, ()):
        if one.trigger == event.trigger:
            if can_sell(draft, event.code):
                disarm(draft, event.code, event.trigger)
                sell(draft, event.code, one.kind)
            else:
                disarm(draft, event.code, None)
                postpone(draft, event.code, one.kind)
            return


def can_sell(draft: Draft, code: Symbol) -> bool:
    """Tell whether the whole position can be offered now: armed, session open, nothing pending, every fill booked (O9)."""
    return (
        is_armed(draft.seen, draft.settings, draft.at)
        and draft.is_session_open()
        and draft.held(code) is not None
        and draft.own.live_order(code, "sell") is None
        and not draft.lags(code)
        and withheld(draft.own, draft.seen, code) is None
    )


def postpone(draft: Draft, code: Symbol, reason: IntentReason | None = None) -> None:
    """Look again later if there will be a session to sell in. reason: of a sell that is due now."""
    if draft.held(code) is None or draft.own.live_order(code, "sell") is not None or draft.seen.is_closed:
        return
    hours = draft.seen.hours
    if hours is not None and draft.at >= hours.close_at:
        return
    waits = withheld(draft.own, draft.seen, code)
    if reason is not None and waits is not None:
        until = Micros(draft.at + exit_delay(draft.own.exit_failures.get(code, 0)))
        draft.emit(
            ExitPostponed(
                code=code, reason=reason, rule=waits.rule, value=waits.value, limit=waits.limit, until=until
            )
        )  # fmt: skip
    if is_armed(draft.seen, draft.settings, draft.at):
        draft.wake_exit(code, draft.at + exit_delay(draft.own.exit_failures.get(code, 0)))
        return
    # Only a person can change that, and arming looks at every exit at once: nothing is gained by looking often.
    until = Micros(draft.at + EXIT_LONGEST_US)
    if reason is not None:
        draft.emit(ExitPostponed(code=code, reason=reason, rule="NOT_ARMED", value=0, limit=1, until=until))
        draft.alert(f"{code} is to be sold ({reason}), but the account is not armed: kquant arm")
    draft.wake_exit(code, until)


def sell(draft: Draft, code: Symbol, reason: IntentReason) -> None:
    """Offer the whole position at the market; cancel a buy of it that still works."""
    held = draft.held(code)
    if held is None or not can_sell(draft, code):
        postpone(draft, code, reason)
        return
    draft.cancel_buys(code)
    if reason in {"flatten", "operator"}:
        disarm(draft, code, None)
    draft.emit(
        OrderIntended(
            intent=IntentId(draft.own.last_intent + 1),
            code=code,
            name=held.name,
            side="sell",
            qty=on_offer(draft.own, draft.seen, code),
            kind="market",
            price=Krw(0),
            reason=reason,
            decision=draft.fact.seq,
            reserved_krw=Krw(0),
            valid_until=Micros(draft.at + draft.settings.risk.order_valid_seconds * SECOND_US),
        )
    )
