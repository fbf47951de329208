"""Faults as text: the same names and parameters on the command line, in a file and at the admin port."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kquant.exchange.faults import KINDS, FaultError, describe, faults_from_call, faults_from_spec, faults_from_toml
from kquant.exchange.faults.profiles import PROFILES

TOML = """
[[fault]]
kind = "rest_error"
code = "EGW00201"
path = "inquire-price"
count = 5
from = 09:30:00

[[fault]]
kind = "late_ack"
s = 9
"""


def test_a_fault_reads_the_same_from_the_command_line_a_file_and_a_call() -> None:
    by_spec = [
        *faults_from_spec("rest_error:code=EGW00201,path=inquire-price,count=5,from=09:30:00"),
        *faults_from_spec("late_ack:s=9"),
    ]
    by_call = [
        *faults_from_call(
            {
                "op": "fault",
                "kind": "rest_error",
                "code": "EGW00201",
                "path": "inquire-price",
                "count": 5,
                "from": "09:30",
            }
        ),
        *faults_from_call({"kind": "late_ack", "s": "9"}),
    ]
    assert by_spec == by_call == faults_from_toml(TOML)
    assert (by_spec[0].when.start, by_spec[0].when.count, by_spec[1].params["s"]) == (34_200, 5, 9)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("earthquake", "unknown fault 'earthquake'"),
        ("late_ack:minutes=3", "late_ack has no parameter 'minutes'"),
        ("no_pongs:path=/uapi/", "no_pongs has no parameter 'path'"),
        ("late_ack:s", "'s' is not name=value"),
        ("late_ack:s=1,s=2", "s is given twice"),
        ("late_ack:s=soon", "s is a whole number from 1 to 86400, not 'soon'"),
        ("late_ack:s=0", "s is a whole number from 1 to 86400, not 0"),
        ("capacity:limit=42", "limit is a whole number from 0 to 41, not 42"),
        ("half_open:service=demo", "service is real, paper or both, not 'demo'"),
        ("half_open:from=25:00", "from is a market time HH:MM:SS, not '25:00'"),
        ("half_open:from=10:00,until=09:00", "from 10:00 is not before until 09:00"),
        ("half_open:chance=0", "chance is above 0 and at most 1, not '0'"),
        ("half_open:chance=often", "chance is above 0 and at most 1, not 'often'"),
        ("refuse_registration:code=OPSP0000", "code is one of OPSP0007"),
        ("rough:x=1", "profile rough has no parameter 'x'"),
        ("rough:seven", "seed is a whole number, not 'seven'"),
        ("", "unknown fault ''"),
    ],
)
def test_a_fault_that_cannot_be_set_is_one_clear_error(spec: str, words: str) -> None:
    with pytest.raises(FaultError, match=re.escape(words)):
        faults_from_spec(spec)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fault = 3", "[[fault]] tables only"),
        ("[[faults]]\nkind = 'half_open'", "not faults"),
        ("[[fault]]\nkind = 'half_open'\n[[fault]]\nkind = 'half_shut'", "number 2: unknown fault 'half_shut'"),
        ("[[fault]]\ncount = 1", "number 1: a fault needs a kind"),
        ("[[fault", "not TOML"),
    ],
)
def test_a_faulty_file_is_one_clear_error(text: str, words: str) -> None:
    with pytest.raises(FaultError, match=re.escape(words)):
        faults_from_toml(text)


def test_the_list_names_every_kind_with_its_meaning_and_every_profile() -> None:
    text = describe()
    for kind in KINDS.values():
        assert re.search(rf"^  {kind.name} +{re.escape(kind.meaning)}", text, re.MULTILINE)
        for param in kind.params:
            assert f"{param.name}=" in text
    for name in PROFILES:
        assert f"  {name} " in text


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_can_be_set_with_nothing_but_its_name(kind: str) -> None:
    (fault,) = faults_from_spec(kind)
    assert fault.kind == kind
    assert fault.when.count == KINDS[kind].count


@pytest.mark.parametrize("name", list(PROFILES))
def test_a_profile_and_a_seed_are_the_same_faults_each_time_and_another_seed_is_another_day(name: str) -> None:
    assert (
        faults_from_spec(f"{name}:7")
        == faults_from_spec(f"{name}:seed=7")
        == faults_from_call({"kind": name, "seed": 7})
    )
    assert faults_from_spec(f"{name}:7") != faults_from_spec(f"{name}:8")


@given(st.text(max_size=60))
def test_any_text_is_a_fault_or_one_clear_error(spec: str) -> None:
    with contextlib.suppress(FaultError):
        assert faults_from_spec(spec)
