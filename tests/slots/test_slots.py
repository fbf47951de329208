"""Who deserves a slot: claims, priorities, evictions, the connection's end and return."""

import pytest

from kquant.events.day import AlertRaised
from kquant.events.slots import (
    CapacityLearned,
    DropWanted,
    PollingStarted,
    RegisterWanted,
    SlotClaimed,
    SlotClaimEnded,
    SlotClaimRenewed,
    SlotEvicted,
)

from .world import BARE, Overfull, World, codes, full


def test_slot_limit_a_41st_subscription_is_never_asked_for():
    world = full()
    assert len(world.broker) == 40
    world.scan(*codes("S", 11))
    world.settle(5)
    assert len(world.broker) == 40
    world.buy("H99999")
    (evicted, drop) = list(world.said(SlotEvicted | DropWanted))[-2:]
    assert isinstance(evicted, SlotEvicted)
    assert isinstance(drop, DropWanted), "drop before make"
    assert len(world.requests) == 1
    world.settle()
    assert len(world.broker) == 40
    assert "H99999" in world.trades()


def test_the_strict_broker_does_refuse_a_41st():
    world = full()
    world.broker["X", "trades"] = None  # something else took a slot behind the owner's back
    world.buy("H99999")
    with pytest.raises(Overfull):
        world.settle()


def test_priority_eviction_3_gives_way_to_2():
    world = full(picks_cap=30)
    world.pick(*codes("P", 21))
    world.settle()
    (evicted,) = world.evictions()
    assert evicted == SlotEvicted(
        code="S00009", channel="trades", priority=3, for_code="P00020", for_channel="trades", for_priority=2,
        rule="priority 3 gives way to 2", next_code=None,
    )  # fmt: skip
    assert "P00020" in world.trades()
    assert "S00009" not in world.trades()


def test_a_newer_surge_replaces_the_oldest_once_its_dwell_is_over():
    world = World(**BARE, surges_cap=2)
    world.connect()
    world.scan("A")
    world.settle(10)
    world.scan("A", "B")
    world.settle(10)
    world.scan("C", "B")
    assert world.requests == []
    world.pass_time(45)
    assert [type(fact.event) for fact in world.requests] == [DropWanted]
    world.settle()
    assert world.trades() == ["B", "C"]
    (evicted,) = world.evictions()
    assert (evicted.code, evicted.for_code, evicted.rule) == ("A", "C", "the oldest surge gives way")


def test_an_eviction_names_who_would_have_been_next():
    world = full(extra_channels=("book",), capacity=40, extra_headroom=0)
    world.sell("H00000")
    world.settle(70)
    assert ("H00001", "book") in world.broker
    world.buy("N")
    world.settle()
    evicted = world.evictions()[-1]
    assert (evicted.code, evicted.channel, evicted.priority, evicted.next_code) == ("H00001", "book", 4, None)


def test_a_new_reason_promotes_in_place_and_touches_no_wire():
    world = full()
    before = len(world.said(RegisterWanted | DropWanted))
    assert next(type(event) for event in world.buy("S00003")) is SlotClaimed
    assert world.own.stocks["S00003"].priority == 1
    world.sell("S00003")
    assert world.own.stocks["S00003"].priority == 3
    assert len(world.said(RegisterWanted | DropWanted)) == before


def test_losing_the_last_claim_releases_the_slot():
    world = full()
    world.sell("H00000")
    world.settle()
    assert "H00000" not in world.trades()
    assert world.evictions() == []


def test_a_stock_with_an_open_order_counts_as_held():
    world = full()
    intent = world.order("S00003")
    assert world.own.stocks["S00003"].priority == 1
    world.finish(intent, "S00003")
    assert world.own.stocks["S00003"].priority == 3


def test_portfolio_synchronisation_claims_what_is_held_and_releases_what_is_not():
    world = World(**BARE)
    world.day("A", "B")
    world.connect()
    world.settle()
    assert world.trades() == ["A", "B"]
    world.opened("B", "C")
    world.session()
    world.settle(70)
    assert world.trades() == ["B", "C"]
    assert sorted(world.own.stocks) == ["B", "C"]
    registered = [event.code for event in world.said(RegisterWanted)]
    assert registered.count("B") == 1, "a confirmed holding keeps its slot"
    world.check_recovery()
    world.check_verify()


def test_reconnection_sends_exactly_the_table_each_once_best_first():
    world = full()
    table = set(world.broker)
    world.lose()
    assert list(world.said(PollingStarted))[-1].why == "feed down"
    sent = len(world.said(RegisterWanted))
    world.connect()
    world.settle(61)
    asked = world.said(RegisterWanted)[sent:]
    assert {(event.code, event.channel) for event in asked} == table == set(world.broker)
    assert len(asked) == len(table)
    assert [event.priority for event in asked] == sorted(event.priority for event in asked)
    assert {event.epoch for event in asked} == {2}
    assert world.own.polling == {}


def test_a_connection_after_a_crash_holds_nothing_of_the_one_before_though_nobody_said_that_it_was_lost():
    world = full()
    table = set(world.broker)
    sent = len(world.said(RegisterWanted))
    world.requests.clear()
    world.connect()
    world.settle(61)
    asked = world.said(RegisterWanted)[sent:]
    assert {(event.code, event.channel) for event in asked} == table == set(world.broker)


def test_over_capacity_is_learned_for_this_epoch_only_and_tells_a_person():
    world = World(**BARE)
    world.broker_limit = 3
    world.connect()
    world.pick(*codes("P", 5))
    world.settle(5)
    assert world.said(CapacityLearned) == [CapacityLearned(epoch=1, capacity=3)]
    assert len(world.said(AlertRaised)) == 1
    world.buy("H")
    world.settle(5)
    assert world.trades() == ["H", "P00000", "P00001"]
    world.lose()
    world.broker_limit = 40
    world.connect()
    world.settle(5)
    assert len(world.broker) == 6


def test_a_surge_ends_thirty_minutes_after_its_last_qualification():
    world = World(**BARE)
    world.connect()
    world.scan("A")
    world.settle()
    world.pass_time(600)
    assert [type(event) for event in world.scan("A")] == [SlotClaimRenewed]
    world.pass_time(1_799)
    assert "A" in world.own.stocks
    world.pass_time(1)
    assert world.said(SlotClaimEnded)[-1].why == "expired"
    world.settle()
    assert world.trades() == []


def test_a_waiting_surge_ends_at_the_next_scan_that_does_not_renew_it():
    world = World(**BARE, capacity=1)
    world.connect()
    world.buy("H")
    world.settle()
    world.scan("A")
    assert "A" in world.own.stocks
    world.scan("B")
    assert sorted(world.own.stocks) == ["B", "H"]
    assert world.said(SlotClaimEnded)[-1].why == "not renewed"


def test_a_new_pick_list_replaces_the_old():
    world = World(**BARE)
    world.connect()
    world.pick("A", "B")
    world.settle()
    world.pass_time(60)
    world.pick("B", "C")
    world.settle()
    assert world.trades() == ["B", "C"]


def test_extra_channels_stay_three_below_capacity_and_serve_holdings_first():
    world = World(capacity=8, extra_channels=("book", "program"), extra_headroom=3)
    world.connect()
    world.pick("P")
    world.buy("H")
    world.settle()
    assert set(world.broker) == {
        ("H", "trades"), ("P", "trades"), ("H", "book"), ("H", "program"), ("P", "book"),
    }  # fmt: skip
    world.buy("I")
    assert isinstance(world.requests[0].event, RegisterWanted), "a newcomer never waits for extras"
    world.settle(70)
    assert len(world.broker) == 5
    assert ("P", "book") not in world.broker


def test_churn_is_bounded_and_priority_1_has_a_reserve():
    world = World(**BARE, changes_per_minute=8, low_changes_per_minute=2)
    world.connect()
    world.scan(*codes("S", 5))
    world.settle()
    assert len(world.broker) == 2
    world.pick(*codes("P", 10))
    world.settle()
    assert len(world.broker) == 6
    world.buy("H1")
    world.buy("H2")
    world.buy("H3")
    world.settle()
    assert len(world.broker) == 8
    world.settle(61)
    assert "H3" in world.trades()


def test_an_input_that_changes_nothing_is_answered_with_nothing():
    world = full()
    world.settle(60)
    assert world.tick("H00000") == []
    assert world.order("H00000")
    assert world.pick(*codes("P", 20)) == []
    assert world.session() == []


def test_a_pick_beyond_the_cap_gives_way_to_picks_and_never_to_a_surge():
    world = World(**BARE, capacity=3, picks_cap=1, surges_cap=2)
    world.connect()
    world.pick("A", "B")
    world.settle()
    world.buy("B")
    world.scan("S")
    world.settle()
    assert world.trades() == ["A", "B", "S"]
    world.pass_time(100)
    world.sell("B")
    world.scan("S", "T")
    world.settle(5)
    assert [(event.code, event.for_code, event.rule) for event in world.evictions()] == [("B", "A", "beyond the cap")]
    assert world.trades() == ["A", "S", "T"]


def test_a_pick_of_better_rank_does_not_evict_a_pick_of_the_same_list():
    world = World(**BARE, capacity=2)
    world.connect()
    world.pick("A", "B", "C")
    world.refuse("resource")
    world.settle(120)
    assert world.trades() == ["B", "C"]
    assert world.evictions() == []


def test_several_arriving_holdings_evict_the_worst_ranked_first():
    world = full()
    world.buy("X")
    world.buy("Y")
    world.buy("Z")
    world.settle()
    assert [event.code for event in world.evictions()] == ["S00009", "S00008", "S00007"]
    assert [event.next_code for event in world.evictions()] == [None, "S00007", None]


def test_a_holding_never_gives_way_to_an_earlier_holding():
    world = World(**BARE, capacity=1)
    world.connect()
    world.buy("A")
    world.refuse("resource")
    world.pass_time(1)
    world.buy("B")
    world.settle(120)
    assert world.trades() == ["B"]
    assert world.said(DropWanted) == []
