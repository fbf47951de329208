"""Whether anything lies ahead of a reader who is nudged for some events only."""

from __future__ import annotations

from kquant.journal.port import Journal
from kquant.values import Seq


class Ahead:
    """Looks for events of *names* (None: all) that have their place, and remembers how far it has looked."""

    def __init__(self, journal: Journal, names: frozenset[str] | None) -> None:
        self._journal = journal
        self._names = names
        self._looked = Seq(0)

    def anything(self, cursor: Seq) -> bool:
        """Tell whether one of them lies behind *cursor*."""
        if self._names is None:
            return cursor < self._journal.placed
        while facts := self._journal.read_placed(max(cursor, self._looked)):
            if any(fact.name in self._names for fact in facts):
                return True
            self._looked = facts[-1].seq
        return False
