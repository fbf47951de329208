"""A stock's trading status: told when it changes, once a frame, and derived again from the tape."""

from __future__ import annotations

from kquant.events.market import MarketStatusChanged
from kquant.events.slots import RegisterWanted
from kquant.gateways.kis.feed.wire import decode
from kquant.journal import MemoryTape
from kquant.market.fold import derive
from kquant.replay.market import verify_market
from kquant.values import Epoch, Micros, Symbol
from tests.gateways.test_market_desk import CODE, START, Room

WANTED = [
    RegisterWanted(code=CODE, channel=channel, priority=1, epoch=Epoch(1), valid_until=Micros(START))
    for channel in ("trades", "status")
]


def status(vi: str = "N", halted: str = "N", code: str = CODE) -> str:
    return f"{code}^{halted}^(null)^^311^^^55^{vi}^N"


def frame(*records: str) -> str:
    return f"0|H0STMKO0|{len(records):03d}|{'^'.join(records)}"


def play(room: Room, *frames: str) -> list[MarketStatusChanged]:
    room.desk.epoch_begin(Epoch(1))
    room.journal.append("slots", WANTED, by="x").result()
    room.settle()
    for text in frames:
        room.desk.frame(text, decode(text))
    room.settle()
    return [fact.event for fact in room.reported()]


def test_a_status_is_told_when_it_changes_and_not_when_it_is_repeated_kis_protocol_3_5() -> None:
    told = play(Room(), frame(status()), frame(status()), frame(status(vi="Y")), frame(status()))
    assert [(one.code, one.vi, one.place) for one in told] == [(CODE, False, 4), (CODE, True, 6), (CODE, False, 7)]


def test_the_last_of_a_stocks_records_in_a_frame_counts() -> None:
    told = play(Room(), frame(status(), status(vi="Y"), status(vi="Y", halted="Y")))
    assert [(one.vi, one.halted) for one in told] == [(True, True)]


def test_a_status_of_a_stock_nobody_asked_for_is_not_believed() -> None:
    room = Room()
    assert play(room, frame(status(code=Symbol("000660")))) == []
    assert room.desk.rejected == {"code": 1}


def test_statuses_come_again_from_the_tape_and_are_not_recorded_twice_by_a_new_process() -> None:
    room = Room()
    play(room, frame(status()), frame(status(vi="Y")))
    facts = room.journal.read(0, 1_000)
    again = [event for event, _, _ in derive(room.tape, {fact.seq: fact for fact in facts}, decode)]
    assert again == [fact.event for fact in room.reported()]
    assert verify_market(room.tape, facts, decode).compared == 2
    assert verify_market(room.tape, facts, decode).agrees
    second = Room(room.journal, room.tape)
    second.desk.recover(room.tape)
    second.settle()
    assert len(second.reported()) == 2


def test_a_status_that_was_altered_in_the_log_is_a_difference() -> None:
    room = Room()
    play(room, frame(status()), frame(status(vi="Y")))
    other = MemoryTape()
    for record in room.tape:
        text = record.data.replace(b"^Y^N", b"^N^N") if record.kind == "frame" else record.data
        other.append(record.kind, record.at, text)
    assert not verify_market(other, room.journal.read(0, 1_000), decode).agrees
