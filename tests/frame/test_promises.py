"""docs/tests.md finds a test for every promise: each test it names is there, and no promise is left without one."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tests.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::([\w:]+)`", PAGE)
ROWS = re.findall(r"^\| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)

REQUESTED = (
    "slot limit: a 41st subscription",
    "priority eviction: 3 gives way to 2",
    "portfolio synchronisation",
    "reconnection",
    "the KIS ranking calls",
    "the scoring evaluation",
    "the link from scan to subscription",
    "the one-minute cycle",
)
GATEWAY_AND_LOOK_ALIKE = (
    "two roles",
    "paper takes from the data client",
    "any mix of real and paper",
    "token: ",
    "REST: rankings",
    "REST: condition searches",
    "REST: balance and executions",
    "REST: a missing or malformed field",
    "limits as dated settings",
    "nothing that places, changes or cancels",
    "feed: 41 registrations",
    "feed: every OPSP code",
    "feed: PINGPONG",
    "feed: back-off",
    "frames with several records",
    "notices: AES keys",
    "guards before a tick",
    "channels: ",
    "hours as data",
    "runs alone",
    "`--clock wall --open-now`",
    "layouts 2025 and 2026-09",
    "paths, headers, envelopes",
    "token rules",
    "per-second limits",
    "every order type",
    "cancel and replace with races",
    "VI, auctions",
    "each fault",
    "conformance: every endpoint",
    "conformance: error codes",
    "conformance: the twelve real frames",
    "conformance: our tables",
    "python-kis",
    "independent clients",
    "the client survives the faults of REST",
    "the client survives the faults of the feed",
    "the slot table ends equal",
    "the log says what happened",
    "fuzzing",
    "days follow days",
    "service files",
    "`kquant init`",
    "hours: the named days",
    "hours: the exam day",
    "while a stock is held",
)


@cache
def defined(path: str) -> frozenset[str]:
    """Names a file defines at its top, and those inside its classes as Class::name."""
    found = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.ClassDef(name=name, body=body):
                found |= {name} | {f"{name}::{part.name}" for part in body if isinstance(part, ast.FunctionDef)}
            case ast.Assign(targets=[ast.Name(id=name)]):
                found.add(name)
            case _:
                pass
    return frozenset(found)


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED)), ids=lambda part: part.rpartition("/")[2])
def test_every_test_named_is_there(path: str, name: str) -> None:
    assert (ROOT / path).is_file()
    assert name in defined(path), f"{path} has no {name}: name the test that holds the promise now"


def test_everything_that_looks_like_a_test_on_the_page_was_looked_for() -> None:
    assert len(NAMED) == PAGE.count(".py::")
    assert len(NAMED) > len(REQUESTED)


@pytest.mark.parametrize("words", [*REQUESTED, *GATEWAY_AND_LOOK_ALIKE])
def test_every_word_of_the_request_has_its_test(words: str) -> None:
    [tests] = [tests for promise, tests in ROWS if promise.startswith(words)]
    assert re.search(r"::test_\w+`", tests)


def test_no_promise_is_left_without_a_test_or_the_reason_for_none() -> None:
    promises = [row for row in ROWS if not row[0].startswith("---") and row[1] != "tests"]
    assert len(promises) > 30
    assert [promise for promise, tests in promises if "::" not in tests and not tests.startswith("no test: ")] == []
