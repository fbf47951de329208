"""What must hold of a day that was traded through kills or faults, read from the files it left.

Each check returns what is wrong, one line each: a soak goes on and tells everything at its end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from kquant.domain import OWNERS
from kquant.events.base import Event, Recorded
from kquant.events.day import DayClosed, OwnerParked
from kquant.events.orders import (
    CancelWanted,
    ExternalOrderSeen,
    OrderAccepted,
    OrderBlocked,
    OrderBound,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRefused,
    OrderSendStarted,
    OrdersSettled,
    OrderUnknown,
)
from kquant.events.portfolio import DayReconciled
from kquant.gateways.kis.feed.wire import decode
from kquant.replay import commands
from kquant.values import IntentId
from tests.e2e.world import Books, of

from .door import Post

Door = tuple[str, str, int, int]
"""What, the stock of a new order or the number of the changed one, shares, price: what tells calls at the door apart."""

OUTCOMES = (OrderAccepted, OrderRefused, OrderUnknown, OrderExpired, OrderBlocked)


def check_posts(facts: Sequence[Recorded], posts: Sequence[Post]) -> list[str]:
    """At the door: at most one POST an intent and a cancel, and exactly one for each that the broker answered."""
    wrong = []
    started = Counter(event.intent for event in of(facts, OrderSendStarted))
    wrong += [f"intent {intent}: its send was started {times} times" for intent, times in started.items() if times > 1]
    intents = {event.intent: event for event in of(facts, OrderIntended)}
    numbers = {event.intent: event.order_no for event in of(facts, OrderBound)}
    keys = {intent: _key(intents[intent], numbers) for intent in started}
    answered = {event.intent for event in of(facts, OrderAccepted)}
    answered |= {event.intent for event in of(facts, OrderRefused) if event.message_code != "NOT_SENT"}
    may, must = Counter(keys.values()), Counter(keys[intent] for intent in answered & set(keys))
    wrong += [f"intent {intent}: answered, and its send was never started" for intent in answered - set(keys)]
    came = Counter(_door(post) for post in posts if post.what != "cancel")
    for key in sorted(set(may) | set(came)):
        if not must[key] <= came[key] <= may[key]:
            wrong.append(f"{' '.join(map(str, key))}: {came[key]} POSTs for {must[key]} to {may[key]} intents")
    asked = Counter(event.order_no for event in of(facts, CancelWanted))
    cancels = Counter(post.origin for post in posts if post.what == "cancel")
    for number in sorted(cancels):
        if cancels[number] > asked[number]:
            wrong.append(f"order {number}: {cancels[number]} POSTs for {asked[number]} cancels")
    return wrong


def _key(intent: OrderIntended, numbers: dict[IntentId, str]) -> Door:
    price = intent.price if intent.kind == "limit" else 0
    if intent.replaces is None:
        return (intent.side, intent.code, intent.qty, price)
    return ("replace", numbers.get(intent.replaces, ""), 0, price)  # it asks for all that is left, so for no number


def _door(post: Post) -> Door:
    return (post.what, post.origin or post.code, post.qty, post.price)


def check_outcomes(facts: Sequence[Recorded]) -> list[str]:
    """Every intent that ended for the gateway ended once, and none is left without an end."""
    ended = Counter(event.intent for kind in OUTCOMES for event in of(facts, kind))
    intended = {event.intent for event in of(facts, OrderIntended)}
    wrong = [f"intent {intent}: {times} outcomes" for intent, times in sorted(ended.items()) if times > 1]
    wrong += [f"intent {intent}: no outcome" for intent in sorted(intended - set(ended))]
    return wrong


def check_books(facts: Sequence[Recorded], books: Books) -> list[str]:
    """Orders, fills, positions and cash are those of the exchange's own ledger, to the won."""
    wrong = []
    rows = {str(row["no"]): row for row in books.orders if row.get("request", "new") != "cancel" and not _void(row)}
    bound = {event.order_no: event.intent for event in of(facts, OrderBound)}
    if len(set(bound.values())) != len(of(facts, OrderBound)):
        wrong.append("an intent, or an order of the exchange, is bound twice")
    external = {event.order_no for event in of(facts, ExternalOrderSeen)}
    wrong += [f"order {number}: the exchange has it, we do not" for number in sorted(set(rows) - set(bound) - external)]
    wrong += [f"order {number}: we have it, the exchange does not" for number in sorted(set(bound) - set(rows))]
    wrong += [f"order {number}: ours, and called external" for number in sorted(set(bound) & external)]
    intents = {event.intent: event for event in of(facts, OrderIntended)}
    filled: Counter[str] = Counter()
    for fill in of(facts, OrderFilled):
        filled[fill.order_no] += fill.qty
    for number in sorted(set(bound) & set(rows)):
        row, ours = rows[number], intents[bound[number]]
        if (row["code"], row["side"]) != (ours.code, ours.side) or (ours.replaces is None and row["qty"] != ours.qty):
            wrong.append(f"order {number}: the exchange has {row['side']} {row['qty']} {row['code']}, intended {ours}")
        if filled[number] != row["filled"]:
            wrong.append(f"order {number}: {filled[number]} filled, the exchange has {row['filled']}")
    return wrong + _closing(facts, books)


def _void(row: dict[str, object]) -> bool:
    """Tell whether a revision never took effect: it left nothing behind, and nothing need be known of it."""
    return row.get("request") == "revise" and row["rejected"] == row["qty"]


def _closing(facts: Sequence[Recorded], books: Books) -> list[str]:
    closed = of(facts, DayClosed)
    if len(closed) != 1:
        return [f"the day was closed {len(closed)} times"]
    wrong = []
    if closed[0].cash_krw != books.d2:
        wrong.append(f"cash: {closed[0].cash_krw}, the exchange has {books.d2}")
    ours = {row.code: (row.qty, row.cost_krw) for row in closed[0].positions}
    theirs = {code: (row["qty"], row["cost"]) for code, row in books.positions.items()}
    wrong += [
        f"{code}: {ours.get(code)} held, the exchange has {theirs.get(code)}"
        for code in sorted(set(ours) | set(theirs))
        if ours.get(code) != theirs.get(code)
    ]
    return wrong


def check_reconciled(facts: Sequence[Recorded]) -> list[str]:
    """The day says of itself that it agrees with the broker."""
    wrong = []
    reconciled = of(facts, DayReconciled)
    if not reconciled or not reconciled[-1].agrees:
        wrong.append(f"the closing balance does not agree: {reconciled[-1:]}")
    settled = of(facts, OrdersSettled)
    if settled and not settled[-1].agrees:
        wrong.append(f"orders and fills do not agree: {settled[-1].differences}")
    wrong += [f"the day was closed unreconciled: {one}" for one in of(facts, DayClosed) if not one.reconciled]
    return wrong


def check_log(folder: Path, facts: Sequence[Recorded]) -> list[str]:
    """No owner was parked, and the day decides again to the same, event by event and tick by tick."""
    wrong = [f"parked: {event}" for event in of(facts, OwnerParked)]
    answer = commands.verify(folder, OWNERS, decode)
    return [*wrong, *([f"verify: {answer.text}"] if answer.code else [])]


def check_known(facts: Sequence[Recorded], known: Sequence[Recorded]) -> list[str]:
    """What was durable before is still there, letter by letter."""
    digests = [fact.digest for fact in facts[: len(known)]]
    return [] if digests == [fact.digest for fact in known] else ["an event that was durable is lost or altered"]


def count(facts: Sequence[Recorded], kind: type[Event]) -> int:
    """Return how many events of one type there are."""
    return len(of(facts, kind))
