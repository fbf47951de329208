"""docs/exchange.md says what the look-alike really has: its options, its faults, the operations of its admin port."""

import ast
import inspect
import re
from pathlib import Path

import pytest

from kquant.exchange.core.layouts import LAYOUTS
from kquant.exchange.faults.catalog import KINDS
from kquant.exchange.faults.kinds import Kind, Param
from kquant.exchange.faults.profiles import PROFILES
from kquant.exchange.servers.admin import Admin
from kquant.exchange.servers.options import SECRETS, parse

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "exchange.md").read_text(encoding="utf-8")
MANY = 10
HINT = re.compile(r" \(section[^)]*\)| of section [\d.]+")
"""The catalogue cites the protocol document, which is no part of these pages."""


def described(param: Param) -> str:
    """Return a parameter as the page shows it."""
    if len(param.choices) > MANY:
        return f"`{param.name}`: `{param.default}` or any other refusal"
    if param.choices:
        return f"`{param.name}`: " + ", ".join(f"`{choice}`" for choice in param.choices)
    return f"`{param.name}` = {param.default if param.default != '' else 'blank'}"


def row(kind: Kind) -> str:
    """Return a fault's row of the page."""
    often = "once" if kind.count == 1 else f"{kind.count} times" if kind.count else "always"
    params = "; ".join(described(param) for param in kind.params) or "–"
    return f"| `{kind.name}` | {HINT.sub('', kind.meaning)} | {params} | {often} |"


def operations() -> set[str]:
    """Return the words that the admin port compares `op` with."""
    tree = ast.parse(inspect.getsource(Admin))
    [answer] = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef) and one.name == "answer"]
    found = {
        str(node.value.value)
        for node in ast.walk(answer)
        if isinstance(node, ast.MatchValue) and isinstance(node.value, ast.Constant)
    }
    compared = [node for node in ast.walk(answer) if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In)]
    for node in compared:
        found |= set(ast.literal_eval(node.comparators[0]))
    return found


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_each_fault_has_its_row_as_the_catalogue_has_it(kind: Kind) -> None:
    assert row(kind) in PAGE.splitlines()


def test_the_page_has_no_fault_and_no_profile_that_the_catalogue_lacks() -> None:
    tables = PAGE[PAGE.index("### Every fault") : PAGE.index("### Profiles")]
    assert set(re.findall(r"^\| `(\w+)` \|", tables, re.MULTILINE)) == set(KINDS)
    profiles = PAGE[PAGE.index("### Profiles") :].split("\n## ")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", profiles, re.MULTILINE)) == {
        name: meaning for name, (meaning, _) in PROFILES.items()
    }


def test_every_option_of_the_command_is_on_the_page_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    options = PAGE[PAGE.index("## Options") : PAGE.index("## Clocks")]
    assert set(re.findall(r"--[a-z][a-z-]*", options)) == known


def test_every_operation_of_the_admin_port_is_on_the_page() -> None:
    admin = PAGE[PAGE.index("## The admin port") : PAGE.index("## What it does not do")]
    assert set(re.findall(r"^\| `(\w+)` \|", admin, re.MULTILINE)) == operations()


def test_every_layout_is_on_the_page_with_its_widths() -> None:
    layouts = PAGE[PAGE.index("## Layouts") : PAGE.index("## Faults")]
    rows = [
        f"| `{one.name}` | {one.trade} | {one.book} | {one.unified_book} | {one.status} | {one.notice} | "
        f"{one.calls[0]} / {one.calls[1]} |"
        for one in LAYOUTS.values()
    ]
    assert [line for line in layouts.splitlines() if line.startswith("| `")] == rows


def test_the_keys_on_the_page_are_those_it_starts_with() -> None:
    for name, value in SECRETS.items():
        begin = value.rstrip("0")
        assert f"`{begin}` and {len(value) - len(begin)} zeros" in PAGE, name
        assert f"`KQUANT_EXCHANGE_{name.upper()}`" in PAGE
