"""The report of a run: bench/MUTANTS.md, survivors on top."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.mutants.runner import Verdict

HEAD = """# Mutants

`make mutants` seeds these bugs, one at a time, in a private copy and runs the tests against each (`bench/mutants`). A bug
that no test sees is a survivor, and the command fails. This page is written by it.
"""


def page(verdicts: Sequence[Verdict]) -> str:
    """Return the page."""
    survivors = [one for one in verdicts if not one.caught_by]
    caught = [one for one in verdicts if one.caught_by]
    rooms = Counter(one.mutant.file for one in verdicts)
    seconds = sum(one.seconds for one in verdicts)
    lines = [HEAD, f"**{len(caught)} of {len(verdicts)} caught, {len(survivors)} survived**, in {seconds:.0f} s.", ""]
    if survivors:
        lines += ["## Survivors", "", "| mutant | file | invariant |", "|---|---|---|"]
        lines += [f"| {one.mutant.name} | `{one.mutant.file}` | {one.mutant.breaks} |" for one in survivors]
        lines += [""]
    lines += ["## Caught", "", "| mutant | file | invariant | by | s |", "|---|---|---|---|---|"]
    lines += [
        f"| {one.mutant.name} | `{_short(one.mutant.file)}` | {one.mutant.breaks} | `{_test(one.caught_by)}` | {one.seconds:.0f} |"
        for one in caught
    ]
    lines += ["", "## Files", "", "| file | mutants |", "|---|---|"]
    lines += [f"| `{file}` | {number} |" for file, number in sorted(rooms.items())]
    return "\n".join(lines) + "\n"


def _short(file: str) -> str:
    return file.removeprefix("kquant/")


def _test(name: str) -> str:
    """Return a test's name without its parameters, which may hold what a table cannot."""
    return name.partition("[")[0].removeprefix("tests/")
