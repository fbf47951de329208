"""Before a buy its price is confirmed over HTTPS; the socket alone buys nothing (`reliability` finding 6)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from kquant.domain.orders import ORDERS
from kquant.domain.owner import Mind, recover
from kquant.events.analyzer import ListingAnswered
from kquant.events.day import HaltOrdered
from kquant.events.orders import OrderDenied, OrderIntended, QuoteAnswered, QuoteFailed, QuoteWanted
from kquant.events.pipeline import BuySignalled
from kquant.values import SECOND_US, Symbol
from tests.orders.orders_world import CODES, Broker, World, opened, with_settings

A, B, C = CODES[0], CODES[1], CODES[2]


def answer(world: World, request: int = 1, **changed: Any) -> None:
    """Say the quote that the broker held back."""
    wanted = next(
        fact for fact in world.facts() if isinstance(fact.event, QuoteWanted) and fact.event.request == request
    )
    quote = structs.replace(world._quote(wanted.event), **changed)
    world.say("rest", quote, wanted.seq)


def held_back(**rest: Any) -> World:
    return opened(Broker(quotes="hold"), **rest)


def test_a_signal_asks_for_the_price_and_only_its_answer_becomes_an_intent() -> None:
    world = held_back()
    world.signal(A)
    (wanted,) = world.all(QuoteWanted)
    signal = next(fact.seq for fact in world.facts() if isinstance(fact.event, BuySignalled))
    assert (wanted.request, wanted.code, wanted.why, wanted.decision) == (1, A, "entry", signal)
    assert wanted.valid_until == world.clock.now() + world.settings.risk.confirm_seconds * SECOND_US
    assert world.all(OrderIntended) == []
    answer(world)
    intent = world.last(OrderIntended)
    assert (intent.decision, intent.quote) == (
        signal,
        next(fact.seq for fact in world.facts() if isinstance(fact.event, QuoteAnswered)),
    )


def test_the_limit_is_worked_out_from_the_confirmed_price() -> None:
    world = opened(settings=with_settings(lambda s: {"risk": structs.replace(s.risk, moved_bp=10_000)}))
    world.broker.prices[A] = (10_100, 10_150)
    world.signal(A, last=10_000, ask=10_010, moved=True)
    assert world.last(OrderIntended).price == 10_160


def test_a_limit_that_is_clear_already_denies_without_asking_for_the_price() -> None:
    world = held_back()
    world.say("operator", HaltOrdered(who="kim", reason="lunch"))
    world.signal(A)
    assert [refusal.rule for refusal in world.all(OrderDenied)] == ["HALTED"]
    assert world.all(QuoteWanted) == []


def test_a_halt_between_signal_and_answer_denies_the_buy() -> None:
    world = held_back()
    world.signal(A)
    world.say("operator", HaltOrdered(who="kim", reason="lunch"))
    answer(world)
    assert [(refusal.rule, refusal.decision) for refusal in world.all(OrderDenied)] == [
        ("HALTED", world.last(QuoteWanted).decision)
    ]
    assert world.all(OrderIntended) == []


def test_without_an_answer_nothing_is_bought() -> None:
    world = opened(Broker(quotes="fail"))
    world.signal(A)
    assert [(refusal.rule, refusal.code) for refusal in world.all(OrderDenied)] == [("QUOTE_MISSING", A)]
    assert world.all(OrderIntended) == []


def test_an_answer_after_its_time_is_none() -> None:
    world = held_back()
    world.signal(A)
    world.clock.set(world.last(QuoteWanted).valid_until + 1)
    answer(world)
    assert world.last(OrderDenied).rule == "QUOTE_MISSING"


@pytest.mark.parametrize("again", [QuoteAnswered, QuoteFailed])
def test_a_quote_counts_once(again: type) -> None:
    world = held_back()
    world.signal(A)
    answer(world)
    if again is QuoteAnswered:
        world.say("rest", world.last(QuoteAnswered))
    else:
        world.say("rest", QuoteFailed(request=1, code=Symbol(A), reason="late"))
    assert (len(world.all(OrderIntended)), world.all(OrderDenied)) == (1, [])


def test_an_answer_that_nobody_asked_for_is_answered_with_nothing() -> None:
    world = held_back()
    world.signal(A)
    world.say("rest", structs.replace(world._quote(world.last(QuoteWanted)), request=7))
    assert (world.all(OrderIntended), world.all(OrderDenied)) == ([], [])


def test_a_stock_whose_price_is_being_asked_for_has_an_open_order() -> None:
    world = held_back()
    world.signal(A)
    world.signal(A)
    assert [refusal.rule for refusal in world.all(OrderDenied)] == ["OPEN_ORDER"]
    assert len(world.all(QuoteWanted)) == 1
    answer(world)
    assert len(world.all(OrderIntended)) == 1


def test_of_two_buys_confirmed_at_once_the_second_meets_what_the_first_has_taken() -> None:
    """M1, O11: nothing is set aside before the intent, and nothing is spent twice."""
    settings = with_settings(lambda s: {"risk": structs.replace(s.risk, max_positions=1)})
    world = held_back(settings=settings)
    world.signal(A)
    world.signal(B)
    assert len(world.all(QuoteWanted)) == 2
    answer(world, 2)
    answer(world, 1)
    assert [intent.code for intent in world.all(OrderIntended)] == [B]
    assert [(refusal.code, refusal.rule) for refusal in world.all(OrderDenied)] == [(A, "MAX_POSITIONS")]


@pytest.mark.parametrize("stopped_after", [BuySignalled, QuoteWanted, QuoteAnswered])
def test_a_restart_between_signal_and_intent_neither_loses_nor_doubles_the_buy(stopped_after: type) -> None:
    """D12: the process ends behind one of these facts; what is in the log is answered once."""
    world = held_back()
    world.signal(A)
    answer(world)
    whole = world.facts()
    end = next(fact.seq for fact in whole if isinstance(fact.event, stopped_after))
    mind: Mind[Any, Any] = Mind(ORDERS)
    cursor = recover(mind, [fact for fact in whole if fact.seq <= end])
    decided = []
    for fact in whole:
        if fact.seq > cursor and mind.concerns(fact) and mind.perceive(fact):
            for event in mind.decide(fact):
                decided.append(event)
                mind.learn(event)
    made = [event for event in decided if isinstance(event, OrderIntended)]
    assert made == world.all(OrderIntended)
    assert mind.own == world.own
    world.assert_recovers()


def test_a_log_without_confirmation_is_decided_as_before() -> None:
    settings = with_settings(lambda s: {"risk": structs.replace(s.risk, confirm_price=False)})
    world = held_back(settings=settings)
    world.signal(A)
    assert world.all(QuoteWanted) == []
    assert world.last(OrderIntended).quote is None


def market_entries() -> World:
    return opened(settings=with_settings(lambda s: {"risk": structs.replace(s.risk, entry_kind="market")}))


def test_a_market_buy_sets_aside_what_it_costs_at_the_upper_limit() -> None:
    """kis-protocol 4.5: a market order reserves cash at the upper limit price."""
    world = market_entries()
    world.signal(A)
    intent = world.last(OrderIntended)
    assert (intent.kind, intent.price) == ("market", 0)
    amount = intent.qty * 13_000
    assert intent.reserved_krw == amount + amount * 140 // 1_000_000
    assert intent.reserved_krw <= world.settings.risk.max_order_krw


def test_a_market_buy_beyond_the_collar_is_denied() -> None:
    world = market_entries()
    world.signal(A, last=10_000, ask=10_200)
    assert world.last(OrderDenied).rule == "PRICE_BAND"
    assert world.all(OrderIntended) == []


def test_a_market_buy_without_an_upper_limit_is_denied() -> None:
    world = market_entries()
    world.broker.quote_flags = {"upper": 0}
    world.say("rest", ListingAnswered(stocks=(), source=""))
    world.signal(A)
    assert (world.all(OrderIntended), len(world.all(OrderDenied))) == ([], 1)
