"""A mutant: one known bug, written as a small change of one file's source, and the tests that must see it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class RottenMutant(Exception):
    """The source no longer has the text a mutant changes, or has it more than once."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """name: what the bug does.   breaks: the invariant it breaks (`reliability` E).   near, wide: tests, looked at in turn.

    old: source that occurs exactly once in *file* (from the repository's root).   new: what stands there instead.
    """

    name: str
    file: str
    breaks: str
    old: str
    new: str
    near: tuple[str, ...]
    wide: tuple[str, ...] = ()

    def applied(self, source: str) -> str:
        """Return the source with the bug. Raises RottenMutant, naming itself, if the text is not there once."""
        found = source.count(self.old)
        if found != 1:
            raise RottenMutant(f"{self.name}: {self.file} has {found} times, not once: {self.old!r}")
        return source.replace(self.old, self.new)

    def check(self, root: Path) -> None:
        """Raise RottenMutant if it does not apply to the files under *root*, or makes no Python of them."""
        changed = self.applied((root / self.file).read_text(encoding="utf-8"))
        try:
            compile(changed, self.file, "exec")
        except SyntaxError as error:
            raise RottenMutant(f"{self.name}: {self.file} would be no Python: {error}") from error
        missing = [path for path in (*self.near, *self.wide) if not (root / path).exists()]
        if missing:
            raise RottenMutant(f"{self.name}: no such tests: {', '.join(missing)}")
