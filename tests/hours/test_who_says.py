"""Who says whether the exchange opens: the broker, our calendar, a library (kis-protocol 4.7)."""

from __future__ import annotations

import sys
from datetime import date
from itertools import product
from types import SimpleNamespace

import pytest

from kquant.cli.open_day import check_open
from kquant.holiday_library import library_word
from kquant.hours import agree, day_hours, decide_day, hours_to_plan, listed
from kquant.values import KquantError, kst_clock
from tests.hours.tables import NORMAL, TABLES

WORDS = (True, False, None)
BEYOND = date(2028, 3, 2)
CLOSED = date(2026, 7, 17)
SATURDAY = date(2026, 11, 21)


@pytest.mark.parametrize(("local", "library"), list(product(WORDS, WORDS)))
@pytest.mark.parametrize("broker", [True, False])
def test_the_brokers_word_stands_whatever_the_others_say(
    broker: bool, local: bool | None, library: bool | None
) -> None:
    is_open, disagreement = agree(broker, local, library)
    assert is_open is broker
    assert (disagreement is not None) == ((not broker) in {local, library})


@pytest.mark.parametrize(
    ("local", "library", "is_open"),
    [
        (True, True, True),
        (True, None, True),
        (None, True, True),
        (False, False, False),
        (False, None, False),
        (None, False, False),
        (True, False, False),
        (False, True, False),
        (None, None, False),
    ],
)
def test_without_the_broker_the_exchange_is_closed_unless_nobody_contradicts(
    local: bool | None, library: bool | None, is_open: bool
) -> None:
    assert agree(None, local, library)[0] is is_open
    assert (agree(None, local, library)[1] is not None) == ({local, library} == {True, False})


def test_a_disagreement_tells_who_says_what_and_what_follows() -> None:
    assert agree(True, False, None)[1] == "the broker says open, config/calendar.toml says closed: taken as open"
    assert agree(None, True, False)[1] == (
        "config/calendar.toml says open, the holiday library says closed: taken as closed"
    )


def test_a_day_all_agree_on_has_its_hours_and_no_alert() -> None:
    decision = decide_day(NORMAL, TABLES, broker=True, library=True)
    assert (decision.is_open, decision.hours, decision.alerts) == (True, day_hours(NORMAL, TABLES), ())


def test_a_temporary_holiday_that_only_the_broker_knows_closes_the_day_with_an_alert() -> None:
    decision = decide_day(NORMAL, TABLES, broker=False, library=True)
    assert (decision.is_open, decision.hours) == (False, None)
    [alert] = decision.alerts
    assert alert == (
        "trading day 2026-11-20: the broker says closed, config/calendar.toml says open, "
        "the holiday library says open: taken as closed"
    )


def test_a_closed_day_that_the_broker_opens_has_normal_hours_and_two_alerts() -> None:
    decision = decide_day(CLOSED, TABLES, broker=True, library=False)
    assert decision.hours is not None
    assert kst_clock(decision.hours.open_at) == "09:00:00"
    assert [text.partition(":")[0] for text in decision.alerts] == [
        "trading day 2026-07-17",
        "2026-07-17 is no trading day of config/calendar.toml",
    ]


@pytest.mark.parametrize(
    ("broker", "library", "is_open"), [(True, None, True), (None, True, True), (False, True, False)]
)
def test_beyond_the_calendar_broker_and_library_decide_and_normal_hours_are_assumed(
    broker: bool | None, library: bool | None, is_open: bool
) -> None:
    decision = decide_day(BEYOND, TABLES, broker=broker, library=library)
    assert decision.is_open is is_open
    if is_open:
        assert decision.alerts == ("2028-03-02 is no trading day of config/calendar.toml: normal hours assumed",)


def test_beyond_the_calendar_nobody_able_to_tell_means_closed() -> None:
    assert not decide_day(BEYOND, TABLES, broker=None, library=None).is_open


def test_a_weekend_is_closed_even_beyond_the_calendar() -> None:
    assert listed(date(2030, 1, 5), TABLES.calendar) is False
    assert library_word(date(2030, 1, 5)) is False


def test_a_day_is_waited_for_if_calendar_or_library_calls_it_open() -> None:
    assert hours_to_plan(NORMAL, TABLES, library=False) == day_hours(NORMAL, TABLES)
    assert hours_to_plan(NORMAL, TABLES, library=None) == day_hours(NORMAL, TABLES)
    assert hours_to_plan(CLOSED, TABLES, library=True) is not None
    assert hours_to_plan(BEYOND, TABLES, library=True) is not None
    assert hours_to_plan(BEYOND, TABLES, library=None) is None
    assert hours_to_plan(SATURDAY, TABLES, library=False) is None


def test_without_the_package_the_library_has_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holidays", None)
    assert library_word(NORMAL) is None


def test_the_library_is_asked_about_the_korea_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    def financial_holidays(market: str, *, years: int) -> set[date]:
        assert (market, years) == ("XKRX", 2026)
        return {CLOSED}

    monkeypatch.setitem(sys.modules, "holidays", SimpleNamespace(financial_holidays=financial_holidays))
    assert (library_word(CLOSED), library_word(NORMAL)) == (False, True)


def test_the_computed_closed_days_of_2027_are_those_of_the_library() -> None:
    pytest.importorskip("holidays")
    days = [date.fromordinal(n) for n in range(date(2027, 1, 1).toordinal(), date(2028, 1, 1).toordinal())]
    assert [day for day in days if listed(day, TABLES.calendar) != library_word(day)] == []


async def test_the_broker_is_asked_once_in_its_own_format() -> None:
    asked = []

    async def ask(day: str) -> bool:
        asked.append(day)
        return True

    decision = await check_open(NORMAL, TABLES, ask, library=lambda _: True)
    assert (asked, decision.is_open, decision.alerts) == (["20261120"], True, ())


@pytest.mark.parametrize(("library", "is_open"), [(True, True), (None, True), (False, False)])
async def test_a_broker_that_does_not_say_leaves_the_day_to_the_others_with_an_alert(
    library: bool | None, is_open: bool
) -> None:
    async def ask(day: str) -> bool:
        raise KquantError("no answer in 10 s")

    decision = await check_open(NORMAL, TABLES, ask, library=lambda _: library)
    assert decision.is_open is is_open
    assert decision.alerts[0] == (
        "trading day 2026-11-20: the broker does not say whether the exchange opens (no answer in 10 s): "
        "the calendar decides"
    )
    assert len(decision.alerts) == (1 if is_open else 2)
