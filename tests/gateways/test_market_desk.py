"""The market desk: tape first, then the fold, then the journal; and the way back from tape and journal."""

from __future__ import annotations

from kquant.events.base import Recorded
from kquant.events.market import BarsClosed, SnapshotTaken, TriggerFired
from kquant.events.orders import TriggerArmed
from kquant.events.pipeline import SnapshotWanted
from kquant.events.slots import RegisterWanted
from kquant.gateways.clock import SteppedClock
from kquant.gateways.kis.feed.wire import decode
from kquant.gateways.market import MarketDesk
from kquant.journal import MemoryJournal, MemoryTape
from kquant.market.fold import derive
from kquant.market.records import RestPrice
from kquant.testing.facts import clock as kst
from kquant.values import MINUTE_US, SECOND_US, BasisPoints, Epoch, Krw, Micros, Shares, Symbol, TriggerId
from tests.gateways_kis.test_wire import TRADE_47

CODE = Symbol("005930")
START = kst("15:08:00", "2026-09-14")


class Room:
    """A desk that catches up with the journal when it is told to settle, as the feed's loop does."""

    def __init__(self, journal: MemoryJournal | None = None, tape: MemoryTape | None = None) -> None:
        self.clock = SteppedClock(Micros(START))
        self.journal = journal or MemoryJournal(self.clock.now)
        self.tape = tape or MemoryTape()
        self.fatal: list[str] = []
        self.desk = MarketDesk(
            self.journal, self.tape, self.clock, decode=decode, changed=lambda: None, on_fatal=self.fatal.append
        )

    def settle(self) -> None:
        while not self.desk.idle():
            self.desk.catch_up()
        assert self.fatal == []

    def reported(self) -> list[Recorded]:
        return [fact for fact in self.journal.read(0, 1_000) if fact.stream == "market"]


def trade(price: int, volume: int) -> str:
    return TRADE_47.replace("^249250^", f"^{price}^").replace("^14871538^", f"^{volume}^")


def play(room: Room) -> None:
    """A connection, a registration, an armed stop, trades that fire it, a minute's end and a snapshot."""
    room.desk.epoch_begin(Epoch(1))
    asked = [
        RegisterWanted(code=CODE, channel="trades", priority=1, epoch=Epoch(1), valid_until=Micros(START + MINUTE_US)),
        TriggerArmed(
            trigger=TriggerId(1), code=CODE, kind="stop", price=Krw(240_000), trail_bp=BasisPoints(0), high=Krw(0)
        ),
    ]
    room.journal.append("orders", asked, by="x").result()
    room.settle()
    for price, volume in ((250_000, 10), (245_000, 20), (239_500, 30), (238_000, 40)):
        text = trade(price, volume)
        room.desk.frame(text, decode(text))
    room.settle()
    room.clock.set(Micros(START + MINUTE_US))
    room.desk.second(room.clock.now())
    room.journal.append("pipeline", [SnapshotWanted(run=1, codes=(CODE,))], by="x").result()
    room.settle()


def test_what_the_fold_derives_is_recorded_once_with_its_cause_and_its_place():
    room = Room()
    play(room)
    fired, bars, snapshot = (fact.event for fact in room.reported())
    assert isinstance(fired, TriggerFired)
    assert (fired.price, fired.volume) == (239_500, 30)
    assert isinstance(bars, BarsClosed)
    assert (bars.bars[0].open, bars.bars[0].close) == (250_000, 238_000)
    assert isinstance(snapshot, SnapshotTaken)
    assert snapshot.quotes[0].last == 238_000
    causes = [fact.caused_by for fact in room.reported()]
    by_name = {fact.name: fact.seq for fact in room.journal.read(0, 1_000)}
    assert causes == [by_name["orders.trigger_armed"], None, by_name["pipeline.snapshot_wanted"]]


def test_the_tape_gives_the_same_facts_again():
    room = Room()
    play(room)
    facts = {fact.seq: fact for fact in room.journal.read(0, 1_000)}
    assert [event for event, _, _ in derive(room.tape, facts, decode)] == [fact.event for fact in room.reported()]


def without(journal: MemoryJournal, missing: type) -> MemoryJournal:
    """Return the journal as a process left it that died before that report was durable."""
    kept = MemoryJournal(lambda: Micros(START))
    for fact in journal.read(0, 1_000):
        if fact.stream != "market" or not isinstance(fact.event, missing):
            kept.append(fact.stream, [fact.event], by=fact.by, caused_by=fact.caused_by).result()
    return kept


def test_a_report_that_was_not_durable_is_recorded_once_at_the_next_start():
    first = Room()
    play(first)
    # The last report goes missing, as a crash between tape and journal loses it; earlier seqs stay as they were.
    again = Room(without(first.journal, SnapshotTaken), first.tape)
    again.desk.recover(first.tape)
    again.settle()
    assert [fact.event for fact in again.reported()] == [fact.event for fact in first.reported()]
    third = Room(again.journal, first.tape)
    third.desk.recover(first.tape)
    third.settle()
    assert len(third.reported()) == len(first.reported())


def test_a_restarted_desk_goes_on_where_the_last_one_stood():
    first = Room()
    play(first)
    again = Room(first.journal, first.tape)
    again.desk.recover(first.tape)
    before = again.desk.fold.snapshot(2, (CODE,), Micros(START + MINUTE_US), 0)
    assert before == first.desk.fold.snapshot(2, (CODE,), Micros(START + MINUTE_US), 0)
    again.desk.catch_up()
    assert len([record for record in first.tape if record.kind == "control"]) == 3


def test_control_events_behind_the_last_mark_are_applied_at_the_next_start():
    first = Room()
    play(first)
    first.journal.append("pipeline", [SnapshotWanted(run=2, codes=(CODE,))], by="x").result()
    again = Room(first.journal, first.tape)
    again.desk.recover(first.tape)
    assert not again.desk.idle()
    again.settle()
    assert [fact.event.run for fact in again.reported() if isinstance(fact.event, SnapshotTaken)] == [1, 2]


def test_a_polled_price_is_on_the_tape_and_on_the_board():
    room = Room()
    price = RestPrice(
        CODE, Krw(70_000), Krw(69_000), Krw(71_000), Krw(68_000), Shares(5), Krw(350_000), BasisPoints(12)
    )
    room.desk.price(price)
    quoted = room.desk.fold.snapshot(1, (CODE,), Micros(START + SECOND_US), 0).quotes[0]
    assert (quoted.last, quoted.source) == (70_000, "rest")
    assert [record.kind for record in room.tape] == ["rest"]


def test_a_journal_that_refuses_a_report_stops_the_run():
    room = Room()
    room.desk.epoch_begin(Epoch(1))
    room.journal.append("pipeline", [SnapshotWanted(run=1, codes=())], by="x").result()
    room.journal.close()
    room.desk.catch_up()
    assert "closed" in room.fatal[0]
