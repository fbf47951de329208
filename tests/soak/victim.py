"""The real command under a death sentence: `python -m tests.soak.victim SENTENCE -- run …`.

The only thing that differs from `kquant` is where the journal's writer touches the disk: there the process sends SIGKILL
to itself, before or after the commit of the event it was told. The kernel ends it as it would end it from outside.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest import mock

import msgspec

from kquant.cli import main as command
from kquant.events import codec
from kquant.journal.recorder import JournalRecorder, Row

from .door import watched, write_line
from .points import ANYWHERE, LOG_POINTS, Death, Kill, Sentence


class Executioner:
    """Counts the events of this process as they are written and tells which one is the last."""

    def __init__(self, sentence: Sentence) -> None:
        self._sentence = sentence
        self._seen: Counter[str] = Counter()
        self._due = {(kill.point, kill.nth): kill for kill in sentence.kills}

    def meets(self, rows: Sequence[Row]) -> Death | None:
        """Return the first death that *rows* bring, counting them."""
        found = None
        for row in rows:
            for name in self._names(row):
                self._seen[name] += 1
                kill = self._due.get((name, self._seen[name]))
                if kill is not None and found is None:
                    found = Death(kill=kill, seq=row.seq)
        return found

    def _names(self, row: Row) -> list[str]:
        event = codec.decode(row.name, row.payload_version, row.payload)
        return [ANYWHERE, *(point.name for point in LOG_POINTS if point.matches(event))]

    def die(self, death: Death) -> None:
        """Leave the note and go."""
        write_line(self._sentence.note, death)
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def condemned(sentence: Sentence) -> Iterator[None]:
    """Have the journal of this process end it where the sentence says."""
    executioner = Executioner(sentence)
    insert = JournalRecorder.insert_rows

    def insert_rows(self: JournalRecorder, rows: Sequence[Row]) -> None:
        death = executioner.meets(rows)
        if death is not None and death.kill.phase == "before":
            executioner.die(death)
        insert(self, rows)
        if death is not None:
            executioner.die(death)

    with mock.patch.object(JournalRecorder, "insert_rows", insert_rows):
        yield


def spared(sentence: Sentence) -> Sentence:
    """Return the sentence without its deaths."""
    return Sentence(kills=tuple[Kill, ...](), note=sentence.note, posts=sentence.posts)


def main(arguments: Sequence[str]) -> int:
    """Run the command line."""
    sentence = msgspec.json.decode(arguments[0], type=Sentence)
    with condemned(sentence), watched(sentence):
        return command(list(arguments[2:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
