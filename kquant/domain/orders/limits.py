"""Rules on the account: may anything be bought now, so often, and for so much."""

from __future__ import annotations

from kquant.domain.orders.case import Case, Finding
from kquant.domain.orders.draft import fills_unbooked
from kquant.domain.orders.seen import Seen, is_armed
from kquant.domain.orders.state import Own
from kquant.values import MINUTE_US, Krw, Symbol


def halted(case: Case) -> Finding:
    """Entries are halted: by a person, a parked owner or an unreconciled day before."""
    return (1, 0) if case.own.halted is not None else None


def not_armed(case: Case) -> Finding:
    """A real account trades only on days on which a person said so."""
    return None if is_armed(case.seen, case.settings, case.at) else (0, 1)


def clock_skew(case: Case) -> Finding:
    """Hours and the times of orders are the broker's: while clocks differ neither can be told (O8)."""
    return (case.seen.skew, case.settings.feed.skew_seconds) if case.seen.skew else None


def session_closed(case: Case) -> Finding:
    """Buys only in continuous trading: in an auction the best ask says nothing about the price."""
    hours = case.seen.hours
    if hours is None or case.seen.is_closed:
        return (0, 1)
    return None if hours.open_at <= case.at < hours.closing_auction_at else (0, 1)


def flattening(case: Case) -> Finding:
    """Everything is being sold before the close."""
    return (1, 0) if case.seen.is_flattening and case.settings.exits.flat_at_close else None


def not_ready(case: Case) -> Finding:
    """The portfolio is open, every fill is booked, and no order's fate is unknown (C0.7)."""
    if case.seen.cash_krw is None:
        return (0, 1)
    open_doubts = unresolved(case.own, case.seen) + fills_unbooked(case.own, case.seen, None)
    return (open_doubts, 0) if open_doubts else None


def max_positions(case: Case) -> Finding:
    """So many stocks are held or being bought."""
    codes = {*case.seen.positions, *(order.code for order in case.own.live_orders() if order.side == "buy")}
    limit = case.risk.max_positions
    return (len(codes), limit) if len(codes) >= limit else None


def orders_per_minute(case: Case) -> Finding:
    """Orders of the last minute, sells and replacements among them: they fill the same lane (O11)."""
    recent = sum(case.intended_at(order) > case.at - MINUTE_US for order in case.own.orders.values())
    limit = case.risk.max_orders_per_minute
    return (recent, limit) if recent >= limit else None


def orders_per_day(case: Case) -> Finding:
    """Orders of the day, sells and replacements among them."""
    count, limit = len(case.own.orders), case.risk.max_orders_per_day
    return (count, limit) if count >= limit else None


def day_loss(case: Case) -> Finding:
    """The day's loss, that of open positions included. Entries stop; exits never do."""
    loss, limit = day_loss_krw(case.seen), case.risk.max_day_loss_krw
    return (loss, limit) if loss >= limit else None


def order_amount(case: Case) -> Finding:
    """One share alone is more than an order may be for."""
    limit = case.risk.max_order_krw
    return (case.one_share_krw(), limit) if case.one_share_krw() > limit else None


def day_buy_amount(case: Case) -> Finding:
    """What the day's buys may amount to is used up."""
    left, limit = case.left_today_krw(), case.risk.max_day_buy_krw
    return None if case.one_share_krw() <= left else (limit - left + case.one_share_krw(), limit)


def max_stock(case: Case) -> Finding:
    """What one stock may take is used up."""
    amount, limit = case.stock_krw() + case.one_share_krw(), case.risk.max_stock_krw
    return (amount, limit) if amount > limit else None


def max_exposure(case: Case) -> Finding:
    """What all positions and buys under way may amount to is used up."""
    amount, limit = case.exposure_krw() + case.one_share_krw(), case.risk.max_exposure_krw
    return (amount, limit) if amount > limit else None


def cash(case: Case) -> Finding:
    """No share can be paid for with cash that is ours and not set aside: never on margin (미수)."""
    free = case.free_krw()
    return (case.one_share_krw(), free) if case.one_share_krw() > free else None


def orderable(case: Case) -> Finding:
    """The broker would take no order for one share without credit, as when orders by hand tie the cash."""
    free = case.orderable_krw()
    return (case.one_share_krw(), free) if free is not None and case.one_share_krw() > free else None


def unresolved(own: Own, seen: Seen) -> int:
    """Return how many orders may or may not have been placed, frozen stocks left out: a person knows of those."""
    return sum(
        order.state == "intended" and order.intent in seen.doubts and order.code not in own.frozen
        for order in own.live_orders()
    )


def day_loss_krw(seen: Seen) -> Krw:
    """Return what the day has lost so far (won, below zero: gained), costs and open positions included.

    A position carried over counts from yesterday's close (the base price): what it had lost before is no loss of
    today. A position without any known price counts at cost.
    """
    result = seen.realised_krw - seen.costs_krw
    for code, held in seen.positions.items():
        base = _base(seen, code) if held.is_carried else None
        price = seen.prices.get(code, base)
        if price is not None:
            result += held.qty * price - held.cost_krw
    for code, carried in seen.carried.items():
        base = _base(seen, code)
        if base is not None:
            result -= carried.qty * base - carried.cost_krw
    return Krw(-result)


def _base(seen: Seen, code: Symbol) -> Krw | None:
    stock = seen.stocks.get(code)
    return stock.base if stock is not None else None
