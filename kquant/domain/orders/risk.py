"""The rules on a buy, in a fixed order: the first one broken denies it, with a code and its numbers.

Every rule is a pure function of one case. A new rule is one function and one line of `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable

from kquant.domain.orders import limits, stock_rules
from kquant.domain.orders.case import Breach, Case, Finding
from kquant.domain.orders.grid import bands_of
from kquant.domain.orders.limits import unresolved
from kquant.domain.orders.seen import Seen
from kquant.domain.orders.sizing import SIZINGS, affordable, equity_krw, limit_price, price_cap
from kquant.domain.orders.state import Own
from kquant.events.orders import QuoteAnswered
from kquant.events.pipeline import BuySignalled
from kquant.krx import CostTable
from kquant.settings import Settings
from kquant.values import Krw, Micros, Shares

STORED_MAX = 2**63 - 1
QUOTE_MISSING = Breach(rule="QUOTE_MISSING", value=0, limit=1)
"""No price came over HTTPS in time."""


def _volume(case: Case) -> Finding:
    """Not even one share is the part of the day's volume a buy may take."""
    found = case.volume_shares()
    return (found, 1) if found is not None and found < 1 else None


def _qty_zero(case: Case) -> Finding:
    return (0, 1) if size(case) <= 0 else None


def _order_small(case: Case) -> Finding:
    """What the limits leave is too little, as when the day's amount is nearly used up."""
    amount, limit = size(case) * case.limit, case.risk.min_order_krw
    return (amount, limit) if amount < limit else None


Rule = tuple[str, Callable[[Case], Finding]]

RULES: tuple[Rule, ...] = (
    ("HALTED", limits.halted),
    ("NOT_ARMED", limits.not_armed),
    ("CLOCK_SKEW", limits.clock_skew),
    ("SESSION_CLOSED", limits.session_closed),
    ("FLATTENING", limits.flattening),
    ("NOT_READY", limits.not_ready),
    ("FROZEN", stock_rules.frozen),
    ("ALREADY_HELD", stock_rules.already_held),
    ("OPEN_ORDER", stock_rules.open_order),
    ("COOLDOWN", stock_rules.cooldown),
    ("REPEAT", stock_rules.repeat),
    ("MAX_BUYS_STOCK", stock_rules.max_buys_stock),
    ("UNLISTED", stock_rules.unlisted),
    ("STOCK_HALTED", stock_rules.stock_halted),
    ("VI", stock_rules.interrupted),
    ("AUCTION", stock_rules.auction),
    ("LIQUIDATION", stock_rules.liquidation),
    ("ADMINISTRATIVE", stock_rules.administrative),
    ("WARNING", stock_rules.warning),
    ("OVERHEATED", stock_rules.overheated),
    ("MAX_POSITIONS", limits.max_positions),
    ("ORDERS_PER_MINUTE", limits.orders_per_minute),
    ("ORDERS_PER_DAY", limits.orders_per_day),
    ("DAY_LOSS", limits.day_loss),
    ("STALE", stock_rules.stale),
    ("QUOTE_MISSING", stock_rules.quote_missing),
    ("PRICE_MOVED", stock_rules.price_moved),
    ("UPPER_LOCKED", stock_rules.upper_locked),
    ("PRICE_BAND", stock_rules.price_band),
    ("NEAR_UPPER", stock_rules.near_upper),
    ("ORDER_AMOUNT", limits.order_amount),
    ("DAY_BUY_AMOUNT", limits.day_buy_amount),
    ("MAX_STOCK", limits.max_stock),
    ("MAX_EXPOSURE", limits.max_exposure),
    ("CASH", limits.cash),
    ("ORDERABLE", limits.orderable),
    ("VOLUME", _volume),
    ("QTY_ZERO", _qty_zero),
    ("ORDER_SMALL", _order_small),
)
"""Rules in the order they are asked. Those after PRICE_BAND may rely on a price."""


def case_of(
    own: Own,
    seen: Seen,
    settings: Settings,
    costs: CostTable,
    signal: BuySignalled,
    at: Micros,
    quote: QuoteAnswered | None = None,
) -> Case:
    """Return the case of a signal, its limit price worked out, from the quote confirmed over HTTPS if there is one."""
    stock, risk = seen.stocks.get(signal.code), settings.risk
    bands = bands_of(stock, settings.krx)
    last, ask = (quote.last, quote.ask) if quote is not None else (signal.last, signal.ask)
    upper = _limit(quote.upper if quote is not None else 0, stock.upper if stock is not None else None)
    lower = _limit(quote.lower if quote is not None else 0, stock.lower if stock is not None else None)
    cap = price_cap(last, upper, risk, bands)
    limit = limit_price(ask, cap, risk, bands)
    age, volume = _from_snapshot(seen, signal, at)
    return Case(
        own=own,
        seen=seen,
        settings=settings,
        costs=costs,
        signal=signal,
        at=at,
        quote=quote,
        stock=stock,
        bands=bands,
        last=last,
        ask=ask,
        upper=upper,
        lower=lower,
        cap=cap,
        limit=limit,
        price=limit if risk.entry_kind == "limit" else (upper if upper is not None else Krw(0)),
        volume=quote.volume if quote is not None else volume,
        age_us=age,
    )


def breach_of(case: Case, rules: tuple[Rule, ...] = RULES) -> Breach | None:
    """Return the first limit the buy meets, None if it may go."""
    for rule, broken in rules:
        found = broken(case)
        if found is not None:
            return Breach(rule=rule, value=_stored(found[0]), limit=_stored(found[1]))
    return None


def _stored(number: int) -> int:
    """Return a rule's number as the journal can hold it: an answer's absurd price must not stop the run."""
    return max(-STORED_MAX, min(int(number), STORED_MAX))


def size(case: Case) -> Shares:
    """Return how many shares to buy: what the sizing says, inside every limit on amounts, cash and volume.

    Zero without a price.
    """
    if case.price <= 0:
        return Shares(0)
    budget = min(SIZINGS[case.risk.sizing](equity_krw(case.seen), case.risk), case.room_krw())
    qty = affordable(budget, case.price, case.costs)
    volume = case.volume_shares()
    return qty if volume is None else Shares(min(qty, volume))


def _limit(confirmed: Krw | int, listed: Krw | None) -> Krw | None:
    """Return the day's limit: as confirmed, else as listed in the morning."""
    return Krw(confirmed) if confirmed > 0 else listed


def _from_snapshot(seen: Seen, signal: BuySignalled, at: Micros) -> tuple[int | None, Shares | None]:
    """Return the age (microseconds) of the signal's price at *at* and the day's shares, None for what is not known."""
    for snapshot in seen.snapshots:
        quoted = snapshot.quotes.get(signal.code)
        if snapshot.seq == signal.snapshot and quoted is not None:
            ages = (quoted.last_age_ms, quoted.quote_age_ms)
            known = [age for age in ages if age is not None]
            age = at - snapshot.at + max(known) * 1_000 if len(known) == len(ages) else None
            return age, quoted.volume
    return None, None


__all__ = [
    "QUOTE_MISSING",
    "RULES",
    "Breach",
    "Case",
    "Finding",
    "breach_of",
    "case_of",
    "size",
    "unresolved",
]
