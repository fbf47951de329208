import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kquant.events.base import Recorded
from kquant.events.day import AlarmSet, DayClosed, OwnerParked, ResumeOrdered
from kquant.replay.verify import check_chain, code_hash, verify
from kquant.testing.facts import FactLog
from kquant.values import Micros, Seq

from .toy import TOY, halt, lived

RESUME = ResumeOrdered(who="t", reason="")
INPUTS = st.lists(st.sampled_from([halt("a"), halt("b"), RESUME]), max_size=10)


def started() -> FactLog:
    log = FactLog()
    log.start(code_hash=code_hash())
    return log


def changed(facts: list[Recorded], seq: int, **fields: object) -> list[Recorded]:
    return [msgspec.structs.replace(f, **fields) if f.seq == seq else f for f in facts]


@given(inputs=INPUTS, lag=st.integers(0, 4))
def test_what_a_live_owner_decided_is_decided_again_however_late_it_answered(inputs: list, lag: int) -> None:
    log = started()
    lived(log, inputs, lag=lag)
    result = verify(log.facts, (TOY,))
    assert result.agrees
    assert result.decisions == len(inputs)
    assert result.unanswered == 0
    assert result.other_code == ()


@pytest.mark.parametrize(
    ("seq", "fields", "says"),
    [
        (3, {"event": AlarmSet(alarm="forged", due=Micros(1))}, "forged"),
        (3, {"index": 5}, "index 5"),
        (3, {"name": "alarm.cancelled"}, "toy version 1"),
    ],
)
def test_one_altered_event_is_the_one_difference_and_named_with_both_versions(
    seq: int, fields: dict, says: str
) -> None:
    log = started()
    lived(log, [halt("a"), halt("b")])
    result = verify(changed(log.facts, seq, **fields), (TOY,))
    assert not result.agrees
    assert result.first is not None
    assert result.first.seq == seq
    assert result.first.owner == "toy"
    assert says in result.first.recorded
    assert "halt 0" in result.first.decided
    assert f"seq {seq}" in result.chain


def test_an_answer_nobody_would_give_is_a_difference() -> None:
    log = started()
    cause = log.add("operator", RESUME)
    log.add("toy", AlarmSet(alarm="x", due=Micros(1)), caused_by=cause)
    result = verify(log.facts, (TOY,))
    assert (result.differences, result.first.decided) == (1, "nothing")


def test_an_answer_to_something_that_is_no_input_is_a_difference() -> None:
    log = started()
    log.add("toy", AlarmSet(alarm="x", due=Micros(1)), caused_by=1)
    result = verify(log.facts, (TOY,))
    assert result.first is not None
    assert "seq 1 is not an input of toy" in result.first.decided


def test_an_own_event_without_a_cause_is_a_difference() -> None:
    log = started()
    log.add("toy", AlarmSet(alarm="x", due=Micros(1)))
    assert verify(log.facts, (TOY,)).differences == 1


def test_inputs_after_the_last_answer_of_an_unfinished_log_are_unanswered() -> None:
    log = started()
    lived(log, [halt("a")])
    log.add("operator", halt("b"))
    result = verify(log.facts, (TOY,))
    assert result.agrees
    assert result.unanswered == 1


def test_the_same_input_without_an_answer_in_a_closed_day_is_a_difference() -> None:
    log = started()
    log.add("operator", halt("b"))
    log.add("run", DayClosed(reconciled=True, positions=(), cash_krw=None))
    result = verify(log.facts, (TOY,))
    assert result.first is not None
    assert result.first.seq == 2
    assert "halt 0" in result.first.decided


def test_an_unanswered_input_before_the_last_answer_is_a_difference() -> None:
    log = started()
    log.add("operator", halt("lost"))
    lived(log, [halt("b")])
    facts = [f for f in log.facts if f.caused_by != 2]
    assert verify(facts, (TOY,), chain=False).differences >= 1


def test_a_parked_input_is_skipped_and_counted() -> None:
    log = started()
    broken = log.add("operator", halt("break"))
    log.add("parked.toy", OwnerParked(owner="toy", seq=broken.seq, error="ZeroDivisionError"), caused_by=broken)
    result = verify(log.facts, (TOY,))
    assert result.agrees
    assert result.parked == 1
    assert result.decisions == 0


def test_a_decision_that_raises_is_a_difference_not_a_crash() -> None:
    log = started()
    log.add("operator", halt("break"))
    result = verify(log.facts, (TOY,))
    assert result.first is not None
    assert "raised ZeroDivisionError: asked to break" in result.first.decided


def test_other_code_is_said() -> None:
    log = FactLog()
    log.start(code_hash="abc")
    assert verify(log.facts, (TOY,)).other_code == ("abc",)
    assert len(code_hash()) == 64


def test_a_missing_row_and_a_broken_digest_are_told_apart() -> None:
    log = started()
    lived(log, [halt("a")])
    assert check_chain(log.facts) == ""
    assert "seq 2 is missing" in check_chain([f for f in log.facts if f.seq != 2])
    assert "seq 2: operator.halted was altered" in check_chain(changed(log.facts, 2, event=halt("b")))
    assert "seq 3: its cause 9" in check_chain(changed(log.facts, 3, caused_by=Seq(9)))
