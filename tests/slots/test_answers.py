"""What the broker answers, or does not: acknowledgements, refusals, silence, and the polling that bridges them."""

from kquant.domain.slots import pending, state_of
from kquant.events.day import AlertRaised
from kquant.events.feed import FirstTick
from kquant.events.slots import (
    PollingEnded,
    PollingStarted,
    SlotClaimEnded,
    SlotSuspected,
)

from .world import BARE, World, codes


def test_answers_of_an_old_connection_are_ignored():
    world = World(**BARE)
    world.connect()
    world.buy("A")
    old = world.requests[0]
    world.lose()
    world.connect()
    from kquant.events.feed import Registered

    world.fact("feed", Registered(epoch=1, code="A", channel="trades", already=False), caused_by=old.seq)
    assert pending(world.own, world.seen) == ("A", "trades")


def test_at_most_one_request_is_unanswered_and_an_arriving_holding_is_next():
    world = World(**BARE)
    world.connect()
    world.pick(*codes("P", 20))
    assert len(world.requests) == 1
    world.buy("H")
    assert len(world.requests) == 1
    world.ack()
    assert world.requests[0].event.code == "H"


def test_an_unanswered_registration_is_asked_once_more_then_left_to_the_next_epoch():
    world = World(**BARE)
    world.connect()
    world.buy("A")
    world.unanswered(reached=True)
    assert state_of(world.own, world.seen, ("A", "trades")) == "sent"
    world.unanswered(reached=True)
    assert world.requests == []
    assert state_of(world.own, world.seen, ("A", "trades")) == "uncertain"
    assert world.on_wire() == [("A", "trades")], "counted as held"
    world.pass_time(600)
    assert world.requests == []
    world.lose()
    world.connect()
    assert len(world.requests) == 1


def test_a_tick_is_an_acknowledgement():
    world = World(**BARE)
    world.connect()
    world.buy("A")
    world.unanswered(reached=True)
    world.unanswered(reached=True)
    world.tick("A")
    assert state_of(world.own, world.seen, ("A", "trades")) == "ticking"


def test_uncertain_registrations_leave_less_room():
    world = World(**BARE, capacity=2)
    world.connect()
    world.scan("S")
    world.unanswered(reached=True)
    world.unanswered(reached=True)
    world.scan()
    world.buy("A")
    world.settle()
    world.buy("B")
    world.settle(5)
    assert world.trades() == ["A", "S"]


def test_an_acknowledged_but_silent_holding_is_suspect_and_renewed_once():
    world = World(**BARE)
    world.session()
    world.connect()
    world.buy("A")
    world.settle()
    world.pass_time(299)
    assert world.said(SlotSuspected) == []
    world.pass_time(1)
    assert len(world.said(SlotSuspected)) == 1
    world.settle()
    assert world.trades() == ["A"]
    world.pass_time(3_000)
    assert len(world.said(SlotSuspected)) == 1
    assert world.requests == []


def test_silence_outside_the_session_is_no_suspicion():
    world = World(**BARE)
    world.connect()
    world.buy("A")
    world.settle()
    world.pass_time(3_000)
    assert world.said(SlotSuspected) == []


def test_an_invalid_key_is_unservable_today_and_a_holding_of_it_is_polled():
    world = World(**BARE)
    world.session()
    world.connect()
    world.scan("S")
    world.refuse("invalid_key")
    assert world.said(SlotClaimEnded)[-1].why == "unservable"
    world.scan("S")
    assert "S" not in world.own.stocks
    world.buy("S")
    assert world.own.polling == {"S": "unservable"}
    world.lose()
    world.connect()
    assert world.requests == []


def test_a_resource_refusal_is_tried_again_after_a_growing_delay():
    world = World(**BARE)
    world.connect()
    world.buy("A")
    waits = []
    for _ in range(4):
        world.refuse("resource")
        start = world.at
        while not world.requests:
            world.pass_time(1)
        waits.append((world.at - start) // 1_000_000)
    assert waits == [30, 60, 120, 240]


def test_a_fatal_refusal_stops_all_requests_of_the_epoch():
    world = World(**BARE)
    world.connect()
    world.pick("A", "B")
    world.refuse("fatal")
    world.pass_time(600)
    assert world.requests == []
    assert world.said(AlertRaised)[0].level == "critical"


def test_a_holding_is_polled_when_not_live_within_two_seconds_and_no_longer_than_that():
    world = World(**BARE)
    world.session()
    world.connect()
    world.buy("A")
    world.pass_time(1)
    assert world.own.polling == {}
    world.pass_time(1)
    assert world.said(PollingStarted) == [PollingStarted(code="A", why="not live", every_seconds=3)]
    world.ack()
    assert world.said(PollingEnded) == [PollingEnded(code="A", why="live")]


def test_a_holding_beyond_capacity_is_polled_and_told():
    world = World(**BARE, capacity=1)
    world.session()
    world.connect()
    world.buy("A")
    world.settle()
    world.pass_time(1)
    world.buy("B")
    assert world.own.polling == {"B": "beyond capacity"}
    assert world.trades() == ["A"], "the incumbent stays"
    assert len(world.said(AlertRaised)) == 1
    world.sell("B")
    assert world.said(PollingEnded)[-1].why == "no longer held"


def test_polling_ends_with_the_session():
    world = World(**BARE)
    world.session()
    world.buy("A")
    assert world.own.polling == {"A": "feed down"}
    world.session(is_open=False)
    assert world.own.polling == {}


def test_a_holding_gets_past_a_registration_that_stays_uncertain():
    world = World(**BARE, capacity=3)
    world.connect()
    world.scan("S")
    world.unanswered(reached=True)
    world.unanswered(reached=True)
    world.scan()
    world.pass_time(300 * 6)
    world.pick("P")
    world.settle()
    world.buy("A")
    world.settle()
    world.buy("B")
    world.settle()
    assert world.trades() == ["A", "B", "S"]
    assert [(event.code, event.for_code) for event in world.evictions()] == [("P", "B")]


def test_a_tick_of_an_old_connection_is_no_acknowledgement():
    world = World(**BARE)
    world.connect()
    world.connect()
    world.buy("A")
    world.unanswered(reached=False)
    world.unanswered(reached=False)
    world.fact("feed", FirstTick(epoch=1, code="A", channel="trades", place=1))
    assert state_of(world.own, world.seen, ("A", "trades")) == "uncertain"
