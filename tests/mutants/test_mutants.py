"""The list of mutants cannot rot, and the tool tells a caught bug from a survivor."""

from pathlib import Path

import pytest

from bench.mutants import MUTANTS, Mutant, RottenMutant
from bench.mutants.report import page
from bench.mutants.runner import Copy, NotGreen, Verdict

pytestmark = pytest.mark.timeout(240)

ROOT = Path(__file__).parents[2]
ROOMS = ("domain/slots", "gateways/kis/rest/orders.py", "domain/orders", "domain/portfolio")
SAMPLE = ("an order is posted twice", "the table has 41 slots", "a sell is not taxed")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_mutant_applies_to_the_source_once_and_leaves_python(mutant):
    mutant.check(ROOT)


def test_there_are_enough_mutants_of_every_room_each_with_a_name_of_its_own():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 40
    for room in ROOMS:
        assert sum(room in mutant.file for mutant in MUTANTS) >= 8, room


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Copy:
    return Copy(ROOT, tmp_path_factory.mktemp("mutants"))


@pytest.mark.parametrize("name", SAMPLE)
def test_a_mutant_of_the_sample_is_caught_and_its_source_put_back(copy, name):
    [mutant] = [one for one in MUTANTS if one.name == name]
    verdict = copy.judge(mutant)
    assert verdict.caught_by.startswith(mutant.near)
    assert (copy.root / mutant.file).read_bytes() == (ROOT / mutant.file).read_bytes()


def harmless(**changes) -> Mutant:
    given = {
        "name": "a comment more",
        "file": "kquant/krx.py",
        "breaks": "nothing",
        "old": "from __future__ import annotations",
        "new": "from __future__ import annotations  # nothing",
        "near": ("tests/slots/test_answers.py",),
    }
    return Mutant(**(given | changes))


def test_a_change_that_no_test_sees_is_a_survivor_on_top_of_the_page(copy):
    survived = copy.judge(harmless())
    assert survived.caught_by == ""
    caught = Verdict(mutant=harmless(name="seen"), caught_by="tests/slots/test_slots.py::test_one[a|b]", seconds=1.0)
    text = page([caught, survived])
    assert "**1 of 2 caught, 1 survived**" in text
    assert text.index("a comment more") < text.index("| seen |")
    assert "`slots/test_slots.py::test_one`" in text


def test_tests_that_fail_without_a_mutant_say_nothing(copy):
    red = copy.root / "tests" / "test_red.py"
    red.write_text("def test_red():\n    assert False\n")
    with pytest.raises(NotGreen, match=r"tests/test_red\.py is not green without a mutant"):
        copy.judge(harmless(near=("tests/test_red.py",)))


def test_a_mutant_whose_source_is_gone_or_there_twice_or_no_python_is_named():
    for changes in ({"old": "no such source"}, {"old": "price"}, {"new": "def"}, {"near": ("tests/none",)}):
        with pytest.raises(RottenMutant, match="a comment more: "):
            harmless(**changes).check(ROOT)
