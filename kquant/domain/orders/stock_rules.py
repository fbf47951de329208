"""Rules on the stock and its price: may this one be bought now, and is the price to be believed."""

from __future__ import annotations

from kquant.domain.orders.case import Case, Finding
from kquant.domain.orders.sizing import BP
from kquant.domain.orders.standing import FLAG_STATUS, Standing
from kquant.domain.orders.state import quoting
from kquant.krx import ticks_down
from kquant.values import SECOND_US

WARNING_LEVEL = 2
"""KRX market warning from which a stock is left alone: 1 caution (주의), 2 warning (경고), 3 risk (위험)."""
AGE_UNKNOWN = 86_400
"""Seconds a price counts as old of which nobody knows the age."""


# -- this stock, now -------------------------------------------------------------------------------------------


def frozen(case: Case) -> Finding:
    """An order of it may or may not have been placed, or it could not be answered for."""
    return (1, 0) if case.signal.code in case.own.frozen else None


def already_held(case: Case) -> Finding:
    """It is held: a position is opened once, never added to."""
    held = case.seen.positions.get(case.signal.code)
    return (held.qty, 0) if held is not None else None


def open_order(case: Case) -> Finding:
    """An order of it is open (O3); one whose price is being asked for is as good as there."""
    orders = sum(order.code == case.signal.code for order in case.own.live_orders())
    open_now = orders + len(quoting(case.own, case.seen.heard, case.signal.code))
    return (open_now, 0) if open_now else None


def cooldown(case: Case) -> Finding:
    """It was sold too recently."""
    closed_at, limit = case.seen.closed_at.get(case.signal.code), case.risk.cooldown_seconds
    if closed_at is None or case.at - closed_at >= limit * SECOND_US:
        return None
    return ((case.at - closed_at) // SECOND_US, limit)


def repeat(case: Case) -> Finding:
    """A buy of it was intended too recently, whether it filled or not."""
    since, limit = case.since_last_buy(), case.risk.repeat_seconds
    return (since, limit) if since is not None and since < limit else None


def max_buys_stock(case: Case) -> Finding:
    """It was bought so often today; what replaces an order is no buy of its own."""
    count = sum(
        order.side == "buy" and order.code == case.signal.code and order.reason != "replace"
        for order in case.own.orders.values()
    )
    limit = case.risk.max_buys_per_stock
    return (count, limit) if count >= limit else None


# -- its flags: the morning's list, the feed's last word, the confirmed quote; one of them is enough ------------


def unlisted(case: Case) -> Finding:
    """Nothing is known of it: neither flags nor limits. A price that is yet to be confirmed will tell, or else nobody."""
    if case.quote is not None:
        return None if case.upper is not None and case.lower is not None else (0, 1)
    return None if case.stock is not None or case.risk.confirm_price else (0, 1)


def stock_halted(case: Case) -> Finding:
    """Its trading stands still (거래정지)."""
    now = _standing(case)
    listed = case.stock is not None and case.stock.halted
    return (1, 0) if listed or (now is not None and now.is_halted(case.at)) else None


def interrupted(case: Case) -> Finding:
    """A volatility interruption is on (VI 발동)."""
    now = _standing(case)
    return (1, 0) if now is not None and now.is_interrupted(case.at) else None


def auction(case: Case) -> Finding:
    """Orders are being gathered for a single price (단일가): the best ask says nothing."""
    return (1, 0) if case.quote is not None and case.quote.is_auction else None


def liquidation(case: Case) -> Finding:
    """It is in liquidation trading (정리매매)."""
    found = (case.stock is not None and case.stock.liquidation) or (case.quote is not None and case.quote.liquidation)
    return (1, 0) if found and case.settings.filters.liquidation else None


def administrative(case: Case) -> Finding:
    """It is an administrative issue (관리종목)."""
    found = (
        (case.stock is not None and case.stock.administrative)
        or (case.quote is not None and case.quote.administrative)
        or _flag(case) == "ADMINISTRATIVE"
    )
    return (1, 0) if found and case.settings.filters.administrative else None


def warning(case: Case) -> Finding:
    """The exchange warns of it (투자경고, 투자위험)."""
    level = max(
        case.stock.warning if case.stock is not None else 0,
        case.quote.warning if case.quote is not None else 0,
        WARNING_LEVEL if _flag(case) == "WARNING" else 0,
    )
    return (level, WARNING_LEVEL) if level >= WARNING_LEVEL and case.settings.filters.warning else None


def overheated(case: Case) -> Finding:
    """It is overheated for the short term (단기과열)."""
    found = (
        (case.stock is not None and case.stock.overheated)
        or (case.quote is not None and case.quote.overheated)
        or _flag(case) == "OVERHEATED"
    )
    return (1, 0) if found and case.settings.filters.overheated else None


# -- its price -------------------------------------------------------------------------------------------------


def stale(case: Case) -> Finding:
    """The signal's price is too old: the older of trade and quote, when the snapshot was taken, and the time since."""
    limit = case.risk.stale_seconds
    if not limit:
        return None
    if case.quote is not None:
        limit += case.risk.confirm_seconds  # the confirmation may take that long, and it is the price gone by
    if case.age_us is None:
        return (AGE_UNKNOWN, limit)
    return (case.age_us // SECOND_US, limit) if case.age_us > limit * SECOND_US else None


def quote_missing(case: Case) -> Finding:
    """The answer over HTTPS tells no price."""
    return (0, 1) if case.quote is not None and case.quote.last <= 0 else None


def price_moved(case: Case) -> Finding:
    """The confirmed price is too far from the signal's, up or down: one of them is wrong, or the chance is gone."""
    if case.quote is None:
        return None
    limit, last = case.risk.moved_bp, case.signal.last
    moved = abs(case.quote.last - last)
    if last <= 0:
        return (BP, limit)
    return (-(-moved * BP // last), limit) if moved * BP > limit * last else None


def upper_locked(case: Case) -> Finding:
    """It is locked at the upper limit (상한가): nothing is offered."""
    return (case.last, case.upper) if case.upper is not None and case.ask <= 0 and case.last >= case.upper else None


def price_band(case: Case) -> Finding:
    """There is an ask inside the day's limits, and the collar reaches it; a market order needs the limits known."""
    if case.limit <= 0 or case.limit < case.ask or case.price < case.limit:
        return (case.ask, case.cap)
    return (case.ask, case.lower) if case.lower is not None and case.ask < case.lower else None


def near_upper(case: Case) -> Finding:
    """It is so near to the upper limit that it could soon not be bought, and then only be sold lower."""
    count = case.risk.upper_limit_ticks
    if not count or case.upper is None:
        return None
    from_price, price = ticks_down(case.upper, count, case.bands), max(case.last, case.ask)
    return (price, from_price) if price >= from_price else None


def _standing(case: Case) -> Standing | None:
    return case.seen.standings.get(case.signal.code)


def _flag(case: Case) -> str | None:
    now = _standing(case)
    return FLAG_STATUS.get(now.status) if now is not None else None
