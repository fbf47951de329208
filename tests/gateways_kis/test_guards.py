"""What a tick must pass before it is believed (reliability A0 6 and 7, D36), and how a wrong guard gives way."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace

from kquant.config import load
from kquant.events.analyzer import Listed, ListingAnswered
from kquant.events.base import Event
from kquant.events.day import AlertRaised, DayOpened, RunStarted
from kquant.events.feed import Dropped, RegistrationRefused
from kquant.events.slots import RegisterWanted
from kquant.gateways.kis.feed.guards import AHEAD_US, PERSISTS, Guards, Quarantine
from kquant.gateways.kis.feed.wire import decode
from kquant.hours import day_hours
from kquant.market.fold import derive
from kquant.market.records import MarketStatus, Record, Trade
from kquant.replay.market import verify_market
from kquant.testing.facts import FactLog, clock
from kquant.values import SECOND_US, Channel, Epoch, Krw, Micros, Shares, Symbol
from tests.gateways.test_market_desk import Room
from tests.gateways_kis.test_wire import BOOK, PROGRAM_2, TRADE_47

CODE = Symbol("005930")
AT = clock("15:08:00", "2026-09-14")
CHANNELS: tuple[Channel, ...] = ("trades", "book", "program", "status")


def listed(code: str = CODE, **changes: Any) -> Listed:
    given = {
        "name": "stock", "market": "KOSPI", "kind": "common", "base": 259_500, "upper": 337_000, "lower": 182_000,
        "halted": False, "administrative": False, "liquidation": False, "overheated": False, "warning": 0,
        "prev_volume": 1_000,
    }  # fmt: skip
    return Listed(code=Symbol(code), **(given | changes))


def wanted(code: str = CODE, channel: Channel = "trades", epoch: int = 1) -> RegisterWanted:
    return RegisterWanted(
        code=Symbol(code), channel=channel, priority=1, epoch=Epoch(epoch), valid_until=Micros(AT + SECOND_US)
    )


@dataclass
class World:
    guards: Guards = field(default_factory=Guards)
    log: FactLog = field(default_factory=FactLog)

    def learn(self, *events: Event) -> None:
        for event in events:
            self.guards.learn(self.log.add("any", event))


def world(**changes: Any) -> World:
    made = World()
    settings = load("demo", environ={}).settings
    made.learn(RunStarted(settings=settings, profile="demo", code_hash="", seed=0, versions={}))
    made.learn(ListingAnswered(stocks=(listed(**changes),), source=""))
    made.guards.epoch(Epoch(1))
    made.learn(*(wanted(channel=channel) for channel in CHANNELS))
    return made


def trade(**changes: Any) -> Trade:
    (made,) = decode(TRADE_47)
    assert isinstance(made, Trade)
    return replace(made, **changes)


def reason(made: World, *records: Record, at: Micros = AT) -> str | None:
    verdict = made.guards.check(records, at)
    return None if verdict is None else verdict.reason


def test_the_real_frames_of_the_protocol_are_believed_kis_protocol_3_1() -> None:
    made = world()
    assert reason(made, trade()) is None, "a midpoint print between two ticks is none of the guards' business"
    book = replace(decode(BOOK)[0], bid=Krw(249_000), ask=Krw(249_500))
    assert reason(made, book) is None
    assert reason(made, decode(PROGRAM_2)[0]) is None
    assert reason(made, MarketStatus(CODE, False, "", "", "", "", "55", False, False, "")) is None
    assert made.guards.counts == {}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"code": "000660"}, "code"),
        ({"last_price": 0}, "figures"),
        ({"last_qty": 14_871_539}, "figures"),
        ({"last_price": 337_600}, "band"),
        ({"last_price": 337_500}, None),
        ({"last_price": 181_800}, "band"),
        ({"ask": 800_000}, "band"),
        ({"bid": 24_900}, "band"),
        ({"bid": 0, "ask": 0}, None),
        ({"last_price": 249_251}, "grid"),
        ({"last_price": 249_000}, None),
        ({"bid": 249_250}, "grid"),
        ({"ask": 249_501}, "grid"),
        ({"time": "150959"}, None),
        ({"time": "151001"}, "time"),
        ({"time": "246000"}, "time"),
        ({"time": "156060"}, "time"),
    ],
)
def test_a_trade_is_judged_by_its_own_figures_kis_protocol_5_2_and_5_3(changes, why) -> None:
    made = world()
    assert reason(made, trade(**changes)) == why
    assert made.guards.counts == ({} if why is None else {why: 1})


def test_the_days_volume_never_falls_within_a_frame_nor_between_frames_nor_between_connections() -> None:
    made = world()
    assert reason(made, trade(volume=100), trade(volume=99)) == "volume"
    assert reason(made, trade(volume=100), trade(volume=100)) is None
    assert reason(made, trade(volume=99)) == "volume"
    made.guards.epoch(Epoch(2))
    made.learn(wanted(epoch=2))
    assert reason(made, trade(volume=99)) == "volume"
    assert reason(made, trade(volume=101)) is None


def test_a_frame_is_believed_whole_or_not_at_all() -> None:
    made = world()
    assert reason(made, trade(volume=500), trade(volume=600, last_price=1)) == "band"
    assert reason(made, trade(volume=400)) is None, "nothing of the frame before was taken"


def test_a_quote_of_a_book_lies_on_the_grid_and_in_the_band() -> None:
    made = world()
    book = replace(decode(BOOK)[0], bid=Krw(249_000), ask=Krw(249_500))
    assert reason(made, replace(book, ask=249_250)) == "grid"
    assert reason(made, replace(book, bid=66_000)) == "band"
    assert reason(made, replace(book, bid=0)) is None
    assert reason(made, replace(book, time="999999")) == "time"


def test_program_trading_adds_up_kis_protocol_3_3() -> None:
    assert reason(world(), replace(decode(PROGRAM_2)[0], net=Shares(-224_035))) == "sum"


def test_a_fund_has_the_fine_grid_and_no_band_kis_protocol_5_2() -> None:
    made = world(kind="fund")
    assert reason(made, trade(last_price=249_255, bid=249_250, ask=249_260)) is None
    assert reason(made, trade(last_price=99_995, bid=99_990, ask=99_995)) is None
    assert reason(made, trade(bid=249_251)) == "grid"


@pytest.mark.parametrize("changes", [{"upper": None, "lower": None}, {"prev_volume": 0}])
def test_no_band_holds_in_liquidation_trading_nor_on_a_first_day_kis_protocol_5_3(changes) -> None:
    assert reason(world(**changes), trade(last_price=900_000)) is None


def test_limits_the_broker_tells_replace_those_of_the_listing() -> None:
    made = world()
    made.guards.limits(CODE, Krw(240_000), Krw(250_000))
    assert [reason(made, trade(last_price=price)) for price in (250_000, 250_500)] == [None, "band"]


def test_after_the_close_the_band_lies_around_the_close_kis_protocol_5_3() -> None:
    made = world()
    hours = day_hours(date(2026, 9, 14), load("demo", environ={}).settings.krx)
    made.learn(
        DayOpened(
            day="2026-09-14", account="", hours=hours, positions=None, cash_krw=None, day_before="", digest_before="",
            reconciled_before=True,
        )
    )  # fmt: skip
    assert reason(made, trade(last_price=330_000)) is None
    assert reason(made, trade(last_price=400_000, volume=15_000_000)) == "band"
    evening = clock("16:30:00", "2026-09-14")
    assert reason(made, trade(last_price=400_000, volume=15_000_000), at=evening) is None
    assert reason(made, trade(last_price=430_000, volume=15_000_000), at=evening) == "band"


def test_what_trails_behind_a_drop_is_told_from_what_nobody_asked_for() -> None:
    made = world()
    made.learn(Dropped(epoch=Epoch(1), code=CODE, channel="trades", already=False))
    assert reason(made, trade()) == "dropped"
    assert reason(made, trade(code="000660")) == "code"
    made.learn(wanted())
    assert reason(made, trade()) is None


def test_what_was_refused_or_belongs_to_another_epoch_is_not_believed() -> None:
    made = world()
    made.learn(wanted("000660", epoch=7))
    assert reason(made, trade(code="000660")) == "code"
    made.learn(
        RegistrationRefused(
            epoch=Epoch(1), code=CODE, channel="trades", action="register", kind="resource", message_code="", message=""
        )
    )
    assert reason(made, trade()) == "dropped"


def later(number: int) -> Micros:
    return Micros(AT + number * SECOND_US)


def test_a_volume_that_stays_down_starts_anew_with_an_alert() -> None:
    made = world()
    assert reason(made, trade(volume=9 * 10**15)) is None, "one wrong figure, which no guard can tell"
    verdicts = [made.guards.check((trade(volume=100 + number),), later(number)) for number in range(PERSISTS)]
    assert [one.reason for one in verdicts[:-1]] == ["volume"] * (PERSISTS - 1)
    assert (verdicts[-1].reason, verdicts[-1].refloor) == (None, CODE)
    assert CODE in verdicts[-1].alert
    assert reason(made, trade(volume=110)) is None


def test_limits_that_contradict_everything_a_stock_says_are_forgotten_with_an_alert() -> None:
    made = world()
    high = [trade(last_price=400_000, volume=15_000_000 + number) for number in range(PERSISTS)]
    verdicts = [made.guards.check((one,), later(number)) for number, one in enumerate(high)]
    assert [one.reason for one in verdicts] == ["band"] * (PERSISTS - 1) + [None]
    assert "limits" in verdicts[-1].alert
    assert made.guards.check((high[-1],), later(PERSISTS)) is None


def test_a_burst_within_a_moment_does_not_overrule_a_guard_and_a_good_frame_ends_the_row() -> None:
    made = world()
    assert [reason(made, trade(last_price=400_000)) for _ in range(3 * PERSISTS)] == ["band"] * (3 * PERSISTS)
    for number in range(4 * PERSISTS):
        wrong = number % 2 == 1
        found = reason(made, trade(last_price=400_000 if wrong else 249_500), at=later(number))
        assert found == ("band" if wrong else None)


def test_an_alert_comes_at_a_bounded_rate_and_never_for_what_trails_behind_a_drop() -> None:
    made = Quarantine()
    told = [made.note("band", {"band": 7}, later(number)) for number in range(599)]
    assert [bool(text) for text in told].index(True) == Quarantine.FROM - 1
    assert sum(map(bool, told)) == 1
    assert "7 band" in next(filter(None, told))
    assert any(made.note("band", {}, later(700 + number)) for number in range(Quarantine.FROM))
    assert not any(Quarantine().note("dropped", {}, AT) for _ in range(100))


def test_a_time_may_be_ahead_of_our_clock_by_two_minutes_and_at_midnight_by_anything() -> None:
    made = world()
    assert AHEAD_US == 120 * SECOND_US
    assert reason(made, trade(time="000000"), at=clock("23:59:00", "2026-09-14")) is None


# -- on the desk -----------------------------------------------------------------------------------------------------


def playing() -> Room:
    room = Room()
    room.desk.epoch_begin(Epoch(1))
    room.journal.append("slots", [wanted()], by="slots").result()
    room.settle()
    return room


def test_a_frame_that_is_not_believed_lies_on_the_tape_and_reaches_nothing_else() -> None:
    room = playing()
    bad = TRADE_47.replace("^249250^", "^249251^")
    assert room.desk.frame(bad, decode(bad)) is None
    assert room.desk.frame(TRADE_47, decode(TRADE_47)) == 4
    room.desk.reject("0|H0STCNT0|001|x", "format")
    assert [record.data.decode() for record in room.tape if record.kind == "rejected"] == [
        f"grid\n{bad}", "format\n0|H0STCNT0|001|x",
    ]  # fmt: skip
    assert room.desk.rejected == {"grid": 1, "format": 1}
    assert room.desk.fold.applied == 1


def test_a_replay_follows_the_recorded_verdicts_and_verify_agrees() -> None:
    room = playing()
    texts = [TRADE_47.replace("^14871538^", f"^{volume}^") for volume in (99_999_999, 20, 30, 40, 50, 60, 70)]
    for number, text in enumerate(texts):
        room.clock.set(later(number))
        room.desk.frame(text, decode(text))
    room.clock.set(later(60))
    room.desk.second(later(60))
    room.settle()
    facts = room.journal.read(0, 1_000)
    kinds = [record.kind for record in room.tape][2:]
    assert kinds == ["frame", *["rejected"] * (PERSISTS - 1), "refloor", "frame", "frame", "second"]
    assert [event for event, _, _ in derive(room.tape, {fact.seq: fact for fact in facts}, decode)] == [
        fact.event for fact in room.reported()
    ]
    assert verify_market(room.tape, facts, decode).agrees
    assert verify_market(room.tape, facts, decode).rejected == {"volume": PERSISTS - 1}
    assert [fact.event.level for fact in facts if isinstance(fact.event, AlertRaised)] == ["warning"]


def test_a_new_process_goes_on_with_the_days_volumes_and_the_listing() -> None:
    room = playing()
    room.journal.append("rest", [ListingAnswered(stocks=(listed(),), source="")], by="rest").result()
    room.settle()
    room.desk.frame(TRADE_47, decode(TRADE_47))
    again = Room(room.journal, room.tape)
    again.desk.recover(room.tape)
    again.settle()
    again.desk.epoch_begin(Epoch(2))
    again.journal.append("slots", [wanted(epoch=2)], by="slots").result()
    again.settle()
    for text, why in (
        (TRADE_47.replace("^14871538^", "^14871537^"), "volume"),
        (TRADE_47.replace("^249250^", "^900000^"), "band"),
    ):
        assert again.desk.frame(text, decode(text)) is None
        assert again.desk.rejected[why] == 1
