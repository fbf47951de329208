"""The sell itself: the whole holding at the market, or the wait of one that cannot trade now."""

from __future__ import annotations

from kquant.domain.orders.case import Breach, valid_us
from kquant.domain.orders.draft import Draft
from kquant.domain.orders.exit_rules import look_again_at, obstacle
from kquant.domain.orders.sellable import on_offer
from kquant.events.market import TriggerFired
from kquant.events.orders import ExitPostponed, IntentReason, OrderIntended, TriggerDisarmed
from kquant.values import IntentId, Krw, Micros, Symbol, TriggerId


def sell(draft: Draft, code: Symbol, reason: IntentReason, fired: TriggerFired | None = None) -> None:
    """Offer at the market all of a holding that may be offered, and cancel its buys, or let the sell wait.

    One sell of a stock at a time (O3): while one works, and after the session, this does nothing.
    """
    if not can_be_due(draft, code):
        return
    breach = obstacle(draft, code, reason, fired)
    disarm(draft, code, fired.trigger if fired is not None and breach is None else None)
    if breach is None:
        offer(draft, code, reason)
    else:
        postpone(draft, code, reason, breach)


def can_be_due(draft: Draft, code: Symbol) -> bool:
    """Tell whether a sell of the stock can be due at all: something is held, none works, and there is a session left."""
    hours = draft.seen.hours
    is_over = draft.seen.is_closed or (hours is not None and draft.at >= hours.close_at)
    return draft.held(code) is not None and draft.own.live_order(code, "sell") is None and not is_over


def offer(draft: Draft, code: Symbol, reason: IntentReason) -> None:
    """Offer what may be offered at the market, whatever else is known. Never more than the holding (O9)."""
    held = draft.seen.positions[code]
    draft.cancel_buys(code)
    draft.forget(f"exit.{code}")
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
            valid_until=Micros(draft.at + valid_us(draft.settings, "sell")),
        )
    )


def postpone(draft: Draft, code: Symbol, reason: IntentReason, breach: Breach) -> None:
    """Look again later. What it waits for is said once, and again only when that changes."""
    until = look_again_at(draft, code, breach)
    waits = draft.own.postponed.get(code)
    if waits is None or (waits.rule, waits.reason) != (breach.rule, reason):
        draft.emit(
            ExitPostponed(
                code=code, reason=reason, rule=breach.rule, value=breach.value, limit=breach.limit, until=until
            )
        )  # fmt: skip
        if breach.rule == "NOT_ARMED":
            draft.alert(f"{code} is to be sold ({reason}), but the account is not armed: kquant arm")
    draft.wake_exit(code, until)


def disarm(draft: Draft, code: Symbol, spared: TriggerId | None) -> None:
    """Disarm the stock's triggers, all but the one that fired."""
    for one in draft.own.armed.get(code, ()):
        if one.trigger != spared:
            draft.emit(TriggerDisarmed(trigger=one.trigger, code=code))
