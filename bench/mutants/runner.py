"""Runs the tests against one mutant after another, in a private copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.mutants.mutant import Mutant

COPIED = ("kquant", "config", "tests", "bench", "docs", "pyproject.toml", "run.py", "Makefile", "README.md")
QUICK = ("-p", "bench.mutants.quick")
TEST_SECONDS = 600
GREEN, RED = 0, 1
"""pytest's exit codes: all passed, some failed."""


class NotGreen(Exception):
    """The tests fail without any mutant, or could not be run: nothing can be said."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """caught_by: the first test that failed, "" for a survivor.   seconds: on the wall, of all tests run for it."""

    mutant: Mutant
    caught_by: str
    seconds: float


class Copy:
    """A copy of the repository with its own tests, changed and put back for each mutant."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = folder
        self._green: set[str] = set()
        leave = shutil.ignore_patterns("__pycache__", "*.pyc")
        for name in COPIED:
            source = root / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=leave)
            else:
                shutil.copy(source, folder / name)

    def judge(self, mutant: Mutant) -> Verdict:
        """Run the near tests, then the wider ones, until one fails. Raises NotGreen."""
        caught, seconds = "", 0.0
        for paths in filter(None, (mutant.near, mutant.wide)):
            for path in paths:
                self._must_be_green(path)
            began = time.monotonic()
            with self.applied(mutant):
                _, caught = self._run(paths)
            seconds += time.monotonic() - began
            if caught:
                break
        return Verdict(mutant=mutant, caught_by=caught, seconds=seconds)

    @contextmanager
    def applied(self, mutant: Mutant) -> Iterator[None]:
        """Have the copy carry the bug."""
        path = self.root / mutant.file
        sound = path.read_text(encoding="utf-8")
        self._write(path, mutant.applied(sound))
        try:
            yield
        finally:
            self._write(path, sound)

    def _write(self, path: Path, source: str) -> None:
        path.write_text(source, encoding="utf-8")
        # Compiled files are told apart by second and size alone: one of the second before would hide the change.
        for stale in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            stale.unlink()

    def _must_be_green(self, path: str) -> None:
        if path in self._green:
            return
        code, text = self._run([path])
        if code != GREEN:
            raise NotGreen(f"{path} is not green without a mutant: {text}")
        self._green.add(path)

    def _run(self, paths: Sequence[str]) -> tuple[int, str]:
        """Return pytest's exit code and the first test that failed. Raises NotGreen if the tests could not be run."""
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "-rfE",
            "--tb=line",
            "--hypothesis-seed=0",
            *QUICK,
            *paths,
        ]
        try:
            done = subprocess.run(
                command,
                cwd=self.root,
                capture_output=True,
                text=True,
                timeout=TEST_SECONDS,
                check=False,
                env={**os.environ, "PYTHONPATH": str(self.root), "PYTHONUTF8": "1"},
            )
        except subprocess.TimeoutExpired:
            return RED, f"no end after {TEST_SECONDS} s"
        if done.returncode == GREEN:
            return GREEN, ""
        failed = re.search(r"^(?:FAILED|ERROR) (tests/\S+)", done.stdout, re.MULTILINE)
        if done.returncode != RED or failed is None:
            raise NotGreen(f"pytest ended with {done.returncode}: {done.stdout[-1_000:]}{done.stderr[-500:]}")
        return RED, failed[1]
