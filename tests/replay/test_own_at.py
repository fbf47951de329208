"""Folding owners straight from a day's rows equals folding the whole log."""

from pathlib import Path

import pytest

from kquant.domain import OWNERS
from kquant.events.day import AlarmSet, AlertRaised
from kquant.events.slots import SlotClaimed
from kquant.journal import JournalError, open_day, read_day, read_streams
from kquant.replay.rebuild import fold_at, own_at
from kquant.values import Micros, Seq, Symbol


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    journal = open_day(tmp_path, lambda: Micros(1))
    for number in range(1, 30):
        journal.append("run", [AlertRaised(level="info", text=str(number))], by="run").result()
        claim = SlotClaimed(code=Symbol(f"{number:06d}"), name="가나", reason="surging", rank=0, since=Micros(number))
        journal.append("slots", [claim, AlarmSet(alarm="table", due=Micros(number))], by="slots").result()
    journal.close()
    return tmp_path


def test_own_at_equals_the_fold_of_the_log_at_every_moment(folder: Path) -> None:
    facts = read_day(folder)
    for seq in (0, 1, 2, 3, 20, 50, len(facts)):
        assert own_at(folder, OWNERS, Seq(seq)) == fold_at(facts, OWNERS, Seq(seq))
    assert own_at(folder, OWNERS) == fold_at(facts, OWNERS, facts[-1].seq)
    assert own_at(folder, OWNERS)["slots"] != own_at(folder, OWNERS, Seq(20))["slots"]


def test_only_the_named_streams_are_read_in_the_order_of_the_day(folder: Path) -> None:
    found = list(read_streams(folder, {"slots"}))
    assert {stream for stream, _ in found} == {"slots"}
    assert [event for _, event in found] == [fact.event for fact in read_day(folder) if fact.stream == "slots"]


def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no such journal"):
        own_at(tmp_path / "nowhere", OWNERS)
