import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from kquant.events import codec
from kquant.events.day import AlarmSet
from kquant.journal import JOURNAL_FILE, TapeWriter, open_day
from kquant.replay import commands
from kquant.replay.rebuild import NoSuchMoment
from kquant.replay.verify import code_hash
from kquant.testing.facts import FactLog, clock
from kquant.values import Micros

from .toy import TOY, halt, lived


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A day on disk, as a live run leaves it."""
    log = FactLog(clock("09:00:00"))
    log.start(code_hash=code_hash())
    log.open_day(cash_krw=1_000_000)
    lived(log, [halt("a"), halt("b")])
    journal = open_day(tmp_path, lambda: clock("09:00:00"))
    for fact in log.facts:
        journal.append(fact.stream, [fact.event], by=fact.by, caused_by=fact.caused_by, first_index=fact.index).result(
            10
        )
    journal.close()
    TapeWriter(tmp_path).close()
    return tmp_path


def alter(folder: Path, seq: int, payload: bytes) -> None:
    with closing(sqlite3.connect(folder / JOURNAL_FILE)) as conn:
        conn.execute("DROP TRIGGER journal_no_update")
        conn.execute("UPDATE journal SET payload = ? WHERE seq = ?", (payload, seq))
        conn.commit()


def nothing(_text: str) -> tuple[()]:
    return ()


def test_verify_of_a_whole_day_is_zero_differences_and_exit_zero(folder: Path) -> None:
    answer = commands.verify(folder, (TOY,), nothing)
    assert answer.code == 0
    assert "2 decisions, 0 differences" in answer.text
    json.dumps(answer.data)


def test_verify_names_an_event_altered_by_hand_with_both_versions(folder: Path) -> None:
    alter(folder, 4, codec.encode(AlarmSet(alarm="forged", due=Micros(1))))
    answer = commands.verify(folder, (TOY,))
    assert answer.code == 1
    assert "altered at seq 4" in answer.text
    assert "first difference at seq 4" in answer.text
    assert "forged" in answer.text
    assert "halt 0" in answer.text
    assert answer.data["decisions"]["first"]["seq"] == 4


def test_an_unreadable_tape_is_said_and_fails_verify(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != JOURNAL_FILE:
            path.unlink()
    answer = commands.verify(folder, (TOY,), nothing)
    assert answer.code == 1
    assert "no tape here" in answer.text


def test_rebuild_gives_views_and_every_owners_state(folder: Path) -> None:
    answer = commands.rebuild(folder, (TOY,), seq=4)
    assert answer.data["owners"]["toy"] == {"version": 1, "own": {"halts": 1, "alarms": ["halt 0"]}}
    assert answer.data["portfolio"]["cash_krw"] == 1_000_000
    assert "seq 4 of" in answer.text
    assert commands.rebuild(folder, (TOY,), at="09:00").data["seq"] == 8
    json.dumps(answer.data)


def test_rebuild_refuses_two_moments_and_one_that_is_not_there(folder: Path) -> None:
    with pytest.raises(NoSuchMoment, match="one of them"):
        commands.rebuild(folder, (TOY,), seq=1, at="09:00")
    with pytest.raises(NoSuchMoment, match="it has 1 to 8"):
        commands.rebuild(folder, (TOY,), seq=99)


def test_events_are_one_line_each_and_can_be_of_one_stream(folder: Path) -> None:
    assert len(commands.events(folder).text.splitlines()) == 8
    answer = commands.events(folder, stream="operator")
    assert [row["stream"] for row in answer.data] == ["operator", "operator"]
    assert "tester halted new entries: a" in answer.text
    with pytest.raises(commands.UnknownStream, match="it has operator, run, toy"):
        commands.events(folder, stream="slot")
