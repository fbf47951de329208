"""Every sequence of steps around one or two orders, to a depth: `make exhaustive` goes to 8, the suite as far as is quick.

Steps: a signal or a trigger, the request lost or taken, its answer delivered, held back or lost, fills in part and whole,
listings fresh, stale and failed, notices delivered or lost, cancels and replacements as they fall due, crashes with
restart, time. The invariants O1 to O12 and M1 to M3 are asked after each; after the last, faults end and both sides must
agree to the won.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from kquant.events.orders import OrderRefused, OrderUnknown, QuoteWanted
from kquant.gateways.kis.rest.orders import OrderGateway
from tests.money.explore import Scope, explore
from tests.money.world import World, fresh, rules

FULL = int(os.environ.get("KQUANT_EXHAUSTIVE", "0"))


def flat(**risk: Any) -> World:
    return fresh(settings=rules(confirm_price=False, **risk))


def holding(**risk: Any) -> World:
    return fresh(settings=rules(confirm_price=False, **risk), shares={"000100": (10, 100_000)})


def two_stocks() -> World:
    return fresh(("000100", "000200"), settings=rules(confirm_price=False), shares={"000200": (10, 100_000)})


def confirming() -> World:
    return fresh(settings=rules(confirm_price=True))


def resting() -> World:
    """A buy has rested long enough to be replaced; its price is being asked."""
    world = fresh(settings=rules(confirm_price=False, unfilled="replace", max_replaces=1))
    world.signal("000100")
    world.serve()
    while not any(isinstance(read.fact.event, QuoteWanted) for read in world.reads):
        world.ring()
        world.serve_lists()
    world.broker.trade("000100", 10_030, 10)
    return world


def replacing() -> World:
    """A buy is about to be replaced at another price."""
    world = resting()
    world.serve_reads()
    assert world.outgoing, "the replacement waits"
    return world


SCOPES = {
    "a buy": (Scope(start=flat, rests=3), 5),
    "a buy whose request comes late": (Scope(start=flat, faults=("delayed", "pending"), stales=0, rests=3), 5),
    "a holding with its exits": (Scope(start=holding, signals=0, rests=3), 5),
    "a buy and a sell": (
        Scope(start=two_stocks, faults=("answer lost", "pending"), crashes=1, stales=0, rests=8),
        4,
    ),
    "a buy whose price is confirmed": (Scope(start=confirming, faults=("answer lost", "pending"), rests=3), 5),
    "a buy that is due to be replaced": (Scope(start=resting, signals=0, stales=0, rests=3), 4),
    "a replacement": (Scope(start=replacing, signals=0, rests=3), 4),
    "a buy and a halt": (Scope(start=flat, faults=("pending", "answer lost"), stales=0, halts=1, rests=3), 5),
}
WANTED = {f"O{number}" for number in range(1, 13)} | {"M1", "M2", "M3", "V1"}


@pytest.mark.timeout(7_200 if FULL else 120)
@pytest.mark.parametrize("name", SCOPES)
def test_every_sequence_of_steps_keeps_every_invariant(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    scope, depth = SCOPES[name]
    found = explore(scope, FULL or depth)
    with capsys.disabled():
        print(f"\n{name}, depth {FULL or depth}: {found}")
    assert found.states > 150
    assert {"send", "read", "fill", "crash", "ring", "notice"} <= found.kinds.keys()


def test_every_invariant_is_asked_of_something() -> None:
    asked: set[str] = set()
    for name in ("a buy and a sell", "a replacement"):
        asked |= explore(SCOPES[name][0], 3).spoken
    assert asked >= WANTED


# -- a checker that never fires is worth nothing ------------------------------------------------------------


def _fires(scope: Scope, depth: int, name: str) -> None:
    with pytest.raises(AssertionError, match=rf"^{name}: .*\nafter: "):
        explore(scope, depth)


def test_a_client_that_takes_a_timeout_for_a_refusal_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = OrderGateway._post

    async def hasty(self: OrderGateway, *args: Any) -> Any:
        outcome = await whole(self, *args)
        if isinstance(outcome, OrderUnknown):
            return OrderRefused(intent=outcome.intent, message_code="TIMEOUT", message=outcome.why)
        return outcome

    monkeypatch.setattr(OrderGateway, "_post", hasty)
    _fires(Scope(start=flat), 3, "O4")


def test_a_client_that_sends_again_after_a_crash_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from kquant.events.orders import OrderIntended

    def eager(self: OrderGateway, facts: list[Any]) -> None:
        for fact in facts:
            if isinstance(fact.event, OrderIntended):
                self.take(fact)

    async def careless(self: OrderGateway, event: Any, *_: object) -> bool:
        return True

    world = flat()
    world.signal("000100")
    monkeypatch.setattr(OrderGateway, "fold", eager)
    monkeypatch.setattr("tests.money.client.CrankedOrders.append", careless)
    _fires(Scope(start=world.fork, signals=0), 2, "O[12]")


def test_a_client_that_believes_a_cancel_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from kquant.domain.orders import listing

    world = flat()
    world.signal("000100")
    world.serve()
    world.wait(11)
    assert world.outgoing, "the cancel waits"
    monkeypatch.setattr(listing, "outcome_of", lambda order, *_: "cancelled" if order.cancels else None)
    _fires(Scope(start=world.fork, signals=0), 4, "O[45]")


def test_a_client_that_reckons_a_fee_one_won_too_high_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from kquant.domain.portfolio import booking

    whole = booking.commission
    monkeypatch.setattr(booking, "commission", lambda amount, table: whole(amount, table) + (amount > 1_000_000))
    _fires(Scope(start=flat), 5, "M1")
