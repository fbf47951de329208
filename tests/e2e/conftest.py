"""Runs that several tests share. One whole demo day is traded once; everything else plays a small afternoon."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from kquant.events.base import Recorded

from .world import AFTERNOON, REAL_DAY, SHARED, Books, books_of, facts_of, folder_of, kquant


@dataclass
class Traded:
    """A day that was traded to its end, and what the command said."""

    data: Path
    code: int
    out: str
    err: str

    @property
    def folder(self) -> Path:
        return folder_of(self.data)

    @cached_property
    def facts(self) -> list[Recorded]:
        return facts_of(self.data)

    @cached_property
    def books(self) -> Books:
        return books_of(self.data)


def _traded(data: Path, *arguments: str) -> Traded:
    done = kquant("run", "--data", data, *arguments)
    return Traded(data, done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Traded:
    """The demo day with every default: 2,700 stocks, as `make run` trades it."""
    return _traded(tmp_path_factory.mktemp("demo") / "data")


@pytest.fixture(scope="session")
def afternoon(tmp_path_factory) -> Traded:
    """A small afternoon, traded by the command."""
    return _traded(tmp_path_factory.mktemp("afternoon") / "data", *AFTERNOON)


@pytest.fixture(scope="session")
def market(tmp_path_factory) -> tuple[Path, str]:
    """The recorded day, imported once, and what the import said."""
    if not (SHARED / f"day-{REAL_DAY}").is_dir():
        reason = f"the recorded day is not here: set KQUANT_SHARED_DATA to the folder that holds day-{REAL_DAY}"
        if os.environ.get("KQUANT_REQUIRE_SHARED_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    out = tmp_path_factory.mktemp("market") / "day"
    done = kquant("market", "import", "--krx", SHARED, "--day", REAL_DAY, "--out", out, "--seed", "1")
    assert done.returncode == 0, done.stderr
    return out, done.stdout
