"""Registrations and their answers are lost, late, doubled, wrong or refused, and the broker takes fewer than it should."""

import pytest

from kquant.events.base import Recorded
from kquant.events.day import AlertRaised
from kquant.events.feed import (
    Dropped,
    FeedConnected,
    Registered,
    RegistrationRefused,
    RegistrationUnanswered,
)
from kquant.events.slots import CapacityLearned, RegisterWanted
from kquant.values import SECOND_US

from .checks import CAPACITY, check_day, compared
from .rig import Played, play

pytestmark = pytest.mark.timeout(240)

LIMIT = 20
REFUSALS = {"OPSP0007": "resource", "OPSP0009": "resource", "OPSP8999": "resource", "OPSP9993": "resource"}
FAULTS = (
    "refuse_registration:code=OPSP0007,after=3",
    "lose_registration:count=2,after=5",
    "lose_ack:of=register,count=2,after=12",
    "lose_ack:of=unregister,after=4",
    "duplicate_ack:count=3,after=20,times=3",
    "refuse_registration:code=OPSP0009,after=25,count=2",
    "refuse_registration:code=OPSP8999,after=28",
    "late_ack:count=3,after=30,s=5",
    "refuse_registration:code=OPSP8992,after=40",
    "refuse_registration:code=OPSP9993,after=44",
    "wrong_ack:after=50",
    f"capacity:limit={LIMIT},from=14:50:00,until=14:57:00",
    "drop_connection:from=14:50:00",
    "drop_connection:from=14:53:00",
    "drop_connection:from=14:57:00",
)


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> Played:
    return play(tmp_path_factory.mktemp("answers"), *FAULTS)


def facts_of(played: Played, *kinds: type) -> list[Recorded]:
    return [fact for fact in played.facts if isinstance(fact.event, kinds)]


def test_the_table_ends_equal_and_nothing_was_sent_twice(answers):
    check_day(answers, refused=2)


def test_a_registration_that_never_arrived_is_uncertain_and_asked_once_more(answers):
    assert answers.hits("lose_registration") == 2
    unanswered = [fact for fact in facts_of(answers, RegistrationUnanswered) if fact.event.action == "register"]
    assert len(unanswered) >= 2
    for fact in unanswered:
        code, channel, epoch = fact.event.code, fact.event.channel, fact.event.epoch
        again = [
            one
            for one in facts_of(answers, RegisterWanted)
            if (one.event.code, one.event.channel, one.event.epoch) == (code, channel, epoch) and one.seq > fact.seq
        ]
        assert len(again) <= 2, "asked once more, and again only after a drop"


def test_a_lost_acknowledgement_is_found_out_by_a_tick_or_by_asking_again(answers):
    assert answers.fault("lose_ack", of="register")["hits"] == 2
    # The exchange held it already when it was asked again: it says so, and that counts as an acknowledgement.
    assert answers.witness.hub["refusals"].get("OPSP0002", 0) >= 1
    assert [event for event in answers.of(Registered) if event.already]


def test_a_lost_acknowledgement_of_a_drop_is_asked_once_more_and_not_found_is_enough(answers):
    assert answers.fault("lose_ack", of="unregister")["hits"] == 1
    assert [event for event in answers.of(RegistrationUnanswered) if event.action == "drop"]
    assert answers.witness.hub["refusals"].get("OPSP0003", 0) >= 1
    assert [event for event in answers.of(Dropped) if event.already]


def test_an_acknowledgement_that_comes_three_times_is_taken_once(answers):
    assert answers.hits("duplicate_ack") == 3
    caused = [fact.caused_by for fact in facts_of(answers, Registered) if fact.caused_by is not None]
    assert len(caused) == len(set(caused))


def test_a_late_acknowledgement_leaves_nothing_uncertain(answers):
    assert answers.hits("late_ack") == 3
    rows = compared(answers)
    first = [one for one in rows if one.moment.session == rows[0].moment.session]
    assert any(one.unsure for one in first)
    assert not rows[-1].unsure


def test_an_acknowledgement_that_names_another_key_acknowledges_nothing(answers):
    assert answers.hits("wrong_ack") == 1
    assert "999999" not in {event.code for event in answers.of(Registered)}


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_that_may_pass_is_asked_again_later_kis_protocol_2_2(answers, code):
    assert answers.fault("refuse_registration", code=code)["hits"] >= 1
    refused = [fact for fact in facts_of(answers, RegistrationRefused) if fact.event.message_code == code]
    assert {fact.event.kind for fact in refused} == {REFUSALS[code]}
    for fact in refused:
        key = (fact.event.code, fact.event.channel, fact.event.epoch)
        later = [
            one.at
            for one in facts_of(answers, RegisterWanted)
            if (one.event.code, one.event.channel, one.event.epoch) == key and one.seq > fact.seq
        ]
        assert not later or later[0] - fact.at >= 30 * SECOND_US


def test_an_invalid_key_is_not_asked_for_again_that_day_kis_protocol_2_2(answers):
    [refused] = [fact for fact in facts_of(answers, RegistrationRefused) if fact.event.message_code == "OPSP8992"]
    assert refused.event.kind == "invalid_key"
    asked = [one for one in facts_of(answers, RegisterWanted) if one.seq > refused.seq]
    assert (refused.event.code, refused.event.channel) not in {(one.event.code, one.event.channel) for one in asked}


def test_a_lower_capacity_is_learned_once_an_epoch_and_tried_in_full_in_the_next_kis_protocol_2_5(answers):
    assert answers.hits("capacity") == 2
    learned = answers.of(CapacityLearned)
    assert [one.capacity for one in learned] == [LIMIT - 1, LIMIT - 1]
    assert len({one.epoch for one in learned}) == 2
    assert len([event for event in answers.of(AlertRaised) if "takes only" in event.text]) == 2
    small = {one.epoch for one in learned}
    for moment in answers.witness.moments:
        assert moment.session not in small or len(moment.held) <= LIMIT - 1
    last = max(event.epoch for event in answers.of(FeedConnected))
    assert last not in small
    held = [len(one.moment.held) for one in compared(answers) if one.moment.session == last]
    assert LIMIT <= max(held) <= CAPACITY
