"""A recorded day, own and gateway facts in log order, walked through the one table of an order's life."""

from __future__ import annotations

from collections.abc import Iterable

from kquant.domain.orders.lifecycle import Stage, follow
from kquant.domain.orders.stages import intent_of, step_of
from kquant.events.base import Recorded
from kquant.events.orders import OrderIntended, OrderResized
from kquant.values import IntentId, Shares


def lives(facts: Iterable[Recorded]) -> dict[IntentId, list[Stage]]:
    """Return the stages every order went through. Raises IllegalTransition where the log is none of the table's."""
    stages: dict[IntentId, list[Stage]] = {}
    sizes: dict[IntentId, Shares] = {}
    for fact in facts:
        event = fact.event
        if isinstance(event, OrderIntended):
            stages[event.intent], sizes[event.intent] = ["intended"], event.qty
        if isinstance(event, OrderResized):
            sizes[event.intent] = event.qty
        intent = intent_of(event)
        if intent is None:
            continue
        step = step_of(event, sizes[intent])
        assert step is not None
        stages[intent].append(follow(stages[intent][-1], step))
    return stages
