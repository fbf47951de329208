import pytest
from hypothesis import given
from hypothesis import strategies as st

from kquant.events.day import ResumeOrdered
from kquant.replay.rebuild import NoSuchMoment, fold_at, rebuild, seq_at
from kquant.testing.facts import FactLog
from kquant.values import Seq

from .toy import TOY, Counted, halt, lived

INPUTS = st.lists(st.sampled_from([halt("a"), halt("b"), ResumeOrdered(who="t", reason="")]), max_size=12)


@given(inputs=INPUTS, lag=st.integers(0, 4))
def test_a_rebuilt_owner_equals_what_the_live_one_held_at_every_seq(inputs: list, lag: int) -> None:
    log = FactLog()
    log.start()
    held = lived(log, inputs, lag=lag)
    for seq, own in held:
        assert fold_at(log.facts, (TOY,), Seq(seq)) == {"toy": own}
        assert rebuild(log.facts, (TOY,), Seq(seq)).own == {"toy": own}


def test_seen_is_rebuilt_from_foreign_facts_and_own_from_the_owners() -> None:
    log = FactLog()
    log.start()
    lived(log, [halt(), halt()])
    result = rebuild(log.facts, (TOY,))
    assert result.seen == {"toy": 2}
    assert result.versions == {"toy": 4}
    assert result.own["toy"].halts == 4


def test_before_the_first_fact_every_owner_is_as_it_begins() -> None:
    assert fold_at(FactLog().facts, (TOY,), Seq(0)) == {"toy": Counted()}


def test_a_time_of_day_means_the_last_fact_of_that_second() -> None:
    log = FactLog()
    log.start()
    log.open_day()
    log.add("operator", halt(), at="09:00:00")
    log.add("operator", halt(), at="09:00:01")
    assert seq_at(log.facts, "09:00:00") == 3
    assert seq_at(log.facts, "15:30") == 4
    assert seq_at(log.facts, "08:59:59") == 2


@pytest.mark.parametrize(("moment", "says"), [("25:00", "not a time"), ("06:00", "begins after"), ("noon", "HH:MM:SS")])
def test_a_moment_the_day_does_not_have_is_refused(moment: str, says: str) -> None:
    log = FactLog()
    log.start()
    log.open_day()
    with pytest.raises(NoSuchMoment, match=says):
        seq_at(log.facts, moment)


def test_a_seq_beyond_the_end_is_refused_naming_the_last_one() -> None:
    log = FactLog()
    log.start()
    with pytest.raises(NoSuchMoment, match="seq 7 is not in the day: it has 1 to 1"):
        rebuild(log.facts, (TOY,), Seq(7))
