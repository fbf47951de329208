"""What the README promises exists: its make targets, its files, its two languages. `test_docs.py` looks at its commands."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
KOREAN = (ROOT / "README.ko.md").read_text(encoding="utf-8")
NESTED = {"replay", "config", "market", "scores"}


def commands(text: str) -> set[tuple[str, ...]]:
    """Every `kquant …` command a text names, without its arguments."""
    found: set[tuple[str, ...]] = set()
    for words in re.findall(r"kquant ([a-z]+(?: [a-z]+)?)", text):
        first, _, second = words.partition(" ")
        if first in NESTED:
            found.add((first, second))
        elif first in {"run", "events", "why", "halt", "resume", "status", "report", "init", "exchange"}:
            found.add((first,))
    return found


def test_both_languages_name_the_same_commands() -> None:
    assert commands(KOREAN) <= commands(ENGLISH)
    assert {first for first, *_ in commands(ENGLISH)} == {first for first, *_ in commands(KOREAN)}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\]\(([^)#:]+)\)", ENGLISH + KOREAN))))
def test_every_file_linked_is_there(name: str) -> None:
    assert (ROOT / name).exists()


@pytest.mark.parametrize("target", ["run", "test", "bench"])
def test_the_makefile_has_the_targets_named(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_lock_files_pin_every_package_by_hash_and_name_no_index() -> None:
    for lock in sorted((ROOT / "requirements").glob("*.txt")):
        text = lock.read_text(encoding="utf-8")
        packages = re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)
        assert packages
        assert text.count("==") >= len(packages)
        for block in re.split(r"\n(?=[A-Za-z0-9])", text.strip()):
            assert "--hash=sha256:" in block, f"{lock.name}: {block.splitlines()[0]} has no hash"
        assert "://" not in text
