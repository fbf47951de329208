"""The slots owner with a journal in memory and a strict broker that counts registrations."""

from __future__ import annotations

import tomllib
from pathlib import Path

from msgspec import convert
from msgspec.structs import replace

from kquant.domain.owner import Mind, recover
from kquant.domain.slots import SLOTS, pending
from kquant.events.analyzer import Pick, PicksChosen
from kquant.events.base import Event, Recorded, name_of
from kquant.events.day import AlarmRang, AlarmSet, DayOpened, JobDue, RunStarted
from kquant.events.feed import (
    Dropped,
    FeedConnected,
    FeedLost,
    FirstTick,
    Registered,
    RegistrationExpired,
    RegistrationRefused,
    RegistrationUnanswered,
)
from kquant.events.orders import OrderFinished, OrderIntended
from kquant.events.portfolio import PortfolioOpened, PositionClosed, PositionOpened
from kquant.events.scanner import ScanCompleted, ScanScore
from kquant.events.slots import DropWanted, RegisterWanted, SlotEvicted
from kquant.krx import SessionHours
from kquant.settings import SlotSettings
from kquant.values import SECOND_US, Micros, Seq

NINE = Micros(1_795_392_000 * SECOND_US)
CONFIG = Path(__file__).parents[2] / "config" / "default.toml"


class Overfull(AssertionError):
    """The broker was asked for one registration too many."""


def default_rules() -> SlotSettings:
    return convert(tomllib.loads(CONFIG.read_text(encoding="utf-8"))["slots"], SlotSettings)


def _settings(rules: SlotSettings):
    from kquant.settings import Settings

    fields = dict.fromkeys(Settings.__struct_fields__)
    return Settings(**(fields | {"profile": "test", "slots": rules}))


class World:
    """Facts go in, the owner's reactions are recorded, requests wait at the broker until a test answers them."""

    def __init__(self, **changes) -> None:
        self.rules = replace(default_rules(), **changes)
        self.at = NINE
        self.log: list[Recorded] = []
        self.inputs: list[Seq] = []
        self.mind = Mind(SLOTS)
        self.epoch = 0
        self.up = False
        self.broker: dict[tuple[str, str], None] = {}
        self.broker_limit = self.rules.capacity
        self.requests: list[Recorded] = []
        self.intents = 0
        self.fact("run", RunStarted(settings=_settings(self.rules), profile="test", code_hash="", seed=1, versions={}))

    # the log

    def _record(self, stream: str, event: Event, caused_by, index, version=0) -> Recorded:
        fact = Recorded(
            seq=Seq(len(self.log) + 1), stream=stream, version=version, name=name_of(event), at=self.at, by="test",
            caused_by=caused_by, index=index, event=event, digest=b"",
        )  # fmt: skip
        self.log.append(fact)
        return fact

    def fact(self, stream: str, *events: Event, caused_by=None) -> list[Event]:
        facts = [self._record(stream, event, caused_by, index) for index, event in enumerate(events)]
        return [said for fact in facts for said in self._deliver(fact)]

    def _deliver(self, fact: Recorded) -> list[Event]:
        if not self.mind.concerns(fact) or not self.mind.perceive(fact):
            return []
        self.inputs.append(fact.seq)
        said = self.mind.decide(fact)
        for index, event in enumerate(said):
            own = self._record("slots", event, fact.seq, index, self.mind.version + 1)
            self.mind.learn(event)
            if isinstance(event, RegisterWanted | DropWanted):
                self.requests.append(own)
        return list(said)

    def check_recovery(self) -> None:
        again = Mind(SLOTS)
        cursor = recover(again, self.log)
        for fact in self.log[cursor:]:
            if again.concerns(fact) and again.perceive(fact):
                assert again.decide(fact) == (), "an input answered with nothing is answered so again"
        assert (again.own, again.seen, again.version) == (self.mind.own, self.mind.seen, self.mind.version)

    def check_verify(self) -> None:
        again = Mind(SLOTS)
        said = {}
        for fact in self.log:
            if again.concerns(fact) and again.perceive(fact):
                said[fact.seq] = again.decide(fact)
                for event in said[fact.seq]:
                    again.learn(event)
        recorded = dict.fromkeys(self.inputs, ())
        for fact in self.log:
            if fact.stream == "slots":
                recorded[fact.caused_by] += (fact.event,)
        assert said == recorded

    # the world's facts

    def connect(self) -> list[Event]:
        self.epoch += 1
        self.up = True
        self.broker = {}
        return self.fact("feed", FeedConnected(epoch=self.epoch))

    def lose(self) -> list[Event]:
        self.up = False
        self.broker = {}
        self.requests.clear()
        return self.fact("feed", FeedLost(epoch=self.epoch, reason="test"))

    def day(self, *carried) -> list[Event]:
        from kquant.events.day import Carried

        hours = SessionHours(open_at=NINE, closing_auction_at=NINE, close_at=NINE, shift_minutes=0, note="")
        positions = tuple(Carried(code=code, name=code, qty=1, cost_krw=1) for code in carried)
        event = DayOpened(
            day="2026-11-23", account="", hours=hours, positions=positions, cash_krw=1, day_before="", digest_before="",
            reconciled_before=True,
        )  # fmt: skip
        return self.fact("run", event)

    def opened(self, *codes) -> list[Event]:
        positions = [PositionOpened(code=code, name=code, qty=1, cost_krw=1, carried=True) for code in codes]
        return self.fact("portfolio", PortfolioOpened(cash_krw=1), *positions, caused_by=Seq(1))

    def session(self, is_open=True) -> list[Event]:
        return self.fact("scheduler", JobDue(job="session_opened" if is_open else "session_closed", due=self.at))

    def buy(self, code) -> list[Event]:
        event = PositionOpened(code=code, name=code, qty=1, cost_krw=1, carried=False)
        return self.fact("portfolio", event)

    def sell(self, code) -> list[Event]:
        return self.fact("portfolio", PositionClosed(code=code, realised_krw=0))

    def order(self, code) -> int:
        self.intents += 1
        event = OrderIntended(
            intent=self.intents, code=code, name=code, side="buy", qty=1, kind="limit", price=1, reason="signal",
            decision=1, reserved_krw=1, valid_until=self.at,
        )  # fmt: skip
        self.fact("orders", event)
        return self.intents

    def finish(self, intent, code) -> list[Event]:
        return self.fact(
            "orders", OrderFinished(intent=intent, code=code, side="buy", outcome="cancelled", filled_qty=0)
        )

    def pick(self, *codes) -> list[Event]:
        picks = tuple(Pick(rank=rank, code=code, name=code, score=90, points=100) for rank, code in enumerate(codes, 1))
        event = PicksChosen(picks=picks, subscribed=len(picks), analysed=1, unscored=0, failed_batches=0)
        return self.fact("analyzer", event)

    def scan(self, *codes) -> list[Event]:
        rows = tuple(ScanScore(code=code, name=code, total=80) for code in codes)
        return self.fact("scanner", ScanCompleted(cycle=1, scored=rows, qualified=rows, left=()))

    # the broker

    def _answer(self, event: Event) -> list[Event]:
        return self.fact("feed", event, caused_by=self.requests.pop(0).seq)

    def _reach(self) -> bool:
        """The broker gets the request. Returns whether it takes it; asked beyond the setting it is a violation."""
        request = self.requests[0].event
        key = (request.code, request.channel)
        if isinstance(request, DropWanted):
            self.broker.pop(key, None)
            return True
        if key not in self.broker:
            if len(self.broker) >= self.rules.capacity:
                raise Overfull(f"{key} would be registration {len(self.broker) + 1}")
            if len(self.broker) >= self.broker_limit:
                return False
        self.broker[key] = None
        return True

    def _names(self) -> dict:
        request = self.requests[0].event
        return {"epoch": request.epoch, "code": request.code, "channel": request.channel}

    def ack(self) -> list[Event]:
        request = self.requests[0].event
        if not self._reach():
            return self.refuse("over_capacity")
        outcome = Registered if isinstance(request, RegisterWanted) else Dropped
        return self._answer(outcome(**self._names(), already=False))

    def _action(self) -> str:
        return "register" if isinstance(self.requests[0].event, RegisterWanted) else "drop"

    def unanswered(self, reached: bool) -> list[Event]:
        if reached:
            self._reach()
        return self._answer(RegistrationUnanswered(**self._names(), action=self._action()))

    def expire(self) -> list[Event]:
        return self._answer(RegistrationExpired(**self._names(), action=self._action()))

    def refuse(self, kind) -> list[Event]:
        return self._answer(
            RegistrationRefused(**self._names(), action=self._action(), kind=kind, message_code="OPSP", message="no")
        )

    def tick(self, code, channel="trades") -> list[Event]:
        return self.fact("feed", FirstTick(epoch=self.epoch, code=code, channel=channel, place=1))

    # time

    def alarm_due(self):
        due = None
        for fact in self.log:
            if isinstance(fact.event, AlarmSet):
                due = fact
            elif isinstance(fact.event, AlarmRang):
                due = None
        return due

    def pass_time(self, seconds) -> list[Event]:
        """Let time pass; the alarm rings on the way, each time it is due."""
        end = Micros(self.at + int(seconds * SECOND_US))
        said = []
        while (alarm := self.alarm_due()) is not None and alarm.event.due <= end:
            self.at = max(self.at, alarm.event.due)
            ring = AlarmRang(owner="slots", alarm=alarm.event.alarm, due=alarm.event.due)
            said += self.fact("clock", ring, caused_by=alarm.seq)
        self.at = end
        return said

    def settle(self, seconds=0) -> None:
        """Acknowledge everything, for that long."""
        for _ in range(seconds + 1):
            while self.requests:
                self.ack()
            self.pass_time(1 if seconds else 0)
        while self.requests:
            self.ack()

    def tick_all(self) -> None:
        for code, channel in tuple(self.broker):
            self.tick(code, channel)

    # reading

    @property
    def own(self):
        return self.mind.own

    @property
    def seen(self):
        return self.mind.seen

    def on_wire(self) -> list[tuple[str, str]]:
        on = [key for key, wire in self.seen.wire.items() if wire.held != "no"]
        asked = pending(self.own, self.seen)
        if asked is not None and asked not in on and self.own.asked[asked].action == "register":
            on.append(asked)
        return on

    def trades(self) -> list[str]:
        return sorted(code for code, channel in self.broker if channel == "trades")

    def said(self, kind) -> list[Event]:
        return [fact.event for fact in self.log if isinstance(fact.event, kind)]

    def evictions(self) -> list[SlotEvicted]:
        return self.said(SlotEvicted)


BARE = {"extra_channels": ()}


def codes(letter, count, first=0):
    return [f"{letter}{number:05d}" for number in range(first, first + count)]


def full(**changes):
    """Ten holdings, twenty picks, ten surges: forty slots, all ticking."""
    world = World(**(BARE | {"changes_per_minute": 1_000, "low_changes_per_minute": 1_000} | changes))
    world.connect()
    world.session()
    for code in codes("H", 10):
        world.buy(code)
    world.pick(*codes("P", 20))
    world.scan(*codes("S", 10))
    world.settle()
    world.tick_all()
    world.pass_time(60)
    return world
