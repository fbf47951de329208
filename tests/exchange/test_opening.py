"""Which day and what time an exchange begins with, from its options and its state folder."""

import argparse
import datetime as dt
from pathlib import Path

import pytest

from kquant.exchange.core.exchange import KST, US, Exchange
from kquant.exchange.servers import opening
from kquant.exchange.servers.days import next_open_day
from kquant.exchange.servers.opening import StartError, open_exchange
from kquant.exchange.servers.options import parse
from tests.exchange.fake_market import FakeMarket, stock


class Fake:
    """Any day, without drawing one."""

    def __init__(self, seed: int, stocks: int, last: dt.date | None, first: dt.date | None = None) -> None:
        self._last = last

    def after(self, day: dt.date) -> dt.date | None:
        following = next_open_day(day + dt.timedelta(days=1))
        return None if self._last is not None and following > self._last else following

    def market(self, day: dt.date) -> FakeMarket:
        found = FakeMarket([stock("000010")])
        found.day = day
        return found


@pytest.fixture(autouse=True)
def _no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "GeneratedDays", Fake)


def options(folder: Path, *arguments: str) -> argparse.Namespace:
    return parse(["--generate", "1", "--holdings", "1", "--state", str(folder), *arguments])


def opened(folder: Path, *arguments: str, play_until: dt.date | None = None) -> Exchange:
    """Open an exchange, play it to the morning of a day, and leave it as a killed process would."""
    exchange, state = open_exchange(options(folder, *arguments))
    if play_until is not None:
        until = int(dt.datetime.combine(play_until, dt.time(7), KST).timestamp()) * US
        while exchange.now_us < until:
            exchange.step(until)
        exchange.persist_clock()
    state.close()
    return exchange


def test_the_wall_clock_begins_at_koreas_time_on_the_day_that_trades_next(tmp_path: Path) -> None:
    before = dt.datetime.now(KST)
    exchange = opened(tmp_path, "--clock", "wall")
    after = dt.datetime.now(KST)
    assert next_open_day(before.date()) <= exchange.market.day <= next_open_day(after.date())
    now = dt.datetime.fromtimestamp(exchange.now_us / US, KST)
    midnight = dt.datetime.combine(exchange.market.day, dt.time(), KST)
    assert max(before.replace(microsecond=0), midnight) <= now <= max(after, midnight)


def test_books_of_an_earlier_day_move_on_to_today_on_the_wall_clock(tmp_path: Path) -> None:
    first = dt.date(2026, 1, 15)
    opened(tmp_path, "--day", first.isoformat(), "--clock", "step")
    exchange = opened(tmp_path, "--clock", "wall", "--open-now")
    assert exchange.market.day == dt.datetime.now(KST).date()
    assert exchange.real.ledger.day == exchange.paper.ledger.day == exchange.market.day
    assert [row.code for row in exchange.real.ledger.positions.values()] == ["000010"]
    assert exchange.now_us == exchange.midnight_us + exchange.market.open_second * US


def test_the_same_command_goes_on_with_the_day_it_had_come_to(tmp_path: Path) -> None:
    command = ("--day", "2026-01-16", "--clock", "step", "--days", "3", "--start", "16:00")
    opened(tmp_path, *command, play_until=dt.date(2026, 1, 19))
    again = opened(tmp_path, *command)
    assert (again.market.day, again.second) == (dt.date(2026, 1, 19), 7 * 3_600)
    assert again.next_day == dt.date(2026, 1, 20)
    without_day = opened(tmp_path, "--clock", "step", "--days", "2")
    assert (without_day.market.day, without_day.next_day) == (dt.date(2026, 1, 19), None)


def test_days_that_are_over_and_days_of_another_folder_are_refused(tmp_path: Path) -> None:
    command = ("--day", "2026-01-16", "--clock", "step", "--start", "16:00")
    opened(tmp_path, *command, "--days", "2", play_until=dt.date(2026, 1, 19))
    with pytest.raises(StartError, match=r"--days 1: .* played its last day on 2026-01-16"):
        open_exchange(options(tmp_path, *command, "--days", "1"))
    with pytest.raises(StartError, match="holds day 2026-01-19, not 2026-01-20: use another folder"):
        open_exchange(options(tmp_path, "--day", "2026-01-20", "--clock", "step"))


def test_a_folder_of_before_the_paper_service_goes_on_with_it(tmp_path: Path) -> None:
    opened(tmp_path, "--day", "2026-01-16", "--clock", "step")
    for name in tmp_path.glob("paper.sqlite3*"):
        name.unlink()
    exchange = opened(tmp_path, "--day", "2026-01-16", "--clock", "step")
    assert exchange.paper.ledger.cash.settled == exchange.paper.options.cash
    assert [row.code for row in exchange.paper.ledger.positions.values()] == ["000010"]
