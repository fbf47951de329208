"""Whether the line is alive, and whether the market is (reliability B19, D23 to D25; kis-protocol 2.3, 2.5, 6 row 16)."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest
from msgspec.structs import replace

from kquant.config import load
from kquant.events.base import Event
from kquant.events.day import DayOpened
from kquant.events.feed import Dropped, Registered
from kquant.events.market import MarketStatusChanged
from kquant.gateways.kis.feed.liveness import Pulse, Quiet, Skew
from kquant.gateways.kis.feed.wire import decode
from kquant.hours import day_hours
from kquant.market.records import Trade
from kquant.settings import FeedSettings
from kquant.testing.facts import FactLog, clock
from kquant.values import SECOND_US, Epoch, Micros, Shares, Symbol
from tests.gateways_kis.test_wire import TRADE_47

CODE, OTHER = Symbol("005930"), Symbol("000660")


def s(seconds: float) -> Micros:
    return Micros(int(seconds * SECOND_US))


def pulse() -> Pulse:
    made = Pulse(FeedSettings())
    made.opened(s(0))
    return made


def test_a_line_that_had_its_pingpong_is_dead_after_15_seconds_of_silence_kis_protocol_2_3() -> None:
    line = pulse()
    line.frame(s(12))
    line.pingpong()
    assert line.due() == s(22)
    assert (line.check(s(21)), line.check(s(22)), line.check(s(23))) == (None, "ping", None)
    assert line.due() == s(27)
    assert (line.check(s(26.9)), line.check(s(27))) == (None, "dead")


def test_an_answered_protocol_ping_proves_the_line_and_any_frame_does() -> None:
    line = pulse()
    line.pingpong()
    assert line.check(s(10)) == "ping"
    line.pong(s(10.1))
    assert line.check(s(15)) is None
    assert line.check(s(20.1)) == "ping"
    line.frame(s(22))
    assert line.check(s(36.9)) == "ping"
    assert line.check(s(37)) == "dead"


def test_a_line_without_pingpong_is_asked_and_never_given_up_for_an_answer_it_never_gave() -> None:
    line = pulse()
    assert line.due() == s(30)
    assert line.check(s(30)) == "ping"
    assert line.due() is None
    assert line.check(s(100_000)) is None


def test_a_line_without_pingpong_that_answered_once_is_dead_when_it_no_longer_does() -> None:
    line = pulse()
    assert line.check(s(30)) == "ping"
    line.pong(s(31))
    assert line.check(s(61)) == "ping"
    assert (line.check(s(75)), line.check(s(76))) == (None, "dead")


def test_habits_of_one_line_say_nothing_of_the_next() -> None:
    line = pulse()
    line.pingpong()
    line.closed()
    assert line.due() is None
    assert line.check(s(1_000)) is None
    line.opened(s(1_000))
    assert line.check(s(1_016)) is None


class Day:
    """A day's set of stocks, and time that passes."""

    def __init__(self, *codes: Symbol, begin: str = "09:30:00", day: str = "2026-09-15", sessions: bool = True) -> None:
        hours = day_hours(date.fromisoformat(day), load("demo", environ={}).settings.krx)
        self.hours = hours if sessions else replace(hours, sessions=())
        self.quiet = Quiet(FeedSettings(), ("KRX",))
        self.log = FactLog(clock("07:00:00", day))
        self.day = day
        self.learn(
            DayOpened(
                day=day, account="", hours=self.hours, positions=None, cash_krw=None, day_before="", digest_before="",
                reconciled_before=True,
            )
        )  # fmt: skip
        self.now = clock(begin, day)
        self.volume = 0
        self.quiet.opened(Epoch(1), self.now)
        self.register(*codes)

    def learn(self, event: Event) -> None:
        self.quiet.learn(self.log.add("any", event))

    def register(self, *codes: Symbol) -> None:
        for code in codes:
            event = Registered(epoch=Epoch(1), code=code, channel="trades", already=False)
            self.quiet.learn(self.log.add("feed", event, at=self.now))

    def trade(self, code: Symbol = CODE, **changes: object) -> None:
        (made,) = decode(TRADE_47)
        assert isinstance(made, Trade)
        self.volume += 10
        self.quiet.data(replace(made, code=code, volume=Shares(self.volume), **changes), self.now)

    def trades(self, seconds: int, every: int, code: Symbol = CODE) -> None:
        for _ in range(seconds // every):
            self.now = Micros(self.now + every * SECOND_US)
            self.trade(code)

    def silence(self, seconds: int, step: int = 5) -> list[tuple[int, Symbol]]:
        """Let time pass without data; return after how many seconds which stock is asked."""
        asked = []
        for passed in range(step, seconds + 1, step):
            self.now = Micros(self.now + step * SECOND_US)
            code = self.quiet.check(self.now)
            if code is not None:
                asked.append((passed, code))
        return asked


def test_silence_longer_than_the_pace_explains_asks_a_lively_stocks_price() -> None:
    day = Day(CODE, OTHER)
    day.quiet.check(day.now)
    for _ in range(300):
        day.trades(2, 1, CODE)
        day.trade(OTHER)
    (first, code), *_ = day.silence(60)
    assert (first, code) == (40, CODE)


def test_thin_stocks_and_a_slow_hour_are_no_fault() -> None:
    day = Day(CODE)
    day.quiet.check(day.now)
    day.trades(3_000, 60)
    assert day.silence(600) == []
    assert day.silence(3_000, 60) != [], "but not for ever"


def test_what_was_acknowledged_and_never_sent_anything_is_asked_about_too() -> None:
    day = Day(*(Symbol(f"{number:06d}") for number in range(40)))
    asked = day.silence(300)
    assert asked, "forty stocks that never traded in five minutes of a session"


@pytest.mark.parametrize(
    ("begin", "day"),
    [("08:40:00", "2026-09-15"), ("15:20:30", "2026-09-15"), ("15:31:00", "2026-09-15"), ("09:30:00", "2026-11-19")],
)
def test_auctions_and_hours_without_a_session_say_nothing_kis_protocol_5_1(begin, day) -> None:
    made = Day(*(Symbol(f"{number:06d}") for number in range(40)), begin=begin, day=day)
    assert made.silence(540) == []


def test_a_log_without_sessions_knows_the_regular_one() -> None:
    codes = [Symbol(f"{number:06d}") for number in range(40)]
    assert Day(*codes, sessions=False).silence(300) != []
    assert Day(*codes, sessions=False, begin="15:21:00").silence(300) == []


@pytest.mark.parametrize("why", [{"phase": "C"}, {"halted": True}])
def test_a_stock_in_a_volatility_interruption_or_a_halt_is_not_expected_kis_protocol_5_4(why) -> None:
    day = Day(CODE)
    day.quiet.check(day.now)
    day.trades(600, 1)
    day.trade(CODE, **why)
    assert day.silence(300) == []
    day.trade(CODE)
    assert day.silence(300) != []


def test_a_status_says_so_as_well_and_a_drop_ends_the_watch() -> None:
    day = Day(CODE)
    day.quiet.check(day.now)
    day.trades(600, 1)
    said = MarketStatusChanged(
        code=CODE, halted=False, halt_reason="", vi=True, overtime_vi=False, operation="", expected_operation="",
        extension="", stock_status="", venue="", place=1,
    )  # fmt: skip
    day.learn(said)
    assert day.silence(300) == []
    day.learn(replace(said, vi=False))
    day.learn(Dropped(epoch=Epoch(1), code=CODE, channel="trades", already=False))
    assert day.silence(300) == []


def test_only_a_stock_that_traded_unheard_ends_the_line_and_at_most_once_in_five_minutes() -> None:
    day = Day(CODE)
    day.quiet.check(day.now)
    day.trades(600, 1)
    day.silence(60)
    assert day.quiet.probed(CODE, None, day.now) is None, "REST is down too: that proves nothing"
    assert day.quiet.probed(CODE, Shares(day.volume), day.now) is None, "the market stands still"
    reason = day.quiet.probed(CODE, Shares(day.volume + 7), day.now)
    assert reason is not None
    assert "7 shares" in reason
    day.silence(290)
    assert day.quiet.probed(CODE, Shares(day.volume + 9), day.now) is None
    day.silence(10)
    assert day.quiet.probed(CODE, Shares(day.volume + 9), day.now) is not None


def test_an_answer_that_data_overtook_ends_nothing() -> None:
    day = Day(CODE)
    day.quiet.check(day.now)
    day.trades(600, 1)
    day.silence(60)
    day.trade()
    assert day.quiet.probed(CODE, Shares(day.volume + 7), day.now) is None


def test_a_market_that_stands_still_is_asked_ever_more_rarely() -> None:
    day = Day(CODE)
    day.quiet.check(day.now)
    day.trades(600, 1)
    asked = [passed for passed, _ in day.silence(3_600)]
    gaps = [after - before for before, after in pairwise(asked)]
    assert gaps == [60, 120, 240, 480, 600, 600, 600, 600]


def skew_at(hour: int) -> tuple[Skew, Micros]:
    """Return a watch over the clocks on an open day, and an instant of that day."""
    log = FactLog()
    hours = day_hours(date(2026, 11, 20), load("demo").settings.krx)
    opened = DayOpened(
        day="2026-11-20",
        account="",
        hours=hours,
        positions=None,
        cash_krw=None,
        day_before="",
        digest_before="",
        reconciled_before=True,
    )
    watch = Skew(FeedSettings())
    log.add("run", opened)
    watch.learn(log.facts[-1])
    return watch, Micros(hours.open_at + (hour - 9) * 3_600 * SECOND_US)


def told(watch: Skew, ours: Micros, *ahead: float) -> list[int | None]:
    """Return what the watch says to PINGPONGs 12 s apart that are so many seconds ahead of ours."""
    beats = [Micros(ours + 12 * SECOND_US * number) for number in range(len(ahead))]
    return [watch.told(Micros(at + s(seconds)), at) for at, seconds in zip(beats, ahead, strict=True)]


def test_a_clock_that_is_wrong_is_told_once_and_so_is_its_being_right_again() -> None:
    """reliability D40"""
    watch, at = skew_at(10)
    assert told(watch, at, 0, 0.4, 90, 90.3, 89.8, 90, 0, 0.1, 0) == [None, None, None, 90, None, None, None, 0, None]


def test_a_pingpong_that_comes_late_is_no_skew() -> None:
    watch, at = skew_at(10)
    assert told(watch, at, 0, -9, 0, 0, -30, -12, 0) == [None] * 7


def test_a_clock_behind_and_one_that_drifts_on_are_told_anew() -> None:
    watch, at = skew_at(10)
    assert told(watch, at, -20, -20, -21, -40, -40) == [None, -20, None, None, -40]


def test_what_differs_within_the_setting_or_outside_the_days_hours_is_none() -> None:
    watch, at = skew_at(10)
    assert told(watch, at, 5.2, 5.2, -4, -4) == [None] * 4
    for hour in (8, 16):
        watch, at = skew_at(hour)
        assert told(watch, at, 60, 60, 60) == [None] * 3
