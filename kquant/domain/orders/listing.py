"""The broker's list of the day's orders is the truth about fills: cumulative figures, applied in any order, any often."""

from __future__ import annotations

from collections import Counter

from kquant.domain.orders import chain, exits
from kquant.domain.orders.case import valid_us
from kquant.domain.orders.draft import Draft
from kquant.domain.orders.lifecycle import Order, Outcome
from kquant.domain.orders.settle import settle
from kquant.events.day import AlertRaised
from kquant.events.orders import Execution, ExternalOrderSeen, OrderBound, OrderFilled, OrderResized
from kquant.values import SECOND_US, Krw, Micros, Shares, kst_second

BEFORE_SECONDS = 2
GRACE_SECONDS = 10
"""A broker's time of an order we sent lies from 2 s before the send to 10 s after its deadline (C0.4)."""


AGREEING = 2
LAG_US = 10 * SECOND_US
"""Lists that say of an order that nothing is left, though its shares do not add up, before it is over; and their span."""


def apply(draft: Draft, rows: tuple[Execution, ...]) -> None:
    """Bind what was unknown, take new fills, end what is over, and note what is not ours."""
    orders = _told_apart(draft, tuple(row for row in rows if not row.is_cancel))
    moved = moved_on(orders)
    _bind_unknown(draft, orders)
    for row in orders:
        intent = draft.own.by_number.get(row.order_no)
        if intent is not None:
            _ours(draft, draft.own.orders[intent], row, moved.get(row.order_no, Shares(0)))
        elif not _may_be_ours(draft, row):
            _external(draft, row)
    if is_final(draft):
        _expire(draft)
        settle(draft, rows)


def _told_apart(draft: Draft, rows: tuple[Execution, ...]) -> tuple[Execution, ...]:
    """Return the rows whose number is theirs alone; of a number that two have, ours by its branch, or none.

    The number alone is the key: notices name no branch (kis-protocol 3.4), and nobody says that the branch of an answer
    (KRX_FWDG_ORD_ORGNO) and of a list (ord_gno_brno; 4.6) are one. Nor does anybody say that no other branch uses the
    number: should one, the stock is frozen rather than guessed, and the balance tells what it holds.
    """
    counts = Counter(row.order_no for row in rows)
    kept: list[Execution] = []
    for row in rows:
        if counts[row.order_no] == 1:
            kept.append(row)
            continue
        intent = draft.own.by_number.get(row.order_no)
        order = None if intent is None else draft.own.orders[intent]
        draft.freeze(row.code if order is None else order.code, f"two orders are listed as {row.order_no}")
        same = [one for one in rows if order and (one.order_no, one.branch) == (order.order_no, order.branch)]
        if same == [row]:
            kept.append(row)
    return tuple(kept)


def is_final(draft: Draft) -> bool:
    """Tell whether the listing was asked for after the closing auction was surely over."""
    asked = draft.fact.caused_by
    return bool(draft.seen.final_seq) and asked is not None and asked > draft.seen.final_seq


def moved_on(rows: tuple[Execution, ...]) -> dict[str, Shares]:
    """Return how many shares of each order other orders took over (정정), by its number.

    kis-protocol 4.6: the life of a revised order goes on under the new number, which names the old one. A request that
    was refused took nothing over.
    """
    moved: dict[str, Shares] = {}
    for row in rows:
        if row.original_order_no and not row.is_cancel and row.rejected_qty < row.order_qty:
            moved[row.original_order_no] = Shares(moved.get(row.original_order_no, 0) + row.order_qty)
    return moved


def bind(draft: Draft, order: Order, order_no: str, branch: str) -> None:
    """Give an intent its order number. A buy gets its time to rest, none if its stock is leaving."""
    draft.emit(OrderBound(intent=order.intent, order_no=order_no, branch=branch))
    if order.side == "buy":
        draft.wake(f"rest.{order.intent}", draft.at + draft.settings.risk.resting_seconds * SECOND_US)
        if exits.is_leaving(draft, order):
            draft.cancel(draft.own.orders[order.intent])


def _bind_unknown(draft: Draft, rows: tuple[Execution, ...]) -> None:
    """Find orders whose fate is unknown in the list, or give them up after enough complete listings."""
    for order in tuple(draft.own.orders.values()):
        doubt = draft.seen.doubts.get(order.intent)
        given_up = order.outcome == "not_placed"
        if doubt is None or order.order_no or not (order.is_live or given_up):
            continue
        before = chain.original(draft.own, order)
        if order.is_live and before is not None and before.outcome == "filled":
            # All of the original has filled: there is nothing that the replacement could have taken over.
            draft.finish(order, "not_placed")
            continue
        found = [row for row in rows if row.order_no not in draft.own.by_number and matches(draft, order, row)]
        found = [row for row in found if row.order_no not in draft.own.externals]
        if len(found) > 1:
            numbers = ", ".join(row.order_no for row in found)
            draft.freeze(order.code, f"intent {order.intent} may be any of the orders {numbers}")
        elif found:
            row = found[0]
            bind(draft, order, row.order_no, row.branch)
            if given_up:
                draft.alert(f"order {row.order_no} of {order.code} appeared late and is cancelled")
                if row.leaves_qty:
                    draft.cancel(draft.own.orders[order.intent])
        elif order.is_live:
            risk = draft.settings.risk
            listings, waited = draft.seen.listings - doubt.listings, draft.at - doubt.at
            if listings >= risk.unknown_listings and waited >= risk.unknown_seconds * SECOND_US:
                draft.freeze(
                    order.code, f"intent {order.intent} is in none of {listings} listings: presumed not placed"
                )
                draft.finish(order, "not_placed")


def matches(draft: Draft, order: Order, row: Execution) -> bool:
    """Tell whether a listed order can be that intent: same stock, side, quantity, kind and price, at the time of it."""
    same = (row.code, row.side, row.kind) == (order.code, order.side, order.kind) and row.order_qty <= order.qty
    if not same or (order.kind == "limit" and row.price != order.price):
        return False
    before = chain.original(draft.own, order)
    if before is not None:
        # A replacement's row names the order it changes: exact, whatever the clock says.
        return row.original_order_no == before.order_no
    if row.original_order_no or row.order_qty != order.qty:
        return False
    settings = draft.settings
    sent = draft.seen.sent_at.get(order.intent)
    started = sent if sent is not None else order.valid_until - valid_us(settings, order.side)
    hour, minute, second = int(row.time[:2]), int(row.time[2:4]), int(row.time[4:6])
    placed, first = hour * 3600 + minute * 60 + second, kst_second(Micros(started))
    waited = settings.exits.valid_seconds if order.side == "sell" else 0  # a sell may have waited for its turn so long
    latest = first + waited + settings.broker.order_timeout_seconds + GRACE_SECONDS
    # While clocks differ the broker's times are off by that much, and right again once they do not.
    early, late = min(draft.seen.skew, 0), max(draft.seen.skew, 0)
    return first - BEFORE_SECONDS + early <= placed <= latest + late


def _may_be_ours(draft: Draft, row: Execution) -> bool:
    """Tell whether an unknown number may belong to an intent that is not bound yet: the list can be ahead of answers."""
    if row.order_no in draft.own.externals:
        return False
    waiting = [order for order in draft.own.live_orders() if order.state == "intended"]
    return any(
        (order.code, order.side) == (row.code, row.side) and (order.replaces is None) == (row.original_order_no == "")
        for order in waiting
    )


def _ours(draft: Draft, order: Order, row: Execution, moved: Shares) -> None:
    if (row.code, row.side) != (order.code, order.side) or row.filled_qty > order.qty:
        draft.freeze(
            order.code,
            f"order {row.order_no} is listed as {row.side} {row.filled_qty} of {row.order_qty} {row.code}, "
            f"we sent {order.side} {order.qty} {order.code}",
        )
        return
    if not _has_amount(row, order.filled_qty, order.filled_amount):
        return
    if order.is_live and order.replaces is not None and max(order.filled_qty, 1) <= row.order_qty < order.qty:
        draft.emit(OrderResized(intent=order.intent, qty=row.order_qty))
        order = draft.own.orders[order.intent]
    if row.filled_qty > order.filled_qty:
        draft.emit(
            OrderFilled(
                intent=order.intent,
                order_no=order.order_no,
                code=order.code,
                name=order.name,
                side=order.side,
                qty=Shares(row.filled_qty - order.filled_qty),
                amount_krw=Krw(row.filled_amount - order.filled_amount),
                filled_qty=row.filled_qty,
                filled_amount_krw=row.filled_amount,
                leaves_qty=row.leaves_qty,
            )
        )
    outcome = outcome_of(order, row, moved)
    if order.is_live and outcome is None and _is_spent(draft, order, row):
        # Its shares are settled as cancelled (O5): what fills of it after all is listed, and then booked.
        outcome = "replaced" if moved else "cancelled"
        lost = order.qty - row.filled_qty - max(row.cancelled_qty, moved) - row.rejected_qty
        text = (
            f"order {row.order_no} of {row.code}: the broker has nothing left of it, and does not tell what became of "
        )
        draft.emit(AlertRaised(level="warning", text=f"{text}{lost} of {order.qty} shares: taken as {outcome}"))
    if order.is_live and outcome is not None:
        draft.finish(order, outcome)


def _is_spent(draft: Draft, order: Order, row: Execution) -> bool:
    """Tell whether lists agree for longer than one lags that nothing is left, and no replacement may have it."""
    spent, heir = draft.seen.heard.spent.get(row.order_no), chain.heir(draft.own, order)
    if spent is None or (heir is not None and heir.state == "intended"):
        return False
    return spent.listings >= AGREEING and draft.at - spent.since >= LAG_US


def _has_amount(row: Execution, qty: Shares, amount: Krw) -> bool:
    """Tell whether shares that filled beyond *qty* are listed with what they cost: a later list says the other half."""
    return row.filled_qty <= qty or row.filled_amount > amount


def outcome_of(order: Order, row: Execution, moved: Shares) -> Outcome | None:
    """Return how the listed order ended, None while it may still fill. The older of two listings never reopens it.

    moved: shares that a replacement took over; the list may count them among the cancelled as well.
    """
    filled = max(row.filled_qty, order.filled_qty)
    if filled >= order.qty:
        return "filled"
    if row.leaves_qty > 0 or filled + max(row.cancelled_qty, moved) + row.rejected_qty < order.qty:
        return None
    if moved:
        return "replaced"
    return "refused" if row.rejected_qty and not row.cancelled_qty else "cancelled"


def _external(draft: Draft, row: Execution) -> None:
    """Note an order placed elsewhere; what it filled before the first listing is in the opening balance."""
    known = draft.own.externals.get(row.order_no)
    if known is None:
        is_first = draft.seen.listings == 1
        draft.emit(
            ExternalOrderSeen(
                order_no=row.order_no,
                code=row.code,
                side=row.side,
                qty=row.order_qty,
                filled_qty=row.filled_qty if is_first else Shares(0),
                filled_amount_krw=row.filled_amount if is_first else Krw(0),
            )
        )
        known = draft.own.externals[row.order_no]
    if row.filled_qty > known.filled_qty and _has_amount(row, known.filled_qty, known.filled_amount):
        draft.emit(
            OrderFilled(
                intent=None,
                order_no=row.order_no,
                code=row.code,
                name=row.name,
                side=row.side,
                qty=Shares(row.filled_qty - known.filled_qty),
                amount_krw=Krw(row.filled_amount - known.filled_amount),
                filled_qty=row.filled_qty,
                filled_amount_krw=row.filled_amount,
                leaves_qty=row.leaves_qty,
            )
        )


def _expire(draft: Draft) -> None:
    """After the session every day order is over, whatever the list still shows as open."""
    for order in draft.own.live_orders():
        if order.state == "working":
            draft.finish(order, "expired")
