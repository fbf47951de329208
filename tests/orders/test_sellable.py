"""No sell offers more than may be sold (O9): outside sells tie their shares, and a lost sell goes again on proof (D13)."""

from __future__ import annotations

import pytest
from msgspec import structs

from kquant.domain.orders.heard import Heard, hear
from kquant.events.base import Recorded
from kquant.events.day import AlertRaised
from kquant.events.orders import (
    CancelWanted,
    ExitPostponed,
    ExternalOrderSeen,
    OrderBound,
    OrderFinished,
    OrderIntended,
    ProofWanted,
)
from kquant.events.portfolio import BalanceAnswered, BalanceWanted, Holding
from kquant.values import Krw, Seq, Shares, Symbol
from tests.orders.lives import lives
from tests.orders.orders_world import CODES, World, by_kind, holding

A = CODES[0]


def sells(world: World) -> list[int]:
    return [intent.qty for intent in world.all(OrderIntended) if intent.side == "sell"]


# -- orders placed elsewhere (D11) ------------------------------------------------------------------------------------


def with_outside_sell(qty: int = 30) -> World:
    """100 shares of which somebody offers *qty* in the broker's own program."""
    world = holding()
    world.broker.place(A, "sell", "limit", qty, 12_000, world.clock.now())
    world.notice()
    return world


def test_a_stop_offers_what_an_outside_sell_leaves() -> None:
    world = with_outside_sell()
    world.fire(by_kind(world)["stop"], 9_000)
    assert sells(world) == [70]
    assert [seen.order_no for seen in world.all(ExternalOrderSeen)] == ["1"]
    world.pass_time(120)
    assert world.all(CancelWanted) == []


def test_what_an_outside_sell_filled_is_neither_held_nor_tied() -> None:
    world = with_outside_sell()
    world.broker.fill(world.broker.tickets[0], 10, 12_000)
    world.notice()
    world.fire(by_kind(world)["stop"], 9_000)
    assert sells(world) == [70]
    assert world.portfolio.positions[A].qty == 90


def test_shares_that_an_outside_sell_let_go_are_offered_again() -> None:
    world = with_outside_sell()
    world.broker.tickets[0].cancelled = 30
    world.notice()
    world.fire(by_kind(world)["stop"], 9_000)
    assert sells(world) == [100]


def test_a_holding_wholly_on_offer_elsewhere_waits_and_is_sold_when_it_is_free() -> None:
    world = with_outside_sell(100)
    world.fire(by_kind(world)["stop"], 9_000)
    assert sells(world) == []
    waits = world.last(ExitPostponed)
    assert (waits.code, waits.reason, waits.rule, waits.value, waits.limit) == (A, "stop", "TIED_OUTSIDE", 0, 100)
    world.broker.tickets[0].cancelled = 100
    world.notice()
    world.pass_time(30)
    world.fire(by_kind(world)["stop"], 9_000)
    assert sells(world) == [100]


def test_what_is_left_after_a_sell_beside_an_outside_one_is_armed_again() -> None:
    world = with_outside_sell()
    world.fire(by_kind(world)["stop"], 9_000)
    world.broker.fill(world.broker.tickets[1], 70, 9_000)
    world.pass_time(30)
    assert world.last(OrderFinished).outcome == "filled"
    assert set(by_kind(world)) == {"stop", "target", "trailing"}


# -- a sell whose send is unknown (D13) -------------------------------------------------------------------------------


def lost(outcome: str = "lost") -> World:
    """A stop whose order is in none of the lists; no balance is read meanwhile."""
    world = holding()
    world.broker.outcomes = [outcome]
    world.fire(by_kind(world)["stop"], 9_000)
    return world


def test_a_lost_sell_goes_again_once_a_balance_asked_for_afterwards_proves_that_nothing_is_pending() -> None:
    world = lost()
    world.pass_time(59)
    assert world.all(ProofWanted) == []
    world.pass_time(5)
    assert world.last(OrderFinished).outcome == "not_placed"
    proof = world.last(ProofWanted)
    assert (proof.intent, proof.code) == (1, A)
    asked = next(fact for fact in world.facts() if isinstance(fact.event, BalanceWanted) and fact.seq > proof.decision)
    assert asked.event.reason == "proof"  # type: ignore[attr-defined]
    world.pass_time(30)
    world.fire(by_kind(world)["stop"], 9_000)
    assert sells(world) == [100, 100]
    lives(world.facts())
    world.assert_recovers()


def test_without_a_balance_it_waits_and_says_so() -> None:
    world = lost()
    world.pass_time(50)
    world.broker.balance_fails = True
    world.pass_time(200)
    assert sells(world) == [100]
    waits = world.last(ExitPostponed)
    assert (waits.code, waits.reason, waits.rule, waits.value, waits.limit) == (A, "stop", "SELL_UNPROVEN", 0, 100)
    assert world.own.armed.get(A, ()) == ()
    world.broker.balance_fails = False
    world.pipeline()
    world.pass_time(20)
    world.fire(by_kind(world)["stop"], 9_000)
    assert sells(world) == [100, 100]


def test_a_balance_read_before_the_sell_was_given_up_proves_nothing() -> None:
    world = lost()
    world.pass_time(50)
    serve, kept = world._answer, []

    def keep_back(fact: Recorded) -> None:
        if isinstance(fact.event, BalanceWanted):
            kept.append(fact.seq)
        else:
            serve(fact)

    world._answer = keep_back  # type: ignore[method-assign]
    world.pipeline()
    world.pass_time(14)
    assert world.last(OrderFinished).outcome == "not_placed"
    assert kept[0] < world.last(ProofWanted).decision
    world.say("rest", world.broker.balance(), kept[0])
    world.pass_time(2)
    assert by_kind(world) == {}
    world.say("rest", world.broker.balance(), kept[1])
    world.pass_time(2)
    assert set(by_kind(world)) == {"stop", "target", "trailing"}


def test_a_sell_that_is_there_after_all_ties_its_shares_and_is_not_doubled() -> None:
    """The server bounds the risk: shares in an open sell are not sellable (C0.6)."""
    world = lost("late")
    world.pass_time(150)
    assert world.last(OrderFinished).outcome == "not_placed"
    assert world.all(BalanceAnswered)[-1].holdings[0].sellable == 0
    assert sells(world) == [100]
    assert any("lets go of 0 of 100" in alert.text for alert in world.all(AlertRaised))
    world.broker.hidden.clear()
    world.broker.fill(world.broker.tickets[0], 100, 9_000)
    world.notice()
    assert world.last(OrderBound).intent == 1
    assert world.portfolio.positions == {}
    world.pass_time(120)
    assert sells(world) == [100]
    world.assert_recovers()


@pytest.mark.parametrize("tied", [1, 99])
def test_proof_must_cover_all_that_is_to_be_sold(tied: int) -> None:
    world = lost()
    world.broker.sellable = lambda code: 100 - tied  # type: ignore[method-assign]
    world.pass_time(150)
    assert (sells(world), by_kind(world)) == ([100], {})
    world.broker.sellable = lambda code: 100  # type: ignore[method-assign]
    world.pass_time(90)
    world.fire(by_kind(world)["stop"], 9_000)
    assert sells(world) == [100, 100]


def test_a_balance_whose_request_is_older_takes_nothing_back() -> None:
    def answered(of: int, sellable: int) -> Recorded:
        holding_now = Holding(
            code=Symbol(A), name="x", qty=Shares(100), sellable=Shares(sellable), cost_krw=Krw(1)
        )  # fmt: skip
        balance = BalanceAnswered(holdings=(holding_now,), cash_krw=Krw(1), cash_today_krw=Krw(1))
        return structs.replace(_fact, event=balance, caused_by=Seq(of))

    _fact = next(fact for fact in holding().facts() if isinstance(fact.event, BalanceAnswered))
    heard = hear(hear(Heard(), answered(9, 0)), answered(7, 100))
    assert (heard.balance_of, heard.sellable) == (9, {A: 0})
