import msgspec

from kquant.events.base import Recorded
from kquant.events.day import DayClosed
from kquant.events.feed import FeedConnected
from kquant.events.orders import TriggerArmed
from kquant.journal.tape import MemoryTape, TapeRecord
from kquant.market.fold import CONTROL_NAMES, MarketFold
from kquant.market.records import RestPrice
from kquant.replay.market import MarketVerified, verify_market
from kquant.testing.facts import FactLog, clock
from kquant.values import BasisPoints, Epoch, Krw, Micros, Shares, Symbol, TriggerId

CODE = Symbol("005930")


def price(won: int, volume: int) -> bytes:
    return msgspec.msgpack.encode(
        RestPrice(
            code=CODE,
            last_price=Krw(won),
            open=Krw(70_000),
            high=Krw(won),
            low=Krw(won),
            volume=Shares(volume),
            value=Krw(won * volume),
            change_bp=BasisPoints(0),
        )
    )


def a_day(*, append: bool = True) -> tuple[FactLog, MemoryTape]:
    """A stop at 69,000 won, armed at 70,000 and fired by the second price."""
    log, tape, fold = FactLog(), MemoryTape(), MarketFold()
    log.start()

    def control(fact: Recorded) -> None:
        assert fact.name in CONTROL_NAMES
        place = tape.append("control", fact.at, str(fact.seq).encode())
        report(fold.control(fact, fact.at, place))

    def report(derived: list) -> None:
        for event, _, caused_by in derived:
            if append:
                log.add("market", event, caused_by=caused_by)

    def rest(at: Micros, data: bytes) -> None:
        place = tape.append("rest", at, data)
        report(fold.apply_records((msgspec.msgpack.decode(data, type=RestPrice),), at, place))

    tape.append("epoch_begin", clock("09:00:00"), b"1")
    fold.epoch_begin(Epoch(1), clock("09:00:00"), 1)
    log.add("feed", FeedConnected(epoch=Epoch(1)), at="09:00:00")
    rest(clock("09:00:01"), price(70_000, 10))
    armed = TriggerArmed(
        trigger=TriggerId(1), code=CODE, kind="stop", price=Krw(69_000), trail_bp=BasisPoints(0), high=Krw(70_000)
    )
    control(log.add("orders", armed, caused_by=2, at="09:00:02"))
    rest(clock("09:00:03"), price(68_900, 20))
    return log, tape


def nothing(_text: str) -> tuple[()]:
    return ()


def check(log: FactLog, tape: list) -> MarketVerified:
    return verify_market(tape, log.facts, nothing)


def test_a_firing_is_derived_again_from_the_tape() -> None:
    log, tape = a_day()
    result = check(log, list(tape))
    assert result.agrees
    assert (result.derived, result.compared, result.unverifiable) == (1, 1, 0)


def test_an_altered_price_on_the_tape_is_a_difference_that_shows_both_versions() -> None:
    log, tape = a_day()
    records = list(tape)
    last = records[-1]
    records[-1] = TapeRecord(last.place, last.at, last.kind, price(68_800, 20))
    result = check(log, records)
    assert result.first is not None
    assert "68900" in result.first.recorded
    assert "68800" in result.first.decided


def test_what_lies_beyond_a_lost_tail_is_unverifiable_not_different() -> None:
    log, tape = a_day()
    result = check(log, list(tape)[:-1])
    assert result.agrees
    assert (result.compared, result.unverifiable) == (0, 1)


def test_a_firing_that_was_never_recorded_in_a_closed_day_is_a_difference() -> None:
    log, tape = a_day(append=False)
    assert check(log, list(tape)).unrecorded == 1
    log.add("run", DayClosed(reconciled=True, positions=(), cash_krw=None))
    result = check(log, list(tape))
    assert result.first is not None
    assert result.first.recorded == "nothing"
    assert "market.trigger_fired" in result.first.decided
