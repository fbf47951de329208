"""A tape and a journal in memory, as the market's tests write them, and a live fold beside."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from kquant.events.base import Event, Recorded, name_of
from kquant.events.feed import Dropped, Registered
from kquant.events.orders import TriggerArmed, TriggerDisarmed
from kquant.events.pipeline import SnapshotWanted
from kquant.events.slots import RegisterWanted
from kquant.market.fold import Derived, MarketFold
from kquant.market.records import RestPrice, Trade
from kquant.values import SECOND_US, BasisPoints, Epoch, Krw, Micros, Seq, Shares, Symbol, TriggerId

NINE = Micros(1_795_392_000 * SECOND_US)
SAMSUNG = Symbol("005930")
HYNIX = Symbol("000660")


@dataclass(frozen=True)
class Line:
    place: int
    at: Micros
    kind: str
    data: bytes


def trade(code=SAMSUNG, price=1_000, volume=10, qty=1, time="090000", high=None):
    return Trade(
        code=code, time=time, last_price=Krw(price), last_qty=Shares(qty), side=1, bid=Krw(price - 1),
        ask=Krw(price + 1), open=Krw(1_000), high=Krw(high or price),
        low=Krw(price), volume=Shares(volume), value=Krw(volume * 1_000), change_bp=BasisPoints(0), session="20",
        phase="0", halted=False,
    )  # fmt: skip


def rest(code=SAMSUNG, price=1_000, volume=10):
    return RestPrice(
        code=code, last_price=Krw(price), open=Krw(1_000), high=Krw(price), low=Krw(price), volume=Shares(volume),
        value=Krw(volume * 1_000), change_bp=BasisPoints(0),
    )  # fmt: skip


frames = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list[Trade])


def decode(text: str) -> tuple[Trade, ...]:
    return tuple(_decoder.decode(text))


@dataclass
class Desk:
    """Writes the tape, keeps the journal, and applies everything to a live fold, as the market desk does."""

    fold: MarketFold = field(default_factory=MarketFold)
    lines: list[Line] = field(default_factory=list)
    facts: dict[Seq, Recorded] = field(default_factory=dict)
    out: list[Derived] = field(default_factory=list)
    at: Micros = NINE

    def _mark(self, kind: str, data: bytes = b"") -> int:
        self.lines.append(Line(len(self.lines) + 1, self.at, kind, data))
        return len(self.lines)

    def _take(self, derived: list[Derived]) -> list[Event]:
        self.out += derived
        return [event for event, _, _ in derived]

    def trades(self, *trades: Trade) -> list[Event]:
        place = self._mark("frame", frames.encode(trades))
        return self._take(self.fold.apply_records(trades, self.at, place))

    def rest(self, price: RestPrice) -> list[Event]:
        place = self._mark("rest", msgspec.msgpack.encode(price))
        return self._take(self.fold.apply_records((price,), self.at, place))

    def pass_seconds(self, seconds: int = 1) -> list[Event]:
        events = []
        for _ in range(seconds):
            self.at = Micros(self.at + SECOND_US)
            events += self._take(self.fold.second(self.at, self._mark("second")))
        return events

    def begin(self, epoch: int = 1) -> list[Event]:
        place = self._mark("epoch_begin", str(epoch).encode())
        return self._take(self.fold.epoch_begin(Epoch(epoch), self.at, place))

    def end(self, epoch: int = 1) -> list[Event]:
        place = self._mark("epoch_end", str(epoch).encode())
        return self._take(self.fold.epoch_end(Epoch(epoch), self.at, place))

    def control(self, event: Event) -> list[Event]:
        seq = Seq(len(self.facts) + 1)
        fact = Recorded(
            seq=seq, stream="any", version=1, name=name_of(event), at=self.at, by="test", caused_by=None, index=0,
            event=event, digest=b"",
        )  # fmt: skip
        self.facts[seq] = fact
        return self._take(self.fold.control(fact, self.at, self._mark("control", str(seq).encode())))

    def register(self, code: Symbol = SAMSUNG, epoch: int = 1) -> None:
        self.control(
            RegisterWanted(code=code, channel="trades", priority=1, epoch=Epoch(epoch), valid_until=Micros(self.at + 1))
        )
        self.control(Registered(epoch=Epoch(epoch), code=code, channel="trades", already=False))

    def drop(self, code: Symbol = SAMSUNG, epoch: int = 1) -> None:
        self.control(Dropped(epoch=Epoch(epoch), code=code, channel="trades", already=False))

    def arm(self, trigger: int, kind="stop", price=0, bp=0, high=0, code=SAMSUNG) -> list[Event]:
        return self.control(
            TriggerArmed(
                trigger=TriggerId(trigger), code=code, kind=kind, price=Krw(price), trail_bp=BasisPoints(bp),
                high=Krw(high),
            )
        )  # fmt: skip

    def disarm(self, trigger: int, code=SAMSUNG) -> list[Event]:
        return self.control(TriggerDisarmed(trigger=TriggerId(trigger), code=code))

    def snapshot(self, run: int, *codes: Symbol) -> list[Event]:
        return self.control(SnapshotWanted(run=run, codes=codes))


def watching(*codes: Symbol) -> Desk:
    desk = Desk()
    desk.begin()
    for code in codes:
        desk.register(code)
    return desk
