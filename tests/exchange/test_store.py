import datetime as dt
from pathlib import Path

import pytest

from kquant.exchange.core.state import Restored, opening_account
from kquant.exchange.market.model import Print
from kquant.exchange.servers.store import ClockFile, SqliteStore, StoreError
from tests.exchange.fake_market import OPEN, FakeMarket, stock
from tests.exchange.helpers import OPTIONS, Client

DAY = dt.date(2026, 1, 15)


def market() -> FakeMarket:
    prints = [Print(OPEN + 5, 10_000, 1_000, 3), Print(OPEN + 20, 10_000, 1_000, 5), Print(OPEN + 21, 9_000, 50, 5)]
    return FakeMarket([stock("000010")], {"000010": prints})


def first_run(store: SqliteStore) -> Client:
    day = market()
    store.claim(DAY, "m")
    store.save_opening(opening_account(day, OPTIONS))
    client = Client(day, OPTIONS, store, store.load())
    client.exchange.advance(OPEN + 20)
    client.order("buy", "000010", 120, 9_990)
    return client


def test_a_second_that_was_matched_before_the_clock_was_saved_is_not_matched_twice(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    client = first_run(store)
    client.order("buy", "000010", 40, 10_000)
    clock = ClockFile(tmp_path)
    clock.save(client.exchange.now_us)
    client.exchange.step(client.exchange.now_us + 1_000_000)  # fills are durable, the clock is not
    fills = list(client.exchange.ledger.fills)
    assert fills
    store.close()
    again = SqliteStore(tmp_path)
    restored = again.load()
    assert isinstance(restored, Restored)
    assert clock.load() == client.exchange.midnight_us + (OPEN + 20) * 1_000_000
    resumed = Client(market(), OPTIONS, again, restored, now_us=clock.load())
    resumed.exchange.advance(OPEN + 21)
    assert resumed.exchange.ledger.fills == fills
    assert resumed.exchange.ledger.cash == client.exchange.ledger.cash
    resumed.exchange.advance(OPEN + 22)
    assert len(resumed.exchange.ledger.fills) > len(fills)
    again.close()
    clock.close()


def test_a_state_of_another_day_or_market_is_refused(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.claim(DAY, "m")
    store.claim(DAY, "m")
    with pytest.raises(StoreError, match="2026-01-15, not 2026-01-16"):
        store.claim(dt.date(2026, 1, 16), "m")
    with pytest.raises(StoreError, match="market m, not other"):
        store.claim(DAY, "other")
    store.close()


def test_each_service_has_a_file_of_its_own(tmp_path: Path) -> None:
    real, paper = SqliteStore(tmp_path, "real"), SqliteStore(tmp_path, "paper")
    real.claim(DAY, "m")
    real.save_opening(opening_account(market(), OPTIONS))
    assert paper.day is None
    assert paper.load() is None
    found = real.load()
    assert found is not None
    assert found.ledger.cash.settled == OPTIONS.cash
    real.close()
    paper.close()


def test_the_books_of_a_day_that_is_over_are_replaced_by_the_next_ones(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    client = first_run(store)
    client.order("buy", "000010", 40, 10_000)
    client.exchange.advance(OPEN + 60)
    ledger = client.exchange.ledger
    bought = ledger.cash.bought
    assert bought > 0
    following = market()
    following.day = dt.date(2026, 1, 16)
    client.exchange.real.next_day(following)
    store.close()
    again = SqliteStore(tmp_path)
    found = again.load()
    assert found is not None
    assert (again.first_day, found.day, found.matched_through) == (DAY, dt.date(2026, 1, 16), -1)
    assert (found.ledger.orders, found.ledger.fills) == ([], [])
    assert [row.no for row in found.ledger.past] == [row.no for row in ledger.past]
    assert found.ledger.cash.bought_before == bought
    assert [row.qty for row in found.ledger.positions] == [row.qty for row in ledger.positions.values()]
    again.close()
